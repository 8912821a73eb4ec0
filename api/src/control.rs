//! The door between the API and the running process: `server` implements it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use billing::{
    AccountView, BundleGrant, Money, OpId, Overdraft, PostingKind, PostingTax, Quote, RateBook,
    Rerated, Terms,
};
use switch::LiveCall;
use switch::directory::{ClientCertificate, Directory};
use switch::fraud::Hold;
use switch::health::{HealthChange, TrunkHealth};
use switch::quality::{QualityChange, QualityView};
use switch::registrar::StoredBinding;
use switch::routing::{Calling, Recorded};
use switch::upstream::UpstreamStatus;
use vocabulary::{AccountId, CallId, DecisionLine, Location, SubscriberId, TrunkId, Utc};

use crate::traces::{NewTrace, TraceFormat, TraceView};

/// An answer that is not there yet.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Everything configured, as calls see it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// For the switch.
    pub directory: Arc<Directory>,
    /// For billing.
    pub rate_book: Arc<RateBook>,
}

/// Money that moves without a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Names it, so that a repeat moves nothing.
    pub op: OpId,
    /// Whose.
    pub account: AccountId,
    /// Positive is given to the account, negative taken from it.
    pub amount: Money,
    /// What it is.
    pub kind: PostingKind,
    /// May it take more than is there?
    pub overdraft: Overdraft,
    /// For the statement.
    pub note: String,
    /// The taxes on it (R13).
    pub tax: Option<PostingTax>,
}

/// Why a payment is not booked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PaymentRefused {
    /// The ledger does not have it.
    #[error("the ledger has no such account")]
    NoAccount,
    /// The id named another payment.
    #[error("this key was used for another payment")]
    Differs,
    /// Not now, or not here.
    #[error("{0}")]
    Unavailable(String),
    /// It would take more than is there, or overflow.
    #[error("{0}")]
    Amount(String),
}

/// A call to be thought through.
#[derive(Clone, Copy, Debug)]
pub struct Thought<'a> {
    /// Who calls: a subscriber's name or number, or a trunk's or an account's name.
    pub from: &'a str,
    /// The account of this name, if there is one.
    pub account: Option<AccountId>,
    /// What is dialled.
    pub to: &'a str,
    /// When.
    pub at: Utc,
    /// The talk that is priced.
    pub talk: Duration,
    /// The conditions of a past call, instead of those of now.
    pub like: Option<&'a Recorded>,
    /// Where it goes, in place of what lookups and tables say.
    pub location: Location,
}

/// A call that was only thought through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Simulated {
    /// As what `from` calls; `None` if it is nobody.
    pub calling: Option<Calling>,
    /// Every reason, in order.
    pub decisions: Vec<DecisionLine>,
    /// Why it would be refused, with the SIP status; `None` if it would be placed.
    pub refusal: Option<(u16, DecisionLine)>,
    /// What billing says of it; `None` if it is not asked.
    pub quote: Option<Quote>,
}

/// The outcome of checking the books.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerReport {
    /// What was counted.
    pub counted: Vec<(&'static str, u64)>,
    /// Every broken invariant, as a sentence; none is good.
    pub faults: Vec<String>,
}

/// The process, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Since when it runs.
    pub started_at: Utc,
    /// The version of the program.
    pub version: String,
    /// Listening sockets, such as `udp 0.0.0.0:5060`.
    pub listeners: Vec<String>,
    /// Threads that switch calls.
    pub workers: usize,
    /// Shutting down: new calls are refused.
    pub is_draining: bool,
    /// The disk does not take the journal: new calls are refused until it does.
    pub is_journal_stuck: bool,
    /// Counters and gauges by name.
    pub counters: Vec<(&'static str, u64)>,
}

/// The certificate of one of our TLS listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The listener, such as `tls 0.0.0.0:5061`.
    pub listener: String,
    /// Where it is read from.
    pub file: String,
    /// Whom it is for.
    pub domains: Vec<Box<str>>,
    /// Valid from then on.
    pub valid_from: Utc,
    /// Valid until then.
    pub expires_at: Utc,
    /// Why what is in its files now is not in use; `None` if it is.
    pub problem: Option<String>,
}

