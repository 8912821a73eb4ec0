//! `lookup …` and `jurisdiction …`.

use std::fs;

use serde_json::{Map, Value};

use super::account::{or_none, put};
use super::args::{JurisdictionCommand, LookupChange, LookupCommand};
use super::client::{escape, query};
use super::{Context, Outcome, table};

const LOOKUPS: [(&str, &str); 10] = [
    ("NAME", "name"),
    ("KIND", "kind"),
    ("URL", "url"),
    ("HOST", "host"),
    ("PORT", "port"),
    ("ENABLED", "enabled"),
    ("TIMEOUT MS", "timeout_ms"),
    ("TTL S", "ttl_s"),
    ("ON FAILURE", "on_failure"),
    ("PREFIXES", "prefixes"),
];

const LINES: [(&str, &str); 3] = [("PREFIX", "prefix"), ("STATE", "state"), ("LATA", "lata")];

pub(super) fn run(context: &Context, command: LookupCommand) -> Outcome {
    let client = context.client()?;
    match command {
        LookupCommand::List => context.show_list(&client.get("/lookups")?, &LOOKUPS),
        LookupCommand::Set { name, change } => {
            let body = Value::Object(fields(*change));
            let answer = client.command("PATCH", &format!("/lookups/{}", escape(&name)), &body)?;
            show(context, &answer);
        }
        LookupCommand::Remove { name } => {
            let path = format!("/lookups/{}", escape(&name));
            let answer = client.command("DELETE", &path, &Value::Null)?;
            context.show(&answer, |_| println!("removed lookup {name}"));
        }
    }
    Ok(())
}

pub(super) fn jurisdiction(context: &Context, command: JurisdictionCommand) -> Outcome {
    let client = context.client()?;
    match command {
        JurisdictionCommand::Import { file } => {
            let text = fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            show(context, &client.upload("/jurisdictions", &text)?);
        }
        JurisdictionCommand::List { prefix, limit } => {
            let limit = limit.map(|limit| limit.to_string());
            let path = query(&[("prefix", Some(prefix)), ("limit", limit)]);
            context.show_list(&client.get(&format!("/jurisdictions{path}"))?, &LINES);
        }
    }
    Ok(())
}

fn show(context: &Context, answer: &Value) {
    context.show(answer, |answer| print!("{}", table::render_fields(answer)));
}

fn fields(change: LookupChange) -> Map<String, Value> {
    let mut body = Map::new();
    put(&mut body, "url", change.url);
    put(&mut body, "body", or_none(change.body.as_ref()));
    put(&mut body, "pointer", or_none(change.pointer.as_ref()));
    put(&mut body, "header_name", or_none(change.header_name.as_ref()));
    put(&mut body, "header_value", change.header_value);
    put(&mut body, "host", change.host);
    put(&mut body, "port", change.port);
    put(&mut body, "enabled", change.enabled);
    put(&mut body, "timeout_ms", change.timeout_ms);
    put(&mut body, "ttl_s", change.ttl);
    put(&mut body, "on_failure", change.on_failure);
    put(&mut body, "prefixes", change.prefixes);
    body
}
