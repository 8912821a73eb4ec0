//! A subscriber has its calls go on to a number: a call of its own, joined to the one that came in,
//! in the same shard or in another. Each has its own payer and record; the end of one is the end of
//! the other.

mod support;

use std::time::Duration;

use sip::message::HeaderName;
use support::*;
use switch::directory::SubscriberRow;
use switch::effect::Said;
use switch::forwarding::{Condition, NoAnswer};
use switch::leg::event::LegEvent;
use switch::registrar::Bindings;
use switch::routing::{Destination, Question, simulate};
use switch::token::{LegAddress, LegKey};
use switch::{Effect, Input};
use vocabulary::{CallKind, DecisionLine, Direction, Party, Refused, SettleRequest, Utc};

const BOBS: &str = "4930555";
const MOBILE: &str = "49170123";

fn rows(always: &str) -> Rows {
    let mut rows = Rows::default();
    rows.subscribers[1].forwards.always = Some(always.into());
    rows
}

/// Both settlements, the call that came in first.
#[track_caller]
fn both(settled: &mut Vec<SettleRequest>) -> (SettleRequest, SettleRequest) {
    settled.sort_by_key(|request| request.facts.call);
    let two = <[SettleRequest; 2]>::try_from(std::mem::take(settled));
    let [first, second] = two.expect("two calls have ended");
    (first, second)
}

/// The customer calls Bob, who forwards, and is answered at the carrier.
fn talk(w: &mut World, grants: [u64; 2]) -> (sip::message::Message, sip::message::Message) {
    w.call(BOBS);
    w.grant(grants[0], false);
    w.grant(grants[1], grants[1] < 60);
    let invite = w.expect(CARRIERS[0], &format!("INVITE sip:{MOBILE}@"));
    w.reply(CARRIERS[0], &invite, "180 Ringing", "");
    w.expect_soon(CUSTOMER, "SIP/2.0 180");
    w.reply_with_sdp(CARRIERS[0], &invite, "200 OK");
    w.record();
    w.record();
    let answer = w.expect_soon(CUSTOMER, "SIP/2.0 200");
    w.receive(CUSTOMER, &ack(CUSTOMER, "c1", &answer));
    w.expect_soon(CARRIERS[0], "ACK");
    w.forget();
    (invite, answer)
}

#[test]
fn a_call_goes_on_and_each_pays_for_its_part() {
    let mut w = World::with(rows(MOBILE));
    w.call(BOBS);
    let first = w.asked();
    assert_eq!((first.kind, first.account), (CallKind::Local, CUSTOMER_ACCOUNT));
    w.effects.push_back(Effect::Authorize(first));
    w.grant(60, false);
    let second = w.asked();
    assert_eq!((second.kind, second.account), (CallKind::Egress, LOCAL_ACCOUNT));
    assert_eq!((second.cld, second.cli), (number(MOBILE), Some(number("4989777"))));
    assert_eq!(second.origin.subscriber, Some(BOB));
}

#[test]
fn the_callers_end_is_the_end_of_both() {
    let mut w = World::with(rows(MOBILE));
    let (_, answer) = talk(&mut w, [60, 60]);
    w.pass_secs(20);
    w.receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &answer, "BYE", 2));
    let bye = w.expect_soon(CARRIERS[0], "BYE");
    w.reply(CARRIERS[0], &bye, "200 OK", "");
    let (first, second) = both(&mut w.settled);
    assert_eq!((first.talked, second.talked), (Duration::from_secs(20), Duration::from_secs(20)));
    let expected = ["from_trunk", "number_translated", "forwarded_always", "forwarded_as"];
    assert_eq!(codes(&first)[..4], expected);
    assert_eq!(codes(&second)[0], "forwarded_for");
    for request in [&first, &second] {
        assert_eq!(*codes(request).last().unwrap(), "ended_by_caller");
    }
    let leg = &first.facts.legs[1];
    assert_eq!((leg.subscriber, leg.account), (Some(BOB), Some(LOCAL_ACCOUNT)));
    assert_eq!((leg.cld.as_str(), leg.remote), (MOBILE, None));
    let leg = &second.facts.legs[0];
    assert_eq!((leg.subscriber, leg.account), (Some(BOB), Some(LOCAL_ACCOUNT)));
    assert_eq!(leg.sip_call_id, first.facts.legs[0].sip_call_id);
    w.check_empty();
}

