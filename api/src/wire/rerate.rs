//! What pricing calls again does, and reports, on the wire.

use billing::{Change, DestinationChange, Effect, Money, Role};
use serde_json::{Value, json};
use store::moment::format_utc;
use store::query::CdrNames;
use store::report::{PastBalance, ProfitRow, QualityRow};
use store::rerate::{PastCharge, Run};
use switch::directory::Directory;
use vocabulary::AccountId;

use super::name_of;

/// Micro-units that may be more than one amount can hold.
fn decimal(micros: i128) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let size = micros.unsigned_abs();
    format!("{sign}{}.{:06}", size / 1_000_000, size % 1_000_000)
}

fn letters(code: [u8; 3]) -> String {
    String::from_utf8_lossy(&code).into_owned()
}

fn change(change: &Change) -> Value {
    json!({
        "calls": change.count,
        "changed": change.changed,
        "seconds": change.seconds,
        "before": decimal(change.before),
        "after": decimal(change.after),
        "difference": decimal(change.after - change.before),
    })
}

fn margin(change: &DestinationChange) -> Value {
    let DestinationChange { revenue, cost } = change;
    json!({
        "calls": revenue.count.max(cost.count),
        "seconds": revenue.seconds.max(cost.seconds),
        "revenue_before": decimal(revenue.before),
        "revenue_after": decimal(revenue.after),
        "cost_before": decimal(cost.before),
        "cost_after": decimal(cost.after),
        "profit_before": decimal(revenue.before - cost.before),
        "profit_after": decimal(revenue.after - cost.after),
    })
}

fn with(mut value: Value, fields: &[(&str, Value)]) -> Value {
    for (name, field) in fields {
        value[*name] = field.clone();
    }
    value
}

/// Sums before and after; destinations with the worst profit first.
pub(crate) fn effect(effect: &Effect, directory: &Directory) -> Value {
    let name = |account: AccountId| Value::from(name_of(account, directory));
    let payers = effect.payers.iter().map(|((account, level, code), sums)| {
        let of = [("account", name(*account)), ("level", (*level).into())];
        with(with(change(sums), &of), &[("currency", letters(*code).into())])
    });
    let carriers = effect.carriers.iter().map(|((account, code), sums)| {
        let of = [("account", name(*account)), ("currency", letters(*code).into())];
        with(change(sums), &of)
    });
    let mut worst: Vec<_> = effect.destinations.iter().collect();
    worst.sort_by_key(|(_, sums)| sums.revenue.after - sums.cost.after);
    let destinations = worst.into_iter().map(|((prefix, code), sums)| {
        let of = [("destination", prefix.as_str().into()), ("currency", letters(*code).into())];
        with(margin(sums), &of)
    });
    let totals = effect.totals();
    let totals = totals
        .iter()
        .map(|(code, sums)| with(margin(sums), &[("currency", letters(*code).into())]));
    let biggest = effect.biggest.iter().map(|big| {
        json!({
            "call": big.call.to_string(),
            "account": name(big.account),
            "as": if matches!(big.role, Role::Payer(_)) { "payer" } else { "carrier" },
            "before": big.before.to_string(),
            "after": big.after.to_string(),
            "difference": decimal(i128::from(big.after.0) - i128::from(big.before.0)),
            "currency": big.currency.to_string(),
        })
    });
    let orders = effect.orders.iter().map(|((prefix, [before, after]), calls)| {
        let names =
            |order: &[AccountId]| -> Vec<Value> { order.iter().map(|a| name(*a)).collect() };
        json!({
            "destination": prefix,
            "calls": calls,
            "before": names(before),
            "after": names(after),
        })
    });
    let refused = effect.refused.iter();
    let refused = refused.map(|(why, count)| json!({ "error_code": why.code(), "sides": count }));
    json!({
        "calls": effect.calls,
        "changed": effect.changed,
        "refused": refused.collect::<Vec<_>>(),
        "totals": totals.collect::<Vec<_>>(),
        "payers": payers.collect::<Vec<_>>(),
        "carriers": carriers.collect::<Vec<_>>(),
        "destinations": destinations.collect::<Vec<_>>(),
        "biggest": biggest.collect::<Vec<_>>(),
        "carrier_orders": orders.collect::<Vec<_>>(),
    })
}

