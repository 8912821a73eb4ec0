//! What the ledger tells the outside of: a balance that got low, a limit that was reached, bundles
//! that are used up. Each once, until it is mended and happens again (P-007, P-013). Events are not
//! journaled: an account that is low when the process starts is not announced again.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use vocabulary::AccountId;

use super::BundleId;
use crate::{Currency, Money};

/// Something that an operator or a customer wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerEvent {
    /// What is left (balance and credit limit) fell below a threshold.
    LowBalance {
        /// Whose.
        account: AccountId,
        /// The threshold.
        threshold: Money,
        /// What is left.
        left: Money,
        /// Of what.
        currency: Currency,
    },
    /// A call was refused or ended because nothing more could be reserved.
    CreditLimitReached {
        /// Whose.
        account: AccountId,
        /// What is left: too little.
        left: Money,
        /// Of what.
        currency: Currency,
    },
    /// Money came in after `CreditLimitReached`: there is something to reserve again.
    BalanceRestored {
        /// Whose.
        account: AccountId,
        /// What is left.
        left: Money,
        /// Of what.
        currency: Currency,
    },
    /// The last second of the last bundle that covers a destination is used.
    BundleExhausted {
        /// Whose.
        account: AccountId,
        /// The last bundle.
        bundle: BundleId,
    },
}

impl LedgerEvent {
    /// A stable word.
    pub fn code(&self) -> &'static str {
        match self {
            LedgerEvent::LowBalance { .. } => "low_balance",
            LedgerEvent::CreditLimitReached { .. } => "credit_limit_reached",
            LedgerEvent::BalanceRestored { .. } => "balance_restored",
            LedgerEvent::BundleExhausted { .. } => "bundle_exhausted",
        }
    }

    /// Whose.
    pub fn account(&self) -> AccountId {
        match self {
            LedgerEvent::LowBalance { account, .. }
            | LedgerEvent::CreditLimitReached { account, .. }
            | LedgerEvent::BalanceRestored { account, .. }
            | LedgerEvent::BundleExhausted { account, .. } => *account,
        }
    }
}

impl std::fmt::Display for LedgerEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LedgerEvent::LowBalance { account, threshold, left, currency } => {
                write!(f, "Account {account} has {left} {currency} left, below {threshold}.")
            }
            LedgerEvent::CreditLimitReached { account, left, currency } => {
                write!(f, "Account {account} has {left} {currency} left, too little for a call.")
            }
            LedgerEvent::BalanceRestored { account, left, currency } => {
                write!(f, "Account {account} can call again: {left} {currency} left.")
            }
            LedgerEvent::BundleExhausted { account, bundle } => {
                write!(f, "Bundle {bundle} of account {account} was its last, and is used up.")
            }
        }
    }
}

/// So many wait at most; then the oldest is dropped and counted.
const WAITING_MAX: usize = 65_536;

/// Events on their way out.
#[derive(Debug, Default)]
pub(super) struct Events {
    waiting: Mutex<VecDeque<LedgerEvent>>,
    dropped: AtomicU64,
}

impl Events {
    pub(super) fn push(&self, event: LedgerEvent) {
        let mut waiting = self.waiting.lock().expect("nothing panics while events are locked");
        if waiting.len() == WAITING_MAX {
            waiting.pop_front();
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        waiting.push_back(event);
    }

    pub(super) fn pop(&self) -> Option<LedgerEvent> {
        self.waiting.lock().expect("nothing panics while events are locked").pop_front()
    }

    pub(super) fn clear(&self) {
        self.waiting.lock().expect("nothing panics while events are locked").clear();
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
