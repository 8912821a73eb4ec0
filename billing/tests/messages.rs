//! Messages (RFC 3428) cost what their rates have as connect fee, once and whatever their delivery
//! takes: by the rate groups for messages of who pays and of who is paid, on every path alike.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use billing::{
    AccountTariff, Cdr, Currency, Rate, RateGroupId, RatedBy, RatedCall, RatedLeg, Record, Sides,
    reprice,
};
use common::{
    CARRIER, CARRIER_GROUP, CUSTOMER, CUSTOMER_GROUP, START, TRUNK, World, at, call, group, leg,
    lost, rate, row,
};
use vocabulary::{
    AuthorizeRequest, CallFacts, CallKind, Candidate, LegFacts, Refused, SettleRequest,
};

const CHARGED: RateGroupId = RateGroupId(70);
const PAID: RateGroupId = RateGroupId(71);

fn fee(fee: &str) -> Rate {
    // What a minute costs says nothing of a message.
    Rate { connect_fee: fee.parse().unwrap(), grace_seconds: 5, ..rate("0.6", 60, 60) }
}

/// The customer pays 0.05 a message to 49, and may send none to 4990; the carrier takes 0.02.
fn world(balance: &str) -> World {
    let mut world = World::prepaid(rate("0.06", 60, 60), balance);
    let blocked = Rate { is_blocked: true, ..fee("0") };
    let customer = AccountTariff { message_group: Some(CHARGED), ..common::customer_tariff() };
    let carrier = AccountTariff {
        carrier_message_group: Some(PAID),
        ..common::carrier_tariff(CARRIER_GROUP)
    };
    let book = world.book.change();
    let book = book
        .group(group(CHARGED, &[row("49", fee("0.05")), row("4990", blocked)]))
        .group(group(PAID, &[row("49", fee("0.02"))]))
        .account(CUSTOMER, customer)
        .account(CARRIER, carrier);
    world.book = Arc::new(book.build().unwrap());
    world.credit.set_rate_book(world.book.clone());
    world
}

fn asked(kind: CallKind, cld: &str) -> AuthorizeRequest {
    let carried = kind == CallKind::Message;
    AuthorizeRequest {
        candidates: carried.then(|| Candidate::new(TRUNK, CARRIER, 1)).into_iter().collect(),
        ..AuthorizeRequest::new(call(1), CUSTOMER, kind, cld.parse().unwrap(), START)
    }
}

fn end(kind: CallKind, talked: Option<Duration>) -> SettleRequest {
    let trunk = (kind == CallKind::Message).then_some(TRUNK);
    SettleRequest {
        talked: talked.unwrap_or_default(),
        answered_by: trunk.filter(|_| talked.is_some()),
        facts: CallFacts {
            cld: Some("49301234".parse().unwrap()),
            kind: Some(kind),
            legs: vec![
                leg(0, None, talked),
                LegFacts { account: trunk.map(|_| CARRIER), ..leg(1, trunk, talked) },
            ],
            ..CallFacts::new(call(1))
        },
    }
}

fn cdrs(world: &World) -> Vec<Cdr> {
    let records = world.journal.records();
    let Some((_, Record::Ended(ended))) = records.into_iter().next_back() else {
        panic!("the end comes last");
    };
    ended.cdrs
}

#[track_caller]
fn send(world: &mut World, kind: CallKind, taken: bool) {
    world.credit.authorize(at(0), &asked(kind, "49301234")).unwrap();
    if taken {
        let trunk = (kind == CallKind::Message).then_some(TRUNK);
        world.credit.answered(at(0), call(1), trunk, START);
    }
    // Asked twice, it is settled once.
    for _ in 0..2 {
        world.credit.settle(at(3_000), end(kind, taken.then_some(Duration::ZERO)));
    }
    world.check_over();
}

