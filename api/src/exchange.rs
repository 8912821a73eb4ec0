//! Exchange rates (R12).

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use billing::{Currency, ExchangeRate, Price};
use serde::{Deserialize, Serialize};
use store::directory::StoredExchange;
use store::moment::format_utc;

use crate::accounts::parsed;
use crate::command::{Command, Stop, Touched};
use crate::wire::List;
use crate::{Problem, Shared};

#[derive(Serialize)]
pub(crate) struct ExchangeOnWire {
    from: String,
    to: String,
    rate: String,
    set_at: String,
}

impl From<&StoredExchange> for ExchangeOnWire {
    fn from(exchange: &StoredExchange) -> ExchangeOnWire {
        ExchangeOnWire {
            from: exchange.from.to_string(),
            to: exchange.to.to_string(),
            rate: exchange.rate.rate().to_string(),
            set_at: format_utc(exchange.set_at),
        }
    }
}

pub(crate) async fn list(State(api): Shared) -> Result<Json<List<ExchangeOnWire>>, Problem> {
    let rates = api.store.exchange_rates().await?;
    Ok(Json(List { items: rates.iter().map(ExchangeOnWire::from).collect() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewExchange {
    from: String,
    to: String,
    rate: String,
}

/// Sets a rate, also one that is there.
pub(crate) async fn set(State(api): Shared, command: Command) -> Result<Response, Stop> {
    let asked: NewExchange = command.json()?;
    let rate: Price = parsed("rate", &asked.rate)?;
    let Some(rate) = ExchangeRate::new(rate) else {
        return Err(Problem::invalid("rate", "write a number above 0").into());
    };
    let exchange = StoredExchange {
        from: parsed("from", &asked.from)?,
        to: parsed("to", &asked.to)?,
        rate,
        set_at: api.control.now(),
    };
    let mut turn = api.begin(&command).await?;
    turn.change.set_exchange_rate(&exchange).await?;
    api.finish(turn, Touched::Directory, 200, &ExchangeOnWire::from(&exchange)).await
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportCurrency {
    /// Null: the currency of whoever pays for the call.
    currency: Option<String>,
}

/// What profit is counted in.
pub(crate) async fn show_report_currency(
    State(api): Shared,
) -> Result<Json<ReportCurrency>, Problem> {
    let currency = api.store.report_currency().await?;
    Ok(Json(ReportCurrency { currency: Some(currency).filter(|code| !code.is_empty()) }))
}

/// For calls that come in from now on: those before keep what was fixed for them.
pub(crate) async fn set_report_currency(
    State(api): Shared,
    command: Command,
) -> Result<Response, Stop> {
    let asked: ReportCurrency = command.json()?;
    let currency = asked.currency.as_deref().map(|code| parsed("currency", code)).transpose()?;
    let mut turn = api.begin(&command).await?;
    turn.change.set_report_currency(currency).await?;
    api.finish(turn, Touched::Directory, 200, &asked).await
}

pub(crate) async fn remove(
    State(api): Shared,
    Path((from, to)): Path<(String, String)>,
    command: Command,
) -> Result<Response, Stop> {
    let (from, to): (Currency, Currency) = (parsed("from", &from)?, parsed("to", &to)?);
    let mut turn = api.begin(&command).await?;
    turn.change.remove_exchange_rate(from, to).await?;
    let removed = serde_json::json!({ "removed": format!("{from} {to}") });
    api.finish(turn, Touched::Directory, 200, &removed).await
}
