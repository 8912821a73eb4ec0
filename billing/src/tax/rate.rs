//! How much a tax is.

use std::fmt;
use std::str::FromStr;

use crate::rating::Price;

/// A percentage with at most four decimals, up to 1,000 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TaxRate(u32);

/// Why taxes cannot be as they are written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaxError {
    /// Not a number, or out of bounds.
    #[error("{0:?} is no rate of a tax: write a percentage from 0 to 1000 with at most 4 decimals")]
    Rate(String),
    /// More than eight at the same time.
    #[error("at most 8 taxes can hold at the same time")]
    TooMany,
    /// Compound taxes whose product has too many decimals to be exact.
    #[error("so many compound taxes with so many decimals cannot be calculated exactly")]
    TooFine,
    /// A tax twice at the same time.
    #[error("tax {0:?} holds twice at the same time; end the one before the other begins")]
    Twice(String),
    /// An end that is not after the begin.
    #[error("{0:?} ends before it begins")]
    Backwards(String),
    /// A tax of nothing.
    #[error("tax {0:?} applies to nothing; name usage, recurring, one_time or credit_note")]
    OfNothing(String),
    /// An exemption from a tax that is not there.
    #[error("there is no tax {0:?} to be exempt from; the taxes are {1}")]
    Unknown(String, String),
}

impl TaxRate {
    /// Parts in a whole.
    pub(super) const WHOLE: i128 = 1_000_000;
    const PARTS_MAX: u32 = 10_000_000;

    /// From ten-thousandths of a percent; `None` above 1,000 %.
    pub fn from_parts(parts: u32) -> Option<TaxRate> {
        (parts <= TaxRate::PARTS_MAX).then_some(TaxRate(parts))
    }

    /// Ten-thousandths of a percent.
    pub fn parts(self) -> u32 {
        self.0
    }
}

impl FromStr for TaxRate {
    type Err = TaxError;

    fn from_str(text: &str) -> Result<TaxRate, TaxError> {
        const NANOS_PER_PART: i64 = 100_000;
        let wrong = || TaxError::Rate(text.to_owned());
        let nanos = text.parse::<Price>().map_err(|_| wrong())?.nanos();
        if nanos % NANOS_PER_PART != 0 {
            return Err(wrong());
        }
        let parts = u32::try_from(nanos / NANOS_PER_PART).map_err(|_| wrong())?;
        TaxRate::from_parts(parts).ok_or_else(wrong)
    }
}

impl fmt::Display for TaxRate {
    /// Without needless zeros: `9.975`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 10_000, self.0 % 10_000);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{rest:04}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}
