//! Rate sheets: imported in any layout with a verdict for every row, compared, rolled back, exported,
//! and what changes for a customer.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sheets::{ExportError, FileForm, Layout, Reading, RowKind, Selection, Taking};
use store::directory::{ChangeError, RateGroup};
use store::rate_deck::{NewSheet, StoredSheet, fingerprint};
use vocabulary::Utc;

use crate::accounts::moment;
use crate::command::{Command, Stop, Touched};
use crate::problem::RowProblem;
use crate::wire::{self, List};
use crate::{Problem, Shared, sheet_pages};

/// Faults that are told one by one when nothing is imported.
const FAULTS_MAX: usize = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Import {
    #[serde(default = "unnamed")]
    file: String,
    #[serde(default)]
    pub(crate) preview: bool,
    valid_from: Option<String>,
    /// Whose layout to use.
    #[serde(default)]
    vendor: String,
    /// Fields of a layout as JSON, over the vendor's.
    layout: Option<String>,
    full: Option<bool>,
    /// Import although rows are rejected.
    #[serde(default)]
    skip_rejected: bool,
    /// Which verdicts to tell: `rejected` or `all`; else those with something to say.
    pub(crate) rows: Option<String>,
    /// Go on behind these: `verdicts_next` of the answer before.
    pub(crate) rows_after: Option<u64>,
    /// Which rates that change to tell: `all`, or `new`, `increase` and so on with commas between.
    pub(crate) moves: Option<String>,
    /// Go on behind this one: `moves_next` of the answer before.
    pub(crate) moves_after: Option<String>,
    /// Verdicts and changes in one answer.
    pub(crate) limit: Option<u32>,
}

fn unnamed() -> String {
    "sheet.csv".to_owned()
}

/// Reads a sheet, compares it, and, unless it is a preview, stores it whole.
pub(crate) async fn import(
    State(api): Shared,
    Path(name): Path<String>,
    Query(import): Query<Import>,
    command: Command,
) -> Result<Response, Stop> {
    let now = api.control.now();
    let valid_from = moment("valid_from", import.valid_from.as_deref(), now)?;
    let group = api.store.rate_group(&name).await?;
    let layout = layout_of(&api, &import.vendor, import.layout.as_deref(), import.full).await?;
    let (body, is_full, notice_days) = (command.body.clone(), layout.is_full, layout.notice_days);
    let (defaults, compared_by) = (group.shown_defaults()?, group.compared_by()?);
    let read = tokio::task::spawn_blocking(move || {
        sheets::interpret(&body, &layout, &defaults, valid_from)
    });
    let mut reading = read.await.expect("reading a sheet does not panic").map_err(|error| {
        Problem::new(
            422,
            "invalid_sheet",
            format!("{}: {error}; nothing was imported", import.file),
        )
    })?;
    check_currency(&import.file, &group, &reading)?;
    let is_refused = reading.tally.rejected > 0 && !import.skip_rejected && !import.preview;
    if is_refused {
        return Err(faulty(&import.file, &reading).into());
    }

    let snapshot = api.queue().await;
    let book = api.store.book(&group).await?;
    let taking = Taking { is_full, from: valid_from, now, notice_days };
    let compared = tokio::task::spawn_blocking(move || {
        let difference = sheets::compare(&book, &mut reading.deck, &compared_by, taking);
        (reading, difference)
    });
    let (reading, difference) = compared.await.expect("comparing sheets does not panic");
    let warnings = [reading.warnings.clone(), difference.warnings].concat();
    let told = sheet_pages::verdicts(&reading, &import)?;
    let moves = sheet_pages::moves(&difference.moves, &import)?;
    if import.preview {
        let stored =
            previewed(&group, &import, &reading, valid_from, is_full, difference.movements);
        let report = wire::SheetReport::new(stored, &reading, warnings, told, moves);
        return Ok(Json(report).into_response());
    }
    let sheet = NewSheet {
        file: &import.file,
        sha256: fingerprint(&command.body),
        vendor: &import.vendor,
        deck: &reading.deck,
        is_full,
        begins_at: valid_from,
        tally: reading.tally,
        movements: difference.movements,
    };
    let mut turn = api.begin_in(snapshot, &command).await?;
    let left_out = sheet_pages::left_out(&reading);
    let stored = turn.change.add_sheet(&group, &sheet, left_out, now).await?;
    let report = wire::SheetReport::new(stored, &reading, warnings, told, moves);
    api.finish(turn, Touched::Directory, 201, &report).await
}

/// The vendor's layout, with what the request says over it.
pub(crate) async fn layout_of(
    api: &crate::Api,
    vendor: &str,
    over: Option<&str>,
    full: Option<bool>,
) -> Result<Layout, Problem> {
    let mut layout = match api.store.layout(vendor).await {
        Ok(stored) => stored.layout,
        Err(ChangeError::NotFound { .. }) => Layout::default(),
        Err(error) => return Err(error.into()),
    };
    if let Some(text) = over {
        let fields = serde_json::from_str(text);
        let fields = fields.map_err(|error| Problem::invalid("layout", error.to_string()))?;
        layout = merged(&layout, fields)?;
    }
    layout.is_full = full.unwrap_or(layout.is_full);
    Ok(layout)
}

