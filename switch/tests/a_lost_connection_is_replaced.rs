//! Peers on TCP whose connection is gone, or who are somewhere else than it: the messages of their
//! dialogs reach them all the same (RFC 3261 sections 12.2.1.1, 18.1.1 and 18.2.2, RFC 3263).

mod support;

use std::time::Duration;

use sip::message::{HeaderName, Message};
use sip::transport::{Path, Transport};
use support::*;
use switch::Input;
use switch::directory::{Credentials, TrunkRegistration};
use switch::registrar::{Registration, Wanted, WantedContact};
use switch::{Effect, Target};
use vocabulary::Utc;

/// The port from which the customer connects; nobody listens there.
const CUSTOMER_CONNECTS: &str = "10.0.0.1:41000";
const BOB_CONNECTS: &str = "10.2.0.1:42000";

fn customer() -> Path {
    tcp(CUSTOMER_CONNECTS, 7)
}

fn bob() -> Path {
    tcp(BOB_CONNECTS, 3)
}

/// The customer calls by a connection of its own and talks with the first carrier.
fn talk_on_tcp(w: &mut World, secs: u64, contact: &str) -> (Message, Message) {
    let text = invite(CUSTOMER_CONNECTS, "c1", "4930123456", 1, "");
    let own = format!("<sip:caller@{CUSTOMER_CONNECTS}>");
    w.receive_on(customer(), &text.replace(&own, contact));
    w.grant(secs, true);
    let to_carrier = w.expect(CARRIERS[0], "INVITE");
    w.reply_with_sdp(CARRIERS[0], &to_carrier, "200 OK");
    w.record();
    let answer = w.expect_on(customer(), "SIP/2.0 200");
    w.receive_on(customer(), &ack(CUSTOMER_CONNECTS, "c1", &answer));
    w.forget();
    (to_carrier, answer)
}

/// The first carrier is called by TCP and answers with this Contact.
fn carrier_on_tcp(contact: &str, grant_secs: u64) -> World {
    let mut rows = Rows::default();
    rows.trunk(1).transport = Some(Transport::Tcp);
    let mut w = World::with(rows);
    w.call("4930123456");
    w.grant(grant_secs, true);
    let invite = w.expect_on(tcp(CARRIERS[0], 0), "INVITE");
    let text = response(CARRIERS[0], &invite, "200 OK", "", SDP);
    let own = format!("<sip:callee@{}>", CARRIERS[0]);
    w.receive_on(tcp(CARRIERS[0], 5), &text.replace(&own, contact));
    w.record();
    let answer = w.expect_soon(CUSTOMER, "SIP/2.0 200");
    w.receive(CUSTOMER, &ack(CUSTOMER, "c1", &answer));
    w
}

fn answer_on(w: &mut World, path: Path, request: &Message) {
    w.receive_on(path, &response(&path.remote.to_string(), request, "200 OK", "", ""));
}

fn register(w: &mut World, source: Path, contact: &str, is_behind_nat: bool) {
    let contact = WantedContact {
        uri: contact.as_bytes().to_vec().into(),
        q: 1000,
        expires: Duration::from_secs(3600),
        is_behind_nat,
    };
    let registration = Registration {
        call_id: "reg".into(),
        cseq: source.connection,
        path: Vec::new(),
        source,
        wanted: Wanted::Contacts(vec![contact]),
    };
    w.shared.bindings.register(w.now.utc, BOB, 4, &registration).expect("it is the first");
}

#[test]
fn the_bye_at_the_end_of_the_credit_opens_another_connection() {
    let mut w = World::new();
    talk_on_tcp(&mut w, 10, "<sip:caller@10.0.0.1:5060;transport=tcp>");
    w.pass_secs(10);
    w.expect_on(customer(), "BYE");
    w.lose(customer());
    let bye = w.expect_on(tcp(CUSTOMER, 0), "BYE sip:caller@10.0.0.1:5060;transport=tcp");
    assert!(header(&bye, HeaderName::Via).starts_with("SIP/2.0/TCP 192.0.2.1:5060"));
    assert!(header(&bye, HeaderName::Reason).contains("Q.850"));
    answer_on(&mut w, tcp(CUSTOMER, 8), &bye);
    let bye = w.expect(CARRIERS[0], "BYE");
    w.reply(CARRIERS[0], &bye, "200 OK", "");
    assert_eq!(w.settlement().talked, Duration::from_secs(10));
    assert!(w.shard.is_idle(), "both have answered");
}

