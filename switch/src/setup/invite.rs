//! What the INVITE says, read once: who pays, how far it may still go, what was dialled, who calls.

use bytes::Bytes;
use sip::message::Message;
use sip::message::uri::{Scheme, Uri};
use vocabulary::{AccountId, RateChoice, TrunkId};

use super::{Setup, identity, message as messages, replaces};
use crate::call::{Call, Caller, Context, OnwardCall};
use crate::caller_id::Identity;
use crate::decision::{Decision, Refusal};
use crate::ingress::{split_port, text, user_of};
use crate::interworking::{InterworkingDecision, InterworkingRefusal, LegPolicy, Talker};
use crate::leg;
use crate::leg::event::Body;
use crate::lookup::Said;
use crate::routing::{self, Source};

/// RFC 3261 section 8.1.1.6.
const MAX_FORWARDS: u32 = 70;

impl Setup {
    /// Who calls, and by which gateway if by one. `loops`: the request has been here before.
    pub(crate) fn of(
        call: &mut Call,
        ctx: &Context<'_>,
        (source, gateway): (Source, Option<TrunkId>),
        message: &Message,
        loops: bool,
    ) -> Result<Setup, Refusal> {
        let account = routing::payer(ctx.directory, source)?;
        if loops {
            return Err(Refusal::Loop);
        }
        if call.is_message() {
            messages::may_send(ctx.directory, source)?;
        }
        let peer = gateway.map_or(source, Source::Trunk);
        let forwards = message.max_forwards().unwrap_or(MAX_FORWARDS).min(255);
        let max_forwards = (forwards as u8).checked_sub(1).ok_or(Refusal::TooManyHops)?;
        let uri = Uri::parse(message.request_uri()).ok_or(Refusal::UnsupportedUri)?;
        let replaced = replaces::dialog_of(message, peer)?;
        let (dialled, is_secure) = match &replaced {
            // It goes to a call, whatever it dials.
            Some(_) => (user_of(message.request_uri()), uri.is_secure()),
            None => dialled(ctx, &uri)?,
        };
        let who = Identity::of(ctx.directory, source, account, message, call.decisions());
        let (headers, body) = carried(call, ctx, peer, message)?;
        let caller = Caller {
            display: who.display,
            user: who.user,
            number: who.number,
            is_withheld: who.is_withheld,
            dialled,
            diversions: who.diversions,
            headers,
            body,
            is_secure,
            max_forwards,
            diverted_by: Vec::new(),
            identity: None,
            verstat: None,
        };
        // Not of a gateway: it sends the calls of our subscribers, whom we know ourselves.
        let identity = identity::identity_of(source, message);
        let is_believed = |id| ctx.directory.trunk(id).is_some_and(|trunk| trunk.believes_lrn);
        let is_believed = matches!(source, Source::Trunk(id) if is_believed(id));
        let ported = if is_believed { Said::of(&uri) } else { None };
        let setup =
            Setup { gateway, identity, ported, ..Setup::new(call, source, account, caller) };
        Ok(match replaced {
            Some(dialog) => setup.replacing(call, dialog),
            None => setup,
        })
    }

    /// A call that goes on for a subscriber who forwards or transfers it.
    pub(crate) fn onward(
        call: &mut Call,
        ctx: &Context<'_>,
        onward: OnwardCall,
    ) -> Result<Setup, Refusal> {
        let source = onward.by;
        let account = routing::payer(ctx.directory, source)?;
        let mut caller = onward.caller;
        caller.max_forwards = caller.max_forwards.checked_sub(1).ok_or(Refusal::TooManyHops)?;
        Ok(Setup::new(call, source, account, caller))
    }

    fn new(call: &mut Call, source: Source, account: AccountId, caller: Caller) -> Setup {
        call.comes_from(account, caller.known_number(), caller.is_withheld);
        call.must_be_secure(caller.is_secure);
        let rate_choice = RateChoice::default();
        Setup {
            source,
            gateway: None,
            account,
            caller,
            called: None,
            routed: None,
            rate_choice,
            came_as: None,
            identity: None,
            ported: None,
            asked: None,
            answer: None,
            is_emergency: false,
            reduced_to: None,
            next: 0,
        }
    }
}

/// What was dialled, out of a Request-URI or what is to become one, and whether it wants TLS all the way.
pub(crate) fn dialled(ctx: &Context<'_>, uri: &Uri<'_>) -> Result<(Box<str>, bool), Refusal> {
    match uri.scheme() {
        Scheme::Sip | Scheme::Sips => {
            let host = text(uri.host());
            let is_address = uri.host_ip().is_some();
            let is_ours = ctx.listeners.iter().any(|l| split_port(&l.advertised).0 == host);
            if !is_address && !is_ours && !ctx.directory.serves_domain(&host) {
                return Err(Refusal::DomainNotServed(host.into()));
            }
        }
        Scheme::Tel => {
            let is_global = uri.user().is_some_and(|user| user.starts_with(b"+"));
            if !is_global && !uri.params().has(b"phone-context") {
                return Err(Refusal::UnsupportedUri);
            }
        }
        _ => return Err(Refusal::UnsupportedUri),
    }
    let user = uri.user_number().ok_or(Refusal::NoNumber)?;
    Ok((text(&user).into(), uri.is_secure()))
}

/// What it says beside who calls whom: the headers that pass, and its body.
fn carried(
    call: &mut Call,
    ctx: &Context<'_>,
    peer: Source,
    message: &Message,
) -> Result<(Bytes, Option<Body>), Refusal> {
    if call.is_message() {
        let headers = leg::message_headers(ctx.leg_config, message);
        return Ok((headers, body_of(message, b"text/plain")));
    }
    let body = body_of(message, b"application/sdp");
    let body = offer(call, LegPolicy::of_source(ctx.directory, peer), body)?;
    Ok((leg::passed_headers(ctx.leg_config, message), body))
}

/// What the caller offers, as far as it may use it.
fn offer(
    call: &mut Call,
    policy: Option<Box<LegPolicy>>,
    body: Option<Body>,
) -> Result<Option<Body>, Refusal> {
    let left = body.as_ref().zip(policy).and_then(|(body, policy)| policy.narrow(body));
    let Some(left) = left else { return Ok(body) };
    if left.is_nothing_left {
        return Err(Refusal::Interworking(InterworkingRefusal::NoCodec));
    }
    if !left.removed.is_empty() {
        let names = left.removed.join(", ").into();
        let removed = InterworkingDecision::CodecsRemoved(Talker::Caller, names);
        call.decide(Decision::Interworking(removed));
    }
    Ok(body.map(|body| Body { bytes: left.sdp, ..body }))
}

/// What it carries, of this type if it does not say.
fn body_of(message: &Message, usual: &[u8]) -> Option<Body> {
    let bytes = message.body();
    if bytes.is_empty() {
        return None;
    }
    let content_type = message.content_type().unwrap_or(usual);
    Some(Body { content_type: Bytes::copy_from_slice(content_type), bytes })
}
