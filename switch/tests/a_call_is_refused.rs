//! Every refusal: its SIP status, its CDR, its reason; and nothing left behind.

mod support;

use sip::auth;
use sip::message::{HeaderName, Method};
use support::*;
use switch::directory::Limits;
use switch::routing::Rewrite;
use switch::{Input, ShardConfig};
use vocabulary::{DecisionLine, Refused};

/// The customer calls and is refused before anything leaves.
#[track_caller]
fn check(change: impl FnOnce(&mut Rows), cld: &str, status: u16, code: &str) {
    let mut rows = Rows::default();
    change(&mut rows);
    let mut w = World::with(rows);
    w.receive(CUSTOMER, &invite(CUSTOMER, "c1", cld, 1, ""));
    w.expect_soon(CUSTOMER, &format!("SIP/2.0 {status}"));
    let settled = w.settlement();
    assert_eq!(codes(&settled).last(), Some(&code), "{:?}", settled.facts.decisions);
    assert_eq!(settled.facts.legs.len(), 1);
    assert_eq!(settled.facts.legs[0].release.sip_status, status);
    assert!(settled.facts.decisions.iter().all(|line| line.sentence.ends_with('.')));
    w.check_empty();
}

fn concurrent(limit: u32) -> Limits {
    Limits { concurrent: Some(limit), per_second: None }
}

fn per_second(limit: u32) -> Limits {
    Limits { concurrent: None, per_second: Some(limit) }
}

#[test]
fn each_reason_has_its_status() {
    let local = LOCAL_ACCOUNT;
    check(|_| {}, "34600123", 404, "no_route");
    check(|_| {}, "nobody", 404, "unknown_name");
    check(|_| {}, "00", 484, "invalid_number");
    check(|_| {}, "4930555", 480, "not_registered");
    check(|r| r.trunk(10).is_active = false, "4930", 403, "trunk_inactive");
    check(|r| r.account(CUSTOMER_ACCOUNT).is_active = false, "4930", 403, "account_inactive");
    check(|r| r.account(local).is_active = false, "4930555", 480, "callee_account_inactive");
    check(|r| r.subscribers[1].is_active = false, "4930555", 480, "callee_inactive");
    check(|r| r.account(CARRIER_ACCOUNT).is_active = false, "4930", 503, "no_trunk_usable");
    check(|r| r.trunk(10).ingress_plan.tech_prefix = "77".into(), "4930", 484, "invalid_number");
    check(
        |r| r.account(CUSTOMER_ACCOUNT).ingress = concurrent(0),
        "4930",
        503,
        "account_concurrency_exceeded",
    );
    check(
        |r| r.account(CUSTOMER_ACCOUNT).ingress = per_second(0),
        "4930",
        503,
        "account_cps_exceeded",
    );
    check(
        |r| r.trunk(10).ingress_limits = concurrent(0),
        "4930",
        503,
        "trunk_concurrency_exceeded",
    );
    check(|r| r.trunk(10).ingress_limits = per_second(0), "4930", 503, "trunk_cps_exceeded");
}

#[test]
fn what_the_leg_itself_refuses_leaves_a_record_with_its_source() {
    for (extra, status) in
        [("Require: gruu\n", 420), ("Supported: timer\nSession-Expires: 20\n", 422)]
    {
        let mut w = World::new();
        w.receive(CUSTOMER, &invite(CUSTOMER, "c1", "4930", 1, extra));
        w.expect_soon(CUSTOMER, &format!("SIP/2.0 {status}"));
        let settled = w.settlement();
        assert_eq!(codes(&settled), ["from_trunk", "bad_invite"]);
        assert_eq!(settled.facts.legs[0].trunk, Some(CUSTOMER_TRUNK));
        w.check_empty();
    }
}

#[test]
fn a_foreign_uri_scheme_leaves_a_record() {
    let mut w = World::new();
    let text = invite(CUSTOMER, "c1", "x", 1, "").replace("INVITE sip:x@", "INVITE soap.beep://");
    w.receive(CUSTOMER, &text);
    let refused = w.expect_soon(CUSTOMER, "SIP/2.0 416");
    let settled = w.settlement();
    assert_eq!(codes(&settled), ["from_trunk", "unsupported_uri"]);
    w.receive(CUSTOMER, &ack(CUSTOMER, "c1", &refused).replace("ACK sip:", "ACK soap.beep://"));
    w.check_empty();
}

