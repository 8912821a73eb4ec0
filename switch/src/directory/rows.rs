//! The rows from which a directory is built, as plain values: whoever keeps them (a database, a
//! file, a test) fills these in.

use std::sync::Arc;
use std::time::Duration;

use sip::auth::Algorithm;
use sip::endpoint::Timing;
use sip::transport::Transport;
use vocabulary::{AccountId, Number, SubscriberId, TrunkId};

use super::network::Network;
use crate::caller_id::{CallerIdPolicy, TrunkCallerId};
use crate::effect::HostToResolve;
use crate::forwarding::{Availability, Forwards};
use crate::fraud::AccountFraud;
use crate::health::ProbePolicy;
use crate::interworking::{Codecs, Interworking};
use crate::numbers::NumberPolicy;
use crate::routing::{CauseMap, HuntCodes, NumberPlan, RouteId, WindowId};
use crate::stir::StirPolicy;

/// Limits in one direction; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Calls at the same time.
    pub concurrent: Option<u32>,
    /// New calls in any one second.
    pub per_second: Option<u32>,
}

impl Limits {
    /// The lower one of each.
    #[must_use]
    pub fn and(self, other: Limits) -> Limits {
        let lower = |one: Option<u32>, other: Option<u32>| one.into_iter().chain(other).min();
        Limits {
            concurrent: lower(self.concurrent, other.concurrent),
            per_second: lower(self.per_second, other.per_second),
        }
    }

    /// Whether there is any: a gate without one need not be passed.
    pub fn is_limited(&self) -> bool {
        *self != Limits::default()
    }
}

/// What the switch needs to know of an account. Its money is billing's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    /// Which.
    pub id: AccountId,
    /// For sentences.
    pub name: String,
    /// Off means that every call by it or to it is refused at once.
    pub is_active: bool,
    /// Whether it may call other subscribers.
    pub allows_local: bool,
    /// Calls it sends us.
    pub ingress: Limits,
    /// Calls we send it.
    pub egress: Limits,
    /// How long a call that it places may last (V-11); `None`: as long as any.
    pub duration_max: Option<Duration>,
    /// What becomes of its callers' numbers.
    pub caller_id: CallerIdPolicy,
    /// Its number rules and lists, if it has any.
    pub numbers: Option<Arc<NumberPolicy>>,
    /// Its fraud rules and what they know of it, if there is anything.
    pub fraud: Option<Arc<AccountFraud>>,
    /// The codecs that its calls may use; `None`: all (S8).
    pub codecs: Option<Arc<Codecs>>,
}

impl AccountRow {
    /// An account that may call everybody, without limits or policies.
    pub fn new(id: AccountId, name: &str) -> AccountRow {
        AccountRow {
            id,
            name: name.into(),
            is_active: true,
            allows_local: true,
            ingress: Limits::default(),
            egress: Limits::default(),
            duration_max: None,
            caller_id: CallerIdPolicy::default(),
            numbers: None,
            fraud: None,
            codecs: None,
        }
    }
}

/// H(username:realm:password), so that the password itself is not kept.
#[derive(Clone, PartialEq, Eq)]
pub struct DigestSecret {
    /// By MD5 (RFC 2617).
    pub ha1_md5: [u8; 16],
    /// By SHA-256 (RFC 8760).
    pub ha1_sha256: [u8; 32],
}

impl std::fmt::Debug for DigestSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DigestSecret(***)")
    }
}

/// A user name and password of ours at a peer.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name.
    pub username: String,
    /// The password in clear, because the peer's realm is not known beforehand.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({}, ***)", self.username)
    }
}

