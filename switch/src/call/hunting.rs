//! Seeking someone who answers: all contacts of a subscriber at once, or trunk after trunk; the
//! next address of the same host before the next trunk (RFC 3263 section 4.3).

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use sip::message::uri::Uri;
use sip::transport::Path;
use vocabulary::{AccountId, Direction, Number, Party, SubscriberId, TrunkId};

use super::egress::{Caller, path_to};
use super::failure::{Failure, FailureKind};
use super::hop::HOP;
use super::{Answering, Call, Context, Released, State, turn_away};
use crate::admission::{Gate, NotAdmitted, Owner};
use crate::decision::{Decision, Refusal};
use crate::directory::{Limits, RedirectPolicy};
use crate::effect::{Effect, HostToResolve, QueryId, Target};
use crate::leg::event::LegEvent;
use crate::registrar::Binding;
use crate::release::Cause;
use crate::routing::{Destination, Next};
use crate::token::LegKey;

/// A call forks to no more contacts than this, redirections included.
const ATTEMPTS_CEILING: usize = 64;
/// Addresses of one host that are tried.
const TARGETS_MAX: usize = 4;
const ELSEWHERE: &[u8] = b"SIP;cause=200;text=\"Call completed elsewhere\"";

/// Which way an attempt goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Trunk(TrunkId),
    /// A contact, by its place in the hunt's list.
    Contact(SubscriberId, u8),
}

impl Way {
    pub(super) fn trunk(self) -> Option<TrunkId> {
        if let Way::Trunk(id) = self { Some(id) } else { None }
    }

    pub(super) fn subscriber(self) -> Option<SubscriberId> {
        if let Way::Contact(id, _) = self { Some(id) } else { None }
    }
}

/// A place to try, once its address is known.
pub(super) struct Place {
    pub(super) way: Way,
    /// The Request-URI, where it is not made from the number: contacts and redirections.
    pub(super) uri: Option<Bytes>,
    pub(super) path: Path,
}

struct Pending {
    query: QueryId,
    way: Way,
    uri: Option<Bytes>,
    host: String,
    until: Duration,
}

/// What is known while someone is sought.
pub(crate) struct Hunt {
    pub(super) caller: Caller,
    destination: Destination,
    trunks: VecDeque<TrunkId>,
    spares: Vec<Place>,
    pending: Vec<Pending>,
    pub(super) contacts: Vec<Binding>,
    queries: u8,
    redirects: u8,
    best: Option<Failure>,
    full: Option<NotAdmitted>,
    /// The attempt whose early dialog the caller is in.
    pub(super) early: Option<u8>,
    silence_timeout: Duration,
    progress_timeout: Duration,
}

impl Hunt {
    pub(crate) fn new(caller: Caller, destination: Destination) -> Hunt {
        Hunt {
            caller,
            destination,
            trunks: VecDeque::new(),
            spares: Vec::new(),
            pending: Vec::new(),
            contacts: Vec::new(),
            queries: 0,
            redirects: 0,
            best: None,
            full: None,
            early: None,
            silence_timeout: Duration::MAX,
            progress_timeout: Duration::MAX,
        }
    }

    pub(super) fn cli(&self) -> Option<Number> {
        self.caller.number.filter(|_| !self.caller.is_withheld)
    }

    fn note(&mut self, failure: Failure) {
        if self.best.is_none_or(|best| failure.rank() < best.rank()) {
            self.best = Some(failure);
        }
    }
}

/// Whether the next address of the same host may do better (RFC 3263 section 4.3).
fn may_fail_over(status: u16, has_heard: bool) -> bool {
    status == 503 || (status == 408 && !has_heard)
}

impl Call {
    fn hunt_mut(&mut self) -> Option<&mut Hunt> {
        if let State::Hunting(hunt) = &mut self.state { Some(hunt) } else { None }
    }

    /// Begins, with what billing allowed.
    pub(super) fn hunt(&mut self, ctx: &mut Context<'_>, egress: Vec<TrunkId>) {
        let settings = ctx.directory.settings();
        let Some(hunt) = self.hunt_mut() else { return };
        hunt.silence_timeout = settings.silence_timeout;
        hunt.progress_timeout = settings.progress_timeout;
        match hunt.destination {
            Destination::Subscriber(subscriber) => {
                if !self.ring(ctx, subscriber) {
                    self.refuse(ctx, Refusal::NotRegistered(subscriber));
                }
            }
            Destination::Trunks(_) => {
                hunt.trunks = egress.into();
                self.next_trunk(ctx);
            }
        }
    }

