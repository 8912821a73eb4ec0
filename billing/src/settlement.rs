//! What a call that is over is charged and costs, as postings. The same for a call that ended
//! before our eyes and for one that a restart found open.

use vocabulary::{AccountId, CallId, DecisionLine, Utc};

use crate::call_state::CarrierRate;
use crate::cdr::{CdrCharge, CdrLine};
use crate::ledger::{Posting, PostingKind, SystemAccount, SystemKind};
use crate::rating::{AppliedRate, Talk, explain};
use crate::{Currency, Money, OpId};

/// The paying side of a call.
pub(crate) struct Payer<'a> {
    pub(crate) account: AccountId,
    pub(crate) rate: &'a AppliedRate,
    pub(crate) talk: Talk,
}

/// The side that is paid: the leg, and the carrier on it.
pub(crate) struct Paid<'a> {
    pub(crate) leg: u8,
    pub(crate) carrier: &'a CarrierRate,
    pub(crate) talk: Talk,
}

/// The money of a call.
#[derive(Default)]
pub(crate) struct Settled {
    pub(crate) charge: Option<CdrCharge>,
    pub(crate) charge_posting: Option<Posting>,
    pub(crate) cost: Option<CdrCharge>,
    pub(crate) cost_posting: Option<Posting>,
    pub(crate) lines: Vec<CdrLine>,
}

/// Prices both sides.
pub(crate) fn settle(
    call: CallId,
    at: Utc,
    payer: Option<&Payer<'_>>,
    paid: Option<&Paid<'_>>,
) -> Settled {
    let mut settled = Settled::default();
    if let Some(payer) = payer
        && let Some(charge) = priced("charge", payer.rate, &payer.talk, &mut settled.lines)
    {
        settled.charge_posting = posting(call, at, &charge, Side::Charge(payer.account));
        settled.charge = Some(charge);
    }
    if let Some(Paid { leg, carrier, talk }) = paid
        && let Some(cost) = priced("cost", &carrier.rate, talk, &mut settled.lines)
    {
        settled.cost_posting = posting(call, at, &cost, Side::Cost(*leg, carrier.account));
        settled.cost = Some(cost);
    }
    settled
}

fn priced(
    side: &'static str,
    rate: &AppliedRate,
    talk: &Talk,
    lines: &mut Vec<CdrLine>,
) -> Option<CdrCharge> {
    let is_charge = side == "charge";
    match explain(rate, talk) {
        Ok(charge) => {
            let prefix = if is_charge { "Charge: " } else { "Cost: " };
            lines.extend(charge.lines.into_iter().map(|line| {
                let mut sentence = line.sentence;
                sentence.insert_str(0, prefix);
                CdrLine::from(DecisionLine { code: line.code, sentence })
            }));
            let Talk::Answered(_) = talk else { return None };
            let (amount, billed_seconds) = (charge.amount, charge.billed_seconds);
            Some(CdrCharge { amount, billed_seconds, applied: rate.clone() })
        }
        Err(why) => {
            let code = if is_charge { "charge_failed" } else { "cost_failed" };
            let sentence = format!("The {side} cannot be held: {why}.");
            lines.push(CdrLine::from(DecisionLine { code, sentence }));
            None
        }
    }
}

enum Side {
    Charge(AccountId),
    Cost(u8, AccountId),
}

/// `None` for an amount of zero: nothing moves.
fn posting(call: CallId, at: Utc, money: &CdrCharge, side: Side) -> Option<Posting> {
    let (amount, currency): (Money, Currency) = (money.amount, money.applied.currency);
    if amount.is_zero() {
        return None;
    }
    let ours = |kind| SystemAccount { kind, currency }.id();
    let (op, kind, debit, credit) = match side {
        Side::Charge(account) => {
            (OpId::charge(call, 0), PostingKind::Charge, account, ours(SystemKind::Revenue))
        }
        Side::Cost(leg, account) => {
            (OpId::cost(call, leg), PostingKind::Cost, ours(SystemKind::Cost), account)
        }
    };
    let call = Some(call);
    Some(Posting { op, kind, debit, credit, amount, currency, at, call, note: String::new() })
}
