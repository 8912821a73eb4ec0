//! `receipts` and `receipt`.

use super::args::ReceiptArgs;
use super::client::query;
use super::paged::Paged;
use super::{Context, Outcome, table};

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
    let (output, limit) = (which.output.as_deref(), which.limit);
    let receipts = Paged { path: "/receipts", output, limit, columns: &COLUMNS };
    receipts.tell(context, |limit, last| filter(which, limit, last))
}

pub(super) fn show(context: &Context, number: u64, seller: Option<String>) -> Outcome {
    let of = query(&[("seller", seller)]);
    let receipt = context.client()?.get(&format!("/receipts/{number}{of}"))?;
    context.show(&receipt, |receipt| print!("{}", table::render_fields(receipt)));
    Ok(())
}
