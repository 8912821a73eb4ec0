//! Fuzzed copies of the six odd layouts (B10): rows lost, doubled, swapped and bytes changed by a
//! seeded generator. Never a panic, and rows in = accepted + merged + rejected, always.

mod vendors;

use sheets::{Defaults, Layout, RowKind, interpret};
use vocabulary::Utc;

const NOW: Utc = Utc(1_795_248_000_000_000);

/// Numerical Recipes' generator: enough to spoil files.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }
}

const ODDITIES: [&[u8]; 18] = [
    b"\"",
    b";",
    b",",
    b"\n",
    b"\n\n",
    b"\t",
    b"49-",
    b"4.9E+11",
    b"0,000",
    b"-1",
    b"31/12/2026",
    b"\0",
    b"\xff",
    b"deleted",
    b"999999999999999999999999999999999999",
    b"1-9",
    b"*",
    b"\r",
];

fn spoil(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> =
        bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    for _ in 0..=random.below(4) {
        let (at, other) = (random.below(lines.len()), random.below(lines.len()));
        match random.below(6) {
            0 if lines.len() > 1 => {
                lines.remove(at);
            }
            1 => lines.insert(other, lines[at].clone()),
            2 => lines.swap(at, other),
            3 => lines.insert(at, b"\n".to_vec()),
            _ => {
                let place = random.below(lines[at].len() + 1);
                let end = place + random.below(lines[at].len() - place + 1).min(3);
                lines[at].splice(place..end, ODDITIES[random.below(ODDITIES.len())].to_vec());
            }
        }
    }
    lines.concat()
}

#[test]
fn fuzzed_copies_keep_the_sum_of_their_rows() {
    let layouts = [
        Layout::default(),
        Layout { fill_down: Some(true), notice_days: 0, ..Layout::default() },
        Layout { header_row: Some(0), ..Layout::default() },
    ];
    let mut random = Random(0x5eed);
    let (mut read, mut rejected) = (0_u32, 0_u64);
    for (name, bytes) in vendors::all() {
        let copies = if bytes.starts_with(b"PK") { 60 } else { 700 };
        for copy in 0..copies {
            let spoilt = spoil(&bytes, &mut random);
            let Ok(reading) = interpret(&spoilt, &layouts[copy % 3], &Defaults::default(), NOW)
            else {
                continue;
            };
            read += 1;
            let tally = reading.tally;
            assert!(tally.adds_up(), "{name} copy {copy}: {tally:?}");
            let rows: usize = reading.workbook.tables.iter().map(|table| table.len()).sum();
            assert_eq!(tally.lines, rows as u64, "{name} copy {copy}");
            assert_eq!(reading.rows().count(), rows);
            rejected += tally.rejected;
            for (table, row, kind) in reading.rows() {
                let faults =
                    reading.tables[table].notes_of(row).iter().filter(|note| note.is_fault).count();
                // A reason for each that is rejected, and for no other.
                assert_eq!(kind == RowKind::Rejected, faults > 0, "{name} copy {copy} row {row}");
            }
            for row in &reading.deck.rows {
                let kind = reading.tables[usize::from(row.table)].kinds[row.source as usize];
                assert!(matches!(kind, RowKind::Accepted | RowKind::Changed));
            }
        }
    }
    assert!(read > 1_500 && rejected > 2_000, "{read} files were read, {rejected} rows rejected");
}

#[test]
fn every_line_of_a_text_is_a_row() {
    let mut random = Random(7);
    for _ in 0..300 {
        let lines = 1 + random.below(30);
        let mut text = String::from("code,price\n");
        for _ in 0..lines {
            let line = ["49,0.1", "", ",", "x,y", "49,", "44,0.2,0.3", "Total"][random.below(7)];
            text.push_str(line);
            text.push('\n');
        }
        let reading =
            interpret(text.as_bytes(), &Layout::default(), &Defaults::default(), NOW).unwrap();
        assert_eq!(reading.tally.lines as usize, lines + 1, "{text}");
        assert!(reading.tally.adds_up());
    }
}
