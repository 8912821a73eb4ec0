//! What goes into a shard and what comes out of it. Both lists are closed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip::message::uri::{Scheme, Uri};
use sip::transport::{Path, Transmit, Transport};
use vocabulary::{
    AccountId, Authorization, AuthorizeRequest, CallId, ExtendRequest, Extension, Grant, Number,
    Refused, SettleRequest, SubscriberId, TrunkId, Utc,
};

use crate::attribution::{Attribution, Following};
use crate::call::OnwardCall;
use crate::directory::Directory;
use crate::fraud::FraudNote;
use crate::guard::Ban;
use crate::leg::event::{Body, LegEvent};
use crate::overload::Pressure;
use crate::question::{Answer, Question};
use crate::registrar::StoredBinding;
use crate::routing::Source;
use crate::token::{LegAddress, LegKey};
use crate::transfer::ReplacesRefusal;

/// Names a question to the resolver or to whoever else is outside; the answer brings it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub u64);

/// Names an answer that waits until the journal has what it confirms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnswerId(pub u64);

/// One address where a host can be reached, in the order in which they are to be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// By which protocol.
    pub transport: Transport,
    /// Where.
    pub addr: SocketAddr,
}

/// What one of our calls says to another that is joined to it.
#[derive(Debug)]
pub enum Said {
    /// The call that was to go on is this one; it hears at the address that this comes from. And whether it is one
    /// to a `sips:` address, which joins nobody who is not reached by TLS.
    Placed(CallId, bool),
    /// This leg of another call is to be connected to it, in the place of the party that it is for.
    Join(Box<Joining>),
    /// It is not: the caller of that call does not take the place of a party. The last that it hears.
    NotJoined(ReplacesRefusal),
    /// What a leg would say.
    Event(LegEvent),
}

impl Said {
    /// Whether nothing follows it, and nobody may be without it.
    pub fn is_end(&self) -> bool {
        matches!(self, Said::NotJoined(_) | Said::Event(LegEvent::Release { .. }))
    }
}

/// The leg of a call whose party wants the other one to talk to that of another of its calls: as it
/// names the dialog (RFC 3891).
#[derive(Debug)]
pub struct Joining {
    /// Who wants it: the leg must be its own.
    pub by: Source,
    /// The call where it said so.
    pub of: CallId,
    /// The dialog's Call-ID.
    pub call_id: Box<[u8]>,
    /// Our tag.
    pub to_tag: Box<[u8]>,
    /// The party's tag.
    pub from_tag: Box<[u8]>,
    /// What is wanted of it.
    pub how: JoiningHow,
}

/// How one call is joined to another.
#[derive(Debug)]
pub enum JoiningHow {
    /// The parties that stay in both talk to each other (REFER with Replaces).
    Parties,
    /// The caller of the other one takes the party's place, and offers this (INVITE with Replaces).
    Caller {
        /// Without it, it wants to be offered something.
        offer: Option<Body>,
        /// Only if the party has not answered yet.
        is_early_only: bool,
        /// The caller is reached by TLS.
        is_secure: bool,
    },
}

/// What can happen to a shard.
#[derive(Debug)]
pub enum Input {
    /// A message arrived.
    Message {
        /// From where.
        path: Path,
        /// The datagram, or one message cut out of a stream.
        bytes: Bytes,
    },
    /// The time that `poll_timeout` named has come. Late and early calls are harmless.
    Timeout,
    /// Nothing can be sent there: connection lost or refused, address unreachable.
    PathFailed(Path),
    /// Nothing was heard on this connection for so long that it is closed, unless it is needed:
    /// then the shard says [`Effect::KeepPath`].
    PathIdle(Path),
    /// Billing's answer to [`Effect::Authorize`].
    Authorized {
        /// The call; it may have ended meanwhile.
        call: CallId,
        /// How long it may talk, or why it may not.
        result: Result<Authorization, Refused>,
    },
    /// Billing's answer to [`Effect::Extend`].
    Extended(Extension),
    /// The journal has [`Effect::Answered`] on disk: the caller may hear the answer.
    Recorded {
        /// The call; it may have ended meanwhile.
        call: CallId,
        /// What billing grants now that the moment of the answer is known; never more than it
        /// authorised. `None`: as much as that.
        grant: Option<Grant>,
    },
    /// The journal has [`Effect::BindingChanged`] on disk: the phone may hear that it is registered.
    BindingKept {
        /// As the effect gave it.
        answer: AnswerId,
    },
    /// The resolver's answer to [`Effect::Resolve`]; no targets means that it failed.
    Resolved {
        /// The question.
        query: QueryId,
        /// Where to send, best first.
        targets: Vec<Target>,
    },
    /// The answer to [`Effect::Ask`]. Later than the call waits, or twice, it changes nothing.
    Told {
        /// The question.
        query: QueryId,
        /// What is known.
        answer: Answer,
    },
    /// A new snapshot of everything configured. Live calls keep what they have.
    Directory(Arc<Directory>),
    /// An operator ends a call.
    HangUp {
        /// Which one.
        call: CallId,
    },
    /// [`Effect::Onward`] of this shard or of another.
    Onward(Box<OnwardCall>),
    /// [`Effect::Relay`] of this shard or of another.
    Relayed {
        /// For which leg.
        to: LegKey,
        /// Whose leg speaks.
        from: LegAddress,
        /// What.
        said: Said,
    },
    /// How much new work there is too much: then new INVITEs and REGISTERs get 503, nothing else does.
    Pressure(Pressure),
    /// Somebody follows messages, or no longer does.
    Follow(Following),
    /// Take no new calls; [`Input::ReleaseAll`] ends those that remain at the limit.
    Drain,
    /// End every call now (the drain limit is reached).
    ReleaseAll,
}

