//! Discounts on what a period came to: by its volume (J-30), in two methods (J-31), and by its growth
//! over the period before (J-32). Used by invoicing; exact, rounded once.

use std::str::FromStr;

use crate::{Money, MoneyError};

/// Millionths: 10 % is 100,000. Four decimals of a percent can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u32);

const WHOLE: u32 = 1_000_000;

/// What is wrong with a percentage or with tiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TierError {
    /// Not a percentage.
    #[error("write a percentage from 0 to 100 with at most four decimals, such as 12.5")]
    NotAPercentage,
    /// Tiers must rise.
    #[error("each tier begins above the one before")]
    NotRising,
    /// An amount does not fit.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

impl Percent {
    /// From millionths, at most a whole.
    pub fn from_millionths(millionths: u32) -> Result<Percent, TierError> {
        if millionths <= WHOLE { Ok(Percent(millionths)) } else { Err(TierError::NotAPercentage) }
    }

    /// In millionths.
    pub fn millionths(self) -> u32 {
        self.0
    }
}

impl FromStr for Percent {
    type Err = TierError;

    fn from_str(text: &str) -> Result<Percent, TierError> {
        let money: Money = text.parse().map_err(|_| TierError::NotAPercentage)?;
        if money.0 % 100 != 0 {
            return Err(TierError::NotAPercentage);
        }
        // 1 % is 1,000,000 micro-units and 10,000 millionths.
        let millionths = u32::try_from(money.0 / 100).map_err(|_| TierError::NotAPercentage)?;
        Percent::from_millionths(millionths)
    }
}

/// How a reached tier counts (J-31).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TierMethod {
    /// The tier that is reached counts for the whole volume.
    Retroactive,
    /// Each tier counts for the volume inside it.
    Incremental,
}

/// From so much volume on, so many percent off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    /// The volume after which it begins: 300 counts from the 301st unit on.
    pub above: u64,
    /// Off.
    pub percent: Percent,
}

/// Tiers that rise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tiers(Vec<Tier>);

impl Tiers {
    /// In rising order.
    pub fn new(tiers: Vec<Tier>) -> Result<Tiers, TierError> {
        if tiers.windows(2).any(|pair| pair[0].above >= pair[1].above) {
            return Err(TierError::NotRising);
        }
        Ok(Tiers(tiers))
    }

    /// Σ volume × percent over the tiers, in millionths of a unit of volume.
    fn weight(&self, method: TierMethod, volume: u64) -> i128 {
        match method {
            TierMethod::Retroactive => {
                let reached = self.0.iter().rev().find(|tier| volume > tier.above);
                let percent = reached.map_or(0, |tier| tier.percent.0);
                i128::from(volume) * i128::from(percent)
            }
            TierMethod::Incremental => {
                let ends = self.0.iter().skip(1).map(|tier| tier.above).chain([u64::MAX]);
                let inside = self.0.iter().zip(ends).map(|(tier, end)| {
                    let part = volume.min(end).saturating_sub(tier.above);
                    i128::from(part) * i128::from(tier.percent.0)
                });
                inside.sum()
            }
        }
    }
}

/// The discount on `charged`, the charges of `volume` units (seconds, calls, micro-units: those of
/// the tiers) to one destination, spread over them evenly. To the micro-unit, halves up; never more
/// than what was charged.
pub fn volume_discount(
    tiers: &Tiers,
    method: TierMethod,
    volume: u64,
    charged: Money,
) -> Result<Money, TierError> {
    part(charged, tiers.weight(method, volume), volume)
}

/// charged × weight / (volume × 1,000,000)
fn part(charged: Money, weight: i128, volume: u64) -> Result<Money, TierError> {
    if volume == 0 || charged.is_negative() {
        return Ok(Money::ZERO);
    }
    let whole = i128::from(volume) * i128::from(WHOLE);
    let amount = weight.checked_mul(i128::from(charged.0)).ok_or(MoneyError::TooLarge)?;
    let rounded = amount.checked_mul(2).and_then(|twice| twice.checked_add(whole));
    let rounded = rounded.ok_or(MoneyError::TooLarge)?.div_euclid(whole * 2);
    Ok(Money(i64::try_from(rounded).map_err(|_| MoneyError::TooLarge)?.min(charged.0)))
}

/// What a growth discount is taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// The whole volume of the period.
    Whole,
    /// Only what is above the period before.
    Growth,
}

/// A discount for more volume than in the invoicing run before (J-32).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrowthDiscount {
    /// By growth in percent of the volume before: `above` 20 begins when it grew by more than 20 %.
    pub tiers: Tiers,
    /// Whether one tier counts for all of the growth, or each for its part.
    pub method: TierMethod,
    /// Off what.
    pub base: Base,
}

/// The discount on `charged`, the charges of `volume`. The first run has nothing to compare with:
/// `previous` is `None`, and there is no discount; neither is there after a run without volume.
pub fn growth_discount(
    discount: &GrowthDiscount,
    previous: Option<u64>,
    volume: u64,
    charged: Money,
) -> Result<Money, TierError> {
    let Some(previous) = previous.filter(|previous| *previous > 0 && volume > *previous) else {
        return Ok(Money::ZERO);
    };
    let growth = volume - previous;
    // The tiers as volumes: above p % of the volume before, rounded down, which changes nothing for
    // whole units: growth > p × previous / 100 exactly if growth > ⌊p × previous / 100⌋.
    let as_volume = |tier: &Tier| {
        let above = u128::from(tier.above) * u128::from(previous) / 100;
        Tier { above: u64::try_from(above).unwrap_or(u64::MAX), percent: tier.percent }
    };
    let tiers = Tiers(discount.tiers.0.iter().map(as_volume).collect());
    let weight = tiers.weight(discount.method, growth);
    match discount.base {
        Base::Growth => part(charged, weight, volume),
        // The mean percentage of the growth, off everything.
        Base::Whole => part(charged, weight, growth),
    }
}
