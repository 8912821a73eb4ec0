//! `live`, `hangup`, `cdr`, `why`.

use serde_json::Value;

use super::args::CdrArgs;
use super::client::{escape, query};
use super::paged::Paged;
use super::{Context, Outcome, table};

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
    let (output, limit) = (which.output.as_deref(), which.limit);
    let cdrs = Paged { path: "/cdrs", output, limit, columns: &CDR_COLUMNS };
    cdrs.tell(context, |limit, last| filter(which, limit, last))
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
