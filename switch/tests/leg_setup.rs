//! A call from INVITE to BYE between two legs: the straight paths, refusals, credentials, offers
//! in every place, and what one side may see of the other.

mod leg_world;

use std::time::Duration;

use bytes::Bytes;
use leg_world::*;
use sip::message::Method;
use switch::leg::event::{LegEvent, UpdateMethod};
use switch::release::Cause;

const SOON: Duration = Duration::from_millis(100);

#[test]
fn a_call_is_answered_and_the_caller_hangs_up() {
    let mut world = World::new();
    world.call(World::outgoing(sdp("offer")));
    world.run_for(SOON);
    world.tell(CALLEE, ring(180, None));
    world.run_for(SOON);
    world.tell(CALLEE, answer(sdp("answer")));
    world.run_for(SOON);
    world.tell(CALLER, hang_up());
    world.run_for(SOON);
    world.check_said(CALLER, &["ring 180", "answer answer"]);
    world.check_said(CALLEE, &["release normal 200"]);
    world.check_wire(&[
        "> INVITE 1 INVITE",
        "< 180 1 INVITE",
        "< 200 1 INVITE",
        "> ACK 1 ACK",
        "> BYE 2 BYE",
        "< 200 2 BYE",
    ]);
    world.check_over();
    let bye = world.last("> BYE 2 BYE");
    assert_eq!(bye.header("Reason"), Some("Q.850;cause=16;text=\"normal\""));
}

#[test]
fn the_callee_hangs_up_with_a_reason() {
    let mut world = World::new().talking();
    let reason_header = Some(Bytes::from_static(b"Q.850;cause=31"));
    let cause = Cause::CreditExhausted;
    world.tell(CALLEE, LegEvent::Release { cause, reason_header, sip_status: 480 });
    world.run_for(SOON);
    world.check_said(CALLER, &["release normal_unspecified 200"]);
    world.check_wire(&["< BYE 1 BYE", "> 200 1 BYE"]);
    world.check_over();
}

#[track_caller]
fn check_refused(event: LegEvent, expected: &str) {
    let mut world = World::new();
    world.call(World::outgoing(sdp("offer")));
    world.run_for(SOON);
    world.tell(CALLEE, event);
    world.run_for(SOON);
    world.check_said(CALLER, &[expected]);
    world.check_said(CALLEE, &[]);
    world.check_over();
}

#[test]
fn a_refusal_reaches_the_caller_with_its_status_and_cause() {
    check_refused(release(Cause::Busy), "release busy 486");
    check_refused(release(Cause::Declined), "release rejected 603");
    check_refused(release(Cause::UnallocatedNumber), "release unallocated_number 404");
    check_refused(release(Cause::Congestion), "release congestion 503");
    // A cause whose own status is a success still refuses.
    check_refused(release(Cause::Normal), "release normal 480");
    let contacts = vec![Bytes::from_static(b"sip:x@a"), Bytes::from_static(b"sip:x@b")];
    check_refused(LegEvent::Redirect { status: 302, contacts }, "redirect 302 sip:x@a sip:x@b");
}

#[test]
fn nobody_answers_the_invite() {
    let mut world = World::new();
    world.fates = Box::new(|_| Fate::Drop);
    world.call(World::outgoing(sdp("offer")));
    world.run_for(Duration::from_secs(40));
    world.check_said(CALLER, &["release no_response 408"]);
    world.check_over();
}

#[test]
fn a_challenge_is_answered_once() {
    let mut world = World::new();
    world.challenged = vec![Method::Invite, Method::Bye];
    let mut outgoing = World::outgoing(sdp("offer"));
    outgoing.credentials = World::credentials();
    world.call(outgoing);
    world.run_for(SOON);
    world.tell(CALLEE, answer(sdp("answer")));
    world.run_for(SOON);
    world.tell(CALLER, hang_up());
    world.run_for(SOON);
    world.check_said(CALLER, &["answer answer"]);
    world.check_said(CALLEE, &["release normal 200"]);
    world.check_wire(&[
        "> INVITE 1 INVITE",
        "< 407 1 INVITE",
        "> ACK 1 ACK",
        "> INVITE 2 INVITE",
        "< 200 2 INVITE",
        "> ACK 2 ACK",
        "> BYE 3 BYE",
        "< 407 3 BYE",
        "> BYE 4 BYE",
        "< 200 4 BYE",
    ]);
    world.check_over();
}

