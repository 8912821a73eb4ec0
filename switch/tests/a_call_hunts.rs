//! Several carriers, several contacts: who is tried, when it stops, what the caller hears.

mod support;

use std::time::Duration;

use sip::transport::Transport;
use support::*;
use switch::directory::RedirectPolicy;
use switch::{Effect, Input, Target};
use vocabulary::Party;

fn hunting(rows: Rows) -> World {
    let mut w = World::with(rows);
    w.call("4930123456");
    w.grant(60, false);
    w
}

#[track_caller]
fn fail(w: &mut World, carrier: usize, status: &str) {
    let invite = w.expect_soon(CARRIERS[carrier], "INVITE");
    w.reply(CARRIERS[carrier], &invite, status, "");
    w.expect_soon(CARRIERS[carrier], "ACK");
}

#[test]
fn three_carriers_are_tried_in_order_and_the_third_answers() {
    let mut w = hunting(Rows::default());
    fail(&mut w, 0, "503 Service Unavailable");
    fail(&mut w, 1, "404 Not Found");
    let invite = w.expect_soon(CARRIERS[2], "INVITE");
    w.reply_with_sdp(CARRIERS[2], &invite, "200 OK");
    w.record();
    let answer = w.expect_soon(CUSTOMER, "SIP/2.0 200");
    w.receive(CUSTOMER, &ack(CUSTOMER, "c1", &answer));
    w.pass_secs(4);
    w.receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &answer, "BYE", 2));
    let settled = w.settlement();
    assert_eq!(settled.answered_by.map(|t| t.0), Some(3));
    assert_eq!(
        outcomes(&settled),
        [("normal", 200), ("congestion", 503), ("unallocated_number", 404), ("normal", 200)]
    );
    let talked: Vec<u64> = settled.facts.legs.iter().map(|leg| leg.talked.as_secs()).collect();
    assert_eq!(talked, [4, 0, 0, 4]);
    w.check_empty();
}

#[test]
fn busy_stops_the_hunt() {
    let mut w = hunting(Rows::default());
    fail(&mut w, 0, "486 Busy Here");
    w.expect_soon(CUSTOMER, "SIP/2.0 486");
    w.expect_nothing(CARRIERS[1]);
    let settled = w.settlement();
    assert_eq!(outcomes(&settled), [("busy", 486), ("busy", 486)]);
    assert_eq!(settled.facts.legs[0].release.by, Party::Callee);
    assert!(codes(&settled).contains(&"hunt_stopped"));
    w.check_empty();
}

#[test]
fn a_trunks_stop_code_stops_and_its_hunt_code_hunts() {
    let mut rows = Rows::default();
    rows.trunk(1).codes.hunt = vec![486];
    rows.trunk(2).codes.stop = vec![503];
    let mut w = hunting(rows);
    fail(&mut w, 0, "486 Busy Here");
    fail(&mut w, 1, "503 Service Unavailable");
    w.expect_nothing(CARRIERS[2]);
    w.settlement();
    w.check_empty();
}

#[test]
fn when_all_fail_the_caller_hears_the_best_answer() {
    let mut w = hunting(Rows::default());
    fail(&mut w, 0, "404 Not Found");
    fail(&mut w, 1, "503 Service Unavailable");
    fail(&mut w, 2, "500 Oops");
    w.expect_soon(CUSTOMER, "SIP/2.0 404");
    let settled = w.settlement();
    assert!(codes(&settled).contains(&"attempts_exhausted"));
    assert_eq!(settled.facts.legs.len(), 4);
    w.check_empty();
}

#[test]
fn a_challenge_of_the_carriers_does_not_reach_the_caller() {
    let mut rows = Rows::default();
    rows.routes.truncate(1);
    let mut w = hunting(rows);
    fail(&mut w, 0, "407 Proxy Authentication Required");
    w.expect_soon(CUSTOMER, "SIP/2.0 503");
    assert_eq!(outcomes(&w.settlement())[1], ("egress_authentication_failed", 407));
    w.check_empty();
}

#[test]
fn a_silent_carrier_is_given_up_before_a_ringing_one() {
    let mut w = hunting(Rows::default());
    w.expect(CARRIERS[0], "INVITE");
    w.pass_secs(5);
    let invite = w.expect_soon(CARRIERS[1], "INVITE");
    w.reply(CARRIERS[1], &invite, "180 Ringing", "");
    w.pass_secs(100);
    w.expect_nothing(CARRIERS[2]);
    w.pass_secs(20);
    w.expect_soon(CARRIERS[1], "CANCEL");
    w.expect_soon(CUSTOMER, "SIP/2.0 480");
    let settled = w.settlement();
    assert!(codes(&settled).contains(&"ring_timeout"));
    assert_eq!(outcomes(&settled), [("no_answer", 480), ("no_response", 408), ("no_answer", 480)]);
    w.check_empty();
}

