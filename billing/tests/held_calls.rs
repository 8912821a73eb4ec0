//! What billing keeps of a call for as long as it talks (DESIGN: at most 4,096 bytes a held call in all).
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::atomic::{AtomicU64, Ordering};

use billing::{
    AccountTariff, AfterCap, BundleGrant, BundleId, Calendar, Cap, CreditControl, Currency, Days,
    DestinationSet, DestinationSetId, Journal, Money, OpId, Period, PeriodChoice, Position,
    RateGroupId, RateRow, Record, SpecialTerms, Surcharge, SurchargeAmount, Terms, TimePrice, Zone,
};
use common::*;
use vocabulary::{AccountId, Candidate, ExtendRequest, TrunkId};

const CALLS: u64 = 2_000;
/// The packed terms and grant, two reservations, a bundle's share, and room in the maps of these.
const BYTES_MAX: i64 = 750;
const RESELLER: AccountId = AccountId(7);
const RESELLER_GROUP: RateGroupId = RateGroupId(70);
const GERMANY: DestinationSetId = DestinationSetId(1);

/// Keeps nothing but the count.
#[derive(Default)]
struct Forgetful(AtomicU64);

impl Journal for Forgetful {
    fn append(&self, _record: &Record) -> Position {
        Position(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// Every rule that a price can have.
fn every_term() -> SpecialTerms {
    let price = |name: &str, price: &str| TimePrice {
        name: name.into(),
        ..TimePrice::of(&rate(price, 1, 1))
    };
    let period = |name: &str, from_hour: u32| Period {
        days: Days::ALL,
        from_second: from_hour * 3_600,
        till_second: (from_hour + 1) * 3_600,
        price: price(name, "0.58"),
    };
    let calendar = Calendar {
        zone: Zone::named("Europe/Berlin").unwrap(),
        holidays: Box::default(),
        periods: Box::new([period("morning", 8), period("noon", 12)]),
        choice: PeriodChoice::EachIncrement,
    };
    let access = SurchargeAmount::Fixed("0.005".parse().unwrap());
    let fund = SurchargeAmount::Share("5".parse().unwrap());
    SpecialTerms {
        calendar: Some(calendar.into()),
        surcharges: Some(Box::new([
            Surcharge { name: "access".into(), amount: access },
            Surcharge { name: "fund".into(), amount: fund },
        ])),
        cap: Some(Cap { amount: "20".parse().unwrap(), after: AfterCap::Free }),
        ..SpecialTerms::default()
    }
}

/// A customer with every term, a reseller above it, free minutes, and five carriers.
fn with_everything() -> World {
    let charge = rate("0.60", 1, 1);
    let mut world = World::prepaid(charge, "1000000");
    world
        .ledger
        .set_terms(RESELLER, Terms::postpaid(Currency::EUR, Money(1_000_000_000_000)))
        .unwrap();
    let retail = RateRow { special: Some(every_term().into()), ..row("49", charge) };
    let reseller = AccountTariff {
        customer_group: Some(RESELLER_GROUP),
        is_loss_allowed: true,
        ..AccountTariff::default()
    };
    let book = world.book.change();
    let book = book
        .group(group(CUSTOMER_GROUP, &[retail]))
        .group(group(RESELLER_GROUP, &[row("49", rate("0.55", 1, 1))]))
        .account(CUSTOMER, AccountTariff { parent: Some(RESELLER), ..customer_tariff() })
        .account(RESELLER, reseller)
        .destinations([(GERMANY, DestinationSet::new(["49"]).unwrap())]);
    world.book = book.build().unwrap().into();
    let grant = BundleGrant {
        op: OpId::outside(5_000),
        bundle: BundleId(1),
        account: CUSTOMER,
        destinations: GERMANY,
        seconds: 100_000_000,
        increment: 1,
        precedence: 1,
        valid_from: START,
        valid_till: None,
        at: START,
        note: "free minutes".into(),
    };
    world.ledger.grant(grant, &*world.journal).unwrap();
    world
}

#[test]
fn a_held_call_with_every_term_keeps_little() {
    let world = with_everything();
    let journal = std::sync::Arc::new(Forgetful::default());
    let mut credit = CreditControl::new(world.ledger.clone(), journal);
    credit.set_rate_book(world.book.clone());
    let candidates: Vec<Candidate> =
        (0..5).map(|n| Candidate::new(TrunkId(200 + n), CARRIER, 1)).collect();
    let mut hold = |number: u64| {
        let mut asked = request(call(number), "49301234");
        asked.candidates.clone_from(&candidates);
        credit.authorize(at(0), &asked).unwrap();
        credit.answered(at(1_000), call(number), Some(TrunkId(202)), at(1_000).utc);
        let extension = credit.extend(at(7_000), ExtendRequest { call: call(number) });
        assert!(!extension.grant.is_final);
    };
    // Tables of the ledger that do not grow with calls.
    hold(0);
    let held = allocation_counter::measure(|| (1..=CALLS).for_each(&mut hold));
    let bytes = held.bytes_current / CALLS as i64;
    println!("{bytes} bytes of billing a held call");
    assert!(bytes <= BYTES_MAX, "{bytes} bytes a held call");
}
