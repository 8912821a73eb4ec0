//! Session timers (RFC 4028) and reliable provisional responses (RFC 3262) between two legs.

mod leg_world;

use std::time::Duration;

use leg_world::*;
use switch::leg::LegConfig;
use switch::leg::event::{LegEvent, UpdateMethod};

const SOON: Duration = Duration::from_millis(100);

/// Proposes this interval at the caller, accepts this minimum at the callee.
fn intervals(interval: Option<u32>, min_se: u32) -> impl Fn(usize, &mut LegConfig) {
    move |side, config| {
        if side == CALLER {
            config.session_timer.interval = interval;
        } else {
            config.session_timer.min_se = min_se;
            config.session_timer.interval = None;
        }
    }
}

#[test]
fn the_refresher_refreshes_at_half_and_the_call_lives() {
    let mut world = World::with(intervals(Some(120), 90)).talking();
    world.run_for(Duration::from_secs(59));
    world.check_wire(&[]);
    world.run_for(Duration::from_secs(2));
    world.check_wire(&["> UPDATE 2 UPDATE", "< 200 2 UPDATE"]);
    let refresh = world.last("> UPDATE 2 UPDATE");
    assert_eq!(refresh.header("Session-Expires"), Some("120;refresher=uac"));
    world.run_for(Duration::from_secs(600));
    world.check_said(CALLER, &[]);
    world.check_said(CALLEE, &[]);
    assert!(!world.sides[CALLEE].legs[0].is_over());
}

#[test]
fn a_session_that_nobody_refreshes_ends_on_both_sides() {
    let mut world = World::with(intervals(Some(120), 90)).talking();
    world.fates = Box::new(|packet| match packet.label().as_str() {
        label if label.contains("UPDATE") => Fate::Drop,
        _ => Fate::Deliver,
    });
    // 120 s, a BYE min(32, 120 / 3) s before its end.
    world.run_for(Duration::from_secs(87));
    world.check_said(CALLEE, &[]);
    world.run_for(Duration::from_secs(40));
    let said = [world.words(CALLER), world.words(CALLEE)].concat();
    assert!(said.iter().any(|word| word == "release session_expired 200"), "{said:?}");
    assert_eq!(said.len(), 2, "{said:?}");
    world.check_over();
}

#[test]
fn a_silent_refresher_is_hung_up_on() {
    let mut world = World::with(intervals(Some(120), 90)).talking();
    world.sides[CALLER].legs.clear();
    world.run_for(Duration::from_secs(95));
    world.check_said(CALLEE, &["release session_expired 200"]);
    world.check_over();
}

#[test]
fn a_422_raises_the_interval() {
    let mut world = World::with(intervals(Some(100), 300));
    world.call(World::outgoing(sdp("offer")));
    world.run_for(SOON);
    world.check_said(CALLER, &[]);
    let refusal = world.last("< 422 1 INVITE");
    assert_eq!(refusal.header("Min-SE"), Some("300"));
    let again = world.last("> INVITE 2 INVITE");
    assert_eq!(again.header("Session-Expires"), Some("300"));
    assert_eq!(again.header("Min-SE"), Some("300"));
    // The callee's side saw two attempts; the refused one is reported.
    world.check_said(CALLEE, &["release temporary_failure 422"]);
}

/// The refresh is too short for somebody on the way, who wants five minutes.
fn too_short_for_a_proxy(text: &str) -> Option<String> {
    let is_update = text.starts_with("UPDATE");
    let shorter = is_update.then(|| text.replace("Expires: 120;", "Expires: 50;"));
    Some(shorter.unwrap_or_else(|| text.replace("Min-SE: 90", "Min-SE: 300")))
}

