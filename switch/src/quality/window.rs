//! What the calls of the last while were like, for one trunk and one set of destinations, and how the
//! trunk stands because of it:
//!
//! ```text
//! Open ──figures below the limits──► Dropped ──its time is over──► OnTrial ──better by the hysteresis──► Open
//!                                       ▲                             │
//!                                       └──────────── not so ─────────┘
//! ```

use std::fmt;
use std::time::Duration;

use vocabulary::Utc;

use super::rule::Demands;

/// The window moves on by so many parts of it.
const BUCKETS: usize = 12;

/// What calls were like, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Calls that the trunk answered, or did not.
    pub calls: u32,
    /// Those that it answered.
    pub answered: u32,
    /// Those that were answered and are over.
    pub ended: u32,
    /// The talk of these, milliseconds.
    pub talked_ms: u64,
    /// Calls of which it is known how long the caller heard nothing.
    pub waited: u32,
    /// How long, milliseconds.
    pub waited_ms: u64,
}

impl Figures {
    fn add(&mut self, more: &Figures) {
        self.calls = self.calls.saturating_add(more.calls);
        self.answered = self.answered.saturating_add(more.answered);
        self.ended = self.ended.saturating_add(more.ended);
        self.talked_ms = self.talked_ms.saturating_add(more.talked_ms);
        self.waited = self.waited.saturating_add(more.waited);
        self.waited_ms = self.waited_ms.saturating_add(more.waited_ms);
    }

    /// Answers for each thousand calls; `None` without calls.
    pub fn asr_permille(&self) -> Option<u16> {
        let thousands = u64::from(self.answered) * 1_000;
        thousands.checked_div(self.calls.into()).map(|permille| permille as u16)
    }

    /// Mean talk of the answered calls that are over; `None` without any.
    pub fn acd(&self) -> Option<Duration> {
        self.talked_ms.checked_div(self.ended.into()).map(Duration::from_millis)
    }

    /// Mean time until the caller heard something; `None` without a call of which it is known.
    pub fn pdd(&self) -> Option<Duration> {
        self.waited_ms.checked_div(self.waited.into()).map(Duration::from_millis)
    }
}

/// Why a trunk is left. Of the limits, the first that it did not keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// Too few of so many calls were answered: for each thousand.
    Asr(u16, u32),
    /// So many calls were too short in the mean.
    Acd(Duration, u32),
    /// It took too long until so many callers heard something.
    Pdd(Duration, u32),
    /// An operator said so.
    ByHand,
}

impl fmt::Display for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, mean, calls) = match *self {
            Ground::Asr(permille, calls) => {
                return write!(f, "ASR {}.{} % of {calls} calls", permille / 10, permille % 10);
            }
            Ground::ByHand => return write!(f, "an operator said so"),
            Ground::Acd(mean, calls) => ("ACD", mean, calls),
            Ground::Pdd(mean, calls) => ("PDD", mean, calls),
        };
        write!(f, "{what} {}.{:03} s of {calls} calls", mean.as_secs(), mean.subsec_millis())
    }
}

/// How a trunk stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It gets calls.
    Open,
    /// It is left.
    Dropped {
        /// Since then.
        since: Utc,
        /// Until then.
        until: Utc,
        /// For this.
        ground: Ground,
    },
    /// It gets some calls, after which it is back or left again.
    OnTrial {
        /// Since then.
        since: Utc,
        /// So many it has got.
        placed: u32,
        /// What they were like.
        figures: Figures,
    },
}

impl Standing {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Standing::Open => "open",
            Standing::Dropped { .. } => "dropped",
            Standing::OnTrial { .. } => "on_trial",
        }
    }
}

/// Calls that talk: how many, and the sum of the moments since which they do, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Talking {
    calls: u32,
    since_sum: i128,
}

impl Talking {
    fn begin(&mut self, at: Utc) {
        self.calls += 1;
        self.since_sum += i128::from(at.0);
    }

    fn end(&mut self, since: Utc) {
        if let Some(left) = self.calls.checked_sub(1) {
            self.calls = left;
            self.since_sum -= i128::from(since.0);
        }
    }