#[test]
fn a_trunk_has_its_own_ring_timeout() {
    let mut rows = Rows::default();
    rows.trunk(1).ring_timeout = Some(Duration::from_secs(15));
    let mut w = hunting(rows);
    let invite = w.expect(CARRIERS[0], "INVITE");
    w.reply(CARRIERS[0], &invite, "183 Session Progress", "");
    w.pass_secs(15);
    w.expect_soon(CUSTOMER, "SIP/2.0 480");
    w.settlement();
    w.check_empty();
}

#[test]
fn a_host_name_is_resolved_and_its_next_address_tried() {
    let mut rows = Rows::default();
    rows.trunk(1).host = "carrier.example".into();
    let mut w = hunting(rows);
    let Some(Effect::Resolve { query, host }) = w.effects.pop_front() else { panic!() };
    assert_eq!(host.host, "carrier.example");
    let target = |addr| Target { transport: Transport::Udp, addr: address(addr) };
    let targets = vec![target("10.1.9.1:5060"), target("10.1.9.2:5060")];
    w.input(Input::Resolved { query, targets });
    let invite = w.expect("10.1.9.1:5060", "INVITE");
    w.reply("10.1.9.1:5060", &invite, "503 Service Unavailable", "");
    w.expect("10.1.9.2:5060", "INVITE");
    w.expect_nothing(CARRIERS[1]);
}

#[test]
fn a_host_without_an_address_is_passed_over() {
    let mut rows = Rows::default();
    rows.trunk(1).host = "carrier.example".into();
    let mut w = hunting(rows);
    let Some(Effect::Resolve { query, .. }) = w.effects.pop_front() else { panic!() };
    w.input(Input::Resolved { query, targets: Vec::new() });
    w.expect(CARRIERS[1], "INVITE");
}

#[test]
fn a_full_trunk_is_passed_over_with_its_reason() {
    let mut rows = Rows::default();
    rows.trunk(1).egress_limits.concurrent = Some(1);
    rows.routes.truncate(1);
    let mut w = World::with(rows);
    w.talk(600, false);
    w.receive(CUSTOMER, &invite(CUSTOMER, "c2", "4930123456", 1, ""));
    w.grant(60, false);
    w.expect_soon(CUSTOMER, "SIP/2.0 503");
    let settled = w.settlement();
    let codes = codes(&settled);
    assert!(codes.contains(&"trunk_skipped_full"), "{codes:?}");
    assert!(codes.contains(&"trunk_egress_concurrency_exceeded"), "{codes:?}");
}

#[test]
fn a_redirection_to_another_address_of_the_same_number_is_followed() {
    let mut w = hunting(Rows::default());
    let invite = w.expect(CARRIERS[0], "INVITE");
    let moved = response(CARRIERS[0], &invite, "302 Moved Temporarily", "", "")
        .replace("<sip:callee@10.1.0.1:5060>", "<sip:4930123456@10.1.0.99:5070>");
    w.receive(CARRIERS[0], &moved);
    let second = w.expect("10.1.0.99:5070", "INVITE");
    assert_eq!(start(&second), "INVITE sip:4930123456@10.1.0.99:5070 SIP/2.0");
}

#[test]
fn a_redirection_to_another_number_is_refused() {
    let mut rows = Rows::default();
    rows.routes.truncate(1);
    rows.settings.redirects = RedirectPolicy::Follow { hops_max: 3 };
    let mut w = hunting(rows);
    let invite = w.expect(CARRIERS[0], "INVITE");
    w.reply(CARRIERS[0], &invite, "302 Moved Temporarily", "");
    w.expect_soon(CUSTOMER, "SIP/2.0 480");
    let settled = w.settlement();
    assert!(codes(&settled).contains(&"redirect_refused"));
    assert_eq!(outcomes(&settled)[1], ("redirected", 302));
    w.check_empty();
}

#[test]
fn all_contacts_ring_and_the_first_answer_wins() {
    let mut w = World::new();
    w.bob_at(&PHONES);
    w.call("4930555");
    w.grant(60, false);
    let first = w.expect(PHONES[0], "INVITE sip:bob@10.2.0.1:5060");
    let second = w.expect(PHONES[1], "INVITE sip:bob@10.2.0.2:5060");
    w.reply(PHONES[0], &first, "180 Ringing", "");
    w.reply(PHONES[1], &second, "180 Ringing", "");
    w.reply_with_sdp(PHONES[1], &second, "200 OK");
    let cancel = w.expect_soon(PHONES[0], "CANCEL");
    assert!(String::from_utf8_lossy(cancel.bytes()).contains("completed elsewhere"));
    w.record();
    let answer = w.expect_soon(CUSTOMER, "SIP/2.0 200");
    w.receive(CUSTOMER, &ack(CUSTOMER, "c1", &answer));
    w.reply(PHONES[0], &cancel, "200 OK", "");
    w.reply(PHONES[0], &first, "487 Request Terminated", "");
    w.pass_secs(2);
    w.receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &answer, "BYE", 2));
    w.expect_soon(PHONES[1], "BYE");
    let settled = w.settlement();
    assert_eq!(outcomes(&settled), [("normal", 200), ("answered_elsewhere", 487), ("normal", 200)]);
    assert_eq!(settled.answered_by, None);
    assert_eq!(settled.facts.legs[2].subscriber, Some(BOB));
    w.check_empty();
}

