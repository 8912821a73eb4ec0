//! Tariff documents: the ones in docs/operating/tariffs.md, and what is wrong with others.
#![allow(clippy::unwrap_used, reason = "tests")]

use api::tariff::{Question, Tariff};

const DOCUMENT: &str = include_str!("../../docs/operating/tariffs.md");

fn examples() -> Vec<&'static str> {
    let parts = DOCUMENT.split("```json").skip(1);
    parts.map(|part| part.split_once("```").unwrap().0).collect()
}

fn question(start: &str, duration: &str, from: Option<&str>, to: &str) -> Question {
    Question {
        start: start.into(),
        duration: duration.into(),
        balance: Some("100".into()),
        from: from.map(str::to_owned),
        to: Some(to.into()),
        ..Question::default()
    }
}

#[track_caller]
fn check(example: usize, question: &Question, expected: (&str, u32, Option<u32>)) {
    let tariff = Tariff::read(examples()[example].as_bytes()).unwrap();
    let priced = tariff.price(question).unwrap();
    let got = (priced.charge.as_str(), priced.billed_seconds, priced.granted_seconds);
    assert_eq!(got, expected, "{priced:#?}");
}

#[test]
fn the_examples_of_the_manual_price_calls() {
    assert_eq!(examples().len(), 4);
    let year = Some(366 * 86_400);
    check(
        0,
        &question("2026-11-23T08:00:00Z", "61", None, "4930"),
        ("0.024000", 120, Some(8_333 * 60)),
    );
    // 07:59 in Berlin: a minute by night, a minute by day.
    let morning = question("2026-11-23T07:59:00+01:00", "120", Some("4930123456"), "4930");
    let tariff = Tariff::read(examples()[1].as_bytes()).unwrap();
    assert_eq!(tariff.price(&morning).unwrap().charge, "0.710000");
    for (from, charge) in [(Some("12125550000"), "0.810000"), (None, "1.065000")] {
        let asked = Question { from: from.map(str::to_owned), ..morning.clone() };
        assert_eq!(tariff.price(&asked).unwrap().charge, charge);
    }
    let holiday = question("2026-12-25T12:00:00+01:00", "60", Some("4930123456"), "4930");
    assert_eq!(tariff.price(&holiday).unwrap().charge, "0.062000");
    // A cap that disconnects: 0.05 and 3 a minute reach 9 in the third minute.
    let dear = question("2026-11-23T08:00:00Z", "60", Some("4930123456"), "49900123");
    check(1, &dear, ("3.050000", 60, Some(180)));
    assert_eq!(tariff.price(&dear).unwrap().disconnect_after_seconds, Some(180));
    // 0.10 + 9 × 0.002 = 0.118 USD, 10 % off, 0.921543 EUR each.
    let summer = question("2026-07-01T00:00:00Z", "110", None, "12125550000");
    check(2, &summer, ("0.097868", 114, year));
    let winter = question("2026-12-01T00:00:00Z", "110", None, "12125550000");
    check(2, &winter, ("0.108743", 114, year));
    // 0.60 with 14.975 % of taxes; a second is 0.0114975, so 0.68 pays for 59 (R13, R15).
    let taxed = Question {
        balance: Some("0.68".into()),
        ..question("2026-12-01T00:00:00Z", "60", None, "15145550000")
    };
    check(3, &taxed, ("0.689850", 60, Some(59)));
    let priced = Tariff::read(examples()[3].as_bytes()).unwrap().price(&taxed).unwrap();
    assert_eq!(priced.tax, "0.089850");
    assert_eq!(
        priced.lines[1].sentence,
        "Taxes on 0.600000: GST 5 % 0.030000, QST 9.975 % 0.059850."
    );
}

#[track_caller]
fn check_refused(json: &str, expected: &str) {
    let why = Tariff::read(json.as_bytes()).err().expect("a refusal").to_string();
    assert!(why.starts_with(expected), "{why}");
}

#[test]
fn what_is_wrong_is_named_with_its_path() {
    let with = |terms: &str| format!(r#"{{"currency": "EUR", "destinations": [{terms}]}}"#);
    check_refused("{}", ".: missing field `currency`");
    check_refused(r#"{"currency": "eur", "destinations": []}"#, "currency: ");
    check_refused(
        &with(r#"{"prefix": "49", "prise": "1"}"#),
        "destinations[0].prise: unknown field",
    );
    check_refused(
        &with(r#"{"prefix": "49", "price": 0.1}"#),
        "destinations[0].price: invalid type",
    );
    check_refused(&with(r#"{"prefix": "49", "price": "-1"}"#), "destinations[0].price: the price");
    check_refused(&with(r#"{"prefix": "49"}"#), "destinations[0].price: write a price");
    check_refused(&with(r#"{"price": "1"}"#), "destinations[0].prefix: write the digits");
    check_refused(
        &with(r#"{"prefix": "+49", "price": "1"}"#),
        "destinations[0].prefix: \"+49\" is not",
    );
    check_refused(
        &with(r#"{"prefix": "49", "price": "1", "per_seconds": 7}"#),
        "destinations[0]: a price is for",
    );
    check_refused(
        &with(r#"{"prefix": "49", "price": "1", "surcharges": [{"name": "x"}]}"#),
        "destinations[0].surcharges[0]: write either",
    );
    let period = r#"{"prefix": "49", "price": "1",
        "periods": [{"name": "n", "from": "25:00", "till": "6:00", "price": "1"}]}"#;
    check_refused(&with(&period.replace("25:00", "07:00")), "time_zone: periods need");
    let zoned = format!(
        r#"{{"currency": "EUR", "time_zone": "Europe/Berlin", "destinations": [{period}]}}"#
    );
    check_refused(&zoned, "destinations[0].periods[0].from: write a time");
    let nowhere = r#"{"currency": "EUR", "time_zone": "Mars/Base", "destinations": []}"#;
    check_refused(nowhere, "time_zone: the time zone");
}

#[test]
fn a_call_that_has_no_price_is_told_why() {
    let tariff = Tariff::read(examples()[1].as_bytes()).unwrap();
    for (to, expected) in
        [("33140000000", "to: no destination"), ("4913712345", "to: the tariff refuses")]
    {
        let asked = question("2026-11-23T08:00:00Z", "60", None, to);
        assert!(tariff.price(&asked).unwrap_err().to_string().starts_with(expected));
    }
    for (start, duration, expected) in
        [("today", "60", "start: "), ("2026-11-23T08:00:00Z", "1m", "duration: ")]
    {
        let asked = question(start, duration, None, "4930");
        assert!(tariff.price(&asked).unwrap_err().to_string().starts_with(expected));
    }
}
