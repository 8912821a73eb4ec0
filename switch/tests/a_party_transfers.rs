//! A party that talks has the other one connected to somebody else (REFER, RFC 3515, RFC 5589): by a
//! call of its own, which it pays; the call there was is paid as before. The party that stays is
//! re-invited; the one that leaves hears what comes of it, and stays if nothing does.

mod support;

use std::time::Duration;

use sip::auth;
use sip::message::{HeaderName, Message, Method};
use support::*;
use switch::stir::{Attestation, Verification};
use switch::{Effect, Input};
use vocabulary::{CallKind, DecisionLine, Refused, SettleRequest};

const BOBS: &str = "4930555";
const MOBILE: &str = "49170123";
const BOBS_PHONE: &str = PHONES[0];

/// Bob is known at carrier 1, which is trusted.
fn rows() -> Rows {
    let mut rows = Rows::default();
    rows.subscribers[1].number = Some(number(BOBS));
    rows.trunk(1).is_trusted = true;
    rows
}

struct Talk {
    w: World,
    /// What Bob's phone got.
    invite: Message,
    /// What the caller got.
    answer: Message,
}

/// The customer talks with Bob for 5 seconds.
fn talk(rows: Rows) -> Talk {
    let mut w = World::with(rows);
    w.bob_at(&[BOBS_PHONE]);
    w.call(BOBS);
    w.grant(600, false);
    let invite = w.expect(BOBS_PHONE, "INVITE");
    w.reply_with_sdp(BOBS_PHONE, &invite, "200 OK");
    w.record();
    let answer = w.expect_soon(CUSTOMER, "SIP/2.0 200");
    w.receive(CUSTOMER, &ack(CUSTOMER, "c1", &answer));
    w.expect_soon(BOBS_PHONE, "ACK");
    w.forget();
    w.pass_secs(5);
    Talk { w, invite, answer }
}

fn with_refer_to(request: &str, target: &str) -> String {
    let lines = format!("Contact: <sip:a@10.2.0.1>\nRefer-To: {target}\nContent-Length: 0\n\n");
    request.replace("Content-Length: 0\n\n", &lines)
}

impl Talk {
    /// Bob wants the caller to be connected there.
    fn refer(&mut self, target: &str, cseq: u32) {
        let refer = from_callee(BOBS_PHONE, &self.invite, "REFER", cseq);
        self.w.receive(BOBS_PHONE, &with_refer_to(&refer, target));
    }

    /// And is told that it is tried.
    fn refer_to_mobile(&mut self) {
        self.refer(&format!("<sip:{MOBILE}@192.0.2.1>"), 1);
        self.w.expect_soon(BOBS_PHONE, "SIP/2.0 202");
        self.hears(BOBS_PHONE, "SIP/2.0 100 Trying");
    }

    /// The next NOTIFY.
    #[track_caller]
    fn hears(&mut self, phone: &str, fragment: &str) {
        let notify = self.w.expect_soon(phone, "NOTIFY");
        let body = String::from_utf8_lossy(notify.body_bytes()).into_owned();
        assert_eq!(body.trim_end(), fragment);
        assert_eq!(header(&notify, HeaderName::ContentType), "message/sipfrag;version=2.0");
        assert!(header(&notify, HeaderName::Event).starts_with("refer;id="));
        let is_over = !fragment.starts_with("SIP/2.0 1");
        let state = if is_over { "terminated;reason=noresource" } else { "active;expires=600" };
        assert_eq!(header(&notify, HeaderName::SubscriptionState), state);
        assert!(notify.contact().is_some());
        self.w.reply(phone, &notify, "200 OK", "");
    }

    /// The mobile answers with an offer, which this party is to answer.
    #[track_caller]
    fn mobile_answers(&mut self, stays: &str) -> (Message, Message) {
        let invite = self.w.expect_soon(CARRIERS[0], "INVITE");
        assert!(invite.body_bytes().is_empty(), "an offer is asked for");
        self.w.reply_with_sdp(CARRIERS[0], &invite, "200 OK");
        self.w.record();
        let reinvite = self.w.expect_soon(stays, "INVITE");
        assert_eq!(reinvite.body_bytes(), SDP.as_bytes());
        self.w.expect_nothing(CARRIERS[0]);
        (invite, reinvite)
    }

    #[track_caller]
    fn both(&mut self) -> (SettleRequest, SettleRequest) {
        self.w.settled.sort_by_key(|request| request.facts.call);
        let settled = std::mem::take(&mut self.w.settled);
        let two = <[SettleRequest; 2]>::try_from(settled);
        let [first, second] = two.expect("two calls have ended");
        self.w.check_empty();
        (first, second)
    }
}

