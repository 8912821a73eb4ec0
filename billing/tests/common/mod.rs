//! A small world that the tests of this folder start from: accounts, rates, calls.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(unreachable_pub, reason = "included by several tests")]

use std::sync::Arc;
use std::time::Duration;

use billing::{
    AccountTariff, Cdr, CreditControl, Currency, GroupTerms, Ledger, MemoryJournal, Money,
    MoneyRounding, OpId, Overdraft, Position, Posting, Rate, RateBook, RateGroup, RateGroupId,
    RateRow, RatedBy, RatedCall, RatedLeg, Record, Recovery, Sides, Terms, reprice,
};
use vocabulary::{
    AccountId, AuthorizeRequest, CallFacts, CallId, CallKind, Candidate, Direction, LegFacts, Now,
    Party, ReleaseFacts, SettleRequest, TrunkId, Utc,
};

pub const CUSTOMER: AccountId = AccountId(1);
pub const CARRIER: AccountId = AccountId(2);
pub const CHEAP: AccountId = AccountId(3);
pub const CUSTOMER_GROUP: RateGroupId = RateGroupId(10);
pub const CARRIER_GROUP: RateGroupId = RateGroupId(20);
pub const CHEAP_GROUP: RateGroupId = RateGroupId(30);
pub const TRUNK: TrunkId = TrunkId(200);
pub const CHEAP_TRUNK: TrunkId = TrunkId(300);
pub const START: Utc = Utc(1_800_000_000_000_000);

/// The start, and this much later.
pub fn at(millis: u64) -> Now {
    let passed = Duration::from_millis(millis);
    Now { monotonic: passed, utc: START.plus(passed) }
}

pub fn rate(price: &str, first: u32, next: u32) -> Rate {
    Rate::per_minute(price.parse().unwrap(), first, next)
}

pub fn row(prefix: &str, rate: Rate) -> RateRow {
    let prefix = prefix.into();
    RateRow { prefix, rate, special: None, valid_from: None, valid_till: None, sheet_version: 7 }
}

pub fn group(id: RateGroupId, rows: &[RateRow]) -> RateGroup {
    let mut builder = RateGroup::builder(GroupTerms {
        id,
        name: format!("group {id}"),
        currency: Currency::EUR,
        money_rounding: MoneyRounding::default(),
        special: None,
    });
    for row in rows {
        builder.row(row).unwrap();
    }
    builder.build()
}

pub fn customer_tariff() -> AccountTariff {
    let customer_group = Some(CUSTOMER_GROUP);
    AccountTariff { customer_group, is_loss_allowed: true, ..AccountTariff::default() }
}

pub fn carrier_tariff(group: RateGroupId) -> AccountTariff {
    AccountTariff { carrier_group: Some(group), ..AccountTariff::default() }
}

/// One customer at `charge`, and two carriers, the second at half the first's price.
pub fn book(charge: Rate) -> RateBook {
    let mut blocked = rate("0", 1, 1);
    blocked.is_blocked = true;
    RateBook::builder()
        .group(group(CUSTOMER_GROUP, &[row("49", charge), row("4990", blocked)]))
        .group(group(CARRIER_GROUP, &[row("49", rate("0.02", 1, 1))]))
        .group(group(CHEAP_GROUP, &[row("4930", rate("0.01", 60, 60))]))
        .account(CUSTOMER, customer_tariff())
        .account(CARRIER, carrier_tariff(CARRIER_GROUP))
        .account(CHEAP, carrier_tariff(CHEAP_GROUP))
        .build()
        .unwrap()
}

pub struct World {
    pub ledger: Arc<Ledger>,
    pub journal: Arc<MemoryJournal>,
    pub book: Arc<RateBook>,
    pub credit: CreditControl,
}

impl World {
    /// A customer with these terms and this much paid in.
    pub fn new(charge: Rate, terms: Terms, balance: &str) -> World {
        let ledger = Arc::new(Ledger::new());
        let journal = Arc::new(MemoryJournal::new());
        ledger.set_terms(CUSTOMER, terms).unwrap();
        let unlimited = Terms::postpaid(Currency::EUR, Money::ZERO);
        ledger.set_terms(CARRIER, unlimited).unwrap();
        ledger.set_terms(CHEAP, unlimited).unwrap();
        let book = Arc::new(book(charge));
        let mut credit = CreditControl::new(ledger.clone(), journal.clone());
        credit.set_rate_book(book.clone());
        let world = World { ledger, journal, book, credit };
        world.top_up(1, balance);
        world
    }

