//! `tax …` and `bill`.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::args::{BillArgs, TaxCommand};
use super::calls::{list, text};
use super::client::escape;
use super::{Context, Outcome, print_all, table};

pub(super) fn run(context: &Context, command: TaxCommand) -> Outcome {
    let client = context.client()?;
    match command {
        TaxCommand::List => {
            let answer = client.get("/tax-sets")?;
            context.show(&answer["items"], |sets| {
                for set in sets.as_array().into_iter().flatten() {
                    tell_set(set);
                }
            });
        }
        TaxCommand::Set { name, taxes } => {
            let body = json!({ "taxes": read("taxes", &taxes)? });
            let answer = client.command("PUT", &format!("/tax-sets/{}", escape(&name)), &body)?;
            context.show(&answer, tell_set);
        }
        TaxCommand::Remove { name } => {
            let path = format!("/tax-sets/{}", escape(&name));
            let answer = client.command("DELETE", &path, &Value::Null)?;
            context.show(&answer, |_| println!("removed the taxes {name}"));
        }
        TaxCommand::Of { account } => {
            let answer = client.get(&format!("/accounts/{}/taxes", escape(&account)))?;
            context.show(&answer, tell_account);
        }
        TaxCommand::Account { account, set, on_top, exempt, exemptions } => {
            let mut body = Map::new();
            body.insert("tax_set".into(), json!(Some(set).filter(|name| name != "none")));
            if let Some(word) = on_top {
                body.insert("on_top".into(), word.into());
            }
            if let Some(reason) = exempt {
                body.insert("exemptions".into(), json!([{ "reason": reason }]));
            }
            if let Some(text) = exemptions {
                body.insert("exemptions".into(), read("exemptions", &text)?);
            }
            let path = format!("/accounts/{}/taxes", escape(&account));
            let answer = client.command("PUT", &path, &Value::Object(body))?;
            context.show(&answer, tell_account);
        }
    }
    Ok(())
}

fn read(what: &str, text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("the {what} are not JSON: {error}"))
}

fn validity(value: &Value) -> String {
    let part = |word: &str, field: &str| match value[field].as_str() {
        Some(at) => format!(", {word} {at}"),
        None => String::new(),
    };
    part("from", "valid_from") + &part("till", "valid_till")
}

fn tell_set(set: &Value) {
    println!("{}", text(set, "name"));
    for tax in list(set, "taxes") {
        let kinds = list(tax, "applies_to").iter().filter_map(Value::as_str);
        let kinds = kinds.collect::<Vec<_>>().join(", ");
        let compound = if tax["compound"] == true { ", compound" } else { "" };
        let (name, percent, when) = (text(tax, "name"), text(tax, "percent"), validity(tax));
        println!("  {name} {percent} %{compound} on {kinds}{when}");
    }
}

fn tell_account(taxed: &Value) {
    let account = text(taxed, "account");
    let Some(set) = taxed["tax_set"].as_str() else {
        println!("{account} pays no taxes");
        return;
    };
    println!("{account} pays {set}; on top of prices: to the {}", text(taxed, "on_top"));
    for exemption in list(taxed, "exemptions") {
        let tax = exemption["tax"].as_str().unwrap_or("everything");
        println!("  exempt from {tax}: {}{}", text(exemption, "reason"), validity(exemption));
    }
}

pub(super) fn bill(context: &Context, asked: &BillArgs) -> Outcome {
    let query = format!("?from={}&till={}", escape(&asked.from), escape(&asked.till));
    let path = format!("/accounts/{}/bill{query}", escape(&asked.account));
    let answer = context.client()?.get(&path)?;
    context.show(&answer, |bill| print_all(&told(bill)));
    Ok(())
}

fn told(bill: &Value) -> String {
    let mut out = String::new();
    let mut say = |name: &str, value: &str| {
        let _ = writeln!(out, "{name:<22}{value:>18}");
    };
    let currency = text(bill, "currency");
    say(text(bill, "account"), currency);
    say("balance before", text(bill, "opening"));
    let lines = [
        ("KIND", "kind"),
        ("WHAT", "label"),
        ("COUNT", "count"),
        ("SECONDS", "billed_seconds"),
        ("NET", "net"),
        ("TAX", "tax"),
        ("GROSS", "gross"),
        ("TAXES", "taxes"),
    ];
    let taxes = [
        ("TAX", "name"),
        ("PERCENT", "percent"),
        ("ON", "base"),
        ("AMOUNT", "amount"),
        ("EXEMPT", "exempt"),
    ];
    let others = [("KIND", "kind"), ("WHAT", "label"), ("COUNT", "count"), ("CHARGED", "posted")];
    for (field, columns) in [("lines", &lines[..]), ("taxes", &taxes), ("others", &others)] {
        let rows = list(bill, field);
        if !rows.is_empty() {
            out.push('\n');
            out.push_str(&table::render(rows, columns));
        }
    }
    out.push('\n');
    let mut say = |name: &str, value: &str| {
        let _ = writeln!(out, "{name:<22}{value:>18}");
    };
    say("rounding of lines", text(&bill["rounding_difference"], "gross"));
    say("net", text(&bill["total"], "net"));
    say("taxes", text(&bill["total"], "tax"));
    say("owed for the period", text(&bill["total"], "gross"));
    say("in the books", text(bill, "posted"));
    say("taxes on top", text(bill, "tax_on_top"));
    say("rounded off", text(bill, "rounded_off"));
    say("balance after", text(bill, "closing"));
    out
}
