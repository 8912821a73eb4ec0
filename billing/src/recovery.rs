//! After a restart: replays the journal over the state that was loaded, then settles the calls
//! that were open, at the last moment that proves they were alive. Replaying a record twice
//! changes nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use vocabulary::{AccountId, CallId, Direction, Party, Utc};

use crate::call_state::OpenCall;
use crate::cdr::{Cdr, CdrLine, shown_cli};
use crate::chain::Chain;
use crate::credit_control::tell;
use crate::funding::{Raise, accounts, reservation};
use crate::journal::{Ended, Position, Record};
use crate::ledger::{BundleShare, Ledger, LedgerEvent, Locked, Outcome};
use crate::rating::{RateBook, Talk};
use crate::settlement::{self, Paid, Paying, Settled};
use crate::{Money, OpId};

/// The replay of a journal over a ledger.
///
/// Load the accounts' posted sums (`Ledger::load`) and the persisted open calls (`open_call`)
/// first; they may be from different moments. Then feed every record from the earliest that is
/// needed, in order.
pub struct Recovery<'a> {
    ledger: &'a Ledger,
    /// Where the names of destinations are found.
    book: Option<&'a RateBook>,
    /// Postings up to here are in the loaded sums already.
    applied: Position,
    /// Records up to here were fed.
    fed: Position,
    calls: BTreeMap<CallId, OpenCall>,
    alive_at: Option<Utc>,
    /// Accounts of which it was told that nothing more can be reserved, with the credit limit of that
    /// moment; and that there is more again was not told since.
    exhausted: BTreeMap<AccountId, Money>,
}

