//! A second set of books, kept from the journal's records alone, and what the tables must add up to.

use std::collections::{BTreeMap, BTreeSet};

use billing::{Posting, Record, SystemAccount};
use store::sql;
use vocabulary::{AccountId, CallId};

use super::market::Member;
use crate::world::World;
use crate::world::switch::Switch;

/// Every posting that was ever made, added up.
#[derive(Default)]
pub struct Books {
    balances: BTreeMap<AccountId, i128>,
    currencies: BTreeMap<AccountId, String>,
    pub postings: u64,
}

impl Books {
    /// Takes what the journal was given since the last step, and compares the accounts that it
    /// moved with the ledger.
    pub fn follow(&mut self, switch: &Switch) {
        let mut touched = BTreeSet::new();
        for (_, record) in switch.journal.take() {
            let postings = match record {
                Record::Posted { posting, .. } => vec![posting],
                Record::Ended(ended) => ended.postings,
                Record::Rerated(rerated) => rerated.postings,
                _ => continue,
            };
            for posting in postings {
                touched.extend([posting.debit, posting.credit]);
                self.post(&posting);
            }
        }
        for account in touched {
            assert_eq!(self.balance(account), in_ledger(switch, account), "account {account}");
        }
    }

    fn post(&mut self, posting: &Posting) {
        self.moved(posting.debit, posting.currency.code(), -i128::from(posting.amount.0));
        self.moved(posting.credit, posting.currency.code(), i128::from(posting.amount.0));
        self.postings += 1;
    }

    fn moved(&mut self, account: AccountId, currency: &str, amount: i128) {
        let kept = self.currencies.entry(account).or_insert_with(|| currency.to_owned());
        assert_eq!(kept, currency, "account {account} is kept in one currency");
        *self.balances.entry(account).or_default() += amount;
    }

    /// Calls that a restart found open: their postings were made by nobody who tells us.
    pub async fn follow_closed(&mut self, world: &World, closed: &[CallId]) {
        for call in closed {
            let story = world.directory.call_story(*call).await.unwrap().unwrap();
            for posting in story.postings {
                self.moved(posting.debit, &posting.currency, -i128::from(posting.amount.0));
                self.moved(posting.credit, &posting.currency, i128::from(posting.amount.0));
                self.postings += 1;
            }
        }
    }

    pub fn balance(&self, account: AccountId) -> i128 {
        self.balances.get(&account).copied().unwrap_or(0)
    }

    /// Our books, the ledger and the tables say the same of every account, and each currency adds up
    /// to nothing.
    pub async fn compare(&self, world: &World) {
        let tables = world.directory.balances_at(vocabulary::Utc(i64::MAX)).await.unwrap();
        let mut sums: BTreeMap<String, i128> = BTreeMap::new();
        let mut there = BTreeSet::new();
        for row in &tables {
            let balance = i128::from(row.balance().0);
            assert_eq!(self.balance(row.account), balance, "account {} in the tables", row.account);
            assert_eq!(in_ledger(&world.control, row.account), balance, "account {}", row.account);
            *sums.entry(row.currency.clone()).or_default() += balance;
            there.insert(row.account);
        }
        let missing: Vec<_> = self.balances.keys().filter(|id| !there.contains(id)).collect();
        assert!(missing.is_empty(), "not in the tables: {missing:?}");
        assert!(sums.values().all(|sum| *sum == 0), "{sums:?}");
    }
}

pub fn in_ledger(switch: &Switch, account: AccountId) -> i128 {
    let counters = match SystemAccount::kind_of(account) {
        Some(kind) => {
            // An id holds its currency; the two that there are can be tried.
            let of = |code: &str| SystemAccount { kind, currency: code.parse().unwrap() };
            let system = ["EUR", "USD"].map(of).into_iter().find(|system| system.id() == account);
            switch.ledger.system(system.unwrap())
        }
        None => switch.ledger.account(account).unwrap().counters,
    };
    i128::from(counters.balance().0)
}

/// Sums of a question's two columns: whose, and how much.
async fn sums(world: &World, question: &str) -> BTreeMap<AccountId, i128> {
    let rows = sql::query(question).fetch_all(world.control.store.pool()).await.unwrap();
    let row = |row: &sql::Row| {
        let account: i64 = row.try_get(0).unwrap();
        (AccountId(account.cast_unsigned()), i128::from(row.try_get::<i64, _>(1).unwrap()))
    };
    rows.iter().map(row).collect()
}