/// A sheet as it would be stored.
fn previewed(
    group: &RateGroup,
    import: &Import,
    reading: &Reading,
    begins_at: Utc,
    is_full: bool,
    movements: sheets::Movements,
) -> StoredSheet {
    StoredSheet {
        id: 0,
        group: group.name.clone(),
        file: import.file.clone(),
        vendor: import.vendor.clone(),
        imported_at: begins_at,
        begins_at,
        is_full,
        rolls_back: None,
        row_count: reading.deck.rows.len() as u64,
        tally: reading.tally,
        movements,
    }
}

/// A file that names another currency than its group has would be off by the exchange rate.
pub(crate) fn check_currency(
    file: &str,
    group: &RateGroup,
    reading: &Reading,
) -> Result<(), Problem> {
    match &reading.currency {
        Some(currency) if *currency != group.currency => {
            let (ours, name) = (&group.currency, &group.name);
            let detail = format!(
                "{file} has prices in {currency}, and the rate group {name} is in {ours}; nothing was \
                 imported; choose another group, or set `currency` in the layout if the file is wrong"
            );
            Err(Problem::new(422, "invalid_sheet", detail))
        }
        _ => Ok(()),
    }
}

pub(crate) fn faulty(file: &str, reading: &Reading) -> Problem {
    let mut rows = Vec::new();
    for (table, row, _) in reading.rows().filter(|(_, _, kind)| *kind == RowKind::Rejected) {
        let (report, cells) = (&reading.tables[table], &reading.workbook.tables[table]);
        rows.extend(report.notes_of(row).iter().map(|note| RowProblem {
            row: u64::from(cells.line(row)),
            column: wire::column(report, note.column),
            detail: note.text.clone(),
        }));
        if rows.len() >= FAULTS_MAX {
            break;
        }
    }
    let total = reading.tally.rejected;
    let what = if total == 1 { "a fault".to_owned() } else { format!("{total} rows with faults") };
    let detail = format!("{file} has {what}; nothing was imported");
    Problem::new(422, "invalid_sheet", detail).with_rows(rows)
}

/// Fields over a layout; `null` brings the default back.
pub(crate) fn merged<L: Serialize + DeserializeOwned>(
    layout: &L,
    fields: Value,
) -> Result<L, Problem> {
    let Value::Object(fields) = fields else {
        return Err(Problem::invalid("layout", "write an object such as {\"is_full\": true}"));
    };
    let mut all = serde_json::to_value(layout).expect("plain values are always JSON");
    for (name, value) in fields {
        match value {
            Value::Null => all.as_object_mut().and_then(|all| all.remove(&name)),
            value => all.as_object_mut().and_then(|all| all.insert(name, value)),
        };
    }
    serde_json::from_value(all).map_err(|error| Problem::invalid("layout", error.to_string()))
}