#[test]
fn a_connection_known_to_be_gone_is_not_tried_again() {
    let mut w = World::new();
    let (_, answer) = talk_on_tcp(&mut w, 60, "<sip:caller@10.0.0.1:5060;transport=tcp>");
    w.lose(customer());
    // The peer comes back by a new connection, and that is used from then on.
    let info = in_dialog(CUSTOMER_CONNECTS, "c1", &answer, "OPTIONS", 2);
    let again = tcp("10.0.0.1:41001", 9);
    w.receive_on(again, &info);
    w.expect_on(again, "SIP/2.0 200");
    w.pass_secs(60);
    let bye = w.expect_on(again, "BYE");
    answer_on(&mut w, again, &bye);
}

#[test]
fn a_peer_that_takes_no_connection_gets_a_datagram() {
    let mut w = World::new();
    talk_on_tcp(&mut w, 10, "<sip:caller@10.0.0.1:5060>");
    w.pass_secs(10);
    w.expect_on(customer(), "BYE");
    w.lose(customer());
    w.expect_on(tcp(CUSTOMER, 0), "BYE");
    w.lose(tcp(CUSTOMER, 12));
    let bye = w.expect_on(path(CUSTOMER), "BYE");
    assert!(header(&bye, HeaderName::Via).starts_with("SIP/2.0/UDP"));
    w.reply(CUSTOMER, &bye, "200 OK", "");
    w.settlement();
    w.check_empty();
}

#[test]
fn what_no_way_leads_to_is_over() {
    let mut w = World::new();
    talk_on_tcp(&mut w, 10, "<sip:caller@10.0.0.1:5060;transport=tcp>");
    w.pass_secs(10);
    w.lose(customer());
    w.lose(tcp(CUSTOMER, 12));
    let bye = w.expect(CARRIERS[0], "BYE");
    w.reply(CARRIERS[0], &bye, "200 OK", "");
    w.settlement();
    assert!(w.shard.is_idle());
}

#[test]
fn a_carrier_that_closed_its_connection_is_called_back() {
    let mut w = carrier_on_tcp("<sip:callee@10.1.0.1:5060;transport=tcp>", 10);
    w.expect_on(tcp(CARRIERS[0], 5), "ACK");
    w.lose(tcp(CARRIERS[0], 5));
    w.pass_secs(10);
    // It fails on the dead connection, and a new one is opened.
    w.expect_on(tcp(CARRIERS[0], 5), "BYE");
    w.lose(tcp(CARRIERS[0], 5));
    let bye = w.expect_on(tcp(CARRIERS[0], 0), "BYE");
    answer_on(&mut w, tcp(CARRIERS[0], 6), &bye);
    let bye = w.expect(CUSTOMER, "BYE");
    w.reply(CUSTOMER, &bye, "200 OK", "");
    w.settlement();
    assert!(w.shard.is_idle());
}

#[test]
fn a_contact_at_another_address_goes_before_the_connection() {
    let mut w = carrier_on_tcp("<sip:callee@10.1.0.9:5070;transport=tcp>", 10);
    let elsewhere = tcp("10.1.0.9:5070", 0);
    w.expect_on(elsewhere, "ACK");
    w.pass_secs(10);
    w.expect_on(elsewhere, "BYE");
    // Nobody is there after all: back to where it was heard.
    w.lose(elsewhere);
    let bye = w.expect_on(tcp(CARRIERS[0], 5), "BYE");
    answer_on(&mut w, tcp(CARRIERS[0], 5), &bye);
}

