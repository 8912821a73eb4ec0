//! What one of several nodes may spend of an account that all of them share, and of a bundle, which is
//! an account of seconds. The money lies with the account (in the database); a node takes a part of it ahead of need, its lease, and reserves from
//! that without asking anybody. This file decides how much to take, to keep and to give; who asks,
//! when, and in which statement is for others. docs/adr/0009 has the argument why nobody is ever
//! overdrawn by it.
//!
//! ```text
//!            spent            used = spent + pending     claimed            granted
//!   |----------|------------------------|------------------|------------------|
//!    in the journal     held by calls      free to reserve    back to the others,
//!                                                            should the node die
//! ```
//!
//! All of them are sums since the node was first there, so that a number heard twice, or late, means
//! the same: `granted` and `claimed` are changed by the node's own questions (and `granted` is cut to
//! `claimed` if the node dies), `spent` by its journal.

mod asking;
mod lists;
mod sums;

use vocabulary::AccountId;

use super::account::clamp;
use super::{BundleId, PostingKind, SpendLimits, SpendPeriod};
use crate::Money;

pub(super) use lists::Leases;
pub use sums::LeaseSum;

/// Of what leases are: money, or the seconds of a bundle.
pub trait Unit: Copy + Ord + Default + std::fmt::Debug {
    /// Less than this is not kept ahead of nothing.
    const AHEAD_MIN: i64;
    /// So much of it.
    fn of(amount: i64) -> Self;
    /// How much it is.
    fn amount(self) -> i64;
}

impl Unit for Money {
    const AHEAD_MIN: i64 = 10_000;

    fn of(amount: i64) -> Money {
        Money(amount)
    }

    fn amount(self) -> i64 {
        self.0
    }
}

/// Seconds of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Seconds(pub i64);

impl From<u32> for Seconds {
    fn from(seconds: u32) -> Seconds {
        Seconds(seconds.into())
    }
}

impl Unit for Seconds {
    const AHEAD_MIN: i64 = 10;

    fn of(amount: i64) -> Seconds {
        Seconds(amount)
    }

    fn amount(self) -> i64 {
        self.0
    }
}

/// One bundle of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BundleOf {
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub bundle: BundleId,
}

/// A node's part of an account, or of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Lease<U = Money> {
    /// Taken from the account, less what was given back.
    pub granted: U,
    /// What of it the node may use before it asks again.
    pub claimed: U,
    /// Charged to the account by this node, and paid out to it as a carrier; of a bundle, used.
    pub spent: U,
}

impl<U: Unit> Lease<U> {
    /// What the node has and has not charged yet.
    pub fn unspent(&self) -> U {
        U::of(self.granted.amount().saturating_sub(self.spent.amount()))
    }
}

/// What a node asks for, as the sums that it wants to have; less than now gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<U = Money> {
    /// To be granted in all,
    pub granted: U,
    /// and claimed.
    pub claimed: U,
    /// Calls wait until this much is claimed.
    pub least: U,
}

/// A question about an account's money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseAsk {
    /// Whose money.
    pub account: AccountId,
    /// How much.
    pub wanted: Wanted,
    /// What the account may be charged in a day and in a month.
    pub spend: SpendLimits,
}

/// A question about a bundle's seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecondsAsk {
    /// Of which.
    pub of: BundleOf,
    /// How many.
    pub wanted: Wanted<Seconds>,
}

/// All questions of one moment.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LeaseAsks {
    /// About money.
    pub money: Vec<LeaseAsk>,
    /// About seconds.
    pub seconds: Vec<SecondsAsk>,
}

impl LeaseAsks {
    /// Is nothing asked?
    pub fn is_empty(&self) -> bool {
        self.money.is_empty() && self.seconds.is_empty()
    }

    /// Takes over what the others ask.
    pub fn append(&mut self, mut others: LeaseAsks) {
        self.money.append(&mut others.money);
        self.seconds.append(&mut others.seconds);
    }
}

/// An account, or a bundle, as the database has it at the moment of the answer, locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fund<U = Money> {
    /// Balance and credit limit; of a bundle, the seconds that are not used.
    pub left: U,
    /// What all nodes have leased and not yet charged.
    pub leased: U,
    /// What the limits of the day and the month leave; `None`: there are none.
    pub spend_left: Option<U>,
    /// What is taken in multiples of this is of use; at least 1.
    pub increment: U,
}

/// Of less than so many increments a node that asks gets all: they are not worth a question each.
const LAST_INCREMENTS: i64 = 10;

