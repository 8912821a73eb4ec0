//! Nonces that the server does not store: each carries its number, its time and a MAC over both and
//! over the address that it was given to, so that who uses one has received it there. What has to be remembered, the highest nonce count used with each, is a fixed ring of atomics
//! that all shards share.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::digest::Hex;

const MAC_BYTES: usize = 12;
/// Index and time as hex, and the MAC.
const NONCE_CHARS: usize = 16 + 16 + MAC_BYTES * 2;

/// The highest count used with each of the newest nonces. A nonce older than the ring is stale.
#[derive(Debug)]
pub struct NonceCounts {
    next: AtomicU64,
    highest: Box<[AtomicU32]>,
}

/// 262,144 nonces in 1 MiB: at 5,000 challenges a second, the last 50 seconds.
impl Default for NonceCounts {
    fn default() -> NonceCounts {
        NonceCounts::new(1 << 18)
    }
}

impl NonceCounts {
    /// Remembers this many nonces (4 bytes each); rounded up to a power of two.
    pub fn new(capacity: usize) -> NonceCounts {
        let capacity = capacity.max(16).next_power_of_two();
        NonceCounts {
            next: AtomicU64::new(0),
            highest: (0..capacity).map(|_| AtomicU32::new(0)).collect(),
        }
    }

    fn slot(&self, index: u64) -> &AtomicU32 {
        &self.highest[index as usize & (self.highest.len() - 1)]
    }

    fn take(&self) -> u64 {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        self.slot(index).store(0, Ordering::Release);
        index
    }

    fn is_remembered(&self, index: u64) -> bool {
        let next = self.next.load(Ordering::Acquire);
        index < next && next - index <= self.highest.len() as u64
    }

    /// Whether `count` was not used with this nonce before. Counts may be skipped, never repeated
    /// or taken back.
    fn use_count(&self, index: u64, count: u32) -> bool {
        count > self.slot(index).fetch_max(count, Ordering::AcqRel)
    }
}

/// What a nonce turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checked {
    /// Ours and young; this is its number.
    Fresh(u64),
    /// Ours, but too old or forgotten.
    Stale,
    /// Not ours, or given to another address.
    Foreign,
}

/// What signs nonces: the secret and the number of this start.
pub(super) type Key<'a> = (&'a [u8; 32], u32);

/// Makes a nonce for whoever receives it at this address.
pub(super) fn mint(key: Key<'_>, counts: &NonceCounts, now: Duration, source: IpAddr) -> String {
    let body = format!("{:016x}{:016x}", counts.take(), now.as_millis() as u64);
    let mac = mac(key, body.as_bytes(), source);
    format!("{body}{}", Hex::of(&mac).as_str())
}

/// Reads a nonce that came from this address.
pub(super) fn check(
    key: Key<'_>,
    counts: &NonceCounts,
    now: Duration,
    lifetime: Duration,
    nonce: &[u8],
    source: IpAddr,
) -> Checked {
    if nonce.len() != NONCE_CHARS {
        return Checked::Foreign;
    }
    let (body, signature) = nonce.split_at(32);
    if !is_equal(signature, Hex::of(&mac(key, body, source)).as_bytes()) {
        return Checked::Foreign;
    }
    let number = |text: &[u8]| {
        std::str::from_utf8(text).ok().and_then(|text| u64::from_str_radix(text, 16).ok())
    };
    let (Some(index), Some(millis)) = (number(&body[..16]), number(&body[16..])) else {
        return Checked::Foreign;
    };
    // A clock that ran backwards is no reason to trust a nonce for longer.
    let age = (now.as_millis() as u64).checked_sub(millis);
    let is_young = age.is_some_and(|age| u128::from(age) <= lifetime.as_millis());
    if is_young && counts.is_remembered(index) { Checked::Fresh(index) } else { Checked::Stale }
}

/// Takes a nonce count; `false` if it was used.
pub(super) fn use_count(counts: &NonceCounts, index: u64, count: u32) -> bool {
    counts.use_count(index, count)
}

fn mac((secret, start): Key<'_>, body: &[u8], source: IpAddr) -> [u8; MAC_BYTES] {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(secret).expect("any length is a key");
    mac.update(&start.to_le_bytes());
    mac.update(body);
    // An IPv4 address that came in through an IPv6 socket is the same peer.
    match source.to_canonical() {
        IpAddr::V4(v4) => mac.update(&v4.octets()),
        IpAddr::V6(v6) => mac.update(&v6.octets()),
    }
    let full = mac.finalize().into_bytes();
    let mut short = [0; MAC_BYTES];
    short.copy_from_slice(&full[..MAC_BYTES]);
    short
}

/// Takes the same time wherever the first difference is.
pub(super) fn is_equal(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}
