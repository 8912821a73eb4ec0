//! Some accounts, locked together: what happens between here and the drop is one step to everyone
//! else. Locks are taken in the order of the shards, so two such steps never wait for each other
//! in a circle.

use std::ops::Range;
use std::sync::MutexGuard;

use vocabulary::{AccountId, Utc};

use super::account::Account;
use super::lease::Leases;
use super::reservation::Closing;
use super::shard::Shard;
use super::{
    AccountView, Ask, Bundle, BundleId, BundleOf, BundleShare, Ledger, LedgerError, LedgerEvent,
    Outcome, Posting, ReservationId, ReservationState, SpendPeriod, SystemAccount, Use, hour_of,
};
use crate::{Journal, Money, Record};

/// Accounts locked at once: the payer, the carrier, and resellers between them.
const LOCKS_MAX: usize = 8;

/// The lock on up to eight accounts.
pub struct Locked<'a> {
    ledger: &'a Ledger,
    guards: [Option<(usize, MutexGuard<'a, Shard>)>; LOCKS_MAX],
    /// What is to be told of what happened under this lock; usually nothing.
    told: Vec<LedgerEvent>,
}

impl<'a> Locked<'a> {
    pub(super) fn new(ledger: &'a Ledger, accounts: &[AccountId]) -> Locked<'a> {
        debug_assert!(accounts.len() <= LOCKS_MAX);
        let mut wanted = [usize::MAX; LOCKS_MAX];
        for (slot, account) in wanted.iter_mut().zip(accounts) {
            *slot = ledger.shard_of(*account);
        }
        wanted.sort_unstable();
        let mut guards = [const { None }; LOCKS_MAX];
        let mut last = usize::MAX;
        for (guard, index) in guards.iter_mut().zip(wanted) {
            if index != usize::MAX && index != last {
                *guard = Some((index, ledger.shard(index)));
                last = index;
            }
        }
        Locked { ledger, guards, told: Vec::new() }
    }

    fn shard(&self, account: AccountId) -> &Shard {
        let wanted = self.ledger.shard_of(account);
        let guard = self.guards.iter().flatten().find(|(index, _)| *index == wanted);
        &guard.expect("only accounts that were locked are used").1
    }

    fn shard_mut(&mut self, account: AccountId) -> &mut Shard {
        let wanted = self.ledger.shard_of(account);
        let guard = self.guards.iter_mut().flatten().find(|(index, _)| *index == wanted);
        &mut guard.expect("only accounts that were locked are used").1
    }

    /// The account as it is.
    pub fn account(&self, account: AccountId) -> Option<AccountView> {
        self.shard(account).accounts.get(&account).map(|account| account.view)
    }

    /// The reservation as it is.
    pub fn reservation(&self, account: AccountId, id: ReservationId) -> Option<ReservationState> {
        self.shard(account).reservations.get(&id).copied()
    }

    /// A bundle as it is.
    pub fn bundle(&self, account: AccountId, bundle: BundleId) -> Option<&Bundle> {
        self.shard(account).accounts.get(&account)?.bundles.get(bundle)
    }

    /// The account's bundles in the order in which they are used.
    pub fn bundles(&self, account: AccountId) -> impl Iterator<Item = &Bundle> {
        let account = self.shard(account).accounts.get(&account);
        account.into_iter().flat_map(|account| account.bundles.iter())
    }

    /// Says in which hour of UTC it is `now`, and when the account's present day and month begin and end;
    /// what was charged in another hour, day or month counts no more.
    pub fn turn(&mut self, account: AccountId, now: Utc, day: &Range<Utc>, month: &Range<Utc>) {
        if let Some(account) = self.shard_mut(account).accounts.get_mut(&account) {
            account.view.spending.turn(&hour_of(now), day, month);
        }
    }

    /// A call was refused, or will end, because nothing more can be reserved from this account. No
    /// money moves by it, so that it is told is a record of its own.
    pub fn exhausted(&mut self, account: AccountId, at: Utc, journal: &dyn Journal) {
        let known = self.shard_mut(account).accounts.get_mut(&account);
        if let Some(event) = known.and_then(|known| known.exhausted(account)) {
            journal.append(&Record::Told { at, event });
            self.ledger.events.push(event);
        }
    }

    /// The same because a limit of spending leaves too little, whatever the balance.
    pub fn spend_limit_reached(
        &mut self,
        account: AccountId,
        period: SpendPeriod,
        at: Utc,
        journal: &dyn Journal,
    ) {
        let known = self.shard_mut(account).accounts.get_mut(&account);
        if let Some(event) = known.and_then(|known| known.spend_limit_reached(account, period)) {
            journal.append(&Record::Told { at, event });
            self.ledger.events.push(event);
        }
    }

    /// That was told before a restart, if it is still the same day or month.
    pub(crate) fn resume_spend_limit(
        &mut self,
        account: AccountId,
        period: SpendPeriod,
        from: Utc,
        limit: Money,
    ) {
        if let Some(known) = self.account_mut(account) {
            let window = known.view.spending.window_mut(period);
            window.told = Some(limit).filter(|_| window.from == from).or(window.told);
        }
    }

    /// The account's terms changed, or another node's movements were heard of: is that to be told?
    pub(super) fn look_at(&mut self, account: AccountId) {
        let mut told = std::mem::take(&mut self.told);
        if let Some(known) = self.account_mut(account) {
            known.moved(account, &mut |event| told.push(event));
        }
        self.told = told;
    }

    /// What is to be told of what happened under this lock, for its record, which must be appended
    /// before the lock is given up. A replay, whose records have it, lets it go.
    pub(crate) fn take_told(&mut self) -> Vec<LedgerEvent> {
        self.told.iter().for_each(|event| self.ledger.events.push(*event));
        std::mem::take(&mut self.told)
    }

    /// Holds more, for one payer or for several of one call: all of it or, with the place of the
    /// first that cannot, nothing. The same slice again is `Exists`, changed it is an error.
    /// `available` is never below zero afterwards.
    pub fn reserve(&mut self, asks: &[Ask<'_>]) -> Result<Outcome, (usize, LedgerError)> {
        let mut outcome = Outcome::Exists;
        // The last one needs no look ahead: nothing can go wrong behind it.
        let ahead = asks.len().saturating_sub(1);
        for (index, ask) in asks[..ahead].iter().enumerate() {
            self.shard(ask.account).check_ask(ask).map_err(|why| (index, why))?;
        }
        if ahead > 0 {
            let last = &asks[ahead];
            self.shard(last.account).check_ask(last).map_err(|why| (ahead, why))?;
        }
        for (index, ask) in asks.iter().enumerate() {
            let shard = self.shard_mut(ask.account);
            if let Some(state) = shard.check_ask(ask).map_err(|why| (index, why))? {
                shard.hold(ask.id, state, ask.bundles).map_err(|why| (index, why))?;
                outcome = Outcome::Done;
                self.top_up_lease(ask.account);
                let is_shared = self.is_shared();
                for share in ask.bundles.iter().filter(|_| is_shared) {
                    self.top_up_seconds(BundleOf { account: ask.account, bundle: share.bundle });
                }
            }
        }
        Ok(outcome)
    }

    /// Gives all of a reservation back.
    pub fn void(&mut self, id: ReservationId, account: AccountId) -> Result<Outcome, LedgerError> {
        let shard = self.shard_mut(account);
        if shard.reservations.contains_key(&id) {
            shard.release(id, Closing::Voided, &[]);
            return Ok(Outcome::Done);
        }
        match shard.closed.get(id) {
            Some(Closing::Voided) => Ok(Outcome::Exists),
            Some(other) => Err(other.error()),
            None => Err(LedgerError::NoReservation),
        }
    }

    /// Posts what was used of a call's reservations, gives the rest back, and makes the linked
    /// postings: all of it or nothing.
    pub fn post(&mut self, uses: &[Use<'_>], linked: &[Posting]) -> Result<Outcome, LedgerError> {
        let mut repeats = 0;
        for made in uses {
            let outcome = self.shard(made.account).check_use(made)?;
            repeats += usize::from(outcome == Outcome::Exists);
        }
        if repeats > 0 {
            let is_repeat = repeats == uses.len();
            return if is_repeat { Ok(Outcome::Exists) } else { Err(LedgerError::Differs) };
        }
        let charges = uses.iter().filter_map(|made| made.charge);
        for posting in charges.clone().chain(linked) {
            self.validate(posting)?;
        }
        for made in uses {
            let amount = made.charge.map_or(Money::ZERO, |posting| posting.amount);
            let closing = Closing::Posted(amount);
            let event = self.shard_mut(made.account).release(made.id, closing, made.bundles);
            self.told.extend(event);
        }
        for posting in charges.chain(linked) {
            self.apply(posting);
        }
        Ok(Outcome::Done)
    }

    pub(super) fn validate(&self, posting: &Posting) -> Result<(), LedgerError> {
        for side in [posting.debit, posting.credit] {
            if !SystemAccount::is_system(side) {
                self.shard(side).validate(side, posting)?;
            }
        }
        Ok(())
    }

    /// Moves the counters, without a question.
    pub(crate) fn apply(&mut self, posting: &Posting) {
        let mut told = std::mem::take(&mut self.told);
        self.shift(posting, Some(&mut told));
        self.told = told;
    }

    /// The same with several at once, of these accounts of others: what is given back and taken again
    /// crosses no threshold in between.
    pub(crate) fn apply_together(&mut self, postings: &[Posting], accounts: &[AccountId]) {
        postings.iter().for_each(|posting| self.shift(posting, None));
        accounts.iter().for_each(|account| self.look_at(*account));
    }

    fn shift(&mut self, posting: &Posting, mut told: Option<&mut Vec<LedgerEvent>>) {
        // Our own side is counted in the shard of the other side: no lock is shared by all.
        let home = |side: AccountId, other: AccountId| {
            if SystemAccount::is_system(side) { other } else { side }
        };
        let debit_home = home(posting.debit, posting.credit);
        self.shard_mut(debit_home).apply(posting.debit, true, posting, told.as_deref_mut());
        let credit_home = home(posting.credit, posting.debit);
        self.shard_mut(credit_home).apply(posting.credit, false, posting, told);
    }

    /// Puts a reservation back as it was before a restart.
    pub(crate) fn restore(
        &mut self,
        id: ReservationId,
        state: ReservationState,
        bundles: &[BundleShare],
        currency: crate::Currency,
    ) {
        let shard = self.shard_mut(state.account);
        shard.open(state.account, currency);
        shard.hold(id, state, bundles).expect("the account was just opened");
    }

    /// Takes a reservation off without posting, as its `Ended` record did before a restart.
    /// `used` is what that record says of bundles, if the loaded balances do not have it yet.
    pub(crate) fn forget(
        &mut self,
        id: ReservationId,
        account: AccountId,
        posted: Money,
        used: &[BundleShare],
    ) {
        self.shard_mut(account).release(id, Closing::Posted(posted), used);
    }

    /// Uses of bundles by a call whose reservation was never seen.
    pub(crate) fn add_used(&mut self, account: AccountId, used: &BundleShare) {
        if let Some(account) = self.shard_mut(account).accounts.get_mut(&account) {
            account.bundles.add_used(used);
        }
    }

    /// Are the accounts shared with other nodes?
    pub(crate) fn is_shared(&self) -> bool {
        self.ledger.is_shared()
    }

    pub(super) fn leases(&self) -> &Leases {
        &self.ledger.leases
    }

    pub(super) fn account_mut(&mut self, account: AccountId) -> Option<&mut Account> {
        self.shard_mut(account).accounts.get_mut(&account)
    }
}
