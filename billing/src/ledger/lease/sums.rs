//! What a node's leases come to, for whoever watches several nodes.

use std::collections::BTreeMap;

use super::super::Ledger;
use crate::{Currency, Money};

/// The leases of all accounts that are kept in one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LeaseSum {
    /// Accounts of which something is leased.
    pub accounts: u64,
    /// Of them, those that had no more when they were last asked.
    pub short: u64,
    /// Taken from them and not charged.
    pub leased: Money,
    /// Of that, what may be used without asking again.
    pub claimed: Money,
    /// Of that, what live calls hold.
    pub reserved: Money,
}

impl Ledger {
    /// The sums by currency: none of a currency of which nothing is leased.
    pub fn lease_sums(&self) -> BTreeMap<Currency, LeaseSum> {
        let mut sums: BTreeMap<Currency, LeaseSum> = BTreeMap::new();
        for account in self.leases.accounts.active() {
            let shard = self.shard(self.shard_of(account));
            let Some(known) = shard.accounts.get(&account) else { continue };
            let Some(leased) = &known.view.lease else { continue };
            let add = |sum: &mut Money, more: Money| sum.0 = sum.0.saturating_add(more.0);
            let sum = sums.entry(known.view.terms.currency).or_default();
            sum.accounts += 1;
            sum.short += u64::from(leased.is_short);
            add(&mut sum.leased, leased.lease.unspent());
            add(&mut sum.claimed, Money(leased.lease.claimed.0 - leased.lease.spent.0));
            add(&mut sum.reserved, known.view.counters.debits_pending);
        }
        sums
    }
}
