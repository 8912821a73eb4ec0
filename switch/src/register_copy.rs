//! Registrations of phones, told to registrars of others (P-603). Fire and forget: what became of a copy
//! changes nothing here, and the phone has its answer whether or not anybody takes the copy.
//!
//! A copy says that the phone's address of record is reached at us. It keeps nothing: its Call-ID and CSeq
//! are made of the phone's own, so that a refresh follows the registration before (RFC 3261 section 10.2.4).

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use bytes::Bytes;
use sip::message::{HeaderName, Message, Method, RequestDraft};
use sip::transport::Path;
use vocabulary::{Now, SubscriberId};

use crate::effect::{Effect, HostToResolve, QueryId, Target};
use crate::leg::path_to;
use crate::registrar::Binding;
use crate::shard::Shard;
use crate::token::shard_of;
use crate::upstream::contact_host;

/// Marks the user word of a transaction or query as one of ours; calls leave this byte zero. Below it is
/// the registrar's place in the settings.
const MARK: u64 = 6 << 56;
/// Copies of one shard that wait for the answer of one registrar. One that is dead has so many for as long
/// as a transaction takes to give up; what comes on top is not sent.
const IN_FLIGHT_MAX: u32 = 256;
/// Copies that wait for a registrar's address.
const WAITING_MAX: usize = 256;
/// How long an address is good, and how long none is.
const FRESH_FOR: Duration = Duration::from_secs(60);
const UNKNOWN_FOR: Duration = Duration::from_secs(10);
/// How long a resolver may take.
const RESOLVE_MAX: Duration = Duration::from_secs(30);

/// Whether a user word is one of ours.
pub(crate) fn is_copy(user: u64) -> bool {
    user >> 56 == MARK >> 56
}

/// What a shard knows of the registrars, in the order of the settings.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    all: Vec<Registrar>,
}

#[derive(Debug, Default)]
struct Registrar {
    /// Where it was found, if it was, and until when that is good.
    path: Option<Path>,
    fresh_until: Duration,
    /// The resolver is asked, and has until then.
    asked_until: Option<Duration>,
    waiting: VecDeque<Copy>,
    in_flight: u32,
}

/// A REGISTER to be sent.
#[derive(Clone, Debug)]
struct Copy {
    aor: Bytes,
    username: Box<str>,
    call_id: String,
    tag: u64,
    cseq: u32,
    expires: u64,
}

impl Copy {
    fn draft(&self, host: &HostToResolve, our_host: &str) -> RequestDraft {
        let Copy { aor, username, call_id, tag, cseq, expires } = self;
        let aor = String::from_utf8_lossy(aor);
        let port = host.port.map_or_else(String::new, |port| format!(":{port}"));
        let uri = format!("sip:{}{port}", host.host);
        RequestDraft::new(Method::Register, uri.as_bytes())
            .header_fmt(HeaderName::From, format_args!("<{aor}>;tag={tag:016x}"))
            .header_fmt(HeaderName::To, format_args!("<{aor}>"))
            .header(HeaderName::CallId, call_id)
            .header_fmt(HeaderName::CSeq, format_args!("{cseq} REGISTER"))
            .header_fmt(HeaderName::Contact, format_args!("<sip:{username}@{our_host}>"))
            .header_fmt(HeaderName::Expires, format_args!("{expires}"))
    }
}

impl Shard {
    /// The bindings of a phone have changed, by this REGISTER.
    pub(crate) fn copy_registration(
        &mut self,
        now: Now,
        phone: SubscriberId,
        message: &Message,
        bindings: &[Binding],
    ) {
        let registrars = self.directory.settings().third_party_registrars.len();
        if registrars == 0 {
            return;
        }
        let Some(row) = self.directory.subscriber(phone) else { return };
        let username: Box<str> = row.username.as_str().into();
        let aor = Bytes::copy_from_slice(message.to().uri());
        let left = bindings.iter().map(|binding| binding.remaining_secs(now.utc));
        let expires = left.max().unwrap_or(0);
        self.copies.all.resize_with(registrars, Registrar::default);
        for place in 0..registrars {
            let (call_id, tag) = self.copy_call_id(message.call_id(), place);
            let (aor, username, cseq) = (aor.clone(), username.clone(), message.cseq().0);
            self.copy_to(now, place, Copy { aor, username, call_id, tag, cseq, expires });
        }
    }

