//! The end of a call: every leg is told, and it is settled, once.

use std::collections::VecDeque;

use bytes::Bytes;
use vocabulary::{Now, Party};

use super::{Call, Context, State};
use crate::admission::Admission;
use crate::decision::{Decision, End, Refusal};
use crate::effect::Effect;
use crate::fraud::Fraud;
use crate::leg::event::LegEvent;
use crate::quality::Quality;
use crate::release::Cause;
use crate::routing::Told;

/// How a call ends.
pub(super) struct Ending {
    pub(super) cause: Cause,
    pub(super) by: Party,
    /// For a caller who has not been answered.
    pub(super) status: u16,
    /// The peer's Reason header, to be handed on.
    pub(super) reason: Option<Bytes>,
    /// The ingress leg ended by itself.
    pub(super) is_caller_gone: bool,
}

impl Ending {
    pub(super) fn by_switch(cause: Cause, status: u16) -> Ending {
        Ending { cause, by: Party::Switch, status, reason: None, is_caller_gone: false }
    }
}

impl Call {
    /// The call is not let in, or nobody was found.
    pub(crate) fn refuse(&mut self, ctx: &mut Context<'_>, refusal: Refusal) {
        let (cause, status) = (refusal.cause(), refusal.sip_status());
        let by = match &refusal {
            Refusal::CalleeRefused(..) | Refusal::AttemptsExhausted(..) => Party::Callee,
            Refusal::BadInvite(_) | Refusal::RedirectRefused(_) => Party::Callee,
            // Unreachable, silent or ringing without end: we gave up.
            _ => Party::Switch,
        };
        let by = if self.attempts.is_empty() { Party::Switch } else { by };
        if self.attempts.is_empty() {
            ctx.stats.calls_refused += 1;
        }
        self.decide(Decision::Refused(refusal));
        self.release(ctx, Ending { cause, by, status, reason: None, is_caller_gone: false });
    }

    /// Tells every leg to end, settles, and waits in `Releasing` for the legs.
    pub(super) fn release(&mut self, ctx: &mut Context<'_>, mut ending: Ending) {
        let state = std::mem::replace(&mut self.state, State::Releasing);
        if !ending.is_caller_gone && !matches!(state, State::Talking(_)) {
            self.tell_as_mapped(ctx, &mut ending);
        }
        let event = |status| LegEvent::Release {
            cause: ending.cause,
            reason_header: ending.reason.clone(),
            sip_status: status,
        };
        if !ending.is_caller_gone {
            self.ingress.side.send(ctx, event(ending.status));
        }
        for attempt in self.attempts.iter_mut().filter(|a| a.released.is_none()) {
            if let Some(side) = attempt.side.as_deref_mut().filter(|side| !side.is_over()) {
                side.send(ctx, event(ending.status));
            }
        }
        let talking = match state {
            State::Talking(talking) => {
                ctx.stats.calls_talking -= 1;
                Some(talking)
            }
            _ => None,
        };
        ctx.admission.release(self.id);
        let talk = talking.as_ref().filter(|_| !self.is_message());
        self.tell_watchers(ctx, talk);
        let request = self.settlement(ctx.now, ctx.quality, &ending, talking.as_ref());
        ctx.effects.push_back(Effect::Settle(Box::new(request)));
    }

    /// The caller's trunk may want another status for the same cause (S6).
    fn tell_as_mapped(&mut self, ctx: &Context<'_>, ending: &mut Ending) {
        let Some(trunk) = self.ingress.trunk().and_then(|id| ctx.directory.trunk(id)) else {
            return;
        };
        if let Some(Told { status, reason }) = trunk.causes.told(ending.status, ending.cause) {
            self.decide(Decision::CauseTold(trunk.id, ending.status, status));
            ending.status = status;
            ending.reason = reason.or(ending.reason.take());
        }
    }

    /// After a panic inside this call: settle it, tell the legs as far as they can still be told.
    pub(crate) fn wreck(&mut self, ctx: &mut Context<'_>) {
        if !self.is_settled() {
            self.decide(Decision::Ended(End::Fault));
            self.release(ctx, Ending::by_switch(Cause::InternalFault, 500));
        }
    }

    /// What remains to be done if even `wreck` fails: money and limits, and calls that are joined,
    /// without the legs.
    pub(crate) fn settle_only(
        &mut self,
        now: Now,
        (admission, fraud, quality): (&Admission, &Fraud, &Quality),
        effects: &mut VecDeque<Effect>,
    ) {
        let state = std::mem::replace(&mut self.state, State::Releasing);
        let talking = if let State::Talking(talking) = state { Some(talking) } else { None };
        admission.release(self.id);
        if let Some(watched) = self.watched.take() {
            fraud.ended(now, None, *watched, None);
        }
        let (cause, sip_status) = (Cause::InternalFault, 500);
        let ending = Ending::by_switch(cause, sip_status);
        let attempts = self.attempts.iter_mut().filter_map(|attempt| attempt.side.as_deref_mut());
        for side in std::iter::once(&mut self.ingress.side).chain(attempts) {
            side.say_release(effects, LegEvent::Release { cause, reason_header: None, sip_status });
        }
        let request = self.settlement(now, quality, &ending, talking.as_ref());
        effects.push_back(Effect::Settle(Box::new(request)));
    }
}
