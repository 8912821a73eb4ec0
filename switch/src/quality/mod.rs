//! How good trunks are at carrying calls (T4): how many they answer (ASR), how long those calls last
//! (ACD) and how long callers hear nothing (PDD), in a window of time and for a set of destinations. A
//! trunk that does not keep the limits of its rule is left, gets some calls on trial when its time is
//! over, and is back when these were better than the limits by some more.
//!
//! Shared by all shards. A call that leaves by a trunk that has a rule tells three times: when it is sent
//! there, when it is answered or not, and when it ends. An answer is told when it comes: told at the end
//! of the call, it would come later than a failure and every figure of a busy hour's beginning would be
//! too low. While no trunk is left, which is nearly always, routing costs one look at an atomic.

mod rule;
mod window;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use vocabulary::{TrunkId, Utc};

pub use rule::{Demands, QualityRule, QualityRuleId, QualityRules, Watch};
use window::{Event, Window};
pub use window::{Figures, Ground, Standing};

const PARTS: usize = 16;
/// Windows of one part. What is beyond is not watched, and counted.
const WINDOWS_MAX: usize = 2_048;
/// Changes that wait for whoever stores them; beyond, the oldest is forgotten.
const CHANGES_MAX: usize = 1_024;
/// Trunks are graded in steps of so many percent of ASR; within one they go by cost.
const GRADE_STEP: u8 = 5;

/// A call that goes by a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    key: u64,
    /// It is one of the trial that began then.
    trial: Option<Utc>,
    answered_at: Option<Utc>,
}

/// Why a call is not to take a trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poor {
    /// It is left for a while.
    Dropped,
    /// It is on trial, and has the calls for that.
    OnTrial,
}

/// A trunk is left, or back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QualityChange {
    /// Which.
    pub trunk: TrunkId,
    /// For calls to numbers that begin so.
    pub prefix: Box<str>,
    /// By which rule.
    pub rule: QualityRuleId,
    /// When.
    pub at: Utc,
    /// How it stands now.
    pub standing: Standing,
}

/// A window, for whoever wants to see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QualityView {
    /// Whose calls.
    pub trunk: TrunkId,
    /// To numbers that begin so.
    pub prefix: Box<str>,
    /// By which rule.
    pub rule: QualityRuleId,
    /// How the trunk stands.
    pub standing: Standing,
    /// What its calls were like.
    pub figures: Figures,
}

#[derive(Debug)]
struct Watched {
    rule: QualityRuleId,
    trunk: TrunkId,
    prefix: Box<str>,
    window: Window,
}

type Part = HashMap<u64, Watched, FixedState>;

/// All windows.
#[derive(Debug, Default)]
pub struct Quality {
    parts: [Mutex<Part>; PARTS],
    /// How many windows are not open; changed only under the lock of the window.
    not_open: AtomicUsize,
    unwatched: AtomicU64,
    changes: Mutex<VecDeque<QualityChange>>,
}

