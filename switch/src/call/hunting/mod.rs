//! Seeking someone who answers: all contacts of a subscriber at once, those of the next subscriber of
//! a group, or trunk after trunk; the next address of the same host before the next trunk (RFC 3263 section 4.3).

mod going_on;
mod group;
mod outcome;
mod quality;
mod redirection;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip::message::uri::Uri;
use sip::transport::{Path, Transport};
use vocabulary::{Direction, SubscriberId, TrunkId};

use super::egress::Caller;
use super::failure::{Failure, FailureKind};
use super::hop::HOP;
use super::signing::Signing;
use super::{Call, Context, Side, State};
use crate::admission::{Gate, NotAdmitted, Owner};
use crate::decision::{Decision, Refusal};
use crate::directory::{Directory, Limits, TrunkRow};
use crate::effect::{Effect, HostToResolve, QueryId, Target};
use crate::forwarding::Condition;
use crate::leg::event::{Body, LegEvent};
use crate::leg::{ANSWER_LIMIT, path_to};
use crate::question::Answer;
use crate::registrar::Binding;
use crate::release::Cause;
use crate::routing::{Destination, Skip, Source, pair};
use crate::token::LegKey;

/// A call forks to no more contacts than this, redirections and transfers included.
pub(super) const ATTEMPTS_CEILING: usize = 64;

/// Addresses of one host that are tried.
const TARGETS_MAX: usize = 4;

/// Which way an attempt goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Trunk(TrunkId),
    /// A contact, by its place in the hunt's list.
    Contact(SubscriberId, u8),
    /// A call of its own, for who forwards or transfers.
    Onward(Source),
}

impl Way {
    pub(super) fn trunk(self) -> Option<TrunkId> {
        if let Way::Trunk(id) = self { Some(id) } else { None }
    }

    pub(super) fn subscriber(self) -> Option<SubscriberId> {
        match self {
            Way::Trunk(_) => None,
            Way::Contact(id, _) => Some(id),
            Way::Onward(by) => by.subscriber(),
        }
    }

    /// Whose leg it is.
    pub(super) fn owner(self) -> Source {
        match self {
            Way::Trunk(id) => Source::Trunk(id),
            Way::Contact(id, _) => Source::Subscriber(id),
            Way::Onward(by) => by,
        }
    }

    pub(super) fn is_onward(self) -> bool {
        matches!(self, Way::Onward(_))
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
    pub(super) destination: Destination,
    trunks: VecDeque<TrunkId>,
    /// The subscribers of a group who are still to ring.
    members: VecDeque<SubscriberId>,
    /// The contacts of a subscriber are being called: that one of them failed is not the end.
    is_ringing: bool,
    /// How long each phone may ring.
    pub(super) phone_ring_timeout: Duration,
    spares: Vec<Place>,
    pending: Vec<Pending>,
    pub(super) contacts: Vec<Binding>,
    queries: u8,
    redirects: u8,
    best: Option<Failure>,
    full: Option<NotAdmitted>,
    /// Somebody would have been called, but for the codecs that are offered.
    pub(super) lacks_codec: bool,
    /// The answer that came with early media which the caller is not to get, and the attempt.
    held_answer: Option<(u8, Body)>,
    /// Where the call is counted as it came in, until it is answered.
    came_as: Option<Owner>,
    /// The same for the attempt, and the route's limit that it takes a place of.
    sent_as: Option<Owner>,
    route: Option<Owner>,
    /// The attempt whose early dialog the caller is in.
    pub(super) early: Option<u8>,
    silence_timeout: Duration,
    progress_timeout: Duration,
    /// An attempt that waits for its signature.
    pub(super) signing: Option<Signing>,
    /// How many have been asked for.
    pub(super) signings: u8,
}

impl Hunt {
    pub(crate) fn new(caller: Caller, destination: Destination, came_as: Option<Owner>) -> Hunt {
        Hunt {
            caller,
            destination,
            trunks: VecDeque::new(),
            members: VecDeque::new(),
            is_ringing: false,
            phone_ring_timeout: Duration::MAX,
            spares: Vec::new(),
            pending: Vec::new(),
            contacts: Vec::new(),
            queries: 0,
            redirects: 0,
            best: None,
            full: None,
            lacks_codec: false,
            held_answer: None,
            came_as,
            sent_as: None,
            route: None,
            early: None,
            silence_timeout: Duration::MAX,
            progress_timeout: Duration::MAX,
            signing: None,
            signings: 0,
        }
    }

