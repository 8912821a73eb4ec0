//! Text with a byte between cells. Our own reader, because ones that keep to RFC 4180 skip blank
//! lines uncounted, and let one stray quotation mark swallow the rest of the file.

use crate::table::{COLUMNS_MAX, CellKind, Table, TableBuilder};

use super::ReadError;

/// A quoted cell over more lines than this is a stray quotation mark.
const QUOTED_LINES_MAX: usize = 20;

/// The separator that cuts most of the first lines into equally many cells, and at least two.
pub(super) fn delimiter(text: &str) -> u8 {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).take(200).collect();
    let score = |separator: u8| {
        let mut counts: Vec<usize> = lines.iter().map(|line| count(line, separator)).collect();
        counts.sort_unstable();
        let runs = counts.chunk_by(|a, b| a == b).filter(|run| run[0] > 0);
        runs.map(|run| (run.len(), run[0])).max().unwrap_or((0, 0))
    };
    let candidates = [b'\t', b';', b'|', b','];
    // Later ones win ties: a comma is the usual one.
    candidates.into_iter().max_by_key(|separator| score(*separator)).unwrap_or(b',')
}

fn count(line: &str, separator: u8) -> usize {
    let mut is_quoted = false;
    let mut count = 0;
    for byte in line.bytes() {
        is_quoted ^= byte == b'"';
        count += usize::from(byte == separator && !is_quoted);
    }
    count
}

pub(super) fn read(text: &str, delimiter: u8) -> Result<Table, ReadError> {
    let mut builder = TableBuilder::new("");
    builder.reserve(text.len());
    let mut reader = Reader { text, at: 0, line: 1, delimiter };
    let mut scratch = String::new();
    let mut is_too_wide = false;
    while reader.at < text.len() {
        builder.row(reader.line);
        loop {
            let more = reader.cell(&mut builder, &mut scratch);
            is_too_wide |= builder.width() > COLUMNS_MAX;
            if !more || is_too_wide {
                break;
            }
        }
        if is_too_wide {
            break;
        }
    }
    let too_large = || ReadError::TooLarge { table: String::new(), columns: COLUMNS_MAX };
    if is_too_wide {
        return Err(too_large());
    }
    builder.build().ok_or_else(too_large)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    delimiter: u8,
}

impl Reader<'_> {
    /// Reads a cell and what ends it; true if the row goes on.
    fn cell(&mut self, builder: &mut TableBuilder, scratch: &mut String) -> bool {
        let bytes = self.text.as_bytes();
        let mut start = self.at;
        while bytes.get(start) == Some(&b' ') {
            start += 1;
        }
        if bytes.get(start) == Some(&b'"')
            && let Some(end) = self.quoted(start + 1, scratch)
        {
            builder.cell(scratch, CellKind::Text);
            self.at = end;
            return self.separator();
        }
        let end = bytes[self.at..]
            .iter()
            .position(|byte| *byte == self.delimiter || matches!(byte, b'\n' | b'\r'))
            .map_or(bytes.len(), |length| self.at + length);
        builder.cell(&self.text[self.at..end], CellKind::Text);
        self.at = end;
        self.separator()
    }

    /// Steps over a separator or the end of a line.
    fn separator(&mut self) -> bool {
        match self.text.as_bytes().get(self.at) {
            Some(byte) if *byte == self.delimiter => {
                self.at += 1;
                return true;
            }
            Some(b'\r') if self.text.as_bytes().get(self.at + 1) == Some(&b'\n') => self.at += 2,
            Some(_) => self.at += 1,
            None => {}
        }
        self.line += 1;
        false
    }

    /// The text between quotation marks, and where it ends: before a separator. Nothing if the mark
    /// is never closed so, or only much later: then it is part of the text.
    fn quoted(&mut self, from: usize, scratch: &mut String) -> Option<usize> {
        scratch.clear();
        let (mut at, mut lines) = (from, 0);
        loop {
            let rest = &self.text[at..];
            let stop = rest.bytes().position(|byte| matches!(byte, b'"' | b'\n'))?;
            scratch.push_str(&rest[..stop]);
            at += stop + 1;
            if rest.as_bytes()[stop] == b'\n' {
                lines += 1;
                scratch.push('\n');
                if lines > QUOTED_LINES_MAX {
                    return None;
                }
                continue;
            }
            if self.text.as_bytes().get(at) == Some(&b'"') {
                scratch.push('"');
                at += 1;
                continue;
            }
            let blanks = self.text[at..].bytes().take_while(|byte| *byte == b' ').count();
            at += blanks;
            let next = self.text.as_bytes().get(at);
            if next.is_some_and(|byte| *byte != self.delimiter && !matches!(byte, b'\r' | b'\n')) {
                return None;
            }
            self.line += lines as u32;
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(u32, &[&str])]) {
        let table = read(text, delimiter(text)).unwrap();
        let rows: Vec<(u32, Vec<&str>)> = (0..table.len())
            .map(|row| (table.line(row), table.row(row).map(|cell| cell.text).collect()))
            .collect();
        let expected: Vec<(u32, Vec<&str>)> =
            expected.iter().map(|(line, cells)| (*line, cells.to_vec())).collect();
        assert_eq!(rows, expected);
    }

    #[test]
    fn separators_quotes_and_ends_of_lines_are_read() {
        check("a,b\n1,2\n", &[(1, &["a", "b"]), (2, &["1", "2"])]);
        check("a;b\r\n1,5;2\r\n", &[(1, &["a", "b"]), (2, &["1,5", "2"])]);
        check("a\tb\r1\t", &[(1, &["a", "b"]), (2, &["1", ""])]);
        check("a|b\n1|2", &[(1, &["a", "b"]), (2, &["1", "2"])]);
        check("a,b\n\"49,50\", \"x\"\"y\" \n", &[(1, &["a", "b"]), (2, &["49,50", "x\"y"])]);
    }

    #[test]
    fn blank_lines_are_rows_and_quoted_ones_are_counted() {
        check(
            "a,b\n\n\"x\ny\",2\n3,4",
            &[(1, &["a", "b"]), (2, &[""]), (3, &["x\ny", "2"]), (5, &["3", "4"])],
        );
    }

    #[test]
    fn a_stray_quotation_mark_takes_no_other_row_with_it() {
        check("a,b\n\"x,1\ny,2\n", &[(1, &["a", "b"]), (2, &["\"x", "1"]), (3, &["y", "2"])]);
        check("a,b\n\"x\"y,1\nz,2", &[(1, &["a", "b"]), (2, &["\"x\"y", "1"]), (3, &["z", "2"])]);
    }
}
