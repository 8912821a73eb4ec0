//! What is due: each period once, whenever the job runs; parts of periods sum up; days and months
//! are those of the account's time zone.
#![allow(clippy::unwrap_used)] // in a test it is an assertion

use billing::Money;
use billing::plans::{
    AccountCalendar, Anchor, AtEnd, AtStart, Base, Bundle, Day, Due, DueKind, Every, Fee,
    GrowthDiscount, Percent, Plan, PlanError, Shortage, Subscription, Tier, TierError, TierMethod,
    Tiers, Validity, Zone, due, growth_discount, next_due, volume_discount,
};
use proptest::prelude::*;
use vocabulary::Utc;

fn calendar(zone: &str) -> AccountCalendar {
    AccountCalendar { zone: Zone::named(zone).unwrap(), billing_day: 15 }
}

/// A day's first moment in the zone.
fn at(zone: &str, day: &str) -> Utc {
    Zone::named(zone).unwrap().begin_of(day.parse().unwrap())
}

fn fee(every: Option<Every>, anchor: Anchor, amount: &str) -> Fee {
    Fee {
        item: 1,
        label: "Monthly fee".into(),
        amount: amount.parse().unwrap(),
        every,
        anchor,
        at_start: AtStart::ByDay,
        at_end: AtEnd::ByDay,
        shortage: Shortage::Debt,
    }
}

fn plan(fee: Fee) -> Plan {
    Plan { fees: vec![fee], bundles: Vec::new(), decimals: 2 }
}

fn from(starts_at: Utc) -> Subscription {
    Subscription { id: 7, quantity: 1, starts_at, ends_at: None, end_known_at: None }
}

/// `2026-01-15 10.00` of fees, `-` before refunds.
fn told(dues: &[Due]) -> Vec<String> {
    let line = |due: &Due| match due.kind {
        DueKind::Fee { amount } => format!("{} {:.5}", due.from, amount.to_string()),
        DueKind::Refund { amount } => format!("{} -{:.5}", due.from, amount.to_string()),
        DueKind::Grant { seconds, .. } => format!("{} {seconds:?} s", due.from),
    };
    dues.iter().map(line).collect()
}

#[track_caller]
fn check(zone: &str, plan: &Plan, subscription: &Subscription, until: &str, expected: &[&str]) {
    let dues = due(&calendar(zone), plan, subscription, None, at(zone, until)).unwrap();
    assert_eq!(told(&dues), expected);
}

#[test]
fn every_period_of_the_trade_is_charged_where_it_begins() {
    let start = from(at("UTC", "2026-01-31"));
    let of = |every| plan(fee(Some(every), Anchor::Start, "10"));
    // V-07, V-06, J-20 to J-22
    check("UTC", &of(Every::Day), &start, "2026-02-01", &["2026-01-31 10.00", "2026-02-01 10.00"]);
    check("UTC", &of(Every::Week), &start, "2026-02-13", &["2026-01-31 10.00", "2026-02-07 10.00"]);
    let months = ["2026-01-31 10.00", "2026-02-28 10.00", "2026-03-31 10.00"];
    check("UTC", &of(Every::Month), &start, "2026-04-29", &months);
    check(
        "UTC",
        &of(Every::Quarter),
        &start,
        "2026-07-29",
        &["2026-01-31 10.00", "2026-04-30 10.00"],
    );
    check(
        "UTC",
        &of(Every::HalfYear),
        &start,
        "2026-07-31",
        &["2026-01-31 10.00", "2026-07-31 10.00"],
    );
    check("UTC", &of(Every::Year), &start, "2027-01-31", &["2026-01-31 10.00", "2027-01-31 10.00"]);
    // J-24
    let once = plan(fee(None, Anchor::Start, "25"));
    check("UTC", &once, &start, "2030-01-01", &["2026-01-31 25.00"]);
}

