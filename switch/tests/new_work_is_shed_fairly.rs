//! More new work than can be done, at a shard: whoever wants little gets it, and what must not wait goes
//! first.

#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod support;

use std::time::Duration;

use support::*;
use switch::Input;
use switch::directory::TrunkRow;
use switch::numbers::{ListId, ListKind, NumberList};
use switch::overload::Pressure;
use vocabulary::TrunkId;

const GREEDY: &str = "10.9.0.9:5060";

/// The usual world with a second customer, and with 4930112 as a number for help.
fn world() -> World {
    let mut rows = Rows::default();
    let mut greedy = TrunkRow::new(TrunkId(30), "greedy", LOCAL_ACCOUNT);
    greedy.ingress.networks.push("10.9.0.9".parse().unwrap());
    greedy.host = "10.9.0.9".into();
    rows.trunks.push(greedy);
    rows.lists.push(NumberList {
        id: ListId(3),
        name: "help".into(),
        kind: ListKind::Emergency,
        numbers: ["=4930112".parse().unwrap()].into_iter().collect(),
    });
    World::with(rows)
}

/// It calls 200 times a second, for so many seconds; how many of these calls were refused.
fn greedy_calls(w: &mut World, seconds: u64, mut meanwhile: impl FnMut(&mut World, u64)) -> u64 {
    let before = w.shard.stats().overload_refusals;
    let first = w.now.monotonic.as_millis();
    for n in 0..seconds * 200 {
        w.receive(GREEDY, &invite(GREEDY, &format!("g{first}-{n}"), "4930123456", 1, ""));
        meanwhile(w, n);
        w.forget();
        w.pass(Duration::from_millis(5));
    }
    w.shard.stats().overload_refusals - before
}

/// Whether this was not refused for load.
fn is_taken(w: &mut World, from: &str, text: &str) -> bool {
    let before = w.shard.stats().overload_refusals;
    w.receive(from, text);
    w.shard.stats().overload_refusals == before
}

#[test]
fn a_greedy_customer_takes_nothing_from_a_small_one() {
    let mut w = world();
    assert_eq!(greedy_calls(&mut w, 1, |_, _| ()), 0, "no pressure");
    w.input(Input::Pressure(Pressure::Share(800)));
    greedy_calls(&mut w, 1, |_, _| ());
    let refused = greedy_calls(&mut w, 1, |w, n| {
        if n % 20 == 0 {
            let small = invite(CUSTOMER, &format!("small{n}"), "4930123456", 1, "");
            assert!(is_taken(w, CUSTOMER, &small), "call {n}");
        }
    });
    assert!((150..=180).contains(&refused), "four in five of the greedy one's: {refused}");
    w.input(Input::Pressure(Pressure::Share(0)));
    assert_eq!(greedy_calls(&mut w, 1, |_, _| ()), 0, "it is over");
}

#[test]
fn calls_for_help_and_phones_that_are_there_go_first() {
    let mut w = world();
    w.bob_at(&PHONES[..1]);
    w.input(Input::Pressure(Pressure::Share(950)));
    let phone = PHONES[0];
    greedy_calls(&mut w, 1, |w, n| {
        w.forget();
        if n % 4 == 0 {
            let help = invite(GREEDY, &format!("help{n}"), "4930112", 1, "");
            assert!(is_taken(w, GREEDY, &help), "call {n}");
        }
        if n % 50 == 0 {
            let register = format!(
                "REGISTER sip:example.net SIP/2.0\n\
                 Via: SIP/2.0/UDP {phone};branch=z9hG4bKr{n};rport\n\
                 Max-Forwards: 70\n\
                 From: <sip:bob@example.net>;tag=r\n\
                 To: <sip:bob@example.net>\n\
                 Call-ID: r{n}\n\
                 CSeq: 1 REGISTER\n\
                 Contact: <sip:bob@{phone}>\n\
                 Content-Length: 0\n\n"
            );
            w.receive(phone, &register);
            w.expect_soon(phone, "SIP/2.0 401");
        }
    });
}

#[test]
fn whoever_is_refused_is_not_told_to_come_again_at_the_same_moment() {
    use sip::message::HeaderName;
    let mut w = world();
    w.input(Input::Pressure(Pressure::All));
    let mut after = std::collections::BTreeSet::new();
    for n in 0..50 {
        w.receive(GREEDY, &invite(GREEDY, &format!("c{n}"), "4930112", 1, ""));
        let refusal = w.expect_soon(GREEDY, "SIP/2.0 503");
        after.insert(header(&refusal, HeaderName::RetryAfter).parse::<u32>().unwrap());
    }
    assert!(after.len() > 3 && after.iter().all(|s| (5..=10).contains(s)), "{after:?}");
}
