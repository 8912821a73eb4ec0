//! Prices by time of day, weekday and holiday, in the plan's own time zone (R9). A call takes with
//! it the few windows that concern it, so that it is priced without zones; days of 23 and of 25
//! hours have their hours where the zone has them.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::str::FromStr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::{fmt, iter};

use vocabulary::Utc;

use super::RateError;
use super::special::{TimePrice, Window};

/// How far from its INVITE the windows of a call reach. A call that lasts longer goes on at the
/// price that holds then.
pub(crate) const HORIZON_SECONDS: i64 = 72 * 3_600;

const DAY: i64 = 86_400;

/// A time zone of the IANA database, as its changes of offset until 2100.
pub struct Zone {
    name: String,
    /// Before the first change, in seconds east of UTC.
    first_offset: i32,
    /// From this second since 1970 on, this offset.
    changes: Vec<(i64, i32)>,
}

impl Zone {
    /// By its name, e.g. `Europe/Berlin`. The same zone is held once.
    pub fn named(name: &str) -> Result<Arc<Zone>, RateError> {
        static ZONES: OnceLock<Mutex<BTreeMap<String, Arc<Zone>>>> = OnceLock::new();
        let zones = ZONES.get_or_init(Mutex::default);
        let mut zones = zones.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(zone) = zones.get(name) {
            return Ok(Arc::clone(zone));
        }
        let zone = Arc::new(Zone::read(name).ok_or(RateError::Zone)?);
        zones.insert(name.to_owned(), Arc::clone(&zone));
        Ok(zone)
    }

    fn read(name: &str) -> Option<Zone> {
        let zone = jiff::tz::TimeZoneDatabase::bundled().get(name).ok()?;
        let start = jiff::Timestamp::from_second(0).ok()?;
        let end = jiff::Timestamp::from_second(4_102_444_800).ok()?;
        let first_offset = zone.to_offset(start).seconds();
        let mut offset = first_offset;
        let mut changes = Vec::new();
        for change in zone.following(start).take_while(|change| change.timestamp() < end) {
            if change.offset().seconds() != offset {
                offset = change.offset().seconds();
                changes.push((change.timestamp().as_second(), offset));
            }
        }
        Some(Zone { name: name.to_owned(), first_offset, changes })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The offset at a second since 1970, and the second of the next change.
    fn offset(&self, second: i64) -> (i64, Option<i64>) {
        let next = self.changes.partition_point(|(from, _)| *from <= second);
        let offset = match next {
            0 => self.first_offset,
            _ => self.changes[next - 1].1,
        };
        (offset.into(), self.changes.get(next).map(|(from, _)| *from))
    }

    /// The second of UTC at which clocks there show this second of local time since 1970. Of an hour
    /// that comes twice it is the second one; one that is left out counts on from before.
    pub fn utc_second(&self, local: i64) -> i64 {
        // Offsets change by hours and months apart: twice is enough.
        let near = local - self.offset(local).0;
        local - self.offset(local - self.offset(near).0).0
    }

    /// Each second after `from` and before `till` at which clocks there are changed, and by how
    /// many seconds they are ahead of UTC from then on.
    pub fn changes_between(&self, from: i64, till: i64) -> impl Iterator<Item = (i64, i64)> {
        let changes = self.changes.iter().map(|(second, offset)| (*second, i64::from(*offset)));
        changes.filter(move |(second, _)| from < *second && *second < till)
    }

    /// Seconds east of UTC before the first change of offset since 1970, and every change until 2100: the
    /// second from which another offset holds.
    pub fn offsets(&self) -> (i32, &[(i64, i32)]) {
        (self.first_offset, &self.changes)
    }

    /// Seconds that clocks there are ahead of UTC at this second since 1970.
    pub fn offset_at(&self, second: i64) -> i64 {
        self.offset(second).0
    }
}

/// The day and the month that a moment is in; `None` is UTC.
pub(crate) fn day_and_month(zone: Option<&Zone>, at: Utc) -> (Range<Utc>, Range<Utc>) {
    let offset = |second: i64| zone.map_or(0, |zone| zone.offset(second).0);
    // Local midnight is looked up with the offset that holds near it: twice is enough, offsets
    // change by hours and months apart.
    let begin = |day: i64| {
        let midnight = day * DAY;
        let near = midnight - offset(midnight - offset(midnight));
        Utc((midnight - offset(near)) * 1_000_000)
    };
    let second = at.0.div_euclid(1_000_000);
    let day = (second + offset(second)).div_euclid(DAY);
    let date = i32::try_from(day).ok().and_then(|day| {
        let second = i64::from(day) * DAY;
        Some(jiff::Timestamp::from_second(second).ok()?.to_zoned(jiff::tz::TimeZone::UTC).date())
    });
    let (of_month, length) =
        date.map_or((1, 30), |date| (i64::from(date.day()), i64::from(date.days_in_month())));
    let first = day - (of_month - 1);
    (begin(day)..begin(day + 1), begin(first)..begin(first + length))
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Zone) -> bool {
        self.name == other.name
    }
}

impl Eq for Zone {}

impl Hash for Zone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

/// A date of the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    /// Days since 1970-01-01.
    pub day: i32,
}

