//! Turns money into talk time and talk time into money: authorise, extend, settle. One per worker;
//! all of them share the ledger.
//!
//! ```text
//! authorize ──► open ──► answered ──► settled
//!                 │ ▲        │ ▲         ▲
//!                 │ extend   │ extend    │
//!                 └──────────┴───────────┘
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use vocabulary::{
    AccountId, Authorization, AuthorizeRequest, CallFacts, CallId, CallKind, Direction,
    ExtendRequest, Extension, Grant, Now, Refused, SettleRequest, TrunkId, Utc,
};

use crate::Money;
use crate::authorize::{CallTerms, call_terms, insufficient, opening_purse, reserved_line};
use crate::call_state::{CarrierRate, OpenCall};
use crate::cdr::{Cdr, CdrLine};
use crate::journal::{Ended, Journal, Position, Record};
use crate::ledger::{AccountView, Ledger, LedgerError, Outcome, ReservationId, Status};
use crate::rating::{AppliedRate, RateBook, Talk};
use crate::settlement::{Paid, Payer, Settled, settle};
use crate::slices::{self, CreditSettings, Purse, Slice};

/// Reservations of calls never run out by themselves: settlement or recovery closes them.
const NEVER: Utc = Utc(i64::MAX);

/// The carriers of a call.
#[derive(Debug)]
enum Egress {
    /// Who may carry it, cheapest first.
    Candidates(Box<[CarrierRate]>),
    /// Who does.
    Carrier(CarrierRate),
    /// Nobody: the callee is ours.
    Local,
}

/// What a live call's money is known by. Small: there is one for each call held.
#[derive(Debug)]
struct CallState {
    account: AccountId,
    /// When the call was answered; while it rings, when it came in.
    at: Utc,
    rate: AppliedRate,
    egress: Egress,
    reserved: Money,
    granted_seconds: u32,
    slice: u16,
    is_final: bool,
}

impl CallState {
    fn grant(&self) -> Grant {
        let talk_time = Duration::from_secs(self.granted_seconds.into());
        Grant { talk_time, is_final: self.is_final }
    }

    fn carrier(&self, trunk: TrunkId) -> Option<&CarrierRate> {
        match &self.egress {
            Egress::Candidates(list) => list.iter().find(|carrier| carrier.trunk == trunk),
            Egress::Carrier(carrier) => Some(carrier).filter(|carrier| carrier.trunk == trunk),
            Egress::Local => None,
        }
    }
}

/// The newest settled calls, so that a settlement asked for twice is made once.
#[derive(Debug)]
struct Settlements {
    order: VecDeque<CallId>,
    positions: HashMap<CallId, Position, FixedState>,
}

const SETTLEMENTS_MAX: usize = 4096;

impl Settlements {
    fn push(&mut self, call: CallId, position: Position) {
        if self.order.len() == SETTLEMENTS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.positions.remove(&oldest);
        }
        self.order.push_back(call);
        self.positions.insert(call, position);
    }
}