#[test]
fn the_trunks_own_address_comes_last() {
    let mut w = carrier_on_tcp("<sip:callee@gw.invalid;transport=tcp>", 10);
    w.expect_on(tcp(CARRIERS[0], 5), "ACK");
    w.pass_secs(10);
    w.expect_on(tcp(CARRIERS[0], 5), "BYE");
    w.lose(tcp(CARRIERS[0], 5));
    w.expect_on(tcp(CARRIERS[0], 0), "BYE");
}

#[test]
fn a_contact_that_names_tcp_is_reached_by_tcp() {
    let mut w = World::new();
    w.call("4930123456");
    w.grant(10, true);
    let invite = w.expect(CARRIERS[0], "INVITE");
    let text = response(CARRIERS[0], &invite, "200 OK", "", SDP);
    let own = format!("<sip:callee@{}>", CARRIERS[0]);
    w.receive(CARRIERS[0], &text.replace(&own, "<sip:callee@10.1.0.1:5070;transport=tcp>"));
    let ack = w.expect_on(tcp("10.1.0.1:5070", 0), "ACK");
    assert!(header(&ack, HeaderName::Via).starts_with("SIP/2.0/TCP"));
}

/// A session description of a phone with many codecs (RFC 3261 section 18.1.1).
fn long_call(rows: Rows) -> World {
    let mut w = World::with(rows);
    let long = "a=fmtp:101 0-15\r\n".repeat(80);
    let text = invite(CUSTOMER, "c1", "4930123456", 1, "").replace(SDP, &format!("{SDP}{long}"));
    let length = |length: usize| format!("Content-Length: {length}\n");
    let text = text.replace(&length(SDP.len()), &length(SDP.len() + long.len()));
    w.receive(CUSTOMER, &text);
    w.grant(10, true);
    w
}

#[test]
fn a_long_invite_goes_by_tcp_unless_the_trunk_is_reached_by_udp_alone() {
    let mut w = long_call(Rows::default());
    w.expect_on(tcp(CARRIERS[0], 0), "INVITE");
    w.lose(tcp(CARRIERS[0], 5));
    let invite = w.expect_on(path(CARRIERS[0]), "INVITE");
    w.reply(CARRIERS[0], &invite, "180 Ringing", "");
    w.expect_soon(CUSTOMER, "SIP/2.0 180");
    let mut rows = Rows::default();
    rows.trunk(1).transport = Some(Transport::Udp);
    long_call(rows).expect_on(path(CARRIERS[0]), "INVITE");
}

#[test]
fn each_address_of_the_next_hop_is_tried() {
    let mut w = World::new();
    w.call("4930123456");
    w.grant(10, true);
    let invite = w.expect(CARRIERS[0], "INVITE");
    let text = response(CARRIERS[0], &invite, "200 OK", "", SDP);
    let own = format!("<sip:callee@{}>", CARRIERS[0]);
    w.receive(CARRIERS[0], &text.replace(&own, "<sip:callee@gw.example>"));
    let place = w.effects.iter().position(|effect| matches!(effect, Effect::Resolve { .. }));
    let Some(Effect::Resolve { query, .. }) = w.effects.remove(place.unwrap()) else { panic!() };
    let target = |addr| Target { transport: Transport::Udp, addr: address(addr) };
    let targets = vec![target("10.1.0.7:5060"), target("10.1.0.8:5060")];
    w.input(Input::Resolved { query, targets });
    w.record();
    let answer = w.expect_soon(CUSTOMER, "SIP/2.0 200");
    w.receive(CUSTOMER, &support::ack(CUSTOMER, "c1", &answer));
    w.pass_secs(10);
    w.expect("10.1.0.7:5060", "BYE");
    w.input(Input::PathFailed(path("10.1.0.7:5060")));
    w.expect("10.1.0.8:5060", "BYE");
    // Silence is no answer either: last of all, where the carrier was heard.
    w.pass_secs(33);
    let bye = w.expect_soon(CARRIERS[0], "BYE");
    w.reply(CARRIERS[0], &bye, "200 OK", "");
    w.settlement();
    w.check_empty();
}

