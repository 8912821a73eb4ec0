//! Paid time, cut into whole increments, each at the price that holds when it begins.

use vocabulary::Utc;

use super::charge::SECONDS_MAX;
use super::special::{AppliedSpecial, TimePrice};
use super::{AppliedRate, Price};
use crate::MoneyError;

/// What holds at one second of a call, and until which.
struct Span<'a> {
    name: &'a str,
    price: Price,
    unit_seconds: u32,
    /// If the paid time begins here.
    first_increment: u32,
    next_increment: u32,
    /// The first second that it does not hold for.
    end: u64,
}

/// Whole increments at one price.
pub(super) struct Piece<'a> {
    name: &'a str,
    from: u64,
    first_increment: u32,
    next_increment: u32,
    pub(super) price: Price,
    pub(super) unit_seconds: u32,
    pub(super) seconds: u64,
}

impl Piece<'_> {
    /// For the explanation; `talked` is the whole call.
    pub(super) fn sentence(&self, talked: u32) -> String {
        let (first, next) = (self.first_increment, self.next_increment);
        let (seconds, price) = (self.seconds, self.price);
        let unit = match self.unit_seconds {
            60 => "minute".to_owned(),
            1 => "second".to_owned(),
            3_600 => "hour".to_owned(),
            unit => format!("{unit} s"),
        };
        let unit =
            if self.unit_seconds == 60 { "a minute".to_owned() } else { format!("per {unit}") };
        let name = match self.name {
            "" => String::new(),
            name => format!(" ({name})"),
        };
        let from = match self.from {
            0 => String::new(),
            from => format!(" from second {from}"),
        };
        format!(
            "{talked} s in increments {first}/{next}{from} is {seconds} s at {price} {unit}{name}."
        )
    }
}

fn span(applied: &AppliedRate, at: Utc, second: u64) -> Span<'_> {
    let rate = &applied.rate;
    let Some(special) = applied.special.as_deref() else {
        return Span {
            name: "",
            price: rate.price,
            unit_seconds: rate.unit_seconds,
            first_increment: rate.first_increment,
            next_increment: rate.next_increment,
            end: u64::MAX,
        };
    };
    let (price, end) = window(special, at, second);
    let after = price.steps.partition_point(|step| u64::from(step.from_seconds) <= second);
    let next_step = price.steps.get(after).map_or(u64::MAX, |step| step.from_seconds.into());
    let end = end.min(next_step);
    let name = price.name.as_str();
    match after.checked_sub(1).map(|index| &price.steps[index]) {
        None => Span {
            name,
            price: price.price,
            unit_seconds: price.unit_seconds,
            first_increment: price.first_increment,
            next_increment: price.next_increment,
            end,
        },
        Some(step) => Span {
            name,
            price: step.price,
            unit_seconds: step.unit_seconds,
            first_increment: step.increment,
            next_increment: step.increment,
            end,
        },
    }
}

/// The price in whose window this second of the call begins, and the second at which it ends.
fn window(special: &AppliedSpecial, at: Utc, second: u64) -> (&TimePrice, u64) {
    let windows = &special.windows;
    // An increment that begins in the very second of a boundary may begin just before it.
    let begins = |from: Utc| {
        let micros = u64::try_from(from.0.saturating_sub(at.0)).unwrap_or(0);
        micros.div_ceil(1_000_000)
    };
    let second = if special.is_split { second } else { 0 };
    let next = windows.partition_point(|window| begins(window.from) <= second).max(1);
    let end = match windows.get(next) {
        Some(window) if special.is_split => begins(window.from),
        _ => u64::MAX,
    };
    let index = windows.get(next - 1).map_or(0, |window| usize::from(window.price));
    (&special.prices[index], end)
}

/// The connect fee of a call answered at `at`.
pub(super) fn connect_fee(applied: &AppliedRate, at: Utc) -> Price {
    match applied.special.as_deref() {
        None => applied.rate.connect_fee,
        Some(special) => window(special, at, 0).0.connect_fee,
    }
}

/// Cuts `paid` seconds from `start` after the answer into pieces of whole increments, and returns
/// their sum.
pub(super) fn billed_time(
    applied: &AppliedRate,
    at: Utc,
    start: u32,
    paid: u32,
    each: &mut dyn FnMut(&Piece<'_>) -> Result<(), MoneyError>,
) -> Result<u32, MoneyError> {
    let start = u64::from(start);
    let end = start + u64::from(paid);
    let mut position = start;
    while position < end {
        let span = span(applied, at, position);
        let mut seconds = 0;
        if position == start {
            seconds = u64::from(span.first_increment);
        }
        let limit = end.min(span.end);
        if position + seconds < limit {
            let next = u64::from(span.next_increment);
            seconds += (limit - position - seconds).div_ceil(next) * next;
        }
        each(&Piece {
            name: span.name,
            from: position,
            first_increment: span.first_increment,
            next_increment: span.next_increment,
            price: span.price,
            unit_seconds: span.unit_seconds,
            seconds,
        })?;
        position += seconds;
    }
    Ok(u32::try_from(position - start).unwrap_or(SECONDS_MAX))
}

/// The second since the answer at which the last increment of this paid time ends.
pub(super) fn increment_end(applied: &AppliedRate, at: Utc, start: u32, paid: u32) -> u32 {
    let billed = billed_time(applied, at, start, paid, &mut |_| Ok(()));
    start.saturating_add(billed.unwrap_or(paid))
}