/// A device or person that registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriberRow {
    /// Which.
    pub id: SubscriberId,
    /// Who pays.
    pub account: AccountId,
    /// Digest user name and user part of its address of record.
    pub username: String,
    /// How it proves who it is.
    pub secret: DigestSecret,
    /// Its caller's number when it sends none.
    pub number: Option<Number>,
    /// Off means no registration and no call.
    pub is_active: bool,
    /// How many contacts it may have.
    pub contacts_max: u8,
    /// Calls it places.
    pub ingress: Limits,
    /// Calls to it.
    pub egress: Limits,
    /// How it dials; `None` takes the settings' plan.
    pub plan: Option<NumberPlan>,
    /// Where its calls go instead of to its phones, or after them.
    pub forwards: Forwards,
    /// What it wants of calls to its phones.
    pub availability: Availability,
    /// Its number rules and lists, if it has any.
    pub numbers: Option<Arc<NumberPolicy>>,
}

impl SubscriberRow {
    /// What bounds the calls to its phones: its limits, and how many it wants at once.
    pub(crate) fn limits_as_callee(&self) -> Limits {
        let concurrent = [self.egress.concurrent, self.availability.calls_max];
        Limits { concurrent: concurrent.into_iter().flatten().min(), ..self.egress }
    }

    /// A phone without a number.
    pub fn new(
        id: SubscriberId,
        account: AccountId,
        username: &str,
        secret: DigestSecret,
    ) -> SubscriberRow {
        SubscriberRow {
            id,
            account,
            username: username.into(),
            secret,
            number: None,
            is_active: true,
            contacts_max: CONTACTS_MAX,
            ingress: Limits::default(),
            egress: Limits::default(),
            plan: None,
            forwards: Forwards::default(),
            availability: Availability::default(),
            numbers: None,
        }
    }
}

/// Whether a user name can stand in a SIP address as it is (RFC 3261 section 25.1).
pub(super) fn is_user_part(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/#".contains(&b))
}

/// Contacts that a subscriber may have, if nothing else is said.
pub const CONTACTS_MAX: u8 = 5;

/// A number that rings a subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberRow {
    /// E.164 without `+`.
    pub number: Number,
    /// Whom it rings.
    pub subscriber: SubscriberId,
}

/// Whose calls a trunk sends us, which says who pays for those to a DID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrunkRole {
    /// Calls from outside, such as a carrier delivers: the account that has the DID pays.
    #[default]
    Peer,
    /// Calls that a customer places: its account pays for them.
    Customer,
    /// Equipment of ours, such as a queue: the calls that we send it come back to our own, and are
    /// paid for where they came in (P-607).
    Equipment,
}

impl TrunkRole {
    /// All of them.
    pub const ALL: [TrunkRole; 3] = [TrunkRole::Peer, TrunkRole::Customer, TrunkRole::Equipment];

    /// The word in the database and on the wire.
    pub fn word(self) -> &'static str {
        match self {
            TrunkRole::Peer => "peer",
            TrunkRole::Customer => "customer",
            TrunkRole::Equipment => "equipment",
        }
    }

    /// The role with this word.
    pub fn from_word(word: &str) -> Option<TrunkRole> {
        TrunkRole::ALL.into_iter().find(|role| role.word() == word)
    }
}

/// How we know that a call comes from a trunk. With several, all are needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrunkIngress {
    /// Its addresses: `10.0.0.1`, `10.0.0.0/24`, `10.0.0.1:5080`, `[2001:db8::]/32`.
    pub networks: Vec<Network>,
    /// Its user name and secret.
    pub digest: Option<(String, DigestSecret)>,
    /// Names of which its TLS certificate must have one (RFC 5922), in lower case.
    pub certificate_names: Vec<Box<str>>,
}

impl TrunkIngress {
    /// Whether any call can be known to come from it.
    pub fn is_known(&self) -> bool {
        !self.networks.is_empty() || self.digest.is_some() || !self.certificate_names.is_empty()
    }
}

/// What we show a trunk that wants to know by TLS who we are.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The chain, leaf first, in PEM.
    pub chain: Box<str>,
    /// Its private key, in PEM.
    pub key: Box<str>,
}

impl std::fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientCertificate(***)")
    }
}

/// Our registration at a trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrunkRegistration {
    /// User part of our address of record there.
    pub username: String,
    /// The registrar's domain; empty takes the trunk's host.
    pub domain: String,
    /// How long to ask for.
    pub expires: Duration,
}