#[test]
fn a_stale_nonce_is_worth_another_try() {
    let mut world = World::new();
    world.challenged = vec![Method::Invite];
    world.stale_nonces = 1;
    let mut outgoing = World::outgoing(sdp("offer"));
    outgoing.credentials = World::credentials();
    world.call(outgoing);
    world.run_for(SOON);
    world.tell(CALLEE, answer(sdp("answer")));
    world.run_for(SOON);
    world.check_said(CALLER, &["answer answer"]);
    assert_eq!(world.count("> ACK 3 ACK"), 1);
}

#[test]
fn a_challenge_without_credentials_ends_the_attempt() {
    let mut world = World::new();
    world.challenged = vec![Method::Invite];
    world.call(World::outgoing(sdp("offer")));
    world.run_for(SOON);
    world.check_said(CALLER, &["release egress_authentication_failed 407"]);
}

#[test]
fn a_wrong_password_is_not_tried_for_ever() {
    let mut world = World::new();
    world.challenged = vec![Method::Invite];
    let mut outgoing = World::outgoing(sdp("offer"));
    outgoing.credentials = World::credentials();
    outgoing.headers = Bytes::new();
    world.call(outgoing);
    // The challenger forgets what it saw: to it every INVITE is without credentials.
    world.refuse_credentials = true;
    world.run_for(SOON);
    world.check_said(CALLER, &["release egress_authentication_failed 407"]);
    assert_eq!(world.count("< 407 2 INVITE"), 1);
    assert_eq!(world.count("> INVITE 3 INVITE"), 0);
    assert!(world.sides[CALLER].legs[0].is_over());
}

#[test]
fn an_unknown_extension_is_refused_and_still_reported() {
    let mut world = World::new();
    let mut outgoing = World::outgoing(sdp("offer"));
    outgoing.headers = Bytes::from_static(b"Require: precondition, 100rel, siprec\r\n");
    world.call(outgoing);
    world.run_for(SOON);
    world.check_said(CALLEE, &["release interworking 420"]);
    world.check_said(CALLER, &["release interworking 420"]);
    let refusal = world.last("< 420 1 INVITE");
    assert_eq!(refusal.header("Unsupported"), Some("precondition, siprec"));
    world.check_over();
}

#[test]
fn a_late_offer_is_answered_in_the_ack() {
    let mut world = World::new();
    let mut outgoing = World::outgoing(None);
    outgoing.caller_does_100rel = false;
    world.call(outgoing);
    world.run_for(SOON);
    world.tell(CALLEE, answer(sdp("offer")));
    world.run_for(Duration::from_secs(1));
    // The ACK waits for the answer of the other leg; meanwhile the 200 comes again.
    world.check_said(CALLER, &["answer offer"]);
    assert_eq!(world.count("> ACK 1 ACK"), 0);
    assert_eq!(world.count("< 200 1 INVITE"), 2);
    world.tell(CALLER, LegEvent::Acknowledge { body: sdp("answer") });
    world.run_for(SOON);
    world.check_said(CALLEE, &["acknowledge answer"]);
    world.tell(CALLER, hang_up());
    world.run_for(SOON);
    world.check_over();
}

#[test]
fn a_repeated_200_gets_the_late_answer_again() {
    let mut world = World::new();
    world.call(World::outgoing(None));
    world.run_for(SOON);
    world.tell(CALLEE, answer(sdp("offer")));
    world.run_for(LATENCY * 2);
    let mut lost = 0;
    world.fates = Box::new(move |packet| {
        lost += u32::from(packet.label() == "ACK 1 ACK");
        if packet.label() == "ACK 1 ACK" && lost == 1 { Fate::Drop } else { Fate::Deliver }
    });
    world.tell(CALLER, LegEvent::Acknowledge { body: sdp("answer") });
    world.run_for(Duration::from_secs(2));
    world.check_said(CALLEE, &["acknowledge answer"]);
    assert_eq!(world.count("> ACK 1 ACK"), 2);
}

#[test]
fn the_other_side_stays_hidden() {
    let mut world = World::new();
    world.call(World::outgoing(sdp("offer")));
    world.run_for(SOON);
    world.tell(CALLEE, ring(180, None));
    world.run_for(SOON);
    let invite = world.last("> INVITE 1 INVITE");
    assert_eq!(invite.header("Contact"), Some("<sip:192.0.2.1:5060>"));
    assert_eq!(invite.header("Subject"), Some("test"));
    assert_eq!(invite.header("Max-Forwards"), Some("69"));
    let ringing = world.last("< 180 1 INVITE");
    assert_eq!(ringing.header("Contact"), Some("<sip:192.0.2.2:5060>"));
}

