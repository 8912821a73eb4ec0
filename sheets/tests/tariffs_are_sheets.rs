//! Tariffs and special terms as rate sheets: nothing that a rate says is lost on its way in or out
//! (V-14, V-15, V-25, V-26, B10).
#![allow(clippy::unwrap_used)] // a test may

use billing::{Currency, DurationRounding, SpecialTerms};
use serde_json::json;
use sheets::{
    Deck, Defaults, ExportError, FileForm, GroupHead, Layout, Movement, OPEN, Reading, Selection,
    Taking, changes, compare, described, export, export_tariff, export_under, interpret,
    notification, resolve,
};
use vocabulary::Utc;

const NOW: Utc = Utc(1_795_248_000_000_000); // 2026-11-21T08:00:00Z
const WHICH: Selection = Selection { at: NOW, with_future: true };

/// Every rule that a rate can have.
const TARIFF: &str = r#"{
  "name": "retail", "currency": "EUR", "time_zone": "Europe/Berlin", "holidays": ["2026-12-25"],
  "rounding": {"mode": "half_up", "decimals": 4}, "duration_rounding": "nearest",
  "defaults": {"connect_fee": "0.05", "surcharges": [{"name": "fund", "percent": "2.5"}]},
  "destinations": [
    {"prefix": "49", "destination": "Germany", "price": "0.06", "per_seconds": 30,
     "first_increment": 30, "next_increment": 6, "grace_seconds": 2, "free_seconds": 1,
     "minimum_seconds": 30, "minimum_charge": "0.01", "line_rounding": {"mode": "down", "decimals": 5},
     "steps": [{"from_seconds": 60, "price": "0.02", "increment": 6}],
     "periods": [{"name": "day", "days": ["mon", "holiday"], "from": "08:00", "till": "18:00:30",
                  "price": "0.6", "steps": [{"from_seconds": 600, "price": "0.1", "per_seconds": 1, "increment": 1}]}],
     "origins": [{"name": "abroad", "prefixes": ["", "1"], "price": "0.9", "connect_fee": "0.1",
                  "surcharges": [{"name": "origin", "amount": "0.10"}]},
                 {"name": "nobody", "invalid": true, "surcharges": [{"name": "origin", "percent": "50"}]}],
     "cap": {"amount": "9", "after": "disconnect"}, "versions_apply": "each_increment"},
    {"prefix": "49", "destination": "Germany", "price": "0.07", "valid_from": "2026-12-01T00:00:00Z"},
    {"prefix": "33", "price": "0.01", "valid_till": "2027-01-01T00:00:00Z", "time_zone": "Asia/Tokyo",
     "periods": [{"name": "night", "from": "22:00", "till": "06:00", "price": "0.005"}],
     "periods_apply": "at_answer", "cap": {"amount": "1", "after": "free"}},
    {"prefix": "", "price": "0", "blocked": true}
  ]
}"#;

fn read(text: &str) -> Reading {
    interpret(text.as_bytes(), &Layout::default(), &Defaults::default(), NOW).unwrap()
}

fn head() -> GroupHead {
    let special = SpecialTerms::default();
    GroupHead { name: "retail".into(), currency: Currency::EUR, special }
}

/// As a group is loaded: by prefix, the newest first.
fn book(mut reading: Reading) -> Deck {
    resolve(&mut reading.deck, &std::collections::BTreeMap::default());
    reading.deck
}

#[track_caller]
fn check_same(a: &Deck, b: &Deck) {
    assert_eq!(a.rows.len(), b.rows.len());
    for (x, y) in a.rows.iter().zip(&b.rows) {
        assert_eq!((x.prefix, x.from, x.till), (y.prefix, y.from, y.till));
        assert_eq!(a.name(x), b.name(y));
        let (one, other) = (a.terms(x).unwrap(), b.terms(y).unwrap());
        assert_eq!((&one.rate, &one.special), (&other.rate, &other.special), "{}", x.prefix);
    }
}

