//! The ledger: accounts spread over shards, each behind its own lock, together with their
//! reservations.

use std::sync::{Mutex, MutexGuard};

use vocabulary::{AccountId, Utc};

use super::account::Account;
use super::event::Events;
use super::lease::Leases;
use super::posting::{Memo, Recent, What};
use super::reservation::Closing;
use super::shard::Shard;
use super::{
    AccountState, AccountView, Bundle, BundleGrant, Counters, LeaseAnswer, LedgerError,
    LedgerEvent, Locked, Outcome, Overdraft, Posting, ReservationId, SystemAccount, Terms,
};
use crate::{Journal, Money, Position, Record, Rerated};

const SHARDS: usize = 64;

/// One shard a cache line, so that neighbours do not slow each other down.
#[derive(Debug)]
#[repr(align(128))]
struct Slot(Mutex<Shard>);

/// All accounts. Shared by every worker.
#[derive(Debug)]
pub struct Ledger {
    shards: Box<[Slot]>,
    /// Operations from outside. Locked before any shard, and never for a call.
    outside: Mutex<Recent>,
    /// What is to be told. Locked after any shard.
    pub(super) events: Events,
    /// Of money that is shared with other nodes.
    pub(super) leases: Leases,
}

impl Default for Ledger {
    fn default() -> Ledger {
        Ledger::new()
    }
}

/// The most that one posting from outside may move: a billion units. Thousands of them fit into the
/// sums of our own accounts, where no single account would notice an overflow.
const POSTING_MAX: Money = Money(1_000_000_000_000_000);

impl Ledger {
    /// Empty books.
    pub fn new() -> Ledger {
        let shards = (0..SHARDS).map(|_| Slot(Mutex::new(Shard::new()))).collect();
        let (events, leases) = (Events::default(), Leases::default());
        Ledger { shards, outside: Mutex::new(Recent::new()), events, leases }
    }

    pub(super) fn shard_of(&self, account: AccountId) -> usize {
        // Ids count up, so the low bits alone spread them; the multiplication spreads any other
        // pattern too.
        (account.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58) as usize % SHARDS
    }