/// A configured SIP peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrunkRow {
    /// Which.
    pub id: TrunkId,
    /// For sentences.
    pub name: String,
    /// Pays for what it sends us, is paid for what we send it.
    pub account: AccountId,
    /// Off means neither in nor out.
    pub is_active: bool,
    /// Whose calls it sends us.
    pub role: TrunkRole,
    /// Where we send to: a host name or address (IPv6 in brackets). Empty: receives no calls.
    pub host: String,
    /// The port; `None` leaves it to RFC 3263.
    pub port: Option<u16>,
    /// The transport; `None` leaves it to RFC 3263.
    pub transport: Option<Transport>,
    /// Our listener for it; `None` takes the first that fits the transport and address family.
    pub listener: Option<u16>,
    /// How we know its calls.
    pub ingress: TrunkIngress,
    /// Our credentials there.
    pub credentials: Option<Credentials>,
    /// Whether and how we register there.
    pub registration: Option<TrunkRegistration>,
    /// The numbers it sends us.
    pub ingress_plan: NumberPlan,
    /// The numbers it wants from us.
    pub egress_plan: NumberPlan,
    /// Calls it sends us.
    pub ingress_limits: Limits,
    /// Calls we send it.
    pub egress_limits: Limits,
    /// When to stop and when to hunt after its failures.
    pub codes: HuntCodes,
    /// What causes mean between it and us (S6).
    pub causes: CauseMap,
    /// How long it may ring; `None` takes the settings'.
    pub ring_timeout: Option<Duration>,
    /// Whether who calls is believed from it and told to it beyond From (RFC 3325).
    pub is_trusted: bool,
    /// How callers are known from it and shown to it.
    pub caller_id: TrunkCallerId,
    /// Messages (RFC 3428) are taken from it and sent there.
    pub carries_messages: bool,
    /// Its number rules and lists, if it has any.
    pub numbers: Option<Arc<NumberPolicy>>,
    /// How it is asked whether it is there (T4); `None`: it is not.
    pub probe: Option<ProbePolicy>,
    /// Our certificate for it; `None` shows none.
    pub client_certificate: Option<Arc<ClientCertificate>>,
    /// What it wants of signed callers (S5).
    pub stir: StirPolicy,
    /// Codecs, early media and reliable provisional responses (S8).
    pub interworking: Interworking,
    /// Whether the Request-URI to it tells where a ported number is served (RFC 4694).
    pub sends_lrn: bool,
    /// Whether what its Request-URIs say of where a number is served is believed: its calls are priced by that.
    pub believes_lrn: bool,
}

impl TrunkRow {
    /// A trunk with nothing but a name and an account, to be filled in.
    pub fn new(id: TrunkId, name: &str, account: AccountId) -> TrunkRow {
        TrunkRow {
            id,
            name: name.into(),
            account,
            is_active: true,
            role: TrunkRole::default(),
            host: String::new(),
            port: None,
            transport: None,
            listener: None,
            ingress: TrunkIngress::default(),
            credentials: None,
            registration: None,
            ingress_plan: NumberPlan::default(),
            egress_plan: NumberPlan::default(),
            ingress_limits: Limits::default(),
            egress_limits: Limits::default(),
            codes: HuntCodes::default(),
            causes: CauseMap::default(),
            ring_timeout: None,
            is_trusted: false,
            caller_id: TrunkCallerId::default(),
            carries_messages: false,
            numbers: None,
            probe: None,
            client_certificate: None,
            stir: StirPolicy::default(),
            interworking: Interworking::default(),
            sends_lrn: false,
            believes_lrn: false,
        }
    }
}

/// Calls to numbers with this prefix may go to this trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteRow {
    /// Digits; empty covers everything.
    pub prefix: String,
    /// The trunk.
    pub trunk: TrunkId,
    /// Lower goes first; billing orders by cost within one priority.
    pub priority: u16,
    /// Which; 0 where nobody limits it.
    pub id: RouteId,
    /// Its share of the calls among those of its prefix and priority (T3), where they share them; 0:
    /// only what all others failed to carry.
    pub weight: u16,
    /// When it holds; `None`: always.
    pub window: Option<WindowId>,
    /// Calls that take it (T6).
    pub limits: Limits,
}

