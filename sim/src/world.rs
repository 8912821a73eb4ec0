//! One simulated world: the real `switch` and `billing`, callers and carriers that share no code
//! with them, and a network, a disk and a clock that misbehave as the options say.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use billing::{CreditControl, Journal, Ledger, MemoryJournal, Money, Record};
use bytes::Bytes;
use sip::transport::{Path, Transport};
use switch::stir::Attestation;
use switch::{Answer, Effect, Input, QueryId, Question, Shard};
use vocabulary::{CallId, Grant, Now, Utc};

use crate::caller::{Caller, Plan};
use crate::carrier::Carrier;
use crate::random::Random;
use crate::setting::{self, Setting};

/// What goes wrong, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// Datagrams lost, percent.
    pub lost: u64,
    /// Datagrams delivered twice, percent.
    pub doubled: u64,
    /// Longest time on the network; the shortest is 1 ms, so they overtake each other.
    pub delay_max: Duration,
    /// Timers of the switch fire up to this late.
    pub timers_late_max: Duration,
    /// The journal takes up to this long to be on disk.
    pub disk_max: Duration,
    /// The wall clock jumps by up to this in either direction, now and then.
    pub clock_step_max: Duration,
    /// The process is killed at these moments and recovers from its journal.
    pub crashes: u32,
}

impl Faults {
    /// A perfect world.
    pub const NONE: Faults = Faults {
        lost: 0,
        doubled: 0,
        delay_max: Duration::from_millis(1),
        timers_late_max: Duration::ZERO,
        disk_max: Duration::from_millis(1),
        clock_step_max: Duration::ZERO,
        crashes: 0,
    };

    /// Everything at once.
    pub const ALL: Faults = Faults {
        lost: 5,
        doubled: 5,
        delay_max: Duration::from_millis(700),
        timers_late_max: Duration::from_millis(50),
        disk_max: Duration::from_millis(300),
        clock_step_max: Duration::from_secs(30),
        crashes: 0,
    };
}

/// A run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Decides everything.
    pub seed: u64,
    /// How many calls are placed.
    pub calls: u32,
    /// Within this time.
    pub within: Duration,
    /// What the one customer has.
    pub balance: Money,
    /// What goes wrong.
    pub faults: Faults,
}

enum Event {
    ToSwitch(Path, String),
    ToPeer(SocketAddr, SocketAddr, String),
    Place(Plan),
    Recorded(CallId, Grant),
    Told(QueryId, Answer),
    Step,
    Crash,
}

/// The world.
pub struct World {
    /// The switch under test.
    pub shard: Shard,
    /// Its billing.
    pub credit: CreditControl,
    /// Its books.
    pub ledger: Arc<Ledger>,
    /// What it has written.
    pub journal: Arc<MemoryJournal>,
    /// Everybody who called.
    pub callers: BTreeMap<SocketAddr, Caller>,
    /// Everybody who answers.
    pub carriers: BTreeMap<SocketAddr, Carrier>,
    /// Settlements the switch asked for, by call.
    pub settled: BTreeMap<CallId, u32>,
    /// Hash of everything that was sent, in order.
    pub trace: u64,
    /// Crashes so far.
    pub starts: u32,
    pub(crate) setting: Setting,
    /// What the customer had paid when the world last forgot.
    pub(crate) debited_before: Money,
    options: Options,
    planned: u32,
    now: Now,
    random: Random,
    queue: BinaryHeap<Reverse<(Duration, u64)>>,
    events: BTreeMap<u64, (Duration, Event)>,
    sequence: u64,
    timer_fires_at: Option<(Duration, Duration)>,
    heartbeat_at: Duration,
}