/// Credit control of one worker's calls.
pub struct CreditControl {
    ledger: Arc<Ledger>,
    journal: Arc<dyn Journal>,
    book: Arc<RateBook>,
    settings: CreditSettings,
    calls: HashMap<CallId, Box<CallState>, FixedState>,
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
        _now: Now,
        request: &AuthorizeRequest,
    ) -> Result<Authorization, Refused> {
        if let Some(state) = self.calls.get(&request.call) {
            return Ok(standing(state));
        }
        // Nobody would ever settle it again: what it reserved would be held for good.
        if self.settled.positions.contains_key(&request.call) {
            return Err(over(request.call));
        }
        let CallTerms { rate, carriers, skipped, mut decisions } =
            call_terms(&self.ledger, &self.book, &self.settings, request)?;
        let (account, id) = (request.account, ReservationId { call: request.call, leg: 0 });
        let mut locked = self.ledger.lock(&[account]);
        let view = locked.account(account).ok_or_else(|| gone(account))?;
        let slice = slices::first(&self.settings, &rate, opening_purse(&view, request.at))
            .ok_or_else(|| insufficient(&rate, request.at, account, &view))?;
        match locked.reserve(id, 0, account, slice.amount, NEVER) {
            Ok(_) => {}
            Err(LedgerError::ExceedsAvailable { .. }) => {
                return Err(insufficient(&rate, request.at, account, &view));
            }
            Err(why) => return Err(refused_by_ledger(account, why)),
        }
        self.journal.append(&Record::Opened(opened(request, &rate, &slice)));
        drop(locked);

        decisions.push(reserved_line(account, &slice, rate.currency));
        let egress = carriers.iter().map(|carrier| carrier.trunk).collect();
        let state = CallState {
            account,
            at: request.at,
            rate,
            egress: match request.kind {
                CallKind::Local => Egress::Local,
                CallKind::Egress => Egress::Candidates(carriers.into()),
            },
            reserved: slice.amount,
            granted_seconds: slice.total_seconds,
            slice: 0,
            is_final: slice.is_final,
        };
        let grant = state.grant();
        self.calls.insert(request.call, Box::new(state));
        Ok(Authorization { grant, egress, skipped, decisions })
    }

    /// Reserves the next slice. The grant that comes back is larger, or final. For a call that is
    /// over (its end and this question crossed) it is final and empty.
    pub fn extend(&mut self, _now: Now, request: ExtendRequest) -> Extension {
        let call = request.call;
        let Some(state) = self.calls.get_mut(&call) else {
            let grant = Grant { talk_time: Duration::ZERO, is_final: true };
            return Extension { call, grant };
        };
        if state.is_final {
            return Extension { call, grant: state.grant() };
        }
        let mut locked = self.ledger.lock(&[state.account]);
        let view = locked.account(state.account).expect("an account with calls stays");
        let id = ReservationId { call, leg: 0 };
        let mut amount = Money::ZERO;
        match next_slice(&self.settings, state, &view) {
            Some(slice)
                if locked
                    .reserve(id, state.slice + 1, state.account, slice.amount, NEVER)
                    .is_ok() =>
            {
                amount = slice.amount;
                state.slice += 1;
                state.reserved.0 += slice.amount.0;
                state.granted_seconds = slice.total_seconds;
                state.is_final = slice.is_final;
            }
            _ => state.is_final = true,
        }
        let Grant { talk_time: granted, is_final } = state.grant();
        let (account, slice) = (state.account, state.slice);
        let record = Record::Extended { call, account, slice, amount, granted, is_final };
        self.journal.append(&record);
        Extension { call, grant: state.grant() }
    }

    /// The callee answered, on this trunk if it is one. The 200 may go to the caller once the
    /// journal is on disk up to the position.
    pub fn answered(
        &mut self,
        _now: Now,
        call: CallId,
        trunk: Option<TrunkId>,
        at: Utc,
    ) -> Position {
        let Some(state) = self.calls.get_mut(&call) else {
            return self.journal.append(&Record::Answered { call, at, trunk, carrier: None });
        };
        state.at = at;
        let carrier = trunk.and_then(|trunk| state.carrier(trunk)).cloned();
        if let Some(carrier) = &carrier {
            state.egress = Egress::Carrier(carrier.clone());
        }
        let _locked = self.ledger.lock(&[state.account]);
        self.journal.append(&Record::Answered { call, at, trunk, carrier })
    }

    /// The call is over, or never went ahead: posts what was talked, gives the rest back, writes
    /// the CDRs. Asked again, nothing happens.
    pub fn settle(&mut self, now: Now, request: SettleRequest) -> Position {
        let call = request.facts.call;
        if let Some(position) = self.settled.positions.get(&call) {
            return *position;
        }
        let state = self.calls.remove(&call);
        let position = match state {
            None => {
                let cdrs = cdrs(request.facts, Settled::default(), None, None);
                let (payer, postings) = (None, Vec::new());
                let ended = Ended { call, at: now.utc, payer, cdrs, postings };
                self.journal.append(&Record::Ended(ended))
            }
            Some(state) => self.settle_authorized(now, request, &state),
        };
        self.settled.push(call, position);
        position
    }

    fn settle_authorized(&self, now: Now, request: SettleRequest, state: &CallState) -> Position {
        let SettleRequest { talked, answered_by, facts } = request;
        let (call, granted) = (facts.call, state.grant().talk_time);
        let ingress = facts.legs.iter().find(|leg| leg.direction == Direction::Ingress);
        // Talk beyond the grant is never counted: a timer may fire late.
        let is_answered = !talked.is_zero() || ingress.is_some_and(|leg| leg.answered_at.is_some());
        // What was reserved was priced from this moment, so the charge is too.
        let answered_at = state.at;
        let talk = match is_answered {
            true => Talk::answered(answered_at, talked.min(granted)),
            false => Talk::Unanswered,
        };
        let payer = Payer { account: state.account, rate: &state.rate, talk };
        let paid_leg = answered_by.and_then(|trunk| {
            let is_it = |leg: &&vocabulary::LegFacts| {
                leg.trunk == Some(trunk)
                    && leg.direction == Direction::Egress
                    && leg.answered_at.is_some()
            };
            facts.legs.iter().find(is_it)
        });
        let paid = paid_leg.and_then(|leg| {
            let carrier = state.carrier(leg.trunk?)?;
            let talk = Talk::answered(answered_at, leg.talked.min(granted));
            Some(Paid { leg: leg.index, carrier, talk })
        });
        let settled = settle(call, now.utc, Some(&payer), paid.as_ref());
        let charge = settled.charge_posting.clone();
        let cost = settled.cost_posting.clone();
        let cost_leg = paid.as_ref().map(|paid| paid.leg);
        let carrier = paid.as_ref().map_or(state.account, |paid| paid.carrier.account);
        let priced = Some((granted, answered_at));
        let cdrs = cdrs(facts, settled, cost_leg, priced);
        let postings = charge.into_iter().chain(cost).collect::<Vec<_>>();

        let mut locked = self.ledger.lock(&[state.account, carrier]);
        let id = ReservationId { call, leg: 0 };
        let is_charge = |posting: &&crate::Posting| posting.debit == state.account;
        let charge = postings.first().filter(is_charge);
        let linked = &postings[usize::from(charge.is_some())..];
        let outcome = locked.post(id, state.account, charge, linked);
        assert_eq!(outcome, Ok(Outcome::Done), "a grant is paid for in full before it is given");
        let ended = Ended { call, at: now.utc, payer: Some(state.account), cdrs, postings };
        self.journal.append(&Record::Ended(ended))
    }
}

