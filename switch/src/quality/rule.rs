//! Which quality is asked of trunks, and from when on one is left.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::BuildHasher;
use std::time::Duration;

use foldhash::fast::FixedState;
use vocabulary::{Number, TrunkId};

/// Which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QualityRuleId(pub u64);

impl fmt::Display for QualityRuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What is asked of a trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demands {
    /// Over how much of the past.
    pub window: Duration,
    /// A figure of fewer calls than these says nothing.
    pub calls_min: u32,
    /// Answers for each hundred calls; `None`: any.
    pub asr_min: Option<u8>,
    /// Mean talk of an answered call; `None`: any.
    pub acd_min: Option<Duration>,
    /// Mean time from INVITE to the first ringing, or to the answer; `None`: any.
    pub pdd_max: Option<Duration>,
    /// For how long a trunk that does not meet them is left.
    pub drop: Duration,
    /// So many calls it then gets, on trial.
    pub trial_calls: u32,
    /// By so many percent of each limit they have to be better than it, for the trunk to be back.
    pub hysteresis: u8,
}

impl Demands {
    /// The shortest and the longest window.
    pub const WINDOW: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(86_400));
    /// The shortest and the longest time for which a trunk is left.
    pub const DROP: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(86_400));
    /// The most calls that can be asked for, of a window or of a trial.
    pub const CALLS_MAX: u32 = 100_000;
    /// The most that a trial has to be better.
    pub const HYSTERESIS_MAX: u8 = 100;
}

impl Default for Demands {
    /// It only watches.
    fn default() -> Demands {
        Demands {
            window: Duration::from_secs(900),
            calls_min: 20,
            asr_min: None,
            acd_min: None,
            pdd_max: None,
            drop: Duration::from_secs(600),
            trial_calls: 5,
            hysteresis: 10,
        }
    }
}

/// A rule: for which calls what is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QualityRule {
    /// Which.
    pub id: QualityRuleId,
    /// Of this trunk; `None`: of each.
    pub trunk: Option<TrunkId>,
    /// Calls to numbers that begin so; empty: to all.
    pub prefix: Box<str>,
    /// Calls to each prefix of routes are judged by themselves, and not all together.
    pub is_by_route: bool,
    /// What is asked.
    pub demands: Demands,
}

/// All rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QualityRules {
    by_prefix: BTreeMap<Box<str>, Vec<QualityRule>>,
    ids: BTreeSet<QualityRuleId>,
    /// Bit n: there is a prefix of n digits.
    lengths: u32,
}

impl QualityRules {
    /// Of several for the same trunk and prefix the first counts.
    pub fn new(rules: impl IntoIterator<Item = QualityRule>) -> QualityRules {
        let mut all = QualityRules::default();
        for rule in rules {
            // A longer prefix than the longest number covers none.
            all.lengths |= 1_u32.checked_shl(rule.prefix.len() as u32).unwrap_or(0);
            all.ids.insert(rule.id);
            all.by_prefix.entry(rule.prefix.clone()).or_default().push(rule);
        }
        all
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_prefix.is_empty()
    }

    /// Whether this rule is there.
    pub fn has(&self, id: QualityRuleId) -> bool {
        self.ids.contains(&id)
    }

    /// The rule for calls to these digits over this trunk: that of the longest prefix, and of those
    /// the trunk's own before the one for each.
    pub fn find(&self, trunk: TrunkId, digits: &str) -> Option<&QualityRule> {
        let longest = digits.len().min(u32::BITS as usize - 1);
        let lengths = (0..=longest).rev().filter(|n| self.lengths >> n & 1 == 1);
        let mut found = lengths.filter_map(|n| {
            let rules = self.by_prefix.get(&digits[..n])?;
            let own = rules.iter().find(|rule| rule.trunk == Some(trunk));
            own.or_else(|| rules.iter().find(|rule| rule.trunk.is_none()))
        });
        found.next()
    }
}

/// What is watched for a call: a trunk, and the calls that are judged together with it.
#[derive(Clone, Copy, Debug)]
pub struct Watch<'a> {
    pub(crate) rule: &'a QualityRule,
    pub(crate) trunk: TrunkId,
    pub(super) prefix: &'a str,
}

impl<'a> Watch<'a> {
    /// Of a call to this number, which is routed by so many of its digits.
    pub(crate) fn new(
        rule: &'a QualityRule,
        trunk: TrunkId,
        number: &'a Number,
        routed_by: usize,
    ) -> Watch<'a> {
        let by_rule = rule.prefix.len();
        let length = if rule.is_by_route { by_rule.max(routed_by) } else { by_rule };
        Watch { rule, trunk, prefix: &number.as_str()[..length] }
    }

    /// Of all calls that are judged with those to this prefix.
    pub(super) fn of_prefix(rule: &'a QualityRule, trunk: TrunkId, prefix: &'a str) -> Watch<'a> {
        let length = if rule.is_by_route { prefix.len() } else { rule.prefix.len() };
        Watch { rule, trunk, prefix: &prefix[..length] }
    }

    /// As small as a key. Two alike are one in 2^64.
    pub(super) fn key(&self) -> u64 {
        FixedState::default().hash_one((self.rule.id, self.trunk, self.prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(id: u64, trunk: u64, prefix: &str, is_by_route: bool) -> QualityRule {
        let trunk = (trunk > 0).then_some(TrunkId(trunk));
        let (id, prefix, demands) = (QualityRuleId(id), prefix.into(), Demands::default());
        QualityRule { id, trunk, prefix, is_by_route, demands }
    }

    #[test]
    fn the_longest_prefix_counts_and_then_the_trunks_own_rule() {
        // T4
        let rules = QualityRules::new([
            rule(1, 0, "", true),
            rule(2, 0, "44", false),
            rule(3, 7, "44", false),
            rule(4, 7, "", false),
            rule(5, 8, "4420", false),
        ]);
        let found = |trunk, digits| rules.find(TrunkId(trunk), digits).map(|rule| rule.id.0);
        assert_eq!(found(7, "441"), Some(3));
        assert_eq!(found(9, "441"), Some(2));
        assert_eq!(found(7, "4420"), Some(3));
        assert_eq!(found(8, "44201"), Some(5));
        assert_eq!(found(7, "49"), Some(4));
        assert_eq!(found(9, "4"), Some(1));
        assert_eq!(QualityRules::default().find(TrunkId(1), "4"), None);
        assert!(rules.has(QualityRuleId(5)) && !rules.has(QualityRuleId(6)));
        let only_own = QualityRules::new([rule(3, 7, "44", false)]);
        assert_eq!(only_own.find(TrunkId(8), "44"), None);
        assert_eq!(found(9, &"4".repeat(40)), Some(2));
    }

    #[test]
    fn calls_are_judged_by_the_prefix_of_the_rule_or_of_the_route() {
        let number = "4420123".parse().unwrap();
        let prefix = |rule: &QualityRule, routed_by| {
            Watch::new(rule, TrunkId(1), &number, routed_by).prefix.to_owned()
        };
        assert_eq!(prefix(&rule(1, 0, "44", false), 4), "44");
        assert_eq!(prefix(&rule(1, 0, "44", true), 4), "4420");
        assert_eq!(prefix(&rule(1, 0, "44201", true), 2), "44201");
        assert_eq!(prefix(&rule(1, 0, "", true), 0), "");
    }
}