#[test]
fn a_422_to_a_refresh_raises_the_interval_and_is_remembered() {
    let mut world = World::with(intervals(Some(120), 90)).talking();
    world.rewrite = too_short_for_a_proxy;
    world.run_for(Duration::from_secs(61));
    world.check_wire(&[
        "> UPDATE 2 UPDATE",
        "< 422 2 UPDATE",
        "> UPDATE 3 UPDATE",
        "< 200 3 UPDATE",
    ]);
    let again = world.last("> UPDATE 3 UPDATE");
    assert_eq!(again.header("Session-Expires"), Some("300;refresher=uac"));
    assert_eq!(again.header("Min-SE"), Some("300"));
    // Section 7.4: every later refresh says so too.
    world.run_for(Duration::from_secs(151));
    let later = world.last("> UPDATE 4 UPDATE");
    assert_eq!(later.header("Session-Expires"), Some("300;refresher=uac"));
    assert_eq!(later.header("Min-SE"), Some("300"));
    world.check_said(CALLER, &[]);
}

/// The peers know no UPDATE.
fn without_update(text: &str) -> Option<String> {
    Some(text.replace("PRACK, UPDATE", "PRACK"))
}

#[test]
fn without_update_a_refresh_repeats_the_last_body() {
    let mut world = World::with(intervals(Some(120), 90));
    world.rewrite = without_update;
    let mut world = world.talking();
    world.run_for(Duration::from_secs(61));
    world.check_said(CALLEE, &["update ReInvite offer"]);
    world.tell(CALLEE, update_answer(200, sdp("answer")));
    world.run_for(SOON);
    // Nobody but the two legs hears of it.
    world.check_said(CALLER, &[]);
    assert_eq!(world.count("> ACK 2 ACK"), 1);
    assert!(world.sides[CALLER].legs[0].held_len() < 900);
}

#[test]
fn a_refresh_that_meets_glare_waits_as_its_side_has_to() {
    let mut world = World::with(intervals(Some(120), 90));
    world.rewrite = without_update;
    let mut world = world.talking();
    world.run_for(Duration::from_millis(59_880));
    // The callee's re-INVITE is on the wire when our refresh goes out.
    world.fates = Box::new(|packet| match packet.label().as_str() {
        "INVITE 1 INVITE" => Fate::After(Duration::from_millis(300)),
        _ => Fate::Deliver,
    });
    world.tell(CALLEE, update(UpdateMethod::ReInvite, sdp("hold")));
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.count("< 491 2 INVITE"), 1);
    let refused_at = world.last("< 491 2 INVITE").at;
    world.tell(CALLER, update_answer(488, None));
    world.run_for(Duration::from_secs(8));
    let again_at = world.last("> INVITE 3 INVITE").at;
    let wait = again_at - refused_at;
    // The owner of the Call-ID waits 2.1 to 4 s (RFC 3261 section 14.1).
    assert!(
        wait >= Duration::from_millis(2_100) && wait <= Duration::from_millis(4_100),
        "{wait:?}"
    );
}

#[test]
fn no_timer_is_forced_on_who_knows_none() {
    let mut world = World::with(|_, config| config.session_timer.interval = None).talking();
    world.run_for(Duration::from_secs(7200));
    world.check_wire(&[]);
    assert!(world.sides[CALLER].legs[0].poll_timeout().is_none());
}

#[test]
fn a_refresh_meets_a_change_of_the_session() {
    let mut world = World::with(intervals(Some(120), 90)).talking();
    world.run_for(Duration::from_millis(58_500));
    world.tell(CALLER, update(UpdateMethod::ReInvite, sdp("hold")));
    world.run_for(Duration::from_secs(5));
    // Our refresh waits while the re-INVITE is open, and the re-INVITE is a refresh itself.
    assert_eq!(world.count("> UPDATE 3 UPDATE"), 0);
    world.tell(CALLEE, update_answer(200, sdp("held")));
    world.run_for(Duration::from_secs(50));
    assert_eq!(world.count("> UPDATE 3 UPDATE"), 0);
    world.run_for(Duration::from_secs(20));
    assert_eq!(world.count("> UPDATE 3 UPDATE"), 1);
}

