//! Steps, periods, surcharges, callers, caps, discounts and currencies: what each does, and what
//! holds for any mix of them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use billing::{
    AfterCap, Answered, AppliedDiscount, AppliedRate, AppliedSpecial, Calendar, CallQuery, Cap,
    Currency, Days, DestinationSet, Discount, DurationRounding, Exchange, ExchangeRate, GroupTerms,
    Money, MoneyMode, MoneyRounding, OriginTerms, PayerTerms, Percent, Period, PeriodChoice, Price,
    Rate, RateGroup, RateGroupId, RateRow, SpecialTerms, Step, Surcharge, SurchargeAmount, Talk,
    TimePrice, Window, Zone, explain, max_talk, price, whole_seconds,
};
use proptest::prelude::*;
use vocabulary::{Location, Number, Utc};

fn price_of(text: &str) -> Price {
    text.parse().unwrap()
}

fn number(text: &str) -> Number {
    text.parse().unwrap()
}

/// Seconds since 1970 as the wall clock in a zone shows them, for tests far from a change.
fn utc(second: i64) -> Utc {
    Utc(second * 1_000_000)
}

/// 2026-11-23, a Monday, 00:00 UTC.
const MONDAY: i64 = 1_795_392_000;

fn time_price(name: &str, price: &str, first: u32, next: u32) -> TimePrice {
    TimePrice {
        name: name.into(),
        ..TimePrice::of(&Rate::per_minute(price_of(price), first, next))
    }
}

fn period(name: &str, days: Days, from: u32, till: u32, price: &str) -> Period {
    Period {
        days,
        from_second: from * 3600,
        till_second: till * 3600,
        price: time_price(name, price, 1, 1),
    }
}

fn calendar(zone: &str, choice: PeriodChoice, periods: Vec<Period>) -> Arc<Calendar> {
    let holidays = ["2026-12-25".parse().unwrap()].into();
    Arc::new(Calendar {
        zone: Zone::named(zone).unwrap(),
        holidays,
        periods: periods.into(),
        choice,
    })
}

fn group(rate: Rate, own: SpecialTerms, of_group: Option<SpecialTerms>) -> RateGroup {
    let mut builder = RateGroup::builder(GroupTerms {
        id: RateGroupId(1),
        name: "retail".into(),
        currency: Currency::EUR,
        money_rounding: MoneyRounding::default(),
        special: of_group.map(Arc::new),
    });
    let special = (!own.is_empty()).then(|| Arc::new(own));
    builder.row(&RateRow { special, ..common::row("49", rate) }).unwrap();
    builder.build()
}

fn applied_at(at: Utc, cli: Option<&str>, group: &RateGroup) -> AppliedRate {
    let (cld, cli) = (number("49301234"), cli.map(number));
    let call = CallQuery {
        cld: &cld,
        cli: cli.as_ref(),
        at,
        in_force_at: at,
        site: None,
        location: Location::default(),
    };
    let payer = PayerTerms {
        duration_rounding: DurationRounding::Up,
        currency: Currency::EUR,
        exchange: None,
        discounts: &[],
    };
    group.apply(&call, &payer).unwrap()
}

fn talk(at: Utc, seconds: u32) -> Talk {
    Talk::answered(at, Duration::from_secs(seconds.into()))
}

#[track_caller]
fn check(applied: &AppliedRate, at: Utc, expected: &[(u32, u32, &str)]) {
    for (seconds, billed, amount) in expected {
        let charge = explain(applied, &talk(at, *seconds)).unwrap();
        let got = (charge.billed_seconds, charge.amount);
        assert_eq!(got, (*billed, amount.parse().unwrap()), "{seconds} s: {:?}", charge.lines);
    }
}

fn plain(price: &str) -> Rate {
    Rate::per_minute(price_of(price), 1, 1)
}

#[test]
fn a_step_holds_from_its_second_and_an_increment_is_not_cut_by_it() {
    let step = |from_seconds, price: &str, increment| Step {
        from_seconds,
        price: price_of(price),
        unit_seconds: 60,
        increment,
    };
    let steps = Some([step(60, "0.6", 10), step(120, "0", 1)].into());
    let terms = SpecialTerms { steps, ..SpecialTerms::default() };
    let rate = Rate::per_minute(price_of("1.2"), 60, 60);
    let applied = applied_at(utc(0), None, &group(rate, terms.clone(), None));
    check(&applied, utc(0), &[(1, 60, "1.2"), (60, 60, "1.2"), (61, 70, "1.3")]);
    check(&applied, utc(0), &[(119, 120, "1.8"), (121, 121, "1.8"), (4000, 4000, "1.8")]);
    // An increment of 45 s that begins at 45 is the first price's to its end at 90.
    let rate = Rate::per_minute(price_of("1.2"), 45, 45);
    let applied = applied_at(utc(0), None, &group(rate, terms, None));
    check(&applied, utc(0), &[(46, 90, "1.8"), (91, 100, "1.9")]);
}

