//! INVITEs that begin a call: who sends it, a trunk by its address, or anybody by digest. From there
//! the stages of `setup` go on.

use sip::endpoint::ServerTx;
use sip::message::uri::Uri;
use sip::message::{HeaderName, Message, Method, ResponseDraft};
use sip::transport::Path;
use vocabulary::{Now, SubscriberId, TrunkId};

use crate::authentication::{Authenticated, Kind};
use crate::call::{Call, Ingress, Side};
use crate::caller_id::named_subscriber;
use crate::decision::{Decision, IdentityRefusal, Refusal};
use crate::directory::{DigestOwner, TrunkRow};
use crate::interworking::{LegPolicy, may_replace};
use crate::leg::{Identity, Leg, Pager};
use crate::routing::{self, Source};
use crate::setup::Setup;
use crate::shard::Shard;
use crate::token::{LegKey, Tag};

/// Who sends a request.
enum Sender {
    /// Someone we know, and how we know.
    Known(Source, Decision),
    /// A gateway, how we know it, and whose call it sends.
    Gateway(TrunkId, Decision, SubscriberId),
    /// Someone who failed to prove who it is; an attempt with a CDR.
    Refused(Option<Source>, IdentityRefusal),
    /// Challenged; no attempt yet.
    Challenged,
}

/// A trunk that is known before it is challenged, and how.
struct Sent {
    trunk: TrunkId,
    decision: Decision,
    /// It is not believed without its digest.
    needs_digest: bool,
}

impl Sent {
    fn of(trunk: &TrunkRow, decision: Decision) -> Sent {
        Sent { trunk: trunk.id, decision, needs_digest: trunk.ingress.digest.is_some() }
    }
}

impl Shard {
    /// An INVITE without To tag.
    pub(crate) fn invite(&mut self, now: Now, tx: ServerTx, message: &Message, path: Path) {
        // Refused before it costs anything, a record included: that is what keeps us alive in a
        // flood. It is counted (`overload_refusals`).
        if !self.has_room_for(now, message, path) {
            return self.turn_away(now, tx, message);
        }
        let merge_key = merge_key(message, self.config.seed);
        if self.is_merged(merge_key) {
            let merged = ResponseDraft::to(message, 482, "Loop Detected");
            return self.endpoint.respond(now.monotonic, tx, merged);
        }
        self.arrives(now, tx, message, path, merge_key);
    }

