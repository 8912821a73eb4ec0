//! Rates as files: in our own layout, which reads back identically, or under a vendor's headers; and
//! the notification of what changes (V-26, O2).

use std::fmt::Write as _;

use billing::SurchargeAmount;
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Workbook, XlsxError};
use vocabulary::Utc;

use crate::cell::moment::format;
use crate::deck::{Deck, DeckRow, OPEN, Terms, moment, second};
use crate::difference::RateMove;
use crate::layout::Layout;
use crate::mapping::interpret;
use crate::tariff::{Defaults, described, special_json};
use crate::words::Role;

/// What kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileForm {
    /// UTF-8, commas.
    Csv,
    /// UTF-8, tabs.
    Txt,
    /// Excel since 2007.
    Xlsx,
}

impl std::str::FromStr for FileForm {
    type Err = String;

    fn from_str(text: &str) -> Result<FileForm, String> {
        match text {
            "csv" => Ok(FileForm::Csv),
            "txt" => Ok(FileForm::Txt),
            "xlsx" => Ok(FileForm::Xlsx),
            _ => Err(format!("{text:?} is not csv, txt or xlsx")),
        }
    }
}

/// Rows of a worksheet at most, the header among them.
pub(crate) const ROWS_MAX: usize = 1_048_576;

/// Our own layout, in its order. What only some rates have stands in columns that are written if one
/// of the rates has it.
const OWN: [(&str, Role); 15] = [
    ("prefix", Role::Code),
    ("destination", Role::Destination),
    ("price", Role::Price),
    ("per_seconds", Role::PerSeconds),
    ("connect_fee", Role::ConnectFee),
    ("first_increment", Role::FirstIncrement),
    ("next_increment", Role::NextIncrement),
    ("grace_seconds", Role::GraceSeconds),
    ("free_seconds", Role::FreeSeconds),
    ("minimum_seconds", Role::MinimumSeconds),
    ("minimum_charge", Role::MinimumCharge),
    ("blocked", Role::Blocked),
    ("valid_from", Role::ValidFrom),
    ("valid_till", Role::ValidTill),
    ("special_terms", Role::SpecialTerms),
];

/// Which rates of a book go into a file.
#[derive(Clone, Copy, Debug)]
pub struct Selection {
    /// Those in force at this moment,
    pub at: Utc,
    /// and those that begin later.
    pub with_future: bool,
}

/// Why a book is not written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The workbook cannot be written.
    #[error(transparent)]
    Xlsx(#[from] XlsxError),
    /// The columns of a layout do not hold all that the rates say.
    #[error(
        "read again by this layout {count} rates would be others, {example} the first: give the layout \
         columns for all their terms, or one with the role special_terms, or export without a layout; \
         or say that what has no column may be left out"
    )]
    Lossy {
        /// How many.
        count: usize,
        /// A prefix, and what it has.
        example: String,
    },
}

/// The rows of a book that are selected, by prefix.
pub(crate) fn selected(book: &Deck, which: Selection) -> Vec<&DeckRow> {
    let at = second(which.at);
    let mut rows: Vec<&DeckRow> = Vec::new();
    for versions in book.rows.chunk_by(|a, b| a.prefix == b.prefix) {
        rows.extend(crate::book::in_force(versions, at));
        rows.extend(versions.iter().filter(|row| which.with_future && row.from > at));
    }
    rows
}

/// Writes the rates of a book (resolved). With a layout: its columns under its headers, as far as
/// they are of rates.
pub fn export(
    book: &Deck,
    which: Selection,
    layout: Option<&Layout>,
    form: FileForm,
) -> Result<Vec<u8>, XlsxError> {
    let rows = selected(book, which);
    let terms = || rows.iter().filter_map(|row| book.terms(row));
    let columns: Vec<(String, Role)> = match layout.filter(|layout| !layout.columns.is_empty()) {
        Some(layout) => {
            let mut columns: Vec<(String, Role)> =
                layout.columns.iter().map(|(title, role)| (title.clone(), *role)).collect();
            columns.sort_by_key(|(_, role)| *role);
            columns
        }
        None => {
            let is_there = |role: Role| match role {
                Role::PerSeconds => terms().any(|terms| terms.rate.unit_seconds != 60),
                Role::SpecialTerms => terms().any(|terms| terms.special.is_some()),
                _ => true,
            };
            let own = OWN.iter().filter(|(_, role)| is_there(*role));
            own.map(|(title, role)| ((*title).to_owned(), *role)).collect()
        }
    };
    let is_whole = columns.iter().any(|(_, role)| *role == Role::SpecialTerms);
    let mut file = File::new(form, "Rates");
    file.row(columns.iter().map(|(title, _)| title.as_str()))?;
    for row in rows {
        let Some(terms) = book.terms(row) else { continue };
        let cells: Vec<String> = columns
            .iter()
            .map(|(_, role)| match is_whole {
                // The one cell says it all.
                true if is_special(*role) && *role != Role::SpecialTerms => String::new(),
                _ => cell(*role, book, row, terms),
            })
            .collect();
        file.row(cells.iter().map(String::as_str))?;
    }
    file.finish()
}

