//! `route …`.

use serde_json::{Map, Value, json};

use super::account::{or_none, put, put_limit};
use super::args::{PrefixCommand, RouteChange, RouteCommand, WindowCommand};
use super::client::{Client, escape};
use super::{Context, Outcome, quality, table};

const ROUTES: [(&str, &str); 8] = [
    ("ID", "id"),
    ("PREFIX", "prefix"),
    ("PRIORITY", "priority"),
    ("TRUNK", "trunk"),
    ("WEIGHT", "weight"),
    ("WINDOW", "window"),
    ("CALLS", "calls_max"),
    ("CPS", "cps_max"),
];

const PREFIXES: [(&str, &str); 5] = [
    ("ID", "id"),
    ("PREFIX", "prefix"),
    ("POLICY", "policy"),
    ("CALLS", "calls_max"),
    ("CPS", "cps_max"),
];

const WINDOWS: [(&str, &str); 5] = [
    ("NAME", "name"),
    ("OPEN", "open"),
    ("ZONE", "zone"),
    ("SPANS", "spans"),
    ("HOLIDAYS", "holidays"),
];

pub(super) fn run(context: &Context, command: RouteCommand) -> Outcome {
    let client = context.client()?;
    match command {
        RouteCommand::List => context.show_list(&client.get("/routes")?, &ROUTES),
        RouteCommand::Add { prefix, trunk, change } => {
            let mut body = fields(&change)?;
            body.insert("prefix".into(), prefix.into());
            body.insert("trunk".into(), trunk.into());
            show(context, &client.command("POST", "/routes", &Value::Object(body))?);
        }
        RouteCommand::Set { id, change } => {
            let body = Value::Object(fields(&change)?);
            show(context, &client.command("PATCH", &format!("/routes/{id}"), &body)?);
        }
        RouteCommand::Remove { id } => {
            let answer = client.command("DELETE", &format!("/routes/{id}"), &Value::Null)?;
            context.show(&answer, |_| println!("removed route {id}"));
        }
        RouteCommand::Prefix { command } => return prefix(context, &client, command),
        RouteCommand::Quality { command } => return quality::run(context, &client, *command),
        RouteCommand::Window { command } => return window(context, &client, command),
    }
    Ok(())
}

fn show(context: &Context, answer: &Value) {
    context.show(answer, |answer| print!("{}", table::render_fields(answer)));
}

fn fields(change: &RouteChange) -> Result<Map<String, Value>, String> {
    let mut body = Map::new();
    put(&mut body, "priority", change.priority);
    put(&mut body, "weight", change.weight);
    put(&mut body, "window", or_none(change.window.as_ref()));
    put_capacity(&mut body, change.concurrent.as_deref(), change.cps.as_deref())?;
    Ok(body)
}

fn put_capacity(
    body: &mut Map<String, Value>,
    concurrent: Option<&str>,
    cps: Option<&str>,
) -> Result<(), String> {
    put_limit(body, "calls_max", "--concurrent", concurrent)?;
    put_limit(body, "cps_max", "--cps", cps)
}

fn prefix(context: &Context, client: &Client, command: PrefixCommand) -> Outcome {
    match command {
        PrefixCommand::List => context.show_list(&client.get("/route-prefixes")?, &PREFIXES),
        PrefixCommand::Set { prefix, policy, concurrent, cps } => {
            let mut body = Map::new();
            body.insert("prefix".into(), prefix.into());
            put(&mut body, "policy", policy);
            put_capacity(&mut body, concurrent.as_deref(), cps.as_deref())?;
            show(context, &client.command("PATCH", "/route-prefixes", &Value::Object(body))?);
        }
        PrefixCommand::Remove { id } => {
            let path = format!("/route-prefixes/{id}");
            let answer = client.command("DELETE", &path, &Value::Null)?;
            context.show(&answer, |_| println!("removed what was said of route prefix {id}"));
        }
    }
    Ok(())
}

fn window(context: &Context, client: &Client, command: WindowCommand) -> Outcome {
    let one = |name: &str| format!("/time-windows/{}", escape(name));
    match command {
        WindowCommand::List => context.show_list(&client.get("/time-windows")?, &WINDOWS),
        WindowCommand::Set { name, zone, spans, holidays } => {
            let body = json!({ "zone": zone, "spans": spans, "holidays": holidays });
            show(context, &client.command("PUT", &one(&name), &body)?);
        }
        WindowCommand::Remove { name } => {
            let answer = client.command("DELETE", &one(&name), &Value::Null)?;
            context.show(&answer, |_| println!("removed time window {name}"));
        }
    }
    Ok(())
}
