//! All calls of one worker: finds the call for every message, answer and timeout, and keeps a
//! panic in one call from the others.

mod joined;
mod messages;
mod slots;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use sip::auth::{NonceCounts, Verifier};
use sip::endpoint::{Endpoint, EndpointConfig, EndpointStats, Listener, ServerTx};
use sip::timer_wheel::{TimerKey, TimerWheel};
use sip::transport::Path;
use vocabulary::{CallId, Now};

use crate::admission::Admission;
use crate::authentication::verifier;
use crate::call::Call;
use crate::decision::End;
use crate::directory::{Directory, Settings};
use crate::effect::{AnswerId, Effect, Input, LiveCall, Stats};
use crate::fraud::Fraud;
use crate::guard::Guard;
use crate::health::{Health, Probes};
use crate::keep_alive::KeepAlives;
use crate::leg::LegConfig;
use crate::message_relay::Outcomes;
use crate::overload::Shedder;
use crate::quality::Quality;
use crate::register_copy::Copies;
use crate::registrar::{Binding, Bindings};
use crate::release::Cause;
use crate::shed::Wanter;
use crate::tls_peers::TlsPeers;
use crate::token::Randomness;
use crate::upstream::{UpstreamState, Upstreams};
use slots::Slot;

/// How often one of the 64 parts of the bindings is swept; all of them in about a minute.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// What a shard is told once.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// Its number.
    pub shard: u8,
    /// How many there are.
    pub shards: u8,
    /// The number of this start, for call ids.
    pub start: u32,
    /// Where we listen.
    pub listeners: Vec<Listener>,
    /// At most so many calls at the same time; below 2^24.
    pub calls_max: u32,
    /// Server and User-Agent of what we answer and send ourselves; empty sends none.
    pub server_name: String,
    /// Seeds every random choice of the shard; secret.
    pub seed: u64,
    /// Signs the nonces; the same in all shards and over restarts; secret.
    pub nonce_secret: [u8; 32],
}

/// What all shards share.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Where subscribers are.
    pub bindings: Arc<Bindings>,
    /// The sets of live calls.
    pub admission: Arc<Admission>,
    /// Which nonce counts were used.
    pub nonces: Arc<NonceCounts>,
    /// Who gets in.
    pub guard: Arc<Guard>,
    /// What the calls of accounts look like.
    pub fraud: Arc<Fraud>,
    /// Which trunks are there.
    pub health: Arc<Health>,
    /// How good they are.
    pub quality: Arc<Quality>,
    /// What TLS handshakes told of peers.
    pub tls_peers: Arc<TlsPeers>,
}

/// What armed a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alarm {
    Call(u32),
    Upstream,
    /// The question to a trunk with this number.
    Probe(u32),
    /// A look at the trunks that calls found silent.
    Suspects,
    /// A look at the phones behind NAT whose turn it is.
    KeepAlives,
    Sweep,
}

/// See the module.
pub struct Shard {
    pub(crate) config: ShardConfig,
    pub(crate) shared: Shared,
    pub(crate) directory: Arc<Directory>,
    pub(crate) endpoint: Endpoint,
    pub(crate) leg_config: Arc<LegConfig>,
    pub(crate) verifier: Verifier,
    pub(crate) effects: VecDeque<Effect>,
    pub(crate) random: Randomness,
    pub(crate) stats: Stats,
    pub(crate) is_draining: bool,
    pub(crate) shedder: Shedder<Wanter>,
    pub(crate) is_followed: bool,
    pub(crate) upstreams: Upstreams,
    pub(crate) probes: Probes,
    pub(crate) copies: Copies,
    pub(crate) keep_alives: KeepAlives,
    pub(crate) outcomes: Outcomes,
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_id: HashMap<CallId, u32, FixedState>,
    /// INVITEs without To tag that became a call: hash of Call-ID, From tag and CSeq → slot
    /// (RFC 3261 section 8.2.2.2).
    merged: HashMap<u64, u32, FixedState>,
    pub(crate) wheel: TimerWheel<Alarm>,
    upstream_timer: (TimerKey, Option<Duration>),
    sweep_part: usize,
    sequence: u64,
    /// Answers to REGISTERs whose bindings the journal does not have yet. New ones are refused
    /// while it cannot write, so that they stay few.
    unanswered: BTreeMap<AnswerId, (ServerTx, Bytes)>,
    answers: u64,
}

