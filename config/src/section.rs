//! Reading one table of the file: each key is asked for by name, with the place of its value
//! kept, and whatever was not asked for is an unknown key.

use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::Problem;

/// The text being read, and the mistakes found so far.
pub(crate) struct Source<'a> {
    pub(crate) path: &'a Path,
    pub(crate) text: &'a str,
    pub(crate) problems: RefCell<Vec<Problem>>,
}

impl Source<'_> {
    pub(crate) fn report(
        &self,
        span: Option<Range<usize>>,
        key: &str,
        what: String,
        remedy: impl Into<String>,
    ) {
        let (line, column) = span.as_ref().map_or((0, 0), |s| place(self.text, s.start));
        let value = span.map_or("", |s| self.text.get(s).unwrap_or_default());
        self.problems.borrow_mut().push(Problem {
            file: self.path.to_path_buf(),
            line,
            column,
            key: key.to_owned(),
            value: if key.is_empty() { String::new() } else { one_line(value) },
            what,
            remedy: remedy.into(),
        });
    }
}

/// Line and column, from 1, of a byte offset.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..offset.min(text.len())];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// A value as it is shown in a message: its first line, at most 60 characters.
fn one_line(value: &str) -> String {
    let line = value.lines().next().unwrap_or_default();
    let mut shown: String = line.chars().take(60).collect();
    if shown.len() < value.len() {
        shown.push('…');
    }
    shown
}