/// What a shard wants done.
#[derive(Debug)]
pub enum Effect {
    /// Send this.
    Send(Transmit),
    /// A call, a registered phone or a registration of ours needs this connection
    /// ([`Input::PathIdle`]).
    KeepPath(Path),
    /// Ask billing; answer with [`Input::Authorized`], at once or later.
    Authorize(AuthorizeRequest),
    /// Ask billing for more time; answer with [`Input::Extended`].
    Extend(ExtendRequest),
    /// The callee answered: journal it, and say [`Input::Recorded`] once it is on disk.
    Answered {
        /// The call.
        call: CallId,
        /// The egress trunk that answered; `None` if a subscriber did.
        trunk: Option<TrunkId>,
        /// When.
        at: Utc,
    },
    /// The call is over; comes exactly once for every call, refused ones too.
    Settle(Box<SettleRequest>),
    /// Find the addresses of a SIP host (RFC 3263); answer with [`Input::Resolved`].
    Resolve {
        /// To be given back.
        query: QueryId,
        /// What to look up.
        host: HostToResolve,
    },
    /// A call needs this from outside before it goes on; answer with [`Input::Told`]. It goes on by itself
    /// after [`Question::limit`].
    Ask {
        /// To be given back.
        query: QueryId,
        /// What.
        question: Question,
    },
    /// Somebody is kept out from now on: store that.
    Banned(Ban),
    /// Fraud rules have found or learned something: store that, and tell people.
    Fraud(Box<FraudNote>),
    /// Messages with this Call-ID, those sent from now on among them, are of this call, account and
    /// trunk. Only while somebody follows ([`Input::Follow`]).
    Attributed(Box<Attribution>),
    /// A call is to go on: hand it to a shard, this one or another, as [`Input::Onward`].
    Onward(Box<OnwardCall>),
    /// Hand this to the shard that it is for, as [`Input::Relayed`], in the order of effects. If that
    /// is not possible, say [`LegEvent::Release`] to the sender in the other's name.
    Relay {
        /// For which leg of which shard.
        to: LegAddress,
        /// From which.
        from: LegAddress,
        /// What.
        said: Said,
    },
    /// The bindings of a subscriber changed: store this set in place of the one before.
    BindingChanged {
        /// Whose.
        subscriber: SubscriberId,
        /// All that are valid now.
        bindings: Vec<StoredBinding>,
        /// The answer to a REGISTER waits for this: say [`Input::BindingKept`] once the set is on
        /// disk. `None` if nobody waits, as when bindings expire.
        answer: Option<AnswerId>,
    },
}

/// A host that is not an IP address, as RFC 3263 section 4 wants to know it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostToResolve {
    /// The name.
    pub host: String,
    /// The port, if one was written: then SRV is not asked.
    pub port: Option<u16>,
    /// The transport, if one was written.
    pub transport: Option<Transport>,
    /// Whether only TLS will do (`sips:`).
    pub is_secure: bool,
}

impl HostToResolve {
    /// The host of a URI. `None` for what is not SIP.
    pub fn of(uri: &Uri<'_>) -> Option<HostToResolve> {
        if !matches!(uri.scheme(), Scheme::Sip | Scheme::Sips) {
            return None;
        }
        let host = uri.params().get(b"maddr").unwrap_or(uri.host());
        Some(HostToResolve {
            host: String::from_utf8(host.to_vec()).ok()?,
            port: uri.port(),
            transport: uri.transport().and_then(Transport::from_name),
            is_secure: uri.is_secure(),
        })
    }

    /// The target, if the host needs no resolver because it is an address already.
    pub fn literal(&self) -> Option<Target> {
        let host = self.host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let ip: IpAddr = host.unwrap_or(&self.host).parse().ok()?;
        // `sips:` over `transport=tcp` is TLS on TCP (RFC 3261 section 26.2.2).
        let secure = self.is_secure.then_some(Transport::Tls);
        let transport = secure.or(self.transport).unwrap_or(Transport::Udp);
        let port = self.port.unwrap_or(transport.default_port());
        Some(Target { transport, addr: SocketAddr::new(ip, port) })
    }
}

