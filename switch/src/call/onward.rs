//! A call that goes on for a subscriber who forwards it, or for whoever transfers it: placed by the call
//! that came in, and their own.

use std::fmt;
use std::net::SocketAddr;

use vocabulary::{AccountId, CallId, Now, SubscriberId};

use super::hunting::Way;
use super::side::{Joined, Side};
use super::{Attempt, Call, Caller, Context, Ingress, State};
use crate::decision::Decision;
use crate::effect::{Effect, Said};
use crate::forwarding::{Condition, DivertedBy, ForwardingDecision};
use crate::routing::{self, Source};
use crate::token::{LegAddress, LegKey};
use crate::transfer::TransferDecision;

/// A call to be placed for one that came in. Any shard may place it.
pub struct OnwardCall {
    /// The side of the other call that waits for it.
    pub(crate) from: LegAddress,
    pub(crate) of: CallId,
    /// Who forwards or transfers: who calls and pays.
    pub(crate) by: Source,
    /// The caller, and what the subscriber wants called.
    pub(crate) caller: Caller,
    remote: SocketAddr,
    sip_call_id: Box<str>,
    cli: Box<str>,
    does_100rel: bool,
}

impl fmt::Debug for OnwardCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OnwardCall(of {}, by {:?})", self.of, self.by)
    }
}

impl OnwardCall {
    /// The caller's side of the call that is placed.
    pub(crate) fn ingress(&self, now: Now, own: LegAddress, account: Option<AccountId>) -> Ingress {
        Ingress {
            side: Side::Call(Box::new(Joined::with(own, self.from, self.does_100rel))),
            source: Some(self.by),
            account,
            remote: self.remote,
            sip_call_id: self.sip_call_id.clone(),
            cli: self.cli.clone(),
            cld: self.caller.dialled.clone(),
            started_at: now.utc,
            ringing_at: None,
            attestation: None,
        }
    }
}

impl Call {
    /// Says to the call that placed this one where it is, and notes whose it is.
    pub(crate) fn answers_to(
        &mut self,
        ctx: &mut Context<'_>,
        own: LegAddress,
        onward: &OnwardCall,
    ) {
        let said = Said::Placed(self.id(), self.is_secure);
        ctx.effects.push_back(Effect::Relay { to: onward.from, from: own, said });
        let (by, of) = (onward.by, onward.of);
        self.decide(match (onward.caller.transferred_by(), by) {
            (None, Source::Subscriber(by)) => Decision::Forwarding(ForwardingDecision::For(by, of)),
            _ => Decision::Transfer(TransferDecision::For(by, of)),
        });
    }

    /// Has the call go on for the subscriber who forwards it.
    pub(super) fn send_on(
        &mut self,
        ctx: &mut Context<'_>,
        (by, why): (SubscriberId, Condition),
        to: &str,
    ) {
        let State::Hunting(hunt) = &self.state else { return };
        let mut caller = hunt.caller.clone();
        caller.dialled = to.into();
        let by = Source::Subscriber(by);
        caller.diverted_by.push(DivertedBy { by, why: Some(why) });
        // The forwarder is a callee: it does not know who stays unknown.
        let cli = if caller.is_withheld { "anonymous".into() } else { self.ingress.cli.clone() };
        let does_100rel = self.ingress.side.does_100rel();
        self.place_onward(ctx, by, caller, cli, does_100rel);
    }

    /// Has a call placed for this one. The number of the side where it will be heard.
    pub(super) fn place_onward(
        &mut self,
        ctx: &mut Context<'_>,
        by: Source,
        caller: Caller,
        cli: Box<str>,
        does_100rel: bool,
    ) -> u8 {
        let cld = caller.dialled.clone();
        let (leg, own) = self.attempt_by_call(ctx, by, (cli.clone(), cld), None);
        let onward = OnwardCall {
            from: own,
            of: self.id,
            by,
            caller,
            remote: self.ingress.remote,
            sip_call_id: self.ingress.sip_call_id.clone(),
            cli,
            does_100rel,
        };
        ctx.effects.push_back(Effect::Onward(Box::new(onward)));
        leg
    }

    /// A side that is another call: that one, or one that will say where it is. As a leg of whoever joins
    /// them, with what its record tells of caller and callee. Its number and address.
    pub(super) fn attempt_by_call(
        &mut self,
        ctx: &Context<'_>,
        by: Source,
        (cli, cld): (Box<str>, Box<str>),
        other: Option<LegAddress>,
    ) -> (u8, LegAddress) {
        let leg = u8::try_from(self.attempts.len() + 1).expect("attempts have a ceiling");
        let own = LegAddress { shard: ctx.shard, key: LegKey { leg, ..self.place } };
        let account = routing::owner(ctx.directory, by).unwrap_or(AccountId(0));
        let joined = match other {
            Some(other) => Joined::with(own, other, false),
            None => Joined::to_come(own),
        };
        let side = Side::Call(Box::new(joined));
        let ring_timeout = ctx.directory.settings().ring_timeout;
        let who = (Way::Onward(by), account);
        self.attempts.push(Attempt::new(ctx.now, who, side, (cli, cld), ring_timeout));
        (leg, own)
    }
}
