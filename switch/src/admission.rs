//! How many calls may be up, and how many may start in a second: by account, trunk, subscriber and
//! DID, in each direction (A-17, A-18, S2). A limit is compared with the size of the *set* of live calls,
//! never with a counter, so that releasing twice, or in any order, cannot leak or go below zero.
//!
//! Shared between shards: keys and calls each in sharded mutexes. A lock is held for a few map
//! operations only; the locks of one admission are taken in ascending order.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use vocabulary::{AccountId, CallId, DidId, Direction, SubscriberId, TrunkId};

use crate::directory::Limits;
use crate::routing::{PrefixId, RouteId};

const SHARDS: usize = 64;
const WINDOW: Duration = Duration::from_secs(1);

/// Whose limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// An account's.
    Account(AccountId),
    /// A trunk's.
    Trunk(TrunkId),
    /// A subscriber's.
    Subscriber(SubscriberId),
    /// A route's: a prefix over a trunk.
    Route(RouteId),
    /// Of all that is routed by a prefix.
    Prefix(PrefixId),
    /// A trunk and two numbers, by their hash: calls on their way, to know a loop by.
    Pair(u64),
    /// A DID's.
    Did(DidId),
}

/// A limited thing: an owner in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Whose.
    pub owner: Owner,
    /// Calls it sends us, or calls we send it.
    pub direction: Direction,
    /// At most so many.
    pub limits: Limits,
}

/// Why a call was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAdmitted {
    /// At whose gate.
    pub owner: Owner,
    /// In which direction.
    pub direction: Direction,
    /// Which limit.
    pub limit: Limit,
}

/// Which limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Calls at the same time.
    Concurrent(u32),
    /// Calls in one second.
    PerSecond(u32),
}

/// Gates that most calls stand at, for as long as they talk.
const PLACES: usize = 4;

type Key = (Owner, bool);

#[derive(Default)]
struct Entry {
    live: HashSet<CallId, FixedState>,
    /// Admissions within the last second, oldest first; kept only where a rate is limited.
    recent: VecDeque<Duration>,
}

type Map<K, V> = HashMap<K, V, FixedState>;

/// The sets of live calls.
pub struct Admission {
    gates: Vec<Mutex<Map<Key, Entry>>>,
    /// Where each call is counted, so that `release` needs nothing but the call.
    calls: Vec<Mutex<Map<CallId, Vec<Key>>>>,
}

