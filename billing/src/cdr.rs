//! What is written when a call ends: one record a leg, everything known about it (S9).

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use vocabulary::{
    AccountId, Attestation, CallFacts, CallId, CallKind, DecisionLine, Direction, LegFacts,
    Location, Number, Party, RateChoice, SiteId, SubscriberId, TrunkId, Utc,
};

use crate::codec::{Code, DecodeError, Reader, code_struct, put_list, take_list};
use crate::rating::AppliedRate;
use crate::{Money, ReportRate};

/// The record of one leg. (call, leg) is unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cdr {
    /// The call.
    pub call: CallId,
    /// 0 is the ingress leg; egress attempts count from 1 in the order they were tried.
    pub leg: u8,
    /// Which side of us.
    pub direction: Direction,
    /// Who pays for (ingress) or is paid for (egress) it.
    pub account: Option<AccountId>,
    /// The subscriber at the other end.
    pub subscriber: Option<SubscriberId>,
    /// The trunk at the other end.
    pub trunk: Option<TrunkId>,
    /// The peer's address.
    pub remote: Option<SocketAddr>,
    /// The Call-ID of the leg's dialog.
    pub sip_call_id: String,
    /// The caller as it was on this leg.
    pub cli: String,
    /// The called number as it was on this leg.
    pub cld: String,
    /// The call's caller after caller-ID policy. `None` on the legs of callees who may not know it.
    pub normal_cli: Option<Number>,
    /// The call's destination after number translation: what was rated.
    pub normal_cld: Option<Number>,
    /// INVITE received or sent.
    pub started_at: Utc,
    /// First 18x.
    pub ringing_at: Option<Utc>,
    /// 200 to the INVITE.
    pub answered_at: Option<Utc>,
    /// Final response or BYE.
    pub ended_at: Utc,
    /// Talk time measured, limited to the grant.
    pub talked: Duration,
    /// What it cost; `None` if nothing was to be priced: an attempt that failed, or a leg that
    /// nobody pays for.
    pub charge: Option<CdrCharge>,
    /// What the resellers above the account pay for the call, the lowest first; on leg 0 only.
    pub upper: Vec<UpperCharge>,
    /// How it ended, as a stable word.
    pub cause: Cow<'static, str>,
    /// Q.850 cause value.
    pub q850: u8,
    /// The final SIP status.
    pub sip_status: u16,
    /// Who ended it.
    pub by: Party,
    /// Why the call went as it did; on leg 0 only.
    pub decisions: Vec<CdrLine>,
    /// By which of the payers' rate groups the call was priced.
    pub rate_choice: RateChoice,
    /// The account's site that the call is from; on leg 0 only (J-18).
    pub site: Option<SiteId>,
    /// What the sheet of the leg's rate calls the destination (J-14).
    pub destination: Option<String>,
    /// What the leg's money is in the currency that profit is counted in; `None` without an
    /// exchange rate, and for what was never rated.
    pub report: Option<ReportRate>,
    /// How the call was priced; `None`: it was refused before that was known, or the record is of a
    /// time when records did not say.
    pub kind: Option<CallKind>,
    /// How sure the signer of the caller's number is, if the leg has a signature that is valid or ours
    /// (S5).
    pub attestation: Option<Attestation>,
    /// Where the call went (T7).
    pub location: Location,
}

/// The money of one leg: a charge on an ingress leg, a cost on an egress leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CdrCharge {
    /// How much.
    pub amount: Money,
    /// Whole increments paid for with money.
    pub billed_seconds: u32,
    /// Seconds that bundles paid for.
    pub bundle_seconds: u32,
    /// Seconds that bundles could have paid for: held for the call, and fixed with it, so that it
    /// costs the same when it is priced again.
    pub bundle_allowance: u32,
    /// The rate used, its group, sheet version and roundings: enough to price the leg again.
    pub applied: AppliedRate,
}

/// What a reseller pays for a call of one of its customers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpperCharge {
    /// The reseller.
    pub account: AccountId,
    /// What it pays, by its own rate.
    pub charge: CdrCharge,
    /// What the sheet of that rate calls the destination.
    pub destination: Option<String>,
}

impl CdrCharge {
    /// For the database: the same versioned bytes as in the journal.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![crate::journal::VERSION];
        self.put(&mut out);
        out
    }

    /// The inverse of `encode`; any input is safe.
    pub fn decode(bytes: &[u8]) -> Result<CdrCharge, DecodeError> {
        let mut from = Reader::new(bytes);
        crate::journal::check_version(&mut from)?;
        let charge = CdrCharge::take(&mut from)?;
        from.end()?;
        Ok(charge)
    }
}

/// A decision as the CDR keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CdrLine {
    /// A stable word.
    pub code: Cow<'static, str>,
    /// One sentence.
    pub sentence: String,
}

