//! From tables to rates, with a verdict for every row.

mod columns;
mod row;
pub(crate) mod special;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use vocabulary::Utc;

use crate::deck::{Deck, DeckBuilder, DeckRow};
use crate::header::{self, Header};
use crate::layout::Layout;
use crate::prefix::Prefix;
use crate::reading::{self, ReadError, Workbook};
use crate::report::{RowKind, TableReport, Tally};
use crate::table::Table;
use crate::tariff::{self, Defaults, TariffError};
use crate::words;

use columns::Columns;
use row::RowReader;

/// A file that was read: its rates, and what became of each of its rows.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The file's cells.
    pub workbook: Workbook,
    /// What each worksheet was.
    pub tables: Vec<TableReport>,
    /// The counts; they add up.
    pub tally: Tally,
    /// The rates, in the order of the file.
    pub deck: Deck,
    /// The currency that the file, or else the layout, names.
    pub currency: Option<String>,
    /// What an operator should look at.
    pub warnings: Vec<String>,
}

impl Reading {
    /// All rows of one kind or of all, with their notes: table, row, kind.
    pub fn rows(&self) -> impl Iterator<Item = (usize, usize, RowKind)> + '_ {
        let tables = self.tables.iter().enumerate();
        tables.flat_map(|(table, report)| {
            report.kinds.iter().enumerate().map(move |(row, kind)| (table, row, *kind))
        })
    }
}

/// Why a file brings no rates at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SheetError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Something is missing or unclear that a layout can say.
    #[error("{0}")]
    Layout(String),
    /// A tariff that says what it may not.
    #[error(transparent)]
    Tariff(#[from] TariffError),
}

/// Where a prefix with a start was first seen.
#[derive(Clone, Copy)]
struct Seen {
    row: u32,
    table: u16,
    till: u32,
    terms: u32,
}

/// What all tables of a file share.
struct Gathering<'a> {
    builder: DeckBuilder,
    defaults: &'a Defaults,
    seen: HashMap<(Prefix, u32), Seen, FixedState>,
    currency: Option<String>,
    warnings: Vec<String>,
}

/// Reads a file: a sheet of any layout, or a tariff. Rows that say no date begin at the date above
/// the header, or at `valid_from`. Rows with periods of the day take from the group's `defaults` what
/// they do not say themselves.
pub fn interpret(
    bytes: &[u8],
    layout: &Layout,
    defaults: &Defaults,
    valid_from: Utc,
) -> Result<Reading, SheetError> {
    layout.validate().map_err(SheetError::Layout)?;
    if tariff::is_tariff(bytes) {
        return tariff::interpret(bytes, layout, defaults, valid_from);
    }
    let delimiter = layout.delimiter.map(|c| c as u8);
    let workbook = reading::read(bytes, layout.encoding.as_deref(), delimiter)?;
    let mut gathering = Gathering {
        builder: DeckBuilder::default(),
        defaults,
        seen: HashMap::with_hasher(FixedState::default()),
        currency: layout.currency.clone(),
        warnings: Vec::new(),
    };
    if workbook.has_unreadable_characters {
        gathering.warnings.push(format!(
            "the text is not {} throughout; set `encoding` in the layout",
            workbook.encoding
        ));
    }
    let mut tables = Vec::with_capacity(workbook.tables.len());
    for (number, table) in workbook.tables.iter().enumerate() {
        let number = u16::try_from(number).unwrap_or(u16::MAX);
        tables.push(gathering.table(number, table, layout, valid_from)?);
    }
    if tables.iter().all(|report| report.outside.is_some()) {
        let reasons = tables.iter().filter_map(|report| report.outside.as_deref());
        return Err(SheetError::Layout(reasons.collect::<Vec<_>>().join("; ")));
    }
    let mut tally = Tally::default();
    tables.iter().flat_map(|report| &report.kinds).for_each(|kind| tally.add(*kind));
    debug_assert!(tally.adds_up());
    let Gathering { builder, currency, warnings, .. } = gathering;
    Ok(Reading { workbook, tables, tally, deck: builder.build(), currency, warnings })
}

