//! What a message costs (RFC 3428): it has no time that could be priced.

use std::sync::Arc;

use super::rate_book::{free, ungrouped};
use super::{
    AccountTariff, AppliedRate, CallQuery, Discount, DurationRounding, PayerTerms, Price, Rate,
    RateBook, RateGroupId, Unrated,
};
use crate::Currency;

impl RateBook {
    /// What one costs by the rates of this group: the connect fee of its rate, with what is on top of
    /// that or off it. Free, if there is no group for it.
    pub(super) fn message_rate(
        &self,
        tariff: &AccountTariff,
        group: Option<RateGroupId>,
        call: &CallQuery<'_>,
        (currency, discounts): (Currency, &[Discount]),
    ) -> Result<AppliedRate, Unrated> {
        let Some(group) = group else { return Ok(ungrouped(free(), tariff, currency)) };
        let duration_rounding = DurationRounding::default();
        let payer = PayerTerms { duration_rounding, currency, exchange: None, discounts };
        self.rate(group, call, &payer).map(AppliedRate::of_message)
    }
}

impl AppliedRate {
    /// As it applies to a message: only what it costs once is left.
    fn of_message(mut self) -> AppliedRate {
        let Rate { connect_fee, minimum_charge, is_blocked, .. } = self.rate;
        let free = Rate::per_minute(Price::ZERO, 60, 60);
        self.rate = Rate { connect_fee, minimum_charge, is_blocked, ..free };
        if let Some(special) = &mut self.special {
            Arc::make_mut(special).forget_time();
        }
        self
    }
}
