//! How an attempt failed, and what the caller hears of it.

use std::time::Duration;

use crate::decision::Refusal;
use crate::release::Cause;

/// The failure that the caller will hear if nothing better comes (RFC 3261 section 16.7, step 6).
#[derive(Clone, Copy)]
pub(super) struct Failure {
    pub(super) leg: u8,
    pub(super) status: u16,
    pub(super) cause: Cause,
    pub(super) kind: FailureKind,
}

/// What it was.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// A final response.
    Refused,
    /// Nothing came, or nothing could be sent.
    Unreachable,
    /// 100 and then nothing for so long.
    NoProgress(Duration),
    RangOut(Duration),
    Redirected,
}

impl Failure {
    /// Lower is what the caller should hear: 6xx, then what the callee said, then what we or a carrier
    /// could not do.
    pub(super) fn rank(&self) -> u8 {
        match self.status {
            600.. => 0,
            486 | 480 => 1,
            401 | 407 => 6,
            408 => 4,
            400..=499 => 2,
            300..=399 => 3,
            503 => 7,
            _ => 5,
        }
    }

    /// What the call is refused with if this decides; `attempts` if there were several.
    pub(super) fn refusal(&self, attempts: Option<u8>) -> Refusal {
        match (self.kind, attempts) {
            (FailureKind::RangOut(limit), _) => Refusal::RingTimeout(limit),
            (FailureKind::Redirected, None) => Refusal::RedirectRefused(self.status),
            (_, Some(attempts)) => Refusal::AttemptsExhausted(attempts, self.status, self.cause),
            (FailureKind::Unreachable, None) => {
                Refusal::CalleeUnreachable(self.leg, self.status, self.cause)
            }
            (FailureKind::NoProgress(limit), None) => Refusal::NoProgress(self.leg, limit),
            (_, None) => Refusal::CalleeRefused(self.leg, self.status, self.cause),
        }
    }
}