impl<U: Unit> Fund<U> {
    /// What is nobody's.
    pub fn free(&self) -> U {
        let left = self.spend_left.map_or(self.left, |spend| spend.min(self.left));
        U::of(clamp(i128::from(left.amount()) - i128::from(self.leased.amount())).0)
    }

    /// What a node that has `held` gets for its question. A call that waits gets what there is; what
    /// is only taken ahead leaves half of the rest to the other nodes.
    pub fn decide(&self, held: Lease<U>, asked: &Wanted<U>) -> Lease<U> {
        let free = self.free().amount().max(0);
        let [granted, claimed, least] = [asked.granted, asked.claimed, asked.least].map(U::amount);
        let wanted = granted.max(claimed).saturating_sub(held.granted.amount());
        let more = if wanted <= 0 {
            wanted
        } else {
            let must = least.saturating_sub(held.granted.amount()).clamp(0, free);
            wanted.min(must.max(self.share(free)))
        };
        let granted = held.granted.amount().saturating_add(more);
        Lease { granted: U::of(granted), claimed: U::of(claimed.min(granted)), spent: held.spent }
    }

    /// How much of what is nobody's one node may take ahead: whole increments.
    fn share(&self, free: i64) -> i64 {
        let increment = self.increment.amount().max(1);
        match free < increment.saturating_mul(LAST_INCREMENTS) {
            true => free,
            false => free / 2 / increment * increment,
        }
    }
}

/// The database's answer to a question about money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseAnswer {
    /// Whose money.
    pub account: AccountId,
    /// The node's part now. `spent` is what the tables know of it.
    pub lease: Lease,
    /// Balance and credit limit, as the tables know them.
    pub left: Money,
    /// A limit of spending leaves less than that, and this node has all that it leaves.
    pub limited_by: Option<SpendPeriod>,
}

/// The database's answer to a question about seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecondsAnswer {
    /// Of which bundle.
    pub of: BundleOf,
    /// The node's part now. `spent` is what the tables know of it.
    pub lease: Lease<Seconds>,
    /// What is not used of the bundle, as the tables know it.
    pub left: Seconds,
}

/// A lease inside the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Leased<U = Money> {
    /// The node's part as it knows it.
    pub lease: Lease<U>,
    /// Balance and credit limit, or what is not used of a bundle, as last heard, and what this node has
    /// moved since.
    pub left: U,
    /// There was no more when it was last asked for.
    pub is_short: bool,
    /// It was last heard that a limit of spending is the reason.
    pub limited_by: Option<SpendPeriod>,
    /// How much is wanted beyond what is used.
    ahead: U,
    /// What was used when `ahead` was last set by the use.
    used_before: U,
    /// Others did not get what their calls wait for.
    is_scarce: bool,
    /// A call waits until this much can be reserved.
    needed: U,
    /// Claimed in all, as asked for and not yet answered.
    asked: Option<U>,
}

/// A node that needs this much for a call takes as much for so many more.
const CALLS_AHEAD: i64 = 4;

/// What is kept ahead is whole increments.
fn whole(amount: i64, increment: i64) -> i64 {
    let increment = increment.max(1);
    let rest = amount.rem_euclid(increment);
    if rest == 0 { amount } else { amount.saturating_add(increment - rest) }
}

impl<U: Unit> Leased<U> {
    fn used(&self, pending: U) -> U {
        U::of(self.lease.spent.amount().saturating_add(pending.amount()))
    }

    /// What may be reserved.
    pub fn available(&self, pending: U) -> U {
        let used = i128::from(self.used(pending).amount());
        U::of(clamp(i128::from(self.lease.claimed.amount()) - used).0)
    }

    /// Half of what is kept ahead is gone, or a call waits.
    fn is_low(&self, pending: U) -> bool {
        let available = self.available(pending);
        available < self.needed || available.amount().saturating_mul(2) < self.ahead.amount()
    }

    /// Is it time to ask for more, although nobody waits?
    fn is_due(&self, pending: U) -> bool {
        self.asked.is_none() && !self.is_short && self.is_low(pending)
    }

    /// The question was not answered: things are as they were, but for what was to be given back.
    fn unasked(&mut self) {
        self.asked = None;
    }

    /// There is nothing of this to be leased.
    fn not_found(&mut self) {
        (self.asked, self.needed, self.is_short) = (None, U::default(), true);
    }

    /// Is all that there is with this node?
    pub(super) fn is_last(&self) -> bool {
        self.left <= self.lease.unspent()
    }

    /// May this node use all that there is without asking?
    fn is_all_claimed(&self) -> bool {
        self.left.amount() <= self.lease.claimed.amount().saturating_sub(self.lease.spent.amount())
    }

