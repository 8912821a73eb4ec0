//! The only place that reads the clocks of the machine.

use std::time::{Duration, Instant, SystemTime};

use vocabulary::{Now, Utc};

/// Both clocks; `monotonic` counts from the moment the clock was made, which is the start of the
/// process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts at zero now.
    pub fn start() -> Clock {
        Clock { start: Instant::now() }
    }

    /// The present on both clocks.
    pub fn now(&self) -> Now {
        let utc = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
        Now { monotonic: self.start.elapsed(), utc: Utc(utc) }
    }

    /// Time since the start, without asking for wall time.
    pub fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}
