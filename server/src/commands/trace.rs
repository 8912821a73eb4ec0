//! `trace …`.

use std::path::Path;

use serde_json::{Map, Value};

use super::account::put;
use super::args::TraceCommand;
use super::{Context, Outcome, print_all, table};

const COLUMNS: [(&str, &str); 7] = [
    ("ID", "id"),
    ("FOLLOWS", "follows"),
    ("RUNNING", "running"),
    ("SINCE", "since"),
    ("UNTIL", "until"),
    ("MESSAGES", "messages"),
    ("MISSED", "missed"),
];

pub(super) fn run(context: &Context, command: TraceCommand) -> Outcome {
    let client = context.client()?;
    let answer = match command {
        TraceCommand::Start { what, seconds } => {
            let mut body = Map::new();
            put(&mut body, "call", what.call);
            put(&mut body, "account", what.account);
            put(&mut body, "trunk", what.trunk);
            put(&mut body, "address", what.address.map(|address| address.to_string()));
            put(&mut body, "seconds", Some(seconds));
            client.command("POST", "/traces", &Value::Object(body))?
        }
        TraceCommand::List => {
            context.show_list(&client.get("/traces")?, &COLUMNS);
            return Ok(());
        }
        TraceCommand::Show { id, .. } if context.json => client.get(&messages(id, "json"))?,
        TraceCommand::Show { id, full } => {
            let form = if full { "text" } else { "ladder" };
            let text = client.download(&messages(id, form))?;
            print_all(&String::from_utf8_lossy(&text));
            return Ok(());
        }
        TraceCommand::Save { id, file } => {
            client.download_to(&messages(id, form_of(&file)?), &file)?;
            context.show_written(&file);
            return Ok(());
        }
        TraceCommand::Stop { id } => {
            client.command("POST", &format!("/traces/{id}/end"), &Value::Null)?
        }
        TraceCommand::Remove { id } => {
            let answer = client.command("DELETE", &format!("/traces/{id}"), &Value::Null)?;
            context.show(&answer, |_| println!("removed trace {id}"));
            return Ok(());
        }
    };
    context.show(&answer, |answer| print!("{}", table::render_fields(answer)));
    Ok(())
}

fn messages(id: u64, form: &str) -> String {
    format!("/traces/{id}/messages?format={form}")
}

fn form_of(file: &Path) -> Result<&'static str, String> {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("pcapng" | "pcap") => Ok("pcapng"),
        Some("json") => Ok("json"),
        Some("txt") => Ok("ladder"),
        _ => Err(format!("{}: end its name with .pcapng, .json or .txt", file.display())),
    }
}