impl World {
    /// Sets the stage; nothing has happened yet.
    pub fn new(options: Options) -> World {
        let mut random = Random::new(options.seed);
        let setting = Setting::new(options.balance);
        let journal = Arc::new(MemoryJournal::default());
        let ledger = Arc::new(Ledger::new());
        let now = Now { monotonic: Duration::from_secs(1), utc: Utc(1_767_225_600_000_000) };
        setting.fill(&ledger, &journal, now.utc);
        let credit = setting.credit(&ledger, &journal);
        let shard = setting.shard(options.seed, 1);
        let carriers = setting::CARRIERS
            .iter()
            .map(|address| {
                let address = setting::address(address);
                (address, Carrier::new(address, random.bits()))
            })
            .collect();
        let mut world = World {
            shard,
            credit,
            ledger,
            journal,
            callers: BTreeMap::new(),
            carriers,
            settled: BTreeMap::new(),
            trace: 0xCBF2_9CE4_8422_2325,
            starts: 1,
            setting,
            now,
            random,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            sequence: 0,
            timer_fires_at: None,
            heartbeat_at: Duration::ZERO,
            debited_before: Money::ZERO,
            planned: 0,
            options,
        };
        world.plan();
        world
    }

    fn plan(&mut self) {
        let (calls, within) = (self.options.calls, self.options.within);
        let second = Duration::from_secs(1);
        for index in self.planned..self.planned + calls {
            let at = self.random.between(Duration::ZERO, within);
            let plan = Plan {
                index,
                from: setting::caller(index),
                to: setting::address(setting::SWITCH),
                cld: setting::CLDS[self.random.below(setting::CLDS.len() as u64) as usize].into(),
                talk: self.random.between(Duration::ZERO, second * 120),
                patience: self.random.between(second / 10, second * 25),
            };
            self.at(at, Event::Place(plan));
        }
        self.planned += calls;
        for _ in 0..self.options.faults.crashes {
            let at = self.random.between(Duration::ZERO, within + second * 30);
            self.at(at, Event::Crash);
        }
        if !self.options.faults.clock_step_max.is_zero() {
            for _ in 0..3 {
                let at = self.random.between(Duration::ZERO, within);
                self.at(at, Event::Step);
            }
        }
    }

    fn at(&mut self, after: Duration, event: Event) {
        self.sequence += 1;
        let at = self.now.monotonic + after;
        self.queue.push(Reverse((at, self.sequence)));
        self.events.insert(self.sequence, (at, event));
    }

    /// Runs until nothing is left to happen.
    pub fn run(&mut self) {
        // Bounds a fault that keeps two machines talking for ever.
        let end = self.now.monotonic + self.options.within + Duration::from_secs(3 * 3600);
        while let Some(at) = self.next_at() {
            assert!(at < end, "seed {}: still busy hours after the last call", self.options.seed);
            self.advance(at);
            self.step();
        }
    }

    /// Nobody does anything for this long.
    pub fn rest(&mut self, time: Duration) {
        let end = self.now.monotonic + time;
        while let Some(at) = self.switch_timer().filter(|at| *at <= end) {
            self.advance(at.max(self.now.monotonic));
            self.step();
        }
        self.advance(end);
    }

    /// Forgets what has been checked, as if the day began anew; what the switch and billing keep is
    /// theirs. Then as many calls are planned as at the start.
    pub fn go_on(&mut self) {
        let customer = self.ledger.account(setting::CUSTOMER).expect("it has an account");
        self.debited_before = customer.counters.debits_posted;
        self.journal.clear();
        self.callers.clear();
        self.carriers.values_mut().for_each(Carrier::forget);
        self.settled.clear();
        self.queue.shrink_to_fit();
        self.plan();
    }

    fn next_at(&mut self) -> Option<Duration> {
        let network = self.queue.peek().map(|Reverse((at, _))| *at);
        let peers = self.callers.values().filter_map(Caller::timeout).min();
        let carriers = self.carriers.values().filter_map(Carrier::timeout).min();
        let busy = network.is_some() || peers.is_some() || carriers.is_some();
        let timer = self.switch_timer();
        let idle = self.shard.is_idle() && !busy;
        let timer = if idle { None } else { timer };
        [network, peers, carriers, timer]
            .into_iter()
            .flatten()
            .min()
            .map(|at| at.max(self.now.monotonic))
    }

