//! One call: its ingress leg, its egress attempts, its grant. It hears what the legs say and what
//! billing, the journal and the resolver answer, and tells the legs what to do.
//!
//! ```text
//! Authorizing ──billing──► Hunting ──200──► Answering ──journal──► Talking
//!      │                      │                │                     │
//!      └──────────────────────┴────── settle ──┴─────────────────────┴──► Releasing ──legs over──► gone
//! ```
//!
//! `Effect::Settle` is emitted exactly once, on the way into `Releasing`; there the call only waits
//! for its legs to finish their last transactions. Answers that come later are normal inputs.

mod egress;
mod facts;
mod failure;
mod hop;
mod hunting;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip::endpoint::{Endpoint, Listener};
use vocabulary::{
    AccountId, Authorization, CallId, ExtendRequest, Extension, Grant, Now, Number, Party, Refused,
    TrunkId, Utc,
};

use crate::admission::Admission;
use crate::decision::{Decision, End, Refusal};
use crate::directory::Directory;
use crate::effect::{Effect, LiveCall, LiveState, Stats};
use crate::leg::event::{Body, LegEvent};
use crate::leg::{Leg, LegConfig};
use crate::registrar::Bindings;
use crate::release::Cause;
use crate::routing::Source;
use crate::token::{LegKey, Randomness, Tag};

pub(crate) use egress::{Caller, path_to};
pub(crate) use hunting::Hunt;

/// How long the callee's answer may wait for the journal. A disk that needs longer connects nobody.
const RECORD_LIMIT: Duration = Duration::from_secs(5);

/// What a call borrows from its shard while it handles an input.
pub(crate) struct Context<'a> {
    pub(crate) now: Now,
    pub(crate) shard: u8,
    pub(crate) endpoint: &'a mut Endpoint,
    pub(crate) listeners: &'a [Listener],
    pub(crate) directory: &'a Arc<Directory>,
    pub(crate) bindings: &'a Bindings,
    pub(crate) admission: &'a Admission,
    pub(crate) leg_config: &'a Arc<LegConfig>,
    pub(crate) effects: &'a mut VecDeque<Effect>,
    pub(crate) random: &'a mut Randomness,
    pub(crate) stats: &'a mut Stats,
}

/// A call that is not gone yet.
pub(crate) struct Call {
    id: CallId,
    /// Slot and generation; the leg in it is the ingress leg.
    place: LegKey,
    ingress: Ingress,
    attempts: Vec<Attempt>,
    cld: Option<Number>,
    cli: Option<Number>,
    grant: Grant,
    decisions: Vec<Decision>,
    state: State,
}

/// The caller's side.
pub(crate) struct Ingress {
    pub(crate) leg: Leg,
    pub(crate) source: Option<Source>,
    pub(crate) account: Option<AccountId>,
    pub(crate) remote: SocketAddr,
    pub(crate) sip_call_id: Box<str>,
    /// As it was written in From and in the Request-URI.
    pub(crate) cli: Box<str>,
    pub(crate) cld: Box<str>,
    pub(crate) started_at: Utc,
    pub(crate) ringing_at: Option<Utc>,
}

/// One egress leg, from its INVITE until its facts are in the CDR.
struct Attempt {
    /// `None` once it is over.
    leg: Option<Box<Leg>>,
    way: hunting::Way,
    account: AccountId,
    remote: SocketAddr,
    tag: Tag,
    cli: Box<str>,
    cld: Box<str>,
    started: Now,
    ring_timeout: Duration,
    /// Whether anything came back, be it 100.
    has_heard: bool,
    ringing: Option<Now>,
    answered_at: Option<Utc>,
    released: Option<Released>,
}

/// How an attempt ended that is not the call's end.
#[derive(Clone, Copy)]
struct Released {
    at: Utc,
    cause: Cause,
    status: u16,
    by: Party,
}

enum State {
    /// The INVITE is being looked at.
    Arriving,
    /// Billing is asked.
    Authorizing(Box<Hunt>),
    /// Someone is sought who answers.
    Hunting(Box<Hunt>),
    /// Someone answered; the caller hears it when the journal is on disk.
    Answering(Box<Answering>),
    /// Up.
    Talking(Talking),
    /// Settled.
    Releasing,
}

struct Answering {
    winner: u8,
    at: Now,
    headers: Bytes,
    body: Option<Body>,
}

struct Talking {
    winner: u8,
    answered: Now,
    /// When to ask for more; `None` while asked, and when there is no more.
    extend_at: Option<Duration>,
    cut_at: Duration,
}

impl Call {
    pub(crate) fn new(id: CallId, place: LegKey, ingress: Ingress) -> Call {
        Call {
            id,
            place,
            ingress,
            attempts: Vec::new(),
            cld: None,
            cli: None,
            grant: Grant { talk_time: Duration::ZERO, is_final: false },
            decisions: Vec::with_capacity(8),
            state: State::Arriving,
        }
    }

    /// The call is known and allowed so far; billing is being asked.
    pub(crate) fn authorizing(&mut self, account: AccountId, cld: Number, hunt: Hunt) {
        self.ingress.account = Some(account);
        self.cld = Some(cld);
        self.cli = hunt.cli();
        self.state = State::Authorizing(Box::new(hunt));
    }

