//! A call that its callee's phones did not take goes on to where the callee has such calls go.

use vocabulary::Direction;

use super::super::failure::{Failure, FailureKind};
use super::super::{Call, Context, State};
use crate::admission::Owner;
use crate::forwarding::{Condition, goes_on};
use crate::routing::Destination;

impl Failure {
    /// What became of the callee, if its calls may go on for that. `has_rung`: one of its phones did.
    pub(super) fn condition(&self, has_rung: bool) -> Option<Condition> {
        match (self.kind, self.status) {
            (FailureKind::Redirected, _) => None,
            (FailureKind::RangOut(_), _) => Some(Condition::NoAnswer),
            (FailureKind::Unreachable | FailureKind::NoProgress(_), _) => Some(Condition::Offline),
            (FailureKind::Refused, 486 | 600) => Some(Condition::Busy),
            // A phone that gives up by itself says so in one of these.
            (FailureKind::Refused, 408 | 480) if has_rung => Some(Condition::NoAnswer),
            (FailureKind::Refused, 408 | 480) => Some(Condition::Offline),
            // It declined, or cannot take this kind of call.
            (FailureKind::Refused, _) => None,
        }
    }
}

impl Call {
    /// Nobody at the callee's phones took the call, and the best of what they said is this (`None`: they
    /// could not be looked up). True if it goes on.
    pub(super) fn goes_on_after(&mut self, ctx: &mut Context<'_>, best: Option<Failure>) -> bool {
        let has_rung = self.attempts.iter().any(|attempt| attempt.ringing.is_some());
        let condition = best.map_or(Some(Condition::Offline), |best| best.condition(has_rung));
        condition.is_some_and(|condition| self.goes_on(ctx, condition))
    }

    /// Sends the call on if its callee forwards calls that meet this condition, once.
    pub(super) fn goes_on(&mut self, ctx: &mut Context<'_>, condition: Condition) -> bool {
        // Forwarding is of calls.
        if self.is_message() {
            return false;
        }
        let State::Hunting(hunt) = &mut self.state else { return false };
        let Destination::Subscriber(callee) = hunt.destination else { return false };
        let (sent, decisions) = (hunt.caller.sent(), self.reasons.list());
        let to = goes_on(ctx.directory, callee, condition, sent, decisions);
        let Some(to) = to else { return false };
        // What comes of that is final, and no phone is rung any more.
        let why = condition;
        hunt.destination = Destination::Forwarded { by: callee, why, to: to.clone() };
        hunt.pending.clear();
        hunt.spares.clear();
        hunt.early = None;
        // Its phones have no part in the call any more.
        ctx.admission.leave(self.id, Owner::Subscriber(callee), Direction::Egress);
        self.send_on(ctx, (callee, condition), &to);
        true
    }
}