/// ACK of a refusal, of the transaction of the INVITE (RFC 3261 section 17.1.1.3).
fn refused(answer: &Message, cseq: u32) -> String {
    in_dialog(CUSTOMER, "c1", answer, "ACK", cseq).replace("c1-ACK", "c1-INVITE")
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn a_callee_transfers_the_caller_and_pays_for_that() {
    let mut talk = talk(rows());
    talk.refer_to_mobile();
    let asked = talk.w.asked_by(LOCAL_ACCOUNT);
    assert_eq!((asked.kind, asked.cld), (CallKind::Egress, number(MOBILE)));
    assert_eq!((asked.cli, asked.origin.subscriber), (Some(number("4989777")), Some(BOB)));
    talk.w.grant(600, false);
    let invite = talk.w.expect(CARRIERS[0], "INVITE");
    // RFC 3892; and it has not been forwarded.
    assert_eq!(header(&invite, HeaderName::ReferredBy), "<sip:4930555@example.net>");
    assert!(invite.header(HeaderName::Diversion).is_none());
    talk.w.reply(CARRIERS[0], &invite, "180 Ringing", "");
    talk.hears(BOBS_PHONE, "SIP/2.0 180 Ringing");
    talk.w.pass_secs(10);
    talk.w.reply_with_sdp(CARRIERS[0], &invite, "200 OK");
    talk.w.record();
    let reinvite = talk.w.expect_soon(CUSTOMER, "INVITE");
    assert_eq!(reinvite.body_bytes(), SDP.as_bytes());
    talk.w.expect_nothing(CARRIERS[0]);
    let theirs = SDP.replace("4000", "4444");
    talk.w.receive(CUSTOMER, &response(CUSTOMER, &reinvite, "200 OK", "", &theirs));
    talk.w.expect_soon(CUSTOMER, "ACK");
    let ack = talk.w.expect_soon(CARRIERS[0], "ACK");
    assert_eq!(ack.body_bytes(), theirs.as_bytes(), "the answer to its offer");
    talk.hears(BOBS_PHONE, "SIP/2.0 200 OK");
    let bye = talk.w.expect_soon(BOBS_PHONE, "BYE");
    talk.w.reply(BOBS_PHONE, &bye, "200 OK", "");
    talk.w.pass_secs(20);
    talk.w.receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &talk.answer, "BYE", 2));
    let bye = talk.w.expect_soon(CARRIERS[0], "BYE");
    talk.w.reply(CARRIERS[0], &bye, "200 OK", "");

    let (first, second) = talk.both();
    assert_eq!((first.talked, second.talked), (secs(35), secs(20)));
    let talked = |request: &SettleRequest| -> Vec<_> {
        request.facts.legs.iter().map(|leg| leg.talked.as_secs()).collect()
    };
    assert_eq!((talked(&first), talked(&second)), (vec![35, 15, 20], vec![20, 20]));
    let why = codes(&first);
    let expected = ["transfer_wanted", "transferred_as", "transferred", "ended_by_caller"];
    assert_eq!(why[why.len() - 4..], expected);
    assert_eq!(codes(&second)[0], "transferred_for");
}

#[test]
fn the_end_of_whoever_was_called_is_the_end_of_both() {
    let mut talk = talk(rows());
    talk.refer_to_mobile();
    talk.w.grant(600, false);
    let (invite, reinvite) = talk.mobile_answers(CUSTOMER);
    talk.w.reply_with_sdp(CUSTOMER, &reinvite, "200 OK");
    talk.w.pass_secs(3);
    talk.w.receive(CARRIERS[0], &from_callee(CARRIERS[0], &invite, "BYE", 1));
    let bye = talk.w.expect_soon(CUSTOMER, "BYE");
    talk.w.reply(CUSTOMER, &bye, "200 OK", "");
    let (first, second) = talk.both();
    for request in [&first, &second] {
        assert_eq!(*codes(request).last().unwrap(), "ended_by_callee");
    }
}

/// A hold, say.
#[test]
fn the_new_parties_change_their_session() {
    let mut talk = talk(rows());
    talk.refer_to_mobile();
    talk.w.grant(600, false);
    let (invite, reinvite) = talk.mobile_answers(CUSTOMER);
    talk.w.reply_with_sdp(CUSTOMER, &reinvite, "200 OK");
    talk.w.forget();
    talk.w.receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &talk.answer, "INVITE", 2));
    let passed = talk.w.expect_soon(CARRIERS[0], "INVITE");
    talk.w.reply_with_sdp(CARRIERS[0], &passed, "200 OK");
    let answer = talk.w.expect_soon(CUSTOMER, "SIP/2.0 200");
    assert_eq!(answer.body_bytes(), SDP.as_bytes());
    let info = from_callee(CARRIERS[0], &invite, "INFO", 1);
    talk.w.receive(CARRIERS[0], &info);
    talk.w.expect_soon(CUSTOMER, "INFO");
}

