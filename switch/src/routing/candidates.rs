//! Which of a route's trunks may carry a call: each goes through the filters in their order, and
//! the first that objects is its reason in the decision record. Those left are put into the prefix's
//! order. Pure: a call, `tandem simulate` and whoever finds the route of a past call again ask alike.
//! Whether a trunk has room shows when its turn comes; what it costs is billing's.

use vocabulary::{Candidate, Number, TrunkId};

use super::conditions::Conditions;
use super::destination::Source;
use super::order::{RoutePolicy, arrange};
use super::route::RouteTarget;
use super::skip::Skip;
use crate::decision::Decision;
use crate::directory::{Directory, TrunkRow};
use crate::numbers;

/// A call whose trunks are looked for.
pub(super) struct Asking<'a> {
    pub(super) directory: &'a Directory,
    /// Who calls, unless an account is only thought to.
    pub(super) source: Option<Source>,
    /// The called number.
    pub(super) cld: &'a Number,
    pub(super) conditions: &'a Conditions<'a>,
}

/// A trunk that is looked at for a call.
struct Offer<'a> {
    asking: &'a Asking<'a>,
    target: &'a RouteTarget,
    trunk: &'a TrunkRow,
}

type Filter = fn(&Offer<'_>) -> Option<Skip>;

/// Whether it is there is asked last: a trunk that is down is one that could else be used.
const FILTERS: [Filter; 5] = [inactive, where_it_came_from, rejecting_rule, closed, down];

/// The candidates in the order of the route, and a decision about each trunk. If every trunk that could
/// be used is down, the least bad of them is the only candidate.
pub(super) fn candidates(
    asking: &Asking<'_>,
    targets: &[RouteTarget],
    policy: RoutePolicy,
    decisions: &mut Vec<Decision>,
) -> Vec<Candidate> {
    let mut offers: Vec<(Candidate, u16)> = Vec::with_capacity(targets.len());
    let mut down = Vec::new();
    for target in targets {
        let Some(trunk) = asking.directory.trunk(target.trunk) else { continue };
        let offer = Offer { asking, target, trunk };
        let candidate = Candidate::new(trunk.id, trunk.account, target.priority);
        match FILTERS.iter().find_map(|filter| filter(&offer)) {
            Some(Skip::Down) => down.push((candidate, target.weight)),
            Some(skip) => decisions.push(Decision::TrunkSkipped(trunk.id, skip)),
            None => offers.push((candidate, target.weight)),
        }
    }
    let conditions = asking.conditions;
    let is_last_resort = offers.is_empty();
    if is_last_resort
        && let Some(trunk) = conditions.least_bad(down.iter().map(|(candidate, _)| candidate.trunk))
    {
        offers.extend(down.extract_if(.., |(candidate, _)| candidate.trunk == trunk));
    }
    let left_out = down.into_iter().map(|(candidate, _)| candidate.trunk);
    decisions.extend(left_out.map(|trunk| Decision::TrunkSkipped(trunk, Skip::Down)));
    if let Some((tried, _)) = offers.first().filter(|_| is_last_resort) {
        decisions.push(Decision::AllTrunksDown(tried.trunk));
    }
    if arrange(&mut offers, policy, conditions.draw) {
        decisions.push(Decision::TrunksDrawn(conditions.draw));
    }
    let accepted: Box<[TrunkId]> = offers.iter().map(|(candidate, _)| candidate.trunk).collect();
    if !accepted.is_empty() {
        decisions.push(Decision::TrunksAccepted(accepted));
    }
    offers.into_iter().map(|(candidate, _)| candidate).collect()
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
