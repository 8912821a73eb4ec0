//! Requests that we send.

use std::time::Duration;

use sip::endpoint::Event;
use sip::message::{HeaderName, Message, Method, RequestDraft, ResponseDraft};
use sip::transaction::Failure;
use sip::transport::Path;

use crate::world::{World, ms, tcp, udp};

#[test]
fn an_invite_is_repeated_by_timer_a_until_timer_b() {
    let mut world = World::new();
    world.send(udp(), Method::Invite);
    assert_eq!(world.names(), ["INVITE"]);
    let times = world.times(ms(32_000), "INVITE");
    assert_eq!(times, [500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    let event = world.event();
    assert!(matches!(event, Some(Event::Failed { user: 77, why: Failure::Timeout, .. })));
    assert_eq!((world.endpoint.transactions(), world.endpoint.armed()), (0, 0));
}

#[test]
fn timer_e_doubles_up_to_t2() {
    let mut world = World::new();
    world.send(udp(), Method::Bye);
    world.names();
    let times = world.times(ms(32_000), "BYE");
    assert_eq!(times, [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
    assert!(matches!(world.event(), Some(Event::Failed { why: Failure::Timeout, .. })));
    world.end();
}

#[test]
fn timer_e_is_t2_after_a_provisional_response() {
    let mut world = World::new();
    world.send(udp(), Method::Options);
    let request = world.sent_message();
    world.reply(udp(), &request, 100);
    assert_eq!(world.responded(), 100);
    assert_eq!(world.times(ms(10_000), "OPTIONS"), [500, 4_500, 8_500]);
}

#[test]
fn nothing_is_repeated_on_tcp() {
    for method in [Method::Invite, Method::Bye] {
        let mut world = World::new();
        world.send(tcp(), method);
        world.names();
        assert_eq!(world.trace(ms(31_999)), []);
        world.advance(ms(1));
        assert!(matches!(world.event(), Some(Event::Failed { why: Failure::Timeout, .. })));
        world.end();
    }
}

#[test]
fn a_provisional_response_stops_timer_a() {
    let mut world = World::new();
    world.send(udp(), Method::Invite);
    let invite = world.sent_message();
    world.reply(udp(), &invite, 180);
    assert_eq!(world.responded(), 180);
    assert_eq!(world.trace(Duration::from_secs(180)), []);
    world.reply(udp(), &invite, 183);
    assert_eq!(world.responded(), 183);
}

#[test]
fn the_ack_to_a_failure_is_built_from_the_invite_and_repeated() {
    let mut world = World::new();
    world.send(udp(), Method::Invite);
    let invite = world.sent_message();
    world.reply(udp(), &invite, 486);
    assert_eq!(world.responded(), 486);
    let ack = world.sent_message();
    assert_eq!(ack.method(), Method::Ack);
    assert_eq!(ack.request_uri(), invite.request_uri());
    assert_eq!(ack.header(HeaderName::Via), invite.header(HeaderName::Via));
    assert_eq!(ack.header(HeaderName::From), invite.header(HeaderName::From));
    assert_eq!(ack.to_tag(), Some(&b"theirs"[..]), "To is the response's");
    assert_eq!(ack.call_id(), invite.call_id());
    assert_eq!(ack.cseq(), (3, Method::Ack));
    assert_eq!(ack.headers(HeaderName::Route).count(), 2);
    assert_eq!(ack.max_forwards(), Some(70));
    assert_eq!(ack.vias().count(), 1);
    world.reply(udp(), &invite, 486);
    assert!(world.event().is_none(), "a repeated final response is absorbed");
    assert_eq!(world.sent_message().bytes(), ack.bytes());
    world.end();
}

#[test]
fn every_2xx_passes_up_during_timer_m() {
    let mut world = World::new();
    world.send(udp(), Method::Invite);
    let invite = world.sent_message();
    world.reply(udp(), &invite, 200);
    assert_eq!(world.responded(), 200);
    assert!(world.names().is_empty(), "its ACK is the leg's");
    world.advance(ms(31_999));
    let fork = ResponseDraft::with_tag(&invite, 200, "", b"other").finish();
    world.endpoint.receive(world.now, udp(), fork.clone());
    assert_eq!(world.responded(), 200);
    world.advance(ms(1));
    world.endpoint.receive(world.now, udp(), fork);
    assert!(world.event().is_none());
    assert_eq!(world.endpoint.stats().stray_responses, 1);
    world.end();
}

#[test]
fn a_repeated_final_response_is_absorbed_during_timer_k() {
    let mut world = World::new();
    world.send(udp(), Method::Bye);
    let bye = world.sent_message();
    world.reply(udp(), &bye, 200);
    assert_eq!(world.responded(), 200);
    world.reply(udp(), &bye, 200);
    assert!(world.event().is_none());
    assert_eq!(world.endpoint.transactions(), 1);
    world.advance(ms(5_000));
    assert_eq!((world.endpoint.transactions(), world.endpoint.armed()), (0, 0));
}

#[test]
fn on_tcp_the_transaction_ends_with_its_final_response() {
    for (method, status) in [(Method::Bye, 200), (Method::Invite, 486)] {
        let mut world = World::new();
        world.send(tcp(), method);
        let request = world.sent_message();
        world.reply(tcp(), &request, status);
        assert_eq!(world.responded(), status);
        assert_eq!((world.endpoint.transactions(), world.endpoint.armed()), (0, 0));
    }
}

#[test]
fn a_cancel_has_the_branch_of_its_invite() {
    let mut world = World::new();
    let tx = world.send(udp(), Method::Invite);
    let invite = world.sent_message();
    world.reply(udp(), &invite, 180);
    assert_eq!(world.responded(), 180);
    world.endpoint.cancel(world.now, tx, b"Reason: Q.850;cause=16\r\nX-More: 1");
    let cancel = world.sent_message();
    assert_eq!(cancel.method(), Method::Cancel);
    assert_eq!(cancel.header(HeaderName::Via), invite.header(HeaderName::Via));
    assert_eq!(cancel.request_uri(), invite.request_uri());
    assert_eq!(cancel.header(HeaderName::To), invite.header(HeaderName::To), "no tag in To");
    assert_eq!(cancel.header(HeaderName::From), invite.header(HeaderName::From));
    assert_eq!(cancel.cseq(), (3, Method::Cancel));
    assert_eq!(cancel.headers(HeaderName::Route).count(), 2);
    let raw: Vec<&[u8]> = cancel.header_lines().map(|line| line.raw).collect();
    assert!(raw.contains(&&b"Reason: Q.850;cause=16"[..]), "{cancel:?}");
    assert!(raw.contains(&&b"X-More: 1"[..]));
    world.endpoint.cancel(world.now, tx, b"");
    assert!(world.names().is_empty(), "once");
    assert_eq!(world.times(ms(1_600), "CANCEL"), [500, 1_500]);
    world.reply(udp(), &cancel, 200);
    assert!(world.event().is_none(), "the response to CANCEL is nobody's concern");
    assert_eq!(world.trace(ms(10_000)), []);
    world.reply(udp(), &invite, 487);
    assert_eq!(world.responded(), 487);
    assert_eq!(world.names(), ["ACK"]);
    world.end();
}

#[test]
fn a_cancel_waits_for_a_provisional_response() {
    let mut world = World::new();
    let tx = world.send(udp(), Method::Invite);
    let invite = world.sent_message();
    world.endpoint.cancel(world.now, tx, b"Reason: SIP;cause=200");
    assert_eq!(world.trace(ms(600)), [(500, "INVITE".into())]);
    world.reply(udp(), &invite, 100);
    assert_eq!(world.names(), ["CANCEL"]);
    assert_eq!(world.responded(), 100);
    world.end();
    assert!(
        matches!(world.event(), Some(Event::Failed { why: Failure::Timeout, .. })),
        "no final response within 64 T1 of the CANCEL"
    );
}

#[test]
fn a_2xx_may_cross_the_cancel() {
    let mut world = World::new();
    let tx = world.send(udp(), Method::Invite);
    let invite = world.sent_message();
    world.reply(udp(), &invite, 180);
    world.responded();
    world.endpoint.cancel(world.now, tx, b"");
    assert_eq!(world.names(), ["CANCEL"]);
    world.reply(udp(), &invite, 200);
    assert_eq!(world.responded(), 200);
    assert_eq!(world.trace(ms(10_000)), [], "the CANCEL is not repeated any more");
    world.end();
}

#[test]
fn an_invite_that_rings_for_ever_is_cancelled() {
    let mut world = World::new();
    world.send(udp(), Method::Invite);
    let invite = world.sent_message();
    world.reply(udp(), &invite, 180);
    world.responded();
    let cancels = world.times(Duration::from_secs(901), "CANCEL");
    assert_eq!(cancels, [900_000, 900_500]);
    world.end();
    assert!(matches!(world.event(), Some(Event::Failed { why: Failure::Timeout, .. })));
}

#[test]
fn only_an_invite_can_be_cancelled() {
    let mut world = World::new();
    let tx = world.send(udp(), Method::Options);
    let options = world.sent_message();
    world.endpoint.cancel(world.now, tx, b"");
    world.reply(udp(), &options, 100);
    assert_eq!(world.responded(), 100);
    assert!(world.names().is_empty());
}

#[test]
fn a_transport_failure_ends_what_waits_for_it_and_nothing_else() {
    let mut world = World::new();
    world.send(tcp(), Method::Invite);
    let other = Path { remote: "192.0.2.8:5060".parse().unwrap(), ..tcp() };
    world.send(other, Method::Bye);
    world.names();
    world.endpoint.transport_failed(world.now, tcp());
    assert!(matches!(world.event(), Some(Event::Failed { why: Failure::Transport, .. })));
    assert_eq!(world.endpoint.transactions(), 1);
}

#[test]
fn icmp_errors_that_strangers_provoke_do_not_hide_those_of_a_peer() {
    let mut world = World::new();
    world.send(udp(), Method::Bye);
    world.names();
    for port in 9..20 {
        let stranger = Path { remote: ([192, 0, 2, 9], port).into(), ..udp() };
        world.endpoint.transport_failed(world.now, stranger);
    }
    world.endpoint.transport_failed(world.now, udp());
    assert!(matches!(world.event(), Some(Event::Failed { why: Failure::Transport, .. })));
    assert_eq!(world.endpoint.transactions(), 0);
}

#[test]
fn a_failed_connection_ends_what_left_it_to_the_transport_which_one() {
    let mut world = World::new();
    world.send(Path { connection: 0, ..tcp() }, Method::Bye);
    world.names();
    // One that was known by its number says nothing of the one that was opened for this.
    world.endpoint.transport_failed(world.now, tcp());
    assert!(world.event().is_none());
    world.endpoint.transport_failed(world.now, Path { connection: 0, ..tcp() });
    assert!(matches!(world.event(), Some(Event::Failed { why: Failure::Transport, .. })));
    assert_eq!(world.endpoint.transactions(), 0);
}

#[test]
fn another_connection_of_the_same_peer_is_not_concerned() {
    let mut world = World::new();
    world.send(tcp(), Method::Bye);
    world.names();
    world.endpoint.transport_failed(world.now, Path { connection: 10, ..tcp() });
    assert!(world.event().is_none());
}

#[test]
fn a_response_with_another_branch_method_or_slot_finds_nothing() {
    let mut world = World::new();
    world.send(udp(), Method::Invite);
    let invite = world.sent_message();
    let text = String::from_utf8(invite.bytes().to_vec()).unwrap();
    let branch = String::from_utf8(invite.top_via().unwrap().branch().unwrap().to_vec()).unwrap();
    let mut guessed = branch.clone();
    let last = if guessed.pop() == Some('0') { '1' } else { '0' };
    guessed.push(last);
    for wrong in [
        text.replace(&branch, &guessed),
        text.replace(&branch, "z9hG4bK"),
        text.replace(&branch, "z9hG4bKffffffffffffffffffffffff"),
        text.replace("3 INVITE", "3 BYE").replace("INVITE sip", "BYE sip"),
    ] {
        let wrong = Message::parse(wrong.into_bytes().into()).unwrap();
        world.reply(udp(), &wrong, 200);
        assert!(world.event().is_none());
    }
    assert_eq!(world.endpoint.stats().stray_responses, 4);
}

#[test]
fn branches_differ_and_follow_from_the_seed() {
    let branches = || {
        let mut world = World::new();
        let mut branches = Vec::new();
        for _ in 0..100 {
            world.send(udp(), Method::Bye);
            let bye = world.sent_message();
            branches.push(bye.top_via().unwrap().branch().unwrap().to_vec());
        }
        branches
    };
    let first = branches();
    assert_eq!(first, branches());
    let mut sorted = first.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), 100);
}

#[test]
fn our_via_names_the_listener_and_asks_for_rport() {
    let mut world = World::new();
    world.send(udp(), Method::Bye);
    let via = world.sent_message();
    let via = via.top_via().unwrap();
    assert_eq!((via.host(), via.port()), (&b"192.0.2.1"[..], Some(5060)));
    assert_eq!(via.transport(), b"UDP");
    assert_eq!(via.rport(), Some(None));
    world.send(tcp(), Method::Bye);
    assert_eq!(world.sent_message().top_via().unwrap().transport(), b"TCP");
}

/// Longer than what fits into a datagram (section 18.1.1).
fn long(world: &mut World, path: Path, method: Method<'_>) {
    let draft = RequestDraft::new(method, b"sip:bob@192.0.2.7:5066")
        .header(HeaderName::From, "<sip:alice@192.0.2.1>;tag=ours")
        .header(HeaderName::To, "<sip:bob@192.0.2.7>")
        .header(HeaderName::CallId, "our-call")
        .header_fmt(HeaderName::CSeq, format_args!("3 {method}"))
        .body(b"application/sdp", vec![b'x'; 1300].into());
    world.endpoint.send_request_by_size(world.now, path, draft, 77);
}

fn opened() -> Path {
    Path { connection: 0, ..tcp() }
}

#[test]
fn a_request_too_long_for_a_datagram_goes_by_tcp() {
    let mut world = World::new();
    long(&mut world, udp(), Method::Invite);
    let transmit = world.endpoint.poll_transmit().unwrap();
    assert_eq!(transmit.path, opened());
    let invite = Message::parse(transmit.bytes).unwrap();
    let via = String::from_utf8(invite.header(HeaderName::Via).unwrap().to_vec()).unwrap();
    assert!(via.starts_with("SIP/2.0/TCP 192.0.2.1:5060;rport;branch=z9hG4bK"), "{via}");
    assert_eq!(world.times(ms(31_000), "INVITE"), [], "nothing is repeated on a stream");
    world.reply(tcp(), &invite, 200);
    assert_eq!(world.responded(), 200);
    world.end();
}

#[test]
fn a_peer_that_takes_no_connection_gets_long_datagrams() {
    let mut world = World::new();
    for method in [Method::Invite, Method::Info] {
        long(&mut world, udp(), method);
        let first = world.endpoint.poll_transmit().unwrap();
        world.endpoint.transport_failed(world.now, opened());
        // The first is told by the failure, the second knows it.
        let second = world.endpoint.poll_transmit();
        let sent = if method == Method::Invite { second.unwrap() } else { first };
        assert_eq!(sent.path, udp());
        let request = Message::parse(sent.bytes).unwrap();
        let via = String::from_utf8(request.header(HeaderName::Via).unwrap().to_vec()).unwrap();
        assert!(via.starts_with("SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bK"), "{via}");
        assert!(world.event().is_none(), "nobody hears of it");
        assert_eq!(world.times(ms(600), &method.to_string()), [500], "datagrams are repeated");
        world.reply(udp(), &request, 200);
        assert_eq!(world.responded(), 200);
    }
    // After an hour it is asked again.
    world.trace(Duration::from_secs(3600));
    long(&mut world, udp(), Method::Info);
    assert_eq!(world.endpoint.poll_transmit().unwrap().path, opened());
    // Nothing can be sent at all: it fails once.
    world.endpoint.transport_failed(world.now, opened());
    world.endpoint.poll_transmit();
    world.endpoint.transport_failed(world.now, udp());
    assert!(matches!(world.event(), Some(Event::Failed { why: Failure::Transport, .. })));
    world.end();
}

#[test]
fn a_cancel_outlives_the_change_to_datagrams() {
    let mut world = World::new();
    let draft = RequestDraft::new(Method::Invite, b"sip:bob@192.0.2.7:5066")
        .header(HeaderName::From, "<sip:alice@192.0.2.1>;tag=ours")
        .header(HeaderName::To, "<sip:bob@192.0.2.7>")
        .header(HeaderName::CallId, "our-call")
        .header(HeaderName::CSeq, "3 INVITE")
        .body(b"application/sdp", vec![b'x'; 1300].into());
    let tx = world.endpoint.send_request_by_size(world.now, udp(), draft, 77);
    world.endpoint.poll_transmit();
    world.endpoint.cancel(world.now, tx, b"");
    world.endpoint.transport_failed(world.now, opened());
    let invite = world.sent_message();
    world.reply(udp(), &invite, 100);
    let cancel = world.sent_message();
    assert_eq!(cancel.method(), Method::Cancel);
    assert_eq!(cancel.header(HeaderName::Via), invite.header(HeaderName::Via));
}
