//! Where subscribers are: their bindings (RFC 3261 section 10.3), with Path (RFC 3327) and the
//! source address that a REGISTER really came from, so that phones behind NAT are reached.
//!
//! Shared between shards in sharded mutexes; this file knows bindings, not messages (those are
//! read in `register.rs`). Expiry is in wall time, because bindings survive a restart.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use sip::transport::{Path, Transport};
use vocabulary::{SubscriberId, Utc};

const SHARDS: usize = 64;

/// One contact of a subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The contact's URI as the phone wrote it.
    pub uri: Bytes,
    /// The Path header values, topmost first: the way to the phone through edge proxies.
    pub path: Vec<Bytes>,
    /// The preference, in thousandths.
    pub q: u16,
    /// When it ends.
    pub expires_at: Utc,
    /// Where the REGISTER came from.
    pub source: Path,
    /// Whether that differs from the contact's own address, so that the source is to be used.
    pub is_behind_nat: bool,
    call_id: Bytes,
    cseq: u32,
}

/// A binding in the form in which it is kept over a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBinding {
    /// The contact's URI.
    pub uri: String,
    /// The Path header values.
    pub path: Vec<String>,
    /// The preference, in thousandths.
    pub q: u16,
    /// When it ends.
    pub expires_at: Utc,
    /// The REGISTER's Call-ID and CSeq, for the ordering rule.
    pub call_id: String,
    /// See `call_id`.
    pub cseq: u32,
    /// The transport it came by.
    pub transport: Transport,
    /// The listener it came in at.
    pub listener: u16,
    /// The address it came from.
    pub remote: SocketAddr,
    /// Whether the source is to be used instead of the contact's address.
    pub is_behind_nat: bool,
}

/// One contact of a REGISTER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedContact {
    /// Its URI.
    pub uri: Bytes,
    /// Its preference, in thousandths.
    pub q: u16,
    /// For how long; zero removes it.
    pub expires: Duration,
    /// Whether its address differs from where the REGISTER came from.
    pub is_behind_nat: bool,
}

/// What a REGISTER wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// No Contact: tell what there is.
    Query,
    /// `Contact: *` with `Expires: 0`.
    RemoveAll,
    /// Add, refresh, remove.
    Contacts(Vec<WantedContact>),
}

/// A REGISTER, as far as bindings are concerned.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Its Call-ID.
    pub call_id: Bytes,
    /// Its CSeq.
    pub cseq: u32,
    /// Its Path values.
    pub path: Vec<Bytes>,
    /// Where it came from.
    pub source: Path,
    /// What it wants.
    pub wanted: Wanted,
}

/// Why a REGISTER changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRegistered {
    /// An older request of the same Call-ID (RFC 3261 section 10.3, step 7): 500.
    OutOfOrder,
    /// More contacts than the subscriber may have: 403.
    TooManyContacts(u8),
}

type Map = HashMap<SubscriberId, Vec<Binding>, FixedState>;

/// All bindings of all subscribers.
pub struct Bindings {
    shards: Vec<Mutex<Map>>,
}