/// One table of the file.
pub(crate) struct Section<'a> {
    source: &'a Source<'a>,
    path: String,
    table: Option<&'a DeTable<'a>>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    pub(crate) fn root(source: &'a Source<'a>, table: &'a DeTable<'a>) -> Section<'a> {
        Section { source, path: String::new(), table: Some(table), asked: RefCell::default() }
    }

    /// Is the table in the file at all?
    pub(crate) fn is_written(&self) -> bool {
        self.table.is_some()
    }

    pub(crate) fn source(&self) -> &'a Source<'a> {
        self.source
    }

    fn full(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The value of a key, which is thereby known.
    pub(crate) fn value(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.borrow_mut().push(key);
        self.table?.get(key)
    }

    /// A mistake in the value of `key`.
    pub(crate) fn report(&self, key: &'static str, what: String, remedy: impl Into<String>) {
        let span = self.table.and_then(|table| table.get(key)).map(Spanned::span);
        self.source.report(span, &self.full(key), what, remedy);
    }

    /// The same without showing the value, which may have a password in it.
    pub(crate) fn report_secret(&self, key: &'static str, what: String, remedy: &str) {
        self.report(key, what, remedy);
        if let Some(problem) = self.source.problems.borrow_mut().last_mut() {
            problem.value.clear();
        }
    }

    /// A table of this table; empty if it is not written.
    pub(crate) fn section(&self, key: &'static str) -> Section<'a> {
        let table = match self.value(key).map(Spanned::get_ref) {
            None => None,
            Some(DeValue::Table(table)) => Some(table),
            Some(other) => {
                let what = format!("is {}, not a table", article(other));
                self.report(key, what, format!("write it as [{}]", self.full(key)));
                None
            }
        };
        Section { source: self.source, path: self.full(key), table, asked: RefCell::default() }
    }

    /// The tables of an array of tables (`[[key]]`), or `None` if it is not written.
    pub(crate) fn sections(&self, key: &'static str) -> Option<Vec<Section<'a>>> {
        let value = self.value(key)?;
        let DeValue::Array(array) = value.get_ref() else {
            let what = format!("is {}, not an array of tables", article(value.get_ref()));
            self.report(key, what, format!("write [[{}]]", self.full(key)));
            return None;
        };
        let mut sections = Vec::new();
        for (index, item) in array.iter().enumerate() {
            let path = format!("{}[{index}]", self.full(key));
            if let DeValue::Table(table) = item.get_ref() {
                let asked = RefCell::default();
                sections.push(Section { source: self.source, path, table: Some(table), asked });
            } else {
                let remedy = format!("write [[{}]]", self.full(key));
                self.source.report(Some(item.span()), &path, "is not a table".to_owned(), remedy);
            }
        }
        Some(sections)
    }

    pub(crate) fn text(&self, key: &'static str) -> Option<&'a str> {
        let value = self.value(key)?;
        if let DeValue::String(text) = value.get_ref() {
            return Some(text);
        }
        self.report(
            key,
            format!("is {}, not a text", article(value.get_ref())),
            "put it in quotes",
        );
        None
    }

    /// A text that has to parse as `T`; `remedy` says what to write.
    pub(crate) fn parsed<T: FromStr>(&self, key: &'static str, remedy: &str) -> Option<T> {
        let text = self.text(key)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.report(key, "cannot be read".to_owned(), remedy);
        }
        parsed
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let all: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let remedy = match nearest(text, words.iter().map(|(word, _)| *word)) {
            Some(word) => format!("did you mean \"{word}\"? It can be {}", all.join(", ")),
            None => format!("write one of {}", all.join(", ")),
        };
        self.report(key, "is not known".to_owned(), remedy);
        None
    }

    pub(crate) fn texts(&self, key: &'static str) -> Option<Vec<String>> {
        let value = self.value(key)?;
        let texts = match value.get_ref() {
            DeValue::Array(array) => {
                array.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect()
            }
            _ => None,
        };
        if texts.is_none() {
            let remedy = "write it as [\"one\", \"two\"]";
            self.report(key, "is not a list of texts".to_owned(), remedy);
        }
        texts
    }

    pub(crate) fn path(&self, key: &'static str) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }

    /// A whole number within limits.
    pub(crate) fn number(&self, key: &'static str, within: RangeInclusive<u64>) -> Option<u64> {
        let value = self.value(key)?;
        let remedy = format!("write a whole number from {} to {}", within.start(), within.end());
        let DeValue::Integer(integer) = value.get_ref() else {
            let what = format!("is {}, not a whole number", article(value.get_ref()));
            self.report(key, what, remedy);
            return None;
        };
        let digits = integer.as_str();
        match i128::from_str_radix(digits, integer.radix()) {
            Ok(number) if number < i128::from(*within.start()) => {
                self.report(key, "is too small".to_owned(), remedy);
                None
            }
            Ok(number) => match u64::try_from(number) {
                Ok(number) if number <= *within.end() => Some(number),
                _ => {
                    self.report(key, "is too large".to_owned(), remedy);
                    None
                }
            },
            Err(_) => {
                self.report(key, "is too large".to_owned(), remedy);
                None
            }
        }
    }

    pub(crate) fn count(&self, key: &'static str, within: RangeInclusive<u64>) -> Option<usize> {
        self.number(key, within).and_then(|number| usize::try_from(number).ok())
    }

    /// A duration; its key ends in `_s`.
    pub(crate) fn seconds(
        &self,
        key: &'static str,
        within: RangeInclusive<u64>,
    ) -> Option<Duration> {
        self.number(key, within).map(Duration::from_secs)
    }

    /// Reports every key that nobody asked for.
    pub(crate) fn finish(self) {
        let Some(table) = self.table else { return };
        let asked = self.asked.borrow();
        for key in table.keys() {
            if asked.iter().any(|known| *known == key.get_ref()) {
                continue;
            }
            let remedy = match nearest(key.get_ref(), asked.iter().copied()) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("the keys here are {}", asked.join(", ")),
            };
            let what = "is not a known key".to_owned();
            let (line, column) = place(self.source.text, key.span().start);
            self.source.problems.borrow_mut().push(Problem {
                file: self.source.path.to_path_buf(),
                line,
                column,
                key: self.full(key.get_ref()),
                value: String::new(),
                what,
                remedy,
            });
        }
    }
}

fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// The word closest to `text`, if one is close enough to have been meant.
fn nearest<'w>(text: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    words
        .map(|word| (edit_distance(text, word), word))
        .filter(|(distance, word)| *distance <= 1.max(word.len() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Levenshtein distance with a swap of neighbours counted once.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let changed = usize::from(a[i - 1] != b[j - 1]);
            let mut best =
                (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + changed);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}
