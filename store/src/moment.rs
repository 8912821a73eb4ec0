//! Moments as people write them: UTC in the form of RFC 3339.

use billing::Zone;
pub use sheets::{format_utc, parse_utc};
use vocabulary::Utc;

/// `2026-12-01`: the day in UTC that this moment is in.
pub fn day_of(at: Utc) -> String {
    format_utc(at).chars().take(10).collect()
}

/// A moment as clocks show it there, with their offset: `2026-12-01T09:00:00+01:00`. UTC without a
/// zone.
pub fn format_in(at: Utc, zone: Option<&Zone>) -> String {
    let Some(zone) = zone else { return format_utc(at) };
    let offset = zone.offset_at(at.seconds());
    let local = format_utc(Utc(at.0.saturating_add(offset.saturating_mul(1_000_000))));
    let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.abs() / 60);
    format!("{}{sign}{:02}:{:02}", local.trim_end_matches('Z'), minutes / 60, minutes % 60)
}

/// As [`parse_utc`], but a day alone begins at midnight of that zone.
pub fn parse_in(text: &str, zone: Option<&Zone>) -> Option<Utc> {
    let at = parse_utc(text)?;
    match zone {
        Some(zone) if text.len() == DAY_LENGTH => {
            Some(Utc(zone.utc_second(at.seconds()).saturating_mul(1_000_000)))
        }
        _ => Some(at),
    }
}

/// `2026-12-01`
const DAY_LENGTH: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_days_are_where_the_clocks_are() {
        // also on the days of 23 and 25 hours.
        let berlin = Zone::named("Europe/Berlin").unwrap();
        let both = |text: &str| {
            let at = parse_in(text, Some(&berlin)).unwrap();
            (format_utc(at), format_in(at, Some(&berlin)))
        };
        let pair = |utc: &str, local: &str| (utc.to_owned(), local.to_owned());
        let winter = pair("2026-11-30T23:00:00Z", "2026-12-01T00:00:00+01:00");
        assert_eq!(both("2026-12-01"), winter);
        let long_day = pair("2026-10-24T22:00:00Z", "2026-10-25T00:00:00+02:00");
        assert_eq!(both("2026-10-25"), long_day);
        assert_eq!(both("2026-10-26"), pair("2026-10-25T23:00:00Z", "2026-10-26T00:00:00+01:00"));
        let moment = pair("2026-07-01T08:00:00.5Z", "2026-07-01T10:00:00.5+02:00");
        assert_eq!(both("2026-07-01T08:00:00.5Z"), moment);
        let newfoundland = Zone::named("America/St_Johns").unwrap();
        let at = parse_utc("2026-12-01T08:00:00Z").unwrap();
        assert_eq!(format_in(at, Some(&newfoundland)), "2026-12-01T04:30:00-03:30");
        assert_eq!(
            (format_in(at, None), parse_in("2026-12-01", None)),
            ("2026-12-01T08:00:00Z".to_owned(), parse_utc("2026-12-01"))
        );
    }

    #[test]
    fn a_day_begins_at_midnight() {
        assert_eq!(day_of(Utc(86_400_000_001)), "1970-01-02");
    }
}
