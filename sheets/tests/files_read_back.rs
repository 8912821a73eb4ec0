//! What is exported reads back identically (V-26), and differences are what they say (O1, O2).
#![allow(clippy::unwrap_used)] // a test may

use billing::{Price, Rate};
use proptest::prelude::*;
use sheets::{
    Deck, DeckBuilder, DeckRow, Defaults, FileForm, Layout, Movement, Movements, OPEN, Selection,
    Taking, WITHDRAWN, changes, compare, export, interpret, notification, second,
};
use vocabulary::Utc;

const NOW: Utc = Utc(1_795_248_000_000_000);

fn rate(nanos: i64, first: u32, next: u32) -> Rate {
    Rate::per_minute(Price::from_nanos(nanos).unwrap(), first, next)
}

fn deck(rows: &[(&str, u32, u32, Option<Rate>)]) -> Deck {
    let mut builder = DeckBuilder::default();
    for (prefix, from, till, rate) in rows {
        let terms = rate.map_or(WITHDRAWN, |rate| builder.terms(&rate));
        builder.row(DeckRow {
            prefix: prefix.parse().unwrap(),
            from: *from,
            till: *till,
            terms,
            name: 0,
            source: 0,
            table: 0,
            claim: sheets::Claim::Nothing,
        });
    }
    let mut deck = builder.build();
    deck.sort();
    deck
}

prop_compose! {
    fn any_rate()(
        nanos in prop_oneof![0..10_i64, 0..2_000_000_000_i64],
        fee in prop_oneof![Just(0_i64), 0..5_000_000_000_i64],
        seconds in proptest::collection::vec(1..120_u32, 5),
        is_blocked in any::<bool>(),
        has_more in any::<bool>(),
    ) -> Rate {
        let mut rate = rate(nanos, seconds[0], seconds[1]);
        rate.is_blocked = is_blocked;
        if has_more {
            rate.connect_fee = Price::from_nanos(fee).unwrap();
            rate.minimum_charge = Price::from_nanos(fee / 2).unwrap();
            rate.grace_seconds = seconds[2];
            rate.free_seconds = seconds[3];
            rate.minimum_seconds = seconds[4];
        }
        rate
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn an_export_reads_back_identically(
        rows in proptest::collection::btree_map("([1-9][0-9]{0,11})?", (any_rate(), "[A-Za-zäé][A-Za-zäé ,;\"'-]{0,12}", any::<bool>()), 1..30),
        is_xlsx in any::<bool>(),
    ) {
        let now = second(NOW);
        let mut builder = DeckBuilder::default();
        for (prefix, (rate, name, ends)) in &rows {
            let terms = builder.terms(rate);
            let name = builder.name(name.trim());
            let till = if *ends { now + 86_400 } else { OPEN };
            let prefix = prefix.parse().unwrap();
            builder.row(DeckRow { prefix, from: now - 100, till, terms, name, source: 0, table: 0, claim: sheets::Claim::Nothing });
        }
        let deck = builder.build();
        let form = if is_xlsx { FileForm::Xlsx } else { FileForm::Csv };
        let which = Selection { at: NOW, with_future: false };
        let bytes = export(&deck, which, None, form).unwrap();
        let reading = interpret(&bytes, &Layout::default(), &Defaults::default(), Utc(0)).unwrap();
        prop_assert_eq!(reading.tally.accepted, rows.len() as u64);
        prop_assert_eq!((reading.tally.rejected, reading.tally.changed), (0, 0));
        for (back, row) in reading.deck.rows.iter().zip(&deck.rows) {
            prop_assert_eq!((back.prefix, back.from, back.till), (row.prefix, row.from, row.till));
            prop_assert_eq!(reading.deck.rate(back), deck.rate(row));
            prop_assert_eq!(reading.deck.name(back), deck.name(row));
        }
    }
}

fn now_and(days: u32) -> u32 {
    second(NOW) + days * 86_400
}

#[test]
fn a_sheet_is_compared_with_the_rates_in_force() {
    let (low, high) = (Some(rate(10_000_000, 60, 60)), Some(rate(20_000_000, 60, 60)));
    let mut blocked = rate(10_000_000, 60, 60);
    blocked.is_blocked = true;
    let book = deck(&[
        ("44", 0, OPEN, low),
        ("45", 0, OPEN, high),
        ("46", 0, OPEN, low),
        ("47", 0, OPEN, low),
        ("48", 0, OPEN, low),
        ("49", 0, OPEN, low),
        ("50", 0, 5, low),
    ]);
    let rows = [
        ("43", now_and(1), OPEN, low),
        ("44", now_and(1), OPEN, high),
        ("45", now_and(1), OPEN, low),
        ("46", now_and(9), OPEN, Some(rate(10_000_000, 1, 1))),
        ("47", now_and(1), OPEN, Some(blocked)),
        ("48", now_and(1), OPEN, low),
        ("51", now_and(1), OPEN, None),
    ];
    let taking = Taking { is_full: true, from: NOW, now: NOW, notice_days: 7 };
    let mut sheet = deck(&rows);
    let difference = compare(&book, &mut sheet, &Defaults::default(), taking);
    let expected = Movements {
        added: 1,
        removed: 1,
        increased: 1,
        decreased: 1,
        changed: 1,
        blocked: 1,
        unchanged: 2,
    };
    assert_eq!(difference.movements, expected);
    assert_eq!(difference.warnings, ["1 increases come with less than 7 days of notice"]);
    let gone: Vec<_> = sheet
        .rows
        .iter()
        .filter(|row| row.terms == WITHDRAWN)
        .map(|row| (row.prefix.to_string(), row.from))
        .collect();
    assert_eq!(gone, [("49".to_owned(), now_and(0)), ("51".to_owned(), now_and(1))]);
    let mut sheet = deck(&rows);
    let partial = compare(
        &book,
        &mut sheet,
        &Defaults::default(),
        Taking { is_full: false, notice_days: 1, ..taking },
    );
    assert_eq!((partial.movements.removed, partial.warnings.len()), (0, 0));
}

#[test]
fn a_customer_is_told_what_changes_and_when() {
    let (low, high) = (Some(rate(10_000_000, 60, 60)), Some(rate(20_000_000, 60, 60)));
    let book = deck(&[
        ("44", 0, OPEN, low),
        ("44", now_and(3), OPEN, high),
        ("45", 0, now_and(5), low),
        ("46", now_and(20), OPEN, low),
    ]);
    let moves = changes(&book, NOW, Utc(NOW.0 + 10 * 86_400_000_000));
    let told: Vec<_> =
        moves.iter().map(|moved| (moved.prefix.to_string(), moved.at, moved.movement)).collect();
    assert_eq!(
        told,
        [
            ("44".to_owned(), now_and(3), Movement::Increase),
            ("45".to_owned(), now_and(5), Movement::Removed)
        ]
    );
    let csv = String::from_utf8(notification(&moves, "EUR", FileForm::Csv).unwrap()).unwrap();
    assert!(
        csv.starts_with(
            "prefix,destination,change,effective from (UTC),old price per minute (EUR)"
        ),
        "{csv}"
    );
    assert!(csv.contains("44,,increase,2026-11-24T08:00:00Z,0.01,0.02,60/60,60/60,0"), "{csv}");
    assert!(csv.contains("45,,removed,2026-11-26T08:00:00Z,0.01,,60/60,,"), "{csv}");
    assert!(notification(&moves, "EUR", FileForm::Xlsx).unwrap().starts_with(b"PK"));
}