    pub(crate) fn id(&self) -> CallId {
        self.id
    }

    pub(crate) fn decide(&mut self, decision: Decision) {
        self.decisions.push(decision);
    }

    pub(crate) fn decisions(&mut self) -> &mut Vec<Decision> {
        &mut self.decisions
    }

    /// The leg that a message is for.
    pub(crate) fn leg_mut(&mut self, leg: u8) -> Option<&mut Leg> {
        match leg.checked_sub(1) {
            None => Some(&mut self.ingress.leg),
            Some(attempt) => self.attempts.get_mut(usize::from(attempt))?.leg.as_deref_mut(),
        }
    }

    /// Something came back on this leg: the target is alive.
    pub(crate) fn heard(&mut self, leg: u8) {
        let attempt = leg.checked_sub(1).and_then(|n| self.attempts.get_mut(usize::from(n)));
        if let Some(attempt) = attempt {
            attempt.has_heard = true;
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, State::Releasing)
            && self.ingress.leg.is_over()
            && self.attempts.iter().all(|a| a.leg.as_ref().is_none_or(|leg| leg.is_over()))
    }

    pub(crate) fn is_settled(&self) -> bool {
        matches!(self.state, State::Releasing)
    }

    pub(crate) fn live(&self) -> LiveCall {
        let (state, winner, answered) = match &self.state {
            State::Arriving | State::Authorizing(_) => (LiveState::Authorizing, None, None),
            State::Hunting(_) => (LiveState::Hunting, self.attempts.len().checked_sub(1), None),
            State::Answering(a) => (LiveState::Answering, Some(usize::from(a.winner)), Some(a.at)),
            State::Talking(t) => {
                (LiveState::Talking, Some(usize::from(t.winner)), Some(t.answered))
            }
            State::Releasing => (LiveState::Releasing, None, None),
        };
        LiveCall {
            call: self.id,
            state,
            account: self.ingress.account,
            subscriber: self.ingress.subscriber(),
            ingress_trunk: self.ingress.trunk(),
            egress_trunk: winner.and_then(|n| self.attempts[n].way.trunk()),
            cli: self.cli,
            cld: self.cld,
            sip_call_id: self.ingress.sip_call_id.to_string(),
            started_at: self.ingress.started_at,
            answered_at: answered.map(|now| now.utc),
            granted: self.grant.talk_time,
        }
    }

    // What the others answer.

