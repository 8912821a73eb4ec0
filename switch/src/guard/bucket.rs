//! How much a source has done lately: a bucket that runs out at a steady rate. Of each only one
//! moment is kept, that at which it will be empty.

use std::time::Duration;

/// What a kind of bucket holds, and how fast it runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Measure {
    /// It holds so many.
    pub(super) max: u32,
    /// A full one is empty after this time.
    pub(super) emptied_in: Duration,
}

impl Measure {
    fn each_ms(self) -> u64 {
        (millis(self.emptied_in) / u64::from(self.max.max(1))).max(1)
    }

    fn span_ms(self) -> u64 {
        self.each_ms() * u64::from(self.max)
    }
}

/// A bucket; the default is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bucket {
    /// When it will be empty, in milliseconds of monotonic time.
    empty_at: u64,
}

impl Bucket {
    /// Whether one more goes in.
    pub(super) fn has_room(self, now: Duration, measure: Measure) -> bool {
        self.room_at(measure) <= millis(now)
    }

    /// From when on one more goes in, in milliseconds of monotonic time.
    pub(super) fn room_at(self, measure: Measure) -> u64 {
        (self.empty_at + measure.each_ms()).saturating_sub(measure.span_ms())
    }

    /// Puts one in if it goes in; whether it did.
    pub(super) fn put(&mut self, now: Duration, measure: Measure) -> bool {
        let has_room = measure.max > 0 && self.has_room(now, measure);
        if has_room {
            self.empty_at = self.empty_at.max(millis(now)) + measure.each_ms();
        }
        has_room
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_takes_a_burst_and_then_as_much_as_runs_out() {
        let measure = Measure { max: 4, emptied_in: Duration::from_secs(40) };
        let mut bucket = Bucket::default();
        let mut put = |at_s: u64| bucket.put(Duration::from_secs(at_s), measure);
        // When, and whether one more goes in.
        let steps = [
            (100, true),
            (100, true),
            (101, true),
            (102, true),
            (103, false),
            (109, false),
            (110, true),
            (110, false),
            (120, true),
            (121, false),
            (1000, true),
            (1000, true),
            (1000, true),
            (1000, true),
            (1000, false),
        ];
        for (step, (at_s, expected)) in steps.into_iter().enumerate() {
            assert_eq!(put(at_s), expected, "step {step}");
        }
    }

    #[test]
    fn a_bucket_of_nothing_takes_nothing() {
        let measure = Measure { max: 0, emptied_in: Duration::from_secs(40) };
        assert!(!Bucket::default().put(Duration::from_secs(1), measure));
    }
}
