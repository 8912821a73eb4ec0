//! `route quality …`.

use serde_json::{Map, Value};

use super::account::{put, put_limit};
use super::args::{QualityCommand, QualityDemands};
use super::client::Client;
use super::{Context, Outcome, table};

const RULES: [(&str, &str); 12] = [
    ("ID", "id"),
    ("TRUNK", "trunk"),
    ("PREFIX", "prefix"),
    ("BY ROUTE", "by_route"),
    ("WINDOW S", "window_s"),
    ("CALLS", "calls_min"),
    ("ASR %", "asr_min_percent"),
    ("ACD MS", "acd_min_ms"),
    ("PDD MS", "pdd_max_ms"),
    ("DROP S", "drop_s"),
    ("TRIAL", "trial_calls"),
    ("HYSTERESIS %", "hysteresis_percent"),
];

const WINDOWS: [(&str, &str); 10] = [
    ("TRUNK", "trunk"),
    ("PREFIX", "prefix"),
    ("RULE", "rule"),
    ("STATE", "state"),
    ("UNTIL", "until"),
    ("CALLS", "calls"),
    ("ASR %", "asr_percent"),
    ("ACD MS", "acd_ms"),
    ("PDD MS", "pdd_ms"),
    ("WHY", "why"),
];

pub(super) fn run(context: &Context, client: &Client, command: QualityCommand) -> Outcome {
    let (path, body) = match command {
        QualityCommand::List => {
            context.show_list(&client.get("/quality-rules")?, &RULES);
            return Ok(());
        }
        QualityCommand::Status => {
            context.show_list(&client.get("/trunk-quality")?, &WINDOWS);
            return Ok(());
        }
        QualityCommand::Remove { id } => {
            let answer = client.command("DELETE", &format!("/quality-rules/{id}"), &Value::Null)?;
            context.show(&answer, |_| println!("removed quality rule {id}"));
            return Ok(());
        }
        QualityCommand::Set { prefix, trunk, demands } => {
            let mut body = fields(&demands)?;
            body.insert("prefix".into(), prefix.into());
            put(&mut body, "trunk", trunk);
            let answer = client.command("PATCH", "/quality-rules", &Value::Object(body))?;
            show(context, &answer);
            return Ok(());
        }
        QualityCommand::Drop { trunk, prefix, seconds } => {
            let mut body = which(trunk, prefix);
            put(&mut body, "seconds", seconds);
            ("/trunk-quality/drop", body)
        }
        QualityCommand::Lift { trunk, prefix } => ("/trunk-quality/lift", which(trunk, prefix)),
    };
    show(context, &client.command("POST", path, &Value::Object(body))?);
    Ok(())
}

fn show(context: &Context, answer: &Value) {
    context.show(answer, |answer| print!("{}", table::render_fields(answer)));
}

fn which(trunk: String, prefix: String) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("trunk".into(), trunk.into());
    body.insert("prefix".into(), prefix.into());
    body
}

fn fields(demands: &QualityDemands) -> Result<Map<String, Value>, String> {
    let mut body = Map::new();
    put(&mut body, "by_route", demands.by_route);
    put(&mut body, "window_s", demands.window);
    put(&mut body, "calls_min", demands.calls);
    put(&mut body, "drop_s", demands.drop);
    put(&mut body, "trial_calls", demands.trial_calls);
    put(&mut body, "hysteresis_percent", demands.hysteresis);
    put_limit(&mut body, "asr_min_percent", "--asr", demands.asr.as_deref())?;
    put_limit(&mut body, "acd_min_ms", "--acd", demands.acd.as_deref())?;
    put_limit(&mut body, "pdd_max_ms", "--pdd", demands.pdd.as_deref())?;
    Ok(body)
}
