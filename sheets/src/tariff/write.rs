//! Terms as JSON, as in a tariff, and as sentences for people.

use std::fmt::Write as _;

use billing::{
    AfterCap, Calendar, Currency, Days, DurationRounding, MoneyMode, MoneyRounding, OriginTerms,
    Period, PeriodChoice, Rate, SpecialTerms, Step, Surcharge, SurchargeAmount, VersionChoice,
};
use serde_json::{Map, Value, json};

use crate::deck::{Deck, DeckRow, OPEN, Terms, moment};
use crate::export::{Selection, selected};
use crate::utc::format_utc;

/// What a tariff says once for all its destinations.
#[derive(Clone, Debug)]
pub struct GroupHead {
    /// The group's name.
    pub name: String,
    /// Of all prices.
    pub currency: Currency,
    /// Of the whole group: what its rates do not say themselves.
    pub special: SpecialTerms,
}

/// Writes the rates of a book (resolved) as a tariff: the only form that holds every term. Read
/// again it makes the same prices.
pub fn export_tariff(book: &Deck, which: Selection, head: &GroupHead) -> Vec<u8> {
    let mut all = special_json(&head.special);
    all["name"] = json!(head.name);
    all["currency"] = json!(head.currency.code());
    let mut out = serde_json::to_string(&all).expect("plain values are always JSON");
    out.pop();
    out.push_str(",\"destinations\":[");
    let mut separator = "\n";
    for row in selected(book, which) {
        let Some(terms) = book.terms.get(row.terms as usize) else { continue };
        out.push_str(separator);
        let _ = write!(out, "{}", destination(book, row, terms));
        separator = ",\n";
    }
    out.push_str("\n]}\n");
    out.into_bytes()
}

fn destination(book: &Deck, row: &DeckRow, terms: &Terms) -> Value {
    let rate = &terms.rate;
    let special = terms.special.as_deref();
    let mut out = special.map_or_else(|| json!({}), special_json);
    out["prefix"] = json!(row.prefix.to_string());
    if !book.name(row).is_empty() {
        out["destination"] = json!(book.name(row));
    }
    if row.from > 0 {
        out["valid_from"] = json!(format_utc(moment(row.from)));
    }
    if row.till != OPEN {
        out["valid_till"] = json!(format_utc(moment(row.till)));
    }
    out["price"] = json!(rate.price.to_string());
    out["per_seconds"] = json!(rate.unit_seconds);
    out["connect_fee"] = json!(rate.connect_fee.to_string());
    out["first_increment"] = json!(rate.first_increment);
    out["next_increment"] = json!(rate.next_increment);
    out["grace_seconds"] = json!(rate.grace_seconds);
    out["free_seconds"] = json!(rate.free_seconds);
    out["minimum_seconds"] = json!(rate.minimum_seconds);
    out["minimum_charge"] = json!(rate.minimum_charge.to_string());
    if rate.is_blocked {
        out["blocked"] = json!(true);
    }
    out
}

/// Special terms as the fields that a tariff has for them.
pub fn special_json(special: &SpecialTerms) -> Value {
    let mut out = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            out.insert(name.to_owned(), value);
        }
    };
    put("steps", special.steps.as_deref().map(steps));
    put("surcharges", special.surcharges.as_deref().map(surcharges));
    put("origins", special.origins.as_deref().map(|all| all.iter().map(origin).collect()));
    put(
        "cap",
        special.cap.map(|cap| {
            json!({
                "amount": cap.amount.to_string(),
                "after": match cap.after {
                    AfterCap::Free => "free",
                    AfterCap::Disconnect => "disconnect",
                },
            })
        }),
    );
    put("line_rounding", special.line_rounding.map(rounding));
    put("rounding", special.money_rounding.map(rounding));
    put(
        "duration_rounding",
        special.duration_rounding.map(|rounding| match rounding {
            DurationRounding::Up => json!("up"),
            DurationRounding::Nearest => json!("nearest"),
            DurationRounding::Down => json!("down"),
        }),
    );
    put(
        "versions_apply",
        special.versions.map(|choice| match choice {
            VersionChoice::AtStart => json!("at_start"),
            VersionChoice::EachIncrement => json!("each_increment"),
        }),
    );
    if let Some(calendar) = special.calendar.as_deref() {
        put("time_zone", Some(json!(calendar.zone.name())));
        let holidays = calendar.holidays.iter().map(ToString::to_string).collect::<Vec<_>>();
        put("holidays", Some(json!(holidays)));
        put(
            "periods_apply",
            Some(match calendar.choice {
                PeriodChoice::EachIncrement => json!("each_increment"),
                PeriodChoice::AtAnswer => json!("at_answer"),
            }),
        );
        put("periods", Some(calendar.periods.iter().map(period).collect()));
    }
    Value::Object(out)
}

