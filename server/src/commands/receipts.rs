//! `receipts` and `receipt`.

use serde_json::{Value, json};

use super::account_file::form_of;
use super::args::ReceiptArgs;
use super::client::query;
use super::{Context, Outcome, table};

/// What one answer of the API holds at most.
const PAGE: u32 = 10_000;
/// Receipts that are listed if nothing is said.
const LISTED: u32 = 100;

const COLUMNS: [(&str, &str); 10] = [
    ("SELLER", "seller"),
    ("NUMBER", "number"),
    ("AT", "at"),
    ("ACCOUNT", "account"),
    ("WHAT", "kind"),
    ("TO", "destination"),
    ("AMOUNT", "amount"),
    ("CURRENCY", "currency"),
    ("BALANCE AFTER", "balance_after"),
    ("NOTE", "note"),
];

/// The filter, with these two besides.
fn filter(which: &ReceiptArgs, limit: Option<u32>, last: (&'static str, Option<String>)) -> String {
    query(&[
        ("account", which.account.clone()),
        ("seller", which.seller.clone()),
        ("own", which.own.then(|| "true".to_owned())),
        ("kind", (!which.kind.is_empty()).then(|| which.kind.join(","))),
        ("op_id", which.op_id.clone()),
        ("from", which.from.clone()),
        ("till", which.till.clone()),
        ("time_zone", which.time_zone.clone()),
        ("limit", limit.map(|limit| limit.to_string())),
        last,
    ])
}

pub(super) fn list(context: &Context, which: &ReceiptArgs) -> Outcome {
    let client = context.client()?;
    if let Some(file) = &which.output {
        let form = form_of(file)?;
        let parts = filter(which, which.limit, ("format", Some(form.to_owned())));
        client.download_to(&format!("/receipts/export{parts}"), file)?;
        context.show_written(file);
        return Ok(());
    }
    let limit = which.limit.unwrap_or(LISTED);
    let mut items: Vec<Value> = Vec::new();
    let mut after = None;
    loop {
        let wanted = limit.saturating_sub(u32::try_from(items.len()).unwrap_or(u32::MAX));
        let parts = filter(which, Some(wanted.clamp(1, PAGE)), ("after", after));
        let mut answer = client.get(&format!("/receipts{parts}"))?;
        if let Some(page) = answer["items"].as_array_mut() {
            items.append(page);
        }
        after = answer["next"].as_str().map(str::to_owned);
        if after.is_none() || items.len() >= limit as usize {
            break;
        }
    }
    context.show_list(&json!({ "items": items }), &COLUMNS);
    Ok(())
}

pub(super) fn show(context: &Context, number: u64, seller: Option<String>) -> Outcome {
    let of = query(&[("seller", seller)]);
    let receipt = context.client()?.get(&format!("/receipts/{number}{of}"))?;
    context.show(&receipt, |receipt| print!("{}", table::render_fields(receipt)));
    Ok(())
}
