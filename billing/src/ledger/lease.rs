//! What one of several nodes may spend of an account that all of them share. The money lies with the
//! account (in the database); a node takes a part of it ahead of need, its lease, and reserves from
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

mod sums;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use vocabulary::AccountId;

use super::account::clamp;
use super::{Ledger, PostingKind, SpendLimits, SpendPeriod};
use crate::Money;

pub use sums::LeaseSum;

/// A node's part of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Lease {
    /// Taken from the account, less what was given back.
    pub granted: Money,
    /// What of it the node may use before it asks again.
    pub claimed: Money,
    /// Charged to the account by this node, and paid out to it as a carrier.
    pub spent: Money,
}

impl Lease {
    /// What the node has and has not charged yet.
    pub fn unspent(&self) -> Money {
        Money(self.granted.0.saturating_sub(self.spent.0))
    }
}

/// What a node asks for, as the sums that it wants to have; less than now gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseAsk {
    /// Whose money.
    pub account: AccountId,
    /// To be granted in all,
    pub granted: Money,
    /// and claimed.
    pub claimed: Money,
    /// Calls wait until this much is claimed.
    pub least: Money,
    /// What the account may be charged in a day and in a month.
    pub spend: SpendLimits,
}

/// The account as the database has it at the moment of the answer, locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fund {
    /// Balance and credit limit.
    pub left: Money,
    /// What all nodes have leased and not yet charged.
    pub leased: Money,
    /// What the limits of the day and the month leave; `None`: there are none.
    pub spend_left: Option<Money>,
}

impl Fund {
    /// What is nobody's.
    pub fn free(&self) -> Money {
        let left = self.spend_left.map_or(self.left, |spend| spend.min(self.left));
        clamp(i128::from(left.0) - i128::from(self.leased.0))
    }

    /// What a node that has `held` gets for its question. A call that waits gets what there is; what
    /// is only taken ahead leaves half of the rest to the other nodes.
    pub fn decide(&self, held: Lease, ask: &LeaseAsk) -> Lease {
        let free = self.free().0.max(0);
        let wanted = ask.granted.0.max(ask.claimed.0).saturating_sub(held.granted.0);
        let more = if wanted <= 0 {
            wanted
        } else {
            let must = ask.least.0.saturating_sub(held.granted.0).clamp(0, free);
            wanted.min(must.max(free / 2))
        };
        let granted = Money(held.granted.0.saturating_add(more));
        Lease { granted, claimed: ask.claimed.min(granted), spent: held.spent }
    }
}

/// The database's answer to a question.
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

/// A lease inside the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Leased {
    /// The node's part as it knows it.
    pub lease: Lease,
    /// Balance and credit limit as last heard, and what this node has moved since.
    pub left: Money,
    /// The account had no more when it was last asked.
    pub is_short: bool,
    /// It was last heard that a limit of spending is the reason.
    pub limited_by: Option<SpendPeriod>,
    /// How much is wanted beyond what is used.
    ahead: Money,
    /// What was used when `ahead` was last set by the use.
    used_before: Money,
    /// Others did not get what their calls wait for.
    is_scarce: bool,
    /// A call waits until this much can be reserved.
    needed: Money,
    /// Claimed in all, as asked for and not yet answered.
    asked: Option<Money>,
}

/// Less than this is not kept ahead of nothing, in micro-units.
const AHEAD_MIN: i64 = 10_000;
/// A node that needs this much for a call takes as much for so many more.
const CALLS_AHEAD: i64 = 4;

impl Leased {
    fn used(&self, pending: Money) -> Money {
        Money(self.lease.spent.0.saturating_add(pending.0))
    }

    /// What may be reserved.
    pub fn available(&self, pending: Money) -> Money {
        clamp(i128::from(self.lease.claimed.0) - i128::from(self.used(pending).0))
    }

    /// Half of what is kept ahead is gone, or a call waits.
    pub(super) fn is_low(&self, pending: Money) -> bool {
        let available = self.available(pending);
        available < self.needed || available.0.saturating_mul(2) < self.ahead.0
    }

    /// The question was not answered: things are as they were, but for what was to be given back.
    fn unasked(&mut self) {
        self.asked = None;
    }

    /// Is all that the account has with this node?
    pub(super) fn is_last(&self) -> bool {
        self.left <= self.lease.unspent()
    }

    /// Nothing is held, and nothing is to be given back.
    fn is_idle(&self, pending: Money) -> bool {
        pending.is_zero() && self.lease.granted == self.lease.spent && self.needed.is_zero()
    }

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

