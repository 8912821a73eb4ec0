//! What each rule finds (S4), in virtual time.

use crate::directory::{AccountRow, DirectoryBuilder, Limits, Settings};
use crate::routing::{Clock, TimeWindow, WindowId};

use super::*;

const ACCOUNT: AccountId = AccountId(7);
/// A Monday, 00:00 UTC.
const MONDAY: Utc = Utc(1_699_833_600_000_000);

struct World {
    fraud: Fraud,
    directory: Directory,
}

fn rule(check: FraudCheck, action: FraudAction) -> FraudRule {
    FraudRule { id: FraudRuleId(1), check, action }
}

fn at(seconds: u64) -> Now {
    let since = Duration::from_secs(seconds);
    Now { monotonic: Duration::from_secs(36_000) + since, utc: MONDAY.plus(since) }
}

fn countries(names: &[&str]) -> Box<[Country]> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

impl World {
    fn new(check: FraudCheck, action: FraudAction, known: &[&str]) -> World {
        let rules = Box::new([rule(check, action)]);
        let fraud = AccountFraud { rules, countries: countries(known), hold: None };
        let row = AccountRow { fraud: Some(fraud.into()), ..AccountRow::new(ACCOUNT, "a") };
        let nights = TimeWindow {
            id: WindowId(5),
            name: "nights".into(),
            clock: Clock::new("UTC", 0, [].into()),
            holidays: Box::default(),
            spans: Box::new(["mon-sun 22:00-06:00".parse().unwrap()]),
        };
        let builder = DirectoryBuilder::new(Settings::default(), 1).account(row);
        let directory = builder.time_windows(vec![nights]).build().unwrap();
        World { fraud: Fraud::default(), directory }
    }

    fn rules(&self) -> FraudRules<'_> {
        self.directory.fraud_rules(ACCOUNT).unwrap()
    }

    fn try_call(&self, at_s: u64, cli: &str, called: &str) -> Verdict {
        let (cli, outside) = (cli.parse().ok(), called.parse().ok());
        let attempt = Attempt { account: ACCOUNT, cli, outside };
        self.fraud.attempt(at(at_s), &self.directory, self.rules(), &attempt)
    }

    fn end(&self, at_s: u64, watched: Watched, talked_s: Option<u64>) -> Vec<Trip> {
        let talked = talked_s.map(Duration::from_secs);
        self.fraud.ended(at(at_s), Some(self.rules()), watched, talked)
    }
}

const DE: &str = "4930123456";
const GB: &str = "442079460000";
const FR: &str = "33142685300";
/// A premium number of Germany.
const DE_PREMIUM: &str = "499001234567";

/// Calls that last until the end, each with whether the rule finds something in it.
#[track_caller]
fn finds(check: FraudCheck, known: &[&str], calls: &[(u64, &str, &str, bool)]) {
    let world = World::new(check, FraudAction::Alarm, known);
    for (n, (at_s, cli, called, expected)) in calls.iter().enumerate() {
        let verdict = world.try_call(*at_s, cli, called);
        assert_eq!(!verdict.trips.is_empty(), *expected, "call {n}: {verdict:?}");
        assert!(verdict.watched.is_some(), "an alarm refuses nothing");
    }
}

#[test]
fn calls_per_caller_are_counted_for_each_caller_over_a_minute() {
    let of = |at_s, cli, found| (at_s, cli, DE, found);
    finds(
        FraudCheck::CallsPerCli(2),
        &[],
        &[
            of(0, "111", false),
            of(1, "111", false),
            of(2, "222", false),
            of(3, "111", true),
            of(4, "222", false),
            // Half a minute later half of what was still counts.
            of(90, "111", false),
            of(91, "111", true),
            of(300, "111", false),
            // Whoever hides its number is not one caller.
            of(301, "", false),
            of(301, "", false),
            of(301, "", false),
        ],
    );
}

#[test]
fn countries_are_counted_at_once_and_over_an_hour() {
    let to = |at_s, called, found| (at_s, "111", called, found);
    finds(
        FraudCheck::CountriesAtOnce(2),
        &[],
        &[to(0, DE, false), to(0, DE, false), to(1, GB, false), to(9, FR, true)],
    );
    finds(
        FraudCheck::CountriesPerHour(2),
        &[],
        &[
            to(0, DE, false),
            to(10, GB, false),
            to(20, FR, true),
            to(3_609, DE, true),
            // All but the last one are an hour old.
            to(3_700, DE, false),
            to(3_701, GB, false),
        ],
    );
}

