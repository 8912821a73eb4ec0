//! A call to be priced again, from what the CDRs of its legs tell.

use std::time::Duration;

use vocabulary::{AccountId, CallId, CallKind, SiteId, SubscriberId, TrunkId, Utc};

use super::{RatedBy, RatedCall, RatedSide, Role};
use crate::ReportRate;
use crate::cdr::{Cdr, CdrCharge, UpperCharge};

/// One leg of a call as its CDR tells it, as far as money is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RatedLeg {
    /// 0 is the ingress leg.
    pub leg: u8,
    /// Who pays for it, or is paid for it.
    pub account: Option<AccountId>,
    /// The subscriber at its other end.
    pub subscriber: Option<SubscriberId>,
    /// The trunk at its other end.
    pub trunk: Option<TrunkId>,
    /// When it was answered.
    pub answered_at: Option<Utc>,
    /// The talk that counts.
    pub talked: Duration,
    /// What stands.
    pub charge: Option<CdrCharge>,
    /// What stands for the resellers above the account, lowest first; on leg 0 only.
    pub upper: Vec<UpperCharge>,
    /// The site that the call is from; on leg 0 only.
    pub site: Option<SiteId>,
    /// What its money is in the currency that profit is counted in.
    pub report: Option<ReportRate>,
}

impl From<&Cdr> for RatedLeg {
    fn from(cdr: &Cdr) -> RatedLeg {
        RatedLeg {
            leg: cdr.leg,
            account: cdr.account,
            subscriber: cdr.subscriber,
            trunk: cdr.trunk,
            answered_at: cdr.answered_at,
            talked: cdr.talked,
            charge: cdr.charge.clone(),
            upper: cdr.upper.clone(),
            site: cdr.site,
            report: cdr.report,
        }
    }
}

impl RatedLeg {
    /// Who pays for this leg, lowest first, or is paid for it.
    fn sides(&self, kind: CallKind) -> Vec<RatedSide> {
        let Some(side) = self.side(kind) else { return Vec::new() };
        let mut sides = vec![side];
        for (upper, level) in self.upper.iter().zip(1..) {
            sides.push(RatedSide {
                role: Role::Payer(level),
                account: upper.account,
                answered_at: self.answered_at,
                talked: self.talked,
                before: Some(upper.charge.clone()),
                // Resellers pay in the currency of their customers.
                report: self.report,
            });
        }
        sides
    }

    fn side(&self, kind: CallKind) -> Option<RatedSide> {
        let is_egress = self.leg > 0;
        let is_carrier = kind.is_carried() && self.trunk.is_some();
        // Who answers as one of our own is not paid, be it a trunk that a DID leads to.
        if self.answered_at.is_none() || (is_egress && !is_carrier) {
            return None;
        }
        // Nor a second carrier whose answer crossed with our CANCEL.
        if is_egress && self.charge.is_none() && self.talked.is_zero() {
            return None;
        }
        Some(RatedSide {
            role: if is_egress { Role::Carrier(self.leg) } else { Role::Payer(0) },
            account: self.account?,
            answered_at: self.answered_at,
            talked: self.talked,
            before: self.charge.clone(),
            report: self.report,
        })
    }
}

impl RatedCall {
    /// The call that these legs tell of; `at` is when it came in. `None`: it was never answered or
    /// belongs to nobody, so there is nothing to price.
    pub fn of_legs(
        call: CallId,
        generation: u32,
        at: Utc,
        by: RatedBy,
        legs: &[RatedLeg],
    ) -> Option<RatedCall> {
        let is_carried =
            |leg: &RatedLeg| leg.leg > 0 && leg.answered_at.is_some() && leg.trunk.is_some();
        let kind = by.kind.unwrap_or_else(|| match legs.iter().any(is_carried) {
            true => CallKind::Egress,
            false => CallKind::Local,
        });
        let sides: Vec<RatedSide> = legs.iter().flat_map(|leg| leg.sides(kind)).collect();
        let is_priced = !sides.is_empty();
        let ingress = legs.iter().find(|leg| leg.leg == 0);
        let (subscriber, trunk) = ingress.map_or((None, None), |leg| (leg.subscriber, leg.trunk));
        let site = ingress.and_then(|leg| leg.site);
        let call = RatedCall { call, generation, kind, by, subscriber, trunk, site, at, sides };
        is_priced.then_some(call)
    }
}