#[test]
fn a_callees_account_is_limited_too() {
    let mut rows = Rows::default();
    rows.account(LOCAL_ACCOUNT).egress = concurrent(0);
    let mut w = World::with(rows);
    w.bob_at(&PHONES[..1]);
    w.call("4930555");
    w.expect_soon(CUSTOMER, "SIP/2.0 503");
    assert_eq!(codes(&w.settlement()).last(), Some(&"account_egress_concurrency_exceeded"));
    w.check_empty();
}

#[test]
fn number_plans_apply_on_both_sides() {
    let mut rows = Rows::default();
    let plan = &mut rows.trunk(10).ingress_plan;
    plan.country = "49".into();
    plan.national = "0".into();
    let rewrite = Rewrite { matches: "49".into(), strip: 2, prepend: "0".into() };
    rows.trunk(1).egress_plan.rewrites.push(rewrite);
    rows.trunk(1).egress_plan.tech_prefix = "9#".into();
    let mut w = World::with(rows);
    w.call("030123456");
    w.grant(60, false);
    let invite = w.expect(CARRIERS[0], "INVITE");
    assert_eq!(invite.request_uri(), b"sip:9%23030123456@10.1.0.1");
}

#[test]
fn billing_refuses_in_its_own_words() {
    let line = |code| DecisionLine { code, sentence: "Because.".into() };
    let cases = [
        (Refused::AccountInactive(line("a")), 403),
        (Refused::NoRateGroup(line("b")), 403),
        (Refused::NoRate(line("c")), 404),
        (Refused::InsufficientCredit(line("d")), 402),
        (Refused::NoCarrier(line("e")), 503),
    ];
    for (refused, status) in cases {
        let mut w = World::new();
        w.call("4930123456");
        w.deny(refused);
        w.expect_soon(CUSTOMER, &format!("SIP/2.0 {status}"));
        let settled = w.settlement();
        let last = settled.facts.decisions.last().unwrap();
        assert_eq!(last.sentence, "Because.");
        assert_eq!(settled.facts.legs[0].account, Some(CUSTOMER_ACCOUNT));
        w.check_empty();
    }
}

#[test]
fn call_n_plus_one_is_refused_and_the_place_is_free_after_a_cancel() {
    let mut rows = Rows::default();
    rows.account(CUSTOMER_ACCOUNT).ingress = concurrent(1);
    let mut w = World::with(rows);
    w.call("4930123456");
    w.receive(CUSTOMER, &invite(CUSTOMER, "c2", "4930123456", 1, ""));
    w.expect_soon(CUSTOMER, "SIP/2.0 503");
    w.settlement();
    w.receive(CUSTOMER, &cancel(CUSTOMER, "c1", "4930123456", 1));
    w.settlement();
    w.effects.clear();
    w.receive(CUSTOMER, &invite(CUSTOMER, "c3", "4930123456", 1, ""));
    w.asked();
}

#[test]
fn hops_and_loops_end() {
    let mut w = World::new();
    let text = invite(CUSTOMER, "c1", "4930123456", 1, "");
    w.receive(CUSTOMER, &text.replace("Max-Forwards: 70", "Max-Forwards: 0"));
    w.expect_soon(CUSTOMER, "SIP/2.0 483");
    assert_eq!(codes(&w.settlement()).last(), Some(&"too_many_hops"));
    let via = "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKold\n";
    w.receive(CUSTOMER, &invite(CUSTOMER, "c2", "4930123456", 1, via));
    w.expect_soon(CUSTOMER, "SIP/2.0 482");
    assert_eq!(codes(&w.settlement()).last(), Some(&"loop"));
    w.check_empty();
}

/// Alice answers a challenge with this password.
fn with_credentials(w: &mut World, call_id: &str, password: &str, username: &str) {
    let text = invite(ALICE, call_id, "4930123456", 1, "");
    w.receive(ALICE, &text);
    let challenge = w.expect_soon(ALICE, "SIP/2.0 407");
    let ours = auth::Credentials::new(username, password);
    let uri = b"sip:4930123456@192.0.2.1";
    let answer = auth::answer_challenge(&challenge, &ours, Method::Invite, uri, 7, false)
        .expect("a challenge that can be answered");
    w.receive(ALICE, &ack(ALICE, call_id, &challenge));
    let line = format!("{}: {}\n", answer.name, answer.value);
    w.receive(ALICE, &invite(ALICE, call_id, "4930123456", 2, &line));
}

