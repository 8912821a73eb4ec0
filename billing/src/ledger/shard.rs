//! One lock's worth of the ledger: accounts, their reservations, and this shard's part of our own
//! accounts, so that a charge needs the payer's lock only, however many are charged at once.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use vocabulary::AccountId;

use super::account::Account;
use super::reservation::{Closed, Closing};
use super::{
    Ask, BundleShare, Counters, Leased, LedgerError, LedgerEvent, Outcome, Posting, PostingKind,
    ReservationId, ReservationState, Status, SystemAccount,
};
use crate::{Currency, Money};

#[derive(Debug)]
pub(super) struct Shard {
    pub(super) accounts: HashMap<AccountId, Account, FixedState>,
    pub(super) reservations: HashMap<ReservationId, ReservationState, FixedState>,
    /// The bundles that a reservation may use, in order, with the seconds that it holds; most
    /// reservations have none and are not in here.
    pub(super) shares: HashMap<ReservationId, Vec<BundleShare>, FixedState>,
    pub(super) closed: Closed,
    /// Our own accounts as far as this shard's postings moved them: a handful, and the sales of
    /// resellers whose customers are here.
    pub(super) ours: HashMap<AccountId, (Currency, Counters), FixedState>,
    /// Accounts are shared with other nodes.
    pub(super) is_shared: bool,
}

impl Shard {
    pub(super) fn new() -> Shard {
        Shard {
            accounts: HashMap::with_hasher(FixedState::default()),
            reservations: HashMap::with_hasher(FixedState::default()),
            shares: HashMap::with_hasher(FixedState::default()),
            closed: Closed::new(),
            ours: HashMap::with_hasher(FixedState::default()),
            is_shared: false,
        }
    }

    /// The account, made of this if it is not there yet.
    pub(super) fn account_or(
        &mut self,
        id: AccountId,
        new: impl FnOnce() -> Account,
    ) -> &mut Account {
        let is_shared = self.is_shared;
        self.accounts.entry(id).or_insert_with(|| {
            let mut account = new();
            account.view.lease = is_shared.then(Leased::default);
            account
        })
    }

    pub(super) fn ours(&mut self, id: AccountId, currency: Currency) -> &mut Counters {
        &mut self.ours.entry(id).or_insert_with(|| (currency, Counters::default())).1
    }

    /// The reservation as it would be with this; `None` for a repeat.
    pub(super) fn check_ask(&self, ask: &Ask<'_>) -> Result<Option<ReservationState>, LedgerError> {
        let Ask { id, slice, account, seller, amount, bundles, expires_at } = *ask;
        if amount.is_negative() {
            return Err(LedgerError::Amount);
        }
        if let Some(closing) = self.closed.get(id) {
            return Err(closing.error());
        }
        let held = self.reservations.get(&id);
        if repeated(held, slice, account, amount)? {
            return Ok(None);
        }
        let payer = self.accounts.get(&account).ok_or(LedgerError::NoAccount(account))?;
        // A call under way is paid for even if its account was blocked meanwhile.
        if slice == 0 && payer.view.terms.status != Status::Active {
            return Err(LedgerError::Inactive(account));
        }
        let available = payer.view.available();
        if amount > available {
            return Err(LedgerError::ExceedsAvailable { available, needed: amount });
        }
        // Nothing of nothing is within any limit: a repeat of a slice without money must not fail.
        if let Some((left, period)) = payer.view.spend_limit_left()
            && amount > left
            && !amount.is_zero()
        {
            return Err(LedgerError::ExceedsSpendLimit { period, left, needed: amount });
        }
        payer.bundles.check(bundles)?;
        let before = held.map_or(Money::ZERO, |held| held.amount);
        let total = before.checked_add(amount).map_err(|_| LedgerError::Amount)?;
        let pending = payer.view.counters.debits_pending;
        pending.checked_add(amount).map_err(|_| LedgerError::Amount)?;
        let newest = amount;
        Ok(Some(ReservationState { account, seller, amount: total, slice, newest, expires_at }))
    }

    /// Sets a reservation to `state`, whatever it was, and adds the seconds of bundles; the pending
    /// sums follow.
    pub(super) fn hold(
        &mut self,
        id: ReservationId,
        state: ReservationState,
        bundles: &[BundleShare],
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
        if !bundles.is_empty() {
            // Usually one, and there is one such list for each call that is held.
            let held = self.shares.entry(id).or_insert_with(|| Vec::with_capacity(bundles.len()));
            for share in bundles {
                if payer.bundles.get(share.bundle).is_none() {
                    continue;
                }
                payer.bundles.hold(share);
                match held.iter_mut().find(|held| held.bundle == share.bundle) {
                    Some(held) => held.seconds = held.seconds.saturating_add(share.seconds),
                    None => held.push(*share),
                }
            }
        }
        self.reservations.insert(id, state);
        self.ours(state.seller, currency).credits_pending.0 += raised.0;
        Ok(())
    }