/// The same under a vendor's headers, refused if reading it again would not make the same rates.
pub fn export_under(
    book: &Deck,
    which: Selection,
    layout: &Layout,
    form: FileForm,
) -> Result<Vec<u8>, ExportError> {
    let bytes = export(book, which, Some(layout), form)?;
    let rows: Vec<&DeckRow> =
        selected(book, which).into_iter().filter(|row| book.terms(row).is_some()).collect();
    let read = interpret(&bytes, layout, &Defaults::default(), which.at);
    let read = read.map(|read| read.deck).unwrap_or_default();
    let has_end = layout.columns.values().any(|role| *role == Role::ValidTill);
    let is_same = |row: &DeckRow, back: Option<&DeckRow>| {
        back.is_some_and(|back| {
            let (old, new) = (book.terms(row), read.terms(back));
            back.prefix == row.prefix
                && old.map(|t| (&t.rate, &t.special)) == new.map(|t| (&t.rate, &t.special))
                && (back.till == row.till || !has_end && row.till == OPEN)
        })
    };
    let lost: Vec<&&DeckRow> = rows
        .iter()
        .enumerate()
        .filter(|(at, row)| !is_same(row, read.rows.get(*at)))
        .map(|(_, row)| row)
        .collect();
    let Some(first) = lost.first() else { return Ok(bytes) };
    let terms = book.terms(first).map(described).unwrap_or_default();
    let example = format!("{:?} ({terms})", first.prefix.to_string());
    Err(ExportError::Lossy { count: lost.len(), example })
}

/// Of what few rates have?
fn is_special(role: Role) -> bool {
    role.is_price_of_period()
        || matches!(role, Role::Surcharge | Role::SurchargePercent | Role::Cap | Role::SpecialTerms)
}

fn cell(role: Role, book: &Deck, row: &DeckRow, terms: &Terms) -> String {
    let rate = &terms.rate;
    match role {
        Role::Code if row.prefix.is_empty() => "*".to_owned(),
        Role::Code => row.prefix.to_string(),
        Role::Destination | Role::Country => book.name(row).to_owned(),
        Role::Price
        | Role::PriceInter
        | Role::PriceIntra
        | Role::PriceUndetermined
        | Role::PriceLocal
        | Role::PriceOffPeak => rate.price.to_string(),
        Role::PerSeconds => rate.unit_seconds.to_string(),
        Role::ConnectFee => rate.connect_fee.to_string(),
        Role::Increments => format!("{}/{}", rate.first_increment, rate.next_increment),
        Role::FirstIncrement => rate.first_increment.to_string(),
        Role::NextIncrement => rate.next_increment.to_string(),
        Role::MinimumSeconds => rate.minimum_seconds.to_string(),
        Role::GraceSeconds => rate.grace_seconds.to_string(),
        Role::FreeSeconds => rate.free_seconds.to_string(),
        Role::MinimumCharge => rate.minimum_charge.to_string(),
        Role::Blocked => if rate.is_blocked { "yes" } else { "no" }.to_owned(),
        Role::Status => if rate.is_blocked { "blocked" } else { "" }.to_owned(),
        Role::ValidFrom => format(moment(row.from)),
        Role::ValidTill if row.till == OPEN => String::new(),
        Role::ValidTill => format(moment(row.till)),
        role if is_special(role) => special_cell(role, terms).unwrap_or_default(),
        _ => String::new(),
    }
}

/// What a column of few rates says of this one; whether that is all is seen by reading it again.
fn special_cell(role: Role, terms: &Terms) -> Option<String> {
    let special = terms.special.as_deref()?;
    let of_period = |name: &str| {
        let mut periods = special.calendar.as_ref()?.periods.iter();
        periods.find(|period| period.price.name == name).map(|p| p.price.price.to_string())
    };
    let surcharges = special.surcharges.as_deref().unwrap_or_default();
    match role {
        Role::SpecialTerms => Some(special_json(special).to_string()),
        Role::PricePeak => of_period("peak"),
        Role::PriceWeekend => of_period("weekend"),
        Role::Surcharge => surcharges.iter().find_map(|surcharge| match surcharge.amount {
            SurchargeAmount::Fixed(amount) => Some(amount.to_string()),
            SurchargeAmount::Share(_) => None,
        }),
        Role::SurchargePercent => surcharges.iter().find_map(|surcharge| match surcharge.amount {
            SurchargeAmount::Share(share) => Some(share.to_string()),
            SurchargeAmount::Fixed(_) => None,
        }),
        Role::Cap => special.cap.map(|cap| cap.amount.to_string()),
        _ => None,
    }
}

