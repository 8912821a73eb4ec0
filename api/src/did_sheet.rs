//! DIDs from files and into files: every row gets a verdict, and an import is all or nothing unless
//! the good rows are asked for. A preview is the import itself, rolled back.

use std::collections::BTreeMap;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sheets::Table;
use store::directory::{ChangeError, Did};

use crate::command::{Command, Stop, Touched, Turn};
use crate::dids::DidChange;
use crate::problem::RowProblem;
use crate::{Api, Problem, Shared, rate_sheets};

/// Faults that are told one by one when nothing is imported.
const FAULTS_MAX: usize = 50;
/// Verdicts in one answer.
const VERDICTS_MAX: usize = 10_000;

/// How a column's text is a field of a [`DidChange`].
#[derive(Clone, Copy)]
enum Form {
    Text,
    Count,
    /// Empty is no limit.
    Limit,
    YesOrNo,
    /// User names with blanks between them.
    Names,
}

/// The columns, as they are written.
const COLUMNS: [(&str, Form); 14] = [
    ("number", Form::Text),
    ("account", Form::Text),
    ("enabled", Form::YesOrNo),
    ("target", Form::Text),
    ("subscribers", Form::Names),
    ("trunk", Form::Text),
    ("ring_s", Form::Count),
    ("calls_max", Form::Limit),
    ("cps_max", Form::Limit),
    ("price", Form::Text),
    ("connect_fee", Form::Text),
    ("first_increment", Form::Count),
    ("next_increment", Form::Count),
    ("note", Form::Text),
];

