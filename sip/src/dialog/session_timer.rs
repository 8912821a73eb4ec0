//! Session timers (RFC 4028): how long a session lives without a refresh, who refreshes it, and
//! when it counts as dead. A value and a few rules; the leg sends the refresh and the BYE.

use std::time::Duration;

use crate::message::Message;
use crate::message::header::{Refresher, SessionExpires};

/// RFC 4028 section 5: the smallest Min-SE, and what its absence means.
pub const MIN_SE_DEFAULT: u32 = 90;

/// The value of a `Session-Expires` header.
pub fn to_value(session_expires: SessionExpires) -> String {
    let SessionExpires { seconds, refresher } = session_expires;
    match refresher {
        None => seconds.to_string(),
        Some(Refresher::Uac) => format!("{seconds};refresher=uac"),
        Some(Refresher::Uas) => format!("{seconds};refresher=uas"),
    }
}

/// What we want of session timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTimerPolicy {
    /// The interval that we propose, seconds; `None` proposes nothing and accepts what is asked.
    pub interval: Option<u32>,
    /// The smallest interval that we accept, seconds; at least 90.
    pub min_se: u32,
}

impl Default for SessionTimerPolicy {
    fn default() -> SessionTimerPolicy {
        SessionTimerPolicy { interval: Some(1800), min_se: MIN_SE_DEFAULT }
    }
}

/// What a request says about session timers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Its `Session-Expires`.
    pub session_expires: Option<SessionExpires>,
    /// Its `Min-SE`.
    pub min_se: Option<u32>,
    /// Whether `Supported` or `Require` name `timer`.
    pub is_supported: bool,
}

impl Asked {
    /// Reads a request, or a response.
    pub fn of(message: &Message) -> Asked {
        Asked {
            session_expires: message.session_expires(),
            min_se: message.min_se(),
            is_supported: message.supports(b"timer") || message.requires(b"timer"),
        }
    }
}

/// The interval asked for is below our minimum: 422 with this `Min-SE` (RFC 4028 section 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntervalTooSmall {
    /// Our minimum, seconds.
    pub min_se: u32,
}

/// What a UAS puts into its 2xx (RFC 4028 section 9 and its table 2); `None` means no timer.
///
/// # Errors
/// The interval is too small, and the client understands a 422.
pub fn answer(
    policy: SessionTimerPolicy,
    asked: Asked,
) -> Result<Option<SessionExpires>, IntervalTooSmall> {
    let floor = policy.min_se.max(MIN_SE_DEFAULT);
    let Some(wanted) = asked.session_expires else {
        // The client named none: we may, if it can at least understand what we say.
        let proposed = policy.interval.filter(|_| asked.is_supported);
        return Ok(proposed.map(|seconds| SessionExpires {
            seconds: seconds.max(floor).max(asked.min_se.unwrap_or(0)),
            refresher: Some(Refresher::Uac),
        }));
    };
    if wanted.seconds < floor && asked.is_supported {
        return Err(IntervalTooSmall { min_se: floor });
    }
    // It may be lowered, but not below what any hop on the way asked for.
    let lowest = floor.max(asked.min_se.unwrap_or(0));
    let seconds = policy.interval.map_or(wanted.seconds, |ours| ours.min(wanted.seconds));
    let refresher = match wanted.refresher {
        // A client without support cannot refresh.
        _ if !asked.is_supported => Refresher::Uas,
        Some(chosen) => chosen,
        None => Refresher::Uac,
    };
    Ok(Some(SessionExpires { seconds: seconds.max(lowest), refresher: Some(refresher) }))
}

/// A running session timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTimer {
    /// The negotiated interval, seconds.
    pub seconds: u32,
    /// Whether we refresh; otherwise the peer does.
    pub is_ours: bool,
    /// When the next refresh goes out, if it is ours.
    pub refresh_at: Option<Duration>,
    /// When the session is dead.
    pub expires_at: Duration,
}

