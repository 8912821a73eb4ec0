//! The straight call and its ends: who hangs up, who gives up, who crosses whom.

mod support;

use std::time::Duration;

use sip::message::HeaderName;
use sip::transport::Transport;
use support::*;
use switch::overload::Pressure;
use switch::{Effect, Input, Target};
use vocabulary::{CallKind, Party};

#[test]
fn a_straight_call_is_authorised_answered_and_settled() {
    let mut w = World::new();
    w.call("4930123456");
    let request = w.asked();
    assert_eq!(request.account, CUSTOMER_ACCOUNT);
    assert_eq!(request.kind, CallKind::Egress);
    assert_eq!(request.cld, number("4930123456"));
    assert_eq!(request.cli, Some(number("4989777")));
    let trunks: Vec<u64> = request.candidates.iter().map(|c| c.trunk.0).collect();
    assert_eq!(trunks, [1, 2, 3]);
    assert_eq!(w.shared.admission.live_calls(), 1);

    let mut w = World::new();
    let (_, invite, answer) = w.talk(60, false);
    assert_eq!(start(&invite), "INVITE sip:4930123456@10.1.0.1 SIP/2.0");
    assert_eq!(invite.max_forwards(), Some(69));
    assert_eq!(invite.body_bytes(), SDP.as_bytes());
    assert!(header(&invite, HeaderName::From).starts_with("\"Caller\" <sip:4989777@example.net>"));
    assert_eq!(answer.body_bytes(), SDP.as_bytes());
    w.pass_secs(20);
    w.receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &answer, "BYE", 2));
    w.expect_soon(CUSTOMER, "SIP/2.0 200");
    let bye = w.expect_soon(CARRIERS[0], "BYE");
    w.reply(CARRIERS[0], &bye, "200 OK", "");
    let settled = w.settlement();
    assert_eq!(settled.talked, Duration::from_secs(20));
    assert_eq!(settled.answered_by.map(|t| t.0), Some(1));
    assert_eq!(outcomes(&settled), [("normal", 200), ("normal", 200)]);
    assert!(settled.facts.legs.iter().all(|leg| leg.release.by == Party::Caller));
    assert!(settled.facts.legs.iter().all(|leg| leg.talked == Duration::from_secs(20)));
    assert_eq!(
        codes(&settled),
        [
            "from_trunk",
            "number_translated",
            "routes_found",
            "trunks_accepted",
            "tried_trunk",
            "answered",
            "ended_by_caller"
        ]
    );
    w.check_empty();
}

#[test]
fn the_caller_hears_the_answer_only_when_the_journal_has_it() {
    let mut w = World::new();
    w.call("4930123456");
    w.grant(60, false);
    let invite = w.expect(CARRIERS[0], "INVITE");
    w.reply_with_sdp(CARRIERS[0], &invite, "200 OK");
    assert!(!w.outbox.iter().any(|(_, m)| m.status() == 200));
    w.record();
    w.expect_soon(CUSTOMER, "SIP/2.0 200");
}

#[test]
fn topology_is_hidden() {
    let mut w = World::new();
    w.call("4930123456");
    w.grant(60, false);
    let invite = w.expect(CARRIERS[0], "INVITE");
    let text = String::from_utf8_lossy(invite.bytes()).into_owned();
    let head = text.split("\r\n\r\n").next().unwrap();
    assert!(!head.contains("10.0.0.1"), "{head}");
    assert_ne!(invite.call_id(), b"c1");
}

/// The callee's Contact names a host; where it is decides where our BYE goes (RFC 3263).
#[test]
fn a_named_target_is_looked_up_for_requests_within_the_dialog() {
    for (targets, expected) in [(vec!["10.1.7.7:5070"], "10.1.7.7:5070"), (vec![], CARRIERS[0])] {
        let mut w = World::new();
        w.call("4930123456");
        w.grant(60, false);
        let invite = w.expect(CARRIERS[0], "INVITE");
        let named = response(CARRIERS[0], &invite, "200 OK", "", SDP)
            .replace(&format!("<sip:callee@{}>", CARRIERS[0]), "<sip:callee@far.example>");
        w.receive(CARRIERS[0], &named);
        let asked = w.effects.iter().position(|e| matches!(e, Effect::Resolve { .. })).unwrap();
        let Some(Effect::Resolve { query, host }) = w.effects.remove(asked) else { unreachable!() };
        assert_eq!(host.host, "far.example");
        let udp = |addr: &str| Target { transport: Transport::Udp, addr: address(addr) };
        w.input(Input::Resolved { query, targets: targets.into_iter().map(udp).collect() });
        w.record();
        let answer = w.expect_soon(CUSTOMER, "SIP/2.0 200");
        w.receive(CUSTOMER, &ack(CUSTOMER, "c1", &answer));
        w.receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &answer, "BYE", 2));
        let bye = w.expect_soon(expected, "BYE");
        assert_eq!(bye.request_uri(), b"sip:callee@far.example");
        w.reply(expected, &bye, "200 OK", "");
        w.check_empty();
    }
}

