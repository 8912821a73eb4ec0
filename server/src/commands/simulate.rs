//! `simulate`: a call thought through, with everybody's money.

use serde_json::Value;

use super::calls::{list, sentences, text};
use super::client::query;
use super::{Context, Outcome, table};

pub(super) fn simulate(
    context: &Context,
    [from, to, at, like, lrn, jurisdiction]: [Option<String>; 6],
    duration: u32,
) -> Outcome {
    let parts = [
        ("from", from),
        ("to", to),
        ("at", at),
        ("like", like),
        ("duration", Some(duration.to_string())),
        ("lrn", lrn),
        ("jurisdiction", jurisdiction),
    ];
    let answer = context.client()?.get(&format!("/simulate{}", query(&parts)))?;
    context.show(&answer, tell);
    Ok(())
}

fn tell(answer: &Value) {
    if answer["would_be_placed"] == true {
        println!("The call would be placed.");
    } else {
        let sentence = text(&answer["refusal"], "sentence");
        println!("The call would be refused with {}: {sentence}", answer["sip_status"]);
    }
    println!("\ndecisions");
    sentences(list(answer, "decisions"));
    let payers = list(answer, "payers");
    if !payers.is_empty() {
        println!("\nwho pays for {} s", answer["talk_s"]);
        let columns = [
            ("LEVEL", "level"),
            ("ACCOUNT", "account"),
            ("PRICE", "price"),
            ("CURRENCY", "currency"),
            ("BILLED S", "billed_s"),
            ("BUNDLE S", "bundle_s"),
            ("PROFIT", "profit"),
        ];
        print!("{}", table::render(payers, &columns));
        for payer in payers {
            println!("\nprice for {}", text(payer, "account"));
            sentences(list(payer, "lines"));
        }
    }
    let columns = [
        ("TRUNK", "trunk"),
        ("CARRIER", "carrier"),
        ("COST", "cost"),
        ("CURRENCY", "currency"),
        ("BILLED S", "billed_s"),
        ("PROFIT", "profit"),
        ("IN", "profit_currency"),
    ];
    let (trunks, skipped) = (list(answer, "trunks"), list(answer, "skipped"));
    if !trunks.is_empty() {
        println!("\ntrunks, in this order");
        print!("{}", table::render(trunks, &columns));
    }
    if !skipped.is_empty() {
        println!("\nleft out");
        print!("{}", table::render(skipped, &columns));
        sentences(skipped);
    }
    if let Some(seconds) = answer["granted_s"].as_u64() {
        let more = if answer["is_final"] == true { ", and no more follows" } else { "" };
        println!("\ngranted first: {seconds} s{more}");
    }
    if let Some(seconds) = answer["talk_s_max"].as_u64() {
        println!("the money lasts for {seconds} s, if it is the only call");
    }
    if let Some(seconds) = answer["call_s_max"].as_u64() {
        println!("no call lasts longer than {seconds} s");
    }
}