#[test]
fn each_increment_takes_the_price_of_its_start_or_all_the_answer_s() {
    let day = || vec![period("day", Days::WORKDAYS, 8, 18, "0.6")];
    let with = |choice| SpecialTerms {
        calendar: Some(calendar("UTC", choice, day())),
        ..SpecialTerms::default()
    };
    let (came, answered) = (utc(MONDAY + 8 * 3600 - 120), utc(MONDAY + 8 * 3600 - 60));
    let split = group(plain("0.06"), with(PeriodChoice::EachIncrement), None);
    let split = applied_at(came, None, &split);
    check(&split, answered, &[(60, 60, "0.06"), (61, 61, "0.07"), (120, 120, "0.66")]);
    let at_answer = group(plain("0.06"), with(PeriodChoice::AtAnswer), None);
    let at_answer = applied_at(came, None, &at_answer);
    check(&at_answer, answered, &[(120, 120, "0.12")]);
    check(&at_answer, utc(MONDAY + 8 * 3600), &[(120, 120, "1.2")]);
    // Increments of a minute: the one that begins before eight is the night's to its end.
    let rate = Rate::per_minute(price_of("0.06"), 60, 60);
    let mut minutes = day();
    minutes[0].price = time_price("day", "0.6", 60, 60);
    let terms = SpecialTerms {
        calendar: Some(calendar("UTC", PeriodChoice::EachIncrement, minutes)),
        ..SpecialTerms::default()
    };
    let applied = applied_at(came, None, &group(rate, terms, None));
    let answered = utc(MONDAY + 8 * 3600 - 90);
    check(&applied, answered, &[(61, 120, "0.12"), (121, 180, "0.72")]);
    // Half a second before the boundary, the second increment begins half a second after it.
    let answered = Utc((MONDAY + 8 * 3600) * 1_000_000 - 500_000);
    check(&split, answered, &[(1, 1, "0.001"), (2, 2, "0.011")]);
}

#[test]
fn a_call_over_days_meets_each_period_again() {
    let periods = vec![
        period("holiday", Days::HOLIDAYS, 0, 24, "0"),
        period("night", Days::ALL, 22, 6, "0.06"),
    ];
    let terms = SpecialTerms {
        calendar: Some(calendar("UTC", PeriodChoice::EachIncrement, periods)),
        ..SpecialTerms::default()
    };
    let group = group(plain("0.6"), terms, None);
    // From Monday 21:00: one hour by day, eight by night, 16 by day, two by night.
    let start = utc(MONDAY + 21 * 3600);
    let applied = applied_at(start, None, &group);
    check(&applied, start, &[(27 * 3600, 97_200, "648")]);
    // From 24 December 23:00, through the holiday, to 26 December 07:00.
    let start = utc(MONDAY + 31 * 86_400 + 23 * 3600);
    let applied = applied_at(start, None, &group);
    check(&applied, start, &[(3600, 3600, "3.6"), (25 * 3600, 90_000, "3.6")]);
    check(&applied, start, &[(32 * 3600, 115_200, "61.2")]);
}

#[test]
fn days_of_23_and_of_25_hours_have_their_hours() {
    // Berlin: 2026-03-29 has no 02:00 to 03:00; 2026-10-25 has it twice.
    let night = vec![period("night", Days::ALL, 0, 6, "0.06")];
    let terms = SpecialTerms {
        calendar: Some(calendar("Europe/Berlin", PeriodChoice::EachIncrement, night)),
        ..SpecialTerms::default()
    };
    let group = group(plain("0.6"), terms, None);
    // 00:00 on the wall is 23:00 UTC the day before in winter, 22:00 in summer.
    let short = utc(1_774_738_800);
    let applied = applied_at(short, None, &group);
    check(&applied, short, &[(5 * 3600, 18_000, "18"), (5 * 3600 + 60, 18_060, "18.6")]);
    let long = utc(1_792_879_200);
    let applied = applied_at(long, None, &group);
    check(&applied, long, &[(7 * 3600, 25_200, "25.2"), (7 * 3600 + 60, 25_260, "25.8")]);
    // A period inside the missing hour does not come; inside the doubled one, it comes twice.
    let two = vec![period("two", Days::ALL, 2, 3, "60")];
    let terms = SpecialTerms {
        calendar: Some(calendar("Europe/Berlin", PeriodChoice::EachIncrement, two)),
        ..SpecialTerms::default()
    };
    let group = crate::group(plain("0"), terms, None);
    check(&applied_at(short, None, &group), short, &[(6 * 3600, 21_600, "0")]);
    check(&applied_at(long, None, &group), long, &[(6 * 3600, 21_600, "7200")]);
}