impl From<DecisionLine> for CdrLine {
    fn from(line: DecisionLine) -> CdrLine {
        CdrLine { code: Cow::Borrowed(line.code), sentence: line.sentence }
    }
}

impl Cdr {
    /// The record of a leg, without money and decisions.
    pub(crate) fn of_leg(facts: &CallFacts, leg: LegFacts) -> Cdr {
        Cdr {
            call: facts.call,
            leg: leg.index,
            direction: leg.direction,
            account: leg.account,
            subscriber: leg.subscriber,
            trunk: leg.trunk,
            remote: leg.remote,
            sip_call_id: leg.sip_call_id,
            cli: leg.cli,
            cld: leg.cld,
            normal_cli: shown_cli(leg.direction, facts.cli, facts.is_withheld),
            normal_cld: facts.cld,
            started_at: leg.started_at,
            ringing_at: leg.ringing_at,
            answered_at: leg.answered_at,
            ended_at: leg.ended_at,
            talked: leg.talked,
            charge: None,
            upper: Vec::new(),
            cause: Cow::Borrowed(leg.release.cause),
            q850: leg.release.q850,
            sip_status: leg.release.sip_status,
            by: leg.release.by,
            decisions: Vec::new(),
            rate_choice: facts.rate_choice,
            site: None,
            destination: None,
            report: None,
            kind: facts.kind,
            attestation: leg.attestation,
            location: facts.location,
        }
    }

    /// Post-dial delay: INVITE to the first 18x, or to the answer if there was none.
    pub fn post_dial_delay(&self) -> Option<Duration> {
        self.ringing_at.or(self.answered_at).map(|at| at.since(self.started_at))
    }

    /// The digits that the rate matched: of the destination, or of where that is served.
    pub fn rated_prefix(&self) -> Option<&str> {
        let charge = self.charge.as_ref()?;
        let rated = charge.applied.rated_number(self.normal_cld.as_ref()?, &self.location);
        rated.as_str().get(..usize::from(charge.applied.prefix_length))
    }
}

/// The caller, on a leg of this side: whoever wants to stay unknown is known on its own side only.
pub(crate) fn shown_cli(
    direction: Direction,
    cli: Option<Number>,
    is_withheld: bool,
) -> Option<Number> {
    cli.filter(|_| direction == Direction::Ingress || !is_withheld)
}

code_struct!(CdrCharge { amount, billed_seconds, bundle_seconds, bundle_allowance, applied });
code_struct!(UpperCharge { account, charge } since 4 { destination });
code_struct!(CdrLine { code, sentence });

impl Code for Cdr {
    fn put(&self, out: &mut Vec<u8>) {
        self.call.put(out);
        self.leg.put(out);
        self.direction.put(out);
        self.account.put(out);
        self.subscriber.put(out);
        self.trunk.put(out);
        self.remote.put(out);
        self.sip_call_id.put(out);
        self.cli.put(out);
        self.cld.put(out);
        self.normal_cli.put(out);
        self.normal_cld.put(out);
        self.started_at.put(out);
        self.ringing_at.put(out);
        self.answered_at.put(out);
        self.ended_at.put(out);
        self.talked.put(out);
        self.charge.put(out);
        put_list(&self.upper, out);
        self.cause.put(out);
        self.q850.put(out);
        self.sip_status.put(out);
        self.by.put(out);
        put_list(&self.decisions, out);
        self.rate_choice.put(out);
        self.site.put(out);
        self.destination.put(out);
        self.report.put(out);
        self.kind.put(out);
        self.attestation.put(out);
        self.location.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Cdr, DecodeError> {
        Ok(Cdr {
            call: Code::take(from)?,
            leg: Code::take(from)?,
            direction: Code::take(from)?,
            account: Code::take(from)?,
            subscriber: Code::take(from)?,
            trunk: Code::take(from)?,
            remote: Code::take(from)?,
            sip_call_id: Code::take(from)?,
            cli: Code::take(from)?,
            cld: Code::take(from)?,
            normal_cli: Code::take(from)?,
            normal_cld: Code::take(from)?,
            started_at: Code::take(from)?,
            ringing_at: Code::take(from)?,
            answered_at: Code::take(from)?,
            ended_at: Code::take(from)?,
            talked: Code::take(from)?,
            charge: Code::take(from)?,
            upper: take_list(from)?,
            cause: Code::take(from)?,
            q850: Code::take(from)?,
            sip_status: Code::take(from)?,
            by: Code::take(from)?,
            decisions: take_list(from)?,
            rate_choice: from.since(3)?,
            site: from.since(4)?,
            destination: from.since(4)?,
            report: from.since(4)?,
            kind: from.since(5)?,
            attestation: from.since(7)?,
            location: from.since(7)?,
        })
    }
}
