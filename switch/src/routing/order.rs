//! In which order the trunks of a prefix are offered to billing, which orders by cost what is left
//! equal here (T1, T3).

use vocabulary::Candidate;

use crate::token::Randomness;

/// How the trunks of a prefix follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RoutePolicy {
    /// By priority; within one priority the cheapest goes first.
    #[default]
    Priority,
    /// The cheapest goes first, whatever its priority, which orders only those that cost the same.
    LeastCost,
    /// By priority; within one priority each trunk goes first for its share of the calls, by weight,
    /// whatever it costs.
    Weight,
    /// By priority; within one priority the trunk goes first that answers more of its calls, in steps of
    /// 5 %, and within one step the cheapest (T4).
    Quality,
}

impl RoutePolicy {
    /// All of them.
    pub const ALL: [RoutePolicy; 4] =
        [RoutePolicy::Priority, RoutePolicy::LeastCost, RoutePolicy::Weight, RoutePolicy::Quality];

    /// The word in the database and on the wire.
    pub fn word(self) -> &'static str {
        match self {
            RoutePolicy::Priority => "priority",
            RoutePolicy::LeastCost => "least_cost",
            RoutePolicy::Weight => "weight",
            RoutePolicy::Quality => "quality",
        }
    }

    /// The policy with this word.
    pub fn from_word(word: &str) -> Option<RoutePolicy> {
        RoutePolicy::ALL.into_iter().find(|policy| policy.word() == word)
    }
}

/// Orders candidates, each with its weight, that come in the order of their priorities. Trunks of one
/// priority that share calls are drawn for their places, as SRV records are (RFC 2782); true if any
/// were. With the same draw the same candidates are in the same order.
pub(super) fn arrange(offers: &mut [(Candidate, u16)], policy: RoutePolicy, draw: u32) -> bool {
    let mut random = Randomness::new(draw.into());
    let mut is_drawn = false;
    for group in offers.chunk_by_mut(|one, next| one.0.priority == next.0.priority) {
        let has_weights = policy == RoutePolicy::Weight || group.iter().any(|(_, w)| *w != 1);
        if has_weights && group.len() > 1 {
            draw_places(group, &mut random);
            is_drawn = true;
        }
        if policy == RoutePolicy::Weight {
            for (rank, (candidate, _)) in (0..).zip(group) {
                candidate.rank = rank;
            }
        }
    }
    if policy == RoutePolicy::LeastCost {
        offers.iter_mut().for_each(|(candidate, _)| candidate.priority = 0);
    }
    is_drawn
}

