//! A chunk: the rows of a sheet as bytes. Little endian; the first byte is the version of the form.
//!
//! ```text
//! prefix length u8, prefix; flags u8; price i64 nanos; first u32, next u32;
//! if flags say so: connect fee i64, grace u32 + free u32 + minimum u32, minimum charge i64,
//! valid from i64, valid till i64, destination length u16 + text
//! ```

use billing::{Price, Rate, RateRow};
use vocabulary::Utc;

use super::SheetRow;
use crate::directory::ChangeError;

/// Rows in one chunk.
pub(super) const ROWS_MAX: usize = 8_192;
const VERSION: u8 = 1;

const BLOCKED: u8 = 1;
const FEE: u8 = 2;
const SECONDS: u8 = 4;
const MINIMUM_CHARGE: u8 = 8;
const FROM: u8 = 16;
const TILL: u8 = 32;
const DESTINATION: u8 = 64;

pub(super) fn encode(rows: &[SheetRow]) -> Vec<u8> {
    let mut out = Vec::with_capacity(rows.len() * 48 + 1);
    out.push(VERSION);
    for row in rows {
        encode_row(&mut out, row);
    }
    out
}

fn encode_row(out: &mut Vec<u8>, row: &SheetRow) {
    let rate = &row.rate.rate;
    let has_seconds = rate.grace_seconds + rate.free_seconds + rate.minimum_seconds > 0;
    let destination = cut(&row.destination);
    let flags = [
        (rate.is_blocked, BLOCKED),
        (!rate.connect_fee.is_zero(), FEE),
        (has_seconds, SECONDS),
        (!rate.minimum_charge.is_zero(), MINIMUM_CHARGE),
        (row.rate.valid_from.is_some(), FROM),
        (row.rate.valid_till.is_some(), TILL),
        (!destination.is_empty(), DESTINATION),
    ];
    let flags = flags.iter().filter(|(is_set, _)| *is_set).fold(0, |all, (_, flag)| all | flag);
    out.push(u8::try_from(row.rate.prefix.len()).expect("a prefix has at most 31 digits"));
    out.extend_from_slice(row.rate.prefix.as_bytes());
    out.push(flags);
    out.extend_from_slice(&rate.price.nanos().to_le_bytes());
    out.extend_from_slice(&rate.first_increment.to_le_bytes());
    out.extend_from_slice(&rate.next_increment.to_le_bytes());
    if flags & FEE != 0 {
        out.extend_from_slice(&rate.connect_fee.nanos().to_le_bytes());
    }
    if flags & SECONDS != 0 {
        for seconds in [rate.grace_seconds, rate.free_seconds, rate.minimum_seconds] {
            out.extend_from_slice(&seconds.to_le_bytes());
        }
    }
    if flags & MINIMUM_CHARGE != 0 {
        out.extend_from_slice(&rate.minimum_charge.nanos().to_le_bytes());
    }
    for moment in [row.rate.valid_from, row.rate.valid_till].into_iter().flatten() {
        out.extend_from_slice(&moment.0.to_le_bytes());
    }
    if flags & DESTINATION != 0 {
        let length = u16::try_from(destination.len()).expect("cut to fit");
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(destination.as_bytes());
    }
}

/// At most 200 characters of a destination's name; the import refuses longer ones.
fn cut(text: &str) -> &str {
    text.char_indices().nth(200).map_or(text, |(end, _)| &text[..end])
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

    fn u8(&mut self) -> Result<u8, ChangeError> {
        Ok(self.array::<1>()?[0])
    }

    fn u32(&mut self) -> Result<u32, ChangeError> {
        self.array().map(u32::from_le_bytes)
    }

    fn i64(&mut self) -> Result<i64, ChangeError> {
        self.array().map(i64::from_le_bytes)
    }

    fn price(&mut self) -> Result<Price, ChangeError> {
        Price::from_nanos(self.i64()?).ok_or_else(|| corrupt("has a price out of range"))
    }

    fn text(&mut self, length: usize) -> Result<&'a str, ChangeError> {
        std::str::from_utf8(self.take(length)?).map_err(|_| corrupt("has a text that is not UTF-8"))
    }
}

fn corrupt(what: &str) -> ChangeError {
    ChangeError::Corrupt { column: "rates", value: format!("a chunk that {what}") }
}

/// Hands each row to `take`; the row is reused, so that a million of them cost no allocations.
pub(super) fn each(
    bytes: &[u8],
    sheet_version: u32,
    mut take: impl FnMut(&SheetRow) -> Result<(), ChangeError>,
) -> Result<(), ChangeError> {
    let mut cursor = Cursor(bytes);
    if cursor.u8()? != VERSION {
        return Err(corrupt("was written by another version of this program"));
    }
    let rate = Rate::per_minute(Price::ZERO, 60, 60);
    let rate = RateRow {
        prefix: String::new(),
        rate,
        special: None,
        valid_from: None,
        valid_till: None,
        sheet_version,
    };
    let mut row = SheetRow { rate, destination: String::new() };
    while !cursor.0.is_empty() {
        decode_row(&mut cursor, &mut row)?;
        take(&row)?;
    }
    Ok(())
}

fn decode_row(cursor: &mut Cursor<'_>, row: &mut SheetRow) -> Result<(), ChangeError> {
    let length = cursor.u8()?;
    row.rate.prefix.clear();
    row.rate.prefix.push_str(cursor.text(usize::from(length))?);
    let flags = cursor.u8()?;
    let has = |flag| flags & flag != 0;
    let rate = &mut row.rate.rate;
    *rate = Rate::per_minute(cursor.price()?, cursor.u32()?, cursor.u32()?);
    rate.is_blocked = has(BLOCKED);
    if has(FEE) {
        rate.connect_fee = cursor.price()?;
    }
    if has(SECONDS) {
        rate.grace_seconds = cursor.u32()?;
        rate.free_seconds = cursor.u32()?;
        rate.minimum_seconds = cursor.u32()?;
    }
    if has(MINIMUM_CHARGE) {
        rate.minimum_charge = cursor.price()?;
    }
    row.rate.valid_from = if has(FROM) { Some(Utc(cursor.i64()?)) } else { None };
    row.rate.valid_till = if has(TILL) { Some(Utc(cursor.i64()?)) } else { None };
    row.destination.clear();
    if has(DESTINATION) {
        let length = u16::from_le_bytes(cursor.array()?);
        row.destination.push_str(cursor.text(usize::from(length))?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_went_in() {
        let mut full = Rate::per_minute("0.0123".parse().unwrap(), 30, 6);
        full.connect_fee = "0.05".parse().unwrap();
        full.free_seconds = 3;
        full.minimum_charge = "0.01".parse().unwrap();
        full.is_blocked = true;
        let plain = Rate::per_minute(Price::ZERO, 60, 60);
        let row = |prefix: &str, rate, valid_from, destination: &str| SheetRow {
            rate: RateRow {
                prefix: prefix.into(),
                rate,
                special: None,
                valid_from,
                valid_till: valid_from.map(|Utc(at)| Utc(at + 1)),
                sheet_version: 7,
            },
            destination: destination.into(),
        };
        let rows = [row("4930", full, Some(Utc(5)), "Berlin"), row("", plain, None, "")];
        let mut back = Vec::new();
        let bytes = encode(&rows);
        each(&bytes, 7, |row| {
            back.push(row.clone());
            Ok(())
        })
        .unwrap();
        assert_eq!(back, rows);
        assert!(each(&bytes[..bytes.len() - 1], 7, |_| Ok(())).is_err());
        assert!(each(&[9], 7, |_| Ok(())).is_err());
    }
}
