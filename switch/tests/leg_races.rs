//! What crosses on the wire, what is lost and what comes twice: one named test for each.

mod leg_world;

use std::time::Duration;

use leg_world::*;
use switch::leg::event::{LegEvent, UpdateMethod};
use switch::release::Cause;

const SOON: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(80);

fn ringing() -> World {
    let mut world = World::new();
    world.call(World::outgoing(sdp("offer")));
    world.run_for(SOON);
    world.tell(CALLEE, ring(180, None));
    world.run_for(SOON);
    world
}

/// Loses the first `count` datagrams with this label.
fn lose(label: &'static str, count: u32) -> Box<dyn FnMut(&Packet) -> Fate> {
    let mut lost = 0;
    Box::new(move |packet| {
        if packet.label() == label && lost < count {
            lost += 1;
            return Fate::Drop;
        }
        Fate::Deliver
    })
}

#[test]
fn cancel_before_a_provisional_waits_for_it() {
    let mut world = World::new();
    // The callee's 100 comes after 200 ms; until then CANCEL must not go out.
    world.call(World::outgoing(sdp("offer")));
    world.tell(CALLER, release(Cause::Cancelled));
    world.run_for(SOON);
    assert_eq!(world.count("> CANCEL 1 CANCEL"), 0);
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.count("> CANCEL 1 CANCEL"), 1);
    world.check_said(CALLEE, &["release cancelled 487"]);
    world.check_said(CALLER, &[]);
    world.check_over();
}

#[test]
fn cancel_while_ringing_carries_its_reason() {
    let mut world = ringing();
    world.tell(CALLER, release(Cause::AnsweredElsewhere));
    world.run_for(SOON);
    world.check_said(CALLEE, &["release answered_elsewhere 487"]);
    world.check_said(CALLER, &["ring 180"]);
    let cancel = world.last("> CANCEL 1 CANCEL");
    let expected = "Q.850;cause=26;text=\"answered_elsewhere\"";
    assert_eq!(cancel.header("Reason"), Some(expected));
    world.check_over();
}

#[test]
fn cancel_crosses_the_2xx_which_is_acknowledged_and_ended() {
    let mut world = ringing();
    world.tell(CALLEE, answer(sdp("answer")));
    world.tell(CALLER, release(Cause::Cancelled));
    world.run_for(SOON);
    world.check_said(CALLER, &["ring 180"]);
    world.check_said(CALLEE, &["release normal 200"]);
    assert_eq!(world.count("> ACK 1 ACK"), 1);
    assert_eq!(world.count("> BYE 2 BYE"), 1);
    world.check_over();
}

#[test]
fn an_answer_after_the_cancel_goes_nowhere() {
    let mut world = ringing();
    world.tell(CALLER, release(Cause::Cancelled));
    world.run_for(SOON);
    world.tell(CALLEE, answer(sdp("answer")));
    world.run_for(SOON);
    assert_eq!(world.count("< 200 1 INVITE"), 0);
    world.check_over();
}

#[test]
fn cancel_of_a_callee_that_never_answers_ends_after_32_seconds() {
    let mut world = ringing();
    world.fates = Box::new(|_| Fate::Drop);
    world.tell(CALLER, release(Cause::Cancelled));
    world.run_for(Duration::from_secs(33));
    assert!(world.sides[CALLER].legs[0].is_over());
    world.check_said(CALLER, &["ring 180"]);
}

#[test]
fn bye_crosses_bye_and_each_side_ends_once() {
    let mut world = World::new().talking();
    world.tell(CALLER, hang_up());
    world.tell(CALLEE, hang_up());
    world.run_for(SOON);
    world.check_said(CALLER, &[]);
    world.check_said(CALLEE, &[]);
    world.check_wire(&["> BYE 2 BYE", "< BYE 1 BYE", "< 200 2 BYE", "> 200 1 BYE"]);
    world.check_over();
}

#[test]
fn reinvite_crosses_reinvite_and_both_get_491() {
    let mut world = World::new().talking();
    world.tell(CALLER, update(UpdateMethod::ReInvite, sdp("hold")));
    world.tell(CALLEE, update(UpdateMethod::ReInvite, sdp("hold")));
    world.run_for(SOON);
    world.check_said(CALLER, &["updated 491"]);
    world.check_said(CALLEE, &["updated 491"]);
    // The call goes on.
    world.tell(CALLEE, update(UpdateMethod::ReInvite, sdp("hold")));
    world.run_for(SOON);
    world.tell(CALLER, update_answer(200, sdp("held")));
    world.run_for(SOON);
    world.check_said(CALLEE, &["updated 491", "updated 200 held"]);
}

