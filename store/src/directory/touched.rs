//! Which rows a command has changed. A snapshot is made of the one before by reading only these
//! again, so that the change of one account costs the same however many accounts there are.

use std::collections::BTreeSet;

use vocabulary::{AccountId, DidId, SubscriberId, TrunkId};

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
    /// Who is kept out, who never is, and when.
    pub(super) guard: bool,
    /// Number rules and lists of everybody.
    pub(super) numbers_of_all: bool,
    /// Fraud rules of everybody.
    pub(super) fraud_of_all: bool,
    /// Time windows, what is said of prefixes of routes, quality rules, and lookups.
    pub(super) routing: bool,
    /// In which states numbers are.
    pub(super) jurisdictions: bool,
    /// Lists of numbers, with their lines.
    pub(super) number_lists: BTreeSet<u64>,
    pub(crate) dids: BTreeSet<DidId>,
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

    pub(crate) fn did(&mut self, id: DidId) {
        self.dids.insert(id);
    }

    pub(crate) fn group(&mut self, id: u64) {
        self.groups.insert(id);
    }

    pub(super) fn numbers_of_all(&mut self) {
        self.numbers_of_all = true;
    }

    pub(super) fn fraud_of_all(&mut self) {
        self.fraud_of_all = true;
    }

    pub(super) fn routing(&mut self) {
        self.routing = true;
    }

    pub(super) fn jurisdictions(&mut self) {
        self.jurisdictions = true;
    }

    pub(super) fn number_list(&mut self, id: u64) {
        self.number_lists.insert(id);
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

    pub(crate) fn guard(&mut self) {
        self.guard = true;
    }

    /// The discounts of this account, or with `None` those of everybody.
    pub(crate) fn discounts_of(&mut self, account: Option<AccountId>) {
        match account {
            Some(account) => self.account(account),
            None => self.all_tariffs = true,
        }
    }

    fn rows(&self) -> usize {
        self.accounts.len() + self.subscribers.len() + self.trunks.len() + self.dids.len()
    }

    /// Nothing is noted.
    pub(super) fn is_nothing(&self) -> bool {
        let numbers = self.numbers_of_all || !self.number_lists.is_empty() || self.fraud_of_all;
        let flags = [self.destinations, self.exchange_rates, self.all_tariffs, self.guard];
        let others = flags.contains(&true) || self.routing || self.jurisdictions || numbers;
        self.rows() == 0 && self.groups.is_empty() && !others
    }

    /// Nothing is noted, or too much: everything is to be read.
    pub(super) fn is_everything(&self) -> bool {
        self.rows() > ROWS_MAX || self.is_nothing()
    }

    /// As other nodes read it; `None`: everything.
    pub(super) fn written(&self) -> Option<String> {
        if self.is_everything() {
            return None;
        }
        let written = Written {
            accounts: self.accounts.iter().map(|id| id.0).collect(),
            subscribers: self.subscribers.iter().map(|id| id.0).collect(),
            trunks: self.trunks.iter().map(|id| id.0).collect(),
            groups: self.groups.clone(),
            destinations: self.destinations,
            exchange_rates: self.exchange_rates,
            all_tariffs: self.all_tariffs,
            guard: self.guard,
            numbers_of_all: self.numbers_of_all,
            fraud_of_all: self.fraud_of_all,
            routing: self.routing,
            jurisdictions: self.jurisdictions,
            number_lists: self.number_lists.clone(),
            dids: self.dids.iter().map(|id| id.0).collect(),
        };
        Some(serde_json::to_string(&written).expect("plain values are always JSON"))
    }

    /// Adds what another node has written; `None` if it is something else.
    pub(super) fn read(&mut self, text: &str) -> Option<()> {
        let written: Written = serde_json::from_str(text).ok()?;
        self.accounts.extend(written.accounts.into_iter().map(AccountId));
        self.subscribers.extend(written.subscribers.into_iter().map(SubscriberId));
        self.trunks.extend(written.trunks.into_iter().map(TrunkId));
        self.groups.extend(written.groups);
        self.destinations |= written.destinations;
        self.exchange_rates |= written.exchange_rates;
        self.all_tariffs |= written.all_tariffs;
        self.guard |= written.guard;
        self.numbers_of_all |= written.numbers_of_all;
        self.fraud_of_all |= written.fraud_of_all;
        self.routing |= written.routing;
        self.jurisdictions |= written.jurisdictions;
        self.number_lists.extend(written.number_lists);
        self.dids.extend(written.dids.into_iter().map(DidId));
        Some(())
    }
}

/// The same in a column.
#[derive(serde::Serialize, serde::Deserialize)]
struct Written {
    accounts: BTreeSet<u64>,
    subscribers: BTreeSet<u64>,
    trunks: BTreeSet<u64>,
    groups: BTreeSet<u64>,
    destinations: bool,
    exchange_rates: bool,
    all_tariffs: bool,
    /// Nodes of before do not write it.
    #[serde(default)]
    guard: bool,
    #[serde(default)]
    numbers_of_all: bool,
    #[serde(default)]
    fraud_of_all: bool,
    #[serde(default)]
    routing: bool,
    #[serde(default)]
    jurisdictions: bool,
    #[serde(default)]
    number_lists: BTreeSet<u64>,
    #[serde(default)]
    dids: BTreeSet<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_added_up() {
        let mut one = Touched::default();
        assert_eq!(one.written(), None);
        one.account(AccountId(1000));
        one.exchange_rates();
        let mut other = Touched::default();
        other.trunk(TrunkId(7));
        other.group(3);
        let mut both = Touched::default();
        for touched in [&one, &other] {
            both.read(&touched.written().unwrap()).unwrap();
        }
        assert_eq!(both.accounts, BTreeSet::from([AccountId(1000)]));
        assert_eq!(both.trunks, BTreeSet::from([TrunkId(7)]));
        assert!(both.has_group(3) && both.exchange_rates && !both.destinations);
        assert_eq!(both.read("[]"), None);
    }
}
