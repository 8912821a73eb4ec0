//! The double-entry books: accounts, reservations and immutable postings. The one shared and
//! locked thing in billing.

mod account;
mod books;
mod bundle;
mod check;
mod event;
mod lease;
mod locked;
mod posting;
mod reservation;
mod shard;
mod spending;

pub use account::{
    AccountState, AccountView, Counters, PaymentMode, Status, SystemAccount, SystemKind, Terms,
    Thresholds,
};
pub use books::Ledger;
pub use bundle::{Bundle, BundleGrant, BundleId, BundleShare, DestinationSetId};
pub use check::LedgerCheck;
pub use event::LedgerEvent;
pub use lease::{
    BundleOf, Fund, Lease, LeaseAnswer, LeaseAsk, LeaseAsks, LeaseSum, Leased, Seconds,
    SecondsAnswer, SecondsAsk, Unit, Wanted,
};
pub use locked::Locked;
pub use posting::{Overdraft, Posting, PostingKind};
pub use reservation::{Ask, ReservationId, ReservationState, Use};
pub use spending::{SpendLimits, SpendPeriod, SpendWindow, Spending, hour_of};

use vocabulary::AccountId;

use crate::{Currency, Money};

/// What an operation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took effect now.
    Done,
    /// It had taken effect before, exactly so; nothing changed.
    Exists,
}

/// Why an operation had no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// No such account.
    #[error("account {0} does not exist")]
    NoAccount(AccountId),
    /// The account may not spend.
    #[error("account {0} is not active")]
    Inactive(AccountId),
    /// Not enough money.
    #[error("{needed} is needed and {available} is available")]
    ExceedsAvailable {
        /// What there is.
        available: Money,
        /// What was asked for.
        needed: Money,
    },
    /// The limit of the day or the month leaves too little.
    #[error("{needed} is needed and the limit of the {} leaves {left}", period.as_str())]
    ExceedsSpendLimit {
        /// Which limit.
        period: SpendPeriod,
        /// What it leaves.
        left: Money,
        /// What was asked for.
        needed: Money,
    },
    /// Not so many seconds are free in the bundle.
    #[error("{asked} s are to be held of bundle {bundle} and {free} s are free")]
    ExceedsBundle {
        /// Which.
        bundle: BundleId,
        /// What there is.
        free: u32,
        /// What was asked for.
        asked: u32,
    },
    /// More was asked to be posted than is reserved.
    #[error("{asked} is to be posted and {reserved} is reserved")]
    ExceedsReserved {
        /// What is held.
        reserved: Money,
        /// What was asked for.
        asked: Money,
    },
    /// The id was used before, for something else.
    #[error("the same id was used before with other contents")]
    Differs,
    /// A slice was asked for before the one it follows.
    #[error("slice {asked} was asked for and slice {expected} comes next")]
    OutOfOrder {
        /// The slice asked for.
        asked: u16,
        /// The next one.
        expected: u16,
    },
    /// No such reservation, now or lately.
    #[error("there is no such reservation")]
    NoReservation,
    /// The reservation was posted before, with another amount or by a late void.
    #[error("the reservation was posted with {0}")]
    AlreadyPosted(Money),
    /// The reservation was given back before.
    #[error("the reservation was voided")]
    AlreadyVoided,
    /// The reservation ran out before.
    #[error("the reservation expired")]
    Expired,
    /// Account and amount are of different currencies.
    #[error("account {account} is kept in {has}, not {asked}")]
    CurrencyDiffers {
        /// The account.
        account: AccountId,
        /// Its currency.
        has: Currency,
        /// The amount's.
        asked: Currency,
    },
    /// Negative amounts, single ones above a billion units, or sums beyond 64 bits.
    #[error("the amount is negative, above 1,000,000,000, or more than the account can hold")]
    Amount,
}
