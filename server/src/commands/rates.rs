//! `rates …`.

use std::path::Path;

use serde_json::{Value, json};

use super::args::{LayoutCommand, RatesCommand, RatesDryRun, RatesImport, RatesSpan};
use super::client::{Client, Failure, escape, query};
use super::{Context, Outcome, rate_group, report, table};

const RATE_COLUMNS: [(&str, &str); 10] = [
    ("PREFIX", "prefix"),
    ("DESTINATION", "destination"),
    ("PRICE/MIN", "price"),
    ("CONNECT", "connect_fee"),
    ("FIRST", "first_increment"),
    ("NEXT", "next_increment"),
    ("SPECIAL", "special_terms"),
    ("BLOCKED", "blocked"),
    ("FROM", "valid_from"),
    ("TILL", "valid_till"),
];
const GROUP_COLUMNS: [(&str, &str); 5] = [
    ("GROUP", "name"),
    ("CURRENCY", "currency"),
    ("ROUNDING", "rounding"),
    ("DECIMALS", "decimals"),
    ("RATES", "rates"),
];
const SHEET_COLUMNS: [(&str, &str); 12] = [
    ("SHEET", "id"),
    ("GROUP", "rate_group"),
    ("FILE", "file"),
    ("IMPORTED", "imported_at"),
    ("RATES", "rows"),
    ("REJECTED", "rejected"),
    ("FULL", "full"),
    ("ADDED", "added"),
    ("REMOVED", "removed"),
    ("INCREASED", "increased"),
    ("DECREASED", "decreased"),
    ("ROLLS BACK", "rolls_back"),
];
const CHANGE_COLUMNS: [(&str, &str); 9] = [
    ("PREFIX", "prefix"),
    ("DESTINATION", "destination"),
    ("CHANGE", "change"),
    ("AT", "at"),
    ("BEFORE", "price_before"),
    ("AFTER", "price_after"),
    ("TERMS BEFORE", "terms_before"),
    ("TERMS AFTER", "terms_after"),
    ("SHORT NOTICE", "short_notice"),
];

pub(super) fn run(context: &Context, command: RatesCommand) -> Outcome {
    let client = context.client()?;
    match command {
        RatesCommand::Group { command } => rate_group::run(context, &client, command)?,
        RatesCommand::Import(import) => {
            if !import.preview {
                make_group(&client, &import.group, &import.currency)?;
            }
            let answer = sheet_pages(&client, &import)?;
            if let Some(file) = &import.output {
                let moves = answer["moves"].as_array().map_or(&[][..], Vec::as_slice);
                report::write(file, moves, &CHANGE_COLUMNS)?;
            }
            context.show(&answer, |answer| tell(&import, answer));
        }
        RatesCommand::DryRun(asked) => dry_run(context, &client, *asked)?,
        RatesCommand::List { group: Some(group), prefix, limit } => {
            let parts = [("prefix", Some(prefix)), ("limit", Some(limit.to_string()))];
            let path = format!("/rate-groups/{}/rates{}", escape(&group), query(&parts));
            context.show_list(&client.get(&path)?, &RATE_COLUMNS);
        }
        RatesCommand::List { group: None, .. } => {
            context.show_list(&client.get("/rate-groups")?, &GROUP_COLUMNS);
        }
        RatesCommand::Sheets => context.show_list(&client.get("/rate-sheets")?, &SHEET_COLUMNS),
        RatesCommand::Rejected { sheet } => {
            context.show(&rejected(&client, sheet)?, tell_verdicts);
        }
        RatesCommand::Rollback { sheet, at } => {
            let path = format!("/rate-sheets/{sheet}/rollback{}", query(&[("at", at)]));
            let answer = client.command("POST", &path, &json!({}))?;
            context.show(&answer, |answer| {
                let (id, from) = (&answer["id"], answer["begins_at"].as_str().unwrap_or_default());
                println!("sheet {sheet} no longer counts from {from} on (sheet {id} says so)");
            });
        }
        RatesCommand::Tabulate { group } => {
            let path = format!("/rate-groups/{}/listing", escape(&group));
            let answer = client.command("POST", &path, &json!({}))?;
            context.show(&answer, |answer| {
                println!("{} rates of {group} are in the table listed_rate", answer["rows"]);
            });
        }
        RatesCommand::Layout { command } => layout(context, &client, command)?,
        RatesCommand::Export { group, file, at, future, vendor, partial } => {
            let yes = |is: bool| is.then(|| "true".to_owned());
            let is_tariff = file.extension().is_some_and(|end| end == "json");
            let form = if is_tariff { "json".to_owned() } else { form_of(&file)? };
            let parts = [
                ("format", Some(form)),
                ("at", at),
                ("future", yes(future)),
                ("vendor", vendor),
                ("partial", yes(partial)),
            ];
            let path = format!("/rate-groups/{}/export{}", escape(&group), query(&parts));
            write(context, &client, &path, &file)?;
        }
        RatesCommand::Changes { group, span } => {
            let path = format!("/rate-groups/{}/changes{}", escape(&group), span_query(span, None));
            context.show_list(&client.get(&path)?, &CHANGE_COLUMNS);
        }
        RatesCommand::Notify { account, file, span } => {
            let query = span_query(span, Some(form_of(&file)?));
            let path = format!("/accounts/{}/rate-changes{query}", escape(&account));
            write(context, &client, &path, &file)?;
        }
    }
    Ok(())
}

