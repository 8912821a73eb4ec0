//! Days and periods in an account's time zone. A period ends where the next begins, whatever
//! the clocks do in between.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use vocabulary::Utc;

/// A day of the calendar, as days since 1970-01-01.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i32);

/// No such time zone, or no such day.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZoneError {
    /// Not in the IANA database.
    #[error("{0:?} is no time zone of the IANA database; write one such as Europe/Berlin, or UTC")]
    Unknown(String),
    /// Not a day.
    #[error("write a day such as 2026-12-01")]
    NotADay,
}

const EPOCH: Date = date(1970, 1, 1);

impl Day {
    /// Year, month, day.
    pub fn new(year: i16, month: i8, day: i8) -> Result<Day, ZoneError> {
        Date::new(year, month, day).map(Day::of).map_err(|_| ZoneError::NotADay)
    }

    fn of(date: Date) -> Day {
        let since = EPOCH.until(date).map_or(0, |span| span.get_days());
        Day(since)
    }

    /// Days outside the calendar (years ±9999) stay at its edge.
    fn date(self) -> Date {
        let edge = if self.0 < 0 { Date::MIN } else { Date::MAX };
        Span::new().try_days(self.0).and_then(|span| EPOCH.checked_add(span)).unwrap_or(edge)
    }

    /// So many days later.
    #[must_use]
    pub fn plus(self, days: i32) -> Day {
        Day(self.0.saturating_add(days))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.date(), f)
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Day {
    type Err = ZoneError;

    fn from_str(text: &str) -> Result<Day, ZoneError> {
        if text.len() != 10 {
            return Err(ZoneError::NotADay);
        }
        text.parse().map(Day::of).map_err(|_| ZoneError::NotADay)
    }
}

/// A time zone of the IANA database that is compiled in: no file is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// `Europe/Berlin`, `UTC`, …
    pub fn named(name: &str) -> Result<Zone, ZoneError> {
        TimeZone::get(name).map(Zone).map_err(|_| ZoneError::Unknown(name.to_owned()))
    }

    /// Where nobody changes clocks.
    pub fn utc() -> Zone {
        Zone(TimeZone::UTC)
    }

    /// The day that it is there.
    pub fn day_of(&self, at: Utc) -> Day {
        let at = Timestamp::from_microsecond(at.0).unwrap_or(Timestamp::UNIX_EPOCH);
        Day::of(self.0.to_datetime(at).date())
    }

    /// When that day begins there: at the first moment that its clocks show of it.
    pub fn begin_of(&self, day: Day) -> Utc {
        let at = day.date().to_zoned(self.0.clone());
        Utc(at.map_or(i64::MAX, |at| at.timestamp().as_microsecond()))
    }
}

/// How often (V-06 to V-08, J-19 to J-22).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Every {
    /// Each day.
    Day,
    /// Each seven days.
    Week,
    /// Each month.
    Month,
    /// Each three months.
    Quarter,
    /// Each six months; the trade also says "2 quarterly".
    HalfYear,
    /// Each twelve months.
    Year,
}

impl Every {
    fn days(self) -> Option<i32> {
        match self {
            Every::Day => Some(1),
            Every::Week => Some(7),
            _ => None,
        }
    }

    fn months(self) -> i32 {
        match self {
            Every::Day | Every::Week => 0,
            Every::Month => 1,
            Every::Quarter => 3,
            Every::HalfYear => 6,
            Every::Year => 12,
        }
    }
}

/// Periods without a gap, counted from one that begins on the anchor. Months are always counted
/// from the anchor itself: 31 January is followed by 28 February and then by 31 March.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cycle {
    pub(super) every: Every,
    pub(super) anchor: Day,
}

impl Cycle {
    /// The first day of the period with this number; negative ones are before the anchor.
    pub(super) fn begin(&self, number: i32) -> Day {
        if let Some(days) = self.every.days() {
            return Day(self.anchor.0.saturating_add(number.saturating_mul(days)));
        }
        let months = number.saturating_mul(self.every.months());
        let edge = if number < 0 { Date::MIN } else { Date::MAX };
        let span = Span::new().try_months(months);
        Day::of(span.and_then(|span| self.anchor.date().checked_add(span)).unwrap_or(edge))
    }

