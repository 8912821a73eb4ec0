//! One shard and its credit control: inputs go in, what the shard wants is done at once, and
//! messages to send come out. Billing is a function call here, not a message: its answer is the
//! shard's next input.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use billing::{Attempt, CreditControl};
use sip::transport::{Path, Transmit};
use store::journal::{JournalFiles, JournalState};
use switch::attribution::Attribution;
use switch::fraud::FraudNote;
use switch::guard::Ban;
use switch::leg::event::LegEvent;
use switch::registrar::StoredBinding;
use switch::release::Cause;
use switch::token::LegAddress;
use switch::upstream::UpstreamStatus;
use switch::{
    AnswerId, Effect, HostToResolve, Input, LiveCall, QueryId, Question, Said, Shard, Stats,
};
use vocabulary::{AuthorizeRequest, CallId, ExtendRequest, Grant, Now, SubscriberId};

use crate::call_log::CallLog;
use crate::metrics::Tally;

/// What a shard may ask of the outside, apart from sending and money. None of it waits.
pub trait Outside {
    /// Look up a SIP host and answer with `Input::Resolved`.
    fn resolve(&self, query: QueryId, host: HostToResolve);
    /// Find out what a call asks and answer with `Input::Told`, in time or with `Answer::Nothing`.
    fn ask(&self, query: QueryId, question: Question);
    /// Leave this in the mailbox of the shard that it is for; false if that is full.
    fn relay(&self, to: LegAddress, from: LegAddress, said: Said) -> bool;
    /// This connection is needed, though it is silent.
    fn keep_path(&self, path: Path);
    /// Keep the bindings of a subscriber over a restart, in place of those before. The position in
    /// the journal from which on they are kept.
    fn keep_bindings(&self, subscriber: SubscriberId, bindings: Vec<StoredBinding>) -> u64;
    /// A source is kept out from now on: store that.
    fn banned(&self, ban: Ban);
    /// Fraud rules have found or learned something: store that.
    fn fraud(&self, note: FraudNote);
    /// Whose messages are, while somebody follows them.
    fn attributed(&self, attribution: Box<Attribution>);
    /// A call is over.
    fn over(&self, call: CallId);
    /// An account runs low on what this node has leased of it.
    fn ask_leases(&self);
}

/// A call waits so long for a lease: longer than the database takes for an answer when all is well,
/// shorter than callers and live calls can wait.
const LEASE_WAIT: Duration = Duration::from_secs(2);

/// What waits for a lease.
enum ForLease {
    Authorize(Box<AuthorizeRequest>),
    Extend(ExtendRequest),
}

impl ForLease {
    fn call(&self) -> CallId {
        match self {
            ForLease::Authorize(request) => request.call,
            ForLease::Extend(request) => request.call,
        }
    }
}

/// What waits for the journal.
#[derive(Clone, Copy)]
enum Waiting {
    /// The answer to a caller.
    Call(CallId, Grant),
    /// The answer to a phone that registers.
    Phone(AnswerId),
}

/// A shard that is being served.
pub struct Exchange<O> {
    shard: Shard,
    credit: CreditControl,
    journal: Arc<JournalFiles>,
    outside: O,
    /// Inputs that follow from effects, in order; empty between two calls of `take`.
    follow_up: VecDeque<Input>,
    /// Answers whose record is not on disk yet; positions only grow.
    waiting: VecDeque<(u64, Waiting)>,
    /// Calls that wait for a lease, and until when by the monotonic clock.
    for_lease: Vec<(Duration, ForLease)>,
    /// The journal was told to hurry up to here.
    requested: u64,
    /// `waiting` is not empty; the journal's thread looks at it before it wakes the worker.
    is_waiting: Arc<AtomicBool>,
    /// Messages to send, in order.
    pub outbox: Vec<Transmit>,
    /// Figures for the metrics.
    pub tally: Tally,
    call_log: CallLog,
}

impl<O: Outside> Exchange<O> {
    /// Serves `shard` with a credit control of its own.
    pub fn new(
        shard: Shard,
        credit: CreditControl,
        journal: Arc<JournalFiles>,
        outside: O,
        call_log: CallLog,
    ) -> Exchange<O> {
        Exchange {
            shard,
            credit,
            journal,
            outside,
            follow_up: VecDeque::new(),
            waiting: VecDeque::new(),
            for_lease: Vec::new(),
            requested: 0,
            is_waiting: Arc::default(),
            outbox: Vec::new(),
            tally: Tally::default(),
            call_log,
        }
    }

    /// Hands one input to the shard and does all that follows from it.
    pub fn take(&mut self, now: Now, input: Input) {
        let mut next = Some(input);
        while let Some(input) = next {
            self.shard.handle(now, input);
            while let Some(effect) = self.shard.poll_effect() {
                self.perform(now, effect);
            }
            next = self.follow_up.pop_front();
        }
        if self.credit.ledger().wants_leases() {
            self.outside.ask_leases();
        }
    }

    /// The ledger has heard of its leases, or has waited in vain: calls that wait for one are tried
    /// again. Who has waited long enough gets the answer that there is.
    pub fn hear_leases(&mut self, now: Now) {
        for (until, kept) in std::mem::take(&mut self.for_lease) {
            let is_over = until <= now.monotonic;
            match kept {
                ForLease::Authorize(request) => self.authorize(now, *request, until, is_over),
                ForLease::Extend(request) => self.extend(now, request, until, is_over),
            }
            if let Some(input) = self.follow_up.pop_front() {
                self.take(now, input);
            }
        }
        if self.credit.ledger().wants_leases() {
            self.outside.ask_leases();
        }
    }

    /// With several nodes: how many calls wait for a lease.
    pub fn waiting_for_lease(&self) -> Option<usize> {
        self.credit.ledger().is_shared().then_some(self.for_lease.len())
    }