#[test]
fn a_tariff_is_a_sheet_and_comes_out_as_it_went_in() {
    let reading = read(TARIFF);
    assert_eq!((reading.tally.rows_in, reading.tally.accepted), (4, 4));
    assert_eq!(reading.currency.as_deref(), Some("EUR"));
    let first = reading.deck.terms(&reading.deck.rows[0]).unwrap();
    let special = first.special.as_ref().unwrap();
    assert_eq!(special.duration_rounding, Some(DurationRounding::Nearest));
    assert_eq!(special.calendar.as_ref().unwrap().periods[0].price.unit_seconds, 30);
    let book = book(reading);
    let again = String::from_utf8(export_tariff(&book, WHICH, &head())).unwrap();
    check_same(&self::book(read(&again)), &book);
    // A spreadsheet has them in one column, in JSON.
    for form in [FileForm::Csv, FileForm::Xlsx] {
        let bytes = export(&book, WHICH, None, form).unwrap();
        let back = interpret(&bytes, &Layout::default(), &Defaults::default(), Utc(0)).unwrap();
        assert_eq!(back.tally.rejected, 0, "{:?}", back.tables[0].notes);
        check_same(&self::book(back), &book);
    }
    let said = described(book.terms(book.rows.last().unwrap()).unwrap());
    for part in [
        "the price is per 30 s",
        "from second 60 0.02 a minute in 6 s",
        "day (mon holiday 08:00-18:00:30 Europe/Berlin) 0.6 per 30 s",
        "fund 2.5 %",
        "callers abroad (any 1): 0.9, fee 0.1, origin 0.1 a call",
        "at most 9 a call, then it ends",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn every_destination_has_a_verdict() {
    let text = r#"{"currency": "EUR", "destinations": [
        {"prefix": "49", "price": "0.1"},
        {"prefix": "33", "prise": "0.1"},
        {"prefix": "49", "price": "0.1"},
        {"prefix": "49", "price": "0.2"},
        {"prefix": "44", "price": "0.1", "first_increment": 0},
        {"prefix": "4x", "price": "0.1"},
        {"prefix": "46", "price": "0.1", "periods": []},
        {"prefix": "47", "removed": true},
        {"prefix": "48"}
    ]}"#;
    let reading = read(text);
    let tally = reading.tally;
    assert_eq!((tally.rows_in, tally.accepted, tally.merged, tally.rejected), (9, 2, 1, 6));
    assert!(tally.adds_up());
    let notes: Vec<_> =
        reading.tables[0].notes.iter().map(|n| (n.row + 1, n.text.as_str())).collect();
    for (row, text) in [
        (2, "destinations[1].prise: unknown field"),
        (3, "says what row 1 says"),
        (4, "49 with this start has other terms in row 1"),
        (5, "destinations[4]: an increment is 1 to"),
        (6, "destinations[5].prefix: "),
        (7, "time_zone: periods need a time zone"),
        (9, "destinations[8].price: write a price"),
    ] {
        assert!(notes.iter().any(|n| n.0 == row && n.1.starts_with(text)), "{text}: {notes:?}");
    }
}

#[track_caller]
fn check_refused(text: &str, expected: &str) {
    let read = interpret(text.as_bytes(), &Layout::default(), &Defaults::default(), NOW);
    let why = read.unwrap_err().to_string();
    assert!(why.contains(expected), "{why}");
}

#[test]
fn what_is_not_of_rates_is_not_dropped() {
    let with = |field: &str| format!(r#"{{"currency": "USD", {field}, "destinations": []}}"#);
    check_refused(
        &with(r#""account_currency": "EUR", "exchange_rate": "0.9""#),
        "account_currency",
    );
    let discount = r#""discounts": [{"name": "a", "prefixes": ["1"], "percent": "5"}]"#;
    check_refused(&with(discount), "discounts: are of accounts");
    let taxes = r#""taxes": {"prices": "included", "taxes": [{"name": "VAT", "percent": "20"}]}"#;
    check_refused(&with(taxes), "taxes: are of accounts");
    check_refused(
        &with(r#""defaults": {"prefix": "49"}"#),
        "defaults.prefix: is of one destination",
    );
    check_refused("{", "EOF");
}

const WEEK: &str = r#"{"periods": {"time_zone": "Europe/Berlin", "holidays": ["2026-12-25"],
    "peak": [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "till": "18:00"}],
    "weekend": [{"days": ["sat", "sun"], "from": "00:00", "till": "24:00"}]},
    "columns": {"Code": "code", "Peak": "price_peak", "Off-peak": "price_off_peak",
        "Weekend": "price_weekend", "Setup": "connect_fee", "Inc": "increments",
        "Extra": "surcharge", "Fund": "surcharge_percent", "Max": "cap", "Grace": "grace_seconds",
        "Free": "free_seconds", "Min s": "minimum_seconds", "Min": "minimum_charge"},
    "cap_after": "disconnect"}"#;
