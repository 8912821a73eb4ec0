//! What the legs of a call say to each other.

use bytes::Bytes;
use vocabulary::Party;

use super::ending::Ending;
use super::{Call, Context, State};
use crate::decision::{Decision, End, Refusal};
use crate::leg::Leg;
use crate::leg::event::LegEvent;
use crate::release::Cause;

impl Call {
    /// Passes on what the legs have to say until they have nothing more to say.
    pub(crate) fn drain(&mut self, ctx: &mut Context<'_>) {
        loop {
            if let Some(event) = self.ingress.leg.poll_event() {
                self.caller_said(ctx, event);
                continue;
            }
            let spoken = (0..self.attempts.len())
                .find_map(|n| Some((n, self.attempts[n].leg.as_mut()?.poll_event()?)));
            match spoken {
                Some((n, event)) => self.callee_said(ctx, n as u8, event),
                None => break,
            }
        }
        self.look_up_hops(ctx);
        for attempt in &mut self.attempts {
            if attempt.leg.as_ref().is_some_and(|leg| leg.is_over()) {
                attempt.leg = None;
            }
        }
    }

    fn caller_said(&mut self, ctx: &mut Context<'_>, event: LegEvent) {
        if let LegEvent::Release { cause, reason_header, sip_status } = event {
            return self.caller_released(ctx, cause, reason_header, sip_status);
        }
        let peer = match &self.state {
            State::Hunting(hunt) => hunt.early,
            State::Talking(talking) => Some(talking.winner),
            _ => None,
        };
        let peer = peer.and_then(|n| self.attempts[usize::from(n)].leg.as_deref_mut());
        match peer {
            Some(leg) => leg.send(ctx.now, ctx.endpoint, event),
            None => turn_away(ctx, &mut self.ingress.leg, &event),
        }
    }

    fn caller_released(
        &mut self,
        ctx: &mut Context<'_>,
        cause: Cause,
        reason: Option<Bytes>,
        status: u16,
    ) {
        let is_new = matches!(self.state, State::Arriving);
        let by = if is_ours(cause) || is_new { Party::Switch } else { Party::Caller };
        ctx.stats.calls_refused += u64::from(is_new);
        let decision = match &self.state {
            State::Releasing => return,
            State::Arriving => Decision::Refused(Refusal::BadInvite(status)),
            State::Talking(_) if by == Party::Caller => Decision::Ended(End::ByCaller),
            State::SettingUp(_) | State::Hunting(_) | State::Answering(_)
                if cause == Cause::Cancelled || status == 487 =>
            {
                Decision::Ended(End::CallerGaveUp)
            }
            _ => Decision::Ended(End::LegLost(vocabulary::Direction::Ingress, cause)),
        };
        self.decide(decision);
        self.release(ctx, Ending { cause, by, status, reason, is_caller_gone: true });
    }

    fn callee_said(&mut self, ctx: &mut Context<'_>, n: u8, event: LegEvent) {
        match &mut self.state {
            State::Hunting(_) => self.hunting_event(ctx, n, event),
            State::Talking(talking) if talking.winner == n => match event {
                LegEvent::Release { cause, reason_header, .. } => {
                    self.callee_released(ctx, cause, reason_header);
                }
                // Told on a dialog that is up; nothing to pass on.
                LegEvent::Ring { .. } | LegEvent::Answer { .. } | LegEvent::Redirect { .. } => {}
                event => self.ingress.leg.send(ctx.now, ctx.endpoint, event),
            },
            State::Answering(answering) if answering.winner == n => match event {
                LegEvent::Release { cause, reason_header, .. } => {
                    self.callee_released(ctx, cause, reason_header);
                }
                event => {
                    if let Some(leg) = self.attempts[usize::from(n)].leg.as_deref_mut() {
                        turn_away(ctx, leg, &event);
                    }
                }
            },
            // An attempt that lost has been told to release; what it still says changes nothing.
            _ => {}
        }
    }

    fn callee_released(&mut self, ctx: &mut Context<'_>, cause: Cause, reason: Option<Bytes>) {
        let by = if is_ours(cause) { Party::Switch } else { Party::Callee };
        let end = match by {
            Party::Callee => End::ByCallee,
            _ => End::LegLost(vocabulary::Direction::Egress, cause),
        };
        self.decide(Decision::Ended(end));
        let status = if cause == Cause::Normal { 480 } else { cause.sip_status() };
        self.release(ctx, Ending { cause, by, status, reason, is_caller_gone: false });
    }
}

/// Releases that a leg reports but that no person caused.
fn is_ours(cause: Cause) -> bool {
    matches!(cause, Cause::SessionExpired | Cause::NoAck | Cause::NoResponse | Cause::TimerExpired)
}

/// An event for a leg that is not there (yet): what needs an answer gets one.
pub(super) fn turn_away(ctx: &mut Context<'_>, leg: &mut Leg, event: &LegEvent) {
    let answer = match event {
        LegEvent::Update { .. } => LegEvent::UpdateAnswer { status: 491, body: None },
        LegEvent::Info { .. } => LegEvent::InfoAnswer { status: 480, body: None },
        _ => return,
    };
    leg.send(ctx.now, ctx.endpoint, answer);
}
