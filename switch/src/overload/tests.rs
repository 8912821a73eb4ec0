//! Controller and shedder together, in virtual time, over a queue in which every message costs time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Duration;

use super::*;

/// Of one processor: what a call costs that is carried, with all its messages …
const INVITE_US: u64 = 400;
const ANSWER_US: u64 = 300;
const BYE_US: u64 = 300;
/// … and what one costs that is refused.
const REFUSED_US: u64 = 60;
/// So many calls a second are as many as can be.
const CAPACITY: u64 = 1_000_000 / (INVITE_US + ANSWER_US + BYE_US);
/// Callers give up a call that nothing is heard of in this time.
const PATIENCE_US: u64 = 500_000;
const RINGS_US: u64 = 100_000;
const TALKS_US: u64 = 2_000_000;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Invite { first_at: u64, is_repeated: bool },
    Answer,
    Bye,
}

#[derive(Default, Debug)]
struct Outcome {
    offered: u64,
    completed: u64,
    refused: u64,
    longest_wait_us: u64,
}

/// Sources by number, with how many calls a second each offers; by source what became of them in the last
/// `counted_s` of `lasting_s` seconds.
fn play(offers: &[(u32, u64, bool)], lasting_s: u64, counted_s: u64) -> BTreeMap<u32, Outcome> {
    let mut arrivals = BinaryHeap::new();
    for (source, per_second, _) in offers {
        for n in 0..per_second * lasting_s {
            // Not all at the same moment.
            let at = n * 1_000_000 / per_second + u64::from(*source) * 37 % 1_000;
            let what = What::Invite { first_at: at, is_repeated: false };
            arrivals.push(Reverse((at, *source, what)));
        }
    }
    let is_known: BTreeMap<u32, bool> = offers.iter().map(|(s, _, known)| (*s, *known)).collect();
    let (mut controller, mut shedder) = (Controller::default(), Shedder::new(1));
    let (mut queue, mut now, end) = (VecDeque::new(), 0u64, lasting_s * 1_000_000);
    let mut outcomes: BTreeMap<u32, Outcome> = BTreeMap::new();
    while now < end {
        while let Some(Reverse((at, source, what))) =
            arrivals.peek().copied().filter(|a| a.0.0 <= now)
        {
            arrivals.pop();
            queue.push_back((at, source, what));
        }
        let oldest = queue.front().map_or(now, |(at, ..)| *at);
        let waited = Duration::from_micros(now - oldest);
        let moment = Duration::from_micros(now);
        shedder.set(moment, Pressure::Share(controller.observe(moment, waited)));
        // A batch, as a worker takes it.
        for _ in 0..32 {
            let Some((came, source, what)) = queue.pop_front() else { break };
            let outcome = outcomes.entry(source).or_default();
            let is_counted = now >= end - counted_s * 1_000_000;
            if is_counted {
                outcome.longest_wait_us = outcome.longest_wait_us.max(now - came);
            }
            now += match what {
                What::Invite { first_at, is_repeated } => {
                    outcome.offered += u64::from(is_counted && !is_repeated);
                    let wants = Wants { source, is_known: is_known[&source], what: WantsWhat::New };
                    if now - first_at > PATIENCE_US {
                        // It was repeated meanwhile, and is served for nothing.
                        INVITE_US
                    } else if shedder.admits(Duration::from_micros(now), wants) {
                        arrivals.push(Reverse((now + RINGS_US, source, What::Answer)));
                        INVITE_US
                    } else {
                        outcome.refused += u64::from(is_counted);
                        REFUSED_US
                    }
                }
                What::Answer => {
                    arrivals.push(Reverse((now + TALKS_US, source, What::Bye)));
                    ANSWER_US
                }
                What::Bye => {
                    outcome.completed += u64::from(is_counted);
                    BYE_US
                }
            };
        }
        if queue.is_empty() {
            now = arrivals.peek().map_or(end, |next| next.0.0.max(now));
        }
    }
    outcomes
}

#[track_caller]
fn goodput_in_percent(outcomes: &BTreeMap<u32, Outcome>, counted_s: u64) -> u64 {
    let completed: u64 = outcomes.values().map(|outcome| outcome.completed).sum();
    completed * 100 / (CAPACITY * counted_s)
}

#[test]
fn below_capacity_nobody_is_refused() {
    let outcomes = play(&[(1, 500, true), (2, 300, true), (3, 100, false)], 20, 10);
    for outcome in outcomes.values() {
        assert_eq!(outcome.refused, 0, "{outcome:?}");
        assert!(outcome.longest_wait_us < 40_000, "{outcome:?}");
    }
}

#[test]
fn at_twice_the_capacity_nine_tenths_of_it_are_completed_and_the_small_customer_notices_nothing() {
    let outcomes = play(&[(1, 2 * CAPACITY - 60, true), (2, 50, true), (3, 10, true)], 40, 20);
    let goodput = goodput_in_percent(&outcomes, 20);
    assert!(goodput >= 90, "{goodput} %: {outcomes:?}");
    for small in [2, 3] {
        let outcome = &outcomes[&small];
        assert_eq!(outcome.refused, 0, "{outcome:?}");
        // Those at the edges of what is counted may fall on either side.
        assert!(outcome.completed.abs_diff(outcome.offered) <= outcome.offered / 20, "{outcome:?}");
    }
    let longest = outcomes.values().map(|outcome| outcome.longest_wait_us).max();
    assert!(longest.is_some_and(|us| us < 200_000), "requests in dialogs wait too: {outcomes:?}");
}

