//! `fraud …`.

use serde_json::{Map, Value, json};

use super::account::put;
use super::args::{
    FraudCommand, FraudCountryCommand, FraudHoldCommand, FraudRuleCommand, NewFraudRule,
};
use super::client::escape;
use super::{Context, Outcome, table};

const RULES: [(&str, &str); 13] = [
    ("ID", "id"),
    ("ACCOUNT", "account"),
    ("KIND", "kind"),
    ("MOST", "most"),
    ("BELOW", "below_s"),
    ("AMONG", "among"),
    ("WINDOW", "window"),
    ("CLASS", "class"),
    ("COUNTRY", "country"),
    ("ACTION", "action"),
    ("FOR", "lasting_s"),
    ("CALLS", "calls_max"),
    ("CPS", "cps_max"),
];

const HOLDS: [(&str, &str); 5] = [
    ("ACCOUNT", "account"),
    ("KIND", "kind"),
    ("WHAT", "what"),
    ("SINCE", "since"),
    ("UNTIL", "until"),
];

const COUNTRIES: [(&str, &str); 2] = [("COUNTRY", "country"), ("SINCE", "since")];

pub(super) fn run(context: &Context, command: FraudCommand) -> Outcome {
    match command {
        FraudCommand::Rule { command } => rule(context, command),
        FraudCommand::Hold { command } => hold(context, command),
        FraudCommand::Country { command } => country(context, command),
    }
}

fn rule(context: &Context, command: FraudRuleCommand) -> Outcome {
    match command {
        FraudRuleCommand::List { account } => {
            let of = account.map(|name| format!("?account={}", escape(&name)));
            let path = format!("/fraud-rules{}", of.unwrap_or_default());
            context.show_list(&context.client()?.get(&path)?, &RULES);
            Ok(())
        }
        FraudRuleCommand::Add(rule) => send(context, "POST", "/fraud-rules", &body(rule)),
        FraudRuleCommand::Remove { id } => {
            send(context, "DELETE", &format!("/fraud-rules/{id}"), &Value::Null)
        }
    }
}

fn body(rule: NewFraudRule) -> Value {
    let mut body = Map::new();
    body.insert("kind".into(), rule.kind.into());
    body.insert("action".into(), rule.action.into());
    put(&mut body, "account", rule.account);
    put(&mut body, "most", rule.most);
    put(&mut body, "below_s", rule.below);
    put(&mut body, "among", rule.among);
    put(&mut body, "window", rule.window);
    put(&mut body, "class", rule.class);
    put(&mut body, "country", rule.country);
    put(&mut body, "lasting_s", rule.lasting);
    put(&mut body, "calls_max", rule.calls_max);
    put(&mut body, "cps_max", rule.cps_max);
    Value::Object(body)
}

fn hold(context: &Context, command: FraudHoldCommand) -> Outcome {
    match command {
        FraudHoldCommand::List => {
            context.show_list(&context.client()?.get("/fraud-holds")?, &HOLDS);
            Ok(())
        }
        FraudHoldCommand::Lift { account } => {
            let path = format!("/fraud-holds/{}", escape(&account));
            send(context, "DELETE", &path, &Value::Null)
        }
    }
}

fn country(context: &Context, command: FraudCountryCommand) -> Outcome {
    let path = |account: &str| format!("/accounts/{}/countries", escape(account));
    match command {
        FraudCountryCommand::List { account } => {
            context.show_list(&context.client()?.get(&path(&account))?, &COUNTRIES);
            Ok(())
        }
        FraudCountryCommand::Set { account, countries } => {
            send(context, "PUT", &path(&account), &json!({ "countries": countries }))
        }
    }
}

fn send(context: &Context, method: &str, path: &str, body: &Value) -> Outcome {
    let answer = context.client()?.command(method, path, body)?;
    context.show(&answer, |answer| print!("{}", table::render_fields(answer)));
    Ok(())
}
