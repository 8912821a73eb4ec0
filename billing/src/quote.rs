//! What a call would cost and whether it would be let through, without touching any money: for
//! `tandem simulate` (O3).

use std::time::Duration;

use vocabulary::{
    AccountId, AuthorizeRequest, DecisionLine, Grant, Refused, Skipped, TrunkId, Utc,
};

use crate::authorize::{CallTerms, find_terms, insufficient, rate_left_out, reserved_line};
use crate::call_state::CarrierRate;
use crate::chain::Chain;
use crate::credit_control::turn;
use crate::funding::{Payer, accounts, find_bundles, fund};
use crate::ledger::{BundleShare, Ledger, Locked};
use crate::rating::{AppliedRate, Charge, RateBook, Talk, explain, max_talk};
use crate::slices::{CreditSettings, Step};
use crate::{Currency, Money, MoneyError, ReportRate};

/// A call as it would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// What would be reserved first, or why the call would be refused. A refused call has prices too,
    /// as far as there are rates.
    pub grant: Result<Grant, Refused>,
    /// The longest talk that all who pay can pay for now, if it is their only call; `None` if one of
    /// them has no rate.
    pub longest_talk: Option<Duration>,
    /// Who would pay: the account that calls, then its resellers up to the top. Empty if one of them
    /// has no rate.
    pub payers: Vec<QuotedPayer>,
    /// The carriers that would be tried, in that order, then those left out.
    pub carriers: Vec<QuotedCarrier>,
    /// The decisions as the call's record would show them.
    pub decisions: Vec<DecisionLine>,
}

/// What one payer would pay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotedPayer {
    /// Who.
    pub account: AccountId,
    /// By which rate.
    pub rate: AppliedRate,
    /// The price of the talk asked about, line by line.
    pub charge: Result<Charge, MoneyError>,
    /// What a reseller would keep of what its customer pays, without taxes; negative at a loss. `None` for the account
    /// that calls, which sells to nobody.
    pub profit: Option<Money>,
}

/// What one carrier would take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotedCarrier {
    /// The trunk.
    pub trunk: TrunkId,
    /// Who is paid.
    pub account: AccountId,
    /// Its price of the talk asked about and the currency; `None` if it has no rate for the call.
    pub cost: Option<(Result<Charge, MoneyError>, Currency)>,
    /// What would be left to us of what the highest payer pays, as reports count it; `None` without a
    /// cost or without an exchange rate.
    pub profit: Option<(Money, Currency)>,
    /// Why it would not be tried.
    pub left_out: Option<DecisionLine>,
}

/// The longest talk that is told: a year.
const LONGEST_TALK_SECONDS: u32 = 366 * 86_400;

/// Would this call be authorised now, and what would `talk` of it cost everybody? `now` is the moment
/// of the question, whose day and month bound spending; the call may be of another.
pub fn quote(
    ledger: &Ledger,
    book: &RateBook,
    settings: &CreditSettings,
    now: Utc,
    request: &AuthorizeRequest,
    talk: Duration,
) -> Quote {
    let mut decisions = Vec::new();
    let terms = find_terms(ledger, book, settings, request, &mut decisions);
    let CallTerms { mut payers, carriers, skipped, context, refusal } = match terms {
        Ok(terms) => terms,
        Err(refused) => {
            let (payers, carriers) = (Vec::new(), Vec::new());
            return Quote { grant: Err(refused), longest_talk: None, payers, carriers, decisions };
        }
    };
    let mut locked = ledger.lock(&accounts(&payers));
    turn(&mut locked, book, &payers, now);
    find_bundles(&locked, book, &mut payers, request);
    let longest = payers.iter().map(|payer| longest_talk(&locked, payer, request)).min();
    let quoted = quoted_payers(&locked, &payers, request.at, talk);
    let grant = match refusal {
        Some(refused) => Err(refused),
        None => grant(settings, &locked, &mut payers, request.at, &mut decisions),
    };
    drop(locked);
    let top = quoted.last().expect("somebody pays");
    let revenue = Revenue { charge: &top.charge, report: context.report };
    let tried = carriers.iter().map(|carrier| revenue.carrier(carrier, request.at, talk));
    let paid = top.rate.currency;
    let left_out = skipped.into_iter().filter_map(|skipped| {
        let Skipped { trunk, reason } = skipped;
        let candidate = request.candidates.iter().find(|candidate| candidate.trunk == trunk)?;
        let rate = rate_left_out(ledger, book, request, candidate, paid);
        let mut quoted = match &rate {
            Some(rate) => revenue.carrier(rate, request.at, talk),
            None => QuotedCarrier::unpriced(trunk, candidate.carrier),
        };
        quoted.left_out = Some(reason);
        Some(quoted)
    });
    let carriers = tried.chain(left_out).collect();
    Quote {
        grant,
        longest_talk: longest.map(|seconds| Duration::from_secs(seconds.into())),
        carriers,
        payers: quoted,
        decisions,
    }
}

