//! A rate sheet as CSV (comma, semicolon or tab; UTF-8; a header first). Columns in any order:
//!
//! | column | | meaning |
//! |---|---|---|
//! | `prefix` | needed | digits, without `+`; empty covers every number |
//! | `price` | needed | per minute, at most 9 decimals, a point before them |
//! | `destination` | | a name |
//! | `connect_fee` | 0 | once an answered call |
//! | `first_increment`, `next_increment` | 60, first | seconds |
//! | `grace_seconds`, `free_seconds`, `minimum_seconds` | 0 | see the glossary |
//! | `minimum_charge` | 0 | for a call that costs anything |
//! | `blocked` | no | `yes`: calls are refused |
//! | `valid_from` | the import | `2026-12-01` or `2026-12-01T08:00:00Z`, UTC |
//! | `valid_till` | open | likewise; the first moment at which it is no longer valid |
//!
//! An unknown column is a fault, and so is any cell that cannot be read: nothing is dropped.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use billing::{Price, Rate, RateRow};
use csv::ByteRecord;
use vocabulary::Utc;

use super::{Sheet, SheetRow, fingerprint};

/// Every column there is.
pub const COLUMNS: [&str; 13] = [
    "prefix",
    "price",
    "destination",
    "connect_fee",
    "first_increment",
    "next_increment",
    "grace_seconds",
    "free_seconds",
    "minimum_seconds",
    "minimum_charge",
    "blocked",
    "valid_from",
    "valid_till",
];

/// Other names for columns, as carriers write them.
const ALIASES: [(&str, &str); 13] = [
    ("code", "prefix"),
    ("dial_code", "prefix"),
    ("rate", "price"),
    ("price_per_minute", "price"),
    ("country", "destination"),
    ("description", "destination"),
    ("connection_fee", "connect_fee"),
    ("initial_increment", "first_increment"),
    ("increment_first_s", "first_increment"),
    ("increment", "next_increment"),
    ("increment_next_s", "next_increment"),
    ("effective_date", "valid_from"),
    ("effective_from", "valid_from"),
];

/// How many faults are told one by one.
const TOLD_MAX: usize = 50;

/// One thing that is wrong with a sheet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SheetFault {
    /// The line of the file, the header being 1.
    pub line: u64,
    /// The column's name; empty if the fault is the whole row's.
    pub column: String,
    /// What is wrong, and what to write.
    pub what: String,
}

/// Everything that is wrong with a sheet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SheetFaults {
    /// The file's name.
    pub file: String,
    /// The first of them.
    pub faults: Vec<SheetFault>,
    /// How many there are in all.
    pub total: u64,
}

impl fmt::Display for SheetFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.faults {
            write!(f, "{} row {}", self.file, fault.line)?;
            if !fault.column.is_empty() {
                write!(f, ", column {}", fault.column)?;
            }
            writeln!(f, ": {}", fault.what)?;
        }
        let untold = self.total - self.faults.len() as u64;
        if untold > 0 {
            writeln!(f, "… and {untold} more")?;
        }
        write!(f, "nothing was imported")
    }
}

impl std::error::Error for SheetFaults {}

struct Faults {
    file: String,
    faults: Vec<SheetFault>,
    total: u64,
}

impl Faults {
    fn add(&mut self, line: u64, column: &str, what: String) {
        self.total += 1;
        if self.faults.len() < TOLD_MAX {
            self.faults.push(SheetFault { line, column: column.to_owned(), what });
        }
    }

    fn into_error(self) -> SheetFaults {
        SheetFaults { file: self.file, faults: self.faults, total: self.total }
    }
}

