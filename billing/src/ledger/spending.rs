//! How much an account may be charged for calls in an hour, a day and a month, whatever its balance
//! (V-11): what limits the damage of a stolen password. Days and months begin when whoever knows
//! the account's time zone says so; here they are two moments. Hours are those of UTC.

use std::ops::Range;

use vocabulary::Utc;

use super::account::clamp;
use crate::Money;

/// The limits. `None`: no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SpendLimits {
    /// For calls that end in an hour (S4).
    pub hour: Option<Money>,
    /// For calls that end in a day.
    pub day: Option<Money>,
    /// For calls that end in a month.
    pub month: Option<Money>,
}

impl SpendLimits {
    /// That of an hour, of a day or of a month.
    pub fn of(&self, period: SpendPeriod) -> Option<Money> {
        match period {
            SpendPeriod::Hour => self.hour,
            SpendPeriod::Day => self.day,
            SpendPeriod::Month => self.month,
        }
    }

    /// Is there any?
    pub fn are_set(&self) -> bool {
        self.hour.is_some() || self.day.is_some() || self.month.is_some()
    }
}

/// What was charged for calls from one moment to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpendWindow {
    /// The first moment that counts,
    pub from: Utc,
    /// and the first that does not.
    pub until: Utc,
    /// Charged in between.
    pub spent: Money,
    /// It was told that this limit is reached.
    pub told: Option<Money>,
}

impl Default for SpendWindow {
    /// All of time: until somebody says when a day begins, everything counts.
    fn default() -> SpendWindow {
        let (from, until) = (Utc(i64::MIN), Utc(i64::MAX));
        SpendWindow { from, until, spent: Money::ZERO, told: None }
    }
}

impl SpendWindow {
    fn add(&mut self, at: Utc, amount: i64) {
        if self.from <= at && at < self.until {
            self.spent.0 = self.spent.0.saturating_add(amount);
        }
    }

    fn turn(&mut self, to: &Range<Utc>) {
        if (self.from, self.until) != (to.start, to.end) {
            let (from, until) = (to.start, to.end);
            *self = SpendWindow { from, until, spent: Money::ZERO, told: None };
        }
    }
}

/// The present hour, day and month of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Spending {
    /// This hour.
    pub hour: SpendWindow,
    /// Today.
    pub day: SpendWindow,
    /// This month.
    pub month: SpendWindow,
}

impl Spending {
    /// Is this moment within all of them?
    pub fn is_of(&self, at: Utc) -> bool {
        let is_in = |window: &SpendWindow| window.from <= at && at < window.until;
        let is_known = self.day.until != Utc(i64::MAX);
        is_known && is_in(&self.hour) && is_in(&self.day) && is_in(&self.month)
    }

    pub(super) fn window_mut(&mut self, period: SpendPeriod) -> &mut SpendWindow {
        match period {
            SpendPeriod::Hour => &mut self.hour,
            SpendPeriod::Day => &mut self.day,
            SpendPeriod::Month => &mut self.month,
        }
    }

    pub(super) fn add(&mut self, at: Utc, amount: i64) {
        self.hour.add(at, amount);
        self.day.add(at, amount);
        self.month.add(at, amount);
    }

    pub(super) fn turn(&mut self, hour: &Range<Utc>, day: &Range<Utc>, month: &Range<Utc>) {
        self.hour.turn(hour);
        self.day.turn(day);
        self.month.turn(month);
    }

    /// What may still be reserved under the limits, and which of them says so.
    pub(super) fn left(
        &self,
        limits: &SpendLimits,
        pending: Money,
    ) -> Option<(Money, SpendPeriod)> {
        let left = |limit: Option<Money>, window: &SpendWindow, period| {
            let used = i128::from(window.spent.0) + i128::from(pending.0);
            limit.map(|limit| (clamp(i128::from(limit.0) - used), period))
        };
        let hour = left(limits.hour, &self.hour, SpendPeriod::Hour);
        let day = left(limits.day, &self.day, SpendPeriod::Day);
        let month = left(limits.month, &self.month, SpendPeriod::Month);
        hour.into_iter().chain(day).chain(month).min_by_key(|(left, _)| *left)
    }
}

/// The hour of UTC in which this moment is.
pub fn hour_of(at: Utc) -> Range<Utc> {
    const HOUR_US: i64 = 3_600_000_000;
    let start = at.0.div_euclid(HOUR_US).saturating_mul(HOUR_US);
    Utc(start)..Utc(start.saturating_add(HOUR_US))
}

/// Which limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpendPeriod {
    /// That of the hour.
    Hour,
    /// That of the day.
    Day,
    /// That of the month.
    Month,
}

impl SpendPeriod {
    /// All of them, the shortest first.
    pub const ALL: [SpendPeriod; 3] = [SpendPeriod::Hour, SpendPeriod::Day, SpendPeriod::Month];

    /// In a sentence.
    pub fn as_str(self) -> &'static str {
        match self {
            SpendPeriod::Hour => "hour",
            SpendPeriod::Day => "day",
            SpendPeriod::Month => "month",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spent_counts_in_its_own_day() {
        let limits = SpendLimits { hour: None, day: Some(Money(100)), month: Some(Money(150)) };
        let mut spending = Spending::default();
        let month = Utc(0)..Utc(1000);
        let hour = hour_of(Utc(9));
        spending.turn(&hour, &(Utc(0)..Utc(10)), &month);
        spending.add(Utc(9), 70);
        let pending = Money(20);
        assert_eq!(spending.left(&limits, pending), Some((Money(10), SpendPeriod::Day)));
        spending.turn(&hour, &(Utc(10)..Utc(20)), &month);
        assert_eq!(spending.left(&limits, pending), Some((Money(60), SpendPeriod::Month)));
        // A correction of yesterday's call is none of today's.
        spending.add(Utc(9), -70);
        assert_eq!(spending.day.spent, Money::ZERO);
        assert_eq!(spending.month.spent, Money::ZERO);
        assert!(spending.is_of(Utc(10)) && !spending.is_of(Utc(20)));
    }

    /// S4: an hour's limit is the first to be reached, and free again with the next hour.
    #[test]
    fn what_is_spent_counts_in_its_own_hour() {
        let hour_us = 3_600_000_000;
        assert_eq!(hour_of(Utc(-1)), Utc(-hour_us)..Utc(0));
        let limits = SpendLimits { hour: Some(Money(50)), day: Some(Money(100)), month: None };
        let (day, month) = (Utc(0)..Utc(24 * hour_us), Utc(0)..Utc(720 * hour_us));
        let mut spending = Spending::default();
        let mut left_at = |at: i64, spent: i64| {
            spending.turn(&hour_of(Utc(at)), &day, &month);
            spending.add(Utc(at), spent);
            spending.left(&limits, Money(10)).unwrap()
        };
        assert_eq!(left_at(hour_us - 1, 40), (Money(0), SpendPeriod::Hour));
        assert_eq!(left_at(hour_us, 5), (Money(35), SpendPeriod::Hour));
        assert_eq!(left_at(2 * hour_us, 30), (Money(10), SpendPeriod::Hour));
        assert_eq!(left_at(3 * hour_us, 5), (Money(10), SpendPeriod::Day));
    }
}
