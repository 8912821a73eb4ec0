//! The session timer at work (RFC 4028): refreshes by UPDATE if the peer takes it, else by INVITE
//! with the last body; the end of a session that nobody refreshes; waiting after 491 and 500.

use std::time::Duration;

use bytes::Bytes;
use sip::dialog::session_timer::SessionTimer;
use sip::message::Message;

use super::event::Body;
use super::exchange::{Kind, compact};
use super::{At, Leg, Phase};
use crate::release::Cause;

/// How long a refresh waits if another session change is in progress, which may refresh as well.
const BUSY_WAIT: Duration = Duration::from_secs(2);

impl Leg {
    /// Refreshes the session or ends it, if it is time.
    pub(super) fn session_due(&mut self, at: &mut At<'_>) {
        let Some(timer) = self.timer.filter(|_| matches!(self.phase, Phase::Up)) else { return };
        if at.now >= timer.expires_at {
            self.timer = None;
            return self.give_up(at, Cause::SessionExpired);
        }
        if timer.refresh_at.is_none_or(|refresh_at| at.now < refresh_at) {
            return;
        }
        let exchanges = self.exchanges();
        if exchanges.is_session_busy() || exchanges.answer.is_some() {
            return self.refresh_at(at.now + BUSY_WAIT);
        }
        // The response, its failure or the expiry brings the next one.
        if let Some(timer) = &mut self.timer {
            timer.refresh_at = None;
        }
        let (kind, body) = match &self.last_body {
            _ if self.peer.allows_update => (Kind::RefreshByUpdate, None),
            Some(body) => (Kind::RefreshByInvite, Some((**body).clone())),
            // Nothing to repeat was kept, so all that is left is what every dialog may be asked.
            None => (Kind::RefreshByUpdate, None),
        };
        let sent = self.transmit(at, kind, Bytes::new(), body, 0, None);
        self.exchanges().sent.push(sent);
    }

    /// The outcome of our own refresh.
    pub(super) fn refreshed(&mut self, at: &mut At<'_>, cseq: u32, kind: Kind, response: &Message) {
        match response.status() {
            200..=299 if kind == Kind::RefreshByInvite => self.send_ack(at, cseq, None),
            200..=299 => {}
            // Glare: the side that owns the Call-ID waits longer (RFC 3261 section 14.1).
            491 => {
                let units = if self.peer.is_caller {
                    self.random_below(200)
                } else {
                    210 + self.random_below(190)
                };
                self.refresh_at(at.now + Duration::from_millis(units * 10));
            }
            500 | 503 if response.retry_after().is_some() => {
                let seconds = response.retry_after().map_or(0, |after| after.seconds);
                self.refresh_at(at.now + Duration::from_secs(u64::from(seconds)));
            }
            // It said that it takes UPDATE and does not; but it is there, which is what we asked.
            405 | 501 => {
                self.peer.allows_update = false;
                let proposal = self.timer_proposal();
                self.timer = proposal.map(|same| SessionTimer::start(at.now, same, true));
            }
            _ => self.refresh_later(at),
        }
    }

    /// Tries the refresh again halfway to the end of the session.
    pub(super) fn refresh_later(&mut self, at: &At<'_>) {
        if let Some(timer) = &mut self.timer {
            timer.retry(at.now);
        }
    }

    fn refresh_at(&mut self, moment: Duration) {
        if let Some(timer) = self.timer.as_mut().filter(|timer| timer.is_ours) {
            timer.refresh_at = Some(moment);
        }
    }

    /// Takes a 422's Min-SE for the next try, and for every session change after it (RFC 4028
    /// section 7.4).
    pub(super) fn raise_interval(&mut self, response: &Message) -> bool {
        match (&mut self.timer, response.min_se()) {
            (Some(timer), Some(min_se)) if min_se > timer.seconds => {
                timer.seconds = min_se;
                self.peer.min_se = self.peer.min_se.max(min_se);
                true
            }
            _ => false,
        }
    }

    /// A 2xx to a session change of ours says how the timer goes on (section 7.2).
    pub(super) fn session_agreed(&mut self, at: &At<'_>, response: &Message) {
        let agreed = response.session_expires();
        self.timer = agreed.map(|agreed| SessionTimer::start(at.now, agreed, true));
    }

    /// Remembers the body just sent, if a refresh of ours would have to repeat it.
    pub(super) fn keep_body(&mut self, body: Option<&Body>) {
        let is_ours = self.timer.is_some_and(|timer| timer.is_ours);
        if !is_ours || self.peer.allows_update {
            self.last_body = None;
        } else if let Some(body) = body {
            self.last_body = Some(Box::new(compact(body)));
        }
    }
}
