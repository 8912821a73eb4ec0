//! Which trunks are there. A trunk is asked with OPTIONS at intervals (RFC 3261 section 11); after so
//! many questions in a row without an answer it is down and gets no calls, after so many answers it is
//! up again (T4). What calls find counts too: a few in a row without an answer make us ask at once.
//!
//! Shared by all shards: one of them asks (`probing`), every one of them reads and tells what its calls
//! find. While no trunk is in trouble, which is nearly always, a call costs one look at an atomic.

mod probing;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use vocabulary::{TrunkId, Utc};

pub(crate) use probing::{Probes, is_probe};

/// So many calls in a row without an answer make a trunk suspect: it is asked at once.
const CALLS_UNANSWERED: u8 = 3;
/// Changes that wait for whoever stores them; beyond, the oldest is forgotten.
const CHANGES_MAX: usize = 1024;
const PARTS: usize = 16;

/// How a trunk's health is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbePolicy {
    /// From one question to the next.
    pub every: Duration,
    /// So many in a row without an answer, and the trunk is down.
    pub failures_max: u8,
    /// So many answers in a row, and it is up again.
    pub successes_min: u8,
}

impl ProbePolicy {
    /// The shortest interval.
    pub const EVERY_MIN: Duration = Duration::from_secs(5);
    /// The longest interval.
    pub const EVERY_MAX: Duration = Duration::from_secs(3600);
    /// The most failures or successes that can be asked for.
    pub const COUNT_MAX: u8 = 100;
}

impl Default for ProbePolicy {
    fn default() -> ProbePolicy {
        ProbePolicy { every: Duration::from_secs(30), failures_max: 3, successes_min: 2 }
    }
}

/// What is known of a trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthState {
    /// Nothing yet: it gets calls.
    Untested,
    /// It answers.
    Up,
    /// It does not: it gets no calls while another trunk could take them.
    Down,
}

impl HealthState {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            HealthState::Untested => "untested",
            HealthState::Up => "up",
            HealthState::Down => "down",
        }
    }
}

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A final response. Any but those that say that nobody is there count as an answer: who refuses
    /// OPTIONS or wants credentials for it is there.
    Status(u16),
    /// None of its addresses said anything in time.
    Silent,
    /// Its host has no address.
    Unresolved,
}

impl Outcome {
    /// Whether somebody is there to take calls. 408, 503 and 504 are what a peer says in place of
    /// those behind it.
    pub fn is_answer(self) -> bool {
        matches!(self, Outcome::Status(status) if !matches!(status, 408 | 503 | 504))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Status(status) => write!(f, "{status}"),
            Outcome::Silent => write!(f, "no answer"),
            Outcome::Unresolved => write!(f, "its host has no address"),
        }
    }
}

/// Why a trunk went down or came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// So many questions failed in a row, the last one so.
    Failures(u8, Outcome),
    /// Calls were not answered, and then a question was not either.
    CallsToo(Outcome),
    /// So many answers in a row, to questions or to calls.
    Answers(u8),
}

impl fmt::Display for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ground::Failures(count, last) => {
                write!(f, "{count} OPTIONS in a row failed, the last with: {last}")
            }
            Ground::CallsToo(last) => {
                write!(f, "{CALLS_UNANSWERED} calls in a row failed and then OPTIONS, with: {last}")
            }
            Ground::Answers(count) => write!(f, "{count} answers in a row"),
        }
    }
}

/// A trunk went down or came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthChange {
    /// Which.
    pub trunk: TrunkId,
    /// Up, or down.
    pub is_up: bool,
    /// When.
    pub at: Utc,
    /// Why.
    pub ground: Ground,
}

/// The health of one trunk, for whoever wants to see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrunkHealth {
    /// What it is.
    pub state: HealthState,
    /// Since when; `None` while it is untested.
    pub since: Option<Utc>,
    /// The last question that is over, and what came of it.
    pub last: Option<(Utc, Outcome)>,
}

#[derive(Debug)]
struct Record {
    policy: ProbePolicy,
    seen: TrunkHealth,
    /// Questions in a row that failed, while it is not down.
    failures: u8,
    /// Answers in a row, while it is down.
    successes: u8,
    /// Calls in a row without an answer, while it is not down.
    unanswered: u8,
}

impl Record {
    fn new(policy: ProbePolicy) -> Record {
        let seen = TrunkHealth { state: HealthState::Untested, since: None, last: None };
        Record { policy, seen, failures: 0, successes: 0, unanswered: 0 }
    }

    fn is_down(&self) -> bool {
        self.seen.state == HealthState::Down
    }

