//! Who gets in (S7). Anybody can write any source address on a datagram, so what a datagram does tells
//! against its source only if that is proven: by a connection, or by the use of a nonce that was sent
//! to this very address. There are three things that a source can become:
//!
//! - **proven**: from this address and port came right credentials, not long ago. It is never limited;
//!   and an address with anybody proven behind it is never banned.
//! - **muted**: it wants more than the unproven may want. What it sends is dropped unless it belongs to
//!   something: a dialog, a registration, a challenge of ours that was received there. That may be done
//!   to a forged address too, since it hurts nobody who is proven.
//! - **banned**: proven wrong so often that nothing of it is read any more.
//!
//! Shared by all shards in sharded locks. Where all is calm, none of them is touched for a call that
//! comes from a trunk's address, and three for one that shows credentials.

mod bans;
mod bucket;
mod limits;
pub(crate) mod sources;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sip::transport::Path;
use vocabulary::{Now, SubscriberId, Utc};

pub use bans::{Ban, BanReason, BanSet, BanWatch};
pub use limits::{GuardLimits, GuardRows, Until};

use crate::directory::Network;
use bans::Bans;
use bucket::{Bucket, Measure, millis};
use sources::Sources;

/// Sources that have shown right credentials: phones, so there are many, and nobody can make them up.
const PROVEN_MAX: usize = 1 << 18;
/// Sources that have done something else.
const OTHERS_MAX: usize = 1 << 16;

/// See the module.
#[derive(Debug)]
pub struct Guard {
    /// By address and port, and with port 0 by source: until when, in milliseconds.
    proven: Sources<SocketAddr, u64>,
    /// By address and port, and with port 0 by source.
    unproven: Sources<SocketAddr, Bucket>,
    /// Wrong credentials, by source.
    offences: Sources<SocketAddr, Bucket>,
    /// Requests over connections that lead nowhere, by source.
    probes: Sources<SocketAddr, Bucket>,
    registers_of_source: Sources<SocketAddr, Bucket>,
    registers_of_subscriber: Sources<SubscriberId, Bucket>,
    /// Until when somebody may be muted, in milliseconds of monotonic time.
    alert_until: AtomicU64,
    /// Until when somebody may have shown too many wrong credentials.
    guessing_until: AtomicU64,
    bans: Bans,
}

/// Without a secret; for tests.
impl Default for Guard {
    fn default() -> Guard {
        Guard::new(0)
    }
}

/// An address and port as it is known here.
fn exact(remote: SocketAddr) -> SocketAddr {
    SocketAddr::new(remote.ip().to_canonical(), remote.port())
}

/// What is taken for one source.
pub(crate) fn source(remote: SocketAddr) -> SocketAddr {
    SocketAddr::new(Network::of_source(remote.ip()).address(), 0)
}

impl Guard {
    /// Nobody is known. The seed keys what strangers choose; keep it secret.
    pub fn new(seed: u64) -> Guard {
        Guard {
            proven: Sources::new(seed, PROVEN_MAX),
            unproven: Sources::new(seed, OTHERS_MAX),
            offences: Sources::new(seed, OTHERS_MAX),
            probes: Sources::new(seed, OTHERS_MAX),
            registers_of_source: Sources::new(seed, OTHERS_MAX),
            registers_of_subscriber: Sources::new(seed, PROVEN_MAX),
            alert_until: AtomicU64::new(0),
            guessing_until: AtomicU64::new(0),
            bans: Bans::default(),
        }
    }

    /// Right credentials came from here: believe that for so long.
    pub fn prove(&self, now: Duration, remote: SocketAddr, lasting: Duration) {
        let until = millis(now + lasting);
        for key in [exact(remote), source(remote)] {
            self.proven.change(key, |known| *known = until.max(*known));
        }
    }

    /// Whether right credentials came from this address and port lately.
    pub fn is_proven(&self, now: Duration, remote: SocketAddr) -> bool {
        self.proven.get(exact(remote)) > millis(now)
    }

    /// Whether right credentials came from this source lately, from whichever port.
    pub fn is_known(&self, now: Duration, remote: SocketAddr) -> bool {
        self.proven.get(source(remote)) > millis(now)
    }

    /// Somebody wants something and has proven nothing.
    pub fn unproven(&self, now: Duration, limits: &GuardLimits, path: Path) {
        if self.is_proven(now, path.remote) {
            return;
        }
        // The port of a connection is a new one each time. And what one port of a datagram's source
        // sends beyond its share is not counted for the others: it is dropped anyway.
        if path.transport.is_reliable()
            || self.count_unproven(now, exact(path.remote), limits.unproven())
        {
            self.count_unproven(now, source(path.remote), limits.unproven_of_source());
        }
    }

