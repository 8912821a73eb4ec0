//! Everything configured that a call needs to know, as one immutable snapshot. `rows` is what one
//! configures, `builder` checks it and makes the snapshot, this file asks it.
//!
//! A snapshot is never changed; [`Directory::change`] makes the next one, which shares with it all
//! but the parts that the changed rows are in, however many accounts there are.

mod builder;
mod fault;
mod fraud;
mod network;
mod number_policies;
mod owned_numbers;
mod routes;
mod rows;
mod trunk_tls;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use snapshot_map::SnapshotMap;
use vocabulary::{AccountId, DidId, Number, SubscriberId, TrunkId};

pub use builder::DirectoryBuilder;
pub use fault::DirectoryError;
use fraud::SpecialLists;
pub use network::{Network, NetworkError, NetworkTable};
pub use owned_numbers::DidFault;
pub use rows::{
    AccountRow, CONTACTS_MAX, ClientCertificate, Credentials, DigestSecret, Limits, NumberRow,
    RedirectPolicy, RouteRow, Settings, SubscriberRow, TrunkIngress, TrunkRegistration, TrunkRole,
    TrunkRow,
};
pub use sip::transport::Transport;
pub use trunk_tls::CertificateError;
use trunk_tls::TrunkCertificates;

use crate::did::DidRow;
use crate::fraud::FraudRule;
use crate::guard::GuardRows;
use crate::jurisdiction::Jurisdictions;
use crate::lookup::Lookups;
use crate::numbers::{ListId, NumberList, NumberPolicy};
use crate::quality::{QualityRules, Watch};
use crate::routing::{RoutePrefix, RouteTable, RouteTarget, TimeWindow, WindowId};

/// A digest user name belongs to a subscriber or to a trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestOwner {
    /// A phone.
    Subscriber(SubscriberId),
    /// A peer that authenticates by digest.
    Trunk(TrunkId),
}

/// The snapshot. Cheap to ask and to clone, never changed; a change makes a new one.
#[derive(Clone, Debug, PartialEq)]
pub struct Directory {
    settings: Arc<Settings>,
    accounts: SnapshotMap<AccountId, Arc<AccountRow>>,
    subscribers: SnapshotMap<SubscriberId, Arc<SubscriberRow>>,
    trunks: SnapshotMap<TrunkId, Arc<TrunkRow>>,
    users: SnapshotMap<Box<str>, DigestOwner>,
    numbers: SnapshotMap<Number, SubscriberId>,
    dids: SnapshotMap<DidId, Arc<DidRow>>,
    did_numbers: SnapshotMap<Number, DidId>,
    /// DIDs and numbers of subscribers, in ascending order; no account has an empty list.
    owned_numbers: SnapshotMap<AccountId, Arc<[Number]>>,
    networks: Arc<NetworkTable<TrunkId>>,
    certificates: Arc<TrunkCertificates>,
    routes: Arc<RouteTable>,
    route_prefixes: Arc<BTreeMap<Box<str>, RoutePrefix>>,
    time_windows: Arc<BTreeMap<WindowId, TimeWindow>>,
    quality_rules: Arc<QualityRules>,
    lookups: Arc<Lookups>,
    jurisdictions: Arc<Jurisdictions>,
    /// In the order of their ids.
    registering: Vec<TrunkId>,
    /// The same.
    probed: Vec<TrunkId>,
    guard: Arc<GuardRows>,
    numbers_of_all: Arc<NumberPolicy>,
    number_lists: SnapshotMap<ListId, Arc<NumberList>>,
    special_lists: Arc<SpecialLists>,
    /// Those of everybody.
    fraud_rules: Arc<[FraudRule]>,
    /// How many accounts, trunks and subscribers have number rules or lists of their own.
    number_policies: usize,
}

impl Directory {
    /// What holds for all calls.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// An account.
    pub fn account(&self, id: AccountId) -> Option<&AccountRow> {
        self.accounts.get(&id).map(|row| &**row)
    }

