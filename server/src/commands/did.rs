//! `did …`.

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::account::{put, put_limit};
use super::account_file::form_of;
use super::args::{DidChange, DidCommand, DidImport};
use super::client::{Client, escape, query};
use super::{Context, Outcome, table};

const COLUMNS: [(&str, &str); 8] = [
    ("NUMBER", "number"),
    ("ACCOUNT", "account"),
    ("ENABLED", "enabled"),
    ("TARGET", "target"),
    ("SUBSCRIBERS", "subscribers"),
    ("TRUNK", "trunk"),
    ("PRICE", "price"),
    ("CALLS", "calls_max"),
];

pub(super) fn run(context: &Context, command: DidCommand) -> Outcome {
    let client = context.client()?;
    let of = |number: &str| format!("/dids/{}", escape(number));
    let fields = |answer: &Value| print!("{}", table::render_fields(answer));
    match command {
        DidCommand::List { account } => {
            let filter = account.map(|name| format!("?account={}", escape(&name)));
            let path = format!("/dids{}", filter.unwrap_or_default());
            context.show_list(&client.get(&path)?, &COLUMNS);
        }
        DidCommand::Show { number } => context.show(&client.get(&of(&number))?, fields),
        DidCommand::Add { number, account, change } => {
            let mut body = body(change)?;
            body.insert("number".into(), number.into());
            body.insert("account".into(), account.into());
            let answer = client.command("POST", "/dids", &Value::Object(body))?;
            context.show(&answer, fields);
        }
        DidCommand::Set { number, account, change } => {
            let mut body = body(change)?;
            put(&mut body, "account", account);
            let answer = client.command("PATCH", &of(&number), &Value::Object(body))?;
            context.show(&answer, fields);
        }
        DidCommand::Export { file, account } => return export(context, &client, file, account),
        DidCommand::Import(asked) => return import(context, &client, &asked),
        DidCommand::Remove { number } => {
            let answer = client.command("DELETE", &of(&number), &Value::Null)?;
            context.show(&answer, |_| println!("removed DID {number}"));
        }
    }
    Ok(())
}

fn export(
    context: &Context,
    client: &Client,
    file: Option<PathBuf>,
    account: Option<String>,
) -> Outcome {
    let format = file.as_deref().map_or(Ok("csv"), form_of)?;
    let parts = [("account", account), ("format", Some(format.to_owned()))];
    let bytes = client.download(&format!("/dids/export{}", query(&parts)))?;
    match file {
        Some(file) => {
            std::fs::write(&file, bytes).map_err(|error| format!("{}: {error}", file.display()))?;
            context.show_written(&file);
        }
        None => std::io::stdout().write_all(&bytes).map_err(|error| error.to_string())?,
    }
    Ok(())
}

fn import(context: &Context, client: &Client, asked: &DidImport) -> Outcome {
    let file = &asked.file;
    let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let yes = |is: bool| is.then(|| "true".to_owned());
    let parts = [
        ("file", file.file_name().map(|name| name.to_string_lossy().into_owned())),
        ("preview", yes(asked.preview)),
        ("update", yes(asked.update)),
        ("skip_rejected", yes(asked.skip_rejected)),
    ];
    let answer = client.upload(&format!("/dids/import{}", query(&parts)), &bytes)?;
    context.show(&answer, |answer| tell(answer, asked.preview));
    Ok(())
}

/// A preview tells every row, an import those that are rejected.
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
        let text = |field: &str| verdict[field].as_str().unwrap_or_default();
        let why = match text("detail") {
            "" if !is_preview => continue,
            "" => String::new(),
            detail => format!("; column {}: {detail}", text("column")),
        };
        println!("  row {} {} {}{why}", verdict["row"], text("number"), text("verdict"));
    }
    if answer["verdicts_untold"] != 0 {
        println!("  … and {} more rows", answer["verdicts_untold"]);
    }
}

fn body(change: DidChange) -> Result<Map<String, Value>, String> {
    let mut body = Map::new();
    put(&mut body, "enabled", change.enabled);
    put(&mut body, "target", change.target);
    if !change.subscribers.is_empty() {
        put(&mut body, "subscribers", Some(change.subscribers));
    }
    put(&mut body, "trunk", change.trunk);
    put(&mut body, "ring_s", change.ring);
    put_limit(&mut body, "calls_max", "--calls", change.calls.as_deref())?;
    put_limit(&mut body, "cps_max", "--cps", change.cps.as_deref())?;
    put(&mut body, "price", change.price);
    put(&mut body, "connect_fee", change.connect_fee);
    put(&mut body, "first_increment", change.first_increment);
    put(&mut body, "next_increment", change.next_increment);
    put(&mut body, "note", change.note);
    Ok(body)
}
