//! How much talk to pay for ahead. Slices start small and double; when money is short they shrink
//! to a fair share, so that many calls live off a small balance; the last one is as long as what
//! is left pays for.
//!
//! All totals are talk since answer, and always the end of a whole increment, since that is what
//! is paid anyway. Slice k costs R(total k) − R(total k−1).

use std::time::Duration;

use vocabulary::Utc;

use crate::Money;
use crate::rating::{Answered, AppliedRate, Talk, max_talk, price, whole_seconds};

/// How credit control reserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreditSettings {
    /// The first slice; each further one is twice as long.
    pub first_slice_seconds: u32,
    /// No slice is longer.
    pub longest_slice_seconds: u32,
    /// No slice is shorter for fairness' sake; only for want of money.
    pub shortest_slice_seconds: u32,
    /// The length of a call at which carriers' costs are compared.
    pub typical_talk_seconds: u32,
}

impl Default for CreditSettings {
    fn default() -> CreditSettings {
        CreditSettings {
            first_slice_seconds: 10,
            longest_slice_seconds: 300,
            shortest_slice_seconds: 5,
            typical_talk_seconds: 90,
        }
    }
}

/// What is to be reserved next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    /// The whole grant with this slice.
    pub(crate) total_seconds: u32,
    /// What this slice adds to the reservation.
    pub(crate) amount: Money,
    /// Nothing more would fit.
    pub(crate) is_final: bool,
}

/// The money there is for a slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Purse {
    /// When the call was answered; while it rings, when it came in.
    pub(crate) at: Utc,
    /// The seconds of bundles that the call may use.
    pub(crate) bundle_seconds: u32,
    /// Held for this call already.
    pub(crate) reserved: Money,
    /// What the account may still spend.
    pub(crate) available: Money,
    /// Calls that live off it, this one included.
    pub(crate) calls: u32,
}

/// Which slice is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// The one that opens the call.
    First,
    /// The one after so many, of which the newest has this number.
    Next {
        /// Granted so far.
        granted_seconds: u32,
        /// The newest slice's number.
        slice: u16,
    },
}

impl Step {
    /// Granted before.
    pub(crate) fn granted(self) -> u32 {
        match self {
            Step::First => 0,
            Step::Next { granted_seconds, .. } => granted_seconds,
        }
    }
}

/// The longest grant: 68 years.
pub(crate) const SECONDS_MAX: u32 = i32::MAX as u32;

/// The least grant that a call may start with: past grace and free seconds, so that there is money
/// for the connect fee and the first increment.
pub(crate) fn floor_seconds(rate: &AppliedRate) -> u32 {
    rate.rate.grace_seconds.max(rate.rate.free_seconds) + 1
}

/// The whole grant that is wanted, and the least that is worth a slice while there is money.
/// `whole` gives the end of the increment that a second is in.
pub(crate) fn targets(
    settings: &CreditSettings,
    step: Step,
    floor: u32,
    whole: impl Fn(u32) -> u32,
) -> (u32, u32) {
    let granted = step.granted();
    let (length, shortest) = match step {
        Step::First => (settings.first_slice_seconds, settings.shortest_slice_seconds),
        Step::Next { slice, .. } => {
            let doubled = u64::from(settings.first_slice_seconds) << u32::from(slice + 1).min(31);
            let length = doubled.clamp(1, settings.longest_slice_seconds.max(1).into()) as u32;
            (length, settings.shortest_slice_seconds.clamp(1, length))
        }
    };
    let reach = |more: u32| whole(granted.saturating_add(more).min(SECONDS_MAX).max(floor));
    let wanted = reach(length);
    (wanted, reach(shortest).min(wanted))
}

/// As much of `wanted` as a fair share of the money pays for, but `least` if all of it does.
pub(crate) fn choose(rate: &AppliedRate, purse: Purse, wanted: u32, least: u32) -> Option<Slice> {
    let Purse { at, bundle_seconds, reserved, available, calls } = purse;
    if available.is_negative() {
        return None;
    }
    let share = Money(available.0 / i64::from(calls.max(1)));
    let cost = |seconds: u32| {
        let lasted = Duration::from_secs(seconds.into());
        let talk = Talk::Answered(Answered { at, lasted, bundle_seconds });
        price(rate, &talk).ok()?.checked_sub(reserved).ok()
    };
    let affordable = |seconds: u32, money: Money| cost(seconds).is_some_and(|cost| cost <= money);
    let within = |money: Money, limit: u32| {
        let budget = reserved.checked_add(money).unwrap_or(Money(i64::MAX));
        max_talk(rate, at, budget, bundle_seconds, limit).unwrap_or(0)
    };
    let total_seconds = if affordable(wanted, share) {
        wanted
    } else {
        let fair = within(share, wanted);
        if fair >= least {
            fair
        } else if affordable(least, available) {
            least
        } else {
            within(available, least)
        }
    };
    let amount = cost(total_seconds)?;
    let one_more = whole(rate, at, total_seconds.saturating_add(1), bundle_seconds);
    let left = available.checked_sub(amount).ok()?;
    let is_final = match cost(one_more) {
        Some(cost) => Money(cost.0 - amount.0) > left,
        None => true,
    };
    (!left.is_negative()).then_some(Slice { total_seconds, amount, is_final })
}

