//! Which call of the carrier's is which of ours, and in what they differ (O13).

use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use vocabulary::Utc;

use super::layout::{StatementLayout, TimeOf};
use super::reading::TheirCall;

/// A call that went out to the carrier, as we know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OurCall {
    /// INVITE.
    pub started_at: Utc,
    /// Answer; calls that were not answered are only compared with calls that they count.
    pub answered_at: Option<Utc>,
    /// End.
    pub ended_at: Utc,
    /// The caller on the leg, as it is compared.
    pub cli: String,
    /// The called number on the leg and after translation, as they are compared.
    pub numbers: [String; 2],
    /// Measured talk.
    pub talked: Duration,
    /// What we count as billed.
    pub billed: Duration,
    /// Billionths a minute; nothing where there is no one price.
    pub price_nanos: Option<i64>,
    /// Billionths.
    pub cost_nanos: i64,
}

/// In what a pair differs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Neither our talk nor our billed time is theirs within the tolerance.
    pub duration: bool,
    /// The price a minute is another.
    pub price: bool,
    /// The amount is another.
    pub amount: bool,
}

impl Differences {
    /// Anything at all?
    pub fn any(self) -> bool {
        self.duration || self.price || self.amount
    }
}

/// A call that both know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Of their calls.
    pub theirs: usize,
    /// Of ours.
    pub ours: usize,
    /// In what they differ.
    pub differences: Differences,
}

/// How two lists of calls compare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// In the order of their file.
    pub pairs: Vec<Pair>,
    /// Theirs that we do not know; in the order of their file.
    pub theirs_only: Vec<usize>,
    /// Answered ones of ours that they do not count, in order.
    pub ours_only: Vec<usize>,
    /// Seconds by which their clock would have to be moved to match much more: a wrong time zone.
    pub better_shift: Option<i64>,
}

/// Calls to one number that are looked at for one of theirs.
const CANDIDATES_MAX: usize = 64;
/// Calls that a shift of their clock is tried with.
const TRIED_MAX: usize = 10_000;

/// Our calls by number, each in order of time.
struct Index<'a> {
    ours: &'a [OurCall],
    by_number: HashMap<&'a str, Vec<(i64, usize)>, FixedState>,
    time_of: TimeOf,
    window: i64,
}

/// Compares. Each call is paired at most once: the nearest in time and duration first, and of those
/// the ones with the same caller before others. Ours are told as missing in theirs only if they
/// were answered and began from `from` (included) to `till` (not included).
pub fn compare_statement(
    theirs: &[TheirCall],
    ours: &[OurCall],
    layout: &StatementLayout,
    (from, till): (Utc, Utc),
) -> Comparison {
    let index = Index::of(ours, layout);
    let mut candidates = Vec::new();
    for (at, call) in theirs.iter().enumerate() {
        candidates
            .extend(index.candidates(call, 0).map(|ours| (index.distance(call, ours), at, ours)));
    }
    candidates.sort_unstable();
    let (mut of_theirs, mut of_ours) = (vec![None; theirs.len()], vec![false; ours.len()]);
    for (_, their, our) in candidates {
        if of_theirs[their].is_none() && !of_ours[our] {
            (of_theirs[their], of_ours[our]) = (Some(our), true);
        }
    }
    let mut comparison = Comparison::default();
    for (at, our) in of_theirs.iter().enumerate() {
        match our {
            Some(our) => comparison.pairs.push(Pair {
                theirs: at,
                ours: *our,
                differences: differences(&theirs[at], &ours[*our], layout),
            }),
            None => comparison.theirs_only.push(at),
        }
    }
    let is_missing = |(at, call): &(usize, &OurCall)| {
        !of_ours[*at]
            && call.answered_at.is_some()
            && from <= call.started_at
            && call.started_at < till
    };
    comparison.ours_only = ours.iter().enumerate().filter(is_missing).map(|(at, _)| at).collect();
    if comparison.pairs.len() < comparison.theirs_only.len() {
        comparison.better_shift = index.better_shift(theirs, &comparison);
    }
    comparison
}