/// A run as the tables know it.
pub(crate) fn run(run: &Run) -> Value {
    let selection: Value = serde_json::from_str(&run.selection).unwrap_or(Value::Null);
    json!({
        "run": run.id,
        "kind": if run.is_recycling { "recycle" } else { "rerate" },
        "preview": false,
        "state": run.state,
        "selection": selection,
        "reason": run.reason,
        "started_by": run.started_by,
        "started_at": format_utc(run.started_at),
        "ended_at": run.ended_at.map(format_utc),
        "calls": run.calls_seen,
        "written": run.calls_changed,
        "refused_sides": run.refused,
    })
}

/// What stood before.
pub(crate) fn past(past: &PastCharge, directory: &Directory) -> Value {
    json!({
        "generation": past.generation,
        "as": past.role,
        "level_or_leg": past.place,
        "account": name_of(past.account, directory),
        "run": past.run,
        "started_by": past.started_by,
        "reason": past.reason,
        "at": format_utc(past.at),
        "before": past.before.map(|amount| amount.to_string()),
        "after": past.after.map(|amount| amount.to_string()),
        "currency": past.currency,
        "error_code": past.error_code,
    })
}

/// A row of a profit report.
pub(crate) fn profit(row: &ProfitRow, directory: &Directory, names: &CdrNames) -> Value {
    let name = |account: Option<AccountId>| account.map(|id| name_of(id, directory));
    let percent = |hundredths: i64| {
        let sign = if hundredths < 0 { "-" } else { "" };
        format!("{sign}{}.{:02}", hundredths.abs() / 100, hundredths.abs() % 100)
    };
    json!({
        "period": row.period,
        "customer": name(row.customer),
        "carrier": name(row.carrier),
        "site": row.site.map(|id| names.sites.get(&id.0).cloned().unwrap_or(id.to_string())),
        "destination": row.destination,
        "destination_name": row.destination_name,
        "currency": row.currency,
        "calls": row.calls,
        "loss_calls": row.loss_calls,
        "split_calls": row.split_calls,
        "seconds": row.seconds,
        "revenue": row.revenue.to_string(),
        "cost": row.cost.to_string(),
        "profit": row.profit().to_string(),
        "margin_percent": row.margin().map(percent),
    })
}

/// A row of a quality report. Ratios are in tenths, as text.
pub(crate) fn quality(row: &QualityRow, directory: &Directory, names: &CdrNames) -> Value {
    let tenths = |over: u64, under: u64, times: u64| {
        let tenths = (over * times * 10).checked_div(under)?;
        Some(format!("{}.{}", tenths / 10, tenths % 10))
    };
    let trunk = directory.trunk(row.trunk).map(|trunk| trunk.name.clone());
    json!({
        "trunk": trunk.unwrap_or_else(|| row.trunk.to_string()),
        "friendly_name": names.trunks.get(&row.trunk.0),
        "carrier": row.carrier.map(|id| name_of(id, directory)),
        "destination": row.destination,
        "attempts": row.attempts,
        "answered": row.answered,
        "seconds": row.seconds,
        "asr_percent": tenths(row.answered, row.attempts, 100),
        "acd_s": tenths(row.seconds, row.answered, 1),
        "pdd_ms": row.delay_ms.checked_div(row.rang),
    })
}

/// A balance at a past moment.
pub(crate) fn balance(row: &PastBalance, directory: &Directory) -> Value {
    let text = |amount: Money| amount.to_string();
    json!({
        "account": row.account.0,
        "name": name_of(row.account, directory),
        "currency": row.currency,
        "received": text(row.received),
        "taken": text(row.taken),
        "balance": text(row.balance()),
    })
}
