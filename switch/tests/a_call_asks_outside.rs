//! A call that needs an answer from outside waits for it, not for long, and not after it is over: before
//! its set-up goes on (who calls is verified), and before an attempt is sent (it is signed). S5.

mod support;

use bytes::Bytes;
use sip::message::{HeaderName, Message};
use support::{
    CARRIERS, CUSTOMER, CUSTOMER_TRUNK, Rows, World, cancel, codes, header, invite, outcomes,
};
use switch::stir::{Attestation, IdentityFault, Verification};
use switch::{Answer, Effect, Input, QueryId, Question};

const SIGNED: &str = "Identity: aa.bb.cc;info=<https://cert.example/a>;alg=ES256;ppt=shaken\n";
const CLD: &str = "4930123456";

fn verifying(verification: Verification) -> World {
    let mut rows = Rows::default();
    rows.trunk(CUSTOMER_TRUNK.0).stir.verification = verification;
    World::with(rows)
}

fn signing() -> World {
    let mut rows = Rows::default();
    rows.trunk(1).stir.signs = true;
    rows.trunk(2).stir.signs = true;
    World::with(rows)
}

fn require(least: Attestation) -> World {
    verifying(Verification::Refuse(least))
}

fn calls(w: &mut World, extra: &str) {
    w.receive(CUSTOMER, &invite(CUSTOMER, "c1", CLD, 1, extra));
}

#[track_caller]
fn question(w: &mut World) -> (QueryId, Question) {
    let place = w.effects.iter().position(|effect| matches!(effect, Effect::Ask { .. }));
    match place.and_then(|place| w.effects.remove(place)) {
        Some(Effect::Ask { query, question }) => (query, question),
        _ => panic!("nothing was asked: {:?}", w.effects),
    }
}

fn asks(w: &World) -> bool {
    w.effects.iter().any(|effect| matches!(effect, Effect::Ask { .. }))
}

fn asks_billing(w: &World) -> bool {
    w.effects.iter().any(|effect| matches!(effect, Effect::Authorize(_)))
}

fn told(w: &mut World, query: QueryId, answer: Answer) {
    w.input(Input::Told { query, answer });
}

fn signature(text: &'static str) -> Answer {
    Answer::Signed(Bytes::from_static(text.as_bytes()))
}

#[track_caller]
fn check_refused(w: &mut World, status: u16, code: &str) {
    w.expect_soon(CUSTOMER, &format!("SIP/2.0 {status}"));
    let settled = w.settlement();
    assert_eq!(codes(&settled).last(), Some(&code));
    assert_eq!(outcomes(&settled), [("rejected", status)]);
    w.check_empty();
}

#[test]
fn a_call_waits_for_its_caller_to_be_verified() {
    let mut w = require(Attestation::Partial);
    calls(&mut w, SIGNED);
    let (query, asked) = question(&mut w);
    let Question::Verify(asked) = asked else { panic!("{asked:?}") };
    assert_eq!((asked.caller.as_str(), asked.called.as_str()), ("4989777", CLD));
    assert_eq!(format!("Identity: {}\n", String::from_utf8_lossy(&asked.value)), SIGNED);
    assert!(!asks_billing(&w), "billing has its turn later");
    told(&mut w, query, Answer::Verified(Ok(Attestation::Full)));
    w.grant(60, false);
    w.expect(CARRIERS[0], "INVITE");
    // The same answer again, and another: the call has gone on.
    told(&mut w, query, Answer::Verified(Err(IdentityFault::Signature)));
    told(&mut w, query, Answer::Nothing);
    w.receive(CUSTOMER, &cancel(CUSTOMER, "c1", CLD, 1));
    w.expect_soon(CUSTOMER, "SIP/2.0 487");
    assert!(codes(&w.settlement()).contains(&"identity_valid"));
}

