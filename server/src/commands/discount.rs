//! `discount …` and `exchange …`.

use serde_json::{Map, Value, json};

use super::account::put;
use super::args::{DiscountCommand, ExchangeCommand};
use super::client::escape;
use super::{Context, Outcome, table};

const COLUMNS: [(&str, &str); 8] = [
    ("ID", "id"),
    ("NAME", "name"),
    ("PERCENT", "percent"),
    ("DESTINATIONS", "destination_set"),
    ("ACCOUNT", "account"),
    ("SITE", "site"),
    ("FROM", "valid_from"),
    ("TILL", "valid_till"),
];

pub(super) fn run(context: &Context, command: DiscountCommand) -> Outcome {
    let client = context.client()?;
    match command {
        DiscountCommand::Add { name, percent, destinations, account, site, from, till } => {
            let mut body = Map::new();
            body.insert("name".into(), name.into());
            body.insert("percent".into(), percent.into());
            body.insert("destination_set".into(), destinations.into());
            put(&mut body, "account", account);
            put(&mut body, "site", site);
            put(&mut body, "valid_from", from);
            put(&mut body, "valid_till", till);
            let answer = client.command("POST", "/discounts", &Value::Object(body))?;
            context.show(&answer, |answer| print!("{}", table::render_fields(answer)));
        }
        DiscountCommand::List => context.show_list(&client.get("/discounts")?, &COLUMNS),
        DiscountCommand::End { id, at } => {
            let path = format!("/discounts/{id}/end");
            let answer = client.command("POST", &path, &json!({ "at": at }))?;
            context.show(&answer, |answer| print!("{}", table::render_fields(answer)));
        }
        DiscountCommand::Remove { id } => {
            let path = format!("/discounts/{id}");
            let answer = client.command("DELETE", &path, &Value::Null)?;
            context.show(&answer, |_| println!("removed discount {id}"));
        }
    }
    Ok(())
}

pub(super) fn exchange(context: &Context, command: ExchangeCommand) -> Outcome {
    let client = context.client()?;
    match command {
        ExchangeCommand::Set { from, to, rate } => {
            let body = json!({ "from": from, "to": to, "rate": rate });
            let answer = client.command("POST", "/exchange-rates", &body)?;
            context.show(&answer, |answer| {
                let text = |field: &str| answer[field].as_str().unwrap_or_default().to_owned();
                println!("1 {} is {} {}", text("from"), text("rate"), text("to"));
            });
        }
        ExchangeCommand::List => {
            let columns = [("FROM", "from"), ("TO", "to"), ("RATE", "rate"), ("SET", "set_at")];
            context.show_list(&client.get("/exchange-rates")?, &columns);
        }
        ExchangeCommand::ReportCurrency { currency } => {
            let answer = match currency {
                None => client.get("/report-currency")?,
                Some(currency) => {
                    let currency = Some(currency).filter(|code| code != "none");
                    client.command("PUT", "/report-currency", &json!({ "currency": currency }))?
                }
            };
            context.show(&answer, |answer| match answer["currency"].as_str() {
                Some(currency) => println!("profit is counted in {currency}"),
                None => println!("profit is counted in the currency of whoever pays for the call"),
            });
        }
        ExchangeCommand::Remove { from, to } => {
            let path = format!("/exchange-rates/{}/{}", escape(&from), escape(&to));
            let answer = client.command("DELETE", &path, &Value::Null)?;
            context.show(&answer, |_| println!("removed the rate from {from} to {to}"));
        }
    }
    Ok(())
}