const WEEK_CSV: &str = "Code,Peak,Off-peak,Weekend,Setup,Inc,Extra,Fund,Max,Grace,Free,Min s,Min
49,0.60,0.06,0.01,0.05,30/6,0.10,,9,2,1,30,0.02
33,0.50,0.05,,,1/1,3%,,,,,,
34,,0.05,,,1/1,,1.5,,,,,
35,0.5,0.05,,,1/1,x%,,,,,,
";

#[test]
fn columns_of_a_vendor_hold_prices_of_the_week_surcharges_and_caps() {
    let layout: Layout = serde_json::from_str(WEEK).unwrap();
    let reading = interpret(WEEK_CSV.as_bytes(), &layout, &Defaults::default(), NOW).unwrap();
    assert_eq!((reading.tally.accepted, reading.tally.rejected), (3, 1));
    let terms = |at: usize| reading.deck.terms(&reading.deck.rows[at]).unwrap();
    assert_eq!(
        described(terms(0)),
        "calls free up to 2 s; free at the start: 1 s; billed at least 30 s; at least 0.02 a call; \
         weekend (sat sun 00:00-24:00 Europe/Berlin) 0.01 a minute in 30/6, fee 0.05; \
         peak (mon tue wed thu fri 08:00-18:00 Europe/Berlin) 0.6 a minute in 30/6, fee 0.05; \
         surcharge 0.1 a call; at most 9 a call, then it ends"
    );
    assert_eq!(terms(0).rate.price, "0.06".parse().unwrap());
    assert!(described(terms(1)).ends_with("surcharge 3 %"), "{}", described(terms(1)));
    assert_eq!(described(terms(2)), "surcharge 1.5 %");
    // Under the same headers it reads back as it is.
    let book = book(reading);
    let bytes = export_under(&book, WHICH, &layout, FileForm::Csv);
    // The share of 33 stands in the column of shares, in which it is the same.
    let back = interpret(&bytes.unwrap(), &layout, &Defaults::default(), NOW).unwrap();
    check_same(&self::book(back), &book);
}

#[test]
fn prices_of_the_week_count_as_one_without_their_times() {
    let csv = "Code,Peak,Off-Peak\n49,0.60,0.06\n";
    let reading = read(csv);
    let rate = reading.deck.rate(&reading.deck.rows[0]).unwrap();
    assert_eq!(rate.price, "0.6".parse().unwrap());
    assert!(reading.warnings[0].contains("set `periods` in the layout"), "{:?}", reading.warnings);
}

#[test]
fn a_layout_that_cannot_hold_all_terms_is_refused() {
    let layout: Layout =
        serde_json::from_str(r#"{"columns": {"Code": "code", "Rate": "price"}}"#).unwrap();
    let book = book(read(TARIFF));
    let why = export_under(&book, WHICH, &layout, FileForm::Csv).unwrap_err();
    assert!(matches!(why, ExportError::Lossy { count: 4, .. }), "{why}");
    assert!(why.to_string().contains("special_terms"), "{why}");
    let whole: Layout = serde_json::from_str(
        r#"{"columns": {"Code": "code", "Rate": "price", "Per": "per_seconds", "Area": "destination",
            "Fee": "connect_fee", "Inc": "increments", "Grace": "grace_seconds", "Free": "free_seconds",
            "Least": "minimum_seconds", "Lowest": "minimum_charge", "Barred": "blocked",
            "Start": "valid_from", "End": "valid_till", "Terms": "special_terms"}}"#,
    )
    .unwrap();
    let bytes = export_under(&book, WHICH, &whole, FileForm::Xlsx).unwrap();
    let back = interpret(&bytes, &whole, &Defaults::default(), NOW).unwrap();
    check_same(&self::book(back), &book);
}

