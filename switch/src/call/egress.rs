//! Placing one attempt: what the INVITE to a trunk or to a contact says.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use sip::transport::{Path, Transport};
use vocabulary::{AccountId, Number, SubscriberId};

use super::hunting::{Hunt, Place, Way};
use super::signing::Unsigned;
use super::{Attempt, Call, Context, State};
use crate::attribution::attributed;
use crate::caller_id::{Diversions, Shown};
use crate::decision::Decision;
use crate::directory::{Directory, TrunkRow};
use crate::forwarding::{DivertedBy, Sent};
use crate::interworking::{InterworkingDecision, LegPolicy, Talker, may_replace};
use crate::leg::event::Body;
use crate::leg::{Identity, Outgoing};
use crate::lookup::{Located, user_of};
use crate::numbers::{Subject, sent_to_trunk, shown_to_subscriber};
use crate::routing::Source;
use crate::stir::{Attestation, PassingIdentity, Verstat};
use crate::token::{LegKey, Tag};

/// What of the caller goes on to the callee.
#[derive(Clone)]
pub(crate) struct Caller {
    /// The display name, quotes and escapes as received; empty if there is none.
    pub(crate) display: Box<[u8]>,
    /// The user part for a callee who gets no number: a name.
    pub(crate) user: Box<str>,
    /// The number after the number plan.
    pub(crate) number: Option<Number>,
    /// Whether the caller wants to stay unknown (RFC 3323).
    pub(crate) is_withheld: bool,
    /// What was dialled.
    pub(crate) dialled: Box<str>,
    /// Who had diverted the call when it came to us, for trusted trunks.
    pub(crate) diversions: Diversions,
    /// Header lines that pass, each with its CRLF.
    pub(crate) headers: Bytes,
    /// The offer.
    pub(crate) body: Option<Body>,
    /// It was called at a `sips:` address: whatever carries the call on is TLS (RFC 3261 section 26.2.2).
    pub(crate) is_secure: bool,
    /// Already counted down.
    pub(crate) max_forwards: u8,
    /// The subscribers whose forwarding has brought the call here, in their order.
    pub(crate) diverted_by: Vec<DivertedBy>,
    /// The Identity header that it came with, unless that was found to be false. Boxed: it is seldom.
    pub(crate) identity: Option<Box<PassingIdentity>>,
    /// What was found of the number, if it was looked at.
    pub(crate) verstat: Option<Verstat>,
}

impl Caller {
    /// The number as far as whoever pays may know it: a forwarder is called, and must not know who
    /// wants to stay unknown.
    pub(crate) fn known_number(&self) -> Option<Number> {
        self.number.filter(|_| !self.is_withheld || self.diverted_by.is_empty())
    }

    /// Who has just transferred the call.
    pub(crate) fn transferred_by(&self) -> Option<Source> {
        self.diverted_by.last().filter(|by| by.why.is_none()).map(|by| by.by)
    }

    /// The subscriber who has.
    pub(crate) fn referred_by(&self) -> Option<SubscriberId> {
        self.transferred_by().and_then(Source::subscriber)
    }

    /// What has become of the call so far.
    pub(crate) fn sent(&self) -> Sent<'_> {
        Sent { by: &self.diverted_by, before: self.diversions.times() }
    }

    /// Calls with another number. Nothing else goes with it that the caller says of itself: a name
    /// may well be the number that was not to be shown.
    pub(crate) fn is_now(&mut self, number: Option<Number>) {
        if self.number != number {
            self.verstat = None;
        }
        self.number = number;
        self.display = Box::default();
        self.user = Box::default();
    }
}

/// The Identity header of an INVITE of ours.
pub(super) struct SignedBy {
    /// Its value.
    pub(super) value: Bytes,
    /// What it says, if we know.
    pub(super) attestation: Option<Attestation>,
}

/// The texts of an INVITE.
struct Texts {
    request_uri: Bytes,
    from: Bytes,
    to: Bytes,
    headers: Bytes,
    cli: Box<str>,
    cld: Box<str>,
}

impl Call {
    /// Sends an INVITE there, once it is signed if the trunk wants that.
    pub(super) fn place(&mut self, ctx: &mut Context<'_>, place: Place) {
        match self.ask_to_sign(ctx, place) {
            Unsigned::Waits => {}
            Unsigned::Goes(place, identity) => self.place_signed(ctx, place, identity),
        }
    }