    /// Tries every contact of a subscriber at once. False if there is none.
    fn ring(&mut self, ctx: &mut Context<'_>, subscriber: SubscriberId) -> bool {
        let contacts = ctx.bindings.contacts(subscriber, ctx.now.utc);
        if contacts.is_empty() {
            return false;
        }
        self.decide(Decision::ToSubscriber(subscriber, contacts.len() as u8));
        for binding in contacts {
            let Some(hunt) = self.hunt_mut() else { break };
            let way = Way::Contact(subscriber, hunt.contacts.len() as u8);
            let uri = binding.uri.clone();
            let through = binding.path.first().and_then(|path| {
                let address = sip::message::header::NameAddr::parse(path)?;
                HostToResolve::of(&address.parsed_uri()?)
            });
            let is_by_source = binding.is_behind_nat || binding.source.transport.is_reliable();
            let host = match through {
                None if is_by_source => None,
                None => Uri::parse(&uri).and_then(|uri| HostToResolve::of(&uri)),
                through => through,
            };
            let source = binding.source;
            hunt.contacts.push(binding);
            match host {
                Some(host) => self.look_up(ctx, way, Some(uri), host, Some(source.listener)),
                None => self.place(ctx, Place { way, uri: Some(uri), path: source }),
            }
        }
        true
    }

    fn next_trunk(&mut self, ctx: &mut Context<'_>) {
        let directory = ctx.directory;
        loop {
            let may_try = self.attempts.len() < usize::from(directory.settings().attempts_max);
            let Some(hunt) = self.hunt_mut() else { return };
            let next = if may_try { hunt.trunks.pop_front() } else { None };
            let Some(id) = next else { return self.give_up(ctx) };
            let Some(trunk) = directory.trunk(id).filter(|trunk| trunk.is_active) else {
                self.decide(Decision::TrunkSkippedInactive(id));
                continue;
            };
            let account = directory.account(trunk.account);
            let gates = [
                egress_gate(Owner::Trunk(id), trunk.egress_limits),
                egress_gate(
                    Owner::Account(trunk.account),
                    account.map_or(Limits::default(), |account| account.egress),
                ),
            ];
            if let Err(full) = ctx.admission.admit(ctx.now.monotonic, self.id, &gates) {
                self.decide(Decision::TrunkSkippedFull(id, full));
                if let Some(hunt) = self.hunt_mut() {
                    hunt.full = Some(full);
                }
                continue;
            }
            let host = HostToResolve {
                host: trunk.host.clone(),
                port: trunk.port,
                transport: trunk.transport,
                is_secure: false,
            };
            return self.look_up(ctx, Way::Trunk(id), None, host, trunk.listener);
        }
    }

    /// Goes where the host is, at once if that is known.
    fn look_up(
        &mut self,
        ctx: &mut Context<'_>,
        way: Way,
        uri: Option<Bytes>,
        host: HostToResolve,
        listener: Option<u16>,
    ) {
        if let Some(target) = host.literal() {
            return self.arrive(ctx, way, uri, &[target], listener, &host.host);
        }
        let (slot, generation) = (self.place.slot, self.place.generation);
        let Some(hunt) = self.hunt_mut() else { return };
        hunt.queries = hunt.queries % (HOP - 1) + 1;
        let query = QueryId(LegKey { slot, generation, leg: hunt.queries }.to_user());
        // The resolver always answers; this only bounds what a lost answer costs.
        let until = ctx.now.monotonic.saturating_add(hunt.progress_timeout);
        hunt.pending.push(Pending { query, way, uri, host: host.host.clone(), until });
        ctx.effects.push_back(Effect::Resolve { query, host });
    }

    pub(crate) fn resolved(&mut self, ctx: &mut Context<'_>, query: QueryId, targets: &[Target]) {
        let asked_by = LegKey::from_user(query.0).leg;
        if asked_by >= HOP {
            return self.hop_resolved(ctx, asked_by - HOP, targets);
        }
        // The hunt may be over, or gone on after a timeout.
        let Some(hunt) = self.hunt_mut() else { return };
        let Some(place) = hunt.pending.iter().position(|p| p.query == query) else { return };
        let pending = hunt.pending.remove(place);
        let listener = match pending.way {
            Way::Trunk(id) => ctx.directory.trunk(id).and_then(|trunk| trunk.listener),
            Way::Contact(_, n) => hunt.contacts.get(usize::from(n)).map(|b| b.source.listener),
        };
        self.arrive(ctx, pending.way, pending.uri, targets, listener, &pending.host);
        self.drain(ctx);
    }

