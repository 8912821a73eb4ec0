//! With several nodes: a call whose account this node has leased too little of waits until more was
//! asked for, instead of being refused or ended for want of it. So does one that bundles could pay for,
//! before money does.

use vocabulary::{Refused, Utc};

use crate::authorize::line;
use crate::chain::Chain;
use crate::funding::{self, Funding, Payer};
use crate::ledger::Locked;
use crate::slices::{CreditSettings, Step};

/// What came of a question that may have to wait for a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt<T> {
    /// The answer.
    Done(T),
    /// None yet, and nothing is held: ask again when the ledger has heard of its leases.
    Waits,
}

impl<T> Attempt<T> {
    pub(super) fn done(self) -> T {
        match self {
            Attempt::Done(answer) => answer,
            Attempt::Waits => unreachable!("only who has patience waits"),
        }
    }
}

/// Why a call is not authorised, or not now.
pub(super) enum Stop {
    Refused(Refused),
    Waits,
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Stop {
        Stop::Refused(refused)
    }
}

/// Does a call wait for money, or for seconds of a bundle, that this node has not leased yet?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    None,
    ForLease,
}

impl Patience {
    /// Asks for what a level lacks, if one does and there is somebody to ask.
    pub(super) fn waits(
        self,
        settings: &CreditSettings,
        locked: &mut Locked<'_>,
        payers: &Chain<Payer>,
        (at, step): (Utc, Step),
        funded: &Result<Funding, usize>,
    ) -> bool {
        if self == Patience::None || !locked.is_shared() {
            return false;
        }
        let mut missing = funding::missing_seconds(settings, locked, payers, at, step).into_iter();
        let waits_for_seconds = missing.any(|(of, seconds)| locked.need_seconds(of, seconds));
        let level = match funded {
            Ok(funded) => funded.last_at,
            Err(level) => Some(*level),
        };
        // Both at once: there is one time for all that a call waits for. Money that seconds make
        // unnecessary goes back by itself.
        let Some(level) = level else { return waits_for_seconds };
        let needed = funding::need(settings, payers, level, at, step);
        let payer = payers.get(level).map(|payer| payer.account);
        let waits_for_money =
            needed.zip(payer).is_some_and(|(needed, account)| locked.need(account, needed));
        waits_for_seconds || waits_for_money
    }
}

/// Another node may still be able to pay: 503, not 402.
pub(super) fn leases_expired() -> Refused {
    let sentence = "The database was not heard of for so long that what this node has leased of \
                    accounts may not be spent any more.";
    Refused::NoCarrier(line("leases_expired", sentence.to_owned()))
}
