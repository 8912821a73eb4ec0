//! From the terms of a rate to those of one call: which windows, which origin, which discount,
//! which exchange rate. Once, when the call comes in.

use std::sync::Arc;

use vocabulary::{AuthorizeRequest, Location, Number, SiteId, Utc};

use super::calendar::PeriodChoice;
use super::destination::discount;
use super::special::{
    AppliedDiscount, AppliedSpecial, Exchange, OriginTerms, SpecialTerms, Surcharge, TimePrice,
};
use super::{AppliedRate, Discount, DurationRounding, ExchangeRate, Rate, RateGroup};
use crate::Currency;

/// What a rate is looked up by.
#[derive(Clone, Copy, Debug)]
pub struct CallQuery<'a> {
    /// The number called, after translation.
    pub cld: &'a Number,
    /// The caller after caller-ID policy.
    pub cli: Option<&'a Number>,
    /// When the call came in: periods and discounts go by it.
    pub at: Utc,
    /// Which version of the rates counts: the one in force at this moment. It is `at`, but for a dry
    /// run of rates that begin later (B6).
    pub in_force_at: Utc,
    /// Which site of the account it is from.
    pub site: Option<SiteId>,
    /// Where it goes.
    pub location: Location,
}

impl<'a> CallQuery<'a> {
    pub(crate) fn of(request: &'a AuthorizeRequest, site: Option<SiteId>) -> CallQuery<'a> {
        CallQuery {
            cld: &request.cld,
            cli: request.cli.as_ref(),
            at: request.at,
            in_force_at: request.at,
            site,
            location: request.location,
        }
    }
}

/// Who is charged, as far as the price depends on it.
#[derive(Clone, Copy, Debug)]
pub struct PayerTerms<'a> {
    /// How its talk time becomes seconds.
    pub duration_rounding: DurationRounding,
    /// What it is charged in.
    pub currency: Currency,
    /// One unit of the price's currency in the payer's, if they differ and it is known.
    pub exchange: Option<ExchangeRate>,
    /// Its discounts.
    pub discounts: &'a [Discount],
}

/// Why a group has no price for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRated {
    /// No rate in force.
    NoRate,
    /// The rate in force refuses calls.
    Blocked {
        /// How many digits matched.
        prefix_length: u8,
    },
}

impl RateGroup {
    /// The rate as it applies to one call, everything looked up. Without an exchange rate it is in
    /// the currency of the group.
    pub fn apply(
        &self,
        call: &CallQuery<'_>,
        payer: &PayerTerms<'_>,
    ) -> Result<AppliedRate, NotRated> {
        let found =
            self.lookup(self.rated_number(call), call.in_force_at).ok_or(NotRated::NoRate)?;
        let prefix_length = found.prefix_length;
        if found.rate.is_blocked {
            return Err(NotRated::Blocked { prefix_length });
        }
        let terms = found.special.map(Arc::as_ref);
        let from = self.terms().currency;
        let differs = from.code() != payer.currency.code();
        let exchange = payer.exchange.filter(|_| differs).map(|rate| Exchange { from, rate });
        let circumstances = Circumstances {
            cli: call.cli,
            at: call.at,
            discount: discount(payer.discounts, call),
            exchange,
        };
        let mut special = resolve(found.rate, terms, circumstances);
        self.add_later_versions(call, &found, &mut special);
        Ok(AppliedRate {
            rate: *found.rate,
            special: special.map(Arc::new),
            duration_rounding: terms
                .and_then(|terms| terms.duration_rounding)
                .unwrap_or(payer.duration_rounding),
            money_rounding: terms
                .and_then(|terms| terms.money_rounding)
                .unwrap_or(self.terms().money_rounding),
            currency: if exchange.is_some() { payer.currency } else { from },
            group: self.terms().id,
            sheet_version: found.sheet_version,
            prefix_length,
            is_by_lrn: self.is_by_lrn() && call.location.lrn.is_some(),
            taxes: None,
        })
    }
}

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
    let mut applied = AppliedSpecial::plain(own_price(rate, terms));
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

/// The price of time outside of periods.
pub(super) fn own_price(rate: &Rate, terms: Option<&SpecialTerms>) -> TimePrice {
    let mut price = TimePrice::of(rate);
    price.steps = terms.and_then(|terms| terms.steps.clone()).unwrap_or_default();
    price
}

fn apply_origin(applied: &mut AppliedSpecial, origin: &OriginTerms) {
    applied.origin = Some(origin.name.clone());
    price_by_origin(&mut applied.prices, origin);
    let both: Vec<Surcharge> =
        applied.surcharges.iter().chain(&origin.surcharges).cloned().collect();
    applied.surcharges = both.into();
}

/// What an origin says of prices of time stands for all of them.
pub(super) fn price_by_origin(prices: &mut [TimePrice], origin: &OriginTerms) {
    for price in prices {
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
}
