//! Turns money into talk time and talk time into money: authorise, extend, settle. One per worker;
//! all of them share the ledger.
//!
//! ```text
//! authorize ──► open ──► answered ──► settled
//!                 │ ▲        │ ▲         ▲
//!                 │ extend   │ extend    │
//!                 └──────────┴───────────┘
//! ```

mod ending;
mod slice;
mod state;
mod waiting;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use vocabulary::{
    Authorization, AuthorizeRequest, CallId, ExtendRequest, Extension, Grant, Now, Refused,
    TrunkId, Utc,
};

use crate::authorize::{CallTerms, call_terms, reserved_line};
use crate::call_state::{CallContext, OpenCall};
use crate::chain::Chain;
use crate::funding::{self, Payer};
use crate::journal::{Journal, Position, Record};
use crate::ledger::Ledger;
use crate::rating::RateBook;
use crate::slices::{CreditSettings, Step};
use ending::Settlements;
pub(crate) use ending::tell;
pub(crate) use slice::turn;
use slice::{exhausted, hold_first, next_slice, nothing, price_anew, refuse};
use state::{CallState, Egress, Kept};
pub use waiting::Attempt;
use waiting::{Patience, Stop, leases_expired};

/// What an answer comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerGrant {
    /// Of the record that must be on disk before the caller hears the answer.
    pub position: Position,
    /// The whole grant: less than authorised if the prices of this moment are higher than those
    /// of the moment when the call came in, and no more money is there.
    pub grant: Grant,
}

/// Credit control of one worker's calls.
pub struct CreditControl {
    ledger: Arc<Ledger>,
    journal: Arc<dyn Journal>,
    book: Arc<RateBook>,
    settings: CreditSettings,
    calls: HashMap<CallId, Kept, FixedState>,
    settled: Settlements,
}

impl CreditControl {
    /// With an empty rate book and default settings.
    pub fn new(ledger: Arc<Ledger>, journal: Arc<dyn Journal>) -> CreditControl {
        CreditControl {
            ledger,
            journal,
            book: Arc::new(RateBook::default()),
            settings: CreditSettings::default(),
            calls: HashMap::with_hasher(FixedState::default()),
            settled: Settlements {
                order: VecDeque::new(),
                positions: HashMap::with_hasher(FixedState::default()),
            },
        }
    }

    /// New calls are rated with this book; live ones keep the rates they came in with.
    pub fn set_rate_book(&mut self, book: Arc<RateBook>) {
        self.book = book;
    }

    /// New slices follow these settings.
    pub fn set_settings(&mut self, settings: CreditSettings) {
        self.settings = settings;
    }

    /// The books.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Calls that are not settled yet.
    pub fn open_calls(&self) -> usize {
        self.calls.len()
    }

    /// May this call go ahead, for how long, by whom? Connect fee, first increment and first slice
    /// are reserved and journaled when it returns. Asked again for the same call, it answers with
    /// what stands.
    pub fn authorize(
        &mut self,
        now: Now,
        request: &AuthorizeRequest,
    ) -> Result<Authorization, Refused> {
        self.try_authorize(now, request, Patience::None).done()
    }

    /// The same with several nodes: waits if this node's lease is too small and more was not asked
    /// for yet.
    pub fn authorize_or_wait(
        &mut self,
        now: Now,
        request: &AuthorizeRequest,
    ) -> Attempt<Result<Authorization, Refused>> {
        self.try_authorize(now, request, Patience::ForLease)
    }

    fn try_authorize(
        &mut self,
        now: Now,
        request: &AuthorizeRequest,
        patience: Patience,
    ) -> Attempt<Result<Authorization, Refused>> {
        match self.authorized(now, request, patience) {
            Ok(authorization) => Attempt::Done(Ok(authorization)),
            Err(Stop::Refused(refused)) => Attempt::Done(Err(refused)),
            Err(Stop::Waits) => Attempt::Waits,
        }
    }