impl Shard {
    /// A shard without calls.
    pub fn new(config: ShardConfig, shared: Shared, directory: Arc<Directory>) -> Shard {
        let mut random = Randomness::new(config.seed ^ u64::from(config.shard) << 56);
        let mut endpoint_config = EndpointConfig::new(config.listeners.clone());
        endpoint_config.timing = directory.settings().timing;
        let endpoint = Endpoint::new(endpoint_config, random.next());
        let leg_config = leg_config(&config, directory.settings());
        let verifier = verifier(&config, &shared, directory.settings());
        let keep_alives = KeepAlives::new((config.shard, config.shards.max(1)), &mut random);
        let mut wheel = TimerWheel::new(Duration::ZERO);
        // Bindings are shared: one shard sweeps for all.
        if config.shard == 0 {
            wheel.arm(Duration::ZERO, Alarm::Sweep);
        }
        let mut shard = Shard {
            leg_config: Arc::new(leg_config),
            verifier,
            effects: VecDeque::new(),
            stats: Stats::default(),
            is_draining: false,
            shedder: Shedder::new(random.next()),
            is_followed: false,
            upstreams: Upstreams::default(),
            probes: Probes::default(),
            copies: Copies::default(),
            keep_alives,
            outcomes: Outcomes::new(random.next()),
            slots: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::with_hasher(FixedState::with_seed(random.next())),
            merged: HashMap::with_hasher(FixedState::with_seed(random.next())),
            wheel,
            upstream_timer: (TimerKey::NONE, None),
            sweep_part: 0,
            sequence: 0,
            unanswered: BTreeMap::new(),
            answers: 0,
            endpoint,
            random,
            config,
            shared,
            directory,
        };
        shard.reconcile_upstreams();
        shard.arm_upstreams();
        shard.reconcile_probes(Duration::ZERO);
        shard.reconcile_keep_alives(Duration::ZERO);
        shard
    }

    /// Which one it is.
    pub fn number(&self) -> u8 {
        self.config.shard
    }

