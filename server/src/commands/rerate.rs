//! `rerate`, `recycle`, `reruns`.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Map, Value};

use super::account::put;
use super::args::{Recycle, Rerate, Selected};
use super::client::Client;
use super::{Context, Outcome, print_all, table};

/// How often a run is asked about.
const ASK: Duration = Duration::from_millis(200);

fn selection(selected: Selected) -> Map<String, Value> {
    let mut body = Map::new();
    put(&mut body, "from", selected.from);
    put(&mut body, "till", selected.till);
    put(&mut body, "trunk_in", selected.trunk_in);
    put(&mut body, "trunk_out", selected.trunk_out);
    put(&mut body, "reason", selected.reason);
    put(&mut body, "preview", Some(selected.preview));
    body
}

pub(super) fn rerate(context: &Context, asked: Rerate) -> Outcome {
    let mut body = selection(asked.selected);
    put(&mut body, "account", asked.account);
    put(&mut body, "site", asked.site);
    put(&mut body, "destination", asked.destination);
    put(&mut body, "sides", asked.sides);
    start(context, body)
}

pub(super) fn recycle(context: &Context, asked: Recycle) -> Outcome {
    let mut body = selection(asked.selected);
    put(&mut body, "recycle", Some(true));
    put(&mut body, "error_code", asked.error_code);
    start(context, body)
}

fn start(context: &Context, body: Map<String, Value>) -> Outcome {
    let client = context.client()?;
    let started = client.command("POST", "/rerates", &Value::Object(body))?;
    follow(context, &client, &started)
}

/// Waits for a run that was started, and shows what it did.
pub(super) fn follow(context: &Context, client: &Client, started: &Value) -> Outcome {
    let answer = wait(client, &started["run"])?;
    context.show(&answer, tell);
    match answer["failure"].as_str() {
        Some(what) => Err(format!("stopped: {what}; what was written stays, run it again")),
        None => Ok(()),
    }
}

fn wait(client: &Client, run: &Value) -> Result<Value, String> {
    loop {
        let answer = client.get(&format!("/rerates/{run}"))?;
        if answer["state"] != "running" {
            return Ok(answer);
        }
        sleep(ASK);
    }
}

pub(super) const SUMS: [(&str, &str); 7] = [
    ("ACCOUNT", "account"),
    ("CURRENCY", "currency"),
    ("CALLS", "calls"),
    ("CHANGED", "changed"),
    ("BEFORE", "before"),
    ("AFTER", "after"),
    ("DIFFERENCE", "difference"),
];
const DESTINATIONS: [(&str, &str); 9] = [
    ("DESTINATION", "destination"),
    ("CURRENCY", "currency"),
    ("CALLS", "calls"),
    ("REVENUE", "revenue_before"),
    ("THEN", "revenue_after"),
    ("COST", "cost_before"),
    ("THEN", "cost_after"),
    ("PROFIT", "profit_before"),
    ("THEN", "profit_after"),
];

/// Sums by everything, the worst first.
pub(super) fn tell(answer: &Value) {
    let is_preview = answer["preview"] == true;
    let done = if is_preview { "would change" } else { "changed" };
    let mut text = format!("{} calls, of which {} {done}\n", answer["calls"], answer["changed"]);
    let mut part = |title: &str, field: &str, columns: &[(&str, &str)]| {
        let items = answer[field].as_array().map_or(&[][..], Vec::as_slice);
        if !items.is_empty() {
            text += &format!("\n{title}\n{}", table::render(items, columns));
        }
    };
    part("not priced", "refused", &[("ERROR CODE", "error_code"), ("SIDES", "sides")]);
    part("together", "totals", &DESTINATIONS[1..]);
    part("who pays", "payers", &SUMS);
    part("carriers", "carriers", &SUMS);
    part("destinations, the least profit first", "destinations", &DESTINATIONS);
    let biggest = [
        ("CALL", "call"),
        ("ACCOUNT", "account"),
        ("AS", "as"),
        ("BEFORE", "before"),
        ("AFTER", "after"),
        ("CURRENCY", "currency"),
    ];
    part("the greatest changes", "biggest", &biggest);
    text += &orders(answer);
    print_all(&text);
}

/// Whose carriers a dry run would ask in another order.
fn orders(answer: &Value) -> String {
    let named = |order: &Value| -> Value {
        let names = order.as_array().into_iter().flatten().filter_map(Value::as_str);
        names.collect::<Vec<_>>().join(" > ").into()
    };
    let orders = answer["carrier_orders"].as_array().map_or(&[][..], Vec::as_slice);
    let rows = orders.iter().map(|row| {
        let mut row = row.clone();
        (row["before"], row["after"]) = (named(&row["before"]), named(&row["after"]));
        row
    });
    let rows: Vec<Value> = rows.collect();
    if rows.is_empty() {
        return String::new();
    }
    let columns = [
        ("DESTINATION", "destination"),
        ("CALLS", "calls"),
        ("BEFORE", "before"),
        ("THEN", "after"),
    ];
    format!("\ncarriers in another order\n{}", table::render(&rows, &columns))
}

pub(super) fn list(context: &Context) -> Outcome {
    let columns = [
        ("RUN", "run"),
        ("KIND", "kind"),
        ("STATE", "state"),
        ("STARTED", "started_at"),
        ("BY", "started_by"),
        ("CALLS", "calls"),
        ("WRITTEN", "written"),
        ("NOT PRICED", "refused_sides"),
        ("REASON", "reason"),
    ];
    context.show_list(&context.client()?.get("/rerates")?, &columns);
    Ok(())
}
