//! SIP MESSAGE (RFC 3428): a sender is known as a caller is, billing is asked before anything leaves,
//! the sender hears 200 when the answer is on disk, and whatever is lost or comes twice, it is settled
//! once.

mod support;

use proptest::prelude::*;
use sip::message::{HeaderName, Message};
use support::*;
use switch::Effect;
use switch::directory::Limits;
use vocabulary::{CallKind, DecisionLine, Refused, TrunkId};

const TEXT: &str = "Meet at 7?\r\n";

fn message(branch: &str, cld: &str, extra: &str, body: &str) -> String {
    format!(
        "MESSAGE sip:{cld}@192.0.2.1 SIP/2.0\n\
         Via: SIP/2.0/UDP {CUSTOMER};branch=z9hG4bK{branch};rport\n\
         Max-Forwards: 70\n\
         From: \"Caller\" <sip:4989777@{CUSTOMER}>;tag=ft\n\
         To: <sip:{cld}@192.0.2.1>\n\
         Call-ID: m1\n\
         CSeq: 1 MESSAGE\n\
         {extra}Content-Type: text/plain;charset=utf-8\n\
         Content-Length: {}\n\n{body}",
        body.len()
    )
}

/// The customer's trunk and the first two carriers carry messages.
fn rows() -> Rows {
    let mut rows = Rows::default();
    for trunk in [10, 1, 2] {
        rows.trunk(trunk).carries_messages = true;
    }
    rows
}

fn send(w: &mut World, cld: &str) {
    w.receive(CUSTOMER, &message("1", cld, "", TEXT));
}

#[test]
fn a_message_goes_to_every_phone_and_the_first_2xx_counts() {
    let mut w = World::with(rows());
    w.bob_at(&PHONES);
    w.receive(CUSTOMER, &message("1", "4930555", "Expires: 60\nContact: <sip:x@y>\n", TEXT));
    let asked = w.asked_by(CUSTOMER_ACCOUNT);
    assert_eq!(asked.kind, CallKind::LocalMessage);
    w.expect_nothing(PHONES[0]);
    w.grant(60, false);
    let sent = w.expect(PHONES[0], "MESSAGE");
    assert_eq!(sent.body_bytes(), TEXT.as_bytes());
    assert_eq!(header(&sent, HeaderName::ContentType), "text/plain;charset=utf-8");
    assert_eq!(header(&sent, HeaderName::Expires), "60");
    assert!(sent.header(HeaderName::Contact).is_none(), "RFC 3428 section 4");
    let other = w.expect(PHONES[1], "MESSAGE");
    w.reply(PHONES[1], &other, "486 Busy Here", "");
    w.reply(PHONES[0], &sent, "200 OK", "");
    // Not before it is on disk.
    w.expect_nothing(CUSTOMER);
    w.record();
    w.expect(CUSTOMER, "SIP/2.0 200");
    let settled = w.settlement();
    assert_eq!(settled.facts.kind, Some(CallKind::LocalMessage));
    assert!(settled.talked.is_zero() && settled.facts.legs[0].answered_at.is_some());
    assert_eq!(codes(&settled).last(), Some(&"message_taken"));
    w.check_empty();
}

#[test]
fn a_message_goes_out_by_the_next_trunk_that_carries_messages() {
    let mut w = World::with(rows());
    send(&mut w, "4930123456");
    let asked = w.asked_by(CUSTOMER_ACCOUNT);
    assert_eq!(asked.kind, CallKind::Message);
    let offered: Vec<_> = asked.candidates.iter().map(|c| c.trunk).collect();
    assert_eq!(offered, [TrunkId(1), TrunkId(2)]);
    w.grant(60, false);
    let first = w.expect(CARRIERS[0], "MESSAGE");
    w.reply(CARRIERS[0], &first, "503 Service Unavailable", "");
    let second = w.expect(CARRIERS[1], "MESSAGE");
    w.reply(CARRIERS[1], &second, "202 Accepted", "");
    w.record();
    w.expect(CUSTOMER, "SIP/2.0 200");
    let settled = w.settlement();
    assert_eq!(settled.answered_by, Some(TrunkId(2)));
    assert!(codes(&settled).contains(&"trunk_skipped_messages"));
    w.check_empty();
}