/// A panic while a lock is held leaves plain values that are all valid. So a poisoned lock is used on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Quality {
    fn part(&self, key: u64) -> MutexGuard<'_, Part> {
        lock(&self.parts[(key >> 60) as usize])
    }

    /// Changes a window, and keeps the count of those that are not open.
    fn change<T>(&self, watched: &mut Watched, act: impl FnOnce(&mut Window) -> T) -> T {
        let before = watched.window.is_open();
        let result = act(&mut watched.window);
        match (before, watched.window.is_open()) {
            (true, false) => _ = self.not_open.fetch_add(1, Ordering::Relaxed),
            (false, true) => _ = self.not_open.fetch_sub(1, Ordering::Relaxed),
            _ => {}
        }
        result
    }

    fn window<'a>(&self, part: &'a mut Part, watch: &Watch<'_>) -> Option<&'a mut Watched> {
        let key = watch.key();
        if !part.contains_key(&key) && part.len() >= WINDOWS_MAX {
            self.unwatched.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(part.entry(key).or_insert_with(|| Watched {
            rule: watch.rule.id,
            trunk: watch.trunk,
            prefix: watch.prefix.into(),
            window: Window::new(watch.rule.demands),
        }))
    }

    /// A call is sent there; `None` if there are too many windows already.
    pub(crate) fn place(&self, now: Utc, watch: &Watch<'_>) -> Option<Placed> {
        let key = watch.key();
        let mut part = self.part(key);
        let watched = self.window(&mut part, watch)?;
        let trial = self.change(watched, |window| window.place(now, watch.rule.demands));
        Some(Placed { key, trial, answered_at: None })
    }

    fn note(&self, now: Utc, placed: Placed, event: Event) {
        let mut part = self.part(placed.key);
        let Some(watched) = part.get_mut(&placed.key) else { return };
        let became = self.change(watched, |window| window.note(now, placed.trial, event));
        if let Some(standing) = became {
            self.tell(now, watched, standing);
        }
    }

    fn tell(&self, at: Utc, watched: &Watched, standing: Standing) {
        let Watched { rule, trunk, ref prefix, .. } = *watched;
        let change = QualityChange { trunk, prefix: prefix.clone(), rule, at, standing };
        let mut changes = lock(&self.changes);
        if changes.len() == CHANGES_MAX {
            changes.pop_front();
        }
        changes.push_back(change);
    }

    /// It did not answer; how long the caller heard nothing, if that says something.
    pub(crate) fn failed(&self, now: Utc, placed: Placed, waited: Option<Duration>) {
        self.note(now, placed, Event::Outcome { is_answered: false, waited });
    }

    /// It answered, after so long without a sound.
    pub(crate) fn answered(&self, now: Utc, placed: &mut Placed, waited: Duration) {
        placed.answered_at = Some(now);
        let waited = Some(waited);
        self.note(now, *placed, Event::Outcome { is_answered: true, waited });
    }

    /// The call is over; if it was not answered, nobody waited for that to the end.
    pub(crate) fn ended(&self, now: Utc, placed: Placed, talked: Duration) {
        match placed.answered_at {
            Some(answered_at) => self.note(now, placed, Event::Ended { answered_at, talked }),
            None => self.failed(now, placed, None),
        }
    }

    /// Whether any trunk is left out or on trial: one look at an atomic.
    pub(crate) fn has_left(&self) -> bool {
        self.not_open.load(Ordering::Relaxed) != 0
    }

    /// Whether a call is better sent elsewhere.
    pub(crate) fn objection(&self, at: Utc, watch: &Watch<'_>) -> Option<Poor> {
        if !self.has_left() {
            return None;
        }
        let key = watch.key();
        let mut part = self.part(key);
        let window = &mut part.get_mut(&key)?.window;
        window.follow(watch.rule.demands);
        match window.standing(at) {
            Standing::Open => None,
            Standing::Dropped { .. } => Some(Poor::Dropped),
            Standing::OnTrial { .. } => window.has_its_trial(at).then_some(Poor::OnTrial),
        }
    }

    /// ASR in percent, in steps; of a trunk of which not enough is known, or that is on trial, the best:
    /// nobody knows better until it has carried some calls.
    pub(crate) fn grade(&self, at: Utc, watch: &Watch<'_>) -> u8 {
        let key = watch.key();
        let part = self.part(key);
        let Some(watched) = part.get(&key) else { return 100 };
        if matches!(watched.window.standing(at), Standing::OnTrial { .. }) {
            return 100;
        }
        let figures = watched.window.figures(at);
        let is_known = figures.calls >= watch.rule.demands.calls_min;
        let asr = figures.asr_permille().filter(|_| is_known);
        asr.map_or(100, |permille| (permille / 10) as u8 / GRADE_STEP * GRADE_STEP)
    }

    /// Of trunks that are all left, how good one is: on trial before dropped, then by ASR.
    pub(crate) fn goodness(&self, at: Utc, watch: &Watch<'_>) -> (bool, u16) {
        let key = watch.key();
        let part = self.part(key);
        let Some(watched) = part.get(&key) else { return (true, u16::MAX) };
        let is_on_trial = matches!(watched.window.standing(at), Standing::OnTrial { .. });
        (is_on_trial, watched.window.figures(at).asr_permille().unwrap_or(u16::MAX))
    }

    /// An operator has the trunk left for a while, for the calls that are judged with those to this
    /// prefix, or has it get calls again. By which rule and until when; `None` if no rule is about it.
    pub fn set_by_hand(
        &self,
        now: Utc,
        rules: &QualityRules,
        (trunk, prefix): (TrunkId, &str),
        drop_for: Option<Duration>,
    ) -> Option<QualityView> {
        let rule = rules.find(trunk, prefix)?;
        let watch = Watch::of_prefix(rule, trunk, prefix);
        let mut part = self.part(watch.key());
        let watched = self.window(&mut part, &watch)?;
        let until = drop_for.map(|drop_for| now.plus(drop_for));
        self.change(watched, |window| window.set_by_hand(now, until));
        self.tell(now, watched, watched.window.standing(now));
        Some(watched.view(now))
    }

    /// All windows, by trunk, prefix and rule.
    pub fn views(&self, now: Utc) -> Vec<QualityView> {
        let mut views = Vec::new();
        for part in &self.parts {
            views.extend(lock(part).values().map(|watched| watched.view(now)));
        }
        views.sort_by(|one, other| {
            let order = |view: &QualityView| (view.trunk, view.rule);
            (order(one), &one.prefix).cmp(&(order(other), &other.prefix))
        });
        views
    }

    /// Forgets windows of one part that nothing is known of any more, and those of rules that are gone.
    pub(crate) fn sweep(&self, now: Utc, part: usize, rules: &QualityRules) {
        let mut part = lock(&self.parts[part % PARTS]);
        part.retain(|_, watched| {
            let keeps = rules.has(watched.rule) && !watched.window.is_idle(now);
            if !keeps && !watched.window.is_open() {
                self.not_open.fetch_sub(1, Ordering::Relaxed);
            }
            keeps
        });
    }

    /// How many windows there are, how many of them are not open, and how many calls were not watched
    /// because there were too many.
    pub fn counts(&self) -> (usize, usize, u64) {
        let windows = self.parts.iter().map(|part| lock(part).len()).sum();
        let unwatched = self.unwatched.load(Ordering::Relaxed);
        (windows, self.not_open.load(Ordering::Relaxed), unwatched)
    }

    /// The oldest change that was not taken yet.
    pub fn poll_change(&self) -> Option<QualityChange> {
        lock(&self.changes).pop_front()
    }
}

