//! Everything configured that a call needs to know, as one immutable snapshot. `rows` is what one
//! configures, `builder` checks it and makes the snapshot, this file asks it.

mod builder;
mod network;
mod rows;

use std::net::SocketAddr;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use vocabulary::{AccountId, Number, SubscriberId, TrunkId};

pub use builder::{DirectoryBuilder, DirectoryError};
pub use network::{Network, NetworkError};
pub use rows::{
    AccountRow, CONTACTS_MAX, Credentials, DigestSecret, Limits, NumberRow, RedirectPolicy,
    RouteRow, Settings, SubscriberRow, TrunkIngress, TrunkRegistration, TrunkRow,
};
pub use sip::transport::Transport;

use crate::routing::{RouteTable, RouteTarget};

/// A digest user name belongs to a subscriber or to a trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestOwner {
    /// A phone.
    Subscriber(SubscriberId),
    /// A peer that authenticates by digest.
    Trunk(TrunkId),
}

type Map<K, V> = HashMap<K, V, FixedState>;

/// The snapshot. Cheap to ask, never changed; a change makes a new one.
#[derive(Debug)]
pub struct Directory {
    settings: Settings,
    accounts: Map<AccountId, AccountRow>,
    subscribers: Map<SubscriberId, SubscriberRow>,
    trunks: Map<TrunkId, TrunkRow>,
    users: Map<Box<str>, DigestOwner>,
    numbers: Map<Number, SubscriberId>,
    networks: network::NetworkTable,
    routes: RouteTable,
    registering: Vec<TrunkId>,
}

impl Directory {
    /// What holds for all calls.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// An account.
    pub fn account(&self, id: AccountId) -> Option<&AccountRow> {
        self.accounts.get(&id)
    }

    /// A subscriber.
    pub fn subscriber(&self, id: SubscriberId) -> Option<&SubscriberRow> {
        self.subscribers.get(&id)
    }

    /// A trunk.
    pub fn trunk(&self, id: TrunkId) -> Option<&TrunkRow> {
        self.trunks.get(&id)
    }

    /// The owner of a digest user name.
    pub fn digest_owner(&self, username: &str) -> Option<DigestOwner> {
        self.users.get(username).copied()
    }

    /// The digest secret that goes with an owner.
    pub fn digest_secret(&self, owner: DigestOwner) -> Option<&DigestSecret> {
        match owner {
            DigestOwner::Subscriber(id) => self.subscribers.get(&id).map(|s| &s.secret),
            DigestOwner::Trunk(id) => self.trunks.get(&id)?.ingress.digest.as_ref().map(|d| &d.1),
        }
    }

    /// The subscriber with this user name.
    pub fn subscriber_by_username(&self, username: &str) -> Option<&SubscriberRow> {
        match self.users.get(username)? {
            DigestOwner::Subscriber(id) => self.subscribers.get(id),
            DigestOwner::Trunk(_) => None,
        }
    }

    /// The subscriber that a number of ours rings.
    pub fn subscriber_by_number(&self, number: &Number) -> Option<&SubscriberRow> {
        self.subscribers.get(self.numbers.get(number)?)
    }

    /// Whether the number is one of the account's: it rings one of its subscribers.
    pub fn is_number_of(&self, account: AccountId, number: &Number) -> bool {
        self.subscriber_by_number(number).is_some_and(|row| row.account == account)
    }

    /// The trunk that sends from this address: the narrowest network, and in it one that names the
    /// port before one that does not.
    pub fn trunk_by_address(&self, remote: SocketAddr) -> Option<&TrunkRow> {
        self.trunks.get(&self.networks.find(remote)?)
    }

    /// The trunk with this name, or `None`; a search, so not for the call path.
    pub fn trunk_by_name(&self, name: &str) -> Option<&TrunkRow> {
        let mut found: Vec<&TrunkRow> = self.trunks.values().filter(|t| t.name == name).collect();
        found.sort_by_key(|trunk| trunk.id);
        found.into_iter().next()
    }

    /// The routes of the longest prefix that covers the number, with the prefix's length.
    pub fn routes(&self, number: &Number) -> Option<(usize, &[RouteTarget])> {
        self.routes.find(number.as_bytes())
    }

    /// Trunks that want us to register with them.
    pub fn registering_trunks(&self) -> &[TrunkId] {
        &self.registering
    }

    /// Whether the host of a Request-URI is served here. No configured domain means any host is.
    pub fn serves_domain(&self, host: &str) -> bool {
        let settings = &self.settings;
        settings.domains.is_empty()
            || settings.realm.eq_ignore_ascii_case(host)
            || settings.domains.iter().any(|domain| domain.eq_ignore_ascii_case(host))
    }
}