/// Each place goes to one of those that are left, with the probability of its weight among theirs. Those
/// with weight 0 come last, in their order.
fn draw_places(group: &mut [(Candidate, u16)], random: &mut Randomness) {
    for place in 0..group.len() {
        let rest = &mut group[place..];
        let total: u64 = rest.iter().map(|(_, weight)| u64::from(*weight)).sum();
        if total == 0 {
            return;
        }
        let mut left = random.next() % total;
        let drawn = rest.iter().position(|(_, weight)| match left.checked_sub((*weight).into()) {
            Some(after) => {
                left = after;
                false
            }
            None => true,
        });
        rest[..=drawn.expect("less than the sum of all is drawn")].rotate_right(1);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use vocabulary::{AccountId, TrunkId};

    use super::*;

    /// (trunk, priority, weight), in the order of priorities.
    fn offers(rows: &[(u64, u16, u16)]) -> Vec<(Candidate, u16)> {
        let offer = |&(trunk, priority, weight): &(u64, u16, u16)| {
            (Candidate::new(TrunkId(trunk), AccountId(trunk), priority), weight)
        };
        rows.iter().map(offer).collect()
    }

    fn trunks(offers: &[(Candidate, u16)]) -> Vec<u64> {
        offers.iter().map(|(candidate, _)| candidate.trunk.0).collect()
    }

    /// How often of 10,000 calls each trunk is offered first.
    fn shares(rows: &[(u64, u16, u16)], policy: RoutePolicy) -> BTreeMap<u64, u32> {
        let mut firsts = BTreeMap::new();
        for draw in 0..10_000 {
            let mut offers = offers(rows);
            assert!(arrange(&mut offers, policy, draw));
            *firsts.entry(trunks(&offers)[0]).or_default() += 1;
        }
        firsts
    }

    #[test]
    fn of_ten_thousand_calls_weights_70_and_30_get_their_shares_within_two_percent() {
        // T3.
        let shares = shares(&[(1, 1, 70), (2, 1, 30)], RoutePolicy::Weight);
        assert!((6_800..=7_200).contains(&shares[&1]), "{shares:?}");
        assert!((2_800..=3_200).contains(&shares[&2]), "{shares:?}");
    }

    #[test]
    fn the_share_of_one_that_is_left_out_goes_to_the_others_by_their_weights() {
        let all = shares(&[(1, 1, 50), (2, 1, 30), (3, 1, 20)], RoutePolicy::Weight);
        assert!((4_800..=5_200).contains(&all[&1]), "{all:?}");
        let without = shares(&[(2, 1, 30), (3, 1, 20)], RoutePolicy::Weight);
        assert!((5_800..=6_200).contains(&without[&2]), "{without:?}");
    }

    #[test]
    fn weight_zero_comes_last_and_is_not_drawn() {
        for draw in 0..1_000 {
            let mut offers = offers(&[(1, 1, 0), (2, 1, 5), (3, 1, 0), (4, 1, 5)]);
            assert!(arrange(&mut offers, RoutePolicy::Weight, draw));
            assert_eq!(trunks(&offers)[2..], [1, 3], "{draw}");
        }
    }

    #[track_caller]
    fn check(policy: RoutePolicy, rows: &[(u64, u16, u16)], expected: &[(u64, u16, u16)]) {
        let mut offers = offers(rows);
        assert!(!arrange(&mut offers, policy, 7));
        let found: Vec<_> = offers.iter().map(|(c, _)| (c.trunk.0, c.priority, c.rank)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_has_nothing_to_share_is_not_drawn() {
        // T1: what is equal here goes by cost.
        let rows = [(3, 1, 1), (5, 1, 1), (1, 2, 1)];
        check(RoutePolicy::Priority, &rows, &[(3, 1, 0), (5, 1, 0), (1, 2, 0)]);
        check(RoutePolicy::LeastCost, &rows, &[(3, 0, 0), (5, 0, 0), (1, 0, 0)]);
        check(RoutePolicy::Weight, &[(3, 1, 9), (1, 2, 9)], &[(3, 1, 0), (1, 2, 0)]);
        check(RoutePolicy::Weight, &[], &[]);
    }

    #[test]
    fn weights_never_cross_priorities_and_rank_whom_they_draw() {
        for draw in 0..1_000 {
            let mut offers = offers(&[(1, 1, 1), (2, 1, 1), (3, 2, 60_000), (4, 2, 1)]);
            assert!(arrange(&mut offers, RoutePolicy::Weight, draw));
            let ranked: Vec<_> = offers.iter().map(|(c, _)| (c.priority, c.rank)).collect();
            assert_eq!(ranked, [(1, 0), (1, 1), (2, 0), (2, 1)]);
            let mut again = offers.clone();
            again.sort_by_key(|(candidate, _)| (candidate.priority, candidate.trunk));
            assert_eq!(trunks(&again), [1, 2, 3, 4], "none is lost");
        }
    }

    #[test]
    fn equal_costs_share_by_weight_under_the_other_policies() {
        for policy in [RoutePolicy::Priority, RoutePolicy::LeastCost] {
            let shares = shares(&[(1, 1, 3), (2, 1, 1)], policy);
            assert!((7_300..=7_700).contains(&shares[&1]), "{shares:?}");
        }
    }
}