    /// What they have talked so far.
    fn so_far_ms(&self, now: Utc) -> u64 {
        let micros = i128::from(self.calls) * i128::from(now.0) - self.since_sum;
        u64::try_from(micros / 1_000).unwrap_or(0)
    }
}

/// One call more, of those that are judged together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Answered or not, and how long the caller heard nothing, if that is known.
    Outcome { is_answered: bool, waited: Option<Duration> },
    /// A call that was answered then has ended.
    Ended { answered_at: Utc, talked: Duration },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) demands: Demands,
    buckets: [Figures; BUCKETS],
    /// The number of the newest bucket since 1970.
    newest: i64,
    /// Calls that wait for an answer.
    waiting: u32,
    talking: Talking,
    trial_talking: Talking,
    /// When the last call of a trial was placed.
    trial_placed_at: Utc,
    standing: Standing,
}

impl Window {
    pub(super) fn new(demands: Demands) -> Window {
        Window {
            demands,
            buckets: [Figures::default(); BUCKETS],
            newest: 0,
            waiting: 0,
            talking: Talking::default(),
            trial_talking: Talking::default(),
            trial_placed_at: Utc(0),
            standing: Standing::Open,
        }
    }

    /// Moves the window on. A clock that steps back leaves it where it is.
    fn advance(&mut self, now: Utc) {
        let number = self.bucket_number(now);
        let gone = usize::try_from(number - self.newest).unwrap_or(0).min(BUCKETS);
        for step in 0..gone {
            let place = (number - step as i64).rem_euclid(BUCKETS as i64);
            self.buckets[place as usize] = Figures::default();
        }
        self.newest = self.newest.max(number);
    }

    fn bucket_number(&self, now: Utc) -> i64 {
        let width = self.demands.window.as_micros() as i64 / BUCKETS as i64;
        now.0.div_euclid(width.max(1))
    }

    fn clear(&mut self) {
        self.buckets = [Figures::default(); BUCKETS];
    }

    fn bucket(&mut self) -> &mut Figures {
        &mut self.buckets[self.newest.rem_euclid(BUCKETS as i64) as usize]
    }

    /// What the calls of the window were like.
    pub(super) fn figures(&self, now: Utc) -> Figures {
        let mut sum = Figures::default();
        let past = self.bucket_number(now) - BUCKETS as i64;
        for number in (self.newest - BUCKETS as i64 + 1).max(past + 1)..=self.newest {
            sum.add(&self.buckets[number.rem_euclid(BUCKETS as i64) as usize]);
        }
        sum
    }

    /// How the trunk stands at this moment.
    pub(super) fn standing(&self, now: Utc) -> Standing {
        match self.standing {
            Standing::Dropped { until, .. } if until <= now => trial(until),
            Standing::OnTrial { .. } if self.trial_verdict(now) == Some(None) => Standing::Open,
            // A trial whose calls do not come to an end is made again.
            Standing::OnTrial { placed, .. } if placed >= self.demands.trial_calls => {
                let again = self.trial_placed_at.plus(self.demands.drop + self.demands.window);
                if again < now { trial(again) } else { self.standing }
            }
            standing => standing,
        }
    }

    /// Whether it could be forgotten without anything being lost.
    pub(super) fn is_idle(&self, now: Utc) -> bool {
        let is_stale = match self.standing(now) {
            Standing::Open => true,
            Standing::Dropped { .. } => false,
            // Nobody sends it calls any more, or there is no such trunk.
            Standing::OnTrial { since, .. } => {
                now.since(since.max(self.trial_placed_at)) > Demands::DROP.1
            }
        };
        is_stale
            && self.waiting == 0
            && self.talking.calls == 0
            && self.figures(now) == Figures::default()
    }

    pub(super) fn is_open(&self) -> bool {
        self.standing == Standing::Open
    }

    /// From now on these are its demands.
    pub(super) fn follow(&mut self, demands: Demands) {
        if demands.window != self.demands.window {
            self.clear();
            self.newest = 0;
        }
        self.demands = demands;
    }