    /// How long a call of this account may last whatever its money, and whether that is the account's
    /// own limit (V-11) and not the one of all calls.
    pub fn longest_call(&self, account: Option<AccountId>) -> (Duration, bool) {
        let all = self.settings.duration_max;
        match account.and_then(|id| self.account(id)?.duration_max) {
            Some(own) if own < all => (own, true),
            _ => (all, false),
        }
    }

    /// A subscriber.
    pub fn subscriber(&self, id: SubscriberId) -> Option<&SubscriberRow> {
        self.subscribers.get(&id).map(|row| &**row)
    }

    /// A trunk.
    pub fn trunk(&self, id: TrunkId) -> Option<&TrunkRow> {
        self.trunks.get(&id).map(|row| &**row)
    }

    /// The owner of a digest user name.
    pub fn digest_owner(&self, username: &str) -> Option<DigestOwner> {
        self.users.get(username).copied()
    }

    /// The digest secret that goes with an owner.
    pub fn digest_secret(&self, owner: DigestOwner) -> Option<&DigestSecret> {
        match owner {
            DigestOwner::Subscriber(id) => self.subscriber(id).map(|s| &s.secret),
            DigestOwner::Trunk(id) => self.trunk(id)?.ingress.digest.as_ref().map(|d| &d.1),
        }
    }

    /// The subscriber with this user name.
    pub fn subscriber_by_username(&self, username: &str) -> Option<&SubscriberRow> {
        match self.users.get(username)? {
            DigestOwner::Subscriber(id) => self.subscriber(*id),
            DigestOwner::Trunk(_) => None,
        }
    }

    /// The subscriber that a number of ours rings.
    pub fn subscriber_by_number(&self, number: &Number) -> Option<&SubscriberRow> {
        self.subscriber(*self.numbers.get(number)?)
    }

    /// A DID.
    pub fn did(&self, id: DidId) -> Option<&DidRow> {
        self.dids.get(&id).map(|row| &**row)
    }

    /// The DID with this number.
    pub fn did_by_number(&self, number: &Number) -> Option<&DidRow> {
        self.did(*self.did_numbers.get(number)?)
    }

    /// The numbers of an account, in ascending order: its DIDs, and those of its subscribers.
    pub fn numbers_of(&self, account: AccountId) -> &[Number] {
        self.owned_numbers.get(&account).map_or(&[], |numbers| &**numbers)
    }

    /// Whether the account may call with this number: a DID of its own or one stored for it.
    pub fn owns(&self, account: AccountId, number: &Number) -> bool {
        let is_stored = |row: &AccountRow| row.caller_id.stored.binary_search(number).is_ok();
        self.numbers_of(account).binary_search(number).is_ok()
            || self.account(account).is_some_and(is_stored)
    }

    /// The number rules and lists of everybody; `None` if there are none.
    pub fn numbers_of_all(&self) -> Option<&NumberPolicy> {
        (!self.numbers_of_all.is_empty()).then_some(&*self.numbers_of_all)
    }

    /// Whether anybody has number rules or lists of its own.
    pub fn has_number_policies(&self) -> bool {
        self.number_policies > 0
    }

    /// A list of numbers.
    pub fn number_list(&self, id: ListId) -> Option<&NumberList> {
        self.number_lists.get(&id).map(|list| &**list)
    }

    /// The trunk that sends from this address: the narrowest network, and in it one that names the
    /// port before one that does not.
    pub fn trunk_by_address(&self, remote: SocketAddr) -> Option<&TrunkRow> {
        self.trunk(self.networks.find(remote)?)
    }

    /// The trunk that one of these names in a certificate stands for, and the name.
    pub fn trunk_by_certificate(&self, names: &[Box<str>]) -> Option<(&TrunkRow, &str)> {
        let known = names.iter().find_map(|name| self.certificates.names.get_key_value(name));
        known.and_then(|(name, id)| Some((self.trunk(*id)?, &**name)))
    }

    /// Whether any trunk is known by its certificate.
    pub fn knows_certificates(&self) -> bool {
        !self.certificates.names.is_empty()
    }

