//! INVITEs that begin a call: who sends it (a trunk by its address, or anybody by digest), may it
//! come in, where does it lead; then billing is asked.

use bytes::Bytes;
use sip::endpoint::ServerTx;
use sip::message::uri::{Scheme, Uri};
use sip::message::{HeaderName, Message, ResponseDraft};
use sip::transport::Path;
use vocabulary::{AuthorizeRequest, Direction, Now};

use crate::admission::{Gate, Owner};
use crate::authentication::{Authenticated, Kind};
use crate::call::{Call, Caller, Context, Hunt, Ingress};
use crate::decision::{Decision, Refusal};
use crate::directory::{DigestOwner, Limits};
use crate::effect::Effect;
use crate::leg::event::Body;
use crate::leg::{self, Identity, Leg};
use crate::routing::{self, Destination, Source};
use crate::shard::Shard;
use crate::token::Tag;

/// RFC 3261 section 8.1.1.6.
const MAX_FORWARDS: u32 = 70;

/// Who sends a request.
enum Sender {
    /// Someone we know, and how we know.
    Known(Source, Decision),
    /// Someone who failed to prove who it is; an attempt with a CDR.
    Refused(Option<Source>, Refusal),
    /// Challenged; no attempt yet.
    Challenged,
}

impl Shard {
    /// An INVITE without To tag.
    pub(crate) fn invite(&mut self, now: Now, tx: ServerTx, message: &Message, path: Path) {
        // Refused before it costs anything, a record included: that is what keeps us alive in a
        // flood. It is counted (`overload_refusals`).
        if self.is_overloaded {
            return self.turn_away(now, tx, message);
        }
        let merge_key = merge_key(message, self.config.seed);
        if self.is_merged(merge_key) {
            let merged = ResponseDraft::to(message, 482, "Loop Detected");
            return self.endpoint.respond(now.monotonic, tx, merged);
        }
        let (source, verdict) = match self.identify(now, tx, message, path) {
            Sender::Challenged => return,
            Sender::Known(source, decision) => (Some(source), Ok(decision)),
            Sender::Refused(source, refusal) => (source, Err(refusal)),
        };
        let Some((id, key)) = self.reserve_slot() else {
            return self.turn_away(now, tx, message);
        };
        let tag = Tag::new(self.config.shard, key, self.random.next());
        let identity = Identity { tag, user: key.to_user() };
        let endpoint = &mut self.endpoint;
        let leg = Leg::inbound(now, &self.leg_config, identity, endpoint, tx, message, path);
        let ingress = Ingress {
            leg,
            source,
            account: source.and_then(|source| routing::owner(&self.directory, source)),
            remote: path.remote,
            sip_call_id: text(message.call_id()).into(),
            cli: user_of(message.from().uri()),
            cld: user_of(message.request_uri()),
            started_at: now.utc,
            ringing_at: None,
        };
        let call = Call::new(id, key, ingress);
        let loops = self.is_own_via(message);
        let is_draining = self.is_draining;
        self.begin(now, key, merge_key, call, |call, ctx| {
            let known = verdict.map(|decision| call.decide(decision));
            call.drain(ctx);
            // The leg may have answered already: an extension or interval that it cannot serve.
            if call.is_settled() {
                return;
            }
            let outcome = known.and_then(|()| {
                if is_draining {
                    return Err(Refusal::Draining);
                }
                let source = source.expect("a known sender is a source");
                admit(call, ctx, source, message, loops)
            });
            if let Err(refusal) = outcome {
                call.refuse(ctx, refusal);
            }
            call.drain(ctx);
        });
    }

    /// 503 with Retry-After: to new work only, and before any of it is done.
    pub(crate) fn turn_away(&mut self, now: Now, tx: ServerTx, message: &Message) {
        self.stats.overload_refusals += 1;
        let seconds = self.directory.settings().retry_after_secs;
        let response = ResponseDraft::to(message, 503, "Service Unavailable")
            .header_fmt(HeaderName::RetryAfter, format_args!("{seconds}"));
        self.endpoint.respond(now.monotonic, tx, response);
    }

