//! The lexical grammar that every part of a message shares: tokens, linear white space, quoted
//! strings, lists. A folded line keeps its CRLF inside the value, so here CR and LF are white
//! space like SP and HT; the scanner has already made sure that they occur nowhere else.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

const fn token_table() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0usize;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"-.!%*_+`'~";
    let mut i = 0;
    while i < others.len() {
        table[others[i] as usize] = true;
        i += 1;
    }
    table
}

static TOKEN: [bool; 256] = token_table();

pub(super) fn is_token_byte(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_token_byte(byte))
}

pub(super) fn is_lws(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

pub(super) fn trim_start(text: &[u8]) -> &[u8] {
    let skip = text.iter().take_while(|&&byte| is_lws(byte)).count();
    &text[skip..]
}

pub(super) fn trim_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., last] = text
        && is_lws(*last)
    {
        text = rest;
    }
    text
}

pub(super) fn trim(text: &[u8]) -> &[u8] {
    trim_end(trim_start(text))
}

/// The length of the quoted string at the start of `text`, both quotes included; `None` if it does
/// not end.
pub(super) fn quoted_len(text: &[u8]) -> Option<usize> {
    debug_assert_eq!(text.first(), Some(&b'"'));
    let mut at = 1;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// The content of a quoted string with its escapes undone; anything else as it is.
pub fn unquote(text: &[u8]) -> Cow<'_, [u8]> {
    let [b'"', inner @ .., b'"'] = text else { return Cow::Borrowed(text) };
    if memchr(b'\\', inner).is_none() {
        return Cow::Borrowed(inner);
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => out.extend(bytes.next()),
            other => out.push(other),
        }
    }
    Cow::Owned(out)
}

/// Undoes `%41` escapes; a `%` that begins no escape stays.
pub fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr(b'%', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match escape_at(text, at) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    Cow::Owned(out)
}

/// The byte that the escape at `at` stands for, if there is one.
pub(super) fn escape_at(text: &[u8], at: usize) -> Option<u8> {
    let [b'%', high, low] = text.get(at..at + 3)? else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

/// A number of digits only. Too large a value gives `None` as well as anything else.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |value, &byte| {
        if !byte.is_ascii_digit() {
            return None;
        }
        value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))
    })
}

/// A number of digits only, held at `u32::MAX` if it is larger (RFC 3261 section 20.19 asks for
/// that with delta-seconds).
pub(super) fn saturating_u32(text: &[u8]) -> Option<u32> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(number(text).and_then(|value| u32::try_from(value).ok()).unwrap_or(u32::MAX))
}

/// The elements of a comma-separated list, trimmed. Commas inside quotes or `<>` do not separate.
/// Empty elements are returned too, so that a check can see them.
#[derive(Clone, Debug)]
pub(super) struct Elements<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Elements<'a> {
    pub(super) fn of(value: &'a [u8]) -> Elements<'a> {
        Elements { rest: Some(value) }
    }

    pub(super) fn none() -> Elements<'a> {
        Elements { rest: None }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let text = self.rest?;
        if memchr(b',', text).is_none() {
            self.rest = None;
            return Some(trim(text));
        }
        let end = element_len(text);
        self.rest = text.get(end + 1..);
        Some(trim(&text[..end]))
    }
}

/// Up to the first comma that separates, or the end. An unclosed quote or bracket reaches the end.
fn element_len(text: &[u8]) -> usize {
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b',' => return at,
            b'"' => match quoted_len(&text[at..]) {
                Some(length) => at += length,
                None => return text.len(),
            },
            b'<' => match memchr(b'>', &text[at..]) {
                Some(length) => at += length + 1,
                None => return text.len(),
            },
            _ => at += 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(list: &str, expected: &[&str]) {
        let found: Vec<_> = Elements::of(list.as_bytes()).map(|e| e.to_vec()).collect();
        let expected: Vec<_> = expected.iter().map(|e| e.as_bytes().to_vec()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn lists_are_split_outside_quotes_and_brackets() {
        check("a, b ,c", &["a", "b", "c"]);
        check(
            "\"a, \\\", b\" <sip:x,y@z>;q=\",\" , d",
            &["\"a, \\\", b\" <sip:x,y@z>;q=\",\"", "d"],
        );
        check("a,,b,", &["a", "", "b", ""]);
        check("\"open, b", &["\"open, b"]);
        check("<open, b", &["<open, b"]);
        check("a\r\n , b", &["a", "b"]);
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(&*unescape(b"%41b%zz%4"), b"Ab%zz%4");
        assert_eq!(&*unquote(b"\"a\\\"b\\\\\""), b"a\"b\\");
        assert_eq!(&*unquote(b"plain"), b"plain");
        assert_eq!(quoted_len(b"\"a\\\""), None);
    }

    #[test]
    fn numbers_do_not_overflow() {
        assert_eq!(number(b"0068"), Some(68));
        assert_eq!(number(b"36893488147419103232"), None);
        assert_eq!(saturating_u32(b"36893488147419103232"), Some(u32::MAX));
        assert_eq!(saturating_u32(b"-1"), None);
    }
}
