//! Which rows a command has changed. A snapshot is made of the one before by reading only these
//! again, so that the change of one account costs the same however many accounts there are.

use std::collections::BTreeSet;

use vocabulary::{AccountId, SubscriberId, TrunkId};

/// Beyond so many rows it is quicker to read everything.
const ROWS_MAX: usize = 20_000;

/// What a command has changed so far. Whoever writes a row that a snapshot is made of notes it here:
/// a row that belongs to an account, a subscriber or a trunk by noting that, and it is read with it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Touched {
    pub(super) accounts: BTreeSet<AccountId>,
    pub(crate) subscribers: BTreeSet<SubscriberId>,
    /// With the routes over them.
    pub(crate) trunks: BTreeSet<TrunkId>,
    /// Rate groups: their terms or their rates.
    pub(super) groups: BTreeSet<u64>,
    pub(crate) destinations: bool,
    /// With the currency that profit is counted in.
    pub(crate) exchange_rates: bool,
    /// What every account pays, such as a discount for all.
    pub(super) all_tariffs: bool,
}

impl Touched {
    pub(crate) fn account(&mut self, id: AccountId) {
        self.accounts.insert(id);
    }

    pub(crate) fn subscriber(&mut self, id: SubscriberId) {
        self.subscribers.insert(id);
    }

    pub(crate) fn trunk(&mut self, id: TrunkId) {
        self.trunks.insert(id);
    }

    pub(crate) fn group(&mut self, id: u64) {
        self.groups.insert(id);
    }

    pub(crate) fn has_group(&self, id: u64) -> bool {
        self.groups.contains(&id)
    }

    /// Sets of destinations.
    pub(crate) fn destinations(&mut self) {
        self.destinations = true;
    }

    pub(crate) fn exchange_rates(&mut self) {
        self.exchange_rates = true;
    }

    /// The discounts of this account, or with `None` those of everybody.
    pub(crate) fn discounts_of(&mut self, account: Option<AccountId>) {
        match account {
            Some(account) => self.account(account),
            None => self.all_tariffs = true,
        }
    }

    /// Nothing is noted, or too much: everything is to be read.
    pub(super) fn is_everything(&self) -> bool {
        let rows = self.accounts.len() + self.subscribers.len() + self.trunks.len();
        let others = self.destinations || self.exchange_rates || self.all_tariffs;
        rows > ROWS_MAX || (rows == 0 && self.groups.is_empty() && !others)
    }
}