    fn arrive(
        &mut self,
        ctx: &mut Context<'_>,
        way: Way,
        uri: Option<Bytes>,
        targets: &[Target],
        listener: Option<u16>,
        host: &str,
    ) {
        let paths: Vec<Path> = targets
            .iter()
            .take(TARGETS_MAX)
            .filter_map(|target| path_to(ctx.listeners, *target, listener))
            .collect();
        let Some((first, others)) = paths.split_first() else {
            self.decide(match way {
                Way::Trunk(id) => Decision::TrunkUnresolved(id, host.into()),
                Way::Contact(id, _) => Decision::ContactUnresolved(id, host.into()),
            });
            return self.after_failure(ctx, way);
        };
        if let Some(hunt) = self.hunt_mut() {
            let spares = others.iter().map(|path| Place { way, uri: uri.clone(), path: *path });
            hunt.spares.extend(spares);
        }
        self.place(ctx, Place { way, uri, path: *first });
    }

    // What the callees say.

    pub(super) fn hunting_event(&mut self, ctx: &mut Context<'_>, n: u8, event: LegEvent) {
        let index = usize::from(n);
        match event {
            LegEvent::Ring { .. } => {
                let attempt = &mut self.attempts[index];
                attempt.has_heard = true;
                attempt.ringing = attempt.ringing.or(Some(ctx.now));
                self.ingress.ringing_at = self.ingress.ringing_at.or(Some(ctx.now.utc));
                let has_media = matches!(&event, LegEvent::Ring { body: Some(_), .. });
                if let Some(hunt) = self.hunt_mut()
                    && (has_media || hunt.early.is_none())
                {
                    hunt.early = Some(n);
                }
                self.ingress.leg.send(ctx.now, ctx.endpoint, event);
            }
            LegEvent::Answer { headers, body } => self.answered(ctx, n, headers, body),
            LegEvent::Redirect { status, contacts } => self.redirected(ctx, n, status, &contacts),
            LegEvent::Release { cause, reason_header, sip_status } => {
                let reason = reason_header.and_then(|r| Cause::from_reason_header(&r));
                // What a peer says never means this cause.
                let is_lost = cause == Cause::DestinationOutOfOrder;
                let kind = if is_lost || !self.attempts[index].has_heard {
                    FailureKind::Unreachable
                } else {
                    FailureKind::Refused
                };
                let failure = Failure { leg: n + 1, status: sip_status, cause, kind };
                self.failed(ctx, n, failure, reason);
            }
            event => {
                let is_early = self.hunt_mut().is_some_and(|hunt| hunt.early == Some(n));
                match self.attempts[index].leg.as_deref_mut() {
                    Some(leg) if !is_early => turn_away(ctx, leg, &event),
                    _ => self.ingress.leg.send(ctx.now, ctx.endpoint, event),
                }
            }
        }
    }

    fn answered(
        &mut self,
        ctx: &mut Context<'_>,
        n: u8,
        headers: Bytes,
        body: Option<super::Body>,
    ) {
        self.release_others(ctx, Some(n), Cause::AnsweredElsewhere, Some(ELSEWHERE));
        let attempt = &mut self.attempts[usize::from(n)];
        attempt.answered_at = Some(ctx.now.utc);
        let trunk = attempt.way.trunk();
        self.decide(Decision::Answered(n + 1));
        ctx.effects.push_back(Effect::Answered { call: self.id, trunk, at: ctx.now.utc });
        self.state =
            State::Answering(Box::new(Answering { winner: n, at: ctx.now, headers, body }));
    }

    /// Ends every attempt that is under way, but for one.
    fn release_others(
        &mut self,
        ctx: &mut Context<'_>,
        keep: Option<u8>,
        cause: Cause,
        reason: Option<&'static [u8]>,
    ) {
        for (n, attempt) in self.attempts.iter_mut().enumerate() {
            if keep == Some(n as u8) || attempt.released.is_some() {
                continue;
            }
            let reason_header = reason.map(Bytes::from_static);
            let event = LegEvent::Release { cause, reason_header, sip_status: 487 };
            if let Some(leg) = attempt.leg.as_deref_mut().filter(|leg| !leg.is_over()) {
                leg.send(ctx.now, ctx.endpoint, event);
            }
            let (at, by) = (ctx.now.utc, Party::Switch);
            attempt.released = Some(Released { at, cause, status: 487, by });
        }
    }