/// Tries a file, or the rates of a group as they are when an imported sheet begins.
fn dry_run(context: &Context, client: &Client, asked: RatesDryRun) -> Outcome {
    let RatesDryRun { sheet, mut group, days, mut at, vendor, layout, full, skip_rejected } = asked;
    let (mut bytes, mut name) = (Vec::new(), None);
    match sheet {
        None => {}
        Some(sheet) if sheet.bytes().all(|byte| byte.is_ascii_digit()) => {
            let id: u64 = sheet.parse().map_err(|_| format!("there is no sheet {sheet}"))?;
            let sheets = client.get("/rate-sheets")?;
            let mut items = sheets["items"].as_array().into_iter().flatten();
            let known = items.find(|item| item["id"] == id);
            let known =
                known.ok_or_else(|| format!("there is no sheet {sheet}; see rates sheets"))?;
            let of = |field: &str| known[field].as_str().map(str::to_owned);
            if group.is_some() && group != of("rate_group") {
                let of = of("rate_group").unwrap_or_default();
                return Err(format!("sheet {sheet} is of group {of}; leave out --group"));
            }
            (group, at) = (of("rate_group"), at.or_else(|| of("begins_at")));
        }
        Some(file) => {
            bytes = std::fs::read(&file).map_err(|error| format!("{file}: {error}"))?;
            let end = Path::new(&file).file_name();
            name = end.map(|end| end.to_string_lossy().into_owned());
        }
    }
    let group = group.ok_or("name the group that the file is for: --group GROUP")?;
    let parts = [
        ("days", Some(days.to_string())),
        ("at", at),
        ("file", name),
        ("vendor", vendor),
        ("layout", layout),
        ("full", full.map(|full| full.to_string())),
        ("skip_rejected", skip_rejected.then(|| "true".to_owned())),
    ];
    let path = format!("/rate-groups/{}/dry-run{}", escape(&group), query(&parts));
    super::rerate::follow(context, client, &client.upload(&path, &bytes)?)
}

fn span_query(span: RatesSpan, form: Option<String>) -> String {
    query(&[("from", span.from), ("till", span.till), ("format", form)])
}

/// What a file's name says it shall be.
fn form_of(file: &Path) -> Result<String, String> {
    match file.extension().and_then(|end| end.to_str()) {
        Some(end @ ("csv" | "xlsx")) => Ok(end.to_owned()),
        _ => Err(format!("{}: name a file that ends in .csv or .xlsx", file.display())),
    }
}

fn write(context: &Context, client: &Client, path: &str, file: &Path) -> Outcome {
    let bytes = client.download(path)?;
    std::fs::write(file, bytes).map_err(|error| format!("{}: {error}", file.display()))?;
    context.show_written(file);
    Ok(())
}

