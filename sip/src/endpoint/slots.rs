//! Transactions live in slots; a slot is used again, and its generation tells the two users apart.

/// A slot and which of its users is meant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct SlotKey {
    pub(super) index: u32,
    generation: u32,
}

enum Content<T> {
    Free { next: u32 },
    Used(T),
}

struct Slot<T> {
    generation: u32,
    content: Content<T>,
}

/// The slots.
pub(super) struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: u32,
    used: usize,
}

const NONE: u32 = u32::MAX;

impl<T> Slots<T> {
    pub(super) fn new() -> Slots<T> {
        Slots { slots: Vec::new(), free: NONE, used: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.used
    }

    /// The index that `insert` will use next.
    pub(super) fn next_index(&self) -> u32 {
        if self.free == NONE { self.slots.len() as u32 } else { self.free }
    }

    pub(super) fn insert(&mut self, value: T) -> SlotKey {
        self.used += 1;
        let index = self.next_index();
        if index as usize == self.slots.len() {
            self.slots.push(Slot { generation: 0, content: Content::Used(value) });
            return SlotKey { index, generation: 0 };
        }
        let slot = &mut self.slots[index as usize];
        match std::mem::replace(&mut slot.content, Content::Used(value)) {
            Content::Free { next } => self.free = next,
            Content::Used(_) => unreachable!("the free list holds free slots only"),
        }
        SlotKey { index, generation: slot.generation }
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<T> {
        let slot = self.slots.get_mut(index as usize)?;
        if matches!(slot.content, Content::Free { .. }) {
            return None;
        }
        self.used -= 1;
        slot.generation = slot.generation.wrapping_add(1);
        let next = std::mem::replace(&mut self.free, index);
        match std::mem::replace(&mut slot.content, Content::Free { next }) {
            Content::Used(value) => Some(value),
            Content::Free { .. } => unreachable!("checked above"),
        }
    }

    pub(super) fn at(&self, index: u32) -> Option<&T> {
        match &self.slots.get(index as usize)?.content {
            Content::Used(value) => Some(value),
            Content::Free { .. } => None,
        }
    }

    pub(super) fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        match &mut self.slots.get_mut(index as usize)?.content {
            Content::Used(value) => Some(value),
            Content::Free { .. } => None,
        }
    }

    pub(super) fn contains(&self, key: SlotKey) -> bool {
        self.slots.get(key.index as usize).is_some_and(|slot| slot.generation == key.generation)
            && self.at(key.index).is_some()
    }

    /// The full key of a slot in use.
    pub(super) fn key(&self, index: u32) -> SlotKey {
        SlotKey { index, generation: self.slots[index as usize].generation }
    }

    /// The indices in use.
    pub(super) fn indices(&self) -> impl Iterator<Item = u32> {
        (0..self.slots.len() as u32).filter(|&index| self.at(index).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_an_earlier_user_of_the_slot_finds_nothing() {
        let mut slots = Slots::new();
        let first = slots.insert('a');
        assert_eq!(slots.remove(first.index), Some('a'));
        assert_eq!(slots.remove(first.index), None);
        let second = slots.insert('b');
        assert_eq!(first.index, second.index);
        assert!(!slots.contains(first) && slots.contains(second));
        assert_eq!((slots.len(), slots.key(second.index)), (1, second));
    }
}
