//! A peer without a session timer that is gone ends its call within a stated time (S3).

mod leg_world;

use std::time::Duration;

use leg_world::*;
use switch::leg::LegConfig;

const INTERVAL: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_millis(100);

/// Only the caller's side asks, and nobody has session timers.
fn asking(side: usize, config: &mut LegConfig) {
    config.session_timer.interval = None;
    config.dialog_probe = (side == CALLER).then_some(INTERVAL);
}

#[test]
fn a_silent_peer_is_asked_and_its_answer_is_worth_another_interval() {
    let mut world = World::with(asking).talking();
    world.run_for(INTERVAL - Duration::from_secs(2));
    world.check_wire(&[]);
    world.run_for(Duration::from_secs(2));
    world.check_wire(&["> OPTIONS 2 OPTIONS", "< 200 2 OPTIONS"]);
    world.run_for(INTERVAL * 10);
    let answers = world.labels().iter().filter(|label| label.starts_with("< 200")).count();
    assert!((11..=12).contains(&answers), "{answers}");
    world.check_said(CALLER, &[]);
    world.check_said(CALLEE, &[]);
    assert!(world.sides[CALLER].legs[0].held_len() <= 600);
}

#[test]
fn whoever_says_something_is_not_asked() {
    let mut world = World::with(asking).talking();
    for _ in 0..20 {
        world.run_for(INTERVAL / 2);
        world.tell(CALLEE, update(switch::leg::event::UpdateMethod::Update, sdp("hold")));
        world.run_for(SOON);
        world.tell(CALLER, update_answer(200, sdp("held")));
        world.run_for(SOON);
    }
    assert!(world.labels().iter().all(|label| !label.contains("OPTIONS")));
}

#[test]
fn a_peer_that_does_not_answer_ends_the_call_after_64_t1() {
    let mut world = World::with(asking).talking();
    world.sides[CALLEE].legs.clear();
    world.fates = Box::new(|packet| if packet.to == CALLEE { Fate::Drop } else { Fate::Deliver });
    world.run_for(INTERVAL + Duration::from_secs(31));
    world.check_said(CALLER, &[]);
    world.run_for(Duration::from_secs(2));
    world.check_said(CALLER, &["release peer_gone 200"]);
    // The BYE goes out in case it is there after all.
    assert!(world.count("> BYE 3 BYE") > 0);
    world.run_for(Duration::from_secs(40));
    assert!(world.sides[CALLER].legs[0].is_over());
}

#[test]
fn a_peer_that_forgot_the_call_ends_it_at_once() {
    let mut world = World::with(asking).talking();
    world.sides[CALLEE].legs.clear();
    world.run_for(INTERVAL + SOON);
    world.check_said(CALLER, &["release peer_gone 200"]);
}

/// It knows no OPTIONS, and says so: it lives.
fn without_options(text: &str) -> Option<String> {
    let is_answer = text.starts_with("SIP/2.0 200") && text.contains("OPTIONS\r\n");
    is_answer.then(|| text.replace("SIP/2.0 200 OK", "SIP/2.0 405 Method Not Allowed"))
}

#[test]
fn an_answer_is_an_answer() {
    let mut world = World::with(asking);
    world.rewrite = without_options;
    let mut world = world.talking();
    world.run_for(INTERVAL * 3);
    assert!(world.labels().iter().any(|label| label.starts_with("< 405")), "{:?}", world.labels());
    world.check_said(CALLER, &[]);
}

#[test]
fn a_peer_with_a_session_timer_is_not_asked() {
    let mut world = World::with(|side, config| {
        config.session_timer.interval = (side == CALLER).then_some(1800);
        config.dialog_probe = Some(INTERVAL);
    })
    .talking();
    world.run_for(INTERVAL * 14);
    world.check_wire(&[]);
}

#[test]
fn a_question_that_was_lost_while_the_peer_spoke_proves_nothing() {
    let mut world = World::with(asking).talking();
    // All of the first question and its repetitions are lost on the way.
    world.fates = Box::new(|packet| match packet.label().as_str() {
        "OPTIONS 2 OPTIONS" => Fate::Drop,
        _ => Fate::Deliver,
    });
    world.run_for(INTERVAL + Duration::from_secs(5));
    world.tell(CALLEE, update(switch::leg::event::UpdateMethod::Update, sdp("hold")));
    world.run_for(SOON);
    world.tell(CALLER, update_answer(200, sdp("held")));
    world.run_for(Duration::from_secs(120));
    world.check_said(CALLER, &["update Update hold"]);
}