    fn count_unproven(&self, now: Duration, key: SocketAddr, measure: Measure) -> bool {
        let (is_in, room_at) = self.unproven.change(key, |bucket| {
            let is_in = bucket.put(now, measure);
            (is_in, bucket.room_at(measure))
        });
        if room_at > millis(now) {
            self.alert_until.fetch_max(room_at, Ordering::Relaxed);
        }
        is_in
    }

    /// Whether anybody may be muted: one load.
    pub fn is_alert(&self, now: Duration) -> bool {
        millis(now) < self.alert_until.load(Ordering::Relaxed)
    }

    /// Whether this sender has used up what the unproven may want. Ask it only on alert.
    pub fn is_muted(&self, now: Duration, limits: &GuardLimits, path: Path) -> bool {
        let is_full = |key, measure| !self.unproven.get(key).has_room(now, measure);
        let is_full = !path.transport.is_reliable()
            && is_full(exact(path.remote), limits.unproven())
            || is_full(source(path.remote), limits.unproven_of_source());
        is_full && !self.is_proven(now, path.remote)
    }

    /// A request over a connection leads nowhere. A ban, if it is one too many.
    pub fn probe(&self, now: Now, limits: &GuardLimits, remote: SocketAddr) -> Option<Ban> {
        let measure = limits.unproven();
        let has_room = self.probes.change(source(remote), |bucket| {
            bucket.put(now.monotonic, measure) && bucket.has_room(now.monotonic, measure)
        });
        if has_room || limits.offences_max == 0 || self.is_known(now.monotonic, remote) {
            return None;
        }
        self.ban(now, limits, remote, BanReason::Probing)
    }

    /// Credentials were wrong, and the address that they came from is proven. A ban, if they are one
    /// too many and nobody is proven behind this address.
    pub fn offence(&self, now: Now, limits: &GuardLimits, remote: SocketAddr) -> Option<Ban> {
        if limits.offences_max == 0 {
            return None;
        }
        let measure = limits.offences();
        let room_at = self.offences.change(source(remote), |bucket| {
            bucket.put(now.monotonic, measure);
            bucket.room_at(measure)
        });
        if room_at <= millis(now.monotonic) {
            return None;
        }
        self.guessing_until.fetch_max(room_at, Ordering::Relaxed);
        if self.is_known(now.monotonic, remote) {
            return None;
        }
        self.ban(now, limits, remote, BanReason::WrongCredentials)
    }

    /// Whether this source has shown so many wrong credentials that it would be banned, were nobody
    /// proven behind it.
    pub fn is_guessing(&self, now: Duration, limits: &GuardLimits, remote: SocketAddr) -> bool {
        millis(now) < self.guessing_until.load(Ordering::Relaxed)
            && limits.offences_max > 0
            && !self.offences.get(source(remote)).has_room(now, limits.offences())
    }

    fn ban(
        &self,
        now: Now,
        limits: &GuardLimits,
        remote: SocketAddr,
        reason: BanReason,
    ) -> Option<Ban> {
        let until = now.utc.plus(limits.ban);
        let network = self.bans.add(remote.ip(), until)?;
        // When the ban ends or is lifted, it begins anew.
        self.offences.forget(source(remote));
        self.probes.forget(source(remote));
        Some(Ban { network, reason, since: now.utc, until })
    }

    /// Whether one more REGISTER of this source is looked at.
    pub fn may_source_register(
        &self,
        now: Duration,
        limits: &GuardLimits,
        remote: SocketAddr,
    ) -> bool {
        let measure = limits.registers_of_source();
        measure.max == 0
            || self.registers_of_source.change(source(remote), |bucket| bucket.put(now, measure))
    }

    /// Whether one more REGISTER of this subscriber is carried out.
    pub fn may_subscriber_register(
        &self,
        now: Duration,
        limits: &GuardLimits,
        subscriber: SubscriberId,
    ) -> bool {
        let measure = limits.registers_of_subscriber();
        measure.max == 0
            || self.registers_of_subscriber.change(subscriber, |bucket| bucket.put(now, measure))
    }

    /// Takes over what is stored of bans, and who is allowed.
    pub fn configure(&self, now: Utc, rows: &GuardRows) {
        self.bans.configure(now, rows);
    }

    /// Lifts the bans that have run out; once a second is enough.
    pub fn expire(&self, now: Utc) {
        self.bans.expire(now);
    }

    /// Whether this sender is kept out. Who looks at every datagram asks a [`BanWatch`] instead.
    pub fn is_banned(&self, remote: SocketAddr) -> bool {
        self.bans.contains(remote)
    }

    /// How many networks are banned.
    pub fn banned(&self) -> usize {
        self.bans.newest().1.len()
    }
}