/// What a phone that tries many targets sees: it is told why, and talks on.
#[test]
fn a_transfer_that_fails_leaves_everybody_where_they_are() {
    let no_credit = |w: &mut World| {
        let sentence = "None left.".into();
        w.deny(Refused::InsufficientCredit(DecisionLine { code: "insufficient_credit", sentence }));
    };
    let busy = |w: &mut World| {
        w.grant(600, false);
        let invite = w.expect_soon(CARRIERS[0], "INVITE");
        w.reply(CARRIERS[0], &invite, "486 Busy Here", "");
        for carrier in &CARRIERS[1..] {
            if let Some(invite) = w.maybe(carrier) {
                w.reply(carrier, &invite, "486 Busy Here", "");
            }
        }
    };
    let refused_by_the_other = |w: &mut World| {
        w.grant(600, false);
        let invite = w.expect_soon(CARRIERS[0], "INVITE");
        w.reply_with_sdp(CARRIERS[0], &invite, "200 OK");
        w.record();
        let reinvite = w.expect_soon(CUSTOMER, "INVITE");
        w.reply(CUSTOMER, &reinvite, "488 Not Acceptable Here", "");
        w.expect_soon(CUSTOMER, "ACK");
        // Its 200 wants an ACK all the same.
        w.expect_soon(CARRIERS[0], "ACK");
        let bye = w.expect_soon(CARRIERS[0], "BYE");
        w.reply(CARRIERS[0], &bye, "200 OK", "");
    };
    for (fails, fragment) in [
        (&no_credit as &dyn Fn(&mut World), "SIP/2.0 402 Payment Required"),
        (&busy, "SIP/2.0 486 Busy Here"),
        (&refused_by_the_other, "SIP/2.0 488 Not Acceptable Here"),
    ] {
        let mut talk = talk(rows());
        talk.refer_to_mobile();
        fails(&mut talk.w);
        talk.hears(BOBS_PHONE, fragment);
        talk.w.expect_nothing(BOBS_PHONE);
        // Bob may try again.
        talk.refer("<sip:nobody@192.0.2.1>", 2);
        talk.w.expect_soon(BOBS_PHONE, "SIP/2.0 202");
        talk.hears(BOBS_PHONE, "SIP/2.0 100 Trying");
        talk.hears(BOBS_PHONE, "SIP/2.0 404 Not Found");
        talk.w.pass_secs(5);
        talk.w.receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &talk.answer, "BYE", 2));
        let bye = talk.w.expect_soon(BOBS_PHONE, "BYE");
        talk.w.reply(BOBS_PHONE, &bye, "200 OK", "");
        let settled = std::mem::take(&mut talk.w.settled);
        assert_eq!(settled.len(), 3);
        let first = settled.iter().min_by_key(|request| request.facts.call).unwrap();
        assert_eq!(first.talked, secs(10));
        assert_eq!(codes(first).iter().filter(|code| **code == "transfer_failed").count(), 2);
        talk.w.check_empty();
    }
}

/// RFC 5589 section 6.1: some hang up as soon as it is tried.
#[test]
fn a_transferor_may_hang_up_before_anybody_answers() {
    for answers in [true, false] {
        let mut talk = talk(rows());
        talk.refer_to_mobile();
        talk.w.grant(600, false);
        talk.w.receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &talk.answer, "INVITE", 2));
        talk.w.expect_soon(BOBS_PHONE, "INVITE");
        talk.w.receive(BOBS_PHONE, &from_callee(BOBS_PHONE, &talk.invite, "BYE", 2));
        talk.w.expect_soon(BOBS_PHONE, "SIP/2.0 200");
        // What was asked of the one who left is answered, and what is asked of nobody too.
        talk.w.expect_soon(CUSTOMER, "SIP/2.0 491");
        talk.w.receive(CUSTOMER, &refused(&talk.answer, 2));
        for (cseq, method, status) in [(3, "INVITE", "491"), (4, "INFO", "480")] {
            talk.w.receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &talk.answer, method, cseq));
            talk.w.expect_soon(CUSTOMER, &format!("SIP/2.0 {status}"));
        }
        talk.w.receive(CUSTOMER, &refused(&talk.answer, 3));
        if answers {
            let (_, reinvite) = talk.mobile_answers(CUSTOMER);
            talk.w.reply_with_sdp(CUSTOMER, &reinvite, "200 OK");
            talk.w.expect_soon(CARRIERS[0], "ACK");
            talk.w.receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &talk.answer, "BYE", 5));
            let bye = talk.w.expect_soon(CARRIERS[0], "BYE");
            talk.w.reply(CARRIERS[0], &bye, "200 OK", "");
            talk.both();
            continue;
        }
        let invite = talk.w.expect_soon(CARRIERS[0], "INVITE");
        talk.w.reply(CARRIERS[0], &invite, "603 Decline", "");
        for carrier in &CARRIERS[1..] {
            if let Some(invite) = talk.w.maybe(carrier) {
                talk.w.reply(carrier, &invite, "603 Decline", "");
            }
        }
        let bye = talk.w.expect_soon(CUSTOMER, "BYE");
        talk.w.reply(CUSTOMER, &bye, "200 OK", "");
        let (first, _) = talk.both();
        assert_eq!(*codes(&first).last().unwrap(), "ended_with_other_call");
    }
}

#[test]
fn the_party_that_stays_may_hang_up_before_anybody_answers() {
    let mut talk = talk(rows());
    talk.refer_to_mobile();
    talk.w.grant(600, false);
    let invite = talk.w.expect_soon(CARRIERS[0], "INVITE");
    talk.w.reply(CARRIERS[0], &invite, "180 Ringing", "");
    talk.w.receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &talk.answer, "BYE", 2));
    let bye = talk.w.expect_soon(BOBS_PHONE, "BYE");
    talk.w.reply(BOBS_PHONE, &bye, "200 OK", "");
    talk.w.expect_soon(CARRIERS[0], "CANCEL");
    let (first, second) = talk.both();
    assert_eq!(*codes(&first).last().unwrap(), "ended_by_caller");
    assert_eq!(second.talked, Duration::ZERO);
}

