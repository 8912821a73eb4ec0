//! What pricing calls again would do, or did: sums by customer, carrier and destination, the calls
//! that change most, and what could not be priced. The same for a preview, a run and a dry run of
//! new rates, so that what was shown is what happens.

use std::collections::BTreeMap;

use vocabulary::{AccountId, CallId};

use super::{RatedCall, RepricedSide, Role, Unpriced};
use crate::{Currency, Money, ReportRate};

/// The calls whose price changes most that are kept.
const BIGGEST_MAX: usize = 20;

/// Sums of money in one currency, before and after. Wide enough for all calls there ever were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Change {
    /// Sides counted.
    pub count: u64,
    /// Of them, those whose price changes.
    pub changed: u64,
    /// Seconds talked.
    pub seconds: u64,
    /// Micro-units that stand.
    pub before: i128,
    /// Micro-units that would stand.
    pub after: i128,
}

impl Change {
    /// What moves between accounts.
    fn add(&mut self, side: &RepricedSide, seconds: u64) {
        self.count(side, seconds);
        self.before += i128::from(side.stood().0);
        self.after += i128::from(side.stands().0);
    }

    /// What is earned or spent: without taxes, as reports count it.
    fn add_net(&mut self, side: &RepricedSide, seconds: u64, report: Option<ReportRate>) {
        let converted = |amount: Money| match report {
            Some(report) => report.convert_money(amount),
            None => i128::from(amount.0),
        };
        self.count(side, seconds);
        self.before += converted(side.net_stood());
        self.after += converted(side.net_stands());
    }

    fn count(&mut self, side: &RepricedSide, seconds: u64) {
        self.count += 1;
        self.changed += u64::from(!side.difference().is_zero());
        self.seconds += seconds;
    }
}

/// Revenue and cost of one destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct DestinationChange {
    /// What the customers pay.
    pub revenue: Change,
    /// What the carriers take.
    pub cost: Change,
}

/// The change of one call's price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BigChange {
    /// The call.
    pub call: CallId,
    /// Whose.
    pub account: AccountId,
    /// As what.
    pub role: Role,
    /// What stands.
    pub before: Money,
    /// What would stand.
    pub after: Money,
    /// Of what.
    pub currency: Currency,
}

/// The three letters of a currency, which order it.
pub type CurrencyCode = [u8; 3];

/// What pricing again does, summed up.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Effect {
    /// Calls seen.
    pub calls: u64,
    /// Calls of which something changes, be it only the rate that is named.
    pub changed: u64,
    /// What payers pay, by account and level.
    pub payers: BTreeMap<(AccountId, u8, CurrencyCode), Change>,
    /// What carriers take, by account.
    pub carriers: BTreeMap<(AccountId, CurrencyCode), Change>,
    /// Revenue (of those who pay us) and cost, by the prefix of the calling account's rate, in the
    /// currency that profit is counted in, by the rates fixed with each call. What has none is in
    /// its own currency.
    pub destinations: BTreeMap<(String, CurrencyCode), DestinationChange>,
    /// Sides that cannot be priced, by reason.
    pub refused: BTreeMap<Unpriced, u64>,
    /// Of a dry run: destinations whose carriers would be asked in another order, before and after,
    /// and for how many calls.
    pub orders: BTreeMap<(String, [Vec<AccountId>; 2]), u64>,
    /// The calls whose price changes most, the greatest change first.
    pub biggest: Vec<BigChange>,
}

/// The currency of a side: of what stands afterwards, or else stood.
fn currency(side: &RepricedSide) -> Option<Currency> {
    let after = side.after.as_ref().ok().map(|after| after.applied.currency);
    after.or_else(|| Some(side.before.as_ref()?.applied.currency))
}

fn code(currency: Currency) -> CurrencyCode {
    currency.code().as_bytes().try_into().expect("a currency has three letters")
}

