//! Money held for a call: one reservation a paying leg, raised slice by slice, closed once. The
//! memory of closed ones makes a late repeat harmless.

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use vocabulary::{AccountId, CallId, Utc};

use super::{BundleShare, LedgerError, Posting};
use crate::Money;

/// Which reservation: one payer of a call. With a slice number it names one raise of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReservationId {
    /// The call.
    pub call: CallId,
    /// 0 is the account that calls, 1 its reseller, 2 the reseller's reseller.
    pub level: u8,
}

/// More money, and seconds of bundles, to be held for a call.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// For which payer of which call.
    pub id: ReservationId,
    /// Slices count from 0; the same slice again is a repeat.
    pub slice: u16,
    /// Whose money.
    pub account: AccountId,
    /// Who will be credited: `Revenue`, or the `Sales` of the account's reseller.
    pub seller: AccountId,
    /// How much more.
    pub amount: Money,
    /// How many more seconds, of which bundles. Usually none.
    pub bundles: &'a [BundleShare],
    /// When all of it is given back by itself. `Utc(i64::MAX)`: never.
    pub expires_at: Utc,
}

/// What was used of a reservation; the rest is given back.
#[derive(Clone, Copy, Debug)]
pub struct Use<'a> {
    /// Which.
    pub id: ReservationId,
    /// Whose it is.
    pub account: AccountId,
    /// What it pays, debited from the account; `None`: nothing.
    pub charge: Option<&'a Posting>,
    /// Seconds used of the bundles held.
    pub bundles: &'a [BundleShare],
}

/// A reservation as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReservationState {
    /// Whose money is held.
    pub account: AccountId,
    /// Who will be credited.
    pub seller: AccountId,
    /// How much, all slices together.
    pub amount: Money,
    /// The newest slice's number, from 0.
    pub slice: u16,
    /// The newest slice's part, to know a repeat from a change.
    pub newest: Money,
    /// When it is given back by itself. `Utc(i64::MAX)`: never.
    pub expires_at: Utc,
}

/// How a reservation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    Posted(Money),
    Voided,
    Expired,
}

impl Closing {
    /// What an operation on an ended reservation is told.
    pub(super) fn error(self) -> LedgerError {
        match self {
            Closing::Posted(amount) => LedgerError::AlreadyPosted(amount),
            Closing::Voided => LedgerError::AlreadyVoided,
            Closing::Expired => LedgerError::Expired,
        }
    }
}

/// How many closed reservations a shard of the ledger remembers: many times what can be under way
/// between a settlement and its repeat.
const CLOSED_MAX: usize = 1024;

/// The newest closed reservations.
#[derive(Debug)]
pub(super) struct Closed {
    order: VecDeque<ReservationId>,
    closings: HashMap<ReservationId, Closing, FixedState>,
}

impl Closed {
    pub(super) fn new() -> Closed {
        Closed { order: VecDeque::new(), closings: HashMap::with_hasher(FixedState::default()) }
    }

    pub(super) fn get(&self, id: ReservationId) -> Option<Closing> {
        self.closings.get(&id).copied()
    }

    pub(super) fn push(&mut self, id: ReservationId, closing: Closing) {
        if self.order.len() == CLOSED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.closings.remove(&oldest);
        }
        if self.closings.insert(id, closing).is_none() {
            self.order.push_back(id);
        }
    }
}