fn cells(did: &Did) -> Vec<String> {
    let limit = |limit: Option<u32>| limit.map_or(String::new(), |limit| limit.to_string());
    vec![
        did.number.as_str().to_owned(),
        sheets::guarded(&did.account).into_owned(),
        if did.enabled { "yes" } else { "no" }.to_owned(),
        did.target.as_str().to_owned(),
        sheets::guarded(&did.members.join(" ")).into_owned(),
        sheets::guarded(did.trunk.as_deref().unwrap_or_default()).into_owned(),
        did.ring_s.to_string(),
        limit(did.calls_max),
        limit(did.cps_max),
        did.price.to_string(),
        did.connect_fee.to_string(),
        did.first_increment.to_string(),
        did.next_increment.to_string(),
        sheets::guarded(&did.note).into_owned(),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    account: Option<String>,
    format: Option<String>,
}

/// All DIDs, or those of an account, as a file that `import` reads.
pub(crate) async fn export(
    State(api): Shared,
    Query(which): Query<Which>,
) -> Result<Response, Problem> {
    let form = rate_sheets::form(which.format.as_deref().unwrap_or("csv"))?;
    let account = match which.account {
        Some(name) => Some(api.store.account(&name).await?.id),
        None => None,
    };
    let dids = api.store.dids(account).await?;
    let titles = COLUMNS.map(|(title, _)| title.to_owned()).to_vec();
    let rows = std::iter::once(titles).chain(dids.iter().map(cells)).collect::<Vec<_>>();
    let written = tokio::task::spawn_blocking(move || sheets::write_table("DIDs", form, rows));
    rate_sheets::file(form, "dids", written.await.expect("writing a table does not panic"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Import {
    #[serde(default = "unnamed")]
    file: String,
    /// Say what would happen, and do nothing.
    #[serde(default)]
    preview: bool,
    /// Change DIDs that exist and differ.
    #[serde(default)]
    update: bool,
    /// Take the good rows although others are rejected.
    #[serde(default)]
    skip_rejected: bool,
}

fn unnamed() -> String {
    "dids.csv".to_owned()
}

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    /// A DID is added.
    Accepted,
    /// The DID is so already.
    Unchanged,
    /// The DID becomes so.
    Changed,
    /// See the note.
    Rejected,
}

#[derive(Serialize)]
struct Verdict {
    row: u32,
    number: String,
    verdict: Word,
    column: Option<String>,
    detail: Option<String>,
}

/// What is wrong with a row: the column and the remedy.
type Fault = (String, String);

/// Reads a file of DIDs, judges each row, and, unless it is a preview, adds and changes them.
pub(crate) async fn import(
    State(api): Shared,
    Query(asked): Query<Import>,
    command: Command,
) -> Result<Response, Stop> {
    let body = command.body.clone();
    let read = tokio::task::spawn_blocking(move || table_of(&body));
    let (table, header) = read
        .await
        .expect("reading a file does not panic")
        .map_err(|what| Problem::new(422, "invalid_file", format!("{}: {what}", asked.file)))?;
    let mut turn = api.begin(&command).await?;
    let mut verdicts = Vec::with_capacity(table.len());
    let mut line_of = BTreeMap::new();
    for row in (1..table.len()).filter(|row| !table.is_blank(*row)) {
        let (line, number) = (table.line(row), number_of(&table, &header, row));
        let found = match line_of.insert(number.clone(), line) {
            Some(other) => Err(("number".into(), format!("row {other} has it too; keep one"))),
            None => take(&api, &mut turn, (&table, &header, row), &asked).await?,
        };
        let (verdict, fault) = match found {
            Ok(word) => (word, None),
            Err(fault) => (Word::Rejected, Some(fault)),
        };
        let (column, detail) = fault.unzip();
        verdicts.push(Verdict { row: line, number, verdict, column, detail });
    }
    let rejected = verdicts.iter().filter(|one| one.verdict == Word::Rejected).count();
    if asked.preview {
        turn.change.abandon().await?;
        return Ok(axum::Json(report(&asked.file, false, &verdicts)).into_response());
    }
    if rejected > 0 && !asked.skip_rejected {
        turn.change.abandon().await?;
        return Err(faulty(&asked.file, rejected, &verdicts).into());
    }
    let report = report(&asked.file, true, &verdicts);
    api.finish(turn, Touched::Directory, 201, &report).await
}

fn report(file: &str, imported: bool, verdicts: &[Verdict]) -> Value {
    let count = |word: Word| verdicts.iter().filter(|one| one.verdict == word).count();
    json!({
        "file": file,
        "imported": imported,
        "rows_in": verdicts.len(),
        "accepted": count(Word::Accepted),
        "unchanged": count(Word::Unchanged),
        "changed": count(Word::Changed),
        "rejected": count(Word::Rejected),
        "verdicts": verdicts.iter().take(VERDICTS_MAX).collect::<Vec<_>>(),
        "verdicts_untold": verdicts.len().saturating_sub(VERDICTS_MAX),
    })
}

fn faulty(file: &str, rejected: usize, verdicts: &[Verdict]) -> Problem {
    let rows = verdicts.iter().filter_map(|one| {
        let (column, detail) = (one.column.clone()?, one.detail.clone()?);
        Some(RowProblem { row: one.row.into(), column, detail })
    });
    let detail = format!(
        "{file}: {rejected} of {} rows are rejected, so nothing was imported; mend them, or take the \
         others alone (--skip-rejected)",
        verdicts.len()
    );
    Problem::new(422, "invalid_file", detail).with_rows(rows.take(FAULTS_MAX).collect())
}

/// The places of the columns that the file has.
type Header = Vec<(usize, &'static str, Form)>;

fn table_of(bytes: &[u8]) -> Result<(Table, Header), String> {
    let book = sheets::read_workbook(bytes).map_err(|error| error.to_string())?;
    if book.has_unreadable_characters {
        return Err("some characters cannot be read; save the file as UTF-8".to_owned());
    }
    let mut tables = book.tables;
    if tables.len() > 1 {
        return Err("there is more than one worksheet; keep one".to_owned());
    }
    let table = tables.pop().ok_or("there is no header")?;
    let mut header = Header::new();
    for place in 0..table.width(0) {
        let title = table.cell(0, place).text;
        let known = COLUMNS.iter().find(|(name, _)| name.eq_ignore_ascii_case(title));
        let Some((name, form)) = known else {
            let all = COLUMNS.map(|(name, _)| name).join(", ");
            return Err(format!("there is no column {title:?}; the columns are {all}"));
        };
        if header.iter().any(|(_, other, _)| other == name) {
            return Err(format!("the column {name} is there twice; keep one"));
        }
        header.push((place, name, *form));
    }
    match header.iter().any(|(_, name, _)| *name == "number") {
        true => Ok((table, header)),
        false => Err("there is no column number".to_owned()),
    }
}

fn number_of(table: &Table, header: &Header, row: usize) -> String {
    let place = header.iter().find(|(_, name, _)| *name == "number").map_or(0, |(at, ..)| *at);
    table.cell(row, place).text.trim_start_matches('+').to_owned()
}

/// Adds or changes what a row describes. Database trouble ends the import; what is wrong with the row
/// is its fault.
async fn take(
    api: &Api,
    turn: &mut Turn,
    (table, header, row): (&Table, &Header, usize),
    asked: &Import,
) -> Result<Result<Word, Fault>, Stop> {
    let fields = match fields_of(table, header, row) {
        Ok(fields) => fields,
        Err(fault) => return Ok(Err(fault)),
    };
    let change = match serde_json::from_value::<DidChange>(Value::Object(fields)) {
        Ok(change) => change,
        Err(why) => return Ok(Err(("number".into(), why.to_string()))),
    };
    let number = number_of(table, header, row);
    let before = match turn.change.did(&number).await {
        Ok(did) => Some(did),
        Err(ChangeError::NotFound { .. }) => None,
        Err(why) => return Err(why.into()),
    };
    let mut did = match (&before, &change.account) {
        (Some(before), _) => before.clone(),
        (None, None) => {
            return Ok(Err(("account".into(), "a new DID needs it; write one".into())));
        }
        (None, Some(account)) => match number.parse() {
            Ok(number) => Did::new(number, account, api.control.now()),
            Err(why) => return Ok(Err(("number".into(), format!("{why}")))),
        },
    };
    if let Err(problem) = change.apply(&mut did) {
        return Ok(Err(problem.about_column()));
    }
    let (done, word) = match &before {
        None => (turn.change.add_did(did).await.map(drop), Word::Accepted),
        Some(before) if *before == did => return Ok(Ok(Word::Unchanged)),
        Some(_) if !asked.update => {
            let what = "it is there and differs; import with --update to change it";
            return Ok(Err(("number".into(), what.into())));
        }
        Some(_) => (turn.change.set_did(&did).await, Word::Changed),
    };
    match done {
        Ok(()) => Ok(Ok(word)),
        Err(
            why @ (ChangeError::Invalid { .. }
            | ChangeError::NotFound { .. }
            | ChangeError::Taken { .. }),
        ) => Ok(Err(Problem::from(why).about_column())),
        Err(why) => Err(why.into()),
    }
}

/// The row as the body of a change. An empty cell leaves what is, but for a limit, which it takes away.
fn fields_of(table: &Table, header: &Header, row: usize) -> Result<Map<String, Value>, Fault> {
    let mut fields = Map::new();
    for (place, name, form) in header.iter().filter(|(_, name, _)| *name != "number") {
        let text = sheets::unguarded(table.cell(row, *place).text);
        let whole = || {
            let wrong = |_| ((*name).to_owned(), "write a whole number".to_owned());
            text.parse::<u32>().map(Value::from).map_err(wrong)
        };
        let value = match (form, text) {
            (Form::Limit, "") => Value::Null,
            (_, "") => continue,
            (Form::Text, _) => text.into(),
            (Form::Count | Form::Limit, _) => whole()?,
            (Form::Names, _) => text.split_whitespace().map(Value::from).collect(),
            (Form::YesOrNo, "yes" | "true" | "1") => true.into(),
            (Form::YesOrNo, "no" | "false" | "0") => false.into(),
            (Form::YesOrNo, _) => return Err(((*name).into(), "write yes or no".into())),
        };
        fields.insert((*name).to_owned(), value);
    }
    Ok(fields)
}