#[test]
fn a_trunk_refuses_by_its_policy() {
    let faults = [
        (IdentityFault::Stale, 403, "identity_stale"),
        (IdentityFault::BadInfo, 436, "identity_info_wrong"),
        (IdentityFault::CertificateAway, 436, "identity_certificate_away"),
        (IdentityFault::CertificateUntrusted, 437, "identity_certificate_untrusted"),
        (IdentityFault::Signature, 438, "identity_signature_wrong"),
        (IdentityFault::Compact, 438, "identity_compact"),
    ];
    for (fault, status, code) in faults {
        let mut w = require(Attestation::Gateway);
        calls(&mut w, SIGNED);
        let (query, _) = question(&mut w);
        told(&mut w, query, Answer::Verified(Err(fault)));
        check_refused(&mut w, status, code);
    }
    let mut w = require(Attestation::Full);
    calls(&mut w, SIGNED);
    let (query, _) = question(&mut w);
    told(&mut w, query, Answer::Verified(Ok(Attestation::Partial)));
    check_refused(&mut w, 403, "identity_attestation_too_weak");
    // Without one, or with one of another kind, nobody needs to be asked.
    for extra in ["", &SIGNED.replace("shaken", "div")] {
        let mut w = require(Attestation::Gateway);
        calls(&mut w, extra);
        assert!(!asks(&w));
        check_refused(&mut w, 428, "identity_required");
    }
}

#[test]
fn a_policy_that_only_marks_lets_every_call_go_on() {
    let mut w = verifying(Verification::Mark);
    calls(&mut w, SIGNED);
    let (query, _) = question(&mut w);
    told(&mut w, query, Answer::Verified(Err(IdentityFault::OtherNumbers)));
    w.grant(60, false);
    let mut w = verifying(Verification::Mark);
    calls(&mut w, "");
    assert!(!asks(&w));
    w.grant(60, false);
    // Without a policy nothing is looked at.
    let mut w = World::new();
    calls(&mut w, SIGNED);
    assert!(!asks(&w));
    w.grant(60, false);
    let invite = w.expect(CARRIERS[0], "INVITE");
    assert_eq!(invite.header(HeaderName::Identity), None);
}

#[test]
fn nobody_answers_and_the_call_goes_on_by_policy() {
    let mut w = verifying(Verification::Mark);
    calls(&mut w, SIGNED);
    let (query, asked) = question(&mut w);
    w.pass(asked.limit());
    told(&mut w, query, Answer::Verified(Ok(Attestation::Full)));
    w.grant(60, false);
    w.expect(CARRIERS[0], "INVITE");

    let mut w = require(Attestation::Gateway);
    calls(&mut w, SIGNED);
    let (query, asked) = question(&mut w);
    w.pass(asked.limit());
    told(&mut w, query, Answer::Verified(Ok(Attestation::Full)));
    check_refused(&mut w, 436, "identity_not_verified");
}

#[test]
fn a_caller_may_give_up_while_it_is_verified() {
    let mut w = require(Attestation::Gateway);
    calls(&mut w, SIGNED);
    let (query, _) = question(&mut w);
    w.receive(CUSTOMER, &cancel(CUSTOMER, "c1", CLD, 1));
    w.expect_soon(CUSTOMER, "SIP/2.0 487");
    told(&mut w, query, Answer::Verified(Ok(Attestation::Full)));
    assert!(!asks_billing(&w));
    assert_eq!(codes(&w.settlement()).last(), Some(&"caller_gave_up"));
    w.check_empty();
    // An operator too; and its slot has another call when the answer comes.
    calls(&mut w, SIGNED);
    let (late, _) = question(&mut w);
    let call = w.shard.live_calls()[0].call;
    w.input(Input::HangUp { call });
    w.settlement();
    w.pass_secs(60);
    calls(&mut w, SIGNED);
    let (query, _) = question(&mut w);
    told(&mut w, late, Answer::Verified(Ok(Attestation::Full)));
    assert!(!asks_billing(&w), "another call's answer");
    told(&mut w, query, Answer::Verified(Ok(Attestation::Full)));
    assert!(asks_billing(&w));
}

fn identity(invite: &Message) -> String {
    header(invite, HeaderName::Identity)
}

