//! From the terms of a rate to those of one call: which windows, which origin, which discount,
//! which exchange rate. Once, when the call comes in.

use vocabulary::{Number, Utc};

use super::Rate;
use super::calendar::PeriodChoice;
use super::special::{
    AppliedDiscount, AppliedSpecial, Exchange, OriginTerms, SpecialTerms, Surcharge, TimePrice,
};

/// What resolving looks at besides the terms.
pub(super) struct Circumstances<'a> {
    pub(super) cli: Option<&'a Number>,
    pub(super) at: Utc,
    pub(super) discount: Option<AppliedDiscount>,
    pub(super) exchange: Option<Exchange>,
}

/// `None` if the call is priced by the plain rate.
pub(super) fn resolve(
    rate: &Rate,
    terms: Option<&SpecialTerms>,
    call: Circumstances<'_>,
) -> Option<AppliedSpecial> {
    if terms.is_none() && call.discount.is_none() && call.exchange.is_none() {
        return None;
    }
    let mut price = TimePrice::of(rate);
    price.steps = terms.and_then(|terms| terms.steps.clone()).unwrap_or_default();
    let mut applied = AppliedSpecial::plain(price);
    applied.discount = call.discount;
    applied.exchange = call.exchange;
    let Some(terms) = terms else { return Some(applied) };
    if let Some(calendar) = &terms.calendar {
        let (prices, windows) = calendar.windows(&applied.prices[0], call.at);
        applied.is_split = calendar.choice == PeriodChoice::EachIncrement;
        applied.prices = prices.into();
        // One price for the whole horizon needs no window.
        applied.windows = if windows.len() > 1 { windows.into() } else { Box::default() };
    }
    applied.surcharges = terms.surcharges.clone().unwrap_or_default();
    applied.cap = terms.cap;
    applied.line_rounding = terms.line_rounding;
    if let Some(origin) = terms.origin(call.cli) {
        apply_origin(&mut applied, origin);
    }
    Some(applied)
}

fn apply_origin(applied: &mut AppliedSpecial, origin: &OriginTerms) {
    applied.origin = Some(origin.name.clone());
    for price in &mut applied.prices {
        if let Some(of_time) = origin.price {
            price.price = of_time;
            for step in &mut price.steps {
                step.price = of_time;
            }
        }
        if let Some(fee) = origin.connect_fee {
            price.connect_fee = fee;
        }
    }
    let both: Vec<Surcharge> =
        applied.surcharges.iter().chain(&origin.surcharges).cloned().collect();
    applied.surcharges = both.into();
}