#[test]
fn what_cannot_be_transferred_is_refused() {
    for (target, status) in [
        ("<mailto:bob@example.net>", "416"),
        ("<sip:4930@192.0.2.1;method=BYE>", "501"),
        ("<sip:4930@192.0.2.1?Replaces=x%3Bto-tag%3Dy%3Bfrom-tag%3Dz>", "481"),
        ("<sip:4930@192.0.2.1?Replaces=x%3Bto-tag%3Dy>", "400"),
        ("<sip:192.0.2.1>", "404"),
    ] {
        let mut talk = talk(rows());
        talk.refer(target, 1);
        talk.w.expect_soon(BOBS_PHONE, &format!("SIP/2.0 {status}"));
        talk.w.expect_nothing(BOBS_PHONE);
    }
    // One at a time.
    let mut talk = talk(rows());
    talk.refer_to_mobile();
    talk.refer("<sip:4930@192.0.2.1>", 2);
    talk.w.expect_soon(BOBS_PHONE, "SIP/2.0 491");
    let refer = in_dialog(CUSTOMER, "c1", &talk.answer, "REFER", 2);
    talk.w.receive(CUSTOMER, &with_refer_to(&refer, "<sip:4930@192.0.2.1>"));
    talk.w.expect_soon(CUSTOMER, "SIP/2.0 491");
}

#[test]
fn a_trunk_may_not_transfer() {
    let mut talk = talk(rows());
    let refer = in_dialog(CUSTOMER, "c1", &talk.answer, "REFER", 2);
    talk.w.receive(CUSTOMER, &with_refer_to(&refer, "<sip:4930@192.0.2.1>"));
    talk.w.expect_soon(CUSTOMER, "SIP/2.0 403");
    talk.w.receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &talk.answer, "BYE", 3));
    assert!(codes(&talk.w.settlement()).contains(&"trunk_may_not_transfer"));
}

/// Alice calls Bob, and transfers him: her account pays for both calls.
#[test]
fn a_caller_transfers_the_callee() {
    let mut w = World::with(rows());
    w.bob_at(&[BOBS_PHONE]);
    w.receive(ALICE, &invite(ALICE, "a1", BOBS, 1, ""));
    let challenge = w.expect_soon(ALICE, "SIP/2.0 407");
    let ours = auth::Credentials::new("alice", "secret");
    let uri = format!("sip:{BOBS}@192.0.2.1");
    let proof = auth::answer_challenge(&challenge, &ours, Method::Invite, uri.as_bytes(), 7, false)
        .unwrap();
    w.receive(ALICE, &ack(ALICE, "a1", &challenge));
    let line = format!("{}: {}\n", proof.name, proof.value);
    w.receive(ALICE, &invite(ALICE, "a1", BOBS, 2, &line));
    w.grant(600, false);
    let bobs = w.expect(BOBS_PHONE, "INVITE");
    w.reply_with_sdp(BOBS_PHONE, &bobs, "200 OK");
    w.record();
    let answer = w.expect_soon(ALICE, "SIP/2.0 200");
    w.receive(ALICE, &ack(ALICE, "a1", &answer));
    w.forget();
    w.pass_secs(5);
    let mut talk = Talk { w, invite: bobs, answer };

    let refer = in_dialog(ALICE, "a1", &talk.answer, "REFER", 3);
    talk.w.receive(ALICE, &with_refer_to(&refer, &format!("<sip:{MOBILE}@192.0.2.1>")));
    talk.w.expect_soon(ALICE, "SIP/2.0 202");
    talk.hears(ALICE, "SIP/2.0 100 Trying");
    let asked = talk.w.asked_by(LOCAL_ACCOUNT);
    assert_eq!(
        (asked.cli, asked.origin.subscriber),
        (Some(number(BOBS)), Some(vocabulary::SubscriberId(20)))
    );
    talk.w.grant(600, false);
    let (invite, reinvite) = talk.mobile_answers(BOBS_PHONE);
    talk.w.reply_with_sdp(BOBS_PHONE, &reinvite, "200 OK");
    talk.w.expect_soon(CARRIERS[0], "ACK");
    talk.hears(ALICE, "SIP/2.0 200 OK");
    let bye = talk.w.expect_soon(ALICE, "BYE");
    talk.w.reply(ALICE, &bye, "200 OK", "");
    talk.w.pass_secs(20);
    talk.w.receive(CARRIERS[0], &from_callee(CARRIERS[0], &invite, "BYE", 1));
    let bye = talk.w.expect_soon(BOBS_PHONE, "BYE");
    talk.w.reply(BOBS_PHONE, &bye, "200 OK", "");
    let (first, second) = talk.both();
    assert_eq!((first.talked, second.talked), (secs(25), secs(20)));
    let legs: Vec<_> = first.facts.legs.iter().map(|leg| leg.talked.as_secs()).collect();
    assert_eq!(legs, [25, 25, 20]);
}

/// Bob transfers the caller to Alice, and she to the mobile.
#[test]
fn a_call_is_transferred_on_and_on() {
    let mut talk = talk(rows());
    talk.w.is_at(vocabulary::SubscriberId(20), "alice", &[ALICE]);
    talk.refer("<sip:alice@example.net>", 1);
    talk.w.grant(600, false);
    let alices = talk.w.expect_soon(ALICE, "INVITE");
    assert_eq!(header(&alices, HeaderName::ReferredBy), "<sip:4930555@example.net>");
    talk.w.reply_with_sdp(ALICE, &alices, "200 OK");
    talk.w.record();
    let reinvite = talk.w.expect_soon(CUSTOMER, "INVITE");
    talk.w.reply_with_sdp(CUSTOMER, &reinvite, "200 OK");
    talk.w.expect_soon(ALICE, "ACK");
    talk.w.expect_soon(BOBS_PHONE, "BYE");
    talk.w.forget();
    let refer = from_callee(ALICE, &alices, "REFER", 1);
    talk.w.receive(ALICE, &with_refer_to(&refer, &format!("<sip:{MOBILE}@192.0.2.1>")));
    talk.w.grant(600, false);
    let (_, reinvite) = talk.mobile_answers(CUSTOMER);
    talk.w.reply_with_sdp(CUSTOMER, &reinvite, "200 OK");
    talk.w.expect_soon(CARRIERS[0], "ACK");
    let bye = talk.w.expect_soon(ALICE, "BYE");
    talk.w.reply(ALICE, &bye, "200 OK", "");
    talk.w.pass_secs(5);
    talk.w.receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &talk.answer, "BYE", 2));
    let bye = talk.w.expect_soon(CARRIERS[0], "BYE");
    talk.w.reply(CARRIERS[0], &bye, "200 OK", "");
    assert_eq!(talk.w.settled.len(), 3);
    talk.w.check_empty();
}

