//! Lists of prefixes and numbers that block, allow or fence (T9).

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use store::directory::{Filling, StoredUse};
use switch::directory::Directory;
use switch::numbers::{ListEffect, ListKind, Listed};

use crate::command::{Command, Stop, Touched};
use crate::numbers::{OwnerOnWire, named, subject, word};
use crate::problem::RowProblem;
use crate::wire::{List, Page};
use crate::{Api, Problem, Shared};

/// Lines a page has.
const PAGE_MAX: u32 = 10_000;
/// Faults that one answer tells.
const FAULTS_MAX: usize = 100;

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/number-lists", get(list).post(add))
        .route("/number-lists/{name}", delete(remove))
        .route("/number-list-uses", get(uses).post(put_to_work))
        .route("/number-list-uses/{id}", delete(end_use))
}

#[derive(Serialize)]
struct ListOnWire {
    id: u64,
    name: String,
    kind: &'static str,
    /// How many lines.
    lines: usize,
    /// For how many owners it does something.
    uses: usize,
}

async fn list(State(api): Shared) -> Result<Json<List<ListOnWire>>, Problem> {
    let lists = api.store.number_lists().await?;
    let uses = api.store.number_list_uses().await?;
    let snapshot = api.snapshot().await;
    let items = lists.into_iter().map(|list| ListOnWire {
        id: list.id.0,
        kind: list.kind.word(),
        lines: snapshot.directory.number_list(list.id).map_or(0, |list| list.numbers.len()),
        uses: uses.iter().filter(|applied| applied.list.id == list.id).count(),
        name: list.name,
    });
    Ok(Json(List { items: items.collect() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewList {
    name: String,
    #[serde(default = "plain")]
    kind: String,
}

fn plain() -> String {
    ListKind::Plain.word().to_owned()
}

async fn add(State(api): Shared, command: Command) -> Result<Response, Stop> {
    let asked: NewList = command.json()?;
    let kinds = ListKind::ALL.map(ListKind::word).join(", ");
    let kind = word("kind", &asked.kind, ListKind::from_word, &kinds)?;
    let mut turn = api.begin(&command).await?;
    let now = api.control.now();
    let list = turn.change.add_number_list(&asked.name, kind, now).await?;
    let kind = kind.word();
    let list = ListOnWire { id: list.id.0, name: list.name, kind, lines: 0, uses: 0 };
    api.finish(turn, Touched::Directory, 201, &list).await
}

async fn remove(
    State(api): Shared,
    Path(name): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let mut turn = api.begin(&command).await?;
    turn.change.remove_number_list(&name).await?;
    api.finish(turn, Touched::Directory, 200, &serde_json::json!({ "removed": name })).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Span {
    after: Option<String>,
    limit: Option<u32>,
}

/// The lines of a list, in the order of their texts.
pub(crate) async fn lines(
    State(api): Shared,
    Path(name): Path<String>,
    Query(span): Query<Span>,
) -> Result<Json<Page<String>>, Problem> {
    let limit = span.limit.unwrap_or(1_000).clamp(1, PAGE_MAX);
    let after = span.after.unwrap_or_default();
    let items = api.store.number_list_lines(&name, &after, limit).await?;
    let next = items.last().filter(|_| items.len() >= limit as usize).cloned();
    Ok(Json(Page { items, next }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct How {
    #[serde(default = "add_word")]
    how: String,
}

fn add_word() -> String {
    "add".to_owned()
}

fn filling(text: &str) -> Option<Filling> {
    match text {
        "add" => Some(Filling::Add),
        "replace" => Some(Filling::Replace),
        "remove" => Some(Filling::Remove),
        _ => None,
    }
}

/// Lines as the body, one a row of text: all of them or none.
pub(crate) async fn fill(
    State(api): Shared,
    Path(name): Path<String>,
    Query(how): Query<How>,
    command: Command,
) -> Result<Response, Stop> {
    let filling = word("how", &how.how, filling, "add, replace, remove")?;
    let lines = read_lines(&command.body)?;
    let mut turn = api.begin(&command).await?;
    let count = turn.change.fill_number_list(&name, filling, &lines).await?;
    let filled = serde_json::json!({ "name": name, "lines": count });
    api.finish(turn, Touched::Directory, 200, &filled).await
}

/// Empty rows are passed over.
fn read_lines(body: &[u8]) -> Result<Vec<String>, Problem> {
    let text = std::str::from_utf8(body)
        .map_err(|_| Problem::new(422, "invalid_list", "the body is not UTF-8 text"))?;
    let mut lines = Vec::new();
    let mut faults = Vec::new();
    for (row, line) in (1_u64..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        match line.parse::<Listed>() {
            Ok(_) => lines.push(line.to_owned()),
            Err(fault) if faults.len() < FAULTS_MAX => {
                faults.push(RowProblem { row, column: String::new(), detail: fault.to_string() });
            }
            Err(_) => {}
        }
    }
    if !faults.is_empty() {
        let detail = "some rows are no prefix, so none was taken; mend them";
        return Err(Problem::new(422, "invalid_list", detail).with_rows(faults));
    }
    lines.sort_unstable();
    lines.dedup();
    Ok(lines)
}

#[derive(Serialize)]
struct UseOnWire {
    id: u64,
    list: String,
    account: Option<String>,
    trunk: Option<String>,
    subscriber: Option<String>,
    subject: &'static str,
    effect: &'static str,
}

impl UseOnWire {
    fn new(stored: StoredUse, directory: &Directory) -> UseOnWire {
        let OwnerOnWire { account, trunk, subscriber } = OwnerOnWire::of(stored.owner, directory);
        UseOnWire {
            id: stored.id,
            list: stored.list.name,
            account,
            trunk,
            subscriber,
            subject: stored.subject.word(),
            effect: stored.effect.word(),
        }
    }
}

async fn uses(State(api): Shared) -> Result<Json<List<UseOnWire>>, Problem> {
    let uses = api.store.number_list_uses().await?;
    let snapshot = api.snapshot().await;
    let uses = uses.into_iter().map(|applied| UseOnWire::new(applied, &snapshot.directory));
    Ok(Json(List { items: uses.collect() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUse {
    list: String,
    account: Option<String>,
    trunk: Option<String>,
    subscriber: Option<String>,
    subject: String,
    effect: String,
}

async fn put_to_work(State(api): Shared, command: Command) -> Result<Response, Stop> {
    let asked: NewUse = command.json()?;
    let effects = ListEffect::ALL.map(ListEffect::word).join(", ");
    let effect = word("effect", &asked.effect, ListEffect::from_word, &effects)?;
    let subject = subject(&asked.subject)?;
    let mut turn = api.begin(&command).await?;
    let owner = named(asked.account, asked.trunk, asked.subscriber);
    let owner = turn.change.number_owner(&owner).await?;
    let applied = turn.change.use_number_list(&asked.list, owner, subject, effect).await?;
    let applied = UseOnWire::new(applied, &turn.snapshot.directory);
    api.finish(turn, Touched::Directory, 201, &applied).await
}

async fn end_use(
    State(api): Shared,
    Path(id): Path<u64>,
    command: Command,
) -> Result<Response, Stop> {
    let mut turn = api.begin(&command).await?;
    let ended = turn.change.end_number_list_use(id).await?;
    let ended = UseOnWire::new(ended, &turn.snapshot.directory);
    api.finish(turn, Touched::Directory, 200, &ended).await
}
