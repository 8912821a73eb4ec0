//! Plans as an operator writes them, and the subscription of an account to one.

use vocabulary::Utc;

use super::calendar::{Cycle, Day, Every, anchor_on};
use crate::Money;

/// Where periods begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// On the day of the subscription's start.
    Start,
    /// On this day: of the month 1 to 31, of the week 1 (Monday) to 7.
    Day(u8),
    /// On the account's billing day; weeks on Monday.
    BillingDay,
}

/// What the first period costs if the subscription begins within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtStart {
    /// As much as any.
    Whole,
    /// By its days.
    ByDay,
    /// Nothing.
    Free,
}

/// What becomes of the days that a period goes on after the subscription's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEnd {
    /// They are paid.
    Keep,
    /// They are not charged, or given back.
    ByDay,
}

/// What happens if the account cannot pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// It goes into debt.
    Debt,
    /// The charge waits, and is tried again each day.
    Retry,
    /// The same, and the account is suspended until it has paid.
    Suspend,
}

/// A recurring (V-06 to V-08) or one-time (J-24) fee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fee {
    /// Its number in the plan, unique among fees and bundles; part of the charges' ids.
    pub item: u16,
    /// On the statement and the invoice (J-23).
    pub label: String,
    /// For one period and one piece; not negative.
    pub amount: Money,
    /// How often; `None` once, at the start.
    pub every: Option<Every>,
    /// Where periods begin.
    pub anchor: Anchor,
    /// The first one.
    pub at_start: AtStart,
    /// The last one.
    pub at_end: AtEnd,
    /// When there is no money.
    pub shortage: Shortage,
}

/// Until when granted seconds are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// Until the period's end; of what is granted once, until the subscription's.
    Period,
    /// So many days, the day of the grant counted.
    Days(u16),
}

/// Free seconds to some destinations (V-04, V-05).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Its number in the plan, unique among fees and bundles; part of the grants' ids.
    pub item: u16,
    /// In CDRs and on statements.
    pub label: String,
    /// Which destinations.
    pub destination_set: u64,
    /// How much, for one piece; `None` is unlimited (P-011).
    pub seconds: Option<u32>,
    /// Granted how often; `None` once, at the start.
    pub every: Option<Every>,
    /// Where periods begin.
    pub anchor: Anchor,
    /// Good until when.
    pub validity: Validity,
    /// Greater is used first; equal ones by the earlier expiry (P-008).
    pub precedence: u16,
    /// A call takes whole increments of so many seconds; at least 1.
    pub increment_seconds: u16,
}

/// What a subscriber of it is charged and given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Money out.
    pub fees: Vec<Fee>,
    /// Minutes in.
    pub bundles: Vec<Bundle>,
    /// Decimals that parts of a fee are rounded to, at most 6.
    pub decimals: u8,
}

/// What is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Two items of one number.
    #[error("item {0} is there twice; number fees and bundles through")]
    ItemTwice(u16),
    /// Nothing in it.
    #[error("a plan needs at least one fee or bundle")]
    Empty,
    /// A value breaks a rule.
    #[error("item {item}: {what}")]
    Item {
        /// Which.
        item: u16,
        /// The rule and the remedy.
        what: &'static str,
    },
    /// Too many decimals.
    #[error("decimals: write 0 to 6")]
    Decimals,
}

impl Plan {
    /// The rules that no single field shows.
    pub fn check(&self) -> Result<(), PlanError> {
        if self.decimals > 6 {
            return Err(PlanError::Decimals);
        }
        if self.fees.is_empty() && self.bundles.is_empty() {
            return Err(PlanError::Empty);
        }
        let fees = self.fees.iter().map(|fee| fee.item);
        let mut items: Vec<u16> = fees.chain(self.bundles.iter().map(|b| b.item)).collect();
        items.sort_unstable();
        if let Some(pair) = items.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(PlanError::ItemTwice(pair[0]));
        }
        for fee in &self.fees {
            check_anchor(fee.item, fee.every, fee.anchor)?;
            let item = fee.item;
            if fee.amount.is_negative() {
                return Err(PlanError::Item {
                    item,
                    what: "the amount is negative; write 0 or more",
                });
            }
            if fee.label.trim().is_empty() {
                return Err(PlanError::Item { item, what: "it needs a label for the statement" });
            }
        }
        for bundle in &self.bundles {
            check_anchor(bundle.item, bundle.every, bundle.anchor)?;
            let item = bundle.item;
            if bundle.seconds == Some(0) || bundle.increment_seconds == 0 {
                return Err(PlanError::Item { item, what: "seconds and increment are at least 1" });
            }
            if bundle.validity == Validity::Days(0) {
                return Err(PlanError::Item {
                    item,
                    what: "it would be good for no day; write 1 or more",
                });
            }
            if bundle.label.trim().is_empty() {
                return Err(PlanError::Item { item, what: "it needs a label" });
            }
        }
        Ok(())
    }
}

fn check_anchor(item: u16, every: Option<Every>, anchor: Anchor) -> Result<(), PlanError> {
    let day_max = match (every, anchor) {
        (Some(Every::Week), Anchor::Day(_)) => 7,
        _ => 31,
    };
    match anchor {
        Anchor::Day(day) if day == 0 || day > day_max => Err(PlanError::Item {
            item,
            what: "the day is of the month, 1 to 31, or for weeks of the week, 1 to 7",
        }),
        _ => Ok(()),
    }
}

impl Anchor {
    pub(super) fn cycle(self, every: Every, start: Day, billing_day: u8) -> Cycle {
        let anchor = match (self, every) {
            (Anchor::Start, _) => start,
            (Anchor::Day(day), _) => anchor_on(every, day),
            (Anchor::BillingDay, Every::Week) => anchor_on(every, 1),
            (Anchor::BillingDay, _) => anchor_on(every, billing_day),
        };
        Cycle { every, anchor }
    }
}

/// An account has a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Which; unique for ever, part of the charges' ids.
    pub id: u64,
    /// How many pieces, e.g. of a DID (V-09); at least 1.
    pub quantity: u32,
    /// From when.
    pub starts_at: Utc,
    /// Until when; its day still counts.
    pub ends_at: Option<Utc>,
    /// Since when the end is known, not after it: what was due until then is charged to the
    /// period's end and given back, so that the sum is the same whenever the job runs.
    pub end_known_at: Option<Utc>,
}
