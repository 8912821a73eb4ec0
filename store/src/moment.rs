//! Moments as people write them: UTC in the form of RFC 3339.

pub use sheets::{format_utc, parse_utc};
use vocabulary::Utc;

/// `2026-12-01`: the day in UTC that this moment is in.
pub fn day_of(at: Utc) -> String {
    format_utc(at).chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight() {
        assert_eq!(day_of(Utc(86_400_000_001)), "1970-01-02");
    }
}