    /// How long the callee's phones may ring: until the call goes on because nobody answers, or for as
    /// long as any.
    pub(super) fn rings_for(&self, directory: &Directory) -> Duration {
        let ring_timeout = directory.settings().ring_timeout.min(self.phone_ring_timeout);
        let Destination::Subscriber(callee) = self.destination else { return ring_timeout };
        let no_answer =
            directory.subscriber(callee).and_then(|row| row.forwards.no_answer.as_ref());
        match no_answer {
            Some(no_answer) if self.caller.sent().may_go_on(callee).is_ok() => {
                no_answer.after.min(ring_timeout)
            }
            _ => ring_timeout,
        }
    }

    fn note(&mut self, failure: Failure) {
        if self.best.is_none_or(|best| failure.rank() < best.rank()) {
            self.best = Some(failure);
        }
    }
}

impl Call {
    pub(super) fn hunt_mut(&mut self) -> Option<&mut Hunt> {
        if let State::Hunting(hunt) = &mut self.state { Some(hunt) } else { None }
    }

    /// Begins, with what billing allowed.
    pub(super) fn hunt(&mut self, ctx: &mut Context<'_>, egress: Vec<TrunkId>) {
        let settings = ctx.directory.settings();
        let Some(hunt) = self.hunt_mut() else { return };
        hunt.silence_timeout = settings.silence_timeout;
        hunt.progress_timeout = settings.progress_timeout;
        match &hunt.destination {
            &Destination::Subscriber(subscriber) => {
                // Its phones may have gone since the call came in.
                if !self.ring(ctx, subscriber) && !self.goes_on(ctx, Condition::Offline) {
                    self.refuse(ctx, Refusal::NotRegistered(subscriber));
                }
            }
            Destination::Group(group) => {
                let group = Arc::clone(group);
                self.ring_group(ctx, &group);
            }
            &Destination::Trunk(id) => {
                hunt.trunks.push_back(id);
                self.next_trunk(ctx);
            }
            Destination::Forwarded { by, why, to } => {
                let (who, to) = ((*by, *why), to.clone());
                self.send_on(ctx, who, &to);
            }
            Destination::Place(dialog) => {
                let dialog = Arc::clone(dialog);
                self.take_place(ctx, &dialog);
            }
            Destination::Trunks(_) => {
                hunt.trunks = egress.into();
                self.next_trunk(ctx);
            }
        }
    }

