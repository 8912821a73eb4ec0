//! One slice more: held at every level of the chain, or the grant is final.

use vocabulary::{AuthorizeRequest, CallId, Refused, Utc};

use super::state::CallState;
use super::waiting::{Attempt, Patience};
use crate::Money;
use crate::authorize::{insufficient, limiting_period, refused_by_ledger};
use crate::chain::Chain;
use crate::funding::{self, Funding, Payer, Raise};
use crate::journal::Journal;
use crate::ledger::{LedgerError, Locked};
use crate::rating::{RateBook, max_talk, price};
use crate::slices::{CreditSettings, Step};

/// Holds the next slice at every level, if one fits; or waits for a lease.
pub(super) fn next_slice(
    settings: &CreditSettings,
    locked: &mut Locked<'_>,
    call: CallId,
    state: &mut CallState,
    patience: Patience,
    now: Utc,
    journal: &dyn Journal,
) -> Attempt<Option<Chain<Raise>>> {
    // Blocking an account ends its calls, and those of its customers, at what is paid for.
    if state.slice == u16::MAX || funding::inactive(locked, &state.payers).is_some() {
        return Attempt::Done(None);
    }
    let step = Step::Next { granted_seconds: state.granted_seconds, slice: state.slice };
    let funded = funding::fund(settings, locked, &state.payers, state.at, step);
    if patience.waits(settings, locked, &state.payers, (state.at, step), &funded) {
        return Attempt::Waits;
    }
    let funded = match funded {
        Ok(funded) => funded,
        Err(level) => {
            exhausted(locked, &state.payers, level, now, journal);
            return Attempt::Done(None);
        }
    };
    if !hold(locked, call, state, &funded.raises) {
        return Attempt::Done(None);
    }
    if let Some(level) = funded.last_at {
        exhausted(locked, &state.payers, level, now, journal);
    }
    state.granted_seconds = funded.total_seconds;
    state.is_final = funded.is_final();
    Attempt::Done(Some(funded.raises))
}

/// Holds the first slice at every level, or says why not.
pub(super) fn hold_first(
    locked: &mut Locked<'_>,
    request: &AuthorizeRequest,
    payers: &Chain<Payer>,
    funded: &Funding,
    journal: &dyn Journal,
) -> Result<(), Refused> {
    let (asks, levels) = funding::asks(request.call, 0, payers, &funded.raises);
    match locked.reserve(&asks[..levels]) {
        Ok(_) => Ok(()),
        Err((level, LedgerError::ExceedsAvailable { .. })) => {
            Err(refuse(locked, level, payers, request.at, journal))
        }
        Err((level, why)) => Err(refused_by_ledger(level, asks[level].account, why)),
    }
}

/// Holds this at every level, as the next slice.
fn hold(
    locked: &mut Locked<'_>,
    call: CallId,
    state: &mut CallState,
    raises: &Chain<Raise>,
) -> bool {
    let (asks, levels) = funding::asks(call, state.slice + 1, &state.payers, raises);
    if locked.reserve(&asks[..levels]).is_err() {
        return false;
    }
    state.slice += 1;
    for (payer, raise) in state.payers.iter_mut().zip(raises.iter()) {
        raise.add_to(payer);
    }
    true
}

/// What the grant costs more, now that the moment of the answer is known, is held; or the grant
/// becomes what is paid for. `None` if nothing more is held. Leases that are not `is_held` any more
/// are not spent.
pub(super) fn price_anew(
    locked: &mut Locked<'_>,
    call: CallId,
    state: &mut CallState,
    is_held: bool,
) -> Option<Chain<Raise>> {
    let (at, granted) = (state.at, state.grant().talk_time);
    let missing = |payer: &Payer| {
        let total = price(&payer.rate, &payer.talk(at, granted)).unwrap_or(Money(i64::MAX));
        Money(total.0.saturating_sub(payer.reserved.0).max(0))
    };
    if state.payers.iter().all(|payer| missing(payer).is_zero()) {
        return None;
    }
    let raises = state.payers.map(|_, payer| Raise {
        account: payer.account,
        amount: missing(payer),
        bundles: Vec::new(),
    });
    if is_held && state.slice < u16::MAX && hold(locked, call, state, &raises) {
        return Some(raises);
    }
    let paid_for = |payer: &Payer| {
        let (reserved, bundles) = (payer.reserved, payer.bundle_seconds());
        max_talk(&payer.rate, at, reserved, bundles, state.granted_seconds).unwrap_or(0)
    };
    state.granted_seconds = state.payers.iter().map(paid_for).min().unwrap_or(0);
    state.is_final = true;
    None
}

pub(super) fn nothing(payers: &Chain<Payer>) -> Chain<Raise> {
    payers.map(|_, payer| Raise {
        account: payer.account,
        amount: Money::ZERO,
        bundles: Vec::new(),
    })
}

/// Accounts with limits of spending: which hour, day and month is it for them?
pub(crate) fn turn(locked: &mut Locked<'_>, book: &RateBook, payers: &Chain<Payer>, now: Utc) {
    for payer in payers.iter() {
        let view = locked.account(payer.account);
        if let Some(view) = view
            && view.terms.spend.are_set()
            && !view.spending.is_of(now)
        {
            let (day, month) = book.day_and_month(payer.account, now);
            locked.turn(payer.account, now, &day, &month);
        }
    }
}

/// The call cannot open for want of money at this level.
pub(super) fn refuse(
    locked: &mut Locked<'_>,
    level: usize,
    payers: &Chain<Payer>,
    at: Utc,
    journal: &dyn Journal,
) -> Refused {
    let payer = payers.get(level).expect("a level of the call");
    let Some(view) = locked.account(payer.account) else {
        return refused_by_ledger(level, payer.account, LedgerError::NoAccount(payer.account));
    };
    exhausted(locked, payers, level, at, journal);
    insufficient(level, payer, at, &view)
}

/// Nothing more can be held at this level: its account hears of it, and whether its money or a limit
/// of the day or the month is the reason.
pub(super) fn exhausted(
    locked: &mut Locked<'_>,
    payers: &Chain<Payer>,
    level: usize,
    at: Utc,
    journal: &dyn Journal,
) {
    let Some(payer) = payers.get(level) else { return };
    let Some(view) = locked.account(payer.account) else { return };
    match limiting_period(&view) {
        None => locked.exhausted(payer.account, at, journal),
        Some((_, period)) => locked.spend_limit_reached(payer.account, period, at, journal),
    }
}
