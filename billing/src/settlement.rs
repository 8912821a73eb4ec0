//! What a call that is over is charged and costs, as postings. The same for a call that ended
//! before our eyes and for one that a restart found open.

use std::time::Duration;

use vocabulary::{AccountId, CallId, DecisionLine, Utc};

use crate::call_state::CarrierRate;
use crate::cdr::{CdrCharge, CdrLine, UpperCharge};
use crate::chain::{Chain, LEVELS_MAX};
use crate::funding::{Payer, accounts, reservation, seller, used_shares};
use crate::journal::BundleUse;
use crate::ledger::{
    BundleShare, Ledger, LedgerError, Locked, Outcome, Posting, PostingKind, SystemAccount,
    SystemKind, Use,
};
use crate::rating::{AppliedRate, Talk, explain};
use crate::{Money, OpId};

/// The paying side of a call.
pub(crate) struct Paying<'a> {
    pub(crate) call: CallId,
    pub(crate) payers: &'a Chain<Payer>,
    /// From when prices are looked up, and for how long the call talked; `None`: never answered.
    pub(crate) talked: Option<(Utc, Duration)>,
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
    pub(crate) upper: Vec<UpperCharge>,
    pub(crate) cost: Option<CdrCharge>,
    pub(crate) postings: Vec<Posting>,
    pub(crate) bundle_uses: Vec<BundleUse>,
    pub(crate) lines: Vec<CdrLine>,
}

/// Prices all sides.
pub(crate) fn settle(
    ledger: &Ledger,
    at: Utc,
    paying: &Paying<'_>,
    paid: Option<&Paid<'_>>,
) -> Settled {
    let mut settled = Settled::default();
    let payers = paying.payers;
    settled.postings.reserve_exact(payers.len() + usize::from(paid.is_some()));
    for (level, payer) in payers.iter().enumerate() {
        let talk = match paying.talked {
            Some((answered_at, lasted)) => payer.talk(answered_at, lasted),
            None => Talk::Unanswered,
        };
        let side = Side { payer: Some((level, payer)) };
        let Some(charge) = priced(side, &payer.rate, &talk, &mut settled.lines) else { continue };
        settled.use_bundles(ledger, level, payer, charge.bundle_seconds);
        settled.post(Posting {
            op: OpId::charge(paying.call, reservation(paying.call, level).level),
            kind: PostingKind::Charge,
            debit: payer.account,
            credit: seller(payers, level),
            amount: charge.amount,
            currency: charge.applied.currency,
            at,
            call: Some(paying.call),
            note: String::new(),
            tax: charge.applied.posting_tax(charge.amount),
        });
        if level == 0 {
            settled.charge = Some(charge);
        } else {
            let destination = None;
            settled.upper.push(UpperCharge { account: payer.account, charge, destination });
        }
    }
    if let Some(Paid { leg, carrier, talk }) = paid
        && let Some(cost) = priced(Side { payer: None }, &carrier.rate, talk, &mut settled.lines)
    {
        let currency = cost.applied.currency;
        settled.post(Posting {
            op: OpId::cost(paying.call, *leg),
            kind: PostingKind::Cost,
            debit: SystemAccount { kind: SystemKind::Cost, currency }.id(),
            credit: carrier.account,
            amount: cost.amount,
            currency,
            at,
            call: Some(paying.call),
            note: String::new(),
            tax: None,
        });
        settled.cost = Some(cost);
    }
    settled
}

impl Settled {
    /// An amount of zero moves nothing.
    fn post(&mut self, posting: Posting) {
        if !posting.amount.is_zero() {
            self.postings.push(posting);
        }
    }

    fn use_bundles(&mut self, ledger: &Ledger, level: usize, payer: &Payer, seconds: u32) {
        if seconds == 0 {
            return;
        }
        let (account, level) = (payer.account, u8::try_from(level).unwrap_or(u8::MAX));
        let shares = used_shares(&ledger.lock(&[account]), payer, seconds);
        // With several nodes it is known only behind the journal whether the others are used up.
        let others = payer.bundles.iter().filter(|held| {
            ledger.is_shared() && !shares.iter().any(|used| used.bundle == held.bundle)
        });
        let others: Vec<BundleShare> =
            others.map(|held| BundleShare { seconds: 0, ..*held }).collect();
        self.bundle_uses.extend(others.into_iter().map(|share| BundleUse {
            level,
            account,
            share,
        }));
        for share in shares {
            let BundleShare { bundle, seconds } = share;
            let sentence = format!("{seconds} s of bundle {bundle} of account {account} are used.");
            self.lines.push(CdrLine::from(DecisionLine { code: "bundle_used", sentence }));
            self.bundle_uses.push(BundleUse { level, account, share });
        }
    }
}