#[test]
fn a_part_of_the_first_and_last_period_is_charged_by_its_days() {
    // 31 days in January, actual days, as Zuora's "use actual number of days"
    let mut subscription = from(at("UTC", "2026-01-22"));
    let monthly = plan(fee(Some(Every::Month), Anchor::Day(1), "31"));
    check("UTC", &monthly, &subscription, "2026-02-01", &["2026-01-22 10.00", "2026-02-01 31.00"]);
    subscription.ends_at = Some(at("UTC", "2026-02-15"));
    // the end was known from the start: 14 of 28 days of 31.00
    check("UTC", &monthly, &subscription, "2027-01-01", &["2026-01-22 10.00", "2026-02-01 15.50"]);
    // it was said on the 10th: charged whole, and given back at the end
    subscription.end_known_at = Some(at("UTC", "2026-02-10"));
    let both = ["2026-01-22 10.00", "2026-02-01 31.00", "2026-02-15 -15.50"];
    check("UTC", &monthly, &subscription, "2027-01-01", &both);
    let of = |at_start, at_end| {
        let fee = fee(Some(Every::Month), Anchor::Day(1), "31");
        plan(Fee { at_start, at_end, ..fee })
    };
    let whole = ["2026-01-22 31.00", "2026-02-01 31.00"];
    check("UTC", &of(AtStart::Whole, AtEnd::Keep), &subscription, "2027-01-01", &whole);
    check("UTC", &of(AtStart::Free, AtEnd::Keep), &subscription, "2027-01-01", &whole[1..]);
}

#[test]
fn days_and_months_are_those_of_the_account() {
    // 2026-03-31 23:30 UTC is already April in Berlin
    let start = Utc(at("UTC", "2026-04-01").0 - 1_800_000_000);
    let monthly = plan(fee(Some(Every::Month), Anchor::Day(1), "30"));
    let dues = due(&calendar("Europe/Berlin"), &monthly, &from(start), None, start).unwrap();
    assert_eq!(told(&dues), ["2026-04-01 30.00"]);
    let dues = due(&calendar("UTC"), &monthly, &from(start), None, start).unwrap();
    // one of 31 days of 30.00, to two decimals
    assert_eq!(told(&dues), ["2026-03-31 0.970"]);
    // a day of 23 hours and one of 25 cost what any day costs
    let daily = plan(fee(Some(Every::Day), Anchor::Start, "1"));
    for (first, last) in [("2026-03-28", "2026-03-30"), ("2026-10-24", "2026-10-26")] {
        let zone = "Europe/Berlin";
        let dues =
            due(&calendar(zone), &daily, &from(at(zone, first)), None, at(zone, last)).unwrap();
        assert_eq!(dues.len(), 3);
        assert_eq!(dues[2].at, at(zone, last));
    }
    //
    let billed = plan(fee(Some(Every::Month), Anchor::BillingDay, "31"));
    let subscription = from(at("UTC", "2026-01-05"));
    check(
        "UTC",
        &billed,
        &subscription,
        "2026-02-15",
        &["2026-01-05 10.00", "2026-01-15 31.00", "2026-02-15 31.00"],
    );
}

#[test]
fn quantities_multiply_and_ids_name_what_is_charged() {
    // V-09: three DIDs at 1.99
    let dids = plan(fee(Some(Every::Month), Anchor::Start, "1.99"));
    let start = at("UTC", "2026-01-31");
    let three = Subscription { quantity: 3, ..from(start) };
    check("UTC", &dids, &three, "2026-01-31", &["2026-01-31 5.970"]);
    let dues = due(&calendar("UTC"), &dids, &three, None, at("UTC", "2027-01-31")).unwrap();
    let mut ops: Vec<_> = dues.iter().map(|due| due.op).collect();
    ops.dedup();
    assert_eq!(ops.len(), 13);
    // another zone moves the moment, not the id: nothing is charged twice by moving an account
    let berlin =
        due(&calendar("Europe/Berlin"), &dids, &three, None, at("UTC", "2026-02-28")).unwrap();
    assert_eq!(berlin[1].op, dues[1].op);
    assert_ne!(berlin[1].at, dues[1].at);
    let too_much = plan(fee(None, Anchor::Start, "9000000000000"));
    assert!(due(&calendar("UTC"), &too_much, &three, None, start).is_err());
}

fn bundle(every: Option<Every>, validity: Validity) -> Bundle {
    Bundle {
        item: 2,
        label: "100 minutes Germany".into(),
        destination_set: 4,
        seconds: Some(6_000),
        every,
        anchor: Anchor::Day(1),
        validity,
        precedence: 0,
        increment_seconds: 60,
    }
}