#[test]
fn the_caller_s_prefix_chooses_price_or_surcharge() {
    let surcharge = |amount: &str| Surcharge {
        name: "origin".into(),
        amount: SurchargeAmount::Fixed(price_of(amount)),
    };
    let origins = [
        OriginTerms {
            name: "EEA".into(),
            prefixes: ["49".into(), "33".into()].into(),
            price: Some(price_of("0.6")),
            ..OriginTerms::default()
        },
        OriginTerms {
            name: "rest".into(),
            prefixes: [String::new()].into(),
            surcharges: [surcharge("1")].into(),
            ..OriginTerms::default()
        },
        OriginTerms {
            name: "unknown".into(),
            is_for_invalid: true,
            price: Some(price_of("60")),
            ..OriginTerms::default()
        },
    ];
    let terms = SpecialTerms { origins: Some(origins.into()), ..SpecialTerms::default() };
    let group = group(plain("6"), terms, None);
    for (cli, amount) in [
        (Some("4930123456"), "0.6"),
        (Some("1212555000"), "7"),
        (Some("0301234567"), "60"),
        (Some("123"), "60"),
        (None, "60"),
    ] {
        check(&applied_at(utc(0), cli, &group), utc(0), &[(60, 60, amount)]);
    }
}

#[test]
fn discount_surcharges_minimum_and_cap_follow_in_this_order() {
    let mut rate = plain("0.6");
    rate.connect_fee = price_of("0.4");
    rate.minimum_charge = price_of("2");
    let surcharges = [
        Surcharge { name: "fund".into(), amount: SurchargeAmount::Share("12.5".parse().unwrap()) },
        Surcharge { name: "payphone".into(), amount: SurchargeAmount::Fixed(price_of("0.25")) },
    ];
    let terms = SpecialTerms {
        surcharges: Some(surcharges.into()),
        cap: Some(Cap { amount: price_of("3"), after: AfterCap::Free }),
        ..SpecialTerms::default()
    };
    let group = group(rate, terms, None);
    let discounts = [Discount {
        name: "summer".into(),
        destinations: Arc::new(DestinationSet::new(["4930"]).unwrap()),
        site: None,
        valid_from: None,
        valid_till: None,
        percent: "20".parse().unwrap(),
    }];
    let (cld, at) = (number("49301234"), utc(0));
    let call = CallQuery {
        cld: &cld,
        cli: None,
        at,
        in_force_at: at,
        site: None,
        location: Location::default(),
    };
    let payer = PayerTerms {
        duration_rounding: DurationRounding::Up,
        currency: Currency::EUR,
        exchange: None,
        discounts: &discounts,
    };
    let applied = group.apply(&call, &payer).unwrap();
    // (0.40 + 0.60) × 0.8 × 1.125 + 0.25 = 1.15, at least 2.
    check(&applied, at, &[(60, 60, "2")]);
    // (0.40 + 2.40) × 0.9 + 0.25 = 2.77.
    check(&applied, at, &[(240, 240, "2.77"), (241, 241, "2.779"), (3600, 3600, "3")]);
    let codes: Vec<_> =
        explain(&applied, &talk(at, 3600)).unwrap().lines.iter().map(|l| l.code).collect();
    assert_eq!(
        codes,
        ["connect_fee", "time", "discount", "surcharge", "surcharge", "cap", "total"]
    );
}

