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
    Authorization, AuthorizeRequest, CallFacts, CallId, CallKind, Direction, ExtendRequest,
    Extension, Grant, Now, Refused, SettleRequest, TrunkId, Utc,
};

use crate::Money;
use crate::authorize::{
    CallTerms, call_terms, insufficient, limiting_period, refused_by_ledger, reserved_line,
};
use crate::call_state::{CarrierRate, OpenCall};
use crate::cdr::{Cdr, CdrLine};
use crate::chain::Chain;
use crate::funding::{self, Payer, Raise};
use crate::journal::{Ended, Journal, Position, Record};
use crate::ledger::{Ledger, LedgerError, Locked, Outcome};
use crate::rating::{RateBook, Talk, max_talk, price};
use crate::settlement::{self, Paid, Paying, Settled};
use crate::slices::{CreditSettings, Step};

/// The carriers of a call.
#[derive(Debug)]
enum Egress {
    /// Who may carry it, cheapest first.
    Candidates(Box<[CarrierRate]>),
    /// Who does.
    Carrier(Box<CarrierRate>),
    /// Nobody: the callee is ours.
    Local,
}

/// What a live call's money is known by. Small: there is one for each call held.
#[derive(Debug)]
struct CallState {
    /// From when its prices are looked up: when it was answered; while it rings, when it came in.
    at: Utc,
    payers: Chain<Payer>,
    egress: Egress,
    granted_seconds: u32,
    slice: u16,
    is_final: bool,
    is_answered: bool,
}

impl CallState {
    fn grant(&self) -> Grant {
        let talk_time = Duration::from_secs(self.granted_seconds.into());
        Grant { talk_time, is_final: self.is_final }
    }

    fn carrier(&self, trunk: TrunkId) -> Option<&CarrierRate> {
        match &self.egress {
            Egress::Candidates(list) => list.iter().find(|carrier| carrier.trunk == trunk),
            Egress::Carrier(carrier) => Some(&**carrier).filter(|carrier| carrier.trunk == trunk),
            Egress::Local => None,
        }
    }
}

