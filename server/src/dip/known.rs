//! What lookups have answered, for as long as it may be kept, and which of them fail. Takes the time as
//! input; bounded, so that callers who dial many numbers cannot make it grow.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use switch::lookup::{Lookup, LookupId};
use vocabulary::Number;

/// After so many failures in a row a lookup is left alone.
const FAILURES_MAX: u32 = 5;
/// For so long; then one call tries it again.
pub(super) const REST: Duration = Duration::from_secs(30);
/// How often it is said of a lookup that its answers cannot be used: each call would say it.
const SAID_AGAIN: Duration = Duration::from_secs(600);
/// Answers in each of two generations: some 100 bytes each.
const ANSWERS_MAX: usize = 100_000;

/// What there is before anybody is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// The answer.
    Known(Option<Number>),
    /// The lookup is left alone.
    Rests,
    /// Nothing: ask.
    Ask,
}

#[derive(Clone, Copy)]
struct Kept {
    lrn: Option<Number>,
    /// By the monotonic clock.
    until: Duration,
    /// Of which settings of the lookup it is the answer.
    epoch: u32,
}

/// One lookup.
struct Asked {
    lookup: Arc<Lookup>,
    /// Counts the times that it was set to ask somebody else.
    epoch: u32,
    failures: u32,
    rests_until: Duration,
    /// It is not said again before that its answers cannot be used.
    said_until: Duration,
}

type Answers = HashMap<(LookupId, Number), Kept>;

/// All lookups. When the newer answers are as many as may be, the older ones are forgotten.
#[derive(Default)]
pub(super) struct Known {
    asked: HashMap<LookupId, Asked>,
    newer: Answers,
    older: Answers,
}

impl Known {
    fn asked(&mut self, lookup: &Arc<Lookup>) -> &mut Asked {
        let asked = self.asked.entry(lookup.id).or_insert_with(|| Asked {
            lookup: Arc::clone(lookup),
            epoch: 0,
            failures: 0,
            rests_until: Duration::ZERO,
            said_until: Duration::ZERO,
        });
        if !Arc::ptr_eq(&asked.lookup, lookup) {
            // Somebody else may know other things, and need not have failed.
            if asked.lookup.asks != lookup.asks {
                asked.epoch += 1;
                asked.failures = 0;
                asked.said_until = Duration::ZERO;
            }
            asked.lookup = Arc::clone(lookup);
        }
        asked
    }

    /// What is to be done about a number.
    pub(super) fn before(&mut self, now: Duration, lookup: &Arc<Lookup>, number: Number) -> Before {
        let epoch = self.asked(lookup).epoch;
        let key = (lookup.id, number);
        let kept = self.newer.get(&key).or_else(|| self.older.get(&key));
        if let Some(kept) = kept.filter(|kept| kept.epoch == epoch && now < kept.until) {
            return Before::Known(kept.lrn);
        }
        let asked = self.asked(lookup);
        if asked.failures < FAILURES_MAX {
            return Before::Ask;
        }
        if now < asked.rests_until {
            return Before::Rests;
        }
        // This call tries it; the others do not wait for what comes of that.
        asked.rests_until = now + REST;
        Before::Ask
    }

    /// It has answered.
    pub(super) fn heard(
        &mut self,
        now: Duration,
        lookup: &Arc<Lookup>,
        number: Number,
        lrn: Option<Number>,
    ) {
        let asked = self.asked(lookup);
        asked.failures = 0;
        let kept = Kept { lrn, until: now + lookup.ttl, epoch: asked.epoch };
        if lookup.ttl.is_zero() {
            return;
        }
        if self.newer.len() >= ANSWERS_MAX {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert((lookup.id, number), kept);
    }

    /// It has answered, and knows nothing of the number: it is alive, and the next may be known.
    pub(super) fn spoke(&mut self, lookup: &Arc<Lookup>) {
        self.asked(lookup).failures = 0;
    }

    /// Whether operators are to be told that its answers cannot be used; once in a while.
    pub(super) fn is_news(&mut self, now: Duration, lookup: &Arc<Lookup>) -> bool {
        let asked = self.asked(lookup);
        let is_news = asked.said_until <= now;
        if is_news {
            asked.said_until = now + SAID_AGAIN;
        }
        is_news
    }

    /// It has not; true if it is left alone from now on.
    pub(super) fn failed(&mut self, now: Duration, lookup: &Arc<Lookup>) -> bool {
        let asked = self.asked(lookup);
        asked.failures = asked.failures.saturating_add(1);
        if asked.failures >= FAILURES_MAX {
            asked.rests_until = now + REST;
        }
        asked.failures == FAILURES_MAX
    }
}

#[cfg(test)]
mod tests {
    use switch::lookup::{LookupKind, OnFailure, SipLookup};

    use super::*;

