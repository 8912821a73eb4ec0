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
mod ending;
mod facts;
mod failure;
mod hop;
mod hunting;
mod legs;
mod message;
mod onward;
mod replacing;
mod side;
mod signing;
mod talking;
mod transfer;
mod watched;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip::endpoint::{Endpoint, Listener};
use vocabulary::{
    AccountId, Authorization, CallId, CallKind, ExtendRequest, Grant, Location, Now, Number, Party,
    RateChoice, Refused, TrunkId, Utc,
};

use crate::admission::Admission;
use crate::decision::{Decision, End, Reasons, Refusal};
use crate::directory::Directory;
use crate::effect::{Effect, LiveCall, LiveState, QueryId, Stats};
use crate::fraud::{Fraud, Watched};
use crate::health::Health;
use crate::leg::event::Body;
use crate::leg::{Leg, LegConfig};
use crate::lookup::Located;
use crate::quality::{Placed, Quality};
use crate::question::Answer;
use crate::registrar::Bindings;
use crate::release::Cause;
use crate::routing::Source;
use crate::setup::Setup;
use crate::stir::Attestation;
use crate::tls_peers::TlsPeers;
use crate::token::{LegKey, Randomness, Tag};

pub(crate) use egress::{Caller, escaped};
use ending::Ending;
pub(crate) use hunting::Hunt;
pub use onward::OnwardCall;
pub(crate) use side::Side;
use talking::Talking;

/// How long the callee's answer may wait for the journal. A disk that needs longer connects nobody.
const RECORD_LIMIT: Duration = Duration::from_secs(5);

/// What a call borrows from its shard while it handles an input.
pub(crate) struct Context<'a> {
    pub(crate) now: Now,
    pub(crate) shard: u8,
    /// Whether somebody follows messages.
    pub(crate) is_followed: bool,
    pub(crate) endpoint: &'a mut Endpoint,
    pub(crate) listeners: &'a [Listener],
    pub(crate) directory: &'a Arc<Directory>,
    pub(crate) bindings: &'a Bindings,
    pub(crate) admission: &'a Admission,
    pub(crate) fraud: &'a Fraud,
    pub(crate) health: &'a Health,
    pub(crate) quality: &'a Quality,
    pub(crate) tls_peers: &'a TlsPeers,
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
    /// Also of a caller who wants to stay unknown: prices may depend on it.
    cli: Option<Number>,
    is_withheld: bool,
    /// It was to a `sips:` address: its parties are reached by TLS, whoever takes their place too.
    is_secure: bool,
    rate_choice: RateChoice,
    /// Boxed: most calls have none.
    located: Option<Box<Located>>,
    kind: Option<CallKind>,
    grant: Grant,
    /// What fraud rules remember of it.
    watched: Option<Box<Watched>>,
    /// By which window of quality it goes, from the attempt over a trunk on.
    placed: Option<Box<Placed>>,
    reasons: Reasons,
    state: State,
}

/// The caller's side.
pub(crate) struct Ingress {
    pub(crate) side: Side,
    pub(crate) source: Option<Source>,
    pub(crate) account: Option<AccountId>,
    pub(crate) remote: SocketAddr,
    pub(crate) sip_call_id: Box<str>,
    /// As it was written in From and in the Request-URI.
    pub(crate) cli: Box<str>,
    pub(crate) cld: Box<str>,
    pub(crate) started_at: Utc,
    pub(crate) ringing_at: Option<Utc>,
    /// What its Identity header says, if that is valid.
    pub(crate) attestation: Option<Attestation>,
}

/// One egress leg, from its INVITE until its facts are in the CDR.
struct Attempt {
    /// `None` once it is over.
    side: Option<Box<Side>>,
    way: hunting::Way,
    account: AccountId,
    /// `None` if the other side is another call.
    remote: Option<SocketAddr>,
    tag: Option<Tag>,
    cli: Box<str>,
    cld: Box<str>,
    started: Now,
    ring_timeout: Duration,
    /// Whether anything came back, be it 100.
    has_heard: bool,
    ringing: Option<Now>,
    answered_at: Option<Utc>,
    /// Since when it talks, on the monotonic clock.
    talks_since: Option<Duration>,
    /// How long it did, if it has left while the call goes on.
    talked: Duration,
    released: Option<Released>,
    /// What its Identity header says, if it has one and we know.
    attestation: Option<Attestation>,
}

