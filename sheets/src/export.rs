//! Rates as files: in our own layout, which reads back identically, or under a vendor's headers; and
//! the notification of what changes (V-26, O2).

use std::fmt::Write as _;

use billing::Rate;
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Workbook, XlsxError};
use vocabulary::Utc;

use crate::cell::moment::format;
use crate::deck::{Deck, DeckRow, OPEN, moment, second};
use crate::difference::RateMove;
use crate::layout::Layout;
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
const ROWS_MAX: usize = 1_048_576;

/// Our own layout, in its order.
const OWN: [(&str, Role); 13] = [
    ("prefix", Role::Code),
    ("destination", Role::Destination),
    ("price", Role::Price),
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
];

/// Which rates of a book go into a file.
#[derive(Clone, Copy, Debug)]
pub struct Selection {
    /// Those in force at this moment,
    pub at: Utc,
    /// and those that begin later.
    pub with_future: bool,
}

/// Writes the rates of a book (resolved). With a layout: its columns under its headers, as far as
/// they are of rates.
pub fn export(
    book: &Deck,
    which: Selection,
    layout: Option<&Layout>,
    form: FileForm,
) -> Result<Vec<u8>, XlsxError> {
    let own = OWN.iter().map(|(title, role)| ((*title).to_owned(), *role));
    let columns: Vec<(String, Role)> = match layout.filter(|layout| !layout.columns.is_empty()) {
        Some(layout) => {
            let mut columns: Vec<(String, Role)> =
                layout.columns.iter().map(|(title, role)| (title.clone(), *role)).collect();
            columns.sort_by_key(|(_, role)| *role);
            columns
        }
        None => own.collect(),
    };
    let at = second(which.at);
    let mut rows: Vec<&DeckRow> = Vec::new();
    for versions in book.rows.chunk_by(|a, b| a.prefix == b.prefix) {
        rows.extend(crate::book::in_force(versions, at));
        rows.extend(versions.iter().filter(|row| which.with_future && row.from > at));
    }
    let mut file = File::new(form, "Rates");
    file.row(columns.iter().map(|(title, _)| title.as_str()))?;
    for row in rows {
        let Some(rate) = book.rate(row) else { continue };
        let cells: Vec<String> =
            columns.iter().map(|(_, role)| cell(*role, book, row, rate)).collect();
        file.row(cells.iter().map(String::as_str))?;
    }
    file.finish()
}

fn cell(role: Role, book: &Deck, row: &DeckRow, rate: &Rate) -> String {
    match role {
        Role::Code if row.prefix.is_empty() => "*".to_owned(),
        Role::Code => row.prefix.to_string(),
        Role::Destination | Role::Country => book.name(row).to_owned(),
        Role::Price
        | Role::PriceInter
        | Role::PriceIntra
        | Role::PriceUndetermined
        | Role::PriceLocal => rate.price.to_string(),
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
        Role::CountryCode
        | Role::AreaCode
        | Role::RoutingClass
        | Role::Currency
        | Role::Comment
        | Role::Ignore => String::new(),
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
    ])?;
    for moved in moves {
        let prefix =
            if moved.prefix.is_empty() { "*".to_owned() } else { moved.prefix.to_string() };
        let price =
            |rate: Option<&Rate>| rate.map(|rate| rate.price.to_string()).unwrap_or_default();
        let increments = |rate: Option<&Rate>| {
            rate.map(|r| format!("{}/{}", r.first_increment, r.next_increment)).unwrap_or_default()
        };
        let fee = moved.after.map(|rate| rate.connect_fee.to_string()).unwrap_or_default();
        file.row([
            prefix.as_str(),
            &moved.name,
            moved.movement.as_str(),
            &format(moment(moved.at)),
            &price(moved.before.as_ref()),
            &price(moved.after.as_ref()),
            &increments(moved.before.as_ref()),
            &increments(moved.after.as_ref()),
            &fee,
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
            File::Text { text, separator } => {
                for (at, cell) in cells.into_iter().enumerate() {
                    if at > 0 {
                        text.push(*separator);
                    }
                    if cell.contains([',', '"', '\n', '\r', ';', '\t']) {
                        let _ = write!(text, "\"{}\"", cell.replace('"', "\"\""));
                    } else {
                        text.push_str(cell);
                    }
                }
                text.push_str("\r\n");
            }
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
