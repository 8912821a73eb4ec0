//! `rates …`.

use std::path::Path;

use serde_json::{Value, json};

use super::args::RatesCommand;
use super::client::{Client, Failure, escape, query};
use super::{Context, Outcome};

const RATE_COLUMNS: [(&str, &str); 9] = [
    ("PREFIX", "prefix"),
    ("DESTINATION", "destination"),
    ("PRICE/MIN", "price"),
    ("CONNECT", "connect_fee"),
    ("FIRST", "first_increment"),
    ("NEXT", "next_increment"),
    ("BLOCKED", "blocked"),
    ("FROM", "valid_from"),
    ("TILL", "valid_till"),
];

pub(super) fn run(context: &Context, command: RatesCommand) -> Outcome {
    let client = context.client()?;
    match command {
        RatesCommand::Import { file, group, currency, preview, valid_from } => {
            if !preview {
                make_group(&client, &group, &currency)?;
            }
            let answer = import(&client, &file, &group, preview, valid_from)?;
            context.show(&answer, |answer| tell(&file, &group, answer));
        }
        RatesCommand::List { group: Some(group), prefix, limit } => {
            let parts = [("prefix", Some(prefix)), ("limit", Some(limit.to_string()))];
            let path = format!("/rate-groups/{}/rates{}", escape(&group), query(&parts));
            context.show_list(&client.get(&path)?, &RATE_COLUMNS);
        }
        RatesCommand::List { group: None, .. } => {
            let columns = [
                ("GROUP", "name"),
                ("CURRENCY", "currency"),
                ("ROUNDING", "rounding"),
                ("DECIMALS", "decimals"),
                ("RATES", "rates"),
            ];
            context.show_list(&client.get("/rate-groups")?, &columns);
        }
        RatesCommand::Sheets => {
            let columns = [
                ("SHEET", "id"),
                ("GROUP", "rate_group"),
                ("FILE", "file"),
                ("IMPORTED", "imported_at"),
                ("ROWS", "rows"),
                ("ADDED", "added"),
                ("INCREASED", "increased"),
                ("DECREASED", "decreased"),
                ("CHANGED", "changed"),
                ("UNCHANGED", "unchanged"),
            ];
            context.show_list(&client.get("/rate-sheets")?, &columns);
        }
    }
    Ok(())
}

/// Makes the group if there is none; one that is there keeps its currency.
fn make_group(client: &Client, group: &str, currency: &str) -> Outcome {
    let body = json!({ "name": group, "currency": currency });
    match client.command("POST", "/rate-groups", &body) {
        Ok(_) | Err(Failure::Refused(409, _)) => Ok(()),
        Err(failure) => Err(failure.into()),
    }
}

fn import(
    client: &Client,
    file: &Path,
    group: &str,
    preview: bool,
    valid_from: Option<String>,
) -> Result<Value, String> {
    let csv = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
    let preview = preview.then(|| "true".to_owned());
    let parts = [("file", name), ("preview", preview), ("valid_from", valid_from)];
    let path = format!("/rate-groups/{}/sheets{}", escape(group), query(&parts));
    Ok(client.upload(&path, &csv)?)
}

fn tell(file: &Path, group: &str, answer: &Value) {
    let done = if answer["imported"] == true { "imported into" } else { "would go into" };
    println!("{} rates of {} {done} {group}", answer["rows"], file.display());
    for count in ["added", "increased", "decreased", "changed", "unchanged"] {
        println!("  {count:<10} {}", answer[count]);
    }
}