impl Attempt {
    /// One that begins now, as its record shows caller and callee.
    fn new(
        now: Now,
        (way, account): (hunting::Way, AccountId),
        side: Side,
        (cli, cld): (Box<str>, Box<str>),
        ring_timeout: Duration,
    ) -> Attempt {
        Attempt {
            side: Some(Box::new(side)),
            way,
            account,
            remote: None,
            tag: None,
            cli,
            cld,
            started: now,
            ring_timeout,
            has_heard: false,
            ringing: None,
            answered_at: None,
            talks_since: None,
            talked: Duration::ZERO,
            released: None,
            attestation: None,
        }
    }
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
    /// A stage waits for an answer from outside, the last one for billing's.
    SettingUp(Box<Setup>),
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

impl Call {
    pub(crate) fn new(id: CallId, place: LegKey, ingress: Ingress) -> Call {
        Call {
            id,
            place,
            ingress,
            attempts: Vec::new(),
            cld: None,
            cli: None,
            is_withheld: false,
            is_secure: false,
            rate_choice: RateChoice::default(),
            located: None,
            kind: None,
            grant: Grant { talk_time: Duration::ZERO, is_final: false },
            watched: None,
            placed: None,
            reasons: Reasons::new(),
            state: State::Arriving,
        }
    }

    /// Who pays and who calls, as soon as it is known: also a refused call has it in its CDR.
    pub(crate) fn comes_from(
        &mut self,
        account: AccountId,
        cli: Option<Number>,
        is_withheld: bool,
    ) {
        self.ingress.account = Some(account);
        (self.cli, self.is_withheld) = (cli, is_withheld);
    }

    /// It is to go by TLS only.
    pub(crate) fn must_be_secure(&mut self, is_secure: bool) {
        self.is_secure = is_secure;
    }

    pub(crate) fn leads_to(&mut self, cld: Number) {
        self.cld = Some(cld);
    }

    /// Who pays for it after all, and how. Who has a DID is called, and must not know who wants to
    /// stay unknown: the record is its own.
    pub(crate) fn is_priced_as(&mut self, payer: AccountId, kind: CallKind) {
        self.ingress.account = Some(payer);
        self.kind = Some(kind);
        if self.is_withheld && kind.did().is_some() {
            self.cli = None;
            self.ingress.cli = "anonymous".into();
        }
    }

    /// The caller's number, as far as whoever pays may know it.
    pub(crate) fn cli(&self) -> Option<Number> {
        self.cli
    }

    /// With which number, and by which rates it is priced.
    pub(crate) fn goes_out(&mut self, cli: Option<Number>, rate_choice: RateChoice) {
        (self.cli, self.rate_choice) = (cli, rate_choice);
    }

    /// Where it goes.
    pub(crate) fn is_located(&mut self, located: Located) {
        self.located = (located != Located::default()).then(|| Box::new(located));
    }

    /// Where it goes, as far as anybody has asked.
    pub(crate) fn location(&self) -> Location {
        self.located.as_ref().map(|located| located.location).unwrap_or_default()
    }

    /// Goes on with the stages before the hunt, until one waits.
    pub(crate) fn set_up(&mut self, ctx: &mut Context<'_>, mut setup: Box<Setup>) {
        match setup.run(self, ctx) {
            Ok(()) => self.state = State::SettingUp(setup),
            Err(refusal) => self.refuse(ctx, refusal),
        }
    }

    pub(crate) fn id(&self) -> CallId {
        self.id
    }

    /// When it came in.
    pub(crate) fn came_at(&self) -> Utc {
        self.ingress.started_at
    }

    pub(crate) fn decide(&mut self, decision: Decision) {
        self.reasons.push(decision);
    }

    pub(crate) fn decisions(&mut self) -> &mut Vec<Decision> {
        self.reasons.list()
    }

