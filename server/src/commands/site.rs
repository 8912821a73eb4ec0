//! `site …`.

use serde_json::{Value, json};

use super::args::SiteCommand;
use super::client::escape;
use super::{Context, Outcome, table};

pub(super) fn run(context: &Context, command: SiteCommand) -> Outcome {
    let client = context.client()?;
    let sites = |account: &str| format!("/accounts/{}/sites", escape(account));
    match command {
        SiteCommand::Add { account, name } => {
            let answer = client.command("POST", &sites(&account), &json!({ "name": name }))?;
            context.show(&answer, |answer| print!("{}", table::render_fields(answer)));
        }
        SiteCommand::List { account } => {
            let columns = [("NAME", "name"), ("ADDED", "created_at")];
            context.show_list(&client.get(&sites(&account))?, &columns);
        }
        SiteCommand::Remove { account, name } => {
            let path = format!("{}/{}", sites(&account), escape(&name));
            let answer = client.command("DELETE", &path, &Value::Null)?;
            context.show(&answer, |_| println!("removed site {name} of {account}"));
        }
    }
    Ok(())
}