impl SessionTimer {
    /// Starts (or restarts) with what a 2xx said. `we_are_uac` tells our side of that request.
    pub fn start(now: Duration, agreed: SessionExpires, we_are_uac: bool) -> SessionTimer {
        // A 2xx without the parameter breaks section 9; then the client refreshes.
        let refresher = agreed.refresher.unwrap_or(Refresher::Uac);
        let is_ours = (refresher == Refresher::Uac) == we_are_uac;
        let interval = Duration::from_secs(u64::from(agreed.seconds));
        // Section 10: refresh at half of the interval; send BYE a little before the other side
        // does: the lesser of 32 seconds and a third of the interval.
        let margin = Duration::from_secs(32).min(interval / 3);
        SessionTimer {
            seconds: agreed.seconds,
            is_ours,
            refresh_at: is_ours.then(|| now + interval / 2),
            expires_at: now + interval - margin,
        }
    }

    /// What our own INVITE or UPDATE says to go on as before (section 7.4).
    pub fn proposal(&self) -> SessionExpires {
        let refresher = if self.is_ours { Refresher::Uac } else { Refresher::Uas };
        SessionExpires { seconds: self.seconds, refresher: Some(refresher) }
    }

    /// The next moment at which something is due.
    pub fn next_at(&self) -> Duration {
        self.refresh_at.map_or(self.expires_at, |at| at.min(self.expires_at))
    }

    /// A refresh did not succeed but the peer is there: try again halfway to the end.
    pub fn retry(&mut self, now: Duration) {
        let left = self.expires_at.saturating_sub(now);
        self.refresh_at = self.is_ours.then(|| now + left / 2).filter(|_| left.as_secs() > 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: SessionTimerPolicy = SessionTimerPolicy { interval: Some(1800), min_se: 120 };

    #[track_caller]
    fn check(expires: &str, min_se: u32, supported: bool, expected: Result<Option<&str>, u32>) {
        let asked = Asked {
            session_expires: SessionExpires::parse(expires.as_bytes()),
            min_se: (min_se > 0).then_some(min_se),
            is_supported: supported,
        };
        let found = answer(POLICY, asked).map(|a| a.map(to_value));
        assert_eq!(
            found.as_ref().map(Option::as_deref).map_err(|e| e.min_se),
            expected.as_ref().map(|v| *v).map_err(|m| *m),
        );
    }

    #[test]
    fn a_uas_answers_as_table_2_says() {
        check("", 0, false, Ok(None));
        check("", 0, true, Ok(Some("1800;refresher=uac")));
        check("", 3600, true, Ok(Some("3600;refresher=uac")));
        check("600", 0, true, Ok(Some("600;refresher=uac")));
        check("600;refresher=uas", 0, true, Ok(Some("600;refresher=uas")));
        check("600 ; Refresher = UAC", 0, true, Ok(Some("600;refresher=uac")));
        // The client cannot refresh.
        check("600;refresher=uac", 0, false, Ok(Some("600;refresher=uas")));
        check("7200", 0, true, Ok(Some("1800;refresher=uac")));
        check("7200", 3600, true, Ok(Some("3600;refresher=uac")));
        check("119", 0, true, Err(120));
        check("119", 0, false, Ok(Some("120;refresher=uas")));
        check("never", 0, false, Ok(None));
    }

    #[test]
    fn it_fires_at_half_and_dies_a_little_early() {
        let agreed = SessionExpires { seconds: 90, refresher: Some(Refresher::Uac) };
        let timer = SessionTimer::start(Duration::from_secs(10), agreed, true);
        assert_eq!(timer.refresh_at, Some(Duration::from_secs(55)));
        assert_eq!(timer.expires_at, Duration::from_secs(70));
        let timer = SessionTimer::start(Duration::from_secs(10), agreed, false);
        assert_eq!(timer.refresh_at, None);
        assert_eq!(timer.next_at(), Duration::from_secs(70));
        let long = SessionExpires { seconds: 1800, refresher: None };
        let timer = SessionTimer::start(Duration::ZERO, long, false);
        assert_eq!(timer.expires_at, Duration::from_secs(1800 - 32));
    }
}
