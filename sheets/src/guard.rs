//! Texts that a spreadsheet would take for formulas. An apostrophe before them makes them texts, in
//! a way that reading undoes: `unguarded(guarded(text))` is `text` for every text.

use std::borrow::Cow;

use crate::table::is_blank;

/// What formulas begin with.
const STARTS: [char; 4] = ['=', '+', '-', '@'];

/// A text as it is written into a cell. A plain number below zero stays as it is.
pub fn guarded(text: &str) -> Cow<'_, str> {
    let is_formula = text.starts_with(STARTS) && !is_number(text);
    if is_formula || unguarded(text) != text {
        return Cow::Owned(format!("'{text}"));
    }
    Cow::Borrowed(text)
}

/// A text that is there although it is empty.
pub const EMPTY: &str = "'";

/// The text that a cell stands for. `'tis` keeps its apostrophe: it guards nothing.
pub fn unguarded(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if rest.is_empty() || rest.starts_with('\'') || rest.starts_with(STARTS) => rest,
        _ => cell,
    }
}

fn is_number(text: &str) -> bool {
    let digits = &text[1..];
    text.starts_with('-')
        && digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// A text without the blanks around it that a cell loses when it is read.
pub fn trimmed(text: &str) -> &str {
    text.trim_matches(is_blank)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, cell: &str) {
        assert_eq!(guarded(text), cell);
        assert_eq!(unguarded(cell), text);
    }

    #[test]
    fn formulas_become_texts_and_come_back() {
        check("=1+1", "'=1+1");
        check("+49", "'+49"); // a spreadsheet would take its plus away
        check("-5", "-5");
        check("-5.25", "-5.25");
        check("-", "'-");
        check("-1+cmd", "'-1+cmd");
        check("@SUM(A1)", "'@SUM(A1)");
        check("'=x", "''=x");
        check("'tis", "'tis");
        check("'", "''");
        check("plain", "plain");
        assert_eq!(unguarded(EMPTY), "");
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in "['=+@a0. -]{0,6}") {
            let cell = guarded(&text);
            prop_assert_eq!(unguarded(&cell), &text);
            prop_assert!(!cell.starts_with(['=', '@']));
        }
    }
}