    fn failed(&mut self, ctx: &mut Context<'_>, n: u8, failure: Failure, reason: Option<Cause>) {
        let attempt = &mut self.attempts[usize::from(n)];
        if attempt.released.is_some() {
            return;
        }
        let by = match failure.kind {
            FailureKind::Refused | FailureKind::Redirected => Party::Callee,
            FailureKind::Unreachable | FailureKind::NoProgress(_) | FailureKind::RangOut(_) => {
                Party::Switch
            }
        };
        let Failure { cause, status, .. } = failure;
        attempt.released = Some(Released { at: ctx.now.utc, cause, status, by });
        let (way, has_heard) = (attempt.way, attempt.has_heard);
        let has_rung = attempt.ringing.is_some();
        let Some(hunt) = self.hunt_mut() else { return };
        hunt.note(failure);
        if hunt.early == Some(n) {
            hunt.early = None;
        }
        let spare = hunt.spares.iter().position(|spare| spare.way == way);
        if let Some(at) = spare.filter(|_| may_fail_over(status, has_heard)) {
            let spare = hunt.spares.remove(at);
            self.decide(Decision::Hunted(n + 1, status, cause));
            return self.place(ctx, spare);
        }
        let next = match way {
            Way::Trunk(id) => ctx
                .directory
                .trunk(id)
                .map_or(Next::Hunt, |trunk| trunk.codes.next(status, reason, has_rung)),
            // Another contact may still answer, unless the callee said no for all of them.
            Way::Contact(..) if status >= 600 => Next::Stop,
            Way::Contact(..) => Next::Hunt,
        };
        if next == Next::Stop {
            self.decide(Decision::HuntStopped(n + 1, status, cause));
            let refusal = failure.refusal(None);
            self.release_others(ctx, None, Cause::AnsweredElsewhere, None);
            return self.refuse(ctx, refusal);
        }
        self.decide(Decision::Hunted(n + 1, status, cause));
        self.after_failure(ctx, way);
    }

    /// One way led nowhere: the next trunk, or wait for the other contacts.
    fn after_failure(&mut self, ctx: &mut Context<'_>, way: Way) {
        match way {
            Way::Trunk(id) => {
                if let Some(hunt) = self.hunt_mut() {
                    hunt.spares.clear();
                }
                let account = ctx.directory.trunk(id).map(|trunk| trunk.account);
                ctx.admission.leave(self.id, Owner::Trunk(id), Direction::Egress);
                if let Some(account) = account {
                    ctx.admission.leave(self.id, Owner::Account(account), Direction::Egress);
                }
                self.next_trunk(ctx);
            }
            Way::Contact(..) => {
                let is_busy = self.attempts.iter().any(|a| a.released.is_none());
                let is_waiting = self.hunt_mut().is_some_and(|hunt| !hunt.pending.is_empty());
                if !is_busy && !is_waiting {
                    self.give_up(ctx);
                }
            }
        }
    }

    /// Nothing is left to try.
    fn give_up(&mut self, ctx: &mut Context<'_>) {
        let attempts = self.attempts.len();
        let cld = self.cld;
        let Some(hunt) = self.hunt_mut() else { return };
        let refusal = match (hunt.best, hunt.full) {
            (Some(best), _) => {
                best.refusal(u8::try_from(attempts).ok().filter(|attempts| *attempts > 1))
            }
            (None, Some(full)) => Refusal::Limit(full),
            (None, None) => match (&hunt.destination, cld) {
                (Destination::Trunks(trunks), Some(cld)) if trunks.is_empty() => {
                    Refusal::NoTrunkUsable(cld)
                }
                _ => Refusal::Unresolved,
            },
        };
        self.refuse(ctx, refusal);
    }

    fn redirected(&mut self, ctx: &mut Context<'_>, n: u8, status: u16, contacts: &[Bytes]) {
        let way = self.attempts[usize::from(n)].way;
        let hops_max = match ctx.directory.settings().redirects {
            RedirectPolicy::Follow { hops_max } => hops_max,
            RedirectPolicy::Reject => 0,
        };
        let failure =
            Failure { leg: n + 1, status, cause: Cause::Redirected, kind: FailureKind::Redirected };
        let may_follow = self.attempts.len() < ATTEMPTS_CEILING
            && self.hunt_mut().is_some_and(|hunt| hunt.redirects < hops_max);
        if !may_follow || !self.can_follow(ctx, n, way, contacts) {
            return self.failed(ctx, n, failure, None);
        }
        let attempt = &mut self.attempts[usize::from(n)];
        let (at, cause) = (ctx.now.utc, Cause::Redirected);
        attempt.released = Some(Released { at, cause, status, by: Party::Callee });
        self.decide(Decision::RedirectFollowed(n + 1));
        if let Some(hunt) = self.hunt_mut() {
            hunt.redirects += 1;
        }
        self.follow(ctx, n, way, contacts);
    }

