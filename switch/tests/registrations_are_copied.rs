//! Registrations are told to registrars of others, and nothing that becomes of it changes anything here
//! (P-603).

mod support;

use sip::auth;
use sip::message::{HeaderName, Message, Method};
use support::*;
use switch::{Effect, HostToResolve, Input, Target};

const THIRD: &str = "10.9.0.1:5060";

fn host(name: &str) -> HostToResolve {
    HostToResolve { host: name.into(), port: None, transport: None, is_secure: false }
}

fn world(registrars: &[&str]) -> World {
    let mut rows = Rows::default();
    rows.settings.third_party_registrars = registrars.iter().map(|name| host(name)).collect();
    // Phones do not register so often; a test does.
    rows.guard.limits.registers_of_subscriber_max = 100_000;
    rows.guard.limits.unproven_max = 100_000;
    rows.guard.limits.unproven_of_source_max = 100_000;
    World::with(rows)
}

/// Alice's phone registers; the answer to it.
fn register(w: &mut World, cseq: u32, expires: u32) -> Message {
    let text = |cseq: u32, credentials: &str| {
        format!(
            "REGISTER sip:example.net SIP/2.0\n\
             Via: SIP/2.0/UDP {ALICE};branch=z9hG4bKr{cseq};rport\n\
             From: <sip:alice@example.net>;tag=r\n\
             To: <sip:alice@example.net>\n\
             Call-ID: r1\n\
             CSeq: {cseq} REGISTER\n\
             Contact: <sip:alice@{ALICE}>\n\
             Expires: {expires}\n\
             {credentials}Content-Length: 0\n\n"
        )
    };
    w.receive(ALICE, &text(cseq, ""));
    let challenge = w.expect_soon(ALICE, "SIP/2.0 401");
    let ours = auth::Credentials::new("alice", "secret");
    let method = Method::Register;
    let answer = auth::answer_challenge(
        &challenge,
        &ours,
        method,
        b"sip:example.net",
        u64::from(cseq),
        false,
    )
    .expect("a challenge that can be answered");
    w.receive(ALICE, &text(cseq + 1, &format!("{}: {}\n", answer.name, answer.value)));
    let mut kept = Vec::new();
    for effect in &mut w.effects {
        if let Effect::BindingChanged { answer, .. } = effect {
            kept.extend(answer.take());
        }
    }
    for answer in kept {
        w.input(Input::BindingKept { answer });
    }
    w.expect_soon(ALICE, "SIP/2.0 200")
}

fn copies(w: &World) -> (u64, u64) {
    let stats = w.shard.stats();
    (stats.register_copies, stats.register_copies_failed)
}

#[test]
fn a_copy_says_that_the_phone_is_reached_at_us() {
    let mut w = world(&["10.9.0.1"]);
    register(&mut w, 1, 600);
    let copy = w.expect_soon(THIRD, "REGISTER sip:10.9.0.1 SIP/2.0");
    assert_eq!(header(&copy, HeaderName::To), "<sip:alice@example.net>");
    assert_eq!(header(&copy, HeaderName::Contact), "<sip:alice@192.0.2.1:5060>");
    assert_eq!(header(&copy, HeaderName::Expires), "600");
    // The phone's own credentials are for us alone.
    assert!(copy.headers(HeaderName::Authorization).next().is_none());
    w.reply(THIRD, &copy, "200 OK", "");
    assert_eq!(copies(&w), (1, 0));

    // A refresh follows it: the same Call-ID, a higher CSeq. And so does its end.
    register(&mut w, 3, 600);
    let again = w.expect_soon(THIRD, "REGISTER");
    assert_eq!(again.call_id(), copy.call_id());
    assert!(again.cseq().0 > copy.cseq().0);
    w.reply(THIRD, &again, "200 OK", "");
    register(&mut w, 5, 0);
    let end = w.expect_soon(THIRD, "REGISTER");
    assert_eq!(header(&end, HeaderName::Expires), "0");
}

#[test]
fn one_that_is_dead_delays_nobody_and_holds_a_bounded_number_of_copies() {
    let mut w = world(&["10.9.0.1", "10.9.0.2"]);
    for n in 0..300 {
        // The answer is there without time passing.
        register(&mut w, 1 + 2 * n, 600);
        let copy = w.expect_soon("10.9.0.2:5060", "REGISTER");
        w.reply("10.9.0.2:5060", &copy, "200 OK", "");
        w.forget();
    }
    let (sent, failed) = copies(&w);
    assert_eq!((sent, failed), (300 + 256, 44));
    w.pass_secs(40);
    assert_eq!(copies(&w).1, 300);
    register(&mut w, 1001, 600);
    w.expect_soon(THIRD, "REGISTER");
}

#[test]
fn a_name_is_looked_up_once_and_again_after_a_while() {
    let mut w = world(&["presence.example"]);
    let asked = |w: &mut World| {
        let place = w.effects.iter().position(|e| matches!(e, Effect::Resolve { .. }))?;
        match w.effects.remove(place) {
            Some(Effect::Resolve { query, host }) => Some((query, host)),
            _ => None,
        }
    };
    register(&mut w, 1, 600);
    let (query, host) = asked(&mut w).unwrap();
    assert_eq!(host.host, "presence.example");
    // The resolver is slow; the phone has its answer, and nothing is asked twice.
    register(&mut w, 3, 600);
    assert!(asked(&mut w).is_none());
    let target = Target { transport: sip::transport::Transport::Udp, addr: address(THIRD) };
    w.input(Input::Resolved { query, targets: vec![target] });
    for _ in 0..2 {
        let copy = w.expect_soon(THIRD, "REGISTER sip:presence.example SIP/2.0");
        w.reply(THIRD, &copy, "403 Forbidden", "");
    }
    assert_eq!(copies(&w), (2, 2));
    register(&mut w, 5, 600);
    assert!(asked(&mut w).is_none());
    let copy = w.expect_soon(THIRD, "REGISTER");
    w.reply(THIRD, &copy, "200 OK", "");
    w.pass_secs(61);
    register(&mut w, 7, 600);
    let (query, _) = asked(&mut w).unwrap();
    w.input(Input::Resolved { query, targets: Vec::new() });
    assert_eq!(copies(&w), (3, 3));
}

#[test]
fn nothing_is_copied_if_nobody_is_named() {
    let mut w = world(&[]);
    register(&mut w, 1, 600);
    assert!(w.outbox.is_empty());
    assert_eq!(copies(&w), (0, 0));
}
