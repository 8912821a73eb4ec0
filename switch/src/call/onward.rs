//! A call that goes on for a subscriber who forwards it: placed by the call that came in, and the
//! subscriber's own.

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

/// A call to be placed for one that came in. Any shard may place it.
pub struct OnwardCall {
    /// The side of the other call that waits for it.
    pub(crate) from: LegAddress,
    pub(crate) of: CallId,
    /// Who forwards: who calls and pays.
    pub(crate) by: SubscriberId,
    /// The caller, and what the subscriber has its calls go to.
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
        let source = Source::Subscriber(self.by);
        Ingress {
            side: Side::Call(Box::new(Joined::with(own, self.from, self.does_100rel))),
            source: Some(source),
            account,
            remote: self.remote,
            sip_call_id: self.sip_call_id.clone(),
            cli: self.cli.clone(),
            cld: self.caller.dialled.clone(),
            started_at: now.utc,
            ringing_at: None,
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
        let said = Said::Placed(self.id());
        ctx.effects.push_back(Effect::Relay { to: onward.from, from: own, said });
        let whose = ForwardingDecision::For(onward.by, onward.of);
        self.decide(Decision::Forwarding(whose));
    }

    /// Has the call go on for the subscriber who forwards it.
    pub(super) fn send_on(
        &mut self,
        ctx: &mut Context<'_>,
        (by, why): (SubscriberId, Condition),
        to: &str,
    ) {
        let State::Hunting(hunt) = &self.state else { return };
        let leg = u8::try_from(self.attempts.len() + 1).expect("attempts have a ceiling");
        let own = LegAddress { shard: ctx.shard, key: LegKey { leg, ..self.place } };
        let settings = ctx.directory.settings();
        let mut caller = hunt.caller.clone();
        caller.dialled = to.into();
        caller.diverted_by.push(DivertedBy { subscriber: by, why });
        let account = routing::owner(ctx.directory, Source::Subscriber(by)).unwrap_or(AccountId(0));
        let ingress = &self.ingress;
        // The forwarder is a callee: it does not know who stays unknown.
        let cli = if caller.is_withheld { "anonymous".into() } else { ingress.cli.clone() };
        let onward = OnwardCall {
            from: own,
            of: self.id,
            by,
            caller,
            remote: ingress.remote,
            sip_call_id: ingress.sip_call_id.clone(),
            cli: cli.clone(),
            does_100rel: ingress.side.does_100rel(),
        };
        ctx.effects.push_back(Effect::Onward(Box::new(onward)));
        self.attempts.push(Attempt {
            side: Some(Box::new(Side::Call(Box::new(Joined::to_come(own))))),
            way: Way::Onward(by),
            account,
            remote: None,
            tag: None,
            cli,
            cld: to.into(),
            started: ctx.now,
            ring_timeout: settings.ring_timeout,
            has_heard: false,
            ringing: None,
            answered_at: None,
            released: None,
        });
    }
}