    /// One input. Drain `poll_effect` before the next.
    pub fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Message { path, bytes } => self.message_received(now, path, bytes),
            Input::Timeout => self.handle_timeout(now),
            Input::PathFailed(path) => self.path_failed(now, path),
            Input::PathIdle(path) => self.path_idle(now, path),
            Input::Authorized { call, result } => {
                self.with_id(now, call, |call, ctx| call.authorized(ctx, result));
            }
            Input::Extended(extension) => {
                let id = extension.call;
                self.with_id(now, id, |call, _| call.extended(&extension));
            }
            Input::Recorded { call, grant } => {
                self.with_id(now, call, |call, ctx| call.recorded(ctx, grant));
            }
            Input::BindingKept { answer } => self.binding_kept(now, answer),
            Input::Resolved { query, targets } => self.resolved(now, query, &targets),
            Input::Told { query, answer } => self.told(now, query, answer),
            Input::Directory(directory) => self.swap_directory(now, directory),
            Input::HangUp { call } => self.with_id(now, call, |call, ctx| {
                call.hang_up(ctx, Cause::OperatorHangUp, End::Operator);
            }),
            Input::Onward(onward) => self.onward(now, *onward),
            Input::Relayed { to, from, said } => self.relayed(now, to, from, said),
            Input::Follow(following) => self.follow(following),
            Input::Pressure(pressure) => self.shedder.set(now.monotonic, pressure),
            Input::Drain => self.is_draining = true,
            Input::ReleaseAll => self.release_all(now),
        }
        self.handle_events(now);
        self.arm_upstreams();
    }

    /// What is to be done; drain it to `None`.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front().or_else(|| self.endpoint.poll_transmit().map(Effect::Send))
    }

    /// When to say [`Input::Timeout`], in monotonic time. It may be earlier than anything is due.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let ours = self.wheel.next_timeout();
        ours.into_iter().chain(self.endpoint.poll_timeout()).min()
    }

    /// Every call that is not gone.
    pub fn live_calls(&self) -> Vec<LiveCall> {
        self.calls().map(Call::live).collect()
    }

    pub(crate) fn calls(&self) -> impl Iterator<Item = &Call> {
        self.slots.iter().filter_map(|slot| slot.call.as_deref())
    }

    /// One call.
    pub fn live_call(&self, call: CallId) -> Option<LiveCall> {
        let slot = *self.by_id.get(&call)?;
        Some(self.slots[slot as usize].call.as_ref()?.live())
    }

    /// Counters and gauges.
    pub fn stats(&self) -> Stats {
        let endpoint = self.endpoint.stats();
        Stats {
            calls_live: self.by_id.len() as u64,
            upstream_registered: self.upstreams.count(UpstreamState::Registered),
            upstream_registering: self.upstreams.count(UpstreamState::Registering),
            upstream_failed: self.upstreams.count(UpstreamState::Failed),
            retransmissions_sent: endpoint.repeats_sent,
            retransmissions_received: endpoint.repeats_received,
            messages_malformed: endpoint.malformed,
            ..self.stats
        }
    }

    /// The endpoint's counters: messages, retransmissions, malformed ones.
    pub fn endpoint_stats(&self) -> EndpointStats {
        self.endpoint.stats()
    }

    /// Whether no call is left, so that a draining worker may end.
    pub fn is_idle(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Transactions that are alive; for tests and checkers.
    pub fn transactions(&self) -> usize {
        self.endpoint.transactions()
    }

    /// How many timers of calls are armed; for tests and checkers.
    pub fn armed_calls(&self) -> usize {
        self.slots.iter().filter(|slot| slot.armed.is_some()).count()
    }

    // Paths.

    fn path_failed(&mut self, now: Now, path: Path) {
        self.endpoint.transport_failed(now.monotonic, path);
        self.upstream_flow_lost(now, path);
    }

    /// Asked once in a connection's idle limit, so that looking everywhere costs next to nothing.
    /// Bindings are shared: one shard looks for all.
    fn path_idle(&mut self, now: Now, path: Path) {
        let mut calls = self.slots.iter().filter_map(|slot| slot.call.as_ref());
        let is_needed = calls.any(|call| call.uses(path))
            || self.upstreams.uses(path)
            || self.config.shard == 0 && self.shared.bindings.uses(now.utc, path);
        if is_needed {
            self.effects.push_back(Effect::KeepPath(path));
        }
    }

    // Time.

    fn handle_timeout(&mut self, now: Now) {
        self.endpoint.handle_timeout(now.monotonic);
        while let Some(alarm) = self.wheel.expire(now.monotonic) {
            match alarm {
                Alarm::Call(slot) => {
                    self.slots[slot as usize].armed = None;
                    self.with_slot(now, slot, Call::handle_timeout);
                }
                Alarm::Upstream => {
                    self.upstream_timer = (TimerKey::NONE, None);
                    self.upstream_timeout(now);
                }
                Alarm::Probe(number) => self.probe_timeout(now, number),
                Alarm::Suspects => self.probe_suspects(now),
                Alarm::KeepAlives => self.keep_phones_alive(now),
                Alarm::Sweep => self.sweep(now),
            }
        }
    }

    fn sweep(&mut self, now: Now) {
        let changed = self.shared.bindings.expire(now.utc, self.sweep_part);
        self.shared.quality.sweep(now.utc, self.sweep_part, self.directory.quality_rules());
        self.sweep_part = self.sweep_part.wrapping_add(1);
        self.shared.guard.expire(now.utc);
        for (subscriber, bindings) in changed {
            self.effects.push_back(Effect::BindingChanged { subscriber, bindings, answer: None });
        }
        self.wheel.arm(now.monotonic + SWEEP_INTERVAL, Alarm::Sweep);
    }

    fn arm_upstreams(&mut self) {
        let wanted = self.upstreams.poll_timeout();
        let (key, armed) = self.upstream_timer;
        if wanted != armed {
            self.wheel.disarm(key);
            let key = wanted.map(|at| self.wheel.arm(at, Alarm::Upstream));
            self.upstream_timer = (key.unwrap_or(TimerKey::NONE), wanted);
        }
    }

    fn swap_directory(&mut self, now: Now, directory: Arc<Directory>) {
        if directory.settings() != self.directory.settings() {
            let leg_config = leg_config(&self.config, directory.settings());
            self.leg_config = Arc::new(leg_config);
            self.verifier = verifier(&self.config, &self.shared, directory.settings());
        }
        let before = std::mem::replace(&mut self.directory, directory);
        if self.config.shard == 0 {
            if !self.directory.has_guard_of(&before) {
                self.shared.guard.configure(now.utc, self.directory.guard());
            }
            self.shared.fraud.configure(now.utc, self.directory.fraud_since(&before));
            let silenced = self.directory.silenced_since(&before).into_iter();
            for subscriber in silenced.filter(|id| self.shared.bindings.remove(*id)) {
                let changed =
                    Effect::BindingChanged { subscriber, bindings: Vec::new(), answer: None };
                self.effects.push_back(changed);
            }
        }
        self.reconcile_upstreams();
        self.upstream_timeout(now);
        self.reconcile_probes(now.monotonic);
        self.reconcile_keep_alives(now.monotonic);
    }

    fn release_all(&mut self, now: Now) {
        self.is_draining = true;
        for slot in 0..self.slots.len() {
            self.with_slot(now, slot as u32, |call, ctx| {
                call.hang_up(ctx, Cause::Shutdown, End::Shutdown);
            });
        }
    }

    /// The stored form of a subscriber's bindings, as an effect. `response` leaves when the journal
    /// has it: what a phone was told survives a crash.
    pub(crate) fn binding_changed(
        &mut self,
        subscriber: vocabulary::SubscriberId,
        bindings: &[Binding],
        tx: ServerTx,
        response: Bytes,
    ) {
        let answer = AnswerId(self.answers);
        self.answers += 1;
        self.unanswered.insert(answer, (tx, response));
        let bindings = bindings.iter().map(Binding::stored).collect();
        let answer = Some(answer);
        self.effects.push_back(Effect::BindingChanged { subscriber, bindings, answer });
    }

    fn binding_kept(&mut self, now: Now, answer: AnswerId) {
        if let Some((tx, response)) = self.unanswered.remove(&answer) {
            self.endpoint.respond(now.monotonic, tx, response);
        }
    }
}

fn leg_config(config: &ShardConfig, settings: &Settings) -> LegConfig {
    let listeners = config.listeners.iter();
    let mut legs = LegConfig::new(
        listeners.map(|listener| (listener.id, listener.transport, listener.advertised.as_str())),
    );
    legs.session_timer.interval = settings.session_expires.map(secs);
    legs.session_timer.min_se = secs(settings.session_min);
    legs.dialog_probe = settings.dialog_probe;
    legs.t1 = settings.timing.t1;
    legs.t2 = settings.timing.t2;
    legs.retry_after_secs = settings.retry_after_secs;
    legs
}

fn secs(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shard({}, {} calls)", self.config.shard, self.by_id.len())
    }
}