/// The end of the increment that `seconds` is in.
pub(crate) fn whole(rate: &AppliedRate, at: Utc, seconds: u32, bundle_seconds: u32) -> u32 {
    whole_seconds(rate, at, seconds, bundle_seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rating::Rate;
    use crate::testing::applied;

    fn purse(reserved: i64, available: i64, calls: u32) -> Purse {
        let (reserved, available) = (Money(reserved), Money(available));
        Purse { at: Utc(0), bundle_seconds: 0, reserved, available, calls }
    }

    fn slice(rate: &AppliedRate, step: Step, purse: Purse) -> Option<Slice> {
        let floor = match step {
            Step::First => floor_seconds(rate),
            Step::Next { granted_seconds, .. } => granted_seconds + 1,
        };
        let whole = |seconds| whole(rate, purse.at, seconds, 0);
        let (wanted, least) = targets(&CreditSettings::default(), step, floor, whole);
        choose(rate, purse, wanted, least).filter(|slice| slice.total_seconds >= floor)
    }

    /// At 0.60 a minute, 0.01 a second.
    fn per_second(first: u32, next: u32) -> AppliedRate {
        applied(Rate::per_minute("0.6".parse().unwrap(), first, next))
    }

    #[track_caller]
    fn check(
        rate: &AppliedRate,
        granted: Option<(u32, u16)>,
        purse: Purse,
        expected: Option<(u32, i64, bool)>,
    ) {
        let step = match granted {
            None => Step::First,
            Some((granted_seconds, slice)) => Step::Next { granted_seconds, slice },
        };
        let slice = slice(rate, step, purse).map(|s| (s.total_seconds, s.amount.0, s.is_final));
        assert_eq!(slice, expected);
    }

    #[test]
    fn slices_double_up_to_the_longest() {
        let rate = per_second(1, 1);
        check(&rate, None, purse(0, 100_000_000, 1), Some((10, 100_000, false)));
        check(&rate, Some((10, 0)), purse(100_000, 100_000_000, 1), Some((30, 200_000, false)));
        check(&rate, Some((30, 1)), purse(300_000, 100_000_000, 1), Some((70, 400_000, false)));
        let late = purse(6_300_000, 100_000_000, 1);
        check(&rate, Some((630, 6)), late, Some((930, 3_000_000, false)));
    }

    #[test]
    fn a_slice_is_whole_increments() {
        let rate = per_second(60, 60);
        check(&rate, None, purse(0, 100_000_000, 1), Some((60, 600_000, false)));
        check(&rate, Some((60, 0)), purse(600_000, 10_000_000, 1), Some((120, 600_000, false)));
        check(&rate, Some((60, 0)), purse(600_000, 599_999, 1), None);
        check(&rate, None, purse(0, 599_999, 1), None);
        check(&rate, None, purse(0, 600_000, 1), Some((60, 600_000, true)));
    }

    #[test]
    fn the_last_slice_is_all_that_fits() {
        let rate = per_second(1, 1);
        check(&rate, Some((70, 2)), purse(700_000, 555_000, 1), Some((125, 550_000, true)));
        check(&rate, Some((70, 2)), purse(700_000, 800_000, 1), Some((150, 800_000, true)));
        check(&rate, Some((70, 2)), purse(700_000, 9_999, 1), None);
        check(&rate, None, purse(0, 25_000, 1), Some((2, 20_000, true)));
        check(&rate, None, purse(0, 9_999, 1), None);
        check(&rate, None, purse(0, -1, 1), None);
    }

    #[test]
    fn calls_share_what_is_short() {
        let rate = per_second(1, 1);
        // 8.00 between 10 calls: 0.80, of which the first slice takes 0.10.
        check(&rate, None, purse(0, 8_000_000, 10), Some((10, 100_000, false)));
        // The third slice wants 0.40 and its share is 0.30.
        check(&rate, Some((30, 1)), purse(300_000, 3_000_000, 10), Some((60, 300_000, false)));
        // A share below five seconds is not worth it while there is money.
        check(&rate, Some((30, 1)), purse(300_000, 200_000, 10), Some((35, 50_000, false)));
    }

    #[test]
    fn a_free_call_needs_an_account_that_is_not_overdrawn() {
        let rate = applied(Rate::per_minute("0".parse().unwrap(), 60, 60));
        check(&rate, None, purse(0, 0, 1), Some((60, 0, false)));
        check(&rate, None, purse(0, -1, 1), None);
    }

    #[test]
    fn the_first_slice_reaches_past_grace_and_free_seconds() {
        let mut rate = per_second(1, 1);
        rate.rate.grace_seconds = 15;
        check(&rate, None, purse(0, 1_000_000, 1), Some((16, 160_000, false)));
        check(&rate, None, purse(0, 159_999, 1), None);
        rate.rate.free_seconds = 30;
        check(&rate, None, purse(0, 10_000, 1), Some((31, 10_000, true)));
        check(&rate, None, purse(0, 9_999, 1), None);
    }
}
