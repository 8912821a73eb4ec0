//! The end of a call's money: posts what was talked, gives the rest back, writes the CDRs.

use std::collections::VecDeque;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use vocabulary::{CallFacts, CallId, Direction, Now, SettleRequest, Utc};

use super::CreditControl;
use super::slice::turn;
use super::state::{CallState, Kept};
use crate::call_state::{CallContext, CarrierRate};
use crate::cdr::{Cdr, CdrLine};
use crate::journal::{Ended, Position, Record};
use crate::ledger::Outcome;
use crate::rating::{AppliedRate, RateBook, Talk};
use crate::settlement::{self, Paid, Paying, Settled};

/// The newest settled calls, so that a settlement asked for twice is made once.
#[derive(Debug)]
pub(super) struct Settlements {
    pub(super) order: VecDeque<CallId>,
    pub(super) positions: HashMap<CallId, Position, FixedState>,
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

impl CreditControl {
    /// The call is over, or never went ahead: posts what was talked, gives the rest back, writes
    /// the CDRs. Asked again, nothing happens.
    pub fn settle(&mut self, now: Now, request: SettleRequest) -> Position {
        let call = request.facts.call;
        if let Some(position) = self.settled.positions.get(&call) {
            return *position;
        }
        let state = self.calls.remove(&call).map(Kept::state);
        let position = match state {
            None => {
                let mut cdrs = cdrs(request.facts, &mut Settled::default(), None);
                // The site is one of whoever calls: not of the account that has the DID.
                let is_callers = |cdr: &&mut Cdr| {
                    let is_inbound = cdr.kind.is_some_and(|kind| kind.did().is_some());
                    cdr.direction == Direction::Ingress && !is_inbound
                };
                for cdr in cdrs.iter_mut().filter(is_callers) {
                    cdr.site = self.book.site(cdr.subscriber, cdr.trunk);
                }
                let (postings, bundle_uses, told) = (Vec::new(), Vec::new(), Vec::new());
                let (at, payer) = (now.utc, None);
                let ended = Ended { call, at, payer, cdrs, postings, bundle_uses, told };
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

        let mut cdrs = cdrs(facts, &mut settled, Some(&clock));
        let carrier_rate = paid.as_ref().map(|paid| paid.carrier);
        tell(&mut cdrs, &self.book, state.context, &payers.first.rate, carrier_rate);
        let mut locked = settlement::locked(&self.ledger, payers, carrier);
        turn(&mut locked, &self.book, payers, now.utc);
        let outcome = settlement::post(&mut locked, call, payers, &settled);
        assert_eq!(outcome, Ok(Outcome::Done), "a grant is paid for in full before it is given");
        let Settled { postings, bundle_uses, .. } = settled;
        let (at, payer, told) = (now.utc, Some(payers.first.account), locked.take_told());
        let ended = Ended { call, at, payer, cdrs, postings, bundle_uses, told };
        self.journal.append(&Record::Ended(ended))
    }
}

/// What reports want to know of an authorised call besides its price: where it is from, what its
/// destination is called, and what its money is in the currency that profit is counted in.
pub(crate) fn tell(
    cdrs: &mut [Cdr],
    book: &RateBook,
    context: CallContext,
    rate: &AppliedRate,
    carrier: Option<&CarrierRate>,
) {
    for cdr in cdrs {
        let Some(cld) = cdr.normal_cld else { continue };
        let name = |rate| book.destination(rate, &cld, &cdr.location).map(str::to_owned);
        match (cdr.direction, carrier) {
            (Direction::Ingress, _) => {
                cdr.site = context.site;
                cdr.report = context.report;
                cdr.destination = name(rate);
                for upper in &mut cdr.upper {
                    upper.destination = name(&upper.charge.applied);
                }
            }
            (Direction::Egress, Some(carrier)) if cdr.trunk == Some(carrier.trunk) => {
                cdr.report = carrier.report;
                cdr.destination = name(&carrier.rate);
            }
            (Direction::Egress, _) => {}
        }
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