/// Where a live call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveState {
    /// Waiting for billing.
    Authorizing,
    /// Looking for someone who answers.
    Hunting,
    /// Answered; the journal is being written.
    Answering,
    /// Up.
    Talking,
    /// Settled; the last messages are on their way.
    Releasing,
}

impl LiveState {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            LiveState::Authorizing => "authorizing",
            LiveState::Hunting => "hunting",
            LiveState::Answering => "answering",
            LiveState::Talking => "talking",
            LiveState::Releasing => "releasing",
        }
    }
}

/// A live call, for whoever wants to see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveCall {
    /// Which.
    pub call: CallId,
    /// Where it stands.
    pub state: LiveState,
    /// Who pays.
    pub account: Option<AccountId>,
    /// The calling subscriber, if one calls.
    pub subscriber: Option<SubscriberId>,
    /// The trunk it came in by, if it did.
    pub ingress_trunk: Option<TrunkId>,
    /// The trunk it leaves by, if it does.
    pub egress_trunk: Option<TrunkId>,
    /// The caller.
    pub cli: Option<Number>,
    /// The called number.
    pub cld: Option<Number>,
    /// The ingress leg's Call-ID.
    pub sip_call_id: String,
    /// When the INVITE came.
    pub started_at: Utc,
    /// When the callee answered.
    pub answered_at: Option<Utc>,
    /// Talk time that is paid for so far.
    pub granted: Duration,
}

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters since the start of the shard, and a few gauges; for metrics.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Stats { $($(#[$doc])* pub $name: u64,)* }

        impl Stats {
            /// Every value with its name.
            pub fn values(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }

            /// Adds another shard's.
            pub fn add(&mut self, other: &Stats) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

stats! {
    /// Gauge: calls not yet released.
    calls_live,
    /// Gauge: of these, answered and up.
    calls_talking,
    /// INVITEs that became a call, refused ones included.
    calls_started,
    /// Calls refused before anything was sent to a callee.
    calls_refused,
    /// Calls answered.
    calls_answered,
    /// Calls ended because the money did.
    calls_cut,
    /// Calls dropped by a fault of ours.
    calls_panicked,
    /// Of the calls that began, messages (RFC 3428).
    messages_started,
    /// Messages that somebody took.
    messages_taken,
    /// Egress attempts placed.
    egress_attempts,
    /// Messages dropped because their sender had used up what the unproven may want.
    messages_muted,
    /// Sources banned for what they did.
    sources_banned,
    /// Times that a fraud rule found something in a call.
    fraud_found,
    /// Credentials not looked at, because their source had shown too many wrong ones.
    guesses_refused,
    /// REGISTERs refused because there were too many in a minute.
    registrations_limited,
    /// Requests challenged for credentials.
    challenges,
    /// Requests with a wrong password or an unknown name.
    authentication_failures,
    /// REGISTERs that changed or refreshed a binding.
    registrations,
    /// REGISTERs refused.
    registrations_refused,
    /// Copies of registrations sent to registrars of others.
    register_copies,
    /// Copies that were refused, not answered, or not sent for want of an address or of room.
    register_copies_failed,
    /// New INVITEs and REGISTERs turned away because the worker was behind.
    overload_refusals,
    /// Messages of a dialog that we do not know.
    strays,
    /// Messages that we sent again, because nothing came back in time.
    retransmissions_sent,
    /// Messages that came again and were absorbed.
    retransmissions_received,
    /// Messages that could not be read.
    messages_malformed,
    /// Gauge: trunks where we are registered.
    upstream_registered,
    /// Gauge: trunks where we want to be, and the first attempt is not over.
    upstream_registering,
    /// Gauge: trunks where we want to be, and the last attempt failed.
    upstream_failed,
    /// Registrations towards trunks that failed.
    upstream_failures,
    /// OPTIONS sent to trunks to hear whether they are there.
    probes_sent,
    /// Of these questions, those without an answer that counts.
    probes_failed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(host: &str, port: Option<u16>, expected: Option<&str>) {
        let host = HostToResolve { host: host.into(), port, transport: None, is_secure: false };
        assert_eq!(host.literal().map(|t| t.addr.to_string()).as_deref(), expected);
    }

    #[test]
    fn addresses_need_no_resolver() {
        check("10.0.0.1", None, Some("10.0.0.1:5060"));
        check("10.0.0.1", Some(5080), Some("10.0.0.1:5080"));
        check("[2001:db8::1]", None, Some("[2001:db8::1]:5060"));
        check("carrier.example", Some(5060), None);
    }
}
