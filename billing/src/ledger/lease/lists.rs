//! What of all leases belongs to no single account: which of them are to be asked for, are in use, had
//! no more, or are wanted by others.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use vocabulary::AccountId;

use super::BundleOf;

/// The lists of all accounts, and of all bundles.
#[derive(Debug)]
pub(in super::super) struct Leases {
    is_shared: AtomicBool,
    pub(super) accounts: Lists<AccountId>,
    pub(super) bundles: Lists<BundleOf>,
    /// Something is wanted that nobody has asked for since.
    has_wanted: AtomicBool,
    /// By the monotonic clock, in microseconds.
    held_until_us: AtomicU64,
}

/// Each is locked after any shard.
#[derive(Debug)]
pub(super) struct Lists<K> {
    /// To be asked for.
    wanted: Mutex<Vec<K>>,
    /// Those of which something is leased.
    active: Mutex<BTreeSet<K>>,
    /// Those that had no more.
    short: Mutex<Vec<K>>,
    /// Those that others need.
    spared: Mutex<BTreeSet<K>>,
}

impl Default for Leases {
    fn default() -> Leases {
        Leases {
            is_shared: false.into(),
            accounts: Lists::new(),
            bundles: Lists::new(),
            has_wanted: false.into(),
            held_until_us: u64::MAX.into(),
        }
    }
}

fn locked<T>(list: &Mutex<T>) -> MutexGuard<'_, T> {
    list.lock().expect("nothing panics while a list of leases is locked")
}

impl<K: Copy + Ord> Lists<K> {
    fn new() -> Lists<K> {
        Lists {
            wanted: Mutex::default(),
            active: Mutex::default(),
            short: Mutex::default(),
            spared: Mutex::default(),
        }
    }

    /// In order, each once.
    pub(super) fn take_wanted(&self) -> Vec<K> {
        let mut wanted = std::mem::take(&mut *locked(&self.wanted));
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }

    pub(super) fn activate(&self, key: K) {
        locked(&self.active).insert(key);
    }

    pub(super) fn rest(&self, key: K) {
        locked(&self.active).remove(&key);
    }

    pub(super) fn active(&self) -> Vec<K> {
        locked(&self.active).iter().copied().collect()
    }

    pub(super) fn shorten(&self, key: K) {
        locked(&self.short).push(key);
    }

    pub(super) fn take_short(&self) -> Vec<K> {
        std::mem::take(&mut locked(&self.short))
    }

    pub(super) fn spare(&self, key: K) {
        locked(&self.spared).insert(key);
    }

    pub(super) fn take_spared(&self) -> BTreeSet<K> {
        std::mem::take(&mut locked(&self.spared))
    }
}

impl Leases {
    pub(super) fn share(&self) {
        self.is_shared.store(true, Relaxed);
    }

    pub(super) fn is_shared(&self) -> bool {
        self.is_shared.load(Relaxed)
    }

    pub(super) fn want_money(&self, account: AccountId) {
        locked(&self.accounts.wanted).push(account);
        self.has_wanted.store(true, Release);
    }

    pub(super) fn want_seconds(&self, bundle: BundleOf) {
        locked(&self.bundles.wanted).push(bundle);
        self.has_wanted.store(true, Release);
    }

    pub(super) fn has_wanted(&self) -> bool {
        self.has_wanted.load(Acquire)
    }

    /// What is wanted is about to be asked for. Before it is taken, so that nothing wanted meanwhile is
    /// missed.
    pub(super) fn begin_asking(&self) {
        self.has_wanted.store(false, Release);
    }

    pub(super) fn hold_until(&self, until: Duration) {
        let micros = u64::try_from(until.as_micros()).unwrap_or(u64::MAX);
        self.held_until_us.store(micros, Release);
    }

    pub(super) fn hold_for(&self, now: Duration) -> Duration {
        Duration::from_micros(self.held_until_us.load(Acquire)).saturating_sub(now)
    }

    pub(super) fn are_held(&self, now: Duration) -> bool {
        let micros = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        micros < self.held_until_us.load(Acquire)
    }
}
