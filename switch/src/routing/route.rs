//! Routes by longest prefix, in an array trie: one step a digit, no hashing, no comparison.

use std::fmt;

use vocabulary::TrunkId;

use super::order::RoutePolicy;
use super::window::WindowId;
use crate::directory::{Limits, RouteRow};

/// Which route: a prefix over a trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(pub u64);

/// Which prefix of which something special is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrefixId(pub u64);

impl fmt::Display for RouteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for PrefixId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What holds for all calls that are routed by a prefix, whichever trunk they take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutePrefix {
    /// Which.
    pub id: PrefixId,
    /// Digits; empty covers everything.
    pub prefix: Box<str>,
    /// How its trunks follow each other.
    pub policy: RoutePolicy,
    /// Calls by it.
    pub limits: Limits,
}

/// A trunk that a prefix may go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteTarget {
    /// Which route.
    pub route: RouteId,
    /// The trunk.
    pub trunk: TrunkId,
    /// Lower goes first.
    pub priority: u16,
    /// Its share among those of its priority, where calls are shared.
    pub weight: u16,
    /// When it holds; `None`: always.
    pub window: Option<WindowId>,
    /// Calls by it.
    pub limits: Limits,
}

impl RouteTarget {
    /// A trunk that no route leads to, but a number of ours.
    pub(crate) fn only(trunk: TrunkId) -> RouteTarget {
        let (route, limits) = (RouteId(0), Limits::default());
        RouteTarget { route, trunk, priority: 0, weight: 1, window: None, limits }
    }

    /// What a row says of its trunk.
    pub(crate) fn of(row: &RouteRow) -> RouteTarget {
        let RouteRow { id, trunk, priority, weight, window, limits, .. } = *row;
        RouteTarget { route: id, trunk, priority, weight, window, limits }
    }
}

/// Ten digits, `*` and `#`.
const FANOUT: usize = 12;
const NONE: u32 = 0;
const DIGITS: &[u8; FANOUT] = b"0123456789*#";

#[derive(Clone, Debug, Default)]
struct Node {
    children: [u32; FANOUT],
    /// Index into `targets` plus one.
    targets: u32,
}

/// Longest prefix → trunks.
#[derive(Clone, Debug)]
pub struct RouteTable {
    nodes: Vec<Node>,
    targets: Vec<Vec<RouteTarget>>,
    /// Places in `targets` that no node uses any more.
    free: Vec<u32>,
}

impl Default for RouteTable {
    fn default() -> RouteTable {
        RouteTable { nodes: vec![Node::default()], targets: Vec::new(), free: Vec::new() }
    }
}

/// Alike if they route alike, however they came to be.
impl PartialEq for RouteTable {
    fn eq(&self, other: &RouteTable) -> bool {
        self.prefixes() == other.prefixes()
    }
}

fn branch(digit: u8) -> Option<usize> {
    match digit {
        b'0'..=b'9' => Some(usize::from(digit - b'0')),
        b'*' => Some(10),
        b'#' => Some(11),
        _ => None,
    }
}

impl RouteTable {
    /// Adds a trunk to a prefix; those of one priority are in the order of their ids. False if the
    /// prefix holds something that no number does.
    #[must_use]
    pub fn add(&mut self, prefix: &str, target: RouteTarget) -> bool {
        if !prefix.bytes().all(|digit| branch(digit).is_some()) {
            return false;
        }
        let mut at = 0;
        for slot in prefix.bytes().filter_map(branch) {
            if self.nodes[at].children[slot] == NONE {
                self.nodes[at].children[slot] =
                    u32::try_from(self.nodes.len()).expect("fewer than 2^32 prefix digits");
                self.nodes.push(Node::default());
            }
            at = self.nodes[at].children[slot] as usize;
        }
        let node = &mut self.nodes[at];
        if node.targets == NONE {
            node.targets = self.free.pop().unwrap_or_else(|| {
                self.targets.push(Vec::new());
                u32::try_from(self.targets.len()).expect("fewer than 2^32 prefixes")
            });
        }
        let targets = &mut self.targets[node.targets as usize - 1];
        let order = |target: &RouteTarget| (target.priority, target.trunk);
        let place = targets.partition_point(|known| order(known) <= order(&target));
        targets.insert(place, target);
        true
    }

    /// Takes a trunk out of every prefix. Nodes stay: its prefixes mostly come back with it.
    pub fn remove_trunk(&mut self, trunk: TrunkId) {
        let is_emptied = |targets: &mut Vec<RouteTarget>| {
            let before = targets.len();
            targets.retain(|target| target.trunk != trunk);
            targets.is_empty() && before > 0
        };
        let emptied: Vec<bool> = self.targets.iter_mut().map(is_emptied).collect();
        if !emptied.contains(&true) {
            return;
        }
        for node in &mut self.nodes {
            if node.targets != NONE && emptied[node.targets as usize - 1] {
                self.free.push(node.targets);
                node.targets = NONE;
            }
        }
    }

