//! `tls show` and `tls reload`.

use serde_json::json;

use super::args::TlsCommand;
use super::{Context, Outcome};

const COLUMNS: [(&str, &str); 6] = [
    ("LISTENER", "listener"),
    ("FILE", "file"),
    ("DOMAINS", "domains"),
    ("EXPIRES", "expires_at"),
    ("DAYS LEFT", "days_left"),
    ("NOT RENEWED", "problem"),
];

pub(super) fn run(context: &Context, command: &TlsCommand) -> Outcome {
    let client = context.client()?;
    let answer = match command {
        TlsCommand::Show => client.get("/tls/certificates")?,
        TlsCommand::Reload => client.command("POST", "/tls/reload", &json!({}))?,
    };
    context.show_list(&answer, &COLUMNS);
    Ok(())
}