#[test]
fn the_callee_hangs_up() {
    let mut w = World::new();
    let (_, invite, _) = w.talk(60, false);
    w.pass_secs(7);
    w.receive(CARRIERS[0], &from_callee(CARRIERS[0], &invite, "BYE", 1));
    w.expect_soon(CARRIERS[0], "SIP/2.0 200");
    w.expect_soon(CUSTOMER, "BYE");
    let settled = w.settlement();
    assert_eq!(settled.talked, Duration::from_secs(7));
    assert_eq!(settled.facts.legs[0].release.by, Party::Callee);
    w.check_empty();
}

#[test]
fn both_hang_up_at_once_and_one_settlement_follows() {
    let mut w = World::new();
    let (_, invite, answer) = w.talk(60, false);
    w.pass_secs(7);
    w.receive(CARRIERS[0], &from_callee(CARRIERS[0], &invite, "BYE", 1));
    w.receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &answer, "BYE", 2));
    w.expect_soon(CUSTOMER, "SIP/2.0 200");
    w.settlement();
    w.check_empty();
    assert!(w.settled.is_empty());
}

#[test]
fn the_caller_gives_up_while_it_rings() {
    let mut w = World::new();
    w.call("4930123456");
    w.grant(60, false);
    let invite = w.expect(CARRIERS[0], "INVITE");
    w.reply(CARRIERS[0], &invite, "180 Ringing", "");
    w.receive(CUSTOMER, &cancel(CUSTOMER, "c1", "4930123456", 1));
    w.expect_soon(CUSTOMER, "SIP/2.0 200");
    w.expect_soon(CUSTOMER, "SIP/2.0 487");
    let cancel = w.expect_soon(CARRIERS[0], "CANCEL");
    w.reply(CARRIERS[0], &cancel, "200 OK", "");
    w.reply(CARRIERS[0], &invite, "487 Request Terminated", "");
    let settled = w.settlement();
    assert_eq!(settled.talked, Duration::ZERO);
    assert_eq!(outcomes(&settled), [("cancelled", 487), ("cancelled", 487)]);
    assert!(codes(&settled).contains(&"caller_gave_up"));
    w.check_empty();
}

#[test]
fn a_grant_that_comes_after_the_cancel_starts_nothing() {
    let mut w = World::new();
    w.call("4930123456");
    let request = w.asked();
    w.receive(CUSTOMER, &cancel(CUSTOMER, "c1", "4930123456", 1));
    w.expect_soon(CUSTOMER, "SIP/2.0 487");
    w.settlement();
    w.effects.push_back(switch::Effect::Authorize(request));
    w.grant(60, false);
    w.expect_nothing(CARRIERS[0]);
    assert!(w.settled.is_empty());
    w.check_empty();
}

#[test]
fn a_disk_that_needs_too_long_connects_nobody_and_charges_nobody() {
    let mut w = World::new();
    w.call("4930123456");
    w.grant(60, false);
    let invite = w.expect(CARRIERS[0], "INVITE");
    w.reply_with_sdp(CARRIERS[0], &invite, "200 OK");
    w.pass_secs(5);
    w.expect_soon(CUSTOMER, "SIP/2.0 500");
    w.expect_soon(CARRIERS[0], "BYE");
    let settled = w.settlement();
    assert_eq!((settled.talked, settled.answered_by), (Duration::ZERO, None));
    assert!(codes(&settled).contains(&"answer_not_recorded"));
    w.record();
}

#[test]
fn talk_begins_when_the_caller_hears_the_answer() {
    let mut w = World::new();
    w.call("4930123456");
    w.grant(60, false);
    let invite = w.expect(CARRIERS[0], "INVITE");
    w.reply_with_sdp(CARRIERS[0], &invite, "200 OK");
    w.pass_secs(3);
    w.record();
    let answer = w.expect_soon(CUSTOMER, "SIP/2.0 200");
    w.receive(CUSTOMER, &ack(CUSTOMER, "c1", &answer));
    w.pass_secs(2);
    w.receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &answer, "BYE", 2));
    assert_eq!(w.settlement().talked, Duration::from_secs(2));
}

