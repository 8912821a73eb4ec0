//! Bundles on one of several nodes (V-04, P-006 to P-008): a call waits for seconds that this node has
//! not leased before money pays for it, in the order of the bundles, and never longer than there is
//! somebody to ask. docs/adr/0010.
#![allow(clippy::unwrap_used)] // a test may

mod common;

use std::sync::Arc;
use std::time::Duration;

use billing::{
    Attempt, BundleGrant, BundleId, BundleOf, CreditControl, Currency, DestinationSet,
    DestinationSetId, Fund, Lease, LeaseAnswer, Ledger, MemoryJournal, Money, OpId, RateBook,
    Record, Seconds, SecondsAnswer, SecondsAsk, Terms,
};
use common::{
    CARRIER, CARRIER_GROUP, CUSTOMER, CUSTOMER_GROUP, START, at, call, carrier_tariff,
    customer_tariff, ended, group, rate, request, row,
};
use vocabulary::{ExtendRequest, Utc};

const GERMANY: DestinationSetId = DestinationSetId(1);

struct Node {
    ledger: Arc<Ledger>,
    journal: Arc<MemoryJournal>,
    credit: CreditControl,
}

impl Node {
    /// Its customer has money enough, leased to this node.
    fn new() -> Node {
        let ledger = Arc::new(Ledger::new());
        ledger.share();
        let journal = Arc::new(MemoryJournal::new());
        ledger.set_terms(CUSTOMER, Terms::prepaid(Currency::EUR)).unwrap();
        ledger.set_terms(CARRIER, Terms::postpaid(Currency::EUR, Money::ZERO)).unwrap();
        let book = RateBook::builder()
            .group(group(CUSTOMER_GROUP, &[row("49", rate("0.60", 1, 1))]))
            .group(group(CARRIER_GROUP, &[row("49", rate("0.02", 1, 1))]))
            .account(CUSTOMER, customer_tariff())
            .account(CARRIER, carrier_tariff(CARRIER_GROUP))
            .destinations([(GERMANY, DestinationSet::new(["49"]).unwrap())])
            .build()
            .unwrap();
        let mut credit = CreditControl::new(ledger.clone(), journal.clone());
        credit.set_rate_book(Arc::new(book));
        let all = Money::units(100);
        let lease = Lease { granted: all, claimed: all, spent: Money::ZERO };
        ledger.load_lease(CUSTOMER, lease, Currency::EUR);
        let answer = LeaseAnswer { account: CUSTOMER, lease, left: all, limited_by: None };
        ledger.hear_leases(&[answer]);
        Node { ledger, journal, credit }
    }

    fn give(&self, bundle: u64, seconds: u32, rank: u16) -> BundleOf {
        self.give_till(bundle, seconds, rank, Utc(i64::MAX), START)
    }

    fn give_till(&self, bundle: u64, seconds: u32, rank: u16, till: Utc, at: Utc) -> BundleOf {
        let grant = BundleGrant {
            op: OpId::outside(bundle.into()),
            bundle: BundleId(bundle),
            account: CUSTOMER,
            destinations: GERMANY,
            seconds,
            increment: 60,
            precedence: rank,
            valid_from: START,
            valid_till: Some(till),
            at,
            note: String::new(),
        };
        self.ledger.grant(grant, &*self.journal).unwrap();
        BundleOf { account: CUSTOMER, bundle: BundleId(bundle) }
    }

    fn begins(&mut self, number: u64) -> Attempt<()> {
        let request = request(call(number), "49301234");
        match self.credit.authorize_or_wait(at(0), &request) {
            Attempt::Done(answer) => {
                answer.unwrap();
                Attempt::Done(())
            }
            Attempt::Waits => Attempt::Waits,
        }
    }

    /// What it asks of bundles.
    fn asks(&self) -> Vec<SecondsAsk> {
        self.ledger.lease_asks().seconds
    }

    /// The database answers, with so many seconds not used and so many of them leased.
    fn answer(&self, ask: &SecondsAsk, left: i64, leased: i64) {
        let (left, leased) = (Seconds(left), Seconds(leased));
        let fund = Fund { left, leased, spend_left: None, increment: Seconds(60) };
        let lease = fund.decide(Lease::default(), &ask.wanted);
        self.ledger.hear_seconds(&[SecondsAnswer { of: ask.of, lease, left }]);
    }

