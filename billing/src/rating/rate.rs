//! The terms on which one destination is priced, and a rate as it was applied to a call: the
//! terms, the roundings, and where they came from.

use std::fmt;
use std::sync::Arc;

use vocabulary::{Location, Number, Utc};

use super::{AppliedSpecial, Price};
use crate::{AppliedTaxes, Currency, Money};

/// A set of rates assigned to accounts or carriers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RateGroupId(pub u32);

/// The group of a price that comes from no group: the account's own local price.
pub const RATE_GROUP_NONE: RateGroupId = RateGroupId(0);

impl fmt::Display for RateGroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How the measured talk time becomes whole seconds (R6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum DurationRounding {
    /// A begun second counts.
    #[default]
    Up,
    /// Half a second and more counts.
    Nearest,
    /// Only full seconds count.
    Down,
}

/// Which way an amount between two decimals goes (R7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum MoneyMode {
    /// Away from zero.
    #[default]
    Up,
    /// Towards zero.
    Down,
    /// To the nearest; the middle goes up.
    HalfUp,
    /// To the nearest; the middle goes to the even digit.
    HalfEven,
}

/// The rounding of a charge: once, at the end, to this many decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MoneyRounding {
    /// Which way.
    pub mode: MoneyMode,
    /// 0 to 6.
    pub decimals: u8,
}

impl Default for MoneyRounding {
    fn default() -> MoneyRounding {
        MoneyRounding { mode: MoneyMode::Up, decimals: 6 }
    }
}

/// The price of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Of billed time.
    pub price: Price,
    /// Seconds that the price is for: 60, or another number of which a day is a multiple.
    pub unit_seconds: u32,
    /// Once per answered call.
    pub connect_fee: Price,
    /// Seconds of the first increment; at least 1.
    pub first_increment: u32,
    /// Seconds of each further increment; at least 1.
    pub next_increment: u32,
    /// A call of at most this many seconds costs nothing, the fee included; a longer one is
    /// billed in full. 0: none.
    pub grace_seconds: u32,
    /// The first seconds of every call are not billed; the connect fee is.
    pub free_seconds: u32,
    /// A call with anything to bill is billed for at least this many seconds.
    pub minimum_seconds: u32,
    /// A call with anything to pay costs at least this.
    pub minimum_charge: Price,
    /// Calls to this destination are refused.
    pub is_blocked: bool,
}

/// Why the terms make no rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// A first or next increment of zero, or above a day.
    #[error("an increment is 1 to 86400 seconds")]
    Increment,
    /// Grace, free or minimum seconds above a day.
    #[error("grace, free and minimum seconds are at most 86400")]
    Seconds,
    /// A price for a time that no day is a multiple of.
    #[error("a price is for 1 to 86400 seconds of which a day is a multiple: 1, 6, 30, 60, 3600")]
    Unit,
    /// A step at or before an earlier one, or at the start.
    #[error("steps come in order of their first second, which is at least 1")]
    StepOrder,
    /// Not 0 to 10,000 with two decimals; for a discount not 0 to 100.
    #[error("a percentage has at most two decimals and is at most 10000, a discount at most 100")]
    Percent,
    /// More than six decimals to round to.
    #[error("money is rounded to 0 to 6 decimals")]
    Decimals,
    /// Not digits, or more than 31.
    #[error("a caller's prefix is 0 to 31 digits")]
    OriginPrefix,
    /// No such time zone.
    #[error("the time zone is not in the IANA database; write e.g. Europe/Berlin")]
    Zone,
    /// No such date.
    #[error("a date is written 2026-12-25")]
    Date,
    /// A time outside the day, or unsorted holidays.
    #[error(
        "a period lies between 00:00 and 24:00, holidays are in order, and there are at most 1000 periods"
    )]
    Calendar,
    /// Not digits, or more than 31.
    #[error("a destination's prefix is 0 to 31 digits")]
    Destination,
    /// A window without a price.
    #[error("the windows of a call name prices that it has, in order of time")]
    Window,
}

const SECONDS_MAX: u32 = 86_400;

pub(super) fn increment_fits(seconds: u32) -> Result<(), RateError> {
    if (1..=SECONDS_MAX).contains(&seconds) { Ok(()) } else { Err(RateError::Increment) }
}

pub(super) fn unit_fits(seconds: u32) -> Result<(), RateError> {
    let fits = (1..=SECONDS_MAX).contains(&seconds) && SECONDS_MAX.is_multiple_of(seconds);
    if fits { Ok(()) } else { Err(RateError::Unit) }
}

impl Rate {
    /// A price per minute with increments and nothing else.
    pub fn per_minute(price: Price, first_increment: u32, next_increment: u32) -> Rate {
        Rate {
            price,
            unit_seconds: 60,
            connect_fee: Price::ZERO,
            first_increment,
            next_increment,
            grace_seconds: 0,
            free_seconds: 0,
            minimum_seconds: 0,
            minimum_charge: Price::ZERO,
            is_blocked: false,
        }
    }

    /// Are the seconds within their bounds?
    pub fn validate(&self) -> Result<(), RateError> {
        increment_fits(self.first_increment)?;
        increment_fits(self.next_increment)?;
        unit_fits(self.unit_seconds)?;
        if [self.grace_seconds, self.free_seconds, self.minimum_seconds]
            .iter()
            .any(|s| *s > SECONDS_MAX)
        {
            return Err(RateError::Seconds);
        }
        Ok(())
    }
}

/// A rate as it applies to one call, fixed when the call came in: everything that its price needs,
/// so that a call can be priced again from its journal records alone. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedRate {
    /// The terms.
    pub rate: Rate,
    /// How talk time becomes seconds: the account's setting.
    pub duration_rounding: DurationRounding,
    /// How the sum becomes money: the rate group's setting.
    pub money_rounding: MoneyRounding,
    /// The currency of the account and the charge; the price's too, unless it is exchanged.
    pub currency: Currency,
    /// The group that the rate was found in; `RATE_GROUP_NONE` for a local price.
    pub group: RateGroupId,
    /// The version of the rate sheet that brought the row.
    pub sheet_version: u32,
    /// How many digits of the number that the rate was looked up by its prefix has.
    pub prefix_length: u8,
    /// It was looked up by the LRN and not by the called number (T7).
    pub is_by_lrn: bool,
    /// What the call has beyond the plain rate; nothing for most.
    pub special: Option<Arc<AppliedSpecial>>,
    /// The taxes on what is paid by it (R13); nothing for a carrier, and for who pays none.
    pub taxes: Option<Arc<AppliedTaxes>>,
}

impl AppliedRate {
    /// The number that its prefix is of.
    pub fn rated_number<'n>(&self, cld: &'n Number, location: &'n Location) -> &'n Number {
        location.lrn.as_ref().filter(|_| self.is_by_lrn).unwrap_or(cld)
    }

    /// The least that a call answered at `at` can cost: what must be there before it may start.
    pub fn first_second(&self, at: Utc) -> Result<Money, crate::MoneyError> {
        super::price(self, &super::Talk::answered(at, std::time::Duration::from_secs(1)))
    }
}
