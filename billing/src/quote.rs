//! What a call would cost and whether it would be let through, without touching any money: for
//! `tandem simulate`.

use std::time::Duration;

use vocabulary::{AuthorizeRequest, DecisionLine, Grant, Refused, Skipped, TrunkId};

use crate::MoneyError;
use crate::authorize::{CallTerms, call_terms, insufficient, opening_purse, reserved_line};
use crate::ledger::Ledger;
use crate::rating::{AppliedRate, Charge, RateBook, Talk, explain, max_talk};
use crate::slices::{self, CreditSettings};

/// A call as it would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// The rate that would apply.
    pub rate: AppliedRate,
    /// What would be reserved first.
    pub grant: Grant,
    /// The longest talk that the account can pay for now, if it is the only call.
    pub longest_talk: Duration,
    /// The price of the talk asked about, line by line.
    pub charge: Result<Charge, MoneyError>,
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
    let CallTerms { rate, carriers, skipped, mut decisions } =
        call_terms(ledger, book, settings, request)?;
    let view = crate::authorize::active(ledger, request.account)?;
    let slice = slices::first(settings, &rate, opening_purse(&view, request.at))
        .ok_or_else(|| insufficient(&rate, request.at, request.account, &view))?;
    decisions.push(reserved_line(request.account, &slice, rate.currency));
    let longest =
        max_talk(&rate, request.at, view.available(), 0, LONGEST_TALK_SECONDS).unwrap_or(0);
    let talk = Talk::answered(request.at, talk);
    Ok(Quote {
        charge: explain(&rate, &talk),
        rate,
        grant: Grant {
            talk_time: Duration::from_secs(slice.total_seconds.into()),
            is_final: slice.is_final,
        },
        longest_talk: Duration::from_secs(longest.into()),
        costs: carriers.iter().map(|c| (c.trunk, explain(&c.rate, &talk))).collect(),
        skipped,
        decisions,
    })
}