    /// Tries every contact of a subscriber at once, or those that TLS reaches if the call wants that.
    /// False if there is none.
    fn ring(&mut self, ctx: &mut Context<'_>, subscriber: SubscriberId) -> bool {
        let is_secure = self.hunt_mut().is_some_and(|hunt| hunt.caller.is_secure);
        let mut contacts = ctx.bindings.contacts(subscriber, ctx.now.utc);
        contacts.retain(|binding| !is_secure || binding.is_secure());
        if contacts.is_empty() {
            return false;
        }
        self.decide(Decision::ToSubscriber(subscriber, contacts.len() as u8));
        if let Some(hunt) = self.hunt_mut() {
            hunt.is_ringing = true;
        }
        for binding in contacts {
            let Some(hunt) = self.hunt_mut() else { break };
            let way = Way::Contact(subscriber, hunt.contacts.len() as u8);
            let uri = binding.uri.clone();
            let through = binding.path.first().and_then(|path| {
                let address = sip::message::header::NameAddr::parse(path)?;
                HostToResolve::of(&address.parsed_uri()?)
            });
            // After a restart its connection is gone, but it may listen where its contact says.
            let is_by_source = binding.is_behind_nat || binding.source.connection != 0;
            let host = match through {
                None if is_by_source => None,
                None => contact_host(&binding),
                through => through,
            };
            let source = binding.source;
            hunt.contacts.push(binding);
            match host {
                Some(host) => self.look_up(ctx, way, Some(uri), host, Some(source.listener)),
                None => self.place(ctx, Place { way, uri: Some(uri), path: source }),
            }
        }
        if let Some(hunt) = self.hunt_mut() {
            hunt.is_ringing = false;
        }
        self.after_phone(ctx);
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
                self.decide(Decision::TrunkSkipped(id, Skip::Inactive));
                continue;
            };
            let (route, pair) = self.own_gates(directory, trunk);
            let account = directory.account(trunk.account);
            let of_account = account.map_or(Limits::default(), |account| account.egress);
            let of_trunk = egress_gate(Owner::Trunk(id), trunk.egress_limits);
            let mut gates = [of_trunk; 4];
            gates[1] = egress_gate(Owner::Account(trunk.account), of_account);
            let mut count = 2;
            for gate in [route, pair].into_iter().flatten() {
                gates[count] = gate;
                count += 1;
            }
            self.count_as_message(&mut gates);
            if let Err(full) = ctx.admission.admit(ctx.now.monotonic, self.id, &gates[..count]) {
                self.decide(Decision::TrunkSkipped(id, Skip::Full(full)));
                if let Some(hunt) = self.hunt_mut() {
                    hunt.full = Some(full);
                }
                continue;
            }
            if let Some(hunt) = self.hunt_mut() {
                hunt.route = route.map(|gate| gate.owner);
                hunt.sent_as = pair.map(|gate| gate.owner);
            }
            self.watch_quality(ctx, id);
            let host = HostToResolve {
                host: trunk.host.clone(),
                port: trunk.port,
                transport: trunk.transport,
                is_secure: false,
            };
            return self.look_up(ctx, Way::Trunk(id), None, host, trunk.listener);
        }
    }

    /// Gates besides those of trunk and carrier: of the route, if it is limited; and where the call is
    /// known again if the trunk sends it back, if that can send calls at all.
    fn own_gates(&self, directory: &Directory, trunk: &TrunkRow) -> (Option<Gate>, Option<Gate>) {
        let Some(cld) = self.cld else { return (None, None) };
        let route = directory.route(&cld, trunk.id).filter(|r| r.limits != Limits::default());
        let route = route.map(|route| egress_gate(Owner::Route(route.route), route.limits));
        let calls_us = !trunk.ingress.networks.is_empty() || trunk.ingress.digest.is_some();
        let cli = self.cli.filter(|_| calls_us && !self.is_withheld);
        let pair =
            cli.map(|cli| egress_gate(Owner::Pair(pair(trunk.id, cli, &cld)), Limits::default()));
        (route, pair)
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
        // Whatever the trunk, the contact or a redirection says of itself.
        let is_secure = self.hunt_mut().is_some_and(|hunt| hunt.caller.is_secure);
        let host = match is_secure {
            true => HostToResolve { transport: Some(Transport::Tls), is_secure, ..host },
            false => host,
        };
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
            return self.hop_resolved(asked_by - HOP, targets);
        }
        // The hunt may be over, or gone on after a timeout.
        let Some(hunt) = self.hunt_mut() else { return };
        let Some(place) = hunt.pending.iter().position(|p| p.query == query) else { return };
        let pending = hunt.pending.remove(place);
        let listener = match pending.way {
            Way::Trunk(id) => ctx.directory.trunk(id).and_then(|trunk| trunk.listener),
            Way::Contact(_, n) => hunt.contacts.get(usize::from(n)).map(|b| b.source.listener),
            Way::Onward(_) => None,
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
                Way::Onward(_) => unreachable!("it has no host"),
            });
            return self.after_failure(ctx, way);
        };
        if let Some(hunt) = self.hunt_mut() {
            let spares = others.iter().map(|path| Place { way, uri: uri.clone(), path: *path });
            hunt.spares.extend(spares);
        }
        self.place(ctx, Place { way, uri, path: *first });
    }

    // Time.

    pub(super) fn hunting_timeout(&self, hunt: &Hunt) -> Option<Duration> {
        let attempts = self.attempts.iter().filter(|a| a.released.is_none());
        let attempts = attempts.map(|attempt| attempt.deadline(hunt));
        let all = attempts.chain(hunt.pending.iter().map(|pending| pending.until));
        let all = all.chain(hunt.signing.as_ref().map(|signing| signing.until));
        all.filter(|at| *at < Duration::MAX).min()
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
            if let Some(side) = self.attempts[n].side.as_deref_mut() {
                side.send(ctx, event);
            }
            let n = n as u8;
            self.failed(ctx, n, Failure { leg: n + 1, status, cause, kind }, Some(cause.q850()));
        }
        let now = ctx.now.monotonic;
        let signing = self.hunt_mut().and_then(|hunt| hunt.signing.as_ref());
        if signing.is_some_and(|signing| signing.until <= now) {
            self.signed(ctx, None, Answer::Nothing);
        }
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
            // The other call has limits of its own, and ends when one of them is reached.
            _ if self.way.is_onward() => Duration::MAX,
            // Nothing provisional comes for a message.
            _ if matches!(self.side.as_deref(), Some(Side::Message(_))) => {
                self.started.monotonic.saturating_add(ANSWER_LIMIT)
            }
            Some(since) => since.monotonic.saturating_add(self.ring_timeout),
            None if self.has_heard => self.started.monotonic.saturating_add(hunt.progress_timeout),
            None => self.started.monotonic.saturating_add(hunt.silence_timeout),
        }
    }
}

/// The host in a contact. A phone that registered by a connection and names no transport is not
/// sought by another.
fn contact_host(binding: &Binding) -> Option<HostToResolve> {
    let host = HostToResolve::of(&Uri::parse(&binding.uri)?)?;
    let source = Some(binding.source.transport).filter(|transport| transport.is_reliable());
    Some(HostToResolve { transport: host.transport.or(source), ..host })
}

fn egress_gate(owner: Owner, limits: Limits) -> Gate {
    Gate { owner, direction: Direction::Egress, limits }
}
