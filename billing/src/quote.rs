//! What a call would cost and whether it would be let through, without touching any money: for
//! `tandem simulate`.

use std::time::Duration;

use vocabulary::{AuthorizeRequest, DecisionLine, Grant, Refused, Skipped, TrunkId};

use crate::MoneyError;
use crate::authorize::{CallTerms, call_terms, insufficient, reserved_line};
use crate::funding::{Payer, accounts, find_bundles, fund};
use crate::ledger::{BundleShare, Ledger, Locked};
use crate::rating::{AppliedRate, Charge, RateBook, Talk, explain, max_talk};
use crate::slices::{CreditSettings, Step};

/// A call as it would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// The rate that would apply.
    pub rate: AppliedRate,
    /// What would be reserved first.
    pub grant: Grant,
    /// The longest talk that the account and its resellers can pay for now, if it is the only call.
    pub longest_talk: Duration,
    /// The price of the talk asked about, line by line.
    pub charge: Result<Charge, MoneyError>,
    /// What each reseller would pay for it, the lowest first.
    pub upper: Vec<(vocabulary::AccountId, Result<Charge, MoneyError>)>,
    /// Each trunk that would be tried, in order, with its cost.
    pub costs: Vec<(TrunkId, Result<Charge, MoneyError>)>,
    /// Trunks that would be left out.
    pub skipped: Vec<Skipped>,
    /// The decisions as the call's record would show them.
    pub decisions: Vec<DecisionLine>,
}

/// The longest talk that is told: a year.
const LONGEST_TALK_SECONDS: u32 = 366 * 86_400;

/// Would this call be authorised now, and what would `talk` of it cost?
pub fn quote(
    ledger: &Ledger,
    book: &RateBook,
    settings: &CreditSettings,
    request: &AuthorizeRequest,
    talk: Duration,
) -> Result<Quote, Refused> {
    let CallTerms { mut payers, carriers, skipped, mut decisions, .. } =
        call_terms(ledger, book, settings, request)?;
    let locked = ledger.lock(&accounts(&payers));
    find_bundles(&locked, book, &mut payers, &request.cld, request.at);
    let funding = match fund(settings, &locked, &payers, request.at, Step::First) {
        Ok(funding) => funding,
        Err(level) => {
            let payer = payers.get(level).expect("a level of the call");
            let view = locked.account(payer.account).expect("looked at before");
            return Err(insufficient(level, payer, request.at, &view));
        }
    };
    let is_final = funding.is_final();
    for (level, (payer, raise)) in payers.iter_mut().zip(funding.raises.iter()).enumerate() {
        raise.add_to(payer);
        decisions.push(reserved_line(level, payer, funding.total_seconds, is_final));
    }
    let longest = payers.iter().map(|payer| longest_talk(&locked, payer, request)).min();
    let explained = |payer: &Payer| {
        let mut all = payer.clone();
        all.bundles = free_shares(&locked, payer);
        explain(&payer.rate, &all.talk(request.at, talk))
    };
    let cost = |rate: &AppliedRate| explain(rate, &Talk::answered(request.at, talk));
    Ok(Quote {
        rate: payers.first.rate.clone(),
        grant: Grant { talk_time: Duration::from_secs(funding.total_seconds.into()), is_final },
        longest_talk: Duration::from_secs(longest.unwrap_or(0).into()),
        charge: explained(&payers.first),
        upper: payers.upper.iter().map(|payer| (payer.account, explained(payer))).collect(),
        costs: carriers.iter().map(|c| (c.trunk, cost(&c.rate))).collect(),
        skipped,
        decisions,
    })
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
