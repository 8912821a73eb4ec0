//! Requests that come to us.

use std::time::Duration;

use sip::endpoint::Event;
use sip::message::{HeaderName, Message};
use sip::transaction::Failure;
use sip::transport::Path;

use crate::world::{PEER, VIA, VIA_TCP, World, ms, request, tcp, udp};

#[test]
fn an_unanswered_invite_gets_its_100_after_200_ms() {
    let mut world = World::new();
    world.receive(udp(), &request("INVITE", VIA, ""));
    world.requested();
    assert_eq!(world.trace(ms(199)), []);
    assert_eq!(world.trace(ms(1)), [(1, "100 INVITE".into())]);
}

#[test]
fn a_100_says_where_the_request_came_from() {
    let mut world = World::new();
    let via = "UDP phone.invalid;rport;branch=z9hG4bKnat";
    world.receive(udp(), &request("INVITE", via, "Timestamp: 54\r\n"));
    world.requested();
    world.advance(ms(200));
    let trying = world.sent_message();
    let via = trying.top_via().unwrap();
    assert_eq!(via.rport(), Some(Some(5066)));
    assert_eq!(via.received(), Some("192.0.2.7".parse().unwrap()));
    assert_eq!(trying.header(HeaderName::Timestamp), Some(&b"54"[..]));
}

#[test]
fn a_repeated_invite_is_absorbed_and_answered_with_the_newest_response() {
    let mut world = World::new();
    let invite = request("INVITE", VIA, "");
    world.receive(udp(), &invite);
    let (tx, message) = world.requested();
    world.receive(udp(), &invite);
    assert_eq!(world.names(), ["100 INVITE"], "an impatient client gets its 100 before 200 ms");
    world.answer(tx, &message, 180);
    world.receive(udp(), &invite);
    assert_eq!(world.names(), ["180 INVITE", "180 INVITE"]);
    assert!(world.event().is_none());
    assert_eq!(world.endpoint.stats().repeats_received, 2);
}

#[test]
fn a_failure_is_repeated_until_its_ack() {
    let mut world = World::new();
    world.receive(udp(), &request("INVITE", VIA, ""));
    let (tx, message) = world.requested();
    world.answer(tx, &message, 486);
    assert_eq!(world.names(), ["486 INVITE"]);
    assert_eq!(world.times(ms(8_000), "486 INVITE"), [500, 1_500, 3_500, 7_500]);
    world.receive(udp(), &request("ACK", VIA, ""));
    assert!(world.event().is_none(), "the ACK to a failure ends in the transaction");
    assert_eq!(world.trace(Duration::from_secs(60)), []);
    world.end();
}