#[test]
fn options_and_unknown_methods_in_the_dialog_are_answered() {
    let mut world = World::new().talking();
    let request = |method: &str, cseq: u32, world: &World| {
        let view = world.sides[CALLEE].legs[0].dialog();
        let (local, remote) = (view.local_tag, view.remote_tag.unwrap());
        format!(
            "{method} sip:192.0.2.2:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx{cseq}\r\n\
             From: <sip:4940@192.0.2.1>;tag={}\r\nTo: <sip:4930@192.0.2.2>;tag={}\r\nCall-ID: call-1\r\n\
             CSeq: {cseq} {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
            String::from_utf8_lossy(remote),
            String::from_utf8_lossy(local),
        )
    };
    for (method, cseq, status) in
        [("OPTIONS", 10, 200), ("REFER", 11, 400), ("DANCE", 12, 501), ("INFO", 5, 500)]
    {
        let text = request(method, cseq, &world);
        world.inject(CALLEE, &text);
        world.run_for(SOON);
        assert_eq!(world.count(&format!("< {status} {cseq} {method}")), 1, "{:#?}", world.labels());
    }
    // A BYE that skips a number is a BYE.
    let text = request("BYE", 20, &world);
    world.inject(CALLEE, &text);
    world.run_for(SOON);
    world.check_said(CALLEE, &["release normal 200"]);
    assert!(world.sides[CALLEE].legs[0].is_over());
}

#[test]
fn a_foreign_dialog_gets_481() {
    let mut world = World::new().talking();
    let view = world.sides[CALLEE].legs[0].dialog();
    let local = String::from_utf8_lossy(view.local_tag).into_owned();
    let text = format!(
        "BYE sip:192.0.2.2:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKq\r\n\
         From: <sip:4940@192.0.2.1>;tag=forged\r\nTo: <sip:4930@192.0.2.2>;tag={local}\r\n\
         Call-ID: call-1\r\nCSeq: 99 BYE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
    );
    world.inject(CALLEE, &text);
    world.run_for(SOON);
    assert_eq!(world.count("< 481 99 BYE"), 1);
    world.check_said(CALLEE, &[]);
    assert!(!world.sides[CALLEE].legs[0].is_over());
}

#[test]
fn hold_and_resume_pass_with_their_bodies() {
    let mut world = World::new().talking();
    for (side, method, expected) in [
        (CALLER, UpdateMethod::ReInvite, "update ReInvite hold"),
        (CALLEE, UpdateMethod::Update, "update Update hold"),
        (CALLEE, UpdateMethod::ReInvite, "update ReInvite hold"),
    ] {
        let other = 1 - side;
        world.tell(side, update(method, sdp("hold")));
        world.run_for(SOON);
        world.check_said(other, &[expected]);
        world.tell(other, update_answer(200, sdp("held")));
        world.run_for(SOON);
        world.check_said(side, &["updated 200 held"]);
        world.sides[0].said.clear();
        world.sides[1].said.clear();
    }
    world.tell(CALLER, update(UpdateMethod::ReInvite, sdp("video")));
    world.run_for(SOON);
    world.tell(CALLEE, update_answer(488, None));
    world.run_for(SOON);
    world.check_said(CALLER, &["updated 488"]);
    world.tell(CALLEE, hang_up());
    world.run_for(SOON);
    world.check_over();
}

#[test]
fn an_offerless_reinvite_passes_its_answer_in_the_ack() {
    let mut world = World::new().talking();
    world.tell(CALLER, update(UpdateMethod::ReInvite, None));
    world.run_for(SOON);
    world.tell(CALLEE, update_answer(200, sdp("offer")));
    world.run_for(SOON);
    world.check_said(CALLER, &["updated 200 offer"]);
    world.tell(CALLER, LegEvent::Acknowledge { body: sdp("answer") });
    world.run_for(SOON);
    world.check_said(CALLEE, &["update ReInvite", "acknowledge answer"]);
}

#[test]
fn infos_keep_their_order() {
    let mut world = World::new().talking();
    for digit in ["1", "2", "3"] {
        world.tell(CALLER, LegEvent::Info { headers: Bytes::new(), body: sdp(digit) });
    }
    for _ in 0..3 {
        world.run_for(SOON);
        world.tell(CALLEE, LegEvent::InfoAnswer { status: 200, body: None });
    }
    world.run_for(SOON);
    world.check_said(CALLEE, &["info 1", "info 2", "info 3"]);
    world.check_said(CALLER, &["informed 200", "informed 200", "informed 200"]);
}

