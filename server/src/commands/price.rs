//! `price`: what one call costs by a tariff file. Needs no running switch.

use std::fs;

use api::tariff::{Question, Tariff};

use super::args::PriceQuestion;
use super::{Context, Outcome, print_all, print_json};

pub(super) fn run(context: &Context, asked: PriceQuestion) -> Outcome {
    let file = asked.tariff.display();
    let json = fs::read(&asked.tariff).map_err(|why| format!("cannot read {file}: {why}"))?;
    let tariff = Tariff::read(&json).map_err(|why| format!("{file}: {why}"))?;
    let question = Question {
        start: asked.start,
        duration: asked.duration,
        balance: asked.balance,
        bundle_seconds: asked.bundle_seconds,
        from: asked.from,
        to: asked.to,
    };
    let priced = tariff.price(&question).map_err(|why| match why.path.starts_with("exchange") {
        true => format!("{file}: {why}"),
        false => format!("--{why}"),
    })?;
    if context.json {
        print_json(&serde_json::to_value(&priced).expect("a price is always JSON"));
        return Ok(());
    }
    let mut text = format!("charge   {} {}\n", priced.charge, priced.currency);
    if priced.tax != "0.000000" {
        text += &format!("tax      {} {}\n", priced.tax, priced.currency);
    }
    text += &format!("billed   {} s\n", priced.billed_seconds);
    if priced.bundle_seconds > 0 {
        text += &format!("bundle   {} s\n", priced.bundle_seconds);
    }
    match (question.balance, priced.granted_seconds) {
        (None, _) => {}
        (Some(_), Some(granted)) => text += &format!("granted  {granted} s\n"),
        (Some(_), None) => text += "granted  nothing: the balance does not pay for an answer\n",
    }
    if let Some(end) = priced.disconnect_after_seconds {
        text += &format!("ends     after {end} s\n");
    }
    text += &format!("prefix   {:?}\n", priced.prefix);
    for line in &priced.lines {
        text += &format!("  {:<17}{}\n", line.code, line.sentence);
    }
    print_all(&text);
    Ok(())
}
