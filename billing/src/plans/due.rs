//! What is due, and when. Every due thing is known by its subscription, its item, its kind and the
//! first day it is for; that is its id in the books.

use vocabulary::Utc;

use super::calendar::{Day, Every, Zone};
use super::definition::{Anchor, AtEnd, AtStart, Bundle, Fee, Plan, Subscription, Validity};
use crate::{Money, MoneyError, OpId};

/// Where the account's days and months begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountCalendar {
    /// Its time zone.
    pub zone: Zone,
    /// Its billing day, 1 to 31.
    pub billing_day: u8,
}

/// One thing that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Its id: asking twice moves nothing twice.
    pub op: OpId,
    /// When.
    pub at: Utc,
    /// Which item of the plan.
    pub item: u16,
    /// The first day that it is for.
    pub from: Day,
    /// The first day that it is not for any more; `None` is open.
    pub till: Option<Day>,
    /// What.
    pub kind: DueKind,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DueKind {
    /// The account pays; never negative, may be 0.
    Fee {
        /// How much.
        amount: Money,
    },
    /// The account gets back what it paid for days after the end; above 0.
    Refund {
        /// How much.
        amount: Money,
    },
    /// The account gets free seconds.
    Grant {
        /// How many; `None` is unlimited.
        seconds: Option<u32>,
        /// Good from.
        valid_from: Utc,
        /// Good until, not included; `None` for ever.
        valid_till: Option<Utc>,
    },
}

const FEE: u8 = 1;
const REFUND: u8 = 2;
const GRANT: u8 = 3;

impl Due {
    /// The fee that a refund gives back of.
    pub fn refunded_fee(&self) -> OpId {
        self.op.of_plan_kind(FEE)
    }
}

/// Everything due after `after` (`None`: from the beginning) and not after `until`, in order.
/// `due(None, b)` is `due(None, a)` followed by `due(Some(a), b)` for every a ≤ b.
pub fn due(
    calendar: &AccountCalendar,
    plan: &Plan,
    subscription: &Subscription,
    after: Option<Utc>,
    until: Utc,
) -> Result<Vec<Due>, MoneyError> {
    let mut found = Vec::new();
    let span = Span { calendar, subscription, after, until };
    if !span.is_empty() {
        for fee in &plan.fees {
            span.fee(fee, plan.decimals, &mut found)?;
        }
        for bundle in &plan.bundles {
            span.bundle(bundle, &mut found);
        }
    }
    found.sort_by_key(|due| (due.at, due.op));
    Ok(found)
}

/// The earliest moment after `after` at which anything is due; `None` if nothing ever is.
pub fn next_due(
    calendar: &AccountCalendar,
    plan: &Plan,
    subscription: &Subscription,
    after: Utc,
) -> Option<Utc> {
    // One year and a day holds a turn of every period.
    const YEAR: i64 = 367 * 86_400_000_000;
    let first = after.0.max(subscription.starts_at.0 - 1);
    let until = Utc(first.saturating_add(YEAR));
    let dues = due(calendar, plan, subscription, Some(after), until).ok()?;
    dues.first().map(|due| due.at)
}

struct Span<'a> {
    calendar: &'a AccountCalendar,
    subscription: &'a Subscription,
    after: Option<Utc>,
    until: Utc,
}

