//! The part of the ledger that concerns several nodes: which questions it puts, and what it hears. The
//! same for the money of accounts and for the seconds of bundles.

use std::time::Duration;

use vocabulary::{AccountId, Utc};

use super::lists::{Leases, Lists};
use super::{
    AskBy, BundleOf, Lease, LeaseAnswer, LeaseAsk, LeaseAsks, Leased, Seconds, SecondsAnswer,
    SecondsAsk, Unit, Wanted,
};
use crate::ledger::account::Account;
use crate::ledger::{Bundle, BundleId, Ledger, SpendLimits, SpendPeriod};
use crate::{Currency, Money};

/// What nodes lease parts of.
pub(super) trait Fundable: Copy + Ord {
    /// Of what it is made.
    type Unit: Unit;
    /// The question about it.
    type Ask;
    /// Whose it is.
    fn account(self) -> AccountId;
    /// The lists of its kind.
    fn lists(leases: &Leases) -> &Lists<Self>;
    /// This node's part.
    fn part(self, account: &mut Account) -> Option<Part<'_, Self::Unit>>;
    /// Puts the question into words.
    fn ask(self, wanted: Wanted<Self::Unit>, spend: SpendLimits) -> Self::Ask;
}

/// This node's part of something, as the ledger has it.
pub(super) struct Part<'a, U> {
    leased: &'a mut Leased<U>,
    /// What live calls hold of it.
    pending: U,
    increment: U,
    spend: SpendLimits,
}

impl<U: Unit> Part<'_, U> {
    fn ask<K: Fundable<Unit = U>>(&mut self, key: K, how: AskBy) -> K::Ask {
        key.ask(self.leased.ask(self.pending, self.increment, how), self.spend)
    }
}

impl Fundable for AccountId {
    type Unit = Money;
    type Ask = LeaseAsk;

    fn account(self) -> AccountId {
        self
    }

    fn lists(leases: &Leases) -> &Lists<AccountId> {
        &leases.accounts
    }

    fn part(self, account: &mut Account) -> Option<Part<'_, Money>> {
        let (pending, spend) = (account.view.counters.debits_pending, account.view.terms.spend);
        let leased = account.view.lease.as_mut()?;
        Some(Part { leased, pending, increment: Money(1), spend })
    }

    fn ask(self, wanted: Wanted, spend: SpendLimits) -> LeaseAsk {
        LeaseAsk { account: self, wanted, spend }
    }
}

impl Fundable for BundleOf {
    type Unit = Seconds;
    type Ask = SecondsAsk;

    fn account(self) -> AccountId {
        self.account
    }

    fn lists(leases: &Leases) -> &Lists<BundleOf> {
        &leases.bundles
    }

    fn part(self, account: &mut Account) -> Option<Part<'_, Seconds>> {
        let bundle = account.bundles.get_mut(self.bundle)?;
        let (pending, increment) = (bundle.pending.into(), bundle.increment.into());
        let leased = bundle.lease.as_mut()?;
        Some(Part { leased, pending, increment, spend: SpendLimits::default() })
    }

    fn ask(self, wanted: Wanted<Seconds>, _: SpendLimits) -> SecondsAsk {
        SecondsAsk { of: self, wanted }
    }
}

