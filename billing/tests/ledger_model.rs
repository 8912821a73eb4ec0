//! Random operations on the ledger beside a model that is too simple to be wrong.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use billing::{
    Ask, CreditControl, Currency, Ledger, LedgerError, MemoryJournal, Money, OpId, Outcome,
    Overdraft, Posting, PostingKind, ReservationId, SystemAccount, SystemKind, Terms, Use,
};
use common::*;
use proptest::prelude::*;
use vocabulary::{AccountId, Utc};

const EUR: Currency = Currency::EUR;

#[derive(Clone, Debug)]
enum Op {
    TopUp { op: u8, account: u8, amount: i64 },
    Adjust { op: u8, account: u8, amount: i64 },
    Reserve { call: u8, slice: u8, account: u8, amount: i64, expires: i64 },
    Post { call: u8, account: u8, amount: i64, cost: i64 },
    Void { call: u8, account: u8 },
    Expire { now: i64 },
}

fn any_op() -> impl Strategy<Value = Op> {
    let account = || 1..4_u8;
    prop_oneof![
        (0..8_u8, account(), 0..1000_i64).prop_map(|(op, account, amount)| Op::TopUp {
            op,
            account,
            amount
        }),
        (8..16_u8, account(), -500..500_i64).prop_map(|(op, account, amount)| Op::Adjust {
            op,
            account,
            amount
        }),
        (0..6_u8, 0..4_u8, account(), 0..400_i64, 0..100_i64).prop_map(
            |(call, slice, account, amount, expires)| {
                Op::Reserve { call, slice, account, amount, expires }
            }
        ),
        (0..6_u8, account(), 0..900_i64, 0..100_i64)
            .prop_map(|(call, account, amount, cost)| Op::Post { call, account, amount, cost }),
        (0..6_u8, account()).prop_map(|(call, account)| Op::Void { call, account }),
        (0..60_i64).prop_map(|now| Op::Expire { now }),
    ]
}

struct Held {
    account: u8,
    slices: Vec<i64>,
    expires: i64,
}

#[derive(Default)]
struct Model {
    balances: BTreeMap<u8, i64>,
    ops: BTreeMap<u8, (u8, i64)>,
    held: BTreeMap<u8, Held>,
    closed: BTreeMap<u8, LedgerError>,
    revenue: i64,
    cost: i64,
}

impl Model {
    fn available(&self, account: u8) -> i64 {
        let held = self.held.values().filter(|held| held.account == account);
        let held: i64 = held.flat_map(|held| held.slices.iter()).sum();
        self.balances.get(&account).copied().unwrap_or(0) - held
    }

    fn outside(&mut self, op: u8, account: u8, amount: i64) -> Result<Outcome, LedgerError> {
        match self.ops.get(&op) {
            Some(before) if *before == (account, amount) => return Ok(Outcome::Exists),
            Some(_) => return Err(LedgerError::Differs),
            None => {}
        }
        let available = self.available(account);
        if amount < 0 && available < -amount {
            let (available, needed) = (Money(available), Money(-amount));
            return Err(LedgerError::ExceedsAvailable { available, needed });
        }
        *self.balances.entry(account).or_default() += amount;
        self.ops.insert(op, (account, amount));
        Ok(Outcome::Done)
    }

    fn reserve(
        &mut self,
        call: u8,
        slice: u8,
        account: u8,
        amount: i64,
        expires: i64,
    ) -> Result<Outcome, LedgerError> {
        if let Some(why) = self.closed.get(&call) {
            return Err(*why);
        }
        let next = self.held.get(&call).map_or(0, |held| held.slices.len());
        match self.held.get(&call) {
            None if slice > 0 => return Err(LedgerError::NoReservation),
            Some(held) if held.account != account => return Err(LedgerError::Differs),
            _ if usize::from(slice) > next => {
                let (asked, expected) = (slice.into(), next as u16);
                return Err(LedgerError::OutOfOrder { asked, expected });
            }
            Some(held) if usize::from(slice) + 1 == next => {
                let is_same = held.slices[usize::from(slice)] == amount;
                return if is_same { Ok(Outcome::Exists) } else { Err(LedgerError::Differs) };
            }
            Some(_) if usize::from(slice) < next => return Ok(Outcome::Exists),
            _ => {}
        }
        let available = self.available(account);
        if available < amount {
            let (available, needed) = (Money(available), Money(amount));
            return Err(LedgerError::ExceedsAvailable { available, needed });
        }
        let held = self.held.entry(call).or_insert(Held { account, slices: Vec::new(), expires });
        held.slices.push(amount);
        held.expires = expires;
        Ok(Outcome::Done)
    }