    /// The switch's own timer, late by a random amount that is drawn once per deadline.
    fn switch_timer(&mut self) -> Option<Duration> {
        let deadline = self.shard.poll_timeout()?;
        if self.timer_fires_at.is_none_or(|(of, _)| of != deadline) {
            let late = self.random.between(Duration::ZERO, self.options.faults.timers_late_max);
            self.timer_fires_at = Some((deadline, deadline + late));
        }
        self.timer_fires_at.map(|(_, at)| at)
    }

    fn advance(&mut self, at: Duration) {
        let passed = at.saturating_sub(self.now.monotonic);
        self.now = self.now.plus(passed);
    }

    fn step(&mut self) {
        let monotonic = self.now.monotonic;
        if monotonic >= self.heartbeat_at && self.options.faults.crashes > 0 {
            self.journal.append(&Record::Heartbeat { at: self.now.utc });
            self.heartbeat_at = monotonic + Duration::from_secs(1);
        }
        while let Some(Reverse((at, sequence))) = self.queue.peek().copied() {
            if at > monotonic {
                break;
            }
            self.queue.pop();
            if let Some((_, event)) = self.events.remove(&sequence) {
                self.happen(event);
            }
        }
        if self.timer_fires_at.is_some_and(|(_, at)| at <= monotonic) {
            self.timer_fires_at = None;
            self.input(Input::Timeout);
        }
        for address in self.callers.keys().copied().collect::<Vec<_>>() {
            let caller = self.callers.get_mut(&address).expect("the key is from the map");
            if caller.timeout().is_some_and(|at| at <= monotonic) {
                caller.handle_timeout(monotonic);
            }
            let out = caller.drain();
            self.send_all(address, out);
        }
        for address in self.carriers.keys().copied().collect::<Vec<_>>() {
            let carrier = self.carriers.get_mut(&address).expect("the key is from the map");
            if carrier.timeout().is_some_and(|at| at <= monotonic) {
                carrier.handle_timeout(monotonic);
            }
            let out = carrier.drain();
            self.send_all(address, out);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::ToSwitch(path, text) => {
                self.input(Input::Message { path, bytes: Bytes::from(text) });
            }
            Event::ToPeer(to, _from, text) => {
                if let Some(carrier) = self.carriers.get_mut(&to) {
                    carrier.receive(self.now.monotonic, &text);
                } else if let Some(caller) = self.callers.get_mut(&to) {
                    caller.receive(self.now.monotonic, &text);
                }
            }
            Event::Place(plan) => {
                let caller = Caller::new(self.now.monotonic, plan);
                self.callers.insert(caller.plan.from, caller);
            }
            Event::Recorded(call, grant) => {
                self.input(Input::Recorded { call, grant: Some(grant) });
            }
            Event::Told(query, answer) => self.input(Input::Told { query, answer }),
            Event::Step => {
                let max = self.options.faults.clock_step_max;
                let step = self.random.between(Duration::ZERO, max).as_micros() as i64;
                let sign = if self.random.chance(50) { 1 } else { -1 };
                self.now.utc = Utc(self.now.utc.0 + sign * step);
            }
            Event::Crash => self.crash(),
        }
    }