#[test]
fn a_message_that_is_taken_costs_once_and_its_carrier_is_paid() {
    let mut w = world("0.05");
    send(&mut w, CallKind::Message, true);
    assert_eq!((w.available(), w.balance(CARRIER)), ("0.000000".into(), "0.020000".into()));
    let cdrs = cdrs(&w);
    let amounts: Vec<_> = cdrs.iter().map(|cdr| cdr.charge.as_ref().unwrap().amount).collect();
    assert_eq!(
        amounts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["0.050000", "0.020000"]
    );
    assert!(cdrs.iter().all(|cdr| cdr.kind == Some(CallKind::Message)));
    // Priced again, both sides come out as they were.
    let legs: Vec<RatedLeg> = cdrs.iter().map(RatedLeg::from).collect();
    let by = RatedBy { kind: cdrs[0].kind, ..RatedBy::cld("49301234".parse().unwrap()) };
    let rated = RatedCall::of_legs(call(1), 0, START, by, &legs).unwrap();
    assert_eq!(rated.sides.len(), 2);
    let euro = |_| Some(Currency::EUR);
    let repriced = reprice(&w.book, &euro, &rated, Sides::All);
    assert_eq!(repriced.len(), 2);
    assert!(repriced.iter().all(|side| !side.is_changed()), "{repriced:?}");
}

#[test]
fn a_message_that_nobody_takes_costs_nothing() {
    let mut w = world("0.05");
    send(&mut w, CallKind::LocalMessage, false);
    assert_eq!((w.available(), w.balance(CARRIER)), ("0.050000".into(), "0.000000".into()));
}

#[test]
fn a_message_to_one_of_our_own_costs_the_same_and_pays_nobody() {
    let mut w = world("1");
    send(&mut w, CallKind::LocalMessage, true);
    assert_eq!((w.available(), w.balance(CARRIER)), ("0.950000".into(), "0.000000".into()));
}

#[track_caller]
fn refused(w: &mut World, cld: &str, code: &str) {
    let refused = w.credit.authorize(at(0), &asked(CallKind::LocalMessage, cld)).unwrap_err();
    assert_eq!(refused.line().code, code);
    w.check_over();
}

#[test]
fn a_message_is_refused_for_want_of_money_or_of_a_rate_and_where_its_rate_says_so() {
    let mut w = world("0.049");
    refused(&mut w, "49301234", "insufficient_credit");
    refused(&mut w, "4990123", "destination_blocked");
    refused(&mut w, "331234", "no_rate");
    let nothing = AccountTariff { customer_group: None, ..common::customer_tariff() };
    w.book = Arc::new(w.book.change().account(CUSTOMER, nothing).build().unwrap());
    w.credit.set_rate_book(w.book.clone());
    let refused = w.credit.authorize(at(0), &asked(CallKind::Message, "4930")).unwrap_err();
    assert!(matches!(refused, Refused::NoRateGroup(_)));
}

#[test]
fn messages_are_free_without_a_rate_group_for_them() {
    let mut w = World::prepaid(rate("0.06", 60, 60), "0");
    assert_eq!(w.book.tariff(CUSTOMER).unwrap().customer_group, Some(CUSTOMER_GROUP));
    send(&mut w, CallKind::Message, true);
    assert_eq!((w.available(), w.balance(CARRIER)), ("0.000000".into(), "0.000000".into()));
}

/// The process ends after the answer is on disk and before the settlement is.
#[test]
fn a_message_that_was_open_when_the_process_ended_is_charged_once_if_it_was_taken() {
    for (is_taken, amount) in [(true, Some("0.050000")), (false, None)] {
        let mut w = world("1");
        w.credit.authorize(at(0), &asked(CallKind::LocalMessage, "49301234")).unwrap();
        if is_taken {
            w.credit.answered(at(0), call(1), None, START);
        }
        let lost = lost(&w.journal.records(), &[CUSTOMER], Duration::from_secs(5));
        let charge = lost[0].charge.as_ref().map(|charge| charge.amount.to_string());
        assert_eq!(charge.as_deref(), amount);
        assert_eq!(lost[0].kind, Some(CallKind::LocalMessage));
        assert_eq!(lost[0].talked, Duration::ZERO);
    }
}