    pub(super) fn shard(&self, index: usize) -> MutexGuard<'_, Shard> {
        self.shards[index].0.lock().expect("a panic in the ledger stops the process")
    }

    pub(super) fn all(&self) -> Vec<MutexGuard<'_, Shard>> {
        (0..SHARDS).map(|index| self.shard(index)).collect()
    }

    /// Locks up to eight accounts for one step.
    pub fn lock(&self, accounts: &[AccountId]) -> Locked<'_> {
        Locked::new(self, accounts)
    }

    /// Opens an account or changes its terms, from the directory. The currency of an account with
    /// money in its books cannot change.
    pub fn set_terms(&self, account: AccountId, terms: Terms) -> Result<(), LedgerError> {
        if SystemAccount::is_system(account) {
            return Err(LedgerError::NoAccount(account));
        }
        let mut shard = self.shard(self.shard_of(account));
        let known = shard.account_or(account, || Account::new(terms));
        let has = known.view.terms.currency;
        if has.code() != terms.currency.code() && known.view.counters != Counters::default() {
            return Err(LedgerError::CurrencyDiffers { account, has, asked: terms.currency });
        }
        let is_same = known.view.terms.low_balance == terms.low_balance;
        known.view.terms = terms;
        if !is_same {
            known.arm();
        }
        Ok(())
    }

    /// The same while calls run, when they were changed by a command: what is to be told of a changed
    /// credit limit is journaled under the account's lock. A threshold that is set above what is left
    /// counts as crossed before.
    pub fn change_terms(
        &self,
        account: AccountId,
        terms: Terms,
        at: Utc,
        journal: &dyn Journal,
    ) -> Result<(), LedgerError> {
        self.set_terms(account, terms)?;
        self.tell_of(account, at, journal);
        Ok(())
    }

    /// After the database's answers: what other nodes moved may have to be told.
    pub fn tell_heard(&self, answers: &[LeaseAnswer], at: Utc, journal: &dyn Journal) {
        answers.iter().for_each(|answer| self.tell_of(answer.account, at, journal));
    }

    fn tell_of(&self, account: AccountId, at: Utc, journal: &dyn Journal) {
        let mut locked = self.lock(&[account]);
        locked.look_at(account);
        for event in locked.take_told() {
            journal.append(&Record::Told { at, event });
        }
    }

    /// Puts an account back as the last projection left it. At start only, before any record is
    /// replayed.
    pub fn load(&self, state: &AccountState) {
        let mut shard = self.shard(self.shard_of(state.account));
        let known = shard.account_or(state.account, || Account::new(state.terms));
        known.view.terms = state.terms;
        known.view.counters.credits_posted = state.credits_posted;
        known.view.counters.debits_posted = state.debits_posted;
        known.view.owed = state.owed;
        known.view.spending = state.spending;
        known.arm();
    }

    /// Puts a bundle back as the last projection left it: nothing is pending. At start only.
    pub fn load_bundle(&self, account: AccountId, bundle: Bundle) {
        let is_shared = self.is_shared();
        let mut shard = self.shard(self.shard_of(account));
        let bundle = Bundle { pending: 0, ..bundle }.leased_if(is_shared);
        if is_shared {
            // Another node may have made the account since the directory was read, and this bundle is
            // not told again.
            shard.open(account, crate::Currency::EUR).bundles.put(bundle);
        } else if let Some(account) = shard.accounts.get_mut(&account) {
            account.bundles.put(bundle);
        }
    }

    /// Puts one of our own accounts back as the last projection left it.
    pub fn load_system(&self, account: SystemAccount, credits_posted: Money, debits_posted: Money) {
        let id = account.id();
        let mut shard = self.shard(self.shard_of(id));
        let counters = shard.ours(id, account.currency);
        counters.credits_posted = credits_posted;
        counters.debits_posted = debits_posted;
    }

    /// One account as it is now.
    pub fn account(&self, account: AccountId) -> Option<AccountView> {
        self.lock(&[account]).account(account)
    }

    /// The counters of one of our own accounts, all shards together.
    pub fn system(&self, account: SystemAccount) -> Counters {
        let id = account.id();
        let mut sum = Counters::default();
        for shard in self.all() {
            if let Some((_, part)) = shard.ours.get(&id) {
                sum.debits_pending.0 += part.debits_pending.0;
                sum.debits_posted.0 += part.debits_posted.0;
                sum.credits_pending.0 += part.credits_pending.0;
                sum.credits_posted.0 += part.credits_posted.0;
            }
        }
        sum
    }

    /// A posting from outside: a top-up or an adjustment. Journaled under the account's lock. The
    /// position is that of the record, also for a repeat.
    pub fn post(
        &self,
        posting: Posting,
        overdraft: Overdraft,
        journal: &dyn Journal,
    ) -> Result<(Outcome, Position), LedgerError> {
        self.post_taken(posting, overdraft, None, journal)
    }

    /// The same with several nodes, of money that was taken from the shared account for it: no call
    /// gets it in between.
    pub fn post_taken(
        &self,
        posting: Posting,
        overdraft: Overdraft,
        taken: Option<&LeaseAnswer>,
        journal: &dyn Journal,
    ) -> Result<(Outcome, Position), LedgerError> {
        let mut outside = self.outside();
        if let Some(taken) = taken
            && outside.find(posting.op).is_some()
        {
            self.lock(&[taken.account]).hear(taken);
        }
        match outside.find(posting.op) {
            None => {}
            Some(memo) if memo.is_same(&posting) => return Ok((Outcome::Exists, memo.position)),
            Some(_) => return Err(LedgerError::Differs),
        }
        let mut locked = self.lock(&[posting.debit, posting.credit]);
        if let Some(taken) = taken {
            locked.hear(taken);
        }
        for side in [posting.debit, posting.credit] {
            if !SystemAccount::is_system(side) && locked.account(side).is_none() {
                return Err(LedgerError::NoAccount(side));
            }
        }
        if posting.amount > POSTING_MAX {
            return Err(LedgerError::Amount);
        }
        locked.validate(&posting)?;
        if overdraft == Overdraft::Refuse
            && let Some(payer) = locked.account(posting.debit)
            && payer.takeable(posting.kind) < posting.amount
        {
            let available = payer.takeable(posting.kind);
            return Err(LedgerError::ExceedsAvailable { available, needed: posting.amount });
        }
        locked.apply(&posting);
        let record = Record::Posted { posting, told: locked.take_told() };
        let position = journal.append(&record);
        let Record::Posted { posting, .. } = &record else { unreachable!("made two lines above") };
        outside.push(posting.memo(position));
        Ok((Outcome::Done, position))
    }

    /// Books a call that was priced again: the record and all of its postings, or nothing. What it
    /// takes may leave an account below its limit: the talk has been had. The caller makes sure
    /// that a generation is booked once: it reads the call's last one, and no other run does so
    /// before this record can be read back.
    pub fn rerate(&self, rerated: Rerated, journal: &dyn Journal) -> Result<Position, LedgerError> {
        self.rerate_taken(rerated, &[], journal)
    }

    /// The same with several nodes, of money that was taken from the shared accounts for it.
    pub fn rerate_taken(
        &self,
        mut rerated: Rerated,
        taken: &[LeaseAnswer],
        journal: &dyn Journal,
    ) -> Result<Position, LedgerError> {
        let accounts = rerated.accounts();
        let mut locked = self.lock(&accounts);
        taken.iter().for_each(|taken| locked.hear(taken));
        for posting in &rerated.postings {
            locked.validate(posting)?;
        }
        locked.apply_together(&rerated.postings, &accounts);
        rerated.told = locked.take_told();
        Ok(journal.append(&Record::Rerated(rerated)))
    }

    /// Replays such a record.
    pub(crate) fn replay_rerated(&self, rerated: &Rerated) {
        let accounts = rerated.accounts();
        self.lock(&accounts).apply_together(&rerated.postings, &accounts);
    }

    /// Gives an account seconds for some destinations (V-04, V-05). Journaled under the account's
    /// lock. The position is that of the record, also for a repeat.
    pub fn grant(
        &self,
        grant: BundleGrant,
        journal: &dyn Journal,
    ) -> Result<(Outcome, Position), LedgerError> {
        let what = What::Grant(grant.account, grant.bundle, grant.seconds);
        let mut outside = self.outside();
        match outside.find(grant.op) {
            None => {}
            Some(memo) if memo.what == what => return Ok((Outcome::Exists, memo.position)),
            Some(_) => return Err(LedgerError::Differs),
        }
        let (account, is_shared) = (grant.account, self.is_shared());
        let mut locked = self.lock(&[account]);
        let known = locked.account_mut(account).ok_or(LedgerError::NoAccount(account))?;
        if known.bundles.get(grant.bundle).is_some() {
            return Err(LedgerError::Differs);
        }
        known.bundles.forget(grant.at);
        known.bundles.put(Bundle::from(&grant).leased_if(is_shared));
        let op = grant.op;
        let position = journal.append(&Record::BundleGranted(grant));
        outside.push(Memo { op, what, position });
        Ok((Outcome::Done, position))
    }

    /// Replays a grant of seconds.
    pub(crate) fn replay_grant(&self, grant: &BundleGrant, position: Position, apply: bool) {
        let mut outside = self.outside();
        if apply {
            let currency = crate::Currency::EUR;
            let mut shard = self.shard(self.shard_of(grant.account));
            let account = shard.open(grant.account, currency);
            if account.bundles.get(grant.bundle).is_none() {
                account.bundles.put(Bundle::from(grant).leased_if(self.is_shared()));
            }
        }
        if outside.find(grant.op).is_none() {
            let what = What::Grant(grant.account, grant.bundle, grant.seconds);
            outside.push(Memo { op: grant.op, what, position });
        }
    }

    /// The next thing to tell the outside of, oldest first. Shared by whoever asks: each is told
    /// once.
    pub fn poll_event(&self) -> Option<LedgerEvent> {
        self.events.pop()
    }

    /// How many events were dropped because nobody asked for them.
    pub fn events_dropped(&self) -> u64 {
        self.events.dropped()
    }

    /// That nothing more could be reserved of an account was told before a restart, with this credit
    /// limit. After all records are replayed; what is to be told of it now.
    pub(crate) fn resume_exhausted(
        &self,
        account: AccountId,
        credit_limit: Money,
    ) -> Vec<LedgerEvent> {
        let mut locked = self.lock(&[account]);
        if let Some(known) = locked.account_mut(account) {
            known.resume_exhausted(credit_limit);
        }
        if !self.is_shared() {
            locked.look_at(account);
        }
        locked.take_told()
    }

    /// Replays a posting from outside.
    pub(crate) fn replay(&self, posting: &Posting, position: Position, apply: bool) {
        let mut outside = self.outside();
        if apply {
            self.lock(&[posting.debit, posting.credit]).apply(posting);
        }
        if outside.find(posting.op).is_none() {
            outside.push(posting.memo(position));
        }
    }

    fn outside(&self) -> MutexGuard<'_, Recent> {
        self.outside.lock().expect("a panic in the ledger stops the process")
    }

    /// Gives back every reservation whose time is over. Calls reserve without such a time: theirs
    /// are closed by settlement or recovery only.
    pub fn expire(&self, now: Utc) -> Vec<ReservationId> {
        let mut expired = Vec::new();
        for index in 0..SHARDS {
            let mut shard = self.shard(index);
            let over = shard.reservations.iter().filter(|(_, held)| held.expires_at <= now);
            let mut over: Vec<ReservationId> = over.map(|(id, _)| *id).collect();
            over.sort_unstable();
            for id in &over {
                shard.release(*id, Closing::Expired, &[]);
            }
            expired.append(&mut over);
        }
        expired
    }
}
