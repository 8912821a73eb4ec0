//! Six deliberately odd layouts (B10, O1) are read as a person would, and every row has a verdict.

#[allow(dead_code)]
mod vendors;

use sheets::{Defaults, Layout, Reading, RowKind, interpret, moment};
use vocabulary::Utc;

const NOW: Utc = Utc(1_795_248_000_000_000); // 2026-11-21T08:00:00Z

fn read((name, bytes): &vendors::File, layout: &Layout) -> Reading {
    let reading = interpret(bytes, layout, &Defaults::default(), NOW)
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(reading.tally.adds_up(), "{:?}", reading.tally);
    reading
}

/// `prefix name price first/next fee from till`, as far as they say something.
fn rates(reading: &Reading) -> Vec<String> {
    let deck = &reading.deck;
    let line = |row: &sheets::DeckRow| {
        let from = moment(row.from).seconds() / 86_400 - 20_788; // days since 2026-12-01
        let till =
            if row.till == sheets::OPEN { String::new() } else { format!(" till {}", row.till) };
        let Some(rate) = deck.rate(row) else { return format!("{} ends +{from}", row.prefix) };
        let blocked = if rate.is_blocked { " blocked" } else { "" };
        format!(
            "{} {} {} {}/{}{}{blocked} +{from}{till}",
            row.prefix,
            deck.name(row),
            rate.price,
            rate.first_increment,
            rate.next_increment,
            if rate.connect_fee.is_zero() {
                String::new()
            } else {
                format!(" fee {}", rate.connect_fee)
            },
        )
    };
    deck.rows.iter().map(line).collect()
}

/// `line kind: note`, of rows that are not simply accepted.
fn remarkable(reading: &Reading) -> Vec<String> {
    let mut lines = Vec::new();
    for (table, row, kind) in reading.rows() {
        let line = reading.workbook.tables[table].line(row);
        for note in reading.tables[table].notes_of(row) {
            lines.push(format!("{line} {}: {}", kind.as_str(), note.text));
        }
    }
    lines
}

#[track_caller]
fn check(
    file: vendors::File,
    layout: &Layout,
    expected: &[&str],
    notes: &[&str],
    counts: [u64; 5],
) {
    let reading = read(&file, layout);
    assert_eq!(rates(&reading), expected);
    let told = remarkable(&reading);
    assert_eq!(told.len(), notes.len(), "{told:#?}");
    for (told, note) in told.iter().zip(notes) {
        assert!(told.contains(note), "{told:?} instead of {note:?}");
    }
    let tally = reading.tally;
    let found = [tally.rows_in, tally.accepted, tally.changed, tally.merged, tally.rejected];
    assert_eq!(found, counts, "{tally:?}");
}

#[test]
fn german_text_with_lists_and_ranges() {
    let file = vendors::aurora();
    let reading = read(&file, &Layout::default());
    assert_eq!(reading.currency.as_deref(), Some("EUR"));
    assert_eq!((reading.tally.preamble, reading.tally.remarks, reading.tally.blank), (2, 2, 3));
    check(
        file,
        &Layout::default(),
        &[
            "43660 Österreich Mobil 0.0915 60/1 +0",
            "43664 Österreich Mobil 0.0915 60/1 +0",
            "43676 Österreich Mobil 0.0915 60/1 +0",
            "43677 Österreich Mobil 0.0915 60/1 +0",
            "43678 Österreich Mobil 0.0915 60/1 +0",
            "90 Türkei 0.12 1/1 +14",
            "90392 Türkei 0.12 1/1 +14",
            "4176 Schweiz Mobil 0.25 60/60 +0",
            "4177 Schweiz Mobil 0.25 60/60 +0",
            "4178 Schweiz Mobil 0.25 60/60 +0",
            "4179 Schweiz Mobil 0.25 60/60 +0",
        ],
        &[
            "9 changed: 4176-79 is 4176-4179",
            "10 merged: says what row 9 says",
            "11 rejected: \"48x\" is neither a code nor a range",
            "12 rejected: \"gratis\" is not a price",
        ],
        [6, 3, 1, 1, 2],
    );
}

