//! After a restart: replays the journal over the state that was loaded, then settles the calls
//! that were open, at the last moment that proves they were alive. Replaying a record twice
//! changes nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use vocabulary::{CallId, Direction, Party, Utc};

use crate::call_state::OpenCall;
use crate::cdr::{Cdr, CdrLine};
use crate::journal::{Ended, Position, Record};
use crate::ledger::{Ledger, Outcome, ReservationId};
use crate::rating::Talk;
use crate::settlement::{Paid, Payer, settle};

/// The replay of a journal over a ledger.
///
/// Load the accounts' posted sums (`Ledger::load`) and the persisted open calls (`open_call`)
/// first; they may be from different moments. Then feed every record from the earliest that is
/// needed, in order.
pub struct Recovery<'a> {
    ledger: &'a Ledger,
    /// Postings up to here are in the loaded sums already.
    applied: Position,
    /// Records up to here were fed.
    fed: Position,
    calls: BTreeMap<CallId, OpenCall>,
    alive_at: Option<Utc>,
}

impl<'a> Recovery<'a> {
    /// `applied` is the last position whose postings the loaded sums hold.
    pub fn new(ledger: &'a Ledger, applied: Position) -> Recovery<'a> {
        let fed = Position(0);
        Recovery { ledger, applied, fed, calls: BTreeMap::new(), alive_at: None }
    }

    /// A call that was open when the state was saved.
    pub fn open_call(&mut self, call: OpenCall) {
        self.hold(&call);
        self.calls.insert(call.call, call);
    }

    /// Calls were alive at this moment; for a heartbeat known from elsewhere than the journal.
    pub fn alive_at(&mut self, at: Utc) {
        self.alive_at = self.alive_at.max(Some(at));
    }

    /// The calls that are open after what was fed.
    pub fn open_calls(&self) -> impl Iterator<Item = &OpenCall> {
        self.calls.values()
    }

    /// One record of the journal. A position at or before the last one fed is passed over.
    pub fn record(&mut self, position: Position, record: &Record) {
        if position <= self.fed {
            return;
        }
        self.fed = position;
        let is_new = position > self.applied;
        match record {
            Record::Opened(call) => {
                if !self.calls.contains_key(&call.call) {
                    self.open_call(call.clone());
                }
            }
            Record::Extended { call, slice, amount, granted, is_final, .. } => {
                self.extended(*call, *slice, *amount, *granted, *is_final);
            }
            Record::Answered { call, at, trunk, carrier } => {
                if let Some(open) = self.calls.get_mut(call)
                    && open.answered_at.is_none()
                {
                    open.answered_at = Some(*at);
                    open.answered_by = *trunk;
                    open.carrier = carrier.clone();
                }
            }
            Record::Ended(ended) => self.ended(ended, is_new),
            Record::Posted(posting) => self.ledger.replay(posting, position, is_new),
            Record::Rerated(rerated) if is_new => self.ledger.replay_rerated(rerated),
            Record::Rerated(_) => {}
            Record::Heartbeat { at } => self.alive_at(*at),
            Record::Binding { .. } => {}
        }
    }

    fn extended(
        &mut self,
        call: CallId,
        slice: u16,
        amount: crate::Money,
        granted: Duration,
        is_final: bool,
    ) {
        let Some(open) = self.calls.get_mut(&call) else { return };
        // A call loaded from a later moment has this slice in it already.
        if slice < open.slice || granted < open.granted {
            return;
        }
        open.is_final |= is_final;
        if slice > open.slice {
            open.slice = slice;
            open.granted = granted;
            open.newest = amount;
            open.reserved.0 = open.reserved.0.saturating_add(amount.0);
            let open = open.clone();
            self.hold(&open);
        }
    }

    fn ended(&mut self, ended: &Ended, is_new: bool) {
        if let Some(open) = self.calls.remove(&ended.call) {
            let id = ReservationId { call: ended.call, leg: 0 };
            let charged = ended.postings.iter().find(|posting| posting.debit == open.account);
            let amount = charged.map_or(crate::Money::ZERO, |posting| posting.amount);
            self.ledger.lock(&[open.account]).forget(id, open.account, amount);
        }
        if is_new {
            for posting in &ended.postings {
                self.ledger.lock(&[posting.debit, posting.credit]).apply(posting);
            }
        }
    }

    fn hold(&self, call: &OpenCall) {
        let (id, state) = call.reservation();
        self.ledger.lock(&[call.account]).restore(id, state, call.rate.currency);
    }

    /// Settles every call that is still open, as of the last moment known alive, and returns the
    /// records to append to the journal; they are in the ledger already.
    pub fn finish(mut self) -> Vec<Record> {
        let calls = std::mem::take(&mut self.calls);
        calls.into_values().map(|call| Record::Ended(self.close(&call))).collect()
    }

    fn close(&self, call: &OpenCall) -> Ended {
        let began = call.answered_at.unwrap_or(call.at);
        let ended_at = self.alive_at.unwrap_or(began).max(began);
        let talked = call.answered_at.map(|at| ended_at.since(at).min(call.granted));
        let talk = talked.map_or(Talk::Unanswered, |talked| Talk::answered(began, talked));
        let payer = Payer { account: call.account, rate: &call.rate, talk };
        let paid = match (&call.carrier, talked) {
            (Some(carrier), Some(_)) => Some(Paid { leg: 1, carrier, talk }),
            _ => None,
        };
        let settled = settle(call.call, ended_at, Some(&payer), paid.as_ref());
        let carrier = paid.as_ref().map_or(call.account, |paid| paid.carrier.account);
        let mut locked = self.ledger.lock(&[call.account, carrier]);
        let id = ReservationId { call: call.call, leg: 0 };
        let linked = settled.cost_posting.as_slice();
        let charge = settled.charge_posting.as_ref();
        let outcome = locked.post(id, call.account, charge, linked);
        assert_eq!(outcome, Ok(Outcome::Done), "a grant is paid for in full before it is given");

        let mut ingress = lost_leg(call, Direction::Ingress, ended_at, talked.unwrap_or_default());
        ingress.charge = settled.charge;
        ingress.decisions = lost_lines(self.alive_at);
        ingress.decisions.extend(settled.lines);
        let mut cdrs = vec![ingress];
        if call.answered_by.is_some() {
            let talked = talked.unwrap_or_default();
            let mut egress = lost_leg(call, Direction::Egress, ended_at, talked);
            egress.charge = settled.cost;
            cdrs.push(egress);
        }
        let postings = settled.charge_posting.into_iter().chain(settled.cost_posting).collect();
        Ended { call: call.call, at: ended_at, payer: Some(call.account), cdrs, postings }
    }
}

fn lost_lines(alive_at: Option<Utc>) -> Vec<CdrLine> {
    let sentence = match alive_at {
        Some(_) => "The switch stopped during the call; it ends at the last sign of life.",
        None => "The switch stopped during the call and left no sign of life after it began.",
    };
    vec![CdrLine { code: Cow::Borrowed("node_lost"), sentence: sentence.to_owned() }]
}

/// A leg of a lost call, as far as the journal knows it: not the SIP side of its egress leg.
fn lost_leg(call: &OpenCall, direction: Direction, ended_at: Utc, talked: Duration) -> Cdr {
    let is_ingress = direction == Direction::Ingress;
    let account = match direction {
        Direction::Ingress => Some(call.account),
        Direction::Egress => call.carrier.as_ref().map(|carrier| carrier.account),
    };
    let origin = is_ingress.then_some(&call.origin);
    let cli = || call.cli.map(|cli| cli.as_str().to_owned()).unwrap_or_default();
    let cld = || call.cld.as_str().to_owned();
    Cdr {
        call: call.call,
        leg: u8::from(!is_ingress),
        direction,
        account,
        subscriber: origin.and_then(|origin| origin.subscriber),
        trunk: origin.map_or(call.answered_by, |origin| origin.trunk),
        remote: origin.and_then(|origin| origin.remote),
        sip_call_id: origin.map(|origin| origin.sip_call_id.clone()).unwrap_or_default(),
        cli: origin.map_or_else(cli, |origin| origin.cli.clone()),
        cld: origin.map_or_else(cld, |origin| origin.cld.clone()),
        normal_cli: call.cli,
        normal_cld: Some(call.cld),
        started_at: call.at,
        ringing_at: None,
        answered_at: call.answered_at,
        ended_at,
        talked,
        charge: None,
        cause: Cow::Borrowed("node_lost"),
        q850: 41,
        sip_status: if call.answered_at.is_some() { 200 } else { 503 },
        by: Party::Switch,
        decisions: Vec::new(),
    }
}