    fn post(
        &mut self,
        call: u8,
        account: u8,
        amount: i64,
        cost: i64,
    ) -> Result<Outcome, LedgerError> {
        match (self.held.get(&call), self.closed.get(&call)) {
            (None, Some(LedgerError::AlreadyPosted(before))) if before.0 == amount => {
                return Ok(Outcome::Exists);
            }
            (None, Some(why)) => return Err(*why),
            (None, None) => return Err(LedgerError::NoReservation),
            (Some(held), _) => {
                let reserved = held.slices.iter().sum();
                if amount > reserved {
                    let (reserved, asked) = (Money(reserved), Money(amount));
                    return Err(LedgerError::ExceedsReserved { reserved, asked });
                }
            }
        }
        *self.balances.entry(account).or_default() -= amount;
        self.revenue += amount;
        *self.balances.entry(3).or_default() += cost;
        self.cost += cost;
        self.close(call, LedgerError::AlreadyPosted(Money(amount)));
        Ok(Outcome::Done)
    }

    fn void(&mut self, call: u8) -> Result<Outcome, LedgerError> {
        match (self.held.get(&call), self.closed.get(&call)) {
            (None, Some(LedgerError::AlreadyVoided)) => Ok(Outcome::Exists),
            (None, Some(why)) => Err(*why),
            (None, None) => Err(LedgerError::NoReservation),
            (Some(_), _) => {
                self.close(call, LedgerError::AlreadyVoided);
                Ok(Outcome::Done)
            }
        }
    }

    fn close(&mut self, call: u8, why: LedgerError) {
        self.held.remove(&call);
        self.closed.insert(call, why);
    }
}

fn id(number: u8) -> ReservationId {
    ReservationId { call: call(number.into()), level: 0 }
}

fn posting(number: u8, kind: PostingKind, amount: i64, account: AccountId) -> Posting {
    let ours = |kind| SystemAccount { kind, currency: EUR }.id();
    let call = call(number.into());
    let (op, debit, credit) = match kind {
        PostingKind::Charge => (OpId::charge(call, 0), account, ours(SystemKind::Revenue)),
        _ => (OpId::cost(call, 1), ours(SystemKind::Cost), account),
    };
    let (amount, call, currency) = (Money(amount), Some(call), EUR);
    let (at, note, tax) = (START, String::new(), None);
    Posting { op, kind, debit, credit, amount, currency, at, call, note, tax }
}

