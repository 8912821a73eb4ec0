//! `plan …`, `destination …` and `charges …`.

use serde_json::{Map, Value, json};

use super::account::put;
use super::args::{ChargesCommand, DestinationCommand, PlanCommand};
use super::client::escape;
use super::{Context, Outcome, table};

const BUNDLE_COLUMNS: [(&str, &str); 6] = [
    ("ID", "bundle"),
    ("WHAT", "label"),
    ("SECONDS", "seconds"),
    ("FROM", "valid_from"),
    ("TILL", "valid_till"),
    ("STATE", "state"),
];

pub(super) fn run(context: &Context, command: PlanCommand) -> Outcome {
    let client = context.client()?;
    let of = |account: &str, what: &str| format!("/accounts/{}/{what}", escape(account));
    let answer = match command {
        PlanCommand::Add { file } => {
            let text = std::fs::read_to_string(&file)
                .map_err(|error| format!("{}: {error}", file.display()))?;
            let body: Value = serde_json::from_str(&text)
                .map_err(|error| format!("{}: it is not JSON: {error}", file.display()))?;
            client.command("POST", "/plans", &body)?
        }
        PlanCommand::List => {
            let columns =
                [("ID", "id"), ("NAME", "name"), ("CURRENCY", "currency"), ("CLOSED", "closed_at")];
            context.show_list(&client.get("/plans")?, &columns);
            return Ok(());
        }
        PlanCommand::Show { name } => client.get(&format!("/plans/{}", escape(&name)))?,
        PlanCommand::Close { name } => {
            client.command("POST", &format!("/plans/{}/close", escape(&name)), &json!({}))?
        }
        PlanCommand::Subscribe { account, plan, quantity, note, from, till } => {
            let mut body = Map::new();
            body.insert("plan".into(), plan.into());
            put(&mut body, "quantity", quantity);
            put(&mut body, "note", note);
            put(&mut body, "starts_at", from);
            put(&mut body, "ends_at", till);
            client.command("POST", &of(&account, "plans"), &Value::Object(body))?
        }
        PlanCommand::Of { account } => {
            let columns = [
                ("ID", "id"),
                ("PLAN", "plan"),
                ("QUANTITY", "quantity"),
                ("NOTE", "note"),
                ("FROM", "starts_at"),
                ("TILL", "ends_at"),
                ("NEXT DUE", "next_due_at"),
            ];
            context.show_list(&client.get(&of(&account, "plans"))?, &columns);
            return Ok(());
        }
        PlanCommand::End { subscription, at } => {
            let mut body = Map::new();
            put(&mut body, "at", at);
            let path = format!("/subscriptions/{subscription}/end");
            client.command("POST", &path, &Value::Object(body))?
        }
        PlanCommand::Compensate { account, destinations, day, seconds } => {
            let mut body = Map::new();
            body.insert("destination_set".into(), destinations.into());
            put(&mut body, "day", day);
            put(&mut body, "seconds", seconds);
            client.command("POST", &of(&account, "compensations"), &Value::Object(body))?
        }
        PlanCommand::Bundles { account } => {
            context.show_list(&client.get(&of(&account, "bundles"))?, &BUNDLE_COLUMNS);
            return Ok(());
        }
    };
    context.show(&answer, |answer| print!("{}", table::render_fields(answer)));
    Ok(())
}

pub(super) fn destination(context: &Context, command: DestinationCommand) -> Outcome {
    let client = context.client()?;
    match command {
        DestinationCommand::Set { name, prefixes } => {
            let body = json!({ "name": name, "prefixes": prefixes });
            let answer = client.command("POST", "/destination-sets", &body)?;
            context.show(&answer, |answer| print!("{}", table::render_fields(answer)));
        }
        DestinationCommand::List => {
            let columns = [("ID", "id"), ("NAME", "name"), ("PREFIXES", "prefixes")];
            context.show_list(&client.get("/destination-sets")?, &columns);
        }
        DestinationCommand::Remove { name } => {
            let path = format!("/destination-sets/{}", escape(&name));
            let answer = client.command("DELETE", &path, &Value::Null)?;
            context.show(&answer, |_| println!("removed destination set {name}"));
        }
    }
    Ok(())
}

pub(super) fn charges(context: &Context, command: ChargesCommand) -> Outcome {
    let client = context.client()?;
    match command {
        ChargesCommand::Run { until, preview } => {
            let mut body = Map::new();
            put(&mut body, "until", until);
            body.insert("preview".into(), preview.into());
            let answer = client.command("POST", "/charges/run", &Value::Object(body))?;
            if preview {
                let columns = [
                    ("ACCOUNT", "account"),
                    ("AT", "at"),
                    ("WHAT", "what"),
                    ("AMOUNT", "amount"),
                    ("SECONDS", "seconds"),
                    ("LABEL", "label"),
                ];
                context.show_list(&answer, &columns);
            } else {
                context.show(&answer, |answer| print!("{}", table::render_fields(answer)));
            }
        }
        ChargesCommand::List { account } => {
            let path = format!("/accounts/{}/charges", escape(&account));
            let columns = [
                ("DUE", "due_at"),
                ("WHAT", "kind"),
                ("AMOUNT", "amount"),
                ("STATE", "state"),
                ("LABEL", "label"),
                ("WHY NOT", "fault"),
            ];
            context.show_list(&client.get(&path)?, &columns);
        }
    }
    Ok(())
}