    /// Sends an INVITE there, with this Identity header if there is one.
    pub(super) fn place_signed(
        &mut self,
        ctx: &mut Context<'_>,
        place: Place,
        identity: Option<SignedBy>,
    ) {
        let (before, way) = (self.attempts.len(), place.way);
        self.attempt(ctx, place, identity.as_ref());
        if self.attempts.len() == before && !way.is_onward() {
            // It was removed while its address or its signature was waited for, or takes no codec.
            return self.after_failure(ctx, way);
        }
        // Said before what the endpoint has to send is sent.
        if ctx.is_followed {
            let newest = self.attempts[before..].iter();
            let legs = newest.filter_map(|attempt| attempt.attribution(self.id));
            ctx.effects.extend(legs.map(attributed));
        }
    }

    fn attempt(&mut self, ctx: &mut Context<'_>, place: Place, identity: Option<&SignedBy>) {
        let is_message = self.is_message();
        let State::Hunting(hunt) = &mut self.state else { return };
        let leg = u8::try_from(self.attempts.len() + 1).expect("attempts have a ceiling");
        let key = LegKey { leg, ..self.place };
        let tag = Tag::new(ctx.shard, key, ctx.random.next());
        let directory = ctx.directory;
        let settings = directory.settings();
        let Place { way, uri, path } = place;
        // What a message says is nobody's to change.
        let policy = policy_of(directory, way).filter(|_| !is_message);
        let said = self.reasons.list();
        let Some(body) = offer_for(hunt, way, policy.as_deref(), leg, said) else { return };
        let (texts, route, credentials, account, ring_timeout, reached) = match way {
            Way::Trunk(id) => {
                let Some((trunk, cld)) = directory.trunk(id).zip(self.cld) else { return };
                let said = self.reasons.list();
                let to = (&cld, self.located.as_deref());
                let texts = trunk_texts(directory, trunk, &hunt.caller, to, uri, path, said);
                let reached = (false, trunk.transport == Some(Transport::Udp));
                let ring = trunk.ring_timeout.unwrap_or(settings.ring_timeout);
                (texts, None, trunk.credentials.clone(), trunk.account, ring, reached)
            }
            Way::Onward(_) => return,
            Way::Contact(id, n) => {
                let binding = &hunt.contacts[usize::from(n)];
                let said = self.reasons.list();
                let uri = uri.unwrap_or_default();
                let texts = contact_texts(directory, id, &hunt.caller, uri, said);
                let account = directory.subscriber(id).map_or(AccountId(0), |row| row.account);
                let route = join(&binding.path);
                let reached = (binding.is_behind_nat, binding.names_udp());
                (texts, route, None, account, hunt.rings_for(directory), reached)
            }
        };
        let outgoing = Outgoing {
            path,
            request_uri: texts.request_uri,
            from: texts.from,
            to: texts.to,
            call_id: Bytes::copy_from_slice(&tag.call_id()),
            route,
            headers: with_identity(texts.headers, identity.map(|identity| &*identity.value)),
            body,
            credentials: credentials
                .map(|ours| Arc::new(sip::auth::Credentials::new(&ours.username, &ours.password))),
            max_forwards: hunt.caller.max_forwards,
            is_behind_nat: reached.0,
            is_udp_only: reached.1,
            caller_does_100rel: self.ingress.side.does_100rel(),
        };
        let may_replace = may_replace(ctx.directory, way.owner());
        let whose = Identity { tag, user: key.to_user(), policy, may_replace };
        let side = self.ingress.side.onward(ctx, whose, outgoing);
        self.reasons.push(match way {
            Way::Trunk(id) => Decision::TriedTrunk(id, path.remote),
            Way::Contact(id, _) => Decision::TriedContact(id, path.remote),
            Way::Onward(_) => unreachable!("it has no address"),
        });
        ctx.stats.egress_attempts += 1;
        // Most calls make one attempt, and are held for long: no room for more is taken.
        self.attempts.reserve_exact(1);
        let shown = (texts.cli, texts.cld);
        self.attempts.push(Attempt {
            remote: Some(path.remote),
            tag: Some(tag),
            attestation: identity.and_then(|identity| identity.attestation),
            ..Attempt::new(ctx.now, (way, account), side, shown, ring_timeout)
        });
    }
}

fn policy_of(directory: &Directory, way: Way) -> Option<Box<LegPolicy>> {
    match way {
        Way::Trunk(id) => LegPolicy::of_trunk(directory, directory.trunk(id)?),
        Way::Contact(id, _) => LegPolicy::of_subscriber(directory, id),
        Way::Onward(_) => None,
    }
}