#[test]
fn a_cancel_that_crosses_the_journal_is_not_charged() {
    let mut w = World::new();
    w.call("4930123456");
    w.grant(60, false);
    let invite = w.expect(CARRIERS[0], "INVITE");
    w.reply(CARRIERS[0], &invite, "180 Ringing", "");
    w.reply_with_sdp(CARRIERS[0], &invite, "200 OK");
    w.receive(CUSTOMER, &cancel(CUSTOMER, "c1", "4930123456", 1));
    w.expect_soon(CUSTOMER, "SIP/2.0 487");
    w.expect_soon(CARRIERS[0], "BYE");
    let settled = w.settlement();
    assert_eq!((settled.talked, settled.answered_by), (Duration::ZERO, None));
    w.record();
    assert!(w.settled.is_empty());
    w.check_empty();
}

#[test]
fn a_repeated_invite_makes_no_second_call() {
    let mut w = World::new();
    let text = invite(CUSTOMER, "c1", "4930123456", 1, "");
    w.receive(CUSTOMER, &text);
    w.receive(CUSTOMER, &text);
    assert_eq!(w.shard.stats().calls_started, 1);
    let other_way = text.replace("branch=z9hG4bKc1-1", "branch=z9hG4bKother");
    w.receive(CUSTOMER, &other_way);
    w.expect_soon(CUSTOMER, "SIP/2.0 482");
    assert_eq!(w.shard.stats().calls_started, 1);
}

#[test]
fn an_operator_ends_a_call() {
    let mut w = World::new();
    let (call, ..) = w.talk(60, false);
    assert_eq!(w.shard.live_call(call).unwrap().state, switch::LiveState::Talking);
    w.pass_secs(3);
    w.input(Input::HangUp { call });
    w.expect_soon(CUSTOMER, "BYE");
    w.expect_soon(CARRIERS[0], "BYE");
    let settled = w.settlement();
    assert_eq!(settled.facts.legs[0].release.by, Party::Switch);
    assert_eq!(settled.talked, Duration::from_secs(3));
    w.check_empty();
}

#[test]
fn draining_takes_no_new_call_and_ends_the_old_ones_at_the_limit() {
    let mut w = World::new();
    w.talk(60, false);
    w.input(Input::Drain);
    w.receive(CUSTOMER, &invite(CUSTOMER, "c2", "4930123456", 1, ""));
    let refused = w.expect_soon(CUSTOMER, "SIP/2.0 503");
    assert_eq!(header(&refused, HeaderName::RetryAfter), "5");
    let settled = w.settlement();
    assert_eq!(codes(&settled), ["from_trunk", "draining"]);
    assert_eq!(outcomes(&settled), [("shutdown", 503)]);
    w.input(Input::ReleaseAll);
    w.expect_soon(CUSTOMER, "BYE");
    w.expect_soon(CARRIERS[0], "BYE");
    assert_eq!(outcomes(&w.settlement())[0], ("shutdown", 200));
    w.check_empty();
}

#[test]
fn overload_turns_away_new_work_only() {
    let mut w = World::new();
    let (_, _, answer) = w.talk(60, false);
    w.input(Input::Pressure(Pressure::All));
    w.receive(CUSTOMER, &invite(CUSTOMER, "c2", "4930123456", 1, ""));
    w.expect_soon(CUSTOMER, "SIP/2.0 503");
    w.receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &answer, "BYE", 2));
    w.expect_soon(CUSTOMER, "SIP/2.0 200");
    w.settlement();
    assert_eq!(w.shard.stats().overload_refusals, 1);
}

#[test]
fn a_directory_swap_leaves_live_calls_alone() {
    let mut w = World::new();
    let (_, _, answer) = w.talk(60, false);
    let mut rows = Rows::default();
    rows.trunks.retain(|trunk| trunk.id.0 == 2);
    rows.routes.retain(|route| route.trunk.0 == 2);
    w.input(Input::Directory(std::sync::Arc::new(rows.build())));
    w.receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &answer, "BYE", 2));
    w.expect_soon(CARRIERS[0], "BYE");
    w.settlement();
    w.check_empty();
}
