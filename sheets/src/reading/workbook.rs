//! Workbooks of Excel, all their worksheets, cell by cell.

use std::fmt::Write as _;
use std::io::Cursor;

use calamine::{Data, DataRef, ExcelDateTime, Reader, Xls, Xlsx, open_workbook_from_rs};

use crate::table::{COLUMNS_MAX, CellKind, Table, TableBuilder};

use super::{Form, ReadError, Workbook};

/// The last row that Excel has; a higher number is a broken file.
const ROW_MAX: u32 = 1_048_575;
/// Digits of a binary fraction that Excel shows and keeps.
const DIGITS_TRUE: usize = 15;

pub(super) fn read_xlsx(bytes: &[u8]) -> Result<Workbook, ReadError> {
    let broken = |error: calamine::XlsxError| ReadError::Workbook(error.to_string());
    let mut book: Xlsx<_> = open_workbook_from_rs(Cursor::new(bytes)).map_err(broken)?;
    let mut tables = Vec::new();
    for name in book.sheet_names() {
        // A chart is a sheet without cells.
        let Ok(mut cells) = book.worksheet_cells_reader(&name) else { continue };
        let mut filler = Filler::new(&name);
        while let Some(cell) = cells.next_cell().map_err(broken)? {
            let (row, column) = cell.get_position();
            match cell.get_value() {
                DataRef::Empty => {}
                DataRef::String(text) => filler.put(row, column, text, CellKind::Text)?,
                DataRef::SharedString(text) => filler.put(row, column, text, CellKind::Text)?,
                DataRef::Int(number) => {
                    filler.put(row, column, &number.to_string(), CellKind::Number)?;
                }
                DataRef::Float(number) => filler.number(row, column, *number)?,
                DataRef::Bool(value) => filler.put(row, column, word(*value), CellKind::Text)?,
                DataRef::DateTime(moment) => filler.moment(row, column, moment)?,
                DataRef::DateTimeIso(text) => filler.put(row, column, text, CellKind::Moment)?,
                DataRef::DurationIso(text) => filler.put(row, column, text, CellKind::Text)?,
                DataRef::Error(error) => {
                    filler.put(row, column, &error.to_string(), CellKind::Text)?;
                }
            }
        }
        tables.push(filler.build()?);
    }
    Ok(Workbook { form: Form::Xlsx, encoding: "", has_unreadable_characters: false, tables })
}

pub(super) fn read_xls(bytes: &[u8]) -> Result<Workbook, ReadError> {
    let broken = |error: calamine::XlsError| ReadError::Workbook(error.to_string());
    let mut book: Xls<_> = open_workbook_from_rs(Cursor::new(bytes)).map_err(broken)?;
    let mut tables = Vec::new();
    for name in book.sheet_names() {
        let range = book.worksheet_range(&name).map_err(broken)?;
        let (top, left) = range.start().unwrap_or_default();
        let mut filler = Filler::new(&name);
        for (row, column, value) in range.used_cells() {
            let row = top + u32::try_from(row).unwrap_or(u32::MAX);
            let column = left + u32::try_from(column).unwrap_or(u32::MAX);
            match value {
                Data::Empty => {}
                Data::String(text) => filler.put(row, column, text, CellKind::Text)?,
                Data::Int(number) => {
                    filler.put(row, column, &number.to_string(), CellKind::Number)?;
                }
                Data::Float(number) => filler.number(row, column, *number)?,
                Data::Bool(value) => filler.put(row, column, word(*value), CellKind::Text)?,
                Data::DateTime(moment) => filler.moment(row, column, moment)?,
                Data::DateTimeIso(text) => filler.put(row, column, text, CellKind::Moment)?,
                Data::DurationIso(text) => filler.put(row, column, text, CellKind::Text)?,
                Data::Error(error) => {
                    filler.put(row, column, &error.to_string(), CellKind::Text)?
                }
            }
        }
        tables.push(filler.build()?);
    }
    Ok(Workbook { form: Form::Xls, encoding: "", has_unreadable_characters: false, tables })
}

fn word(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// Puts cells that come in order into a table; what lies between them is blank.
struct Filler {
    builder: TableBuilder,
    name: String,
    scratch: String,
}

impl Filler {
    fn new(name: &str) -> Filler {
        let builder = TableBuilder::new(name);
        Filler { builder, name: name.to_owned(), scratch: String::new() }
    }

    fn put(&mut self, row: u32, column: u32, text: &str, kind: CellKind) -> Result<(), ReadError> {
        if column as usize >= COLUMNS_MAX || row > ROW_MAX {
            return Err(self.too_large());
        }
        while self.builder.rows() <= row as usize {
            let line = u32::try_from(self.builder.rows() + 1).unwrap_or(u32::MAX);
            self.builder.row(line);
        }
        // Cells come in the order of the sheet; one out of order is a broken file.
        if self.builder.rows() != row as usize + 1 || self.builder.width() > column as usize {
            return Err(ReadError::Workbook(format!("{}: cells out of order", self.name)));
        }
        while self.builder.width() < column as usize {
            let before = self.builder.width();
            self.builder.cell("", CellKind::Text);
            if self.builder.width() == before {
                return Err(self.too_large());
            }
        }
        self.builder.cell(text, kind);
        Ok(())
    }

    fn number(&mut self, row: u32, column: u32, number: f64) -> Result<(), ReadError> {
        let mut text = std::mem::take(&mut self.scratch);
        number_text(number, &mut text);
        let put = self.put(row, column, &text, CellKind::Number);
        self.scratch = text;
        put
    }

    fn moment(&mut self, row: u32, column: u32, at: &ExcelDateTime) -> Result<(), ReadError> {
        if !at.is_datetime() {
            return self.number(row, column, at.as_f64());
        }
        let (year, month, day, hour, minute, second, _) = at.to_ymd_hms_milli();
        let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
        self.put(row, column, &text, CellKind::Moment)
    }

    fn too_large(&self) -> ReadError {
        ReadError::TooLarge { table: self.name.clone(), columns: COLUMNS_MAX }
    }

    fn build(self) -> Result<Table, ReadError> {
        let too_large = self.too_large();
        self.builder.build().ok_or(too_large)
    }
}

/// A number as Excel shows it: 15 digits at most, never with an exponent.
fn number_text(number: f64, text: &mut String) {
    text.clear();
    let _ = write!(text, "{number}");
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let zeros = text.bytes().take_while(|byte| !matches!(byte, b'1'..=b'9')).count();
    if digits.saturating_sub(zeros) <= DIGITS_TRUE || !text.contains('.') {
        return;
    }
    // 0.1 + 0.2 is 0.30000000000000004 in binary; Excel shows 0.3, and means it.
    let places = number.abs().log10().floor();
    let decimals = (14.0 - places).clamp(0.0, 40.0) as usize;
    text.clear();
    let _ = write!(text, "{number:.decimals$}");
    if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(number: f64, expected: &str) {
        let mut text = String::new();
        number_text(number, &mut text);
        assert_eq!(text, expected);
    }

    #[test]
    fn numbers_are_shown_as_excel_shows_them() {
        check(49.0, "49");
        check(4.9e11, "490000000000");
        check(0.012, "0.012");
        check(0.1 + 0.2, "0.3");
        check(1.0e-9, "0.000000001");
        check(1.1 * 1.1, "1.21");
        check(123_456_789_012_345_680.0, "123456789012345680");
    }
}
