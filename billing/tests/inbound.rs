//! Calls from outside to a DID: the account that has it pays by the price of the DID, and so do the
//! resellers above it; whoever delivers the call pays nothing. Calls from equipment of ours are free.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use billing::{
    AccountTariff, Cdr, CreditSettings, Currency, Money, OpId, Overdraft, Posting, Rate, RateBook,
    RatedBy, RatedCall, RatedLeg, Record, Sides, Status, Terms, Unpriced, quote, reprice,
};
use common::{CARRIER, CUSTOMER, START, TRUNK, World, at, call, leg, lost, rate};
use vocabulary::{
    AccountId, AuthorizeRequest, CallFacts, CallKind, DidId, Grant, Origin, Refused, SettleRequest,
};

const DID: DidId = DidId(4);
const RESELLER: AccountId = AccountId(9);
const TALK: Duration = Duration::from_secs(31);

fn use_book(world: &mut World, change: impl Fn(RateBook) -> RateBook) {
    world.book = Arc::new(change((*world.book).clone()));
    world.credit.set_rate_book(world.book.clone());
}

fn did_costs(world: &mut World, price: Rate) {
    use_book(world, |book| book.change().did(DID, Some((CUSTOMER, price))).build().unwrap());
    let seconds = 600;
    world.credit.set_settings(CreditSettings {
        first_slice_seconds: seconds,
        longest_slice_seconds: seconds,
        ..CreditSettings::default()
    });
}

/// 0.06 a minute in steps of 20 and 15 seconds, and 0.01 for each call.
fn price() -> Rate {
    Rate { connect_fee: "0.01".parse().unwrap(), ..rate("0.06", 20, 15) }
}

fn asked(kind: CallKind) -> AuthorizeRequest {
    AuthorizeRequest {
        origin: Origin { trunk: Some(TRUNK), ..Origin::default() },
        ..AuthorizeRequest::new(call(1), CUSTOMER, kind, "49301234".parse().unwrap(), START)
    }
}

/// It came in by a trunk and was answered by a phone, or by a trunk that the DID leads to.
fn end(kind: CallKind) -> SettleRequest {
    let legs = vec![leg(0, Some(TRUNK), Some(TALK)), leg(1, Some(TRUNK), Some(TALK))];
    let facts = CallFacts {
        cld: Some("49301234".parse().unwrap()),
        kind: Some(kind),
        legs,
        ..CallFacts::new(call(1))
    };
    SettleRequest { talked: TALK, answered_by: Some(TRUNK), facts }
}

fn play(world: &mut World, kind: CallKind) -> Vec<Cdr> {
    world.credit.authorize(at(0), &asked(kind)).unwrap();
    world.credit.answered(at(0), call(1), Some(TRUNK), START);
    world.credit.settle(at(31_000), end(kind));
    world.check_over();
    let records = world.journal.records();
    let Some((_, Record::Ended(ended))) = records.into_iter().next_back() else {
        panic!("the end of the call comes last");
    };
    ended.cdrs
}

fn again(cdrs: &[Cdr]) -> RatedCall {
    let legs: Vec<RatedLeg> = cdrs.iter().map(RatedLeg::from).collect();
    let by = RatedBy { kind: cdrs[0].kind, ..RatedBy::cld("49301234".parse().unwrap()) };
    RatedCall::of_legs(call(1), 0, START, by, &legs).unwrap()
}

fn euro(_: AccountId) -> Option<Currency> {
    Some(Currency::EUR)
}

#[track_caller]
fn check(kind: CallKind, price: Rate, amount: &str) {
    let mut world = World::prepaid(rate("0.60", 60, 60), "10");
    did_costs(&mut world, price);
    let settings = CreditSettings::default();
    let quoted = quote(&world.ledger, &world.book, &settings, START, &asked(kind), TALK);
    assert_eq!(quoted.payers[0].charge.as_ref().unwrap().amount.to_string(), amount);
    assert_eq!(quoted.carriers, []);

    let cdrs = play(&mut world, kind);
    let charge = cdrs[0].charge.as_ref().unwrap();
    assert_eq!((charge.amount.to_string(), cdrs[0].kind), (amount.to_owned(), Some(kind)));
    assert!(cdrs[1].charge.is_none(), "nobody carries it for money");
    let left: Money = "10".parse().unwrap();
    assert_eq!(world.balance(CUSTOMER), Money(left.0 - charge.amount.0).to_string());
    assert_eq!(world.balance(CARRIER), "0.000000");

    // Priced again by what its CDRs say: the same, and nobody else has to do with it.
    let repriced = reprice(&world.book, &euro, &again(&cdrs), Sides::All);
    assert_eq!(repriced.len(), 1);
    assert!(!repriced[0].is_changed(), "{repriced:?}");
}

#[test]
fn a_did_has_its_own_price() {
    // 35 s at 0.06 a minute and the fee.
    check(CallKind::Inbound(DID), price(), "0.045000");
}

#[test]
fn a_did_may_be_free_and_equipment_of_ours_is() {
    check(CallKind::Inbound(DID), rate("0", 60, 60), "0.000000");
    check(CallKind::Internal, price(), "0.000000");
}

