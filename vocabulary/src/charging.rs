//! What `switch` asks of `billing` and what it hears back. No amount of money occurs here: the
//! switch knows time, not money.

use std::net::SocketAddr;
use std::time::Duration;

use crate::{
    AccountId, CallFacts, CallId, DecisionLine, DidId, Grant, Location, Number, SubscriberId,
    TrunkId, Utc,
};

/// Where the call comes from and goes to, as far as its price is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// To one of our own subscribers or DIDs: the account's local price applies.
    Local,
    /// To a carrier: the account's rate group is the charge, the carrier's is the cost.
    Egress,
    /// From outside to this DID: the account that has it pays, by the price of the DID.
    Inbound(DidId),
    /// From equipment of ours to one of our own: part of a call that was priced where it came in
    /// (P-607). It costs nothing.
    Internal,
    /// No call but a message (RFC 3428), to a carrier: the account's rate group for messages is the
    /// charge, the carrier's is the cost.
    Message,
    /// A message to one of our own: the account's rate group for messages is the charge.
    LocalMessage,
}

impl CallKind {
    /// The word in the database.
    pub fn word(self) -> &'static str {
        match self {
            CallKind::Local => "local",
            CallKind::Egress => "egress",
            CallKind::Inbound(_) => "inbound",
            CallKind::Internal => "internal",
            CallKind::Message => "message",
            CallKind::LocalMessage => "local_message",
        }
    }

    /// Whether it is a message: it is priced once, and no talk of it.
    pub fn is_message(self) -> bool {
        matches!(self, CallKind::Message | CallKind::LocalMessage)
    }

    /// Whether a carrier takes it, and is paid for it.
    pub fn is_carried(self) -> bool {
        matches!(self, CallKind::Egress | CallKind::Message)
    }

    /// The DID whose price applies.
    pub fn did(self) -> Option<DidId> {
        match self {
            CallKind::Inbound(did) => Some(did),
            CallKind::Local
            | CallKind::Egress
            | CallKind::Internal
            | CallKind::Message
            | CallKind::LocalMessage => None,
        }
    }

    /// The kind with this word, and with this DID if it is one that has one.
    pub fn from_word(word: &str, did: Option<DidId>) -> Option<CallKind> {
        match (word, did) {
            ("local", None) => Some(CallKind::Local),
            ("egress", None) => Some(CallKind::Egress),
            ("inbound", Some(did)) => Some(CallKind::Inbound(did)),
            ("internal", None) => Some(CallKind::Internal),
            ("message", None) => Some(CallKind::Message),
            ("local_message", None) => Some(CallKind::LocalMessage),
            _ => None,
        }
    }
}

/// Which of the payer's rate groups prices a call to a carrier: chosen by what became of the
/// caller's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RateChoice {
    /// The rate group.
    #[default]
    Usual,
    /// The NON-CLI rate group, for calls whose caller's number is not one of the account's.
    NonCli,
}

impl RateChoice {
    /// The word in the database.
    pub fn word(self) -> &'static str {
        match self {
            RateChoice::Usual => "usual",
            RateChoice::NonCli => "non_cli",
        }
    }

    /// The choice with this word.
    pub fn from_word(word: &str) -> Option<RateChoice> {
        [RateChoice::Usual, RateChoice::NonCli].into_iter().find(|choice| choice.word() == word)
    }
}

/// A trunk that could carry the call, and whose account would be paid for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The trunk.
    pub trunk: TrunkId,
    /// The carrier's account.
    pub carrier: AccountId,
    /// Lower goes first; `billing` orders by cost only within one priority.
    pub priority: u16,
    /// Lower goes first within one priority, whatever it costs: by cost go those of one rank.
    pub rank: u16,
    /// Routing has left it out, but no worse than that: if all others cannot take the call for their
    /// prices, the standby of the lowest rank may.
    pub is_standby: bool,
}

impl Candidate {
    /// One that goes by cost among those of its priority.
    pub fn new(trunk: TrunkId, carrier: AccountId, priority: u16) -> Candidate {
        Candidate { trunk, carrier, priority, rank: 0, is_standby: false }
    }
}

