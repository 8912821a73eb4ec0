//! What became of every row: nothing is dropped without being told.

use crate::header::Column;

/// What became of a row of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowKind {
    /// Of a worksheet that is not read.
    Outside,
    /// Above the header.
    Preamble,
    /// The header, there or repeated further down.
    Header,
    /// Nothing in it.
    Blank,
    /// A title or a note between or below the rates: text in one cell and neither code nor price.
    Remark,
    /// Its rates are in the deck.
    Accepted,
    /// The same, after something in it was repaired.
    Changed,
    /// It says what a row above it says.
    Merged,
    /// Its rates are not in the deck.
    Rejected,
}

impl RowKind {
    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            RowKind::Outside => "outside",
            RowKind::Preamble => "preamble",
            RowKind::Header => "header",
            RowKind::Blank => "blank",
            RowKind::Remark => "remark",
            RowKind::Accepted => "accepted",
            RowKind::Changed => "changed",
            RowKind::Merged => "merged",
            RowKind::Rejected => "rejected",
        }
    }
}

/// Why a row was rejected, what was repaired in it, or which row it repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The row of its table.
    pub row: u32,
    /// The column it is about, from 0.
    pub column: Option<u16>,
    /// What, and how to mend it.
    pub text: String,
    /// The row is rejected for it; else it says what was repaired or repeated.
    pub is_fault: bool,
}

/// How many rows became what. `lines` is the sum of all others but `rows_in` and `changed`;
/// `rows_in = accepted + merged + rejected`, and `changed` are those of the accepted that were
/// repaired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows of all tables.
    pub lines: u64,
    /// Rows that should bring rates.
    pub rows_in: u64,
    /// Brought their rates.
    pub accepted: u64,
    /// Of these, after a repair.
    pub changed: u64,
    /// Say what others say.
    pub merged: u64,
    /// Brought nothing.
    pub rejected: u64,
    /// Nothing in them.
    pub blank: u64,
    /// Headers.
    pub header: u64,
    /// Above the headers.
    pub preamble: u64,
    /// Titles and notes.
    pub remarks: u64,
    /// Of worksheets that are not read.
    pub outside: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, kind: RowKind) {
        self.lines += 1;
        let count = match kind {
            RowKind::Outside => &mut self.outside,
            RowKind::Preamble => &mut self.preamble,
            RowKind::Header => &mut self.header,
            RowKind::Blank => &mut self.blank,
            RowKind::Remark => &mut self.remarks,
            RowKind::Accepted => &mut self.accepted,
            RowKind::Changed => {
                self.changed += 1;
                &mut self.accepted
            }
            RowKind::Merged => &mut self.merged,
            RowKind::Rejected => &mut self.rejected,
        };
        *count += 1;
        self.rows_in += u64::from(kind >= RowKind::Accepted);
    }

    /// Do the counts add up?
    pub fn adds_up(&self) -> bool {
        let others = self.blank + self.header + self.preamble + self.remarks + self.outside;
        self.rows_in == self.accepted + self.merged + self.rejected
            && self.lines == self.rows_in + others
            && self.changed <= self.accepted
    }
}

/// What was read of one worksheet.
#[derive(Clone, Debug, Default)]
pub struct TableReport {
    /// Why its rows are outside, if they are.
    pub outside: Option<String>,
    /// Lists removals?
    pub is_removal: bool,
    /// The header's line of the file; nothing if there is none.
    pub header_line: Option<u32>,
    /// Its columns.
    pub columns: Vec<Column>,
    /// What became of each row.
    pub kinds: Vec<RowKind>,
    /// In the order of the rows.
    pub notes: Vec<Note>,
}

impl TableReport {
    /// The notes about a row.
    pub fn notes_of(&self, row: usize) -> &[Note] {
        let start = self.notes.partition_point(|note| (note.row as usize) < row);
        let end = self.notes.partition_point(|note| note.row as usize <= row);
        &self.notes[start..end]
    }
}