#[test]
fn the_callees_end_is_the_end_of_both() {
    let mut w = World::with(rows(MOBILE));
    let (invite, _) = talk(&mut w, [60, 60]);
    w.receive(CARRIERS[0], &from_callee(CARRIERS[0], &invite, "BYE", 1));
    let bye = w.expect_soon(CUSTOMER, "BYE");
    w.reply(CUSTOMER, &bye, "200 OK", "");
    let (first, second) = both(&mut w.settled);
    for request in [&first, &second] {
        assert_eq!(*codes(request).last().unwrap(), "ended_by_callee");
    }
    w.check_empty();
}

#[test]
fn when_the_forwarders_money_ends_the_call_ends() {
    let mut w = World::with(rows(MOBILE));
    talk(&mut w, [60, 10]);
    w.pass_secs(10);
    w.expect_soon(CARRIERS[0], "BYE");
    w.expect_soon(CUSTOMER, "BYE");
    let (first, second) = both(&mut w.settled);
    assert_eq!(*codes(&second).last().unwrap(), "credit_used_up");
    assert_eq!(*codes(&first).last().unwrap(), "ended_with_other_call");
    assert_eq!(first.facts.legs[0].release.by, Party::Switch);
    assert_eq!((first.talked, second.talked), (Duration::from_secs(10), Duration::from_secs(10)));
    w.check_empty();
}

#[test]
fn a_hold_passes_through_the_joint() {
    let mut w = World::with(rows(MOBILE));
    let (_, answer) = talk(&mut w, [60, 60]);
    w.receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &answer, "INVITE", 2));
    let invite = w.expect_soon(CARRIERS[0], "INVITE");
    w.reply_with_sdp(CARRIERS[0], &invite, "200 OK");
    w.expect_soon(CUSTOMER, "SIP/2.0 200");
}

#[test]
fn a_caller_who_gives_up_ends_both() {
    let mut w = World::with(rows(MOBILE));
    w.call(BOBS);
    w.grant(60, false);
    w.grant(60, false);
    let invite = w.expect(CARRIERS[0], "INVITE");
    w.reply(CARRIERS[0], &invite, "180 Ringing", "");
    w.receive(CUSTOMER, &cancel(CUSTOMER, "c1", BOBS, 1));
    w.expect_soon(CARRIERS[0], "CANCEL");
    let (first, second) = both(&mut w.settled);
    for request in [&first, &second] {
        assert_eq!(*codes(request).last().unwrap(), "caller_gave_up");
    }
}

/// Whether the forwarder can pay is none of the caller's business.
#[test]
fn a_forwarder_without_money_is_not_available() {
    let mut w = World::with(rows(MOBILE));
    w.call(BOBS);
    w.grant(60, false);
    let sentence = "None left.".into();
    w.deny(Refused::InsufficientCredit(DecisionLine { code: "insufficient_credit", sentence }));
    w.expect_soon(CUSTOMER, "SIP/2.0 480");
    let (first, second) = both(&mut w.settled);
    assert_eq!(*codes(&second).last().unwrap(), "insufficient_credit");
    assert_eq!(*codes(&first).last().unwrap(), "callee_refused");
}

#[test]
fn a_ring_of_forwarders_ends() {
    let mut rows = rows("alice");
    rows.subscribers[0].forwards.always = Some("bob".into());
    let mut w = World::with(rows);
    w.call(BOBS);
    // The customer's call, Bob's, and Alice's, which would come to Bob again.
    for _ in 0..2 {
        w.grant(60, false);
    }
    w.expect_soon(CUSTOMER, "SIP/2.0 483");
    let last = w.settled.iter().max_by_key(|request| request.facts.call).unwrap();
    assert_eq!(*codes(last).last().unwrap(), "forwarding_loop");
    assert_eq!(w.settled.len(), 3);
    w.receive(CUSTOMER, &invite(CUSTOMER, "c2", "4930123456", 1, ""));
    w.grant(60, false);
    w.expect(CARRIERS[0], "INVITE");
}

