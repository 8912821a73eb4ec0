//! One call costs the same, to the last digit, however it is paid for and whenever it is priced:
//! prepaid in slices, postpaid, in one reservation, quoted, from the journal, and again later.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::time::Duration;

use billing::{CreditSettings, Currency, Money, Price, Rate, Record, Talk, Terms, price, quote};
use common::*;
use proptest::prelude::*;
use vocabulary::ExtendRequest;

fn any_rate() -> impl Strategy<Value = Rate> {
    let price = || prop_oneof![1 => Just(0_i64), 4 => 1..2_000_000_000_i64];
    let often_zero = || prop_oneof![2 => Just(0_u32), 1 => 1..90_u32];
    let increments = (1..90_u32, 1..90_u32);
    (price(), price(), price(), increments, often_zero(), often_zero(), often_zero()).prop_map(
        |(price, fee, minimum, (first, next), grace, free, minimum_seconds)| Rate {
            price: Price::from_nanos(price).unwrap(),
            connect_fee: Price::from_nanos(fee).unwrap(),
            minimum_charge: Price::from_nanos(minimum).unwrap(),
            first_increment: first,
            next_increment: next,
            grace_seconds: grace,
            free_seconds: free,
            minimum_seconds,
            is_blocked: false,
            unit_seconds: 60,
        },
    )
}

/// Plays one call with these slices and gives what the payer was charged, and the talk counted.
fn play(
    rate: Rate,
    terms: Terms,
    balance: &str,
    settings: CreditSettings,
    talked: Duration,
) -> Option<(Money, Duration)> {
    let mut world = World::new(rate, terms, balance);
    world.credit.set_settings(settings);
    let mut grant = world.credit.authorize(at(0), &request(call(1), "49301234")).ok()?.grant;
    while grant.talk_time < talked && !grant.is_final {
        grant = world.credit.extend(at(0), ExtendRequest { call: call(1) }).grant;
        assert!(!world.ledger.account(CUSTOMER).unwrap().available().is_negative());
    }
    let counted = talked.min(grant.talk_time);
    world.credit.settle(at(0), ended(call(1), Some(TRUNK), Some(talked)));
    world.check_over();
    assert!(!world.ledger.account(CUSTOMER).unwrap().available().is_negative());
    let (_, record) = world.journal.records().pop().unwrap();
    let Record::Ended(end) = record else { panic!("{record:?} is no end") };
    let charge = end.cdrs[0].charge.clone().unwrap();
    let posted: i64 = end.postings.iter().filter(|p| p.debit == CUSTOMER).map(|p| p.amount.0).sum();
    assert_eq!(charge.amount.0, posted);
    // Priced again from its CDR.
    let again = price(
        &charge.applied,
        &Talk::answered(end.cdrs[0].answered_at.unwrap(), end.cdrs[0].talked),
    )
    .unwrap();
    assert_eq!(again, charge.amount);
    Some((charge.amount, counted))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn prepaid_is_postpaid_is_quoted(
        rate in any_rate(),
        talked in (0..3_000_000_u64).prop_map(Duration::from_millis),
        first in 1..120_u32,
        longest in 1..400_u32,
    ) {
        let slices = CreditSettings {
            first_slice_seconds: first,
            longest_slice_seconds: longest,
            ..CreditSettings::default()
        };
        let whole = CreditSettings {
            first_slice_seconds: 10_000,
            longest_slice_seconds: 10_000,
            ..CreditSettings::default()
        };
        let rich = Terms::postpaid(Currency::EUR, Money::units(1_000_000));
        let prepaid = Terms::prepaid(Currency::EUR);
        let in_slices = play(rate, prepaid, "1000000", slices, talked);
        prop_assert_eq!(in_slices, play(rate, rich, "0", slices, talked));
        prop_assert_eq!(in_slices, play(rate, prepaid, "1000000", whole, talked));
        let world = World::prepaid(rate, "1000000");
        let request = request(call(1), "49301234");
        let quoted = quote(&world.ledger, &world.book, &whole, START, &request, talked);
        let charge = quoted.payers[0].charge.as_ref().unwrap();
        prop_assert_eq!(in_slices, Some((charge.amount, talked)));
    }

    #[test]
    fn a_short_balance_is_never_overdrawn_and_always_used(
        rate in any_rate(),
        balance in 0..20_000_000_i64,
    ) {
        let balance_text = Money(balance).to_string();
        let settings = CreditSettings::default();
        let prepaid = Terms::prepaid(Currency::EUR);
        let talked = Duration::from_secs(4_000);
        let Some((charged, counted)) = play(rate, prepaid, &balance_text, settings, talked) else {
            return Ok(());
        };
        prop_assert!(charged.0 <= balance);
        if counted < talked {
            let world = World::prepaid(rate, "1000000");
            let longer = counted + Duration::from_secs(rate.next_increment.into());
            let request = request(call(1), "49301234");
            let quoted = quote(&world.ledger, &world.book, &settings, START, &request, longer);
            let charge = quoted.payers[0].charge.as_ref().unwrap();
            prop_assert!(charge.amount.0 > balance, "one increment more fitted");
        }
    }
}