#[test]
fn who_says_nothing_is_left_in_time_for_the_next() {
    let mut w = World::with(rows());
    send(&mut w, "4930123456");
    w.grant(60, false);
    w.expect(CARRIERS[0], "MESSAGE");
    w.pass_secs(10);
    let second = w.expect(CARRIERS[1], "MESSAGE");
    w.reply(CARRIERS[1], &second, "200 OK", "");
    w.record();
    w.expect_soon(CUSTOMER, "SIP/2.0 200");
    w.settlement();
    w.check_empty();
}

#[test]
fn nothing_is_stored_for_who_is_not_there() {
    let mut w = World::with(rows());
    send(&mut w, "4930555");
    w.grant(60, false);
    w.expect(CUSTOMER, "SIP/2.0 480");
    assert_eq!(codes(&w.settlement()).last(), Some(&"not_registered"));
    w.check_empty();
}

/// Refused with this status and this reason, and nothing has left.
#[track_caller]
fn refused(change: impl FnOnce(&mut Rows), cld: &str, status: u16, code: &str) {
    let mut rows = rows();
    change(&mut rows);
    let mut w = World::with(rows);
    send(&mut w, cld);
    w.expect(CUSTOMER, &format!("SIP/2.0 {status}"));
    assert_eq!(codes(&w.settlement()).last(), Some(&code));
    w.check_empty();
}

#[test]
fn a_message_is_refused_where_a_call_is_and_over_trunks_that_carry_none() {
    refused(|_| {}, "34600123", 404, "no_route");
    refused(|r| r.trunk(10).carries_messages = false, "4930", 403, "trunk_sends_no_messages");
    let none = |r: &mut Rows| {
        r.trunk(1).carries_messages = false;
        r.trunk(2).carries_messages = false;
    };
    refused(none, "4930", 404, "no_trunk_for_messages");
    let no_rate = Limits { concurrent: None, per_second: Some(0) };
    refused(|r| r.account(CUSTOMER_ACCOUNT).ingress = no_rate, "4930", 503, "account_cps_exceeded");
    refused(|r| r.account(CUSTOMER_ACCOUNT).is_active = false, "4930", 403, "account_inactive");
}

#[test]
fn a_message_without_money_leaves_nothing_behind() {
    let mut w = World::with(rows());
    w.bob_at(&PHONES);
    send(&mut w, "4930555");
    let sentence = "Not enough.".to_owned();
    w.deny(Refused::InsufficientCredit(DecisionLine { code: "insufficient_credit", sentence }));
    w.expect(CUSTOMER, "SIP/2.0 402");
    w.expect_nothing(PHONES[0]);
    w.settlement();
    w.check_empty();
}

#[test]
fn who_talks_can_be_written_to_and_forwarding_and_do_not_disturb_are_of_calls() {
    let mut rows = rows();
    rows.account(CUSTOMER_ACCOUNT).ingress.concurrent = Some(0);
    rows.subscribers[1].availability.do_not_disturb = true;
    let mut w = World::with(rows);
    w.bob_at(&PHONES[..1]);
    send(&mut w, "4930555");
    w.grant(60, false);
    w.expect(PHONES[0], "MESSAGE");
}

#[test]
fn a_subscriber_proves_who_it_is() {
    let mut w = World::with(rows());
    let text = message("1", "4930555", "", TEXT).replace(CUSTOMER, ALICE);
    w.receive(ALICE, &text);
    w.expect(ALICE, "SIP/2.0 407");
    assert!(w.settled.is_empty(), "it is no attempt yet");
}

#[track_caller]
fn turned_away(text: &str, status: u16) {
    let mut w = World::with(rows());
    w.receive(CUSTOMER, text);
    w.expect(CUSTOMER, &format!("SIP/2.0 {status}"));
    assert!(w.settled.is_empty());
}

