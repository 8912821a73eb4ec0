//! Time, as it is given to every machine: both clocks in one value, so that no machine has to
//! convert one into the other.

use std::fmt;
use std::time::Duration;

/// Wall time, microseconds since 1970-01-01T00:00:00Z. For CDRs, rates in force and expiry; never
/// for measuring how long something took, because it may step.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Utc(pub i64);

impl Utc {
    /// Whole seconds since 1970, rounded towards the past.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This moment and `duration` more.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Utc {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Utc(self.0.saturating_add(micros))
    }

    /// How long after `earlier` this is; zero if the clock stepped back in between.
    pub fn since(self, earlier: Utc) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Debug for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Utc({}.{:06})", self.seconds(), self.0.rem_euclid(1_000_000))
    }
}

/// The moment of an input, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Time since an arbitrary fixed point (the start of the process). Never runs backwards; every
    /// timer and every talk time is measured with it.
    pub monotonic: Duration,
    /// Wall time. May step.
    pub utc: Utc,
}

impl Now {
    /// The same moment `duration` later on both clocks; for tests and the simulator.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Now {
        Now { monotonic: self.monotonic + duration, utc: self.utc.plus(duration) }
    }
}