#[test]
fn a_forwarder_does_not_learn_who_stays_unknown() {
    let mut w = World::with(rows(MOBILE));
    w.receive(CUSTOMER, &invite(CUSTOMER, "c1", BOBS, 1, "Privacy: id\n"));
    w.grant(60, false);
    let second = w.asked();
    assert_eq!((second.cli, second.origin.is_withheld), (None, true));
    assert_eq!(second.origin.cli, "anonymous");
    w.effects.push_back(Effect::Authorize(second));
    w.grant(60, false);
    let invite = w.expect(CARRIERS[0], "INVITE");
    assert_eq!(header(&invite, HeaderName::Privacy), "id");
    w.receive(CUSTOMER, &cancel(CUSTOMER, "c1", BOBS, 1));
    let (first, second) = both(&mut w.settled);
    assert_eq!(first.facts.cli, Some(number("4989777")));
    assert_eq!(second.facts.cli, None);
    let told = format!("{second:?}");
    assert!(!told.contains("4989777"), "{told}");
}

/// Bob's number is known, and carrier 1 and the customer are trusted.
fn rows_of_trust() -> Rows {
    let mut rows = rows(MOBILE);
    rows.subscribers[1].number = Some(number(BOBS));
    rows.trunk(1).is_trusted = true;
    rows.trunk(10).is_trusted = true;
    rows
}

/// RFC 5806, RFC 7044.
#[test]
fn a_trusted_carrier_is_told_who_forwarded_the_call() {
    let before = "Diversion: <sip:4940@a.example>;reason=no-answer\n\
                  History-Info: <sip:4940@a.example>;index=1\n\
                  History-Info: <sip:4930555@b.example;cause=408>;index=1.1;mp=1\n";
    for (before, told) in [(before, [2, 3]), ("", [1, 2])] {
        let mut w = World::with(rows_of_trust());
        w.receive(CUSTOMER, &invite(CUSTOMER, "c1", BOBS, 1, before));
        w.grant(60, false);
        w.grant(60, false);
        let invite = w.expect(CARRIERS[0], "INVITE");
        let values = |name| {
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            invite.headers(name).map(text).collect::<Vec<_>>()
        };
        let diversions = values(HeaderName::Diversion);
        let bobs = "<sip:4930555@example.net>;reason=unconditional;counter=1";
        assert_eq!((diversions.len(), &*diversions[0]), (told[0], bobs));
        let history = values(HeaderName::HistoryInfo);
        let last = history.last().unwrap();
        let index = if before.is_empty() { "1.1;mp=1" } else { "1.1.1;mp=1.1" };
        assert_eq!(history.len(), told[1]);
        assert!(last.starts_with("<sip:49170123@") && last.ends_with(index), "{last}");
    }
}

#[test]
fn a_carrier_that_is_not_trusted_is_not_told_who_forwarded_the_call() {
    let mut rows = rows_of_trust();
    rows.trunk(1).is_trusted = false;
    let mut w = World::with(rows);
    w.call(BOBS);
    w.grant(60, false);
    w.grant(60, false);
    let invite = w.expect(CARRIERS[0], "INVITE");
    let text = String::from_utf8_lossy(invite.bytes()).into_owned();
    assert!(!text.contains(BOBS), "{text}");
}

#[test]
fn what_a_trusted_peer_has_diverted_too_often_goes_on_no_further() {
    for (counter, is_trusted, refused) in [(4, true, false), (5, true, true), (5, false, false)] {
        let mut rows = rows_of_trust();
        rows.trunk(10).is_trusted = is_trusted;
        let mut w = World::with(rows);
        let before = format!("Diversion: <sip:4940@a.example>;counter={counter}\n");
        w.receive(CUSTOMER, &invite(CUSTOMER, "c1", BOBS, 1, &before));
        if refused {
            w.expect_soon(CUSTOMER, "SIP/2.0 483");
            assert_eq!(codes(&w.settlement()).last(), Some(&"forwarded_too_often"));
        } else {
            w.grant(60, false);
            assert_eq!(w.asked().account, LOCAL_ACCOUNT);
        }
    }
}