    /// The leg that a message is for.
    pub(crate) fn leg_mut(&mut self, leg: u8) -> Option<&mut Leg> {
        match leg.checked_sub(1) {
            None => self.ingress.side.leg_mut(),
            Some(attempt) => self.attempts.get_mut(usize::from(attempt))?.side.as_mut()?.leg_mut(),
        }
    }

    /// Whether this is our tag on this leg.
    pub(crate) fn has_tag(&self, leg: u8, tag: &[u8]) -> bool {
        let side = match leg.checked_sub(1) {
            None => Some(&self.ingress.side),
            Some(n) => self.attempts.get(usize::from(n)).and_then(|tried| tried.side.as_deref()),
        };
        side.and_then(Side::leg).is_some_and(|leg| leg.has_tag(tag))
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
            && self.ingress.side.is_over()
            && self.attempts.iter().all(|a| a.side.as_ref().is_none_or(|side| side.is_over()))
    }

    pub(crate) fn is_settled(&self) -> bool {
        matches!(self.state, State::Releasing)
    }

    pub(crate) fn live(&self) -> LiveCall {
        let (state, winner, answered) = match &self.state {
            State::Arriving | State::SettingUp(_) => (LiveState::Authorizing, None, None),
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
        let State::SettingUp(setup) = &self.state else { return };
        if setup.waits_until().is_some() {
            return;
        }
        let authorization = match result {
            Ok(authorization) => authorization,
            Err(refused) => return self.refuse(ctx, Refusal::Billing(refused)),
        };
        let State::SettingUp(setup) = std::mem::replace(&mut self.state, State::Releasing) else {
            unreachable!("looked at above");
        };
        let skipped = authorization.skipped.into_iter().map(|skipped| skipped.reason);
        let said = authorization.decisions.into_iter().chain(skipped);
        self.decisions().extend(said.map(Decision::Billing));
        self.grant = authorization.grant;
        self.state = State::Hunting(Box::new(setup.into_hunt()));
        self.hunt(ctx, authorization.egress);
        self.drain(ctx);
    }

    /// Names a question within this call.
    pub(crate) fn query(&self, number: u8) -> QueryId {
        QueryId(LegKey { leg: number, ..self.place }.to_user())
    }

    /// An answer from outside: the set-up or the hunt goes on. The call may have ended, or gone on
    /// without it.
    pub(crate) fn hears(&mut self, ctx: &mut Context<'_>, query: QueryId, answer: Answer) {
        match &mut self.state {
            State::SettingUp(setup) => {
                if setup.hears(query, answer) {
                    self.go_on_setting_up(ctx);
                }
            }
            State::Hunting(_) => self.signed(ctx, Some(query), answer),
            State::Arriving | State::Answering(_) | State::Talking(_) | State::Releasing => {}
        }
    }

    fn go_on_setting_up(&mut self, ctx: &mut Context<'_>) {
        // The stages have the call to themselves.
        match std::mem::replace(&mut self.state, State::Arriving) {
            State::SettingUp(setup) => self.set_up(ctx, setup),
            _ => unreachable!("whoever calls has looked"),
        }
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
        let sides = self.attempts.iter().filter_map(|a| a.side.as_ref()?.poll_timeout());
        let sides = sides.chain(self.ingress.side.poll_timeout());
        sides.chain(self.own_timeout()).min()
    }

    fn own_timeout(&self) -> Option<Duration> {
        match &self.state {
            State::Hunting(hunt) => self.hunting_timeout(hunt),
            State::Talking(talking) => {
                Some(talking.extend_at.unwrap_or(talking.cut_at).min(talking.cut_at))
            }
            State::Answering(answering) => Some(answering.at.monotonic + RECORD_LIMIT),
            State::SettingUp(setup) => setup.waits_until(),
            State::Arriving | State::Releasing => None,
        }
    }

    pub(crate) fn handle_timeout(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now.monotonic;
        self.ingress.side.handle_timeout(ctx);
        for side in self.attempts.iter_mut().filter_map(|a| a.side.as_deref_mut()) {
            side.handle_timeout(ctx);
        }
        self.drain(ctx);
        if self.own_timeout().is_some_and(|at| at <= now) {
            match &mut self.state {
                State::SettingUp(setup) => {
                    if setup.hears_nothing() {
                        self.go_on_setting_up(ctx);
                    }
                }
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
