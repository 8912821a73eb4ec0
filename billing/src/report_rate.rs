//! What profit is counted in where a call is paid for in one currency and costs in another (R12).

use crate::codec::code_struct;
use crate::rating::ExchangeRate;
use crate::{Currency, Money};

/// The currency that profit is counted in, and what one unit of a side's own currency was in it when
/// the call came in: stored with the call, so that its profit stays what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportRate {
    /// The currency.
    pub currency: Currency,
    /// One unit of the side's currency in it.
    pub rate: ExchangeRate,
}

impl ReportRate {
    /// Micro-units of the side's currency as micro-units of this one; fractions of one are cut off.
    pub fn convert(&self, micros: i128) -> i128 {
        micros * i128::from(self.rate.rate().nanos()) / 1_000_000_000
    }

    /// An amount of the side's currency in this one.
    pub fn convert_money(&self, amount: Money) -> i128 {
        self.convert(amount.0.into())
    }
}

code_struct!(ReportRate { currency, rate });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_converted_exactly_below_the_micro_unit() {
        let rate = ExchangeRate::new("0.92345678".parse().unwrap()).unwrap();
        let report = ReportRate { currency: Currency::EUR, rate };
        assert_eq!(report.convert_money(Money::units(100)), 92_345_678);
        assert_eq!(report.convert_money(Money(-1_000_001)), -923_457);
        assert_eq!(report.convert(i128::from(i64::MAX)), 8_517_385_441_895_952_594);
    }
}