#[test]
fn a_stranger_is_challenged_and_leaves_no_cdr() {
    let mut w = World::new();
    w.receive(ALICE, &invite(ALICE, "a1", "4930123456", 1, ""));
    let challenge = w.expect_soon(ALICE, "SIP/2.0 407");
    assert!(challenge.headers(HeaderName::ProxyAuthenticate).count() >= 1);
    assert!(w.settled.is_empty());
    assert_eq!(w.shard.stats().calls_started, 0);
    assert_eq!(w.shard.stats().challenges, 1);
}

#[test]
fn a_subscriber_calls_with_its_password() {
    let mut w = World::new();
    with_credentials(&mut w, "a1", "secret", "alice");
    let request = w.asked();
    assert_eq!(request.account, LOCAL_ACCOUNT);
}

#[test]
fn a_wrong_password_and_an_unknown_name_look_the_same_from_outside() {
    let mut w = World::new();
    with_credentials(&mut w, "a1", "wrong", "alice");
    let wrong = w.expect_soon(ALICE, "SIP/2.0 403");
    assert_eq!(codes(&w.settlement()).last(), Some(&"wrong_password"));
    with_credentials(&mut w, "a2", "secret", "mallory");
    let unknown = w.expect_soon(ALICE, "SIP/2.0 403");
    assert_eq!(codes(&w.settlement()).last(), Some(&"unknown_user"));
    assert_eq!(wrong.reason(), unknown.reason());
    assert_eq!(w.shard.stats().authentication_failures, 2);
    w.check_empty();
}

#[test]
fn local_calls_need_the_permission() {
    let mut rows = Rows::default();
    rows.account(LOCAL_ACCOUNT).allows_local = false;
    let mut w = World::with(rows);
    w.bob_at(&PHONES[..1]);
    // A trunk delivering to a number of ours is not a local call.
    w.call("4930555");
    w.asked();
}

#[test]
fn a_trunk_may_prove_itself_by_digest() {
    let mut rows = Rows::default();
    let trunk = rows.trunk(10);
    trunk.ingress.networks.clear();
    trunk.ingress.digest = Some(("trunkuser".into(), secret("trunkuser", "secret")));
    let mut w = World::with(rows);
    with_credentials(&mut w, "a1", "secret", "trunkuser");
    assert_eq!(w.asked().account, CUSTOMER_ACCOUNT);
}

#[test]
fn a_trunk_with_address_and_digest_needs_both() {
    let mut rows = Rows::default();
    let digest = Some(("trunkuser".into(), secret("trunkuser", "secret")));
    rows.trunk(10).ingress.digest = digest;
    let mut w = World::with(rows);
    with_credentials(&mut w, "a1", "secret", "trunkuser");
    w.expect_soon(ALICE, "SIP/2.0 403");
    assert_eq!(codes(&w.settlement()).last(), Some(&"wrong_address"));
    w.call("4930123456");
    w.expect_soon(CUSTOMER, "SIP/2.0 407");
}

#[test]
fn other_methods_are_answered() {
    let mut w = World::new();
    let request = |method: &str, n: u32| {
        invite(ALICE, &format!("o{n}"), "x", 1, "").replace("INVITE", method)
    };
    w.receive(ALICE, &request("OPTIONS", 1));
    assert!(w.expect_soon(ALICE, "SIP/2.0 200").header(HeaderName::Allow).is_some());
    w.receive(ALICE, &request("SUBSCRIBE", 2));
    w.expect_soon(ALICE, "SIP/2.0 405");
    w.receive(ALICE, &request("WONDER", 3));
    w.expect_soon(ALICE, "SIP/2.0 501");
    w.receive(ALICE, &request("BYE", 4));
    w.expect_soon(ALICE, "SIP/2.0 481");
    w.input(Input::Drain);
    w.receive(ALICE, &request("OPTIONS", 5));
    w.expect_soon(ALICE, "SIP/2.0 503");
}

#[test]
fn when_all_places_are_taken_a_new_call_gets_503() {
    let mut w = World::of(Rows::default(), ShardConfig { calls_max: 2, ..config() });
    for id in ["c1", "c2", "c3"] {
        w.receive(CUSTOMER, &invite(CUSTOMER, id, "4930", 1, ""));
    }
    w.expect_soon(CUSTOMER, "SIP/2.0 503");
    assert_eq!(w.shard.live_calls().len(), 2);
}