/// The first slice as it would be reserved.
fn grant(
    settings: &CreditSettings,
    locked: &Locked<'_>,
    payers: &mut Chain<Payer>,
    at: Utc,
    decisions: &mut Vec<DecisionLine>,
) -> Result<Grant, Refused> {
    let funding = fund(settings, locked, payers, at, Step::First).map_err(|level| {
        let payer = payers.get(level).expect("a level of the call");
        let view = locked.account(payer.account).expect("looked at before");
        insufficient(level, payer, at, &view)
    })?;
    let is_final = funding.is_final();
    for (level, (payer, raise)) in payers.iter_mut().zip(funding.raises.iter()).enumerate() {
        raise.add_to(payer);
        decisions.push(reserved_line(level, payer, funding.total_seconds, is_final));
    }
    Ok(Grant { talk_time: Duration::from_secs(funding.total_seconds.into()), is_final })
}

fn quoted_payers(
    locked: &Locked<'_>,
    payers: &Chain<Payer>,
    at: Utc,
    talk: Duration,
) -> Vec<QuotedPayer> {
    let mut below = None;
    let quoted = payers.iter().map(|payer| {
        let mut all = payer.clone();
        all.bundles = free_shares(locked, payer);
        let charge = explain(&payer.rate, &all.talk(at, talk));
        let amount = charge.as_ref().ok().and_then(|charge| charge.net().ok());
        // Levels of a chain are in one currency.
        let profit =
            below.zip(amount).and_then(|(from, to): (Money, Money)| from.checked_sub(to).ok());
        below = amount;
        QuotedPayer { account: payer.account, rate: payer.rate.clone(), charge, profit }
    });
    quoted.collect()
}

/// What the highest payer pays, and what that is in the currency that profit is counted in.
struct Revenue<'a> {
    charge: &'a Result<Charge, MoneyError>,
    report: Option<ReportRate>,
}

impl Revenue<'_> {
    fn carrier(&self, carrier: &CarrierRate, at: Utc, talk: Duration) -> QuotedCarrier {
        let CarrierRate { trunk, account, rate, report } = carrier;
        let cost = explain(rate, &Talk::answered(at, talk));
        let profit = cost.as_ref().ok().and_then(|cost| self.less(cost.amount, *report));
        let cost = Some((cost, rate.currency));
        QuotedCarrier { trunk: *trunk, account: *account, cost, profit, left_out: None }
    }

    fn less(&self, cost: Money, report: Option<ReportRate>) -> Option<(Money, Currency)> {
        let (ours, theirs) = (self.report?, report?);
        let charge = self.charge.as_ref().ok()?.net().ok()?;
        let profit = ours.convert_money(charge) - theirs.convert_money(cost);
        Some((Money(i64::try_from(profit).ok()?), ours.currency))
    }
}

impl QuotedCarrier {
    fn unpriced(trunk: TrunkId, account: AccountId) -> QuotedCarrier {
        QuotedCarrier { trunk, account, cost: None, profit: None, left_out: None }
    }
}

/// All that is free of the bundles that the call may use.
fn free_shares(locked: &Locked<'_>, payer: &Payer) -> Vec<BundleShare> {
    let free = |share: &BundleShare| {
        let seconds = locked.bundle(payer.account, share.bundle).map_or(0, |b| b.free());
        BundleShare { bundle: share.bundle, seconds }
    };
    payer.bundles.iter().map(free).collect()
}

fn longest_talk(locked: &Locked<'_>, payer: &Payer, request: &AuthorizeRequest) -> u32 {
    let available = locked.account(payer.account).map(|view| view.spendable());
    let bundle_seconds = free_shares(locked, payer)
        .iter()
        .fold(0_u32, |sum, share| sum.saturating_add(share.seconds));
    let available = available.unwrap_or_default();
    max_talk(&payer.rate, request.at, available, bundle_seconds, LONGEST_TALK_SECONDS).unwrap_or(0)
}
