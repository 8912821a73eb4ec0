//! `account caller-id`, `account add-cli` and their like, `trunk caller-id`.

use serde_json::{Map, Value, json};

use super::account::{or_none, put};
use super::args::{CallerIdChange, TrunkCallerIdChange};
use super::client::{Client, escape};
use super::{Context, Outcome};

const COLUMNS: [(&str, &str); 1] = [("NUMBER", "number")];

fn clis(account: &str) -> String {
    format!("/accounts/{}/clis", escape(account))
}

pub(super) fn policy(
    client: &Client,
    account: &str,
    change: &CallerIdChange,
) -> Result<Value, String> {
    let mut body = Map::new();
    put(&mut body, "pool", change.pool.clone());
    put(&mut body, "default_number", or_none(change.default_number.as_ref()));
    put(&mut body, "default_name", or_none(change.default_name.as_ref()));
    show_or_change(client, &format!("/accounts/{}/caller-id", escape(account)), body)
}

pub(super) fn list(context: &Context, client: &Client, account: &str) -> Outcome {
    context.show_list(&client.get(&clis(account))?, &COLUMNS);
    Ok(())
}

pub(super) fn add(
    context: &Context,
    client: &Client,
    account: &str,
    numbers: &[String],
) -> Outcome {
    let body = json!({ "numbers": numbers });
    let added = client.command("POST", &clis(account), &body)?;
    context.show_list(&added, &COLUMNS);
    Ok(())
}

pub(super) fn remove(context: &Context, client: &Client, account: &str, number: &str) -> Outcome {
    let path = format!("{}/{}", clis(account), escape(number));
    let answer = client.command("DELETE", &path, &Value::Null)?;
    context.show(&answer, |_| println!("removed caller ID {number} of {account}"));
    Ok(())
}

pub(super) fn of_trunk(
    client: &Client,
    trunk: &str,
    change: &TrunkCallerIdChange,
) -> Result<Value, String> {
    let mut body = Map::new();
    put(&mut body, "identity", change.identity.clone());
    put(&mut body, "diversions", change.diversions.clone());
    put(&mut body, "sends_names", change.sends_names);
    put(&mut body, "names_subscribers", change.names_subscribers);
    show_or_change(client, &format!("/trunks/{}/caller-id", escape(trunk)), body)
}

pub(super) fn show_or_change(
    client: &Client,
    path: &str,
    body: Map<String, Value>,
) -> Result<Value, String> {
    if body.is_empty() {
        return Ok(client.get(path)?);
    }
    Ok(client.command("PATCH", path, &Value::Object(body))?)
}
