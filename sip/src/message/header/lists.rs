//! Lists of tokens over all lines of a header: Allow, Supported, Require, Proxy-Require.

use crate::message::{HeaderValues, text};

/// The tokens of a list header, in order; empty elements are skipped.
#[derive(Clone, Debug)]
pub struct Tokens<'a> {
    values: HeaderValues<'a>,
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(values: HeaderValues<'a>) -> Tokens<'a> {
        Tokens { values }
    }

    /// Whether `token` is among them, in any case. Consumes what it has looked at.
    pub fn has(mut self, token: &[u8]) -> bool {
        self.any(|each| each.eq_ignore_ascii_case(token))
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.values.by_ref().map(text::trim).find(|token| !token.is_empty())
    }
}