/// Reads a whole sheet. A row without `valid_from` is valid from `default_from` on.
pub fn read_sheet(bytes: &[u8], file: &str, default_from: Utc) -> Result<Sheet, SheetFaults> {
    let mut faults = Faults { file: file.to_owned(), faults: Vec::new(), total: 0 };
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter(text)).trim(csv::Trim::All).from_reader(text);
    let columns = match reader.byte_headers() {
        Ok(header) => columns(header, &mut faults),
        Err(error) => {
            faults.add(1, "", error.to_string());
            None
        }
    };
    let Some(columns) = columns else { return Err(faults.into_error()) };
    let default_from = Utc(default_from.seconds() * 1_000_000);
    let mut rows: Vec<SheetRow> = Vec::new();
    let mut lines: Vec<u64> = Vec::new();
    let mut record = ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                faults.add(line, "", fault_of(&error));
                continue;
            }
        }
        let line = record.position().map_or(0, csv::Position::line);
        let cells = Cells { record: &record, columns: &columns, line };
        if let Some(row) = cells.row(default_from, &mut faults) {
            rows.push(row);
            lines.push(line);
        }
    }
    if rows.is_empty() && faults.total == 0 {
        faults.add(2, "", "there is no rate after the header".to_owned());
    }
    find_repeats(&rows, &lines, &mut faults);
    if faults.total > 0 {
        return Err(faults.into_error());
    }
    Ok(Sheet { file: file.to_owned(), sha256: fingerprint(bytes), rows })
}

fn fault_of(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("has {len} cells and the header {expected_len}")
        }
        _ => error.to_string(),
    }
}

/// The separator that the header uses most.
fn delimiter(text: &[u8]) -> u8 {
    let header = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |separator: u8| header.iter().filter(|byte| **byte == separator).count();
    [b',', b';', b'\t']
        .into_iter()
        .max_by_key(|separator| (count(*separator), *separator == b','))
        .unwrap_or(b',')
}

/// Where each of `COLUMNS` stands in the file.
type Columns = [Option<usize>; COLUMNS.len()];

fn columns(header: &ByteRecord, faults: &mut Faults) -> Option<Columns> {
    let mut columns: Columns = [None; COLUMNS.len()];
    for (at, name) in header.iter().enumerate() {
        let written = String::from_utf8_lossy(name).into_owned();
        let name = written.trim().to_ascii_lowercase().replace([' ', '-'], "_");
        let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(&*name, |(_, to)| to);
        match COLUMNS.iter().position(|column| *column == name) {
            Some(column) if columns[column].is_some() => {
                faults.add(1, &written, "is there twice".to_owned());
            }
            Some(column) => columns[column] = Some(at),
            None => {
                let what = format!("is not known; the columns are {}", COLUMNS.join(", "));
                faults.add(1, &written, what);
            }
        }
    }
    for (column, name) in columns.iter().zip(COLUMNS).take(2) {
        if column.is_none() {
            faults.add(1, name, "is missing in the header".to_owned());
        }
    }
    (faults.total == 0).then_some(columns)
}

struct Cells<'a> {
    record: &'a ByteRecord,
    columns: &'a Columns,
    line: u64,
}

