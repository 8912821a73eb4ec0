//! Terms that few rates have: steps, periods of the day, surcharges, prices by caller, a cap. Set
//! for a whole rate group and overridden for one destination (V-14, V-15).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use vocabulary::{Number, Utc};

use super::calendar::Calendar;
use super::{DurationRounding, MoneyRounding, Price, Rate, RateError};
use crate::Currency;

/// A share, in hundredths of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Percent(u32);

/// Hundredths of a percent in a whole.
pub(crate) const PERCENT_WHOLE: u32 = 10_000;
const PERCENT_MAX: u32 = 100 * PERCENT_WHOLE;

impl Percent {
    /// From hundredths of a percent; `None` above 10,000 %.
    pub fn from_hundredths(hundredths: u32) -> Option<Percent> {
        (hundredths <= PERCENT_MAX).then_some(Percent(hundredths))
    }

    /// Hundredths of a percent.
    pub fn hundredths(self) -> u32 {
        self.0
    }
}

impl FromStr for Percent {
    type Err = RateError;

    /// `12.5`: at most two decimals.
    fn from_str(text: &str) -> Result<Percent, RateError> {
        let price: Price = text.parse().map_err(|_| RateError::Percent)?;
        let nanos = price.nanos();
        let hundredths = u32::try_from(nanos / 10_000_000).map_err(|_| RateError::Percent)?;
        if nanos % 10_000_000 != 0 {
            return Err(RateError::Percent);
        }
        Percent::from_hundredths(hundredths).ok_or(RateError::Percent)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole}"),
            (whole, rest) if rest % 10 == 0 => write!(f, "{whole}.{}", rest / 10),
            (whole, rest) => write!(f, "{whole}.{rest:02}"),
        }
    }
}

/// What another price holds from a second of the call on, counted from the answer. An increment
/// that begins before is still the earlier price's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// The first second that it holds for.
    pub from_seconds: u32,
    /// The price.
    pub price: Price,
    /// Seconds that the price is for; 60 usual.
    pub unit_seconds: u32,
    /// Seconds of each increment.
    pub increment: u32,
}

/// The price of time, with a name if it is a period's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TimePrice {
    /// The period's name; empty for the rate itself.
    pub name: String,
    /// Once per call that is answered in it.
    pub connect_fee: Price,
    /// Of the time, until a step.
    pub price: Price,
    /// Seconds that the price is for; 60 usual.
    pub unit_seconds: u32,
    /// Seconds of the first increment of a call that is answered in it.
    pub first_increment: u32,
    /// Seconds of each further increment.
    pub next_increment: u32,
    /// Later prices, by their first second.
    pub steps: Box<[Step]>,
}

impl TimePrice {
    /// The price of time of a plain rate.
    pub fn of(rate: &Rate) -> TimePrice {
        TimePrice {
            name: String::new(),
            connect_fee: rate.connect_fee,
            price: rate.price,
            unit_seconds: rate.unit_seconds,
            first_increment: rate.first_increment,
            next_increment: rate.next_increment,
            steps: Box::default(),
        }
    }

    /// Are increments and units in bounds, and steps in order?
    pub fn validate(&self) -> Result<(), RateError> {
        super::rate::increment_fits(self.first_increment)?;
        super::rate::increment_fits(self.next_increment)?;
        super::rate::unit_fits(self.unit_seconds)?;
        steps_fit(&self.steps)
    }
}

fn steps_fit(steps: &[Step]) -> Result<(), RateError> {
    let mut before = 0;
    for step in steps {
        super::rate::increment_fits(step.increment)?;
        super::rate::unit_fits(step.unit_seconds)?;
        if step.from_seconds <= before {
            return Err(RateError::StepOrder);
        }
        before = step.from_seconds;
    }
    Ok(())
}

/// How much a surcharge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SurchargeAmount {
    /// Once per answered call.
    Fixed(Price),
    /// Of connect fee and time, after the discount.
    Share(Percent),
}

/// An amount on top of connect fee and time: a payphone's, a fund's, a caller's from abroad.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Surcharge {
    /// What it is called in the explanation.
    pub name: String,
    /// How much.
    pub amount: SurchargeAmount,
}