#[test]
fn split_codes_and_increments_in_words() {
    check(
        vendors::borealis(),
        &Layout::default(),
        &[
            "47 Norway Fixed 0.012 60/60 +12",
            "474 Mobile 0.034 30/6 +0",
            "479 Mobile 0.034 30/6 +0",
            "4782 Special 0.5 60/60 +0",
            "1907 USA Alaska 0.02 6/6 +0",
        ],
        &[
            "2 changed: increments 60/60 taken from the comment",
            "3 changed: country code 47 taken from row 2",
            "3 changed: increments 30/6",
            "4 changed: country code 47",
            "5 changed: increments 6/6",
            "6 rejected: the price 0.0200000001 has more than nine decimals",
        ],
        [5, 4, 4, 0, 1],
    );
}

#[test]
fn a_workbook_with_a_cover_and_removals() {
    let file = vendors::cygnus();
    let reading = read(&file, &Layout::default());
    assert_eq!(reading.currency.as_deref(), Some("USD"));
    assert!(reading.tables[0].outside.as_ref().unwrap().contains("Cover"));
    assert!(reading.tables[2].is_removal);
    check(
        file,
        &Layout::default(),
        &[
            "55 Brazil 0.0123 1/1 +0",
            "55119 Brazil Mobile 0.3 60/6 +0",
            "56 Chile 0.02 60/60 +0",
            "53 Cuba 0 60/60 blocked +0",
            "51 ends +0",
            "5521 ends +0",
            "5531 ends +-10",
            "5532 ends +-10",
            "5533 ends +-10",
        ],
        &["14 rejected: the status \"Pending\" is not known"],
        [8, 7, 0, 0, 1],
    );
}

#[test]
fn prices_between_and_within_states() {
    let expected =
        ["1201200  0.0034 6/6 +30", "1201201  0.0015 6/6 +30", "1201202  0.0015 6/6 +30"];
    let notes = ["4 merged: says what row 3 says", "6 rejected: has no price"];
    // 01/12/2026 beside 12/31/2026 is the twelfth of January.
    let expected = expected.map(|line| line.replace("0.0015 6/6 +30", "0.0015 6/6 +-323"));
    let expected: Vec<&str> = expected.iter().map(|line| line.as_str()).collect();
    check(vendors::draco(), &Layout::default(), &expected, &notes, [5, 3, 0, 1, 1]);
    let intra = Layout { price: sheets::PriceChoice::Intra, ..Layout::default() };
    let reading = read(&vendors::draco(), &intra);
    assert_eq!(rates(&reading)[1], "1201201  0.001 6/6 +-323");
    assert_eq!(reading.tally.rejected, 2);
}

#[test]
fn a_file_without_a_header() {
    check(
        vendors::eridanus(),
        &Layout::default(),
        &[
            "54 Argentina 0.015 60/60 +-10",
            "549 Argentina Mobile 0.12 60/60 +-10",
            "598 Uruguay 0.09 1/1 +-10",
            "5989 Uruguay Mobile 1234.5678 1/1 +-10",
        ],
        &[],
        [4, 4, 0, 0, 0],
    );
}

#[test]
fn prices_a_second_and_spoilt_codes() {
    let reading = read(&vendors::fornax(), &Layout::default());
    assert_eq!(reading.tally.header, 2);
    check(
        vendors::fornax(),
        &Layout::default(),
        &[
            "44 United Kingdom 0.006 60/60 fee 0.01 +30",
            "33 France 0.006 60/60 +30",
            "39 Italy 0.0072 60/60 +-10",
            "1684 American Samoa 0.06 60/60 +30",
        ],
        &[
            "3 changed: 4.4E+1 is 44",
            "4 rejected: 4.47E+11 has lost its last 9 digits",
            "6 changed: 0033 is 33",
            "7 rejected: is not after the rate's start",
            "9 changed: 1-684 is 1684",
        ],
        [6, 4, 3, 0, 2],
    );
}

#[test]
fn a_layout_of_the_vendor_overrides_what_is_guessed() {
    let columns = [("Pfx", sheets::Role::Code), ("Gold", sheets::Role::Price)];
    let layout = Layout {
        columns: columns.iter().map(|(name, role)| ((*name).to_owned(), *role)).collect(),
        ..Layout::default()
    };
    let text = "pfx;Gold;Silver\n49;0.1;0.2\n";
    let reading = interpret(text.as_bytes(), &layout, &Defaults::default(), NOW).unwrap();
    assert_eq!(rates(&reading), ["49  0.1 60/60 +-10"]);
    assert!(reading.rows().all(|(_, _, kind)| matches!(kind, RowKind::Header | RowKind::Accepted)));
}