#[test]
fn a_peer_that_lost_the_dialog_ends_it() {
    let mut world = World::new().talking();
    world.sides[CALLEE].legs.clear();
    world.tell(CALLER, update(UpdateMethod::ReInvite, sdp("hold")));
    world.run_for(SOON);
    world.check_said(CALLER, &["updated 481", "release temporary_failure 200"]);
    assert!(world.sides[CALLER].legs[0].is_over());
}

#[test]
fn a_held_leg_is_small() {
    let world = World::new().talking();
    for side in &world.sides {
        let held = side.legs[0].held_len();
        assert!(held <= 600, "{held} bytes");
    }
}

#[test]
fn branches_of_a_fork_ring_in_dialogs_of_their_own() {
    let mut world = World::new();
    world.call(World::outgoing(sdp("offer")));
    world.run_for(SOON);
    world.tell(CALLEE, ring(183, sdp("early")));
    world.run_for(SOON);
    let first = world.last("< 183 1 INVITE").clone();
    let tag = first.header("To").unwrap().rsplit("tag=").next().unwrap();
    let text =
        first.text().replace(tag, "other-branch").replace("Contact: <sip:", "Contact: <sip:b@");
    world.inject(CALLER, &text);
    world.run_for(SOON);
    let prack = world.last("> PRACK 2 PRACK");
    assert!(prack.text().starts_with("PRACK sip:b@192.0.2.2"), "{}", prack.text());
    assert!(prack.header("To").unwrap().ends_with("tag=other-branch"));
    world.check_said(CALLER, &["ring 183 early", "ring 183 early"]);
    // The first branch answers: the dialog goes on where it was.
    world.tell(CALLEE, answer(sdp("answer")));
    world.run_for(SOON);
    world.tell(CALLER, hang_up());
    world.run_for(SOON);
    world.check_said(CALLEE, &["release normal 200"]);
    assert!(world.sides[CALLEE].legs[0].is_over());
}

#[test]
fn an_offer_in_a_prack_passes_as_an_update() {
    let mut world = World::new();
    world.call(World::outgoing(sdp("offer")));
    world.run_for(SOON);
    // The caller's own PRACK is lost; one with an offer comes instead.
    world.fates =
        Box::new(
            |packet| {
                if packet.label() == "PRACK 2 PRACK" { Fate::Drop } else { Fate::Deliver }
            },
        );
    world.tell(CALLEE, ring(183, sdp("early")));
    world.run_for(SOON);
    let text = world.last("> PRACK 2 PRACK").text().to_owned();
    let text = text.replace("Content-Length: 0\r\n\r\n", "Content-Length: 3\r\n\r\nnew");
    world.inject(CALLEE, &text.replace("branch=", "branch=z9hG4bKother"));
    world.run_for(SOON);
    world.check_said(CALLEE, &["update Prack new"]);
    assert_eq!(world.count("< 200 2 PRACK"), 0);
    world.tell(CALLEE, update_answer(200, sdp("taken")));
    world.run_for(SOON);
    let response = world.last("< 200 2 PRACK");
    assert!(response.text().ends_with("\r\n\r\ntaken"));
}

#[test]
fn a_prack_of_nothing_gets_481() {
    let mut world = World::new();
    world.call(World::outgoing(sdp("offer")));
    world.run_for(SOON);
    world.tell(CALLEE, ring(183, sdp("early")));
    world.run_for(SOON);
    let text = world.last("> PRACK 2 PRACK").text().to_owned();
    let text = text.replace("branch=", "branch=z9hG4bKother").replace("CSeq: 2", "CSeq: 3");
    world.inject(CALLEE, &text);
    world.run_for(SOON);
    assert_eq!(world.count("< 481 3 PRACK"), 1);
}

#[test]
fn a_bye_before_the_answer_ends_the_invite() {
    let mut world = World::new();
    world.call(World::outgoing(sdp("offer")));
    world.run_for(SOON);
    world.tell(CALLEE, ring(180, None));
    world.run_for(SOON);
    let to = world.last("< 180 1 INVITE").header("To").unwrap().to_owned();
    let from = world.last("> INVITE 1 INVITE").header("From").unwrap().to_owned();
    let bye = format!(
        "BYE sip:192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKbye\r\n\
         From: {from}\r\nTo: {to}\r\nCall-ID: call-1\r\nCSeq: 2 BYE\r\nMax-Forwards: 70\r\n\
         Content-Length: 0\r\n\r\n",
    );
    world.inject(CALLEE, &bye);
    world.run_for(SOON);
    world.check_said(CALLEE, &["release cancelled 487"]);
    world.check_said(CALLER, &["ring 180", "release cancelled 487"]);
    assert_eq!(world.count("< 200 2 BYE"), 1);
    world.check_over();
}