/// What the caller offers, as far as that way leads to who may use it; `None`: nothing of it may be used.
fn offer_for(
    hunt: &mut Hunt,
    way: Way,
    policy: Option<&LegPolicy>,
    leg: u8,
    said: &mut Vec<Decision>,
) -> Option<Option<Body>> {
    let offer = hunt.caller.body.clone();
    let left = offer.as_ref().zip(policy).and_then(|(offer, policy)| policy.narrow(offer));
    let Some(left) = left else { return Some(offer) };
    if left.is_nothing_left {
        hunt.lacks_codec = true;
        said.push(Decision::Interworking(match way {
            Way::Trunk(id) => InterworkingDecision::NoCodecForTrunk(id),
            Way::Contact(..) | Way::Onward(_) => InterworkingDecision::NoCodecForPhone,
        }));
        return None;
    }
    if !left.removed.is_empty() {
        let (talker, names) = (Talker::Attempt(leg), left.removed.join(", "));
        let removed = InterworkingDecision::CodecsRemoved(talker, names.into());
        said.push(Decision::Interworking(removed));
    }
    Some(offer.map(|offer| Body { bytes: left.sdp, ..offer }))
}

fn with_identity(headers: Bytes, identity: Option<&[u8]>) -> Bytes {
    match identity {
        None => headers,
        Some(value) => [b"Identity: ", value, b"\r\n", &headers].concat().into(),
    }
}

fn join(values: &[Bytes]) -> Option<Bytes> {
    match values {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(many.join(&b", "[..]).into()),
    }
}

/// A number in a user part: `#` may not stand there as it is (RFC 3261 section 25.1).
pub(crate) fn escaped(number: &str) -> String {
    number.replace('#', "%23")
}

fn trunk_texts(
    directory: &Directory,
    trunk: &TrunkRow,
    caller: &Caller,
    (cld, located): (&Number, Option<&Located>),
    uri: Option<Bytes>,
    path: Path,
    decisions: &mut Vec<Decision>,
) -> Texts {
    let cld = sent_to_trunk(directory, trunk, Subject::Cld, cld, decisions);
    let mut host = trunk.host.clone();
    if let Some(port) = trunk.port {
        let _ = write!(host, ":{port}");
    }
    let (scheme, transport) = match path.transport {
        _ if caller.is_secure => ("sips", ""),
        Transport::Udp => ("sip", ""),
        Transport::Tcp => ("sip", ";transport=tcp"),
        Transport::Tls => ("sip", ";transport=tls"),
    };
    let called = escaped(&cld);
    let user = match located.filter(|_| trunk.sends_lrn) {
        Some(located) => user_of(&called, located),
        None => called.clone(),
    };
    let request_uri = uri.unwrap_or_else(|| format!("{scheme}:{user}@{host}{transport}").into());
    let domain = match &trunk.registration {
        Some(registration) if !registration.domain.is_empty() => registration.domain.as_str(),
        Some(_) => trunk.host.as_str(),
        None => directory.settings().realm.as_str(),
    };
    // The record of a call that is sent on is its forwarder's, who must not know who hides.
    let mut unsaid = Vec::new();
    let decisions = if caller.is_withheld { &mut unsaid } else { decisions };
    let cli = match (&caller.number, &trunk.registration) {
        (Some(number), _) => sent_to_trunk(directory, trunk, Subject::Cli, number, decisions),
        // A peer where we register expects its own name rather than none.
        (None, Some(registration)) => registration.username.clone(),
        (None, None) => caller.user.to_string(),
    };
    let shown = Shown::to_trunk(trunk, caller, &cli, domain);
    let headers = shown.lines_to_trunk(directory, trunk, (&called, &host));
    let (from, cli) = shown.from();
    Texts {
        request_uri,
        from,
        to: format!("<{scheme}:{called}@{host}>").into(),
        headers,
        cli,
        cld: cld.into(),
    }
}

fn contact_texts(
    directory: &Directory,
    callee: SubscriberId,
    caller: &Caller,
    uri: Bytes,
    decisions: &mut Vec<Decision>,
) -> Texts {
    let settings = directory.settings();
    let mut unsaid = Vec::new();
    let decisions = if caller.is_withheld { &mut unsaid } else { decisions };
    let cli = match (&caller.number, directory.subscriber(callee)) {
        (Some(number), Some(row)) => shown_to_subscriber(directory, row, number, decisions),
        (Some(number), None) => settings.plan.egress_cli(number),
        (None, _) => caller.user.to_string(),
    };
    let shown = Shown::to_contact(caller, &cli, &settings.realm);
    let headers = shown.lines_to_contact(directory);
    let (from, cli) = shown.from();
    let to = format!("<sip:{}@{}>", escaped(&caller.dialled), settings.realm);
    Texts { request_uri: uri, from, to: to.into(), headers, cli, cld: caller.dialled.clone() }
}