impl Default for Bindings {
    fn default() -> Bindings {
        Bindings { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl std::fmt::Debug for Bindings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bindings({})", self.len())
    }
}

impl Bindings {
    fn lock(&self, subscriber: SubscriberId) -> MutexGuard<'_, Map> {
        let shard = subscriber.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58;
        // A set is replaced whole below, so a panic elsewhere leaves none half changed.
        self.shards[shard as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The contacts that are valid now, the most preferred first.
    pub fn contacts(&self, subscriber: SubscriberId, now: Utc) -> Vec<Binding> {
        let shard = self.lock(subscriber);
        let mut valid: Vec<Binding> = shard
            .get(&subscriber)
            .into_iter()
            .flatten()
            .filter(|binding| binding.expires_at > now)
            .cloned()
            .collect();
        valid.sort_by_key(|binding| std::cmp::Reverse(binding.q));
        valid
    }

    /// Applies a REGISTER: all of it or nothing. Gives the bindings that are valid afterwards, and
    /// whether they are other than before.
    pub fn register(
        &self,
        now: Utc,
        subscriber: SubscriberId,
        contacts_max: u8,
        registration: &Registration,
    ) -> Result<(Vec<Binding>, bool), NotRegistered> {
        let mut shard = self.lock(subscriber);
        let mut bindings = shard.get(&subscriber).cloned().unwrap_or_default();
        let stored = bindings.len();
        bindings.retain(|binding| binding.expires_at > now);
        let mut has_changed = bindings.len() != stored;
        match &registration.wanted {
            Wanted::Query => {}
            Wanted::RemoveAll => {
                if bindings.iter().any(|binding| binding.is_newer_than(registration)) {
                    return Err(NotRegistered::OutOfOrder);
                }
                has_changed |= !bindings.is_empty();
                bindings.clear();
            }
            Wanted::Contacts(wanted) => {
                for contact in wanted {
                    apply(now, &mut bindings, contact, registration)?;
                }
                if bindings.len() > usize::from(contacts_max) {
                    drop_superseded(&mut bindings, registration, wanted);
                }
                if bindings.len() > usize::from(contacts_max) {
                    return Err(NotRegistered::TooManyContacts(contacts_max));
                }
                has_changed = true;
            }
        }
        if bindings.is_empty() {
            shard.remove(&subscriber);
        } else if has_changed {
            shard.insert(subscriber, bindings.clone());
        }
        Ok((bindings, has_changed))
    }

    /// Puts back what was stored before a restart. Connections are gone; their bindings are kept,
    /// since the phone may still be reached by opening one.
    pub fn restore(&self, subscriber: SubscriberId, bindings: Vec<StoredBinding>) {
        let bindings: Vec<Binding> = bindings.into_iter().map(Binding::from_stored).collect();
        if !bindings.is_empty() {
            self.lock(subscriber).insert(subscriber, bindings);
        }
    }

    /// Drops what has expired in one of 64 parts; `part` is counted up by the caller. Gives the
    /// subscribers whose set changed, with what is left.
    pub fn expire(&self, now: Utc, part: usize) -> Vec<(SubscriberId, Vec<StoredBinding>)> {
        let mut changed = Vec::new();
        let mutex = &self.shards[part % SHARDS];
        let mut shard = mutex.lock().unwrap_or_else(PoisonError::into_inner);
        shard.retain(|subscriber, bindings| {
            let before = bindings.len();
            bindings.retain(|binding| binding.expires_at > now);
            if bindings.len() != before {
                changed.push((*subscriber, bindings.iter().map(Binding::stored).collect()));
            }
            !bindings.is_empty()
        });
        changed.sort_by_key(|(subscriber, _)| *subscriber);
        changed
    }

    /// Drops the bindings of a subscriber that is deleted or switched off. False if there are none.
    pub fn remove(&self, subscriber: SubscriberId) -> bool {
        self.lock(subscriber).remove(&subscriber).is_some()
    }

    /// Whether a phone is registered by this connection.
    pub fn uses(&self, now: Utc, path: Path) -> bool {
        let is_by_it = |binding: &Binding| {
            binding.source.connection == path.connection && binding.expires_at > now
        };
        let has_one = |shard: &Mutex<Map>| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.values().flatten().any(is_by_it)
        };
        path.connection != 0 && self.shards.iter().any(has_one)
    }

    /// Whether the subscriber is registered from this address and port.
    pub fn is_at(&self, now: Utc, subscriber: SubscriberId, remote: SocketAddr) -> bool {
        let shard = self.lock(subscriber);
        let bindings = shard.get(&subscriber);
        let is_here =
            |binding: &Binding| binding.source.remote == remote && binding.expires_at > now;
        bindings.is_some_and(|bindings| bindings.iter().any(is_here))
    }

    /// The valid bindings that are wanted, of the subscribers that are, in one of so many parts.
    pub(crate) fn those_of(
        &self,
        now: Utc,
        (part, parts): (u8, u8),
        is_subscriber: impl Fn(SubscriberId) -> bool,
        is_binding: impl Fn(&Binding) -> bool,
    ) -> Vec<Binding> {
        let mut found = Vec::new();
        for shard in self.shards.iter().skip(part.into()).step_by(parts.into()) {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let those = shard.iter().filter(|(subscriber, _)| is_subscriber(**subscriber));
            let those = those.flat_map(|(_, bindings)| bindings);
            found.extend(those.filter(|one| one.expires_at > now && is_binding(one)).cloned());
        }
        found
    }

