//! The one value in which money and SIP meet.

use std::time::Duration;

/// How much talk is paid for, counted from the answer, and whether that is all there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Talk time since answer that is covered by reservations. Talk beyond it is never counted.
    pub talk_time: Duration,
    /// No more will follow: the call must end at `talk_time`. If false, ask for more before then.
    pub is_final: bool,
}
