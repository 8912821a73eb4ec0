//! An amount of money and the currency it is counted in. Integers only: equality is exact in
//! tests and after a replay, and a column in SQL is a BIGINT.

use std::fmt;
use std::str::FromStr;

/// Micro-units in one unit of a currency.
const MICROS_PER_UNIT: u64 = 1_000_000;
const DECIMALS: usize = 6;

/// Micro-units of some currency; which one is the account's, the rate group's or the posting's
/// business. May be negative: a balance can be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money(pub i64);

/// Why a text or a sum is not an amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not a decimal number.
    #[error("not an amount of money: expected digits with at most one point, e.g. 12.50")]
    NotANumber,
    /// More than six decimals.
    #[error("more than six decimals: an amount is counted in millionths")]
    TooManyDecimals,
    /// Beyond ±9.2 × 10¹² units.
    #[error("the amount is too large")]
    TooLarge,
    /// Not three letters, or more than six decimals.
    #[error("a currency is three capital letters, with 0 to 6 decimals")]
    NotACurrency,
}

impl Money {
    /// Nothing.
    pub const ZERO: Money = Money(0);

    /// Whole units of the currency; for tests and defaults.
    pub const fn units(units: i64) -> Money {
        Money(units * MICROS_PER_UNIT as i64)
    }

    /// The count of micro-units.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The sum, or `TooLarge`.
    pub fn checked_add(self, other: Money) -> Result<Money, MoneyError> {
        self.0.checked_add(other.0).map(Money).ok_or(MoneyError::TooLarge)
    }

    /// The difference, or `TooLarge`.
    pub fn checked_sub(self, other: Money) -> Result<Money, MoneyError> {
        self.0.checked_sub(other.0).map(Money).ok_or(MoneyError::TooLarge)
    }

    /// Below zero?
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Exactly zero?
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Money {
    /// Always with six decimals, so that columns line up and no digit is hidden.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:06}", magnitude / MICROS_PER_UNIT, magnitude % MICROS_PER_UNIT)
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Money {
    type Err = MoneyError;

    /// Exact: what cannot be held is refused, never rounded.
    fn from_str(text: &str) -> Result<Money, MoneyError> {
        let (negative, digits) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction)
        {
            return Err(MoneyError::NotANumber);
        }
        let significant = fraction.trim_end_matches('0');
        if significant.len() > DECIMALS {
            return Err(MoneyError::TooManyDecimals);
        }
        let mut micros: i128 = 0;
        for digit in whole.bytes() {
            micros = micros * 10 + i128::from(digit - b'0');
            if micros > i128::from(i64::MAX) {
                return Err(MoneyError::TooLarge);
            }
        }
        for place in 0..DECIMALS {
            let digit = significant.as_bytes().get(place).map_or(0, |b| b - b'0');
            micros = micros * 10 + i128::from(digit);
        }
        let signed = if negative { -micros } else { micros };
        i64::try_from(signed).map(Money).map_err(|_| MoneyError::TooLarge)
    }
}

/// A currency: its ISO 4217 letters, and how many decimals people write it with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency {
    letters: [u8; 3],
    decimals: u8,
}

impl Currency {
    /// Euro.
    pub const EUR: Currency = Currency { letters: *b"EUR", decimals: 2 };
    /// US dollar.
    pub const USD: Currency = Currency { letters: *b"USD", decimals: 2 };

    /// Three capital letters and 0 to 6 decimals.
    pub fn new(letters: &str, decimals: u8) -> Result<Currency, MoneyError> {
        let letters: [u8; 3] = letters.as_bytes().try_into().or(Err(MoneyError::NotACurrency))?;
        if !letters.iter().all(u8::is_ascii_uppercase) || decimals > DECIMALS as u8 {
            return Err(MoneyError::NotACurrency);
        }
        Ok(Currency { letters, decimals })
    }

    /// The three letters.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.letters).expect("only ASCII letters are stored")
    }

    /// How many decimals people write it with.
    pub fn decimals(&self) -> u8 {
        self.decimals
    }

    /// The letters as a number, 15 bits; part of a system account's id.
    pub(crate) fn index(&self) -> u64 {
        self.letters.iter().fold(0, |sum, letter| sum << 5 | u64::from(letter - b'A'))
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    /// The letters alone; two decimals, except where ISO 4217 has none or three.
    fn from_str(text: &str) -> Result<Currency, MoneyError> {
        let decimals = match text {
            "JPY" | "KRW" | "VND" | "CLP" | "ISK" | "XAF" | "XOF" | "XPF" | "UGX" => 0,
            "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
            _ => 2,
        };
        Currency::new(text, decimals)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<i64, MoneyError>) {
        assert_eq!(text.parse::<Money>().map(Money::micros), expected, "{text:?}");
    }

    #[test]
    fn amounts_are_read_exactly_or_refused() {
        check("12.5", Ok(12_500_000));
        check("-0.000001", Ok(-1));
        check("+3", Ok(3_000_000));
        check(".5", Ok(500_000));
        check("5.", Ok(5_000_000));
        check("0.0000010000", Ok(1));
        check("0.0000001", Err(MoneyError::TooManyDecimals));
        check("9223372036854.775807", Ok(i64::MAX));
        check("-9223372036854.775808", Ok(i64::MIN));
        check("9223372036854.775808", Err(MoneyError::TooLarge));
        check("99999999999999999999999999999999999999999999", Err(MoneyError::TooLarge));
        check("", Err(MoneyError::NotANumber));
        check(".", Err(MoneyError::NotANumber));
        check("1,234.50", Err(MoneyError::NotANumber));
        check("1e3", Err(MoneyError::NotANumber));
        check("--1", Err(MoneyError::NotANumber));
        check("1.-5", Err(MoneyError::NotANumber));
        check("é", Err(MoneyError::NotANumber));
    }

    #[test]
    fn currencies_are_three_letters() {
        assert_eq!("JPY".parse::<Currency>().unwrap().decimals(), 0);
        assert_eq!("EUR".parse::<Currency>().unwrap(), Currency::EUR);
        assert_eq!("eur".parse::<Currency>(), Err(MoneyError::NotACurrency));
        assert_eq!(Currency::new("EUR", 7), Err(MoneyError::NotACurrency));
        assert_ne!(Currency::EUR.index(), Currency::USD.index());
    }

    proptest! {
        #[test]
        fn printing_and_reading_are_inverse(micros: i64) {
            prop_assert_eq!(Money(micros).to_string().parse(), Ok(Money(micros)));
        }
    }
}
