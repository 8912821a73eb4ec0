//! Times of the week at which a route holds, by the clock of a place: on the day when its clocks are
//! changed an hour is there twice, or not at all, as it is on the wall.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use vocabulary::Utc;

const DAY: i64 = 86_400;
const MINUTES: u16 = 24 * 60;
/// In the order of their bits. A holiday is no weekday.
const DAYS: [&str; 8] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday"];
const HOLIDAY: u8 = 7;

/// Which window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowId(pub u64);

impl fmt::Display for WindowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The clock of a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clock {
    zone: Box<str>,
    first_offset: i32,
    changes: Arc<[(i64, i32)]>,
}

impl Clock {
    /// `zone` is its name in the IANA database. The offset is seconds east of UTC; each change is the
    /// second since 1970 from which another offset holds, in order.
    pub fn new(zone: &str, first_offset: i32, changes: Arc<[(i64, i32)]>) -> Clock {
        Clock { zone: zone.into(), first_offset, changes }
    }

    /// The zone's name.
    pub fn zone(&self) -> &str {
        &self.zone
    }

    /// The second since 1970 that is shown there, as if there were no zones.
    fn local(&self, second: i64) -> i64 {
        let past = self.changes.partition_point(|(from, _)| *from <= second);
        let offset = past.checked_sub(1).map_or(self.first_offset, |last| self.changes[last].1);
        second + i64::from(offset)
    }
}

/// A part of some days, such as `mon-fri 08:00-18:00`; in place of the blank an `@` is read too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// By bits, Monday first, then holidays.
    days: u8,
    /// Minutes of the day. Where `till` is before `from` the span goes over midnight, each part on its
    /// own date.
    from: u16,
    till: u16,
}

/// Why a text is no span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    /// The days.
    #[error("write days as mon,tue or mon-fri, with holiday for holidays, before the times")]
    Days,
    /// The times.
    #[error("write the times as 08:00-18:00, from 00:00 to 24:00 for whole days")]
    Times,
    /// It has no length.
    #[error("it ends when it begins; write 00:00-24:00 for whole days")]
    Empty,
}

impl Span {
    fn holds(self, kind: u8, minute: u16) -> bool {
        let is_inside = match self.from < self.till {
            true => (self.from..self.till).contains(&minute),
            false => minute >= self.from || minute < self.till,
        };
        is_inside && self.days >> kind & 1 == 1
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Span, SpanError> {
        let text = text.trim();
        let (days, times) = match text.rsplit_once([' ', '@']) {
            Some((days, times)) => (read_days(days)?, times),
            None => (u8::MAX, text),
        };
        let (from, till) = times.split_once('-').ok_or(SpanError::Times)?;
        let (from, till) = (read_minute(from)?, read_minute(till)?);
        match from {
            MINUTES => Err(SpanError::Times),
            from if from == till => Err(SpanError::Empty),
            from => Ok(Span { days, from, till }),
        }
    }
}

fn read_days(text: &str) -> Result<u8, SpanError> {
    let day = |word: &str| {
        let word = word.trim();
        DAYS.iter().position(|day| word.eq_ignore_ascii_case(day)).ok_or(SpanError::Days)
    };
    let mut days = 0_u8;
    for part in text.split(',') {
        let Some((first, last)) = part.split_once('-') else {
            days |= 1 << day(part)?;
            continue;
        };
        let (mut at, last) = (day(first)?, day(last)?);
        if at.max(last) >= usize::from(HOLIDAY) {
            return Err(SpanError::Days);
        }
        while at != last {
            days |= 1 << at;
            at = (at + 1) % usize::from(HOLIDAY);
        }
        days |= 1 << last;
    }
    Ok(days)
}

fn read_minute(text: &str) -> Result<u16, SpanError> {
    let (hours, minutes) = text.trim().split_once(':').ok_or(SpanError::Times)?;
    let number = |text: &str| match text.len() {
        2 if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse::<u16>().ok(),
        _ => None,
    };
    let (hours, minutes) = number(hours).zip(number(minutes)).ok_or(SpanError::Times)?;
    let minute = hours * 60 + minutes;
    if minutes < 60 && minute <= MINUTES { Ok(minute) } else { Err(SpanError::Times) }
}

/// As it is read.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days != u8::MAX {
            let days = (0..).zip(DAYS).filter(|(bit, _)| self.days >> bit & 1 == 1);
            for (place, (_, day)) in days.enumerate() {
                write!(f, "{}{day}", if place == 0 { "" } else { "," })?;
            }
            write!(f, " ")?;
        }
        let Span { from, till, .. } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, till / 60, till % 60)
    }
}

/// A named set of spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeWindow {
    /// Which.
    pub id: WindowId,
    /// For people.
    pub name: Box<str>,
    /// By which clock.
    pub clock: Clock,
    /// Days that are holidays, as days since 1970-01-01, in order.
    pub holidays: Box<[i32]>,
    /// When it is open.
    pub spans: Box<[Span]>,
}