/// What an answer comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerGrant {
    /// Of the record that must be on disk before the caller hears the answer.
    pub position: Position,
    /// The whole grant: less than authorised if the prices of this moment are higher than those
    /// of the moment when the call came in, and no more money is there.
    pub grant: Grant,
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
        now: Now,
        request: &AuthorizeRequest,
    ) -> Result<Authorization, Refused> {
        if let Some(state) = self.calls.get(&request.call) {
            return Ok(standing(state));
        }
        // Nobody would ever settle it again: what it reserved would be held for good.
        if self.settled.positions.contains_key(&request.call) {
            return Err(over(request.call));
        }
        let CallTerms { mut payers, carriers, skipped, mut decisions } =
            call_terms(&self.ledger, &self.book, &self.settings, request)?;
        let mut locked = self.ledger.lock(&funding::accounts(&payers));
        turn(&mut locked, &self.book, &payers, now.utc);
        funding::find_bundles(&locked, &self.book, &mut payers, &request.cld, request.at);
        let funded = funding::fund(&self.settings, &locked, &payers, request.at, Step::First);
        let funded = match funded {
            Ok(funded) => funded,
            Err(level) => return Err(refuse(&mut locked, level, &payers, request.at)),
        };
        let (asks, levels) = funding::asks(request.call, 0, &payers, &funded.raises);
        match locked.reserve(&asks[..levels]) {
            Ok(_) => {}
            Err((level, LedgerError::ExceedsAvailable { .. })) => {
                return Err(refuse(&mut locked, level, &payers, request.at));
            }
            Err((level, why)) => {
                return Err(refused_by_ledger(level, asks[level].account, why));
            }
        }
        if let Some(level) = funded.last_at {
            exhausted(&mut locked, &payers, level);
        }
        for (payer, raise) in payers.iter_mut().zip(funded.raises.iter()) {
            raise.add_to(payer);
        }
        let is_final = funded.is_final();
        let opened = opened(request, payers, funded.total_seconds, is_final);
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
            egress: match request.kind {
                CallKind::Local => Egress::Local,
                CallKind::Egress => Egress::Candidates(carriers.into()),
            },
            granted_seconds: funded.total_seconds,
            slice: 0,
            is_final,
            is_answered: false,
        };
        let grant = state.grant();
        self.calls.insert(request.call, Box::new(state));
        Ok(Authorization { grant, egress, skipped, decisions })
    }

    /// Reserves the next slice. The grant that comes back is larger, or final. For a call that is
    /// over (its end and this question crossed) it is final and empty.
    pub fn extend(&mut self, now: Now, request: ExtendRequest) -> Extension {
        let call = request.call;
        let Some(state) = self.calls.get_mut(&call) else {
            let grant = Grant { talk_time: Duration::ZERO, is_final: true };
            return Extension { call, grant };
        };
        if state.is_final {
            return Extension { call, grant: state.grant() };
        }
        let mut locked = self.ledger.lock(&funding::accounts(&state.payers));
        turn(&mut locked, &self.book, &state.payers, now.utc);
        let raises = next_slice(&self.settings, &mut locked, call, state);
        let raises = raises.unwrap_or_else(|| {
            state.is_final = true;
            nothing(&state.payers)
        });
        let Grant { talk_time: granted, is_final } = state.grant();
        let slice = state.slice;
        self.journal.append(&Record::Extended { call, slice, granted, is_final, raises });
        Extension { call, grant: state.grant() }
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
        let Some(state) = self.calls.get_mut(&call) else {
            let (granted, carrier) = (Duration::ZERO, None);
            let record = Record::Answered { call, at, trunk, carrier, granted, is_final: true };
            let position = self.journal.append(&record);
            let grant = Grant { talk_time: granted, is_final: true };
            return AnswerGrant { position, grant };
        };
        // A call is answered once; whoever says it again hears the same.
        let at = if state.is_answered { state.at } else { at };
        (state.at, state.is_answered) = (at, true);
        let carrier = trunk.and_then(|trunk| state.carrier(trunk)).cloned();
        if let Some(carrier) = &carrier {
            state.egress = Egress::Carrier(Box::new(carrier.clone()));
        }
        let mut locked = self.ledger.lock(&funding::accounts(&state.payers));
        turn(&mut locked, &self.book, &state.payers, now.utc);
        if let Some(raises) = price_anew(&mut locked, call, state) {
            let Grant { talk_time: granted, is_final } = state.grant();
            let slice = state.slice;
            self.journal.append(&Record::Extended { call, slice, granted, is_final, raises });
        }
        // The prices of this moment may reach a cap that ends the call sooner.
        let end = funding::first_cap_end(&state.payers, at);
        if state.granted_seconds >= end {
            (state.granted_seconds, state.is_final) = (end, true);
        }
        let grant = state.grant();
        let Grant { talk_time: granted, is_final } = grant;
        let record = Record::Answered { call, at, trunk, carrier, granted, is_final };
        AnswerGrant { position: self.journal.append(&record), grant }
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
                let cdrs = cdrs(request.facts, &mut Settled::default(), None);
                let (payer, postings, bundle_uses) = (None, Vec::new(), Vec::new());
                let ended = Ended { call, at: now.utc, payer, cdrs, postings, bundle_uses };
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
        let payers = &state.payers;
        let talked = is_answered.then(|| (state.at, talked.min(granted)));
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
            let talk = Talk::answered(state.at, leg.talked.min(granted));
            Some(Paid { leg: leg.index, carrier, talk })
        });
        let paying = Paying { call, payers, talked };
        let mut settled = settlement::settle(&self.ledger, now.utc, &paying, paid.as_ref());
        let carrier = paid.as_ref().map(|paid| paid.carrier.account);
        let clock = Clock {
            granted,
            answered_at: state.is_answered.then_some(state.at),
            paid_leg: paid.as_ref().map(|paid| paid.leg),
        };

        let cdrs = cdrs(facts, &mut settled, Some(&clock));
        let mut locked = settlement::locked(&self.ledger, payers, carrier);
        turn(&mut locked, &self.book, payers, now.utc);
        let outcome = settlement::post(&mut locked, call, payers, &settled);
        assert_eq!(outcome, Ok(Outcome::Done), "a grant is paid for in full before it is given");
        let Settled { postings, bundle_uses, .. } = settled;
        let payer = Some(payers.first.account);
        let ended = Ended { call, at: now.utc, payer, cdrs, postings, bundle_uses };
        self.journal.append(&Record::Ended(ended))
    }
}

/// What billing knows better of an authorised call than its facts do.
struct Clock {
    granted: Duration,
    /// The moment that prices were looked up from.
    answered_at: Option<Utc>,
    /// The leg of the carrier that is paid.
    paid_leg: Option<u8>,
}