    pub(crate) fn authorized(
        &mut self,
        ctx: &mut Context<'_>,
        result: Result<Authorization, Refused>,
    ) {
        // The call may have ended while billing thought; its settlement voids what was reserved.
        let State::Authorizing(_) = &self.state else { return };
        let authorization = match result {
            Ok(authorization) => authorization,
            Err(refused) => return self.refuse(ctx, refused.into()),
        };
        let State::Authorizing(hunt) = std::mem::replace(&mut self.state, State::Releasing) else {
            unreachable!("looked at above");
        };
        self.decisions.extend(authorization.decisions.into_iter().map(Decision::Billing));
        let skipped = authorization.skipped.into_iter().map(|s| Decision::Billing(s.reason));
        self.decisions.extend(skipped);
        self.grant = authorization.grant;
        self.state = State::Hunting(hunt);
        self.hunt(ctx, authorization.egress);
        self.drain(ctx);
    }

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
            self.decisions.push(Decision::GrantFinal(self.grant.talk_time));
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
        // Dearer than when it came in: it may shrink, before there is any talk.
        if let Some(grant) = grant {
            let talk_time = grant.talk_time.min(self.grant.talk_time);
            self.grant = Grant { talk_time, is_final: grant.is_final || self.grant.is_final };
        }
        // Talk begins when the caller hears the answer: nobody pays for a slow disk.
        let answered = ctx.now;
        let mut talking = Talking { winner, answered, extend_at: None, cut_at: Duration::MAX };
        let duration_max = ctx.directory.settings().duration_max;
        talking.set_grant(Duration::ZERO, self.grant, duration_max);
        self.state = State::Talking(talking);
        self.decisions.shrink_to(self.decisions.len() + 2);
        ctx.stats.calls_answered += 1;
        ctx.stats.calls_talking += 1;
        self.ingress.leg.send(ctx.now, ctx.endpoint, LegEvent::Answer { headers, body });
        self.drain(ctx);
    }

    pub(crate) fn hang_up(&mut self, ctx: &mut Context<'_>, cause: Cause, end: End) {
        if !self.is_settled() {
            self.decide(Decision::Ended(end));
            self.release(ctx, Ending::by_switch(cause, cause.sip_status()));
            self.drain(ctx);
        }
    }

    // Time.

    pub(crate) fn poll_timeout(&self) -> Option<Duration> {
        let legs = self.attempts.iter().filter_map(|a| a.leg.as_ref()?.poll_timeout());
        let legs = legs.chain(self.ingress.leg.poll_timeout()).map(|(at, _)| at);
        legs.chain(self.own_timeout()).min()
    }

    fn own_timeout(&self) -> Option<Duration> {
        match &self.state {
            State::Hunting(hunt) => self.hunting_timeout(hunt),
            State::Talking(talking) => {
                Some(talking.extend_at.unwrap_or(talking.cut_at).min(talking.cut_at))
            }
            State::Answering(answering) => Some(answering.at.monotonic + RECORD_LIMIT),
            State::Arriving | State::Authorizing(_) | State::Releasing => None,
        }
    }

    pub(crate) fn handle_timeout(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now.monotonic;
        let is_due = |leg: &Leg| leg.poll_timeout().is_some_and(|(at, _)| at <= now);
        if is_due(&self.ingress.leg) {
            self.ingress.leg.handle_timeout(ctx.now, ctx.endpoint);
        }
        for leg in self.attempts.iter_mut().filter_map(|a| a.leg.as_deref_mut()) {
            if is_due(leg) {
                leg.handle_timeout(ctx.now, ctx.endpoint);
            }
        }
        self.drain(ctx);
        if self.own_timeout().is_some_and(|at| at <= now) {
            match &mut self.state {
                State::Hunting(_) => self.hunting_timed_out(ctx),
                State::Answering(_) => {
                    self.hang_up(ctx, Cause::TemporaryFailure, End::AnswerNotRecorded);
                }
                State::Talking(talking) if talking.cut_at <= now => self.cut(ctx),
                State::Talking(talking) => {
                    talking.extend_at = None;
                    ctx.effects.push_back(Effect::Extend(ExtendRequest { call: self.id }));
                }
                _ => unreachable!("no other state has a timeout of its own"),
            }
            self.drain(ctx);
        }
    }

    fn cut(&mut self, ctx: &mut Context<'_>) {
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

    // What the legs say.

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
            State::Authorizing(_) | State::Hunting(_) | State::Answering(_)
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

    // The end.

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
    fn release(&mut self, ctx: &mut Context<'_>, ending: Ending) {
        let state = std::mem::replace(&mut self.state, State::Releasing);
        let event = |status| LegEvent::Release {
            cause: ending.cause,
            reason_header: ending.reason.clone(),
            sip_status: status,
        };
        if !ending.is_caller_gone {
            self.ingress.leg.send(ctx.now, ctx.endpoint, event(ending.status));
        }
        for attempt in self.attempts.iter_mut().filter(|a| a.released.is_none()) {
            if let Some(leg) = attempt.leg.as_deref_mut().filter(|leg| !leg.is_over()) {
                leg.send(ctx.now, ctx.endpoint, event(ending.status));
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
        let request = self.settlement(ctx.now, &ending, talking.as_ref());
        ctx.effects.push_back(Effect::Settle(Box::new(request)));
    }

    /// After a panic inside this call: settle it, tell the legs as far as they can still be told.
    pub(crate) fn wreck(&mut self, ctx: &mut Context<'_>) {
        if !self.is_settled() {
            self.decide(Decision::Ended(End::Fault));
            self.release(ctx, Ending::by_switch(Cause::InternalFault, 500));
        }
    }

    /// What remains to be done if even `wreck` fails: money and limits, without the legs.
    pub(crate) fn settle_only(&mut self, now: Now, admission: &Admission) -> Effect {
        let state = std::mem::replace(&mut self.state, State::Releasing);
        let talking = if let State::Talking(talking) = state { Some(talking) } else { None };
        admission.release(self.id);
        let ending = Ending::by_switch(Cause::InternalFault, 500);
        Effect::Settle(Box::new(self.settlement(now, &ending, talking.as_ref())))
    }
}

/// How a call ends.
struct Ending {
    cause: Cause,
    by: Party,
    /// For a caller who has not been answered.
    status: u16,
    /// The peer's Reason header, to be handed on.
    reason: Option<Bytes>,
    /// The ingress leg ended by itself.
    is_caller_gone: bool,
}

impl Ending {
    fn by_switch(cause: Cause, status: u16) -> Ending {
        Ending { cause, by: Party::Switch, status, reason: None, is_caller_gone: false }
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

/// Releases that a leg reports but that no person caused.
fn is_ours(cause: Cause) -> bool {
    matches!(cause, Cause::SessionExpired | Cause::NoAck | Cause::NoResponse | Cause::TimerExpired)
}

/// An event for a leg that is not there (yet): what needs an answer gets one.
fn turn_away(ctx: &mut Context<'_>, leg: &mut Leg, event: &LegEvent) {
    let answer = match event {
        LegEvent::Update { .. } => LegEvent::UpdateAnswer { status: 491, body: None },
        LegEvent::Info { .. } => LegEvent::InfoAnswer { status: 480, body: None },
        _ => return,
    };
    leg.send(ctx.now, ctx.endpoint, answer);
}

impl Ingress {
    fn subscriber(&self) -> Option<vocabulary::SubscriberId> {
        match self.source {
            Some(Source::Subscriber(id)) => Some(id),
            _ => None,
        }
    }

    fn trunk(&self) -> Option<TrunkId> {
        match self.source {
            Some(Source::Trunk(id)) => Some(id),
            _ => None,
        }
    }
}