#[test]
fn a_cap_ends_the_call_with_the_increment_that_reaches_it() {
    let capped = |after, increment| {
        let terms = SpecialTerms {
            cap: Some(Cap { amount: price_of("1"), after }),
            ..SpecialTerms::default()
        };
        let rate = Rate::per_minute(price_of("0.6"), increment, increment);
        applied_at(utc(0), None, &group(rate, terms, None))
    };
    let rich = Money::units(1_000);
    let free = capped(AfterCap::Free, 1);
    assert_eq!(max_talk(&free, utc(0), rich, 0, 86_400), Some(86_400));
    assert_eq!(explain(&free, &talk(utc(0), 9)).unwrap().disconnect_after, None);
    let ends = capped(AfterCap::Disconnect, 1);
    assert_eq!(explain(&ends, &talk(utc(0), 9)).unwrap().disconnect_after, Some(100));
    assert_eq!(max_talk(&ends, utc(0), rich, 0, 86_400), Some(100));
    assert_eq!(max_talk(&ends, utc(0), Money(990_000), 0, 86_400), Some(99));
    assert_eq!(max_talk(&ends, utc(0), rich, 50, 86_400), Some(150));
    let minutes = capped(AfterCap::Disconnect, 60);
    assert_eq!(max_talk(&minutes, utc(0), rich, 0, 86_400), Some(120));
    check(&minutes, utc(0), &[(60, 60, "0.6"), (61, 120, "1"), (200, 240, "1")]);
}

#[test]
fn bundles_pay_first_and_the_paid_part_begins_after_them() {
    let rate = Rate::per_minute(price_of("0.6"), 30, 6);
    let applied = applied_at(utc(0), None, &group(rate, SpecialTerms::default(), None));
    for (lasted, bundle_seconds, billed, from_bundles, amount) in [
        (59, 60, 0, 59, "0"),
        (60, 60, 0, 60, "0"),
        (61, 60, 30, 60, "0.3"),
        (97, 60, 42, 60, "0.42"),
    ] {
        let lasted = Duration::from_secs(lasted);
        let talk = Talk::Answered(Answered { at: utc(0), lasted, bundle_seconds });
        let charge = explain(&applied, &talk).unwrap();
        let got = (charge.billed_seconds, charge.bundle_seconds, charge.amount);
        assert_eq!(got, (billed, from_bundles, amount.parse().unwrap()), "{lasted:?}");
    }
    assert_eq!(whole_seconds(&applied, utc(0), 61, 60), 90);
    assert_eq!(whole_seconds(&applied, utc(0), 60, 60), 60);
}

#[test]
fn a_price_in_another_currency_is_converted_exactly_and_rounded_once() {
    // R12: 0.0137 USD a minute, 35 increments of 6 s, at 0.921543 EUR: 0.044187… → 0.0442.
    let rate = Rate::per_minute(price_of("0.0137"), 6, 6);
    let mut builder = RateGroup::builder(GroupTerms {
        id: RateGroupId(1),
        name: "dollars".into(),
        currency: Currency::USD,
        money_rounding: MoneyRounding { mode: MoneyMode::HalfUp, decimals: 4 },
        special: None,
    });
    builder.row(&common::row("49", rate)).unwrap();
    let (cld, at) = (number("49301234"), utc(0));
    let call = CallQuery {
        cld: &cld,
        cli: None,
        at,
        in_force_at: at,
        site: None,
        location: Location::default(),
    };
    let payer = PayerTerms {
        duration_rounding: DurationRounding::Up,
        currency: Currency::EUR,
        exchange: ExchangeRate::new(price_of("0.921543")),
        discounts: &[],
    };
    let applied = builder.build().apply(&call, &payer).unwrap();
    assert_eq!(applied.currency, Currency::EUR);
    check(&applied, at, &[(205, 210, "0.0442")]);
}

#[test]
fn lines_are_rounded_one_by_one_if_the_sheet_says_so() {
    // cgrates #260 as its writer wanted it: each of the lines 0.15 and 0.02 by itself.
    let rounding = Some(MoneyRounding { mode: MoneyMode::Up, decimals: 2 });
    let terms = SpecialTerms { line_rounding: rounding, ..SpecialTerms::default() };
    let mut rate = Rate::per_minute(price_of("0.05"), 1, 1);
    rate.connect_fee = price_of("0.145");
    let applied = applied_at(utc(0), None, &group(rate, terms, None));
    check(&applied, utc(0), &[(13, 13, "0.17"), (24, 24, "0.17"), (25, 25, "0.18")]);
}

