//! A chunk: rows of a sheet as bytes, with the terms and names that they share. Little endian; the
//! first byte is the version of the form.
//!
//! ```text
//! terms u32 × (length u32 + rate, length u32 + special terms or 0, said byte);
//! names u32 × (length u32 + text)
//! rows to the end × (prefix 16 bytes, from u32, till u32, terms u32, name u32)
//! ```

use std::sync::Arc;

use billing::{Rate, SpecialTerms};
use sheets::{Claim, Deck, DeckBuilder, DeckRow, Prefix, Said, Terms, WITHDRAWN};

use crate::directory::ChangeError;

/// Rows in one chunk.
pub(super) const ROWS_MAX: usize = 16_384;
const VERSION: u8 = 3;
/// Without the byte that says what a rate says: all of it.
const ALL_SAID: u8 = 2;

/// Packs some rows of a deck.
pub(super) fn encode(deck: &Deck, rows: &[DeckRow]) -> Vec<u8> {
    let mut out = Vec::with_capacity(rows.len() * 33 + 64);
    out.push(VERSION);
    let (terms, term_numbers) = used(rows.iter().map(|row| row.terms), deck.terms.len());
    put_count(&mut out, terms.len());
    for number in &terms {
        let Terms { rate, special, said } = &deck.terms[*number as usize];
        put_bytes(&mut out, &rate.to_bytes());
        put_bytes(
            &mut out,
            &special.as_ref().map(|special| special.to_bytes()).unwrap_or_default(),
        );
        out.push(said.bits());
    }
    let (names, name_numbers) = used(rows.iter().map(|row| row.name), deck.names.len());
    put_count(&mut out, names.len());
    for number in &names {
        put_bytes(&mut out, deck.names[*number as usize].as_bytes());
    }
    for row in rows {
        let terms = term_numbers.get(row.terms as usize).copied().unwrap_or(WITHDRAWN);
        let name = name_numbers[row.name as usize];
        out.extend_from_slice(&row.prefix.to_bytes());
        for field in [row.from, row.till, terms, name] {
            out.extend_from_slice(&field.to_le_bytes());
        }
    }
    out
}