pub(crate) async fn list(State(api): Shared) -> Result<Json<List<wire::Sheet>>, Problem> {
    let sheets = api.store.sheets().await?;
    Ok(Json(List { items: sheets.into_iter().map(wire::Sheet::from).collect() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RollBack {
    at: Option<String>,
}

pub(crate) async fn roll_back(
    State(api): Shared,
    Path(id): Path<u64>,
    Query(when): Query<RollBack>,
    command: Command,
) -> Result<Response, Stop> {
    let now = api.control.now();
    let at = moment("at", when.at.as_deref(), now)?;
    let mut turn = api.begin(&command).await?;
    let (sheet, _) = turn.change.roll_back(id, at, now).await?;
    api.finish(turn, Touched::Directory, 201, &wire::Sheet::from(sheet)).await
}

pub(crate) async fn list_layouts(State(api): Shared) -> Result<Json<List<wire::Layout>>, Problem> {
    let layouts = api.store.layouts().await?;
    Ok(Json(List { items: layouts.into_iter().map(wire::Layout::from).collect() }))
}

pub(crate) async fn show_layout(
    State(api): Shared,
    Path(vendor): Path<String>,
) -> Result<Json<wire::Layout>, Problem> {
    Ok(Json(api.store.layout(&vendor).await?.into()))
}

/// Sets fields of a vendor's layout; the first time over the default.
pub(crate) async fn set_layout(
    State(api): Shared,
    Path(vendor): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let fields: Value = command.json()?;
    let mut turn = api.begin(&command).await?;
    let before = match api.store.layout(&vendor).await {
        Ok(stored) => stored.layout,
        Err(ChangeError::NotFound { .. }) => Layout::default(),
        Err(error) => return Err(error.into()),
    };
    let layout = merged(&before, fields)?;
    let stored = turn.change.set_layout(&vendor, &layout, api.control.now()).await?;
    api.finish(turn, Touched::Layouts, 200, &wire::Layout::from(stored)).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Export {
    #[serde(default = "csv")]
    format: String,
    at: Option<String>,
    #[serde(default)]
    future: bool,
    /// Under this vendor's headers.
    vendor: Option<String>,
    /// Terms that have no column there may be left out.
    #[serde(default)]
    partial: bool,
}

fn csv() -> String {
    "csv".to_owned()
}

/// The rates of a group at a moment, as a file.
pub(crate) async fn export(
    State(api): Shared,
    Path(name): Path<String>,
    Query(which): Query<Export>,
) -> Result<Response, Problem> {
    let at = moment("at", which.at.as_deref(), api.control.now())?;
    let group = api.store.rate_group(&name).await?;
    let selection = Selection { at, with_future: which.future };
    let book = api.store.book(&group).await?;
    if which.format == "json" {
        let head = group.head()?;
        let written =
            tokio::task::spawn_blocking(move || sheets::export_tariff(&book, selection, &head));
        let bytes = written.await.expect("writing a tariff does not panic");
        return Ok(attached("application/json", &group.name, "json", bytes));
    }
    let form = form(&which.format)?;
    let layout = match &which.vendor {
        Some(vendor) => Some(api.store.layout(vendor).await?.layout),
        None => None,
    };
    let written = tokio::task::spawn_blocking(move || match &layout {
        Some(layout) if !which.partial => sheets::export_under(&book, selection, layout, form),
        layout => Ok(sheets::export(&book, selection, layout.as_ref(), form)?),
    });
    match written.await.expect("writing a sheet does not panic") {
        Ok(bytes) => file(form, &group.name, Ok(bytes)),
        Err(ExportError::Xlsx(error)) => file(form, &group.name, Err(error)),
        Err(error @ ExportError::Lossy { .. }) => {
            let detail = format!("{error}: partial=true, or --partial");
            Err(Problem::new(422, "lossy_export", detail))
        }
    }
}

pub(crate) fn form(text: &str) -> Result<FileForm, Problem> {
    text.parse().map_err(|what: String| Problem::invalid("format", what))
}

pub(crate) fn file(
    form: FileForm,
    name: &str,
    bytes: Result<Vec<u8>, sheets::XlsxError>,
) -> Result<Response, Problem> {
    let bytes = bytes.map_err(|error| Problem::new(500, "unwritable", error.to_string()))?;
    let (kind, end) = kind_of(form);
    Ok(attached(kind, name, end, bytes))
}

/// Its media type, and what its name ends in.
pub(crate) fn kind_of(form: FileForm) -> (&'static str, &'static str) {
    match form {
        FileForm::Csv => ("text/csv; charset=utf-8", "csv"),
        FileForm::Txt => ("text/plain; charset=utf-8", "txt"),
        FileForm::Xlsx => {
            ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx")
        }
    }
}

fn attached(kind: &str, name: &str, end: &str, bytes: Vec<u8>) -> Response {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let place = format!("attachment; filename=\"{plain}.{end}\"");
    ([(CONTENT_TYPE, kind.to_owned()), (CONTENT_DISPOSITION, place)], bytes).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Span {
    from: Option<String>,
    till: Option<String>,
    /// `json`, `csv` or `xlsx`
    #[serde(default = "json")]
    format: String,
}

fn json() -> String {
    "json".to_owned()
}

/// What changes in a group between two moments.
pub(crate) async fn changes(
    State(api): Shared,
    Path(name): Path<String>,
    Query(span): Query<Span>,
) -> Result<Response, Problem> {
    let group = api.store.rate_group(&name).await?;
    let now = api.control.now();
    let from = moment("from", span.from.as_deref(), now)?;
    let till = moment("till", span.till.as_deref(), Utc(i64::MAX))?;
    let book = api.store.book(&group).await?;
    let moves = tokio::task::spawn_blocking(move || sheets::changes(&book, from, till));
    let moves = moves.await.expect("comparing rates does not panic");
    if span.format == "json" {
        let items = moves.into_iter().map(wire::RateChange::from).collect();
        return Ok(Json(List { items }).into_response());
    }
    let form = form(&span.format)?;
    let written = sheets::notification(&moves, &group.currency, form);
    file(form, &format!("{} changes", group.name), written)
}

/// What changes for a customer between two moments (O2).
pub(crate) async fn notify(
    state: Shared,
    Path(account): Path<String>,
    span: Query<Span>,
) -> Result<Response, Problem> {
    let account = state.store.account(&account).await?;
    let Some(group) = account.rate_group else {
        let what = format!("account {:?} has no rate group; give it one", account.name);
        return Err(Problem::invalid("rate_group", what));
    };
    changes(state, Path(group), span).await
}
