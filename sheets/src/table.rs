//! The cells of one worksheet or text file: one text for all of them and eight bytes a cell, so that
//! a million rows stay small and cost no allocation each.

/// Cells in one table at most; what is beyond is refused, not cut.
pub(crate) const CELLS_MAX: usize = 100_000_000;
/// Columns at most.
pub(crate) const COLUMNS_MAX: usize = 512;
const TEXT_MAX: usize = 1 << 31;

/// What a spreadsheet says a cell is; in a text file everything is text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellKind {
    /// As typed.
    Text,
    /// A number that was stored as a binary fraction: 15 digits of it are true.
    Number,
    /// A date that the spreadsheet knows as one; its text is `2026-12-01T00:00:00`.
    Moment,
}

/// One cell, without blanks around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell<'a> {
    /// What it says.
    pub text: &'a str,
    /// What it is.
    pub kind: CellKind,
}

impl Cell<'_> {
    /// A cell that is not there.
    pub const EMPTY: Cell<'static> = Cell { text: "", kind: CellKind::Text };

    /// Nothing in it?
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    /// The two highest bits are the kind.
    length: u32,
}

const KIND_SHIFT: u32 = 30;

#[derive(Clone, Copy, Debug)]
struct RowSpan {
    first: u32,
    /// The line of the file, or the row of the worksheet, from 1.
    line: u32,
}

/// Rows of cells.
#[derive(Clone, Debug, Default)]
pub struct Table {
    name: String,
    text: String,
    cells: Vec<Span>,
    rows: Vec<RowSpan>,
}

impl Table {
    /// The worksheet's name; empty for a text file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many rows, blank ones too.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// No row at all?
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The line of the file or the row of the worksheet that row `at` (from 0) began in, from 1.
    pub fn line(&self, at: usize) -> u32 {
        self.rows.get(at).map_or(0, |row| row.line)
    }

    /// How many cells row `at` has.
    pub fn width(&self, at: usize) -> usize {
        self.bounds(at).len()
    }

    fn bounds(&self, at: usize) -> std::ops::Range<usize> {
        let Some(row) = self.rows.get(at) else { return 0..0 };
        let end = self.rows.get(at + 1).map_or(self.cells.len(), |next| next.first as usize);
        row.first as usize..end
    }

    /// A cell; an absent one is empty.
    #[inline]
    pub fn cell(&self, row: usize, column: usize) -> Cell<'_> {
        let bounds = self.bounds(row);
        match self.cells.get(bounds.start + column) {
            Some(span) if column < bounds.len() => self.read(*span),
            _ => Cell::EMPTY,
        }
    }

    /// The cells of a row.
    pub fn row(&self, at: usize) -> impl ExactSizeIterator<Item = Cell<'_>> {
        self.cells[self.bounds(at)].iter().map(|span| self.read(*span))
    }

    fn read(&self, span: Span) -> Cell<'_> {
        let length = span.length & ((1 << KIND_SHIFT) - 1);
        let start = span.start as usize;
        let kind = match span.length >> KIND_SHIFT {
            1 => CellKind::Number,
            2 => CellKind::Moment,
            _ => CellKind::Text,
        };
        Cell { text: &self.text[start..start + length as usize], kind }
    }

    /// Nothing in the whole row?
    pub fn is_blank(&self, at: usize) -> bool {
        self.row(at).all(|cell| cell.is_empty())
    }
}

/// Fills a table, cell by cell and row by row.
#[derive(Debug, Default)]
pub struct TableBuilder {
    table: Table,
    is_full: bool,
}

impl TableBuilder {
    /// An empty table.
    pub fn new(name: &str) -> TableBuilder {
        let table = Table { name: name.to_owned(), ..Table::default() };
        TableBuilder { table, is_full: false }
    }

    /// Room for a text of so many bytes.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.table.text.reserve(bytes.min(TEXT_MAX));
        self.table.cells.reserve(bytes / 10);
        self.table.rows.reserve(bytes / 80);
    }

    /// Begins a row that stands in this line of the file.
    pub fn row(&mut self, line: u32) {
        let first = u32::try_from(self.table.cells.len()).unwrap_or(u32::MAX);
        self.table.rows.push(RowSpan { first, line });
    }

    /// Adds a cell to the row; blanks around it are left out.
    pub fn cell(&mut self, text: &str, kind: CellKind) {
        let text = text.trim_matches(is_blank);
        let table = &mut self.table;
        if table.cells.len() >= CELLS_MAX
            || table.text.len() + text.len() >= TEXT_MAX
            || text.len() >= 1 << KIND_SHIFT
        {
            self.is_full = true;
            return;
        }
        let start = table.text.len() as u32;
        table.text.push_str(text);
        table.cells.push(Span { start, length: text.len() as u32 | (kind as u32) << KIND_SHIFT });
    }

    /// How many cells the row has by now.
    pub(crate) fn width(&self) -> usize {
        let first = self.table.rows.last().map_or(0, |row| row.first as usize);
        self.table.cells.len() - first
    }

    /// How many rows there are by now.
    pub(crate) fn rows(&self) -> usize {
        self.table.rows.len()
    }

    /// The table, or nothing if it would not fit.
    pub fn build(self) -> Option<Table> {
        (!self.is_full).then_some(self.table)
    }
}

/// White space, and the invisible marks that spreadsheets leave around texts.
pub(crate) fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_come_back_without_blanks_around_them() {
        let mut builder = TableBuilder::new("Rates");
        builder.row(1);
        builder.cell(" Größe\u{a0}", CellKind::Text);
        builder.cell("49", CellKind::Number);
        builder.row(2);
        builder.row(4);
        builder.cell("2026-12-01T00:00:00", CellKind::Moment);
        let table = builder.build().unwrap();
        assert_eq!(table.cell(0, 0).text, "Größe");
        assert_eq!(table.cell(0, 1), Cell { text: "49", kind: CellKind::Number });
        assert_eq!(table.cell(0, 2), Cell::EMPTY);
        assert_eq!(table.cell(2, 0).kind, CellKind::Moment);
        assert!(table.is_blank(1) && !table.is_blank(2));
        assert_eq!((table.len(), table.line(2), table.width(0)), (3, 4, 2));
        assert_eq!(table.cell(9, 9), Cell::EMPTY);
    }
}
