//! A DID leads to a subscriber, to several in order or at once, or to a trunk; who pays goes by who
//! calls; it has limits of its own, as phones have (S2, P-607).

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::*;
use switch::did::{DidRow, DidTarget, Group, RingOrder};
use switch::directory::{Limits, TrunkRole, TrunkRow};
use switch::routing::{Destination, Question, simulate};
use vocabulary::{AccountId, CallKind, DecisionLine, DidId, Refused, SubscriberId, TrunkId, Utc};

const DID: DidId = DidId(4);
const CALLED: &str = "4930600";
const ALICES: SubscriberId = SubscriberId(20);
/// Bob's telephone system.
const PBX: &str = "10.4.0.1:5060";

fn did(target: DidTarget) -> DidRow {
    DidRow {
        id: DID,
        number: number(CALLED),
        account: LOCAL_ACCOUNT,
        is_active: true,
        target,
        limits: Limits::default(),
    }
}

fn rows(target: DidTarget) -> Rows {
    let mut pbx = TrunkRow::new(TrunkId(9), "pbx", LOCAL_ACCOUNT);
    pbx.host = "10.4.0.1".into();
    let mut rows = Rows { dids: vec![did(target)], ..Rows::default() };
    rows.trunks.push(pbx);
    rows
}

fn group(order: RingOrder) -> DidTarget {
    DidTarget::Group(Arc::new(Group { did: DID, members: [ALICES, BOB].into(), order }))
}

fn in_order(secs: u64) -> DidTarget {
    group(RingOrder::InOrder(Duration::from_secs(secs)))
}

/// Alice and Bob have a phone each.
fn with_phones(rows: Rows) -> World {
    let mut w = World::with(rows);
    w.is_at(ALICES, "alice", &PHONES[..1]);
    w.is_at(BOB, "bob", &PHONES[1..]);
    w
}

#[test]
fn who_calls_says_who_pays() {
    let from_trunk = |role| {
        let mut rows = rows(DidTarget::Subscriber(BOB));
        rows.trunk(CUSTOMER_TRUNK.0).role = role;
        let mut w = with_phones(rows);
        w.call(CALLED);
        let asked = w.asked();
        (asked.account, asked.kind)
    };
    assert_eq!(from_trunk(TrunkRole::Peer), (LOCAL_ACCOUNT, CallKind::Inbound(DID)));
    assert_eq!(from_trunk(TrunkRole::Customer), (CUSTOMER_ACCOUNT, CallKind::Local));
    assert_eq!(from_trunk(TrunkRole::Equipment), (CUSTOMER_ACCOUNT, CallKind::Internal));
}

#[test]
fn equipment_calls_our_own_for_nothing_and_others_as_anybody() {
    for (called, kind) in [("4930555", CallKind::Internal), ("4930123456", CallKind::Egress)] {
        let mut rows = rows(DidTarget::Subscriber(BOB));
        rows.trunk(CUSTOMER_TRUNK.0).role = TrunkRole::Equipment;
        let mut w = with_phones(rows);
        w.call(called);
        assert_eq!(w.asked().kind, kind, "P-607: {called}");
    }
}

#[test]
fn the_record_is_the_account_s_that_has_the_did() {
    let mut w = with_phones(rows(DidTarget::Subscriber(BOB)));
    w.call(CALLED);
    w.grant(60, false);
    let invite = w.expect(PHONES[1], "INVITE sip:bob@");
    w.reply_with_sdp(PHONES[1], &invite, "200 OK");
    w.record();
    let answer = w.expect_soon(CUSTOMER, "SIP/2.0 200");
    w.receive(CUSTOMER, &ack(CUSTOMER, "c1", &answer));
    w.pass_secs(10);
    w.receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &answer, "BYE", 2));
    let bye = w.expect_soon(PHONES[1], "BYE");
    w.reply(PHONES[1], &bye, "200 OK", "");
    let settled = w.settlement();
    assert_eq!(settled.facts.kind, Some(CallKind::Inbound(DID)));
    assert_eq!(settled.facts.legs[0].account, Some(LOCAL_ACCOUNT));
    assert_eq!(settled.facts.legs[0].trunk, Some(CUSTOMER_TRUNK));
    let found = settled.facts.decisions.iter().find(|line| line.code == "did_found").unwrap();
    let sentence = "The number is DID 4 of account 3, which leads to subscriber 21.";
    assert_eq!(found.sentence, sentence);
    w.check_empty();
}