#[test]
fn a_change_from_the_other_leg_meets_one_from_the_peer() {
    let mut world = World::new().talking();
    world.tell(CALLER, update(UpdateMethod::ReInvite, sdp("hold")));
    world.run_for(SOON);
    // The callee's call asks for a change before it has answered the caller's.
    world.tell(CALLEE, update(UpdateMethod::ReInvite, sdp("other")));
    world.check_said(CALLEE, &["update ReInvite hold", "updated 491"]);
    world.tell(CALLEE, update_answer(491, None));
    world.run_for(SOON);
    world.check_said(CALLER, &["updated 491"]);
}

#[test]
fn bye_crosses_a_reinvite_which_gets_487() {
    let mut world = World::new().talking();
    world.tell(CALLER, update(UpdateMethod::ReInvite, sdp("hold")));
    world.run_for(SOON);
    world.tell(CALLEE, hang_up());
    world.run_for(SOON);
    assert_eq!(world.count("< 487 2 INVITE"), 1);
    world.check_over();
}

#[test]
fn a_lost_ringing_is_only_not_heard() {
    let mut world = World::new();
    world.fates = lose("180 1 INVITE", 1);
    world.call(World::outgoing(sdp("offer")));
    world.run_for(SOON);
    world.tell(CALLEE, ring(180, None));
    world.run_for(SOON);
    world.tell(CALLEE, answer(sdp("answer")));
    world.run_for(SOON);
    world.check_said(CALLER, &["answer answer"]);
}

#[test]
fn a_lost_200_comes_again() {
    let mut world = ringing();
    world.fates = lose("200 1 INVITE", 3);
    world.tell(CALLEE, answer(sdp("answer")));
    world.run_for(Duration::from_secs(5));
    world.check_said(CALLER, &["ring 180", "answer answer"]);
    assert_eq!(world.count("< 200 1 INVITE"), 4);
    assert_eq!(world.count("> ACK 1 ACK"), 1);
}

#[test]
fn a_200_that_comes_twice_is_acknowledged_twice_and_heard_once() {
    let mut world = ringing();
    world.fates =
        Box::new(
            |packet| {
                if packet.label() == "200 1 INVITE" { Fate::Twice } else { Fate::Deliver }
            },
        );
    world.tell(CALLEE, answer(sdp("answer")));
    world.run_for(Duration::from_secs(5));
    world.check_said(CALLER, &["ring 180", "answer answer"]);
    assert_eq!(world.count("> ACK 1 ACK"), 2);
    assert_eq!(world.count("< 200 1 INVITE"), 1);
}

#[test]
fn a_lost_ack_is_sent_again_for_the_repeated_200() {
    let mut world = ringing();
    world.fates = lose("ACK 1 ACK", 2);
    world.tell(CALLEE, answer(sdp("answer")));
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.count("> ACK 1 ACK"), 3);
    assert_eq!(world.count("< 200 1 INVITE"), 3);
    world.check_said(CALLEE, &[]);
}

#[test]
fn no_ack_at_all_ends_the_call_after_32_seconds() {
    let mut world = ringing();
    world.fates = lose("ACK 1 ACK", u32::MAX);
    world.tell(CALLEE, answer(sdp("answer")));
    world.run_for(Duration::from_millis(31_900));
    world.check_said(CALLEE, &[]);
    assert_eq!(world.count("< 200 1 INVITE"), 11);
    world.run_for(Duration::from_secs(1));
    world.check_said(CALLEE, &["release no_ack 200"]);
    world.check_said(CALLER, &["ring 180", "answer answer", "release timer_expired 200"]);
    assert_eq!(world.count("< BYE 1 BYE"), 1);
    world.check_over();
}