#[test]
fn countries_of_calls_that_ended_or_were_refused_are_not_called_any_more() {
    let block = FraudAction::Block(Some(Duration::ZERO));
    let world = World::new(FraudCheck::CountriesAtOnce(1), block, &[]);
    let first = world.try_call(0, "1", DE).watched.unwrap();
    let second = world.try_call(1, "1", DE).watched.unwrap();
    assert!(world.try_call(2, "1", GB).watched.is_none(), "one country at a time");
    world.end(3, first, None);
    assert!(world.try_call(4, "1", GB).watched.is_none(), "the other call is still there");
    world.end(5, second, Some(9));
    let third = world.try_call(6, "1", GB).watched.unwrap();
    // Its rules may be gone by then.
    world.fraud.ended(at(7), None, third, None);
    assert!(world.try_call(8, "1", FR).watched.is_some());
    assert_eq!(world.fraud.hold_of(at(9).utc, ACCOUNT), None, "only the calls were refused");
}

#[test]
fn a_new_country_is_found_once_and_the_first_of_all_never() {
    let to = |at_s, called, found| (at_s, "111", called, found);
    let new = FraudCheck::NewCountry;
    finds(new, &["DE"], &[to(0, DE, false), to(1, GB, true), to(2, GB, false), to(3, FR, true)]);
    finds(new, &[], &[to(0, GB, false), to(1, GB, false), to(2, DE, true)]);
    // Short numbers are in no country.
    finds(new, &["DE"], &[to(0, "112", false)]);

    let world = World::new(new, FraudAction::Block(Some(Duration::ZERO)), &["DE"]);
    for at_s in [0, 1] {
        let verdict = world.try_call(at_s, "1", GB);
        assert_eq!((verdict.trips.len(), verdict.learned), (1, None), "refused, so not learned");
    }
}

#[test]
fn hours_are_those_of_the_window_for_the_class_and_country() {
    let to = |hour: u64, called, found| (hour * 3_600, "111", called, found);
    let hours = |class, country: Option<&str>| FraudCheck::Hours {
        window: WindowId(5),
        class,
        country: country.map(|name| name.parse().unwrap()),
    };
    finds(hours(None, None), &[], &[to(5, DE, true), to(7, DE, false), to(23, DE, true)]);
    let abroad = [to(23, DE, false), to(23, GB, true), to(12, GB, false)];
    finds(hours(None, Some("GB")), &[], &abroad);
    let premium = [to(23, DE, false), to(23, DE_PREMIUM, true)];
    finds(hours(Some(NumberClass::Premium), None), &[], &premium);
}

#[test]
fn a_storm_of_short_calls_is_a_share_of_the_answered_ones() {
    let below = Duration::from_secs(10);
    let storm = FraudCheck::ShortCalls { below, percent: 75, among: 4 };
    let world = World::new(storm, FraudAction::Block(Some(Duration::from_secs(60))), &[]);
    // How long the calls talk, and whether a storm is found at their ends.
    let calls = [
        (Some(3), false),
        (None, false),
        (Some(30), false),
        (Some(9), false),
        (None, false),
        (Some(1), true),
        // Counted anew from there.
        (Some(1), false),
        (Some(1), false),
        (Some(1), false),
        (Some(10), true),
    ];
    for (n, (talked_s, expected)) in calls.into_iter().enumerate() {
        let watched = world.try_call(n as u64, "1", DE).watched.unwrap();
        let trips = world.end(n as u64, watched, talked_s);
        assert_eq!(!trips.is_empty(), expected, "call {n}");
    }
    let hold = world.fraud.hold_of(at(9).utc, ACCOUNT).unwrap();
    assert_eq!((hold.kind, hold.until), (FraudKind::ShortCalls, Some(at(65).utc)));
    assert!(world.fraud.hold_of(at(64).utc, ACCOUNT).is_some());
    assert_eq!(world.fraud.hold_of(at(65).utc, ACCOUNT), None, "a minute after the first storm");
    assert_eq!(world.fraud.held(), 0);
}

