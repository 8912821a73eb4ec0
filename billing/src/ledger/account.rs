//! An account: four counters, and the terms that the directory sets.

use vocabulary::AccountId;

use super::bundle::Bundles;
use super::{Leased, LedgerEvent, SpendLimits, SpendPeriod, Spending};
use crate::{Currency, Money, PostingKind};

/// How an account pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentMode {
    /// Only what was paid in before can be used.
    Prepaid,
    /// Service until the credit limit is reached.
    Postpaid,
}

/// May the account place calls?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Yes.
    Active,
    /// No, for now.
    Blocked,
    /// No, for good.
    Closed,
}

/// What the directory says about an account's money. Not journaled: the directory keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// May it place calls?
    pub status: Status,
    /// Prepaid or postpaid.
    pub mode: PaymentMode,
    /// How far below zero a postpaid account may go; ignored on prepaid.
    pub credit_limit: Money,
    /// The currency of its books.
    pub currency: Currency,
    /// As a carrier: no more calls are given to it once we owe it this much (V-16).
    pub owed_limit: Option<Money>,
    /// A customer that is a carrier too may use what we owe it for its own calls.
    pub is_netted: bool,
    /// What it may be charged for calls in a day and in a month (V-11).
    pub spend: SpendLimits,
    /// It is told when less than this is left, each once.
    pub low_balance: Thresholds,
}

/// At most four amounts; `None` where there are fewer.
pub type Thresholds = [Option<Money>; 4];

impl Terms {
    /// An active prepaid account.
    pub fn prepaid(currency: Currency) -> Terms {
        Terms {
            status: Status::Active,
            mode: PaymentMode::Prepaid,
            credit_limit: Money::ZERO,
            currency,
            owed_limit: None,
            is_netted: false,
            spend: SpendLimits::default(),
            low_balance: Thresholds::default(),
        }
    }

    /// An active postpaid account.
    pub fn postpaid(currency: Currency, credit_limit: Money) -> Terms {
        Terms { mode: PaymentMode::Postpaid, credit_limit, ..Terms::prepaid(currency) }
    }
}

/// The credit limit that counts.
fn effective_limit(terms: &Terms) -> Money {
    match terms.mode {
        PaymentMode::Prepaid => Money::ZERO,
        PaymentMode::Postpaid => Money(terms.credit_limit.0.max(0)),
    }
}

/// The four sums of an account. Pending ones are reserved, posted ones are for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counters {
    /// Reserved to be taken.
    pub debits_pending: Money,
    /// Taken.
    pub debits_posted: Money,
    /// Reserved to be received.
    pub credits_pending: Money,
    /// Received.
    pub credits_posted: Money,
}

impl Counters {
    pub(super) fn post(&mut self, is_debit: bool, amount: i64) {
        let sum = if is_debit { &mut self.debits_posted } else { &mut self.credits_posted };
        sum.0 = sum.0.saturating_add(amount);
    }

    /// Received less taken.
    pub fn balance(&self) -> Money {
        clamp(i128::from(self.credits_posted.0) - i128::from(self.debits_posted.0))
    }
}

pub(super) fn clamp(micros: i128) -> Money {
    Money(micros.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
}

/// An account as it is loaded at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountState {
    /// Which.
    pub account: AccountId,
    /// Its terms.
    pub terms: Terms,
    /// Received so far.
    pub credits_posted: Money,
    /// Taken so far.
    pub debits_posted: Money,
    /// What we owe it as a carrier, of the above.
    pub owed: Money,
    /// What it was charged for calls in the present day and month; only looked at if it has limits.
    pub spending: Spending,
}

/// An account as it is at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountView {
    /// Its terms.
    pub terms: Terms,
    /// Its counters.
    pub counters: Counters,
    /// What we owe it as a carrier: its costs less what we paid out. A part of the counters, and of
    /// the balance; the rest is its balance as a customer.
    pub owed: Money,
    /// What it was charged for calls today and this month.
    pub spending: Spending,
    /// Reservations not yet posted, voided or expired.
    pub open_reservations: u32,
    /// With other nodes on the same database: this node's part. What else is here, except what is
    /// pending, is then as it was at the start and as this node has moved it since.
    pub lease: Option<Leased>,
}

impl AccountView {
    /// Its balance as a customer: all that it was given less all that was taken, without what it
    /// earns as a carrier.
    pub fn balance_as_customer(&self) -> Money {
        let balance = i128::from(self.counters.balance().0);
        clamp(balance - i128::from(self.owed.0))
    }

    /// What is left to spend, reserved or not: the balance that counts, and the credit limit.
    pub fn left(&self) -> Money {
        if let Some(leased) = &self.lease {
            return leased.left;
        }
        let balance =
            if self.terms.is_netted { self.counters.balance() } else { self.balance_as_customer() };
        clamp(i128::from(balance.0) + i128::from(effective_limit(&self.terms).0))
    }

