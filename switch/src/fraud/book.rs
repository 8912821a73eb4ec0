//! What is remembered of one account's calls: a few numbers, and no more countries than there are.

use std::time::Duration;

use vocabulary::Utc;

use super::rules::{Country, FraudRuleId, Hold};

pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// How much there was within the last `span`: of the span before the present one as much counts as the
/// present one has left. So nothing but two sums is kept.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sliding {
    /// Which span the present one is, counted from the start of the clock.
    number: u64,
    present: u64,
    before: u64,
}

impl Sliding {
    fn turn(&mut self, now: Duration, span: Duration) {
        let number = now.as_secs() / span.as_secs().max(1);
        if number != self.number {
            self.before = if number == self.number + 1 { self.present } else { 0 };
            self.present = 0;
            self.number = number;
        }
    }

    pub(super) fn add(&mut self, now: Duration, span: Duration, much: u64) {
        self.turn(now, span);
        self.present = self.present.saturating_add(much);
    }

    pub(super) fn sum(&mut self, now: Duration, span: Duration) -> u64 {
        self.turn(now, span);
        let span = span.as_secs().max(1);
        let left = span - now.as_secs() % span;
        self.present.saturating_add(self.before.saturating_mul(left) / span)
    }
}

/// Which of the last 64 answered calls were short.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shorts {
    /// The last one is the lowest bit.
    bits: u64,
    count: u32,
}

impl Shorts {
    pub(super) fn add(&mut self, is_short: bool) {
        self.bits = self.bits << 1 | u64::from(is_short);
        self.count = (self.count + 1).min(64);
    }

    /// How many of the last so many; `None` while there were not so many.
    pub(super) fn among(&self, among: u32) -> Option<u32> {
        let among = among.clamp(1, 64);
        let looked_at = self.bits & (u64::MAX >> (64 - among));
        (self.count >= among).then_some(looked_at.count_ones())
    }
}

/// A hold, and the one that the directory has of this account.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) hold: Hold,
    pub(super) stored: Option<Hold>,
}

impl Held {
    /// What holds when the directory has `stored`. What is not stored yet stays if it is newer, but a
    /// block gives way only to another.
    pub(super) fn beside_stored(held: Option<Held>, stored: Hold, now: Utc) -> Held {
        let is_waiting = |held: &Held| held.stored != Some(held.hold) && !held.hold.is_over(now);
        let waiting = held.filter(is_waiting).map(|held| held.hold);
        let stays = waiting.filter(|hold| {
            match (hold.reduced_to, stored.reduced_to) {
                (None, Some(_)) => true,
                (Some(_), None) => false,
                // Of the same moment it is the stored one, which goes on for longer here.
                _ => hold.since >= stored.since,
            }
        });
        Held { hold: stays.unwrap_or(stored), stored: Some(stored) }
    }

    /// Now that the directory has none: whether somebody has taken it away. One that has run out there
    /// was not; it goes on for longer here, or another is on its way.
    pub(super) fn is_lifted(&self, now: Utc) -> bool {
        self.stored.is_some_and(|stored| !stored.is_over(now))
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) held: Option<Held>,
    /// Countries that are being called, and by how many calls.
    pub(super) live: Vec<(Country, u32)>,
    /// Countries that were called, and when last.
    lately: Vec<(Country, Duration)>,
    /// Countries that the directory does not have yet.
    pub(super) learned: Vec<Country>,
    pub(super) shorts: Shorts,
    /// Seconds to premium numbers.
    pub(super) premium: Sliding,
    /// Which rules have been told of, and when last.
    told: Vec<(FraudRuleId, Duration)>,
}

impl Book {
    /// How many countries it would call at the same time with this one.
    pub(super) fn live_with(&self, country: Country) -> usize {
        self.live.len() + usize::from(!self.live.iter().any(|(other, _)| *other == country))
    }

    fn enter(&mut self, country: Country) {
        match self.live.iter_mut().find(|(other, _)| *other == country) {
            Some((_, calls)) => *calls += 1,
            None => self.live.push((country, 1)),
        }
    }

    pub(super) fn leave(&mut self, country: Country) {
        if let Some(place) = self.live.iter().position(|(other, _)| *other == country) {
            self.live[place].1 -= 1;
            if self.live[place].1 == 0 {
                self.live.swap_remove(place);
            }
        }
    }

    /// How many countries it would have called within the last hour with this one.
    pub(super) fn lately_with(&mut self, now: Duration, country: Country) -> usize {
        self.lately.retain(|(_, at)| *at + HOUR > now);
        self.lately.len() + usize::from(!self.lately.iter().any(|(other, _)| *other == country))
    }

    /// It calls this country now.
    pub(super) fn call(&mut self, now: Duration, country: Country) {
        self.enter(country);
        self.lately.retain(|(other, at)| *other != country && *at + HOUR > now);
        self.lately.push((country, now));
    }

    /// Whether this is to be told of; not again within an hour.
    pub(super) fn is_news(&mut self, now: Duration, rule: FraudRuleId) -> bool {
        self.told.retain(|(_, at)| *at + HOUR > now);
        let is_news = !self.told.iter().any(|(other, _)| *other == rule);
        if is_news {
            self.told.push((rule, now));
        }
        is_news
    }

    /// Whether there is nothing to remember.
    pub(super) fn is_blank(&self) -> bool {
        self.held.is_none() && self.live.is_empty() && self.learned.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sliding_sum_forgets_what_is_older_than_its_span() {
        let minute = Duration::from_secs(60);
        let mut sum = Sliding::default();
        let mut put = |at_s: u64, much: u64| {
            let now = Duration::from_secs(at_s);
            sum.add(now, minute, much);
            sum.sum(now, minute)
        };
        // When, how many come, and how many there are then.
        let steps = [
            (600, 4, 4),
            (630, 2, 6),
            (660, 0, 6),
            (675, 0, 4),
            (690, 1, 4),
            (719, 0, 1),
            (900, 0, 0),
        ];
        for (at_s, much, expected) in steps {
            assert_eq!(put(at_s, much), expected, "at {at_s} s");
        }
    }

    #[test]
    fn short_calls_are_a_share_of_the_last_ones() {
        let mut shorts = Shorts::default();
        for is_short in [true, true, false, true] {
            shorts.add(is_short);
        }
        assert_eq!([shorts.among(5), shorts.among(4), shorts.among(2)], [None, Some(3), Some(1)]);
        for _ in 0..70 {
            shorts.add(true);
        }
        assert_eq!(shorts.among(64), Some(64));
    }
}