    /// Of a bundle, used on this node and held.
    fn used(&self, of: BundleOf) -> (u32, u32) {
        let locked = self.ledger.lock(&[CUSTOMER]);
        let bundle = locked.bundle(CUSTOMER, of.bundle).unwrap();
        (bundle.used, bundle.pending)
    }

    fn money_held(&self) -> Money {
        self.ledger.account(CUSTOMER).unwrap().counters.debits_pending
    }
}

#[test]
fn a_call_waits_for_seconds_before_money_pays() {
    let mut node = Node::new();
    let of = node.give(1, 6_000, 1);
    assert_eq!(node.begins(1), Attempt::Waits);
    assert_eq!((node.used(of), node.money_held()), ((0, 0), Money::ZERO));
    let asks = node.asks();
    assert_eq!((asks.len(), asks[0].of), (1, of));
    // A minute for the call, and as much ahead as four of them take.
    assert_eq!((asks[0].wanted.least, asks[0].wanted.claimed), (Seconds(60), Seconds(240)));
    node.answer(&asks[0], 6_000, 0);
    assert_eq!(node.begins(1), Attempt::Done(()));
    assert_eq!((node.used(of), node.money_held()), ((0, 60), Money::ZERO));
    // Half is not gone yet: the next call does not wait, and the one after it asks for more.
    assert_eq!(node.begins(2), Attempt::Done(()));
    assert_eq!(node.asks(), []);
    assert_eq!(node.begins(3), Attempt::Done(()));
    assert_eq!(node.asks()[0].wanted.claimed, Seconds(180 + 480));
    assert_eq!(node.money_held(), Money::ZERO);
}

#[test]
fn what_other_nodes_hold_money_pays() {
    let mut node = Node::new();
    let of = node.give(1, 600, 1);
    assert_eq!(node.begins(1), Attempt::Waits);
    node.answer(&node.asks()[0], 600, 600);
    assert_eq!(node.begins(1), Attempt::Done(()));
    assert_eq!(node.used(of), (0, 0));
    assert!(node.money_held() > Money::ZERO);
    // Nobody asks again at once,
    assert_eq!((node.begins(2), node.asks()), (Attempt::Done(()), Vec::new()));
    // but after a while: they may have been given back.
    node.ledger.retry_short_leases();
    assert_eq!(node.begins(3), Attempt::Waits);
    // A call that money pays for has no seconds afterwards either.
    let extension = node.credit.extend_or_wait(at(6_000), ExtendRequest { call: call(1) });
    assert!(matches!(extension, Attempt::Done(_)));
    assert_eq!(node.used(of), (0, 0));
}

/// P-008: what is on another node of the bundle that comes first is waited for, whatever is here of the
/// next one.
#[test]
fn bundles_are_used_in_their_order_wherever_they_are() {
    let mut node = Node::new();
    let [first, second] = [node.give(1, 600, 9), node.give(2, 600, 1)];
    assert_eq!(node.begins(1), Attempt::Waits);
    let asks = node.asks();
    assert_eq!(asks.iter().map(|ask| ask.of).collect::<Vec<_>>(), [first]);
    // Others have used all of it meanwhile.
    node.answer(&asks[0], 0, 0);
    assert_eq!(node.begins(1), Attempt::Waits);
    let asks = node.asks();
    assert_eq!(asks[0].of, second);
    node.answer(&asks[0], 600, 0);
    assert_eq!(node.begins(1), Attempt::Done(()));
    assert_eq!((node.used(first), node.used(second)), ((0, 0), (0, 60)));
    // What is used up is asked for no more.
    node.ledger.retry_short_leases();
    assert_eq!(node.begins(2), Attempt::Done(()));
}

#[test]
fn a_bundle_that_the_tables_do_not_have_yet_stops_no_call() {
    let mut node = Node::new();
    let of = node.give(1, 600, 1);
    assert_eq!(node.begins(1), Attempt::Waits);
    let asks = node.asks();
    node.ledger.seconds_not_found(&[asks[0].of]);
    assert_eq!(node.begins(1), Attempt::Done(()));
    node.ledger.retry_short_leases();
    assert_eq!(node.begins(2), Attempt::Waits);
    node.answer(&node.asks()[0], 600, 0);
    assert_eq!(node.begins(2), Attempt::Done(()));
    assert_eq!(node.used(of), (0, 60));
}