/// Closes the reservations of all payers and makes all postings, or none. The accounts and the
/// carrier are locked.
pub(crate) fn post(
    locked: &mut Locked<'_>,
    call: CallId,
    payers: &Chain<Payer>,
    settled: &Settled,
) -> Result<Outcome, LedgerError> {
    let shares: Chain<Vec<BundleShare>> = payers.map(|level, _| {
        let uses = settled.bundle_uses.iter().filter(|used| usize::from(used.level) == level);
        uses.map(|used| used.share).collect()
    });
    let is_charge = |posting: &&Posting| posting.kind == PostingKind::Charge;
    let charges = settled.postings.iter().take_while(is_charge).count();
    let (charges, linked) = settled.postings.split_at(charges);
    let made = |level: usize, payer: &Payer| {
        let id = reservation(call, level);
        let op = OpId::charge(call, id.level);
        let charge = charges.iter().find(|posting| posting.op == op);
        let bundles = shares.get(level).map_or(&[][..], Vec::as_slice);
        Use { id, account: payer.account, charge, bundles }
    };
    let mut uses = [made(0, &payers.first); LEVELS_MAX];
    for (level, payer) in payers.iter().enumerate().skip(1) {
        uses[level] = made(level, payer);
    }
    locked.post(&uses[..payers.len()], linked)
}

/// The payers' accounts and the carrier's.
pub(crate) fn locked<'a>(
    ledger: &'a Ledger,
    payers: &Chain<Payer>,
    carrier: Option<AccountId>,
) -> Locked<'a> {
    let mut all = [payers.first.account; LEVELS_MAX + 1];
    all[..LEVELS_MAX].copy_from_slice(&accounts(payers));
    all[LEVELS_MAX] = carrier.unwrap_or(payers.first.account);
    ledger.lock(&all)
}

/// Whose price it is: a payer's, or the carrier's.
#[derive(Clone, Copy)]
struct Side<'a> {
    payer: Option<(usize, &'a Payer)>,
}

impl Side<'_> {
    fn prefix(&self) -> String {
        match self.payer {
            None => "Cost".into(),
            Some((0, _)) => "Charge".into(),
            Some((level, payer)) => format!("Charge of reseller {} (level {level})", payer.account),
        }
    }
}

fn priced(
    side: Side<'_>,
    rate: &AppliedRate,
    talk: &Talk,
    lines: &mut Vec<CdrLine>,
) -> Option<CdrCharge> {
    let failed = if side.payer.is_some() { "charge_failed" } else { "cost_failed" };
    match explain(rate, talk) {
        Ok(charge) => {
            let prefix = side.prefix();
            lines.extend(charge.lines.into_iter().map(|line| {
                let mut sentence = String::with_capacity(prefix.len() + 2 + line.sentence.len());
                sentence.extend([prefix.as_str(), ": ", &line.sentence]);
                CdrLine::from(DecisionLine { code: line.code, sentence })
            }));
            let Talk::Answered(talk) = talk else { return None };
            let amount = limited(side, charge.amount, lines);
            Some(CdrCharge {
                amount,
                billed_seconds: charge.billed_seconds,
                bundle_seconds: charge.bundle_seconds,
                bundle_allowance: talk.bundle_seconds,
                applied: rate.clone(),
            })
        }
        Err(why) => {
            let sentence = format!("{} cannot be held: {why}.", side.prefix());
            lines.push(CdrLine::from(DecisionLine { code: failed, sentence }));
            None
        }
    }
}

/// No more than is held: a grant is paid for in full before it is given, so this changes nothing
/// unless a call was answered at another moment than billing was told.
fn limited(side: Side<'_>, amount: Money, lines: &mut Vec<CdrLine>) -> Money {
    let Some((_, payer)) = side.payer.filter(|(_, payer)| amount > payer.reserved) else {
        return amount;
    };
    let reserved = payer.reserved;
    let sentence = format!("{}: {amount} is more than the {reserved} held.", side.prefix());
    lines.push(CdrLine::from(DecisionLine { code: "charge_limited", sentence }));
    reserved
}