impl Cells<'_> {
    /// The text of a cell; an absent column is an empty cell.
    fn cell(&self, column: usize, faults: &mut Faults) -> Option<&str> {
        let bytes = self.columns[column].and_then(|at| self.record.get(at)).unwrap_or_default();
        let text = std::str::from_utf8(bytes).ok();
        if text.is_none() {
            faults.add(self.line, COLUMNS[column], "is not UTF-8".to_owned());
        }
        text
    }

    /// A cell that has to parse; `default` if it is empty.
    fn value<T: FromStr>(
        &self,
        column: usize,
        default: Option<T>,
        what: impl Fn(&str, T::Err) -> String,
        faults: &mut Faults,
    ) -> Option<T> {
        let text = self.cell(column, faults)?;
        if text.is_empty() && default.is_some() {
            return default;
        }
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                faults.add(self.line, COLUMNS[column], what(text, error));
                None
            }
        }
    }

    fn seconds(&self, column: usize, default: u32, faults: &mut Faults) -> Option<u32> {
        let what = |text: &str, _| format!("{text:?} is not a whole number of seconds");
        self.value(column, Some(default), what, faults)
    }

    fn price(&self, column: usize, default: Option<Price>, faults: &mut Faults) -> Option<Price> {
        self.value(column, default, |_, error| error.to_string(), faults)
    }

    fn moment(&self, column: usize, faults: &mut Faults) -> Option<Option<Utc>> {
        let text = self.cell(column, faults)?;
        if text.is_empty() {
            return Some(None);
        }
        let moment = crate::moment::parse_utc(text);
        if moment.is_none() {
            let what = format!("{text:?} is not a date; write 2026-12-01 or 2026-12-01T08:00:00Z");
            faults.add(self.line, COLUMNS[column], what);
        }
        moment.map(Some)
    }

    fn blocked(&self, faults: &mut Faults) -> Option<bool> {
        let text = self.cell(10, faults)?;
        match text.to_ascii_lowercase().as_str() {
            "" | "no" | "0" | "false" => Some(false),
            "yes" | "1" | "true" => Some(true),
            _ => {
                faults.add(self.line, COLUMNS[10], format!("{text:?} is neither yes nor no"));
                None
            }
        }
    }

    fn row(&self, default_from: Utc, faults: &mut Faults) -> Option<SheetRow> {
        let faults_before = faults.total;
        let prefix = self.cell(0, faults).map(|text| text.strip_prefix('+').unwrap_or(text));
        if let Some(prefix) = prefix
            && (prefix.len() > 31 || !prefix.bytes().all(|byte| byte.is_ascii_digit()))
        {
            faults.add(self.line, "prefix", format!("{prefix:?} is not at most 31 digits"));
        }
        let price = self.price(1, None, faults);
        let destination = self.cell(2, faults);
        if destination.is_some_and(|text| text.chars().count() > 200) {
            faults.add(self.line, "destination", "has more than 200 characters".to_owned());
        }
        let connect_fee = self.price(3, Some(Price::ZERO), faults);
        let first_increment = self.seconds(4, 60, faults);
        let next_increment = self.seconds(5, first_increment.unwrap_or(60), faults);
        let grace_seconds = self.seconds(6, 0, faults);
        let free_seconds = self.seconds(7, 0, faults);
        let minimum_seconds = self.seconds(8, 0, faults);
        let minimum_charge = self.price(9, Some(Price::ZERO), faults);
        let is_blocked = self.blocked(faults);
        let valid_from = self.moment(11, faults);
        let valid_till = self.moment(12, faults);
        if faults.total > faults_before {
            return None;
        }
        let rate = Rate {
            price: price?,
            connect_fee: connect_fee?,
            first_increment: first_increment?,
            next_increment: next_increment?,
            grace_seconds: grace_seconds?,
            free_seconds: free_seconds?,
            minimum_seconds: minimum_seconds?,
            minimum_charge: minimum_charge?,
            is_blocked: is_blocked?,
            unit_seconds: 60,
        };
        if let Err(error) = rate.validate() {
            faults.add(self.line, "", error.to_string());
            return None;
        }
        let (from, valid_till) = (valid_from?.unwrap_or(default_from), valid_till?);
        if valid_till.is_some_and(|till| till <= from) {
            faults.add(self.line, "valid_till", "is not after valid_from".to_owned());
            return None;
        }
        let prefix = prefix?.to_owned();
        let rate = RateRow {
            prefix,
            rate,
            special: None,
            valid_from: Some(from),
            valid_till,
            sheet_version: 0,
        };
        Some(SheetRow { rate, destination: destination?.to_owned() })
    }
}

