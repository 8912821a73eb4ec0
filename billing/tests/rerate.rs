//! A call priced again replaces its price: the balances are those of a call that was priced so at
//! first, doing it twice changes nothing, and what cannot be priced says why (R16, J-26, J-28).
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::time::Duration;

use billing::{
    AppliedTax, AppliedTaxes, Cdr, Currency, Effect, Ledger, Money, Position, Posting, PostingKind,
    Rate, RateBook, RatedBy, RatedCall, RatedLeg, Record, Recovery, RepricedSide, Rerated, Role,
    Sides, TaxedPrice, Terms, Unpriced, reprice,
};
use common::*;
use proptest::prelude::*;
use vocabulary::{AccountId, SettleRequest, Utc};

const LATER: Utc = Utc(1_800_000_900_000_000);

fn settled(call_number: u64, talked: Duration) -> SettleRequest {
    let mut request = ended(call(call_number), Some(CHEAP_TRUNK), Some(talked));
    request.facts.legs[1].account = Some(CHEAP);
    request
}

/// A postpaid customer who talked this long at this rate.
fn talked(rate: Rate, talked: Duration) -> World {
    let mut world = World::new(rate, Terms::postpaid(Currency::EUR, Money::units(1_000_000)), "1");
    let settings = billing::CreditSettings {
        first_slice_seconds: 10_000,
        longest_slice_seconds: 10_000,
        ..billing::CreditSettings::default()
    };
    world.credit.set_settings(settings);
    world.credit.authorize(at(0), &request(call(1), "49301234")).unwrap();
    world.credit.answered(at(0), call(1), Some(CHEAP_TRUNK), START);
    world.credit.settle(at(0), settled(1, talked));
    world
}

fn last_cdrs(world: &World) -> Vec<Cdr> {
    let records = world.journal.records();
    let ended = records.iter().rev().find_map(|(_, record)| match record {
        Record::Ended(ended) => Some(ended.cdrs.clone()),
        _ => None,
    });
    ended.unwrap()
}

/// The call as its CDRs and what was written since tell it.
fn rated(world: &World) -> RatedCall {
    let mut legs: Vec<RatedLeg> = last_cdrs(world).iter().map(RatedLeg::from).collect();
    let mut generation = 0;
    for (_, record) in world.journal.records() {
        let Record::Rerated(rerated) = record else { continue };
        generation = rerated.generation;
        for side in rerated.sides {
            let (Role::Payer(leg) | Role::Carrier(leg)) = side.role;
            legs[usize::from(leg)].charge = side.after;
        }
    }
    let by = RatedBy::cld("49301234".parse().unwrap());
    RatedCall::of_legs(call(1), generation, START, by, &legs).unwrap()
}

fn eur(_: AccountId) -> Option<Currency> {
    Some(Currency::EUR)
}

fn book_with(charge: Rate, cost: Rate) -> RateBook {
    let customer = group(CUSTOMER_GROUP, &[row("49", charge)]);
    book(charge)
        .change()
        .group(customer)
        .group(group(CHEAP_GROUP, &[row("49", cost)]))
        .build()
        .unwrap()
}

/// Prices the world's call with this book and books it; how many postings that made.
fn rerate(world: &World, book: &RateBook, sides: Sides) -> usize {
    let call = rated(world);
    let repriced = reprice(book, &eur, &call, sides);
    let Some(rerated) = Rerated::new(7, LATER, &call, repriced) else { return 0 };
    let count = rerated.postings.len();
    world.ledger.rerate(rerated, &*world.journal).unwrap();
    count
}

fn balances(world: &World) -> [String; 2] {
    [world.balance(CUSTOMER), world.balance(CHEAP)]
}

