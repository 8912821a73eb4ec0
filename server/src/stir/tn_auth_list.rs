//! Whom a certificate may sign for: its TNAuthList (RFC 8226 section 9).

use vocabulary::Number;

use crate::net::x509::{self, SEQUENCE, element, expect};

/// 1.3.6.1.5.5.7.1.26, id-pe-TNAuthList.
const TN_AUTH_LIST: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x1a];
const INTEGER: u8 = 0x02;
const IA5_STRING: u8 = 0x16;
/// `[0] spc`, `[1] range`, `[2] one`, each around what it is (explicit tags).
const SERVICE_PROVIDER_CODE: u8 = 0xa0;
const RANGE: u8 = 0xa1;
const ONE: u8 = 0xa2;
/// A number has 15 digits at most (RFC 8226: `SIZE (1..15)`).
const DIGITS_MAX: usize = 15;

/// Whether a certificate may sign for a caller with this number. With a service provider's code it may
/// for any: whose numbers are whose is in no certificate. `None` if there is no list, or it cannot be read.
pub(super) fn allows(certificate: &[u8], caller: &Number) -> Option<bool> {
    let (mut entries, _) = expect(x509::extension_of(certificate, TN_AUTH_LIST)?, SEQUENCE)?;
    let mut is_allowed = false;
    while !entries.is_empty() {
        let (kind, content, rest) = element(entries)?;
        is_allowed |= match kind {
            SERVICE_PROVIDER_CODE => !expect(content, IA5_STRING)?.0.is_empty(),
            ONE => expect(content, IA5_STRING)?.0 == caller.as_str().as_bytes(),
            RANGE => range(expect(content, SEQUENCE)?.0, caller.as_str().as_bytes())?,
            _ => false,
        };
        entries = rest;
    }
    Some(is_allowed)
}

/// `start` and `count`: as many numbers from there on, with as many digits.
fn range(content: &[u8], caller: &[u8]) -> Option<bool> {
    let (start, rest) = expect(content, IA5_STRING)?;
    let count = number(expect(rest, INTEGER)?.0)?;
    if start.len() != caller.len() {
        return Some(false);
    }
    let (first, caller) = (digits(start)?, digits(caller));
    Some(caller.is_some_and(|caller| caller >= first && caller - first < count))
}

fn digits(text: &[u8]) -> Option<u64> {
    let is_number = text.len() <= DIGITS_MAX && text.iter().all(u8::is_ascii_digit);
    let add = |value, digit: &u8| value * 10 + u64::from(digit - b'0');
    is_number.then(|| text.iter().fold(0, add))
}

/// A count that is not negative.
fn number(bytes: &[u8]) -> Option<u64> {
    let is_count = bytes.len() <= 8 && bytes.first().is_some_and(|first| first & 0x80 == 0);
    is_count.then(|| bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(start: &str, count: &[u8], caller: &str, expected: Option<bool>) {
        let length = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap();
        let start = start.as_bytes();
        let content =
            [&[IA5_STRING, length(start)], start, &[INTEGER, length(count)], count].concat();
        assert_eq!(range(&content, caller.as_bytes()), expected, "{start:?} {count:?} {caller}");
    }

    /// RFC 8226 section 9.
    #[test]
    fn a_range_has_so_many_numbers_of_its_length() {
        check("12155550100", &[100], "12155550100", Some(true));
        check("12155550100", &[100], "12155550199", Some(true));
        check("12155550100", &[100], "12155550200", Some(false));
        check("12155550100", &[100], "12155550099", Some(false));
        check("12155550100", &[0x27, 0x10], "12155559999", Some(true));
        check("99", &[2], "100", Some(false));
        check("12155550100", &[0xff], "12155550100", None);
        check("1215555010x", &[1], "12155550100", None);
        check("", &[], "", None);
    }
}