impl Ledger {
    fn part<K: Fundable, T>(&self, key: K, with: impl FnOnce(Part<'_, K::Unit>) -> T) -> Option<T> {
        let mut shard = self.shard(self.shard_of(key.account()));
        let account = shard.accounts.get_mut(&key.account())?;
        key.part(account).map(with)
    }

    fn asks_of_need<K: Fundable>(&self) -> Vec<K::Ask> {
        let lists = K::lists(&self.leases);
        let asks = lists.take_wanted().into_iter().filter_map(|key| {
            lists.activate(key);
            self.part(key, |mut part| part.ask(key, AskBy::Need))
        });
        asks.collect()
    }

    fn asks_by_use<K: Fundable>(&self, periods: i64) -> Vec<K::Ask> {
        let lists = K::lists(&self.leases);
        let asks = lists.active().into_iter().filter_map(|key| {
            let ask = self.part(key, |mut part| match part.leased.is_idle(part.pending) {
                true => None,
                false => Some(part.ask(key, AskBy::Clock { periods })),
            });
            let ask = ask.flatten();
            if ask.is_none() {
                lists.rest(key);
            }
            ask
        });
        asks.collect()
    }

    fn asks_of_others<K: Fundable>(&self) -> Vec<K::Ask> {
        let spared = K::lists(&self.leases).take_spared().into_iter();
        let asks = spared.filter_map(|key| self.part(key, |mut part| part.ask(key, AskBy::Others)));
        asks.collect()
    }

    fn spare_all<K: Fundable>(&self) {
        let lists = K::lists(&self.leases);
        for key in lists.active() {
            if self.part(key, |part| part.leased.spare_all()).is_some() {
                lists.spare(key);
            }
        }
    }

    fn spare<K: Fundable>(&self, keys: &[K]) {
        for key in keys {
            if self.part(*key, |part| part.leased.spare_half()).is_some() {
                // The question by the clock, not by need: no more is asked for.
                K::lists(&self.leases).spare(*key);
            }
        }
    }

    fn retry_short<K: Fundable>(&self) {
        for key in K::lists(&self.leases).take_short() {
            self.part(key, |part| part.leased.is_short = false);
        }
    }

    fn hear<K: Fundable>(
        &self,
        key: K,
        lease: Lease<K::Unit>,
        left: K::Unit,
        by: Option<SpendPeriod>,
    ) {
        let lists = K::lists(&self.leases);
        self.part(key, |part| {
            part.leased.hear(lease, left, by);
            if part.leased.is_short {
                lists.shorten(key);
            }
            if part.leased.lease.granted != part.leased.lease.spent {
                lists.activate(key);
            }
        });
    }

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
    pub fn load_lease(&self, account: AccountId, lease: Lease, currency: Currency) {
        self.shard(self.shard_of(account)).open(account, currency);
        if self.part(account, |part| part.leased.lease = lease).is_some() {
            self.leases.accounts.activate(account);
        }
    }

    /// The same with a bundle's, after `load_bundle`.
    pub fn load_bundle_lease(&self, account: AccountId, bundle: BundleId, lease: Lease<Seconds>) {
        let key = BundleOf { account, bundle };
        if self.part(key, |part| part.leased.lease = lease).is_some() {
            self.leases.bundles.activate(key);
        }
    }

    /// Bundles that other nodes have given to accounts by `now`; one that is known stays as it is.
    pub fn learn_bundles(&self, bundles: Vec<(AccountId, Bundle)>, now: Utc) {
        for (account, bundle) in bundles {
            let mut shard = self.shard(self.shard_of(account));
            // The account may be as new, and not heard of yet.
            let known = shard.open(account, Currency::EUR);
            if known.bundles.get(bundle.id).is_none() {
                known.bundles.forget(now);
                known.bundles.put(bundle.leased_if(self.is_shared()));
            }
        }
    }

    /// The leases of which more is used than claimed, each with what it would have to be. None, but
    /// after a start that made several nodes of a Tandem alone.
    pub fn leases_exceeded(&self) -> LeaseAsks {
        let mut exceeded = LeaseAsks::default();
        for mut shard in self.all() {
            for (account, known) in &mut shard.accounts {
                exceeded.money.extend(account.part(known).and_then(|part| part.exceeded(*account)));
                let bundles: Vec<BundleId> = known.bundles.iter().map(|b| b.id).collect();
                for bundle in bundles {
                    let key = BundleOf { account: *account, bundle };
                    exceeded.seconds.extend(key.part(known).and_then(|part| part.exceeded(key)));
                }
            }
        }
        exceeded.money.sort_by_key(|ask| ask.account);
        exceeded.seconds.sort_by_key(|ask| ask.of);
        exceeded
    }

    /// The questions of what ran low since the last time.
    pub fn lease_asks(&self) -> LeaseAsks {
        self.leases.begin_asking();
        LeaseAsks {
            money: self.asks_of_need::<AccountId>(),
            seconds: self.asks_of_need::<BundleOf>(),
        }
    }

    /// The questions by the clock: every lease as large as what was used since the last time makes
    /// likely for `periods` such times.
    pub fn lease_asks_by_use(&self, periods: i64) -> LeaseAsks {
        LeaseAsks {
            money: self.asks_by_use::<AccountId>(periods),
            seconds: self.asks_by_use::<BundleOf>(periods),
        }
    }

    /// The questions that give back everything but what is used.
    pub fn lease_asks_to_end(&self) -> LeaseAsks {
        self.spare_all::<AccountId>();
        self.spare_all::<BundleOf>();
        self.lease_spares()
    }

    /// The questions that give back what others need.
    pub fn lease_spares(&self) -> LeaseAsks {
        LeaseAsks {
            money: self.asks_of_others::<AccountId>(),
            seconds: self.asks_of_others::<BundleOf>(),
        }
    }

    /// The database's answers about money.
    pub fn hear_leases(&self, answers: &[LeaseAnswer]) {
        for LeaseAnswer { account, lease, left, limited_by } in answers {
            self.hear(*account, *lease, *left, *limited_by);
        }
    }

    /// The database's answers about seconds.
    pub fn hear_seconds(&self, answers: &[SecondsAnswer]) {
        for SecondsAnswer { of, lease, left } in answers {
            self.hear(*of, *lease, *left, None);
        }
    }

    /// What was used already is leased now. What is left of the bundles is known from the start.
    pub fn seconds_covered(&self, answers: &[SecondsAnswer]) {
        for SecondsAnswer { of, lease, .. } in answers {
            self.part(*of, |part| {
                let spent = part.leased.lease.spent;
                part.leased.lease = Lease { spent, ..*lease };
            });
            self.leases.bundles.activate(*of);
        }
    }

    /// These questions were not answered, or nobody knows how.
    pub fn leases_unanswered(&self, asks: &LeaseAsks) {
        for ask in &asks.money {
            self.part(ask.account, |part| part.leased.unasked());
        }
        for ask in &asks.seconds {
            self.part(ask.of, |part| part.leased.unasked());
        }
    }

    /// The database does not have these bundles: they are not given yet, or not any more. Calls do not
    /// wait for them.
    pub fn seconds_not_found(&self, bundles: &[BundleOf]) {
        for key in bundles {
            self.part(*key, |part| part.leased.not_found());
            self.leases.bundles.shorten(*key);
        }
    }

    /// What had no more may be asked for again.
    pub fn retry_short_leases(&self) {
        self.retry_short::<AccountId>();
        self.retry_short::<BundleOf>();
    }

    /// Another node did not get what its calls wait for: half of what is ahead is given back.
    pub fn spare_leases(&self, accounts: &[AccountId], bundles: &[BundleOf]) {
        self.spare(accounts);
        self.spare(bundles);
    }

    /// How long leases may still be spent if the database is not heard of.
    pub fn leases_hold_for(&self, now: Duration) -> Duration {
        self.leases.hold_for(now)
    }

    /// Leases hold until then, by the monotonic clock.
    pub fn hold_leases_until(&self, until: Duration) {
        self.leases.hold_until(until);
    }

    /// May leases be spent at this moment?
    pub fn are_leases_held(&self, now: Duration) -> bool {
        self.leases.are_held(now)
    }

    /// Does something run low that nobody has asked for since?
    pub fn wants_leases(&self) -> bool {
        self.leases.has_wanted()
    }
}

impl<U: Unit> Part<'_, U> {
    fn exceeded<K: Fundable<Unit = U>>(self, key: K) -> Option<K::Ask> {
        let used = self.leased.used(self.pending);
        let wanted = Wanted { granted: used, claimed: used, least: used };
        (used > self.leased.lease.claimed).then(|| key.ask(wanted, self.spend))
    }
}

