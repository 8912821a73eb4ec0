//! `trunk interworking` and `account codecs`.

use serde_json::{Map, Value};

use super::account::put;
use super::args::TrunkInterworkingChange;
use super::caller_id::show_or_change;
use super::client::{Client, escape};

/// Names with commas between them, as a list; `any` takes the list away.
fn codecs(text: &str) -> Value {
    match text {
        "any" => Value::Null,
        names => names.split(',').map(|name| Value::from(name.trim())).collect(),
    }
}

pub(super) fn of_trunk(
    client: &Client,
    trunk: &str,
    change: &TrunkInterworkingChange,
) -> Result<Value, String> {
    let mut body = Map::new();
    put(&mut body, "codecs", change.codecs.as_deref().map(codecs));
    put(&mut body, "early_media", change.early_media.clone());
    put(&mut body, "reliable_provisional", change.reliable_provisional.clone());
    put(&mut body, "may_transfer", change.may_transfer);
    show_or_change(client, &format!("/trunks/{}/interworking", escape(trunk)), body)
}

pub(super) fn of_account(
    client: &Client,
    account: &str,
    allowed: Option<&str>,
) -> Result<Value, String> {
    let mut body = Map::new();
    put(&mut body, "codecs", allowed.map(codecs));
    show_or_change(client, &format!("/accounts/{}/codecs", escape(account)), body)
}