#[test]
fn premium_minutes_are_those_of_an_hour() {
    let world = World::new(FraudCheck::PremiumMinutes(10), FraudAction::Alarm, &[]);
    let talk = |at_s: u64, called: &str, talked_s: u64| {
        let before = world.try_call(at_s, "1", called);
        let after = world.end(at_s, before.watched.unwrap(), Some(talked_s));
        (before.trips.len(), after.len())
    };
    assert_eq!(talk(0, DE, 3_000), (0, 0));
    assert_eq!(talk(10, DE_PREMIUM, 300), (0, 0));
    assert_eq!(talk(20, DE_PREMIUM, 330), (0, 1), "ten and a half minutes");
    assert_eq!(talk(30, DE_PREMIUM, 0), (1, 1), "and each call until they are forgotten");
    assert_eq!(talk(30, DE, 60), (0, 0));
    assert_eq!(talk(2 * 3_600, DE_PREMIUM, 60), (0, 0));
}

#[test]
fn what_is_found_again_within_an_hour_is_no_news() {
    let world = World::new(FraudCheck::CallsPerCli(0), FraudAction::Alarm, &[]);
    let is_news = |at_s: u64| world.try_call(at_s, "1", DE).trips[0].is_news;
    assert_eq!([0, 1, 3_599, 3_600, 3_601].map(is_news), [true, false, false, true, false]);
}

#[test]
fn a_block_stays_whatever_else_is_found_and_a_reduction_gives_way_to_it() {
    let limits = Limits { concurrent: Some(2), per_second: None };
    let world = World::new(FraudCheck::CallsPerCli(0), FraudAction::Reduce(limits, None), &[]);
    let verdict = world.try_call(0, "1", DE);
    assert!(verdict.watched.is_some() && verdict.trips[0].hold.is_some());
    let hold = world.fraud.hold_of(at(0).utc, ACCOUNT).unwrap();
    assert_eq!((hold.reduced_to, hold.until), (Some(limits), None));

    let mut blocked = world.rules().own.unwrap().clone();
    blocked.rules[0].action = FraudAction::Block(None);
    let rules = FraudRules::of(Some(&blocked), &[]).unwrap();
    let attempt = Attempt { account: ACCOUNT, cli: "1".parse().ok(), outside: None };
    let verdict = world.fraud.attempt(at(1), &world.directory, rules, &attempt);
    assert!(verdict.watched.is_none() && verdict.trips[0].hold.is_some());
    assert_eq!(world.try_call(2, "1", DE).trips[0].hold, None, "it is blocked already");
    assert_eq!(world.fraud.hold_of(at(3).utc, ACCOUNT).unwrap().reduced_to, None);
    assert_eq!(world.fraud.held(), 1);
}

#[test]
fn what_is_stored_comes_back_and_what_is_taken_away_is_lifted() {
    let action = FraudAction::Block(Some(Duration::from_secs(600)));
    let world = World::new(FraudCheck::NewCountry, action, &["DE"]);
    let hold = world.try_call(0, "1", GB).trips[0].hold;
    let stored = |hold: Option<Hold>| AccountFraud {
        countries: countries(&["DE"]),
        hold,
        ..AccountFraud::default()
    };
    let configure = |at_s: u64, stored: &AccountFraud| {
        world.fraud.configure(at(at_s).utc, [(ACCOUNT, Some(stored))].into_iter());
    };
    let is_held = |at_s: u64| world.fraud.hold_of(at(at_s).utc, ACCOUNT).is_some();
    configure(1, &stored(None));
    assert!(is_held(1), "it is on its way to the store");
    configure(2, &stored(hold));
    assert!(is_held(2));
    configure(3, &stored(None));
    assert!(!is_held(3), "somebody has lifted it");
    configure(4, &stored(hold));
    assert!(is_held(599) && !is_held(600));
    // After a restart.
    configure(601, &stored(hold));
    assert!(!is_held(601), "it is over");
    assert_eq!(world.fraud.held(), 0);
}

fn reduced(lasting_s: u64) -> (Limits, FraudAction) {
    let limits = Limits { concurrent: Some(2), per_second: None };
    (limits, FraudAction::Reduce(limits, Some(Duration::from_secs(lasting_s))))
}