#[test]
fn our_bye_waits_for_the_ack_of_our_200() {
    let mut world = ringing();
    world.fates = lose("ACK 1 ACK", 1);
    world.tell(CALLEE, answer(sdp("answer")));
    world.run_for(LATENCY * 3);
    world.tell(CALLEE, hang_up());
    world.run_for(LATENCY * 3);
    assert_eq!(world.count("< BYE 1 BYE"), 0);
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.count("< BYE 1 BYE"), 1);
    world.check_over();
}

#[test]
fn a_lost_bye_is_repeated_and_one_that_comes_twice_ends_one_call() {
    let mut world = World::new().talking();
    world.fates = lose("BYE 2 BYE", 2);
    world.tell(CALLER, hang_up());
    world.run_for(Duration::from_secs(5));
    world.check_said(CALLEE, &["release normal 200"]);
    world.check_over();

    let mut world = World::new().talking();
    world.fates = Box::new(|_| Fate::Twice);
    world.tell(CALLER, hang_up());
    world.run_for(Duration::from_secs(5));
    world.check_said(CALLEE, &["release normal 200"]);
    world.check_over();
}

#[test]
fn a_bye_that_nobody_answers_ends_all_the_same() {
    let mut world = World::new().talking();
    world.fates = Box::new(|_| Fate::Drop);
    world.tell(CALLER, hang_up());
    world.run_for(Duration::from_secs(33));
    assert!(world.sides[CALLER].legs[0].is_over());
    world.check_said(CALLER, &[]);
}

#[test]
fn a_second_200_of_a_fork_is_acknowledged_and_ended() {
    let mut world = ringing();
    world.tell(CALLEE, answer(sdp("answer")));
    world.run_for(SOON);
    let first = world.last("< 200 1 INVITE").clone();
    let (to, text) = (first.header("To").unwrap(), first.text());
    let tag = to.rsplit("tag=").next().unwrap();
    let second = text.replace(tag, "another-branch");
    for _ in 0..2 {
        world.inject(CALLER, &second);
        world.run_for(SOON);
    }
    world.check_said(CALLER, &["ring 180", "answer answer"]);
    let to_fork = |label: &str| {
        let is = |p: &&Packet| p.label() == label && p.text().contains("another-branch");
        world.sent.iter().filter(is).filter(|p| p.to == CALLEE).count()
    };
    // The 200 came twice: two ACKs, one BYE.
    assert_eq!((to_fork("ACK 1 ACK"), to_fork("BYE 2 BYE")), (2, 1));
    assert!(!world.sides[CALLER].legs[0].is_over());
    world.tell(CALLER, hang_up());
    world.run_for(LONG);
    world.check_over();
}

#[test]
fn an_update_waits_for_the_ack_that_is_on_its_way() {
    let mut world = ringing();
    world.fates = lose("ACK 1 ACK", 1);
    world.tell(CALLEE, answer(sdp("answer")));
    world.run_for(SOON);
    world.tell(CALLEE, update(UpdateMethod::ReInvite, sdp("hold")));
    world.run_for(SOON);
    assert_eq!(world.count("< INVITE 1 INVITE"), 0);
    world.run_for(Duration::from_secs(1));
    world.check_said(CALLER, &["ring 180", "answer answer", "update ReInvite hold"]);
}

#[test]
fn a_reinvite_that_times_out_ends_the_call() {
    let mut world = World::new().talking();
    world.fates = Box::new(|_| Fate::Drop);
    world.tell(CALLER, update(UpdateMethod::ReInvite, sdp("hold")));
    world.run_for(LONG);
    world.check_said(CALLER, &["updated 408", "release no_response 200"]);
    assert!(world.sides[CALLER].legs[0].is_over());
}

#[test]
fn events_for_an_ended_leg_are_ignored() {
    let mut world = World::new().talking();
    world.tell(CALLER, hang_up());
    world.run_for(SOON);
    for side in [CALLER, CALLEE] {
        world.tell(side, hang_up());
        world.tell(side, answer(None));
        world.tell(side, ring(180, None));
        world.tell(side, update(UpdateMethod::Update, None));
        world.tell(side, update_answer(200, None));
        world.tell(side, LegEvent::Acknowledge { body: None });
        world.tell(side, LegEvent::InfoAnswer { status: 200, body: None });
        world.tell(side, LegEvent::Redirect { status: 302, contacts: Vec::new() });
    }
    world.run_for(LONG);
    world.check_wire(&["> BYE 2 BYE", "< 200 2 BYE"]);
}