    /// How many subscribers have a binding, valid or about to be dropped.
    pub fn len(&self) -> usize {
        let count = |shard: &Mutex<Map>| shard.lock().unwrap_or_else(PoisonError::into_inner).len();
        self.shards.iter().map(count).sum()
    }

    /// Whether nobody is registered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn apply(
    now: Utc,
    bindings: &mut Vec<Binding>,
    contact: &WantedContact,
    registration: &Registration,
) -> Result<(), NotRegistered> {
    let place = bindings.iter().position(|binding| same_uri(&binding.uri, &contact.uri));
    if let Some(place) = place {
        if bindings[place].is_newer_than(registration) {
            return Err(NotRegistered::OutOfOrder);
        }
        bindings.remove(place);
    }
    if !contact.expires.is_zero() {
        bindings.push(Binding {
            uri: contact.uri.clone(),
            path: registration.path.clone(),
            q: contact.q,
            expires_at: now.plus(contact.expires),
            source: registration.source,
            is_behind_nat: contact.is_behind_nat,
            call_id: registration.call_id.clone(),
            cseq: registration.cseq,
        });
    }
    Ok(())
}

/// A phone that changed its address keeps its Call-ID (RFC 3261 section 10.2.4 says it SHOULD): its
/// old contact is what must give way when there are too many, not the new one.
fn drop_superseded(
    bindings: &mut Vec<Binding>,
    registration: &Registration,
    wanted: &[WantedContact],
) {
    bindings.retain(|binding| {
        binding.call_id != registration.call_id
            || wanted.iter().any(|contact| same_uri(&contact.uri, &binding.uri))
    });
}

fn same_uri(one: &[u8], other: &[u8]) -> bool {
    use sip::message::uri::Uri;
    one == other
        || match (Uri::parse(one), Uri::parse(other)) {
            (Some(one), Some(other)) => one.is_equivalent(&other),
            _ => false,
        }
}

impl Binding {
    /// RFC 3261 section 10.3, step 7: with the same Call-ID, a higher CSeq is needed.
    fn is_newer_than(&self, registration: &Registration) -> bool {
        self.call_id == registration.call_id && self.cseq >= registration.cseq
    }

    /// Whether it is reached by TLS: it registered so.
    pub(crate) fn is_secure(&self) -> bool {
        self.source.transport == Transport::Tls
    }

    /// Whether the contact asks for datagrams.
    pub(crate) fn names_udp(&self) -> bool {
        let uri = sip::message::uri::Uri::parse(&self.uri);
        let named = uri.and_then(|uri| uri.transport().and_then(Transport::from_name));
        named == Some(Transport::Udp)
    }

    /// How long it is still valid, in whole seconds, rounded up.
    pub fn remaining_secs(&self, now: Utc) -> u64 {
        self.expires_at.since(now).as_millis().div_ceil(1000) as u64
    }

    /// The form to be kept over a restart.
    pub fn stored(&self) -> StoredBinding {
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        StoredBinding {
            uri: text(&self.uri),
            path: self.path.iter().map(text).collect(),
            q: self.q,
            expires_at: self.expires_at,
            call_id: text(&self.call_id),
            cseq: self.cseq,
            transport: self.source.transport,
            listener: self.source.listener,
            remote: self.source.remote,
            is_behind_nat: self.is_behind_nat,
        }
    }

