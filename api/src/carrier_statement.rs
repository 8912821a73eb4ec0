//! A carrier's own call records against ours (O13): read, paired, and told call by call with sums that
//! add up. Nothing is stored but, if it is said, how the carrier writes its records.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use billing::CdrCharge;
use serde::Deserialize;
use serde_json::Value;
use sheets::{OurCall, RejectedRow, Statement, StatementLayout, TheirCall, compare_statement};
use store::directory::Account;
use store::statement::CarrierLeg;
use vocabulary::Utc;

use crate::accounts::moment;
use crate::command::{Command, Stop, Touched};
use crate::rate_sheets::merged;
use crate::wire::{self, ComparedStatement};
use crate::{Api, Problem, Shared};

/// Calls of ours in one comparison.
const OURS_MAX: u32 = 5_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    carrier: String,
    #[serde(default = "unnamed")]
    file: String,
    from: Option<String>,
    till: Option<String>,
    /// Fields of a layout as JSON, over the carrier's.
    layout: Option<String>,
    /// differing, theirs_only, ours_only, rejected, matched; with commas between them.
    rows: Option<String>,
}

fn unnamed() -> String {
    "statement.csv".to_owned()
}

/// Reads the file in the body and compares it.
pub(crate) async fn compare(
    State(api): Shared,
    Query(asked): Query<Asked>,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let carrier = api.store.account(&asked.carrier).await?;
    let layout = layout_of(&api, &carrier, asked.layout.as_deref()).await?;
    let wanted = wire::statement_rows(asked.rows.as_deref())?;
    let (reading, currency) = (layout.clone(), carrier.currency.clone());
    let read =
        tokio::task::spawn_blocking(move || sheets::read_statement(&body, &reading, &currency));
    let mut statement =
        read.await.expect("reading a statement does not panic").map_err(|error| {
            Problem::new(422, "invalid_statement", format!("{}: {error}", asked.file))
        })?;
    let span = period(&asked, &mut statement)?;
    let window = i64::from(layout.window_seconds) * 1_000_000;
    let (first, last) = (Utc(span.0.0 - window), Utc(span.1.0.saturating_add(window)));
    api.control.catch_up().await;
    // A call that they count by its end may have begun long before.
    let first = match layout.time_of {
        sheets::TimeOf::End => Utc(first.0 - 86_400_000_000),
        _ => Utc(first.0 - 300_000_000),
    };
    let legs = api.store.carrier_legs(carrier.id, first, last, OURS_MAX).await?;
    if legs.len() > OURS_MAX as usize {
        let what =
            format!("more than {OURS_MAX} calls went to the carrier in this time; narrow it");
        return Err(Problem::invalid("till", what));
    }
    let compared = tokio::task::spawn_blocking(move || {
        let ours: Vec<OurCall> = legs.iter().map(|leg| our_call(leg, &layout)).collect();
        let comparison = compare_statement(&statement.calls, &ours, &layout, span);
        let all = ComparedStatement { statement, legs, comparison, layout, span };
        all.to_json(&asked.file, &carrier, &wanted)
    });
    Ok(Json(compared.await.expect("comparing statements does not panic")))
}

/// The carrier's layout, with what the request says over it.
async fn layout_of(
    api: &Api,
    carrier: &Account,
    over: Option<&str>,
) -> Result<StatementLayout, Problem> {
    let layout = api.store.statement_layout(carrier.id).await?.unwrap_or_default();
    let Some(text) = over else { return Ok(layout) };
    let fields = serde_json::from_str(text);
    merged(&layout, fields.map_err(|error| Problem::invalid("layout", error.to_string()))?)
}

/// The time that is compared: as it was asked for, or from the file's first call to its last. What
/// the file has outside of it is rejected, so that it is seen.
fn period(asked: &Asked, statement: &mut Statement) -> Result<(Utc, Utc), Problem> {
    let times = statement.calls.iter().map(|call| call.at.0);
    let (first, last) = (times.clone().min().unwrap_or(0), times.max().unwrap_or(0));
    let from = moment("from", asked.from.as_deref(), Utc(first))?;
    // Their times are to the second.
    let till = moment("till", asked.till.as_deref(), Utc(last + 1_000_000))?;
    if till < from {
        return Err(Problem::invalid("till", "is not after `from`; write a later moment"));
    }
    let is_inside = |call: &TheirCall| from <= call.at && call.at < till;
    let (inside, outside): (Vec<_>, Vec<_>) =
        std::mem::take(&mut statement.calls).into_iter().partition(is_inside);
    statement.calls = inside;
    let why = "its time is outside of the time that is compared; widen `from` and `till`";
    let rejected = outside.into_iter();
    statement.rejected.extend(rejected.map(|call| RejectedRow {
        row: call.row,
        line: call.line,
        why: why.to_owned(),
    }));
    statement.rejected.sort_by_key(|rejected| rejected.row);
    Ok((from, till))
}

fn our_call(leg: &CarrierLeg, layout: &StatementLayout) -> OurCall {
    let number = |text: &str| layout.number(text).unwrap_or_default();
    OurCall {
        started_at: leg.started_at,
        answered_at: leg.answered_at,
        ended_at: leg.ended_at,
        cli: number(&leg.cli),
        numbers: [number(&leg.cld), leg.destination.clone().unwrap_or_default()],
        talked: leg.talked,
        billed: leg.billed,
        price_nanos: leg.charge.as_ref().and_then(minute_price),
        cost_nanos: leg.cost.0.saturating_mul(1_000),
    }
}

/// Billionths a minute, if the call has one price in the currency that it is booked in.
pub(crate) fn minute_price(charge: &CdrCharge) -> Option<i64> {
    let applied = &charge.applied;
    let (price, unit) = match applied.special.as_deref() {
        None => (applied.rate.price, applied.rate.unit_seconds),
        Some(special) => match &*special.prices {
            [only] if only.steps.is_empty() && special.exchange.is_none() => {
                (only.price, only.unit_seconds)
            }
            _ => return None,
        },
    };
    (price.nanos().checked_mul(60)).map(|nanos| nanos / i64::from(unit.max(1)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

pub(crate) async fn show_layout(
    State(api): Shared,
    Path(carrier): Path<String>,
    Query(Nothing {}): Query<Nothing>,
) -> Result<Json<Value>, Problem> {
    let carrier = api.store.account(&carrier).await?;
    let layout = api.store.statement_layout(carrier.id).await?.unwrap_or_default();
    Ok(Json(wire::statement_layout(&carrier.name, &layout)))
}

/// Sets fields of a carrier's layout; the first time over the default.
pub(crate) async fn set_layout(
    State(api): Shared,
    Path(carrier): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let fields: Value = command.json()?;
    let carrier = api.store.account(&carrier).await?;
    let mut turn = api.begin(&command).await?;
    let before = api.store.statement_layout(carrier.id).await?.unwrap_or_default();
    let layout: StatementLayout = merged(&before, fields)?;
    turn.change.set_statement_layout(carrier.id, &layout, api.control.now()).await?;
    let answer = wire::statement_layout(&carrier.name, &layout);
    api.finish(turn, Touched::Layouts, 200, &answer).await
}
