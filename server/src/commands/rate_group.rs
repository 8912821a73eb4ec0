//! `rates group …`.

use serde_json::{Map, Value, json};

use super::args::{GroupCommand, GroupTerms};
use super::client::{Client, escape};
use super::{Context, Outcome};

pub(super) fn run(context: &Context, client: &Client, command: GroupCommand) -> Outcome {
    let answer = match command {
        GroupCommand::Add { group, currency, terms } => {
            let mut body = written(terms)?;
            body.insert("name".to_owned(), json!(group));
            body.insert("currency".to_owned(), json!(currency));
            client.command("POST", "/rate-groups", &Value::Object(body))?
        }
        GroupCommand::Show { group } => client.get(&format!("/rate-groups/{}", escape(&group)))?,
        GroupCommand::Set { group, terms } => {
            let body = Value::Object(written(terms)?);
            client.command("PATCH", &format!("/rate-groups/{}", escape(&group)), &body)?
        }
    };
    context.show(&answer, tell);
    Ok(())
}

fn tell(answer: &Value) {
    let word = |field: &str| answer[field].as_str().unwrap_or("none").to_owned();
    let rounding = |field: &str| match &answer[field] {
        Value::Null => "none".to_owned(),
        rounding => {
            format!("{}/{}", rounding["mode"].as_str().unwrap_or_default(), rounding["decimals"])
        }
    };
    println!("{} in {}, {} rates", word("name"), word("currency"), answer["rates"]);
    println!("  a call is rounded     {}/{}", word("rounding"), answer["decimals"]);
    println!("  a line is rounded     {}", rounding("line_rounding"));
    println!("  an invoice is rounded {}", rounding("invoice_rounding"));
    println!("  its taxes are rounded on each {}", word("tax_rounding"));
    let with = if answer["prices_include_tax"] == true { "with" } else { "without" };
    println!("  prices are stated     {with} taxes");
    println!("  a rate is looked up   by the {} number", word("rate_by"));
    println!(
        "  talk becomes seconds  {}",
        match word("duration_rounding").as_str() {
            "none" => "as the account has it",
            word => word,
        }
    );
    for (name, value) in answer["defaults"].as_object().into_iter().flatten() {
        println!("  {name:<21} {value}");
    }
}

/// Only what was said; `none` takes a setting away.
fn written(terms: GroupTerms) -> Result<Map<String, Value>, String> {
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    put("rounding", terms.rounding.map(Value::String));
    put("decimals", terms.decimals.map(|decimals| json!(decimals)));
    put("line_rounding", terms.line_rounding.as_deref().map(rounding).transpose()?);
    put("tax_rounding", terms.tax_rounding.map(Value::String));
    put("prices_include_tax", terms.prices_include_tax.map(Value::Bool));
    put("rate_by", terms.rate_by.map(Value::String));
    put("invoice_rounding", terms.invoice_rounding.as_deref().map(rounding).transpose()?);
    put(
        "duration_rounding",
        terms.duration_rounding.map(|word| match word.as_str() {
            "none" => Value::Null,
            _ => Value::String(word),
        }),
    );
    let defaults = terms.defaults.as_deref().map(serde_json::from_str).transpose();
    put("defaults", defaults.map_err(|error| format!("the defaults are not JSON: {error}"))?);
    Ok(body)
}

/// `half_up/4`.
fn rounding(text: &str) -> Result<Value, String> {
    if text == "none" {
        return Ok(Value::Null);
    }
    let parts = text.split_once('/').and_then(|(mode, decimals)| {
        Some(json!({ "mode": mode, "decimals": decimals.parse::<u8>().ok()? }))
    });
    parts.ok_or_else(|| format!("{text:?} is no rounding: write half_up/4, or none"))
}