/// One CDR a leg; the decisions and the price line by line on the first.
fn cdrs(
    mut facts: CallFacts,
    mut settled: Settled,
    cost_leg: Option<u8>,
    priced: Option<(Duration, Utc)>,
) -> Vec<Cdr> {
    let decisions = std::mem::take(&mut facts.decisions);
    let mut lines: Vec<CdrLine> = decisions.into_iter().map(CdrLine::from).collect();
    lines.extend(settled.lines);
    let legs = std::mem::take(&mut facts.legs);
    let mut cdrs: Vec<Cdr> = legs.into_iter().map(|leg| Cdr::of_leg(&facts, leg)).collect();
    for cdr in &mut cdrs {
        if let Some((granted, answered_at)) = priced {
            cdr.talked = cdr.talked.min(granted);
            // The moment that was priced from, so that the CDR is priced the same again.
            cdr.answered_at = cdr.answered_at.map(|_| answered_at);
        }
        match cdr.direction {
            Direction::Ingress => cdr.charge = settled.charge.take(),
            Direction::Egress if Some(cdr.leg) == cost_leg => cdr.charge = settled.cost.take(),
            Direction::Egress => {}
        }
    }
    if let Some(first) = cdrs.first_mut() {
        first.decisions = lines;
    }
    cdrs
}

fn next_slice(settings: &CreditSettings, state: &CallState, view: &AccountView) -> Option<Slice> {
    // Blocking an account ends its calls at what is paid for.
    if view.terms.status != Status::Active || state.slice == u16::MAX {
        return None;
    }
    let purse = Purse {
        at: state.at,
        reserved: state.reserved,
        available: view.available(),
        calls: view.open_reservations,
    };
    slices::next(settings, &state.rate, purse, state.granted_seconds, state.slice)
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

fn gone(account: AccountId) -> Refused {
    refused_by_ledger(account, LedgerError::NoAccount(account))
}

fn refused_by_ledger(account: AccountId, why: LedgerError) -> Refused {
    let sentence = format!("Account {account} cannot pay for the call: {why}.");
    Refused::AccountInactive(crate::authorize::line("account_refused", sentence))
}

fn opened(request: &AuthorizeRequest, rate: &AppliedRate, slice: &Slice) -> OpenCall {
    OpenCall {
        call: request.call,
        account: request.account,
        kind: request.kind,
        cld: request.cld,
        cli: request.cli,
        at: request.at,
        rate: rate.clone(),
        granted: Duration::from_secs(slice.total_seconds.into()),
        is_final: slice.is_final,
        reserved: slice.amount,
        slice: 0,
        newest: slice.amount,
        answered_at: None,
        answered_by: None,
        carrier: None,
        origin: request.origin.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_call_takes_at_most_300_bytes() {
        // The boxed state and its allocation's overhead, and its entry in a map seven eighths of
        // whose slots may just have been emptied by growing.
        let entry = size_of::<CallId>() + size_of::<Box<CallState>>() + 1;
        let bytes = size_of::<CallState>() + 8 + 2 * entry;
        assert!(bytes <= 300, "{bytes} bytes, of which the state {}", size_of::<CallState>());
    }
}