fn apply(ledger: &Ledger, journal: &MemoryJournal, op: &Op) -> Result<Outcome, LedgerError> {
    let account = |number: u8| AccountId(number.into());
    match *op {
        Op::TopUp { op, account: to, amount } => {
            let op = OpId::outside(op.into());
            let posting =
                Posting::top_up(op, account(to), Money(amount), EUR, START, String::new());
            ledger.post(posting, Overdraft::Refuse, journal).map(|(outcome, _)| outcome)
        }
        Op::Adjust { op, account: to, amount } => {
            let op = OpId::outside(op.into());
            let posting =
                Posting::adjustment(op, account(to), Money(amount), EUR, START, String::new());
            ledger.post(posting, Overdraft::Refuse, journal).map(|(outcome, _)| outcome)
        }
        Op::Reserve { call, slice, account: from, amount, expires } => {
            let mut locked = ledger.lock(&[account(from)]);
            let ask = Ask {
                id: id(call),
                slice: slice.into(),
                account: account(from),
                seller: SystemAccount { kind: SystemKind::Revenue, currency: EUR }.id(),
                amount: Money(amount),
                bundles: &[],
                expires_at: Utc(expires),
            };
            locked.reserve(&[ask]).map_err(|(_, why)| why)
        }
        Op::Post { call, account: from, amount, cost } => {
            let mut locked = ledger.lock(&[account(from), account(3)]);
            let charge = posting(call, PostingKind::Charge, amount, account(from));
            let cost = posting(call, PostingKind::Cost, cost, account(3));
            let made =
                Use { id: id(call), account: account(from), charge: Some(&charge), bundles: &[] };
            locked.post(&[made], &[cost])
        }
        Op::Void { call, account: from } => {
            ledger.lock(&[account(from)]).void(id(call), account(from))
        }
        Op::Expire { now } => {
            ledger.expire(Utc(now));
            Ok(Outcome::Done)
        }
    }
}

fn apply_model(model: &mut Model, op: &Op) -> Result<Outcome, LedgerError> {
    match *op {
        Op::TopUp { op, account, amount } | Op::Adjust { op, account, amount } => {
            model.outside(op, account, amount)
        }
        Op::Reserve { call, slice, account, amount, expires } => {
            model.reserve(call, slice, account, amount, expires)
        }
        Op::Post { call, account, amount, cost } => model.post(call, account, amount, cost),
        Op::Void { call, .. } => model.void(call),
        Op::Expire { now } => {
            let over: Vec<u8> = model
                .held
                .iter()
                .filter(|(_, held)| held.expires <= now)
                .map(|(call, _)| *call)
                .collect();
            over.into_iter().for_each(|call| model.close(call, LedgerError::Expired));
            Ok(Outcome::Done)
        }
    }
}

/// An operation on a call names the account that the call was opened with, as credit control
/// always does: here each call has one.
fn with_its_account(op: Op) -> Op {
    match op {
        Op::Reserve { call, slice, amount, expires, .. } => {
            Op::Reserve { call, slice, account: call % 3 + 1, amount, expires }
        }
        Op::Post { call, amount, cost, .. } => {
            Op::Post { call, account: call % 3 + 1, amount, cost }
        }
        Op::Void { call, .. } => Op::Void { call, account: call % 3 + 1 },
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_operations_keep_the_books(
        ops in proptest::collection::vec(any_op().prop_map(with_its_account), 0..60),
        repeats in 1..4_usize,
    ) {
        let (ledger, journal, mut model) = (Ledger::new(), MemoryJournal::new(), Model::default());
        for account in 1..4 {
            // What account 3 is paid as a carrier is its own to spend.
            let terms = Terms { is_netted: account == 3, ..Terms::prepaid(EUR) };
            ledger.set_terms(AccountId(account), terms).unwrap();
        }
        for op in &ops {
            for _ in 0..repeats {
                prop_assert_eq!(apply(&ledger, &journal, op), apply_model(&mut model, op));
                let check = ledger.check();
                prop_assert_eq!(check.problems, Vec::<String>::new());
                prop_assert_eq!(check.overdrawn, Vec::new());
            }
            for account in 1..4_u8 {
                let view = ledger.account(AccountId(account.into())).unwrap();
                prop_assert_eq!(view.available().0, model.available(account));
            }
            let ours = |kind| ledger.system(SystemAccount { kind, currency: EUR });
            prop_assert_eq!(ours(SystemKind::Revenue).credits_posted.0, model.revenue);
            prop_assert_eq!(ours(SystemKind::Cost).debits_posted.0, model.cost);
        }
    }
}

#[test]
fn a_thousand_calls_on_money_for_37() {
    // 1,000 calls at once, from four workers, on one account that can pay 37 minutes.
    let world = World::prepaid(rate("0.60", 60, 60), "22.20");
    let connected = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for worker in 0..4_u64 {
            let (ledger, journal) = (world.ledger.clone(), world.journal.clone());
            let (book, connected) = (world.book.clone(), &connected);
            scope.spawn(move || {
                let mut credit = CreditControl::new(ledger, journal);
                credit.set_rate_book(book);
                let calls = (0..250).map(|n| call(worker * 1_000 + n));
                let mut open = Vec::new();
                for call in calls {
                    if credit.authorize(at(0), &request(call, "49301234")).is_ok() {
                        open.push(call);
                    }
                }
                connected.fetch_add(open.len() as u32, Ordering::Relaxed);
                for call in open {
                    let minute = std::time::Duration::from_secs(60);
                    credit.settle(at(60_000), ended(call, Some(TRUNK), Some(minute)));
                }
            });
        }
    });
    // Whoever settles frees nothing: every call talks its minute.
    assert_eq!(connected.load(Ordering::Relaxed), 37);
    assert_eq!(world.available(), "0.000000");
    assert_eq!(world.balance(CARRIER), "0.740000");
    world.check_over();
}