#[track_caller]
fn grants(
    bundle: Bundle,
    subscription: &Subscription,
    until: &str,
    expected: &[(&str, Option<&str>)],
) {
    let plan = Plan { fees: Vec::new(), bundles: vec![bundle], decimals: 2 };
    let dues = due(&calendar("UTC"), &plan, subscription, None, at("UTC", until)).unwrap();
    let found: Vec<_> = dues
        .iter()
        .map(|due| match due.kind {
            DueKind::Grant { valid_from, valid_till, .. } => (valid_from, valid_till),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|(from, till)| (at("UTC", from), till.map(|till| at("UTC", till))))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn minutes_are_granted_with_their_validity() {
    let start = from(at("UTC", "2026-01-20"));
    // V-04: each month, until its end
    let monthly = [("2026-01-20", Some("2026-02-01")), ("2026-02-01", Some("2026-03-01"))];
    grants(bundle(Some(Every::Month), Validity::Period), &start, "2026-02-01", &monthly);
    // V-05, P-008: promotional, 30 days
    grants(
        bundle(None, Validity::Days(30)),
        &start,
        "2027-01-01",
        &[("2026-01-20", Some("2026-02-19"))],
    );
    // P-011: as long as the plan
    grants(bundle(None, Validity::Period), &start, "2027-01-01", &[("2026-01-20", None)]);
    // P-019: a free day
    let day = Bundle { seconds: None, ..bundle(None, Validity::Days(1)) };
    grants(day, &start, "2027-01-01", &[("2026-01-20", Some("2026-01-21"))]);
    let ends = Subscription { ends_at: Some(at("UTC", "2026-02-10")), ..start };
    let cut = [("2026-01-20", Some("2026-02-01")), ("2026-02-01", Some("2026-02-10"))];
    grants(bundle(Some(Every::Month), Validity::Period), &ends, "2027-01-01", &cut);
}

#[test]
fn plans_that_cannot_be_meant_are_refused() {
    let good = plan(fee(Some(Every::Month), Anchor::Day(31), "1"));
    assert_eq!(good.check(), Ok(()));
    assert_eq!(Plan::default().check(), Err(PlanError::Empty));
    let twice = Plan {
        bundles: vec![Bundle { item: 1, ..bundle(None, Validity::Period) }],
        ..good.clone()
    };
    assert_eq!(twice.check(), Err(PlanError::ItemTwice(1)));
    let weekday = plan(fee(Some(Every::Week), Anchor::Day(8), "1"));
    assert!(matches!(weekday.check(), Err(PlanError::Item { item: 1, .. })));
    let negative = plan(fee(None, Anchor::Start, "-1"));
    assert!(matches!(negative.check(), Err(PlanError::Item { item: 1, .. })));
}

const DAY: i64 = 86_400_000_000;

fn any_every() -> impl Strategy<Value = Option<Every>> {
    prop::sample::select(vec![
        None,
        Some(Every::Day),
        Some(Every::Week),
        Some(Every::Month),
        Some(Every::Quarter),
        Some(Every::HalfYear),
        Some(Every::Year),
    ])
}

fn any_anchor() -> impl Strategy<Value = Anchor> {
    prop_oneof![Just(Anchor::Start), (1..=31u8).prop_map(Anchor::Day), Just(Anchor::BillingDay)]
}

fn any_fee() -> impl Strategy<Value = Fee> {
    let starts = prop::sample::select(vec![AtStart::Whole, AtStart::ByDay, AtStart::Free]);
    let ends = prop::sample::select(vec![AtEnd::Keep, AtEnd::ByDay]);
    (any_every(), any_anchor(), 0..100_000_000i64, starts, ends).prop_map(
        |(every, anchor, amount, at_start, at_end)| Fee {
            amount: Money(amount),
            at_start,
            at_end,
            ..fee(every, anchor, "0")
        },
    )
}

fn any_bundle() -> impl Strategy<Value = Bundle> {
    let validity = prop_oneof![Just(Validity::Period), (1..40u16).prop_map(Validity::Days)];
    (any_every(), any_anchor(), validity)
        .prop_map(|(every, anchor, validity)| Bundle { anchor, ..bundle(every, validity) })
}

fn any_zone() -> impl Strategy<Value = &'static str> {
    let zones = ["UTC", "Europe/Berlin", "America/Havana", "Pacific/Apia", "Asia/Kathmandu"];
    prop::sample::select(zones.to_vec())
}

/// From 2011, when Samoa had no 30 December, to 2027, at any microsecond.
fn any_moment() -> impl Strategy<Value = Utc> {
    (15_000..21_000i64, 0..DAY).prop_map(|(day, micros)| Utc(day * DAY + micros))
}

fn any_subscription() -> impl Strategy<Value = Subscription> {
    let end = prop::option::of((0..800i64, 0..DAY, 0..800i64));
    (any_moment(), end, 1..5u32).prop_map(|(starts_at, end, quantity)| {
        let ends_at = end.map(|(days, micros, _)| Utc(starts_at.0 + days * DAY + micros));
        let end_known_at = end.zip(ends_at).map(|((_, _, days), end)| Utc(end.0 - days * DAY));
        Subscription { id: 9, quantity, starts_at, ends_at, end_known_at }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Run twice, late, or in any pieces: the same charges.
    #[test]
    fn any_split_of_the_time_into_runs_gives_the_same(
        zone in any_zone(), fee in any_fee(), bundle in any_bundle(),
        subscription in any_subscription(), mut runs in prop::collection::vec(0..1_000i64, 1..6),
    ) {
        let calendar = calendar(zone);
        let plan = Plan { fees: vec![fee], bundles: vec![bundle], decimals: 2 };
        runs.sort_unstable();
        let until = |days: i64| Utc(subscription.starts_at.0 + days * DAY);
        let last = until(runs[runs.len() - 1]);
        let whole = due(&calendar, &plan, &subscription, None, last).unwrap();
        let (mut pieces, mut after) = (Vec::new(), None);
        for days in runs {
            pieces.extend(due(&calendar, &plan, &subscription, after, until(days)).unwrap());
            after = Some(until(days));
        }
        prop_assert_eq!(&pieces, &whole);
        let mut ops: Vec<_> = whole.iter().map(|due| due.op).collect();
        ops.sort_unstable();
        ops.dedup();
        prop_assert_eq!(ops.len(), whole.len());
        // and a job that sleeps until `next_due` misses none
        for pair in whole.windows(2) {
            let next = next_due(&calendar, &plan, &subscription, pair[0].at);
            prop_assert!(next.is_some_and(|next| next <= pair[1].at) || pair[0].at == pair[1].at);
        }
    }

    /// Whenever the end is made known, what is charged less what is given back is the same.
    #[test]
    fn the_sum_does_not_depend_on_when_the_end_is_known(
        zone in any_zone(), fee in any_fee(), subscription in any_subscription(), decimals in 0..=6u8,
    ) {
        let plan = Plan { fees: vec![fee], bundles: Vec::new(), decimals };
        let sum = |subscription: &Subscription| -> i64 {
            let until = Utc(subscription.starts_at.0 + 3_000 * DAY);
            let dues = due(&calendar(zone), &plan, subscription, None, until).unwrap();
            dues.iter().map(|due| match due.kind {
                DueKind::Fee { amount } => { assert!(!amount.is_negative()); amount.0 }
                DueKind::Refund { amount } => { assert!(amount > Money::ZERO); -amount.0 }
                DueKind::Grant { .. } => 0,
            }).sum()
        };
        prop_assume!(subscription.ends_at.is_some());
        let known = Subscription { end_known_at: None, ..subscription };
        prop_assert_eq!(sum(&subscription), sum(&known));
    }

    /// A period cut in two at any day costs, in parts, what it costs whole.
    #[test]
    fn parts_of_a_period_sum_up(cut in 1..365i64, amount in 0..1_000_000_000i64, decimals in 0..=6u8) {
        let zone = "Europe/Berlin";
        let begin = Day::new(2026, 1, 1).unwrap();
        let middle = begin.plus(i32::try_from(cut).unwrap());
        let mid = Zone::named(zone).unwrap().begin_of(middle);
        let yearly = Fee { amount: Money(amount), ..fee(Some(Every::Year), Anchor::Day(1), "0") };
        let plan = Plan { fees: vec![yearly], bundles: Vec::new(), decimals };
        let first = Subscription { ends_at: Some(mid), ..from(at(zone, "2026-01-01")) };
        let second = from(mid);
        let mut sum = 0;
        for subscription in [first, second] {
            for due in due(&calendar(zone), &plan, &subscription, None, at(zone, "2026-12-31")).unwrap() {
                if let DueKind::Fee { amount } = due.kind { sum += amount.0; }
            }
        }
        prop_assert_eq!(sum, amount);
    }
}

fn tiers(rows: &[(u64, &str)]) -> Tiers {
    let tier =
        |(above, percent): &(u64, &str)| Tier { above: *above, percent: percent.parse().unwrap() };
    Tiers::new(rows.iter().map(tier).collect()).unwrap()
}

#[track_caller]
fn discount(rows: &[(u64, &str)], method: TierMethod, volume: u64, charged: &str, expected: &str) {
    let found = volume_discount(&tiers(rows), method, volume, charged.parse().unwrap()).unwrap();
    assert_eq!(found.to_string(), format!("{expected:0<8}"), "{method:?} {volume}");
}

#[test]
fn volume_counts_as_a_whole_or_by_its_parts() {
    use TierMethod::{Incremental, Retroactive};
    // Siebel Pricing Administration Guide, "About Simple and Tiered Volume Discounts": 10 % from 5
    // to 10, 20 % from 11 to 20, 30 % from 21. 23 items at 1.00: simple 30 % on all; tiered 4 × 0,
    // 6 × 10 %, 10 × 20 %, 3 × 30 %.
    let siebel = [(4, "10"), (10, "20"), (20, "30")];
    discount(&siebel, Retroactive, 23, "23.00", "6.900000");
    discount(&siebel, Incremental, 23, "23.00", "3.500000");
    discount(&siebel, Retroactive, 4, "4.00", "0.000000");
    // Dynamics 365 idea "tranche": 1–5 none, 6–10 15 %, 11–20 20 %
    let dynamics = [(5, "15"), (10, "20")];
    discount(&dynamics, Incremental, 20, "20.00", "2.750000");
    discount(&dynamics, Retroactive, 20, "20.00", "4.000000");
    // the edge: the unit that reaches the tier is in it
    discount(&dynamics, Retroactive, 5, "5.00", "0.000000");
    discount(&dynamics, Retroactive, 6, "6.00", "0.900000");
    discount(&dynamics, Incremental, 6, "6.00", "0.150000");
    // charges that do not divide are rounded once: 1/3 of 10 % of 0.000010
    discount(&[(2, "10")], Incremental, 3, "0.000100", "0.000003");
    discount(&[], Incremental, 3, "1.00", "0.000000");
}

#[test]
fn tiers_rise_and_percentages_are_exact() {
    let tier = |above| Tier { above, percent: Percent::from_millionths(1).unwrap() };
    assert_eq!(Tiers::new(vec![tier(5), tier(5)]), Err(TierError::NotRising));
    for (text, millionths) in [
        ("0", Some(0)),
        ("12.5", Some(125_000)),
        ("100", Some(1_000_000)),
        ("0.0001", Some(1)),
        ("0.00001", None),
        ("100.1", None),
        ("-1", None),
        ("x", None),
    ] {
        assert_eq!(text.parse::<Percent>().ok().map(Percent::millionths), millionths, "{text}");
    }
}

#[test]
fn growth_is_over_the_run_before_and_the_first_has_none() {
    // J-32: 5 % above 10 % growth, 10 % above 50 %
    let rule =
        |method, base| GrowthDiscount { tiers: tiers(&[(10, "5"), (50, "10")]), method, base };
    let check = |method, base, previous, volume, expected: &str| {
        let found =
            growth_discount(&rule(method, base), previous, volume, Money::units(100)).unwrap();
        assert_eq!(found.to_string(), expected);
    };
    use TierMethod::{Incremental, Retroactive};
    check(Retroactive, Base::Whole, None, 1_000, "0.000000");
    check(Retroactive, Base::Whole, Some(0), 1_000, "0.000000");
    check(Retroactive, Base::Whole, Some(1_000), 1_000, "0.000000");
    check(Retroactive, Base::Whole, Some(1_000), 1_100, "0.000000");
    check(Retroactive, Base::Whole, Some(1_000), 1_101, "5.000000");
    check(Retroactive, Base::Whole, Some(1_000), 2_000, "10.000000");
    // 1,000 of 2,000 are growth: 10 % of 50.00
    check(Retroactive, Base::Growth, Some(1_000), 2_000, "5.000000");
    // of the growth 100 get nothing, 400 5 %, 500 10 %: 70 of 2,000 units
    check(Incremental, Base::Growth, Some(1_000), 2_000, "3.500000");
}

proptest! {
    #[test]
    fn incremental_never_gives_more_than_retroactive_of_rising_percentages(
        volume in 0..10_000u64, charged in 0..1_000_000_000_000i64, steps in prop::collection::vec((1..3_000u64, 0..200_000u32), 0..5),
    ) {
        let (mut above, mut percent) = (0, 0);
        let mut rows = Vec::new();
        for (step, more) in steps {
            above += step;
            percent += more;
            rows.push(Tier { above, percent: Percent::from_millionths(percent.min(1_000_000)).unwrap() });
        }
        let tiers = Tiers::new(rows).unwrap();
        let of = |method| volume_discount(&tiers, method, volume, Money(charged)).unwrap();
        prop_assert!(of(TierMethod::Incremental) <= of(TierMethod::Retroactive));
        prop_assert!(of(TierMethod::Retroactive) <= Money(charged));
    }
}
