//! Reports: profit (V-17), quality of carriers (O5), balances at a past moment.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use billing::Zone;
use serde::Deserialize;
use serde_json::Value;
use store::report::{Period, ProfitBy};

use crate::accounts::moment;
use crate::rerate::span_in;
use crate::wire::{self, List};
use crate::{Problem, Shared};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Span {
    from: Option<String>,
    till: Option<String>,
    /// customer, carrier, site, destination, day, month; with commas between them.
    by: Option<String>,
    /// Where days and months begin, those of `from` and `till` too.
    time_zone: Option<String>,
    /// Digits of the destination that attempts are told apart by.
    digits: Option<u8>,
}

fn profit_by(text: &str) -> Result<ProfitBy, Problem> {
    let mut by = ProfitBy::default();
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match word {
            "customer" => by.customer = true,
            "carrier" => by.carrier = true,
            "site" => by.site = true,
            "destination" => by.destination = true,
            "day" => by.period = Some(Period::Day),
            "month" => by.period = Some(Period::Month),
            _ => {
                let words =
                    "write customer, carrier, site, destination, day or month, commas between";
                return Err(Problem::invalid("by", words));
            }
        }
    }
    Ok(by)
}

/// A zone of the IANA database; UTC is none.
pub(crate) fn zone(name: Option<&str>) -> Result<Option<Arc<Zone>>, Problem> {
    let name = name.filter(|name| *name != "UTC");
    let zone = name.map(Zone::named).transpose();
    zone.map_err(|error| Problem::invalid("time_zone", error.to_string()))
}

/// Revenue, cost and profit of the calls begun in this stretch of time.
pub(crate) async fn profit(
    State(api): Shared,
    Query(asked): Query<Span>,
) -> Result<Json<List<Value>>, Problem> {
    let zone = zone(asked.time_zone.as_deref())?;
    let (from, till) = span_in(asked.from.as_deref(), asked.till.as_deref(), zone.as_deref())?;
    let by = profit_by(asked.by.as_deref().unwrap_or("customer"))?;
    api.control.catch_up().await;
    let rows = api.store.profit(from, till, by, zone.as_deref()).await?;
    let directory = api.snapshot().await.directory;
    let names = api.store.cdr_names().await?;
    let items = rows.iter().map(|row| wire::profit(row, &directory, &names));
    Ok(Json(List { items: items.collect() }))
}

/// ASR, ACD and PDD of what was offered to carriers.
pub(crate) async fn quality(
    State(api): Shared,
    Query(asked): Query<Span>,
) -> Result<Json<List<Value>>, Problem> {
    let zone = zone(asked.time_zone.as_deref())?;
    let (from, till) = span_in(asked.from.as_deref(), asked.till.as_deref(), zone.as_deref())?;
    let digits = asked.digits.unwrap_or(0).min(31);
    api.control.catch_up().await;
    let rows = api.store.quality(from, till, digits).await?;
    let directory = api.snapshot().await.directory;
    let names = api.store.cdr_names().await?;
    let items = rows.iter().map(|row| wire::quality(row, &directory, &names));
    Ok(Json(List { items: items.collect() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Moment {
    at: Option<String>,
}

/// Every account's balance from the postings before a moment, ours and resellers' too.
pub(crate) async fn balances(
    State(api): Shared,
    Query(asked): Query<Moment>,
) -> Result<Json<List<Value>>, Problem> {
    let at = moment("at", asked.at.as_deref(), api.control.now())?;
    api.control.catch_up().await;
    let rows = api.store.balances_at(at).await?;
    let directory = api.snapshot().await.directory;
    Ok(Json(List { items: rows.iter().map(|row| wire::balance(row, &directory)).collect() }))
}
