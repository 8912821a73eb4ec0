//! Dates: ISO, day first, month first, names of months, numbers of Excel, "immediately", with a time
//! and a zone or without.

use serde::{Deserialize, Serialize};
use vocabulary::Utc;

/// Which of two numbers is the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DateOrder {
    /// As the column shows; refused if it does not.
    #[default]
    Guess,
    /// `31/12/2026`
    DayFirst,
    /// `12/31/2026`
    MonthFirst,
}

/// A moment as a cell states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    At(Utc),
    /// "immediately"
    Now,
    /// Nothing, or "until further notice".
    Open,
}

const SECONDS_A_DAY: i64 = 86_400;
const OPEN: [&str; 9] =
    ["", "-", "n/a", "na", "open", "ufn", "until further notice", "none", "never"];
const NOW: [&str; 10] = [
    "now",
    "immediately",
    "immediate",
    "asap",
    "with immediate effect",
    "at once",
    "sofort",
    "ab sofort",
    "inmediato",
    "immediat",
];
/// The first three letters, lower case, of months in English, German, French, Spanish, Italian,
/// Portuguese and Dutch.
const MONTHS: [(&str, u32); 40] = [
    ("jan", 1),
    ("ene", 1),
    ("gen", 1),
    ("jän", 1),
    ("feb", 2),
    ("fév", 2),
    ("fev", 2),
    ("mar", 3),
    ("mär", 3),
    ("mrz", 3),
    ("maa", 3),
    ("mrt", 3),
    ("apr", 4),
    ("abr", 4),
    ("avr", 4),
    ("may", 5),
    ("mai", 5),
    ("mag", 5),
    ("mei", 5),
    ("jun", 6),
    ("giu", 6),
    ("jul", 7),
    ("lug", 7),
    ("aug", 8),
    ("ago", 8),
    ("aoû", 8),
    ("aou", 8),
    ("sep", 9),
    ("set", 9),
    ("oct", 10),
    ("okt", 10),
    ("ott", 10),
    ("out", 10),
    ("nov", 11),
    ("dec", 12),
    ("dez", 12),
    ("déc", 12),
    ("dic", 12),
    ("juin", 6),
    ("juil", 7),
];
const ZONES: [(&str, i64); 16] = [
    ("z", 0),
    ("utc", 0),
    ("gmt", 0),
    ("wet", 0),
    ("cet", 1),
    ("bst", 1),
    ("cest", 2),
    ("eet", 2),
    ("eest", 3),
    ("msk", 3),
    ("est", -5),
    ("edt", -4),
    ("cst", -6),
    ("cdt", -5),
    ("pst", -8),
    ("pdt", -7),
];