#[test]
fn a_dearer_and_a_cheaper_price_replace_the_first() {
    let first = rate("0.6", 1, 1);
    let world = talked(first, Duration::from_secs(61));
    // 61 s at 0.01 a second; the carrier takes two minutes at 0.01.
    assert_eq!(balances(&world), ["0.390000", "0.020000"]);
    let dearer = book_with(rate("1.2", 60, 60), rate("0.03", 60, 60));
    assert_eq!(rerate(&world, &dearer, Sides::All), 2);
    assert_eq!(balances(&world), ["-1.400000", "0.060000"]);
    assert_eq!(rerate(&world, &dearer, Sides::All), 0);
    assert_eq!(balances(&world), ["-1.400000", "0.060000"]);
    let cheaper = book_with(rate("0.06", 1, 1), rate("0", 1, 1));
    assert_eq!(rerate(&world, &cheaper, Sides::Payers), 1);
    assert_eq!(balances(&world), ["0.939000", "0.060000"]);
    assert_eq!(rerate(&world, &cheaper, Sides::All), 1);
    assert_eq!(balances(&world), ["0.939000", "0.000000"]);
    let back = book_with(first, rate("0.01", 60, 60));
    rerate(&world, &back, Sides::All);
    assert_eq!(balances(&world), ["0.390000", "0.020000"]);
    world.check_over();
    let kinds: Vec<PostingKind> = world
        .journal
        .records()
        .into_iter()
        .filter_map(|(_, record)| match record {
            Record::Rerated(rerated) => Some(rerated.postings),
            _ => None,
        })
        .flatten()
        .map(|posting| posting.kind)
        .collect();
    use PostingKind::{ChargeLowered, ChargeRaised, CostLowered, CostRaised};
    let expected = [ChargeRaised, CostRaised, ChargeLowered, CostLowered, ChargeRaised, CostRaised];
    assert_eq!(kinds, expected);
}

/// Prices the world's call, with these taxes in the money of both, and tells what moves: kind, amount, tax.
#[track_caller]
fn check_taxed(
    before: Option<(TaxedPrice, &str)>,
    after: Option<(TaxedPrice, &str)>,
    expected: &[(PostingKind, i64, i64)],
) {
    let mut call = rated(&talked(rate("0.6", 1, 1), Duration::from_secs(100)));
    let charge = |(amount, taxed): (i64, Option<(TaxedPrice, &str)>)| {
        let mut charge = call.sides[0].before.clone().unwrap();
        let of = |(prices, percent): (TaxedPrice, &str)| {
            let rate = percent.parse().unwrap();
            let tax = AppliedTax { name: "VAT".into(), rate, is_compound: false, exempt: None };
            std::sync::Arc::new(AppliedTaxes::new(prices, vec![tax]).unwrap())
        };
        (charge.amount, charge.applied.taxes) = (Money(amount), taxed.map(of));
        charge
    };
    let amount = |taxed| match taxed {
        Some((TaxedPrice::WithCharge, "19")) => 1_190_000,
        Some((TaxedPrice::WithCharge, "20")) => 1_200_000,
        _ => 1_000_000,
    };
    let (old, new) = (charge((amount(before), before)), charge((amount(after), after)));
    call.sides.truncate(1);
    call.sides[0].before = Some(old.clone());
    let (role, account) = (call.sides[0].role, call.sides[0].account);
    let side = RepricedSide { role, account, before: Some(old), after: Ok(new), destination: None };
    let rerated = Rerated::new(7, LATER, &call, vec![side]);
    let postings = rerated.map(|rerated| rerated.postings).unwrap_or_default();
    let tax = |posting: &Posting| posting.tax.as_ref().map_or(0, |tax| tax.contained.0);
    let moved: Vec<_> =
        postings.iter().map(|posting| (posting.kind, posting.amount.0, tax(posting))).collect();
    assert_eq!(moved, expected);
    let ops: std::collections::BTreeSet<_> = postings.iter().map(|posting| posting.op).collect();
    assert_eq!(ops.len(), postings.len(), "each has its own id");
}