#[test]
fn who_has_the_did_does_not_learn_who_stays_unknown() {
    let mut w = with_phones(rows(DidTarget::Subscriber(BOB)));
    w.receive(CUSTOMER, &invite(CUSTOMER, "c1", CALLED, 1, "Privacy: id\n"));
    let asked = w.asked();
    assert_eq!((asked.cli, asked.origin.cli.as_str()), (None, "anonymous"));
}

#[test]
fn a_forwarded_did_is_paid_twice_by_its_account() {
    let mut rows = rows(DidTarget::Subscriber(BOB));
    rows.subscribers[1].forwards.always = Some("49170123".into());
    let mut w = with_phones(rows);
    w.call(CALLED);
    w.grant(60, false);
    let onward = w.asked();
    assert_eq!((onward.account, onward.kind), (LOCAL_ACCOUNT, CallKind::Egress));
}

#[test]
fn all_of_a_group_ring_and_one_answers() {
    let mut rows = rows(group(RingOrder::AtOnce));
    // Who does not get the call has room again at once.
    rows.subscribers[0].egress.concurrent = Some(1);
    let mut w = with_phones(rows);
    w.call(CALLED);
    w.grant(60, false);
    let alices = w.expect(PHONES[0], "INVITE");
    let bobs = w.expect(PHONES[1], "INVITE");
    w.reply(PHONES[0], &alices, "180 Ringing", "");
    w.reply_with_sdp(PHONES[1], &bobs, "200 OK");
    w.record();
    w.expect_soon(PHONES[0], "CANCEL");
    let places = w.shared.admission.places_taken();
    assert_eq!(places, 3, "the caller's account and trunk, and the account that is called");
}

#[test]
fn one_of_a_group_says_no_for_itself_alone() {
    let mut rows = rows(group(RingOrder::AtOnce));
    rows.subscribers[0].egress.concurrent = Some(1);
    let mut w = with_phones(rows);
    w.call(CALLED);
    w.grant(60, false);
    let alices = w.expect(PHONES[0], "INVITE");
    let bobs = w.expect(PHONES[1], "INVITE");
    let places = w.shared.admission.places_taken();
    w.reply(PHONES[0], &alices, "603 Decline", "");
    w.expect_soon(PHONES[0], "ACK");
    assert_eq!(w.shared.admission.places_taken(), places - 1, "she has room while Bob's rings");
    w.reply_with_sdp(PHONES[1], &bobs, "200 OK");
    w.record();
    w.expect_soon(CUSTOMER, "SIP/2.0 200");
}

#[test]
fn one_after_the_other_rings() {
    let mut w = with_phones(rows(in_order(10)));
    w.call(CALLED);
    w.grant(60, false);
    let alices = w.expect(PHONES[0], "INVITE");
    w.expect_nothing(PHONES[1]);
    w.reply(PHONES[0], &alices, "180 Ringing", "");
    w.expect_soon(CUSTOMER, "SIP/2.0 180");
    w.pass_secs(10);
    w.expect_soon(PHONES[0], "CANCEL");
    let bobs = w.expect_soon(PHONES[1], "INVITE");
    w.reply_with_sdp(PHONES[1], &bobs, "200 OK");
    w.record();
    w.expect_soon(CUSTOMER, "SIP/2.0 200");
}

