//! Who is kept out: one set for all workers, replaced whole, so that whoever looks at every datagram
//! keeps a copy and asks only whether there is a newer one.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vocabulary::Utc;

use super::limits::{GuardRows, Until};
use crate::directory::{Network, NetworkTable};

/// Bans that the guard makes by itself at the same time; whoever comes later is only slowed down.
const OWN_MAX: usize = 10_000;

/// Why the guard has banned a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BanReason {
    /// Wrong passwords or names that nobody has, with challenges received at this very address.
    WrongCredentials,
    /// Requests that lead nowhere, over a connection.
    Probing,
}

impl BanReason {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            BanReason::WrongCredentials => "wrong_credentials",
            BanReason::Probing => "probing",
        }
    }
}

/// A ban that the guard has just made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Who is kept out.
    pub network: Network,
    /// Why.
    pub reason: BanReason,
    /// From when on.
    pub since: Utc,
    /// Until when.
    pub until: Utc,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    until: Until,
    /// It is in the directory too: what disappears from there is lifted.
    is_stored: bool,
}

/// All who are kept out at one moment.
#[derive(Clone, Debug, Default)]
pub struct BanSet {
    banned: NetworkTable<Entry>,
    allowed: NetworkTable<()>,
}

impl BanSet {
    /// Whether this sender is kept out. Who is allowed never is.
    pub fn contains(&self, remote: SocketAddr) -> bool {
        !self.banned.is_empty()
            && self.banned.find(remote).is_some()
            && self.allowed.find(remote).is_none()
    }

    /// How many networks are kept out.
    pub fn len(&self) -> usize {
        self.banned.len()
    }

    /// Whether nobody is kept out.
    pub fn is_empty(&self) -> bool {
        self.banned.is_empty()
    }
}

/// The newest set.
#[derive(Debug, Default)]
pub(super) struct Bans {
    newest: Mutex<Arc<BanSet>>,
    version: AtomicU64,
    has_any: AtomicBool,
}

impl Bans {
    fn lock(&self) -> MutexGuard<'_, Arc<BanSet>> {
        // It is replaced whole, so a panic elsewhere leaves no half of one.
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, newest: &mut MutexGuard<'_, Arc<BanSet>>, set: BanSet) {
        self.has_any.store(!set.is_empty(), Ordering::Relaxed);
        **newest = Arc::new(set);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Bans a source, unless it is already, or there are too many.
    pub(super) fn add(&self, source: IpAddr, until: Utc) -> Option<Network> {
        let network = Network::of_source(source);
        let mut newest = self.lock();
        if newest.banned.get(&network).is_some() || newest.banned.len() >= OWN_MAX {
            return None;
        }
        let mut set = BanSet::clone(&newest);
        set.banned.put(network, Entry { until: Until(Some(until)), is_stored: false });
        self.replace(&mut newest, set);
        Some(network)
    }

    /// Takes over what is stored. What was stored before and is not any more is lifted.
    pub(super) fn configure(&self, now: Utc, rows: &GuardRows) {
        let mut newest = self.lock();
        let mut set = BanSet { allowed: rows.allowed.clone(), ..BanSet::clone(&newest) };
        set.banned.retain(|entry| !entry.is_stored);
        for (network, until) in rows.bans.iter().filter(|(_, until)| !until.is_over(now)) {
            set.banned.put(network, Entry { until, is_stored: true });
        }
        self.replace(&mut newest, set);
    }

    /// Lifts what has run out.
    pub(super) fn expire(&self, now: Utc) {
        let mut newest = self.lock();
        if newest.banned.iter().any(|(_, entry)| entry.until.is_over(now)) {
            let mut set = BanSet::clone(&newest);
            set.banned.retain(|entry| !entry.until.is_over(now));
            self.replace(&mut newest, set);
        }
    }

    pub(super) fn newest(&self) -> (u64, Arc<BanSet>) {
        let newest = self.lock();
        (self.version.load(Ordering::Acquire), Arc::clone(&newest))
    }

    /// One load while nobody is kept out.
    pub(super) fn contains(&self, remote: SocketAddr) -> bool {
        self.has_any.load(Ordering::Relaxed) && self.newest().1.contains(remote)
    }

    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}

/// A copy of the set for one thread, that looks at every datagram.
#[derive(Clone, Debug, Default)]
pub struct BanWatch {
    version: u64,
    set: Arc<BanSet>,
}

impl BanWatch {
    /// Takes over a newer set if there is one; one load if not. Call it once in a while, such as before
    /// each batch of datagrams.
    pub fn refresh(&mut self, guard: &super::Guard) {
        if guard.bans.version() != self.version {
            (self.version, self.set) = guard.bans.newest();
        }
    }

    /// Whether this sender is kept out.
    pub fn is_banned(&self, remote: SocketAddr) -> bool {
        self.set.contains(remote)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn remote(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn bans_begin_end_and_are_lifted() {
        let bans = Bans::default();
        let start = Utc(1_000_000_000);
        let at = |seconds| start.plus(Duration::from_secs(seconds));
        let is_banned = |text: &str| bans.newest().1.contains(remote(text));
        assert!(bans.add("192.0.2.7".parse().unwrap(), at(60)).is_some());
        assert!(bans.add("192.0.2.7".parse().unwrap(), at(90)).is_none(), "it is banned already");
        assert!(is_banned("192.0.2.7:5060") && is_banned("192.0.2.7:9"));
        assert!(!is_banned("192.0.2.8:5060"));

        // What is stored comes on top, and who is allowed is let in.
        let mut rows = GuardRows::default();
        rows.ban("198.51.100.0/24".parse().unwrap(), None);
        rows.ban("203.0.113.1".parse().unwrap(), Some(at(0)));
        rows.allow("198.51.100.9".parse().unwrap());
        bans.configure(at(1), &rows);
        assert!(is_banned("192.0.2.7:5060"), "not stored yet, so not lifted");
        assert!(is_banned("198.51.100.1:5060") && !is_banned("198.51.100.9:5060"));
        assert!(!is_banned("203.0.113.1:5060"), "it had run out before");

        rows.ban("192.0.2.7".parse().unwrap(), Some(at(60)));
        bans.configure(at(2), &rows);
        bans.expire(at(59));
        assert!(is_banned("192.0.2.7:5060"));
        bans.expire(at(60));
        assert!(!is_banned("192.0.2.7:5060"));
        bans.configure(at(61), &GuardRows::default());
        assert!(bans.newest().1.is_empty(), "what is not stored any more is lifted");
    }

    #[test]
    fn an_ipv6_host_takes_its_64th_with_it() {
        let bans = Bans::default();
        assert!(bans.add("2001:db8:1:2::5".parse().unwrap(), Utc(1)).is_some());
        let set = bans.newest().1;
        assert!(set.contains(remote("[2001:db8:1:2:ffff::1]:5060")));
        assert!(!set.contains(remote("[2001:db8:1:3::5]:5060")));
    }
}