/// Other terms for callers whose number begins with one of these prefixes (R11).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct OriginTerms {
    /// What it is called in the explanation.
    pub name: String,
    /// Of the caller's number; the longest of all origins wins. Empty text: any valid number.
    pub prefixes: Box<[String]>,
    /// For calls without a number, or with one that is no E.164 number.
    pub is_for_invalid: bool,
    /// Replaces the price of time, in all periods and steps.
    pub price: Option<Price>,
    /// Replaces the connect fee.
    pub connect_fee: Option<Price>,
    /// Added to the rate's own.
    pub surcharges: Box<[Surcharge]>,
}

/// What follows when a call's charge reaches its cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AfterCap {
    /// The rest of the call is free.
    Free,
    /// The call ends with the increment in which it does.
    Disconnect,
}

/// The most that a call costs, in the currency of the price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cap {
    /// How much.
    pub amount: Price,
    /// What then.
    pub after: AfterCap,
}

/// What a call pays that is under way when another version of its rate begins (R8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum VersionChoice {
    /// All of it the version in force when it came in.
    #[default]
    AtStart,
    /// Its time the version in force when each increment begins; all else as it came in.
    EachIncrement,
}

/// What a rate or a whole group has beyond price, fee and increments. A field that is `None` is
/// the group's, or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct SpecialTerms {
    /// Later prices of the rate itself, by their first second.
    pub steps: Option<Box<[Step]>>,
    /// Other prices at times of the day, on weekdays and holidays (R9).
    pub calendar: Option<Arc<Calendar>>,
    /// Amounts on top.
    pub surcharges: Option<Box<[Surcharge]>>,
    /// Other terms by the caller's number.
    pub origins: Option<Box<[OriginTerms]>>,
    /// The most that a call costs.
    pub cap: Option<Cap>,
    /// Rounds each line of a charge before they are added up.
    pub line_rounding: Option<MoneyRounding>,
    /// Rounds the call; otherwise the group's.
    pub money_rounding: Option<MoneyRounding>,
    /// Rounds the talk to seconds; otherwise the account's.
    pub duration_rounding: Option<DurationRounding>,
    /// What a version that begins in mid-call does; otherwise nothing.
    pub versions: Option<VersionChoice>,
}

impl SpecialTerms {
    /// Nothing at all?
    pub fn is_empty(&self) -> bool {
        *self == SpecialTerms::default()
    }

    /// These terms, and where they say nothing, the group's (V-15).
    #[must_use]
    pub fn over(&self, group: &SpecialTerms) -> SpecialTerms {
        let own = self.clone();
        let group = group.clone();
        SpecialTerms {
            steps: own.steps.or(group.steps),
            calendar: own.calendar.or(group.calendar),
            surcharges: own.surcharges.or(group.surcharges),
            origins: own.origins.or(group.origins),
            cap: own.cap.or(group.cap),
            line_rounding: own.line_rounding.or(group.line_rounding),
            money_rounding: own.money_rounding.or(group.money_rounding),
            duration_rounding: own.duration_rounding.or(group.duration_rounding),
            versions: own.versions.or(group.versions),
        }
    }

    /// Is everything in bounds?
    pub fn validate(&self) -> Result<(), RateError> {
        steps_fit(self.steps.as_deref().unwrap_or_default())?;
        if let Some(calendar) = &self.calendar {
            calendar.validate()?;
        }
        for rounding in self.line_rounding.iter().chain(&self.money_rounding) {
            if rounding.decimals > 6 {
                return Err(RateError::Decimals);
            }
        }
        for origin in self.origins.as_deref().unwrap_or_default() {
            let is_digits = |prefix: &String| {
                prefix.len() <= 31 && prefix.bytes().all(|byte| byte.is_ascii_digit())
            };
            if !origin.prefixes.iter().all(is_digits) {
                return Err(RateError::OriginPrefix);
            }
        }
        Ok(())
    }

    /// The terms for this caller: of the longest prefix.
    pub(crate) fn origin(&self, cli: Option<&Number>) -> Option<&OriginTerms> {
        let origins = self.origins.as_deref()?;
        let Some(cli) = cli.filter(|cli| is_e164(cli)) else {
            return origins.iter().find(|origin| origin.is_for_invalid);
        };
        let matching = |prefix: &&String| cli.as_str().starts_with(prefix.as_str());
        let longest = |origin: &OriginTerms| {
            origin.prefixes.iter().filter(matching).map(|prefix| prefix.len() + 1).max()
        };
        let with_length = origins.iter().filter_map(|origin| Some((longest(origin)?, origin)));
        // Of equal ones the first counts.
        with_length.rev().max_by_key(|(length, _)| *length).map(|(_, origin)| origin)
    }
}