#[test]
fn what_stood_with_other_taxes_is_given_back_with_them() {
    use PostingKind::{ChargeLowered as Back, ChargeRaised as Taken};
    use TaxedPrice::{Included, OnStatement, WithCharge};
    let (with, on) = (Some((WithCharge, "19")), Some((OnStatement, "19")));
    check_taxed(with, with, &[]);
    check_taxed(with, None, &[(Back, 1_190_000, 190_000), (Taken, 1_000_000, 0)]);
    check_taxed(None, with, &[(Back, 1_000_000, 0), (Taken, 1_190_000, 190_000)]);
    check_taxed(with, on, &[(Back, 1_190_000, 190_000), (Taken, 1_000_000, 0)]);
    let raised = Some((WithCharge, "20"));
    check_taxed(with, raised, &[(Back, 1_190_000, 190_000), (Taken, 1_200_000, 200_000)]);
    // The amount is the same, what of it is tax is not.
    let included = Some((Included, "19"));
    check_taxed(None, included, &[(Back, 1_000_000, 0), (Taken, 1_000_000, 159_664)]);
}

#[test]
fn another_rate_of_the_same_price_is_named_and_moves_nothing() {
    let world = talked(rate("0.6", 1, 1), Duration::from_secs(61));
    let mut newer = row("49", rate("0.6", 1, 1));
    newer.sheet_version = 8;
    let book = world.book.change().group(group(CUSTOMER_GROUP, &[newer])).build().unwrap();
    assert_eq!(rerate(&world, &book, Sides::All), 0);
    let (_, last) = world.journal.records().pop().unwrap();
    let Record::Rerated(rerated) = last else { panic!("{last:?}") };
    let after = rerated.sides[0].after.as_ref().unwrap();
    assert_eq!((rerated.sides.len(), after.applied.sheet_version), (1, 8));
    let length = world.journal.len();
    rerate(&world, &book, Sides::All);
    assert_eq!(world.journal.len(), length);
}

#[test]
fn the_new_price_is_told_line_by_line() {
    let world = talked(rate("0.6", 1, 1), Duration::from_secs(61));
    rerate(&world, &book_with(rate("1.2", 60, 60), rate("0.01", 60, 60)), Sides::Payers);
    let (_, last) = world.journal.records().pop().unwrap();
    let Record::Rerated(rerated) = last else { panic!("{last:?}") };
    assert_eq!(rerated.lines[0].sentence, "Charge was 0.610000 EUR, is 2.400000 EUR.");
    assert!(rerated.lines.iter().any(|line| line.code == "time"), "{:?}", rerated.lines);
}

/// Why the sides of a call of 61 s cannot be priced with this book.
#[track_caller]
fn check_unpriced(book: &RateBook, expected: [Option<Unpriced>; 2]) {
    let world = talked(rate("0.6", 1, 1), Duration::from_secs(61));
    let call = rated(&world);
    let repriced = reprice(book, &eur, &call, Sides::All);
    let errors: Vec<_> = repriced.iter().map(|side| side.after.as_ref().err().copied()).collect();
    assert_eq!(errors, expected);
    let before = balances(&world);
    rerate(&world, book, Sides::All);
    let untouched =
        |index: usize| expected[index].is_none() || balances(&world)[index] == before[index];
    assert!(untouched(0) && untouched(1));
}