    fn lookup(host: &str, ttl: u64) -> Arc<Lookup> {
        Arc::new(Lookup {
            id: LookupId(1),
            name: "dip".into(),
            asks: LookupKind::Sip(SipLookup { host: host.into(), port: 5060 }),
            timeout: Duration::from_millis(300),
            ttl: Duration::from_secs(ttl),
            on_failure: OnFailure::Ignore,
            prefixes: ["1".into()].into(),
        })
    }

    fn number(n: u64) -> Number {
        format!("1202{n:07}").parse().unwrap()
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_answer_is_kept_for_its_time() {
        let (mut known, lookup) = (Known::default(), lookup("a", 60));
        let lrn = Some(number(7));
        assert_eq!(known.before(at(0), &lookup, number(1)), Before::Ask);
        known.heard(at(0), &lookup, number(1), lrn);
        known.heard(at(0), &lookup, number(2), None);
        assert_eq!(known.before(at(59), &lookup, number(1)), Before::Known(lrn));
        assert_eq!(known.before(at(59), &lookup, number(2)), Before::Known(None));
        assert_eq!(known.before(at(59), &lookup, number(3)), Before::Ask);
        assert_eq!(known.before(at(60), &lookup, number(1)), Before::Ask);
    }

    #[test]
    fn another_source_knows_nothing_yet() {
        let mut known = Known::default();
        known.heard(at(0), &lookup("a", 60), number(1), Some(number(7)));
        // The same, set anew.
        let again = known.before(at(1), &lookup("a", 30), number(1));
        assert_eq!(again, Before::Known(Some(number(7))));
        assert_eq!(known.before(at(1), &lookup("b", 60), number(1)), Before::Ask);
    }

    #[test]
    fn a_dead_lookup_is_left_alone_and_tried_by_one_call_at_a_time() {
        let (mut known, lookup) = (Known::default(), lookup("a", 60));
        known.heard(at(0), &lookup, number(1), Some(number(7)));
        for n in 1..=FAILURES_MAX {
            assert_eq!(known.before(at(1), &lookup, number(9)), Before::Ask);
            assert_eq!(known.failed(at(1), &lookup), n == FAILURES_MAX);
        }
        assert_eq!(known.before(at(30), &lookup, number(9)), Before::Rests);
        // What is known does not depend on it.
        assert_eq!(known.before(at(30), &lookup, number(1)), Before::Known(Some(number(7))));
        assert_eq!(known.before(at(31), &lookup, number(9)), Before::Ask);
        assert_eq!(known.before(at(31), &lookup, number(9)), Before::Rests);
        assert!(!known.failed(at(31), &lookup), "said once");
        assert_eq!(known.before(at(60), &lookup, number(9)), Before::Rests);
        assert_eq!(known.before(at(61), &lookup, number(9)), Before::Ask);
        known.heard(at(61), &lookup, number(9), None);
        assert_eq!(known.before(at(61), &lookup, number(8)), Before::Ask);
        assert!(!known.failed(at(62), &lookup), "one failure is none in a row");
        assert_eq!(known.before(at(62), &lookup, number(8)), Before::Ask);
    }

    #[test]
    fn one_that_answers_is_not_left_alone() {
        let (mut known, lookup) = (Known::default(), lookup("a", 60));
        for _ in 1..FAILURES_MAX {
            assert!(!known.failed(at(1), &lookup));
        }
        known.spoke(&lookup);
        for n in 1..=FAILURES_MAX {
            assert_eq!(known.failed(at(2), &lookup), n == FAILURES_MAX);
        }
        assert_eq!(known.before(at(3), &lookup, number(1)), Before::Rests);
        // It was tried, and speaks again.
        known.spoke(&lookup);
        assert_eq!(known.before(at(3), &lookup, number(1)), Before::Ask);
    }

    #[test]
    fn answers_of_no_use_are_told_of_once_in_a_while() {
        let (mut known, one) = (Known::default(), lookup("a", 60));
        assert!(known.is_news(at(0), &one));
        assert!(!known.is_news(at(599), &one));
        assert!(known.is_news(at(600), &one));
        assert!(known.is_news(at(601), &lookup("b", 60)), "somebody else");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (mut known, lookup) = (Known::default(), lookup("a", 600));
        for n in 0..ANSWERS_MAX as u64 * 2 + 10 {
            known.heard(at(0), &lookup, number(n), None);
        }
        assert!(known.newer.len() + known.older.len() <= 2 * ANSWERS_MAX);
        assert_eq!(known.before(at(1), &lookup, number(5)), Before::Ask);
        let newest = number(ANSWERS_MAX as u64 * 2 + 9);
        assert_eq!(known.before(at(1), &lookup, newest), Before::Known(None));
    }

    #[test]
    fn what_may_not_be_kept_is_not() {
        let (mut known, lookup) = (Known::default(), lookup("a", 0));
        known.heard(at(0), &lookup, number(1), None);
        assert_eq!(known.before(at(0), &lookup, number(1)), Before::Ask);
    }
}