    fn identify(&mut self, now: Now, tx: ServerTx, message: &Message, path: Path) -> Sender {
        let directory = &self.directory;
        let by_address = directory.trunk_by_address(path.remote).map(|trunk| {
            (trunk.id, trunk.ingress.digest.as_ref().map(|(username, _)| username.clone()))
        });
        if let Some((id, None)) = by_address {
            return Sender::Known(Source::Trunk(id), Decision::FromTrunk(id, path.remote));
        }
        let (owner, username) = match self.authenticate(now, tx, message, Kind::Proxy) {
            Authenticated::Challenged => return Sender::Challenged,
            Authenticated::UnknownUser(name) => {
                return Sender::Refused(None, Refusal::UnknownUser(name));
            }
            Authenticated::WrongPassword(name) => {
                return Sender::Refused(None, Refusal::WrongPassword(name));
            }
            Authenticated::Right(owner, username) => (owner, username),
        };
        match (owner, by_address) {
            (DigestOwner::Trunk(id), Some((at, _))) if id != at => {
                let refusal = Refusal::ForeignCredentials(at, username);
                Sender::Refused(Some(Source::Trunk(at)), refusal)
            }
            (DigestOwner::Trunk(id), at) => {
                let networks = self.directory.trunk(id).map(|t| t.ingress.networks.is_empty());
                if at.is_none() && networks == Some(false) {
                    let refusal = Refusal::WrongAddress(id, path.remote);
                    return Sender::Refused(Some(Source::Trunk(id)), refusal);
                }
                Sender::Known(Source::Trunk(id), Decision::FromTrunkByDigest(id, username))
            }
            (DigestOwner::Subscriber(id), _) => {
                Sender::Known(Source::Subscriber(id), Decision::FromSubscriber(id, username))
            }
        }
    }

    /// Whether one of the Vias is ours: then the request has been here (RFC 3261 section 16.3).
    fn is_own_via(&self, message: &Message) -> bool {
        message.vias().any(|via| {
            let host = via.host();
            self.config.listeners.iter().any(|listener| {
                let (own, port) = split_port(&listener.advertised);
                own.as_bytes().eq_ignore_ascii_case(host)
                    && via.port().unwrap_or(listener.transport.default_port())
                        == port.unwrap_or(listener.transport.default_port())
            })
        })
    }
}

/// `host:port`, `[v6]:port` or a host alone.
fn split_port(advertised: &str) -> (&str, Option<u16>) {
    match advertised.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (advertised, None),
        },
        _ => (advertised, None),
    }
}

/// RFC 3261 section 8.2.2.2: the same From tag, Call-ID and CSeq.
fn merge_key(message: &Message, seed: u64) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // Peers choose what is hashed, so the seed is secret.
    let mut hasher = foldhash::quality::FixedState::with_seed(seed).build_hasher();
    hasher.write(message.call_id());
    hasher.write_u8(0);
    hasher.write(message.from_tag().unwrap_or_default());
    hasher.write_u32(message.cseq().0);
    hasher.finish()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn user_of(uri: &[u8]) -> Box<str> {
    let user = Uri::parse(uri).and_then(|uri| uri.user_number().map(|user| text(&user)));
    user.unwrap_or_default().into()
}

/// Everything between knowing the caller and asking billing.
fn admit(
    call: &mut Call,
    ctx: &mut Context<'_>,
    source: Source,
    message: &Message,
    loops: bool,
) -> Result<(), Refusal> {
    let directory = ctx.directory;
    let account = routing::payer(directory, source)?;
    let forwards = message.max_forwards().unwrap_or(MAX_FORWARDS).min(255);
    if loops {
        return Err(Refusal::Loop);
    }
    let max_forwards = (forwards as u8).checked_sub(1).ok_or(Refusal::TooManyHops)?;
    let dialled = dialled(ctx, message)?;
    ctx.admission
        .admit(ctx.now.monotonic, call.id(), &ingress_gates(ctx, source, account))
        .map_err(Refusal::Limit)?;
    let mut decisions = std::mem::take(call.decisions());
    let routed = routing::destination(directory, source, account, &dialled, &mut decisions);
    *call.decisions() = decisions;
    let routed = routed?;
    if let Destination::Subscriber(callee) = routed.destination {
        admit_to(call, ctx, callee)?;
    }
    let caller = caller(ctx, source, message, dialled, max_forwards);
    let kind = routed.kind();
    let candidates = routed.candidates().to_vec();
    let request = AuthorizeRequest {
        call: call.id(),
        account,
        kind,
        cld: routed.cld,
        cli: caller.number.filter(|_| !caller.is_withheld),
        at: ctx.now.utc,
        candidates,
        origin: call.origin(),
    };
    call.authorizing(account, routed.cld, Hunt::new(caller, routed.destination));
    ctx.effects.push_back(Effect::Authorize(request));
    Ok(())
}

