//! Whose messages are whose, said while somebody follows them (V-39): every leg of a call, in one
//! call or in two that are joined, registrations of phones and of ours.

mod support;

use support::*;
use switch::attribution::{Attribution, Followed, Following};
use switch::{Effect, Input};
use vocabulary::{AccountId, CallId, TrunkId};

/// Takes what was said of messages.
fn said(w: &mut World) -> Vec<Attribution> {
    let mut said = Vec::new();
    w.effects.retain(|effect| match effect {
        Effect::Attributed(one) => {
            said.push((**one).clone());
            false
        }
        _ => true,
    });
    said
}

fn follow(w: &mut World, following: Following) {
    w.input(Input::Follow(following));
}

fn text(sip_call_id: &[u8]) -> &str {
    std::str::from_utf8(sip_call_id).expect("ASCII")
}

/// A call that hunts over two carriers; the Call-IDs of its egress legs.
fn hunting(w: &mut World) -> (CallId, [String; 2]) {
    w.receive(CUSTOMER, &invite(CUSTOMER, "c1", "4930", 1, ""));
    let call = w.grant(60, false);
    let first = w.expect(CARRIERS[0], "INVITE");
    w.reply(CARRIERS[0], &first, "503 Service Unavailable", "");
    let second = w.expect(CARRIERS[1], "INVITE");
    (call, [&first, &second].map(|invite| text(invite.call_id()).to_owned()))
}

#[test]
fn nothing_is_said_while_nobody_follows() {
    let mut w = World::new();
    hunting(&mut w);
    assert_eq!(said(&mut w), []);
    follow(&mut w, Following::Everything);
    follow(&mut w, Following::Nothing);
    hunting_again(&mut w);
    assert_eq!(said(&mut w), []);
}

fn hunting_again(w: &mut World) {
    w.receive(CUSTOMER, &invite(CUSTOMER, "c2", "4930", 1, ""));
    w.grant(60, false);
}

#[test]
fn every_leg_of_a_call_is_said_before_its_messages_are_sent() {
    // V-39
    let mut w = World::new();
    follow(&mut w, Following::Everything);
    let (call, egress) = hunting(&mut w);
    let said = said(&mut w);
    let told: Vec<_> = said.iter().map(|one| (text(&one.sip_call_id), one.trunk)).collect();
    let trunk = |id| Some(TrunkId(id));
    let expected = [("c1", Some(CUSTOMER_TRUNK)), (&egress[0], trunk(1)), (&egress[1], trunk(2))];
    assert_eq!(told, expected);
    assert!(said.iter().all(|one| one.call == Some(call)));
    let accounts: Vec<_> = said.iter().map(|one| one.account).collect();
    assert_eq!(accounts, [CUSTOMER_ACCOUNT, CARRIER_ACCOUNT, CARRIER_ACCOUNT].map(Some));
    let remotes: Vec<_> = said.iter().map(|one| one.remote.expect("a peer").to_string()).collect();
    assert_eq!(remotes, ["10.0.0.1", "10.1.0.1", "10.1.0.2"]);
}

/// What is said of calls that are live when somebody begins to follow `followed`.
#[track_caller]
fn check(followed: impl Fn(CallId) -> Followed, legs: usize) {
    let mut w = World::new();
    let (call, _) = hunting(&mut w);
    follow(&mut w, Following::Also(followed(call)));
    let said = said(&mut w);
    assert_eq!(said.len(), legs, "{said:?}");
    assert!(said.iter().all(|one| one.call == Some(call)));
}

#[test]
fn live_calls_are_said_with_all_their_legs_if_one_of_them_is_followed() {
    // V-39
    check(Followed::Call, 3);
    check(|call| Followed::Call(CallId(call.0 + 1)), 0);
    check(|_| Followed::Account(CUSTOMER_ACCOUNT), 3);
    check(|_| Followed::Account(CARRIER_ACCOUNT), 3);
    check(|_| Followed::Account(AccountId(99)), 0);
    check(|_| Followed::Trunk(TrunkId(2)), 3);
    check(|_| Followed::Trunk(TrunkId(3)), 0);
    check(|_| Followed::Address(address(CARRIERS[0]).ip()), 3);
    check(|_| Followed::Address(address(PHONES[0]).ip()), 0);
}

#[test]
fn a_call_that_goes_on_as_another_shares_the_callers_call_id_with_it() {
    // V-39: so both are one trace.
    let mut rows = Rows::default();
    rows.subscribers[1].forwards.always = Some("49170123".into());
    let mut w = World::with(rows);
    follow(&mut w, Following::Everything);
    w.receive(CUSTOMER, &invite(CUSTOMER, "c1", "4930555", 1, ""));
    let first = w.grant(60, false);
    let second = w.grant(60, false);
    let invite = w.expect(CARRIERS[0], "INVITE");
    let said = said(&mut w);
    let told: Vec<_> = said.iter().map(|one| (text(&one.sip_call_id), one.call)).collect();
    let egress = text(invite.call_id());
    assert_eq!(told, [("c1", Some(first)), ("c1", Some(second)), (egress, Some(second))]);
}
