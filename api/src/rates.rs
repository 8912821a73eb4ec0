//! Rate groups and their rates.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value};
use store::directory::{DurationRounding, RateGroup, Rounding};
use store::moment::format_utc;

use crate::accounts::parsed;
use crate::command::{Command, Stop, Touched};
use crate::wire::{self, List, nullable};
use crate::{Problem, Shared};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRounding {
    mode: String,
    decimals: u8,
}

impl WrittenRounding {
    fn read(self, field: &str) -> Result<Rounding, Problem> {
        let mode = parsed(&format!("{field}.mode"), &self.mode)?;
        Ok(Rounding { mode, decimals: self.decimals })
    }
}

/// What is common to the rates of a group.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupChange {
    /// Only of a group that is added.
    name: Option<String>,
    currency: Option<String>,
    rounding: Option<String>,
    decimals: Option<u8>,
    #[serde(default, deserialize_with = "nullable")]
    line_rounding: Option<Option<WrittenRounding>>,
    invoice_rounding: Option<WrittenRounding>,
    tax_rounding: Option<String>,
    prices_include_tax: Option<bool>,
    rate_by: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    duration_rounding: Option<Option<String>>,
    /// Terms by their names; `null` takes one away.
    #[serde(default)]
    defaults: Map<String, Value>,
}

impl GroupChange {
    fn apply(self, group: &mut RateGroup) -> Result<(), Problem> {
        if let Some(word) = &self.rounding {
            group.rounding.mode = parsed("rounding", word)?;
        }
        group.rounding.decimals = self.decimals.unwrap_or(group.rounding.decimals);
        if let Some(line) = self.line_rounding {
            group.line = line.map(|line| line.read("line_rounding")).transpose()?;
        }
        if let Some(invoice) = self.invoice_rounding {
            group.invoice = invoice.read("invoice_rounding")?;
        }
        if let Some(word) = &self.tax_rounding {
            group.tax = parsed("tax_rounding", word)?;
        }
        group.prices_include_tax = self.prices_include_tax.unwrap_or(group.prices_include_tax);
        if let Some(word) = &self.rate_by {
            group.rate_by = parsed("rate_by", word)?;
        }
        if let Some(word) = self.duration_rounding {
            let read = |word: String| parsed::<DurationRounding>("duration_rounding", &word);
            group.duration = word.map(read).transpose()?;
        }
        let Value::Object(defaults) = &mut group.defaults else { return Ok(()) };
        for (name, value) in self.defaults {
            match value {
                Value::Null => defaults.remove(&name),
                value => defaults.insert(name, value),
            };
        }
        Ok(())
    }
}

pub(crate) async fn list_groups(
    State(api): Shared,
) -> Result<Json<List<wire::RateGroup>>, Problem> {
    let groups = api.store.rate_groups().await?;
    Ok(Json(List { items: groups.into_iter().map(wire::RateGroup::from).collect() }))
}

pub(crate) async fn show_group(
    State(api): Shared,
    Path(name): Path<String>,
) -> Result<Json<wire::RateGroup>, Problem> {
    Ok(Json(api.store.rate_group(&name).await?.into()))
}

pub(crate) async fn add_group(State(api): Shared, command: Command) -> Result<Response, Stop> {
    let new: GroupChange = command.json()?;
    let missing = |field| Problem::invalid(field, "write one");
    let name = new.name.as_deref().ok_or_else(|| missing("name"))?;
    let currency = new.currency.as_deref().ok_or_else(|| missing("currency"))?;
    let mut group = RateGroup::new(name, currency);
    new.apply(&mut group)?;
    let mut turn = api.begin(&command).await?;
    let group = turn.change.add_rate_group(group).await?;
    api.finish(turn, Touched::Directory, 201, &wire::RateGroup::from(group)).await
}

/// What is common to the rates of a group; for calls that come in from now on.
pub(crate) async fn set_group(
    State(api): Shared,
    Path(name): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let change: GroupChange = command.json()?;
    for (field, is_said) in
        [("name", change.name.is_some()), ("currency", change.currency.is_some())]
    {
        if is_said {
            let what = "stays as it is: accounts and prices are by it; add another group";
            return Err(Problem::invalid(field, what).into());
        }
    }
    let mut turn = api.begin(&command).await?;
    let mut group = turn.change.rate_group(&name).await?;
    change.apply(&mut group)?;
    turn.change.set_rate_group(&group).await?;
    api.finish(turn, Touched::Directory, 200, &wire::RateGroup::from(group)).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    #[serde(default)]
    prefix: String,
    limit: Option<usize>,
}

pub(crate) async fn list(
    State(api): Shared,
    Path(name): Path<String>,
    Query(which): Query<Which>,
) -> Result<Json<List<wire::Rate>>, Problem> {
    let group = api.store.rate_group(&name).await?;
    let limit = which.limit.unwrap_or(100).min(10_000);
    let rates = api.store.rates(&group, which.prefix.trim_start_matches('+'), limit).await?;
    Ok(Json(List { items: rates.into_iter().map(wire::Rate::from).collect() }))
}

/// Writes all rates of a group to the table `listed_rate`, for those who read with SQL (V-27).
pub(crate) async fn list_for_sql(
    State(api): Shared,
    Path(name): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let mut turn = api.begin(&command).await?;
    let group = turn.change.rate_group(&name).await?;
    let listing = turn.change.list_rates(&group, api.control.now()).await?;
    let answer = serde_json::json!({
        "rate_group": listing.group,
        "rows": listing.rows,
        "listed_at": format_utc(listing.listed_at),
    });
    api.finish(turn, Touched::Layouts, 200, &answer).await
}