#[test]
fn a_change_of_any_term_is_seen() {
    let taking = Taking { is_full: false, from: NOW, now: NOW, notice_days: 7 };
    let one = |terms: &str| {
        read(&format!(r#"{{"currency": "EUR", "time_zone": "UTC", "destinations": [{terms}]}}"#))
    };
    let check = |before: &str, after: &str, expected: Movement| {
        let (book, mut sheet) = (book(one(before)), one(after).deck);
        let difference = compare(&book, &mut sheet, &Defaults::default(), taking);
        let movement = difference.moves.first().map_or(Movement::Unchanged, |m| m.movement);
        assert_eq!(movement, expected, "{before} {after}");
    };
    let plain = r#"{"prefix": "49", "price": "0.1"}"#;
    check(plain, plain, Movement::Unchanged);
    let capped = r#"{"prefix": "49", "price": "0.1", "cap": {"amount": "1", "after": "free"}}"#;
    check(plain, capped, Movement::Changed);
    check(capped, plain, Movement::Changed);
    let per_second = r#"{"prefix": "49", "price": "0.01", "per_seconds": 1}"#;
    check(plain, per_second, Movement::Increase);
    let period = |price: &str, at: &str| {
        format!(
            r#"{{"prefix": "49", "price": "{price}", "periods":
                [{{"name": "day", "from": "08:00", "till": "18:00", "price": "{at}"}}]}}"#
        )
    };
    check(&period("0.1", "0.2"), &period("0.1", "0.3"), Movement::Increase);
    check(&period("0.1", "0.2"), &period("0.1", "0.15"), Movement::Decrease);
    check(&period("0.1", "0.2"), &period("0.05", "0.3"), Movement::Changed);
    check(plain, &period("0.1", "0.2"), Movement::Increase);

    // And the customer is told.
    let mut both = one(plain);
    let dated = capped.replace("\"price\"", "\"valid_from\": \"2026-12-01T00:00:00Z\", \"price\"");
    let later = one(&dated);
    let row = sheets::DeckRow { terms: 1, source: 1, ..later.deck.rows[0] };
    both.deck.terms.extend(later.deck.terms);
    both.deck.rows.push(row);
    let book = book(both);
    let moves = changes(&book, NOW, Utc(i64::from(OPEN) * 1_000_000));
    assert_eq!((moves.len(), moves[0].movement), (1, Movement::Changed));
    let csv = String::from_utf8(notification(&moves, "EUR", FileForm::Csv).unwrap()).unwrap();
    assert!(csv.contains("0.1,0.1,60/60,60/60,0,,\"at most 1 a call, then free\""), "{csv}");
}

#[test]
fn what_a_row_does_not_say_is_the_group_s() {
    let defaults = Defaults::read(&json!({
        "connect_fee": "0.05", "first_increment": 30, "next_increment": 6, "grace_seconds": 3,
        "cap": {"amount": "2", "after": "free"}, "time_zone": "UTC",
        "periods": [{"name": "night", "from": "22:00", "till": "06:00", "price": "0.001"}]
    }))
    .unwrap();
    let mut deck = read("code,price,increments,connect fee\n49,0.1,,\n33,0.1,1/1,0\n").deck;
    deck.fill(&defaults);
    let rate = |at: usize| deck.rate(&deck.rows[at]).unwrap();
    let shown = |at: usize| (rate(at).first_increment, rate(at).connect_fee.to_string());
    assert_eq!((shown(0), shown(1)), ((30, "0.05".to_owned()), (1, "0".to_owned())));
    assert_eq!((rate(0).grace_seconds, rate(1).grace_seconds), (3, 3));
    // A period takes the rest from the rate that it is a period of.
    let night = |at: usize| {
        let special = deck.terms(&deck.rows[at]).unwrap().special.clone().unwrap();
        let price = special.calendar.as_ref().unwrap().periods[0].price.clone();
        (price.first_increment, price.connect_fee.to_string())
    };
    assert_eq!((night(0), night(1)), (shown(0), shown(1)));
    // What the row says itself stands.
    let own = r#"{"currency": "EUR", "destinations": [
        {"prefix": "49", "price": "0.1", "cap": {"amount": "7", "after": "disconnect"}}]}"#;
    let mut deck = read(own).deck;
    deck.fill(&defaults);
    let said = described(deck.terms(&deck.rows[0]).unwrap());
    assert!(said.contains("at most 7 a call") && said.contains("night"), "{said}");
}

#[test]
fn defaults_that_are_wrong_are_named() {
    let check = |terms: serde_json::Value, expected: &str| {
        let why = Defaults::read(&terms).unwrap_err().to_string();
        assert!(why.starts_with(expected), "{why}");
    };
    check(json!({"price": "1"}), "defaults.price: every rate has its own");
    check(json!({"prefix": "49"}), "defaults.prefix: is of one destination");
    check(json!({"rounding": {"mode": "up", "decimals": 2}}), "defaults.rounding: is a field");
    check(json!({"connect_fee": 1}), "defaults.connect_fee: invalid type");
    check(json!({"connect_fees": "1"}), "defaults.connect_fees: unknown field");
    check(json!({"first_increment": 0}), "defaults: an increment");
    let night = json!([{"name": "night", "from": "22:00", "till": "06:00", "price": "1"}]);
    check(json!({"periods": night}), "time_zone: periods need");
}
