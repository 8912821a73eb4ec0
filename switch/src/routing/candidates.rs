//! Which of a route's trunks may carry a call: each goes through the filters in their order, and
//! the first that objects is its reason in the decision record. Pure: a call and `tandem simulate`
//! ask alike. Whether a trunk has room shows when its turn comes; what it costs is billing's.

use vocabulary::{Candidate, Number, TrunkId};

use super::destination::Source;
use super::route::RouteTarget;
use super::skip::Skip;
use crate::decision::Decision;
use crate::directory::{Directory, TrunkRow};
use crate::health::Health;
use crate::numbers;

/// A trunk that is looked at for a call.
struct Offer<'a> {
    directory: &'a Directory,
    /// Who calls, unless an account is only thought to.
    source: Option<Source>,
    /// The called number.
    cld: &'a Number,
    trunk: &'a TrunkRow,
    health: &'a Health,
}

type Filter = fn(&Offer<'_>) -> Option<Skip>;

/// Whether it is there is asked last: a trunk that is down is one that could else be used.
const FILTERS: [Filter; 4] = [inactive, where_it_came_from, rejecting_rule, down];

/// The candidates in the order of the route, and a decision about each trunk. If every trunk that could
/// be used is down, the least bad of them is the only candidate.
pub(super) fn candidates(
    directory: &Directory,
    source: Option<Source>,
    cld: &Number,
    health: &Health,
    targets: &[RouteTarget],
    decisions: &mut Vec<Decision>,
) -> Vec<Candidate> {
    let mut candidates = Vec::with_capacity(targets.len());
    let mut down = Vec::new();
    for target in targets {
        let Some(trunk) = directory.trunk(target.trunk) else { continue };
        let offer = Offer { directory, source, cld, trunk, health };
        let candidate =
            Candidate { trunk: trunk.id, carrier: trunk.account, priority: target.priority };
        match FILTERS.iter().find_map(|filter| filter(&offer)) {
            Some(Skip::Down) => down.push(candidate),
            Some(skip) => decisions.push(Decision::TrunkSkipped(trunk.id, skip)),
            None => candidates.push(candidate),
        }
    }
    let is_last_resort = candidates.is_empty();
    if is_last_resort
        && let Some(trunk) = health.least_bad(down.iter().map(|candidate| candidate.trunk))
    {
        candidates.extend(down.extract_if(.., |candidate| candidate.trunk == trunk));
    }
    let left_out = down.into_iter().map(|candidate| candidate.trunk);
    decisions.extend(left_out.map(|trunk| Decision::TrunkSkipped(trunk, Skip::Down)));
    if let Some(tried) = candidates.first().filter(|_| is_last_resort) {
        decisions.push(Decision::AllTrunksDown(tried.trunk));
    }
    let accepted: Box<[TrunkId]> = candidates.iter().map(|candidate| candidate.trunk).collect();
    if !accepted.is_empty() {
        decisions.push(Decision::TrunksAccepted(accepted));
    }
    candidates
}

fn inactive(offer: &Offer<'_>) -> Option<Skip> {
    let account = offer.directory.account(offer.trunk.account);
    let is_active = offer.trunk.is_active && account.is_some_and(|account| account.is_active);
    (!is_active).then_some(Skip::Inactive)
}

fn down(offer: &Offer<'_>) -> Option<Skip> {
    offer.health.is_down(offer.trunk.id).then_some(Skip::Down)
}

fn where_it_came_from(offer: &Offer<'_>) -> Option<Skip> {
    (offer.source == Some(Source::Trunk(offer.trunk.id))).then_some(Skip::Loop)
}

fn rejecting_rule(offer: &Offer<'_>) -> Option<Skip> {
    numbers::rejecting_rule(offer.directory, offer.trunk, offer.cld).map(Skip::RejectedByRule)
}
