//! What the ledger tells the outside of: a balance that got low, a limit that was reached, bundles
//! that are used up. Each once, until it is mended and happens again (P-007, P-013).
//!
//! An event is in the journal record of the money that it comes from, or, where no money moves (a call
//! is refused), a record of its own: so it is lost or kept together with its cause, and a replay knows
//! what was told. What remains of an account from one event to the next is little enough to be found
//! again: thresholds are crossed or not by what is left, and that a limit was reached is kept beside
//! the sums, with the credit limit of that moment.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use vocabulary::{AccountId, Utc};

use super::{BundleId, SpendPeriod};
use crate::codec::{Code, DecodeError, Reader};
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
        /// The credit limit in that; zero if prepaid.
        credit_limit: Money,
        /// Of what.
        currency: Currency,
    },
    /// Money came in, or the credit limit was raised, after `CreditLimitReached`: there is something
    /// to reserve again.
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
    /// The limit of an hour, a day or a month refused or cut a call (V-11).
    SpendLimitReached {
        /// Whose.
        account: AccountId,
        /// Which limit.
        period: SpendPeriod,
        /// When that hour, day or month began.
        from: Utc,
        /// How high it is.
        limit: Money,
        /// Of what.
        currency: Currency,
    },
}

impl LedgerEvent {
    /// The words of all.
    pub const CODES: [&str; 5] = [
        "low_balance",
        "credit_limit_reached",
        "balance_restored",
        "bundle_exhausted",
        "spend_limit_reached",
    ];

    /// A stable word.
    pub fn code(&self) -> &'static str {
        match self {
            LedgerEvent::LowBalance { .. } => "low_balance",
            LedgerEvent::CreditLimitReached { .. } => "credit_limit_reached",
            LedgerEvent::BalanceRestored { .. } => "balance_restored",
            LedgerEvent::BundleExhausted { .. } => "bundle_exhausted",
            LedgerEvent::SpendLimitReached { .. } => "spend_limit_reached",
        }
    }

    /// Whose.
    pub fn account(&self) -> AccountId {
        match self {
            LedgerEvent::LowBalance { account, .. }
            | LedgerEvent::CreditLimitReached { account, .. }
            | LedgerEvent::BalanceRestored { account, .. }
            | LedgerEvent::BundleExhausted { account, .. }
            | LedgerEvent::SpendLimitReached { account, .. } => *account,
        }
    }

    /// What is left, if it is about money.
    pub fn left(&self) -> Option<Money> {
        match self {
            LedgerEvent::LowBalance { left, .. }
            | LedgerEvent::CreditLimitReached { left, .. }
            | LedgerEvent::BalanceRestored { left, .. } => Some(*left),
            LedgerEvent::BundleExhausted { .. } | LedgerEvent::SpendLimitReached { .. } => None,
        }
    }

    /// What happened, in a few words that do not name the account.
    pub fn detail(&self) -> String {
        match self {
            LedgerEvent::LowBalance { threshold, left, currency, .. } => {
                format!("{left} {currency} left, below {threshold}")
            }
            LedgerEvent::CreditLimitReached { left, currency, .. } => {
                format!("{left} {currency} left, too little for a call")
            }
            LedgerEvent::BalanceRestored { left, currency, .. } => {
                format!("can call again, {left} {currency} left")
            }
            LedgerEvent::BundleExhausted { bundle, .. } => {
                format!("bundle {bundle} was the last one, and is used up")
            }
            LedgerEvent::SpendLimitReached { period, limit, currency, .. } => {
                format!("the limit of the {}, {limit} {currency}, is reached", period.as_str())
            }
        }
    }
}

impl std::fmt::Display for LedgerEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Account {}: {}.", self.account(), self.detail())
    }
}

impl Code for LedgerEvent {
    fn put(&self, out: &mut Vec<u8>) {
        self.account().put(out);
        match self {
            LedgerEvent::LowBalance { threshold, left, currency, .. } => {
                out.push(0);
                threshold.put(out);
                left.put(out);
                currency.put(out);
            }
            LedgerEvent::CreditLimitReached { left, credit_limit, currency, .. } => {
                out.push(1);
                left.put(out);
                credit_limit.put(out);
                currency.put(out);
            }
            LedgerEvent::BalanceRestored { left, currency, .. } => {
                out.push(2);
                left.put(out);
                currency.put(out);
            }
            LedgerEvent::BundleExhausted { bundle, .. } => {
                out.push(3);
                bundle.put(out);
            }
            LedgerEvent::SpendLimitReached { period, from, limit, currency, .. } => {
                out.push(match period {
                    SpendPeriod::Day => 4,
                    SpendPeriod::Month => 5,
                    SpendPeriod::Hour => 6,
                });
                from.put(out);
                limit.put(out);
                currency.put(out);
            }
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<LedgerEvent, DecodeError> {
        let account = AccountId::take(from)?;
        let tag = from.byte()?;
        Ok(match tag {
            0 => LedgerEvent::LowBalance {
                account,
                threshold: Code::take(from)?,
                left: Code::take(from)?,
                currency: Code::take(from)?,
            },
            1 => LedgerEvent::CreditLimitReached {
                account,
                left: Code::take(from)?,
                credit_limit: Code::take(from)?,
                currency: Code::take(from)?,
            },
            2 => LedgerEvent::BalanceRestored {
                account,
                left: Code::take(from)?,
                currency: Code::take(from)?,
            },
            3 => LedgerEvent::BundleExhausted { account, bundle: Code::take(from)? },
            4..=6 => LedgerEvent::SpendLimitReached {
                account,
                period: match tag {
                    4 => SpendPeriod::Day,
                    5 => SpendPeriod::Month,
                    _ => SpendPeriod::Hour,
                },
                from: Code::take(from)?,
                limit: Code::take(from)?,
                currency: Code::take(from)?,
            },
            _ => return Err(DecodeError::Value("event of an account")),
        })
    }
}

/// So many wait at most; then the oldest is dropped and counted.
const WAITING_MAX: usize = 65_536;

/// Events on their way to the log and to those who count: they are in the journal already.
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

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