    /// Whether it is on trial and has all calls for that.
    pub(super) fn has_its_trial(&self, now: Utc) -> bool {
        let Standing::OnTrial { placed, .. } = self.standing(now) else { return false };
        placed >= self.demands.trial_calls
    }

    /// A call goes by it; since when it is on trial, if it is one of that trial.
    pub(super) fn place(&mut self, now: Utc, demands: Demands) -> Option<Utc> {
        self.follow(demands);
        self.waiting += 1;
        self.settle_standing(now);
        let Standing::OnTrial { since, placed, .. } = &mut self.standing else { return None };
        if *placed >= demands.trial_calls {
            return None;
        }
        *placed += 1;
        self.trial_placed_at = now;
        Some(*since)
    }

    /// What has become of its standing by time alone.
    fn settle_standing(&mut self, now: Utc) {
        let standing = self.standing(now);
        match (self.standing, standing) {
            (Standing::OnTrial { since: before, .. }, Standing::OnTrial { since, .. })
                if since == before => {}
            (_, Standing::OnTrial { .. }) => {
                self.trial_talking = Talking::default();
                self.standing = standing;
            }
            (Standing::OnTrial { .. }, Standing::Open) => self.reopen(),
            _ => {}
        }
    }

    fn reopen(&mut self) {
        self.standing = Standing::Open;
        self.clear();
    }

    /// A call more; how the trunk stands now, if that has changed.
    /// `trial` is the one that it is of, as [`Window::place`] has said.
    pub(super) fn note(&mut self, now: Utc, trial: Option<Utc>, event: Event) -> Option<Standing> {
        self.advance(now);
        let mut more = Figures::default();
        match event {
            Event::Outcome { is_answered, waited } => {
                self.waiting = self.waiting.saturating_sub(1);
                (more.calls, more.answered) = (1, u32::from(is_answered));
                if let Some(waited) = waited {
                    (more.waited, more.waited_ms) = (1, waited.as_millis() as u64);
                }
                if is_answered {
                    self.talking.begin(now);
                }
            }
            Event::Ended { answered_at, talked } => {
                (more.ended, more.talked_ms) = (1, talked.as_millis() as u64);
                self.talking.end(answered_at);
            }
        }
        self.bucket().add(&more);
        if let Standing::OnTrial { since, figures, .. } = &mut self.standing
            && trial == Some(*since)
        {
            figures.add(&more);
            match event {
                Event::Outcome { is_answered: true, .. } => self.trial_talking.begin(now),
                Event::Outcome { .. } => {}
                Event::Ended { answered_at, .. } => self.trial_talking.end(answered_at),
            }
        }
        self.judge(now)
    }

    fn judge(&mut self, now: Utc) -> Option<Standing> {
        match self.standing {
            Standing::Dropped { .. } => return None,
            Standing::OnTrial { .. } => match self.trial_verdict(now)? {
                None => self.reopen(),
                Some(ground) => self.drop_until(now, now.plus(self.demands.drop), ground),
            },
            Standing::Open => {
                let ground = self.fault(now)?;
                self.drop_until(now, now.plus(self.demands.drop), ground);
            }
        }
        Some(self.standing)
    }

    fn drop_until(&mut self, now: Utc, until: Utc, ground: Ground) {
        self.standing = Standing::Dropped { since: now, until, ground };
    }

    /// The limit that the calls of the window do not keep, if enough of them are known.
    fn fault(&self, now: Utc) -> Option<Ground> {
        let figures = self.figures(now);
        let Demands { calls_min, asr_min, acd_min, pdd_max, .. } = self.demands;
        let Figures { calls, answered, ended, waited, .. } = figures;
        if let Some(asr_min) = asr_min.filter(|_| calls >= calls_min)
            && u64::from(answered) * 100 < u64::from(asr_min) * u64::from(calls)
        {
            return Some(Ground::Asr(figures.asr_permille()?, calls));
        }
        if let Some(acd_min) = acd_min.filter(|_| ended >= calls_min) {
            // Short calls end first: what the others have talked so far counts for the mean as well.
            let talked = figures.talked_ms.saturating_add(self.talking.so_far_ms(now));
            if u128::from(talked) < acd_min.as_millis() * u128::from(ended) {
                return Some(Ground::Acd(figures.acd()?, ended));
            }
        }
        let pdd = figures.pdd().filter(|_| waited >= calls_min)?;
        (pdd > pdd_max?).then_some(Ground::Pdd(pdd, waited))
    }

