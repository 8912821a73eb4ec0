//! Credit: more is asked for in time, a final grant is kept to the second, a late timer or a late
//! answer costs nobody anything.

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::*;
use switch::Input;

const HALF: Duration = Duration::from_millis(500);

#[test]
fn more_is_asked_for_at_sixty_percent_of_the_newest_slice() {
    let mut w = World::new();
    let (call, ..) = w.talk(10, false);
    w.pass(Duration::from_secs(6) - HALF);
    assert_eq!(w.take_extend(), None);
    w.pass(HALF);
    assert_eq!(w.take_extend(), Some(call));
    w.extend(call, 30, false);
    // The slice from 10 to 30 s: asked again at 22 s.
    w.pass(Duration::from_secs(16) - HALF);
    assert_eq!(w.take_extend(), None);
    w.pass(HALF);
    assert_eq!(w.take_extend(), Some(call));
    assert_eq!(w.shard.live_call(call).unwrap().granted, Duration::from_secs(30));
}

#[test]
fn a_final_grant_ends_the_call_at_its_end() {
    let mut w = World::new();
    let (call, ..) = w.talk(10, false);
    w.pass_secs(6);
    w.take_extend().unwrap();
    w.extend(call, 17, true);
    w.pass(Duration::from_secs(11) - HALF);
    assert!(w.settled.is_empty());
    w.pass(HALF);
    let bye = w.expect_soon(CUSTOMER, "BYE");
    assert!(header(&bye, sip::message::HeaderName::Reason).starts_with("Q.850;cause=31"));
    w.expect_soon(CARRIERS[0], "BYE");
    let settled = w.settlement();
    assert_eq!(settled.talked, Duration::from_secs(17));
    assert_eq!(outcomes(&settled)[0], ("credit_exhausted", 200));
    let codes = codes(&settled);
    assert!(codes.contains(&"grant_final") && codes.contains(&"credit_used_up"), "{codes:?}");
    assert_eq!(w.shard.stats().calls_cut, 1);
    w.check_empty();
}

#[test]
fn a_grant_that_is_final_from_the_start_is_never_extended() {
    let mut w = World::new();
    w.talk(10, true);
    w.pass_secs(9);
    assert_eq!(w.take_extend(), None);
    w.pass_secs(1);
    assert_eq!(w.settlement().talked, Duration::from_secs(10));
    w.check_empty();
}

#[test]
fn talk_beyond_the_grant_is_not_counted_when_a_timer_is_late() {
    let mut w = World::new();
    w.talk(10, true);
    w.now = w.now.plus(Duration::from_millis(10_800));
    w.input(Input::Timeout);
    let settled = w.settlement();
    assert_eq!(settled.talked, Duration::from_secs(10));
    assert!(settled.facts.legs.iter().all(|leg| leg.talked <= Duration::from_secs(10)));
}

#[test]
fn a_call_whose_extension_is_not_answered_ends_with_what_is_paid() {
    let mut w = World::new();
    let (call, ..) = w.talk(10, false);
    w.pass_secs(6);
    assert_eq!(w.take_extend(), Some(call));
    w.pass_secs(4);
    assert_eq!(w.settlement().talked, Duration::from_secs(10));
    // The answer comes too late and changes nothing.
    w.extend(call, 60, false);
    assert!(w.settled.is_empty());
    w.check_empty();
}

#[test]
fn the_longest_call_is_a_setting() {
    let mut rows = Rows::default();
    rows.settings.duration_max = Duration::from_secs(30);
    let mut w = World::with(rows);
    w.talk(3600, false);
    w.pass_secs(30);
    let settled = w.settlement();
    assert_eq!(outcomes(&settled)[0], ("duration_limit", 200));
    assert_eq!(settled.talked, Duration::from_secs(30));
    w.check_empty();
}

/// A call with money for an hour, by an account whose calls may last so long.
fn limited(account: Option<u64>, all: u64) -> World {
    let mut rows = Rows::default();
    rows.settings.duration_max = Duration::from_secs(all);
    rows.account(CUSTOMER_ACCOUNT).duration_max = account.map(Duration::from_secs);
    let mut w = World::with(rows);
    w.talk(3600, false);
    w
}

#[test]
fn the_longest_call_of_an_account_is_its_own_limit() {
    // V-11
    let mut w = limited(Some(20), 30);
    w.pass(Duration::from_secs(20) - HALF);
    assert!(w.settled.is_empty());
    w.pass(HALF);
    let bye = w.expect_soon(CUSTOMER, "BYE");
    assert!(header(&bye, sip::message::HeaderName::Reason).starts_with("Q.850;cause=31"));
    w.expect_soon(CARRIERS[0], "BYE");
    let settled = w.settlement();
    assert_eq!(outcomes(&settled)[0], ("duration_limit", 200));
    assert_eq!(settled.talked, Duration::from_secs(20));
    let last = settled.facts.decisions.last().unwrap();
    let sentence = "Cut after 20 s, the longest that a call of account 1 may last.";
    assert_eq!((last.code, last.sentence.as_str()), ("account_duration_limit", sentence));
    w.check_empty();
}

#[test]
fn the_shorter_limit_counts_and_money_may_end_a_call_before() {
    // V-11: an account cannot be given more than all calls have.
    let mut w = limited(Some(40), 30);
    w.pass_secs(30);
    assert_eq!(codes(&w.settlement()).last(), Some(&"duration_limit"));

    let mut rows = Rows::default();
    rows.account(CUSTOMER_ACCOUNT).duration_max = Some(Duration::from_secs(20));
    let mut w = World::with(rows);
    w.talk(10, true);
    w.pass_secs(10);
    assert_eq!(codes(&w.settlement()).last(), Some(&"credit_used_up"));
}

#[test]
fn talk_beyond_the_limit_is_not_counted_when_a_timer_is_late() {
    // V-11
    let mut w = limited(Some(20), 30);
    w.now = w.now.plus(Duration::from_millis(20_800));
    w.input(Input::Timeout);
    assert_eq!(w.settlement().talked, Duration::from_secs(20));
}

#[test]
fn a_limit_that_changes_is_for_calls_answered_from_then_on() {
    // V-11: whoever talks was told nothing else.
    let mut w = limited(Some(20), 30);
    let mut rows = Rows::default();
    rows.account(CUSTOMER_ACCOUNT).duration_max = Some(Duration::from_secs(5));
    w.input(Input::Directory(Arc::new(rows.build())));
    w.pass_secs(19);
    assert!(w.settled.is_empty());
    w.pass_secs(1);
    assert_eq!(w.settlement().talked, Duration::from_secs(20));
}