#[test]
fn what_cannot_be_a_message_is_turned_away() {
    turned_away(&message("1", "4930", "", &"x".repeat(1301)), 413);
    turned_away(&message("1", "4930", "Require: recipient-list-message\n", TEXT), 420);
    // RFC 3891 section 3.
    let replaces = "Replaces: c1;to-tag=a;from-tag=b\n";
    turned_away(&message("1", "4930", replaces, TEXT), 400);
}

#[test]
fn a_sender_who_tries_again_on_another_way_hears_the_same_and_pays_once() {
    let mut w = World::with(rows());
    send(&mut w, "4930123456");
    w.grant(60, false);
    let sent = w.expect(CARRIERS[0], "MESSAGE");
    // While it is on its way (RFC 3261 section 8.2.2.2).
    w.receive(CUSTOMER, &message("2", "4930123456", "", TEXT));
    w.expect(CUSTOMER, "SIP/2.0 482");
    w.reply(CARRIERS[0], &sent, "200 OK", "");
    w.record();
    w.expect(CUSTOMER, "SIP/2.0 200");
    // And when it is over.
    w.receive(CUSTOMER, &message("3", "4930123456", "", TEXT));
    w.expect(CUSTOMER, "SIP/2.0 200");
    w.expect_nothing(CARRIERS[0]);
    w.settlement();
    w.check_empty();
}

/// What may happen to a message on its way.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The sender repeats it, on this of its ways.
    Again(u8),
    /// Whoever has it answers so, in this turn of them.
    Answer(u8, &'static str),
    /// Everything that is on its way to peers is lost.
    Lost,
    Wait(u64),
    Recorded,
}

const STATUSES: [&str; 5] = ["200 OK", "202 Accepted", "480 Gone", "503 Busy", "100 Trying"];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1u8..4).prop_map(Step::Again),
        (0u8..4, prop::sample::select(&STATUSES[..])).prop_map(|(n, s)| Step::Answer(n, s)),
        Just(Step::Lost),
        (0u64..12).prop_map(Step::Wait),
        Just(Step::Recorded),
    ]
}

fn is_answer(effect: &Effect) -> bool {
    matches!(effect, Effect::Answered { .. })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_message_is_charged_at_most_once_whatever_is_lost_or_doubled(
        is_local: bool,
        steps in prop::collection::vec(step(), 0..24),
    ) {
        let cld = if is_local { "4930555" } else { "4930123456" };
        let mut w = World::with(rows());
        w.bob_at(&PHONES);
        send(&mut w, cld);
        w.grant(60, false);
        let mut on_its_way: Vec<Message> = Vec::new();
        let (mut told, mut answers, mut waited) = (0, 0, 0);
        for step in steps {
            match step {
                // As long as a sender may (Timer F).
                Step::Again(n) if waited < 32 => {
                    w.receive(CUSTOMER, &message(&n.to_string(), cld, "", TEXT));
                }
                Step::Again(_) => {}
                Step::Answer(n, status) => {
                    if let Some(sent) = on_its_way.get(usize::from(n)).cloned() {
                        w.reply(if is_local { PHONES[0] } else { CARRIERS[0] }, &sent, status, "");
                    }
                }
                Step::Lost => on_its_way.clear(),
                Step::Wait(secs) => {
                    waited += secs;
                    w.pass_secs(secs);
                }
                Step::Recorded if w.effects.iter().any(is_answer) => {
                    answers += 1;
                    w.record();
                }
                Step::Recorded => {}
            }
            for (path, message) in std::mem::take(&mut w.outbox) {
                if message.is_request() {
                    on_its_way.push(message);
                } else if path.remote == address(CUSTOMER) {
                    told += usize::from(message.status() == 200 && w.settled.is_empty());
                }
            }
            prop_assert!(w.settled.len() <= 1);
            prop_assert!(answers <= 1);
            prop_assert_eq!(told, 0, "nobody hears 200 of what is not settled");
        }
        w.pass_secs(400);
        prop_assert_eq!(w.settled.len(), 1);
        let is_charged = w.settled[0].facts.legs[0].answered_at.is_some();
        prop_assert!(!is_charged || answers == 1);
        w.check_empty();
    }
}