    /// One input, then every effect; billing answers in place, as the worker does it.
    fn input(&mut self, input: Input) {
        self.shard.handle(self.now, input);
        while let Some(effect) = self.shard.poll_effect() {
            match effect {
                Effect::Send(transmit) => {
                    let text = String::from_utf8_lossy(&transmit.bytes).into_owned();
                    self.note(text.as_bytes());
                    let from = setting::address(setting::SWITCH);
                    self.deliver_to_peer(from, transmit.path.remote, text);
                }
                Effect::Authorize(request) => {
                    let result = self.credit.authorize(self.now, &request);
                    self.shard.handle(self.now, Input::Authorized { call: request.call, result });
                }
                Effect::Extend(request) => {
                    let extension = self.credit.extend(self.now, request);
                    self.shard.handle(self.now, Input::Extended(extension));
                }
                Effect::Answered { call, trunk, at } => {
                    let grant = self.credit.answered(self.now, call, trunk, at).grant;
                    let after = self.random.between(Duration::ZERO, self.options.faults.disk_max);
                    self.at(after, Event::Recorded(call, grant));
                }
                Effect::Settle(request) => {
                    *self.settled.entry(request.facts.call).or_default() += 1;
                    self.credit.settle(self.now, *request);
                }
                Effect::Onward(onward) => self.shard.handle(self.now, Input::Onward(onward)),
                Effect::Relay { to, from, said } => {
                    self.shard.handle(self.now, Input::Relayed { to: to.key, from, said });
                }
                // No connection here is ever idle.
                Effect::KeepPath(_)
                | Effect::Banned(_)
                | Effect::Fraud(_)
                | Effect::Attributed(_) => {}
                Effect::Ask { query, question } => self.asked(query, &question),
                Effect::Resolve { query, .. } => {
                    self.shard.handle(self.now, Input::Resolved { query, targets: Vec::new() });
                }
                Effect::BindingChanged { answer, .. } => {
                    if let Some(answer) = answer {
                        self.shard.handle(self.now, Input::BindingKept { answer });
                    }
                }
            }
        }
    }

    fn note(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.trace = (self.trace ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }

    fn send_all(&mut self, from: SocketAddr, datagrams: Vec<String>) {
        for text in datagrams {
            for delay in self.deliveries() {
                let path =
                    Path { transport: Transport::Udp, listener: 0, connection: 0, remote: from };
                self.at(delay, Event::ToSwitch(path, text.clone()));
            }
        }
    }

    fn deliver_to_peer(&mut self, from: SocketAddr, to: SocketAddr, text: String) {
        for delay in self.deliveries() {
            self.at(delay, Event::ToPeer(to, from, text.clone()));
        }
    }

    /// When copies of a datagram arrive: usually one.
    fn deliveries(&mut self) -> Vec<Duration> {
        let Faults { lost, doubled, delay_max, .. } = self.options.faults;
        let copies = match self.random.below(100) {
            n if n < lost => 0,
            n if n < lost + doubled => 2,
            _ => 1,
        };
        (0..copies).map(|_| self.random.between(Duration::from_millis(1), delay_max)).collect()
    }

    /// Some answers never come, some say nothing, some come after the call has gone on.
    fn asked(&mut self, query: QueryId, question: &Question) {
        let answer = match question {
            _ if self.random.chance(10) => Answer::Nothing,
            Question::Verify(_) => Answer::Verified(Ok(Attestation::Partial)),
            // Every number is ported to one that the same rates cover.
            Question::Dip(dip) => Answer::Dipped(Some(dip.number)),
            Question::Sign(_) => Answer::Signed(Bytes::from_static(b"a.b.c;info=<https://a>")),
        };
        let after = self.random.between(Duration::ZERO, question.limit() * 2);
        if !self.random.chance(10) {
            self.at(after, Event::Told(query, answer));
        }
    }

    /// `kill -9`: memory is gone, the journal stays, the books are rebuilt from it alone.
    fn crash(&mut self) {
        self.starts += 1;
        let ledger = Arc::new(Ledger::new());
        let recovered = self.setting.recover(&ledger, &self.journal);
        self.credit = self.setting.credit(&ledger, &self.journal);
        self.ledger = ledger;
        for call in recovered {
            *self.settled.entry(call).or_default() += 1;
        }
        self.shard = self.setting.shard(self.options.seed, self.starts);
        self.timer_fires_at = None;
        self.events.retain(|_, (_, event)| !matches!(event, Event::Recorded(..) | Event::Told(..)));
    }
}