impl<'a> Recovery<'a> {
    /// `applied` is the last position whose postings the loaded sums hold.
    pub fn new(ledger: &'a Ledger, applied: Position) -> Recovery<'a> {
        Recovery {
            ledger,
            book: None,
            applied,
            fed: Position(0),
            calls: BTreeMap::new(),
            alive_at: None,
            exhausted: BTreeMap::new(),
        }
    }

    /// Destinations of calls that are settled are called what they are called here.
    pub fn name_destinations(&mut self, book: &'a RateBook) {
        self.book = Some(book);
    }

    /// A call that was open when the state was saved.
    pub fn open_call(&mut self, call: OpenCall) {
        self.hold(&call);
        self.calls.insert(call.call, call);
    }

    /// What was told of an account up to the applied position: nothing more could be reserved, with
    /// this credit limit.
    pub fn exhausted(&mut self, account: AccountId, credit_limit: Money) {
        self.exhausted.insert(account, credit_limit);
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
        if is_new {
            record.told().1.iter().for_each(|event| self.told(event));
        }
        match record {
            Record::Opened(call) => {
                if !self.calls.contains_key(&call.call) {
                    self.open_call(call.clone());
                }
            }
            Record::Extended { call, slice, granted, is_final, raises } => {
                self.extended(*call, *slice, *granted, *is_final, raises);
            }
            Record::Answered { call, at, trunk, carrier, granted, is_final } => {
                if let Some(open) = self.calls.get_mut(call)
                    && open.answered_at.is_none()
                {
                    open.answered_at = Some(*at);
                    open.answered_by = *trunk;
                    open.carrier.clone_from(carrier);
                    open.granted = *granted;
                    open.is_final |= is_final;
                }
            }
            Record::Ended(ended) => self.ended(ended, is_new),
            Record::Posted { posting, .. } => self.ledger.replay(posting, position, is_new),
            Record::Rerated(rerated) if is_new => self.ledger.replay_rerated(rerated),
            Record::Rerated(_) => {}
            Record::BundleGranted(grant) => self.ledger.replay_grant(grant, position, is_new),
            Record::Heartbeat { at } => self.alive_at(*at),
            Record::Told { .. } | Record::Binding { .. } => {}
        }
    }

    fn told(&mut self, event: &LedgerEvent) {
        match event {
            LedgerEvent::CreditLimitReached { account, credit_limit, .. } => {
                self.exhausted.insert(*account, *credit_limit);
            }
            LedgerEvent::BalanceRestored { account, .. } => drop(self.exhausted.remove(account)),
            LedgerEvent::SpendLimitReached { account, period, from, limit, .. } => {
                let mut locked = self.ledger.lock(&[*account]);
                locked.resume_spend_limit(*account, *period, *from, *limit);
            }
            LedgerEvent::LowBalance { .. } | LedgerEvent::BundleExhausted { .. } => {}
        }
    }

    fn extended(
        &mut self,
        call: CallId,
        slice: u16,
        granted: Duration,
        is_final: bool,
        raises: &Chain<Raise>,
    ) {
        let Some(open) = self.calls.get_mut(&call) else { return };
        // A call loaded from a later moment has this slice in it already.
        if slice < open.slice || granted < open.granted || raises.len() != open.payers.len() {
            return;
        }
        open.is_final |= is_final;
        if slice > open.slice {
            open.slice = slice;
            open.granted = granted;
            for (payer, raise) in open.payers.iter_mut().zip(raises.iter()) {
                raise.add_to(payer);
            }
            let open = &self.calls[&call];
            let mut locked = self.ledger.lock(&accounts(&open.payers));
            for (level, raise) in raises.iter().enumerate() {
                restore(&mut locked, open, level, &raise.bundles);
            }
        }
    }

    fn ended(&mut self, ended: &Ended, is_new: bool) {
        let uses = |level: Option<usize>| {
            let of = ended.bundle_uses.iter().filter(move |used| {
                is_new && { level.is_none_or(|level| usize::from(used.level) == level) }
            });
            of.copied().collect::<Vec<_>>()
        };
        if let Some(open) = self.calls.remove(&ended.call) {
            let mut locked = self.ledger.lock(&accounts(&open.payers));
            for (level, payer) in open.payers.iter().enumerate() {
                let id = reservation(ended.call, level);
                let op = OpId::charge(ended.call, id.level);
                let charged = ended.postings.iter().find(|posting| posting.op == op);
                let amount = charged.map_or(Money::ZERO, |posting| posting.amount);
                let used: Vec<_> = uses(Some(level)).iter().map(|used| used.share).collect();
                locked.forget(id, payer.account, amount, &used);
            }
        } else {
            for used in uses(None) {
                self.ledger.lock(&[used.account]).add_used(used.account, &used.share);
            }
        }
        if is_new {
            for posting in &ended.postings {
                self.ledger.lock(&[posting.debit, posting.credit]).apply(posting);
            }
        }
    }

    fn hold(&self, call: &OpenCall) {
        let mut locked = self.ledger.lock(&accounts(&call.payers));
        for (level, payer) in call.payers.iter().enumerate() {
            restore(&mut locked, call, level, &payer.bundles);
        }
    }

    /// Settles every call that is still open, as of the last moment known alive, and returns the
    /// records to append to the journal; they are in the ledger already.
    pub fn finish(mut self) -> Vec<Record> {
        let mut records = Vec::new();
        if !self.ledger.is_shared() {
            records.append(&mut self.resume_exhausted());
        }
        let calls = std::mem::take(&mut self.calls);
        records.extend(calls.into_values().map(|call| Record::Ended(self.close(&call))));
        if self.ledger.is_shared() {
            records.append(&mut self.resume_exhausted());
        }
        records
    }

    /// From here on it is told when there is money again. A credit limit that was raised just before
    /// the stop, so that the directory has it and the journal does not, is told of now. Not with several
    /// nodes: what is left of an account is not known before the database was asked.
    fn resume_exhausted(&mut self) -> Vec<Record> {
        let at = self.alive_at.unwrap_or(Utc(0));
        let mut records = Vec::new();
        for (account, credit_limit) in std::mem::take(&mut self.exhausted) {
            let told = self.ledger.resume_exhausted(account, credit_limit);
            records.extend(told.into_iter().map(|event| Record::Told { at, event }));
        }
        records
    }

    fn close(&self, call: &OpenCall) -> Ended {
        let began = call.answered_at.unwrap_or(call.at);
        let ended_at = self.alive_at.unwrap_or(began).max(began);
        let talked = call.answered_at.map(|at| match call.kind.is_message() {
            true => Duration::ZERO,
            false => ended_at.since(at).min(call.granted),
        });
        let payers = &call.payers;
        let paid = match (&call.carrier, talked) {
            (Some(carrier), Some(talked)) => {
                Some(Paid { leg: 1, carrier, talk: Talk::answered(began, talked) })
            }
            _ => None,
        };
        let paying =
            Paying { call: call.call, payers, talked: talked.map(|talked| (began, talked)) };
        let mut settled = settlement::settle(self.ledger, ended_at, &paying, paid.as_ref());
        let carrier = paid.as_ref().map(|paid| paid.carrier.account);
        let mut locked = settlement::locked(self.ledger, payers, carrier);
        let outcome = settlement::post(&mut locked, call.call, payers, &settled);
        assert_eq!(outcome, Ok(Outcome::Done), "a grant is paid for in full before it is given");

        let mut ingress = lost_leg(call, Direction::Ingress, ended_at, talked.unwrap_or_default());
        ingress.charge = settled.charge.take();
        ingress.upper = std::mem::take(&mut settled.upper);
        ingress.decisions = lost_lines(self.alive_at);
        ingress.decisions.append(&mut settled.lines);
        let mut cdrs = vec![ingress];
        if call.answered_by.is_some() {
            let talked = talked.unwrap_or_default();
            let mut egress = lost_leg(call, Direction::Egress, ended_at, talked);
            egress.charge = settled.cost.take();
            cdrs.push(egress);
        }
        let unnamed = RateBook::default();
        let book = self.book.unwrap_or(&unnamed);
        tell(&mut cdrs, book, call.context, &payers.first.rate, call.carrier.as_ref());
        let Settled { postings, bundle_uses, .. } = settled;
        let (payer, told) = (Some(call.account()), locked.take_told());
        Ended { call: call.call, at: ended_at, payer, cdrs, postings, bundle_uses, told }
    }
}

/// Puts one payer's reservation where the call's records have it, with these seconds more.
fn restore(locked: &mut Locked<'_>, call: &OpenCall, level: usize, bundles: &[BundleShare]) {
    let (id, state) = call.reservation(level);
    let payer = call.payers.get(level).expect("a level of the call");
    locked.restore(id, state, bundles, payer.rate.currency);
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
        Direction::Ingress => Some(call.account()),
        Direction::Egress => call.carrier.as_ref().map(|carrier| carrier.account),
    };
    let origin = is_ingress.then_some(&call.origin);
    let shown = shown_cli(direction, call.cli, call.origin.is_withheld);
    let cli = || shown.map(|cli| cli.as_str().to_owned()).unwrap_or_default();
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
        normal_cli: shown,
        normal_cld: Some(call.cld),
        started_at: call.at,
        ringing_at: None,
        answered_at: call.answered_at,
        ended_at,
        talked,
        charge: None,
        upper: Vec::new(),
        cause: Cow::Borrowed("node_lost"),
        q850: 41,
        sip_status: if call.answered_at.is_some() { 200 } else { 503 },
        by: Party::Switch,
        decisions: Vec::new(),
        rate_choice: call.rate_choice,
        location: call.location,
        site: None,
        destination: None,
        report: None,
        kind: Some(call.kind),
        attestation: None,
    }
}
