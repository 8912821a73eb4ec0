//! A map for immutable snapshots that follow one another. It is cut into parts, each shared between
//! the snapshots in which it is the same: a snapshot with one row changed costs a copy of that row's
//! part, not of the map, and the difference of two snapshots is found without looking at what they
//! share.
//!
//! With a million rows a part holds a thousand. Values that are more than a few words are best kept
//! in an `Arc`: a copied part then copies pointers.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// How many parts a map has: 8 KiB of pointers for a map, a thousandth of its rows for a change.
const PARTS: usize = 1024;

type Part<K, V> = HashTable<(K, V)>;

/// See the crate.
pub struct SnapshotMap<K, V> {
    parts: Vec<Arc<Part<K, V>>>,
    hasher: FixedState,
    length: usize,
}

impl<K, V> SnapshotMap<K, V> {
    /// An empty map. The seed decides where rows lie; keep it secret where peers choose the keys.
    pub fn with_seed(seed: u64) -> SnapshotMap<K, V> {
        let empty = Arc::new(HashTable::new());
        let hasher = FixedState::with_seed(seed);
        SnapshotMap { parts: vec![empty; PARTS], hasher, length: 0 }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// All rows, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.parts.iter().flat_map(|part| part.iter()).map(|(key, value)| (key, value))
    }

    /// All values, in no order that means anything.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

/// The low bits find the place within a part and the highest tell rows there apart.
fn part_of(hash: u64) -> usize {
    (hash >> 32) as usize % PARTS
}

impl<K: Hash + Eq, V> SnapshotMap<K, V> {
    /// The value of a key.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let hash = self.hasher.hash_one(key);
        let found = self.parts[part_of(hash)].find(hash, |(known, _)| known.borrow() == key);
        found.map(|(_, value)| value)
    }

    /// Whether the key has a value.
    pub fn contains_key<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// What must be done to `older` to make it this map: the rows that are new or have another
    /// value, and with `None` the keys that are gone. Costs what the parts that differ hold.
    pub fn changes_since<'a>(
        &'a self,
        older: &'a SnapshotMap<K, V>,
    ) -> impl Iterator<Item = (&'a K, Option<&'a V>)>
    where
        V: PartialEq,
    {
        let differing = || {
            let pairs = self.parts.iter().zip(&older.parts);
            pairs.filter(|(new, old)| !Arc::ptr_eq(new, old))
        };
        let set = differing().flat_map(|(new, _)| new.iter());
        let set = set.filter(|(key, value)| older.get(key) != Some(value));
        let gone = differing().flat_map(|(_, old)| old.iter());
        let gone = gone.filter(|(key, _)| !self.contains_key(key));
        set.map(|(key, value)| (key, Some(value))).chain(gone.map(|(key, _)| (key, None)))
    }
}

impl<K: Hash + Eq + Clone, V: Clone> SnapshotMap<K, V> {
    /// Sets the value of a key. The one that it had before comes back.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let SnapshotMap { parts, hasher, .. } = self;
        let hash = hasher.hash_one(&key);
        let part = Arc::make_mut(&mut parts[part_of(hash)]);
        match part.entry(hash, |(known, _)| *known == key, |(known, _)| hasher.hash_one(known)) {
            Entry::Occupied(mut known) => Some(std::mem::replace(&mut known.get_mut().1, value)),
            Entry::Vacant(place) => {
                place.insert((key, value));
                self.length += 1;
                None
            }
        }
    }

    /// Removes a key. Its value comes back.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let hash = self.hasher.hash_one(key);
        let part = &mut self.parts[part_of(hash)];
        part.find(hash, |(known, _)| known.borrow() == key)?;
        let found = Arc::make_mut(part).find_entry(hash, |(known, _)| known.borrow() == key);
        let ((_, value), _) = found.ok()?.remove();
        self.length -= 1;
        Some(value)
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Extend<(K, V)> for SnapshotMap<K, V> {
    fn extend<T: IntoIterator<Item = (K, V)>>(&mut self, rows: T) {
        for (key, value) in rows {
            self.insert(key, value);
        }
    }
}

impl<K, V> Clone for SnapshotMap<K, V> {
    fn clone(&self) -> SnapshotMap<K, V> {
        SnapshotMap { parts: self.parts.clone(), hasher: self.hasher.clone(), length: self.length }
    }
}

impl<K, V> Default for SnapshotMap<K, V> {
    fn default() -> SnapshotMap<K, V> {
        SnapshotMap::with_seed(0)
    }
}

impl<K: Hash + Eq, V: PartialEq> PartialEq for SnapshotMap<K, V> {
    fn eq(&self, other: &SnapshotMap<K, V>) -> bool {
        self.length == other.length && self.changes_since(other).next().is_none()
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for SnapshotMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Operation {
        Insert(u16, u8),
        Remove(u16),
        Snapshot,
    }

    fn operation() -> impl Strategy<Value = Operation> {
        prop_oneof![
            4 => (0..300u16, any::<u8>()).prop_map(|(key, value)| Operation::Insert(key, value)),
            2 => (0..300u16).prop_map(Operation::Remove),
            1 => Just(Operation::Snapshot),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_map_and_knows_what_changed(
            operations in proptest::collection::vec(operation(), 0..400),
        ) {
            let mut map = SnapshotMap::with_seed(7);
            let mut model: BTreeMap<u16, u8> = BTreeMap::new();
            let (mut older, mut older_model) = (map.clone(), model.clone());
            for operation in operations {
                match operation {
                    Operation::Insert(key, value) => {
                        prop_assert_eq!(map.insert(key, value), model.insert(key, value));
                    }
                    Operation::Remove(key) => prop_assert_eq!(map.remove(&key), model.remove(&key)),
                    Operation::Snapshot => (older, older_model) = (map.clone(), model.clone()),
                }
            }
            let rows = |map: &SnapshotMap<u16, u8>| -> BTreeMap<u16, u8> {
                map.iter().map(|(key, value)| (*key, *value)).collect()
            };
            prop_assert_eq!(map.len(), model.len());
            prop_assert_eq!(rows(&map), model.clone());
            prop_assert_eq!(rows(&older), older_model.clone());
            let mut replayed = older_model;
            for (key, value) in map.changes_since(&older) {
                match value {
                    Some(value) => prop_assert_ne!(replayed.insert(*key, *value), Some(*value)),
                    None => prop_assert!(replayed.remove(key).is_some()),
                }
            }
            prop_assert_eq!(replayed, model);
        }
    }

    #[test]
    fn a_change_shares_everything_but_one_part() {
        let mut map = SnapshotMap::with_seed(1);
        map.extend((0..100_000_u64).map(|key| (key, key)));
        let mut changed = map.clone();
        changed.insert(4711, 0);
        let pairs = || map.parts.iter().zip(&changed.parts);
        let copied: usize =
            pairs().filter(|(a, b)| !Arc::ptr_eq(a, b)).map(|(_, part)| part.len()).sum();
        assert!((1..1000).contains(&copied), "{copied} rows were copied");
        assert_eq!(changed.changes_since(&map).collect::<Vec<_>>(), [(&4711, Some(&0))]);
        assert_ne!(changed, map);
        // Removing what is not there copies nothing.
        assert_eq!(changed.clone().remove(&u64::MAX), None);
    }
}
