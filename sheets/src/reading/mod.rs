//! From the bytes of a file to tables of cells. What the file is, is seen from its bytes, not from its
//! name: vendors send text as `.xls` and workbooks as `.csv`.

mod delimited;
mod encoding;
mod workbook;

use crate::table::Table;

/// What kind of file it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Text with this byte between cells.
    Delimited(u8),
    /// Excel 97 to 2003.
    Xls,
    /// Excel since 2007.
    Xlsx,
    /// A tariff in JSON.
    Tariff,
}

impl std::fmt::Display for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Form::Delimited(b'\t') => write!(f, "text between tabs"),
            Form::Delimited(byte) => write!(f, "text between {:?}", char::from(*byte)),
            Form::Xls => write!(f, "XLS"),
            Form::Xlsx => write!(f, "XLSX"),
            Form::Tariff => write!(f, "tariff"),
        }
    }
}

/// All that is in a file.
#[derive(Clone, Debug)]
pub struct Workbook {
    /// What it was.
    pub form: Form,
    /// How its text was encoded; empty for a spreadsheet, which says so itself.
    pub encoding: &'static str,
    /// Characters that the encoding does not know and that were replaced.
    pub has_unreadable_characters: bool,
    /// Every worksheet in its order; one for a text file.
    pub tables: Vec<Table>,
}

/// Why there is nothing to read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Nothing in the file.
    #[error("the file is empty")]
    Empty,
    /// A web page or another kind of XML under the name of a spreadsheet.
    #[error("the file is {0}, not a spreadsheet: open it and save it as XLSX or CSV")]
    Disguised(&'static str),
    /// A workbook that cannot be opened.
    #[error("the workbook cannot be read ({0}): open it and save it as XLSX or CSV")]
    Workbook(String),
    /// Too large to hold.
    #[error("the table {table:?} is too large: at most {columns} columns and 100,000,000 cells")]
    TooLarge {
        /// Which.
        table: String,
        /// The limit.
        columns: usize,
    },
    /// An encoding that nobody knows, in the layout.
    #[error("there is no encoding {0:?}; write utf-8, utf-16le or windows-1252")]
    NoSuchEncoding(String),
}

/// Reads a file of any form; its encoding and what separates its cells are found out.
pub fn read_workbook(bytes: &[u8]) -> Result<Workbook, ReadError> {
    read(bytes, None, None)
}

/// Reads a file. `encoding` and `delimiter` are used where given and found out where not.
pub(crate) fn read(
    bytes: &[u8],
    encoding: Option<&str>,
    delimiter: Option<u8>,
) -> Result<Workbook, ReadError> {
    if bytes.is_empty() {
        return Err(ReadError::Empty);
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return workbook::read_xlsx(bytes);
    }
    if bytes.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]) {
        return workbook::read_xls(bytes);
    }
    let decoded = encoding::decode(bytes, encoding)?;
    let head = decoded.text.trim_start().get(..200).unwrap_or(decoded.text.trim_start());
    let head = head.to_ascii_lowercase();
    if head.starts_with("<!doctype html") || head.starts_with("<html") || head.starts_with("<table")
    {
        return Err(ReadError::Disguised("a web page"));
    }
    if head.starts_with("<?xml") {
        return Err(ReadError::Disguised("XML"));
    }
    let delimiter = delimiter.unwrap_or_else(|| delimited::delimiter(&decoded.text));
    let table = delimited::read(&decoded.text, delimiter)?;
    Ok(Workbook {
        form: Form::Delimited(delimiter),
        encoding: decoded.encoding,
        has_unreadable_characters: decoded.has_unreadable_characters,
        tables: vec![table],
    })
}
