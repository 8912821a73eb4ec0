//! What a call tells of the quality of the trunk that it is sent to.

use vocabulary::TrunkId;

use super::super::failure::{Failure, FailureKind};
use super::super::{Call, Context, State};
use crate::release::Cause;
use crate::routing::Destination;

impl Call {
    /// It is sent there. What a number of ours leads to is no carrier, and nobody's quality.
    pub(super) fn watch_quality(&mut self, ctx: &Context<'_>, trunk: TrunkId) {
        let State::Hunting(hunt) = &self.state else { return };
        // Nor is a message a call that a carrier could be judged by.
        let is_judged = matches!(hunt.destination, Destination::Trunks(_)) && !self.is_message();
        let cld = self.cld.filter(|_| is_judged);
        self.placed = cld.and_then(|cld| {
            let watch = ctx.directory.watch(trunk, &cld)?;
            ctx.quality.place(ctx.now.utc, &watch).map(Box::new)
        });
    }

    /// This attempt was answered.
    pub(super) fn note_answer(&mut self, ctx: &Context<'_>, n: u8) {
        let Some(placed) = &mut self.placed else { return };
        let attempt = &self.attempts[usize::from(n)];
        let heard = attempt.ringing.unwrap_or(ctx.now).monotonic;
        let waited = heard.saturating_sub(attempt.started.monotonic);
        ctx.quality.answered(ctx.now.utc, placed, waited);
    }

    /// The trunk led nowhere, by an attempt or before one.
    pub(super) fn note_failure(&mut self, ctx: &Context<'_>, failure: Option<Failure>) {
        let Some(placed) = self.placed.take() else { return };
        let waited = failure.and_then(|failure| {
            let attempt = self.attempts.get(usize::from(failure.leg).checked_sub(1)?)?;
            let is_given_up = match failure.kind {
                FailureKind::NoProgress(_) => true,
                FailureKind::Unreachable => failure.cause == Cause::NoResponse,
                _ => false,
            };
            // Who refuses at once has not made the caller wait; who was given up on has, for as long.
            let heard = attempt.ringing.or(is_given_up.then_some(ctx.now))?;
            Some(heard.monotonic.saturating_sub(attempt.started.monotonic))
        });
        ctx.quality.failed(ctx.now.utc, *placed, waited);
    }
}
