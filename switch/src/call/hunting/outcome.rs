//! What the callees say while somebody is sought, and what comes of it.

use bytes::Bytes;
use vocabulary::{Direction, Party, TrunkId};

use super::super::failure::{Failure, FailureKind};
use super::super::legs::turn_away;
use super::super::{Answering, Body, Call, Context, Released, Side, State};
use super::{Way, contact_host};
use crate::admission::Owner;
use crate::decision::{Decision, Refusal};
use crate::did::DidRefusal;
use crate::effect::{Effect, HostToResolve};
use crate::interworking::{EarlyMedia, InterworkingDecision, InterworkingRefusal};
use crate::leg::event::LegEvent;
use crate::release::Cause;
use crate::routing::{Destination, Next};
use crate::transfer::ReplacesRefusal;

const ELSEWHERE: &[u8] = b"SIP;cause=200;text=\"Call completed elsewhere\"";

/// Whether the next address of the same host may do better (RFC 3263 section 4.3).
fn may_fail_over(status: u16, has_heard: bool) -> bool {
    status == 503 || (status == 408 && !has_heard)
}

/// What an attempt that failed says of whether the trunk is there. One that has begun to work on the call and
/// gets nowhere says neither.
fn note_health(ctx: &Context<'_>, trunk: TrunkId, failure: Failure) {
    let now = ctx.now.utc;
    match (failure.kind, failure.status) {
        (FailureKind::NoProgress(_), _) => {}
        (FailureKind::Unreachable, _) | (_, 503) => ctx.health.call_failed(now, trunk),
        (FailureKind::Refused | FailureKind::Redirected | FailureKind::RangOut(_), _) => {
            ctx.health.call_answered(now, trunk);
        }
    }
}