fn rounding(rounding: MoneyRounding) -> Value {
    json!({ "mode": mode(rounding.mode), "decimals": rounding.decimals })
}

fn mode(mode: MoneyMode) -> &'static str {
    match mode {
        MoneyMode::Up => "up",
        MoneyMode::Down => "down",
        MoneyMode::HalfUp => "half_up",
        MoneyMode::HalfEven => "half_even",
    }
}

fn steps(steps: &[Step]) -> Value {
    let step = |step: &Step| {
        json!({
            "from_seconds": step.from_seconds,
            "price": step.price.to_string(),
            "per_seconds": step.unit_seconds,
            "increment": step.increment,
        })
    };
    steps.iter().map(step).collect()
}

fn surcharges(surcharges: &[Surcharge]) -> Value {
    let surcharge = |surcharge: &Surcharge| match surcharge.amount {
        SurchargeAmount::Fixed(amount) => {
            json!({ "name": surcharge.name, "amount": amount.to_string() })
        }
        SurchargeAmount::Share(share) => {
            json!({ "name": surcharge.name, "percent": share.to_string() })
        }
    };
    surcharges.iter().map(surcharge).collect()
}

fn origin(origin: &OriginTerms) -> Value {
    let mut out = json!({ "name": origin.name });
    if !origin.prefixes.is_empty() {
        out["prefixes"] = json!(origin.prefixes);
    }
    if origin.is_for_invalid {
        out["invalid"] = json!(true);
    }
    if let Some(price) = origin.price {
        out["price"] = json!(price.to_string());
    }
    if let Some(fee) = origin.connect_fee {
        out["connect_fee"] = json!(fee.to_string());
    }
    if !origin.surcharges.is_empty() {
        out["surcharges"] = surcharges(&origin.surcharges);
    }
    out
}

fn period(period: &Period) -> Value {
    let price = &period.price;
    json!({
        "name": price.name,
        "days": days(period.days),
        "from": time(period.from_second),
        "till": time(period.till_second),
        "price": price.price.to_string(),
        "per_seconds": price.unit_seconds,
        "connect_fee": price.connect_fee.to_string(),
        "first_increment": price.first_increment,
        "next_increment": price.next_increment,
        "steps": steps(&price.steps),
    })
}

fn days(days: Days) -> Vec<&'static str> {
    let words = Days::WORDS.into_iter().enumerate();
    words.filter(|(bit, _)| days.0 >> bit & 1 == 1).map(|(_, word)| word).collect()
}

fn time(second: u32) -> String {
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    match second {
        0 => format!("{hour:02}:{minute:02}"),
        second => format!("{hour:02}:{minute:02}:{second:02}"),
    }
}