#[test]
fn who_is_busy_or_declines_or_is_not_there_is_passed_over() {
    for status in ["486 Busy Here", "603 Decline", "480 Temporarily Unavailable"] {
        let mut w = with_phones(rows(in_order(10)));
        w.call(CALLED);
        w.grant(60, false);
        let alices = w.expect(PHONES[0], "INVITE");
        w.reply(PHONES[0], &alices, status, "");
        w.expect_soon(PHONES[1], "INVITE");
    }
    let mut w = World::with(rows(in_order(10)));
    w.bob_at(&PHONES[1..]);
    w.call(CALLED);
    w.grant(60, false);
    let bobs = w.expect(PHONES[1], "INVITE");
    w.reply(PHONES[1], &bobs, "486 Busy Here", "");
    w.expect_soon(CUSTOMER, "SIP/2.0 486");
    let settled = w.settlement();
    assert!(codes(&settled).contains(&"member_skipped_not_registered"), "{:?}", codes(&settled));
}

#[test]
fn a_phone_that_is_full_is_passed_over() {
    let mut rows = rows(in_order(10));
    rows.subscribers[0].egress.concurrent = Some(0);
    let mut w = with_phones(rows);
    w.call(CALLED);
    w.grant(60, false);
    w.expect_nothing(PHONES[0]);
    w.expect(PHONES[1], "INVITE");
}

#[track_caller]
fn refused(mut w: World, status: &str, code: &str) {
    w.call(CALLED);
    w.expect_soon(CUSTOMER, status);
    let settled = w.settlement();
    assert!(codes(&settled).contains(&code), "{:?}", codes(&settled));
}

#[test]
fn a_did_that_takes_no_call_says_why() {
    let subscriber = || rows(DidTarget::Subscriber(BOB));
    let mut off = subscriber();
    off.dids[0].is_active = false;
    refused(with_phones(off), "SIP/2.0 480", "did_inactive");
    let mut inactive = subscriber();
    inactive.account(LOCAL_ACCOUNT).is_active = false;
    refused(with_phones(inactive), "SIP/2.0 480", "callee_account_inactive");
    refused(World::with(rows(in_order(10))), "SIP/2.0 480", "did_nobody_registered");
    let mut full = subscriber();
    full.dids[0].limits.concurrent = Some(0);
    refused(with_phones(full), "SIP/2.0 503", "did_concurrency_exceeded");
    let mut fast = subscriber();
    fast.dids[0].limits.per_second = Some(0);
    refused(with_phones(fast), "SIP/2.0 503", "did_cps_exceeded");
    let mut phone = subscriber();
    phone.subscribers[1].egress.concurrent = Some(0);
    refused(with_phones(phone), "SIP/2.0 486", "subscriber_concurrency_exceeded");
}

#[test]
fn a_did_leads_to_a_trunk_that_nobody_is_paid_for() {
    let mut w = World::with(rows(DidTarget::Trunk(TrunkId(9))));
    w.call(CALLED);
    let asked = w.asked();
    assert_eq!((asked.kind, &asked.candidates[..]), (CallKind::Inbound(DID), &[][..]));
    w.effects.push_back(switch::Effect::Authorize(asked));
    w.grant(60, false);
    let invite = w.expect(PBX, &format!("INVITE sip:{CALLED}@"));
    w.reply(PBX, &invite, "486 Busy Here", "");
    w.expect_soon(CUSTOMER, "SIP/2.0 486");
    let settled = w.settlement();
    let codes = codes(&settled);
    assert!(codes.contains(&"did_found") && codes.contains(&"tried_trunk"), "{codes:?}");
}

#[test]
fn money_is_the_account_s_that_has_the_did() {
    let mut w = with_phones(rows(DidTarget::Subscriber(BOB)));
    w.call(CALLED);
    let sentence = "Account 3 has 0 available.".into();
    w.deny(Refused::InsufficientCredit(DecisionLine { code: "insufficient_credit", sentence }));
    w.expect_soon(CUSTOMER, "SIP/2.0 402");
    assert_eq!(w.settlement().facts.legs[0].account, Some(LOCAL_ACCOUNT));
}

