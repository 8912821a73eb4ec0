//! After a crash at any record, everything is as if the calls had ended at the last heartbeat.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use billing::{
    AccountState, CdrCharge, Counters, Currency, Ended, Journal, Ledger, LedgerEvent,
    MemoryJournal, Money, OpId, OpenCall, Position, Posting, PostingKind, Rate, Record, Recovery,
    Spending, SystemAccount, SystemKind, Terms,
};
use common::*;
use proptest::prelude::*;
use vocabulary::{AccountId, CallId, ExtendRequest, TrunkId, Utc};

#[derive(Clone, Debug)]
enum Step {
    Authorize(u8),
    Extend(u8),
    Answer(u8, bool),
    Settle(u8, u16),
    TopUp(u8, u16),
    TakeOut(u8, u16),
    Heartbeat,
    Pass(u16),
}

fn any_step() -> impl Strategy<Value = Step> {
    let call = || 0..5_u8;
    prop_oneof![
        call().prop_map(Step::Authorize),
        call().prop_map(Step::Extend),
        (call(), any::<bool>()).prop_map(|(call, cheap)| Step::Answer(call, cheap)),
        (call(), 0..200_u16).prop_map(|(call, talked)| Step::Settle(call, talked)),
        (0..4_u8, 1..500_u16).prop_map(|(op, amount)| Step::TopUp(op, amount)),
        (0..4_u8, 500..2_000_u16).prop_map(|(op, amount)| Step::TakeOut(op, amount)),
        Just(Step::Heartbeat),
        (0..30_u16).prop_map(Step::Pass),
    ]
}

/// The live world, and what a bystander knows of its calls.
struct Played {
    world: World,
    seconds: u64,
    heartbeat: Option<Utc>,
    answered: BTreeMap<CallId, (Utc, TrunkId)>,
    open: Vec<CallId>,
}

fn terms() -> Terms {
    let low_balance = [Some(Money::units(3)), Some(Money(1_500_000)), Some(Money(200_000)), None];
    Terms { low_balance, ..Terms::postpaid(Currency::EUR, Money::units(2)) }
}

fn tariff() -> Rate {
    let mut charge = rate("0.60", 6, 6);
    charge.connect_fee = "0.1".parse().unwrap();
    charge
}