    pub fn prepaid(charge: Rate, balance: &str) -> World {
        World::new(charge, Terms::prepaid(Currency::EUR), balance)
    }

    pub fn top_up(&self, op: u128, amount: &str) {
        let amount: Money = amount.parse().unwrap();
        let (op, eur) = (OpId::outside(op), Currency::EUR);
        let posting = Posting::top_up(op, CUSTOMER, amount, eur, START, "paid in".into());
        self.ledger.post(posting, Overdraft::Refuse, &*self.journal).unwrap();
    }

    pub fn available(&self) -> String {
        self.ledger.account(CUSTOMER).unwrap().available().to_string()
    }

    pub fn balance(&self, account: AccountId) -> String {
        self.ledger.account(account).unwrap().counters.balance().to_string()
    }

    /// The books are right, and nothing is pending.
    #[track_caller]
    pub fn check_over(&self) {
        let check = self.ledger.check();
        assert_eq!(check.problems, Vec::<String>::new());
        assert_eq!((check.reservations, check.pending), (0, Money::ZERO));
    }
}

pub fn call(sequence: u64) -> CallId {
    CallId::new(1, 0, sequence)
}

pub fn request(call: CallId, cld: &str) -> AuthorizeRequest {
    AuthorizeRequest {
        cli: Some("4989123".parse().unwrap()),
        candidates: vec![Candidate::new(TRUNK, CARRIER, 1), Candidate::new(CHEAP_TRUNK, CHEAP, 1)],
        ..AuthorizeRequest::new(call, CUSTOMER, CallKind::Egress, cld.parse().unwrap(), START)
    }
}

pub fn leg(index: u8, trunk: Option<TrunkId>, talked: Option<Duration>) -> LegFacts {
    let answered_at = talked.map(|_| START);
    LegFacts {
        index,
        direction: if index == 0 { Direction::Ingress } else { Direction::Egress },
        account: (index == 0).then_some(CUSTOMER),
        subscriber: None,
        trunk,
        remote: Some("192.0.2.1:5060".parse().unwrap()),
        sip_call_id: format!("leg-{index}@example.net"),
        cli: "+4989123".into(),
        cld: "+49301234".into(),
        started_at: START,
        attestation: None,
        ringing_at: answered_at,
        answered_at,
        ended_at: START.plus(talked.unwrap_or_default()),
        talked: talked.unwrap_or_default(),
        release: ReleaseFacts { cause: "normal", q850: 16, sip_status: 200, by: Party::Caller },
    }
}

/// The end of a call that talked this long on `trunk`, or was never answered.
pub fn ended(call: CallId, trunk: Option<TrunkId>, talked: Option<Duration>) -> SettleRequest {
    let mut legs = vec![leg(0, None, talked)];
    legs.extend(trunk.map(|trunk| leg(1, Some(trunk), talked)));
    SettleRequest {
        talked: talked.unwrap_or_default(),
        answered_by: trunk.filter(|_| talked.is_some()),
        facts: CallFacts { cld: Some("49301234".parse().unwrap()), legs, ..CallFacts::new(call) },
    }
}

/// What a start writes for the call of these records, if the process was alive for so long after [`START`]
/// and then killed. Each account has credit enough.
pub fn lost(records: &[(Position, Record)], accounts: &[AccountId], alive: Duration) -> Vec<Cdr> {
    let ledger = Ledger::new();
    for account in accounts {
        ledger.set_terms(*account, Terms::postpaid(Currency::EUR, Money::units(100))).unwrap();
    }
    let mut recovery = Recovery::new(&ledger, Position(0));
    records.iter().for_each(|(position, record)| recovery.record(*position, record));
    let alive = Record::Heartbeat { at: START.plus(alive) };
    recovery.record(Position(records.len() as u64 + 1), &alive);
    let lost = recovery.finish().into_iter().find_map(|record| match record {
        Record::Ended(ended) => Some(ended.cdrs),
        _ => None,
    });
    lost.expect("the call was open")
}

/// Prices a call of [`START`] again by what its CDRs say: nothing may change.
pub fn is_priced_again_alike(book: &RateBook, by: RatedBy, cdrs: &[Cdr]) {
    let legs: Vec<RatedLeg> = cdrs.iter().map(RatedLeg::from).collect();
    let rated = RatedCall::of_legs(call(1), 0, START, by, &legs).unwrap();
    let repriced = reprice(book, &|_| Some(Currency::EUR), &rated, Sides::All);
    assert!(!repriced.iter().any(billing::RepricedSide::is_changed), "{repriced:?}");
}