    /// Takes a reservation off the books, and what was used of its bundles off these.
    pub(super) fn release(
        &mut self,
        id: ReservationId,
        closing: Closing,
        used: &[BundleShare],
    ) -> Option<LedgerEvent> {
        let held = self.reservations.remove(&id)?;
        let payer = self.accounts.get_mut(&held.account).expect("a reservation has its account");
        payer.view.counters.debits_pending.0 -= held.amount.0;
        payer.view.open_reservations -= 1;
        let currency = payer.view.terms.currency;
        let mut event = None;
        if !self.shares.is_empty()
            && let Some(shares) = self.shares.remove(&id)
        {
            for share in &shares {
                let used = used.iter().find(|used| used.bundle == share.bundle);
                payer.bundles.release(share, used.map_or(0, |used| used.seconds));
            }
            // With several nodes the projection tells: what this one has used up another may still have.
            if !self.is_shared
                && let Some(last) = used.iter().rfind(|used| used.seconds > 0)
                && payer.bundles.are_used_up(&shares)
            {
                let (account, bundle) = (held.account, last.bundle);
                event = Some(LedgerEvent::BundleExhausted { account, bundle });
            }
        }
        self.ours(held.seller, currency).credits_pending.0 -= held.amount.0;
        self.closed.push(id, closing);
        event
    }

    /// Is this use of a reservation possible? `Exists` if it was made before.
    pub(super) fn check_use(&self, made: &super::Use<'_>) -> Result<Outcome, LedgerError> {
        let amount = made.charge.map_or(Money::ZERO, |posting| posting.amount);
        match (self.reservations.get(&made.id), self.closed.get(made.id)) {
            (Some(held), _) if amount > held.amount => {
                return Err(LedgerError::ExceedsReserved { reserved: held.amount, asked: amount });
            }
            (Some(held), _) if held.account != made.account => return Err(LedgerError::Differs),
            (Some(_), _) => {}
            (None, Some(Closing::Posted(before))) if before == amount => {
                return Ok(Outcome::Exists);
            }
            (None, Some(closing)) => return Err(closing.error()),
            (None, None) => return Err(LedgerError::NoReservation),
        }
        if made.charge.is_some_and(|posting| posting.debit != made.account) {
            return Err(LedgerError::Differs);
        }
        for used in made.bundles {
            let held = self.shares.get(&made.id).map_or(&[][..], Vec::as_slice);
            let held = held.iter().find(|held| held.bundle == used.bundle);
            let free = held.map_or(0, |held| held.seconds);
            if used.seconds > free {
                let bundle = used.bundle;
                return Err(LedgerError::ExceedsBundle { bundle, free, asked: used.seconds });
            }
        }
        Ok(Outcome::Done)
    }

    /// Moves one side of a posting, without a question. What is to be told of it goes to `told`; without
    /// one, whoever asks looks at the account afterwards. An unknown account is opened, closed to
    /// new calls: money that moved is never lost for want of a name.
    pub(super) fn apply(
        &mut self,
        id: AccountId,
        is_debit: bool,
        posting: &Posting,
        told: Option<&mut Vec<LedgerEvent>>,
    ) {
        let (currency, amount) = (posting.currency, posting.amount.0);
        if SystemAccount::is_system(id) {
            self.ours(id, currency).post(is_debit, amount);
            return;
        }
        let account = self.account_or(id, || Account::unknown(currency));
        account.view.counters.post(is_debit, amount);
        if let Some(leased) = &mut account.view.lease {
            let is_netted = account.view.terms.is_netted;
            leased.moved(posting.kind, is_debit, posting.amount, is_netted);
        }
        let taken = if is_debit { amount } else { -amount };
        match posting.kind {
            PostingKind::Charge => account.view.spending.add(posting.at, taken),
            kind if kind.changes_owed() => {
                account.view.owed.0 = account.view.owed.0.saturating_sub(taken);
            }
            // Limits of spending are about calls as they happen; a later price is none of today's.
            _ => {}
        }
        if let Some(told) = told {
            account.moved(id, &mut |event| told.push(event));
        }
    }

    /// Opens an account that nobody knows.
    pub(super) fn open(&mut self, account: AccountId, currency: Currency) -> &mut Account {
        self.account_or(account, || Account::unknown(currency))
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

/// A repeat, or the next slice?
fn repeated(
    held: Option<&ReservationState>,
    slice: u16,
    account: AccountId,
    amount: Money,
) -> Result<bool, LedgerError> {
    let Some(held) = held else {
        if slice > 0 {
            return Err(LedgerError::NoReservation);
        }
        return Ok(false);
    };
    if held.account != account {
        return Err(LedgerError::Differs);
    }
    let expected = held.slice.checked_add(1).ok_or(LedgerError::Amount)?;
    match slice {
        _ if slice == expected => Ok(false),
        _ if slice > expected => Err(LedgerError::OutOfOrder { asked: slice, expected }),
        // Only the newest slice's part is still known by itself.
        _ if slice == held.slice && held.newest != amount => Err(LedgerError::Differs),
        _ => Ok(true),
    }
}