impl Played {
    fn new() -> Played {
        Played {
            world: World::new(tariff(), terms(), "3"),
            seconds: 0,
            heartbeat: None,
            answered: BTreeMap::new(),
            open: Vec::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        let now = at(self.seconds * 1_000);
        let credit = &mut self.world.credit;
        match *step {
            Step::Authorize(number) => {
                let call = call(number.into());
                if credit.authorize(now, &request(call, "49301234")).is_ok()
                    && !self.open.contains(&call)
                {
                    self.open.push(call);
                }
            }
            Step::Extend(number) => {
                credit.extend(now, ExtendRequest { call: call(number.into()) });
            }
            Step::Answer(number, cheap) => {
                let (call, trunk) = (call(number.into()), if cheap { CHEAP_TRUNK } else { TRUNK });
                if self.open.contains(&call) && !self.answered.contains_key(&call) {
                    credit.answered(now, call, Some(trunk), now.utc);
                    self.answered.insert(call, (now.utc, trunk));
                }
            }
            Step::Settle(number, talked) => {
                let call = call(number.into());
                if self.open.contains(&call) {
                    let talked = Duration::from_secs(talked.into());
                    self.settle(call, talked);
                    // A call that ended is not opened again: ids are never used twice.
                }
            }
            Step::TopUp(op, amount) => {
                let amount = Money(i64::from(amount) * 1_000);
                let (op, eur) = (OpId::outside(100 + u128::from(op)), Currency::EUR);
                let posting = Posting::top_up(op, CUSTOMER, amount, eur, now.utc, String::new());
                let (ledger, journal) = (&self.world.ledger, &*self.world.journal);
                let _ = ledger.post(posting, billing::Overdraft::Refuse, journal);
            }
            Step::TakeOut(op, amount) => {
                let amount = Money(i64::from(amount) * -1_000);
                let (op, eur) = (OpId::outside(200 + u128::from(op)), Currency::EUR);
                let (kind, note) = (PostingKind::TopUp, String::new());
                let posting = Posting::between(kind, op, CUSTOMER, amount, eur, now.utc, note);
                let (ledger, journal) = (&self.world.ledger, &*self.world.journal);
                let _ = ledger.post(posting, billing::Overdraft::Allow, journal);
            }
            Step::Heartbeat => {
                self.world.journal.append(&Record::Heartbeat { at: now.utc });
                self.heartbeat = Some(now.utc);
            }
            Step::Pass(seconds) => self.seconds += u64::from(seconds),
        }
    }

    fn settle(&mut self, call: CallId, talked: Duration) {
        let answered = self.answered.get(&call).copied();
        let end = ended(call, answered.map(|(_, trunk)| trunk), answered.map(|_| talked));
        self.world.credit.settle(at(self.seconds * 1_000), end);
        self.open.retain(|open| *open != call);
    }

    /// The calls end now, at the last heartbeat, as if by hanging up.
    fn hang_up_at_the_heartbeat(&mut self) {
        for call in self.open.clone() {
            let (answered_at, heartbeat) = (self.answered.get(&call), self.heartbeat);
            let talked =
                answered_at.map(|(at, _)| heartbeat.unwrap_or(*at).since(*at)).unwrap_or_default();
            self.settle(call, talked);
        }
    }
}

fn counters(ledger: &Ledger) -> Vec<Counters> {
    let ours = |kind| ledger.system(SystemAccount { kind, currency: Currency::EUR });
    let mut all: Vec<Counters> = [CUSTOMER, CARRIER, CHEAP]
        .into_iter()
        .map(|account| ledger.account(account).unwrap().counters)
        .collect();
    all.extend([SystemKind::Revenue, SystemKind::Cost, SystemKind::Cash].map(ours));
    all
}

/// The money of each leg.
fn charges(ended: &Ended) -> Vec<Option<CdrCharge>> {
    ended.cdrs.iter().map(|cdr| cdr.charge.clone()).collect()
}

fn amounts(ended: &Ended) -> Vec<(OpId, AccountId, AccountId, Money)> {
    ended.postings.iter().map(|p| (p.op, p.debit, p.credit, p.amount)).collect()
}

fn ends(records: &[(Position, Record)]) -> BTreeMap<CallId, Ended> {
    let end = |(_, record): &(Position, Record)| match record {
        Record::Ended(ended) => Some((ended.call, ended.clone())),
        _ => None,
    };
    records.iter().filter_map(end).collect()
}

/// What we owe an account for carrying calls, as the records up to `applied` say.
fn owed(records: &[(Position, Record)], applied: Position, account: AccountId) -> Money {
    let records = records.iter().filter(|(position, _)| *position <= applied);
    let ended = records.filter_map(|(_, record)| match record {
        Record::Ended(ended) => Some(ended),
        _ => None,
    });
    let postings = ended.flat_map(|ended| &ended.postings);
    let costs = postings.filter(|p| p.kind == PostingKind::Cost && p.credit == account);
    Money(costs.map(|posting| posting.amount.0).sum())
}

/// A ledger as a projection would load it: what the records up to `applied` posted.
fn projected(records: &[(Position, Record)], applied: Position) -> Ledger {
    let ledger = Ledger::new();
    let mut sums: BTreeMap<AccountId, (i64, i64)> = BTreeMap::new();
    for (position, record) in records {
        let postings = match record {
            _ if *position > applied => continue,
            Record::Ended(ended) => ended.postings.as_slice(),
            Record::Posted { posting, .. } => std::slice::from_ref(posting),
            _ => continue,
        };
        for posting in postings {
            sums.entry(posting.debit).or_default().1 += posting.amount.0;
            sums.entry(posting.credit).or_default().0 += posting.amount.0;
        }
    }
    for account in [CUSTOMER, CARRIER, CHEAP] {
        let (credits, debits) = sums.get(&account).copied().unwrap_or_default();
        let (credits_posted, debits_posted) = (Money(credits), Money(debits));
        let terms =
            if account == CUSTOMER { terms() } else { Terms::postpaid(Currency::EUR, Money::ZERO) };
        let (owed, spending) = (owed(records, applied, account), Spending::default());
        let state = AccountState { account, terms, credits_posted, debits_posted, owed, spending };
        ledger.load(&state);
    }
    for kind in [SystemKind::Revenue, SystemKind::Cost, SystemKind::Cash] {
        let account = SystemAccount { kind, currency: Currency::EUR };
        let (credits, debits) = sums.get(&account.id()).copied().unwrap_or_default();
        ledger.load_system(account, Money(credits), Money(debits));
    }
    ledger
}

/// What the records tell of accounts. Calls that end at one moment may end in any order.
fn told(records: &[(Position, Record)]) -> Vec<(&'static str, AccountId, Option<Money>)> {
    let events = records.iter().flat_map(|(_, record)| record.told().1);
    let mut told: Vec<_> = events
        .map(|event| match event {
            LedgerEvent::LowBalance { threshold, .. } => {
                (event.code(), event.account(), Some(*threshold))
            }
            _ => (event.code(), event.account(), None),
        })
        .collect();
    told.sort_unstable();
    told
}

/// Of whom it was told, up to `applied`, that nothing more could be reserved.
fn exhausted(records: &[(Position, Record)], applied: Position) -> BTreeMap<AccountId, Money> {
    let mut exhausted = BTreeMap::new();
    let records = records.iter().filter(|(position, _)| *position <= applied);
    for event in records.flat_map(|(_, record)| record.told().1) {
        match event {
            LedgerEvent::CreditLimitReached { account, credit_limit, .. } => {
                exhausted.insert(*account, *credit_limit);
            }
            LedgerEvent::BalanceRestored { account, .. } => drop(exhausted.remove(account)),
            _ => {}
        }
    }
    exhausted
}

/// What is told when money goes, comes and goes again.
fn probe(ledger: &Ledger) -> Vec<&'static str> {
    let journal = MemoryJournal::new();
    for (op, units) in [(901, -1), (902, 9), (903, -9)] {
        let (op, amount, eur) = (OpId::outside(op), Money::units(units), Currency::EUR);
        let posting = Posting::adjustment(op, CUSTOMER, amount, eur, START, String::new());
        ledger.post(posting, billing::Overdraft::Allow, &journal).unwrap();
    }
    let records = journal.records();
    records.iter().flat_map(|(_, record)| record.told().1).map(LedgerEvent::code).collect()
}

