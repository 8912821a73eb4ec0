//! What an account's policy makes of its callers' numbers: for a call and for
//! `simulate` alike. All modes with all kinds of numbers: the table test in switch/src/caller_id.

mod support;

use sip::message::HeaderName;
use support::*;
use switch::caller_id::{CliPool, DefaultCaller};
use switch::decision::Decision;
use switch::directory::SubscriberRow;
use switch::registrar::Bindings;
use switch::routing::{Question, simulate};
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
    let question = Question { from: "customer", account: None, to: "4930123456", at, now: at };
    let thought = simulate(&directory, &bindings, Untested::default().trunks(), &question);
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

/// The customer has these DIDs and stored numbers; its caller says 4989777 and a name.
fn replaced(pool: CliPool, dids: &[&str], stored: &[&str]) -> World {
    let mut rows = rows(pool, "4989000");
    rows.numbers.retain(|(number, _)| number.as_str() != "4989000");
    rows.numbers.extend(dids.iter().map(|did| (number(did), SubscriberId(30))));
    rows.account(CUSTOMER_ACCOUNT).caller_id.stored = stored.iter().map(|n| number(n)).collect();
    rows.trunk(1).is_trusted = true;
    let mut w = World::with(rows);
    let invite = invite(CUSTOMER, "c1", "4930123456", 1, "");
    w.receive(CUSTOMER, &invite.replace("\"Caller\"", "\"0049 89 777\""));
    w
}

/// whoever is called sees a number of the pool and nothing else of the caller.
#[test]
fn a_foreign_number_is_replaced_everywhere() {
    let ours = ["4989001", "4989002"];
    for (pool, dids, stored) in [
        (CliPool::ReplaceUnlessDid, &ours[..], &["4420"][..]),
        (CliPool::ReplaceUnlessStored, &["4420"], &ours),
    ] {
        let mut w = replaced(pool, dids, stored);
        let request = w.asked();
        let shown = request.cli.unwrap();
        assert!(ours.contains(&shown.as_str()), "{shown:?}");
        assert_eq!(request.rate_choice, RateChoice::Usual);
        w.effects.push_back(switch::Effect::Authorize(request));
        w.grant(60, false);
        let invite = w.expect(CARRIERS[0], "INVITE");
        let text = String::from_utf8_lossy(invite.bytes()).into_owned();
        assert!(!text.contains("89777") && !text.contains("89 777"), "{text}");
        for name in [HeaderName::From, HeaderName::PAssertedIdentity] {
            assert!(header(&invite, name).contains(shown.as_str()), "{text}");
        }
        w.receive(CUSTOMER, &cancel(CUSTOMER, "c1", "4930123456", 1));
        let settled = w.settlement();
        assert!(codes(&settled).contains(&"cli_replaced"));
        let facts = settled.facts;
        assert_eq!(facts.cli, Some(shown));
        assert_eq!((&*facts.legs[0].cli, &*facts.legs[1].cli), ("4989777", shown.as_str()));
    }
}

///
#[test]
fn without_a_number_to_put_in_its_place_the_call_is_refused() {
    let other: &[&str] = &["4989001"];
    for (pool, dids, stored) in
        [(CliPool::ReplaceUnlessDid, &[][..], other), (CliPool::ReplaceUnlessStored, other, &[])]
    {
        let mut w = replaced(pool, dids, stored);
        w.expect_soon(CUSTOMER, "SIP/2.0 403");
        assert_eq!(codes(&w.settlement()).last(), Some(&"cli_pool_empty"));
        w.expect_nothing(CARRIERS[0]);
    }
}

/// The first INVITE that leaves for the customer's caller with this From.
fn sent(rows: Rows, from: &str, privacy: &str) -> (sip::message::Message, World) {
    let mut w = World::with(rows);
    let invite = invite(CUSTOMER, "c1", "4930123456", 1, privacy);
    w.receive(CUSTOMER, &invite.replace("\"Caller\" <sip:4989777@10.0.0.1:5060>", from));
    w.grant(60, false);
    (w.expect(CARRIERS[0], "INVITE"), w)
}

