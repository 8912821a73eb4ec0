//! What can be wrong with rows.

use vocabulary::{AccountId, DidId, Number, SubscriberId, TrunkId};

use super::network::Network;
use super::owned_numbers::DidFault;
use super::trunk_tls::CertificateError;
use crate::numbers::{ListId, NumberOwner, RuleError, RuleId};
use crate::routing::WindowId;

/// A row that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// The same account twice.
    #[error("account {0} is there twice")]
    AccountTwice(AccountId),
    /// The same subscriber twice.
    #[error("subscriber {0} is there twice")]
    SubscriberTwice(SubscriberId),
    /// The same trunk twice.
    #[error("trunk {0} is there twice")]
    TrunkTwice(TrunkId),
    /// A subscriber of nobody.
    #[error(
        "subscriber {subscriber} ({username}) belongs to account {account}, which is not there"
    )]
    SubscriberAccount {
        /// Which subscriber.
        subscriber: SubscriberId,
        /// Its name.
        username: String,
        /// The account that is missing.
        account: AccountId,
    },
    /// A trunk of nobody.
    #[error("trunk {trunk} ({name}) belongs to account {account}, which is not there")]
    TrunkAccount {
        /// Which trunk.
        trunk: TrunkId,
        /// Its name.
        name: String,
        /// The account that is missing.
        account: AccountId,
    },
    /// A user name that is taken.
    #[error("the user name {0:?} is taken twice")]
    UsernameTwice(String),
    /// A user name that cannot stand in a SIP address.
    #[error("the user name {0:?} is empty or holds a sign that a SIP address cannot")]
    UsernameUnusable(String),
    /// A number that rings nobody.
    #[error("number {} rings subscriber {subscriber}, which is not there", .number.as_str())]
    NumberSubscriber {
        /// The number.
        number: Number,
        /// The subscriber that is missing.
        subscriber: SubscriberId,
    },
    /// A number that rings two.
    #[error("number {} rings subscribers {first} and {second}", .number.as_str())]
    NumberTwice {
        /// The number.
        number: Number,
        /// Its first subscriber.
        first: SubscriberId,
        /// Its second subscriber.
        second: SubscriberId,
    },
    /// A DID that cannot be one.
    #[error("DID {did}, {}: {fault}", .number.as_str())]
    Did {
        /// Which.
        did: DidId,
        /// Its number.
        number: Number,
        /// What is wrong.
        fault: DidFault,
    },
    /// Two trunks with one address.
    #[error("trunks {first} and {second} both send from {network}")]
    NetworkTwice {
        /// The address or network.
        network: Network,
        /// One trunk.
        first: TrunkId,
        /// The other.
        second: TrunkId,
    },
    /// Certificates of trunks.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A trunk that neither sends nor receives.
    #[error("trunk {trunk} ({name}) has neither a host to send to nor a way to know its calls")]
    TrunkUseless {
        /// Which trunk.
        trunk: TrunkId,
        /// Its name.
        name: String,
    },
    /// A host that is none.
    #[error("trunk {trunk} ({name}): {host:?} is not a host name or address")]
    TrunkHost {
        /// Which trunk.
        trunk: TrunkId,
        /// Its name.
        name: String,
        /// What was written.
        host: String,
    },
    /// A registration that cannot be made.
    #[error("trunk {trunk} ({name}) is to register but has {lacks}")]
    TrunkRegistration {
        /// Which trunk.
        trunk: TrunkId,
        /// Its name.
        name: String,
        /// What is missing.
        lacks: &'static str,
    },
    /// A number plan that contradicts itself.
    #[error("the number plan of {owner}: {fault}")]
    Plan {
        /// Whose.
        owner: String,
        /// What is wrong.
        fault: String,
    },
    /// A route to nowhere.
    #[error("the route for prefix {prefix:?} leads to trunk {trunk}, which is not there")]
    RouteTrunk {
        /// Its prefix.
        prefix: String,
        /// The trunk that is missing.
        trunk: TrunkId,
    },
    /// A route over a trunk that takes no calls.
    #[error("the route for prefix {prefix:?} leads to trunk {trunk}, which has no host to send to")]
    RouteWithoutHost {
        /// Its prefix.
        prefix: String,
        /// The trunk.
        trunk: TrunkId,
    },
    /// The same prefix to the same trunk twice.
    #[error("the route for prefix {prefix:?} to trunk {trunk} is there twice")]
    RouteTwice {
        /// Its prefix.
        prefix: String,
        /// The trunk.
        trunk: TrunkId,
    },
    /// A number rule that makes no numbers.
    #[error("number rule {rule} of {owner}: {fault}")]
    NumberRule {
        /// Whose.
        owner: NumberOwner,
        /// Which.
        rule: RuleId,
        /// What is wrong.
        fault: RuleError,
    },
    /// A list that is not there.
    #[error("list {list} is to be used for {owner} and is not there")]
    NumberList {
        /// For whom.
        owner: NumberOwner,
        /// The list that is missing.
        list: ListId,
    },
    /// The same list twice.
    #[error("list {0} is there twice")]
    NumberListTwice(ListId),
    /// A prefix that no number has.
    #[error("the route prefix {0:?} holds something other than digits, * and #")]
    RoutePrefix(String),
    /// A route that holds at times that nobody knows.
    #[error("the route for prefix {prefix:?} holds in time window {window}, which is not there")]
    RouteWindow {
        /// Its prefix.
        prefix: String,
        /// The window that is missing.
        window: WindowId,
    },
    /// Settings that contradict each other.
    #[error("settings: {0}")]
    Settings(String),
}