impl Call {
    pub(in crate::call) fn hunting_event(&mut self, ctx: &mut Context<'_>, n: u8, event: LegEvent) {
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
                if let Some(event) = self.early_media(ctx, n, event) {
                    self.ingress.side.send(ctx, event);
                }
            }
            LegEvent::Answer { headers, body } => self.answered(ctx, n, headers, body),
            LegEvent::Redirect { status, contacts } => self.redirected(ctx, n, status, &contacts),
            LegEvent::Release { sip_status, .. }
                if self.hunt_mut().is_some_and(|hunt| hunt.is_replacing()) =>
            {
                let why = ReplacesRefusal::of_status(sip_status);
                self.refuse(ctx, Refusal::Replaces(why));
            }
            LegEvent::Release { cause, reason_header, sip_status } => {
                let said = reason_header.and_then(|reason| Cause::q850_in(&reason));
                // What a peer says never means this cause.
                let is_lost = cause == Cause::DestinationOutOfOrder;
                let kind = if is_lost || !self.attempts[index].has_heard {
                    FailureKind::Unreachable
                } else {
                    FailureKind::Refused
                };
                // Why a forwarder may not call is its own affair.
                let is_onward = self.attempts[index].way.is_onward();
                let status = match sip_status {
                    401..=403 | 407 if is_onward => Cause::Absent.sip_status(),
                    status => status,
                };
                let failure = Failure { leg: n + 1, status, cause, kind };
                self.failed(ctx, n, failure, said);
            }
            event => {
                let is_early = self.hunt_mut().is_some_and(|hunt| hunt.early == Some(n));
                match self.attempts[index].side.as_deref_mut() {
                    Some(side) if !is_early => turn_away(ctx, side, &event),
                    _ => self.ingress.side.send(ctx, event),
                }
            }
        }
    }

    /// What the caller is told of a callee's progress, as the trunk's setting has it.
    fn early_media(&mut self, ctx: &Context<'_>, n: u8, event: LegEvent) -> Option<LegEvent> {
        let trunk = self.attempts[usize::from(n)].way.trunk();
        let wanted = trunk.and_then(|id| ctx.directory.trunk(id));
        let wanted = wanted.map_or(EarlyMedia::Pass, |row| row.interworking.early_media);
        // Without an offer of the caller it is one, and has to be answered.
        let has_offer = self.hunt_mut().is_some_and(|hunt| hunt.caller.body.is_some());
        let (headers, answer) = match event {
            LegEvent::Ring { headers, body: Some(answer), .. }
                if has_offer && wanted != EarlyMedia::Pass =>
            {
                (headers, answer)
            }
            event => return Some(event),
        };
        if let Some(hunt) = self.hunt_mut() {
            // A 200 need not say again what a reliable response has said (RFC 3261 section 13.2.1).
            hunt.held_answer = Some((n, answer));
        }
        let held = Decision::Interworking(InterworkingDecision::EarlyMediaHeld(n + 1));
        if !self.decisions().contains(&held) {
            self.decide(held);
        }
        let rings = LegEvent::Ring { status: 180, headers, body: None };
        (wanted == EarlyMedia::Ringing).then_some(rings)
    }

    fn answered(&mut self, ctx: &mut Context<'_>, n: u8, headers: Bytes, body: Option<Body>) {
        self.release_others(ctx, Some(n), Cause::AnsweredElsewhere, Some(ELSEWHERE));
        let held = self.hunt_mut().and_then(|hunt| hunt.held_answer.take());
        let body = body.or(held.filter(|(of, _)| *of == n).map(|(_, body)| body));
        let attempt = &mut self.attempts[usize::from(n)];
        attempt.answered_at = Some(ctx.now.utc);
        let (trunk, phone) = (attempt.way.trunk(), attempt.way.subscriber());
        self.leave_members(ctx, phone);
        if let Some(trunk) = trunk {
            ctx.health.call_answered(ctx.now.utc, trunk);
        }
        self.note_answer(ctx, n);
        // It is no loop.
        if let Some(hunt) = self.hunt_mut() {
            let ways = [(hunt.came_as, Direction::Ingress), (hunt.sent_as, Direction::Egress)];
            for (owner, direction) in ways {
                owner.into_iter().for_each(|owner| ctx.admission.leave(self.id, owner, direction));
            }
        }
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
        self.release_attempts(ctx, |n, _| keep != Some(n), cause, reason);
    }

    /// Ends those attempts that are under way and are meant.
    pub(super) fn release_attempts(
        &mut self,
        ctx: &mut Context<'_>,
        is_meant: impl Fn(u8, Way) -> bool,
        cause: Cause,
        reason: Option<&'static [u8]>,
    ) {
        for (n, attempt) in self.attempts.iter_mut().enumerate() {
            if attempt.released.is_some() || !is_meant(n as u8, attempt.way) {
                continue;
            }
            let reason_header = reason.map(Bytes::from_static);
            let event = LegEvent::Release { cause, reason_header, sip_status: 487 };
            if let Some(side) = attempt.side.as_deref_mut().filter(|side| !side.is_over()) {
                side.send(ctx, event);
            }
            let (at, by) = (ctx.now.utc, Party::Switch);
            attempt.released = Some(Released { at, cause, status: 487, by });
        }
    }

    /// Why nothing could be sent there, if it was for the peer's certificate.
    fn tell_refused_certificate(&mut self, ctx: &Context<'_>, n: u8, kind: FailureKind) {
        let leg = self.attempts[usize::from(n)].side.as_deref().and_then(Side::leg);
        let refused = leg.and_then(|leg| ctx.tls_peers.why_refused(leg.path()));
        if let Some(why) = refused.filter(|_| kind == FailureKind::Unreachable) {
            self.decide(Decision::CertificateRefused(n + 1, why));
        }
    }

    /// An attempt failed, with a Q.850 value if one was said.
    pub(super) fn failed(
        &mut self,
        ctx: &mut Context<'_>,
        n: u8,
        failure: Failure,
        said: Option<u8>,
    ) {
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
        let Failure { cause, status, kind, .. } = failure;
        attempt.released = Some(Released { at: ctx.now.utc, cause, status, by });
        let (way, has_heard) = (attempt.way, attempt.has_heard);
        let has_rung = attempt.ringing.is_some();
        self.tell_refused_certificate(ctx, n, kind);
        let row = way.trunk().and_then(|id| ctx.directory.trunk(id));
        let meaning = row
            .filter(|_| kind == FailureKind::Refused)
            .and_then(|row| row.causes.meaning(status, said));
        let meant = meaning.map_or(failure, |(cause, status)| Failure { cause, status, ..failure });
        let Some(hunt) = self.hunt_mut() else { return };
        hunt.note(meant);
        if hunt.early == Some(n) {
            hunt.early = None;
        }
        let spare = hunt.spares.iter().position(|spare| spare.way == way);
        if let Some(at) = spare.filter(|_| may_fail_over(status, has_heard)) {
            let spare = hunt.spares.remove(at);
            self.decide(Decision::Hunted(n + 1, status, cause));
            return self.place(ctx, spare);
        }
        if status == 503
            && !has_heard
            && let Some((uri, host, listener)) = self.contact_without_flow(way)
        {
            self.decide(Decision::Hunted(n + 1, status, cause));
            return self.look_up(ctx, way, Some(uri), host, Some(listener));
        }
        // Not before the last address of its host: it is the trunk that is there or not.
        if let Some(trunk) = way.trunk() {
            note_health(ctx, trunk, failure);
            self.note_failure(ctx, Some(failure));
        }
        if let Some((cause, _)) = meaning {
            self.decide(Decision::CauseHeard(n + 1, status, cause));
        }
        let reason = meaning.map(|(cause, _)| cause).or(said.map(Cause::from_q850));
        let next = match way {
            Way::Trunk(_) => {
                row.map_or(Next::Hunt, |trunk| trunk.codes.next(status, reason, has_rung))
            }
            // Another contact may still answer, unless the callee said no for all of them.
            Way::Contact(id, _) if status >= 600 => self.declined(ctx, id),
            Way::Contact(..) | Way::Onward(_) => Next::Hunt,
        };
        if next == Next::Stop {
            self.decide(Decision::HuntStopped(n + 1, status, cause));
            self.release_others(ctx, None, Cause::AnsweredElsewhere, None);
            return self.stop(ctx, meant);
        }
        self.decide(Decision::Hunted(n + 1, status, cause));
        self.after_failure(ctx, way);
    }

    /// The hunt ends with this failure, unless the callee has such calls go on.
    fn stop(&mut self, ctx: &mut Context<'_>, failure: Failure) {
        if !self.goes_on_after(ctx, Some(failure)) {
            self.refuse(ctx, failure.refusal(None));
        }
    }

    /// The connection by which a phone registered is gone: what its contact says, once, unless the
    /// phone is behind NAT or an edge proxy.
    fn contact_without_flow(&mut self, way: Way) -> Option<(Bytes, HostToResolve, u16)> {
        let Way::Contact(_, n) = way else { return None };
        let binding = self.hunt_mut()?.contacts.get_mut(usize::from(n))?;
        let is_flow = std::mem::take(&mut binding.source.connection) != 0;
        if !is_flow || binding.is_behind_nat || !binding.path.is_empty() {
            return None;
        }
        Some((binding.uri.clone(), contact_host(binding)?, binding.source.listener))
    }

    /// One way led nowhere: the next trunk, or wait for the other contacts.
    pub(in crate::call) fn after_failure(&mut self, ctx: &mut Context<'_>, way: Way) {
        match way {
            Way::Trunk(id) => {
                let call = self.id;
                self.note_failure(ctx, None);
                if let Some(hunt) = self.hunt_mut() {
                    hunt.spares.clear();
                    for owner in [hunt.route.take(), hunt.sent_as.take()].into_iter().flatten() {
                        ctx.admission.leave(call, owner, Direction::Egress);
                    }
                }
                let account = ctx.directory.trunk(id).map(|trunk| trunk.account);
                ctx.admission.leave(self.id, Owner::Trunk(id), Direction::Egress);
                if let Some(account) = account {
                    ctx.admission.leave(self.id, Owner::Account(account), Direction::Egress);
                }
                self.next_trunk(ctx);
            }
            Way::Contact(id, _) => {
                self.leave_silent(ctx, id);
                self.after_phone(ctx);
            }
            Way::Onward(_) => self.after_phone(ctx),
        }
    }

    /// If no phone rings or is looked for any more: the next of the group.
    pub(super) fn after_phone(&mut self, ctx: &mut Context<'_>) {
        let is_busy = self.attempts.iter().any(|a| a.released.is_none());
        let Some(hunt) = self.hunt_mut() else { return };
        if !is_busy && hunt.pending.is_empty() && !hunt.is_ringing {
            self.next_member(ctx);
        }
    }

    /// Nothing is left to try.
    pub(super) fn give_up(&mut self, ctx: &mut Context<'_>) {
        let attempts = self.attempts.len();
        let cld = self.cld;
        let Some(best) = self.hunt_mut().map(|hunt| hunt.best) else { return };
        if self.goes_on_after(ctx, best) {
            return;
        }
        let Some(hunt) = self.hunt_mut() else { return };
        let refusal = match (hunt.best, hunt.full) {
            (Some(best), _) => {
                best.refusal(u8::try_from(attempts).ok().filter(|attempts| *attempts > 1))
            }
            (None, Some(full)) => Refusal::Limit(full),
            (None, None) if hunt.lacks_codec => {
                Refusal::Interworking(InterworkingRefusal::NoCodecForCallee)
            }
            (None, None) => match (&hunt.destination, cld) {
                (Destination::Group(group), _) => {
                    Refusal::Did(DidRefusal::NobodyRegistered(group.did))
                }
                (Destination::Trunks(trunks), Some(cld)) if trunks.is_empty() => {
                    Refusal::NoTrunkUsable(cld)
                }
                _ => Refusal::Unresolved,
            },
        };
        self.refuse(ctx, refusal);
    }
}