/// All that a rate has beyond price, fee and increments, in words, for whoever pays it.
pub fn described(terms: &Terms) -> String {
    let mut parts = plain_terms(&terms.rate);
    let Some(special) = &terms.special else { return parts.join("; ") };
    let unit = |seconds: u32| match seconds {
        60 => "a minute".to_owned(),
        seconds => format!("per {seconds} s"),
    };
    for step in special.steps.as_deref().unwrap_or_default() {
        let (from, price, increment) = (step.from_seconds, step.price, step.increment);
        parts.push(format!(
            "from second {from} {price} {} in {increment} s",
            unit(step.unit_seconds)
        ));
    }
    if let Some(calendar) = &special.calendar {
        parts.extend(calendar.periods.iter().map(|period| {
            let price = &period.price;
            let (from, till) = (time(period.from_second), time(period.till_second));
            format!(
                "{} ({} {from}-{till} {}) {} {} in {}/{}, fee {}",
                price.name,
                days(period.days).join(" "),
                calendar.zone.name(),
                price.price,
                unit(price.unit_seconds),
                price.first_increment,
                price.next_increment,
                price.connect_fee,
            )
        }));
        parts.push(times(calendar));
    }
    parts.extend(special.surcharges.as_deref().unwrap_or_default().iter().map(surcharge_words));
    for origin in special.origins.as_deref().unwrap_or_default() {
        parts.push(origin_words(origin));
    }
    if let Some(cap) = special.cap {
        let then = if cap.after == AfterCap::Free { "then free" } else { "then it ends" };
        parts.push(format!("at most {} a call, {then}", cap.amount));
    }
    parts.extend(rounding_words(special));
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}

fn plain_terms(rate: &Rate) -> Vec<String> {
    let mut parts = Vec::new();
    if rate.unit_seconds != 60 {
        parts.push(format!("the price is per {} s", rate.unit_seconds));
    }
    for (seconds, words) in [
        (rate.grace_seconds, "calls free up to"),
        (rate.free_seconds, "free at the start:"),
        (rate.minimum_seconds, "billed at least"),
    ] {
        if seconds > 0 {
            parts.push(format!("{words} {seconds} s"));
        }
    }
    if !rate.minimum_charge.is_zero() {
        parts.push(format!("at least {} a call", rate.minimum_charge));
    }
    parts
}

fn times(calendar: &Calendar) -> String {
    match calendar.choice {
        PeriodChoice::EachIncrement => String::new(),
        PeriodChoice::AtAnswer => "the price of the answer holds throughout".to_owned(),
    }
}

fn surcharge_words(surcharge: &Surcharge) -> String {
    match surcharge.amount {
        SurchargeAmount::Fixed(amount) => format!("{} {amount} a call", surcharge.name),
        SurchargeAmount::Share(share) => format!("{} {share} %", surcharge.name),
    }
}

fn origin_words(origin: &OriginTerms) -> String {
    let mut callers: Vec<&str> = origin
        .prefixes
        .iter()
        .map(|prefix| if prefix.is_empty() { "any" } else { prefix.as_str() })
        .collect();
    if origin.is_for_invalid {
        callers.push("no valid number");
    }
    let mut terms = Vec::new();
    terms.extend(origin.price.map(|price| format!("{price}")));
    terms.extend(origin.connect_fee.map(|fee| format!("fee {fee}")));
    terms.extend(origin.surcharges.iter().map(surcharge_words));
    let terms = if terms.is_empty() { "as said".to_owned() } else { terms.join(", ") };
    format!("callers {} ({}): {terms}", origin.name, callers.join(" "))
}

fn rounding_words(special: &SpecialTerms) -> Vec<String> {
    let money = |what: &str, rounding: MoneyRounding| {
        let way = mode(rounding.mode).replace('_', " ");
        format!("{what} rounded {way} to {} decimals", rounding.decimals)
    };
    let mut parts = Vec::new();
    parts.extend(special.line_rounding.map(|rounding| money("each line", rounding)));
    parts.extend(special.money_rounding.map(|rounding| money("the call", rounding)));
    parts.extend(special.duration_rounding.map(|rounding| {
        let way = match rounding {
            DurationRounding::Up => "up",
            DurationRounding::Nearest => "to the nearest",
            DurationRounding::Down => "down",
        };
        format!("seconds rounded {way}")
    }));
    if special.versions == Some(VersionChoice::EachIncrement) {
        parts.push("a price that changes holds for calls under way".to_owned());
    }
    parts
}
