//! What is known of so many sources and no more: whoever makes up new ones pushes out the oldest.

use std::hash::{BuildHasher, Hash};
use std::sync::{Mutex, PoisonError};

use foldhash::quality::FixedState;
use hashbrown::HashMap;

/// So that workers seldom meet.
const PARTS: usize = 16;

/// A map in two generations. What is looked at moves to the young one; when that is full, the old one
/// is forgotten and the young one grows old.
#[derive(Debug)]
struct Generations<K, V> {
    young: HashMap<K, V, FixedState>,
    old: HashMap<K, V, FixedState>,
}

/// Values by source, in sharded locks; a source that is not there has the default value.
#[derive(Debug)]
pub(crate) struct Sources<K, V> {
    hasher: FixedState,
    parts: Vec<Mutex<Generations<K, V>>>,
    /// In one generation of one part.
    part_max: usize,
}

impl<K: Hash + Eq + Copy, V: Copy + Default> Sources<K, V> {
    /// Keeps at least `max` of those looked at last, and at most about twice as many. The seed keys
    /// what strangers choose; keep it secret.
    pub(crate) fn new(seed: u64, max: usize) -> Sources<K, V> {
        let hasher = FixedState::with_seed(seed);
        let map = || HashMap::with_hasher(hasher.clone());
        let part = || Mutex::new(Generations { young: map(), old: map() });
        let parts = (0..PARTS).map(|_| part()).collect();
        Sources { hasher, parts, part_max: max.div_ceil(PARTS) }
    }

    fn part(&self, key: &K) -> &Mutex<Generations<K, V>> {
        // The map uses the low bits.
        &self.parts[(self.hasher.hash_one(key) >> 60) as usize % PARTS]
    }

    /// What is known of a source.
    pub(crate) fn get(&self, key: K) -> V {
        // Values are replaced whole, so a panic elsewhere leaves none half changed.
        let part = self.part(&key).lock().unwrap_or_else(PoisonError::into_inner);
        part.young.get(&key).or_else(|| part.old.get(&key)).copied().unwrap_or_default()
    }

    /// Changes what is known of a source.
    pub(crate) fn change<R>(&self, key: K, change: impl FnOnce(&mut V) -> R) -> R {
        let mut part = self.part(&key).lock().unwrap_or_else(PoisonError::into_inner);
        let part = &mut *part;
        if let Some(known) = part.young.get_mut(&key) {
            return change(known);
        }
        if part.young.len() >= self.part_max {
            let empty = HashMap::with_hasher(self.hasher.clone());
            part.old = std::mem::replace(&mut part.young, empty);
        }
        let known = part.old.remove(&key).unwrap_or_default();
        change(part.young.entry(key).or_insert(known))
    }

    /// Forgets a source.
    pub(crate) fn forget(&self, key: K) {
        let mut part = self.part(&key).lock().unwrap_or_else(PoisonError::into_inner);
        part.young.remove(&key);
        part.old.remove(&key);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        let len = |part: &Mutex<Generations<K, V>>| {
            let part = part.lock().expect("no test panics in it");
            part.young.len() + part.old.len()
        };
        self.parts.iter().map(len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_push_out_the_oldest_and_take_no_more_room() {
        let sources: Sources<u64, u64> = Sources::new(7, 160);
        for known in 0..10 {
            sources.change(known, |value| *value = known + 1);
        }
        for stranger in 1000..11_000 {
            sources.change(stranger, |value| *value = 1);
            // Who is looked at meanwhile stays.
            sources.change(stranger % 5, |_| ());
            assert!(sources.len() <= 320);
        }
        for known in 0..10 {
            assert_eq!(sources.get(known), if known < 5 { known + 1 } else { 0 });
        }
        sources.forget(3);
        assert_eq!(sources.get(3), 0);
    }
}