    /// An INVITE or a MESSAGE that is new, and is to become a call if its sender is one who may have any.
    pub(crate) fn arrives(
        &mut self,
        now: Now,
        tx: ServerTx,
        message: &Message,
        path: Path,
        merge_key: u64,
    ) {
        let sender = self.identify(now, tx, message, path);
        let (source, gateway, verdict) = match self.behind_gateway(sender, message) {
            Sender::Challenged => return,
            Sender::Known(source, decision) => (Some(source), None, Ok(decision)),
            Sender::Gateway(trunk, decision, caller) => {
                (Some(Source::Subscriber(caller)), Some(trunk), Ok(decision))
            }
            Sender::Refused(source, why) => (source, None, Err(Refusal::Identity(why))),
        };
        let Some((id, key)) = self.reserve_slot() else {
            return self.turn_away(now, tx, message);
        };
        let peer = gateway.map(Source::Trunk).or(source);
        let ingress = Ingress {
            side: self.side_of(now, (key, peer), tx, message, path),
            source,
            account: source.and_then(|source| routing::owner(&self.directory, source)),
            remote: path.remote,
            sip_call_id: text(message.call_id()).into(),
            cli: user_of(message.from().uri()),
            cld: user_of(message.request_uri()),
            started_at: now.utc,
            ringing_at: None,
            attestation: None,
        };
        let call = Call::new(id, key, ingress);
        self.attribute_call(&call, gateway);
        let loops = self.is_own_via(message);
        let is_draining = self.is_draining;
        self.begin(now, key, Some(merge_key), call, |call, ctx| {
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
                if let (Some(trunk), Source::Subscriber(caller)) = (gateway, source) {
                    call.decide(Decision::NamedByGateway(trunk, caller));
                }
                Setup::of(call, ctx, (source, gateway), message, loops)
            });
            match outcome {
                Ok(setup) => call.set_up(ctx, Box::new(setup)),
                Err(refusal) => call.refuse(ctx, refusal),
            }
            call.drain(ctx);
        });
    }

    /// The sender's side of what it has sent.
    fn side_of(
        &mut self,
        now: Now,
        (key, peer): (LegKey, Option<Source>),
        tx: ServerTx,
        message: &Message,
        path: Path,
    ) -> Side {
        let user = key.to_user();
        if message.method() == Method::Message {
            self.stats.messages_started += 1;
            let endpoint = &mut self.endpoint;
            return Side::Message(Box::new(Pager::inbound(user, endpoint, tx, message, path)));
        }
        let tag = Tag::new(self.config.shard, key, self.random.next());
        let policy = peer.and_then(|peer| LegPolicy::of_source(&self.directory, peer));
        let may_replace = peer.is_some_and(|peer| may_replace(&self.directory, peer));
        let identity = Identity { tag, user, policy, may_replace };
        let endpoint = &mut self.endpoint;
        Side::Leg(Leg::inbound(now, &self.leg_config, identity, endpoint, tx, message, path))
    }

    /// 503 with Retry-After: to new work only, and before any of it is done.
    pub(crate) fn turn_away(&mut self, now: Now, tx: ServerTx, message: &Message) {
        self.stats.overload_refusals += 1;
        let seconds = self.retry_after_secs();
        let response = ResponseDraft::to(message, 503, "Service Unavailable")
            .header_fmt(HeaderName::RetryAfter, format_args!("{seconds}"));
        self.endpoint.respond(now.monotonic, tx, response);
    }

    fn identify(&mut self, now: Now, tx: ServerTx, message: &Message, path: Path) -> Sender {
        let at = match self.trunk_at(now, path) {
            Ok(at) => at,
            Err(refused) => return refused,
        };
        if let Some(Sent { trunk, decision, needs_digest: false }) = at {
            return Sender::Known(Source::Trunk(trunk), decision);
        }
        let (owner, username) = match self.authenticate(now, tx, message, path, Kind::Proxy) {
            Authenticated::Challenged => return Sender::Challenged,
            Authenticated::UnknownUser(name) => {
                return Sender::Refused(None, IdentityRefusal::UnknownUser(name));
            }
            Authenticated::WrongPassword(name) => {
                return Sender::Refused(None, IdentityRefusal::WrongPassword(name));
            }
            Authenticated::Right(owner, username) => (owner, username),
        };
        match (owner, at) {
            (DigestOwner::Trunk(id), Some(Sent { trunk: at, .. })) if id != at => {
                let refusal = IdentityRefusal::ForeignCredentials(at, username);
                Sender::Refused(Some(Source::Trunk(at)), refusal)
            }
            (DigestOwner::Trunk(id), at) => {
                let ingress = self.directory.trunk(id).map(|trunk| &trunk.ingress);
                let refusal = match ingress.filter(|_| at.is_none()) {
                    Some(needs) if !needs.networks.is_empty() => {
                        IdentityRefusal::WrongAddress(id, path.remote)
                    }
                    Some(needs) if !needs.certificate_names.is_empty() => {
                        IdentityRefusal::WrongCertificate(id)
                    }
                    _ => {
                        let decision = Decision::FromTrunkByDigest(id, username);
                        return Sender::Known(Source::Trunk(id), decision);
                    }
                };
                Sender::Refused(Some(Source::Trunk(id)), refusal)
            }
            (DigestOwner::Subscriber(id), _) => {
                Sender::Known(Source::Subscriber(id), Decision::FromSubscriber(id, username))
            }
        }
    }

    /// The trunk that its certificate or its address stands for, if all is right with both that it needs.
    /// The certificate comes first: several trunks may send from one address.
    fn trunk_at(&self, now: Now, path: Path) -> Result<Option<Sent>, Sender> {
        let directory = &self.directory;
        let names = match directory.knows_certificates() {
            true => self.shared.tls_peers.names(path),
            false => None,
        };
        let refused = |trunk: &TrunkRow, why| Sender::Refused(Some(Source::Trunk(trunk.id)), why);
        if let Some((trunk, name)) =
            names.as_deref().and_then(|names| directory.trunk_by_certificate(names))
        {
            let networks = &trunk.ingress.networks;
            if !networks.is_empty() && !networks.iter().any(|one| one.contains(path.remote)) {
                let why = IdentityRefusal::WrongAddress(trunk.id, path.remote);
                return Err(refused(trunk, why));
            }
            self.proven(now, path);
            let decision = Decision::FromTrunkByCertificate(trunk.id, name.into());
            return Ok(Some(Sent::of(trunk, decision)));
        }
        let Some(trunk) = directory.trunk_by_address(path.remote) else { return Ok(None) };
        if !trunk.ingress.certificate_names.is_empty() {
            return Err(refused(trunk, IdentityRefusal::WrongCertificate(trunk.id)));
        }
        Ok(Some(Sent::of(trunk, Decision::FromTrunk(trunk.id, path.remote))))
    }

    /// Whose call it is that a gateway sends (P-601). One that is switched off sends none.
    fn behind_gateway(&self, sender: Sender, message: &Message) -> Sender {
        let Sender::Known(Source::Trunk(id), decision) = sender else { return sender };
        let directory = &self.directory;
        let names = |row: &&TrunkRow| row.is_active && row.caller_id.names_subscribers;
        match directory.trunk(id).filter(names) {
            None => Sender::Known(Source::Trunk(id), decision),
            Some(gateway) => match named_subscriber(directory, gateway, message) {
                Ok(caller) => Sender::Gateway(id, decision, caller),
                Err(name) => {
                    let refusal = IdentityRefusal::NamesNobody(id, name);
                    Sender::Refused(Some(Source::Trunk(id)), refusal)
                }
            },
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
pub(crate) fn split_port(advertised: &str) -> (&str, Option<u16>) {
    match advertised.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (advertised, None),
        },
        _ => (advertised, None),
    }
}

/// RFC 3261 section 8.2.2.2: the same From tag, Call-ID and CSeq.
pub(crate) fn merge_key(message: &Message, seed: u64) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // Peers choose what is hashed, so the seed is secret.
    let mut hasher = foldhash::quality::FixedState::with_seed(seed).build_hasher();
    hasher.write(message.call_id());
    hasher.write_u8(0);
    hasher.write(message.from_tag().unwrap_or_default());
    hasher.write_u32(message.cseq().0);
    hasher.finish()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn user_of(uri: &[u8]) -> Box<str> {
    let user = Uri::parse(uri).and_then(|uri| uri.user_number().map(|user| text(&user)));
    user.unwrap_or_default().into()
}
