//! Talk: from the answer that is on disk, through the grants that make it longer, to the cut at the
//! end of the last.

use std::time::Duration;

use vocabulary::{Extension, Grant, Now};

use super::ending::Ending;
use super::{Answering, Call, Context, State};
use crate::decision::{Decision, End};
use crate::leg::event::LegEvent;
use crate::release::Cause;

pub(super) struct Talking {
    pub(super) winner: u8,
    pub(super) answered: Now,
    /// When to ask for more; `None` while asked, and when there is no more.
    pub(super) extend_at: Option<Duration>,
    pub(super) cut_at: Duration,
}

impl Call {
    pub(crate) fn extended(&mut self, ctx: &mut Context<'_>, extension: &Extension) {
        // The call may have ended meanwhile.
        let State::Talking(talking) = &mut self.state else { return };
        let before = self.grant.talk_time;
        self.grant = Grant {
            talk_time: extension.grant.talk_time.max(before),
            is_final: extension.grant.is_final || extension.grant.talk_time <= before,
        };
        talking.set_grant(before, self.grant, ctx.directory.settings().duration_max);
        if self.grant.is_final {
            self.reasons.push(Decision::GrantFinal(self.grant.talk_time));
        }
    }

    /// The answer is on disk: now the caller hears it.
    pub(crate) fn recorded(&mut self, ctx: &mut Context<'_>, grant: Option<Grant>) {
        // The caller may have given up meanwhile.
        let State::Answering(_) = &self.state else { return };
        let State::Answering(answering) = std::mem::replace(&mut self.state, State::Releasing)
        else {
            unreachable!("looked at above");
        };
        let Answering { winner, headers, body, .. } = *answering;
        // Dearer than when it came in: it may shrink, before there is any talk. Whether more follows
        // is the answer's to say: another moment has other prices.
        if let Some(grant) = grant {
            let talk_time = grant.talk_time.min(self.grant.talk_time);
            self.grant = Grant { talk_time, is_final: grant.is_final };
        }
        // Talk begins when the caller hears the answer: nobody pays for a slow disk.
        let answered = ctx.now;
        let mut talking = Talking { winner, answered, extend_at: None, cut_at: Duration::MAX };
        let duration_max = ctx.directory.settings().duration_max;
        talking.set_grant(Duration::ZERO, self.grant, duration_max);
        self.state = State::Talking(talking);
        ctx.stats.calls_answered += 1;
        ctx.stats.calls_talking += 1;
        self.ingress.side.send(ctx, LegEvent::Answer { headers, body });
        self.drain(ctx);
        self.reasons.write_out();
    }

    pub(super) fn cut(&mut self, ctx: &mut Context<'_>) {
        let limit = ctx.directory.settings().duration_max;
        ctx.stats.calls_cut += 1;
        if self.grant.talk_time <= limit {
            self.decide(Decision::Ended(End::CreditUsedUp(self.grant.talk_time)));
            self.release(ctx, Ending::by_switch(Cause::CreditExhausted, 200));
        } else {
            self.decide(Decision::Ended(End::DurationLimit(limit)));
            self.release(ctx, Ending::by_switch(Cause::DurationLimit, 200));
        }
    }
}

impl Talking {
    /// More is asked for when 60 % of the newest slice are used: late enough not to reserve what a
    /// short call never needs, early enough for a slow answer.
    fn set_grant(&mut self, before: Duration, grant: Grant, duration_max: Duration) {
        let answered = self.answered.monotonic;
        let slice = grant.talk_time.saturating_sub(before);
        let wanted = before.saturating_add(slice / 10 * 6);
        self.cut_at = answered.saturating_add(grant.talk_time.min(duration_max));
        self.extend_at =
            (!grant.is_final && wanted < duration_max).then(|| answered.saturating_add(wanted));
    }
}