impl Gathering<'_> {
    fn table(
        &mut self,
        number: u16,
        table: &Table,
        layout: &Layout,
        valid_from: Utc,
    ) -> Result<TableReport, SheetError> {
        let names = |list: &[String]| list.iter().any(|name| name == table.name());
        let is_removal = if layout.removal_worksheets.is_empty() {
            words::is_about_removal(table.name())
        } else {
            names(&layout.removal_worksheets)
        };
        let name = if table.name().is_empty() { "the file" } else { table.name() };
        if !layout.worksheets.is_empty() && !names(&layout.worksheets) && !is_removal {
            return Ok(outside(table, format!("{name}: not among `worksheets` of the layout")));
        }
        let found = header::find(table, layout, is_removal);
        let found = found.map_err(|what| SheetError::Layout(format!("{name}: {what}")))?;
        let Some(header) = found else {
            return Ok(outside(
                table,
                format!(
                    "{name}: no row is a header with codes and prices; set `columns` or `header_row` \
                     in the layout"
                ),
            ));
        };
        let columns = Columns::prepare(table, &header, layout, valid_from)
            .map_err(|what| SheetError::Layout(format!("{name}: {what}")))?;
        if self.currency.is_none() {
            self.currency = columns.currency.clone();
        } else if let Some(other) = &columns.currency
            && layout.currency.is_none()
            && self.currency.as_ref() != Some(other)
        {
            self.warnings.push(format!("{name} has prices in {other}"));
        }
        self.warnings.extend(columns.warnings.iter().map(|what| format!("{name}: {what}")));
        Ok(self.rows(number, table, header, &columns, is_removal))
    }

    fn rows(
        &mut self,
        number: u16,
        table: &Table,
        header: Header,
        columns: &Columns,
        is_removal: bool,
    ) -> TableReport {
        let mut report = TableReport {
            outside: None,
            is_removal,
            header_line: header.row.map(|row| table.line(row)),
            columns: header.columns,
            kinds: Vec::with_capacity(table.len()),
            notes: Vec::new(),
        };
        let first = header.row.map_or(0, |row| row + 1);
        let mut reader = RowReader::new(table, columns, self.defaults, header.row, is_removal);
        for row in 0..table.len() {
            let kind = if row < first {
                if table.is_blank(row) {
                    RowKind::Blank
                } else if Some(row) == header.row {
                    RowKind::Header
                } else {
                    RowKind::Preamble
                }
            } else {
                let kind = reader.read(row, &mut self.builder);
                if kind >= RowKind::Accepted {
                    self.enter(number, row, kind, &mut reader)
                } else {
                    kind
                }
            };
            report.kinds.push(kind);
            report.notes.append(&mut reader.notes);
        }
        report
    }

    /// Puts a row's rates into the deck, all or none, unless they are there already.
    fn enter(
        &mut self,
        table: u16,
        row: usize,
        kind: RowKind,
        reader: &mut RowReader<'_>,
    ) -> RowKind {
        if kind == RowKind::Rejected {
            return kind;
        }
        let source = row as u32;
        let (from, till, terms) = (reader.from, reader.till, reader.terms);
        let is_same = |seen: &Seen| (seen.till, seen.terms) == (till, terms);
        let known = |seen: &HashMap<_, Seen, _>, prefix| seen.get(&(prefix, from)).copied();
        let other = reader.prefixes.iter().find_map(|prefix| {
            known(&self.seen, *prefix).filter(|seen| !is_same(seen)).map(|seen| (*prefix, seen))
        });
        let place = |seen: Seen, reader: &RowReader<'_>| {
            let line = if seen.table == table { reader.line(seen.row) } else { seen.row + 1 };
            if seen.table == table {
                format!("row {line}")
            } else {
                format!("row {line} of another worksheet")
            }
        };
        if let Some((prefix, seen)) = other {
            let at = place(seen, reader);
            let column = reader.code_column();
            reader.note(
                row,
                column,
                format!("{prefix} with this start has other terms in {at}; remove one of them"),
            );
            return RowKind::Rejected;
        }
        let (mut entered, mut repeated) = (0, None);
        for prefix in std::mem::take(&mut reader.prefixes) {
            match self.seen.entry((prefix, from)) {
                Entry::Occupied(seen) => repeated = Some(*seen.get()),
                Entry::Vacant(place) => {
                    place.insert(Seen { row: source, table, till, terms });
                    let (name, claim) = (reader.name, reader.claim);
                    self.builder.row(DeckRow {
                        prefix,
                        from,
                        till,
                        terms,
                        name,
                        source,
                        table,
                        claim,
                    });
                    entered += 1;
                }
            }
        }
        match (entered, repeated) {
            (0, Some(seen)) => {
                let text = format!("says what {} says", place(seen, reader));
                let column = reader.code_column();
                reader.remark(row, column, text);
                RowKind::Merged
            }
            // A row may repeat one of its own codes; that is no repair.
            _ => kind,
        }
    }
}

fn outside(table: &Table, why: String) -> TableReport {
    let kinds = vec![RowKind::Outside; table.len()];
    TableReport { outside: Some(why), kinds, ..TableReport::default() }
}