#[test]
fn a_did_of_an_account_without_rate_group_takes_calls() {
    // A-27 is about calls that an account places.
    let mut world = World::prepaid(rate("0.60", 60, 60), "10");
    did_costs(&mut world, price());
    use_book(&mut world, |book| {
        book.change().account(CUSTOMER, AccountTariff::default()).build().unwrap()
    });
    assert!(world.credit.authorize(at(0), &asked(CallKind::Inbound(DID))).is_ok());
    let local = AuthorizeRequest { call: call(2), ..asked(CallKind::Local) };
    assert!(matches!(world.credit.authorize(at(0), &local), Err(Refused::NoRateGroup(_))));
}

#[test]
fn its_resellers_pay_the_same() {
    let mut world = World::prepaid(rate("0.60", 60, 60), "10");
    did_costs(&mut world, price());
    world.ledger.set_terms(RESELLER, Terms::prepaid(Currency::EUR)).unwrap();
    let (op, one) = (OpId::outside(2), "1".parse().unwrap());
    let paid = Posting::top_up(op, RESELLER, one, Currency::EUR, START, String::new());
    world.ledger.post(paid, Overdraft::Refuse, &*world.journal).unwrap();
    use_book(&mut world, |book| {
        let tariff = AccountTariff { parent: Some(RESELLER), ..common::customer_tariff() };
        let builder = book.change().account(CUSTOMER, tariff);
        builder.account(RESELLER, AccountTariff::default()).build().unwrap()
    });
    let cdrs = play(&mut world, CallKind::Inbound(DID));
    let upper = &cdrs[0].upper[0];
    assert_eq!((upper.account, upper.charge.amount.to_string()), (RESELLER, "0.045000".into()));
    let balances = [CUSTOMER, RESELLER].map(|account| world.balance(account));
    assert_eq!(balances, ["9.955000", "0.955000"]);
    let repriced = reprice(&world.book, &euro, &again(&cdrs), Sides::All);
    assert!(repriced.len() == 2 && !repriced.iter().any(billing::RepricedSide::is_changed));
}

#[test]
fn money_ends_a_call_to_a_did_as_any_other() {
    let mut world = World::prepaid(rate("0.60", 60, 60), "0.02");
    did_costs(&mut world, price());
    let refused = world.credit.authorize(at(0), &asked(CallKind::Inbound(DID)));
    assert!(matches!(refused, Err(Refused::InsufficientCredit(_))), "{refused:?}");
    world.top_up(2, "0.01");
    // The fee and one first increment of 20 s.
    let authorized = world.credit.authorize(at(0), &asked(CallKind::Inbound(DID))).unwrap();
    let grant = Grant { talk_time: Duration::from_secs(20), is_final: true };
    assert_eq!(authorized.grant, grant);
}

#[test]
fn the_did_of_a_blocked_account_takes_no_call() {
    let mut world = World::prepaid(rate("0.60", 60, 60), "10");
    did_costs(&mut world, price());
    let blocked = Terms { status: Status::Blocked, ..Terms::prepaid(Currency::EUR) };
    world.ledger.set_terms(CUSTOMER, blocked).unwrap();
    let refused = world.credit.authorize(at(0), &asked(CallKind::Inbound(DID)));
    assert!(matches!(refused, Err(Refused::AccountInactive(_))), "{refused:?}");
}

#[test]
fn a_call_to_a_did_that_is_gone_keeps_its_price() {
    let mut world = World::prepaid(rate("0.60", 60, 60), "10");
    did_costs(&mut world, price());
    let cdrs = play(&mut world, CallKind::Inbound(DID));
    use_book(&mut world, |book| book.change().did(DID, None).build().unwrap());
    let repriced = reprice(&world.book, &euro, &again(&cdrs), Sides::All);
    assert_eq!(repriced[0].after, Err(Unpriced::NoRate));
    let refused = world
        .credit
        .authorize(at(0), &AuthorizeRequest { call: call(2), ..asked(CallKind::Inbound(DID)) });
    let Err(Refused::NoRate(line)) = refused else { panic!("{refused:?}") };
    assert_eq!(line.code, "did_without_price");
}

#[test]
fn a_restart_in_mid_call_charges_the_account_that_has_the_did() {
    let mut world = World::prepaid(rate("0.60", 60, 60), "10");
    did_costs(&mut world, price());
    world.credit.authorize(at(0), &asked(CallKind::Inbound(DID))).unwrap();
    world.credit.answered(at(0), call(1), None, START);
    let lost = lost(&world.journal.records(), &[CUSTOMER], TALK);
    let charge = lost[0].charge.as_ref().unwrap();
    assert_eq!(charge.amount.to_string(), "0.045000");
    assert_eq!((lost[0].account, lost[0].kind), (Some(CUSTOMER), Some(CallKind::Inbound(DID))));
}

#[test]
fn what_a_did_costs_its_next_owner_is_nothing_to_the_one_before() {
    let mut world = World::prepaid(rate("0.60", 60, 60), "10");
    did_costs(&mut world, price());
    let cdrs = play(&mut world, CallKind::Inbound(DID));
    let dear = Rate::per_minute("4".parse().unwrap(), 60, 60);
    use_book(&mut world, |book| book.change().did(DID, Some((CARRIER, dear))).build().unwrap());
    let repriced = reprice(&world.book, &euro, &again(&cdrs), Sides::All);
    assert_eq!(repriced[0].after, Err(Unpriced::NoRate));
}