    /// What the trial has shown, once it has: `Some(None)` that the trunk is good again.
    #[allow(clippy::option_option, reason = "not yet, passed, or the limit that was not kept")]
    fn trial_verdict(&self, now: Utc) -> Option<Option<Ground>> {
        let Standing::OnTrial { figures, .. } = &self.standing else { return None };
        let Demands { trial_calls, asr_min, acd_min, pdd_max, hysteresis, .. } = self.demands;
        let Figures { calls, answered, ended, .. } = *figures;
        if calls < trial_calls {
            return None;
        }
        let more = 100 + u64::from(hysteresis);
        if let Some(asr_min) = asr_min {
            // In hundredths of a percent; more than all cannot be asked for.
            let needed = (u64::from(asr_min) * more).min(10_000);
            if u64::from(answered) * 10_000 < needed * u64::from(calls) {
                return Some(Some(Ground::Asr(figures.asr_permille()?, calls)));
            }
        }
        if let (Some(pdd_max), Some(pdd)) = (pdd_max, figures.pdd()) {
            let less = u128::from(100_u8.saturating_sub(hysteresis));
            if pdd.as_millis() * 100 > pdd_max.as_millis() * less {
                return Some(Some(Ground::Pdd(pdd, figures.waited)));
            }
        }
        let Some(acd_min) = acd_min else { return Some(None) };
        let needed = acd_min.as_millis() * u128::from(more) * u128::from(answered);
        let talked = figures.talked_ms.saturating_add(self.trial_talking.so_far_ms(now));
        if answered > 0 && u128::from(talked) * 100 >= needed {
            return Some(None);
        }
        // Those that still talk may yet make it; without an answer nobody knows how long calls are.
        let is_over = ended >= answered;
        is_over.then(|| Some(Ground::Acd(figures.acd().unwrap_or_default(), ended)))
    }

    /// An operator has it left until then, or has it get calls, as if nothing were known of it.
    pub(super) fn set_by_hand(&mut self, now: Utc, drop_until: Option<Utc>) {
        match drop_until {
            Some(until) => self.drop_until(now, until, Ground::ByHand),
            None => self.reopen(),
        }
    }
}