#[test]
fn what_cannot_be_priced_keeps_its_price_and_says_why() {
    let first = rate("0.6", 1, 1);
    let full = book_with(first, rate("0.01", 60, 60));
    let none = billing::AccountTariff::default;
    check_unpriced(&full, [None, None]);
    let no_customer = full.change().account(CUSTOMER, none()).build().unwrap();
    check_unpriced(&no_customer, [Some(Unpriced::NoRateGroup), None]);
    let no_carrier = full.change().account(CHEAP, none()).build().unwrap();
    check_unpriced(&no_carrier, [None, Some(Unpriced::NoRateGroup)]);
    let no_rate = full.change().group(group(CUSTOMER_GROUP, &[row("33", first)])).build().unwrap();
    check_unpriced(&no_rate, [Some(Unpriced::NoRate), None]);
    let mut blocked = first;
    blocked.is_blocked = true;
    let blocked = full.change().group(group(CUSTOMER_GROUP, &[row("4930", blocked)])).build();
    check_unpriced(&blocked.unwrap(), [Some(Unpriced::Blocked), None]);
    let call = rated(&talked(first, Duration::from_secs(61)));
    let error = |currency: &dyn Fn(AccountId) -> Option<Currency>| {
        reprice(&full, currency, &call, Sides::Payers)[0].after.clone().unwrap_err()
    };
    assert_eq!(error(&|_| None), Unpriced::NoAccount);
    assert_eq!(error(&|_| Some(Currency::USD)), Unpriced::CurrencyDiffers);
}

#[test]
fn an_unpriced_side_is_recycled_or_gets_its_error_code() {
    let world = talked(rate("0.6", 1, 1), Duration::from_secs(61));
    let mut call = rated(&world);
    call.sides[0].before = None;
    let recycled = |book: &RateBook| {
        let repriced = reprice(book, &eur, &call, Sides::Unpriced);
        assert_eq!(repriced.iter().map(|side| side.role).collect::<Vec<_>>(), [Role::Payer(0)]);
        Rerated::new(7, LATER, &call, repriced).unwrap()
    };
    let good = recycled(&book_with(rate("0.6", 1, 1), rate("0.01", 60, 60)));
    assert_eq!(good.sides[0].after.as_ref().unwrap().amount, Money(610_000));
    assert_eq!((good.sides[0].error.as_ref(), good.postings.len()), (None, 1));
    let none = billing::AccountTariff::default();
    let bad = recycled(&world.book.change().account(CUSTOMER, none).build().unwrap());
    assert_eq!(bad.sides[0].error.as_deref(), Some("no_rate_group"));
    assert_eq!((bad.sides[0].after.as_ref(), bad.postings.len()), (None, 0));
    let codes: Vec<_> = Unpriced::ALL.iter().map(|why| why.code()).collect();
    assert!(codes.contains(&"no_rate_group"));
}

#[test]
fn nobody_is_charged_alone_in_a_chain() {
    let world = talked(rate("0.6", 1, 1), Duration::from_secs(61));
    let mut call = rated(&world);
    let reseller = billing::RatedSide {
        role: Role::Payer(1),
        account: AccountId(77),
        ..call.sides[0].clone()
    };
    call.sides.insert(1, reseller);
    let repriced = reprice(&world.book, &eur, &call, Sides::Payers);
    let why: Vec<_> = repriced.iter().map(|side| side.after.clone().unwrap_err()).collect();
    assert_eq!(why, [Unpriced::OtherPayer, Unpriced::NoRateGroup]);
}

#[test]
fn unanswered_calls_and_calls_of_nobody_have_nothing_to_price() {
    let world = talked(rate("0.6", 1, 1), Duration::from_secs(61));
    let by = RatedBy::cld("49301234".parse().unwrap());
    let mut legs: Vec<RatedLeg> = last_cdrs(&world).iter().map(RatedLeg::from).collect();
    legs.iter_mut().for_each(|leg| leg.answered_at = None);
    assert_eq!(RatedCall::of_legs(call(1), 0, START, by, &legs), None);
    assert_eq!(RatedCall::of_legs(call(1), 0, START, by, &[]), None);
}