fn ingress_gates(ctx: &Context<'_>, source: Source, account: vocabulary::AccountId) -> Vec<Gate> {
    let direction = Direction::Ingress;
    let limits = ctx.directory.account(account).map_or(Limits::default(), |a| a.ingress);
    let mut gates = vec![Gate { owner: Owner::Account(account), direction, limits }];
    match source {
        Source::Trunk(id) => {
            let limits = ctx.directory.trunk(id).map_or(Limits::default(), |t| t.ingress_limits);
            gates.push(Gate { owner: Owner::Trunk(id), direction, limits });
        }
        // A subscriber has no limits of its own yet; its account's hold.
        Source::Subscriber(_) => {}
    }
    gates
}

/// The callee must be there and its account must have room.
fn admit_to(
    call: &Call,
    ctx: &mut Context<'_>,
    callee: vocabulary::SubscriberId,
) -> Result<(), Refusal> {
    if ctx.bindings.contacts(callee, ctx.now.utc).is_empty() {
        return Err(Refusal::NotRegistered(callee));
    }
    let directory = ctx.directory;
    let account = directory.subscriber(callee).and_then(|row| directory.account(row.account));
    let Some(account) = account else { return Err(Refusal::CalleeInactive(callee)) };
    let gate = Gate {
        owner: Owner::Account(account.id),
        direction: Direction::Egress,
        limits: account.egress,
    };
    ctx.admission.admit(ctx.now.monotonic, call.id(), &[gate]).map_err(Refusal::Limit)
}

/// What was dialled, out of the Request-URI.
fn dialled(ctx: &Context<'_>, message: &Message) -> Result<Box<str>, Refusal> {
    let uri = Uri::parse(message.request_uri()).ok_or(Refusal::UnsupportedUri)?;
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
    Ok(text(&user).into())
}

/// Who calls, as the callee may see it.
fn caller(
    ctx: &Context<'_>,
    source: Source,
    message: &Message,
    dialled: Box<str>,
    max_forwards: u8,
) -> Caller {
    let directory = ctx.directory;
    let plan = routing::plan(directory, source);
    let from = message.from();
    let user = user_of(from.uri());
    let is_trusted = match source {
        Source::Trunk(id) => directory.trunk(id).is_some_and(|trunk| trunk.is_trusted),
        Source::Subscriber(_) => false,
    };
    // A trusted peer asserts who calls even when From hides it (RFC 3325 section 9.1).
    let asserted = message
        .name_addrs(HeaderName::PAssertedIdentity)
        .filter(|_| is_trusted)
        .find_map(|address| plan.ingress_cli(&user_of(address.uri())));
    let own = match source {
        Source::Subscriber(id) => directory.subscriber(id).and_then(|row| row.number),
        Source::Trunk(_) => None,
    };
    let asks_privacy = message.headers(HeaderName::Privacy).any(|value| {
        value.split(|b| *b == b';').any(|word| {
            let word = word.trim_ascii();
            [&b"id"[..], b"user", b"header"].iter().any(|w| word.eq_ignore_ascii_case(w))
        })
    });
    let is_anonymous = user.eq_ignore_ascii_case("anonymous");
    Caller {
        display: from.display().into(),
        number: asserted.or_else(|| plan.ingress_cli(&user)).or(own),
        user,
        is_withheld: asks_privacy || is_anonymous,
        dialled,
        headers: leg::passed_headers(ctx.leg_config, message),
        body: body_of(message),
        max_forwards,
    }
}

fn body_of(message: &Message) -> Option<Body> {
    let bytes = message.body();
    if bytes.is_empty() {
        return None;
    }
    let content_type = message.content_type().unwrap_or(b"application/sdp");
    Some(Body { content_type: Bytes::copy_from_slice(content_type), bytes })
}