#[test]
fn simulate_says_the_same() {
    let thought = |rows: &Rows, w: &World, from| {
        let (at, now) = (Utc(7), w.now.utc);
        let question = Question { from, account: None, to: CALLED, at, now };
        simulate(&rows.build(), &w.shared.bindings, Untested::default().trunks(), &question)
    };
    let rows = rows(in_order(10));
    let w = with_phones(Rows { dids: rows.dids.clone(), ..Rows::default() });
    let simulated = thought(&rows, &w, "customer");
    let codes: Vec<_> = simulated.decisions.iter().map(|decision| decision.code()).collect();
    assert_eq!(codes, ["number_translated", "did_found", "to_subscriber", "to_subscriber"]);
    let asked = simulated.authorize.unwrap();
    assert_eq!((asked.account, asked.kind), (LOCAL_ACCOUNT, CallKind::Inbound(DID)));
    assert!(matches!(simulated.outcome.unwrap().destination, Destination::Group(_)));
    // A phone of ours pays as for any call to our own.
    let asked = thought(&rows, &w, "alice").authorize.unwrap();
    assert_eq!((asked.account, asked.kind), (LOCAL_ACCOUNT, CallKind::Local));
}

#[test]
fn dids_and_numbers_of_phones_are_an_account_s_own() {
    let rows = rows(DidTarget::Subscriber(BOB));
    let before = rows.build();
    assert_eq!(before.numbers_of(LOCAL_ACCOUNT), [number("4930555"), number(CALLED)]);
    assert!(before.owns(LOCAL_ACCOUNT, &number(CALLED)));
    let gone = before.change().without_did(DID).build().unwrap();
    assert_eq!(gone.numbers_of(LOCAL_ACCOUNT), [number("4930555")]);
    assert!(gone.did_by_number(&number(CALLED)).is_none());
    // Bob's own number as a DID stays when the DID goes.
    let own = DidRow { number: number("4930555"), ..did(DidTarget::Subscriber(BOB)) };
    let both = gone.change().did(own).build().unwrap();
    assert_eq!(both.numbers_of(LOCAL_ACCOUNT), [number("4930555")]);
    let gone = both.change().without_did(DID).build().unwrap();
    assert_eq!(gone.numbers_of(LOCAL_ACCOUNT), [number("4930555")]);
}

#[test]
fn a_did_that_leads_nowhere_is_no_row() {
    let check = |row: DidRow, fault: &str| {
        let faults = Rows { dids: Vec::new(), ..Rows::default() }.build().change().did(row).build();
        assert_eq!(faults.unwrap_err()[0].to_string(), format!("DID 4, {fault}"));
    };
    let subscriber = |id| DidTarget::Subscriber(SubscriberId(id));
    check(did(subscriber(99)), "4930600: it leads to subscriber 99, which is not there");
    check(did(DidTarget::Trunk(TrunkId(99))), "4930600: it leads to trunk 99, which is not there");
    let foreign = DidRow { account: CUSTOMER_ACCOUNT, ..did(subscriber(21)) };
    let fault = "4930600: it leads to subscriber 21, which belongs to another account";
    check(foreign, fault);
    let taken = DidRow {
        number: number("4930555"),
        account: CUSTOMER_ACCOUNT,
        ..did(DidTarget::Trunk(CUSTOMER_TRUNK))
    };
    check(taken, "4930555: it is the number of subscriber 21, which belongs to another account");
    let nobodys = DidRow { account: AccountId(77), ..did(DidTarget::Trunk(CUSTOMER_TRUNK)) };
    check(nobodys, "4930600: it belongs to account 77, which is not there");
}
