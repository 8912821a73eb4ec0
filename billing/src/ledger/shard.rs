//! One lock's worth of the ledger: accounts, their reservations, and this shard's part of our own
//! accounts, so that a charge needs the payer's lock only, however many are charged at once.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use vocabulary::{AccountId, Utc};

use super::account::Account;
use super::reservation::{Closed, Closing};
use super::{Counters, LedgerError, Posting, ReservationId, ReservationState, SystemAccount};
use super::{Outcome, Status, SystemKind};
use crate::{Currency, Money};

#[derive(Debug)]
pub(super) struct Shard {
    pub(super) accounts: HashMap<AccountId, Account, FixedState>,
    pub(super) reservations: HashMap<ReservationId, ReservationState, FixedState>,
    pub(super) closed: Closed,
    /// Our own accounts as far as this shard's postings moved them; a handful.
    pub(super) ours: Vec<(AccountId, Currency, Counters)>,
}

impl Shard {
    pub(super) fn new() -> Shard {
        Shard {
            accounts: HashMap::with_hasher(FixedState::default()),
            reservations: HashMap::with_hasher(FixedState::default()),
            closed: Closed::new(),
            ours: Vec::new(),
        }
    }

    pub(super) fn ours(&mut self, id: AccountId, currency: Currency) -> &mut Counters {
        let index = self.ours.iter().position(|(known, ..)| *known == id).unwrap_or_else(|| {
            self.ours.push((id, currency, Counters::default()));
            self.ours.len() - 1
        });
        &mut self.ours[index].2
    }

    fn revenue(&mut self, currency: Currency) -> &mut Counters {
        self.ours(SystemAccount { kind: SystemKind::Revenue, currency }.id(), currency)
    }

    /// Holds `amount` more for `id`. Slices count up from 0.
    pub(super) fn reserve(
        &mut self,
        id: ReservationId,
        slice: u16,
        account: AccountId,
        amount: Money,
        expires_at: Utc,
    ) -> Result<Outcome, LedgerError> {
        if amount.is_negative() {
            return Err(LedgerError::Amount);
        }
        if let Some(closing) = self.closed.get(id) {
            return Err(closing.error());
        }
        let held = self.reservations.get(&id);
        if let Some(outcome) = repeated(held, slice, account, amount)? {
            return Ok(outcome);
        }
        let payer = self.accounts.get_mut(&account).ok_or(LedgerError::NoAccount(account))?;
        // A call under way is paid for even if its account was blocked meanwhile.
        if slice == 0 && payer.view.terms.status != Status::Active {
            return Err(LedgerError::Inactive(account));
        }
        let available = payer.view.available();
        if amount > available {
            return Err(LedgerError::ExceedsAvailable { available, needed: amount });
        }
        let before = held.map_or(Money::ZERO, |held| held.amount);
        let total = before.checked_add(amount).map_err(|_| LedgerError::Amount)?;
        let state = ReservationState { account, amount: total, slice, newest: amount, expires_at };
        self.hold(id, state)?;
        Ok(Outcome::Done)
    }

    /// Sets a reservation to `state`, whatever it was; the pending sums follow.
    pub(super) fn hold(
        &mut self,
        id: ReservationId,
        state: ReservationState,
    ) -> Result<(), LedgerError> {
        let payer =
            self.accounts.get_mut(&state.account).ok_or(LedgerError::NoAccount(state.account))?;
        let before = self.reservations.get(&id).map(|held| held.amount);
        let raised = Money(state.amount.0 - before.unwrap_or(Money::ZERO).0);
        let pending = payer.view.counters.debits_pending;
        let pending = pending.checked_add(raised).map_err(|_| LedgerError::Amount)?;
        let currency = payer.view.terms.currency;
        payer.view.counters.debits_pending = pending;
        payer.view.open_reservations += u32::from(before.is_none());
        self.reservations.insert(id, state);
        self.revenue(currency).credits_pending.0 += raised.0;
        Ok(())
    }

    /// Takes a reservation off the books.
    pub(super) fn release(&mut self, id: ReservationId, closing: Closing) -> Option<Money> {
        let held = self.reservations.remove(&id)?;
        let payer = self.accounts.get_mut(&held.account).expect("a reservation has its account");
        payer.view.counters.debits_pending.0 -= held.amount.0;
        payer.view.open_reservations -= 1;
        let currency = payer.view.terms.currency;
        self.revenue(currency).credits_pending.0 -= held.amount.0;
        self.closed.push(id, closing);
        Some(held.amount)
    }

    /// The counters that one side of a posting moves. An unknown account is opened, closed to new
    /// calls: money that moved is never lost for want of a name.
    pub(super) fn counters(&mut self, account: AccountId, currency: Currency) -> &mut Counters {
        if SystemAccount::is_system(account) {
            return self.ours(account, currency);
        }
        let account = self.accounts.entry(account).or_insert_with(|| Account::unknown(currency));
        &mut account.view.counters
    }

    /// Can this side of the posting be moved?
    pub(super) fn validate(
        &self,
        account: AccountId,
        posting: &Posting,
    ) -> Result<(), LedgerError> {
        if posting.amount.is_negative() {
            return Err(LedgerError::Amount);
        }
        let Some(known) = self.accounts.get(&account) else { return Ok(()) };
        let (has, asked) = (known.view.terms.currency, posting.currency);
        if has.code() != asked.code() {
            return Err(LedgerError::CurrencyDiffers { account, has, asked });
        }
        let Counters { debits_posted, credits_posted, .. } = known.view.counters;
        let fits = |sum: Money| sum.checked_add(posting.amount).is_ok();
        if fits(debits_posted) && fits(credits_posted) { Ok(()) } else { Err(LedgerError::Amount) }
    }
}

/// `Some(Exists)` for a repeat, `None` for the next slice.
fn repeated(
    held: Option<&ReservationState>,
    slice: u16,
    account: AccountId,
    amount: Money,
) -> Result<Option<Outcome>, LedgerError> {
    let Some(held) = held else {
        if slice > 0 {
            return Err(LedgerError::NoReservation);
        }
        return Ok(None);
    };
    if held.account != account {
        return Err(LedgerError::Differs);
    }
    let expected = held.slice.checked_add(1).ok_or(LedgerError::Amount)?;
    match slice {
        _ if slice == expected => Ok(None),
        _ if slice > expected => Err(LedgerError::OutOfOrder { asked: slice, expected }),
        // Only the newest slice's part is still known by itself.
        _ if slice == held.slice && held.newest != amount => Err(LedgerError::Differs),
        _ => Ok(Some(Outcome::Exists)),
    }
}