    /// Trunks that get to see a certificate of ours, in the order of their ids.
    pub fn presenting_trunks(&self) -> impl Iterator<Item = (&TrunkRow, &Arc<ClientCertificate>)> {
        self.certificates.presenting.iter().filter_map(|id| {
            let row = self.trunk(*id)?;
            Some((row, row.client_certificate.as_ref()?))
        })
    }

    /// The trunk with this name, or `None`; a search, so not for the call path.
    pub fn trunk_by_name(&self, name: &str) -> Option<&TrunkRow> {
        let found = self.trunks.values().filter(|trunk| trunk.name == name);
        found.min_by_key(|trunk| trunk.id).map(|trunk| &**trunk)
    }

    /// Who is kept out and who never is, and when.
    pub fn guard(&self) -> &GuardRows {
        &self.guard
    }

    /// Whether the same are kept out as in another snapshot.
    pub(crate) fn has_guard_of(&self, other: &Directory) -> bool {
        Arc::ptr_eq(&self.guard, &other.guard) || self.guard == other.guard
    }

    /// The routes of the longest prefix that covers the number, with the prefix's length.
    pub fn routes(&self, number: &Number) -> Option<(usize, &[RouteTarget])> {
        self.routes.find(number.as_bytes())
    }

    /// What is said of the prefix by which a number is routed, if anything is.
    pub fn route_prefix(&self, number: &Number) -> Option<&RoutePrefix> {
        if self.route_prefixes.is_empty() {
            return None;
        }
        let (length, _) = self.routes(number)?;
        self.route_prefixes.get(&number.as_str()[..length])
    }

    /// The route of a number over this trunk.
    pub fn route(&self, number: &Number, trunk: TrunkId) -> Option<&RouteTarget> {
        self.routes(number)?.1.iter().find(|target| target.trunk == trunk)
    }

    /// What is said of prefixes, by their digits.
    pub fn route_prefixes(&self) -> impl Iterator<Item = &RoutePrefix> {
        self.route_prefixes.values()
    }

    /// When a route holds.
    pub fn time_window(&self, id: WindowId) -> Option<&TimeWindow> {
        self.time_windows.get(&id)
    }

    /// Which quality is asked of trunks.
    pub fn quality_rules(&self) -> &QualityRules {
        &self.quality_rules
    }

    /// Who is asked where numbers are served.
    pub fn lookups(&self) -> &Lookups {
        &self.lookups
    }

    /// In which states numbers are.
    pub fn jurisdictions(&self) -> &Jurisdictions {
        &self.jurisdictions
    }

    /// What is watched of a call to this number over this trunk; `None` if no rule is about it.
    pub(crate) fn watch<'a>(&'a self, trunk: TrunkId, number: &'a Number) -> Option<Watch<'a>> {
        if self.quality_rules.is_empty() {
            return None;
        }
        let rule = self.quality_rules.find(trunk, number.as_str())?;
        let routed_by = if rule.is_by_route { self.routes(number)?.0 } else { 0 };
        Some(Watch::new(rule, trunk, number, routed_by))
    }

    /// The subscribers that could register by `older` and cannot any more: they are gone or switched
    /// off. Costs what the two snapshots do not share.
    pub fn silenced_since(&self, older: &Directory) -> Vec<SubscriberId> {
        let changes = self.subscribers.changes_since(&older.subscribers);
        let silenced = changes.filter(|(_, row)| !row.is_some_and(|row| row.is_active));
        let mut silenced: Vec<SubscriberId> = silenced.map(|(id, _)| *id).collect();
        silenced.sort_unstable();
        silenced
    }

    /// Trunks that want us to register with them.
    pub fn registering_trunks(&self) -> &[TrunkId] {
        &self.registering
    }

    /// Trunks that calls leave by and that are to be asked whether they are there.
    pub fn probed_trunks(&self) -> &[TrunkId] {
        &self.probed
    }

    /// Whether the host of a Request-URI is served here. No configured domain means any host is.
    pub fn serves_domain(&self, host: &str) -> bool {
        let settings = &self.settings;
        settings.domains.is_empty()
            || settings.realm.eq_ignore_ascii_case(host)
            || settings.domains.iter().any(|domain| domain.eq_ignore_ascii_case(host))
    }
}