#[test]
fn a_phone_that_registered_again_is_reached_by_its_new_connection() {
    let mut w = World::new();
    register(&mut w, bob(), "sip:bob@192.168.1.5:5060;transport=tcp", true);
    w.call("4930555");
    w.grant(10, true);
    let invite = w.expect_on(bob(), "INVITE");
    w.receive_on(bob(), &response(BOB_CONNECTS, &invite, "200 OK", "", SDP));
    w.record();
    let answer = w.expect_soon(CUSTOMER, "SIP/2.0 200");
    w.receive(CUSTOMER, &ack(CUSTOMER, "c1", &answer));
    w.expect_on(bob(), "ACK");
    let again = tcp("10.2.0.1:42001", 4);
    register(&mut w, again, "sip:bob@192.168.1.5:5060;transport=tcp", true);
    w.pass_secs(10);
    w.expect_on(bob(), "BYE");
    w.lose(bob());
    let bye = w.expect_on(again, "BYE");
    answer_on(&mut w, again, &bye);
    let bye = w.expect(CUSTOMER, "BYE");
    w.reply(CUSTOMER, &bye, "200 OK", "");
    w.settlement();
    assert!(w.shard.is_idle());
}

#[test]
fn a_call_to_a_phone_whose_connection_is_gone_goes_to_its_contact() {
    let mut w = World::new();
    register(&mut w, bob(), "sip:bob@10.2.0.1:5060", false);
    w.call("4930555");
    w.grant(10, true);
    w.expect_on(bob(), "INVITE");
    w.lose(bob());
    w.expect_on(tcp(PHONES[0], 0), "INVITE sip:bob@10.2.0.1:5060");
    w.expect_nothing(CUSTOMER);
}

#[test]
fn a_phone_behind_nat_whose_connection_is_gone_is_unreachable_at_once() {
    let mut w = World::new();
    register(&mut w, bob(), "sip:bob@192.168.1.5:5060;transport=tcp", true);
    w.call("4930555");
    w.grant(10, true);
    w.expect_on(bob(), "INVITE");
    w.lose(bob());
    w.settlement();
    assert!(w.outbox.iter().any(|(path, m)| path.remote == address(CUSTOMER) && m.status() >= 400));
}

#[test]
fn a_connection_is_needed_while_a_call_or_a_phone_uses_it() {
    let mut w = World::new();
    assert!(!w.needs(customer()));
    talk_on_tcp(&mut w, 10, "<sip:caller@10.0.0.1:5060;transport=tcp>");
    assert!(w.needs(customer()));
    assert!(!w.needs(tcp(CUSTOMER_CONNECTS, 8)));
    w.pass_secs(10);
    let bye = w.expect_on(customer(), "BYE");
    answer_on(&mut w, customer(), &bye);
    assert!(!w.needs(customer()));
    register(&mut w, bob(), "sip:bob@10.2.0.1:5060", false);
    assert!(w.needs(bob()));
    w.now.utc = Utc(w.now.utc.0 + 3_600_000_000);
    assert!(!w.needs(bob()), "the registration is over");
}

#[test]
fn a_lost_connection_by_which_we_are_registered_is_replaced_at_once() {
    let mut rows = Rows::default();
    let trunk = rows.trunk(1);
    trunk.transport = Some(Transport::Tcp);
    trunk.credentials = Some(Credentials { username: "us".into(), password: "pw".into() });
    trunk.registration = Some(TrunkRegistration {
        username: "us".into(),
        domain: String::new(),
        expires: Duration::from_secs(600),
    });
    let mut w = World::with(rows);
    w.input(Input::Timeout);
    let flow = tcp(CARRIERS[0], 5);
    let register = w.expect_on(tcp(CARRIERS[0], 0), "REGISTER");
    let contact = header(&register, HeaderName::Contact);
    assert_eq!(contact, "<sip:us@192.0.2.1:5060;transport=tcp>");
    answer_on(&mut w, flow, &register);
    assert!(w.needs(flow), "the trunk sends its calls by it");
    w.lose(flow);
    w.pass(Duration::from_millis(1));
    w.expect_on(tcp(CARRIERS[0], 0), "REGISTER");
}