impl Watched {
    fn view(&self, now: Utc) -> QualityView {
        QualityView {
            trunk: self.trunk,
            prefix: self.prefix.clone(),
            rule: self.rule,
            standing: self.window.standing(now),
            figures: self.window.figures(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(demands: Demands) -> QualityRule {
        let (id, prefix) = (QualityRuleId(1), "44".into());
        QualityRule { id, trunk: None, prefix, is_by_route: true, demands }
    }

    fn strict() -> Demands {
        let (window, drop) = (Duration::from_secs(60), Duration::from_secs(30));
        Demands { window, drop, calls_min: 2, asr_min: Some(50), ..Demands::default() }
    }

    fn fail(quality: &Quality, now: Utc, watch: &Watch<'_>, calls: usize) {
        for _ in 0..calls {
            let placed = quality.place(now, watch).unwrap();
            quality.failed(now, placed, None);
        }
    }

    #[test]
    fn each_trunk_and_prefix_stands_for_itself() {
        // T4
        let (quality, rule) = (Quality::default(), rule(strict()));
        let number = "4420123".parse().unwrap();
        let watch = |trunk, routed_by| Watch::new(&rule, TrunkId(trunk), &number, routed_by);
        let now = Utc(1_000_000_000);
        fail(&quality, now, &watch(1, 4), 2);
        assert_eq!(quality.objection(now, &watch(1, 4)), Some(Poor::Dropped));
        assert_eq!(quality.objection(now, &watch(2, 4)), None);
        assert_eq!(quality.objection(now, &watch(1, 3)), None);
        let change = quality.poll_change().unwrap();
        assert_eq!((change.trunk, &*change.prefix), (TrunkId(1), "4420"));
        assert_eq!(change.standing.word(), "dropped");
        assert_eq!(quality.poll_change(), None);
        let later = now.plus(Duration::from_secs(30));
        assert_eq!(quality.objection(later, &watch(1, 4)), None);
        for _ in 0..5 {
            quality.place(later, &watch(1, 4)).unwrap();
        }
        assert_eq!(quality.objection(later, &watch(1, 4)), Some(Poor::OnTrial));
    }

    #[test]
    fn grades_go_in_steps_and_what_is_not_known_is_the_best() {
        let demands = Demands { asr_min: None, calls_min: 10, ..strict() };
        let (quality, rule) = (Quality::default(), rule(demands));
        let number = "4420123".parse().unwrap();
        let watch = Watch::new(&rule, TrunkId(1), &number, 2);
        let now = Utc(1_000_000_000);
        assert_eq!(quality.grade(now, &watch), 100);
        fail(&quality, now, &watch, 3);
        assert_eq!(quality.grade(now, &watch), 100);
        for _ in 0..10 {
            let mut placed = quality.place(now, &watch).unwrap();
            quality.answered(now, &mut placed, Duration::from_secs(1));
        }
        // 76.9 %.
        assert_eq!(quality.grade(now, &watch), 75);
    }

    #[test]
    fn an_operator_drops_and_lifts() {
        let (quality, rule) = (Quality::default(), rule(strict()));
        let rules = QualityRules::new([rule.clone()]);
        let number = "4420123".parse().unwrap();
        let watch = Watch::new(&rule, TrunkId(1), &number, 4);
        let now = Utc(1_000_000_000);
        let hand =
            |prefix, drop_for| quality.set_by_hand(now, &rules, (TrunkId(1), prefix), drop_for);
        assert_eq!(hand("4", None), None);
        let hour = Duration::from_secs(3_600);
        let view = hand("4420", Some(hour)).unwrap();
        assert_eq!(view.standing.word(), "dropped");
        let nearly = now.plus(hour - Duration::from_secs(1));
        assert_eq!(quality.objection(nearly, &watch), Some(Poor::Dropped));
        assert_eq!(hand("4420", None).unwrap().standing, Standing::Open);
        assert_eq!(quality.objection(now, &watch), None);
        assert_eq!(quality.counts(), (1, 0, 0));
    }

    #[test]
    fn windows_are_bounded_and_swept() {
        let (quality, rule) = (Quality::default(), rule(strict()));
        let rules = QualityRules::new([rule.clone()]);
        let number = "4420123".parse().unwrap();
        let now = Utc(1_000_000_000);
        let most = (WINDOWS_MAX * PARTS) as u64;
        for trunk in 0..most + 5_000 {
            let watch = Watch::new(&rule, TrunkId(trunk), &number, 2);
            if let Some(placed) = quality.place(now, &watch) {
                quality.failed(now, placed, None);
            }
        }
        let (windows, _, unwatched) = quality.counts();
        assert!(windows as u64 <= most && unwatched >= 5_000, "{windows} {unwatched}");
        let later = now.plus(Duration::from_secs(61));
        (0..PARTS).for_each(|part| quality.sweep(later, part, &rules));
        assert_eq!(quality.counts().0, 0);
        // A rule that is gone takes its windows along, open or not.
        let watch = Watch::new(&rule, TrunkId(1), &number, 2);
        fail(&quality, now, &watch, 2);
        assert_eq!(quality.counts().1, 1);
        (0..PARTS).for_each(|part| quality.sweep(now, part, &QualityRules::default()));
        assert_eq!((quality.counts().0, quality.counts().1), (0, 0));
    }

    proptest! {
        /// The atomic says what the windows say, whatever happens in whatever order.
        #[test]
        fn the_count_follows_the_windows(
            events in proptest::collection::vec((0u64..6, 0u8..8, 0i64..20), 0..300),
        ) {
            let (quality, rule) = (Quality::default(), rule(strict()));
            let rules = QualityRules::new([rule.clone()]);
            let number = "4420123".parse().unwrap();
            let mut now = Utc(1_000_000_000);
            let mut live: Vec<Placed> = Vec::new();
            for (trunk, event, seconds) in events {
                now = now.plus(Duration::from_secs(seconds as u64));
                let watch = Watch::new(&rule, TrunkId(trunk), &number, 2);
                let key = (TrunkId(trunk), "44");
                match event {
                    0 => drop(quality.set_by_hand(now, &rules, key, Some(Duration::from_secs(9)))),
                    1 => drop(quality.set_by_hand(now, &rules, key, None)),
                    2 => quality.sweep(now, trunk as usize, &rules),
                    3 => live.extend(quality.place(now, &watch)),
                    4 | 5 => {
                        if let Some(placed) = live.pop() {
                            quality.ended(now, placed, Duration::from_secs(1));
                        }
                    }
                    _ => {
                        if let Some(placed) = live.last_mut() && placed.answered_at.is_none() {
                            quality.answered(now, placed, Duration::from_secs(1));
                        }
                    }
                }
                let mut not_open = 0;
                for part in &quality.parts {
                    not_open += lock(part).values().filter(|w| !w.window.is_open()).count();
                }
                prop_assert_eq!(quality.counts().1, not_open);
            }
        }
    }
}
