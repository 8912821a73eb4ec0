//! Pricing calls again: two lookups, two prices and the sums of a preview, against a plain loop over
//! the same records that only adds what stands, in the same run. Prints one line of JSON.
//!
//! `cargo bench -p billing --bench rerate`
#![allow(clippy::unwrap_used, reason = "a bench may panic")]
#![allow(clippy::float_arithmetic, reason = "figures, not money")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::time::{Duration, Instant};

use billing::{
    CdrCharge, Currency, Effect, RateBook, RatedBy, RatedCall, RatedLeg, Sides, reprice,
};
use common::*;
use vocabulary::{AccountId, Number};

const CALLS: u64 = 100_000;
const CDRS_A_CALL: f64 = 2.0;
const ROUNDS: usize = 5;

fn leg(leg: u8, talked: Duration, charge: Option<CdrCharge>) -> RatedLeg {
    let account = Some(if leg == 0 { CUSTOMER } else { CHEAP });
    let trunk = (leg > 0).then_some(CHEAP_TRUNK);
    let answered_at = Some(START);
    RatedLeg {
        leg,
        account,
        subscriber: None,
        trunk,
        answered_at,
        talked,
        charge,
        upper: Vec::new(),
        site: None,
        report: None,
    }
}

fn calls(book: &RateBook) -> Vec<RatedCall> {
    let eur = |_: AccountId| Some(Currency::EUR);
    let rated = |sequence: u64| {
        let talked = Duration::from_millis(1 + sequence * 7 % 600_000);
        let cld: Number = format!("4930{:07}", sequence * 7919 % 10_000_000).parse().unwrap();
        let of = |legs: &[RatedLeg]| {
            RatedCall::of_legs(call(sequence), 0, START, RatedBy::cld(cld), legs).unwrap()
        };
        let legs = [leg(0, talked, None), leg(1, talked, None)];
        let first = reprice(book, &eur, &of(&legs), Sides::All);
        let [payer, carrier] = &first[..] else { panic!("two sides") };
        let stands = |side: &billing::RepricedSide| side.after.clone().ok();
        of(&[leg(0, talked, stands(payer)), leg(1, talked, stands(carrier))])
    };
    (0..CALLS).map(rated).collect()
}

/// Nanoseconds a call, the best of several rounds: the machine is shared.
fn best(mut all: impl FnMut()) -> f64 {
    let round = |_| {
        let start = Instant::now();
        all();
        start.elapsed().as_nanos() as f64 / CALLS as f64
    };
    (0..ROUNDS).map(round).fold(f64::MAX, f64::min)
}

fn main() {
    let before = book(rate("0.012", 1, 1));
    let after = before
        .change()
        .group(group(CUSTOMER_GROUP, &[row("49", rate("0.013", 60, 60))]))
        .build()
        .unwrap();
    let calls = calls(&before);
    let plain = best(|| {
        let stand = |side: &billing::RatedSide| side.before.as_ref().map_or(0, |c| c.amount.0);
        let sum: i64 = calls.iter().flat_map(|call| &call.sides).map(stand).sum();
        black_box(sum);
    });
    let eur = |_: AccountId| Some(Currency::EUR);
    let priced = best(|| {
        let mut effect = Effect::default();
        for call in &calls {
            effect.add(call, &reprice(&after, &eur, call, Sides::All));
        }
        black_box(&effect);
    });
    println!(
        "{{\"bench\":\"rerate\",\"cdrs_a_second\":{:.0},\"call_ns\":{priced:.0},\
         \"plain_loop_ns\":{plain:.0},\"ratio\":{:.1}}}",
        CDRS_A_CALL * 1e9 / priced,
        priced / plain
    );
}
