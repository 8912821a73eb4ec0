//! A table that is written piece by piece, so that no more of it is in memory than one piece: call
//! records by the million (V-21). All cells are text: a spreadsheet's numbers would not be exact.
//!
//! A workbook is a ZIP archive of XML; here its worksheets are written as they come, and what names
//! them last (ECMA-376 part 1, section 18.3).

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use zip::result::ZipError;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{DateTime, ZipWriter};

use crate::export::{FileForm, ROWS_MAX, push_cells};

/// Characters of one cell of a workbook at most; a longer text ends there.
const CELL_CHARS_MAX: usize = 32_767;
/// A worksheet ends before it is so large that its place in the archive would need 64 bits.
const WORKSHEET_BYTES_MAX: u64 = 3 << 30;

/// The table.
pub struct TableStream {
    form: Form,
}

enum Form {
    Text { text: String, separator: char },
    Xlsx(Box<Book>),
}

/// Why a piece cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the table cannot be written: {0}")]
pub struct StreamError(#[from] ZipError);

impl From<io::Error> for StreamError {
    fn from(error: io::Error) -> StreamError {
        StreamError(error.into())
    }
}

impl TableStream {
    /// An empty table; `name` is its worksheet's.
    pub fn new(form: FileForm, name: &'static str) -> TableStream {
        let text = |separator| Form::Text { text: String::new(), separator };
        let form = match form {
            FileForm::Csv => text(','),
            FileForm::Txt => text('\t'),
            FileForm::Xlsx => Form::Xlsx(Box::new(Book::new(name, ROWS_MAX))),
        };
        TableStream { form }
    }

    /// Adds a row, the header first: every worksheet begins with it. Texts of others go through [`crate::guarded`] first.
    pub fn row<'a>(&mut self, cells: impl IntoIterator<Item = &'a str>) -> Result<(), StreamError> {
        match &mut self.form {
            Form::Text { text, separator } => push_cells(text, *separator, cells),
            Form::Xlsx(book) => book.row(cells)?,
        }
        Ok(())
    }

    /// What was written since this was last asked.
    pub fn take(&mut self) -> Vec<u8> {
        match &mut self.form {
            Form::Text { text, .. } => std::mem::take(text).into_bytes(),
            Form::Xlsx(book) => book.written.take(),
        }
    }

    /// The last piece.
    pub fn finish(self) -> Result<Vec<u8>, StreamError> {
        match self.form {
            Form::Text { text, .. } => Ok(text.into_bytes()),
            Form::Xlsx(book) => book.finish(),
        }
    }
}

/// What the archive has written and nobody has taken yet.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Book {
    archive: ZipWriter<StreamWriter<Written>>,
    written: Written,
    name: &'static str,
    /// Worksheets so far, the open one among them.
    worksheets: usize,
    /// Rows of each at most.
    rows_max: usize,
    /// Rows and bytes of the open one.
    rows: usize,
    bytes: u64,
    /// The first row, written again in each worksheet.
    header: Vec<String>,
    xml: String,
}

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n";
const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
const RELATIONS: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006";
const TYPES: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml";

impl Book {
    fn new(name: &'static str, rows_max: usize) -> Book {
        let written = Written::default();
        let archive = ZipWriter::new_stream(written.clone());
        let (worksheets, rows, bytes) = (0, 0, 0);
        let (header, xml) = (Vec::new(), String::new());
        Book { archive, written, name, worksheets, rows_max, rows, bytes, header, xml }
    }