    /// A redirection may change neither who is paid nor what the call costs.
    fn can_follow(&self, ctx: &Context<'_>, n: u8, way: Way, contacts: &[Bytes]) -> bool {
        contacts.iter().any(|contact| match way {
            Way::Trunk(_) => self.same_number(n, contact).is_some(),
            Way::Contact(from, _) => redirect_target(ctx, from, contact).is_some(),
        })
    }

    /// The host in a redirection to the same number.
    fn same_number(&self, n: u8, contact: &[u8]) -> Option<HostToResolve> {
        let uri = Uri::parse(contact)?;
        let cld = self.attempts[usize::from(n)].cld.as_bytes();
        uri.user_unescaped()
            .filter(|user| user.as_ref() == cld)
            .and_then(|_| HostToResolve::of(&uri))
    }

    fn follow(&mut self, ctx: &mut Context<'_>, n: u8, way: Way, contacts: &[Bytes]) {
        for contact in contacts {
            match way {
                Way::Trunk(id) => {
                    if let Some(host) = self.same_number(n, contact) {
                        let listener = ctx.directory.trunk(id).and_then(|trunk| trunk.listener);
                        return self.look_up(ctx, way, Some(contact.clone()), host, listener);
                    }
                }
                Way::Contact(from, _) => {
                    if let Some(to) = redirect_target(ctx, from, contact) {
                        if !self.ring(ctx, to) {
                            self.after_failure(ctx, way);
                        }
                        return;
                    }
                }
            }
        }
    }

    // Time.

    pub(super) fn hunting_timeout(&self, hunt: &Hunt) -> Option<Duration> {
        let attempts = self.attempts.iter().filter(|a| a.released.is_none());
        let attempts = attempts.map(|attempt| attempt.deadline(hunt));
        attempts.chain(hunt.pending.iter().map(|pending| pending.until)).min()
    }

    pub(super) fn hunting_timed_out(&mut self, ctx: &mut Context<'_>) {
        for n in 0..self.attempts.len() {
            let State::Hunting(hunt) = &self.state else { return };
            let attempt = &self.attempts[n];
            if attempt.released.is_some() || attempt.deadline(hunt) > ctx.now.monotonic {
                continue;
            }
            let (cause, status, kind) = match attempt.ringing {
                Some(_) => (Cause::NoAnswer, 480, FailureKind::RangOut(attempt.ring_timeout)),
                None if attempt.has_heard => {
                    let limit = hunt.progress_timeout;
                    (Cause::NoResponse, 408, FailureKind::NoProgress(limit))
                }
                None => (Cause::NoResponse, 408, FailureKind::Unreachable),
            };
            let event = LegEvent::Release { cause, reason_header: None, sip_status: status };
            if let Some(leg) = self.attempts[n].leg.as_deref_mut() {
                leg.send(ctx.now, ctx.endpoint, event);
            }
            let n = n as u8;
            self.failed(ctx, n, Failure { leg: n + 1, status, cause, kind }, Some(cause));
        }
        let now = ctx.now.monotonic;
        while let Some(pending) = self.hunt_mut().and_then(|hunt| {
            let place = hunt.pending.iter().position(|pending| pending.until <= now)?;
            Some(hunt.pending.remove(place))
        }) {
            self.arrive(ctx, pending.way, pending.uri, &[], None, &pending.host);
        }
    }
}

impl super::Attempt {
    fn deadline(&self, hunt: &Hunt) -> Duration {
        match self.ringing {
            Some(since) => since.monotonic.saturating_add(self.ring_timeout),
            None if self.has_heard => self.started.monotonic.saturating_add(hunt.progress_timeout),
            None => self.started.monotonic.saturating_add(hunt.silence_timeout),
        }
    }
}

fn egress_gate(owner: Owner, limits: Limits) -> Gate {
    Gate { owner, direction: Direction::Egress, limits }
}

/// The subscriber a phone sends its calls on to, if it is one of the same account.
fn redirect_target(ctx: &Context<'_>, from: SubscriberId, contact: &[u8]) -> Option<SubscriberId> {
    let uri = Uri::parse(contact)?;
    let user = uri.user_number()?;
    let user = std::str::from_utf8(&user).ok()?;
    let directory = ctx.directory;
    let account =
        |id: SubscriberId| -> Option<AccountId> { Some(directory.subscriber(id)?.account) };
    let plan = &directory.settings().plan;
    let row = directory
        .subscriber_by_username(user)
        .or_else(|| directory.subscriber_by_number(&plan.ingress(user).ok()?))?;
    let is_reachable = !ctx.bindings.contacts(row.id, ctx.now.utc).is_empty();
    let is_allowed = row.is_active && row.id != from && account(from) == Some(row.account);
    (is_allowed && is_reachable).then_some(row.id)
}