    fn from_stored(stored: StoredBinding) -> Binding {
        Binding {
            uri: stored.uri.into(),
            path: stored.path.into_iter().map(Bytes::from).collect(),
            q: stored.q,
            expires_at: stored.expires_at,
            source: Path {
                transport: stored.transport,
                listener: stored.listener,
                connection: 0,
                remote: stored.remote,
            },
            is_behind_nat: stored.is_behind_nat,
            call_id: stored.call_id.into(),
            cseq: stored.cseq,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: SubscriberId = SubscriberId(1);

    fn at(secs: i64) -> Utc {
        Utc(secs * 1_000_000)
    }

    fn source() -> Path {
        Path {
            transport: Transport::Udp,
            listener: 0,
            connection: 0,
            remote: "192.0.2.9:40000".parse().unwrap(),
        }
    }

    fn registration(call_id: &str, cseq: u32, contacts: &[(&str, u64)]) -> Registration {
        let contact = |(uri, expires): &(&str, u64)| WantedContact {
            uri: Bytes::copy_from_slice(uri.as_bytes()),
            q: 1000,
            expires: Duration::from_secs(*expires),
            is_behind_nat: true,
        };
        Registration {
            call_id: Bytes::copy_from_slice(call_id.as_bytes()),
            cseq,
            path: vec![Bytes::from_static(b"<sip:edge;lr>")],
            source: source(),
            wanted: Wanted::Contacts(contacts.iter().map(contact).collect()),
        }
    }

    fn uris(bindings: &Bindings, now: i64) -> Vec<String> {
        let text = |b: Binding| String::from_utf8(b.uri.to_vec()).unwrap();
        bindings.contacts(ALICE, at(now)).into_iter().map(text).collect()
    }

    #[test]
    fn contacts_are_added_refreshed_removed_and_expire() {
        let bindings = Bindings::default();
        let put =
            |now, r: Registration| bindings.register(at(now), ALICE, 5, &r).map(|r| r.0.len());
        assert_eq!(put(0, registration("a", 1, &[("sip:a@1.1.1.1", 60)])), Ok(1));
        assert_eq!(put(0, registration("b", 1, &[("sip:a@2.2.2.2", 90)])), Ok(2));
        assert_eq!(put(50, registration("a", 2, &[("sip:a@1.1.1.1", 60)])), Ok(2));
        assert_eq!(uris(&bindings, 89), ["sip:a@2.2.2.2", "sip:a@1.1.1.1"]);
        assert_eq!(uris(&bindings, 90), ["sip:a@1.1.1.1"]);
        assert_eq!(put(91, registration("a", 3, &[("sip:a@1.1.1.1", 0)])), Ok(0));
        assert!(bindings.is_empty());
    }

    #[test]
    fn an_older_request_of_the_same_call_id_changes_nothing() {
        let bindings = Bindings::default();
        let put = |r: Registration| bindings.register(at(0), ALICE, 5, &r).map(|r| r.0.len());
        assert_eq!(put(registration("a", 5, &[("sip:a@1.1.1.1", 60)])), Ok(1));
        let late = registration("a", 5, &[("sip:a@1.1.1.1", 0)]);
        assert_eq!(put(late), Err(NotRegistered::OutOfOrder));
        let mut all = registration("a", 4, &[]);
        all.wanted = Wanted::RemoveAll;
        assert_eq!(put(all.clone()), Err(NotRegistered::OutOfOrder));
        all.cseq = 6;
        assert_eq!(put(all), Ok(0));
    }

    #[test]
    fn too_many_contacts_are_refused_but_a_moved_phone_is_not() {
        let bindings = Bindings::default();
        let put = |r: Registration| bindings.register(at(0), ALICE, 1, &r).map(|r| r.0.len());
        assert_eq!(put(registration("a", 1, &[("sip:a@1.1.1.1", 60)])), Ok(1));
        let other = registration("b", 1, &[("sip:a@2.2.2.2", 60)]);
        assert_eq!(put(other), Err(NotRegistered::TooManyContacts(1)));
        assert_eq!(put(registration("a", 2, &[("sip:a@3.3.3.3", 60)])), Ok(1));
        assert_eq!(uris(&bindings, 1), ["sip:a@3.3.3.3"]);
    }

    #[test]
    fn bindings_survive_a_restart_and_expired_ones_are_swept() {
        let bindings = Bindings::default();
        let r = registration("a", 1, &[("sip:a@1.1.1.1", 60), ("sip:a@2.2.2.2", 90)]);
        let (now, _) = bindings.register(at(0), ALICE, 5, &r).unwrap();
        let after = Bindings::default();
        after.restore(ALICE, now.iter().map(Binding::stored).collect());
        assert_eq!(after.contacts(ALICE, at(1)), bindings.contacts(ALICE, at(1)));
        let swept: Vec<_> = (0..64).flat_map(|part| after.expire(at(70), part)).collect();
        assert_eq!(swept.len(), 1);
        assert_eq!(swept[0].1.len(), 1);
        let swept: Vec<_> = (0..64).flat_map(|part| after.expire(at(100), part)).collect();
        assert_eq!(swept, [(ALICE, vec![])]);
        assert!(after.is_empty());
    }
}
