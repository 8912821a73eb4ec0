//! What is known about the money of a call that is not over.

use std::time::Duration;

use vocabulary::{
    AccountId, CallId, CallKind, Location, Number, Origin, RateChoice, SiteId, TrunkId, Utc,
};

use crate::ReportRate;
use crate::chain::Chain;
use crate::codec::{Code, DecodeError, Reader, code_struct};
use crate::funding::{NEVER, Payer, reservation, seller};
use crate::ledger::{ReservationId, ReservationState};
use crate::rating::AppliedRate;

/// What a carrier takes for the call, fixed when the call came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarrierRate {
    /// The trunk.
    pub trunk: TrunkId,
    /// Who is paid.
    pub account: AccountId,
    /// For how much.
    pub rate: AppliedRate,
    /// What that is in the currency that profit is counted in.
    pub report: Option<ReportRate>,
}

/// What is fixed when a call comes in and only told later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct CallContext {
    /// The account's site that it is from (J-18).
    pub site: Option<SiteId>,
    /// What its payers' currency is in the one that profit is counted in (R12).
    pub report: Option<ReportRate>,
}

/// An open call as its journal records tell it: enough to settle it after a restart without
/// asking anything else. Kept by SQL for calls older than the journal's replayed tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenCall {
    /// The call.
    pub call: CallId,
    /// Who pays, and what is held of each.
    pub payers: Chain<Payer>,
    /// How it is priced.
    pub kind: CallKind,
    /// The destination after number translation.
    pub cld: Number,
    /// The caller after caller-ID policy.
    pub cli: Option<Number>,
    /// When it came in.
    pub at: Utc,
    /// Talk time since answer that is paid for.
    pub granted: Duration,
    /// No more will follow.
    pub is_final: bool,
    /// The newest slice's number.
    pub slice: u16,
    /// When the callee answered.
    pub answered_at: Option<Utc>,
    /// By which trunk.
    pub answered_by: Option<TrunkId>,
    /// What its carrier takes.
    pub carrier: Option<CarrierRate>,
    /// The ingress leg.
    pub origin: Origin,
    /// By which of the payers' rate groups.
    pub rate_choice: RateChoice,
    /// What is fixed and only told.
    pub context: CallContext,
    /// Where it goes (T7).
    pub location: Location,
}

impl OpenCall {
    /// For the database: the same versioned bytes as in the journal.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![crate::journal::VERSION];
        self.put(&mut out);
        out
    }

    /// The inverse of `encode`; any input is safe.
    pub fn decode(bytes: &[u8]) -> Result<OpenCall, DecodeError> {
        let mut from = Reader::new(bytes);
        crate::journal::check_version(&mut from)?;
        let call = OpenCall::take(&mut from)?;
        from.end()?;
        Ok(call)
    }

    /// The account that calls.
    pub fn account(&self) -> AccountId {
        self.payers.first.account
    }

    /// Who is credited with what the payer of this level pays.
    pub fn seller(&self, level: usize) -> AccountId {
        seller(&self.payers, level)
    }

    /// The reservation of one payer.
    pub(crate) fn reservation(&self, level: usize) -> (ReservationId, ReservationState) {
        let payer = self.payers.get(level).expect("a level of the call");
        let state = ReservationState {
            account: payer.account,
            seller: self.seller(level),
            amount: payer.reserved,
            slice: self.slice,
            newest: payer.newest,
            expires_at: NEVER,
        };
        (reservation(self.call, level), state)
    }
}

code_struct!(CarrierRate { trunk, account, rate } since 4 { report });
code_struct!(CallContext { site, report });
code_struct!(OpenCall {
    call,
    payers,
    kind,
    cld,
    cli,
    at,
    granted,
    is_final,
    slice,
    answered_at,
    answered_by,
    carrier,
    origin,
} since 3 { rate_choice } since 4 { context } since 7 { location });
code_struct!(Origin { subscriber, trunk, remote, sip_call_id, cli, cld } since 3 { is_withheld });