    fn authorize(&mut self, now: Now, request: AuthorizeRequest, until: Duration, is_over: bool) {
        let attempt = match is_over {
            true => Attempt::Done(self.credit.authorize(now, &request)),
            false => self.credit.authorize_or_wait(now, &request),
        };
        match attempt {
            Attempt::Done(result) => {
                self.follow_up.push_back(Input::Authorized { call: request.call, result });
            }
            Attempt::Waits => {
                self.for_lease.push((until, ForLease::Authorize(Box::new(request))));
            }
        }
    }

    fn extend(&mut self, now: Now, request: ExtendRequest, until: Duration, is_over: bool) {
        let attempt = match is_over {
            true => Attempt::Done(self.credit.extend(now, request)),
            false => self.credit.extend_or_wait(now, request),
        };
        match attempt {
            Attempt::Done(extension) => self.follow_up.push_back(Input::Extended(extension)),
            Attempt::Waits => self.for_lease.push((until, ForLease::Extend(request))),
        }
    }

    fn perform(&mut self, now: Now, effect: Effect) {
        match effect {
            Effect::Send(transmit) => self.outbox.push(transmit),
            Effect::Authorize(request) => {
                self.call_log.begins(now, &request);
                self.authorize(now, request, now.monotonic + LEASE_WAIT, false);
            }
            Effect::Extend(request) => {
                self.extend(now, request, now.monotonic + LEASE_WAIT, false);
            }
            Effect::Answered { call, trunk, at } => {
                self.call_log.answered(now, call, trunk);
                let answer = self.credit.answered(now, call, trunk, at);
                self.waiting.push_back((answer.position.0, Waiting::Call(call, answer.grant)));
            }
            Effect::Settle(request) => {
                self.tally.settled(&request.facts);
                self.call_log.over(now, &request);
                let call = request.facts.call;
                self.for_lease.retain(|(_, kept)| kept.call() != call);
                self.outside.over(call);
                self.credit.settle(now, *request);
            }
            Effect::Onward(onward) => self.follow_up.push_back(Input::Onward(onward)),
            Effect::Relay { to, from, said } => self.relay(to, from, said),
            Effect::Banned(ban) => self.outside.banned(ban),
            Effect::Fraud(note) => self.outside.fraud(*note),
            Effect::Attributed(attribution) => self.outside.attributed(attribution),
            Effect::KeepPath(path) => self.outside.keep_path(path),
            Effect::Resolve { query, host } => self.outside.resolve(query, host),
            Effect::Ask { query, question } => self.outside.ask(query, question),
            Effect::BindingChanged { subscriber, bindings, answer } => {
                let position = self.outside.keep_bindings(subscriber, bindings);
                if let Some(answer) = answer {
                    self.waiting.push_back((position, Waiting::Phone(answer)));
                }
            }
        }
    }

    /// Between two calls: of this shard, or to another's mailbox. If that is full, each hears that the
    /// other has ended.
    fn relay(&mut self, to: LegAddress, from: LegAddress, said: Said) {
        let input = if to.shard == self.shard.number() {
            Input::Relayed { to: to.key, from, said }
        } else if self.outside.relay(to, from, said) {
            return;
        } else {
            let cause = Cause::TemporaryFailure;
            let sip_status = cause.sip_status();
            let end = || Said::Event(LegEvent::Release { cause, reason_header: None, sip_status });
            self.outside.relay(to, from, end());
            Input::Relayed { to: from.key, from: to, said: end() }
        };
        self.follow_up.push_back(input);
    }

    /// Lets those answers out whose records are on disk, and asks the journal to hurry for the
    /// others. Call it once per round: one request serves all answers of the round.
    pub fn release_recorded(&mut self, now: Now) {
        if self.waiting.is_empty() {
            return;
        }
        let durable = self.journal.durable();
        while let Some((_, kept)) = self.waiting.pop_front_if(|(position, _)| *position <= durable)
        {
            let input = match kept {
                Waiting::Call(call, grant) => Input::Recorded { call, grant: Some(grant) },
                Waiting::Phone(answer) => Input::BindingKept { answer },
            };
            self.take(now, input);
        }
        if let Some((newest, _)) = self.waiting.back()
            && *newest > self.requested
        {
            self.requested = *newest;
            self.is_waiting.store(true, Ordering::SeqCst);
            self.journal.request_durable(*newest);
        }
        self.is_waiting.store(!self.waiting.is_empty(), Ordering::SeqCst);
    }

    /// True while answers wait for the journal: only then is it worth waking the worker.
    pub fn is_waiting(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_waiting)
    }

    /// Whether an answer could be let out now; asked before sleeping.
    pub fn has_recorded(&self) -> bool {
        self.waiting.front().is_some_and(|(position, _)| *position <= self.journal.durable())
    }

    /// Whether the journal can keep what new calls would give it.
    pub fn journal_state(&self) -> JournalState {
        self.journal.state()
    }

    /// New prices for calls that come from now on.
    pub fn set_rate_book(&mut self, book: Arc<billing::RateBook>) {
        self.credit.set_rate_book(book);
    }

    /// When the shard wants `Input::Timeout`.
    pub fn poll_timeout(&self) -> Option<std::time::Duration> {
        self.shard.poll_timeout()
    }

    /// The shard's counters.
    pub fn stats(&self) -> Stats {
        self.shard.stats()
    }

    /// All live calls.
    pub fn live_calls(&self) -> Vec<LiveCall> {
        self.shard.live_calls()
    }

    /// How our registrations at trunks stand.
    pub fn upstreams(&self, now: Now) -> Vec<UpstreamStatus> {
        self.shard.upstreams(now)
    }
}