/// Two rows for one prefix and start contradict each other, even if they agree today.
fn find_repeats(rows: &[SheetRow], lines: &[u64], faults: &mut Faults) {
    let mut order: Vec<u32> = (0..u32::try_from(rows.len()).unwrap_or(u32::MAX)).collect();
    let key = |at: u32| {
        let row = &rows[at as usize].rate;
        (row.prefix.as_str(), row.valid_from)
    };
    order.sort_by(|a, b| key(*a).cmp(&key(*b)).then(a.cmp(b)));
    let mut repeats = BTreeMap::new();
    for pair in order.windows(2) {
        if key(pair[0]) == key(pair[1]) {
            repeats.insert(lines[pair[1] as usize], (lines[pair[0] as usize], key(pair[1]).0));
        }
    }
    for (line, (first, prefix)) in repeats {
        let what = format!("{prefix:?} with this start is in row {first} already");
        faults.add(line, "prefix", what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let faults = read_sheet(text.as_bytes(), "r.csv", Utc(0)).expect_err("there are faults");
        let lines: Vec<String> = faults.to_string().lines().map(str::to_owned).collect();
        assert_eq!(
            lines.split_last().map(|(_, rest)| rest.to_vec()),
            Some(expected.iter().map(|line| (*line).to_owned()).collect())
        );
    }

    #[test]
    fn faults_name_row_and_column() {
        check("prefix\n49", &["r.csv row 1, column price: is missing in the header"]);
        check(
            "prefix,price,colour\n49,1,red",
            &[&format!(
                "r.csv row 1, column colour: is not known; the columns are {}",
                COLUMNS.join(", ")
            )],
        );
        check("prefix,price,rate\n49,1,1", &["r.csv row 1, column rate: is there twice"]);
        check("prefix,price", &["r.csv row 2: there is no rate after the header"]);
        check(
            "prefix,price\n49,0.01\n4x,0.1234567891\n,\n49,-1",
            &[
                "r.csv row 3, column prefix: \"4x\" is not at most 31 digits",
                "r.csv row 3, column price: the price 0.1234567891 has more than nine decimals",
                "r.csv row 4, column price: \"\" is not a price: expected digits with at most one \
                 decimal point",
                "r.csv row 5, column price: the price -1 is negative",
            ],
        );
        check("prefix,price\n49,1,2", &["r.csv row 2: has 3 cells and the header 2"]);
        check(
            "prefix,price,first_increment\n49,1,0\n48,1,x",
            &[
                "r.csv row 2: an increment is 1 to 86400 seconds",
                "r.csv row 3, column first_increment: \"x\" is not a whole number of seconds",
            ],
        );
        check(
            "prefix,price,valid_from,valid_till,blocked\n49,1,2026-13-01,,\n\
             49,1,2026-02-01,2026-01-01,\n49,1,,,maybe",
            &[
                "r.csv row 2, column valid_from: \"2026-13-01\" is not a date; \
                 write 2026-12-01 or 2026-12-01T08:00:00Z",
                "r.csv row 3, column valid_till: is not after valid_from",
                "r.csv row 4, column blocked: \"maybe\" is neither yes nor no",
            ],
        );
        check(
            "prefix,price\n49,1\n48,1\n49,2",
            &["r.csv row 4, column prefix: \"49\" with this start is in row 2 already"],
        );
    }

    #[test]
    fn many_faults_are_counted_and_some_told() {
        let text = format!("prefix,price\n{}", "x,1\n".repeat(60));
        let faults = read_sheet(text.as_bytes(), "r.csv", Utc(0)).unwrap_err();
        assert_eq!((faults.faults.len(), faults.total), (50, 60));
        assert!(faults.to_string().contains("… and 10 more"));
    }

    #[test]
    fn separators_aliases_and_a_byte_order_mark_are_read() {
        let text = "\u{feff}Code;Rate;Country;Effective Date\n+49;0.010;Germany; 2026-12-01\n;1;;";
        let sheet = read_sheet(text.as_bytes(), "r.csv", Utc(7_000_001)).unwrap();
        assert_eq!(sheet.rows[0].rate.prefix, "49");
        assert_eq!(sheet.rows[0].destination, "Germany");
        assert_eq!(sheet.rows[0].rate.valid_from, Some(Utc(1_796_083_200_000_000)));
        assert_eq!(sheet.rows[1].rate.prefix, "");
        assert_eq!(sheet.rows[1].rate.valid_from, Some(Utc(7_000_000)));
        let rate = sheet.rows[1].rate.rate;
        assert_eq!((rate.first_increment, rate.next_increment), (60, 60));
    }
}