/// Days since 1970 of a date in the Gregorian calendar, or nothing if there is no such day.
pub(crate) fn days(year: i64, month: u32, day: u32) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + u32::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=last).contains(&day) || !(1970..=9999).contains(&year) {
        return None;
    }
    // Years that begin in March have their leap day last.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = i64::from((153 * month + 2) / 5 + day - 1);
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// Year, month and day of a count of days since 1970.
pub(crate) fn date(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = (of_year - (153 * month + 2) / 5 + 1) as u32;
    let month = if month < 10 { month + 3 } else { month - 9 } as u32;
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// `2026-12-01T08:00:00Z`; to the second.
pub fn format(at: Utc) -> String {
    let (year, month, day) = date(at.seconds().div_euclid(SECONDS_A_DAY));
    let second = at.seconds().rem_euclid(SECONDS_A_DAY);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The offset of `+02:00`, `UTC` or a usual abbreviation, in seconds.
pub(crate) fn offset(text: &str) -> Option<i64> {
    let lower = text.trim().to_lowercase();
    if let Some((_, hours)) = ZONES.iter().find(|(name, _)| *name == lower) {
        return Some(hours * 3_600);
    }
    let lower = lower.strip_prefix("utc").or(lower.strip_prefix("gmt")).unwrap_or(&lower);
    let (sign, digits) = match lower.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let digits: String = digits.chars().filter(|c| *c != ':').collect();
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let (hours, minutes) = match digits.len() {
        1 | 2 if is_number => (digits.parse::<i64>().ok()?, 0),
        4 if is_number => (digits[..2].parse().ok()?, digits[2..].parse::<i64>().ok()?),
        _ => return None,
    };
    (hours <= 14 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

/// What one cell shows of its column's order.
pub(crate) fn evidence(text: &str) -> Option<DateOrder> {
    let (date, _) = split_time(text);
    let parts = parts(date);
    match parts[..] {
        [Part::Number(first, 1..=2), Part::Number(second, 1..=2), Part::Number(..)] => {
            match (first > 12, second > 12) {
                (true, false) => Some(DateOrder::DayFirst),
                (false, true) => Some(DateOrder::MonthFirst),
                // Only where the day is first are dates written with points.
                _ if date.contains('.') => Some(DateOrder::DayFirst),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Reads a date. `offset` (seconds) is the zone of dates that name none.
pub(crate) fn read(text: &str, order: DateOrder, offset_default: i64) -> Result<Moment, String> {
    let lower = text.trim().to_lowercase();
    if OPEN.contains(&lower.as_str()) {
        return Ok(Moment::Open);
    }
    if NOW.contains(&lower.as_str()) {
        return Ok(Moment::Now);
    }
    let unreadable = || format!("{text:?} is not a date; write 2026-12-01 or 2026-12-01T08:00:00Z");
    if let Some(seconds) = serial(&lower) {
        return at(seconds - offset_default).ok_or_else(unreadable);
    }
    let (date_text, time_text) = split_time(&lower);
    let parts = parts(date_text);
    let (year, month, day) = match parts[..] {
        [Part::Number(whole, 8)] => (whole / 10_000, whole / 100 % 100, whole % 100),
        [Part::Number(year, 4), Part::Number(month, _), Part::Number(day, _)] => (year, month, day),
        [Part::Number(year, 4), Part::Month(month), Part::Number(day, _)] => (year, month, day),
        [Part::Number(day, _), Part::Month(month), Part::Number(year, length)]
        | [Part::Month(month), Part::Number(day, _), Part::Number(year, length)] => {
            (full_year(year, length), month, day)
        }
        [Part::Number(a, 1..=2), Part::Number(b, 1..=2), Part::Number(year, length @ (2 | 4))] => {
            let (day, month) = match order {
                _ if a == b => (a, b),
                DateOrder::DayFirst => (a, b),
                DateOrder::MonthFirst => (b, a),
                DateOrder::Guess => {
                    return Err(format!(
                        "{text:?} may have its day or its month first; set `date_order` in the layout"
                    ));
                }
            };
            (full_year(year, length), month, day)
        }
        _ => return Err(unreadable()),
    };
    let days = days(i64::from(year), month, day).ok_or_else(unreadable)?;
    let (second, offset) = time(time_text).ok_or_else(unreadable)?;
    // The end of time that databases write where a date is wanted.
    if year >= 2106 || (year, month, day) == (2099, 12, 31) {
        return Ok(Moment::Open);
    }
    at(days * SECONDS_A_DAY + second - offset.unwrap_or(offset_default)).ok_or_else(unreadable)
}

fn at(seconds: i64) -> Option<Moment> {
    (seconds >= 0).then(|| Moment::At(Utc(seconds * 1_000_000)))
}

fn full_year(year: u32, length: usize) -> u32 {
    if length <= 2 { 2000 + year } else { year }
}

/// Excel counts days since 1899-12-30; 1954 to 2119 are taken for such.
fn serial(text: &str) -> Option<i64> {
    let (days, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if days.len() != 5 || fraction.is_empty() || fraction.len() > 15 {
        return None;
    }
    let days: i64 = days.parse().ok().filter(|days| (20_000..80_000).contains(days))?;
    let scale = 10_i64.pow(fraction.len() as u32);
    let fraction: i64 = fraction.parse().ok()?;
    // To the second: Excel's fractions are not exact.
    let seconds = (i128::from(fraction) * i128::from(SECONDS_A_DAY) * 2 + i128::from(scale))
        / (2 * i128::from(scale));
    Some((days - 25_569) * SECONDS_A_DAY + i64::try_from(seconds).ok()?)
}

/// Date and time, divided at the first colon's hour.
fn split_time(text: &str) -> (&str, &str) {
    let Some(colon) = text.find(':') else {
        return (text, "");
    };
    let head = &text[..colon];
    let digits = head.bytes().rev().take_while(u8::is_ascii_digit).count();
    let start = colon - digits;
    let date = text[..start].trim_end();
    let date = date.strip_suffix(['t', 'T', ',']).unwrap_or(date).trim_end();
    (date, &text[start..])
}

#[derive(Clone, Copy, Debug)]
enum Part {
    /// A number and how many digits it has.
    Number(u32, usize),
    Month(u32),
    Word,
}

fn parts(text: &str) -> Vec<Part> {
    let is_break = |c: char| matches!(c, ' ' | '/' | '-' | '.' | ',' | '\u{a0}');
    let tokens = text.split(is_break).filter(|token| !token.is_empty()).take(6);
    let mut parts = Vec::with_capacity(3);
    for token in tokens {
        let digits = token.bytes().take_while(u8::is_ascii_digit).count();
        let (number, word) = token.split_at(digits);
        if let Ok(value) = number.parse::<u32>() {
            parts.push(Part::Number(value, digits));
        }
        // 1st, 22nd, de
        if word.is_empty() || matches!(word, "st" | "nd" | "rd" | "th" | "de" | "of" | "den") {
            continue;
        }
        parts.push(month(word).map_or(Part::Word, Part::Month));
    }
    // The name of a day before a date says nothing new.
    if parts.len() == 4 && matches!(parts[0], Part::Word) {
        parts.remove(0);
    }
    parts
}

fn month(word: &str) -> Option<u32> {
    let word = word.to_lowercase();
    let longest = MONTHS.iter().filter(|(name, _)| word.starts_with(name));
    longest.max_by_key(|(name, _)| name.len()).map(|(_, month)| *month)
}

/// Seconds of the day, and the zone's offset if it is named.
fn time(text: &str) -> Option<(i64, Option<i64>)> {
    let text = text.trim();
    if text.is_empty() {
        return Some((0, None));
    }
    let end =
        text.find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.')).unwrap_or(text.len());
    let (clock, mut rest) = (&text[..end], text[end..].trim());
    let mut fields = clock.split(':');
    let mut hour: i64 = fields.next()?.parse().ok()?;
    let minute: i64 = fields.next()?.parse().ok()?;
    let second = fields.next().unwrap_or("0");
    let second: i64 = second.split('.').next()?.parse().ok()?;
    for (word, shift) in [("am", 0), ("pm", 12)] {
        if let Some(after) = rest.strip_prefix(word) {
            if !(1..=12).contains(&hour) {
                return None;
            }
            hour = hour % 12 + shift;
            rest = after.trim();
        }
    }
    if hour > 23 || minute > 59 || second > 59 || fields.next().is_some() {
        return None;
    }
    let zone = rest.trim_matches(['(', ')', ' ']);
    let offset = if zone.is_empty() { None } else { Some(offset(zone)?) };
    Some((hour * 3_600 + minute * 60 + second, offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, order: DateOrder, expected: Result<&str, &str>) {
        let read = read(text, order, 0);
        match (&read, expected) {
            (Ok(Moment::At(at)), Ok(expected)) => assert_eq!(format(*at), expected, "{text}"),
            (Ok(Moment::Now), Ok("now")) | (Ok(Moment::Open), Ok("open")) => {}
            (Err(what), Err(part)) => assert!(what.contains(part), "{what}"),
            _ => panic!("{text}: {read:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn dates_are_read_in_many_forms() {
        use DateOrder::{DayFirst, Guess, MonthFirst};
        check("2026-12-01", Guess, Ok("2026-12-01T00:00:00Z"));
        check("2026-12-01T08:30:00Z", Guess, Ok("2026-12-01T08:30:00Z"));
        check("2026-12-01 08:30:00.250+02:00", Guess, Ok("2026-12-01T06:30:00Z"));
        check("2026/12/01", Guess, Ok("2026-12-01T00:00:00Z"));
        check("20261201", Guess, Ok("2026-12-01T00:00:00Z"));
        check("01/12/2026", DayFirst, Ok("2026-12-01T00:00:00Z"));
        check("01/12/2026", MonthFirst, Ok("2026-01-12T00:00:00Z"));
        check("01/12/2026", Guess, Err("date_order"));
        check("12/12/2026", Guess, Ok("2026-12-12T00:00:00Z"));
        check("31/12/2026", MonthFirst, Err("not a date"));
        check("1.12.26", DayFirst, Ok("2026-12-01T00:00:00Z"));
        check("1st December 2026", Guess, Ok("2026-12-01T00:00:00Z"));
        check("01-Dec-26", Guess, Ok("2026-12-01T00:00:00Z"));
        check("Dec 1, 2026 8:00 PM GMT", Guess, Ok("2026-12-01T20:00:00Z"));
        check("1. März 2027", Guess, Ok("2027-03-01T00:00:00Z"));
        check("1 de mayo de 2027", Guess, Ok("2027-05-01T00:00:00Z"));
        check("1 juillet 2027", Guess, Ok("2027-07-01T00:00:00Z"));
        check("Tuesday, 1 December 2026", Guess, Ok("2026-12-01T00:00:00Z"));
        check("46357", Guess, Ok("2026-12-01T00:00:00Z"));
        check("46357.5", Guess, Ok("2026-12-01T12:00:00Z"));
        check("2026-12-01 00:00 CET", Guess, Ok("2026-11-30T23:00:00Z"));
        check("immediately", Guess, Ok("now"));
        check("until further notice", Guess, Ok("open"));
        check("31.12.2099", DayFirst, Ok("open"));
        check("2026-02-29", Guess, Err("not a date"));
        check("2028-02-29", Guess, Ok("2028-02-29T00:00:00Z"));
        check("2026-12-01 25:00", Guess, Err("not a date"));
        check("2026-12-01 08:00 XYZ", Guess, Err("not a date"));
        check("soon", Guess, Err("not a date"));
    }

    #[test]
    fn a_column_shows_its_order() {
        assert_eq!(evidence("31/12/2026"), Some(DateOrder::DayFirst));
        assert_eq!(evidence("12/31/2026 08:00"), Some(DateOrder::MonthFirst));
        assert_eq!(evidence("1.2.2026"), Some(DateOrder::DayFirst));
        assert_eq!(evidence("1/2/2026"), None);
        assert_eq!(evidence("2026-12-31"), None);
    }

    #[test]
    fn days_and_dates_are_inverse() {
        for day in (0..60_000).step_by(13) {
            let (year, month, date_day) = date(day);
            assert_eq!(days(year, month, date_day), Some(day));
        }
        assert_eq!(date(0), (1970, 1, 1));
    }
}