#[test]
fn who_says_too_little_is_the_accounts_default() {
    let default = || DefaultCaller { number: Some(number("4989100")), name: "Globex".into() };
    let globex = "\"Globex\" <sip:4989100@example.net>";
    for (pool, from, shown) in [
        (CliPool::Off, "<sip:desk@10.0.0.1>", globex),
        (CliPool::Off, "\"Ann\" <sip:desk@10.0.0.1>", "\"Ann\" <sip:4989100@example.net>"),
        (CliPool::Off, "<sip:4989777@10.0.0.1>", "\"Globex\" <sip:4989777@example.net>"),
        // the default is judged as any number is.
        (CliPool::RejectUnlessStored, "<sip:desk@10.0.0.1>", globex),
        (CliPool::ReplaceUnlessStored, "\"Ann\" <sip:4989777@10.0.0.1>", globex),
    ] {
        let mut rows = rows(pool, "4989000");
        let policy = &mut rows.account(CUSTOMER_ACCOUNT).caller_id;
        policy.default = default().boxed();
        policy.stored = [number("4989100")].into();
        let (directory, bindings) = (rows.build(), Bindings::default());
        let (invite, mut w) = sent(rows, from, "");
        let found = header(&invite, HeaderName::From);
        assert!(found.starts_with(&format!("{shown};tag=")), "{pool:?} {from}: {found}");
        w.receive(CUSTOMER, &cancel(CUSTOMER, "c1", "4930123456", 1));
        let settled = w.settlement();
        let is_default = codes(&settled).contains(&"cli_default");
        assert_eq!(is_default, from.contains("desk"));
        assert!(shown.contains(settled.facts.cli.unwrap().as_str()));
        // Simulated, a trunk calls with no number of its own.
        let at = Utc(7);
        let question = Question { from: "customer", account: None, to: "4930123456", at, now: at };
        let thought = simulate(&directory, &bindings, Untested::default().trunks(), &question);
        assert_eq!(thought.authorize.unwrap().cli, Some(number("4989100")));
        assert!(thought.decisions.iter().any(|line| line.code() == "cli_default"));
    }
}

#[test]
fn a_default_stays_withheld() {
    let mut rows = rows(CliPool::Off, "4989000");
    let default = DefaultCaller { number: Some(number("4989100")), name: "Globex".into() };
    rows.account(CUSTOMER_ACCOUNT).caller_id.default = default.boxed();
    let anonymous = "<sip:anonymous@anonymous.invalid>";
    let (invite, mut w) = sent(rows, anonymous, "Privacy: id\n");
    let text = String::from_utf8_lossy(invite.bytes()).into_owned();
    assert!(!text.contains("4989100") && !text.contains("Globex"), "{text}");
    w.receive(CUSTOMER, &cancel(CUSTOMER, "c1", "4930123456", 1));
    assert_eq!(w.settlement().facts.cli, Some(number("4989100")));
}

/// The number drawn depends on nothing but the shard's randomness.
#[test]
fn the_same_shard_draws_the_same_number() {
    let drawn = || {
        let dids: Vec<String> = (0..50).map(|n| format!("4989{n}00")).collect();
        let dids: Vec<&str> = dids.iter().map(String::as_str).collect();
        replaced(CliPool::ReplaceUnlessDid, &dids, &[]).asked().cli.unwrap()
    };
    assert_eq!(drawn(), drawn());
}

#[test]
fn a_replaced_number_stays_withheld() {
    let mut rows = rows(CliPool::ReplaceUnlessDid, "4989001");
    rows.trunk(1).is_trusted = true;
    let mut w = World::with(rows);
    w.receive(CUSTOMER, &invite(CUSTOMER, "c1", "4930123456", 1, "Privacy: id\n"));
    w.grant(60, false);
    let invite = w.expect(CARRIERS[0], "INVITE");
    assert!(header(&invite, HeaderName::From).contains("anonymous@anonymous.invalid"));
    assert!(header(&invite, HeaderName::PAssertedIdentity).contains("4989001"));
    assert_eq!(header(&invite, HeaderName::Privacy), "id");
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