#[test]
fn crossing_pairs_of_accounts_never_wait_in_a_circle() {
    let ledger = Arc::new(Ledger::new());
    for account in 0..64 {
        ledger.set_terms(AccountId(account), Terms::postpaid(EUR, Money::units(1_000))).unwrap();
    }
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let ledger = ledger.clone();
            scope.spawn(move || {
                for round in 0..5_000_u64 {
                    let from = AccountId((round * 7 + thread) % 64);
                    let to = AccountId((round * 13 + thread * 31) % 64);
                    let locked = ledger.lock(&[from, to]);
                    assert!(locked.account(from).is_some() && locked.account(to).is_some());
                }
            });
        }
    });
}

#[test]
fn an_operation_from_outside_is_made_once() {
    let world = World::prepaid(rate("0.60", 60, 60), "10");
    world.top_up(5, "3");
    let records = world.journal.len();
    world.top_up(5, "3");
    assert_eq!((world.available().as_str(), world.journal.len()), ("13.000000", records));
    let changed = Posting::top_up(
        OpId::outside(5),
        CUSTOMER,
        Money::units(4),
        EUR,
        START,
        "another amount".into(),
    );
    let refused = world.ledger.post(changed, Overdraft::Refuse, &*world.journal);
    assert_eq!(refused, Err(LedgerError::Differs));
}

#[test]
fn an_adjustment_below_zero_needs_an_operator_who_insists() {
    let world = World::prepaid(rate("0.60", 60, 60), "10");
    let fee = |op| {
        let amount = Money::units(-11);
        Posting::adjustment(OpId::outside(op), CUSTOMER, amount, EUR, START, "fee".into())
    };
    let refused = world.ledger.post(fee(6), Overdraft::Refuse, &*world.journal);
    let (available, needed) = (Money::units(10), Money::units(11));
    assert_eq!(refused, Err(LedgerError::ExceedsAvailable { available, needed }));
    assert!(world.ledger.post(fee(6), Overdraft::Allow, &*world.journal).is_ok());
    assert_eq!(world.available(), "-1.000000");
    let check = world.ledger.check();
    assert_eq!((check.problems.len(), check.overdrawn), (0, vec![CUSTOMER]));
}

#[test]
fn a_currency_with_money_in_it_stays() {
    let world = World::prepaid(rate("0.60", 60, 60), "10");
    let dollars = Terms::prepaid(Currency::USD);
    assert!(matches!(
        world.ledger.set_terms(CUSTOMER, dollars),
        Err(LedgerError::CurrencyDiffers { .. })
    ));
    let posting =
        Posting::top_up(OpId::outside(9), CUSTOMER, Money(1), Currency::USD, START, String::new());
    assert!(matches!(
        world.ledger.post(posting, Overdraft::Refuse, &*world.journal),
        Err(LedgerError::CurrencyDiffers { .. })
    ));
}
