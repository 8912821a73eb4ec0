//! What an account's policy makes of its callers' numbers: for a call and
//! for `simulate` alike.

mod support;

use sip::message::HeaderName;
use support::*;
use switch::caller_id::CliPool;
use switch::decision::Decision;
use switch::directory::SubscriberRow;
use switch::registrar::Bindings;
use switch::routing::simulate;
use vocabulary::{RateChoice, SubscriberId, Utc};

/// The customer's caller is 4989777.
fn rows(pool: CliPool, own: &str) -> Rows {
    let mut rows = Rows::default();
    rows.account(CUSTOMER_ACCOUNT).caller_id.pool = pool;
    let phone = subscriber(30, "desk", secret("desk", "secret"));
    rows.subscribers.push(SubscriberRow { account: CUSTOMER_ACCOUNT, ..phone });
    rows.numbers.push((number(own), SubscriberId(30)));
    rows
}

/// With which choice billing is asked, or why it is not; and the decision on it.
fn called(pool: CliPool, own: &str) -> (Result<RateChoice, &'static str>, Option<&'static str>) {
    let mut w = World::with(rows(pool, own));
    w.call("4930123456");
    if !w.settled.is_empty() {
        let settled = w.settlement();
        w.expect_soon(CUSTOMER, "SIP/2.0 403");
        assert_eq!(settled.facts.cli, Some(number("4989777")));
        assert_eq!(settled.facts.cld, Some(number("4930123456")));
        return (Err(settled.facts.decisions.last().expect("a decision").code), None);
    }
    let request = w.asked();
    w.receive(CUSTOMER, &cancel(CUSTOMER, "c1", "4930123456", 1));
    let facts = w.settlement().facts;
    assert_eq!(facts.rate_choice, request.rate_choice);
    let decision = facts.decisions.iter().map(|line| line.code).find(|c| c.starts_with("cli_"));
    (Ok(request.rate_choice), decision)
}

#[track_caller]
fn check(
    pool: CliPool,
    own: &str,
    expected: Result<RateChoice, &'static str>,
    decision: Option<&'static str>,
) {
    assert_eq!(called(pool, own), (expected, decision), "{pool:?}");
    let (directory, bindings) = (rows(pool, own).build(), Bindings::default());
    let at = Utc(7);
    let thought = simulate(&directory, &bindings, "customer", "4930123456", at, at);
    // Simulated, a trunk calls with no number of its own.
    if own == "4989777" {
        return;
    }
    match (thought.authorize, thought.outcome) {
        (Some(request), Ok(_)) => assert_eq!(Ok(request.rate_choice), expected),
        (None, Err(refusal)) => {
            assert_eq!(Err(Decision::Refused(refusal).code()), expected);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_pool_decides_by_whose_number_it_is() {
    let (usual, non_cli) = (Ok(RateChoice::Usual), Ok(RateChoice::NonCli));
    let refused = Err("cli_not_own_did");
    let (own, other) = ("4989777", "4989778");
    let own_line = Some("cli_is_own_did");
    check(CliPool::Off, own, usual, None);
    check(CliPool::Off, other, usual, None);
    check(CliPool::NonCliUnlessDid, own, usual, own_line);
    check(CliPool::NonCliUnlessDid, other, non_cli, Some("cli_non_cli_rates"));
    check(CliPool::RejectUnlessDid, own, usual, own_line);
    check(CliPool::RejectUnlessDid, other, refused, None);
}

#[test]
fn a_number_of_another_account_is_not_ones_own() {
    let mut rows = rows(CliPool::NonCliUnlessDid, "4989777");
    rows.subscribers.last_mut().unwrap().account = LOCAL_ACCOUNT;
    let mut w = World::with(rows);
    w.call("4930123456");
    assert_eq!(w.asked().rate_choice, RateChoice::NonCli);
}

#[test]
fn calls_between_subscribers_need_no_number() {
    let mut rows = rows(CliPool::RejectUnlessDid, "4989778");
    rows.account(CUSTOMER_ACCOUNT).allows_local = true;
    let mut w = World::with(rows);
    w.bob_at(&PHONES);
    w.call("4930555");
    assert_eq!(w.asked().rate_choice, RateChoice::Usual);
}

/// R11: the price may depend on a number that the callee does not see.
#[test]
fn billing_knows_a_withheld_number_and_the_callee_does_not() {
    let mut w = World::new();
    w.receive(CUSTOMER, &invite(CUSTOMER, "c1", "4930123456", 1, "Privacy: id\n"));
    let request = w.asked();
    assert_eq!((request.cli, request.origin.is_withheld), (Some(number("4989777")), true));
    w.effects.push_back(switch::Effect::Authorize(request));
    w.grant(60, false);
    let invite = w.expect(CARRIERS[0], "INVITE");
    let text = String::from_utf8_lossy(invite.bytes()).into_owned();
    assert!(!text.contains("4989777"), "{text}");
    assert_eq!(header(&invite, HeaderName::Privacy), "id");
    w.receive(CUSTOMER, &cancel(CUSTOMER, "c1", "4930123456", 1));
    let facts = w.settlement().facts;
    assert_eq!((facts.cli, facts.is_withheld), (Some(number("4989777")), true));
    assert_eq!(facts.legs[1].cli, "anonymous");
}
