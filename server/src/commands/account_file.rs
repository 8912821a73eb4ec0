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

pub(super) fn import(context: &Context, client: &Client, asked: &AccountImport) -> Outcome {
    let file = &asked.file;
    let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let yes = |is: bool| is.then(|| "true".to_owned());
    let path = format!(
        "/accounts/import{}",
        query(&[
            ("file", file.file_name().map(|name| name.to_string_lossy().into_owned())),
            ("preview", yes(asked.preview)),
            ("update", yes(asked.update)),
            ("skip_rejected", yes(asked.skip_rejected)),
        ])
    );
    let answer = client.upload(&path, &bytes)?;
    context.show(&answer, |answer| tell(answer, asked.preview));
    Ok(())
}

/// A preview tells every row, an import those with something to say.
fn tell(answer: &Value, is_preview: bool) {
    let done = if is_preview { "would be" } else { "are" };
    println!(
        "{} rows: {} accepted, {} unchanged, {} changed, {} rejected; the accepted and changed ones \
         {done} stored",
        answer["rows_in"],
        answer["accepted"],
        answer["unchanged"],
        answer["changed"],
        answer["rejected"]
    );
    for verdict in answer["verdicts"].as_array().into_iter().flatten() {
        let notes = verdict["notes"].as_array().into_iter().flatten();
        let notes: Vec<String> = notes
            .map(|note| {
                let text = |field: &str| note[field].as_str().unwrap_or_default().to_owned();
                format!("; column {}: {}", text("column"), text("detail"))
            })
            .collect();
        if is_preview || !notes.is_empty() {
            let (account, word) = (verdict["account"].as_str(), verdict["verdict"].as_str());
            println!(
                "  row {} {} {}{}",
                verdict["row"],
                account.unwrap_or_default(),
                word.unwrap_or_default(),
                notes.concat()
            );
        }
    }
    if answer["verdicts_untold"] != 0 {
        println!("  … and {} more rows", answer["verdicts_untold"]);
    }
}