/// B6: what a draft shows is what pricing again with it gives, to the micro-unit.
#[test]
fn a_dry_run_shows_what_rerating_would_do() {
    let (old, new) = (rate("0.6", 1, 1), rate("0.7", 30, 6));
    let begins = Utc(START.0 + 30 * 86_400_000_000);
    let from = |start, rate| {
        let mut newer = row("4930", rate);
        newer.valid_from = start;
        newer
    };
    let with =
        |id, rows: &[billing::RateRow]| book(old).change().group(group(id, rows)).build().unwrap();
    let amounts =
        |sides: &[RepricedSide]| -> Vec<Money> { sides.iter().map(RepricedSide::stands).collect() };
    let draft = billing::Draft { group: CUSTOMER_GROUP, at: begins };
    let (mut day, mut day_made) = (Effect::default(), Effect::default());
    for seconds in [0, 1, 29, 31, 61, 3_600] {
        let call = rated(&talked(old, Duration::from_secs(seconds)));
        let dated = with(CUSTOMER_GROUP, &[row("49", old), from(Some(begins), new)]);
        let shown = billing::dry_run(&dated, &eur, &call, draft);
        // The same rates, in force when the call was made.
        let committed = with(CUSTOMER_GROUP, &[row("49", old), from(None, new)]);
        let made = reprice(&committed, &eur, &call, Sides::All);
        assert_eq!(amounts(&shown), amounts(&made), "{seconds} s");
        assert_eq!(shown[1].difference(), Money::ZERO, "the carrier's price is not touched");
        day.add(&call, &shown);
        day_made.add(&call, &made);
        let before = billing::Draft { at: Utc(begins.0 - 1_000_000), ..draft };
        let same = billing::dry_run(&dated, &eur, &call, before);
        assert!(!same.iter().any(RepricedSide::is_changed), "not yet in force");
    }
    assert_eq!(day, day_made);
    assert!(day.totals()[b"EUR"].revenue.after > day.totals()[b"EUR"].revenue.before);
    let call = rated(&talked(old, Duration::from_secs(61)));
    let dearer = from(Some(begins), rate("0.02", 60, 60));
    let dated = with(CHEAP_GROUP, &[row("4930", rate("0.01", 60, 60)), dearer]);
    let draft = billing::Draft { group: CHEAP_GROUP, at: begins };
    let shown = billing::dry_run(&dated, &eur, &call, draft);
    assert_eq!((shown[0].difference(), shown[1].difference()), (Money::ZERO, Money(20_000)));

    // B6: dearer than the other carrier, it is asked after it; by priority it stays first.
    let other = (2, CARRIER);
    let expensive = from(Some(begins), rate("9", 60, 60));
    let dated = with(CHEAP_GROUP, &[row("4930", rate("0.0001", 60, 60)), expensive]);
    let order = |priority| {
        let candidates = [(priority, CHEAP), other];
        billing::carrier_order(&dated, &eur, &call, &candidates, draft)
    };
    assert_eq!(order(2), Some((vec![CHEAP, CARRIER], vec![CARRIER, CHEAP])));
    assert_eq!(order(1), None);
    let customers = billing::Draft { group: CUSTOMER_GROUP, ..draft };
    assert_eq!(billing::carrier_order(&dated, &eur, &call, &[(1, CHEAP), other], customers), None);
}

/// A discount of the week of the call still counts, although the rates begin a month later.
#[test]
fn a_dry_run_keeps_the_time_of_the_call_for_discounts() {
    let charge = rate("0.6", 1, 1);
    let begins = Utc(START.0 + 30 * 86_400_000_000);
    let call = rated(&talked(charge, Duration::from_secs(60)));
    let half = billing::Discount {
        name: "this week".into(),
        destinations: std::sync::Arc::new(billing::DestinationSet::new(["49"]).unwrap()),
        site: None,
        valid_from: Some(START),
        valid_till: Some(Utc(START.0 + 7 * 86_400_000_000)),
        percent: "50".parse().unwrap(),
    };
    let mut newer = row("4930", rate("1.2", 1, 1));
    newer.valid_from = Some(begins);
    let plain = book(charge).change().group(group(CUSTOMER_GROUP, &[row("49", charge), newer]));
    let plain = plain.build().unwrap();
    let tariff = plain.tariff(CUSTOMER).unwrap().clone();
    let tariff = billing::AccountTariff { discounts: [half].into(), ..tariff };
    let book = plain.change().account(CUSTOMER, tariff).build().unwrap();
    let draft = billing::Draft { group: CUSTOMER_GROUP, at: begins };
    let shown = billing::dry_run(&book, &eur, &call, draft);
    assert_eq!(shown[0].stands(), Money(600_000), "1.2 a minute, half off");
}