    /// The same for the same Call-ID of a phone, and one whose answers come to this shard.
    fn copy_call_id(&self, phones: &[u8], place: usize) -> (String, u64) {
        let hash = |salt: u64| {
            let seed = self.config.seed ^ salt;
            let mut hasher = foldhash::quality::FixedState::with_seed(seed).build_hasher();
            hasher.write(phones);
            hasher.write_usize(place);
            hasher.finish()
        };
        let (shard, shards) = (self.config.shard, self.config.shards.max(1));
        let mut salt = 0;
        loop {
            let call_id = format!("c.{:016x}", hash(salt));
            if shard_of(call_id.as_bytes(), shards) == shard {
                return (call_id, hash(u64::MAX));
            }
            salt += 1;
        }
    }

    fn copy_to(&mut self, now: Now, place: usize, copy: Copy) {
        let host = &self.directory.settings().third_party_registrars[place];
        let registrar = &mut self.copies.all[place];
        if registrar.fresh_until > now.monotonic {
            return self.send_copy(now, place, &copy);
        }
        if let Some(target) = host.literal() {
            registrar.path = path_to(&self.config.listeners, target, None);
            return self.send_copy(now, place, &copy);
        }
        if registrar.waiting.len() < WAITING_MAX {
            registrar.waiting.push_back(copy);
        } else {
            self.stats.register_copies_failed += 1;
        }
        if registrar.asked_until.is_none_or(|until| until <= now.monotonic) {
            registrar.asked_until = Some(now.monotonic + RESOLVE_MAX);
            let (query, host) = (QueryId(MARK | place as u64), host.clone());
            self.effects.push_back(Effect::Resolve { query, host });
        }
    }

    fn send_copy(&mut self, now: Now, place: usize, copy: &Copy) {
        let settings = self.directory.settings();
        let Some(host) = settings.third_party_registrars.get(place) else { return };
        let registrar = &mut self.copies.all[place];
        let Some(path) = registrar.path.filter(|_| registrar.in_flight < IN_FLIGHT_MAX) else {
            self.stats.register_copies_failed += 1;
            return;
        };
        registrar.in_flight += 1;
        let mut draft = copy.draft(host, &contact_host(&self.config.listeners, path));
        if !self.config.server_name.is_empty() {
            draft = draft.header(HeaderName::UserAgent, &self.config.server_name);
        }
        self.stats.register_copies += 1;
        self.endpoint.send_request(now.monotonic, path, draft, MARK | place as u64);
    }

    pub(crate) fn copy_resolved(&mut self, now: Now, user: u64, targets: &[Target]) {
        let place = (user & !MARK) as usize;
        let Some(registrar) = self.copies.all.get_mut(place) else { return };
        let listeners = &self.config.listeners;
        registrar.path = targets.iter().find_map(|target| path_to(listeners, *target, None));
        let good_for = if registrar.path.is_some() { FRESH_FOR } else { UNKNOWN_FOR };
        registrar.fresh_until = now.monotonic + good_for;
        registrar.asked_until = None;
        for copy in std::mem::take(&mut registrar.waiting) {
            self.send_copy(now, place, &copy);
        }
    }

    pub(crate) fn copy_answered(&mut self, user: u64, response: &Message) {
        if response.status() >= 200 {
            self.copy_over(user, response.status() < 300);
        }
    }

    /// Nothing came back, or nothing could be sent: its host may be somewhere else by now.
    pub(crate) fn copy_failed(&mut self, user: u64) {
        if let Some(registrar) = self.copies.all.get_mut((user & !MARK) as usize) {
            registrar.fresh_until = Duration::ZERO;
        }
        self.copy_over(user, false);
    }

    fn copy_over(&mut self, user: u64, is_taken: bool) {
        self.stats.register_copies_failed += u64::from(!is_taken);
        if let Some(registrar) = self.copies.all.get_mut((user & !MARK) as usize) {
            registrar.in_flight = registrar.in_flight.saturating_sub(1);
        }
    }
}
