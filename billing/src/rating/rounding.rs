//! Where exact sums become money, and durations whole seconds: the only places that round.

use std::time::Duration;

use super::charge::SECONDS_MAX;
use super::{DurationRounding, MoneyMode, MoneyRounding, Price};
use crate::{Money, MoneyError};

/// A sum that is exact in some scale.
pub(super) type Exact = i128;

/// In how many parts a billionth of the currency's unit is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scale(i128);

impl Scale {
    /// A price for any part of a day times seconds is whole: 86,400 parts.
    pub(super) const TIME: Scale = Scale(86_400);
    /// Two shares of hundredths of a percent, one of the other, are whole too.
    pub(super) const SHARES: Scale = Scale(86_400 * Scale::SHARES_PER_TIME);
    /// From the one to the other.
    pub(super) const SHARES_PER_TIME: i128 = 10_000 * 10_000;

    /// A price in this scale.
    pub(super) fn of(self, price: Price) -> Exact {
        i128::from(price.nanos()) * self.0
    }

    /// The sum times an exchange rate, in the scale that keeps it exact.
    pub(super) fn exchanged(self, sum: Exact, rate: Price) -> Result<(Exact, Scale), MoneyError> {
        let (mut times, mut parts) = (rate.nanos(), 1_000_000_000_i64);
        // A shorter fraction leaves room for larger sums.
        while times % 10 == 0 && parts > 1 && times > 0 {
            times /= 10;
            parts /= 10;
        }
        let sum = sum.checked_mul(times.into()).ok_or(MoneyError::TooLarge)?;
        Ok((sum, Scale(self.0 * i128::from(parts))))
    }

    fn step(self, decimals: u8) -> i128 {
        let micros = 10_i128.pow(6 - u32::from(decimals.min(6)));
        self.0 * 1_000 * micros
    }

    /// The only place where a charge is rounded.
    pub(super) fn money(self, exact: Exact, rounding: MoneyRounding) -> Result<Money, MoneyError> {
        let micros = 10_i128.pow(6 - u32::from(rounding.decimals.min(6)));
        let steps = steps(exact, self.step(rounding.decimals), rounding.mode);
        i64::try_from(steps * micros).map(Money).map_err(|_| MoneyError::TooLarge)
    }
}

fn steps(exact: Exact, step: i128, mode: MoneyMode) -> i128 {
    let (whole, rest) = (exact / step, exact % step);
    let goes_up = match mode {
        MoneyMode::Up => rest > 0,
        MoneyMode::Down => false,
        MoneyMode::HalfUp => rest >= step - rest,
        MoneyMode::HalfEven => rest > step - rest || (rest == step - rest && whole % 2 == 1),
    };
    whole + i128::from(goes_up)
}

impl MoneyRounding {
    /// What amounts are multiples of after it, in micro-units.
    pub(crate) fn step_micros(self) -> i64 {
        10_i64.pow(6 - u32::from(self.decimals.min(6)))
    }
}

impl Money {
    /// The amount in as many decimals. A negative one is rounded as its opposite is: up is away from
    /// zero.
    pub fn rounded(self, rounding: MoneyRounding) -> Result<Money, MoneyError> {
        rounded_ratio(self, 1, 1, rounding)
    }
}

/// `parts` of `whole` parts of an amount, rounded once: exact for up to 10^18 parts.
pub(crate) fn rounded_ratio(
    amount: Money,
    parts: Exact,
    whole: Exact,
    rounding: MoneyRounding,
) -> Result<Money, MoneyError> {
    let step = i128::from(rounding.step_micros());
    let size = i128::from(amount.0.unsigned_abs());
    let size = steps(size * parts, whole * step, rounding.mode) * step;
    let signed = if amount.is_negative() { -size } else { size };
    i64::try_from(signed).map(Money).map_err(|_| MoneyError::TooLarge)
}

/// One line of a charge, rounded if the rate rounds lines.
pub(super) fn rounded_line(
    exact: Exact,
    scale: Scale,
    rounding: Option<MoneyRounding>,
) -> Result<Exact, MoneyError> {
    let Some(rounding) = rounding else { return Ok(exact) };
    let step = scale.step(rounding.decimals);
    steps(exact, step, rounding.mode).checked_mul(step).ok_or(MoneyError::TooLarge)
}

/// Whole seconds of a duration.
pub(super) fn duration_seconds(duration: Duration, rounding: DurationRounding) -> u32 {
    let whole = duration.as_secs();
    let part = duration.subsec_nanos();
    let begun = match rounding {
        DurationRounding::Up => part > 0,
        DurationRounding::Nearest => part >= 500_000_000,
        DurationRounding::Down => false,
    };
    let seconds = whole.saturating_add(u64::from(begun)).min(SECONDS_MAX.into());
    u32::try_from(seconds).expect("limited to 31 bits")
}