/// What is asked of a party in another call is answered too when that party leaves it.
#[test]
fn who_asks_through_a_joined_call_is_answered() {
    let mut talk = talk(rows());
    talk.w.is_at(vocabulary::SubscriberId(20), "alice", &[ALICE]);
    talk.refer("<sip:alice@example.net>", 1);
    talk.w.grant(600, false);
    let alices = talk.w.expect_soon(ALICE, "INVITE");
    talk.w.reply_with_sdp(ALICE, &alices, "200 OK");
    talk.w.record();
    let reinvite = talk.w.expect_soon(CUSTOMER, "INVITE");
    talk.w.reply_with_sdp(CUSTOMER, &reinvite, "200 OK");
    talk.w.expect_soon(ALICE, "ACK");
    let refer = from_callee(ALICE, &alices, "REFER", 1);
    talk.w.receive(ALICE, &with_refer_to(&refer, &format!("<sip:{MOBILE}@192.0.2.1>")));
    talk.w.grant(600, false);
    talk.w.receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &talk.answer, "INVITE", 2));
    talk.w.expect_soon(ALICE, "INVITE");
    talk.w.receive(ALICE, &from_callee(ALICE, &alices, "BYE", 2));
    talk.w.expect_soon(CUSTOMER, "SIP/2.0 491");
}

#[test]
fn notifies_stay_in_order_and_a_phone_may_not_want_them() {
    let mut talk = talk(rows());
    talk.refer(&format!("<sip:{MOBILE}@192.0.2.1>"), 1);
    talk.w.expect_soon(BOBS_PHONE, "SIP/2.0 202");
    talk.w.grant(600, false);
    let trying = talk.w.expect_soon(BOBS_PHONE, "NOTIFY");
    let invite = talk.w.expect(CARRIERS[0], "INVITE");
    talk.w.reply(CARRIERS[0], &invite, "180 Ringing", "");
    talk.w.reply(CARRIERS[0], &invite, "183 Session Progress", "");
    assert!(!talk.w.outbox.iter().any(|(_, message)| start(message).starts_with("NOTIFY")));
    talk.w.reply(BOBS_PHONE, &trying, "200 OK", "");
    talk.hears(BOBS_PHONE, "SIP/2.0 183 Session Progress");
    // RFC 5057: 481 is about the subscription, and the call goes on.
    talk.w.reply(CARRIERS[0], &invite, "180 Ringing", "");
    let notify = talk.w.expect_soon(BOBS_PHONE, "NOTIFY");
    talk.w.reply(BOBS_PHONE, &notify, "481 Subscription Does Not Exist", "");
    talk.w.reply(CARRIERS[0], &invite, "180 Ringing", "");
    talk.w.expect_nothing(BOBS_PHONE);
    assert!(talk.w.settled.is_empty());
    talk.w.input(Input::ReleaseAll);
    assert!(!talk.w.effects.iter().any(|effect| matches!(effect, Effect::Extend(_))));
    assert_eq!(talk.w.settled.len(), 2);
}

/// What the parties of Bob's two calls have: the invitations to his phone, and the callers' answers.
struct Consultation {
    worlds: Vec<World>,
    invites: [Message; 2],
    answers: [Message; 2],
}

const CALLS: [&str; 2] = ["c1", "c2"];

/// Bob talks with two callers, in these worlds: the same one, or one each.
fn consultation(mut worlds: Vec<World>) -> Consultation {
    let last = worlds.len() - 1;
    let dialogs = CALLS.map(|id| {
        let w = &mut worlds[if id == "c1" { 0 } else { last }];
        w.bob_at(&[BOBS_PHONE]);
        w.receive(CUSTOMER, &invite(CUSTOMER, id, BOBS, 1, ""));
        w.grant(600, false);
        let invite = w.expect_soon(BOBS_PHONE, "INVITE");
        w.reply_with_sdp(BOBS_PHONE, &invite, "200 OK");
        w.record();
        let answer = w.expect_soon(CUSTOMER, "SIP/2.0 200");
        w.receive(CUSTOMER, &ack(CUSTOMER, id, &answer));
        w.forget();
        (invite, answer)
    });
    let [(first, first_answer), (second, second_answer)] = dialogs;
    worlds.iter_mut().for_each(|w| w.pass_secs(5));
    Consultation { worlds, invites: [first, second], answers: [first_answer, second_answer] }
}

impl Consultation {
    fn first(&mut self) -> &mut World {
        &mut self.worlds[0]
    }

    fn second(&mut self) -> &mut World {
        self.worlds.last_mut().expect("there is one")
    }