#[test]
fn a_failure_without_ack_is_given_up_after_timer_h() {
    let mut world = World::new();
    world.receive(udp(), &request("INVITE", VIA, ""));
    let (tx, message) = world.requested();
    world.endpoint.set_user(tx, 5);
    world.answer(tx, &message, 500);
    world.names();
    let times = world.times(ms(31_999), "500 INVITE");
    assert_eq!(times, [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
    assert!(world.event().is_none());
    world.advance(ms(1));
    let event = world.event();
    assert!(
        matches!(event, Some(Event::ServerFailed { user: 5, why: Failure::Timeout, .. })),
        "{event:?}"
    );
    world.end();
}

#[test]
fn timer_g_never_runs_on_tcp() {
    let mut world = World::new();
    world.receive(tcp(), &request("INVITE", VIA_TCP, ""));
    let (tx, message) = world.requested();
    world.answer(tx, &message, 486);
    assert_eq!(world.names(), ["486 INVITE"]);
    assert_eq!(world.trace(ms(31_000)), []);
    world.receive(tcp(), &request("ACK", VIA_TCP, ""));
    assert_eq!(world.endpoint.transactions(), 0, "timer I is zero on TCP");
    assert_eq!(world.endpoint.armed(), 0);
}

#[test]
fn a_2xx_is_for_the_leg_to_repeat_during_all_of_timer_l() {
    // Other stacks forget the transaction, and with it the 2xx, after 8.5 s.
    let mut world = World::new();
    let invite = request("INVITE", VIA, "");
    world.receive(udp(), &invite);
    let (tx, message) = world.requested();
    world.answer(tx, &message, 200);
    assert_eq!(world.names(), ["200 INVITE"]);
    assert_eq!(world.trace(ms(31_500)), [], "the transaction itself does not repeat it");
    world.receive(udp(), &invite);
    assert!(world.names().is_empty() && world.event().is_none(), "nor does a repeated INVITE");
    world.answer(tx, &message, 200);
    assert_eq!(world.names(), ["200 INVITE"]);
    world.advance(ms(500));
    world.answer(tx, &message, 200);
    assert!(world.names().is_empty(), "timer L is over");
    world.end();
}

#[test]
fn the_ack_to_a_2xx_passes_up_even_with_the_invites_branch() {
    for branch in ["z9hG4bKpeer", "z9hG4bKown"] {
        let mut world = World::new();
        world.receive(udp(), &request("INVITE", VIA, ""));
        let (tx, message) = world.requested();
        world.answer(tx, &message, 200);
        let via = format!("UDP 192.0.2.7:5066;branch={branch}");
        world.receive(udp(), &request("ACK", &via, ""));
        assert!(matches!(world.event(), Some(Event::Ack { .. })));
    }
}

#[test]
fn a_cancel_is_answered_and_told_once() {
    let mut world = World::new();
    world.receive(udp(), &request("INVITE", VIA, ""));
    let (tx, message) = world.requested();
    world.endpoint.set_user(tx, 5);
    world.answer(tx, &message, 180);
    let cancel = request("CANCEL", VIA, "Reason: SIP;cause=200\r\n");
    world.receive(udp(), &cancel);
    match world.event() {
        Some(Event::Cancelled { tx: cancelled, user: 5, message }) => {
            assert_eq!(cancelled, tx);
            assert_eq!(message.reasons().next().unwrap().cause(), Some(200));
        }
        other => panic!("{other:?}"),
    }
    world.receive(udp(), &cancel);
    assert!(world.event().is_none());
    assert_eq!(world.names(), ["180 INVITE", "200 CANCEL", "200 CANCEL"]);
    world.answer(tx, &message, 487);
    assert_eq!(world.names(), ["487 INVITE"]);
    world.receive(udp(), &cancel);
    assert_eq!(world.names(), ["200 CANCEL"], "too late, and still matched");
    world.end();
}

#[test]
fn a_cancel_is_answered_with_the_to_tag_of_the_invites_responses() {
    let mut world = World::new();
    world.receive(udp(), &request("INVITE", VIA, ""));
    let (tx, message) = world.requested();
    world.answer(tx, &message, 180);
    world.names();
    world.receive(udp(), &request("CANCEL", VIA, ""));
    assert_eq!(world.sent_message().to_tag(), Some(&b"b"[..]));
}

#[test]
fn a_cancel_after_the_answer_changes_nothing() {
    let mut world = World::new();
    world.receive(udp(), &request("INVITE", VIA, ""));
    let (tx, message) = world.requested();
    world.answer(tx, &message, 200);
    world.receive(udp(), &request("CANCEL", VIA, ""));
    assert_eq!(world.names(), ["200 INVITE", "200 CANCEL"]);
    assert!(world.event().is_none());
}

#[test]
fn a_cancel_of_nothing_gets_481() {
    let mut world = World::new();
    world.receive(udp(), &request("CANCEL", VIA, ""));
    assert_eq!(world.names(), ["481 CANCEL"]);
    assert!(world.event().is_none());
    assert_eq!(world.endpoint.transactions(), 0);
}

#[test]
fn a_final_response_is_kept_for_timer_j() {
    let mut world = World::new();
    let bye = request("BYE", VIA, "");
    world.receive(udp(), &bye);
    let (tx, message) = world.requested();
    world.receive(udp(), &bye);
    assert!(world.names().is_empty(), "nothing to repeat yet");
    world.answer(tx, &message, 200);
    world.advance(ms(31_999));
    world.receive(udp(), &bye);
    assert_eq!(world.names(), ["200 BYE", "200 BYE"]);
    world.advance(ms(1));
    assert_eq!(world.endpoint.transactions(), 0);
    assert!(world.event().is_none());
    world.end();
}

#[test]
fn on_tcp_an_answered_request_is_forgotten_at_once() {
    let mut world = World::new();
    world.receive(tcp(), &request("BYE", VIA_TCP, ""));
    let (tx, message) = world.requested();
    world.answer(tx, &message, 200);
    assert_eq!(world.names(), ["200 BYE"]);
    assert_eq!((world.endpoint.transactions(), world.endpoint.armed()), (0, 0));
}

#[test]
fn a_slow_non_invite_gets_100_when_timer_e_is_at_t2_and_never_408() {
    let mut world = World::new();
    let refer = request("REFER", VIA, "");
    world.receive(udp(), &refer);
    let (tx, message) = world.requested();
    world.answer(tx, &message, 100);
    world.answer(tx, &message, 180);
    assert!(world.names().is_empty(), "RFC 4320 section 4.1");
    assert_eq!(world.trace(ms(4_000)), [(3_500, "100 REFER".into())]);
    world.receive(udp(), &refer);
    assert_eq!(world.names(), ["100 REFER"]);
    world.answer(tx, &message, 408);
    assert!(world.names().is_empty(), "RFC 4320 section 4.2");
    world.end();
}

#[test]
fn an_unknown_method_passes_up_to_be_answered() {
    let mut world = World::new();
    world.receive(udp(), &request("DANCE", VIA, ""));
    let (tx, message) = world.requested();
    assert_eq!(message.method().as_bytes(), b"DANCE");
    world.answer(tx, &message, 501);
    assert_eq!(world.names(), ["501 DANCE"]);
    world.end();
}

#[test]
fn a_request_that_nobody_answers_ends_by_itself() {
    for method in ["INVITE", "OPTIONS"] {
        let mut world = World::new();
        world.receive(udp(), &request(method, VIA, ""));
        world.requested();
        world.end();
        let event = world.event();
        assert!(matches!(event, Some(Event::ServerFailed { why: Failure::Timeout, .. })));
    }
}

#[track_caller]
fn check_reply(via: &str, from: &str, expected: &str) {
    let mut world = World::new();
    let path = Path { remote: from.parse().unwrap(), ..udp() };
    world.receive(path, &request("OPTIONS", via, ""));
    let (tx, message) = world.requested();
    world.answer(tx, &message, 200);
    assert_eq!(world.sent(), [("200 OPTIONS".to_string(), expected.parse().unwrap())]);
}

#[test]
fn responses_go_to_the_source_port_only_if_rport_asks() {
    let from = "198.51.100.4:40000";
    check_reply("UDP 10.0.0.1:5062;branch=z9hG4bKa", from, "198.51.100.4:5062");
    check_reply("UDP 10.0.0.1;branch=z9hG4bKa", from, "198.51.100.4:5060");
    check_reply("UDP host.example:5062;branch=z9hG4bKa", from, "198.51.100.4:5062");
    check_reply("UDP 10.0.0.1:5062;rport;branch=z9hG4bKa", from, from);
    check_reply("UDP 10.0.0.1:5062;rport=9;branch=z9hG4bKa", from, from);
    check_reply(
        "UDP [2001:db8::1]:5062;branch=z9hG4bKa",
        "[2001:db8::2]:6000",
        "[2001:db8::2]:5062",
    );
    // RFC 3261 would send to maddr: anyone could have us send to anyone.
    check_reply("UDP 10.0.0.1;maddr=203.0.113.9;branch=z9hG4bKa", from, "198.51.100.4:5060");
}

#[test]
fn received_and_rport_are_told_to_the_sender() {
    let mut world = World::new();
    world.receive(udp(), &request("OPTIONS", "UDP 10.0.0.1;rport;branch=z9hG4bKa", ""));
    let (tx, message) = world.requested();
    world.answer(tx, &message, 200);
    let via = world.sent_message();
    let via = via.top_via().unwrap();
    assert_eq!(via.received(), Some("192.0.2.7".parse().unwrap()));
    assert_eq!(via.rport(), Some(Some(5066)));
}

#[test]
fn on_tcp_the_response_takes_the_connection_or_else_the_port_in_via() {
    let via = "TCP 192.0.2.7:5099;branch=z9hG4bKpeer";
    let mut world = World::new();
    world.receive(tcp(), &request("INVITE", via, ""));
    let (tx, message) = world.requested();
    world.answer(tx, &message, 180);
    let transmit = world.endpoint.poll_transmit().unwrap();
    assert_eq!(transmit.path, tcp());
    // RFC 3261 section 18.2.2: the connection is gone, so a new one is tried.
    world.endpoint.transport_failed(world.now, tcp());
    assert!(world.event().is_none());
    world.answer(tx, &message, 486);
    let new = Path { connection: 0, remote: "192.0.2.7:5099".parse().unwrap(), ..tcp() };
    assert_eq!(world.endpoint.poll_transmit().unwrap().path, new);
    world.endpoint.transport_failed(world.now, new);
    assert!(matches!(world.event(), Some(Event::ServerFailed { why: Failure::Transport, .. })));
    world.end();
}

#[test]
fn requests_of_rfc_2543_are_matched_without_a_branch() {
    for via in ["UDP 192.0.2.7:5066", "UDP 192.0.2.7:5066;branch=1"] {
        let mut world = World::new();
        let invite = request("INVITE", via, "");
        world.receive(udp(), &invite);
        let (tx, message) = world.requested();
        world.receive(udp(), &invite);
        assert!(world.event().is_none());
        world.answer(tx, &message, 404);
        world.names();
        let ack = request("ACK", via, "")
            .replace("To: <sip:bob@192.0.2.1>", "To: <sip:bob@192.0.2.1>;tag=b");
        world.receive(udp(), &ack);
        assert!(world.event().is_none());
        assert_eq!(world.trace(ms(4_000)), [], "the ACK stopped timer G");
    }
}

#[test]
fn one_branch_in_two_requests_is_two_transactions_by_method() {
    let mut world = World::new();
    world.receive(udp(), &request("OPTIONS", VIA, ""));
    world.requested();
    world.receive(udp(), &request("INFO", VIA, ""));
    world.requested();
    assert_eq!(world.endpoint.transactions(), 2);
}

#[test]
fn a_finished_transaction_ignores_its_user() {
    let mut world = World::new();
    world.receive(tcp(), &request("OPTIONS", VIA_TCP, ""));
    let (old, message) = world.requested();
    world.answer(old, &message, 200);
    world.receive(tcp(), &request("INVITE", VIA_TCP, ""));
    let (new, _) = world.requested();
    assert_ne!(old, new, "the slot is used again");
    world.names();
    world.answer(old, &message, 500);
    world.endpoint.set_user(old, 9);
    assert!(world.names().is_empty());
    let cancel = request("CANCEL", VIA_TCP, "");
    world.receive(tcp(), &cancel);
    assert!(matches!(world.event(), Some(Event::Cancelled { user: 0, .. })));
}

#[track_caller]
fn check_malformed(text: String, expected: &[&str]) {
    let mut world = World::new();
    world.receive(udp(), &text);
    let sent: Vec<String> = std::iter::from_fn(|| world.endpoint.poll_transmit())
        .map(|transmit| {
            let bytes = transmit.bytes;
            let line = bytes.split(|&byte| byte == b'\r').next().unwrap();
            assert_eq!(transmit.path.remote, PEER.parse().unwrap());
            String::from_utf8_lossy(&line[8..11]).into_owned()
        })
        .collect();
    assert_eq!(sent, expected);
    assert!(world.event().is_none());
    assert_eq!(world.endpoint.transactions(), 0);
}

#[test]
fn what_is_malformed_but_answerable_is_answered_without_a_transaction() {
    let good = request("INVITE", VIA, "");
    check_malformed(good.replace("bob@192.0.2.1 SIP/2.0", "bob@192.0.2.1 SIP/3.0"), &["505"]);
    check_malformed(good.replace("CSeq: 7 INVITE", "CSeq: x INVITE"), &["400"]);
    check_malformed(good.replace("CSeq: 7 INVITE", "CSeq: 7 BYE"), &["400"]);
    check_malformed(request("ACK", VIA, "").replace("CSeq: 7", "CSeq: x"), &[]);
    check_malformed("\r\n\r\n".into(), &[]);
    check_malformed("hello".into(), &[]);
}

#[test]
fn a_malformed_request_gets_the_same_answer_when_repeated() {
    let mut world = World::new();
    let bad = request("INVITE", VIA, "").replace("CSeq: 7 INVITE", "CSeq: 7 BYE");
    world.receive(udp(), &bad);
    world.receive(udp(), &bad);
    let first = world.endpoint.poll_transmit().unwrap();
    assert_eq!(Some(first), world.endpoint.poll_transmit());
}

#[test]
fn a_response_that_belongs_to_nothing_is_dropped_and_counted() {
    let mut world = World::new();
    let request = Message::parse(request("BYE", VIA, "").into_bytes().into()).unwrap();
    world.reply(udp(), &request, 200);
    assert!(world.event().is_none() && world.names().is_empty());
    assert_eq!(world.endpoint.stats().stray_responses, 1);
}
