//! What becomes of every row of a file of accounts (V-23): a verdict each, page by page in a preview
//! and, of an import, for as long as it is kept.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::directory::{AccountImport, VerdictRows};
use store::moment::format_utc;
use vocabulary::Utc;

use crate::account_sheet::Fault;
use crate::wire::{List, Page};
use crate::{Api, Problem, Shared};

/// Verdicts in one answer, if nothing is said.
const PAGE: u32 = 10_000;
/// And at most.
const PAGE_MAX: u32 = 100_000;
/// Verdicts that are kept together.
const KEPT_TOGETHER: usize = 500;

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/account-imports", get(list))
        .route("/account-imports/{id}/verdicts", get(verdicts))
}

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Word {
    /// An account is opened.
    Accepted,
    /// The account is so already.
    Unchanged,
    /// The account becomes so.
    Changed,
    /// See the notes.
    Rejected,
}

impl Word {
    const ALL: [(&str, Word); 4] = [
        ("accepted", Word::Accepted),
        ("unchanged", Word::Unchanged),
        ("changed", Word::Changed),
        ("rejected", Word::Rejected),
    ];

    fn as_str(self) -> &'static str {
        Word::ALL.iter().find(|(_, word)| *word == self).map_or("", |(text, _)| text)
    }
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Note {
    pub(crate) column: String,
    pub(crate) detail: String,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) row: u32,
    pub(crate) account: String,
    pub(crate) verdict: Word,
    pub(crate) notes: Vec<Note>,
}

impl Verdict {
    pub(crate) fn reject(&mut self, faults: Vec<Fault>) {
        self.verdict = Word::Rejected;
        self.notes = faults.into_iter().map(|(column, detail)| Note { column, detail }).collect();
    }
}

/// Which verdicts are told, and how many.
pub(crate) struct Told {
    words: Vec<Word>,
    after: u64,
    limit: usize,
}

impl Told {
    /// `rows` is all, or verdicts with commas between; `after` is where a page before ended.
    pub(crate) fn new(
        rows: Option<&str>,
        after: Option<u64>,
        limit: Option<u32>,
    ) -> Result<Told, Problem> {
        let words = match rows {
            None | Some("all") => Word::ALL.map(|(_, word)| word).to_vec(),
            Some(texts) => {
                let known = |text: &str| {
                    let known = Word::ALL.iter().find(|(word, _)| *word == text.trim());
                    known.map(|(_, word)| *word).ok_or_else(|| {
                        let all = Word::ALL.map(|(word, _)| word).join(", ");
                        Problem::invalid("rows", format!("{text:?} is none of all, {all}"))
                    })
                };
                texts.split(',').map(known).collect::<Result<_, _>>()?
            }
        };
        let limit = limit.unwrap_or(PAGE).clamp(1, PAGE_MAX) as usize;
        Ok(Told { words, after: after.unwrap_or(0), limit })
    }
}

/// What an import did or would do. The first four sums add up to `rows_in`.
#[derive(Serialize)]
pub(crate) struct Report {
    file: String,
    imported: bool,
    /// Of an import: by which its verdicts can be asked for again.
    import: Option<u64>,
    rows_in: usize,
    accepted: usize,
    unchanged: usize,
    changed: usize,
    rejected: usize,
    verdicts: Vec<Verdict>,
    /// How many follow,
    verdicts_untold: usize,
    /// and from where on.
    verdicts_next: Option<String>,
}

impl Report {
    pub(crate) fn new(file: &str, import: Option<u64>, all: &[Verdict], told: &Told) -> Report {
        let count = |word: Word| all.iter().filter(|one| one.verdict == word).count();
        let after = usize::try_from(told.after).unwrap_or(usize::MAX);
        let mut chosen =
            all.iter().enumerate().skip(after).filter(|(_, one)| told.words.contains(&one.verdict));
        let verdicts = chosen.by_ref().take(told.limit).map(|(_, one)| one.clone()).collect();
        let next = chosen.next().map(|(at, _)| at);
        Report {
            file: file.to_owned(),
            imported: import.is_some(),
            import,
            rows_in: all.len(),
            accepted: count(Word::Accepted),
            unchanged: count(Word::Unchanged),
            changed: count(Word::Changed),
            rejected: count(Word::Rejected),
            verdicts,
            verdicts_untold: usize::from(next.is_some()) + chosen.count(),
            verdicts_next: next.map(|at| at.to_string()),
        }
    }
}

/// An import with these verdicts, to be kept.
pub(crate) fn import_of(file: &str, imported_at: Utc, verdicts: &[Verdict]) -> AccountImport {
    let count = |word: Word| verdicts.iter().filter(|one| one.verdict == word).count() as u64;
    AccountImport {
        id: 0,
        file: file.to_owned(),
        imported_at,
        accepted: count(Word::Accepted),
        unchanged: count(Word::Unchanged),
        changed: count(Word::Changed),
        rejected: count(Word::Rejected),
    }
}

/// The verdicts, some hundreds together.
pub(crate) fn kept(verdicts: &[Verdict]) -> impl Iterator<Item = VerdictRows> + Send {
    verdicts.chunks(KEPT_TOGETHER).map(|rows| VerdictRows {
        count: u32::try_from(rows.len()).expect("a few hundred"),
        json: serde_json::to_string(rows).expect("wire types are always JSON"),
    })
}

#[derive(Serialize)]
struct ImportOnWire {
    id: u64,
    file: String,
    imported_at: String,
    rows_in: u64,
    accepted: u64,
    unchanged: u64,
    changed: u64,
    rejected: u64,
}

impl From<AccountImport> for ImportOnWire {
    fn from(import: AccountImport) -> ImportOnWire {
        let AccountImport { id, file, imported_at, accepted, unchanged, changed, rejected } =
            import;
        let rows_in = accepted + unchanged + changed + rejected;
        let imported_at = format_utc(imported_at);
        ImportOnWire { id, file, imported_at, rows_in, accepted, unchanged, changed, rejected }
    }
}

async fn list(State(api): Shared) -> Result<Json<List<ImportOnWire>>, Problem> {
    let imports = api.store.account_imports().await?.into_iter();
    Ok(Json(List { items: imports.map(ImportOnWire::from).collect() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    rows: Option<String>,
    after: Option<u64>,
    limit: Option<u32>,
}

async fn verdicts(
    State(api): Shared,
    Path(id): Path<u64>,
    Query(which): Query<Which>,
) -> Result<Json<Page<Value>>, Problem> {
    let told = Told::new(which.rows.as_deref(), which.after, which.limit)?;
    let words: Vec<&str> = told.words.iter().map(|word| word.as_str()).collect();
    let wanted = |one: &Value| one["verdict"].as_str().is_some_and(|word| words.contains(&word));
    let page = api.store.import_verdicts(id, told.after, told.limit, wanted).await?;
    Ok(Json(Page { items: page.items, next: page.next.map(|at| at.to_string()) }))
}
