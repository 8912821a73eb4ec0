//! `account export` and `account import`.

use std::io::Write as _;
use std::path::Path;

use serde_json::Value;

use super::args::{AccountFilter, AccountImport};
use super::client::{Client, query};
use super::{Context, Outcome};

pub(super) const CLOSED_COLUMNS: [(&str, &str); 6] = [
    ("ACCOUNT", "account"),
    ("WAS CLOSED", "was_closed"),
    ("PHONES GONE", "subscribers_removed"),
    ("TRUNKS GONE", "trunks_removed"),
    ("ROUTES GONE", "routes_removed"),
    ("PINS GONE", "pins_removed"),
];

pub(super) fn filter_query(filter: AccountFilter, format: Option<String>) -> String {
    query(&[
        ("status", filter.status),
        ("billing", filter.billing),
        ("currency", filter.currency),
        ("parent", filter.parent),
        ("rate_group", filter.rate_group),
        ("search", filter.search),
        ("format", format),
    ])
}

pub(super) fn export(
    context: &Context,
    client: &Client,
    file: Option<&Path>,
    filter: AccountFilter,
) -> Outcome {
    let format = match file {
        Some(file) => form_of(file)?,
        None => "csv",
    };
    let path = format!("/accounts/export{}", filter_query(filter, Some(format.to_owned())));
    let bytes = client.download(&path)?;
    match file {
        Some(file) => {
            std::fs::write(file, bytes).map_err(|error| format!("{}: {error}", file.display()))?;
            context.show_written(file);
        }
        None => std::io::stdout().write_all(&bytes).map_err(|error| error.to_string())?,
    }
    Ok(())
}

/// What a file's name says it shall be.
pub(super) fn form_of(file: &Path) -> Result<&'static str, String> {
    match file.extension().and_then(|end| end.to_str()) {
        Some("csv") => Ok("csv"),
        Some("txt") => Ok("txt"),
        Some("xlsx") => Ok("xlsx"),
        _ => Err(format!("{}: name a file that ends in .csv, .txt or .xlsx", file.display())),
    }
}

pub(super) const IMPORT_COLUMNS: [(&str, &str); 8] = [
    ("ID", "id"),
    ("AT", "imported_at"),
    ("FILE", "file"),
    ("ROWS", "rows_in"),
    ("ACCEPTED", "accepted"),
    ("UNCHANGED", "unchanged"),
    ("CHANGED", "changed"),
    ("REJECTED", "rejected"),
];

/// Verdicts that are asked for at once: each page of a preview judges the whole file again.
const VERDICTS_AT_ONCE: u32 = 100_000;

/// Sends the file, and puts all pages of verdicts together.
pub(super) fn import(context: &Context, client: &Client, asked: &AccountImport) -> Outcome {
    let file = &asked.file;
    let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let send = |after: Option<String>| {
        let yes = |is: bool| is.then(|| "true".to_owned());
        let limit = asked.preview.then(|| VERDICTS_AT_ONCE.to_string());
        let parts = query(&[
            ("file", file.file_name().map(|name| name.to_string_lossy().into_owned())),
            ("preview", yes(asked.preview)),
            ("update", yes(asked.update)),
            ("skip_rejected", yes(asked.skip_rejected)),
            ("rows", asked.rows.clone()),
            ("rows_after", after),
            ("limit", limit),
        ]);
        client.upload(&format!("/accounts/import{parts}"), &bytes)
    };
    let mut whole = send(None)?;
    while let Some(after) = whole["verdicts_next"].as_str().map(str::to_owned) {
        let (items, next) = match whole["import"].as_u64() {
            Some(import) => {
                let mut page = verdict_page(client, import, asked.rows.as_deref(), Some(after))?;
                (page["items"].take(), page["next"].take())
            }
            None => {
                let mut page = send(Some(after))?;
                (page["verdicts"].take(), page["verdicts_next"].take())
            }
        };
        if let (Some(all), Value::Array(more)) = (whole["verdicts"].as_array_mut(), items) {
            all.extend(more);
        }
        (whole["verdicts_next"], whole["verdicts_untold"]) = (next, 0.into());
    }
    context.show(&whole, |answer| tell(answer, asked.preview || asked.rows.is_some()));
    Ok(())
}

fn verdict_page(
    client: &Client,
    import: u64,
    rows: Option<&str>,
    after: Option<String>,
) -> Result<Value, String> {
    let parts = query(&[
        ("rows", rows.map(str::to_owned)),
        ("after", after),
        ("limit", Some(VERDICTS_AT_ONCE.to_string())),
    ]);
    Ok(client.get(&format!("/account-imports/{import}/verdicts{parts}"))?)
}

/// What became of the rows of an import that is over.
pub(super) fn verdicts(
    context: &Context,
    client: &Client,
    import: u64,
    rows: Option<&str>,
) -> Outcome {
    let (mut items, mut after) = (Vec::new(), None);
    loop {
        let mut page = verdict_page(client, import, rows, after)?;
        if let Some(more) = page["items"].as_array_mut() {
            items.append(more);
        }
        after = page["next"].as_str().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    context.show(&Value::Array(items), |items| super::print_all(&lines(items, true)));
    Ok(())
}

/// All rows that were told, or those with something to say.
fn tell(answer: &Value, are_all_told: bool) {
    let done = if answer["imported"] == true { "are" } else { "would be" };
    let sums = format!(
        "{} rows: {} accepted, {} unchanged, {} changed, {} rejected; the accepted and changed ones \
         {done} stored\n",
        answer["rows_in"],
        answer["accepted"],
        answer["unchanged"],
        answer["changed"],
        answer["rejected"]
    );
    super::print_all(&(sums + &lines(&answer["verdicts"], are_all_told)));
}

fn lines(verdicts: &Value, are_all_told: bool) -> String {
    let mut lines = String::new();
    for verdict in verdicts.as_array().into_iter().flatten() {
        let notes = verdict["notes"].as_array().into_iter().flatten();
        let notes: Vec<String> = notes
            .map(|note| {
                let text = |field: &str| note[field].as_str().unwrap_or_default().to_owned();
                format!("; column {}: {}", text("column"), text("detail"))
            })
            .collect();
        if are_all_told || !notes.is_empty() {
            let (account, word) = (verdict["account"].as_str(), verdict["verdict"].as_str());
            lines += &format!(
                "  row {} {} {}{}\n",
                verdict["row"],
                account.unwrap_or_default(),
                word.unwrap_or_default(),
                notes.concat()
            );
        }
    }
    lines
}
