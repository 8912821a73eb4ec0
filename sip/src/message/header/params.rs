//! `;name=value` parameters, as in Via, From, Contact and URIs.

use std::borrow::Cow;

use crate::message::text;

/// Parameters as received, from the first semicolon on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Params<'a>(&'a [u8]);

/// One parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param<'a> {
    /// The name as received; compare without regard to case.
    pub name: &'a [u8],
    /// What follows the `=`, still quoted if it is a quoted string; `None` without `=`.
    pub value: Option<&'a [u8]>,
}

impl<'a> Params<'a> {
    /// Takes text that is empty or begins with a semicolon; white space before it is skipped.
    pub fn new(text: &'a [u8]) -> Params<'a> {
        Params(text::trim(text))
    }

    /// The text as received.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// All of them in order. What is no parameter is skipped.
    pub fn iter(&self) -> ParamsIter<'a> {
        ParamsIter { rest: self.0 }
    }

    /// The first of this name.
    pub fn find(&self, name: &[u8]) -> Option<Param<'a>> {
        self.iter().find(|param| param.name.eq_ignore_ascii_case(name))
    }

    /// The value of the first of this name.
    pub fn get(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.find(name)?.value
    }

    /// The value of the first of this name, without quotes and their escapes.
    pub fn get_unquoted(&self, name: &[u8]) -> Option<Cow<'a, [u8]>> {
        self.get(name).map(text::unquote)
    }

    /// Whether one of this name is there, with a value or without.
    pub fn has(&self, name: &[u8]) -> bool {
        self.find(name).is_some()
    }

    /// Whether the text follows the grammar: no empty parameter, names are tokens, values are
    /// there where `=` announces them.
    pub fn is_well_formed(&self) -> bool {
        let mut rest = self.0;
        while !rest.is_empty() {
            let Some(after) = rest.strip_prefix(b";") else { return false };
            let (param, next) = split_first(text::trim_start(after));
            let value_fits = param.value.is_none_or(is_value);
            if !text::is_token(param.name) || !value_fits {
                return false;
            }
            rest = next;
        }
        true
    }
}

/// A token, a host (so brackets and colons) or a quoted string. Other printable bytes are let
/// through, because peers write URIs and addresses here without quotes.
fn is_value(value: &[u8]) -> bool {
    match value {
        [] => false,
        [b'"', ..] => text::quoted_len(value) == Some(value.len()),
        plain => plain.iter().all(|&byte| byte > b' ' && !matches!(byte, b'"' | b',' | 0x7F)),
    }
}

/// Splits off one parameter; what is left is empty or begins with a semicolon.
fn split_first(text: &[u8]) -> (Param<'_>, &[u8]) {
    let name_end = text.iter().position(|&byte| matches!(byte, b'=' | b';')).unwrap_or(text.len());
    let name = text::trim_end(&text[..name_end]);
    if text.get(name_end) != Some(&b'=') {
        return (Param { name, value: None }, &text[name_end..]);
    }
    let after = text::trim_start(&text[name_end + 1..]);
    let quoted = if after.first() == Some(&b'"') { text::quoted_len(after) } else { None };
    let searched = quoted.unwrap_or(0);
    let end = memchr::memchr(b';', &after[searched..]).map_or(after.len(), |at| at + searched);
    (Param { name, value: Some(text::trim_end(&after[..end])) }, &after[end..])
}

/// See [`Params::iter`].
#[derive(Clone, Debug)]
pub struct ParamsIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for ParamsIter<'a> {
    type Item = Param<'a>;

    fn next(&mut self) -> Option<Param<'a>> {
        loop {
            let start = self.rest.iter().position(|&byte| !text::is_lws(byte) && byte != b';')?;
            let (param, rest) = split_first(&self.rest[start..]);
            self.rest = rest;
            if !param.name.is_empty() {
                return Some(param);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &[u8], well_formed: bool, expected: &[(&[u8], Option<&[u8]>)]) {
        let params = Params::new(text);
        let found: Vec<_> = params.iter().map(|param| (param.name, param.value)).collect();
        assert_eq!(found, expected);
        assert_eq!(params.is_well_formed(), well_formed);
    }

    #[test]
    fn parameters_are_read() {
        check(b";tag=a", true, &[(b"tag", Some(b"a"))]);
        check(b" ;\r\n tag \t=\r\n a ;lr", true, &[(b"tag", Some(b"a")), (b"lr", None)]);
        check(
            b";x=\"a;b=\\\"\";y=[2001:db8::1]",
            true,
            &[(b"x", Some(b"\"a;b=\\\"\"")), (b"y", Some(b"[2001:db8::1]"))],
        );
        check(b";;,;,,", false, &[(b",", None), (b",,", None)]);
        check(b";a=", false, &[(b"a", Some(b""))]);
        check(b";=b;c", false, &[(b"c", None)]);
        check(b";a=\"open;b", false, &[(b"a", Some(b"\"open")), (b"b", None)]);
        check(b"", true, &[]);
        check(b"junk;a", false, &[(b"junk", None), (b"a", None)]);
    }
}
