//! `ban …`, `allow …` and `security …`.

use serde_json::{Map, Value, json};

use super::account::put;
use super::args::{AllowCommand, BanCommand, SecurityCommand};
use super::client::escape;
use super::{Context, Outcome, table};

const COLUMNS: [(&str, &str); 5] = [
    ("NETWORK", "network"),
    ("REASON", "reason"),
    ("SINCE", "since"),
    ("UNTIL", "until"),
    ("BY", "made_by"),
];

pub(super) fn ban(context: &Context, command: BanCommand) -> Outcome {
    match command {
        BanCommand::List => list(context, "/bans"),
        BanCommand::Add { network, seconds, reason } => {
            add(context, "/bans", &network, &reason, seconds)
        }
        BanCommand::Lift { network } => remove(context, "/bans", &network, "lifted"),
    }
}

pub(super) fn allow(context: &Context, command: AllowCommand) -> Outcome {
    match command {
        AllowCommand::List => list(context, "/allowed-sources"),
        AllowCommand::Add { network, reason } => {
            add(context, "/allowed-sources", &network, &reason, None)
        }
        AllowCommand::Remove { network } => {
            remove(context, "/allowed-sources", &network, "removed")
        }
    }
}

pub(super) fn security(context: &Context, command: SecurityCommand) -> Outcome {
    let client = context.client()?;
    let answer = match command {
        SecurityCommand::Show => client.get("/security-settings")?,
        SecurityCommand::Set { name, value } => {
            client.command("PATCH", "/security-settings", &json!({ name: value }))?
        }
    };
    context.show(&answer, |answer| print!("{}", table::render_fields(answer)));
    Ok(())
}

fn list(context: &Context, path: &str) -> Outcome {
    context.show_list(&context.client()?.get(path)?, &COLUMNS);
    Ok(())
}

fn add(
    context: &Context,
    path: &str,
    network: &str,
    reason: &str,
    seconds: Option<u32>,
) -> Outcome {
    let mut body = Map::new();
    body.insert("network".into(), network.into());
    body.insert("reason".into(), reason.into());
    put(&mut body, "seconds", seconds);
    let answer = context.client()?.command("POST", path, &Value::Object(body))?;
    context.show(&answer, |answer| print!("{}", table::render_fields(answer)));
    Ok(())
}

fn remove(context: &Context, path: &str, network: &str, done: &str) -> Outcome {
    let path = format!("{path}/{}", escape(network));
    let answer = context.client()?.command("DELETE", &path, &Value::Null)?;
    context.show(&answer, |_| println!("{done} {network}"));
    Ok(())
}
