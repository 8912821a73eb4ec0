//! Whether a peer without a session timer is still there (S3). One that was silent for the interval
//! of the configuration is asked by OPTIONS within the dialog. Any answer shows that it lives, but
//! 481 and 408: then the dialog is gone (RFC 5057 section 5), as it is when no answer comes for
//! 64·T1, or when the question could not be sent twice in a row.

use std::time::Duration;

use bytes::Bytes;
use sip::transaction::Failure;

use super::exchange::Kind;
use super::{At, Leg, Phase};
use crate::release::Cause;

/// How long a peer that cannot be reached has to come back: its phone may open another connection.
const UNREACHABLE_WAIT: Duration = Duration::from_secs(32);

impl Leg {
    /// The peer was heard: it lives, for another interval.
    pub(super) fn is_there(&mut self, at: &At<'_>) {
        self.peer.is_unreachable = false;
        if let Some(interval) = self.config.dialog_probe {
            self.probe_after(at, interval);
        }
    }

    fn probe_after(&mut self, at: &At<'_>, wait: Duration) {
        // Whole seconds are enough, and a held leg is small.
        let secs = (at.now + wait).as_secs();
        self.probe_at_secs = u32::try_from(secs).unwrap_or(u32::MAX);
    }

    /// When the peer is to be asked, if it is.
    pub(super) fn probe_at(&self) -> Option<Duration> {
        let is_asked = matches!(self.phase, Phase::Up) && self.timer.is_none();
        let at = self.probe_at_secs;
        (is_asked && at > 0).then(|| Duration::from_secs(u64::from(at)))
    }

    /// Asks, if it is time.
    pub(super) fn probe_due(&mut self, at: &mut At<'_>) {
        if self.probe_at().is_none_or(|due| at.now < due) {
            return;
        }
        // What comes back, or does not, brings the next one.
        self.probe_at_secs = 0;
        let sent = self.transmit(at, Kind::Probe, Bytes::new(), None, 0, None);
        self.exchanges().sent.push(sent);
    }

    /// The final answer to our question.
    pub(super) fn probe_answered(&mut self, at: &mut At<'_>, status: u16) {
        if matches!(status, 408 | 481) {
            self.peer_is_dead(at);
        }
    }

    /// Our question got no answer, or could not be sent by any way.
    pub(super) fn probe_failed(&mut self, at: &mut At<'_>, why: Failure) {
        let is_asked_again = self.exchanges().sent.iter().any(|sent| sent.kind == Kind::Probe);
        if is_asked_again || self.probe_at_secs > 0 {
            // The peer was heard meanwhile.
            return;
        }
        match why {
            Failure::Transport if !self.peer.is_unreachable => {
                self.peer.is_unreachable = true;
                self.probe_after(at, UNREACHABLE_WAIT);
            }
            Failure::Timeout | Failure::Transport => self.peer_is_dead(at),
        }
    }

    fn peer_is_dead(&mut self, at: &mut At<'_>) {
        if matches!(self.phase, Phase::Up) {
            self.give_up(at, Cause::PeerGone);
        }
    }
}
