//! One call costs the same to the micro-unit on every path (B4): settled, closed by a recovery,
//! quoted, priced again from its CDRs, and as the sum of what was posted for it. Charge and cost.
//!
//! `TANDEM_PRICE_CASES=1000000 cargo test --release -p billing --test all_paths_price_alike`
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::time::Duration;

use billing::{
    Cdr, CreditSettings, Currency, Ended, Ledger, Money, Position, Price, Rate, RatedBy, RatedCall,
    RatedLeg, Record, Recovery, Role, Sides, Terms, quote, reprice,
};
use common::*;
use proptest::prelude::*;

/// Charge and cost.
type Both = (Money, Money);

const CASES: u32 = 300;

fn cases() -> u32 {
    std::env::var("TANDEM_PRICE_CASES").map_or(CASES, |text| text.parse().unwrap())
}

fn any_rate() -> impl Strategy<Value = Rate> {
    let price = || prop_oneof![1 => Just(0_i64), 6 => 1..2_000_000_000_i64];
    let seconds = || prop_oneof![2 => Just(0_u32), 1 => 1..90_u32];
    let increments = (1..90_u32, 1..90_u32);
    (price(), price(), price(), increments, seconds(), seconds(), seconds()).prop_map(
        |(price, fee, minimum, (first, next), grace, free, minimum_seconds)| {
            let mut rate = rate("0", first, next);
            rate.price = Price::from_nanos(price).unwrap();
            rate.connect_fee = Price::from_nanos(fee).unwrap();
            rate.minimum_charge = Price::from_nanos(minimum).unwrap();
            rate.grace_seconds = grace;
            rate.free_seconds = free;
            rate.minimum_seconds = minimum_seconds;
            rate
        },
    )
}

fn settings() -> CreditSettings {
    CreditSettings {
        first_slice_seconds: 10_000,
        longest_slice_seconds: 10_000,
        ..CreditSettings::default()
    }
}

fn terms() -> Terms {
    Terms::postpaid(Currency::EUR, Money::units(1_000_000))
}

fn of_cdrs(cdrs: &[Cdr]) -> Both {
    let amount = |leg: usize| cdrs[leg].charge.as_ref().unwrap().amount;
    (amount(0), amount(1))
}

fn of_postings(ended: &Ended) -> Both {
    let sum = |is: &dyn Fn(&billing::Posting) -> bool| {
        Money(ended.postings.iter().filter(|posting| is(posting)).map(|p| p.amount.0).sum())
    };
    (sum(&|posting| posting.debit == CUSTOMER), sum(&|posting| posting.credit == CHEAP))
}

fn only_end(records: Vec<Record>) -> Ended {
    let ended = records.into_iter().find_map(|record| match record {
        Record::Ended(ended) => Some(ended),
        _ => None,
    });
    ended.unwrap()
}

/// The same call on every path, each named.
fn paths(charge: Rate, cost: Rate, talked: Duration) -> Vec<(&'static str, Both)> {
    let mut world = World::new(charge, terms(), "1");
    let book = world.book.change().group(group(CHEAP_GROUP, &[row("49", cost)])).build().unwrap();
    let request = request(call(1), "49301234");
    world.credit.set_settings(settings());
    world.credit.set_rate_book(std::sync::Arc::new(book.clone()));
    world.credit.authorize(at(0), &request).unwrap();
    world.credit.answered(at(0), call(1), Some(CHEAP_TRUNK), START);
    let before_end = world.journal.records();

    let mut end = ended(call(1), Some(CHEAP_TRUNK), Some(talked));
    end.facts.legs[1].account = Some(CHEAP);
    world.credit.settle(at(0), end);
    let settled = only_end(world.journal.records().into_iter().map(|(_, r)| r).collect());

    let ledger = Ledger::new();
    for account in [CUSTOMER, CARRIER, CHEAP] {
        ledger.set_terms(account, terms()).unwrap();
    }
    let mut recovery = Recovery::new(&ledger, Position(0));
    before_end.iter().for_each(|(position, record)| recovery.record(*position, record));
    let alive = Record::Heartbeat { at: START.plus(talked) };
    recovery.record(Position(before_end.len() as u64 + 1), &alive);
    let recovered = only_end(recovery.finish());

    let quoted = quote(&world.ledger, &book, &settings(), &request, talked).unwrap();
    let cheap = quoted.costs.iter().find(|(trunk, _)| *trunk == CHEAP_TRUNK).unwrap();
    let quoted_cost = cheap.1.as_ref().unwrap().amount;

    let legs: Vec<RatedLeg> = settled.cdrs.iter().map(RatedLeg::from).collect();
    let (cld, cli, rate_choice) = (request.cld, request.cli, request.rate_choice);
    let by = RatedBy { cld, cli, rate_choice };
    let rated = RatedCall::of_legs(call(1), 0, request.at, by, &legs).unwrap();
    let repriced = reprice(&book, &|_| Some(Currency::EUR), &rated, Sides::All);
    let stands = |role: Role| repriced.iter().find(|side| side.role == role).unwrap().stands();
    assert!(!repriced.iter().any(billing::RepricedSide::is_changed), "{repriced:?}");

    vec![
        ("settled", of_cdrs(&settled.cdrs)),
        ("posted", of_postings(&settled)),
        ("recovered", of_cdrs(&recovered.cdrs)),
        ("posted by the recovery", of_postings(&recovered)),
        ("quoted", (quoted.charge.unwrap().amount, quoted_cost)),
        ("priced again", (stands(Role::Payer(0)), stands(Role::Carrier(1)))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn a_call_costs_the_same_on_every_path(
        charge in any_rate(),
        cost in any_rate(),
        talked in (0..3_000_000_u64).prop_map(Duration::from_millis),
    ) {
        let paths = paths(charge, cost, talked);
        let (first, amounts) = paths[0];
        for (path, both) in &paths[1..] {
            prop_assert_eq!(*both, amounts, "{} and {}", first, path);
        }
    }
}
