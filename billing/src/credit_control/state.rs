//! What is known of a live call's money.

use std::time::Duration;

use vocabulary::{Grant, TrunkId, Utc};

use crate::call_state::{CallContext, CarrierRate};
use crate::chain::Chain;
use crate::funding::Payer;

/// The carriers of a call.
#[derive(Debug)]
pub(super) enum Egress {
    /// Who may carry it, cheapest first.
    Candidates(Box<[CarrierRate]>),
    /// Who does.
    Carrier(Box<CarrierRate>),
    /// Nobody: the callee is ours, or is not paid.
    Local,
}

/// What a live call's money is known by. Small: there is one for each call held.
#[derive(Debug)]
pub(super) struct CallState {
    /// From when its prices are looked up: when it was answered; while it rings, when it came in.
    pub(super) at: Utc,
    pub(super) payers: Chain<Payer>,
    pub(super) egress: Egress,
    pub(super) granted_seconds: u32,
    pub(super) slice: u16,
    pub(super) is_final: bool,
    pub(super) is_answered: bool,
    pub(super) context: CallContext,
}

impl CallState {
    pub(super) fn grant(&self) -> Grant {
        let talk_time = Duration::from_secs(self.granted_seconds.into());
        Grant { talk_time, is_final: self.is_final }
    }

    pub(super) fn carrier(&self, trunk: TrunkId) -> Option<&CarrierRate> {
        match &self.egress {
            Egress::Candidates(list) => list.iter().find(|carrier| carrier.trunk == trunk),
            Egress::Carrier(carrier) => Some(&**carrier).filter(|carrier| carrier.trunk == trunk),
            Egress::Local => None,
        }
    }
}