/// the forwarder's account stands for the call, with the forwarder's number.
#[test]
fn the_forwarders_number_is_what_its_account_asks_for() {
    use switch::caller_id::{CliPool, DefaultCaller};
    let called = |pool, own: &str| {
        let mut rows = rows_of_trust();
        let policy = &mut rows.account(LOCAL_ACCOUNT).caller_id;
        policy.pool = pool;
        policy.stored = [number("4930777")].into();
        let default = DefaultCaller { number: None, name: "Globex".into() };
        policy.default = default.boxed();
        rows.subscribers[1].number = Some(number(own));
        let mut w = World::with(rows);
        w.call(BOBS);
        w.grant(60, false);
        let request = w.asked();
        let cli = request.cli;
        w.effects.push_back(Effect::Authorize(request));
        w.grant(60, false);
        (cli, header(&w.expect(CARRIERS[0], "INVITE"), HeaderName::From))
    };
    let (kept, replaced) = (Some(number("4989777")), Some(number("4930777")));
    let theirs = "\"Caller\" <sip:4989777@example.net>";
    for (pool, own, cli, from) in [
        (CliPool::Off, BOBS, kept, theirs),
        (CliPool::RejectUnlessDid, BOBS, kept, theirs),
        (CliPool::ReplaceUnlessStored, "4930777", kept, theirs),
        (CliPool::ReplaceUnlessStored, BOBS, replaced, "\"Globex\" <sip:4930777@example.net>"),
    ] {
        let called = called(pool, own);
        assert_eq!(called.0, cli, "{pool:?}");
        assert!(called.1.starts_with(&format!("{from};tag=")), "{}", called.1);
    }
}

#[test]
fn simulate_says_that_it_goes_on() {
    let (directory, bindings) = (rows(MOBILE).build(), Bindings::default());
    let (at, now) = (Utc(7), Utc(7));
    let question = Question { from: "alice", account: None, to: BOBS, at, now };
    let thought = simulate(&directory, &bindings, Untested::default().trunks(), &question);
    let destination = thought.outcome.unwrap().destination;
    assert_eq!(
        destination,
        Destination::Forwarded { by: BOB, why: Condition::Always, to: MOBILE.into() }
    );
    assert_eq!(thought.decisions.last().unwrap().code(), "forwarded_always");
}

/// Bob's phones ring, and what they do not take goes on to his mobile.
fn rings_first(of_bob: impl FnOnce(&mut SubscriberRow)) -> World {
    let mut rows = rows_of_trust();
    rows.subscribers[1].forwards.always = None;
    of_bob(&mut rows.subscribers[1]);
    let mut w = World::with(rows);
    w.bob_at(&PHONES[..1]);
    w.call(BOBS);
    w.grant(60, false);
    w
}

fn busy(bob: &mut SubscriberRow) {
    bob.forwards.busy = Some(MOBILE.into());
}

fn no_answer(bob: &mut SubscriberRow) {
    bob.forwards.no_answer = Some(NoAnswer { to: MOBILE.into(), after: Duration::from_secs(12) });
}

fn offline(bob: &mut SubscriberRow) {
    bob.forwards.offline = Some(MOBILE.into());
}

/// The call has gone on, is answered at the carrier, and ends. What `why` says of the first call.
#[track_caller]
fn answered_elsewhere(w: &mut World, reason: &str) -> Vec<&'static str> {
    assert_eq!(w.asked_by(LOCAL_ACCOUNT).cld, number(MOBILE));
    w.grant(60, false);
    let invite = w.expect_soon(CARRIERS[0], "INVITE");
    let diversion = format!("<sip:4930555@example.net>;reason={reason};counter=1");
    assert_eq!(header(&invite, HeaderName::Diversion), diversion);
    w.reply_with_sdp(CARRIERS[0], &invite, "200 OK");
    w.record();
    w.record();
    let answer = w.expect_soon(CUSTOMER, "SIP/2.0 200");
    w.receive(CUSTOMER, &ack(CUSTOMER, "c1", &answer));
    w.pass_secs(5);
    w.receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &answer, "BYE", 2));
    let bye = w.expect_soon(CARRIERS[0], "BYE");
    w.reply(CARRIERS[0], &bye, "200 OK", "");
    let (first, second) = both(&mut w.settled);
    assert_eq!((first.talked, second.talked), (Duration::from_secs(5), Duration::from_secs(5)));
    w.check_empty();
    codes(&first)
}