    /// The number of the period that a day is in.
    pub(super) fn number_of(&self, day: Day) -> i32 {
        if let Some(days) = self.every.days() {
            return day.0.saturating_sub(self.anchor.0).div_euclid(days);
        }
        let (from, to) = (self.anchor.date(), day.date());
        let months = (i32::from(to.year()) - i32::from(from.year())) * 12 + i32::from(to.month())
            - i32::from(from.month());
        let mut number = months.div_euclid(self.every.months());
        while self.begin(number) > day {
            number -= 1;
        }
        while self.begin(number + 1) <= day {
            number += 1;
        }
        number
    }
}

/// The anchor that puts periods on a day of the month, or of the week from Monday 1 to Sunday 7:
/// quarters begin in January, April, July, October, years in January. In a month that is shorter
/// they begin on its last day.
pub(super) fn anchor_on(every: Every, day: u8) -> Day {
    match every {
        // 1970-01-05 was a Monday.
        Every::Week => Day(4 + i32::from(day.clamp(1, 7)) - 1),
        // January has 31 days.
        _ => Day(i32::from(day.clamp(1, 31)) - 1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    #[track_caller]
    fn check(every: Every, anchor: &str, begins: &[&str]) {
        let cycle = Cycle { every, anchor: day(anchor) };
        for (number, begin) in (0..).zip(begins) {
            assert_eq!(cycle.begin(number), day(begin), "{every:?} {number}");
            assert_eq!(cycle.number_of(day(begin)), number);
            assert_eq!(cycle.number_of(day(begin).plus(-1)), number - 1);
        }
    }

    #[test]
    fn months_are_clamped_at_their_end_and_do_not_drift() {
        check(
            Every::Month,
            "2026-01-31",
            &["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"],
        );
        check(Every::Month, "2024-01-30", &["2024-01-30", "2024-02-29", "2024-03-30"]);
        check(Every::Quarter, "2025-11-30", &["2025-11-30", "2026-02-28", "2026-05-30"]);
        check(Every::HalfYear, "2025-08-31", &["2025-08-31", "2026-02-28", "2026-08-31"]);
        check(
            Every::Year,
            "2024-02-29",
            &["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"],
        );
        check(Every::Week, "2026-12-28", &["2026-12-28", "2027-01-04"]);
        check(Every::Day, "2026-02-28", &["2026-02-28", "2026-03-01"]);
    }

    #[test]
    fn days_begin_where_clocks_show_them_first() {
        let at = |zone: &str, text: &str| {
            let zone = Zone::named(zone).unwrap();
            let begin = zone.begin_of(day(text));
            assert_eq!(zone.day_of(begin), day(text));
            assert_eq!(zone.day_of(Utc(begin.0 - 1)), day(text).plus(-1));
            begin.0
        };
        let hours =
            |zone: &str, from: &str, till: &str| (at(zone, till) - at(zone, from)) / 3_600_000_000;
        // 23 and 25 hours
        assert_eq!(hours("Europe/Berlin", "2026-03-29", "2026-03-30"), 23);
        assert_eq!(hours("Europe/Berlin", "2026-10-25", "2026-10-26"), 25);
        // clocks go from 23:59 to 01:00
        assert_eq!(hours("America/Havana", "2026-03-08", "2026-03-09"), 23);
        assert_eq!(hours("UTC", "2026-03-29", "2026-03-30"), 24);
        assert!(matches!(Zone::named("Mars/Olympus"), Err(ZoneError::Unknown(_))));
    }

    #[test]
    fn calendar_anchors_are_in_january_and_on_weekdays() {
        let quarter = Cycle { every: Every::Quarter, anchor: anchor_on(Every::Quarter, 15) };
        assert_eq!(quarter.begin(quarter.number_of(day("2026-11-21"))), day("2026-10-15"));
        let week = Cycle { every: Every::Week, anchor: anchor_on(Every::Week, 1) };
        // 2026-11-21 is a Saturday
        assert_eq!(week.begin(week.number_of(day("2026-11-21"))), day("2026-11-16"));
    }

    proptest! {
        #[test]
        fn every_day_is_in_exactly_one_period(anchor in -20_000..40_000i32, at in -20_000..40_000i32, which in 0..6usize) {
            let every = [Every::Day, Every::Week, Every::Month, Every::Quarter, Every::HalfYear, Every::Year][which];
            let cycle = Cycle { every, anchor: Day(anchor) };
            let number = cycle.number_of(Day(at));
            prop_assert!(cycle.begin(number) <= Day(at));
            prop_assert!(cycle.begin(number + 1) > Day(at));
        }
    }
}
