//! Authorise, extend, answer and settle one call, journal encoding included, against the bare
//! reserve and post of the ledger and against a copy of the journal's bytes, in the same run.
//! Prints one line of JSON.
//!
//! `cargo bench -p billing --bench call_money`
#![allow(clippy::unwrap_used, reason = "a bench may panic")]
#![allow(clippy::float_arithmetic, reason = "figures, not money")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use billing::{
    Ask, CreditControl, Currency, Journal, Money, Position, Record, ReservationId, SystemAccount,
    SystemKind, Talk, Terms, Use, explain, price,
};
use common::*;
use vocabulary::{CallId, ExtendRequest, Utc};

const CALLS: u64 = 20_000;
const ROUNDS: u64 = 10;

/// Encodes and forgets, as the writer's buffer does apart from the disk.
#[derive(Default)]
struct Buffer {
    bytes: Mutex<Vec<u8>>,
    written: AtomicU64,
}

impl Journal for Buffer {
    fn append(&self, record: &Record) -> Position {
        let mut bytes = self.bytes.lock().unwrap();
        bytes.clear();
        record.encode(&mut bytes);
        Position(self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed))
    }
}

/// Nanoseconds a call, the best of several rounds: the machine is shared.
fn measure(mut one: impl FnMut(CallId)) -> f64 {
    let mut best = f64::MAX;
    for round in 0..ROUNDS {
        let start = Instant::now();
        for sequence in 0..CALLS {
            one(call(round * CALLS + sequence));
        }
        best = best.min(start.elapsed().as_nanos() as f64 / CALLS as f64);
    }
    best
}

fn main() {
    let world = World::new(rate("0.012", 1, 1), Terms::prepaid(Currency::EUR), "1000000000");
    let buffer = std::sync::Arc::new(Buffer::default());
    let mut credit = CreditControl::new(world.ledger.clone(), buffer.clone());
    credit.set_rate_book(world.book.clone());
    let talked = Some(Duration::from_secs(25));
    let whole = measure(|call| {
        black_box(credit.authorize(at(0), &request(call, "49301234")).unwrap());
        credit.answered(at(0), call, Some(TRUNK), START);
        black_box(credit.extend(at(6_000), ExtendRequest { call }));
        black_box(credit.settle(at(25_000), ended(call, Some(TRUNK), talked)));
    });
    let journal_bytes = buffer.written.load(Ordering::Relaxed) / (CALLS * ROUNDS);
    let facts = measure(|call| {
        black_box(request(call, "49301234"));
        black_box(ended(call, Some(TRUNK), talked));
    });
    let bare = measure(|call| {
        let id = ReservationId { call: CallId(call.0 | 1 << 60), level: 0 };
        let mut locked = world.ledger.lock(&[CUSTOMER]);
        let ask = Ask {
            id,
            slice: 0,
            account: CUSTOMER,
            seller: SystemAccount { kind: SystemKind::Revenue, currency: Currency::EUR }.id(),
            amount: Money(10),
            bundles: &[],
            expires_at: Utc(i64::MAX),
        };
        locked.reserve(&[ask]).unwrap();
        drop(locked);
        let made = Use { id, account: CUSTOMER, charge: None, bundles: &[] };
        world.ledger.lock(&[CUSTOMER]).post(&[made], &[]).unwrap();
    });
    let authorized = credit.authorize(at(0), &request(call(1 << 30), "49301234"));
    black_box(authorized.unwrap());
    let found = world.book.group(CUSTOMER_GROUP).unwrap();
    let found = found.lookup(&"49301234".parse().unwrap(), START).unwrap();
    let applied = billing::AppliedRate {
        rate: *found.rate,
        duration_rounding: billing::DurationRounding::Up,
        money_rounding: billing::MoneyRounding::default(),
        currency: Currency::EUR,
        group: CUSTOMER_GROUP,
        sheet_version: 1,
        prefix_length: 2,
        is_by_lrn: false,
        special: None,
        taxes: None,
    };
    let talk = Talk::answered(START, Duration::from_secs(25));
    let pricing = measure(|_| {
        black_box(price(black_box(&applied), black_box(&talk)).unwrap());
    });
    let explaining = measure(|_| {
        black_box(explain(black_box(&applied), black_box(&talk)).unwrap());
    });
    let call_ns = whole - facts;
    println!(
        "{{\"call_ns\":{call_ns:.0},\"bare_reserve_and_post_ns\":{bare:.0},\"ratio\":{:.1},\
         \"price_ns\":{pricing:.0},\"explain_ns\":{explaining:.0},\
         \"journal_bytes\":{journal_bytes}}}",
        call_ns / bare
    );
}