#[test]
fn a_call_goes_on_when_the_phone_is_busy() {
    for status in ["486 Busy Here", "600 Busy Everywhere"] {
        let mut w = rings_first(busy);
        let invite = w.expect(PHONES[0], "INVITE");
        w.reply(PHONES[0], &invite, status, "");
        let why = answered_elsewhere(&mut w, "user-busy");
        assert!(why.contains(&"forwarded_busy"), "{why:?}");
    }
}

#[test]
fn a_call_goes_on_when_nobody_answers_for_as_long_as_the_callee_said() {
    let mut w = rings_first(no_answer);
    let invite = w.expect(PHONES[0], "INVITE");
    w.reply(PHONES[0], &invite, "180 Ringing", "");
    w.pass_secs(11);
    assert!(!w.effects.iter().any(|effect| matches!(effect, Effect::Authorize(_))));
    w.pass_secs(1);
    let cancel = w.expect_soon(PHONES[0], "CANCEL");
    w.reply(PHONES[0], &cancel, "200 OK", "");
    w.reply(PHONES[0], &invite, "487 Request Terminated", "");
    let why = answered_elsewhere(&mut w, "no-answer");
    assert!(why.contains(&"forwarded_no_answer"), "{why:?}");
}

#[test]
fn a_phone_that_gives_up_by_itself_did_not_answer() {
    let mut w = rings_first(no_answer);
    let invite = w.expect(PHONES[0], "INVITE");
    w.reply(PHONES[0], &invite, "180 Ringing", "");
    w.reply(PHONES[0], &invite, "480 Temporarily Unavailable", "");
    let why = answered_elsewhere(&mut w, "no-answer");
    assert!(why.contains(&"forwarded_no_answer"), "{why:?}");
}

#[test]
fn a_call_goes_on_when_no_phone_can_be_reached() {
    let mut w = rings_first(offline);
    w.expect(PHONES[0], "INVITE");
    w.input(Input::PathFailed(path(PHONES[0])));
    let why = answered_elsewhere(&mut w, "unavailable");
    assert!(why.contains(&"forwarded_offline"), "{why:?}");

    let mut rows = rows_of_trust();
    rows.subscribers[1].forwards.always = None;
    offline(&mut rows.subscribers[1]);
    let mut w = World::with(rows);
    w.call(BOBS);
    w.grant(60, false);
    let why = answered_elsewhere(&mut w, "unavailable");
    assert_eq!(why[2], "forwarded_offline");
}

#[test]
fn a_call_that_meets_another_condition_does_not_go_on() {
    let all = |bob: &mut SubscriberRow| {
        busy(bob);
        no_answer(bob);
        offline(bob);
    };
    let silent = |_: &mut SubscriberRow| {};
    for (of_bob, status) in [
        (&all as &dyn Fn(&mut SubscriberRow), "603 Decline"),
        (&all, "488 Not Acceptable Here"),
        (&no_answer, "486 Busy Here"),
        (&offline, "486 Busy Here"),
        (&busy, "480 Temporarily Unavailable"),
        (&silent, "486 Busy Here"),
    ] {
        let mut w = rings_first(of_bob);
        let invite = w.expect(PHONES[0], "INVITE");
        w.reply(PHONES[0], &invite, status, "");
        w.expect_soon(CUSTOMER, &format!("SIP/2.0 {}", &status[..3]));
        w.settlement();
    }
}

#[test]
fn the_phones_ring_no_more_once_the_call_has_gone_on() {
    let mut rows = rows_of_trust();
    rows.subscribers[1].forwards.always = None;
    busy(&mut rows.subscribers[1]);
    let mut w = World::with(rows);
    w.bob_at(&PHONES);
    w.call(BOBS);
    w.grant(60, false);
    let first = w.expect(PHONES[0], "INVITE");
    let second = w.expect(PHONES[1], "INVITE");
    w.reply(PHONES[1], &second, "180 Ringing", "");
    // RFC 3261 section 21.6.1: busy everywhere.
    w.reply(PHONES[0], &first, "600 Busy Everywhere", "");
    w.expect_soon(PHONES[1], "CANCEL");
    answered_elsewhere(&mut w, "user-busy");
}

