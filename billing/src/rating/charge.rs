//! The one pricing function. Authorisation, reservation, settlement, recovery, simulation and
//! re-rating all call `price`; `explain` is the same function with its steps written down.
//!
//! Order: unanswered → 0; round the duration; grace; free seconds; minimum duration; connect fee;
//! first then next increments; minimum charge; one rounding. Everything before the rounding is
//! exact, in billionths × 60 as i128.

use std::time::Duration;

use super::{AppliedRate, DurationRounding, MoneyMode, MoneyRounding, Rate};
use crate::{Money, MoneyError};

/// What there is to price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Talk {
    /// The call never got a 200.
    Unanswered,
    /// It did, and lasted this long.
    Answered(Duration),
}

/// A price with its explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// What is to be paid.
    pub amount: Money,
    /// The seconds that were billed, whole increments.
    pub billed_seconds: u32,
    /// One line a step that mattered, in order; the last is the total.
    pub lines: Vec<ChargeLine>,
}

/// One step of a price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeLine {
    /// A stable word: `connect_fee`, `time`.
    pub code: &'static str,
    /// One sentence.
    pub sentence: String,
}

/// Sixtieths of a billionth: the unit in which a sum is exact.
const SIXTIETH_NANOS_PER_MICRO: i128 = 60 * 1_000;
/// The longest time that is priced: 68 years. Beyond, only a clock error lives.
const SECONDS_MAX: u64 = i32::MAX as u64;

/// What this talk costs. Never decreases as the talk gets longer.
pub fn price(applied: &AppliedRate, talk: Talk) -> Result<Money, MoneyError> {
    walk(applied, talk, &mut |_, _| {}).map(|(amount, _)| amount)
}

/// The price with each step as a sentence.
pub fn explain(applied: &AppliedRate, talk: Talk) -> Result<Charge, MoneyError> {
    let mut lines = Vec::with_capacity(4);
    let mut note = |code, sentence: &dyn Fn() -> String| {
        lines.push(ChargeLine { code, sentence: sentence() });
    };
    let (amount, billed_seconds) = walk(applied, talk, &mut note)?;
    Ok(Charge { amount, billed_seconds, lines })
}

/// The longest talk, in whole seconds up to `limit_seconds`, that costs no more than `balance`;
/// `None` if not even an answer can be paid for. Exact: one increment more costs more.
pub fn max_talk(applied: &AppliedRate, balance: Money, limit_seconds: u32) -> Option<u32> {
    let fits = |seconds: u32| {
        price(applied, Talk::Answered(Duration::from_secs(seconds.into())))
            .is_ok_and(|amount| amount <= balance)
    };
    if !fits(0) {
        return None;
    }
    // The price never decreases with time, so the border is found by halving.
    let (mut known, mut beyond) = (0, limit_seconds.saturating_add(1));
    while beyond - known > 1 {
        let middle = known + (beyond - known) / 2;
        if fits(middle) {
            known = middle;
        } else {
            beyond = middle;
        }
    }
    Some(known)
}

/// Whole seconds of a duration.
pub(crate) fn duration_seconds(duration: Duration, rounding: DurationRounding) -> u32 {
    let whole = duration.as_secs();
    let part = duration.subsec_nanos();
    let begun = match rounding {
        DurationRounding::Up => part > 0,
        DurationRounding::Nearest => part >= 500_000_000,
        DurationRounding::Down => false,
    };
    u32::try_from((whole.saturating_add(u64::from(begun))).min(SECONDS_MAX))
        .expect("limited to 31 bits")
}

/// First, then whole next increments: 20/15 at 31 s is 35 s.
fn whole_increments(rate: &Rate, seconds: u32) -> u32 {
    if seconds == 0 {
        return 0;
    }
    let beyond = seconds.saturating_sub(rate.first_increment);
    let next = beyond.div_ceil(rate.next_increment).saturating_mul(rate.next_increment);
    rate.first_increment.saturating_add(next)
}

type Note<'a> = dyn FnMut(&'static str, &dyn Fn() -> String) + 'a;

fn walk(
    applied: &AppliedRate,
    talk: Talk,
    note: &mut Note<'_>,
) -> Result<(Money, u32), MoneyError> {
    let rate = &applied.rate;
    let Talk::Answered(duration) = talk else {
        note("unanswered", &|| "Not answered: nothing to pay.".to_owned());
        return Ok((Money::ZERO, 0));
    };
    let seconds = duration_seconds(duration, applied.duration_rounding);
    if rate.grace_seconds > 0 && seconds <= rate.grace_seconds {
        let limit = rate.grace_seconds;
        note("grace", &|| format!("{seconds} s is within the grace of {limit} s: free."));
        return Ok((Money::ZERO, 0));
    }
    let billed = billed_seconds(rate, seconds, note);
    let fee = i128::from(rate.connect_fee.nanos()) * 60;
    if fee > 0 {
        note("connect_fee", &|| format!("Connect fee {}.", rate.connect_fee));
    }
    let time = i128::from(rate.price.nanos()) * i128::from(billed);
    note("time", &|| {
        let (first, next) = (rate.first_increment, rate.next_increment);
        let price = rate.price;
        format!("{seconds} s in increments {first}/{next} is {billed} s at {price} a minute.")
    });
    let mut sum = fee + time;
    let minimum = i128::from(rate.minimum_charge.nanos()) * 60;
    if (billed > 0 || fee > 0) && sum < minimum {
        note("minimum_charge", &|| format!("At least {} a call.", rate.minimum_charge));
        sum = minimum;
    }
    let amount = round_once(sum, applied.money_rounding)?;
    note("total", &|| {
        let MoneyRounding { mode, decimals } = applied.money_rounding;
        let way = match mode {
            MoneyMode::Up => "up",
            MoneyMode::Down => "down",
            MoneyMode::HalfUp => "half up",
            MoneyMode::HalfEven => "half to even",
        };
        format!("Rounded {way} once to {decimals} decimals: {amount} {}.", applied.currency)
    });
    Ok((amount, billed))
}

/// Free seconds, minimum duration, increments.
fn billed_seconds(rate: &Rate, seconds: u32, note: &mut Note<'_>) -> u32 {
    let mut billable = seconds.saturating_sub(rate.free_seconds);
    if rate.free_seconds > 0 {
        let free = rate.free_seconds;
        note("free_seconds", &|| format!("The first {free} s are free: {billable} s remain."));
    }
    if billable > 0 && billable < rate.minimum_seconds {
        billable = rate.minimum_seconds;
        note("minimum_duration", &|| format!("At least {billable} s are billed."));
    }
    whole_increments(rate, billable)
}

/// The only place where money is rounded.
fn round_once(sixtieth_nanos: i128, rounding: MoneyRounding) -> Result<Money, MoneyError> {
    let micros_per_step = 10_i128.pow(6 - u32::from(rounding.decimals.min(6)));
    let step = SIXTIETH_NANOS_PER_MICRO * micros_per_step;
    let (whole, rest) = (sixtieth_nanos / step, sixtieth_nanos % step);
    let goes_up = match rounding.mode {
        MoneyMode::Up => rest > 0,
        MoneyMode::Down => false,
        MoneyMode::HalfUp => rest * 2 >= step,
        MoneyMode::HalfEven => rest * 2 > step || (rest * 2 == step && whole % 2 == 1),
    };
    let steps = whole + i128::from(goes_up);
    i64::try_from(steps * micros_per_step).map(Money).map_err(|_| MoneyError::TooLarge)
}