fn layout(context: &Context, client: &Client, command: LayoutCommand) -> Outcome {
    let show = |answer: &Value| {
        let text = serde_json::to_string_pretty(&answer["layout"]).unwrap_or_default();
        println!("{text}");
    };
    match command {
        LayoutCommand::List => {
            let columns = [("VENDOR", "vendor"), ("CHANGED", "changed_at")];
            context.show_list(&client.get("/rate-layouts")?, &columns);
        }
        LayoutCommand::Show { vendor } => {
            context.show(&client.get(&format!("/rate-layouts/{}", escape(&vendor)))?, show);
        }
        LayoutCommand::Set { vendor, fields } => {
            let fields: Value = serde_json::from_str(&fields)
                .map_err(|error| format!("the fields are not JSON: {error}"))?;
            let path = format!("/rate-layouts/{}", escape(&vendor));
            context.show(&client.command("PATCH", &path, &fields)?, show);
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

/// All rows that were left out of a sheet.
fn rejected(client: &Client, sheet: u64) -> Result<Value, String> {
    let (mut items, mut after) = (Vec::new(), None);
    loop {
        let part = query(&[("after", after)]);
        let mut page = client.get(&format!("/rate-sheets/{sheet}/rejected{part}"))?;
        items.extend(page["items"].as_array_mut().map(std::mem::take).unwrap_or_default());
        after = page["next"].as_str().map(str::to_owned);
        if after.is_none() {
            return Ok(Value::Array(items));
        }
    }
}

/// Sends the sheet. Of a preview that is asked for rows or changes, all pages are put together.
fn sheet_pages(client: &Client, import: &RatesImport) -> Result<Value, String> {
    let file = &import.file;
    let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut whole = send_sheet(client, import, &bytes, None)?;
    if !import.preview {
        return Ok(whole);
    }
    for (items, asked, rest) in [
        ("verdicts", import.rows.is_some(), "rows_after"),
        ("moves", import.moves.is_some() || import.output.is_some(), "moves_after"),
    ] {
        let (next, untold) = (format!("{items}_next"), format!("{items}_untold"));
        while asked && let Some(after) = whole[&next].as_str().map(str::to_owned) {
            let mut page = send_sheet(client, import, &bytes, Some((rest, after)))?;
            let more = page[items].as_array_mut().map(std::mem::take).unwrap_or_default();
            if let Some(all) = whole[items].as_array_mut() {
                all.extend(more);
            }
            (whole[&next], whole[&untold]) = (page[&next].take(), page[&untold].take());
        }
    }
    Ok(whole)
}

fn send_sheet(
    client: &Client,
    import: &RatesImport,
    bytes: &[u8],
    after: Option<(&'static str, String)>,
) -> Result<Value, String> {
    let file = &import.file;
    let moves = import.output.as_ref().map(|_| "all".to_owned());
    let (rest, after) = after.unzip();
    let yes = |is: bool| is.then(|| "true".to_owned());
    let parts = [
        ("file", file.file_name().map(|name| name.to_string_lossy().into_owned())),
        ("preview", yes(import.preview)),
        ("valid_from", import.valid_from.clone()),
        ("vendor", import.vendor.clone()),
        ("layout", import.layout.clone()),
        ("full", import.full.map(|full| full.to_string())),
        ("skip_rejected", yes(import.skip_rejected)),
        ("rows", import.rows.clone()),
        ("moves", import.moves.clone().or(moves)),
        (rest.unwrap_or_default(), after),
    ];
    let path = format!("/rate-groups/{}/sheets{}", escape(&import.group), query(&parts));
    Ok(client.upload(&path, bytes)?)
}

fn tell(import: &RatesImport, answer: &Value) {
    let done = if answer["imported"] == true { "imported into" } else { "would go into" };
    println!("{} rates of {} {done} {}", answer["rows"], import.file.display(), import.group);
    println!(
        "  {} rows: {} accepted ({} of them repaired), {} merged, {} rejected",
        answer["rows_in"],
        answer["accepted"],
        answer["repaired"],
        answer["merged"],
        answer["rejected"]
    );
    let others = ["header", "preamble", "blank", "remarks", "outside"];
    let others: Vec<String> =
        others.iter().map(|name| format!("{} {name}", answer[*name])).collect();
    println!("  {} lines of the file; besides those rows: {}", answer["lines"], others.join(", "));
    let movements =
        ["added", "removed", "increased", "decreased", "changed", "blocked", "unchanged"];
    for count in movements {
        println!("  {count:<10} {}", answer[count]);
    }
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        println!("  note: {}", warning.as_str().unwrap_or_default());
    }
    tell_verdicts(&answer["verdicts"]);
    if answer["verdicts_untold"] != 0 {
        println!("  … and {} more rows", answer["verdicts_untold"]);
    }
    match &import.output {
        Some(file) => println!("the rates that change are in {}", file.display()),
        None if import.moves.is_some() => {
            let moves = answer["moves"].as_array().map_or(&[][..], Vec::as_slice);
            print!("{}", table::render(moves, &CHANGE_COLUMNS));
        }
        None => {}
    }
}

fn tell_verdicts(verdicts: &Value) {
    for verdict in verdicts.as_array().into_iter().flatten() {
        let worksheet = verdict["worksheet"].as_str().unwrap_or_default();
        let notes = verdict["notes"].as_array().into_iter().flatten();
        let notes: Vec<String> = notes
            .map(|note| {
                let (column, detail) = (note["column"].as_str(), note["detail"].as_str());
                let detail = detail.unwrap_or_default();
                match column {
                    Some(column) if !column.is_empty() => format!("column {column}: {detail}"),
                    _ => detail.to_owned(),
                }
            })
            .collect();
        let cells = verdict["cells"].as_array().into_iter().flatten();
        let cells: Vec<&str> = cells.filter_map(Value::as_str).collect();
        let place = if worksheet.is_empty() { String::new() } else { format!("{worksheet} ") };
        let what = if notes.is_empty() { cells.join(" | ") } else { notes.join("; ") };
        println!(
            "  {place}row {} {}: {what}",
            verdict["row"],
            verdict["verdict"].as_str().unwrap_or_default()
        );
    }
}