    /// Bob wants the first caller to talk to the second.
    fn refer(&mut self, from_tag: &str) {
        let second = &self.invites[1];
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let target = format!(
            "<sip:{BOBS}@192.0.2.1?Replaces={}%3Bto-tag%3D{}%3Bfrom-tag%3D{from_tag}>",
            text(second.call_id()),
            text(second.from_tag().expect("ours")),
        );
        let refer = from_callee(BOBS_PHONE, &self.invites[0], "REFER", 1);
        self.first().receive(BOBS_PHONE, &with_refer_to(&refer, &target));
        self.first().expect_soon(BOBS_PHONE, "SIP/2.0 202");
        self.exchange();
    }

    /// Bob is asked to answer the offer that nobody else took.
    fn bob_answers_again(&mut self) {
        let reinvite = self.second().expect_soon(BOBS_PHONE, "INVITE");
        assert!(!reinvite.body_bytes().is_empty());
        self.second().reply_with_sdp(BOBS_PHONE, &reinvite, "200 OK");
        self.second().expect_soon(BOBS_PHONE, "ACK");
    }

    fn exchange(&mut self) {
        let is_joint = |effect: &Effect| matches!(effect, Effect::Relay { .. } | Effect::Onward(_));
        while let Some((n, place)) = self
            .worlds
            .iter()
            .enumerate()
            .find_map(|(n, w)| Some((n, w.effects.iter().position(is_joint)?)))
        {
            if let Some(Effect::Relay { to, from, said }) = self.worlds[n].effects.remove(place) {
                let input = Input::Relayed { to: to.key, from, said };
                self.worlds[usize::from(to.shard)].input(input);
            }
        }
    }

    /// The last NOTIFY of those that were not answered.
    #[track_caller]
    fn told(&mut self) -> String {
        let mut told = String::new();
        while let Some(at) = self.first().outbox.iter().position(|(path, message)| {
            path.remote == address(BOBS_PHONE) && start(message).starts_with("NOTIFY")
        }) {
            let (_, notify) = self.first().outbox.remove(at).expect("it is there");
            told = String::from_utf8_lossy(notify.body_bytes()).trim_end().to_owned();
            self.first().reply(BOBS_PHONE, &notify, "200 OK", "");
        }
        told
    }
}

fn two_worlds() -> [Vec<World>; 2] {
    let two = (0..2).map(|shard| World::in_shard(rows(), shard, 2)).collect();
    [vec![World::with(rows())], two]
}

const BOBS_TAG: &str = "callee-10.2.0.1:5060";

/// RFC 5589 section 7, RFC 3891: the two calls go on as one, each paid as before.
#[test]
fn who_has_two_calls_connects_their_other_parties() {
    for worlds in two_worlds() {
        let mut talk = consultation(worlds);
        talk.refer(BOBS_TAG);
        let asked = talk.second().expect_soon(CUSTOMER, "INVITE");
        assert!(asked.body_bytes().is_empty(), "an offer is asked for");
        let offer = SDP.replace("4000", "5555");
        let offered = response(CUSTOMER, &asked, "200 OK", "", &offer);
        talk.second().receive(CUSTOMER, &offered);
        talk.exchange();
        let reinvite = talk.first().expect_soon(CUSTOMER, "INVITE");
        assert_eq!(reinvite.body_bytes(), offer.as_bytes());
        let answer = SDP.replace("4000", "4444");
        talk.first().receive(CUSTOMER, &response(CUSTOMER, &reinvite, "200 OK", "", &answer));
        talk.exchange();
        talk.first().expect_soon(CUSTOMER, "ACK");
        let ack = talk.second().expect_soon(CUSTOMER, "ACK");
        assert_eq!(ack.body_bytes(), answer.as_bytes());
        assert_eq!(talk.told(), "SIP/2.0 200 OK");
        let bye = talk.first().expect_soon(BOBS_PHONE, "BYE");
        talk.first().reply(BOBS_PHONE, &bye, "200 OK", "");
        let bye = talk.second().expect_soon(BOBS_PHONE, "BYE");
        talk.second().reply(BOBS_PHONE, &bye, "200 OK", "");
        talk.worlds.iter_mut().for_each(|w| w.pass_secs(20));
        let bye = in_dialog(CUSTOMER, "c1", &talk.answers[0], "BYE", 2);
        talk.first().receive(CUSTOMER, &bye);
        talk.exchange();
        let bye = talk.second().expect_soon(CUSTOMER, "BYE");
        talk.second().reply(CUSTOMER, &bye, "200 OK", "");
        let mut settled: Vec<_> =
            talk.worlds.iter_mut().flat_map(|w| std::mem::take(&mut w.settled)).collect();
        settled.sort_by_key(|request| codes(request).contains(&"transfer_from_call_wanted"));
        let [first, second] = <[SettleRequest; 2]>::try_from(settled).unwrap();
        for request in [&first, &second] {
            assert_eq!(request.talked, secs(25));
            let legs: Vec<_> = request.facts.legs.iter().map(|leg| leg.talked.as_secs()).collect();
            assert_eq!(legs, [25, 5, 20]);
        }
        assert!(codes(&first).ends_with(&[
            "transfer_to_call_wanted",
            "transferred_as",
            "transferred",
            "ended_by_caller"
        ]));
        assert!(codes(&second).ends_with(&[
            "transfer_from_call_wanted",
            "transferred",
            "ended_by_callee"
        ]));
        talk.worlds.iter_mut().for_each(World::check_empty);
    }
}