    fn row<'a>(&mut self, cells: impl IntoIterator<Item = &'a str>) -> Result<(), StreamError> {
        if self.worksheets == 0 {
            self.header = cells.into_iter().map(str::to_owned).collect();
            return self.open_worksheet();
        }
        if self.rows >= self.rows_max || self.bytes >= WORKSHEET_BYTES_MAX {
            self.open_worksheet()?;
        }
        self.write_row(cells)
    }

    fn write_row<'a>(
        &mut self,
        cells: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), StreamError> {
        self.rows += 1;
        self.xml.clear();
        let _ = write!(self.xml, "<row r=\"{}\">", self.rows);
        for (column, cell) in cells.into_iter().enumerate() {
            if cell.is_empty() {
                continue;
            }
            self.xml.push_str("<c r=\"");
            push_column(&mut self.xml, column);
            let _ = write!(self.xml, "{}\" t=\"inlineStr\"><is>", self.rows);
            self.xml.push_str("<t xml:space=\"preserve\">");
            push_text(&mut self.xml, cell);
            self.xml.push_str("</t></is></c>");
        }
        self.xml.push_str("</row>");
        self.bytes += self.xml.len() as u64;
        self.archive.write_all(self.xml.as_bytes())?;
        Ok(())
    }

    fn open_worksheet(&mut self) -> Result<(), StreamError> {
        self.close_worksheet()?;
        self.worksheets += 1;
        (self.rows, self.bytes) = (0, 0);
        self.start(&format!("xl/worksheets/sheet{}.xml", self.worksheets))?;
        write!(self.archive, "{DECLARATION}<worksheet xmlns=\"{MAIN}\"><sheetData>")?;
        let header = std::mem::take(&mut self.header);
        self.write_row(header.iter().map(String::as_str))?;
        self.header = header;
        Ok(())
    }

    fn close_worksheet(&mut self) -> Result<(), StreamError> {
        if self.worksheets > 0 {
            self.archive.write_all(b"</sheetData></worksheet>")?;
        }
        Ok(())
    }

    fn start(&mut self, name: &str) -> Result<(), StreamError> {
        // The same content makes the same file, whenever it is written.
        let options = SimpleFileOptions::default().last_modified_time(DateTime::default());
        Ok(self.archive.start_file(name, options)?)
    }

    fn finish(mut self) -> Result<Vec<u8>, StreamError> {
        if self.worksheets == 0 {
            self.open_worksheet()?;
        }
        self.close_worksheet()?;
        let (mut sheets, mut relations, mut types) = (String::new(), String::new(), String::new());
        for number in 1..=self.worksheets {
            let title = match number {
                1 => self.name.to_owned(),
                _ => format!("{} {number}", self.name),
            };
            let _ = write!(
                sheets,
                "<sheet name=\"{title}\" sheetId=\"{number}\" r:id=\"rId{number}\"/>"
            );
            let _ = write!(
                relations,
                "<Relationship Id=\"rId{number}\" Type=\"{RELATIONS}/worksheet\" \
                 Target=\"worksheets/sheet{number}.xml\"/>"
            );
            let _ = write!(
                types,
                "<Override PartName=\"/xl/worksheets/sheet{number}.xml\" \
                 ContentType=\"{TYPES}.worksheet+xml\"/>"
            );
        }
        self.part(
            "xl/workbook.xml",
            &format!(
                "<workbook xmlns=\"{MAIN}\" xmlns:r=\"{RELATIONS}\"><sheets>{sheets}</sheets>\
                 </workbook>"
            ),
        )?;
        self.part("xl/_rels/workbook.xml.rels", &relationships(&relations))?;
        let to_book = format!(
            "<Relationship Id=\"rId1\" Type=\"{RELATIONS}/officeDocument\" \
             Target=\"xl/workbook.xml\"/>"
        );
        self.part("_rels/.rels", &relationships(&to_book))?;
        self.part(
            "[Content_Types].xml",
            &format!(
                "<Types xmlns=\"{PACKAGE}/content-types\"><Default Extension=\"rels\" \
                 ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/>\
                 <Default Extension=\"xml\" ContentType=\"application/xml\"/>\
                 <Override PartName=\"/xl/workbook.xml\" ContentType=\"{TYPES}.sheet.main+xml\"/>\
                 {types}</Types>"
            ),
        )?;
        let Book { archive, written, .. } = self;
        archive.finish()?;
        Ok(written.take())
    }

    fn part(&mut self, name: &str, xml: &str) -> Result<(), StreamError> {
        self.start(name)?;
        write!(self.archive, "{DECLARATION}{xml}")?;
        Ok(())
    }
}

fn relationships(inner: &str) -> String {
    format!("<Relationships xmlns=\"{PACKAGE}/relationships\">{inner}</Relationships>")
}

/// `A` to `Z`, then `AA` and so on.
fn push_column(xml: &mut String, column: usize) {
    if column >= 26 {
        push_column(xml, column / 26 - 1);
    }
    xml.push(char::from(b'A' + u8::try_from(column % 26).expect("below 26")));
}

/// As XML; what XML cannot hold as a workbook writes it, `_x0007_`, and a text that looks so already
/// with its first line escaped (ECMA-376 part 1, section 22.9.2.19).
fn push_text(xml: &mut String, text: &str) {
    for (at, c) in text.char_indices().take(CELL_CHARS_MAX) {
        match c {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '_' if is_escape(&text[at..]) => xml.push_str("_x005F_"),
            '\t' | '\n' => xml.push(c),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => {
                let _ = write!(xml, "_x{:04X}_", u32::from(c));
            }
            _ => xml.push(c),
        }
    }
}

