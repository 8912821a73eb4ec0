//! A side of a call: a SIP leg, or another call of ours, perhaps of another shard. Two calls that
//! are joined speak in the events of legs; each has its own money, limits and record, and the end
//! of one is the end of the other.

use std::collections::VecDeque;
use std::time::Duration;

use sip::transport::Path;

use super::{Call, Context, State};
use crate::decision::{Decision, Refusal};
use crate::effect::{Effect, Said};
use crate::forwarding::ForwardingDecision;
use crate::leg::event::LegEvent;
use crate::leg::{Identity, Leg, Outgoing, Pager};
use crate::token::LegAddress;
use crate::transfer::TransferDecision;

#[expect(
    clippy::large_enum_variant,
    reason = "nearly every side is a leg; a box would cost each call an allocation"
)]
pub(crate) enum Side {
    Leg(Leg),
    Call(Box<Joined>),
    Message(Box<Pager>),
}

/// The other call, as seen from here.
pub(crate) struct Joined {
    own: LegAddress,
    /// Unknown until it has said that it is there.
    other: Option<LegAddress>,
    /// What it said.
    heard: VecDeque<LegEvent>,
    /// What it is to be told once it is there.
    unsaid: Vec<LegEvent>,
    does_100rel: bool,
    is_over: bool,
}

impl Joined {
    /// The caller's side of a call that another one has placed.
    pub(super) fn with(own: LegAddress, other: LegAddress, does_100rel: bool) -> Joined {
        Joined { other: Some(other), does_100rel, ..Joined::to_come(own) }
    }

    /// The callee's side while the other call is being placed.
    pub(super) fn to_come(own: LegAddress) -> Joined {
        Joined {
            own,
            other: None,
            heard: VecDeque::new(),
            unsaid: Vec::new(),
            does_100rel: false,
            is_over: false,
        }
    }

    fn say(&mut self, effects: &mut VecDeque<Effect>, event: LegEvent) {
        if self.is_over {
            return;
        }
        let Some(to) = self.other else { return self.unsaid.push(event) };
        self.is_over = matches!(event, LegEvent::Release { .. });
        effects.push_back(Effect::Relay { to, from: self.own, said: Said::Event(event) });
    }
}

impl Side {
    /// What this side has sent, sent on: a call as a call, a message as a message.
    pub(super) fn onward(
        &self,
        ctx: &mut Context<'_>,
        identity: Identity,
        outgoing: Outgoing,
    ) -> Side {
        if let Side::Message(_) = self {
            let random = ctx.random.next();
            let pager = Pager::outbound(ctx.now, identity, ctx.endpoint, outgoing, random);
            return Side::Message(Box::new(pager));
        }
        Side::Leg(Leg::outbound(ctx.now, ctx.leg_config, identity, ctx.endpoint, outgoing))
    }

    pub(super) fn send(&mut self, ctx: &mut Context<'_>, event: LegEvent) {
        match self {
            Side::Leg(leg) => leg.send(ctx.now, ctx.endpoint, event),
            Side::Call(joined) => joined.say(ctx.effects, event),
            Side::Message(pager) => pager.send(ctx.now, ctx.endpoint, event),
        }
    }

    pub(super) fn poll_event(&mut self) -> Option<LegEvent> {
        match self {
            Side::Leg(leg) => leg.poll_event(),
            Side::Call(joined) => joined.heard.pop_front(),
            Side::Message(pager) => pager.poll_event(),
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        match self {
            Side::Leg(leg) => leg.poll_timeout().map(|(at, _)| at),
            // Neither side of a joint has timers: each call has its own. Nor has a message.
            Side::Call(_) | Side::Message(_) => None,
        }
    }

    pub(super) fn handle_timeout(&mut self, ctx: &mut Context<'_>) {
        if let Side::Leg(leg) = self
            && leg.poll_timeout().is_some_and(|(at, _)| at <= ctx.now.monotonic)
        {
            leg.handle_timeout(ctx.now, ctx.endpoint);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        match self {
            Side::Leg(leg) => leg.is_over(),
            Side::Call(joined) => joined.is_over,
            Side::Message(pager) => pager.is_over(),
        }
    }

    pub(super) fn does_100rel(&self) -> bool {
        match self {
            Side::Leg(leg) => leg.does_100rel(),
            Side::Call(joined) => joined.does_100rel,
            Side::Message(_) => false,
        }
    }

    pub(super) fn leg(&self) -> Option<&Leg> {
        if let Side::Leg(leg) = self { Some(leg) } else { None }
    }

    pub(super) fn leg_mut(&mut self) -> Option<&mut Leg> {
        if let Side::Leg(leg) = self { Some(leg) } else { None }
    }

    /// By which path whoever is there is reached, if that is no other call.
    pub(super) fn path(&self) -> Option<Path> {
        match self {
            Side::Leg(leg) => Some(leg.path()),
            Side::Message(pager) => Some(pager.path()),
            Side::Call(_) => None,
        }
    }

    pub(super) fn is_call(&self) -> bool {
        matches!(self, Side::Call(_))
    }

    /// For a call that is lost, and can say nothing itself any more.
    pub(super) fn say_release(&mut self, effects: &mut VecDeque<Effect>, event: LegEvent) {
        if let Side::Call(joined) = self {
            joined.say(effects, event);
        }
    }
}

impl Call {
    pub(super) fn side_mut(&mut self, leg: u8) -> Option<&mut Side> {
        match leg.checked_sub(1) {
            None => Some(&mut self.ingress.side),
            Some(attempt) => self.attempts.get_mut(usize::from(attempt))?.side.as_deref_mut(),
        }
    }

    /// Another call speaks to this side. False if it is none of its calls (any more).
    pub(crate) fn told(
        &mut self,
        ctx: &mut Context<'_>,
        leg: u8,
        from: LegAddress,
        said: Said,
    ) -> bool {
        let said = match said {
            Said::Join(joining) => return self.join_wanted(ctx, leg, from, &joining),
            said => said,
        };
        let Some(Side::Call(joined)) = self.side_mut(leg) else { return false };
        if joined.is_over || joined.other.is_some_and(|other| other != from) {
            return false;
        }
        match said {
            Said::Placed(call, is_secure) => {
                joined.other = Some(from);
                for event in std::mem::take(&mut joined.unsaid) {
                    joined.say(ctx.effects, event);
                }
                self.is_secure |= is_secure;
                self.heard(leg);
                self.decide(match &self.state {
                    State::Talking(_) => Decision::Transfer(TransferDecision::As(call)),
                    State::Hunting(hunt) if hunt.is_replacing() => {
                        Decision::Transfer(TransferDecision::As(call))
                    }
                    _ => Decision::Forwarding(ForwardingDecision::As(call)),
                });
            }
            Said::Join(_) => unreachable!("it is for a leg"),
            Said::NotJoined(why) => {
                joined.is_over = true;
                if matches!(self.state, State::Hunting(_)) {
                    self.refuse(ctx, Refusal::Replaces(why));
                }
            }
            Said::Event(event) => {
                joined.is_over = matches!(event, LegEvent::Release { .. });
                joined.heard.push_back(event);
            }
        }
        true
    }
}