/// Whoever names a dialog that is not its own gets nowhere, and hears nothing of it.
#[test]
fn a_call_that_is_not_there_is_not_joined() {
    for worlds in two_worlds() {
        let mut talk = consultation(worlds);
        talk.refer("guessed");
        assert_eq!(talk.told(), "SIP/2.0 480 Temporarily Unavailable");
        talk.second().expect_nothing(CUSTOMER);
        assert!(talk.worlds.iter().all(|w| w.settled.is_empty()));
    }
}

#[test]
fn a_join_that_one_of_the_parties_refuses_leaves_both_calls() {
    for (worlds, second_refuses) in two_worlds().into_iter().zip([true, false]) {
        let mut talk = consultation(worlds);
        talk.refer(BOBS_TAG);
        let asked = talk.second().expect_soon(CUSTOMER, "INVITE");
        if second_refuses {
            talk.second().reply(CUSTOMER, &asked, "488 Not Acceptable Here", "");
            talk.exchange();
        } else {
            talk.second().reply_with_sdp(CUSTOMER, &asked, "200 OK");
            talk.exchange();
            let reinvite = talk.first().expect_soon(CUSTOMER, "INVITE");
            talk.first().reply(CUSTOMER, &reinvite, "488 Not Acceptable Here", "");
            talk.exchange();
            // What the second caller has offered is answered by whom it talks with.
            talk.bob_answers_again();
        }
        talk.second().expect_soon(CUSTOMER, "ACK");
        assert_eq!(talk.told(), "SIP/2.0 488 Not Acceptable Here");
        assert!(talk.worlds.iter().all(|w| w.settled.is_empty()));
        for (n, id) in CALLS.into_iter().enumerate() {
            let bye = in_dialog(CUSTOMER, id, &talk.answers[n], "BYE", 2);
            let w = if n == 0 { talk.first() } else { talk.second() };
            w.receive(CUSTOMER, &bye);
            let bye = w.expect_soon(BOBS_PHONE, "BYE");
            w.reply(BOBS_PHONE, &bye, "200 OK", "");
        }
        let settled: usize = talk.worlds.iter().map(|w| w.settled.len()).sum();
        assert_eq!(settled, 2);
        talk.worlds.iter_mut().for_each(World::check_empty);
    }
}

/// The other call ends while its party is being asked for an offer: what it says then is still answered.
#[test]
fn a_party_that_is_asked_in_vain_is_answered() {
    let mut talk = consultation(vec![World::with(rows())]);
    talk.refer(BOBS_TAG);
    let asked = talk.second().expect_soon(CUSTOMER, "INVITE");
    let bye = in_dialog(CUSTOMER, "c1", &talk.answers[0], "BYE", 2);
    talk.first().receive(CUSTOMER, &bye);
    talk.second().reply_with_sdp(CUSTOMER, &asked, "200 OK");
    talk.bob_answers_again();
    let ack = talk.second().expect_soon(CUSTOMER, "ACK");
    assert!(!ack.body_bytes().is_empty(), "an offer wants an answer");
    assert_eq!(talk.first().settled.len(), 1);
    // Bob and the second caller talk on, and hold each other.
    let hold = in_dialog(CUSTOMER, "c2", &talk.answers[1], "INVITE", 2);
    talk.second().receive(CUSTOMER, &hold);
    talk.second().expect_soon(BOBS_PHONE, "INVITE");
}

/// And if the one who wanted it leaves too before that answer, nobody is left for the party to talk to.
#[test]
fn a_party_that_is_left_alone_is_released() {
    let mut talk = consultation(vec![World::with(rows())]);
    talk.refer(BOBS_TAG);
    let asked = talk.second().expect_soon(CUSTOMER, "INVITE");
    let bye = in_dialog(CUSTOMER, "c1", &talk.answers[0], "BYE", 2);
    talk.first().receive(CUSTOMER, &bye);
    let bye = from_callee(BOBS_PHONE, &talk.invites[1], "BYE", 1);
    talk.second().receive(BOBS_PHONE, &bye);
    talk.second().reply_with_sdp(CUSTOMER, &asked, "200 OK");
    talk.second().expect_soon(CUSTOMER, "ACK");
    let bye = talk.second().expect_soon(CUSTOMER, "BYE");
    talk.second().reply(CUSTOMER, &bye, "200 OK", "");
    assert_eq!(talk.first().settled.len(), 2);
}

/// Who has transferred a call has a place for the next, however long the two talk.
#[test]
fn who_has_left_has_room_for_another_call() {
    let mut rows = rows();
    rows.subscribers[1].availability.calls_max = Some(1);
    let mut talk = talk(rows);
    talk.refer_to_mobile();
    talk.w.grant(600, false);
    let (_, reinvite) = talk.mobile_answers(CUSTOMER);
    talk.w.reply_with_sdp(CUSTOMER, &reinvite, "200 OK");
    talk.hears(BOBS_PHONE, "SIP/2.0 200 OK");
    let bye = talk.w.expect_soon(BOBS_PHONE, "BYE");
    talk.w.reply(BOBS_PHONE, &bye, "200 OK", "");
    talk.w.receive(CUSTOMER, &invite(CUSTOMER, "c2", BOBS, 1, ""));
    talk.w.grant(600, false);
    talk.w.expect_soon(BOBS_PHONE, "INVITE");
}