impl Span<'_> {
    /// A subscription that ends before it begins is none.
    fn is_empty(&self) -> bool {
        self.subscription.ends_at.is_some_and(|end| end <= self.subscription.starts_at)
    }

    fn holds(&self, at: Utc) -> bool {
        self.after.is_none_or(|after| at > after) && at <= self.until
    }

    fn start_day(&self) -> Day {
        self.calendar.zone.day_of(self.subscription.starts_at)
    }

    /// The first day without service.
    fn end_day(&self) -> Option<Day> {
        let zone = &self.calendar.zone;
        let end = self.subscription.ends_at?;
        let day = zone.day_of(end);
        Some(if end > zone.begin_of(day) { day.plus(1) } else { day })
    }

    fn is_end_known(&self, at: Utc) -> bool {
        self.subscription.end_known_at.is_none_or(|known| known < at)
    }

    fn op(&self, kind: u8, item: u16, day: Day) -> OpId {
        OpId::plan(kind, self.subscription.id, item, day.0)
    }

    /// Calls `with` for each period that begins in the span, and for the one before it: its
    /// refund may lie in the span.
    fn periods(&self, every: Every, anchor: Anchor, mut with: impl FnMut(Period)) {
        let zone = &self.calendar.zone;
        let start = self.start_day();
        let cycle = anchor.cycle(every, start, self.calendar.billing_day);
        let first = cycle.number_of(start);
        let from = self.after.map_or(first, |after| cycle.number_of(zone.day_of(after)) - 1);
        for number in from.max(first).. {
            let (begin, end) = (cycle.begin(number), cycle.begin(number + 1));
            let from = begin.max(start);
            let at = Utc(zone.begin_of(from).0.max(self.subscription.starts_at.0));
            let is_over = self.subscription.ends_at.is_some_and(|end| at >= end);
            if at > self.until || is_over || end <= begin {
                return;
            }
            with(Period { begin, end, from, at });
        }
    }

    fn fee(&self, fee: &Fee, decimals: u8, found: &mut Vec<Due>) -> Result<(), MoneyError> {
        let whole = i128::from(fee.amount.0) * i128::from(self.subscription.quantity);
        let whole = i64::try_from(whole).map(Money).map_err(|_| MoneyError::TooLarge)?;
        let Some(every) = fee.every else {
            let (at, from) = (self.subscription.starts_at, self.start_day());
            if self.holds(at) {
                let (op, kind) = (self.op(FEE, fee.item, from), DueKind::Fee { amount: whole });
                found.push(Due { op, at, item: fee.item, from, till: None, kind });
            }
            return Ok(());
        };
        let end_day = self.end_day().filter(|_| fee.at_end == AtEnd::ByDay);
        self.periods(every, fee.anchor, |period| {
            let is_partial = period.from > period.begin;
            let first = match fee.at_start {
                AtStart::Free if is_partial => return,
                AtStart::ByDay => period.from,
                AtStart::Free | AtStart::Whole => period.begin,
            };
            let share = Share { whole, days: period.end.0 - period.begin.0, decimals };
            let upto = |day: Day| share.upto(day.0 - period.begin.0);
            let used_till = end_day.map_or(period.end, |end| end.min(period.end));
            let charged_till = if self.is_end_known(period.at) { used_till } else { period.end };
            if self.holds(period.at) {
                let amount = Money(upto(charged_till).0 - upto(first).0);
                let op = self.op(FEE, fee.item, period.from);
                let (item, till) = (fee.item, Some(charged_till));
                let kind = DueKind::Fee { amount };
                found.push(Due { op, at: period.at, item, from: period.from, till, kind });
            }
            let amount = Money(upto(charged_till).0 - upto(used_till).0);
            if let Some(at) = self.subscription.ends_at
                && amount > Money::ZERO
                && self.holds(at)
            {
                let op = self.op(REFUND, fee.item, period.from);
                let (item, till) = (fee.item, Some(charged_till));
                let kind = DueKind::Refund { amount };
                found.push(Due { op, at, item, from: used_till, till, kind });
            }
        });
        Ok(())
    }

    fn bundle(&self, bundle: &Bundle, found: &mut Vec<Due>) {
        let zone = &self.calendar.zone;
        let seconds = bundle.seconds.map(|s| s.saturating_mul(self.subscription.quantity));
        let mut grant = |from: Day, period_end: Option<Day>, at: Utc| {
            let till = match bundle.validity {
                Validity::Period => period_end,
                Validity::Days(days) => Some(from.plus(days.into())),
            };
            let end = self.subscription.ends_at.filter(|_| self.is_end_known(at));
            let valid_till = match (till.map(|day| zone.begin_of(day)), end) {
                (Some(till), Some(end)) => Some(till.min(end)),
                (till, end) => till.or(end),
            };
            let kind = DueKind::Grant { seconds, valid_from: at, valid_till };
            let op = self.op(GRANT, bundle.item, from);
            found.push(Due { op, at, item: bundle.item, from, till, kind });
        };
        match bundle.every {
            None => {
                let at = self.subscription.starts_at;
                if self.holds(at) {
                    grant(self.start_day(), None, at);
                }
            }
            Some(every) => self.periods(every, bundle.anchor, |period| {
                if self.holds(period.at) {
                    grant(period.from, Some(period.end), period.at);
                }
            }),
        }
    }
}

/// One turn of a cycle.
struct Period {
    /// Its first day.
    begin: Day,
    /// The next one's first day.
    end: Day,
    /// Its first day with service.
    from: Day,
    /// When it is due.
    at: Utc,
}

/// Parts of an amount by days. Neighbouring parts sum up to the part over both, to the micro-unit:
/// each is the difference of two rounded running totals.
struct Share {
    whole: Money,
    days: i32,
    decimals: u8,
}

impl Share {
    /// The amount of the first `days` days, halves rounded up.
    fn upto(&self, days: i32) -> Money {
        let days = days.clamp(0, self.days);
        if days == self.days {
            return self.whole;
        }
        let unit = 10_i128.pow(6 - u32::from(self.decimals.min(6)));
        let parts = i128::from(self.days) * unit;
        let amount = i128::from(self.whole.0) * i128::from(days);
        let rounded = (amount * 2 + parts).div_euclid(parts * 2) * unit;
        // At most the whole rounded up by one unit, which is not more than the whole is worth.
        Money(i64::try_from(rounded.min(i128::from(self.whole.0))).unwrap_or(i64::MAX))
    }
}