    /// What may still be reserved of its money: received − taken − reserved + credit limit.
    pub fn available(&self) -> Money {
        if let Some(leased) = &self.lease {
            return leased.available(self.counters.debits_pending);
        }
        clamp(i128::from(self.left().0) - i128::from(self.counters.debits_pending.0))
    }

    /// What a posting of this kind may take unless an operator insists. Paying a carrier takes no
    /// more than we owe it, netted with what it owes us; giving money back takes no credit.
    pub fn takeable(&self, kind: PostingKind) -> Money {
        let own =
            |balance: Money| i128::from(balance.0) - i128::from(self.counters.debits_pending.0);
        match kind {
            PostingKind::Payout if self.terms.is_netted => {
                self.owed.min(clamp(own(self.counters.balance())))
            }
            PostingKind::Payout => self.owed,
            PostingKind::TopUp => {
                let credit = effective_limit(&self.terms);
                clamp(own(self.left()) - i128::from(credit.0))
            }
            _ => self.available(),
        }
    }

    /// What may still be reserved, the limits of the day and the month considered.
    pub fn spendable(&self) -> Money {
        let limited = self.spend_limit_left().map(|(left, _)| left);
        limited.map_or(self.available(), |left| left.min(self.available()))
    }

    /// What the limits of the day and the month leave, and which of them leaves less.
    pub fn spend_limit_left(&self) -> Option<(Money, SpendPeriod)> {
        if let Some(leased) = &self.lease {
            // Nothing is leased beyond the limits.
            let available = leased.available(self.counters.debits_pending);
            return leased.limited_by.map(|period| (available, period));
        }
        self.spending.left(&self.terms.spend, self.counters.debits_pending)
    }

    /// Has its owed limit been reached, as a carrier (V-16)?
    pub fn is_owed_limit_reached(&self) -> bool {
        let owed = if self.terms.is_netted { self.counters.balance() } else { self.owed };
        self.terms.owed_limit.is_some_and(|limit| owed >= limit)
    }
}

/// The account inside the ledger.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) view: AccountView,
    pub(super) bundles: Bundles,
    /// A bit for each threshold that is not crossed.
    armed: u8,
    /// Nothing more could be reserved, and that there is more was not told since: what was left when
    /// money last moved, so that the movement that brings more is known by it.
    exhausted_at: Option<Money>,
}

impl Account {
    pub(super) fn new(terms: Terms) -> Account {
        let view = AccountView {
            terms,
            counters: Counters::default(),
            owed: Money::ZERO,
            spending: Spending::default(),
            open_reservations: 0,
            lease: None,
        };
        let mut account =
            Account { view, bundles: Bundles::default(), armed: 0, exhausted_at: None };
        account.arm();
        account
    }

    /// An account that the directory does not know (any more): it can be paid, not charged anew.
    pub(super) fn unknown(currency: Currency) -> Account {
        Account::new(Terms { status: Status::Closed, ..Terms::prepaid(currency) })
    }

    /// Thresholds that are crossed now were crossed before: nothing is to be told.
    pub(super) fn arm(&mut self) {
        let left = self.view.left();
        self.armed = 0;
        for (bit, threshold) in self.view.terms.low_balance.iter().enumerate() {
            if threshold.is_some_and(|threshold| left >= threshold) {
                self.armed |= 1 << bit;
            }
        }
    }

    /// Money moved, or another node's movements were heard of: what is to be told of it? Each
    /// threshold once a crossing.
    pub(super) fn moved(&mut self, id: AccountId, tell: &mut dyn FnMut(LedgerEvent)) {
        self.restored(id, tell);
        if self.view.terms.low_balance == Thresholds::default() {
            return;
        }
        let (left, currency) = (self.view.left(), self.view.terms.currency);
        for (bit, threshold) in self.view.terms.low_balance.iter().enumerate() {
            let Some(threshold) = *threshold else { continue };
            let is_armed = self.armed & 1 << bit != 0;
            if left >= threshold {
                self.armed |= 1 << bit;
            } else if is_armed {
                self.armed &= !(1 << bit);
                tell(LedgerEvent::LowBalance { account: id, threshold, left, currency });
            }
        }
    }

    /// A call wanted more than there was: is there more now?
    pub(super) fn restored(&mut self, id: AccountId, tell: &mut dyn FnMut(LedgerEvent)) {
        let Some(before) = self.exhausted_at else { return };
        let (left, currency) = (self.view.left(), self.view.terms.currency);
        if left > before && self.view.available() > Money::ZERO {
            self.exhausted_at = None;
            tell(LedgerEvent::BalanceRestored { account: id, left, currency });
        } else {
            self.exhausted_at = Some(left);
        }
    }