    fn authorized(
        &mut self,
        now: Now,
        request: &AuthorizeRequest,
        patience: Patience,
    ) -> Result<Authorization, Stop> {
        if let Some(standing) = self.standing(request.call) {
            return Ok(standing);
        }
        // Nobody would ever settle it again: what it reserved would be held for good.
        if self.settled.positions.contains_key(&request.call) {
            return Err(over(request.call).into());
        }
        if !self.ledger.are_leases_held(now.monotonic) {
            return Err(leases_expired().into());
        }
        let (terms, mut decisions) = call_terms(&self.ledger, &self.book, &self.settings, request)?;
        let CallTerms { mut payers, carriers, skipped, context, .. } = terms;
        let (at, journal) = (request.at, &*self.journal);
        let mut locked = self.ledger.lock(&funding::accounts(&payers));
        turn(&mut locked, &self.book, &payers, now.utc);
        funding::find_bundles(&locked, &self.book, &mut payers, request);
        let funded = funding::fund(&self.settings, &locked, &payers, request.at, Step::First);
        let first = (request.at, Step::First);
        if patience.waits(&self.settings, &mut locked, &payers, first, &funded) {
            return Err(Stop::Waits);
        }
        let funded = match funded {
            Ok(funded) => funded,
            Err(level) => return Err(refuse(&mut locked, level, &payers, at, journal).into()),
        };
        hold_first(&mut locked, request, &payers, &funded, journal)?;
        if let Some(level) = funded.last_at {
            exhausted(&mut locked, &payers, level, at, journal);
        }
        for (payer, raise) in payers.iter_mut().zip(funded.raises.iter()) {
            raise.add_to(payer);
        }
        let is_final = funded.is_final();
        let opened = opened(request, payers, funded.total_seconds, is_final, context);
        // The payers go into the record and come back: nothing is copied for it.
        let record = Record::Opened(opened);
        self.journal.append(&record);
        let Record::Opened(OpenCall { payers, .. }) = record else { unreachable!("made above") };
        drop(locked);

        decisions.extend(
            payers
                .iter()
                .enumerate()
                .map(|(level, payer)| reserved_line(level, payer, funded.total_seconds, is_final)),
        );
        let egress = carriers.iter().map(|carrier| carrier.trunk).collect();
        let state = CallState {
            at: request.at,
            payers,
            egress: match request.kind.is_carried() {
                true => Egress::Candidates(carriers.into()),
                false => Egress::Local,
            },
            granted_seconds: funded.total_seconds,
            slice: 0,
            is_final,
            is_answered: false,
            context,
        };
        let grant = state.grant();
        self.calls.insert(request.call, Kept::of(state));
        Ok(Authorization { grant, egress, skipped, decisions })
    }

    /// What a call that is open already was told.
    fn standing(&mut self, call: CallId) -> Option<Authorization> {
        let kept = self.calls.get_mut(&call)?;
        let state = kept.take();
        let standing = standing(&state);
        *kept = Kept::of(state);
        Some(standing)
    }

    /// Reserves the next slice. The grant that comes back is larger, or final. For a call that is
    /// over (its end and this question crossed) it is final and empty.
    pub fn extend(&mut self, now: Now, request: ExtendRequest) -> Extension {
        self.try_extend(now, request, Patience::None).done()
    }

    /// The same with several nodes, as with `authorize_or_wait`.
    pub fn extend_or_wait(&mut self, now: Now, request: ExtendRequest) -> Attempt<Extension> {
        self.try_extend(now, request, Patience::ForLease)
    }

    fn try_extend(
        &mut self,
        now: Now,
        request: ExtendRequest,
        patience: Patience,
    ) -> Attempt<Extension> {
        let call = request.call;
        let Some(mut state) = self.calls.get_mut(&call).map(Kept::take) else {
            let grant = Grant { talk_time: Duration::ZERO, is_final: true };
            return Attempt::Done(Extension { call, grant });
        };
        let extension = self.extend_state(now, call, &mut state, patience);
        self.calls.insert(call, Kept::of(state));
        extension
    }

    fn extend_state(
        &self,
        now: Now,
        call: CallId,
        state: &mut CallState,
        patience: Patience,
    ) -> Attempt<Extension> {
        if state.is_final {
            return Attempt::Done(Extension { call, grant: state.grant() });
        }
        let is_held = self.ledger.are_leases_held(now.monotonic);
        let mut locked = self.ledger.lock(&funding::accounts(&state.payers));
        turn(&mut locked, &self.book, &state.payers, now.utc);
        let next = match is_held {
            true => {
                let (settings, journal) = (&self.settings, &*self.journal);
                next_slice(settings, &mut locked, call, state, patience, now.utc, journal)
            }
            false => Attempt::Done(None),
        };
        let Attempt::Done(raises) = next else { return Attempt::Waits };
        let raises = raises.unwrap_or_else(|| {
            state.is_final = true;
            nothing(&state.payers)
        });
        let Grant { talk_time: granted, is_final } = state.grant();
        let slice = state.slice;
        self.journal.append(&Record::Extended { call, slice, granted, is_final, raises });
        Attempt::Done(Extension { call, grant: state.grant() })
    }

