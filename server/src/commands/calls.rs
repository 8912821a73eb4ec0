//! `live`, `hangup`, `cdr`, `why`.

use serde_json::Value;

use super::account_file::form_of;
use super::args::CdrArgs;
use super::client::{escape, query};
use super::{Context, Outcome, print_json, table};

/// What one answer of the API holds at most.
const PAGE: u32 = 10_000;
/// Call records that are listed if nothing is said.
const LISTED: u32 = 100;

pub(super) fn live(context: &Context) -> Outcome {
    let columns = [
        ("CALL", "call"),
        ("STATE", "state"),
        ("ACCOUNT", "account"),
        ("FROM", "from"),
        ("TO", "to"),
        ("IN", "trunk_in"),
        ("OUT", "trunk_out"),
        ("TALKED", "talked_s"),
        ("PAID FOR", "granted_s"),
    ];
    context.show_list(&context.client()?.get("/calls")?, &columns);
    Ok(())
}

pub(super) fn hang_up(context: &Context, call: &str) -> Outcome {
    let path = format!("/calls/{}", escape(call));
    let answer = context.client()?.command("DELETE", &path, &Value::Null)?;
    context.show(&answer, |_| println!("ended {call}"));
    Ok(())
}

/// The filter, with these two besides.
fn filter(which: &CdrArgs, limit: Option<u32>, last: (&'static str, Option<String>)) -> String {
    query(&[
        ("account", which.account.clone()),
        ("site", which.site.clone()),
        ("trunk", which.trunk.clone()),
        ("from", which.from.clone()),
        ("till", which.till.clone()),
        ("cli", which.cli.clone()),
        ("destination", which.destination.clone()),
        ("cause", which.cause.clone()),
        ("answered", which.answered.map(|answered| answered.to_string())),
        ("time_zone", which.time_zone.clone()),
        ("limit", limit.map(|limit| limit.to_string())),
        last,
    ])
}

pub(super) fn cdr(context: &Context, which: &CdrArgs) -> Outcome {
    let client = context.client()?;
    if let Some(file) = &which.output {
        let form = form_of(file)?;
        let parts = filter(which, which.limit, ("format", Some(form.to_owned())));
        client.download_to(&format!("/cdrs/export{parts}"), file)?;
        context.show_written(file);
        return Ok(());
    }
    let limit = which.limit.unwrap_or(LISTED);
    let mut items: Vec<Value> = Vec::new();
    let mut after = None;
    loop {
        let wanted = limit.saturating_sub(u32::try_from(items.len()).unwrap_or(u32::MAX));
        let parts = filter(which, Some(wanted.clamp(1, PAGE)), ("after", after));
        let mut answer = client.get(&format!("/cdrs{parts}"))?;
        if let Some(page) = answer["items"].as_array_mut() {
            items.append(page);
        }
        after = answer["next"].as_str().map(str::to_owned);
        if after.is_none() || items.len() >= limit as usize {
            break;
        }
    }
    if context.json {
        print_json(&Value::Array(items));
    } else {
        print!("{}", table::render(&items, &CDR_COLUMNS));
    }
    Ok(())
}

const CDR_COLUMNS: [(&str, &str); 14] = [
    ("CALL", "call"),
    ("LEG", "leg"),
    ("STARTED", "started_at"),
    ("ACCOUNT", "account_name"),
    ("TRUNK", "trunk_name"),
    ("FROM", "cli"),
    ("TO", "cld"),
    ("DESTINATION", "destination_name"),
    ("TALKED S", "talked_s"),
    ("BUNDLE S", "bundle_s"),
    ("AMOUNT", "amount"),
    ("CURRENCY", "currency"),
    ("CAUSE", "cause"),
    ("STATUS", "sip_status"),
];

pub(super) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

pub(super) fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn sentences(reasons: &[Value]) {
    for reason in reasons {
        println!("  {:<28} {}", text(reason, "code"), text(reason, "sentence"));
    }
}

pub(super) fn why(context: &Context, call: &str) -> Outcome {
    let answer = context.client()?.get(&format!("/why/{}", escape(call)))?;
    context.show(&answer, |answer| {
        println!("call {}", text(answer, "call"));
        println!("\ndecisions");
        sentences(list(answer, "decisions"));
        println!("\nlegs");
        let columns = [
            ("LEG", "leg"),
            ("", "direction"),
            ("ACCOUNT", "account_name"),
            ("TRUNK", "trunk_name"),
            ("FROM", "cli"),
            ("TO", "cld"),
            ("TALKED S", "talked_s"),
            ("AMOUNT", "amount"),
            ("CAUSE", "cause"),
            ("STATUS", "sip_status"),
            ("BY", "released_by"),
        ];
        print!("{}", table::render(list(answer, "legs"), &columns));
        println!("\nmovements of money");
        let columns = [
            ("KIND", "kind"),
            ("FROM", "debit_name"),
            ("TO", "credit_name"),
            ("AMOUNT", "amount"),
            ("CURRENCY", "currency"),
            ("LEG", "leg"),
        ];
        print!("{}", table::render(list(answer, "postings"), &columns));
        let history = list(answer, "history");
        if !history.is_empty() {
            println!("\npriced again");
            let columns = [
                ("TIME", "generation"),
                ("AS", "as"),
                ("ACCOUNT", "account"),
                ("BEFORE", "before"),
                ("AFTER", "after"),
                ("CURRENCY", "currency"),
                ("AT", "at"),
                ("BY", "started_by"),
                ("REASON", "reason"),
            ];
            print!("{}", table::render(history, &columns));
        }
        let others = list(answer, "others");
        if !others.is_empty() {
            let others: Vec<&str> = others.iter().filter_map(Value::as_str).collect();
            println!("\nother calls with this Call-ID: {}", others.join(", "));
        }
    });
    Ok(())
}