/// The callee's own refusal says more than that its forwarding led nowhere.
#[test]
fn when_the_forwarder_cannot_pay_the_caller_hears_what_the_phone_said() {
    let mut w = rings_first(busy);
    let invite = w.expect(PHONES[0], "INVITE");
    w.reply(PHONES[0], &invite, "486 Busy Here", "");
    let sentence = "None left.".into();
    w.deny(Refused::InsufficientCredit(DecisionLine { code: "insufficient_credit", sentence }));
    w.expect_soon(CUSTOMER, "SIP/2.0 486");
    let (first, second) = both(&mut w.settled);
    assert_eq!(*codes(&second).last().unwrap(), "insufficient_credit");
    assert_eq!(*codes(&first).last().unwrap(), "attempts_exhausted");
    w.check_empty();
}

#[test]
fn who_has_forwarded_the_call_before_is_rung_and_no_more() {
    let mut rows = rows_of_trust();
    rows.subscribers[1].forwards.always = None;
    busy(&mut rows.subscribers[1]);
    no_answer(&mut rows.subscribers[1]);
    rows.subscribers[1].forwards.busy = Some("alice".into());
    rows.subscribers[0].forwards.always = Some("bob".into());
    let mut w = World::with(rows);
    w.bob_at(&PHONES[..1]);
    w.call(BOBS);
    w.grant(60, false);
    let invite = w.expect(PHONES[0], "INVITE");
    w.reply(PHONES[0], &invite, "486 Busy Here", "");
    // To Alice, and back to Bob, whose phone rings for as long as any does.
    w.grant(60, false);
    w.grant(60, false);
    let invite = w.expect_soon(PHONES[0], "INVITE");
    w.reply(PHONES[0], &invite, "180 Ringing", "");
    w.pass_secs(30);
    w.reply(PHONES[0], &invite, "486 Busy Here", "");
    w.expect_soon(CUSTOMER, "SIP/2.0 486");
    assert_eq!(w.settled.len(), 3);
    let last = w.settled.iter().max_by_key(|request| request.facts.call).unwrap();
    assert!(codes(last).contains(&"not_forwarded"), "{:?}", codes(last));
    w.check_empty();
}

#[test]
fn who_does_not_want_to_be_disturbed_is_not_rung() {
    let mut rows = rows_of_trust();
    rows.subscribers[1].forwards.always = None;
    rows.subscribers[1].availability.do_not_disturb = true;
    let mut w = World::with(rows);
    w.bob_at(&PHONES);
    w.call(BOBS);
    w.expect_soon(CUSTOMER, "SIP/2.0 486");
    assert_eq!(*codes(&w.settlement()).last().unwrap(), "do_not_disturb");

    let mut w = rings_first(|bob| {
        busy(bob);
        bob.availability.do_not_disturb = true;
    });
    let why = answered_elsewhere(&mut w, "do-not-disturb");
    assert_eq!(why[2], "forwarded_do_not_disturb");
}

/// A-17 for phones: a call is counted while it rings them or is up there, and not when it has gone on.
#[test]
fn who_has_as_many_calls_as_it_takes_is_busy() {
    let second = || invite(CUSTOMER, "c2", BOBS, 1, "");
    let mut w = rings_first(|bob| bob.availability.calls_max = Some(1));
    w.expect(PHONES[0], "INVITE");
    w.receive(CUSTOMER, &second());
    w.expect_soon(CUSTOMER, "SIP/2.0 486");
    let settled = w.settlement();
    assert_eq!(*codes(&settled).last().unwrap(), "subscriber_concurrency_exceeded");
    w.receive(CUSTOMER, &cancel(CUSTOMER, "c1", BOBS, 1));
    w.receive(CUSTOMER, &invite(CUSTOMER, "c3", BOBS, 1, ""));
    w.grant(60, false);

    let mut w = rings_first(|bob| {
        busy(bob);
        bob.availability.calls_max = Some(1);
    });
    let first = w.expect(PHONES[0], "INVITE");
    w.receive(CUSTOMER, &second());
    w.grant(60, false);
    assert_eq!(w.asked_by(LOCAL_ACCOUNT).cld, number(MOBILE));
    w.grant(60, false);
    w.expect(CARRIERS[0], "INVITE");
    // The first goes on too: its place at the phone is free.
    w.reply(PHONES[0], &first, "486 Busy Here", "");
    w.grant(60, false);
    w.receive(CUSTOMER, &invite(CUSTOMER, "c3", BOBS, 1, ""));
    w.grant(60, false);
    w.expect_soon(PHONES[0], "INVITE");
}