/// The calls that were open after the records up to `saved`, through their saved bytes.
fn saved_calls(records: &[(Position, Record)], saved: Position) -> Vec<OpenCall> {
    let ledger = projected(records, Position(0));
    let mut recovery = Recovery::new(&ledger, Position(0));
    for (position, record) in records.iter().filter(|(position, _)| *position <= saved) {
        recovery.record(*position, record);
    }
    recovery.open_calls().map(|call| OpenCall::decode(&call.encode()).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_crash_at_any_record_is_a_hang_up_at_the_last_heartbeat(
        steps in proptest::collection::vec(any_step(), 0..40),
        applied_part in 0..=10_u64,
        saved_part in 0..=10_u64,
        repeats in 1..3_usize,
    ) {
        for crash in 0..=steps.len() {
            let mut played = Played::new();
            steps[..crash].iter().for_each(|step| played.step(step));
            let records = played.world.journal.records();
            let length = records.len() as u64;
            played.hang_up_at_the_heartbeat();
            let expected = ends(&played.world.journal.records());

            let applied = Position(length * applied_part / 10);
            let saved = Position(length * saved_part / 10);
            let ledger = projected(&records, applied);
            let mut recovery = Recovery::new(&ledger, applied);
            for (account, credit_limit) in exhausted(&records, applied) {
                recovery.exhausted(account, credit_limit);
            }
            saved_calls(&records, saved).into_iter().for_each(|call| recovery.open_call(call));
            for (position, record) in &records {
                for _ in 0..repeats {
                    recovery.record(*position, record);
                }
            }
            prop_assert_eq!(ledger.check().problems, Vec::<String>::new());
            let closed = recovery.finish();

            prop_assert_eq!(counters(&ledger), counters(&played.world.ledger));
            let check = ledger.check();
            prop_assert_eq!((check.problems, check.pending), (Vec::new(), Money::ZERO));
            let mut all = records.clone();
            all.extend(closed.into_iter().enumerate().map(|(index, record)| {
                (Position(length + 1 + index as u64), record)
            }));
            let recovered = ends(&all);
            prop_assert_eq!(recovered.len(), expected.len());
            for (call, ended) in &recovered {
                prop_assert_eq!(charges(ended), charges(&expected[call]));
                prop_assert_eq!(amounts(ended), amounts(&expected[call]));
            }
            // P-013: nothing was told twice, and nothing was not.
            prop_assert_eq!(told(&all), told(&played.world.journal.records()));

            // Crashing again right after changes nothing more.
            let again = projected(&all, Position(0));
            let mut recovery = Recovery::new(&again, Position(0));
            all.iter().for_each(|(position, record)| recovery.record(*position, record));
            prop_assert_eq!(recovery.finish(), Vec::new());
            prop_assert_eq!(counters(&again), counters(&played.world.ledger));

            let next = probe(&played.world.ledger);
            prop_assert_eq!(&probe(&ledger), &next);
            prop_assert_eq!(&probe(&again), &next);
        }
    }
}

#[test]
fn a_lost_call_ends_at_the_last_heartbeat() {
    let mut played = Played::new();
    for step in [
        Step::Authorize(1),
        Step::Answer(1, true),
        Step::Pass(7),
        Step::Heartbeat,
        Step::Pass(2),
        Step::Authorize(2),
    ] {
        played.step(&step);
    }
    let records = played.world.journal.records();
    let ledger = projected(&records, Position(0));
    let mut recovery = Recovery::new(&ledger, Position(0));
    records.iter().for_each(|(position, record)| recovery.record(*position, record));
    let ended: Vec<_> = recovery
        .finish()
        .into_iter()
        .map(|record| match record {
            Record::Ended(ended) => ended,
            other => panic!("{other:?} is no end"),
        })
        .collect();
    assert_eq!(ended.len(), 2);
    let cdr = &ended[0].cdrs[0];
    assert_eq!((cdr.cause.as_ref(), cdr.talked), ("node_lost", Duration::from_secs(7)));
    // The fee and twelve seconds.
    assert_eq!(cdr.charge.as_ref().unwrap().amount.to_string(), "0.220000");
    assert_eq!(
        (ended[0].cdrs[1].trunk, ended[0].cdrs[1].account),
        (Some(CHEAP_TRUNK), Some(CHEAP))
    );
    assert_eq!((ended[1].cdrs.len(), ended[1].cdrs[0].charge.clone()), (1, None));
    assert_eq!(ended[1].cdrs[0].sip_status, 503);
}

/// The credit limit is in the directory, that it was raised is told by the journal: whatever a crash
/// leaves of the two, it is told once (P-013).
#[test]
fn a_limit_that_was_raised_just_before_a_crash_is_told_of_after_it() {
    let mut world = World::new(tariff(), Terms::postpaid(Currency::EUR, Money::units(1)), "0");
    for number in 0..12 {
        let _ = world.credit.authorize(at(0), &request(call(number), "49301234"));
    }
    for number in 0..12 {
        let end = ended(call(number), Some(TRUNK), None);
        world.credit.settle(at(1_000), end);
    }
    let raised = Terms::postpaid(Currency::EUR, Money::units(3));
    let before = world.journal.records();
    world.ledger.change_terms(CUSTOMER, raised, at(2_000).utc, &*world.journal).unwrap();
    let after = world.journal.records();
    let codes = |records: &[(Position, Record)]| {
        let told = records.iter().flat_map(|(_, record)| record.told().1);
        told.map(LedgerEvent::code).collect::<Vec<_>>()
    };
    assert_eq!(codes(&before), ["credit_limit_reached"]);
    assert_eq!(codes(&after), ["credit_limit_reached", "balance_restored"]);
    for (records, missing) in [(before, vec!["balance_restored"]), (after, vec![])] {
        let ledger = Ledger::new();
        ledger.set_terms(CUSTOMER, raised).unwrap();
        let mut recovery = Recovery::new(&ledger, Position(0));
        records.iter().for_each(|(position, record)| recovery.record(*position, record));
        let made = recovery.finish().into_iter().map(|record| (Position(0), record));
        assert_eq!(codes(&made.collect::<Vec<_>>()), missing);
    }
}