#[test]
fn a_reduction_that_is_found_again_lasts_longer_and_is_stored_once_an_hour() {
    let world = World::new(FraudCheck::PremiumMinutes(0), reduced(1_800).1, &[]);
    // When it is found, and whether that is told and stored.
    for (at_s, is_stored) in [(0, true), (1, false), (1_700, false), (3_400, false), (3_600, true)]
    {
        let trip = world.try_call(at_s, "1", DE_PREMIUM).trips.remove(0);
        assert_eq!((trip.hold.is_some(), trip.is_news), (is_stored, is_stored), "at {at_s} s");
        let until = world.fraud.hold_of(at(at_s).utc, ACCOUNT).unwrap().until;
        assert_eq!(until, Some(at(at_s + 1_800).utc), "at {at_s} s");
    }
    // One after its end is a new one.
    assert!(world.try_call(5_400, "1", DE_PREMIUM).trips[0].hold.is_some());
    assert_eq!(world.fraud.held(), 1);
}

#[test]
fn a_reduction_until_it_is_lifted_is_stored_once() {
    let action = FraudAction::Reduce(reduced(0).0, None);
    let world = World::new(FraudCheck::PremiumMinutes(0), action, &[]);
    let trip = |at_s| world.try_call(at_s, "1", DE_PREMIUM).trips.remove(0);
    assert!(trip(0).hold.is_some());
    let again = trip(3_600);
    assert_eq!((again.hold, again.is_news), (None, true));
}

fn configure(world: &World, at_s: u64, hold: Option<Hold>) -> Option<Hold> {
    let stored = AccountFraud { hold, ..AccountFraud::default() };
    world.fraud.configure(at(at_s).utc, [(ACCOUNT, Some(&stored))].into_iter());
    world.fraud.hold_of(at(at_s).utc, ACCOUNT)
}

#[test]
fn what_was_stored_and_goes_on_for_longer_is_not_cut_short() {
    let world = World::new(FraudCheck::PremiumMinutes(0), reduced(600).1, &[]);
    let stored = world.try_call(0, "1", DE_PREMIUM).trips[0].hold;
    assert_eq!(configure(&world, 1, stored), stored);
    world.try_call(300, "1", DE_PREMIUM);
    let until = |hold: Option<Hold>| hold.and_then(|hold| hold.until);
    assert_eq!(until(configure(&world, 301, stored)), Some(at(900).utc));
    assert_eq!(until(configure(&world, 601, None)), Some(at(900).utc), "it has run out there");
    assert_eq!(configure(&world, 900, None), None);
}

#[test]
fn a_stored_block_wins_over_a_newer_reduction_and_a_lift_over_both() {
    let world = World::new(FraudCheck::PremiumMinutes(0), reduced(600).1, &[]);
    let since = at(0).utc;
    let block = Hold { kind: FraudKind::Hours, reduced_to: None, since, until: None };
    let find = |at_s| world.try_call(at_s, "1", DE_PREMIUM).trips.remove(0).hold;
    assert!(find(5).is_some());
    assert_eq!(configure(&world, 6, Some(block)), Some(block));
    assert_eq!(configure(&world, 7, None), None, "somebody has lifted the block");
    let stored = find(8);
    assert_eq!(configure(&world, 9, stored), stored);
    // What has come since is of this process alone.
    find(10);
    assert_eq!(configure(&world, 11, None), None, "somebody has lifted the reduction");
    assert_eq!(world.fraud.held(), 0);
}

#[test]
fn a_refused_call_to_one_country_more_does_not_stand_against_the_usual_ones() {
    let block = FraudAction::Block(Some(Duration::ZERO));
    let world = World::new(FraudCheck::CountriesPerHour(2), block, &[]);
    let is_accepted = |at_s, called| world.try_call(at_s, "1", called).watched.is_some();
    assert!(is_accepted(0, DE) && is_accepted(1, GB) && !is_accepted(2, FR));
    assert!(is_accepted(3, DE) && is_accepted(4, GB) && !is_accepted(5, FR));
    assert!(is_accepted(3_602, DE) && is_accepted(3_604, FR), "the last call to GB is an hour old");
}

#[test]
fn what_could_not_be_stored_is_shown_and_lifted() {
    let world = World::new(FraudCheck::PremiumMinutes(0), FraudAction::Block(None), &[]);
    let hold = world.try_call(0, "1", DE_PREMIUM).trips[0].hold.unwrap();
    let now = at(1).utc;
    assert_eq!(world.fraud.unstored(now), [(ACCOUNT, hold)]);
    assert_eq!(world.fraud.lift(now, ACCOUNT), Some(hold));
    assert_eq!((world.fraud.held(), world.fraud.lift(now, ACCOUNT)), (0, None));
    assert_eq!(configure(&world, 2, Some(hold)), Some(hold));
    assert_eq!(world.fraud.unstored(now), []);
}