    /// Every prefix that leads anywhere, with its targets, in the order of the prefixes.
    pub fn prefixes(&self) -> Vec<(String, &[RouteTarget])> {
        let mut found = Vec::new();
        let mut open = vec![(0_u32, String::new())];
        while let Some((at, prefix)) = open.pop() {
            let node = &self.nodes[at as usize];
            for (slot, child) in node.children.iter().enumerate().rev() {
                if *child != NONE {
                    open.push((*child, format!("{prefix}{}", char::from(DIGITS[slot]))));
                }
            }
            if let Some(targets) = (node.targets as usize).checked_sub(1) {
                found.push((prefix, &*self.targets[targets]));
            }
        }
        found
    }

    /// The targets of the longest prefix of `digits` that has any, and that prefix's length.
    pub fn find(&self, digits: &[u8]) -> Option<(usize, &[RouteTarget])> {
        let mut at = &self.nodes[0];
        let mut found = (at.targets, 0);
        for (depth, digit) in digits.iter().enumerate() {
            let Some(slot) = branch(*digit) else { break };
            let child = at.children[slot];
            if child == NONE {
                break;
            }
            at = &self.nodes[child as usize];
            if at.targets != NONE {
                found = (at.targets, depth + 1);
            }
        }
        let index = (found.0 as usize).checked_sub(1)?;
        Some((found.1, &self.targets[index]))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn target(trunk: u64, priority: u16) -> RouteTarget {
        RouteTarget::of(&RouteRow::new("", TrunkId(trunk), priority))
    }

    #[test]
    fn the_longest_prefix_wins_and_priority_orders() {
        let mut table = RouteTable::default();
        assert_eq!(table.find(b"4930"), None);
        for (prefix, to) in [
            ("49", target(1, 20)),
            ("49", target(2, 10)),
            ("49", target(3, 10)),
            ("4930", target(4, 1)),
            ("*1", target(5, 1)),
        ] {
            assert!(table.add(prefix, to));
        }
        assert!(!table.add("49x", target(6, 1)));
        let order = |digits: &[u8]| {
            let (length, targets) = table.find(digits)?;
            Some((length, targets.iter().map(|t| t.trunk.0).collect::<Vec<_>>()))
        };
        assert_eq!(order(b"4989123"), Some((2, vec![2, 3, 1])));
        assert_eq!(order(b"4930123"), Some((4, vec![4])));
        assert_eq!(order(b"*101#"), Some((2, vec![5])));
        assert_eq!(order(b"34600"), None);
    }

    #[test]
    fn a_trunk_is_taken_out_and_comes_back() {
        let mut table = RouteTable::default();
        for (prefix, to) in [
            ("49", target(1, 1)),
            ("4930", target(2, 1)),
            ("4930", target(1, 2)),
            ("44", target(1, 1)),
        ] {
            assert!(table.add(prefix, to));
        }
        let whole = table.clone();
        table.remove_trunk(TrunkId(1));
        assert_eq!(table.prefixes(), [("4930".to_owned(), &[target(2, 1)][..])]);
        assert_eq!(table.find(b"4989"), None);
        for (prefix, to) in [("44", target(1, 1)), ("49", target(1, 1)), ("4930", target(1, 2))] {
            assert!(table.add(prefix, to));
        }
        assert_eq!(table, whole);
        // Coming and going does not make the table grow.
        assert_eq!(table.targets.len(), whole.targets.len());
        assert_eq!(table.nodes.len(), whole.nodes.len());
    }

    proptest! {
        #[test]
        fn the_trie_agrees_with_a_search_from_the_longest_prefix(
            prefixes in proptest::collection::btree_map("[0-3*#]{0,5}", 0u64..9, 0..20),
            digits in "[0-3*#]{1,8}",
        ) {
            let mut table = RouteTable::default();
            for (prefix, trunk) in &prefixes {
                prop_assert!(table.add(prefix, target(*trunk, 1)));
            }
            let model: &BTreeMap<String, u64> = &prefixes;
            let expected = (0..=digits.len())
                .rev()
                .find_map(|n| model.get(&digits[..n]).map(|trunk| (n, vec![target(*trunk, 1)])));
            let found = table.find(digits.as_bytes()).map(|(n, targets)| (n, targets.to_vec()));
            prop_assert_eq!(found, expected);
        }
    }
}