/// The numbers that are used, and for each number of `count` its place among them.
fn used(numbers: impl Iterator<Item = u32>, count: usize) -> (Vec<u32>, Vec<u32>) {
    let mut places = vec![u32::MAX; count];
    let mut used = Vec::new();
    for number in numbers {
        if let Some(place) = places.get_mut(number as usize)
            && *place == u32::MAX
        {
            *place = used.len() as u32;
            used.push(number);
        }
    }
    (used, places)
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u32::try_from(count).expect("at most a chunk's rows").to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("terms and names are short");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], ChangeError> {
        let taken = self.0.split_at_checked(count);
        let (taken, rest) = taken.ok_or_else(|| corrupt("ends within a row"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ChangeError> {
        Ok(self.take(N)?.try_into().expect("as many bytes as asked for"))
    }

    fn u32(&mut self) -> Result<u32, ChangeError> {
        self.array().map(u32::from_le_bytes)
    }

    fn bytes(&mut self) -> Result<&'a [u8], ChangeError> {
        let length = self.u32()?;
        self.take(length as usize)
    }
}

fn corrupt(what: &str) -> ChangeError {
    ChangeError::Corrupt { column: "rates", value: format!("a chunk that {what}") }
}

/// Adds the rows of a chunk to a deck, as rows of the sheet with this version.
pub(super) fn decode(
    bytes: &[u8],
    sheet_version: u32,
    deck: &mut DeckBuilder,
) -> Result<(), ChangeError> {
    let mut cursor = Cursor(bytes);
    let [version] = cursor.array()?;
    if !(ALL_SAID..=VERSION).contains(&version) {
        return Err(corrupt("was written by another version of this program"));
    }
    let broken = |_| corrupt("has terms that cannot be read");
    let mut terms = Vec::new();
    for _ in 0..cursor.u32()? {
        let rate = Rate::from_bytes(cursor.bytes()?).map_err(broken)?;
        let special = match cursor.bytes()? {
            [] => None,
            bytes => Some(Arc::new(SpecialTerms::from_bytes(bytes).map_err(broken)?)),
        };
        let said = match version {
            ALL_SAID => Said::ALL,
            _ => Said::from_bits(u8::from_le_bytes(cursor.array()?)),
        };
        terms.push(deck.terms_with(Terms { rate, special, said }));
    }
    let mut names = Vec::new();
    for _ in 0..cursor.u32()? {
        let name = std::str::from_utf8(cursor.bytes()?);
        names.push(deck.name(name.map_err(|_| corrupt("has a text that is not UTF-8"))?));
    }
    while !cursor.0.is_empty() {
        let prefix = Prefix::from_bytes(cursor.array()?);
        let prefix = prefix.ok_or_else(|| corrupt("has a prefix that is none"))?;
        let [from, till, row_terms, name] =
            [cursor.u32()?, cursor.u32()?, cursor.u32()?, cursor.u32()?];
        let number = |numbers: &[u32], at: u32| {
            numbers.get(at as usize).copied().ok_or_else(|| corrupt("names what it has not"))
        };
        deck.row(DeckRow {
            prefix,
            from,
            till,
            terms: if row_terms == WITHDRAWN { WITHDRAWN } else { number(&terms, row_terms)? },
            name: number(&names, name)?,
            source: sheet_version,
            table: 0,
            claim: Claim::Nothing,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use billing::{AfterCap, Cap, Price, VersionChoice};
    use sheets::OPEN;

    use super::*;

    #[test]
    fn rows_come_back_as_they_went_in() {
        let mut full = Rate::per_minute("0.0123".parse().unwrap(), 30, 6);
        full.connect_fee = "0.05".parse().unwrap();
        full.is_blocked = true;
        let mut builder = DeckBuilder::default();
        let unused = builder.terms(&Rate::per_minute(Price::ZERO, 1, 1));
        let terms = builder.terms_with(Terms {
            rate: full,
            special: Some(Arc::new(SpecialTerms {
                cap: Some(Cap { amount: "2".parse().unwrap(), after: AfterCap::Disconnect }),
                versions: Some(VersionChoice::EachIncrement),
                ..SpecialTerms::default()
            })),
            said: Said::CONNECT_FEE,
        });
        let name = builder.name("Berlin");
        let claim = Claim::Nothing;
        let row = |prefix: &str, till, terms, name| DeckRow {
            prefix: prefix.parse().unwrap(),
            from: 5,
            till,
            terms,
            name,
            source: 7,
            table: 0,
            claim,
        };
        builder.row(row("4930", 9, terms, name));
        builder.row(row("", OPEN, WITHDRAWN, 0));
        let deck = builder.build();
        let bytes = encode(&deck, &deck.rows);
        let mut back = DeckBuilder::default();
        decode(&bytes, 7, &mut back).unwrap();
        let back = back.build();
        assert_eq!((back.terms.len(), unused), (1, 0));
        for (a, b) in back.rows.iter().zip(&deck.rows) {
            assert_eq!((a.prefix, a.from, a.till, a.source), (b.prefix, b.from, b.till, b.source));
            assert_eq!((back.terms(a), back.name(a)), (deck.terms(b), deck.name(b)));
        }
        assert!(decode(&bytes[..bytes.len() - 1], 7, &mut DeckBuilder::default()).is_err());
        // Version 2 had no byte for what is said.
        let rate = full.to_bytes();
        let mut old = vec![2, 1, 0, 0, 0, rate.len() as u8, 0, 0, 0];
        old.extend(rate);
        old.extend([0; 8]);
        let mut read = DeckBuilder::default();
        decode(&old, 7, &mut read).unwrap();
        assert_eq!(read.build().terms, [Terms::plain(full)]);
        assert!(decode(&[9], 7, &mut DeckBuilder::default()).is_err());
    }
}