    /// The question after half was used: twice as much ahead as before.
    fn ask_more(&mut self, pending: Money) -> (Money, Money) {
        let needed = self.needed.0.saturating_mul(CALLS_AHEAD);
        if self.is_low(pending) {
            self.ahead = Money(self.ahead.0.saturating_mul(2).max(needed));
        }
        self.target(pending)
    }

    /// The question by the clock: as much ahead as will be used in `periods` such times, and never
    /// less than live calls hold; what is too much shrinks by half a time.
    fn ask_by_use(&mut self, pending: Money, periods: i64) -> (Money, Money) {
        let used = self.used(pending);
        let grown = used.0.saturating_sub(self.used_before.0).max(0);
        self.used_before = used;
        let mut wanted = grown.saturating_mul(periods).max(pending.0);
        if std::mem::take(&mut self.is_scarce) {
            // Others wait for money: nothing more is taken ahead now.
            wanted = wanted.min(self.ahead.0);
        }
        self.ahead.0 = match wanted {
            0 if self.ahead.0 < AHEAD_MIN => 0,
            0 => self.ahead.0 / 4,
            wanted => wanted.max(self.ahead.0 / 2),
        };
        self.target(pending)
    }

    fn target(&self, pending: Money) -> (Money, Money) {
        let used = self.used(pending).0;
        let ahead = self.ahead.0.max(self.needed.0);
        let claimed = used.saturating_add(ahead);
        (Money(claimed.saturating_add(self.ahead.0)), Money(claimed))
    }

    /// Puts the question; what is to be given back is out of reach from now on.
    fn ask(
        &mut self,
        account: AccountId,
        pending: Money,
        how: AskBy,
        spend: SpendLimits,
    ) -> LeaseAsk {
        let (granted, claimed) = match how {
            AskBy::Need => self.ask_more(pending),
            AskBy::Clock { periods } => self.ask_by_use(pending, periods),
            AskBy::Others => self.target(pending),
        };
        let least = Money(self.used(pending).0.saturating_add(self.needed.0));
        self.asked = Some(claimed);
        self.lease.claimed = self.lease.claimed.min(claimed);
        LeaseAsk { account, granted, claimed, least, spend }
    }

    /// Hears the answer to what was asked, or how things stand.
    fn hear(&mut self, answer: &LeaseAnswer) {
        let untold = self.lease.spent.0.saturating_sub(answer.lease.spent.0);
        let spent = self.lease.spent;
        self.lease = Lease { spent, ..answer.lease };
        self.left = Money(answer.left.0.saturating_sub(untold));
        self.limited_by = answer.limited_by;
        if let Some(asked) = self.asked.take() {
            self.is_short = self.lease.claimed < asked;
            self.needed = Money::ZERO;
        }
    }
}

/// Why a question is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AskBy {
    Need,
    Clock { periods: i64 },
    Others,
}

/// The part of the ledger that concerns several nodes.
impl Ledger {
    /// From now on every account is shared with other nodes. At start, before anything is loaded.
    pub fn share(&self) {
        self.leases.share();
        for mut shard in self.all() {
            shard.is_shared = true;
        }
    }

    /// Are there other nodes?
    pub fn is_shared(&self) -> bool {
        self.leases.is_shared()
    }

    /// Puts a lease back as the tables have it. At start, after `load` and before any record is
    /// replayed.
    pub fn load_lease(&self, account: AccountId, lease: Lease, currency: crate::Currency) {
        let mut shard = self.shard(self.shard_of(account));
        if let Some(leased) = &mut shard.open(account, currency).view.lease {
            leased.lease = lease;
            drop(shard);
            self.leases.activate(account);
        }
    }

    /// The leases of which more is used than claimed, each with what it would have to be. None, but
    /// after a start that made several nodes of a Tandem alone.
    pub fn leases_exceeded(&self) -> Vec<LeaseAsk> {
        let mut exceeded = Vec::new();
        for shard in self.all() {
            for (account, known) in &shard.accounts {
                let (pending, spend) = (known.view.counters.debits_pending, known.view.terms.spend);
                let Some(leased) = &known.view.lease else { continue };
                let used = leased.used(pending);
                if used > leased.lease.claimed {
                    let (account, granted, claimed, least) = (*account, used, used, used);
                    exceeded.push(LeaseAsk { account, granted, claimed, least, spend });
                }
            }
        }
        exceeded.sort_by_key(|ask| ask.account);
        exceeded
    }