/// The customer's trunk has Bob connected to a mobile: its own account pays for that.
#[test]
fn a_trunk_that_may_transfers_and_pays() {
    let mut rows = rows();
    rows.trunk(10).interworking.may_transfer = true;
    let mut talk = talk(rows);
    let refer = in_dialog(CUSTOMER, "c1", &talk.answer, "REFER", 2);
    let target = format!("<sip:{MOBILE}@192.0.2.1>");
    talk.w.receive(CUSTOMER, &with_refer_to(&refer, &target));
    talk.w.expect_soon(CUSTOMER, "SIP/2.0 202");
    talk.hears(CUSTOMER, "SIP/2.0 100 Trying");
    let asked = talk.w.asked_by(CUSTOMER_ACCOUNT);
    assert_eq!((asked.kind, asked.cld), (CallKind::Egress, number(MOBILE)));
    assert_eq!((asked.cli, asked.origin.trunk), (Some(number(BOBS)), Some(CUSTOMER_TRUNK)));
    talk.w.grant(600, false);
    let (invite, reinvite) = talk.mobile_answers(BOBS_PHONE);
    talk.w.reply_with_sdp(BOBS_PHONE, &reinvite, "200 OK");
    talk.hears(CUSTOMER, "SIP/2.0 200 OK");
    let bye = talk.w.expect_soon(CUSTOMER, "BYE");
    talk.w.reply(CUSTOMER, &bye, "200 OK", "");
    talk.w.pass_secs(20);
    talk.w.receive(CARRIERS[0], &from_callee(CARRIERS[0], &invite, "BYE", 1));
    let bye = talk.w.expect_soon(BOBS_PHONE, "BYE");
    talk.w.reply(BOBS_PHONE, &bye, "200 OK", "");
    let (first, second) = talk.both();
    let payer = |request: &SettleRequest| request.facts.legs[0].account;
    assert_eq!((payer(&first), payer(&second)), (Some(CUSTOMER_ACCOUNT), Some(CUSTOMER_ACCOUNT)));
    assert_eq!((first.talked, second.talked), (secs(25), secs(20)));
    assert_eq!(codes(&second)[0], "transferred_for");
    let wanted = first.facts.decisions.iter().find(|line| line.code == "transfer_wanted").unwrap();
    assert!(wanted.sentence.starts_with("Trunk 10 wants"), "{}", wanted.sentence);
}

/// A carrier that transfers the caller and leaves is paid for its part, and has room for another call.
#[test]
fn a_carrier_that_transfers_is_paid_until_it_leaves() {
    let mut rows = rows();
    rows.trunk(1).interworking.may_transfer = true;
    rows.trunk(1).egress_limits.concurrent = Some(1);
    let mut w = World::with(rows);
    let (_, invite, answer) = w.talk(600, false);
    w.pass_secs(5);
    let mut talk = Talk { w, invite, answer };
    let refer = from_callee(CARRIERS[0], &talk.invite, "REFER", 1);
    talk.w.bob_at(&[BOBS_PHONE]);
    talk.w.receive(CARRIERS[0], &with_refer_to(&refer, &format!("<sip:{BOBS}@192.0.2.1>")));
    talk.w.expect_soon(CARRIERS[0], "SIP/2.0 202");
    talk.w.asked_by(CARRIER_ACCOUNT);
    talk.w.grant(600, false);
    let bobs = talk.w.expect_soon(BOBS_PHONE, "INVITE");
    talk.w.reply_with_sdp(BOBS_PHONE, &bobs, "200 OK");
    talk.w.record();
    let reinvite = talk.w.expect_soon(CUSTOMER, "INVITE");
    talk.w.reply_with_sdp(CUSTOMER, &reinvite, "200 OK");
    let bye = talk.w.expect_soon(CARRIERS[0], "BYE");
    talk.w.reply(CARRIERS[0], &bye, "200 OK", "");
    let trunk = switch::admission::Owner::Trunk(vocabulary::TrunkId(1));
    assert_eq!(talk.w.shared.admission.live(trunk, vocabulary::Direction::Egress), 0);
    talk.w.pass_secs(20);
    talk.w.receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &talk.answer, "BYE", 2));
    let bye = talk.w.expect_soon(BOBS_PHONE, "BYE");
    talk.w.reply(BOBS_PHONE, &bye, "200 OK", "");
    talk.w.forget();
    let (first, second) = talk.both();
    assert_eq!(first.answered_by, Some(vocabulary::TrunkId(1)));
    let legs: Vec<_> = first.facts.legs.iter().map(|leg| leg.talked.as_secs()).collect();
    assert_eq!(legs, [25, 5, 20]);
    assert_eq!(second.facts.legs[0].account, Some(CARRIER_ACCOUNT));
}

/// S5: what a trunk has transferred is a call of ours, which has no Identity header of the trunk's.
#[test]
fn a_call_that_goes_on_for_a_trunk_is_not_verified() {
    let mut rows = rows();
    rows.trunk(1).interworking.may_transfer = true;
    rows.trunk(1).stir.verification = Verification::Refuse(Attestation::Full);
    let mut w = World::with(rows);
    let (_, invite, _) = w.talk(600, false);
    let refer = from_callee(CARRIERS[0], &invite, "REFER", 1);
    w.bob_at(&[BOBS_PHONE]);
    w.receive(CARRIERS[0], &with_refer_to(&refer, &format!("<sip:{BOBS}@192.0.2.1>")));
    w.expect_soon(CARRIERS[0], "SIP/2.0 202");
    w.asked_by(CARRIER_ACCOUNT);
    w.grant(600, false);
    w.expect_soon(BOBS_PHONE, "INVITE");
}