/// 7 to 15 digits, no trunk zero: what a caller abroad could be called back at.
fn is_e164(number: &Number) -> bool {
    let digits = number.as_bytes();
    (7..=15).contains(&digits.len()) && digits[0] != b'0' && digits.iter().all(u8::is_ascii_digit)
}

/// How many units of one currency a unit of another is, with at most nine decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExchangeRate(Price);

impl ExchangeRate {
    /// `None` for zero.
    pub fn new(rate: Price) -> Option<ExchangeRate> {
        (!rate.is_zero()).then_some(ExchangeRate(rate))
    }

    /// Of a currency in itself.
    pub(crate) fn one() -> ExchangeRate {
        ExchangeRate(Price::from_nanos(1_000_000_000).expect("far below the greatest price"))
    }

    /// The factor.
    pub fn rate(self) -> Price {
        self.0
    }
}

/// The conversion of a charge from the currency of its price, fixed when the call came in (R12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The currency of the price.
    pub from: Currency,
    /// What one unit of it is in the currency of the charge.
    pub rate: ExchangeRate,
}

/// A discount as it applies to one call (J-17, J-29).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedDiscount {
    /// What it is called in the explanation.
    pub name: String,
    /// Of connect fee and time; at most 100 %.
    pub percent: Percent,
}

/// From when on which price of time holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its first moment; the first window of a call also holds before.
    pub from: Utc,
    /// The index of its price.
    pub price: u16,
}

/// What a call has beyond a plain rate, resolved when it came in: no zone, no calendar, no prefix
/// is looked up any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedSpecial {
    /// The prices that its windows use; at least one. The first holds if there are no windows.
    pub prices: Box<[TimePrice]>,
    /// In order of time.
    pub windows: Box<[Window]>,
    /// Does each increment take the price of its own start? Otherwise all take the answer's.
    pub is_split: bool,
    /// The origin's name, if one applied (R11).
    pub origin: Option<String>,
    /// Amounts on top.
    pub surcharges: Box<[Surcharge]>,
    /// The discount.
    pub discount: Option<AppliedDiscount>,
    /// The most that the call costs.
    pub cap: Option<Cap>,
    /// Rounds each line.
    pub line_rounding: Option<MoneyRounding>,
    /// The conversion into the currency of the charge.
    pub exchange: Option<Exchange>,
}

impl AppliedSpecial {
    /// Only the price of time; where resolving starts.
    pub fn plain(price: TimePrice) -> AppliedSpecial {
        AppliedSpecial {
            prices: Box::new([price]),
            windows: Box::default(),
            is_split: false,
            origin: None,
            surcharges: Box::default(),
            discount: None,
            cap: None,
            line_rounding: None,
            exchange: None,
        }
    }

    /// Leaves nothing that depends on how long a call lasts.
    pub(super) fn forget_time(&mut self) {
        for price in &mut self.prices {
            price.price = Price::ZERO;
            price.steps = Box::default();
        }
        // There is nothing that a cap could end.
        if let Some(cap) = &mut self.cap {
            cap.after = AfterCap::Free;
        }
    }

    /// Is everything in bounds? What was resolved from valid terms is.
    pub fn validate(&self) -> Result<(), RateError> {
        if self.prices.is_empty() {
            return Err(RateError::Window);
        }
        for price in &self.prices {
            price.validate()?;
        }
        let mut windows = self.windows.iter();
        if windows.any(|window| usize::from(window.price) >= self.prices.len())
            || !self.windows.is_sorted_by_key(|window| window.from)
        {
            return Err(RateError::Window);
        }
        if self.discount.as_ref().is_some_and(|discount| discount.percent.0 > PERCENT_WHOLE) {
            return Err(RateError::Percent);
        }
        if self.line_rounding.is_some_and(|rounding| rounding.decimals > 6) {
            return Err(RateError::Decimals);
        }
        Ok(())
    }
}