    fn is_suspect(&self) -> bool {
        self.unanswered >= CALLS_UNANSWERED && !self.is_down()
    }

    /// Whether an answer would change anything.
    fn is_troubled(&self) -> bool {
        self.is_down() || self.failures > 0 || self.unanswered > 0
    }

    fn enter(&mut self, state: HealthState, now: Utc) {
        self.seen.state = state;
        self.seen.since = Some(now);
        (self.failures, self.successes, self.unanswered) = (0, 0, 0);
    }

    fn answered(&mut self, now: Utc) -> Option<Ground> {
        (self.failures, self.unanswered) = (0, 0);
        match self.seen.state {
            HealthState::Up => None,
            HealthState::Untested => {
                self.enter(HealthState::Up, now);
                None
            }
            HealthState::Down => {
                self.successes = self.successes.saturating_add(1);
                let count = self.successes;
                (count >= self.policy.successes_min).then(|| {
                    self.enter(HealthState::Up, now);
                    Ground::Answers(count)
                })
            }
        }
    }

    fn probe_failed(&mut self, now: Utc, outcome: Outcome) -> Option<Ground> {
        if self.is_down() {
            self.successes = 0;
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        let ground = if self.failures >= self.policy.failures_max {
            Ground::Failures(self.failures, outcome)
        } else if self.is_suspect() {
            Ground::CallsToo(outcome)
        } else {
            return None;
        };
        self.enter(HealthState::Down, now);
        Some(ground)
    }

    fn call_failed(&mut self) {
        if self.is_down() {
            self.successes = 0;
        } else {
            self.unanswered = self.unanswered.saturating_add(1);
        }
    }
}

/// How many trunks are in which kind of trouble; each is changed only under the lock of its record.
#[derive(Debug, Default)]
struct Counts {
    down: AtomicUsize,
    suspect: AtomicUsize,
    troubled: AtomicUsize,
}

impl Counts {
    fn note(&self, before: [bool; 3], after: [bool; 3]) {
        let counters = [&self.down, &self.suspect, &self.troubled];
        for (counter, (before, after)) in counters.into_iter().zip(before.into_iter().zip(after)) {
            match (before, after) {
                (false, true) => counter.fetch_add(1, Ordering::Relaxed),
                (true, false) => counter.fetch_sub(1, Ordering::Relaxed),
                _ => continue,
            };
        }
    }
}

fn marks(record: &Record) -> [bool; 3] {
    [record.is_down(), record.is_suspect(), record.is_troubled()]
}

/// The health of every trunk that is watched.
#[derive(Debug, Default)]
pub struct Health {
    parts: [Mutex<BTreeMap<TrunkId, Record>>; PARTS],
    counts: Counts,
    changes: Mutex<VecDeque<HealthChange>>,
}

/// A panic while a lock is held leaves plain values that are all valid. So a poisoned lock is used on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Health {
    fn part(&self, trunk: TrunkId) -> MutexGuard<'_, BTreeMap<TrunkId, Record>> {
        lock(&self.parts[(trunk.0 % PARTS as u64) as usize])
    }

    /// Changes a record, if the trunk is watched, and tells of what comes of it.
    fn change(&self, now: Utc, trunk: TrunkId, act: impl FnOnce(&mut Record) -> Option<Ground>) {
        let mut part = self.part(trunk);
        let Some(record) = part.get_mut(&trunk) else { return };
        let before = marks(record);
        let ground = act(record);
        self.counts.note(before, marks(record));
        let Some(ground) = ground else { return };
        let change = HealthChange { trunk, is_up: !record.is_down(), at: now, ground };
        let mut changes = lock(&self.changes);
        if changes.len() == CHANGES_MAX {
            changes.pop_front();
        }
        changes.push_back(change);
    }

    /// Begins to watch a trunk, or goes on with another policy.
    pub fn watch(&self, trunk: TrunkId, policy: ProbePolicy) {
        self.part(trunk).entry(trunk).or_insert_with(|| Record::new(policy)).policy = policy;
    }

    /// Ends it: the trunk gets calls, and nothing is known of it.
    pub fn forget(&self, trunk: TrunkId) {
        let mut part = self.part(trunk);
        if let Some(record) = part.remove(&trunk) {
            self.counts.note(marks(&record), [false; 3]);
        }
    }

    /// A question is over.
    pub fn probed(&self, now: Utc, trunk: TrunkId, outcome: Outcome) {
        self.change(now, trunk, |record| {
            record.seen.last = Some((now, outcome));
            match outcome.is_answer() {
                true => record.answered(now),
                false => record.probe_failed(now, outcome),
            }
        });
    }

    /// The trunk took a call or refused it: it is there.
    pub fn call_answered(&self, now: Utc, trunk: TrunkId) {
        if self.counts.troubled.load(Ordering::Relaxed) > 0 {
            self.change(now, trunk, |record| record.answered(now));
        }
    }

    /// The trunk left a call without an answer, or answered it with 503.
    pub fn call_failed(&self, now: Utc, trunk: TrunkId) {
        self.change(now, trunk, |record| {
            record.call_failed();
            None
        });
    }

    /// Whether calls are to go elsewhere.
    pub fn is_down(&self, trunk: TrunkId) -> bool {
        self.counts.down.load(Ordering::Relaxed) > 0
            && self.part(trunk).get(&trunk).is_some_and(Record::is_down)
    }

    /// Of trunks that are all down, how likely one is to take a call: how many answers in a row it has
    /// given lately, and of those alike when it went down. More is better.
    pub(crate) fn goodness(&self, trunk: TrunkId) -> (u8, i64) {
        let part = self.part(trunk);
        let record = part.get(&trunk).filter(|record| record.is_down());
        // One that came up meanwhile is better than all others.
        let since = |record: &Record| record.seen.since.map_or(i64::MIN, |since| since.0);
        record.map_or((u8::MAX, i64::MIN), |record| (record.successes, since(record)))
    }

    /// Whether a trunk is to be asked at once.
    pub(crate) fn is_suspect(&self, trunk: TrunkId) -> bool {
        self.has_suspects() && self.part(trunk).get(&trunk).is_some_and(Record::is_suspect)
    }

    fn has_suspects(&self) -> bool {
        self.counts.suspect.load(Ordering::Relaxed) > 0
    }

    /// What is known of a trunk; `None` if it is not watched.
    pub fn of(&self, trunk: TrunkId) -> Option<TrunkHealth> {
        self.part(trunk).get(&trunk).map(|record| record.seen)
    }

    /// How many trunks are in each state.
    pub fn counts(&self) -> [(HealthState, usize); 3] {
        let mut counts =
            [HealthState::Untested, HealthState::Up, HealthState::Down].map(|s| (s, 0));
        for part in &self.parts {
            for record in lock(part).values() {
                let counted = counts.iter_mut().filter(|(state, _)| *state == record.seen.state);
                counted.for_each(|(_, count)| *count += 1);
            }
        }
        counts
    }

    /// The oldest change that was not taken yet.
    pub fn poll_change(&self) -> Option<HealthChange> {
        lock(&self.changes).pop_front()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRUNK: TrunkId = TrunkId(7);
    const POLICY: ProbePolicy =
        ProbePolicy { every: Duration::from_secs(30), failures_max: 3, successes_min: 2 };

    fn watched() -> Health {
        let health = Health::default();
        health.watch(TRUNK, POLICY);
        health
    }

    /// `.` an answer to OPTIONS, `x` none, `c` a call answered, `f` a call that failed.
    fn play(health: &Health, events: &str) {
        for (at, event) in (1..).zip(events.chars()) {
            let now = Utc(at);
            match event {
                '.' => health.probed(now, TRUNK, Outcome::Status(200)),
                'x' => health.probed(now, TRUNK, Outcome::Silent),
                'c' => health.call_answered(now, TRUNK),
                _ => health.call_failed(now, TRUNK),
            }
        }
    }

    #[track_caller]
    fn check(events: &str, state: HealthState, changes: usize) {
        let health = watched();
        play(&health, events);
        assert_eq!(health.of(TRUNK).unwrap().state, state, "{events}");
        assert_eq!(health.is_down(TRUNK), state == HealthState::Down, "{events}");
        let told = std::iter::from_fn(|| health.poll_change()).count();
        assert_eq!(told, changes, "{events}");
    }

    #[test]
    fn so_many_failures_take_it_out_and_so_many_answers_bring_it_back() {
        // T4
        use HealthState::{Down, Untested, Up};
        check("", Untested, 0);
        check("xx", Untested, 0);
        check(".", Up, 0);
        check(".xx.xx", Up, 0);
        check(".xxx", Down, 1);
        check("xxx", Down, 1);
        check(".xxxx", Down, 1);
        check(".xxx.", Down, 1);
        check(".xxx.x.", Down, 1);
        check(".xxx..", Up, 2);
        check(".xxx..xx", Up, 2);
        check(".xxx..xxx", Down, 3);
    }

    #[test]
    fn calls_are_evidence_too() {
        use HealthState::{Down, Up};
        // Calls alone take nothing out: a peer that answers OPTIONS may refuse calls for its reasons.
        check(".ffffff", Up, 0);
        check(".fff.", Up, 0);
        check(".fff.x", Up, 0);
        check(".fffx", Down, 1);
        check(".ffcfx", Up, 0);
        // A call that is answered is an answer.
        check(".xxcxx", Up, 0);
        check(".xxxcc", Up, 2);
        check(".xxxcf.", Down, 1);
    }

    #[test]
    fn the_first_failed_calls_make_it_suspect_until_it_was_asked() {
        let health = watched();
        play(&health, ".ff");
        assert!(!health.is_suspect(TRUNK));
        play(&health, "f");
        assert!(health.is_suspect(TRUNK));
        play(&health, ".");
        assert!(!health.is_suspect(TRUNK));
    }

    #[test]
    fn who_says_anything_else_than_that_nobody_is_there_is_there() {
        for status in [200, 401, 403, 404, 405, 407, 480, 481, 486, 500, 501, 603] {
            assert!(Outcome::Status(status).is_answer(), "{status}");
        }
        for outcome in [408, 503, 504].map(Outcome::Status) {
            assert!(!outcome.is_answer(), "{outcome:?}");
        }
        assert!(!Outcome::Silent.is_answer() && !Outcome::Unresolved.is_answer());
    }

    #[test]
    fn a_trunk_that_is_not_watched_is_never_down() {
        let health = Health::default();
        play(&health, "xxxxfff");
        assert!(!health.is_down(TRUNK) && health.of(TRUNK).is_none());
        health.watch(TRUNK, POLICY);
        play(&health, "xxx");
        assert!(health.is_down(TRUNK));
        health.forget(TRUNK);
        assert!(!health.is_down(TRUNK));
        // Watched again it begins anew.
        health.watch(TRUNK, POLICY);
        assert_eq!(health.of(TRUNK).unwrap().state, HealthState::Untested);
    }

    #[test]
    fn the_least_bad_has_answered_last_or_went_down_last() {
        let health = Health::default();
        let all = [1, 2, 3].map(TrunkId);
        for (trunk, at) in all.into_iter().zip([10, 30, 20]) {
            health.watch(trunk, ProbePolicy { failures_max: 1, ..POLICY });
            health.probed(Utc(at), trunk, Outcome::Silent);
        }
        let best = || all.into_iter().max_by_key(|trunk| health.goodness(*trunk));
        assert_eq!(best(), Some(TrunkId(2)));
        health.probed(Utc(40), TrunkId(1), Outcome::Status(200));
        assert_eq!(best(), Some(TrunkId(1)));
    }

    #[test]
    fn the_sentences_say_what_was_found() {
        let check = |ground: Ground, expected: &str| assert_eq!(ground.to_string(), expected);
        let failed = "3 OPTIONS in a row failed, the last with: no answer";
        check(Ground::Failures(3, Outcome::Silent), failed);
        let calls = "3 calls in a row failed and then OPTIONS, with: 503";
        check(Ground::CallsToo(Outcome::Status(503)), calls);
        check(Ground::Answers(2), "2 answers in a row");
    }

    #[test]
    fn changes_that_nobody_takes_are_bounded() {
        let health = Health::default();
        health.watch(TRUNK, ProbePolicy { failures_max: 1, successes_min: 1, ..POLICY });
        for _ in 0..CHANGES_MAX {
            play(&health, "x.");
        }
        assert_eq!(std::iter::from_fn(|| health.poll_change()).count(), CHANGES_MAX);
    }

    proptest! {
        /// The atomics say what the records say, whatever happens in whatever order.
        #[test]
        fn the_counts_follow_the_records(
            events in proptest::collection::vec((0u64..40, 0u8..6), 0..300),
        ) {
            let health = Health::default();
            for (at, (trunk, event)) in (0..).zip(events) {
                let (now, trunk) = (Utc(at), TrunkId(trunk));
                match event {
                    0 => health.watch(trunk, POLICY),
                    1 => health.forget(trunk),
                    2 => health.probed(now, trunk, Outcome::Status(200)),
                    3 => health.probed(now, trunk, Outcome::Silent),
                    4 => health.call_answered(now, trunk),
                    _ => health.call_failed(now, trunk),
                }
                let mut sums = [0; 3];
                for part in &health.parts {
                    for record in lock(part).values() {
                        for (sum, mark) in sums.iter_mut().zip(marks(record)) {
                            *sum += usize::from(mark);
                        }
                    }
                }
                let counts = &health.counts;
                let counted = [&counts.down, &counts.suspect, &counts.troubled];
                prop_assert_eq!(counted.map(|count| count.load(Ordering::Relaxed)), sums);
            }
        }
    }
}