    /// The questions of accounts that ran low since the last time.
    pub fn lease_asks(&self) -> Vec<LeaseAsk> {
        let mut wanted = self.leases.take_wanted();
        wanted.sort_unstable();
        wanted.dedup();
        let asks = wanted.into_iter().filter_map(|account| {
            self.leases.activate(account);
            let mut shard = self.shard(self.shard_of(account));
            let view = &mut shard.accounts.get_mut(&account)?.view;
            let (pending, spend) = (view.counters.debits_pending, view.terms.spend);
            Some(view.lease.as_mut()?.ask(account, pending, AskBy::Need, spend))
        });
        asks.collect()
    }

    /// The questions by the clock: every lease as large as what was used since the last time makes
    /// likely for `periods` such times.
    pub fn lease_asks_by_use(&self, periods: i64) -> Vec<LeaseAsk> {
        let mut asks = Vec::new();
        for account in self.leases.active() {
            let mut shard = self.shard(self.shard_of(account));
            let Some(known) = shard.accounts.get_mut(&account) else { continue };
            let (pending, spend) = (known.view.counters.debits_pending, known.view.terms.spend);
            let Some(leased) = &mut known.view.lease else { continue };
            if leased.is_idle(pending) {
                self.leases.rest(account);
            } else {
                asks.push(leased.ask(account, pending, AskBy::Clock { periods }, spend));
            }
        }
        asks
    }

    /// The questions that give back everything but what is used.
    pub fn lease_asks_to_end(&self) -> Vec<LeaseAsk> {
        self.spare_all();
        self.lease_spares()
    }

    fn spare_all(&self) {
        for account in self.leases.active() {
            let mut shard = self.shard(self.shard_of(account));
            if let Some(known) = shard.accounts.get_mut(&account)
                && let Some(leased) = &mut known.view.lease
            {
                leased.ahead = Money::ZERO;
                self.leases.spare(account);
            }
        }
    }

    /// The database's answers.
    pub fn hear_leases(&self, answers: &[LeaseAnswer]) {
        for answer in answers {
            let mut shard = self.shard(self.shard_of(answer.account));
            if let Some(known) = shard.accounts.get_mut(&answer.account)
                && let Some(leased) = &mut known.view.lease
            {
                leased.hear(answer);
                if leased.is_short {
                    self.leases.shorten(answer.account);
                }
                if leased.lease.granted != leased.lease.spent {
                    self.leases.activate(answer.account);
                }
            }
        }
    }

    /// These questions were not answered, or nobody knows how.
    pub fn leases_unanswered(&self, asks: &[LeaseAsk]) {
        for ask in asks {
            let mut shard = self.shard(self.shard_of(ask.account));
            if let Some(known) = shard.accounts.get_mut(&ask.account)
                && let Some(leased) = &mut known.view.lease
            {
                leased.unasked();
            }
        }
    }

    /// Accounts that had no more may be asked again.
    pub fn retry_short_leases(&self) {
        for account in self.leases.take_short() {
            let mut shard = self.shard(self.shard_of(account));
            if let Some(known) = shard.accounts.get_mut(&account)
                && let Some(leased) = &mut known.view.lease
            {
                leased.is_short = false;
            }
        }
    }

    /// Another node did not get what its calls wait for: half of what is ahead is given back.
    pub fn spare_leases(&self, accounts: &[AccountId]) {
        for account in accounts {
            let mut shard = self.shard(self.shard_of(*account));
            if let Some(known) = shard.accounts.get_mut(account)
                && let Some(leased) = &mut known.view.lease
            {
                leased.ahead.0 /= 2;
                leased.is_scarce = true;
                // The question by the clock, not by need: no more is asked for.
                self.leases.spare(*account);
            }
        }
    }

    /// The questions that give back what others need.
    pub fn lease_spares(&self) -> Vec<LeaseAsk> {
        let asks = self.leases.take_spared().into_iter().filter_map(|account| {
            let mut shard = self.shard(self.shard_of(account));
            let view = &mut shard.accounts.get_mut(&account)?.view;
            let (pending, spend) = (view.counters.debits_pending, view.terms.spend);
            Some(view.lease.as_mut()?.ask(account, pending, AskBy::Others, spend))
        });
        asks.collect()
    }

    /// How long leases may still be spent if the database is not heard of.
    pub fn leases_hold_for(&self, now: Duration) -> Duration {
        Duration::from_micros(self.leases.held_until_us.load(Acquire)).saturating_sub(now)
    }