/// May this account place this call, for how long, and by which carriers?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizeRequest {
    /// The call.
    pub call: CallId,
    /// Who pays.
    pub account: AccountId,
    /// How it is priced.
    pub kind: CallKind,
    /// The destination after number translation.
    pub cld: Number,
    /// The caller after caller-ID policy, whether or not the callee may see it: prices may depend on
    /// it (R11). `None` if there is none.
    pub cli: Option<Number>,
    /// By which of the account's rate groups.
    pub rate_choice: RateChoice,
    /// Where it goes: by it those price who go by jurisdictions or by where numbers are served (T7).
    pub location: Location,
    /// When the call came in: the rate in force is the one at this moment.
    pub at: Utc,
    /// For `Egress`: the trunks that routing allows. Empty for all others.
    pub candidates: Vec<Candidate>,
    /// The ingress leg, for the CDR of a call that this process does not live to end.
    pub origin: Origin,
}

impl AuthorizeRequest {
    /// A call as plain as can be: no caller, no candidates, the usual rates.
    pub fn new(
        call: CallId,
        account: AccountId,
        kind: CallKind,
        cld: Number,
        at: Utc,
    ) -> AuthorizeRequest {
        AuthorizeRequest {
            call,
            account,
            kind,
            cld,
            cli: None,
            rate_choice: RateChoice::default(),
            location: Location::default(),
            at,
            candidates: Vec::new(),
            origin: Origin::default(),
        }
    }
}

/// Where a call came from, as its ingress CDR tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The calling subscriber, if one calls.
    pub subscriber: Option<SubscriberId>,
    /// The trunk it came in by, if it did.
    pub trunk: Option<TrunkId>,
    /// The peer's address.
    pub remote: Option<SocketAddr>,
    /// The Call-ID of the ingress dialog.
    pub sip_call_id: String,
    /// The caller's number as received.
    pub cli: String,
    /// The called number as received.
    pub cld: String,
    /// The caller does not want to be known to the callee (RFC 3323).
    pub is_withheld: bool,
}

/// The call may go ahead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// What is reserved so far.
    pub grant: Grant,
    /// The candidates that may be used, cheapest first within each priority. Empty for calls that no
    /// carrier is paid for.
    pub egress: Vec<TrunkId>,
    /// The candidates left out, each with its reason.
    pub skipped: Vec<Skipped>,
    /// Sentences for the call's decision record (which rate, which price).
    pub decisions: Vec<DecisionLine>,
}

/// A candidate that billing left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The trunk.
    pub trunk: TrunkId,
    /// Code and sentence, for the decision record.
    pub reason: DecisionLine,
}

/// The call may not go ahead. The code names the reason; `switch` maps it to a SIP status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The payer's account is unknown, blocked or closed.
    AccountInactive(DecisionLine),
    /// The account has no rate group.
    NoRateGroup(DecisionLine),
    /// No rate covers the destination, or it is blocked in the rate sheet.
    NoRate(DecisionLine),
    /// Money for the connect fee and the first slice is not there.
    InsufficientCredit(DecisionLine),
    /// Every candidate trunk was left out (no cost rate, loss-making, carrier limit), or a reseller
    /// would lose by the call whoever carries it.
    NoCarrier(DecisionLine),
}

impl Refused {
    /// The reason.
    pub fn line(&self) -> &DecisionLine {
        match self {
            Refused::AccountInactive(line)
            | Refused::NoRateGroup(line)
            | Refused::NoRate(line)
            | Refused::InsufficientCredit(line)
            | Refused::NoCarrier(line) => line,
        }
    }
}

/// More talk time for a live call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtendRequest {
    /// The call.
    pub call: CallId,
}

/// The answer to an extension: the grant as it stands now, larger or final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// The call.
    pub call: CallId,
    /// The whole grant since answer.
    pub grant: Grant,
}

/// The call is over: charge what was talked, release the rest, write the CDRs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettleRequest {
    /// Talk time since answer, already limited to the grant; zero if never answered.
    pub talked: Duration,
    /// The egress trunk that answered, if one did.
    pub answered_by: Option<TrunkId>,
    /// Everything else the CDRs hold.
    pub facts: CallFacts,
}
