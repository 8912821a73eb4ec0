//! `node list`, `node forget`.

use serde_json::json;

use super::args::NodeCommand;
use super::client::escape;
use super::{Context, Outcome};

pub(super) fn run(context: &Context, command: &NodeCommand) -> Outcome {
    let client = context.client()?;
    match command {
        NodeCommand::List => {
            let columns = [
                ("NODE", "name"),
                ("EPOCH", "epoch"),
                ("STATE", "state"),
                ("SEEN", "seen_at"),
                ("SILENT S", "silent_s"),
                ("ACCOUNTS", "accounts"),
                ("LEASED", "leased"),
                ("CLAIMED", "claimed"),
            ];
            context.show_list(&client.get("/nodes")?, &columns);
        }
        NodeCommand::Forget { name } => {
            let answer =
                client.command("POST", &format!("/nodes/{}/forget", escape(name)), &json!({}))?;
            context.show(&answer, |answer| {
                let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
                let uncharged = match text("uncharged").as_str() {
                    "" => "no money".to_owned(),
                    amounts => format!("at most {amounts} of talk"),
                };
                println!(
                    "node {} is given up; its leases are free. Not charged: {uncharged}, and at most \
                     {} s of bundles; {} long calls have no CDR.",
                    text("node"),
                    answer["untold_bundle_s"],
                    answer["open_calls"]
                );
            });
        }
    }
    Ok(())
}