impl RouteRow {
    /// A route without anything special.
    pub fn new(prefix: &str, trunk: TrunkId, priority: u16) -> RouteRow {
        RouteRow {
            prefix: prefix.into(),
            trunk,
            priority,
            id: RouteId(0),
            weight: 1,
            window: None,
            limits: Limits::default(),
        }
    }
}

/// What a 3xx from a callee does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectPolicy {
    /// It counts as a failure.
    Reject,
    /// Followed at most so often, and only where it changes neither who is paid nor what it
    /// costs: to another address of the same number at the same trunk, or from one subscriber to
    /// another of the same account.
    Follow {
        /// How many redirections one call may take.
        hops_max: u8,
    },
}

/// What holds for all calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The digest realm; also the host in our own addresses of record.
    pub realm: String,
    /// The digest algorithms asked for and taken, in the order of the challenges.
    pub algorithms: Vec<Algorithm>,
    /// Further hosts served; if empty, the host of a Request-URI is not looked at.
    pub domains: Vec<String>,
    /// How subscribers dial.
    pub plan: NumberPlan,
    /// Shortest registration accepted; shorter gets 423.
    pub registration_min: Duration,
    /// What a phone gets that asks for nothing.
    pub registration_default: Duration,
    /// Longest registration given.
    pub registration_max: Duration,
    /// How often phones behind NAT that register over UDP are asked something (OPTIONS), so that their way
    /// stays open; whole seconds. `None`: never.
    pub nat_keep_alive: Option<Duration>,
    /// Registrars of others that are told of every registration.
    pub third_party_registrars: Vec<HostToResolve>,
    /// How long a callee may ring.
    pub ring_timeout: Duration,
    /// How long a target may stay silent (not even 100) before the next is tried.
    pub silence_timeout: Duration,
    /// How long a target may take to ring, counted from the INVITE.
    pub progress_timeout: Duration,
    /// Longest call.
    pub duration_max: Duration,
    /// How many egress attempts one call may make.
    pub attempts_max: u8,
    /// How many calls of one trunk between the same two numbers may wait for an answer; more are taken
    /// for a loop. `None`: any number.
    pub same_calls_max: Option<u32>,
    /// What a 3xx does.
    pub redirects: RedirectPolicy,
    /// Retry-After of a 503 to new work, in seconds.
    pub retry_after_secs: u32,
    /// Session-Expires that we ask for (RFC 4028); `None` asks for none.
    pub session_expires: Option<Duration>,
    /// Shortest Session-Expires that we accept.
    pub session_min: Duration,
    /// How long a peer without session timers may be silent in a call before it is asked whether it is
    /// there (S3); `None`: it is not asked.
    pub dialog_probe: Option<Duration>,
    /// Timers of transactions; those of a shard are what they were when it was made.
    pub timing: Timing,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            realm: "tandem.invalid".into(),
            algorithms: vec![Algorithm::Md5],
            domains: Vec::new(),
            plan: NumberPlan::default(),
            registration_min: Duration::from_secs(60),
            registration_default: Duration::from_secs(3600),
            registration_max: Duration::from_secs(7200),
            nat_keep_alive: None,
            third_party_registrars: Vec::new(),
            ring_timeout: Duration::from_secs(120),
            silence_timeout: Duration::from_secs(5),
            progress_timeout: Duration::from_secs(30),
            duration_max: Duration::from_secs(4 * 3600),
            attempts_max: 8,
            same_calls_max: Some(10),
            redirects: RedirectPolicy::Follow { hops_max: 3 },
            retry_after_secs: 5,
            session_expires: Some(Duration::from_secs(1800)),
            session_min: Duration::from_secs(90),
            dialog_probe: None,
            timing: Timing::default(),
        }
    }
}