fn trial(since: Utc) -> Standing {
    Standing::OnTrial { since, placed: 0, figures: Figures::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEMANDS: Demands = Demands {
        window: Duration::from_secs(600),
        calls_min: 10,
        asr_min: Some(40),
        acd_min: None,
        pdd_max: None,
        drop: Duration::from_secs(300),
        trial_calls: 5,
        hysteresis: 25,
    };

    fn at(seconds: i64) -> Utc {
        Utc((1_000_000 + seconds) * 1_000_000)
    }

    struct Played {
        window: Window,
        now: i64,
    }

    impl Played {
        fn new(demands: Demands) -> Played {
            Played { window: Window::new(demands), now: 0 }
        }

        /// Calls a second apart: `a` one that is answered and talks for 30 s, `.` one that is not.
        fn calls(&mut self, outcomes: &str) -> &mut Played {
            for outcome in outcomes.chars() {
                self.now += 1;
                let now = at(self.now);
                let trial = self.window.place(now, self.window.demands);
                let (is_answered, waited) = (outcome == 'a', None);
                self.window.note(now, trial, Event::Outcome { is_answered, waited });
            }
            self
        }

        fn wait(&mut self, seconds: i64) -> &mut Played {
            self.now += seconds;
            self
        }

        #[track_caller]
        fn stands(&mut self, word: &str) -> &mut Played {
            assert_eq!(self.window.standing(at(self.now)).word(), word, "{:?}", self.window);
            self
        }
    }

    #[test]
    fn a_trunk_is_left_tried_left_again_and_back_only_when_it_is_clearly_better() {
        // T4: 40 %, and 50 % to come back.
        let mut played = Played::new(DEMANDS);
        played.calls("a........").stands("open").calls(".").stands("dropped");
        // One that is tried all the same changes nothing.
        played.calls("aaaaaaaaaa").stands("dropped").wait(289).stands("dropped");
        played.wait(1).stands("on_trial");
        played.calls("a...").stands("on_trial").calls(".").stands("dropped");
        played.wait(299).stands("dropped").wait(1).stands("on_trial");
        // 40 % would have been enough to stay.
        played.calls("aa...").stands("dropped");
        played.wait(300).calls("aaa..").stands("open");
        // What was before is forgotten.
        played.calls(".........").stands("open").calls(".").stands("dropped");
    }

    #[test]
    fn the_window_forgets() {
        let mut played = Played::new(DEMANDS);
        played.calls(".........").wait(600).calls("a").stands("open");
        assert_eq!(played.window.figures(at(played.now)).calls, 1);
        played.wait(549).calls(".").stands("open");
        assert_eq!(played.window.figures(at(played.now)).calls, 2);
        played.wait(6_000).stands("open");
        assert_eq!(played.window.figures(at(played.now)), Figures::default());
        assert!(!played.window.is_idle(at(played.now)), "a call is up");
    }

    #[test]
    fn what_a_call_goes_by_is_not_forgotten() {
        let mut window = Window::new(DEMANDS);
        assert!(window.is_idle(at(0)));
        window.place(at(0), DEMANDS);
        assert!(!window.is_idle(at(0)), "it waits for an answer");
        window.note(at(0), None, Event::Outcome { is_answered: true, waited: None });
        assert!(!window.is_idle(at(900)), "it talks");
        window.note(at(900), None, Event::Ended { answered_at: at(0), talked: DEMANDS.drop });
        assert!(!window.is_idle(at(900)) && window.is_idle(at(1_800)));
    }

    #[test]
    fn a_clock_that_steps_back_does_no_harm() {
        let mut played = Played::new(DEMANDS);
        played.calls("aaaaa").wait(-3_000).calls("aaaaa").wait(3_000).calls("a");
        assert_eq!(played.window.figures(at(played.now)).calls, 11);
    }

    #[track_caller]
    fn judged(demands: Demands, events: &[(i64, Event)], expected: Option<Ground>) {
        let mut window = Window::new(demands);
        for (second, event) in events {
            window.note(at(*second), None, *event);
        }
        let found = match window.standing {
            Standing::Dropped { ground, .. } => Some(ground),
            _ => None,
        };
        assert_eq!(found, expected);
    }

    fn outcome(is_answered: bool, waited: u64) -> Event {
        Event::Outcome { is_answered, waited: Some(Duration::from_secs(waited)) }
    }

    #[test]
    fn each_figure_has_its_limit() {
        // T4: ASR, PDD and ACD.
        let few = Demands { calls_min: 4, asr_min: None, ..DEMANDS };
        let asr = Demands { asr_min: Some(50), ..few };
        let calls = [true, false, true, false].map(|is_answered| (1, outcome(is_answered, 1)));
        judged(asr, &calls, None);
        judged(Demands { asr_min: Some(51), ..few }, &calls, Some(Ground::Asr(500, 4)));
        judged(Demands { asr_min: Some(51), ..few }, &calls[..3], None);
        let slow = [2, 4, 4, 6].map(|waited| (1, outcome(true, waited)));
        let pdd = |seconds| Demands { pdd_max: Some(Duration::from_secs(seconds)), ..few };
        judged(pdd(4), &slow, None);
        judged(pdd(3), &slow, Some(Ground::Pdd(Duration::from_secs(4), 4)));
        let acd = |seconds| Demands { acd_min: Some(Duration::from_secs(seconds)), ..few };
        let ended =
            |talked| Event::Ended { answered_at: at(1), talked: Duration::from_secs(talked) };
        let mut short = slow.to_vec();
        short.extend([5, 15, 15, 5].map(|talked| (20, ended(talked))));
        judged(acd(10), &short, None);
        judged(acd(11), &short, Some(Ground::Acd(Duration::from_secs(10), 4)));
    }

    #[test]
    fn short_calls_that_end_first_do_not_judge_alone() {
        let demands = Demands { calls_min: 4, asr_min: None, ..DEMANDS };
        let demands = Demands { acd_min: Some(Duration::from_secs(60)), ..demands };
        let mut calls = [(0, outcome(true, 1)); 8].to_vec();
        let ended = |talked| {
            (
                talked,
                Event::Ended { answered_at: at(0), talked: Duration::from_secs(talked as u64) },
            )
        };
        // Four of eight are over after 30 s, and four have talked as long: 240 s for four ended calls.
        calls.extend([ended(30); 4]);
        judged(demands, &calls, None);
        calls.extend([ended(31); 4]);
        judged(demands, &calls, Some(Ground::Acd(Duration::from_millis(30_200), 5)));
    }

    #[test]
    fn a_trial_by_length_waits_for_its_calls_and_not_longer_than_needed() {
        let demands = Demands { acd_min: Some(Duration::from_secs(40)), asr_min: None, ..DEMANDS };
        let started = |played: &mut Played| {
            played.window.set_by_hand(at(0), Some(at(10)));
            played.wait(10).calls("aaaaa").stands("on_trial");
        };
        // All five have to have talked 50 s in the mean; the last of them answered at 15.
        let mut played = Played::new(demands);
        started(&mut played);
        played.wait(47).stands("on_trial").wait(1).stands("open");
        assert!(played.window.place(at(played.now), demands).is_none() && played.window.is_open());
        let mut played = Played::new(demands);
        started(&mut played);
        for second in 11..=15 {
            played.stands("on_trial");
            let talked = Duration::from_secs(2);
            let ended = Event::Ended { answered_at: at(second), talked };
            played.window.note(at(20), Some(at(10)), ended);
        }
        played.stands("dropped");
    }

    #[test]
    fn a_trial_that_does_not_end_is_made_again() {
        let mut played = Played::new(DEMANDS);
        played.window.set_by_hand(at(0), Some(at(10)));
        // Nobody calls for long; that is not counted.
        played.wait(5_000);
        for _ in 0..5 {
            assert_eq!(played.window.place(at(played.now), DEMANDS), Some(at(10)));
        }
        assert_eq!(played.window.place(at(played.now), DEMANDS), None, "it has all its calls");
        played.wait(900);
        assert!(played.window.has_its_trial(at(played.now)));
        // Whoever looks sees it, though no call is placed.
        played.wait(1);
        assert!(!played.window.has_its_trial(at(played.now)));
        assert_eq!(played.window.place(at(played.now), DEMANDS), Some(at(5_900)));
        // What a call of the trial before was like says nothing of this one.
        for _ in 0..5 {
            played.window.note(at(played.now), Some(at(10)), outcome(true, 1));
        }
        played.stands("on_trial");
    }

    #[test]
    fn a_trial_of_fewer_calls_than_it_has_is_not_stuck() {
        let mut played = Played::new(DEMANDS);
        played.window.set_by_hand(at(0), Some(at(10)));
        played.wait(10).calls("...").stands("on_trial");
        played.window.follow(Demands { trial_calls: 3, ..DEMANDS });
        assert!(played.window.has_its_trial(at(played.now)));
        played.wait(901);
        assert!(!played.window.has_its_trial(at(played.now)));
    }

    #[test]
    fn a_window_that_nobody_uses_after_its_drop_is_forgotten() {
        let mut window = Window::new(DEMANDS);
        window.set_by_hand(at(0), Some(at(300)));
        assert!(!window.is_idle(at(299)) && !window.is_idle(at(86_700)));
        assert!(window.is_idle(at(86_701)));
    }

    #[test]
    fn grounds_are_sentences() {
        let check = |ground: Ground, expected: &str| assert_eq!(ground.to_string(), expected);
        check(Ground::Asr(105, 20), "ASR 10.5 % of 20 calls");
        check(Ground::Acd(Duration::from_millis(9_050), 7), "ACD 9.050 s of 7 calls");
        check(Ground::Pdd(Duration::from_secs(12), 7), "PDD 12.000 s of 7 calls");
        check(Ground::ByHand, "an operator said so");
    }
}