    /// Nothing is held, and nothing is to be given back.
    fn is_idle(&self, pending: U) -> bool {
        let nothing = U::default();
        pending == nothing && self.lease.granted == self.lease.spent && self.needed == nothing
    }

    /// Something is leased, or asked for.
    pub(super) fn is_in_use(&self) -> bool {
        self.lease.granted != self.lease.spent || self.asked.is_some()
    }

    fn spare_all(&mut self) {
        self.ahead = U::default();
    }

    fn spare_half(&mut self) {
        self.ahead = U::of(self.ahead.amount() / 2);
        self.is_scarce = true;
    }

    /// The question after half was used: twice as much ahead as before.
    fn ask_more(&mut self, pending: U) {
        let needed = self.needed.amount().saturating_mul(CALLS_AHEAD);
        if self.is_low(pending) {
            self.ahead = U::of(self.ahead.amount().saturating_mul(2).max(needed));
        }
    }

    /// The question by the clock: as much ahead as will be used in `periods` such times, and never
    /// less than live calls hold; what is too much shrinks by half a time.
    fn ask_by_use(&mut self, pending: U, periods: i64) {
        let used = self.used(pending);
        let grown = used.amount().saturating_sub(self.used_before.amount()).max(0);
        self.used_before = used;
        let mut wanted = grown.saturating_mul(periods).max(pending.amount());
        let ahead = self.ahead.amount();
        if std::mem::take(&mut self.is_scarce) {
            // Others wait for it: nothing more is taken ahead now.
            wanted = wanted.min(ahead);
        }
        self.ahead = U::of(match wanted {
            0 if ahead < U::AHEAD_MIN => 0,
            0 => ahead / 4,
            wanted => wanted.max(ahead / 2),
        });
    }

    /// Puts the question; what is to be given back is out of reach from now on.
    fn ask(&mut self, pending: U, increment: U, how: AskBy) -> Wanted<U> {
        match how {
            AskBy::Need => self.ask_more(pending),
            AskBy::Clock { periods } => self.ask_by_use(pending, periods),
            AskBy::Others => {}
        }
        let (used, increment) = (self.used(pending).amount(), increment.amount());
        let ahead = whole(self.ahead.max(self.needed).amount(), increment);
        let claimed = used.saturating_add(ahead);
        let granted = claimed.saturating_add(whole(self.ahead.amount(), increment));
        let least = U::of(used.saturating_add(self.needed.amount()));
        let (granted, claimed) = (U::of(granted), U::of(claimed));
        self.asked = Some(claimed);
        self.lease.claimed = self.lease.claimed.min(claimed);
        Wanted { granted, claimed, least }
    }

    /// Hears the answer to what was asked, or how things stand.
    fn hear(&mut self, lease: Lease<U>, left: U, limited_by: Option<SpendPeriod>) {
        let untold = self.lease.spent.amount().saturating_sub(lease.spent.amount());
        let spent = self.lease.spent;
        self.lease = Lease { spent, ..lease };
        self.left = U::of(left.amount().saturating_sub(untold));
        self.limited_by = limited_by;
        if let Some(asked) = self.asked.take() {
            self.is_short = self.lease.claimed < asked;
            self.needed = U::default();
        }
    }
}

impl Leased {
    /// Money of the account moved on this node. Whatever is taken was leased before, also what is paid
    /// to a carrier that is not netted: which accounts are netted may have changed before the journal is
    /// in the tables, and both must count alike.
    pub(super) fn moved(&mut self, kind: PostingKind, is_debit: bool, amount: Money, netted: bool) {
        if is_debit {
            self.lease.spent.0 = self.lease.spent.0.saturating_add(amount.0);
        }
        if netted || !kind.changes_owed() {
            let more = if is_debit { -amount.0 } else { amount.0 };
            self.left.0 = self.left.0.saturating_add(more);
        }
    }
}

impl Leased<Seconds> {
    /// Of a bundle of which the tables say that so much is not used.
    pub(super) fn of_left(left: Seconds) -> Leased<Seconds> {
        Leased { left, ..Leased::default() }
    }

    /// Calls of this node have used so many.
    pub(super) fn used_up(&mut self, seconds: u32) {
        let seconds = i64::from(seconds);
        self.lease.spent.0 = self.lease.spent.0.saturating_add(seconds);
        self.left.0 = self.left.0.saturating_sub(seconds);
    }
}

/// Why a question is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AskBy {
    Need,
    Clock { periods: i64 },
    Others,
}
