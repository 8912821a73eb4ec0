//! Telephone numbers. `Debug` masks the middle digits, so that a number does not reach a log by
//! accident; `as_str` is for the wire, the CDR and comparison.

use std::fmt;
use std::str::FromStr;

const DIGITS_MAX: usize = 31;

/// A dialled or calling number: digits, and for service codes also `*` and `#`. Held without a
/// leading `+`; whether it is E.164 is decided by the number plan that made it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number {
    digits: [u8; DIGITS_MAX],
    length: u8,
}

/// Why a text is not a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberError {
    /// Nothing, or only visual separators.
    Empty,
    /// More than 31 digits.
    TooLong,
    /// A character that is neither digit, `*`, `#` nor a visual separator (`-`, `.`, `(`, `)`,
    /// space; RFC 3966 section 5.1.1).
    NotADigit(char),
}

impl fmt::Display for NumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NumberError::Empty => write!(f, "the number is empty"),
            NumberError::TooLong => write!(f, "the number has more than {DIGITS_MAX} digits"),
            NumberError::NotADigit(c) => write!(f, "{c:?} is not a digit"),
        }
    }
}

impl std::error::Error for NumberError {}

impl Number {
    /// The digits, unmasked.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.digits[..usize::from(self.length)]).expect("only ASCII is stored")
    }

    /// The digits as bytes, for prefix search.
    pub fn as_bytes(&self) -> &[u8] {
        &self.digits[..usize::from(self.length)]
    }
}

impl FromStr for Number {
    type Err = NumberError;

    /// One leading `+` is accepted and dropped; visual separators are dropped.
    fn from_str(text: &str) -> Result<Number, NumberError> {
        let mut number = Number { digits: [0; DIGITS_MAX], length: 0 };
        for c in text.strip_prefix('+').unwrap_or(text).chars() {
            match c {
                '0'..='9' | '*' | '#' => {
                    let slot = number.digits.get_mut(usize::from(number.length));
                    *slot.ok_or(NumberError::TooLong)? = c as u8;
                    number.length += 1;
                }
                '-' | '.' | '(' | ')' | ' ' => {}
                other => return Err(NumberError::NotADigit(other)),
            }
        }
        if number.length == 0 { Err(NumberError::Empty) } else { Ok(number) }
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.as_str();
        if digits.len() <= 4 {
            return f.write_str("***");
        }
        let shown = digits.len().min(8) / 2;
        write!(f, "{}***{}", &digits[..shown.min(3)], &digits[digits.len() - 2..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, NumberError>) {
        let parsed = text.parse::<Number>();
        assert_eq!(parsed.as_ref().map(Number::as_str).map_err(|e| *e), expected);
    }

    #[test]
    fn numbers_are_read() {
        check("+49 30 1234-567", Ok("49301234567"));
        check("*101#", Ok("*101#"));
        check("", Err(NumberError::Empty));
        check("+", Err(NumberError::Empty));
        check("alice", Err(NumberError::NotADigit('a')));
        check("12345678901234567890123456789012", Err(NumberError::TooLong));
        check("1+2", Err(NumberError::NotADigit('+')));
    }

    #[test]
    fn debug_masks() {
        let number: Number = "4930123456".parse().unwrap();
        assert_eq!(format!("{number:?}"), "493***56");
        assert_eq!(format!("{:?}", "911".parse::<Number>().unwrap()), "***");
    }
}