/// Hands over what the calls of two shards say to each other, until they have no more to say.
fn exchange(worlds: &mut [World; 2]) {
    while let Some((n, effect)) = take(worlds) {
        match effect {
            Effect::Onward(onward) => worlds[1 - n].input(Input::Onward(onward)),
            Effect::Relay { to, from, said } => {
                let input = Input::Relayed { to: to.key, from, said };
                worlds[usize::from(to.shard)].input(input);
            }
            _ => unreachable!("taken by kind"),
        }
    }
}

fn take(worlds: &mut [World; 2]) -> Option<(usize, Effect)> {
    for (n, world) in worlds.iter_mut().enumerate() {
        let is_joint = |e: &Effect| matches!(e, Effect::Onward(_) | Effect::Relay { .. });
        if let Some(place) = world.effects.iter().position(is_joint) {
            return Some((n, world.effects.remove(place)?));
        }
    }
    None
}

fn two_shards() -> [World; 2] {
    [World::in_shard(rows(MOBILE), 0, 2), World::in_shard(rows(MOBILE), 1, 2)]
}

#[test]
fn the_two_calls_may_be_in_two_shards() {
    let mut worlds = two_shards();
    worlds[0].call(BOBS);
    worlds[0].grant(60, false);
    exchange(&mut worlds);
    worlds[1].grant(60, false);
    let invite = worlds[1].expect(CARRIERS[0], "INVITE");
    worlds[1].reply(CARRIERS[0], &invite, "180 Ringing", "");
    exchange(&mut worlds);
    worlds[0].expect_soon(CUSTOMER, "SIP/2.0 180");
    worlds[1].reply_with_sdp(CARRIERS[0], &invite, "200 OK");
    worlds[1].record();
    exchange(&mut worlds);
    worlds[0].record();
    let answer = worlds[0].expect_soon(CUSTOMER, "SIP/2.0 200");
    worlds[0].receive(CUSTOMER, &ack(CUSTOMER, "c1", &answer));
    worlds[0].receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &answer, "BYE", 2));
    exchange(&mut worlds);
    let bye = worlds[1].expect_soon(CARRIERS[0], "BYE");
    worlds[1].reply(CARRIERS[0], &bye, "200 OK", "");
    for world in &mut worlds {
        let request = world.settlement();
        assert_eq!(*codes(&request).last().unwrap(), "ended_by_caller");
        assert_eq!(request.facts.legs[0].direction, Direction::Ingress);
        world.check_empty();
    }
}

#[test]
fn a_caller_may_be_gone_before_the_other_call_is_there() {
    let mut worlds = two_shards();
    worlds[0].call(BOBS);
    worlds[0].grant(60, false);
    worlds[0].receive(CUSTOMER, &cancel(CUSTOMER, "c1", BOBS, 1));
    assert_eq!(codes(&worlds[0].settlement()).last(), Some(&"caller_gave_up"));
    exchange(&mut worlds);
    assert_eq!(codes(&worlds[1].settlement()).last(), Some(&"caller_gave_up"));
    for world in &mut worlds {
        world.check_empty();
    }
}

#[test]
fn who_speaks_to_a_call_that_is_gone_hears_that() {
    let mut w = World::in_shard(rows(MOBILE), 0, 2);
    let to = LegKey { slot: 3, generation: 9, leg: 1 };
    let from = LegAddress { shard: 1, key: LegKey { slot: 4, generation: 1, leg: 0 } };
    let event = LegEvent::Acknowledge { body: None };
    w.input(Input::Relayed { to, from, said: Said::Event(event) });
    match w.effects.pop_front() {
        Some(Effect::Relay { to: back, said: Said::Event(LegEvent::Release { .. }), .. }) => {
            assert_eq!(back, from);
        }
        other => panic!("{other:?}"),
    }
    let cause = switch::release::Cause::Normal;
    let event = LegEvent::Release { cause, reason_header: None, sip_status: 200 };
    w.input(Input::Relayed { to, from, said: Said::Event(event) });
    assert!(w.effects.is_empty(), "an end is not answered: {:?}", w.effects);
}
