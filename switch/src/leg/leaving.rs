//! The end of a leg: by a final response, by CANCEL, by BYE from either side, or by both at once.

use bytes::Bytes;
use sip::endpoint::{ClientTx, ServerTx};
use sip::message::Message;

use super::exchange::{Kind, Sent};
use super::{At, Leg, Phase, reason_of};
use crate::release::Cause;

/// Our BYE.
pub(super) struct Leaving {
    /// The line of its Reason header.
    reason: Bytes,
    /// `None` while our 2xx has no ACK: the BYE waits for it (RFC 3261 section 15).
    bye: Option<Sent>,
}

impl Leg {
    /// Whether there is nothing left but to end: what else comes is of no interest to the call.
    pub(super) fn is_ending(&self) -> bool {
        match &self.phase {
            Phase::Leaving(_) | Phase::Over => true,
            Phase::Inviting(inviting) => inviting.is_cancelled,
            Phase::Invited(_) | Phase::Up => false,
        }
    }

    /// The call ends the leg.
    pub(super) fn release(
        &mut self,
        at: &mut At<'_>,
        cause: Cause,
        reason_header: Option<Bytes>,
        sip_status: u16,
    ) {
        let reason = reason_header.unwrap_or_else(|| cause.reason_header().into());
        match &mut self.phase {
            Phase::Invited(_) => {
                let status = match sip_status {
                    300..=699 => sip_status,
                    _ => Some(cause.sip_status()).filter(|status| *status >= 300).unwrap_or(480),
                };
                // New calls should come back, or go elsewhere meanwhile.
                let is_going_down = status == 503 && cause == Cause::Shutdown;
                let retry_after = is_going_down.then_some(self.config.retry_after_secs);
                self.refuse_invite(at, status, Some(reason), retry_after);
            }
            Phase::Inviting(inviting) => {
                inviting.cancel(at, &reason);
                self.answer_what_is_pending(at, 487);
            }
            Phase::Up => self.leave(at, reason),
            // It ends already; the events crossed.
            Phase::Leaving(_) | Phase::Over => {}
        }
    }

    /// Ends an answered leg with BYE, as soon as that is allowed.
    pub(super) fn leave(&mut self, at: &mut At<'_>, reason: Bytes) {
        self.answer_what_is_pending(at, 487);
        self.end_referral(at);
        // An offer in a 2xx that nobody answered: the ACK must go out all the same.
        self.acknowledge(at, None);
        let is_unacknowledged = self.exchanges().answer.is_some();
        self.phase = Phase::Leaving(Box::new(Leaving { reason, bye: None }));
        if !is_unacknowledged {
            self.send_bye(at);
        }
    }

    /// Sends the BYE that waited for the ACK, if there is one.
    pub(super) fn send_bye(&mut self, at: &mut At<'_>) {
        let Phase::Leaving(leaving) = &mut self.phase else { return };
        if leaving.bye.is_some() {
            return;
        }
        let line = [b"Reason: ", &leaving.reason[..], b"\r\n"].concat();
        let bye = self.transmit(at, Kind::Bye, line.into(), None, 0, None);
        if let Phase::Leaving(leaving) = &mut self.phase {
            leaving.bye = Some(bye);
        }
    }

    /// The response to our BYE, if this is it. Anything but a challenge ends the leg.
    pub(super) fn bye_answered(
        &mut self,
        at: &mut At<'_>,
        tx: ClientTx,
        response: &Message,
    ) -> bool {
        let Phase::Leaving(leaving) = &mut self.phase else { return false };
        let Some(bye) = leaving.bye.take_if(|bye| bye.tx == tx) else { return false };
        if response.status() < 200 {
            leaving.bye = Some(bye);
            return true;
        }
        let again = self
            .answer_challenge(&bye, response)
            .map(|credentials| self.transmit_again(at, bye, Some(credentials)));
        match (again, &mut self.phase) {
            (Some(bye), Phase::Leaving(leaving)) => leaving.bye = Some(bye),
            _ => self.phase = Phase::Over,
        }
        true
    }

    /// Our BYE could not be sent or got no response: it goes out by the next way. Once there is
    /// none, the peer is as gone as it would be with one.
    pub(super) fn bye_failed(&mut self, at: &mut At<'_>, tx: ClientTx) -> bool {
        let Phase::Leaving(leaving) = &mut self.phase else { return false };
        let Some(bye) = leaving.bye.take_if(|bye| bye.tx == tx) else { return false };
        if !self.has_other_way(bye.path) {
            self.phase = Phase::Over;
            return true;
        }
        let again = self.transmit_again(at, bye, None);
        if let Phase::Leaving(leaving) = &mut self.phase {
            leaving.bye = Some(again);
        }
        true
    }

    /// The peer hangs up (section 15.1.2).
    pub(super) fn bye_received(&mut self, at: &mut At<'_>, tx: ServerTx, bye: &Message) {
        match &mut self.phase {
            Phase::Invited(_) => self.bye_received_early(at, tx, bye),
            Phase::Inviting(inviting) => {
                // A callee should refuse instead; it means the same.
                let was_released = inviting.is_cancelled;
                inviting.cancel(at, b"");
                self.respond(at, tx, bye, 200);
                if !was_released {
                    self.emit_release(Cause::from_sip_status(480), reason_of(bye).1, 480);
                }
            }
            Phase::Up => {
                self.respond(at, tx, bye, 200);
                self.answer_what_is_pending(at, 487);
                let (cause, reason_header) = reason_of(bye);
                self.emit_release(cause.unwrap_or(Cause::Normal), reason_header, 200);
                self.phase = Phase::Over;
            }
            // BYE crosses BYE: each is answered, and the call knows already. One that still waits
            // for an ACK is not needed any more.
            Phase::Leaving(leaving) => {
                let is_sent = leaving.bye.is_some();
                self.respond(at, tx, bye, 200);
                if !is_sent {
                    self.phase = Phase::Over;
                }
            }
            Phase::Over => self.respond(at, tx, bye, 200),
        }
    }

    /// The dialog is of no use any more (no ACK, 481, 408, no refresh): tells the call, and the
    /// peer in case it is there after all.
    pub(super) fn give_up(&mut self, at: &mut At<'_>, cause: Cause) {
        self.emit_release(cause, None, 200);
        if let Some(exchanges) = &mut self.exchanges {
            exchanges.answer = None;
        }
        self.leave(at, cause.reason_header().into());
    }
}
