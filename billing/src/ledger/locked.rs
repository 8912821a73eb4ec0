//! Some accounts, locked together: what happens between here and the drop is one step to everyone
//! else. Locks are taken in the order of the shards, so two such steps never wait for each other
//! in a circle.

use std::sync::MutexGuard;

use vocabulary::{AccountId, Utc};

use super::reservation::Closing;
use super::shard::Shard;
use super::{
    AccountView, Ledger, LedgerError, Outcome, Posting, ReservationId, ReservationState,
    SystemAccount,
};
use crate::Money;

/// Accounts locked at once: the payer, the carrier, and resellers between them.
const LOCKS_MAX: usize = 8;

/// The lock on up to eight accounts.
pub struct Locked<'a> {
    ledger: &'a Ledger,
    guards: [Option<(usize, MutexGuard<'a, Shard>)>; LOCKS_MAX],
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
        Locked { ledger, guards }
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

    /// Holds `amount` more. Slices count from 0; the same slice again is `Exists`, changed it is
    /// an error. `available` is never below zero afterwards.
    pub fn reserve(
        &mut self,
        id: ReservationId,
        slice: u16,
        account: AccountId,
        amount: Money,
        expires_at: Utc,
    ) -> Result<Outcome, LedgerError> {
        self.shard_mut(account).reserve(id, slice, account, amount, expires_at)
    }

    /// Gives all of a reservation back.
    pub fn void(&mut self, id: ReservationId, account: AccountId) -> Result<Outcome, LedgerError> {
        let shard = self.shard_mut(account);
        if shard.release(id, Closing::Voided).is_some() {
            return Ok(Outcome::Done);
        }
        match shard.closed.get(id) {
            Some(Closing::Voided) => Ok(Outcome::Exists),
            Some(other) => Err(other.error()),
            None => Err(LedgerError::NoReservation),
        }
    }

    /// Posts what was used of a reservation, gives the rest back, and makes the linked postings:
    /// all of it or nothing. `charge` is debited from the reservation's account; `None` posts
    /// nothing.
    pub fn post(
        &mut self,
        id: ReservationId,
        account: AccountId,
        charge: Option<&Posting>,
        linked: &[Posting],
    ) -> Result<Outcome, LedgerError> {
        let amount = charge.map_or(Money::ZERO, |posting| posting.amount);
        let shard = self.shard(account);
        match (shard.reservations.get(&id), shard.closed.get(id)) {
            (Some(held), _) if amount > held.amount => {
                return Err(LedgerError::ExceedsReserved { reserved: held.amount, asked: amount });
            }
            (Some(held), _) if held.account != account => return Err(LedgerError::Differs),
            (Some(_), _) => {}
            (None, Some(Closing::Posted(before))) if before == amount => {
                return Ok(Outcome::Exists);
            }
            (None, Some(closing)) => return Err(closing.error()),
            (None, None) => return Err(LedgerError::NoReservation),
        }
        if charge.is_some_and(|posting| posting.debit != account) {
            return Err(LedgerError::Differs);
        }
        for posting in charge.into_iter().chain(linked) {
            self.validate(posting)?;
        }
        self.shard_mut(account).release(id, Closing::Posted(amount));
        for posting in charge.into_iter().chain(linked) {
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
        let (currency, amount) = (posting.currency, posting.amount.0);
        // Our own side is counted in the shard of the other side: no lock is shared by all.
        let home = |side: AccountId, other: AccountId| {
            if SystemAccount::is_system(side) { other } else { side }
        };
        let debit_home = home(posting.debit, posting.credit);
        let debit = self.shard_mut(debit_home).counters(posting.debit, currency);
        debit.debits_posted.0 = debit.debits_posted.0.saturating_add(amount);
        let credit_home = home(posting.credit, posting.debit);
        let credit = self.shard_mut(credit_home).counters(posting.credit, currency);
        credit.credits_posted.0 = credit.credits_posted.0.saturating_add(amount);
    }

    /// Puts a reservation back as it was before a restart.
    pub(crate) fn restore(
        &mut self,
        id: ReservationId,
        state: ReservationState,
        currency: crate::Currency,
    ) {
        let shard = self.shard_mut(state.account);
        shard.counters(state.account, currency);
        shard.hold(id, state).expect("the account was just opened");
    }

    /// Takes a reservation off without posting, as its `Ended` record did before a restart.
    pub(crate) fn forget(&mut self, id: ReservationId, account: AccountId, posted: Money) {
        self.shard_mut(account).release(id, Closing::Posted(posted));
    }
}
