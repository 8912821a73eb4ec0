//! Moments as people write them: UTC in the form of RFC 3339.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use vocabulary::Utc;

/// `2026-12-01` (midnight) or `2026-12-01T08:00:00Z`, with an offset if not Z.
pub fn parse_utc(text: &str) -> Option<Utc> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(Utc(moment.as_microsecond()));
    }
    let date: Date = text.parse().ok().filter(|_| text.len() == 10)?;
    let midnight = date.to_zoned(TimeZone::UTC).ok()?;
    Some(Utc(midnight.timestamp().as_microsecond()))
}

/// `2026-12-01T08:00:00Z`, with microseconds if there are any.
pub fn format_utc(at: Utc) -> String {
    Timestamp::from_microsecond(at.0).map_or_else(|_| format!("{at:?}"), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_and_written() {
        assert_eq!(parse_utc("1970-01-02"), Some(Utc(86_400_000_000)));
        assert_eq!(parse_utc("1970-01-01T01:00:00+01:00"), Some(Utc(0)));
        assert_eq!(parse_utc("1970-01-01T00:00:00.5Z"), Some(Utc(500_000)));
        assert_eq!(parse_utc("01.12.2026"), None);
        assert_eq!(parse_utc("2026-02-30"), None);
        assert_eq!(parse_utc(""), None);
        assert_eq!(format_utc(Utc(86_400_000_001)), "1970-01-02T00:00:00.000001Z");
    }
}
