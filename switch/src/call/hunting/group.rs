//! The subscribers of a DID: all at once, or one after the other. Each has a place for the call at
//! its own limit while it rings.

use vocabulary::{Direction, SubscriberId};

use super::super::{Call, Context};
use super::{Way, egress_gate};
use crate::admission::Owner;
use crate::decision::Decision;
use crate::did::{DidDecision, Group, MemberSkip, RingOrder};
use crate::directory::SubscriberRow;
use crate::release::Cause;
use crate::routing::{Destination, Next};

/// A call to a group rings no more phones than this: each may have several addresses, and legs are
/// counted in a byte.
const PHONES_MAX: usize = 60;

impl Call {
    /// Begins with the group of a DID.
    pub(super) fn ring_group(&mut self, ctx: &mut Context<'_>, group: &Group) {
        let Some(hunt) = self.hunt_mut() else { return };
        match group.order {
            RingOrder::InOrder(each) => {
                hunt.phone_ring_timeout = each;
                hunt.members.extend(&group.members);
                self.next_member(ctx);
            }
            RingOrder::AtOnce => {
                let mut rings = false;
                // The last one that rings decides whether the call goes on.
                hunt.members.extend(&group.members);
                while let Some(member) = self.hunt_mut().and_then(|hunt| hunt.members.pop_front()) {
                    rings |= self.ring_member(ctx, member);
                }
                if !rings {
                    self.give_up(ctx);
                }
            }
        }
    }

    /// The next of the group who can ring. If none is left, that was all.
    pub(super) fn next_member(&mut self, ctx: &mut Context<'_>) {
        self.leave_members(ctx, None);
        while let Some(member) = self.hunt_mut().and_then(|hunt| hunt.members.pop_front()) {
            if self.ring_member(ctx, member) {
                return;
            }
        }
        self.give_up(ctx);
    }

    /// False if it does not ring; then there is a decision that says why.
    fn ring_member(&mut self, ctx: &mut Context<'_>, member: SubscriberId) -> bool {
        let (directory, now) = (ctx.directory, ctx.now);
        let found = Group::contacts_of(directory, ctx.bindings, member, now.utc);
        let room = self.hunt_mut().map_or(0, |hunt| PHONES_MAX.saturating_sub(hunt.contacts.len()));
        let mut skip = match found {
            Ok(contacts) if contacts > room => Some(MemberSkip::TooManyPhones),
            Ok(_) => None,
            Err(why) => Some(why),
        };
        let limits = directory.subscriber(member).map(SubscriberRow::limits_as_callee);
        let limits = limits.unwrap_or_default();
        if skip.is_none() && limits.is_limited() {
            let gate = egress_gate(Owner::Subscriber(member), limits);
            if let Err(full) = ctx.admission.admit(now.monotonic, self.id(), &[gate]) {
                skip = Some(MemberSkip::Full(full));
                if let Some(hunt) = self.hunt_mut() {
                    hunt.full = Some(full);
                }
            }
        }
        if skip.is_none() && !self.ring(ctx, member) {
            skip = Some(MemberSkip::Insecure);
            self.leave_silent(ctx, member);
        }
        let Some(why) = skip else { return true };
        self.decide(Decision::Did(DidDecision::MemberSkipped(member, why)));
        false
    }

    /// Whether it is a group that rings.
    pub(super) fn group(&mut self) -> Option<&Group> {
        match &self.hunt_mut()?.destination {
            Destination::Group(group) => Some(group),
            _ => None,
        }
    }

    /// Those who do not have the call have room for another.
    pub(super) fn leave_members(&mut self, ctx: &Context<'_>, keep: Option<SubscriberId>) {
        let id = self.id();
        let Some(group) = self.group() else { return };
        for member in group.members.iter().filter(|member| keep != Some(**member)) {
            ctx.admission.leave(id, Owner::Subscriber(*member), Direction::Egress);
        }
    }

    /// A member none of whose phones rings or is looked for any more has room for another call.
    pub(super) fn leave_silent(&mut self, ctx: &Context<'_>, member: SubscriberId) {
        let is_its = |way: Way| way.subscriber() == Some(member);
        let rings = self.attempts.iter().any(|a| a.released.is_none() && is_its(a.way));
        let is_sought =
            self.hunt_mut().is_some_and(|hunt| hunt.pending.iter().any(|p| is_its(p.way)));
        if !rings && !is_sought && self.group().is_some() {
            ctx.admission.leave(self.id(), Owner::Subscriber(member), Direction::Egress);
        }
    }

    /// A callee said no for all of its phones: that is the end, unless there are others in a group, for
    /// whom nobody says no.
    pub(super) fn declined(&mut self, ctx: &mut Context<'_>, member: SubscriberId) -> Next {
        if self.group().is_none() {
            return Next::Stop;
        }
        let is_its = |_, way: Way| way.subscriber() == Some(member);
        self.release_attempts(ctx, is_its, Cause::AnsweredElsewhere, None);
        if let Some(hunt) = self.hunt_mut() {
            hunt.pending.retain(|sought| sought.way.subscriber() != Some(member));
        }
        Next::Hunt
    }
}