#[test]
fn two_greedy_ones_get_the_same() {
    let outcomes = play(&[(1, 3 * CAPACITY, true), (2, CAPACITY, true)], 40, 20);
    let (one, other) = (outcomes[&1].completed, outcomes[&2].completed);
    assert!(one.abs_diff(other) <= one / 10, "{outcomes:?}");
    assert!(
        goodput_in_percent(&outcomes, 20) >= 75,
        "two refusals in three cost, too: {outcomes:?}"
    );
}

#[test]
fn strangers_do_not_take_from_customers_whatever_number_they_come_in() {
    let mut offers = vec![(1, CAPACITY / 2, true)];
    // Each of them wants less than the customer does.
    offers.extend((100..300).map(|stranger| (stranger, 10, false)));
    let outcomes = play(&offers, 40, 20);
    let customer = &outcomes[&1];
    assert!(customer.refused <= customer.offered / 50, "{customer:?}");
    let strangers: u64 = outcomes.range(100..).map(|(_, outcome)| outcome.completed).sum();
    assert!(strangers > 0, "what is left is theirs");
}

#[test]
fn help_refreshes_and_calls_whose_credentials_were_asked_for_come_first() {
    let mut shedder = Shedder::new(1);
    let at = Duration::from_millis;
    let wants = |what| Wants { source: 1, is_known: true, what };
    assert!(shedder.is_calm() && shedder.admits(at(0), wants(WantsWhat::New)));
    shedder.set(at(0), Pressure::Share(800));
    let mut admitted: BTreeMap<&str, u32> = BTreeMap::new();
    for ms in 0..3_000 {
        let mut offer = |word, what| {
            let is_in = shedder.admits(at(ms), wants(what));
            *admitted.entry(word).or_default() += u32::from(is_in && ms >= 1_000);
            is_in
        };
        // Whoever was asked for credentials shows them.
        if offer("new", WantsWhat::New) {
            offer("with credentials", WantsWhat::WithCredentials);
        }
        if ms % 20 == 0 {
            offer("help", WantsWhat::Help);
        }
        if ms % 2 == 0 {
            offer("refresh", WantsWhat::Refresh);
        }
    }
    assert_eq!((admitted["help"], admitted["refresh"]), (100, 1_000));
    let (new, with) = (admitted["new"], admitted["with credentials"]);
    assert!((360..=440).contains(&new), "a fifth: {admitted:?}");
    assert!(with + 10 >= new, "no challenge was for nothing: {admitted:?}");
    shedder.set(at(3_000), Pressure::All);
    assert!(!shedder.admits(at(3_000), wants(WantsWhat::Help)), "nothing can be recorded");
    shedder.set(at(3_001), Pressure::Share(0));
    assert!(shedder.admits(at(3_001), wants(WantsWhat::New)));
}

#[test]
fn more_sources_than_there_is_room_for_share_what_one_gets() {
    let mut shedder = Shedder::new(1);
    shedder.set(Duration::ZERO, Pressure::Share(500));
    let mut admitted = 0;
    for n in 0..100_000u32 {
        let wants = Wants { source: n, is_known: false, what: WantsWhat::New };
        admitted += u32::from(shedder.admits(Duration::from_micros(n.into()) * 50, wants));
    }
    assert!((100..=80_000).contains(&admitted), "{admitted}");
}

#[test]
fn whoever_calls_for_help_all_the_time_has_its_share_and_no_more() {
    let mut shedder = Shedder::new(1);
    shedder.set(Duration::ZERO, Pressure::Share(900));
    let mut admitted: BTreeMap<u32, u32> = BTreeMap::new();
    // A known one floods, another calls now and then, and a thousand strangers flood together.
    for ms in 0..10_000u32 {
        let mut calls = |source: u32, is_known| {
            let wants = Wants { source, is_known, what: WantsWhat::Help };
            let is_in = shedder.admits(Duration::from_millis(ms.into()), wants);
            *admitted.entry(source.min(3)).or_default() += u32::from(is_in);
        };
        calls(1, true);
        if ms % 100 == 0 {
            calls(2, true);
        }
        calls(3 + ms % 1_000, false);
    }
    assert_eq!(admitted[&2], 100, "it wants little");
    assert!((1_000..5_000).contains(&admitted[&1]), "not half of it: {admitted:?}");
    assert!((1_000..=2_500).contains(&admitted[&3]), "as one: {admitted:?}");
}

#[test]
fn before_anybody_is_counted_the_first_request_of_each_customer_gets_in() {
    let mut shedder = Shedder::new(1);
    shedder.set(Duration::ZERO, Pressure::Share(900));
    let mut asks = |source, is_known| {
        let wants = Wants { source, is_known, what: WantsWhat::New };
        shedder.admits(Duration::ZERO, wants)
    };
    let flooded = (0..100).filter(|_| asks(1, true)).count();
    assert!((10..=12).contains(&flooded), "a tenth: {flooded}");
    assert!((2..50).all(|small| asks(small, true)), "one call each");
    let strangers = (100..200).filter(|stranger| asks(*stranger, false)).count();
    assert!((9..=11).contains(&strangers), "anybody can make those up: {strangers}");
}
