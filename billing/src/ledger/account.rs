//! An account: four counters, and the terms that the directory sets.

use vocabulary::AccountId;

use crate::{Currency, Money};

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
}

impl Terms {
    /// An active prepaid account.
    pub fn prepaid(currency: Currency) -> Terms {
        Terms {
            status: Status::Active,
            mode: PaymentMode::Prepaid,
            credit_limit: Money::ZERO,
            currency,
            owed_limit: None,
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
}

/// An account as it is at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountView {
    /// Its terms.
    pub terms: Terms,
    /// Its counters.
    pub counters: Counters,
    /// Reservations not yet posted, voided or expired.
    pub open_reservations: u32,
}

impl AccountView {
    /// What may still be reserved: received − taken − reserved + credit limit.
    pub fn available(&self) -> Money {
        clamp(
            i128::from(self.counters.credits_posted.0)
                - i128::from(self.counters.debits_posted.0)
                - i128::from(self.counters.debits_pending.0)
                + i128::from(effective_limit(&self.terms).0),
        )
    }

    /// Has its owed limit been reached, as a carrier (V-16)?
    pub fn is_owed_limit_reached(&self) -> bool {
        self.terms.owed_limit.is_some_and(|limit| self.counters.balance() >= limit)
    }
}

/// The account inside the ledger.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) view: AccountView,
}

impl Account {
    pub(super) fn new(terms: Terms) -> Account {
        let view = AccountView { terms, counters: Counters::default(), open_reservations: 0 };
        Account { view }
    }

    /// An account that the directory does not know (any more): it can be paid, not charged anew.
    pub(super) fn unknown(currency: Currency) -> Account {
        Account::new(Terms { status: Status::Closed, ..Terms::prepaid(currency) })
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
const CURRENCY_BITS: u32 = 15;

impl SystemAccount {
    /// Its account id: above every customer's, the same on every node, and positive in SQL.
    pub fn id(self) -> AccountId {
        let kind = match self.kind {
            SystemKind::Revenue => 1,
            SystemKind::Cost => 2,
            SystemKind::Cash => 3,
            SystemKind::Adjustment => 4,
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
        match (account.0 & !SYSTEM) >> CURRENCY_BITS {
            1 => Some(SystemKind::Revenue),
            2 => Some(SystemKind::Cost),
            3 => Some(SystemKind::Cash),
            4 => Some(SystemKind::Adjustment),
            _ => None,
        }
    }
}