/// Writes what changes for a customer, for him to read.
pub fn notification(
    moves: &[RateMove],
    currency: &str,
    form: FileForm,
) -> Result<Vec<u8>, XlsxError> {
    let mut file = File::new(form, "Changes");
    let price = |when: &str| format!("{when} price per minute ({currency})");
    let (old, new) = (price("old"), price("new"));
    file.row([
        "prefix",
        "destination",
        "change",
        "effective from (UTC)",
        &old,
        &new,
        "old increments",
        "new increments",
        "connect fee",
        "old other terms",
        "new other terms",
    ])?;
    for moved in moves {
        let prefix =
            if moved.prefix.is_empty() { "*".to_owned() } else { moved.prefix.to_string() };
        let (before, after) = (moved.before.as_ref(), moved.after.as_ref());
        let price = |terms: Option<&Terms>| {
            terms.map(|terms| terms.rate.price.to_string()).unwrap_or_default()
        };
        let increments = |terms: Option<&Terms>| {
            let rate = terms.map(|terms| &terms.rate);
            rate.map(|r| format!("{}/{}", r.first_increment, r.next_increment)).unwrap_or_default()
        };
        let fee = after.map(|terms| terms.rate.connect_fee.to_string()).unwrap_or_default();
        let words = |terms: Option<&Terms>| terms.map(described).unwrap_or_default();
        file.row([
            prefix.as_str(),
            &moved.name,
            moved.movement.as_str(),
            &format(moment(moved.at)),
            &price(before),
            &price(after),
            &increments(before),
            &increments(after),
            &fee,
            &crate::guarded(&words(before)),
            &crate::guarded(&words(after)),
        ])?;
    }
    file.finish()
}

/// Writes any table as it is; texts of others go through [`crate::guarded`] first.
pub fn write_table(
    name: &'static str,
    form: FileForm,
    rows: impl IntoIterator<Item = Vec<String>>,
) -> Result<Vec<u8>, XlsxError> {
    let mut file = File::new(form, name);
    for row in rows {
        file.row(row.iter().map(String::as_str))?;
    }
    file.finish()
}

/// RFC 4180: what holds a separator, a quote or a line's end stands in quotes.
pub(crate) fn push_cells<'a>(
    text: &mut String,
    separator: char,
    cells: impl IntoIterator<Item = &'a str>,
) {
    for (at, cell) in cells.into_iter().enumerate() {
        if at > 0 {
            text.push(separator);
        }
        if cell.contains([',', '"', '\n', '\r', ';', '\t']) {
            let _ = write!(text, "\"{}\"", cell.replace('"', "\"\""));
        } else {
            text.push_str(cell);
        }
    }
    text.push_str("\r\n");
}

/// A file that is being written, row by row. All cells are text: a spreadsheet then spoils no code.
enum File {
    Text { text: String, separator: char },
    Xlsx { book: Box<Workbook>, name: &'static str, row: usize },
}

impl File {
    fn new(form: FileForm, name: &'static str) -> File {
        match form {
            FileForm::Csv => File::Text { text: String::new(), separator: ',' },
            FileForm::Txt => File::Text { text: String::new(), separator: '\t' },
            FileForm::Xlsx => {
                let mut book = Box::new(Workbook::new());
                // The same content makes the same file, whenever it is written.
                if let Ok(at) = ExcelDateTime::from_ymd(2000, 1, 1) {
                    book.set_properties(&DocProperties::new().set_creation_datetime(&at));
                }
                File::Xlsx { book, name, row: ROWS_MAX }
            }
        }
    }

    fn row<'a>(&mut self, cells: impl IntoIterator<Item = &'a str>) -> Result<(), XlsxError> {
        match self {
            File::Text { text, separator } => push_cells(text, *separator, cells),
            File::Xlsx { book, name, row } => {
                if *row >= ROWS_MAX {
                    let number = book.worksheets().len() + 1;
                    let title =
                        if number == 1 { (*name).to_owned() } else { format!("{name} {number}") };
                    book.add_worksheet().set_name(title)?;
                    *row = 0;
                }
                let last = book.worksheets().len() - 1;
                let sheet = book.worksheet_from_index(last)?;
                for (column, cell) in (0_u16..).zip(cells) {
                    if !cell.is_empty() {
                        sheet.write_string(*row as u32, column, cell)?;
                    }
                }
                *row += 1;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<u8>, XlsxError> {
        match self {
            File::Text { text, .. } => Ok(text.into_bytes()),
            File::Xlsx { mut book, .. } => book.save_to_buffer(),
        }
    }
}