#[test]
fn one_busy_phone_does_not_end_a_fork_but_a_decline_does() {
    let mut w = World::new();
    w.bob_at(&PHONES);
    w.call("4930555");
    w.grant(60, false);
    let first = w.expect(PHONES[0], "INVITE");
    let second = w.expect(PHONES[1], "INVITE");
    w.reply(PHONES[0], &first, "486 Busy Here", "");
    assert!(w.settled.is_empty());
    w.reply(PHONES[1], &second, "603 Decline", "");
    w.expect_soon(CUSTOMER, "SIP/2.0 603");
    w.settlement();
    w.check_empty();
}

#[test]
fn a_phone_may_send_its_calls_to_another_of_its_account() {
    let mut rows = Rows::default();
    rows.subscribers.push(subscriber(22, "carol", secret("carol", "secret")));
    let mut w = World::with(rows);
    w.bob_at(&PHONES[..1]);
    let mut carol = w.shared.bindings.contacts(BOB, w.now.utc).remove(0).stored();
    carol.uri = "sip:carol@10.2.0.9:5060".into();
    carol.remote = address("10.2.0.9:5060");
    w.shared.bindings.restore(vocabulary::SubscriberId(22), vec![carol]);
    w.call("4930555");
    w.grant(60, false);
    let first = w.expect(PHONES[0], "INVITE");
    let moved = response(PHONES[0], &first, "302 Moved", "", "")
        .replace("<sip:callee@10.2.0.1:5060>", "<sip:carol@192.0.2.1>");
    w.receive(PHONES[0], &moved);
    w.expect("10.2.0.9:5060", "INVITE sip:carol@10.2.0.9:5060");
}

#[test]
fn who_cannot_be_reached_has_not_refused() {
    let lone = || {
        let mut rows = Rows::default();
        rows.routes.truncate(1);
        hunting(rows)
    };
    // Nothing comes back at all; INVITE is repeated after T1, 3 T1, 7 T1.
    let mut w = lone();
    w.expect(CARRIERS[0], "INVITE");
    w.pass_secs(5);
    assert_eq!(w.shard.stats().retransmissions_sent, 3);
    w.expect_soon(CUSTOMER, "SIP/2.0 408");
    let settled = w.settlement();
    assert_eq!(codes(&settled).last(), Some(&"callee_unreachable"));
    assert_eq!(settled.facts.legs[0].release.by, Party::Switch);
    // Nothing can be sent there.
    let mut w = lone();
    w.expect(CARRIERS[0], "INVITE");
    w.input(Input::PathFailed(path(CARRIERS[0])));
    assert_eq!(codes(&w.settlement()).last(), Some(&"callee_unreachable"));
    // 100, and then nothing.
    let mut w = lone();
    let invite = w.expect(CARRIERS[0], "INVITE");
    w.reply(CARRIERS[0], &invite, "100 Trying", "");
    w.pass_secs(100);
    w.expect_soon(CUSTOMER, "SIP/2.0 408");
    assert_eq!(codes(&w.settlement()).last(), Some(&"no_progress"));
    // The callee says so itself.
    let mut w = lone();
    let invite = w.expect(CARRIERS[0], "INVITE");
    w.reply(CARRIERS[0], &invite, "408 Request Timeout", "");
    assert_eq!(codes(&w.settlement()).last(), Some(&"callee_refused"));
}

#[test]
fn timers_are_those_of_the_settings() {
    let mut rows = Rows::default();
    rows.settings.timing.t1 = Duration::from_secs(1);
    let mut w = hunting(rows);
    w.expect(CARRIERS[0], "INVITE");
    w.pass_secs(4);
    // After 1 s and 3 s; with the usual 500 ms it would be a third one at 3.5 s.
    assert_eq!(w.shard.stats().retransmissions_sent, 2);
}

#[test]
fn a_lost_path_fails_over() {
    let mut w = hunting(Rows::default());
    w.expect(CARRIERS[0], "INVITE");
    w.input(Input::PathFailed(path(CARRIERS[0])));
    w.expect(CARRIERS[1], "INVITE");
}
