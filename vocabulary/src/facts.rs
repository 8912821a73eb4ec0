//! What is known about a call when it ends, apart from its money: the raw material of its CDRs.

use std::net::SocketAddr;
use std::time::Duration;

use crate::{
    AccountId, CallId, CallKind, Location, Number, RateChoice, SubscriberId, TrunkId, Utc,
};

/// One reason in the life of a call, for `tandem why`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionLine {
    /// A stable word for machines: `rate_found`, `account_concurrency_exceeded`.
    pub code: &'static str,
    /// One sentence for an operator.
    pub sentence: String,
}

/// Which side of us a leg is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The call came to us on this leg.
    Ingress,
    /// We placed this leg.
    Egress,
}

/// Who ended a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// The calling side.
    Caller,
    /// The called side.
    Callee,
    /// We did: credit, limit, timer, operator, shutdown.
    Switch,
}

/// How a leg ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseFacts {
    /// The cause's stable word, e.g. `normal`, `busy`, `no_credit`, `node_lost`.
    pub cause: &'static str,
    /// Q.850 cause value.
    pub q850: u8,
    /// The final SIP status sent or received on this leg; 200 for an answered call.
    pub sip_status: u16,
    /// Who did it.
    pub by: Party,
}

/// One leg: our side of one dialog, or of one attempt that never became a dialog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegFacts {
    /// 0 is the ingress leg; egress attempts count from 1 in the order they were tried.
    pub index: u8,
    /// Which side.
    pub direction: Direction,
    /// Who pays for (ingress) or is paid for (egress) this leg, if known.
    pub account: Option<AccountId>,
    /// The subscriber at the other end, if it is one.
    pub subscriber: Option<SubscriberId>,
    /// The trunk at the other end, if it is one.
    pub trunk: Option<TrunkId>,
    /// The peer's address.
    pub remote: Option<SocketAddr>,
    /// The Call-ID of this leg's dialog.
    pub sip_call_id: String,
    /// The caller's number as it was on this leg.
    pub cli: String,
    /// The called number as it was on this leg.
    pub cld: String,
    /// INVITE received or sent.
    pub started_at: Utc,
    /// First 18x.
    pub ringing_at: Option<Utc>,
    /// 200 to the INVITE.
    pub answered_at: Option<Utc>,
    /// Final response or BYE.
    pub ended_at: Utc,
    /// Talk time by the monotonic clock, limited to the grant.
    pub talked: Duration,
    /// How it ended.
    pub release: ReleaseFacts,
    /// How sure the signer of the caller's number is, if the leg has a signature that is valid or ours.
    pub attestation: Option<Attestation>,
}

/// How sure the one who signs is that the caller may use the number (RFC 8588 section 4). What is surer
/// is less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attestation {
    /// A: a customer of the one who signs, who may use the number.
    Full,
    /// B: a customer; whether it may use the number is not known.
    Partial,
    /// C: the call came in from elsewhere.
    Gateway,
}

impl Attestation {
    /// All of them, the surest first.
    pub const ALL: [Attestation; 3] =
        [Attestation::Full, Attestation::Partial, Attestation::Gateway];

    /// `A`, `B` or `C`, as the claim `attest` has it.
    pub fn letter(self) -> &'static str {
        match self {
            Attestation::Full => "A",
            Attestation::Partial => "B",
            Attestation::Gateway => "C",
        }
    }

    /// The reverse of [`Attestation::letter`].
    pub fn from_letter(letter: &str) -> Option<Attestation> {
        Attestation::ALL.into_iter().find(|attestation| attestation.letter() == letter)
    }
}

/// One call, as its CDRs will tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallFacts {
    /// The call.
    pub call: CallId,
    /// The destination after number translation, if it got that far.
    pub cld: Option<Number>,
    /// The caller after caller-ID policy.
    pub cli: Option<Number>,
    /// The caller does not want to be known to the callee: `cli` is kept from its legs.
    pub is_withheld: bool,
    /// By which of the payer's rate groups the call was priced.
    pub rate_choice: RateChoice,
    /// Where it went (T7).
    pub location: Location,
    /// How it was priced, if it got that far.
    pub kind: Option<CallKind>,
    /// Ingress leg first.
    pub legs: Vec<LegFacts>,
    /// Why it was routed, priced or refused as it was, in order.
    pub decisions: Vec<DecisionLine>,
}

impl CallFacts {
    /// A call of which nothing is known yet.
    pub fn new(call: CallId) -> CallFacts {
        CallFacts {
            call,
            cld: None,
            cli: None,
            is_withheld: false,
            rate_choice: RateChoice::default(),
            location: Location::default(),
            kind: None,
            legs: Vec::new(),
            decisions: Vec::new(),
        }
    }
}
