//! The digits of a prefix in one integer: compared and sorted without a pointer to follow.

use std::fmt;
use std::str::FromStr;

/// Digits at most, as everywhere.
pub(crate) const DIGITS_MAX: usize = 31;

/// 0 to 31 digits. Four bits a digit from the left, each digit one more than it is, so that the order
/// is that of the text: a prefix stands before all that begin with it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Prefix(u128);

impl Prefix {
    /// Covers every number.
    pub const ALL: Prefix = Prefix(0);

    /// As it is stored: equal prefixes, equal bytes.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// From what was stored; nothing if it never was a prefix.
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Prefix> {
        let prefix = Prefix(u128::from_be_bytes(bytes));
        let length = prefix.len();
        let is_digit = |at: usize| (1..=10).contains(&(prefix.0 >> (124 - 4 * at) & 15));
        (length <= DIGITS_MAX && (0..length).all(is_digit)).then_some(prefix)
    }

    /// How many digits.
    pub fn len(self) -> usize {
        (32 - (self.0.trailing_zeros() / 4) as usize).min(32) * usize::from(self.0 != 0)
    }

    /// Covers every number?
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// With one more digit (0 to 9); nothing if it is full.
    #[must_use]
    pub fn push(self, digit: u8) -> Option<Prefix> {
        let length = self.len();
        (length < DIGITS_MAX && digit < 10)
            .then(|| Prefix(self.0 | u128::from(digit + 1) << (124 - 4 * length)))
    }

    /// With more digits behind; nothing if they are too many or no digits.
    #[must_use]
    pub fn join(self, digits: &str) -> Option<Prefix> {
        let length = self.len();
        if length + digits.len() > DIGITS_MAX {
            return None;
        }
        let (mut bits, mut shift) = (self.0, 128 - 4 * length as u32);
        for byte in digits.bytes() {
            if !byte.is_ascii_digit() {
                return None;
            }
            shift -= 4;
            bits |= u128::from(byte - b'0' + 1) << shift;
        }
        Some(Prefix(bits))
    }

    /// The first `length` digits.
    #[must_use]
    pub fn cut(self, length: usize) -> Prefix {
        match length {
            0 => Prefix::ALL,
            1..32 => Prefix(self.0 & !(u128::MAX >> (4 * length))),
            _ => self,
        }
    }

    /// Does it begin with `other`?
    pub fn starts_with(self, other: Prefix) -> bool {
        self.cut(other.len()) == other
    }

    /// The last digit and what is before it.
    pub fn split_last(self) -> Option<(Prefix, u8)> {
        let length = self.len();
        let shift = 128 - 4 * length as u32;
        (length > 0).then(|| (self.cut(length - 1), (self.0 >> shift & 15) as u8 - 1))
    }

    /// Writes the digits behind `text`.
    pub fn write(self, text: &mut String) {
        let mut bits = self.0;
        while bits != 0 {
            text.push(char::from(b'0' + (bits >> 124) as u8 - 1));
            bits <<= 4;
        }
    }
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Prefix, String> {
        let not = || format!("{text:?} is not at most {DIGITS_MAX} digits");
        Prefix::ALL.join(text).ok_or_else(not)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(DIGITS_MAX);
        self.write(&mut text);
        f.pad(&text)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_prefix_is_what_its_digits_are(a in "[0-9]{0,31}", b in "[0-9]{0,31}", digit in 0_u8..10) {
            let (x, y): (Prefix, Prefix) = (a.parse().unwrap(), b.parse().unwrap());
            prop_assert_eq!(x.to_string(), a.clone());
            prop_assert_eq!(x.len(), a.len());
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            prop_assert_eq!(x.starts_with(y), a.starts_with(&b));
            let pushed = x.push(digit).map(|x| x.to_string());
            prop_assert_eq!(pushed, (a.len() < 31).then(|| format!("{a}{digit}")));
            let last = x.split_last().map(|(rest, last)| format!("{rest}{last}"));
            prop_assert_eq!(last, (!a.is_empty()).then_some(a));
        }
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
        assert!("4x".parse::<Prefix>().is_err());
        assert!("1".repeat(32).parse::<Prefix>().is_err());
    }
}