#[test]
fn an_attempt_waits_for_its_signature() {
    let mut w = signing();
    calls(&mut w, "");
    w.grant(60, false);
    let (first, asked) = question(&mut w);
    let Question::Sign(asked) = asked else { panic!("{asked:?}") };
    assert_eq!((asked.caller.as_str(), asked.called.as_str()), ("4989777", CLD));
    // The customer's trunk is a peer's by its role, and has no such number.
    assert_eq!(asked.attestation, Attestation::Gateway);
    w.expect_nothing(CARRIERS[0]);
    told(&mut w, first, signature("a.b.c;info=<https://a>"));
    let invite = w.expect(CARRIERS[0], "INVITE");
    assert_eq!(identity(&invite), "a.b.c;info=<https://a>");
    told(&mut w, first, signature("x.y.z;info=<https://a>"));
    w.reply(CARRIERS[0], &invite, "503 Service Unavailable", "");
    // The next attempt has its own.
    let (second, asked) = question(&mut w);
    assert_ne!(first, second);
    told(&mut w, first, signature("x.y.z;info=<https://a>"));
    w.expect_nothing(CARRIERS[1]);
    w.pass(asked.limit());
    let invite = w.expect(CARRIERS[1], "INVITE");
    assert_eq!(invite.header(HeaderName::Identity), None, "it goes without");
    w.reply(CARRIERS[1], &invite, "503 Service Unavailable", "");
    // The third does not want any.
    assert!(!asks(&w));
    let invite = w.expect(CARRIERS[2], "INVITE");
    w.reply(CARRIERS[2], &invite, "486 Busy Here", "");
    let settled = w.settlement();
    let stir = codes(&settled).into_iter().filter(|code| code.starts_with("identity"));
    assert!(stir.eq(["identity_signed", "identity_unsigned"]));
}

#[test]
fn a_caller_may_give_up_while_its_attempt_is_signed() {
    let mut w = signing();
    calls(&mut w, "");
    w.grant(60, false);
    let (query, _) = question(&mut w);
    w.receive(CUSTOMER, &cancel(CUSTOMER, "c1", CLD, 1));
    w.expect_soon(CUSTOMER, "SIP/2.0 487");
    told(&mut w, query, signature("a.b.c;info=<https://a>"));
    w.expect_nothing(CARRIERS[0]);
    w.settlement();
    w.check_empty();
}

#[test]
fn a_valid_identity_goes_on_as_it_is_while_the_numbers_are_the_same() {
    let mut rows = Rows::default();
    rows.trunk(CUSTOMER_TRUNK.0).stir.verification = Verification::Mark;
    rows.trunk(1).stir.signs = true;
    let mut w = World::with(rows);
    calls(&mut w, SIGNED);
    let (query, _) = question(&mut w);
    told(&mut w, query, Answer::Verified(Ok(Attestation::Full)));
    w.grant(60, false);
    assert!(!asks(&w));
    let invite = w.expect(CARRIERS[0], "INVITE");
    assert_eq!(format!("Identity: {}\n", identity(&invite)), SIGNED);
}

/// RFC 8224 section 4.1: whoever carries a call on leaves the header alone, unless it is known to be false.
#[test]
fn an_identity_that_nobody_has_found_false_goes_on() {
    let check = |verification, answer: Option<Answer>, goes_on: bool| {
        let mut rows = Rows::default();
        rows.trunk(CUSTOMER_TRUNK.0).stir.verification = verification;
        rows.trunk(1).stir.signs = true;
        let mut w = World::with(rows);
        calls(&mut w, SIGNED);
        if let Some(answer) = answer.clone() {
            let (query, _) = question(&mut w);
            told(&mut w, query, answer);
        }
        w.grant(60, false);
        assert_eq!(asks(&w), !goes_on, "{verification:?} {answer:?}");
        if goes_on {
            let invite = w.expect(CARRIERS[0], "INVITE");
            assert_eq!(format!("Identity: {}\n", identity(&invite)), SIGNED);
        }
    };
    let fault = |fault| Some(Answer::Verified(Err(fault)));
    check(Verification::Off, None, true);
    check(Verification::Mark, fault(IdentityFault::CertificateAway), true);
    check(Verification::Mark, Some(Answer::Nothing), true);
    check(Verification::Mark, fault(IdentityFault::Signature), false);
    check(Verification::Mark, fault(IdentityFault::Stale), false);
}