impl<'a> Index<'a> {
    fn of(ours: &'a [OurCall], layout: &StatementLayout) -> Index<'a> {
        let mut index = Index {
            ours,
            by_number: HashMap::with_hasher(FixedState::default()),
            time_of: layout.time_of,
            window: i64::from(layout.window_seconds) * 1_000_000,
        };
        for (at, call) in ours.iter().enumerate() {
            let [first, second] = &call.numbers;
            for number in [Some(first), Some(second).filter(|second| *second != first)] {
                let Some(number) = number.filter(|number| !number.is_empty()) else { continue };
                for moment in index.moments(call) {
                    index.by_number.entry(number).or_default().push((moment.0, at));
                }
            }
        }
        for calls in index.by_number.values_mut() {
            calls.sort_unstable();
            calls.dedup();
        }
        index
    }

    /// The moments of ours that theirs may be.
    fn moments(&self, call: &OurCall) -> impl Iterator<Item = Utc> + use<> {
        let answered = call.answered_at.unwrap_or(call.started_at);
        let (first, second) = match self.time_of {
            TimeOf::StartOrAnswer => (call.started_at, call.answered_at),
            TimeOf::Start => (call.started_at, None),
            TimeOf::Answer => (answered, None),
            TimeOf::End => (call.ended_at, None),
        };
        [Some(first), second].into_iter().flatten()
    }

    /// Ours to the same number whose time is near, if theirs is moved by so many microseconds.
    fn candidates(&self, call: &TheirCall, shift: i64) -> impl Iterator<Item = usize> {
        let calls = self.by_number.get(call.cld.as_str()).map_or(&[][..], Vec::as_slice);
        let at = call.at.0 + shift;
        // Their time is to the second; ours is not.
        let first = calls.partition_point(|(moment, _)| *moment < at - self.window);
        let near = calls[first..]
            .iter()
            .take_while(move |(moment, _)| *moment <= at + self.window + 999_999);
        near.take(CANDIDATES_MAX).map(|(_, at)| *at)
    }

    /// Less is nearer: another caller, then time and duration together, in microseconds.
    fn distance(&self, theirs: &TheirCall, at: usize) -> (bool, u64) {
        let ours = &self.ours[at];
        let is_other = !theirs.cli.is_empty() && !ours.cli.is_empty() && theirs.cli != ours.cli;
        let time = self.moments(ours).map(|moment| moment.0.abs_diff(theirs.at.0)).min();
        let duration = theirs.duration.abs_diff(ours.talked).as_micros();
        let duration = u64::try_from(duration).unwrap_or(u64::MAX);
        (is_other, time.unwrap_or(u64::MAX).saturating_add(duration))
    }

    /// Does another time zone explain what does not match?
    fn better_shift(&self, theirs: &[TheirCall], comparison: &Comparison) -> Option<i64> {
        let unmatched: Vec<&TheirCall> =
            comparison.theirs_only.iter().take(TRIED_MAX).map(|at| &theirs[*at]).collect();
        // Zones differ by quarters of an hour, up to 26 hours.
        let shifts = (-104..=104).filter(|quarters| *quarters != 0).map(|quarters| quarters * 900);
        let count = |shift: i64| {
            let is_known =
                |call: &&&TheirCall| self.candidates(call, shift * 1_000_000).next().is_some();
            unmatched.iter().filter(is_known).count()
        };
        let (count, shift) = shifts
            .map(|shift: i64| (count(shift), shift))
            .max_by_key(|(count, shift)| (*count, -shift.abs()))?;
        (count * 2 > unmatched.len()).then_some(shift)
    }
}

fn differences(theirs: &TheirCall, ours: &OurCall, layout: &StatementLayout) -> Differences {
    let tolerance = Duration::from_secs(layout.duration_tolerance_seconds.into());
    // Measured to the microsecond it may be rounded to the next second; whether up or not is theirs.
    let is_near = |duration: Duration| {
        theirs.duration.abs_diff(duration) <= tolerance
            || theirs.duration.abs_diff(Duration::from_secs(duration.as_secs())) <= tolerance
    };
    let price = theirs.rate.zip(ours.price_nanos);
    Differences {
        duration: !is_near(ours.talked) && !is_near(ours.billed),
        price: price.is_some_and(|(theirs, ours)| !theirs.may_be(ours)),
        amount: theirs.amount.is_some_and(|amount| !amount.may_be(ours.cost_nanos)),
    }
}