#[test]
fn a_destination_overrides_its_group_field_by_field() {
    let cap = |amount: &str| Some(Cap { amount: price_of(amount), after: AfterCap::Free });
    let rounding = Some(MoneyRounding { mode: MoneyMode::Up, decimals: 2 });
    let of_group =
        SpecialTerms { cap: cap("1"), money_rounding: rounding, ..SpecialTerms::default() };
    let own = SpecialTerms { cap: cap("0.5"), ..SpecialTerms::default() };
    let inherits = group(plain("0.6"), SpecialTerms::default(), Some(of_group.clone()));
    check(&applied_at(utc(0), None, &inherits), utc(0), &[(600, 600, "1")]);
    let overrides = group(plain("0.617"), own, Some(of_group));
    let overrides = applied_at(utc(0), None, &overrides);
    check(&overrides, utc(0), &[(7, 7, "0.08"), (600, 600, "0.5")]);
}

fn any_price() -> impl Strategy<Value = Price> {
    prop_oneof![1 => Just(0_i64), 3 => 1..2_000_000_000_i64]
        .prop_map(|nanos| Price::from_nanos(nanos).unwrap())
}

fn any_unit() -> impl Strategy<Value = u32> {
    prop_oneof![3 => Just(60_u32), 1 => Just(1), 1 => Just(3600), 1 => Just(180)]
}

fn any_time_price() -> impl Strategy<Value = TimePrice> {
    let step = (any_price(), any_unit(), 1..90_u32, 1..400_u32);
    let steps = proptest::collection::vec(step, 0..3);
    (any_price(), any_price(), any_unit(), 1..90_u32, 1..90_u32, steps).prop_map(
        |(connect_fee, price, unit_seconds, first_increment, next_increment, steps)| {
            let mut from_seconds = 0;
            let step = |(price, unit_seconds, increment, after)| {
                from_seconds += after;
                Step { from_seconds, price, unit_seconds, increment }
            };
            let steps = steps.into_iter().map(step).collect();
            let name = String::new();
            TimePrice {
                name,
                connect_fee,
                price,
                unit_seconds,
                first_increment,
                next_increment,
                steps,
            }
        },
    )
}

fn any_rounding() -> impl Strategy<Value = MoneyRounding> {
    let modes = [MoneyMode::Up, MoneyMode::Down, MoneyMode::HalfUp, MoneyMode::HalfEven];
    (0..4_usize, 0..=6_u8)
        .prop_map(move |(mode, decimals)| MoneyRounding { mode: modes[mode], decimals })
}

fn any_special() -> impl Strategy<Value = AppliedSpecial> {
    let prices = proptest::collection::vec(any_time_price(), 1..4);
    let windows = proptest::collection::vec((0..1_000_i64, 0..100_u16), 0..6);
    let surcharge = prop_oneof![
        any_price().prop_map(SurchargeAmount::Fixed),
        (0..10_000_u32)
            .prop_map(|share| SurchargeAmount::Share(Percent::from_hundredths(share).unwrap())),
    ];
    let surcharges = proptest::collection::vec(surcharge, 0..3);
    let cap = proptest::option::of((any_price(), any::<bool>()));
    let rest = (
        proptest::option::of(0..=10_000_u32),
        proptest::option::of(any_rounding()),
        proptest::option::of(1..3_000_000_000_i64),
    );
    (prices, windows, any::<bool>(), surcharges, cap, rest).prop_map(
        |(prices, windows, is_split, surcharges, cap, (discount, line_rounding, exchange))| {
            let mut from = -100_000_000;
            let window = |(after, price): (i64, u16)| {
                from += after * 1_000_000 + after;
                Window { from: Utc(from), price: price % prices.len() as u16 }
            };
            let windows = windows.into_iter().map(window).collect();
            AppliedSpecial {
                windows,
                prices: prices.into(),
                is_split,
                origin: None,
                surcharges: surcharges
                    .into_iter()
                    .map(|amount| Surcharge { name: "s".into(), amount })
                    .collect(),
                discount: discount.map(|percent| AppliedDiscount {
                    name: "d".into(),
                    percent: Percent::from_hundredths(percent).unwrap(),
                }),
                cap: cap.map(|(amount, ends)| Cap {
                    amount,
                    after: if ends { AfterCap::Disconnect } else { AfterCap::Free },
                }),
                line_rounding,
                exchange: exchange.map(|rate| Exchange {
                    from: Currency::USD,
                    rate: ExchangeRate::new(Price::from_nanos(rate).unwrap()).unwrap(),
                }),
            }
        },
    )
}