impl crate::ledger::Locked<'_> {
    /// Hears of what was taken for the step that follows under this lock.
    pub(in crate::ledger) fn hear(&mut self, answer: &LeaseAnswer) {
        if let Some(known) = self.account_mut(answer.account)
            && let Some(leased) = &mut known.view.lease
        {
            leased.hear(answer.lease, answer.left, answer.limited_by);
        }
    }

    /// A call waits until this much can be reserved from the account. False if there is nobody to
    /// ask, or if the account was asked and had no more.
    pub(crate) fn need(&mut self, account: AccountId, amount: Money) -> bool {
        let Some(known) = self.account_mut(account) else { return false };
        let Some(part) = account.part(known) else { return false };
        if part.leased.is_short {
            return false;
        }
        part.leased.needed = part.leased.needed.max(amount);
        self.leases().want_money(account);
        true
    }

    /// A call waits until so many seconds of a bundle can be held. False if the tables have no more of
    /// it than this node may hold already, or if it was asked for and there was no more.
    pub(crate) fn need_seconds(&mut self, of: BundleOf, seconds: u32) -> bool {
        let Some(known) = self.account_mut(of.account) else { return false };
        let Some(part) = of.part(known) else { return false };
        if part.leased.is_short || part.leased.is_all_claimed() {
            return false;
        }
        part.leased.needed = part.leased.needed.max(seconds.into());
        self.leases().want_seconds(of);
        true
    }

    /// More is asked for if little is left; nobody waits for it.
    pub(in crate::ledger) fn top_up_lease(&mut self, account: AccountId) {
        let Some(known) = self.account_mut(account) else { return };
        if account.part(known).is_some_and(|part| part.leased.is_due(part.pending)) {
            self.leases().want_money(account);
        }
    }

    /// The same with a bundle.
    pub(in crate::ledger) fn top_up_seconds(&mut self, of: BundleOf) {
        let Some(known) = self.account_mut(of.account) else { return };
        let is_due = of
            .part(known)
            .is_some_and(|part| part.leased.is_due(part.pending) && !part.leased.is_all_claimed());
        if is_due {
            self.leases().want_seconds(of);
        }
    }
}