#[test]
fn early_media_is_reliable_and_its_prack_is_answered() {
    let mut world = World::new();
    world.call(World::outgoing(sdp("offer")));
    world.run_for(SOON);
    world.tell(CALLEE, ring(183, sdp("early")));
    world.tell(CALLEE, ring(180, None));
    world.tell(CALLEE, answer(sdp("answer")));
    world.run_for(SOON);
    world.check_said(CALLER, &["ring 183 early", "ring 180", "answer answer"]);
    world.check_wire(&[
        "> INVITE 1 INVITE",
        "< 183 1 INVITE",
        "> PRACK 2 PRACK",
        "< 200 2 PRACK",
        "< 180 1 INVITE",
        "< 200 1 INVITE",
        "> ACK 1 ACK",
    ]);
}

#[test]
fn a_lost_reliable_response_is_repeated_until_its_prack() {
    let mut world = World::new();
    let mut lost = 0;
    world.fates = Box::new(move |packet| {
        lost += u32::from(packet.label() == "183 1 INVITE");
        if packet.label() == "183 1 INVITE" && lost < 4 { Fate::Drop } else { Fate::Deliver }
    });
    world.call(World::outgoing(sdp("offer")));
    world.run_for(SOON);
    world.tell(CALLEE, ring(183, sdp("early")));
    world.run_for(Duration::from_secs(10));
    world.check_said(CALLER, &["ring 183 early"]);
    assert_eq!(world.count("< 183 1 INVITE"), 4);
}

#[test]
fn a_reliable_response_without_a_prack_ends_the_attempt() {
    let mut world = World::new();
    world.fates =
        Box::new(
            |packet| {
                if packet.label().contains("PRACK") { Fate::Drop } else { Fate::Deliver }
            },
        );
    world.call(World::outgoing(sdp("offer")));
    world.run_for(SOON);
    world.tell(CALLEE, ring(183, sdp("early")));
    world.run_for(Duration::from_secs(40));
    world.check_said(CALLEE, &["release timer_expired 504"]);
    world.check_said(CALLER, &["ring 183 early", "release timer_expired 504"]);
    world.check_over();
}

#[test]
fn a_side_without_100rel_gets_plain_responses() {
    let mut world = World::with(|_, config| config.is_early_media_reliable = false);
    world.call(World::outgoing(sdp("offer")));
    world.run_for(SOON);
    world.tell(CALLEE, ring(183, sdp("early")));
    world.run_for(SOON);
    assert_eq!(world.last("< 183 1 INVITE").header("RSeq"), None);
    world.check_said(CALLER, &["ring 183 early"]);
}

#[test]
fn an_early_offer_is_answered_in_the_prack() {
    let mut world = World::new();
    world.call(World::outgoing(None));
    world.run_for(SOON);
    world.tell(CALLEE, ring(183, sdp("offer")));
    world.run_for(SOON);
    world.check_said(CALLER, &["ring 183 offer"]);
    assert_eq!(world.count("> PRACK 2 PRACK"), 0);
    world.tell(CALLER, LegEvent::Acknowledge { body: sdp("answer") });
    world.run_for(SOON);
    world.check_said(CALLEE, &["acknowledge answer"]);
    // The session is negotiated: the 200 needs no answer in its ACK.
    world.tell(CALLEE, answer(None));
    world.run_for(SOON);
    assert_eq!(world.count("> ACK 1 ACK"), 1);
    world.check_said(CALLEE, &["acknowledge answer"]);
}

#[test]
fn the_session_may_change_before_the_answer() {
    let mut world = World::new();
    world.call(World::outgoing(sdp("offer")));
    world.run_for(SOON);
    world.tell(CALLEE, ring(183, sdp("early")));
    world.run_for(SOON);
    world.tell(CALLER, update(UpdateMethod::Update, sdp("new")));
    world.run_for(SOON);
    world.tell(CALLEE, update_answer(200, sdp("taken")));
    world.run_for(SOON);
    world.check_said(CALLEE, &["update Update new"]);
    world.check_said(CALLER, &["ring 183 early", "updated 200 taken"]);
}

#[test]
fn an_early_change_of_an_open_offer_is_refused() {
    let mut world = World::new();
    world.call(World::outgoing(sdp("offer")));
    world.run_for(SOON);
    world.tell(CALLEE, ring(180, None));
    world.run_for(SOON);
    world.tell(CALLEE, update(UpdateMethod::Update, sdp("new")));
    world.check_said(CALLEE, &["updated 491"]);
}
