//! Talk: from the answer that is on disk, through the grants that make it longer, to the cut at the
//! end of the last.

use std::time::Duration;

use vocabulary::{Extension, Grant, Now};

use super::ending::Ending;
use super::transfer::Transfer;
use super::{Answering, Call, Context, State};
use crate::decision::{Decision, End};
use crate::leg::event::LegEvent;
use crate::release::Cause;

pub(super) struct Talking {
    /// The attempt at one end.
    pub(super) winner: u8,
    /// The side at the other: the caller's leg, 0, unless the caller has transferred the call.
    pub(super) near: u8,
    pub(super) transfer: Option<Box<Transfer>>,
    pub(super) answered: Now,
    /// When to ask for more; `None` while asked, and when there is no more.
    pub(super) extend_at: Option<Duration>,
    pub(super) cut_at: Duration,
    /// Whatever the money, the call ends after so much talk: as it was set when it was answered.
    pub(super) length_max: Duration,
    /// That is a limit of the account, not of all calls.
    pub(super) is_account_limit: bool,
}

impl Call {
    pub(crate) fn extended(&mut self, extension: &Extension) {
        // The call may have ended meanwhile.
        let State::Talking(talking) = &mut self.state else { return };
        let before = self.grant.talk_time;
        self.grant = Grant {
            talk_time: extension.grant.talk_time.max(before),
            is_final: extension.grant.is_final || extension.grant.talk_time <= before,
        };
        talking.set_grant(before, self.grant);
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
        let (length_max, is_account_limit) = ctx.directory.longest_call(self.ingress.account);
        let (extend_at, cut_at) = (None, Duration::MAX);
        let mut talking = Talking {
            winner,
            near: 0,
            transfer: None,
            answered,
            extend_at,
            cut_at,
            length_max,
            is_account_limit,
        };
        self.attempts[usize::from(winner)].talks_since = Some(answered.monotonic);
        talking.set_grant(Duration::ZERO, self.grant);
        self.state = State::Talking(talking);
        ctx.stats.calls_answered += 1;
        ctx.stats.calls_talking += 1;
        self.ingress.side.send(ctx, LegEvent::Answer { headers, body });
        if self.is_message() {
            return self.message_taken(ctx);
        }
        self.drain(ctx);
        self.reasons.pack();
    }

    pub(super) fn cut(&mut self, ctx: &mut Context<'_>) {
        let State::Talking(Talking { length_max, is_account_limit, .. }) = self.state else {
            unreachable!("only a call that talks is cut");
        };
        ctx.stats.calls_cut += 1;
        let (end, cause) = match self.ingress.account {
            _ if self.grant.talk_time <= length_max => {
                (End::CreditUsedUp(self.grant.talk_time), Cause::CreditExhausted)
            }
            Some(account) if is_account_limit => {
                (End::AccountDurationLimit(account, length_max), Cause::DurationLimit)
            }
            _ => (End::DurationLimit(length_max), Cause::DurationLimit),
        };
        self.decide(Decision::Ended(end));
        self.release(ctx, Ending::by_switch(cause, 200));
    }
}

impl Talking {
    /// More is asked for when 60 % of the newest slice are used: late enough not to reserve what a
    /// short call never needs, early enough for a slow answer.
    fn set_grant(&mut self, before: Duration, grant: Grant) {
        let answered = self.answered.monotonic;
        let slice = grant.talk_time.saturating_sub(before);
        let wanted = before.saturating_add(slice / 10 * 6);
        let is_extended = !grant.is_final && wanted < self.length_max;
        self.cut_at = answered.saturating_add(grant.talk_time.min(self.length_max));
        self.extend_at = is_extended.then(|| answered.saturating_add(wanted));
    }
}