/// The same once more from CDRs and charges, which nothing else here is counted from: what each
/// account was charged is the sale of whoever is above it, on every level; what carriers took is the
/// cost.
pub async fn compare_levels(
    world: &World,
    (members, ids): (&[Member], &[AccountId]),
    notes: &BTreeMap<AccountId, i128>,
) {
    let calls = sums(
        world,
        "SELECT account_id, sum(amount) FROM (
             SELECT account_id, amount FROM cdr WHERE leg = 0 AND amount <> 0
             UNION ALL SELECT account_id, amount FROM cdr_payer
         ) AS paid GROUP BY account_id",
    )
    .await;
    let fees = sums(
        world,
        "SELECT account_id, -sum(amount) FROM charge
         WHERE state = 'booked' AND kind IN ('fee', 'refund') GROUP BY account_id",
    )
    .await;
    let of = |sums: &BTreeMap<AccountId, i128>, id| sums.get(&id).copied().unwrap_or(0);
    let mut sales: BTreeMap<AccountId, i128> = BTreeMap::new();
    for (member, id) in members.iter().zip(ids) {
        let kind = match member.parent {
            Some(parent) => billing::SystemKind::Sales(ids[parent]),
            None => billing::SystemKind::Revenue,
        };
        let seller = SystemAccount { kind, currency: member.currency.parse().unwrap() };
        let paid = of(&calls, *id) + of(&fees, *id) - of(notes, *id);
        *sales.entry(seller.id()).or_default() += paid;
    }
    for (seller, sold) in sales {
        assert_eq!(in_ledger(&world.control, seller), sold, "sales of {seller}");
    }
    let costs = sums(
        world,
        "SELECT account_id, sum(amount) FROM cdr WHERE leg > 0 AND amount <> 0 GROUP BY account_id",
    )
    .await;
    let cost = SystemAccount { kind: billing::SystemKind::Cost, currency: billing::Currency::EUR };
    assert_eq!(in_ledger(&world.control, cost.id()), -costs.values().sum::<i128>());
    let depth = |mut at: usize| {
        let mut depth = 0;
        while let Some(parent) = members[at].parent {
            (at, depth) = (parent, depth + 1);
        }
        depth
    };
    let levels = sums(
        world,
        "SELECT c.account_id, max((SELECT count(*) FROM cdr_payer p WHERE p.call_id = c.call_id))
         FROM cdr c WHERE c.leg = 0 AND c.answered_at IS NOT NULL GROUP BY c.account_id",
    )
    .await;
    for (at, id) in ids.iter().enumerate() {
        if let Some(levels) = levels.get(id) {
            assert_eq!(*levels, depth(at), "{} has its resellers in its CDRs", members[at].name);
        }
    }
}

/// Whatever is booked has one posting under its own id, and whatever waits has none.
pub async fn compare_charges(world: &World) {
    let wrong = sums(
        world,
        "SELECT c.account_id, count(*) FROM charge c LEFT JOIN posting p ON p.op_id = c.op_id
         WHERE (c.state = 'booked' AND (p.op_id IS NULL OR p.amount <> abs(c.amount)))
            OR (c.state <> 'booked' AND p.op_id IS NOT NULL)
         GROUP BY c.account_id",
    )
    .await;
    assert!(wrong.is_empty(), "charges and postings differ: {wrong:?}");
    let lost = sums(
        world,
        "SELECT p.debit_account_id, count(*) FROM posting p
         LEFT JOIN charge c ON c.op_id = p.op_id
         WHERE p.kind IN ('fee', 'fee_refund', 'voucher') AND c.op_id IS NULL AND p.note <> 'by hand'
         GROUP BY p.debit_account_id",
    )
    .await;
    assert!(lost.is_empty(), "postings that no charge asked for: {lost:?}");
}

/// Nothing is held once nobody talks.
pub async fn compare_pending(world: &World) {
    let check = world.control.ledger.check();
    assert_eq!((check.reservations, check.pending.0), (0, 0));
    let held = sums(
        world,
        "SELECT account_id, debits_pending + credits_pending FROM account_balance
         WHERE debits_pending <> 0 OR credits_pending <> 0",
    )
    .await;
    assert!(held.is_empty(), "pending in the tables: {held:?}");
}

/// What each subscription was charged, less what it was given back, booked or not.
pub async fn charged(world: &World) -> BTreeMap<u64, i128> {
    let sums = sums(
        world,
        "SELECT subscription_id, -sum(amount) FROM charge WHERE subscription_id IS NOT NULL
         GROUP BY subscription_id",
    )
    .await;
    sums.into_iter().map(|(id, sum)| (id.0, sum)).collect()
}
