//! In which states numbers are, from a file of the operator's (T7).

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use switch::jurisdiction::JurisdictionRow;

use crate::command::{Command, Stop, Touched};
use crate::problem::RowProblem;
use crate::wire::List;
use crate::{Api, Problem, Shared};

/// Lines that one answer has.
const LINES_MAX: u32 = 10_000;
/// Faults that one answer tells.
const FAULTS_MAX: usize = 100;

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/jurisdictions", get(list))
}

#[derive(Serialize)]
struct LineOnWire {
    prefix: String,
    state: Option<String>,
    lata: Option<u32>,
}

impl From<JurisdictionRow> for LineOnWire {
    fn from(row: JurisdictionRow) -> LineOnWire {
        let JurisdictionRow { prefix, state, lata } = row;
        LineOnWire { prefix: prefix.into(), state: state.map(String::from), lata }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    #[serde(default)]
    prefix: String,
    limit: Option<u32>,
}

async fn list(
    State(api): Shared,
    Query(which): Query<Which>,
) -> Result<Json<List<LineOnWire>>, Problem> {
    let limit = which.limit.unwrap_or(100).min(LINES_MAX);
    let begins = which.prefix.trim_start_matches('+');
    let rows = api.store.jurisdiction_prefixes(begins, limit).await?;
    Ok(Json(List { items: rows.into_iter().map(LineOnWire::from).collect() }))
}

/// A file in place of the whole table: all of its lines or none.
pub(crate) async fn import(State(api): Shared, command: Command) -> Result<Response, Stop> {
    let rows = read(&command.body)?;
    let mut turn = api.begin(&command).await?;
    let count = turn.change.set_jurisdiction_prefixes(rows).await?;
    api.finish(turn, Touched::Directory, 200, &json!({ "prefixes": count })).await
}

/// `prefix,state,lata`; a first line with these words may be there, empty ones are passed over.
fn read(body: &[u8]) -> Result<Vec<JurisdictionRow>, Problem> {
    let wrong = |detail| Problem::new(422, "invalid_jurisdictions", detail);
    let text = std::str::from_utf8(body).map_err(|_| wrong("the body is not UTF-8 text"))?;
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for (number, line) in (1_u64..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let is_head = number == 1 && line.trim_start().to_ascii_lowercase().starts_with("prefix");
        if line.trim().is_empty() || is_head {
            continue;
        }
        match row(line) {
            Ok(row) => rows.push(row),
            Err((column, detail)) if faults.len() < FAULTS_MAX => {
                faults.push(RowProblem { row: number, column: column.to_owned(), detail });
            }
            Err(_) => {}
        }
    }
    match faults.is_empty() {
        true => Ok(rows),
        false => {
            Err(wrong("some rows cannot be read, so none was taken; mend them").with_rows(faults))
        }
    }
}

fn row(line: &str) -> Result<JurisdictionRow, (&'static str, String)> {
    let separator = if line.contains(';') { ';' } else { ',' };
    let mut cells = line.split(separator).map(|cell| cell.trim().trim_matches('"'));
    let prefix = cells.next().unwrap_or_default().trim_start_matches('+');
    let state = cells.next().filter(|state| !state.is_empty());
    let lata = cells.next().filter(|lata| !lata.is_empty());
    if cells.any(|cell| !cell.is_empty()) {
        return Err(("", "a row has prefix, state and LATA, and no more".to_owned()));
    }
    if prefix.is_empty() || !prefix.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(("prefix", format!("{prefix:?} is no prefix: write digits such as 1212")));
    }
    let lata = lata.map(|lata| {
        lata.parse().map_err(|_| ("lata", format!("{lata:?} is no LATA: write digits, or nothing")))
    });
    Ok(JurisdictionRow {
        prefix: prefix.into(),
        state: state.map(Box::from),
        lata: lata.transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(prefix: &str, state: Option<&str>, lata: Option<u32>) -> JurisdictionRow {
        JurisdictionRow { prefix: prefix.into(), state: state.map(Box::from), lata }
    }

    #[test]
    fn a_file_is_read() {
        let rows = read(b"prefix,state,lata\n1,,\n+1212, NY ,132\n\n\"1202\",\"DC\"\n").unwrap();
        let expected = [
            line("1", None, None),
            line("1212", Some("NY"), Some(132)),
            line("1202", Some("DC"), None),
        ];
        assert_eq!(rows, expected);
        assert_eq!(read(b"1212;NY;132").unwrap(), [line("1212", Some("NY"), Some(132))]);
    }

    #[track_caller]
    fn check(line: &str, expected: &str) {
        let (column, detail) = row(line).unwrap_err();
        assert_eq!(format!("{column}: {detail}"), expected);
    }

    #[test]
    fn a_wrong_row_is_named() {
        check("12a,NY", "prefix: \"12a\" is no prefix: write digits such as 1212");
        check("1212,NY,x", "lata: \"x\" is no LATA: write digits, or nothing");
        check("1212,NY,132,9", ": a row has prefix, state and LATA, and no more");
        assert!(read(b"1212,NY\n,DC").is_err());
    }
}