    /// Leases hold until then, by the monotonic clock.
    pub fn hold_leases_until(&self, until: Duration) {
        self.leases.hold_until(until);
    }

    /// May leases be spent at this moment?
    pub fn are_leases_held(&self, now: Duration) -> bool {
        self.leases.are_held(now)
    }

    /// Does an account run low that nobody has asked for since?
    pub fn wants_leases(&self) -> bool {
        self.leases.has_wanted()
    }
}

impl super::Locked<'_> {
    /// Hears of what was taken for the step that follows under this lock.
    pub(super) fn hear(&mut self, answer: &LeaseAnswer) {
        if let Some(known) = self.account_mut(answer.account)
            && let Some(leased) = &mut known.view.lease
        {
            leased.hear(answer);
        }
    }

    /// A call waits until this much can be reserved from the account. False if there is nobody to
    /// ask, or if the account was asked and had no more.
    pub(crate) fn need(&mut self, account: AccountId, amount: Money) -> bool {
        let Some(known) = self.account_mut(account) else { return false };
        let Some(leased) = &mut known.view.lease else { return false };
        if leased.is_short {
            return false;
        }
        leased.needed = leased.needed.max(amount);
        self.want_lease(account);
        true
    }

    /// More is asked for if little is left; nobody waits for it.
    pub(super) fn top_up_lease(&mut self, account: AccountId) {
        let Some(known) = self.account_mut(account) else { return };
        let pending = known.view.counters.debits_pending;
        let is_due = known.view.lease.is_some_and(|leased| {
            leased.asked.is_none() && !leased.is_short && leased.is_low(pending)
        });
        if is_due {
            self.want_lease(account);
        }
    }
}

/// What of all this belongs to no single account.
#[derive(Debug)]
pub(super) struct Leases {
    is_shared: AtomicBool,
    /// Accounts to be asked for. Locked after any shard.
    wanted: Mutex<Vec<AccountId>>,
    has_wanted: AtomicBool,
    /// Accounts of which something is leased. Locked after any shard, as the next.
    active: Mutex<BTreeSet<AccountId>>,
    /// Those that had no more.
    short: Mutex<Vec<AccountId>>,
    /// Those that others need.
    spared: Mutex<BTreeSet<AccountId>>,
    /// By the monotonic clock, in microseconds.
    held_until_us: AtomicU64,
}

impl Default for Leases {
    fn default() -> Leases {
        Leases {
            is_shared: false.into(),
            wanted: Mutex::default(),
            has_wanted: false.into(),
            active: Mutex::default(),
            short: Mutex::default(),
            spared: Mutex::default(),
            held_until_us: u64::MAX.into(),
        }
    }
}

fn locked<T>(list: &Mutex<T>) -> MutexGuard<'_, T> {
    list.lock().expect("nothing panics while a list of accounts is locked")
}

impl Leases {
    fn share(&self) {
        self.is_shared.store(true, Relaxed);
    }

    fn is_shared(&self) -> bool {
        self.is_shared.load(Relaxed)
    }

    pub(super) fn want(&self, account: AccountId) {
        let mut wanted = locked(&self.wanted);
        wanted.push(account);
        self.has_wanted.store(true, Release);
    }

    fn has_wanted(&self) -> bool {
        self.has_wanted.load(Acquire)
    }

    fn take_wanted(&self) -> Vec<AccountId> {
        let mut wanted = locked(&self.wanted);
        self.has_wanted.store(false, Release);
        std::mem::take(&mut wanted)
    }

    fn activate(&self, account: AccountId) {
        locked(&self.active).insert(account);
    }

    fn rest(&self, account: AccountId) {
        locked(&self.active).remove(&account);
    }

    fn active(&self) -> Vec<AccountId> {
        locked(&self.active).iter().copied().collect()
    }

    fn shorten(&self, account: AccountId) {
        locked(&self.short).push(account);
    }

    fn spare(&self, account: AccountId) {
        locked(&self.spared).insert(account);
    }

    fn take_spared(&self) -> BTreeSet<AccountId> {
        std::mem::take(&mut locked(&self.spared))
    }

    fn take_short(&self) -> Vec<AccountId> {
        std::mem::take(&mut locked(&self.short))
    }

    fn hold_until(&self, until: Duration) {
        let micros = u64::try_from(until.as_micros()).unwrap_or(u64::MAX);
        self.held_until_us.store(micros, Release);
    }

    fn are_held(&self, now: Duration) -> bool {
        let micros = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        micros < self.held_until_us.load(Acquire)
    }
}