    /// A call wanted money that is not there.
    pub(super) fn exhausted(&mut self, id: AccountId) -> Option<LedgerEvent> {
        // With several nodes, what this one lacks another may have.
        if self.view.lease.is_some_and(|leased| !leased.is_last()) {
            return None;
        }
        let (left, currency) = (self.view.left(), self.view.terms.currency);
        if self.exhausted_at.is_some() {
            return None;
        }
        self.exhausted_at = Some(left);
        let credit_limit = effective_limit(&self.view.terms);
        Some(LedgerEvent::CreditLimitReached { account: id, left, credit_limit, currency })
    }

    /// A limit of spending kept a call from money that is there: told once for each limit in its day
    /// or month.
    pub(super) fn spend_limit_reached(
        &mut self,
        id: AccountId,
        period: SpendPeriod,
    ) -> Option<LedgerEvent> {
        let Terms { spend, currency, .. } = self.view.terms;
        let limit = spend.of(period)?;
        let window = self.view.spending.window_mut(period);
        if window.told.replace(limit) == Some(limit) {
            return None;
        }
        let from = window.from;
        Some(LedgerEvent::SpendLimitReached { account: id, period, from, limit, currency })
    }

    /// It was told before a restart that nothing more could be reserved, with this credit limit, and
    /// no money came in since: if the limit is higher now, that is still to be told.
    pub(super) fn resume_exhausted(&mut self, credit_limit: Money) {
        let raised = effective_limit(&self.view.terms).0.saturating_sub(credit_limit.0).max(0);
        let all = AccountView { lease: None, ..self.view };
        self.exhausted_at = Some(Money(all.left().0.saturating_sub(raised)));
    }
}

/// Our own side of the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemKind {
    /// What customers are charged.
    Revenue,
    /// What carriers are paid.
    Cost,
    /// Money that came in or went out: top-ups, refunds, payments to carriers.
    Cash,
    /// Corrections.
    Adjustment,
    /// What a reseller's own customers are charged: the reseller's income, not ours. What the
    /// reseller is charged is another posting.
    Sales(AccountId),
}

/// One of our own accounts: a kind in a currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemAccount {
    /// Which book.
    pub kind: SystemKind,
    /// In which currency.
    pub currency: Currency,
}

const SYSTEM: u64 = 1 << 62;
const SALES: u64 = 1 << 61;
const CURRENCY_BITS: u32 = 15;
/// Ids of resellers fit into what the flags and the currency leave.
const SELLER_BITS: u32 = 61 - CURRENCY_BITS;

impl SystemAccount {
    /// Its account id: above every customer's, the same on every node, and positive in SQL.
    pub fn id(self) -> AccountId {
        let kind = match self.kind {
            SystemKind::Revenue => 1,
            SystemKind::Cost => 2,
            SystemKind::Cash => 3,
            SystemKind::Adjustment => 4,
            SystemKind::Sales(seller) => {
                debug_assert!(seller.0 < 1 << SELLER_BITS, "ids count up from 1000");
                SALES >> CURRENCY_BITS | seller.0
            }
        };
        AccountId(SYSTEM | kind << CURRENCY_BITS | self.currency.index())
    }

    /// Is this the id of one of our own accounts?
    pub fn is_system(account: AccountId) -> bool {
        account.0 & SYSTEM != 0
    }

    /// The kind behind an id.
    pub fn kind_of(account: AccountId) -> Option<SystemKind> {
        if !SystemAccount::is_system(account) {
            return None;
        }
        if account.0 & SALES != 0 {
            let seller = (account.0 & !(SYSTEM | SALES)) >> CURRENCY_BITS;
            return Some(SystemKind::Sales(AccountId(seller)));
        }
        match (account.0 & !SYSTEM) >> CURRENCY_BITS {
            1 => Some(SystemKind::Revenue),
            2 => Some(SystemKind::Cost),
            3 => Some(SystemKind::Cash),
            4 => Some(SystemKind::Adjustment),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_accounts_are_known_by_their_ids() {
        let kinds = [
            SystemKind::Revenue,
            SystemKind::Cost,
            SystemKind::Cash,
            SystemKind::Adjustment,
            SystemKind::Sales(AccountId(0)),
            SystemKind::Sales(AccountId(1_000_000_007)),
        ];
        let mut ids = Vec::new();
        for kind in kinds {
            let id = SystemAccount { kind, currency: Currency::EUR }.id();
            assert!(SystemAccount::is_system(id) && id.0 < 1 << 63);
            assert_eq!(SystemAccount::kind_of(id), Some(kind));
            ids.push(id);
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), kinds.len());
        assert_eq!(SystemAccount::kind_of(AccountId(1000)), None);
    }

    #[test]
    fn what_a_carrier_earns_is_for_its_own_calls_only_if_netted() {
        let mut account = Account::new(Terms::prepaid(Currency::EUR));
        account.view.counters.credits_posted = Money(70);
        account.view.owed = Money(50);
        assert_eq!(account.view.available(), Money(20));
        account.view.terms.is_netted = true;
        assert_eq!(account.view.available(), Money(70));
        assert_eq!(account.view.balance_as_customer(), Money(20));
    }
}