fn any_applied() -> impl Strategy<Value = AppliedRate> {
    let often_zero = || prop_oneof![2 => Just(0_u32), 1 => 1..90_u32];
    let seconds = (often_zero(), often_zero(), often_zero(), any_price());
    let roundings = [DurationRounding::Up, DurationRounding::Nearest, DurationRounding::Down];
    let special = proptest::option::weighted(0.9, any_special());
    (any_time_price(), seconds, special, any_rounding(), 0..3_usize).prop_map(
        move |(base, (grace, free, minimum, minimum_charge), special, money_rounding, duration)| {
            let mut rate = Rate::per_minute(base.price, base.first_increment, base.next_increment);
            rate.unit_seconds = base.unit_seconds;
            rate.connect_fee = base.connect_fee;
            rate.minimum_charge = minimum_charge;
            rate.grace_seconds = grace;
            rate.free_seconds = free;
            rate.minimum_seconds = minimum;
            AppliedRate {
                rate,
                duration_rounding: roundings[duration],
                money_rounding,
                currency: Currency::EUR,
                group: RateGroupId(1),
                sheet_version: 1,
                prefix_length: 2,
                is_by_lrn: false,
                special: special.map(Arc::new),
                taxes: None,
            }
        },
    )
}

fn cost(applied: &AppliedRate, seconds: u32, bundle_seconds: u32) -> Money {
    let lasted = Duration::from_secs(seconds.into());
    price(applied, &Talk::Answered(Answered { at: utc(0), lasted, bundle_seconds })).unwrap()
}

fn many() -> ProptestConfig {
    // TANDEM_RATING_CASES=1000000 with --release for the long run.
    let cases = std::env::var("TANDEM_RATING_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig::with_cases(cases.unwrap_or(2_000))
}

proptest! {
    #![proptest_config(many())]

    #[test]
    fn a_longer_talk_never_costs_less(
        applied in any_applied(),
        mut talks in proptest::collection::vec(0..2_000_000_u64, 2..12),
        bundle_seconds in prop_oneof![Just(0), 1..300_u32],
    ) {
        talks.sort_unstable();
        let cost = |millis: &u64| {
            let lasted = Duration::from_millis(*millis);
            price(&applied, &Talk::Answered(Answered { at: utc(0), lasted, bundle_seconds })).unwrap()
        };
        prop_assert!(talks.iter().map(cost).is_sorted());
    }

    #[test]
    fn the_longest_talk_is_the_exact_inverse(
        applied in any_applied(),
        balance in 0..60_000_000_i64,
        bundle in prop_oneof![Just(0), 1..300_u32],
    ) {
        let (balance, limit) = (Money(balance), 3_000);
        match max_talk(&applied, utc(0), balance, bundle, limit) {
            None => prop_assert!(cost(&applied, 0, bundle) > balance),
            Some(longest) => {
                prop_assert!(cost(&applied, longest, bundle) <= balance);
                let is_cut = {
                    let lasted = Duration::from_secs(1);
                    let talk = Answered { at: utc(0), lasted, bundle_seconds: bundle };
                    let end = explain(&applied, &Talk::Answered(talk)).unwrap().disconnect_after;
                    end.is_some_and(|end| longest >= end)
                };
                if longest < limit && !is_cut {
                    prop_assert!(cost(&applied, longest + 1, bundle) > balance);
                }
            }
        }
    }

    #[test]
    fn the_end_of_an_increment_costs_what_its_seconds_cost(
        applied in any_applied(),
        seconds in 1..3_000_u32,
        bundle in prop_oneof![Just(0), 1..300_u32],
    ) {
        let end = whole_seconds(&applied, utc(0), seconds, bundle);
        prop_assert!(end >= seconds);
        if seconds > applied.rate.grace_seconds {
            prop_assert_eq!(cost(&applied, end, bundle), cost(&applied, seconds, bundle));
        }
        prop_assert_eq!(whole_seconds(&applied, utc(0), end, bundle), end);
    }

    #[test]
    fn the_explanation_and_the_packed_rate_give_the_same_price(
        applied in any_applied(),
        millis in 0..3_000_000_u64,
        bundle_seconds in prop_oneof![Just(0), 1..300_u32],
    ) {
        let lasted = Duration::from_millis(millis);
        let talk = Talk::Answered(Answered { at: utc(0), lasted, bundle_seconds });
        let amount = price(&applied, &talk).unwrap();
        prop_assert_eq!(explain(&applied, &talk).unwrap().amount, amount);
        let again = AppliedRate::from_bytes(&applied.to_bytes()).unwrap();
        prop_assert_eq!(&again, &applied);
        prop_assert_eq!(price(&again, &talk).unwrap(), amount);
    }
}