    /// The callee answered, on this trunk if it is one. Prices count from now on: if those are
    /// higher than the ones reserved for, more is reserved, or the grant shrinks before any talk.
    /// The 200 may go to the caller once the journal is on disk up to the position.
    pub fn answered(
        &mut self,
        now: Now,
        call: CallId,
        trunk: Option<TrunkId>,
        at: Utc,
    ) -> AnswerGrant {
        let Some(mut state) = self.calls.get_mut(&call).map(Kept::take) else {
            let (granted, carrier) = (Duration::ZERO, None);
            let record = Record::Answered { call, at, trunk, carrier, granted, is_final: true };
            let position = self.journal.append(&record);
            let grant = Grant { talk_time: granted, is_final: true };
            return AnswerGrant { position, grant };
        };
        let answer = self.answer_state(now, call, &mut state, trunk, at);
        self.calls.insert(call, Kept::of(state));
        answer
    }

    fn answer_state(
        &self,
        now: Now,
        call: CallId,
        state: &mut CallState,
        trunk: Option<TrunkId>,
        at: Utc,
    ) -> AnswerGrant {
        // A call is answered once; whoever says it again hears the same.
        let at = if state.is_answered { state.at } else { at };
        let end = funding::first_cap_end(&state.payers, at);
        // What a cap would have ended when the call came in may go on with the prices of this moment.
        let is_past_cap = end == u32::MAX || state.granted_seconds >= end;
        state.is_final &= state.is_answered || is_past_cap;
        (state.at, state.is_answered) = (at, true);
        let carrier = trunk.and_then(|trunk| state.carrier(trunk)).cloned();
        if let Some(carrier) = &carrier {
            state.egress = Egress::Carrier(Box::new(carrier.clone()));
        }
        let mut locked = self.ledger.lock(&funding::accounts(&state.payers));
        turn(&mut locked, &self.book, &state.payers, now.utc);
        let is_held = self.ledger.are_leases_held(now.monotonic);
        if let Some(raises) = price_anew(&mut locked, call, state, is_held) {
            let Grant { talk_time: granted, is_final } = state.grant();
            let slice = state.slice;
            self.journal.append(&Record::Extended { call, slice, granted, is_final, raises });
        }
        // Or they reach it sooner.
        if state.granted_seconds >= end {
            (state.granted_seconds, state.is_final) = (end, true);
        }
        let grant = state.grant();
        let Grant { talk_time: granted, is_final } = grant;
        let record = Record::Answered { call, at, trunk, carrier, granted, is_final };
        AnswerGrant { position: self.journal.append(&record), grant }
    }
}

fn standing(state: &CallState) -> Authorization {
    let egress = match &state.egress {
        Egress::Candidates(list) => list.iter().map(|carrier| carrier.trunk).collect(),
        Egress::Carrier(carrier) => vec![carrier.trunk],
        Egress::Local => Vec::new(),
    };
    Authorization { grant: state.grant(), egress, skipped: Vec::new(), decisions: Vec::new() }
}

fn over(call: CallId) -> Refused {
    Refused::AccountInactive(crate::authorize::line("call_over", format!("Call {call} is over.")))
}

fn opened(
    request: &AuthorizeRequest,
    payers: Chain<Payer>,
    total_seconds: u32,
    is_final: bool,
    context: CallContext,
) -> OpenCall {
    OpenCall {
        call: request.call,
        payers,
        kind: request.kind,
        cld: request.cld,
        cli: request.cli,
        at: request.at,
        granted: Duration::from_secs(total_seconds.into()),
        is_final,
        slice: 0,
        answered_at: None,
        answered_by: None,
        carrier: None,
        origin: request.origin.clone(),
        rate_choice: request.rate_choice,
        location: request.location,
        context,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_call_takes_at_most_300_bytes_besides_what_is_packed() {
        // While it rings: the boxed state and its allocation's overhead, and its entry in a map seven
        // eighths of whose slots may just have been emptied by growing.
        let entry = size_of::<(CallId, Kept)>() + 1;
        let bytes = size_of::<CallState>() + 8 + 2 * entry;
        assert!(bytes <= 310, "{bytes} bytes, of which the state {}", size_of::<CallState>());
    }
}
