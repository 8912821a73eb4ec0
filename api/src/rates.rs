//! Rate groups and the sheets imported into them.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use billing::RateGroupId;
use serde::Deserialize;
use store::directory::{RateGroup, RateGroupRounding};
use store::rate_deck::{SheetFaults, read_sheet};

use crate::accounts::{moment, parsed};
use crate::command::{Command, Stop, Touched};
use crate::problem::RowProblem;
use crate::wire::{self, List};
use crate::{Problem, Shared};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewGroup {
    name: String,
    currency: String,
    #[serde(default)]
    rounding: Option<String>,
    #[serde(default)]
    decimals: Option<u8>,
}

pub(crate) async fn list_groups(
    State(api): Shared,
) -> Result<Json<List<wire::RateGroup>>, Problem> {
    let groups = api.store.rate_groups().await?;
    Ok(Json(List { items: groups.into_iter().map(wire::RateGroup::from).collect() }))
}

pub(crate) async fn add_group(State(api): Shared, command: Command) -> Result<Response, Stop> {
    let new: NewGroup = command.json()?;
    let rounding = match &new.rounding {
        Some(word) => parsed("rounding", word)?,
        None => RateGroupRounding::Up,
    };
    let group = RateGroup {
        id: 0,
        name: new.name,
        currency: new.currency,
        rounding,
        decimals: new.decimals.unwrap_or(6),
        rate_count: 0,
    };
    let mut turn = api.begin(&command).await?;
    let group = turn.change.add_rate_group(group).await?;
    api.finish(turn, Touched::Directory, 201, &wire::RateGroup::from(group)).await
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

pub(crate) async fn list_sheets(State(api): Shared) -> Result<Json<List<wire::Sheet>>, Problem> {
    let sheets = api.store.sheets().await?;
    Ok(Json(List { items: sheets.into_iter().map(wire::Sheet::from).collect() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Import {
    #[serde(default = "unnamed")]
    file: String,
    #[serde(default)]
    preview: bool,
    valid_from: Option<String>,
}

fn unnamed() -> String {
    "sheet.csv".to_owned()
}

/// A sheet as CSV in the body: read, counted, and, unless it is a preview, stored whole.
pub(crate) async fn import(
    State(api): Shared,
    Path(name): Path<String>,
    Query(import): Query<Import>,
    command: Command,
) -> Result<Response, Stop> {
    let now = api.control.now();
    let valid_from = moment("valid_from", import.valid_from.as_deref(), now)?;
    let group = api.store.rate_group(&name).await?;
    let (body, file) = (command.body.clone(), import.file.clone());
    let read = tokio::task::spawn_blocking(move || read_sheet(&body, &file, valid_from));
    let sheet = read.await.expect("reading a sheet does not panic").map_err(faulty)?;

    let snapshot = api.queue().await;
    let id = RateGroupId(u32::try_from(group.id).unwrap_or(u32::MAX));
    let before = snapshot.rate_book.group(id).cloned();
    let counted = tokio::task::spawn_blocking(move || {
        let counts = sheet.counts(before.as_deref());
        (sheet, counts)
    });
    let (sheet, counts) = counted.await.expect("counting a sheet does not panic");
    if import.preview {
        let rows = sheet.rows.len() as u64;
        let wire = wire::Sheet::preview(&group.name, &sheet.file, rows, counts);
        return Ok(axum::response::IntoResponse::into_response(Json(wire)));
    }
    let mut turn = api.begin_in(snapshot, &command).await?;
    let stored = turn.change.add_sheet(&group, &sheet, counts, now).await?;
    api.finish(turn, Touched::Rates(group.id), 201, &wire::Sheet::from(stored)).await
}

fn faulty(faults: SheetFaults) -> Problem {
    let rows = faults.faults.iter().map(|fault| RowProblem {
        row: fault.line,
        column: fault.column.clone(),
        detail: fault.what.clone(),
    });
    let what =
        if faults.total == 1 { "a fault".to_owned() } else { format!("{} faults", faults.total) };
    let detail = format!("{} has {what}; nothing was imported", faults.file);
    Problem::new(422, "invalid_sheet", detail).with_rows(rows.collect())
}