/// Does it begin like `_x0007_`?
fn is_escape(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 7
        && bytes.starts_with(b"_x")
        && bytes[2..6].iter().all(u8::is_ascii_hexdigit)
        && bytes[6] == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_workbook;

    const ROWS: [[&str; 3]; 4] = [
        ["call", "cli", "note"],
        ["1", "'+49 30", "a <b> & \"c\""],
        ["2", "", "Müller; 字\nsecond line"],
        ["3", "x_x0041_y", " blanks "],
    ];

    /// The table, and how many pieces it came in.
    fn written(form: FileForm, rows: &[[&str; 3]]) -> (Vec<u8>, usize) {
        let mut table = TableStream::new(form, "Calls");
        let (mut bytes, mut pieces) = (Vec::new(), 0);
        for row in rows {
            table.row(*row).unwrap();
            let piece = table.take();
            pieces += usize::from(!piece.is_empty());
            bytes.extend(piece);
        }
        bytes.extend(table.finish().unwrap());
        (bytes, pieces)
    }

    #[test]
    fn what_comes_in_pieces_reads_as_one_table() {
        // V-21
        for form in [FileForm::Csv, FileForm::Txt, FileForm::Xlsx] {
            let (bytes, _) = written(form, &ROWS);
            let book = read_workbook(&bytes).unwrap();
            let table = &book.tables[0];
            assert_eq!(table.len(), ROWS.len(), "{form:?}");
            for (at, row) in ROWS.iter().enumerate() {
                // Reading trims cells.
                let read: Vec<&str> = table.row(at).map(|cell| cell.text.trim()).collect();
                let expected: Vec<&str> = row.iter().map(|cell| cell.trim()).collect();
                assert_eq!(read[..row.len().min(read.len())], expected[..read.len()], "{form:?}");
            }
        }
    }

    #[test]
    fn a_long_table_leaves_in_pieces() {
        let row = ["00000000deadbeef", "4930123456", "normal"];
        let rows = vec![row; 50_000];
        for form in [FileForm::Csv, FileForm::Xlsx] {
            let (bytes, pieces) = written(form, &rows);
            assert!(pieces > 3, "{form:?}: {pieces} pieces of {} bytes", bytes.len());
        }
    }

    #[test]
    fn a_full_worksheet_is_followed_by_another_with_the_same_header() {
        let mut table = TableStream { form: Form::Xlsx(Box::new(Book::new("Calls", 3))) };
        table.row(["call"]).unwrap();
        for call in ["1", "2", "3", "4", "5"] {
            table.row([call]).unwrap();
        }
        let mut bytes = table.take();
        bytes.extend(table.finish().unwrap());
        let book = read_workbook(&bytes).unwrap();
        let names: Vec<&str> = book.tables.iter().map(crate::Table::name).collect();
        assert_eq!(names, ["Calls", "Calls 2", "Calls 3"]);
        let cells = |table: &crate::Table| -> Vec<String> {
            (0..table.len()).map(|row| table.cell(row, 0).text.to_owned()).collect()
        };
        let rows: Vec<Vec<String>> = book.tables.iter().map(cells).collect();
        assert_eq!(rows, [vec!["call", "1", "2"], vec!["call", "3", "4"], vec!["call", "5"]]);
    }

    #[test]
    fn an_empty_table_is_one_too() {
        let (bytes, _) = written(FileForm::Xlsx, &[]);
        assert!(read_workbook(&bytes).is_ok());
        assert_eq!(written(FileForm::Csv, &[]).0, b"");
    }

    #[test]
    fn columns_have_letters() {
        let name = |column| {
            let mut text = String::new();
            push_column(&mut text, column);
            text
        };
        let names = [0, 25, 26, 51, 52, 701, 702].map(name);
        assert_eq!(names, ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]);
    }

    #[test]
    fn what_xml_cannot_hold_is_written_as_a_workbook_has_it() {
        let mut xml = String::new();
        push_text(&mut xml, "a\u{7}b\rc_x0041_d<&>");
        assert_eq!(xml, "a_x0007_b_x000D_c_x005F_x0041_d&lt;&amp;&gt;");
    }
}