/// What the API asks of the running process.
pub trait Control: Send + Sync + 'static {
    /// The wall clock.
    fn now(&self) -> Utc;

    /// Calls from now on see this, and the ledger these terms, of the accounts that may have changed.
    /// Live in every worker within a second.
    fn publish(&self, snapshot: &Snapshot, terms: &[(AccountId, Terms)]);

    /// An account's money at this moment.
    fn balance(&self, account: AccountId) -> Option<AccountView>;

    /// Books a payment and answers when it is on disk; a repeat answers the same.
    fn pay(&self, payment: Payment) -> Later<'_, Result<(), PaymentRefused>>;

    /// Books calls that were priced again, and answers when they are on disk: why one was refused,
    /// with which none after it was booked.
    fn rerate(&self, rerated: Vec<Rerated>) -> Later<'_, Option<String>>;

    /// Waits until everything that has happened so far can be read from the database, however long
    /// that takes.
    fn written(&self) -> Later<'_, ()>;

    /// With several nodes one of them charges what is due: is it this one?
    fn charges_here(&self) -> bool {
        true
    }

    /// Gives free seconds and answers when it is on disk; a repeat answers the same.
    fn grant(&self, grant: BundleGrant) -> Later<'_, Result<(), PaymentRefused>>;

    /// The calls of all workers.
    fn live_calls(&self) -> Later<'_, Vec<LiveCall>>;

    /// Ends a call; false if there is none.
    fn hang_up(&self, call: CallId) -> Later<'_, bool>;

    /// Where a subscriber is registered.
    fn bindings(&self, subscriber: SubscriberId) -> Vec<StoredBinding>;

    /// What is known of a trunk's health; `None` if it is not asked.
    fn trunk_health(&self, trunk: TrunkId) -> Option<TrunkHealth>;

    /// How our registrations at trunks stand; only those of trunks that are in use.
    fn upstreams(&self) -> Later<'_, Vec<UpstreamStatus>>;

    /// The oldest change of a trunk's health that was not taken yet.
    fn trunk_change(&self) -> Option<HealthChange>;

    /// How good the calls over trunks are, by trunk, prefix and rule.
    fn trunk_quality(&self) -> Vec<QualityView>;

    /// Has a trunk left for so long, for calls that are judged with those to this prefix, or with `None`
    /// has it get them again; `None` if no quality rule is about it.
    fn set_trunk_quality(
        &self,
        trunk: TrunkId,
        prefix: &str,
        drop_for: Option<Duration>,
    ) -> Option<QualityView>;

    /// What fraud rules have brought upon accounts and could not be stored yet, by account.
    fn unstored_fraud_holds(&self) -> Vec<(AccountId, Hold)>;

    /// Lifts what fraud rules have brought upon an account, stored or not; `None` if there is nothing.
    fn lift_fraud(&self, account: AccountId) -> Option<Hold>;

    /// The oldest change of how a trunk stands for its quality that was not taken yet.
    fn quality_change(&self) -> Option<QualityChange>;

    /// Begins a SIP trace; why not, if it does not begin.
    fn begin_trace(&self, wanted: NewTrace) -> Result<TraceView, String>;

    /// All SIP traces, running or over, the oldest first.
    fn traces(&self) -> Vec<TraceView>;

    /// Ends a trace, which is kept; `None` if there is none.
    fn end_trace(&self, id: u64) -> Option<TraceView>;

    /// Forgets a trace; false if there is none.
    fn remove_trace(&self, id: u64) -> bool;

    /// The messages of a trace, without secrets; `None` if there is none.
    fn trace_messages(&self, id: u64, format: TraceFormat) -> Option<Vec<u8>>;

    /// Thinks a call through without placing it.
    fn simulate(&self, thought: &Thought<'_>) -> Simulated;

    /// Checks every invariant of the books.
    fn check_ledger(&self) -> Later<'_, LedgerReport>;

    /// Waits, not for long, until what has happened so far can be read from the database.
    fn catch_up(&self) -> Later<'_, ()>;

    /// The certificates of our TLS listeners.
    fn certificates(&self) -> Vec<Certificate>;

    /// Whom a certificate of ours for a trunk is for, and when it expires; or why it cannot be used.
    fn read_client_certificate(
        &self,
        certificate: &ClientCertificate,
    ) -> Result<(Vec<Box<str>>, Utc), String>;

    /// Reads their files again, and tells what is in use then.
    fn read_certificates_again(&self) -> Vec<Certificate>;

    /// The process itself.
    fn status(&self) -> Status;

    /// In the text format of Prometheus.
    fn metrics(&self) -> String;
}