/// S5: the callee is told by `verstat` (3GPP TS 24.229 section 7.2A.20), if it may be.
#[test]
fn a_trusted_trunk_is_told_what_was_found() {
    let check = |answer: Answer, is_trusted: bool, found: Option<&str>| {
        let mut rows = Rows::default();
        rows.trunk(CUSTOMER_TRUNK.0).stir.verification = Verification::Mark;
        rows.trunk(1).is_trusted = is_trusted;
        let mut w = World::with(rows);
        calls(&mut w, SIGNED);
        let (query, _) = question(&mut w);
        told(&mut w, query, answer);
        w.grant(60, false);
        let invite = w.expect(CARRIERS[0], "INVITE");
        let number = match found {
            None => "<sip:4989777@".to_owned(),
            Some(found) => format!("<sip:4989777;verstat={found}@"),
        };
        let shown = [HeaderName::From, HeaderName::PAssertedIdentity];
        for name in &shown[..if is_trusted { 2 } else { 1 }] {
            let value = header(&invite, *name);
            assert!(value.contains(&number), "{value}");
            assert_eq!(value.contains(";user=phone>"), found.is_some(), "{value}");
        }
    };
    let ok = |attestation| Answer::Verified(Ok(attestation));
    check(ok(Attestation::Full), true, Some("TN-Validation-Passed"));
    check(ok(Attestation::Partial), true, Some("No-TN-Validation"));
    check(ok(Attestation::Gateway), true, Some("No-TN-Validation"));
    check(Answer::Verified(Err(IdentityFault::Signature)), true, Some("TN-Validation-Failed"));
    check(Answer::Verified(Err(IdentityFault::CertificateAway)), true, Some("No-TN-Validation"));
    check(Answer::Nothing, true, Some("No-TN-Validation"));
    check(ok(Attestation::Full), false, None);
}

/// S5: what an earlier network says of the number is not believed, and no part of it.
#[test]
fn what_a_caller_says_of_its_own_number_is_left_out() {
    let mut rows = Rows::default();
    rows.trunk(1).is_trusted = true;
    let mut w = World::with(rows);
    let from = "<sip:4989777;verstat=TN-Validation-Passed@";
    let text = invite(CUSTOMER, "c1", CLD, 1, "").replace("<sip:4989777@", from);
    assert!(text.contains(from), "{text}");
    w.receive(CUSTOMER, &text);
    w.grant(60, false);
    let invite = w.expect(CARRIERS[0], "INVITE");
    let shown = header(&invite, HeaderName::From);
    assert!(shown.contains("<sip:4989777@"), "{shown}");
}

/// S5: with the attestation of each leg in its record.
#[test]
fn the_records_have_the_attestations() {
    let mut rows = Rows::default();
    rows.trunk(CUSTOMER_TRUNK.0).stir.verification = Verification::Mark;
    rows.trunk(1).stir.signs = true;
    rows.trunk(2).stir.signs = true;
    let mut w = World::with(rows);
    calls(&mut w, SIGNED);
    let (query, _) = question(&mut w);
    told(&mut w, query, Answer::Verified(Ok(Attestation::Partial)));
    w.grant(60, false);
    for carrier in CARRIERS.into_iter().take(3) {
        let invite = w.expect(carrier, "INVITE");
        w.reply(carrier, &invite, "503 Service Unavailable", "");
    }
    let legs = w.settlement().facts.legs;
    let found: Vec<_> = legs.iter().map(|leg| leg.attestation).collect();
    // Two pass it on; the third trunk wants none.
    let passed = Some(Attestation::Partial);
    assert_eq!(found[..4], [passed, passed, passed, None]);
}

/// RFC 3323: a signature would tell a trunk that must not know it who calls.
#[test]
fn a_caller_who_stays_unknown_is_signed_for_trusted_trunks_alone() {
    for is_trusted in [false, true] {
        let mut rows = Rows::default();
        rows.trunk(1).stir.signs = true;
        rows.trunk(1).is_trusted = is_trusted;
        let mut w = World::with(rows);
        calls(&mut w, "Privacy: id\n");
        w.grant(60, false);
        assert_eq!(asks(&w), is_trusted);
    }
}