/// The posted sums as a projection would have loaded them from records up to `applied`.
fn replayed(world: &World, applied: usize) -> Ledger {
    let ledger = Ledger::new();
    let terms = Terms::postpaid(Currency::EUR, Money::units(1_000_000));
    for account in [CUSTOMER, CARRIER, CHEAP] {
        ledger.set_terms(account, terms).unwrap();
    }
    let records = world.journal.records();
    let mut first = Recovery::new(&ledger, Position(0));
    records[..applied].iter().for_each(|(position, record)| first.record(*position, record));
    first.finish();
    let mut again = Recovery::new(&ledger, Position(applied as u64));
    records.iter().for_each(|(position, record)| again.record(*position, record));
    again.finish();
    ledger
}

#[test]
fn a_replay_from_any_position_gives_the_same_balances() {
    let world = talked(rate("0.6", 1, 1), Duration::from_secs(61));
    rerate(&world, &book_with(rate("1.2", 60, 60), rate("0.03", 60, 60)), Sides::All);
    rerate(&world, &book_with(rate("0.1", 60, 60), rate("0.02", 60, 60)), Sides::All);
    let length = world.journal.len();
    for applied in [length - 2, length - 1, length] {
        let ledger = replayed(&world, applied);
        for account in [CUSTOMER, CHEAP] {
            let is = ledger.account(account).unwrap().counters.balance();
            assert_eq!(is.to_string(), world.balance(account), "from {applied}");
        }
    }
}

fn any_price() -> impl Strategy<Value = Rate> {
    (0..3_000_000_000_i64, 0..500_000_000_i64, 1..90_u32, 1..90_u32, 0..60_u32).prop_map(
        |(price, fee, first, next, free)| {
            let mut rate = rate("0", first, next);
            rate.price = billing::Price::from_nanos(price).unwrap();
            rate.connect_fee = billing::Price::from_nanos(fee).unwrap();
            rate.free_seconds = free;
            rate
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// J-26: however often and to whatever it was priced in between.
    #[test]
    fn the_balance_is_that_of_a_call_first_priced_so(
        rates in proptest::collection::vec((any_price(), any_price()), 2..6),
        millis in 0..3_000_000_u64,
    ) {
        let long = Duration::from_millis(millis);
        let world = talked(rates[0].0, long);
        for (charge, cost) in &rates {
            let book = book_with(*charge, *cost);
            rerate(&world, &book, Sides::All);
            let sides: Vec<RepricedSide> = reprice(&book, &eur, &rated(&world), Sides::All);
            prop_assert!(!sides.iter().any(RepricedSide::is_changed), "a second time changes nothing");
        }
        world.check_over();
        let (charge, _) = rates.last().unwrap();
        prop_assert_eq!(world.balance(CUSTOMER), talked(*charge, long).balance(CUSTOMER));
        let posted: i64 = [CUSTOMER, CHEAP, CARRIER].iter().map(|account| {
            world.ledger.account(*account).unwrap().counters.balance().0
        }).sum();
        let ours: i64 = [billing::SystemKind::Revenue, billing::SystemKind::Cost, billing::SystemKind::Cash]
            .iter()
            .map(|kind| {
                let account = billing::SystemAccount { kind: *kind, currency: Currency::EUR };
                world.ledger.system(account).balance().0
            })
            .sum();
        prop_assert_eq!(posted + ours, 0);
    }
}
