//! What the legs of a call say to each other.

use bytes::Bytes;
use vocabulary::Party;

use super::ending::Ending;
use super::{Call, Context, Side, State};
use crate::decision::{Decision, End, Refusal};
use crate::interworking::{InterworkingDecision, Talker};
use crate::leg::event::LegEvent;
use crate::release::Cause;

impl Call {
    /// Passes on what the legs have to say until they have nothing more to say.
    pub(crate) fn drain(&mut self, ctx: &mut Context<'_>) {
        loop {
            if let Some(event) = self.ingress.side.poll_event() {
                match event {
                    LegEvent::CodecsRemoved { names } => self.removed(Talker::Caller, names),
                    event => self.caller_said(ctx, event),
                }
                continue;
            }
            let spoken = (0..self.attempts.len())
                .find_map(|n| Some((n, self.attempts[n].side.as_mut()?.poll_event()?)));
            match spoken {
                Some((n, LegEvent::CodecsRemoved { names })) => {
                    self.removed(Talker::Attempt(n as u8 + 1), names);
                }
                Some((n, event)) => self.callee_said(ctx, n as u8, event),
                None => break,
            }
        }
        self.look_up_hops(ctx);
        for attempt in &mut self.attempts {
            if attempt.side.as_ref().is_some_and(|side| side.is_over()) {
                attempt.side = None;
            }
        }
    }

    /// Codecs were taken out. A call that is up changes its session as often as it likes: that is told once.
    fn removed(&mut self, talker: Talker, names: Box<str>) {
        if matches!(self.state, State::Talking(_) | State::Releasing) {
            return;
        }
        let removed = InterworkingDecision::CodecsRemoved(talker, names);
        let removed = Decision::Interworking(removed);
        if !self.decisions().contains(&removed) {
            self.decide(removed);
        }
    }

    fn caller_said(&mut self, ctx: &mut Context<'_>, event: LegEvent) {
        if let State::Talking(_) = self.state {
            return self.talker_said(ctx, 0, event);
        }
        if let LegEvent::Release { cause, reason_header, sip_status } = event {
            return self.caller_released(ctx, 0, cause, reason_header, sip_status);
        }
        let peer = if let State::Hunting(hunt) = &self.state { hunt.early } else { None };
        let peer = peer.and_then(|n| self.attempts[usize::from(n)].side.as_deref_mut());
        match peer {
            Some(side) => side.send(ctx, event),
            None => turn_away(ctx, &mut self.ingress.side, &event),
        }
    }

    /// What a side says of a call that is up.
    fn talker_said(&mut self, ctx: &mut Context<'_>, leg: u8, event: LegEvent) {
        let Some(event) = self.said_in_transfer(ctx, leg, event) else { return };
        let State::Talking(talking) = &self.state else { return };
        let Some(other) = talking.other_end(leg) else {
            // It has left, or lost against whoever answered; what it still says changes nothing.
            return;
        };
        match event {
            LegEvent::Release { cause, reason_header, sip_status } if leg == talking.near => {
                self.caller_released(ctx, leg, cause, reason_header, sip_status);
            }
            LegEvent::Release { cause, reason_header, .. } => {
                self.callee_released(ctx, cause, reason_header);
            }
            LegEvent::Transfer { refer_to } => self.transfer_wanted(ctx, leg, &refer_to),
            // Told on a dialog that is up; nothing to pass on.
            LegEvent::Ring { .. } | LegEvent::Answer { .. } | LegEvent::Redirect { .. } => {}
            event => self.tell(ctx, other, event),
        }
    }

    /// The side of the caller has ended: its leg, or what it has transferred the call to.
    fn caller_released(
        &mut self,
        ctx: &mut Context<'_>,
        leg: u8,
        cause: Cause,
        reason: Option<Bytes>,
        status: u16,
    ) {
        let is_new = matches!(self.state, State::Arriving);
        let is_call = self.side_mut(leg).is_some_and(|side| side.is_call());
        let ends_itself = is_call && !is_by_a_person(cause);
        let is_switch = is_ours(cause) || is_new || ends_itself;
        let by = if is_switch { Party::Switch } else { Party::Caller };
        ctx.stats.calls_refused += u64::from(is_new);
        let decision = match &self.state {
            State::Releasing => return,
            State::Arriving => Decision::Refused(Refusal::BadInvite(status)),
            State::Talking(_) if ends_itself => Decision::Ended(End::OtherCall(cause)),
            State::Talking(_) if by == Party::Caller => Decision::Ended(End::ByCaller),
            State::SettingUp(_) | State::Hunting(_) | State::Answering(_)
                if cause == Cause::Cancelled || status == 487 =>
            {
                Decision::Ended(End::CallerGaveUp)
            }
            _ => Decision::Ended(End::LegLost(vocabulary::Direction::Ingress, cause)),
        };
        self.decide(decision);
        self.release(ctx, Ending { cause, by, status, reason, is_caller_gone: leg == 0 });
    }

    fn callee_said(&mut self, ctx: &mut Context<'_>, n: u8, event: LegEvent) {
        match &mut self.state {
            State::Hunting(_) => self.hunting_event(ctx, n, event),
            State::Talking(_) => self.talker_said(ctx, n + 1, event),
            State::Answering(answering) if answering.winner == n => match event {
                LegEvent::Release { cause, reason_header, .. } => {
                    self.callee_released(ctx, cause, reason_header);
                }
                event => {
                    if let Some(side) = self.attempts[usize::from(n)].side.as_deref_mut() {
                        turn_away(ctx, side, &event);
                    }
                }
            },
            // An attempt that lost has been told to release; what it still says changes nothing.
            _ => {}
        }
    }

    fn callee_released(&mut self, ctx: &mut Context<'_>, cause: Cause, reason: Option<Bytes>) {
        let is_call = matches!(&self.state, State::Talking(talking)
            if self.attempts[usize::from(talking.winner)].way.is_onward());
        let ends_itself = is_call && !is_by_a_person(cause);
        let by = if is_ours(cause) || ends_itself { Party::Switch } else { Party::Callee };
        let end = match by {
            _ if ends_itself => End::OtherCall(cause),
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
    matches!(
        cause,
        Cause::SessionExpired
            | Cause::PeerGone
            | Cause::NoAck
            | Cause::NoResponse
            | Cause::TimerExpired
    )
}

/// Somebody at the far end of the other call hung up; else that call ended of itself.
fn is_by_a_person(cause: Cause) -> bool {
    matches!(cause, Cause::Normal | Cause::NormalUnspecified | Cause::Cancelled)
}

/// An event for a leg that is not there (yet): what needs an answer gets one.
pub(super) fn turn_away(ctx: &mut Context<'_>, side: &mut Side, event: &LegEvent) {
    let answer = match event {
        LegEvent::Update { .. } => LegEvent::UpdateAnswer { status: 491, body: None },
        LegEvent::Info { .. } => LegEvent::InfoAnswer { status: 480, body: None },
        LegEvent::Transfer { .. } => LegEvent::TransferAnswer { status: 491 },
        _ => return,
    };
    side.send(ctx, answer);
}