/// One CDR a leg; the decisions and the price line by line on the first.
fn cdrs(mut facts: CallFacts, settled: &mut Settled, clock: Option<&Clock>) -> Vec<Cdr> {
    let decisions = std::mem::take(&mut facts.decisions);
    let mut lines: Vec<CdrLine> = decisions.into_iter().map(CdrLine::from).collect();
    lines.append(&mut settled.lines);
    let legs = std::mem::take(&mut facts.legs);
    let mut cdrs: Vec<Cdr> = legs.into_iter().map(|leg| Cdr::of_leg(&facts, leg)).collect();
    for cdr in &mut cdrs {
        let Some(clock) = clock else { continue };
        cdr.talked = cdr.talked.min(clock.granted);
        let is_paid = Some(cdr.leg) == clock.paid_leg;
        if cdr.direction == Direction::Ingress {
            cdr.charge = settled.charge.take();
            cdr.upper = std::mem::take(&mut settled.upper);
        } else if is_paid {
            cdr.charge = settled.cost.take();
        }
        // The caller hears the answer when it is on disk; a CDR can be priced again only by the
        // moment that its price was looked up from.
        if cdr.answered_at.is_some() && (cdr.direction == Direction::Ingress || is_paid) {
            cdr.answered_at = clock.answered_at.or(cdr.answered_at);
        }
    }
    if let Some(first) = cdrs.first_mut() {
        first.decisions = lines;
    }
    cdrs
}

/// Holds the next slice at every level, if one fits.
fn next_slice(
    settings: &CreditSettings,
    locked: &mut Locked<'_>,
    call: CallId,
    state: &mut CallState,
) -> Option<Chain<Raise>> {
    // Blocking an account ends its calls, and those of its customers, at what is paid for.
    if state.slice == u16::MAX || funding::inactive(locked, &state.payers).is_some() {
        return None;
    }
    let step = Step::Next { granted_seconds: state.granted_seconds, slice: state.slice };
    let funded = match funding::fund(settings, locked, &state.payers, state.at, step) {
        Ok(funded) => funded,
        Err(level) => {
            exhausted(locked, &state.payers, level);
            return None;
        }
    };
    if !hold(locked, call, state, &funded.raises) {
        return None;
    }
    if let Some(level) = funded.last_at {
        exhausted(locked, &state.payers, level);
    }
    state.granted_seconds = funded.total_seconds;
    state.is_final = funded.is_final();
    Some(funded.raises)
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
/// becomes what is paid for. `None` if nothing more is held.
fn price_anew(
    locked: &mut Locked<'_>,
    call: CallId,
    state: &mut CallState,
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
    if state.slice < u16::MAX && hold(locked, call, state, &raises) {
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

fn nothing(payers: &Chain<Payer>) -> Chain<Raise> {
    payers.map(|_, payer| Raise {
        account: payer.account,
        amount: Money::ZERO,
        bundles: Vec::new(),
    })
}

/// Accounts with limits of spending: which day and month is it for them?
fn turn(locked: &mut Locked<'_>, book: &RateBook, payers: &Chain<Payer>, now: Utc) {
    for payer in payers.iter() {
        let view = locked.account(payer.account);
        if let Some(view) = view
            && view.terms.spend.are_set()
            && !view.spending.is_of(now)
        {
            let (day, month) = book.day_and_month(payer.account, now);
            locked.turn(payer.account, &day, &month);
        }
    }
}

/// The call cannot open for want of money at this level.
fn refuse(locked: &mut Locked<'_>, level: usize, payers: &Chain<Payer>, at: Utc) -> Refused {
    let payer = payers.get(level).expect("a level of the call");
    let Some(view) = locked.account(payer.account) else {
        return refused_by_ledger(level, payer.account, LedgerError::NoAccount(payer.account));
    };
    exhausted(locked, payers, level);
    insufficient(level, payer, at, &view)
}

/// Nothing more can be held at this level: its account hears of it, unless a limit of the day or
/// the month is the reason.
fn exhausted(locked: &mut Locked<'_>, payers: &Chain<Payer>, level: usize) {
    let Some(payer) = payers.get(level) else { return };
    if locked.account(payer.account).is_some_and(|view| limiting_period(&view).is_none()) {
        locked.exhausted(payer.account);
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
