//! Longest prefix among digits: a 10-ary trie in one array. A slot of a node is empty, another
//! node, or, where nothing longer follows, the value itself, so that the many leaves cost nothing.

/// Neither child nor value.
const NONE: u32 = u32::MAX;
/// Set in a slot that holds a value instead of a node's index.
const VALUE: u32 = 1 << 31;

/// Values are below this.
pub(super) const VALUE_MAX: u32 = VALUE - 2;
/// The longest number: the depth of a walk.
pub(super) const DEPTH_MAX: usize = 32;

/// One cache line.
#[derive(Clone, Debug)]
#[repr(align(64))]
struct Node {
    slots: [u32; 10],
    value: u32,
}

impl Node {
    const EMPTY: Node = Node { slots: [NONE; 10], value: NONE };
}

/// Prefixes of decimal digits, each with a value.
#[derive(Clone, Debug)]
pub(super) struct DigitTrie {
    nodes: Vec<Node>,
}

impl DigitTrie {
    pub(super) fn new() -> DigitTrie {
        DigitTrie { nodes: vec![Node::EMPTY] }
    }

    /// `prefix` holds digits only; a second value for the same prefix replaces the first.
    pub(super) fn insert(&mut self, prefix: &[u8], value: u32) {
        debug_assert!(value <= VALUE_MAX);
        let Some((last, path)) = prefix.split_last() else {
            self.nodes[0].value = value;
            return;
        };
        let mut at = 0;
        for digit in path {
            at = self.descend(at, usize::from(digit - b'0'));
        }
        let slot = self.nodes[at].slots[usize::from(last - b'0')];
        if slot == NONE || slot & VALUE != 0 {
            self.nodes[at].slots[usize::from(last - b'0')] = value | VALUE;
        } else {
            self.nodes[slot as usize].value = value;
        }
    }

    /// The child node for `digit`; a value there moves into a node of its own.
    fn descend(&mut self, at: usize, digit: usize) -> usize {
        let slot = self.nodes[at].slots[digit];
        if slot != NONE && slot & VALUE == 0 {
            return slot as usize;
        }
        let value = if slot == NONE { NONE } else { slot & !VALUE };
        let child = self.nodes.len();
        self.nodes.push(Node { value, ..Node::EMPTY });
        self.nodes[at].slots[digit] = u32::try_from(child).expect("fewer nodes than values");
        child
    }

    /// Every prefix of `number` that is here, the longest first, until `take` accepts one. Gives
    /// the accepted prefix's length and what `take` made of its value.
    #[inline]
    pub(super) fn longest<T>(
        &self,
        number: &[u8],
        mut take: impl FnMut(u32) -> Option<T>,
    ) -> Option<(u8, T)> {
        let mut found = [(0_u8, 0_u32); DEPTH_MAX + 1];
        let mut count = 0;
        let mut push = |length: usize, value: u32| {
            found[count] = (length as u8, value);
            count += 1;
        };
        let mut node = &self.nodes[0];
        if node.value != NONE {
            push(0, node.value);
        }
        for (index, digit) in number.iter().take(DEPTH_MAX).enumerate() {
            let Some(slot) = node.slots.get(usize::from(digit.wrapping_sub(b'0'))) else { break };
            if *slot == NONE {
                break;
            }
            if slot & VALUE != 0 {
                push(index + 1, slot & !VALUE);
                break;
            }
            node = &self.nodes[*slot as usize];
            if node.value != NONE {
                push(index + 1, node.value);
            }
        }
        found[..count].iter().rev().find_map(|(length, value)| Some((*length, take(*value)?)))
    }

    pub(super) fn shrink(&mut self) {
        self.nodes.shrink_to_fit();
    }

    pub(super) fn bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(prefixes: &[&str], number: &str, expected: &[&str]) {
        let mut trie = DigitTrie::new();
        for (index, prefix) in prefixes.iter().enumerate() {
            trie.insert(prefix.as_bytes(), index as u32);
        }
        let mut seen = Vec::new();
        let none = trie.longest::<()>(number.as_bytes(), |value| {
            seen.push(prefixes[value as usize]);
            None
        });
        assert_eq!((seen.as_slice(), none), (expected, None));
    }

    #[test]
    fn every_prefix_is_found_longest_first() {
        check(&["49", "4930", "1"], "49301234", &["4930", "49"]);
        check(&["4930", "49"], "4931", &["49"]);
        check(&["", "49"], "33", &[""]);
        check(&["49"], "4", &[]);
        check(&["49"], "49", &["49"]);
        check(&["1"], "1*2", &["1"]);
        check(&["1"], "*1", &[]);
        check(&[], "1", &[]);
    }

    proptest! {
        #[test]
        fn agrees_with_a_map_of_prefixes(
            prefixes in proptest::collection::vec("[0-2]{0,6}", 0..40),
            number in "[0-2]{0,8}",
        ) {
            let mut trie = DigitTrie::new();
            let mut map = BTreeMap::new();
            for (index, prefix) in prefixes.iter().enumerate() {
                trie.insert(prefix.as_bytes(), index as u32);
                map.insert(prefix.as_str(), index as u32);
            }
            let expected = (0..=number.len())
                .rev()
                .find_map(|n| map.get(&number[..n]).map(|v| (n as u8, *v)));
            prop_assert_eq!(trie.longest(number.as_bytes(), Some), expected);
        }
    }
}