impl Effect {
    /// Counts one call.
    pub fn add(&mut self, call: &RatedCall, repriced: &[RepricedSide]) {
        self.calls += 1;
        self.changed += u64::from(repriced.iter().any(RepricedSide::is_changed));
        let top = repriced.iter().filter_map(|side| side.role.level()).max();
        let destination = destination(call, repriced);
        for side in repriced {
            if let Err(why) = side.after {
                *self.refused.entry(why).or_default() += 1;
            }
            let Some(currency) = currency(side) else { continue };
            let letters = code(currency);
            let talked = call.sides.iter().find(|rated| rated.role == side.role);
            let seconds = talked.map_or(0, |rated| rated.talked.as_secs());
            let report = talked.and_then(|rated| rated.report);
            let reported = report.map_or(letters, |report| code(report.currency));
            let of_destination = self.destinations.entry((destination.clone(), reported));
            match side.role {
                Role::Payer(level) => {
                    let key = (side.account, level, letters);
                    self.payers.entry(key).or_default().add(side, seconds);
                    if Some(level) == top {
                        of_destination.or_default().revenue.add_net(side, seconds, report);
                    }
                }
                Role::Carrier(_) => {
                    let key = (side.account, letters);
                    self.carriers.entry(key).or_default().add(side, seconds);
                    of_destination.or_default().cost.add_net(side, seconds, report);
                }
            }
            self.keep_biggest(call.call, side, currency);
        }
    }

    /// Counts a call whose carriers would be asked in another order.
    pub fn add_order(
        &mut self,
        call: &RatedCall,
        repriced: &[RepricedSide],
        (before, after): (Vec<AccountId>, Vec<AccountId>),
    ) {
        let key = (destination(call, repriced), [before, after]);
        *self.orders.entry(key).or_default() += 1;
    }

    /// Adds what was counted elsewhere, e.g. on another core.
    pub fn merge(&mut self, other: Effect) {
        fn merge_changes<K: Ord>(into: &mut BTreeMap<K, Change>, from: BTreeMap<K, Change>) {
            for (key, change) in from {
                add_change(into.entry(key).or_default(), &change);
            }
        }
        self.calls += other.calls;
        self.changed += other.changed;
        merge_changes(&mut self.payers, other.payers);
        merge_changes(&mut self.carriers, other.carriers);
        for (key, change) in other.destinations {
            let into = self.destinations.entry(key).or_default();
            add_change(&mut into.revenue, &change.revenue);
            add_change(&mut into.cost, &change.cost);
        }
        for (why, count) in other.refused {
            *self.refused.entry(why).or_default() += count;
        }
        for (key, calls) in other.orders {
            *self.orders.entry(key).or_default() += calls;
        }
        self.biggest.extend(other.biggest);
        self.sort_biggest();
    }

    /// What those who pay us pay, and what carriers take, by the currency that profit is counted in.
    pub fn totals(&self) -> BTreeMap<CurrencyCode, DestinationChange> {
        let mut totals: BTreeMap<CurrencyCode, DestinationChange> = BTreeMap::new();
        for ((_, letters), change) in &self.destinations {
            let total = totals.entry(*letters).or_default();
            add_change(&mut total.revenue, &change.revenue);
            add_change(&mut total.cost, &change.cost);
        }
        totals
    }

    fn keep_biggest(&mut self, call: CallId, side: &RepricedSide, currency: Currency) {
        let size = side.difference().0.unsigned_abs();
        let is_full = self.biggest.len() >= BIGGEST_MAX;
        if size == 0 || (is_full && self.biggest.last().is_some_and(|last| last.size() >= size)) {
            return;
        }
        let (before, after) = (side.stood(), side.stands());
        let (account, role) = (side.account, side.role);
        self.biggest.push(BigChange { call, account, role, before, after, currency });
        self.sort_biggest();
    }

    fn sort_biggest(&mut self) {
        self.biggest.sort_by_key(|big| (std::cmp::Reverse(big.size()), big.call, big.role));
        self.biggest.truncate(BIGGEST_MAX);
    }
}

impl BigChange {
    fn size(&self) -> u64 {
        self.after.0.abs_diff(self.before.0)
    }
}

fn add_change(into: &mut Change, more: &Change) {
    into.count += more.count;
    into.changed += more.changed;
    into.seconds += more.seconds;
    into.before += more.before;
    into.after += more.after;
}

/// The digits that the calling account's rate matched, as it stood: what is compared must not move
/// between rows. The number's own first digits serve where there was no rate.
fn destination(call: &RatedCall, repriced: &[RepricedSide]) -> String {
    let rated = call.sides.iter().find(|side| side.role == Role::Payer(0));
    let before = rated.and_then(|side| side.before.as_ref());
    let after = repriced.iter().find(|side| side.role == Role::Payer(0));
    let charge = before.or_else(|| after.and_then(|side| side.after.as_ref().ok()));
    let length = charge.map_or(3, |charge| usize::from(charge.applied.prefix_length));
    let (cld, location) = (&call.by.cld, &call.by.location);
    let rated = charge.map_or(cld, |charge| charge.applied.rated_number(cld, location));
    let cld = rated.as_str();
    cld.get(..length).unwrap_or(cld).to_owned()
}
