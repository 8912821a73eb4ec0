//! Values that several unit tests start from.

use crate::Currency;
use crate::rating::{AppliedRate, DurationRounding, MoneyRounding, Rate, RateGroupId};

/// A rate with the default roundings, in euro.
pub(crate) fn applied(rate: Rate) -> AppliedRate {
    AppliedRate {
        rate,
        duration_rounding: DurationRounding::Up,
        money_rounding: MoneyRounding::default(),
        currency: Currency::EUR,
        group: RateGroupId(1),
        sheet_version: 1,
        prefix_length: 2,
        is_by_lrn: false,
        special: None,
        taxes: None,
    }
}