impl FromStr for Date {
    type Err = RateError;

    /// `2026-12-25`.
    fn from_str(text: &str) -> Result<Date, RateError> {
        let date: jiff::civil::Date = text.parse().map_err(|_| RateError::Date)?;
        let midnight = date.at(0, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC);
        let second = midnight.map_err(|_| RateError::Date)?.timestamp().as_second();
        let day = i32::try_from(second.div_euclid(DAY)).map_err(|_| RateError::Date)?;
        Ok(Date { day })
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(i64::from(self.day) * DAY) {
            Ok(at) => write!(f, "{}", at.to_zoned(jiff::tz::TimeZone::UTC).date()),
            Err(_) => write!(f, "day {}", self.day),
        }
    }
}

/// Kinds of days: the weekdays, Monday first, and holidays, which are no weekday.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Days(pub u8);

impl Days {
    /// Their words, in order of their bits.
    pub const WORDS: [&'static str; 8] =
        ["mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday"];
    /// Every day.
    pub const ALL: Days = Days(0xFF);
    /// Monday to Friday.
    pub const WORKDAYS: Days = Days(0x1F);
    /// Only holidays.
    pub const HOLIDAYS: Days = Days(0x80);

    fn has(self, kind: u8) -> bool {
        self.0 >> kind & 1 == 1
    }
}

/// A part of the week with a price of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Period {
    /// On which days. A time after midnight belongs to its own date.
    pub days: Days,
    /// Its first second of the day, by the clock on the wall.
    pub from_second: u32,
    /// The second at which it ends; at or before the first one: it goes over midnight. 86400 is
    /// the end of the day.
    pub till_second: u32,
    /// What holds in it.
    pub price: TimePrice,
}

impl Period {
    fn holds(&self, kind: u8, second: i64) -> bool {
        let (from, till) = (i64::from(self.from_second), i64::from(self.till_second));
        let is_inside = match from < till {
            true => (from..till).contains(&second),
            false => second >= from || second < till,
        };
        is_inside && self.days.has(kind)
    }
}

/// What a call across a boundary pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum PeriodChoice {
    /// Each increment the price of its start.
    #[default]
    EachIncrement,
    /// All of it the price of the answer.
    AtAnswer,
}

/// The periods of a plan. The first that holds counts; where none does, the rate itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Calendar {
    /// Whose clock is meant.
    pub zone: Arc<Zone>,
    /// Dates that are holidays, sorted.
    pub holidays: Box<[Date]>,
    /// In order of precedence.
    pub periods: Box<[Period]>,
    /// What a call across a boundary pays.
    pub choice: PeriodChoice,
}

impl Calendar {
    /// Is everything in bounds?
    pub fn validate(&self) -> Result<(), RateError> {
        if !self.holidays.is_sorted() || self.periods.len() > 1_000 {
            return Err(RateError::Calendar);
        }
        for period in &self.periods {
            if period.from_second >= DAY as u32 || period.till_second > DAY as u32 {
                return Err(RateError::Calendar);
            }
            period.price.validate()?;
        }
        Ok(())
    }

    /// The period that holds at this second of local time since 1970.
    fn period(&self, local: i64) -> Option<usize> {
        let day = local.div_euclid(DAY);
        let is_holiday =
            i32::try_from(day).is_ok_and(|day| self.holidays.binary_search(&Date { day }).is_ok());
        // 1970-01-01 was a Thursday.
        let kind = if is_holiday { 7 } else { (day + 3).rem_euclid(7) as u8 };
        self.periods.iter().position(|period| period.holds(kind, local.rem_euclid(DAY)))
    }

    /// The second of the next boundary after this second of local time.
    fn boundary(&self, local: i64) -> i64 {
        let midnight = local - local.rem_euclid(DAY);
        let ends = self.periods.iter().flat_map(|period| [period.from_second, period.till_second]);
        let of_day = ends.map(i64::from).chain(iter::once(DAY));
        let next = of_day.filter(|end| midnight + end > local).min();
        midnight + next.expect("midnight comes")
    }

    /// The prices and windows of a call that comes in at `at`.
    pub(crate) fn windows(&self, rate: &TimePrice, at: Utc) -> (Vec<TimePrice>, Vec<Window>) {
        let mut used: Vec<Option<usize>> = Vec::new();
        let mut windows: Vec<Window> = Vec::new();
        let mut second = at.seconds();
        let end = second + HORIZON_SECONDS;
        while second < end {
            let (offset, change) = self.zone.offset(second);
            let period = self.period(second + offset);
            let index = used.iter().position(|known| *known == period).unwrap_or_else(|| {
                used.push(period);
                used.len() - 1
            });
            let price = u16::try_from(index).expect("at most a thousand periods");
            if windows.last().is_none_or(|window| window.price != price) {
                windows.push(Window { from: Utc(second * 1_000_000), price });
            }
            let boundary = self.boundary(second + offset) - offset;
            second = change.map_or(boundary, |change| change.min(boundary));
        }
        let price = |period: &Option<usize>| match period {
            None => rate.clone(),
            Some(index) => self.periods[*index].price.clone(),
        };
        (used.iter().map(price).collect(), windows)
    }
}
