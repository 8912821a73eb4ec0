//! What an account owes for a period, with taxes and as an invoice rounds (R7, R13). Nothing is booked.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Json, Router};
use billing::{MoneyMode, StatedTax, Sums, TaxRounding};
use serde::{Deserialize, Serialize};
use store::bill::{Bill, BillLine};
use store::directory::{Account, RateGroupRounding};
use store::moment::format_utc;
use vocabulary::Utc;

use crate::accounts::moment_in;
use crate::reports::zone;
use crate::{Api, Problem, Shared};

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/accounts/{name}/bill", get(bill))
}

/// Days begin where the account is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Span {
    from: String,
    till: String,
}

#[derive(Serialize)]
struct SumsOnWire {
    net: String,
    tax: String,
    gross: String,
}

impl From<Sums> for SumsOnWire {
    fn from(sums: Sums) -> SumsOnWire {
        let Sums { net, tax, gross } = sums;
        SumsOnWire { net: net.to_string(), tax: tax.to_string(), gross: gross.to_string() }
    }
}

#[derive(Serialize)]
struct LineOnWire {
    kind: &'static str,
    label: String,
    count: u64,
    billed_seconds: u64,
    /// The sum of the postings, not rounded.
    posted: String,
    #[serde(flatten)]
    sums: SumsOnWire,
    /// In words; null: none.
    taxes: Option<String>,
}

#[derive(Serialize)]
struct OtherOnWire {
    kind: &'static str,
    label: String,
    count: u64,
    posted: String,
}

#[derive(Serialize)]
struct TaxOnWire {
    name: String,
    percent: String,
    exempt: Option<String>,
    base: String,
    amount: String,
}

impl From<StatedTax> for TaxOnWire {
    fn from(stated: StatedTax) -> TaxOnWire {
        TaxOnWire {
            name: stated.tax.name,
            percent: stated.tax.rate.to_string(),
            exempt: stated.tax.exempt,
            base: stated.base.to_string(),
            amount: stated.amount.to_string(),
        }
    }
}

#[derive(Serialize)]
struct BillOnWire {
    account: String,
    currency: String,
    from: String,
    till: String,
    rounding: &'static str,
    decimals: u8,
    tax_rounding: &'static str,
    opening: String,
    lines: Vec<LineOnWire>,
    /// Total less the lines as they are shown.
    rounding_difference: SumsOnWire,
    taxes: Vec<TaxOnWire>,
    total: SumsOnWire,
    /// The postings of all lines; with `tax_on_top` and `rounded_off` they are the gross total.
    posted: String,
    tax_on_top: String,
    rounded_off: String,
    /// What else moved the balance: payments, and what it earned as a carrier.
    others: Vec<OtherOnWire>,
    closing: String,
}

impl BillOnWire {
    fn new(account: Account, from: Utc, till: Utc, bill: Bill) -> BillOnWire {
        let Bill { rounding, opening, lines, stated, others, closing } = bill;
        let shown = lines.into_iter().zip(stated.lines).map(|(line, sums)| LineOnWire {
            kind: line.kind.as_str(),
            label: line.label,
            count: line.count,
            billed_seconds: line.billed_seconds,
            posted: line.posted.to_string(),
            sums: sums.into(),
            taxes: line.taxes.map(|taxes| taxes.names()),
        });
        let other = |line: BillLine| OtherOnWire {
            kind: line.kind.as_str(),
            label: line.label,
            count: line.count,
            posted: line.posted.to_string(),
        };
        BillOnWire {
            account: account.name,
            currency: account.currency,
            from: format_utc(from),
            till: format_utc(till),
            rounding: word(rounding.money.mode).as_str(),
            decimals: rounding.money.decimals,
            tax_rounding: match rounding.taxes {
                TaxRounding::Line => "line",
                TaxRounding::Total => "total",
            },
            opening: opening.to_string(),
            lines: shown.collect(),
            rounding_difference: stated.rounding.into(),
            taxes: stated.taxes.into_iter().map(TaxOnWire::from).collect(),
            total: stated.total.into(),
            posted: stated.posted.to_string(),
            tax_on_top: stated.tax_on_top.to_string(),
            rounded_off: stated.rounded_off.to_string(),
            others: others.into_iter().map(other).collect(),
            closing: closing.to_string(),
        }
    }
}

fn word(mode: MoneyMode) -> RateGroupRounding {
    match mode {
        MoneyMode::Up => RateGroupRounding::Up,
        MoneyMode::Down => RateGroupRounding::Down,
        MoneyMode::HalfUp => RateGroupRounding::HalfUp,
        MoneyMode::HalfEven => RateGroupRounding::HalfEven,
    }
}

async fn bill(
    State(api): Shared,
    Path(name): Path<String>,
    Query(span): Query<Span>,
) -> Result<Json<BillOnWire>, Problem> {
    let account = api.store.account(&name).await?;
    let zone = zone(Some(&account.time_zone))?;
    let from = moment_in("from", &span.from, zone.as_deref())?;
    let till = moment_in("till", &span.till, zone.as_deref())?;
    if till <= from {
        return Err(Problem::invalid("till", "write a moment after from"));
    }
    api.control.catch_up().await;
    let bill = api.store.bill(&account, from, till).await?;
    Ok(Json(BillOnWire::new(account, from, till, bill)))
}
