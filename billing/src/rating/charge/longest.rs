//! How long a call may talk: for a balance, to the end of an increment, to the cap that ends it.

use std::time::Duration;

use vocabulary::Utc;

use super::{Answered, SECONDS_MAX, Talk, price, walk};
use crate::Money;
use crate::rating::AppliedRate;
use crate::rating::special::AfterCap;
use crate::rating::time::increment_end;

/// The longest talk, in whole seconds up to `limit_seconds`, that costs no more than `balance`;
/// `None` if not even an answer, at `at`, can be paid for. Exact: one increment more costs more,
/// unless a cap ends the call.
pub fn max_talk(
    applied: &AppliedRate,
    at: Utc,
    balance: Money,
    bundle_seconds: u32,
    limit_seconds: u32,
) -> Option<u32> {
    let fits = |seconds: u32| {
        let talk = whole(at, seconds, bundle_seconds);
        price(applied, &talk).is_ok_and(|amount| amount <= balance)
    };
    if !fits(0) {
        return None;
    }
    let limit = disconnect_after(applied, at, bundle_seconds)
        .map_or(limit_seconds, |end| end.min(limit_seconds));
    Some(last_second(limit, fits))
}

/// The end of the increment that this second of talk, counted from the answer, is in.
pub fn whole_seconds(applied: &AppliedRate, at: Utc, seconds: u32, bundle_seconds: u32) -> u32 {
    let rate = &applied.rate;
    let billable = seconds.saturating_sub(rate.free_seconds);
    if billable == 0 {
        return seconds;
    }
    let paid = billable.max(rate.minimum_seconds).saturating_sub(bundle_seconds);
    if paid == 0 {
        return seconds;
    }
    let start = rate.free_seconds.saturating_add(bundle_seconds);
    increment_end(applied, at, start, paid).min(SECONDS_MAX)
}

/// The talk after which the cap ends the call: the end of the increment that reaches it.
pub(crate) fn disconnect_after(applied: &AppliedRate, at: Utc, bundle_seconds: u32) -> Option<u32> {
    applied.special.as_ref()?.cap.filter(|cap| cap.after == AfterCap::Disconnect)?;
    let is_below = |seconds: u32| {
        let talk = whole(at, seconds, bundle_seconds);
        walk(applied, &talk, &mut |_, _| {}).is_ok_and(|walked| !walked.is_cap_reached)
    };
    let last_below = if is_below(0) { last_second(SECONDS_MAX, is_below) } else { 0 };
    if last_below == SECONDS_MAX {
        return None;
    }
    Some(whole_seconds(applied, at, last_below + 1, bundle_seconds))
}

fn whole(at: Utc, seconds: u32, bundle_seconds: u32) -> Talk {
    Talk::Answered(Answered { at, lasted: Duration::from_secs(seconds.into()), bundle_seconds })
}

/// The last second up to `limit` for which something holds that holds for 0 and, once it does not,
/// never again: a price never decreases with time, so the border is found by halving.
fn last_second(limit: u32, holds: impl Fn(u32) -> bool) -> u32 {
    let (mut known, mut beyond) = (0, limit.saturating_add(1));
    while beyond - known > 1 {
        let middle = known + (beyond - known) / 2;
        if holds(middle) {
            known = middle;
        } else {
            beyond = middle;
        }
    }
    known
}