impl Default for Admission {
    fn default() -> Admission {
        Admission {
            gates: (0..SHARDS).map(|_| Mutex::default()).collect(),
            calls: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Admission({} calls)", self.live_calls())
    }
}

fn key(gate: &Gate) -> Key {
    (gate.owner, gate.direction == Direction::Ingress)
}

fn shard_of_key((owner, is_ingress): Key) -> usize {
    let (kind, id) = match owner {
        Owner::Account(id) => (0, id.0),
        Owner::Trunk(id) => (1, id.0),
        Owner::Subscriber(id) => (2, id.0),
        Owner::Route(id) => (3, id.0),
        Owner::Prefix(id) => (4, id.0),
        Owner::Pair(hash) => (5, hash),
        Owner::Did(id) => (6, id.0),
    };
    let mixed = (id << 4 | kind << 1 | u64::from(is_ingress)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 58) as usize
}

fn shard_of_call(call: CallId) -> usize {
    (call.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize
}

/// A panic while a lock is held cannot leave a set half changed: each change is one insertion or
/// removal. So a poisoned lock is used on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Admission {
    /// Lets the call through all gates or through none. A gate that the call has passed before is
    /// passed again freely.
    pub fn admit(&self, now: Duration, call: CallId, gates: &[Gate]) -> Result<(), NotAdmitted> {
        let mut shards: Vec<usize> = gates.iter().map(|gate| shard_of_key(key(gate))).collect();
        shards.sort_unstable();
        shards.dedup();
        let mut locked: Vec<_> =
            shards.iter().map(|shard| (*shard, lock(&self.gates[*shard]))).collect();
        let find = |shard: usize| shards.binary_search(&shard).expect("locked above");
        for gate in gates {
            let entries = &mut locked[find(shard_of_key(key(gate)))].1;
            if let Some(entry) = entries.get_mut(&key(gate)) {
                entry.check(now, call, gate)?;
            } else if let Some(limit) = gate.limits.reached(0, 0) {
                return Err(gate.refusal(limit));
            }
        }
        let mut calls = lock(&self.calls[shard_of_call(call)]);
        let passed = calls.entry(call).or_default();
        for gate in gates {
            let entries = &mut locked[find(shard_of_key(key(gate)))].1;
            let entry = entries.entry(key(gate)).or_default();
            if entry.live.insert(call) {
                passed.push(key(gate));
                if gate.limits.per_second.is_some() {
                    entry.recent.push_back(now);
                }
            }
        }
        Ok(())
    }

    /// Takes the call out at one gate: an egress attempt failed and the next is tried.
    pub fn leave(&self, call: CallId, owner: Owner, direction: Direction) {
        let key = (owner, direction == Direction::Ingress);
        if let Some(passed) = lock(&self.calls[shard_of_call(call)]).get_mut(&call) {
            passed.retain(|other| *other != key);
            passed.shrink_to(PLACES);
        }
        self.remove(call, key);
    }

    /// Takes the call out at the gates of one direction that are meant: whoever was counted there has left,
    /// while the call goes on.
    pub fn leave_where(
        &self,
        call: CallId,
        direction: Direction,
        is_meant: impl Fn(Owner) -> bool,
    ) {
        let is_ingress = direction == Direction::Ingress;
        let is_left = |key: &mut Key| key.1 == is_ingress && is_meant(key.0);
        let left: Vec<Key> = match lock(&self.calls[shard_of_call(call)]).get_mut(&call) {
            Some(passed) => passed.extract_if(.., is_left).collect(),
            None => Vec::new(),
        };
        left.into_iter().for_each(|key| self.remove(call, key));
    }

    /// Takes the call out everywhere. May be called any number of times.
    pub fn release(&self, call: CallId) {
        let passed = lock(&self.calls[shard_of_call(call)]).remove(&call);
        for key in passed.into_iter().flatten() {
            self.remove(call, key);
        }
    }

    fn remove(&self, call: CallId, key: Key) {
        let mut entries = lock(&self.gates[shard_of_key(key)]);
        if let Some(entry) = entries.get_mut(&key) {
            entry.live.remove(&call);
            if entry.live.is_empty() && entry.recent.is_empty() {
                entries.remove(&key);
            }
        }
    }

    /// How many calls are up at a gate.
    pub fn live(&self, owner: Owner, direction: Direction) -> usize {
        let key = (owner, direction == Direction::Ingress);
        lock(&self.gates[shard_of_key(key)]).get(&key).map_or(0, |entry| entry.live.len())
    }

    /// How many calls are counted anywhere.
    pub fn live_calls(&self) -> usize {
        self.calls.iter().map(|calls| lock(calls).len()).sum()
    }

    /// The sizes of all sets together: a call counts once at each gate that it has passed.
    pub fn places_taken(&self) -> usize {
        let taken = |gates: &Mutex<Map<Key, Entry>>| -> usize {
            lock(gates).values().map(|entry| entry.live.len()).sum()
        };
        self.gates.iter().map(taken).sum()
    }

    /// Whether no call is counted at any gate: what must hold when all calls are over.
    pub fn is_empty(&self) -> bool {
        self.live_calls() == 0 && self.places_taken() == 0
    }
}

impl Limits {
    fn reached(&self, live: usize, recent: usize) -> Option<Limit> {
        let over = |limit: &u32, count: usize| count >= *limit as usize;
        let concurrent = self.concurrent.filter(|limit| over(limit, live));
        let per_second = self.per_second.filter(|limit| over(limit, recent));
        concurrent.map(Limit::Concurrent).or(per_second.map(Limit::PerSecond))
    }
}

impl Gate {
    fn refusal(&self, limit: Limit) -> NotAdmitted {
        NotAdmitted { owner: self.owner, direction: self.direction, limit }
    }
}

impl Entry {
    fn check(&mut self, now: Duration, call: CallId, gate: &Gate) -> Result<(), NotAdmitted> {
        while self.recent.front().is_some_and(|at| *at + WINDOW <= now) {
            self.recent.pop_front();
        }
        if self.live.contains(&call) {
            return Ok(());
        }
        match gate.limits.reached(self.live.len(), self.recent.len()) {
            Some(limit) => Err(gate.refusal(limit)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn gate(account: u64, direction: Direction, concurrent: u32, per_second: u32) -> Gate {
        Gate {
            owner: Owner::Account(AccountId(account)),
            direction,
            limits: Limits {
                concurrent: (concurrent > 0).then_some(concurrent),
                per_second: (per_second > 0).then_some(per_second),
            },
        }
    }

    #[test]
    fn call_n_plus_one_is_refused_with_the_gate_and_its_limit() {
        let admission = Admission::default();
        let gates = [gate(1, Direction::Ingress, 2, 0)];
        let admit = |n| admission.admit(Duration::ZERO, CallId(n), &gates);
        assert_eq!((admit(1), admit(2)), (Ok(()), Ok(())));
        let refused = admit(3).unwrap_err();
        assert_eq!(refused.owner, Owner::Account(AccountId(1)));
        assert_eq!(refused.limit, Limit::Concurrent(2));
        admission.release(CallId(1));
        assert_eq!(admit(3), Ok(()));
        let other_way = [gate(1, Direction::Egress, 2, 0)];
        assert_eq!(admission.admit(Duration::ZERO, CallId(4), &other_way), Ok(()));
    }

    #[test]
    fn calls_per_second_are_counted_over_any_second() {
        let admission = Admission::default();
        let gates = [gate(1, Direction::Ingress, 0, 2)];
        let mut n = 0;
        let mut admit = |ms| {
            n += 1;
            admission.release(CallId(n - 1));
            admission.admit(Duration::from_millis(ms), CallId(n), &gates).is_ok()
        };
        let outcomes = [0, 900, 950, 999, 1000, 1001, 1899, 1900].map(&mut admit);
        assert_eq!(outcomes, [true, true, false, false, true, false, false, true]);
    }

    #[test]
    fn a_call_refused_at_one_gate_is_counted_at_none() {
        let admission = Admission::default();
        let closed = gate(2, Direction::Egress, 1, 0);
        admission.admit(Duration::ZERO, CallId(9), &[closed]).unwrap();
        let open = gate(1, Direction::Ingress, 5, 5);
        assert!(admission.admit(Duration::ZERO, CallId(1), &[open, closed]).is_err());
        assert_eq!(admission.live(open.owner, open.direction), 0);
        admission.release(CallId(9));
        assert!(admission.is_empty());
    }

    /// Whose limits the random orders are about: one of each kind.
    fn owner(of: u64) -> Owner {
        match of % 5 {
            0 => Owner::Account(AccountId(of)),
            1 => Owner::Trunk(TrunkId(of)),
            2 => Owner::Route(RouteId(of)),
            3 => Owner::Prefix(PrefixId(of)),
            _ => Owner::Pair(of),
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Admit { call: u64, gates: Vec<u64>, after_ms: u64 },
        Leave { call: u64, of: u64 },
        Release { call: u64 },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0u64..12, proptest::collection::vec(0u64..6, 1..4), 0u64..400)
                .prop_map(|(call, gates, after_ms)| Step::Admit { call, gates, after_ms }),
            1 => (0u64..12, 0u64..6).prop_map(|(call, of)| Step::Leave { call, of }),
            2 => (0u64..12).prop_map(|call| Step::Release { call }),
        ]
    }

    /// How many random orders of events are played: `TANDEM_ADMISSION_ORDERS=1000000` for B8's figure.
    fn orders() -> u32 {
        let orders = std::env::var("TANDEM_ADMISSION_ORDERS").ok();
        orders.map_or(512, |text| text.parse().expect("a number of orders"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(orders()))]
        #[test]
        fn the_sets_agree_with_a_model_and_are_empty_at_the_end(
            steps in proptest::collection::vec(step(), 1..120),
        ) {
            // B8: whatever comes in whatever order, and twice.
            let admission = Admission::default();
            let mut model: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
            let mut now = Duration::ZERO;
            let direction = Direction::Ingress;
            for step in &steps {
                match step {
                    Step::Admit { call, gates, after_ms } => {
                        now += Duration::from_millis(*after_ms);
                        let wanted: BTreeSet<u64> = gates.iter().copied().collect();
                        let limits = Limits { concurrent: Some(3), per_second: None };
                        let gate = |of: &u64| Gate { owner: owner(*of), direction, limits };
                        let gates: Vec<Gate> = wanted.iter().map(gate).collect();
                        let fits = wanted.iter().all(|of| {
                            let live = model.entry(*of).or_default();
                            live.contains(call) || live.len() < 3
                        });
                        prop_assert_eq!(admission.admit(now, CallId(*call), &gates).is_ok(), fits);
                        if fits {
                            for of in wanted {
                                model.entry(of).or_default().insert(*call);
                            }
                        }
                    }
                    Step::Leave { call, of } => {
                        admission.leave(CallId(*call), owner(*of), direction);
                        model.entry(*of).or_default().remove(call);
                    }
                    Step::Release { call } => {
                        admission.release(CallId(*call));
                        model.values_mut().for_each(|live| { live.remove(call); });
                    }
                }
                let places: usize = model.values().map(BTreeSet::len).sum();
                prop_assert_eq!(admission.places_taken(), places);
                for (of, live) in &model {
                    prop_assert_eq!(admission.live(owner(*of), direction), live.len());
                    prop_assert!(live.len() <= 3);
                }
            }
            (0..12).for_each(|call| admission.release(CallId(call)));
            prop_assert!(admission.is_empty());
        }
    }
}
