//! P-601: the calls of a WebRTC or other gateway come by one trunk, and are those of the subscribers
//! that it names: their accounts pay, by their rules.

mod support;

use sip::message::HeaderName;
use support::*;
use switch::caller_id::CliPool;
use switch::directory::{TrunkIngress, TrunkRow};
use vocabulary::{SubscriberId, TrunkId};

const GATEWAY: &str = "10.0.0.9:5060";
const GATEWAY_TRUNK: TrunkId = TrunkId(11);
const ALICES: SubscriberId = SubscriberId(20);

/// Alice's number is 4930444, Bob's 4930555; both are of the local account.
fn rows() -> Rows {
    let mut rows = Rows::default();
    let mut gateway = TrunkRow::new(GATEWAY_TRUNK, "webrtc", CARRIER_ACCOUNT);
    gateway.ingress = TrunkIngress {
        networks: vec!["10.0.0.9".parse().expect("a network")],
        ..TrunkIngress::default()
    };
    gateway.caller_id.names_subscribers = true;
    rows.trunks.push(gateway);
    rows.subscribers[0].number = Some(number("4930444"));
    rows.subscribers[1].number = Some(number("4930555"));
    rows.numbers.push((number("4930444"), ALICES));
    rows
}

/// The gateway sends a call with this From and these lines.
fn called(rows: Rows, from: &str, lines: &str) -> World {
    let mut w = World::with(rows);
    let invite = invite(GATEWAY, "c1", "4930123456", 1, lines);
    w.receive(GATEWAY, &invite.replace("\"Caller\" <sip:4989777@10.0.0.9:5060>", from));
    w
}

#[test]
fn a_call_is_that_of_the_subscriber_who_is_named() {
    let asserts_bob = "P-Asserted-Identity: <sip:bob@10.0.0.9>\n";
    for (from, lines, caller, cli) in [
        ("<sip:alice@10.0.0.9>", "", ALICES, "4930444"),
        ("<sip:+4930444@10.0.0.9>", "", ALICES, "4930444"),
        ("<sip:alice@10.0.0.9>", asserts_bob, BOB, "4930555"),
        ("<sip:anonymous@anonymous.invalid>", asserts_bob, BOB, "4930555"),
        ("<sip:alice@10.0.0.9>", "P-Asserted-Identity: tel:+4930555\n", BOB, "4930555"),
    ] {
        let mut w = called(rows(), from, lines);
        let request = w.asked();
        let origin = request.origin;
        assert_eq!((origin.subscriber, origin.trunk), (Some(caller), None), "{from} {lines}");
        assert_eq!((request.account, request.cli), (LOCAL_ACCOUNT, Some(number(cli))), "{from}");
        assert_eq!(origin.is_withheld, from.contains("anonymous"));
        w.receive(GATEWAY, &cancel(GATEWAY, "c1", "4930123456", 1));
        let settled = w.settlement();
        assert_eq!(codes(&settled)[..2], ["from_trunk", "named_by_gateway"]);
    }
}

/// What a subscriber may not do with a phone it may not do by a gateway: its number is told, its
/// account's policy holds, and it asserts nothing.
#[test]
fn the_subscribers_account_makes_the_rules() {
    let mut rows = rows();
    rows.account(LOCAL_ACCOUNT).caller_id.pool = CliPool::ReplaceUnlessDid;
    rows.subscribers[1].number = None;
    rows.numbers.retain(|(number, _)| number.as_str() != "4930555");
    rows.trunk(1).is_trusted = true;
    let lines = "P-Asserted-Identity: <sip:alice@10.0.0.9>\n\
                 Diversion: <sip:4940@a.example>\n";
    let mut w = called(rows, "<sip:4989777@10.0.0.9>", lines);
    w.grant(60, false);
    let invite = w.expect(CARRIERS[0], "INVITE");
    assert_eq!(header(&invite, HeaderName::PAssertedIdentity), "<sip:4930444@example.net>");
    assert_eq!(header(&invite, HeaderName::Diversion), "");
}

#[test]
fn a_gateway_that_names_nobody_is_refused() {
    let foreign = "P-Asserted-Identity: <sip:4989777@10.0.0.9>\n";
    for (from, lines) in [
        ("<sip:mallory@10.0.0.9>", ""),
        ("<sip:4989777@10.0.0.9>", ""),
        ("<sip:alice@10.0.0.9>", foreign),
    ] {
        let mut w = called(rows(), from, lines);
        w.expect_soon(GATEWAY, "SIP/2.0 403");
        let settled = w.settlement();
        assert_eq!(codes(&settled).last(), Some(&"gateway_names_nobody"));
        assert_eq!(settled.facts.legs[0].account, Some(CARRIER_ACCOUNT));
        w.check_empty();
    }
}

#[test]
fn what_is_switched_off_sends_nothing() {
    let mut off = rows();
    off.trunk(GATEWAY_TRUNK.0).is_active = false;
    let mut w = called(off, "<sip:alice@10.0.0.9>", "");
    w.expect_soon(GATEWAY, "SIP/2.0 403");
    assert_eq!(codes(&w.settlement()).last(), Some(&"trunk_inactive"));
    let mut off = rows();
    off.subscribers[0].is_active = false;
    let mut w = called(off, "<sip:alice@10.0.0.9>", "");
    w.expect_soon(GATEWAY, "SIP/2.0 403");
    assert_eq!(codes(&w.settlement()).last(), Some(&"subscriber_inactive"));
}

#[test]
fn the_gateways_limits_hold_for_all_its_callers() {
    let mut rows = rows();
    rows.trunk(GATEWAY_TRUNK.0).ingress_limits.concurrent = Some(1);
    let mut w = called(rows, "<sip:alice@10.0.0.9>", "");
    w.grant(60, false);
    let usual = "\"Caller\" <sip:4989777@10.0.0.9:5060>";
    let second = invite(GATEWAY, "c2", "4930123456", 1, "");
    w.receive(GATEWAY, &second.replace(usual, "<sip:bob@10.0.0.9>"));
    w.expect_soon(GATEWAY, "SIP/2.0 503");
    assert_eq!(codes(&w.settlement()).last(), Some(&"trunk_concurrency_exceeded"));
}

#[test]
fn another_trunk_speaks_for_itself() {
    let mut rows = rows();
    rows.trunk(GATEWAY_TRUNK.0).caller_id.names_subscribers = false;
    let mut w = called(rows, "<sip:alice@10.0.0.9>", "");
    assert_eq!(w.asked().account, CARRIER_ACCOUNT);
}
