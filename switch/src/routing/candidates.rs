//! Which of a route's trunks may carry a call: each goes through the filters in their order, and
//! the first that objects is its reason in the decision record. Those left are put into the prefix's
//! order. Pure: a call, `tandem simulate` and whoever finds the route of a past call again ask alike.
//! Whether a trunk has room shows when its turn comes; what it costs is billing's.

use std::cmp::Reverse;

use vocabulary::{Candidate, Number, TrunkId};

use super::conditions::{Conditions, Goodness};
use super::destination::Source;
use super::order::{RoutePolicy, arrange};
use super::route::RouteTarget;
use super::skip::Skip;
use crate::decision::Decision;
use crate::directory::{Directory, TrunkRow};
use crate::numbers;
use crate::quality::Watch;

/// A call whose trunks are looked for.
pub(super) struct Asking<'a> {
    pub(super) directory: &'a Directory,
    /// Who calls, unless an account is only thought to.
    pub(super) source: Option<Source>,
    /// The called number.
    pub(super) cld: &'a Number,
    pub(super) conditions: &'a Conditions<'a>,
    /// By routes, and not because a number of ours leads there: who is a carrier has to be good.
    pub(super) is_routed: bool,
}

/// A trunk that is looked at for a call.
struct Offer<'a> {
    asking: &'a Asking<'a>,
    target: &'a RouteTarget,
    trunk: &'a TrunkRow,
}

impl<'a> Offer<'a> {
    fn watch(&self) -> Option<Watch<'a>> {
        let Asking { directory, cld, is_routed, .. } = *self.asking;
        if is_routed { directory.watch(self.trunk.id, cld) } else { None }
    }
}

/// A trunk that is left out only for what is known of it.
struct Standby {
    candidate: Candidate,
    why: Skip,
    goodness: Goodness,
}

type Filter = fn(&Offer<'_>) -> Option<Skip>;

/// Whether it is there, and then how good it is, is asked last: a trunk that is down is one that could
/// else be used.
const FILTERS: [Filter; 6] = [inactive, where_it_came_from, rejecting_rule, closed, down, poor];

/// The candidates in the order of the route, and a decision about each trunk. Those that are down or poor
/// stand by, the least bad first: if there are no others, or billing finds that the others cannot take
/// the call, one of them is used.
pub(super) fn candidates(
    asking: &Asking<'_>,
    targets: &[RouteTarget],
    policy: RoutePolicy,
    decisions: &mut Vec<Decision>,
) -> Vec<Candidate> {
    let conditions = asking.conditions;
    let mut offers: Vec<(Candidate, u16)> = Vec::with_capacity(targets.len());
    let mut standbys = Vec::new();
    let mut grades = Vec::new();
    for target in targets {
        let Some(trunk) = asking.directory.trunk(target.trunk) else { continue };
        let offer = Offer { asking, target, trunk };
        let mut candidate = Candidate::new(trunk.id, trunk.account, target.priority);
        match FILTERS.iter().find_map(|filter| filter(&offer)) {
            Some(why @ (Skip::Down | Skip::Poor(..))) => {
                let goodness = conditions.goodness(trunk.id, why, offer.watch().as_ref());
                standbys.push(Standby { candidate, why, goodness });
            }
            Some(skip) => decisions.push(Decision::TrunkSkipped(trunk.id, skip)),
            None => {
                if policy == RoutePolicy::Quality {
                    let grade = offer.watch().map_or(100, |watch| conditions.grade(&watch));
                    candidate.rank = u16::from(100 - grade.min(100));
                    grades.push((trunk.id, grade));
                }
                offers.push((candidate, target.weight));
            }
        }
    }
    let last_resort = stand_by(&mut standbys, offers.is_empty(), decisions);
    if grades.len() > 1 {
        decisions.push(Decision::TrunksGraded(grades.into()));
    }
    if arrange(&mut offers, policy, conditions.draw) {
        decisions.push(Decision::TrunksDrawn(conditions.draw));
    }
    let accepted = offers.iter().map(|(candidate, _)| candidate.trunk).chain(last_resort);
    let accepted: Box<[TrunkId]> = accepted.collect();
    if !accepted.is_empty() {
        decisions.push(Decision::TrunksAccepted(accepted));
    }
    let offers = offers.into_iter().map(|(candidate, _)| candidate);
    offers.chain(standbys.into_iter().map(|standby| standby.candidate)).collect()
}

/// Puts those that stand by into their order, with a decision about each. The one that is used if there
/// is no other at all.
fn stand_by(
    standbys: &mut [Standby],
    is_needed: bool,
    decisions: &mut Vec<Decision>,
) -> Option<TrunkId> {
    standbys.sort_by_key(|standby| Reverse(standby.goodness));
    for (rank, standby) in (0..).zip(&mut *standbys) {
        standby.candidate = Candidate { priority: 0, rank, is_standby: true, ..standby.candidate };
    }
    let needed = usize::from(is_needed).min(standbys.len());
    let (used, others) = standbys.split_at(needed);
    let skipped = others.iter().map(|standby| (standby.candidate.trunk, standby.why));
    decisions.extend(skipped.map(|(trunk, why)| Decision::TrunkSkipped(trunk, why)));
    let used = used.first()?;
    let trunk = used.candidate.trunk;
    decisions.push(match used.why {
        Skip::Poor(..) => Decision::AllTrunksPoor(trunk),
        _ => Decision::AllTrunksDown(trunk),
    });
    Some(trunk)
}

fn inactive(offer: &Offer<'_>) -> Option<Skip> {
    let account = offer.asking.directory.account(offer.trunk.account);
    let is_active = offer.trunk.is_active && account.is_some_and(|account| account.is_active);
    (!is_active).then_some(Skip::Inactive)
}

fn where_it_came_from(offer: &Offer<'_>) -> Option<Skip> {
    (offer.asking.source == Some(Source::Trunk(offer.trunk.id))).then_some(Skip::Loop)
}

fn rejecting_rule(offer: &Offer<'_>) -> Option<Skip> {
    let Asking { directory, cld, .. } = *offer.asking;
    numbers::rejecting_rule(directory, offer.trunk, cld).map(Skip::RejectedByRule)
}

fn closed(offer: &Offer<'_>) -> Option<Skip> {
    let id = offer.target.window?;
    let window = offer.asking.directory.time_window(id);
    let is_open = window.is_some_and(|window| window.is_open(offer.asking.conditions.at));
    (!is_open).then_some(Skip::Closed(id))
}

fn down(offer: &Offer<'_>) -> Option<Skip> {
    offer.asking.conditions.is_down(offer.trunk.id).then_some(Skip::Down)
}

fn poor(offer: &Offer<'_>) -> Option<Skip> {
    if !offer.asking.conditions.may_object() {
        return None;
    }
    let watch = offer.watch()?;
    let objection = offer.asking.conditions.objection(&watch);
    objection.map(|poor| Skip::Poor(poor, watch.rule.id))
}
