//! All invariants of the books, at one moment.

use std::collections::BTreeMap;

use vocabulary::AccountId;

use super::account::{Account, clamp};
use super::{BundleId, Counters, Ledger};
use crate::Money;

/// The result of a check. No problems: the books are right.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LedgerCheck {
    /// How many accounts there are, ours apart.
    pub accounts: usize,
    /// How many reservations are open.
    pub reservations: usize,
    /// What they hold, all currencies together; zero when no call is live.
    pub pending: Money,
    /// Accounts whose limit was lowered, or that were debited by force, below what they had used.
    /// Not a problem of the books.
    pub overdrawn: Vec<AccountId>,
    /// What is wrong, one sentence each.
    pub problems: Vec<String>,
}

#[derive(Default)]
struct Sums {
    debits_pending: i128,
    credits_pending: i128,
    debits_posted: i128,
    credits_posted: i128,
}

impl Sums {
    fn add(&mut self, counters: &Counters) {
        self.debits_pending += i128::from(counters.debits_pending.0);
        self.credits_pending += i128::from(counters.credits_pending.0);
        self.debits_posted += i128::from(counters.debits_posted.0);
        self.credits_posted += i128::from(counters.credits_posted.0);
    }
}

impl Ledger {
    /// Checks every invariant, with all accounts locked.
    pub fn check(&self) -> LedgerCheck {
        let shards = self.all();
        let mut check = LedgerCheck::default();
        let mut currencies: BTreeMap<[u8; 3], Sums> = BTreeMap::new();
        let mut held: BTreeMap<AccountId, (i128, u32)> = BTreeMap::new();
        let mut bundles: BTreeMap<(AccountId, BundleId), u64> = BTreeMap::new();
        for shard in &shards {
            check.reservations += shard.reservations.len();
            for (id, reservation) in &shard.reservations {
                let sum = held.entry(reservation.account).or_default();
                sum.0 += i128::from(reservation.amount.0);
                sum.1 += 1;
                // What a call may use and holds nothing of can be forgotten meanwhile.
                let shares = shard.shares.get(id).into_iter().flatten();
                for share in shares.filter(|share| share.seconds > 0) {
                    *bundles.entry((reservation.account, share.bundle)).or_default() +=
                        u64::from(share.seconds);
                }
                if reservation.amount.is_negative() {
                    check.problems.push(format!("the reservation of call {} is negative", id.call));
                }
            }
            for (currency, counters) in shard.ours.values() {
                currencies.entry(letters(currency.code())).or_default().add(counters);
            }
        }
        for shard in &shards {
            check.accounts += shard.accounts.len();
            for (id, account) in &shard.accounts {
                let view = &account.view;
                currencies
                    .entry(letters(view.terms.currency.code()))
                    .or_default()
                    .add(&view.counters);
                let (amount, count) = held.remove(id).unwrap_or_default();
                if amount != i128::from(view.counters.debits_pending.0)
                    || count != view.open_reservations
                {
                    check.problems.push(format!(
                        "account {id} has {} pending for {} calls, but {count} reservations hold {}",
                        view.counters.debits_pending,
                        view.open_reservations,
                        clamp(amount),
                    ));
                }
                if view.available().is_negative() {
                    check.overdrawn.push(*id);
                }
                compare_bundles(*id, account, &mut bundles, &mut check);
            }
        }
        check.overdrawn.sort_unstable();
        for account in held.keys() {
            check.problems.push(format!("account {account} is reserved from but does not exist"));
        }
        for (account, bundle) in bundles.into_keys() {
            check.problems.push(format!("account {account} has no bundle {bundle}, but calls do"));
        }
        compare_sums(&currencies, &mut check);
        check.problems.sort_unstable();
        check
    }
}

fn letters(code: &str) -> [u8; 3] {
    code.as_bytes().try_into().expect("a currency has three letters")
}

/// What calls hold of an account's bundles, taken out of `held`.
fn compare_bundles(
    id: AccountId,
    account: &Account,
    held: &mut BTreeMap<(AccountId, BundleId), u64>,
    check: &mut LedgerCheck,
) {
    for bundle in account.bundles.iter() {
        let pending = held.remove(&(id, bundle.id)).unwrap_or_default();
        let used = u64::from(bundle.used) + u64::from(bundle.pending);
        if pending != u64::from(bundle.pending) || used > u64::from(bundle.granted) {
            check.problems.push(format!(
                "bundle {} of account {id} has {} of {} s used and {} pending, but calls hold \
                 {pending}",
                bundle.id, bundle.used, bundle.granted, bundle.pending
            ));
        }
    }
}

fn compare_sums(currencies: &BTreeMap<[u8; 3], Sums>, check: &mut LedgerCheck) {
    for (code, sums) in currencies {
        let code = String::from_utf8_lossy(code);
        for (what, debits, credits) in [
            ("posted", sums.debits_posted, sums.credits_posted),
            ("pending", sums.debits_pending, sums.credits_pending),
        ] {
            if debits != credits {
                check.problems.push(format!(
                    "{what} debits in {code} are {} and credits {}",
                    clamp(debits),
                    clamp(credits)
                ));
            }
        }
        check.pending = clamp(i128::from(check.pending.0) + sums.debits_pending);
    }
}