/// Who waits in vain, because the database says nothing, gets what there is.
#[test]
fn without_an_answer_money_pays_after_a_while() {
    let mut node = Node::new();
    let of = node.give(1, 600, 1);
    assert_eq!(node.begins(1), Attempt::Waits);
    node.credit.authorize(at(2_000), &request(call(1), "49301234")).unwrap();
    assert_eq!(node.used(of), (0, 0));
    assert!(node.money_held() > Money::ZERO);
}

/// A longer talk takes the next minute from the bundle, and waits for it too.
#[test]
fn the_next_slice_waits_for_seconds() {
    let mut node = Node::new();
    let of = node.give(1, 600, 1);
    assert_eq!(node.begins(1), Attempt::Waits);
    // Two minutes are here, others have the rest.
    node.answer(&node.asks()[0], 600, 480);
    assert_eq!(node.begins(1), Attempt::Done(()));
    node.credit.answered(at(1_000), call(1), None, at(1_000).utc);
    node.ledger.retry_short_leases();
    let mut waited = 0;
    for second in 2..100 {
        match node.credit.extend_or_wait(at(second * 1_000), ExtendRequest { call: call(1) }) {
            Attempt::Done(_) => {}
            Attempt::Waits => {
                waited += 1;
                let ask = node.asks()[0];
                let held =
                    Lease { granted: Seconds(120), claimed: Seconds(120), spent: Seconds(0) };
                let (left, leased) = (Seconds(600), Seconds(120));
                let fund = Fund { left, leased, spend_left: None, increment: Seconds(60) };
                let lease = fund.decide(held, &ask.wanted);
                node.ledger.hear_seconds(&[SecondsAnswer { of, lease, left }]);
                break;
            }
        }
    }
    assert_eq!(waited, 1);
    node.credit.extend(at(50_000), ExtendRequest { call: call(1) });
    assert!(node.used(of).1 > 120);
    assert_eq!(node.money_held(), Money::ZERO);
}

/// P-007: the projection tells it, for another node may have more; so the record says what else the call
/// could have used.
#[test]
fn a_node_does_not_tell_that_a_bundle_is_used_up() {
    let mut node = Node::new();
    node.give(1, 60, 9);
    node.give(2, 60, 1);
    assert_eq!(node.begins(1), Attempt::Waits);
    node.answer(&node.asks()[0], 60, 0);
    assert_eq!(node.begins(1), Attempt::Done(()));
    node.credit.answered(at(0), call(1), None, at(0).utc);
    node.credit.settle(at(30_000), ended(call(1), None, Some(Duration::from_secs(30))));
    let records = node.journal.records();
    let Some((_, Record::Ended(ended))) = records.last() else { panic!("no end") };
    let uses: Vec<_> =
        ended.bundle_uses.iter().map(|used| (used.share.bundle.0, used.share.seconds)).collect();
    assert!(uses.contains(&(1, 60)) && uses.contains(&(2, 0)) && uses.len() == 2, "{uses:?}");
    assert_eq!((node.ledger.poll_event(), ended.told.len()), (None, 0));
    assert_eq!(node.ledger.check().problems, Vec::<String>::new());
}

/// What this node has leased of a bundle that is long over is remembered until it is given back.
#[test]
fn a_bundle_is_not_forgotten_before_it_is_given_back() {
    let node = Node::new();
    let (day, year) = (Duration::from_secs(86_400), Duration::from_secs(366 * 86_400));
    let of = node.give_till(1, 600, 1, START.plus(day), START);
    let wanted = billing::Wanted { granted: Seconds(60), claimed: Seconds(60), least: Seconds(60) };
    node.answer(&SecondsAsk { of, wanted }, 600, 0);
    node.give_till(2, 600, 1, Utc(i64::MAX), START.plus(year));
    assert_eq!(node.used(of), (0, 0));
    let asks = node.ledger.lease_asks_to_end().seconds;
    assert_eq!((asks[0].of, asks[0].wanted.granted), (of, Seconds(0)));
    node.ledger.hear_seconds(&[SecondsAnswer { of, lease: Lease::default(), left: Seconds(600) }]);
    node.give_till(3, 600, 1, Utc(i64::MAX), START.plus(year));
    assert!(node.ledger.lock(&[CUSTOMER]).bundle(CUSTOMER, of.bundle).is_none());
}