impl TimeWindow {
    /// Whether it is open at this moment.
    pub fn is_open(&self, at: Utc) -> bool {
        let local = self.clock.local(at.seconds());
        let day = local.div_euclid(DAY);
        let is_holiday =
            i32::try_from(day).is_ok_and(|day| self.holidays.binary_search(&day).is_ok());
        // 1970-01-01 was a Thursday.
        let kind = if is_holiday { HOLIDAY } else { (day + 3).rem_euclid(7) as u8 };
        let minute = (local.rem_euclid(DAY) / 60) as u16;
        self.spans.iter().any(|span| span.holds(kind, minute))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-29T00:00:00Z, a Sunday; clocks in Berlin go forward at 01:00Z.
    const SPRING: i64 = 1_774_742_400;
    /// 2026-10-25T00:00:00Z, a Sunday; they go back at 01:00Z.
    const AUTUMN: i64 = 1_792_886_400;

    fn berlin() -> Clock {
        let changes = [(SPRING + 3_600, 7_200), (AUTUMN + 3_600, 3_600)];
        Clock::new("Europe/Berlin", 3_600, changes.into())
    }

    fn window(spans: &[&str], holidays: &[i32]) -> TimeWindow {
        TimeWindow {
            id: WindowId(1),
            name: "w".into(),
            clock: berlin(),
            holidays: holidays.into(),
            spans: spans.iter().map(|span| span.parse().unwrap()).collect(),
        }
    }

    /// `hours`, with a fraction, after midnight UTC of `day`.
    #[track_caller]
    fn check(spans: &[&str], day: i64, hours: f64, is_open: bool) {
        let second = day + (hours * 3_600.0) as i64;
        let window = window(spans, &[]);
        assert_eq!(window.is_open(Utc(second * 1_000_000)), is_open, "{spans:?} at {hours}");
    }

    #[test]
    fn spans_hold_by_the_clock_on_the_wall() {
        let office = &["mon-fri 08:00-18:00"];
        let monday = SPRING + DAY;
        check(office, monday, 5.99, false);
        check(office, monday, 6.0, true);
        check(office, monday, 15.99, true);
        check(office, monday, 16.0, false);
        // The Friday before, in winter time.
        let friday = SPRING - 2 * DAY;
        check(office, friday, 6.99, false);
        check(office, friday, 7.0, true);
        check(office, friday, 17.0, false);
        check(office, SPRING, 10.0, false);
    }

    #[test]
    fn over_midnight_each_part_is_on_its_own_date() {
        let night = &["fri 22:00-06:00"];
        let friday = SPRING - 2 * DAY;
        check(night, friday, 0.0, true);
        check(night, friday, 4.99, true);
        check(night, friday, 5.0, false);
        check(night, friday, 21.0, true);
        // Saturday 01:00 there.
        check(night, friday, 24.0, false);
    }

    #[test]
    fn a_day_of_23_hours_leaves_an_hour_out_and_one_of_25_has_one_twice() {
        let hour = &["sun 02:00-03:00"];
        for quarter in 0..96 {
            check(hour, SPRING, f64::from(quarter) / 4.0, false);
        }
        for (hours, is_open) in
            [(-0.01, false), (0.0, true), (0.99, true), (1.0, true), (1.99, true), (2.0, false)]
        {
            check(hour, AUTUMN, hours, is_open);
        }
        // What is around it moves with the clock.
        check(&["sun 03:00-04:00"], SPRING, 1.0, true);
        check(&["sun 03:00-04:00"], SPRING, 0.99, false);
        let open = |day: i64| {
            let spans = window(&["sun 00:00-24:00"], &[]);
            let is_open = |quarter: &i64| spans.is_open(Utc((day + quarter * 900) * 1_000_000));
            (-96..192).filter(is_open).count()
        };
        assert_eq!((open(SPRING), open(AUTUMN)), (23 * 4, 25 * 4));
    }

    #[test]
    fn a_holiday_is_no_weekday() {
        let monday = (SPRING + DAY) / DAY;
        let noon = Utc((SPRING + DAY + 12 * 3_600) * 1_000_000);
        let holiday = i32::try_from(monday).unwrap();
        let is_open = |spans: &[&str]| window(spans, &[holiday]).is_open(noon);
        assert!(!is_open(&["mon-sun 00:00-24:00"]));
        assert!(is_open(&["holiday 10:00-16:00"]));
        assert!(is_open(&["10:00-16:00"]));
        assert!(!is_open(&[]));
    }

    #[track_caller]
    fn reads(text: &str, expected: Result<&str, SpanError>) {
        let span = text.parse::<Span>();
        assert_eq!(
            span.as_ref().map(ToString::to_string).map_err(|e| *e),
            expected.map(Into::into)
        );
        if let Ok(span) = span {
            assert_eq!(span.to_string().parse(), Ok(span));
        }
    }

    #[test]
    fn spans_are_read_and_written() {
        reads("mon-fri 08:00-18:00", Ok("mon,tue,wed,thu,fri 08:00-18:00"));
        reads(" Sat, sun 00:00-24:00 ", Ok("sat,sun 00:00-24:00"));
        reads("fri-mon,holiday 22:00-06:00", Ok("mon,fri,sat,sun,holiday 22:00-06:00"));
        reads("09:30-10:15", Ok("09:30-10:15"));
        reads("holiday@00:00-24:00", Ok("holiday 00:00-24:00"));
        reads("mo 08:00-18:00", Err(SpanError::Days));
        reads("fri-holiday 08:00-18:00", Err(SpanError::Days));
        reads(", 08:00-18:00", Err(SpanError::Days));
        for times in ["8:00-18:00", "08:00", "24:00-08:00", "08:60-09:00", "08:00-24:01", ""] {
            reads(times, Err(SpanError::Times));
        }
        reads("mon 08:00-08:00", Err(SpanError::Empty));
    }
}
