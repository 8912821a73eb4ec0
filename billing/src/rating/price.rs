//! A price as a rate sheet states it: a decimal number with at most nine decimals.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;

/// A non-negative price in units of the rate group's currency: per unit of time (a minute unless
/// the rate says otherwise), or per call for a fee. Held in billionths.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Price(i64);

const DECIMALS_MAX: u32 = 9;
const UNITS_MAX: i64 = 1_000_000_000;
const NANOS_PER_UNIT: i64 = 1_000_000_000;

/// Why a text is not a price. Each names the text, for the report of an import.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// Not a plain decimal number.
    #[error("{0:?} is not a price: expected digits with at most one decimal point")]
    NotANumber(String),
    /// More than nine decimals.
    #[error("the price {0} has more than nine decimals")]
    TooManyDecimals(String),
    /// Below zero.
    #[error("the price {0} is negative")]
    Negative(String),
    /// Above a thousand million a minute.
    #[error("the price {0} is above 1,000,000,000")]
    TooLarge(String),
}

impl Price {
    /// Free.
    pub const ZERO: Price = Price(0);

    /// Checks the limits; trailing zeros do not count as decimals.
    pub fn new(decimal: Decimal) -> Result<Price, PriceError> {
        let decimal = decimal.normalize();
        if decimal.scale() > DECIMALS_MAX {
            return Err(PriceError::TooManyDecimals(decimal.to_string()));
        }
        if decimal.is_sign_negative() && !decimal.is_zero() {
            return Err(PriceError::Negative(decimal.to_string()));
        }
        if decimal > Decimal::from(UNITS_MAX) {
            return Err(PriceError::TooLarge(decimal.to_string()));
        }
        let factor = 10_i128.pow(DECIMALS_MAX - decimal.scale());
        let nanos = decimal.mantissa() * factor;
        Ok(Price(i64::try_from(nanos).expect("bounded by UNITS_MAX")))
    }

    /// From billionths of a unit; the journal's and the database's form.
    pub fn from_nanos(nanos: i64) -> Option<Price> {
        (0..=UNITS_MAX * NANOS_PER_UNIT).contains(&nanos).then_some(Price(nanos))
    }

    /// The price in billionths, exactly.
    pub fn nanos(self) -> i64 {
        self.0
    }

    /// The decimal number.
    pub fn decimal(self) -> Decimal {
        Decimal::new(self.0, DECIMALS_MAX).normalize()
    }

    /// Free?
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl FromStr for Price {
    type Err = PriceError;

    fn from_str(text: &str) -> Result<Price, PriceError> {
        let text = text.trim();
        let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+'));
        // The decimal's own parser rounds what is too long for it; the exact one refuses.
        let decimal = if plain { Decimal::from_str_exact(text).ok() } else { None };
        match decimal {
            Some(decimal) => Price::new(decimal),
            None if plain && text.split_once('.').is_some_and(|(_, f)| f.len() > 9) => {
                Err(PriceError::TooManyDecimals(text.to_owned()))
            }
            None => Err(PriceError::NotANumber(text.to_owned())),
        }
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.decimal(), f)
    }
}

impl fmt::Debug for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.decimal(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<i64, PriceError>) {
        assert_eq!(text.parse::<Price>().map(Price::nanos), expected, "{text:?}");
    }

    #[test]
    fn prices_are_read_exactly_or_refused_by_name() {
        check("0.012", Ok(12_000_000));
        check(" 1.5 ", Ok(1_500_000_000));
        check("0.000000001", Ok(1));
        check("0.0120000000000", Ok(12_000_000));
        check("0.0000000001", Err(PriceError::TooManyDecimals("0.0000000001".into())));
        check("-0.1", Err(PriceError::Negative("-0.1".into())));
        check("-0", Ok(0));
        check("1000000000", Ok(1_000_000_000_000_000_000));
        check("1000000000.1", Err(PriceError::TooLarge("1000000000.1".into())));
        check("0,012", Err(PriceError::NotANumber("0,012".into())));
        check("1e-3", Err(PriceError::NotANumber("1e-3".into())));
        check("", Err(PriceError::NotANumber(String::new())));
        let long = format!("0.{}1", "0".repeat(40));
        check(&long, Err(PriceError::TooManyDecimals(long.clone())));
    }
}
