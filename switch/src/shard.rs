//! All calls of one worker: finds the call for every message, answer and timeout, and keeps a
//! panic in one call from the others.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use sip::auth::{NonceCounts, Verifier};
use sip::endpoint::{ClientTx, Endpoint, EndpointConfig, EndpointStats, Event, Listener, ServerTx};
use sip::message::{Message, Method};
use sip::timer_wheel::{TimerKey, TimerWheel};
use sip::transport::Path;
use vocabulary::{CallId, Now};

use crate::admission::Admission;
use crate::authentication::verifier;
use crate::call::{Call, Context};
use crate::decision::End;
use crate::directory::{Directory, Settings};
use crate::effect::{AnswerId, Effect, Input, LiveCall, QueryId, Stats, Target};
use crate::leg::{self, LegConfig};
use crate::registrar::{Binding, Bindings};
use crate::release::Cause;
use crate::token::{LegKey, Randomness, Tag};
use crate::upstream::{self, Upstreams};

/// How often one of the 64 parts of the bindings is swept; all of them in about a minute.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// The user word of transactions whose outcome interests nobody. Calls leave the top byte zero.
const NOBODY: u64 = 2 << 56;
const GENERATION_MASK: u32 = (1 << 24) - 1;

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
}

/// What armed a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alarm {
    Call(u32),
    Upstream,
    Sweep,
}

struct Slot {
    generation: u32,
    call: Option<Box<Call>>,
    timer: TimerKey,
    /// When it fires; a call whose deadline moved later is asked again then.
    armed: Option<Duration>,
    /// Its entry in `merged`.
    merge_key: u64,
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
    pub(crate) is_overloaded: bool,
    pub(crate) upstreams: Upstreams,
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_id: HashMap<CallId, u32, FixedState>,
    /// INVITEs without To tag that became a call: hash of Call-ID, From tag and CSeq → slot
    /// (RFC 3261 section 8.2.2.2).
    merged: HashMap<u64, u32, FixedState>,
    wheel: TimerWheel<Alarm>,
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
            is_overloaded: false,
            upstreams: Upstreams::default(),
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
        shard
    }

    /// One input. Drain `poll_effect` before the next.
    pub fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Message { path, bytes } => self.endpoint.receive(now.monotonic, path, bytes),
            Input::Timeout => self.handle_timeout(now),
            Input::PathFailed(path) => self.endpoint.transport_failed(now.monotonic, path),
            Input::Authorized { call, result } => {
                self.with_id(now, call, |call, ctx| call.authorized(ctx, result));
            }
            Input::Extended(extension) => {
                let id = extension.call;
                self.with_id(now, id, |call, ctx| call.extended(ctx, &extension));
            }
            Input::Recorded { call, grant } => {
                self.with_id(now, call, |call, ctx| call.recorded(ctx, grant));
            }
            Input::BindingKept { answer } => self.binding_kept(now, answer),
            Input::Resolved { query, targets } => self.resolved(now, query, &targets),
            Input::Directory(directory) => self.swap_directory(now, directory),
            Input::HangUp { call } => self.with_id(now, call, |call, ctx| {
                call.hang_up(ctx, Cause::OperatorHangUp, End::Operator);
            }),
            Input::Overloaded(is_overloaded) => self.is_overloaded = is_overloaded,
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
        self.slots.iter().filter_map(|slot| Some(slot.call.as_ref()?.live())).collect()
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
            upstream_registered: self.upstreams.registered(),
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

    /// How many timers of calls are armed; for tests and checkers.
    pub fn armed_calls(&self) -> usize {
        self.slots.iter().filter(|slot| slot.armed.is_some()).count()
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
                Alarm::Sweep => self.sweep(now),
            }
        }
    }

    fn sweep(&mut self, now: Now) {
        let changed = self.shared.bindings.expire(now.utc, self.sweep_part);
        self.sweep_part = self.sweep_part.wrapping_add(1);
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
        self.directory = directory;
        if self.config.shard == 0 {
            let directory = &self.directory;
            let is_active = |id| directory.subscriber(id).is_some_and(|row| row.is_active);
            for subscriber in self.shared.bindings.retain(is_active) {
                let changed =
                    Effect::BindingChanged { subscriber, bindings: Vec::new(), answer: None };
                self.effects.push_back(changed);
            }
        }
        self.reconcile_upstreams();
        self.upstream_timeout(now);
    }

    fn release_all(&mut self, now: Now) {
        self.is_draining = true;
        for slot in 0..self.slots.len() {
            self.with_slot(now, slot as u32, |call, ctx| {
                call.hang_up(ctx, Cause::Shutdown, End::Shutdown);
            });
        }
    }

    // What the endpoint has to say.

    fn handle_events(&mut self, now: Now) {
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::Request { tx, message, path } => self.request(now, tx, message, path),
                Event::Ack { message, .. } => self.ack(now, &message),
                Event::Cancelled { tx, user, message } => {
                    self.with_key(now, LegKey::from_user(user), |call, leg, ctx| {
                        if let Some(leg) = call.leg_mut(leg) {
                            leg.cancelled(ctx.now, ctx.endpoint, tx, &message);
                        }
                    });
                }
                Event::Response { tx, user, message, path } => {
                    self.response(now, tx, user, &message, path);
                }
                Event::Failed { user: NOBODY, .. } => {}
                Event::Failed { tx, user, why } => {
                    if upstream::is_upstream(user) {
                        self.upstream_failed(now, user);
                        continue;
                    }
                    self.with_key(now, LegKey::from_user(user), |call, leg, ctx| {
                        if let Some(leg) = call.leg_mut(leg) {
                            leg.failed(ctx.now, ctx.endpoint, tx, why);
                        }
                    });
                }
                Event::ServerFailed { tx, user, why } => {
                    self.with_key(now, LegKey::from_user(user), |call, leg, ctx| {
                        if let Some(leg) = call.leg_mut(leg) {
                            leg.server_failed(ctx.now, ctx.endpoint, tx, why);
                        }
                    });
                }
            }
        }
    }

    fn request(&mut self, now: Now, tx: ServerTx, message: Message, path: Path) {
        let Some(tag) = message.to_tag() else {
            return match message.method() {
                Method::Invite => self.invite(now, tx, &message, path),
                Method::Register => self.register(now, tx, &message, path),
                _ => self.out_of_dialog(now, tx, &message),
            };
        };
        let key = self.key_of(tag);
        let is_found = key.is_some_and(|key| {
            self.with_key(now, key, |call, leg, ctx| {
                if let Some(leg) = call.leg_mut(leg) {
                    leg.request(ctx.now, ctx.endpoint, tx, &message, path);
                    return true;
                }
                false
            })
            .unwrap_or(false)
        });
        if !is_found {
            self.stats.strays += 1;
            leg::refuse(now, &mut self.endpoint, tx, &message);
        }
    }

    fn ack(&mut self, now: Now, message: &Message) {
        let key = message.to_tag().and_then(|tag| self.key_of(tag));
        if let Some(key) = key {
            self.with_key(now, key, |call, leg, ctx| {
                if let Some(leg) = call.leg_mut(leg) {
                    leg.ack(ctx.now, ctx.endpoint, message);
                }
            });
        }
    }

    fn response(&mut self, now: Now, tx: ClientTx, user: u64, message: &Message, path: Path) {
        if user == NOBODY {
            return;
        }
        if upstream::is_upstream(user) {
            return self.upstream_response(now, user, message);
        }
        let is_found = self.with_key(now, LegKey::from_user(user), |call, leg, ctx| {
            call.heard(leg);
            let Some(leg) = call.leg_mut(leg) else { return false };
            leg.response(ctx.now, ctx.endpoint, tx, message, path);
            true
        });
        if is_found != Some(true) {
            leg::refuse_stray_answer(now, &mut self.endpoint, message, path, NOBODY);
        }
    }

    fn key_of(&self, tag: &[u8]) -> Option<LegKey> {
        Tag::read(tag).filter(|(shard, _)| *shard == self.config.shard).map(|(_, key)| key)
    }

    fn resolved(&mut self, now: Now, query: QueryId, targets: &[Target]) {
        if upstream::is_upstream(query.0) {
            return self.upstream_resolved(now, query.0, targets);
        }
        let key = LegKey::from_user(query.0);
        self.with_key(now, key, |call, _, ctx| call.resolved(ctx, query, targets));
    }

    // Slots.

    /// A place for a new call, with its id; `None` if all are taken.
    pub(crate) fn reserve_slot(&mut self) -> Option<(CallId, LegKey)> {
        let slot = match self.free.last() {
            Some(slot) => *slot,
            None if self.slots.len() < self.config.calls_max as usize => {
                let timer = TimerKey::NONE;
                let slot = Slot { generation: 0, call: None, timer, armed: None, merge_key: 0 };
                self.slots.push(slot);
                self.free.push(self.slots.len() as u32 - 1);
                self.slots.len() as u32 - 1
            }
            None => return None,
        };
        let id = CallId::new(self.config.start, self.config.shard, self.sequence);
        self.sequence += 1;
        Some((id, LegKey { slot, generation: self.slots[slot as usize].generation, leg: 0 }))
    }

    /// Puts a call into the slot reserved for it, and lets it begin.
    pub(crate) fn begin(
        &mut self,
        now: Now,
        key: LegKey,
        merge_key: u64,
        call: Call,
        first: impl FnOnce(&mut Call, &mut Context<'_>),
    ) {
        let taken = self.free.pop();
        debug_assert_eq!(taken, Some(key.slot), "reserved just now");
        self.by_id.insert(call.id(), key.slot);
        self.merged.insert(merge_key, key.slot);
        self.stats.calls_started += 1;
        let slot = &mut self.slots[key.slot as usize];
        slot.call = Some(Box::new(call));
        slot.merge_key = merge_key;
        self.with_slot(now, key.slot, first);
    }

    /// Whether this INVITE is the same request on another way.
    pub(crate) fn is_merged(&self, merge_key: u64) -> bool {
        self.merged.contains_key(&merge_key)
    }

    fn with_id(&mut self, now: Now, id: CallId, act: impl FnOnce(&mut Call, &mut Context<'_>)) {
        // A late answer to a call that is gone is a normal input.
        if let Some(slot) = self.by_id.get(&id).copied() {
            self.with_slot(now, slot, act);
        }
    }

    fn with_key<R>(
        &mut self,
        now: Now,
        key: LegKey,
        act: impl FnOnce(&mut Call, u8, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let slot = self.slots.get(key.slot as usize)?;
        if slot.call.is_none() || slot.generation != key.generation {
            return None;
        }
        let mut result = None;
        self.with_slot(now, key.slot, |call, ctx| {
            result = Some(act(call, key.leg, ctx));
            call.drain(ctx);
        });
        result
    }

    /// Runs one input through one call. A panic drops this call and no other.
    fn with_slot(&mut self, now: Now, index: u32, act: impl FnOnce(&mut Call, &mut Context<'_>)) {
        let slot = &mut self.slots[index as usize];
        let Some(mut call) = slot.call.take() else { return };
        let mut ctx = Context {
            now,
            shard: self.config.shard,
            endpoint: &mut self.endpoint,
            listeners: &self.config.listeners,
            directory: &self.directory,
            bindings: &self.shared.bindings,
            admission: &self.shared.admission,
            leg_config: &self.leg_config,
            effects: &mut self.effects,
            random: &mut self.random,
            stats: &mut self.stats,
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            act(&mut call, &mut ctx);
            call.is_over()
        }));
        let is_over = match outcome {
            Ok(is_over) => is_over,
            Err(_) => {
                ctx.stats.calls_panicked += 1;
                let told = catch_unwind(AssertUnwindSafe(|| call.wreck(&mut ctx)));
                if told.is_err() && !call.is_settled() {
                    self.effects.push_back(call.settle_only(now, &self.shared.admission));
                }
                true
            }
        };
        if is_over {
            self.remove(index, call.id());
        } else {
            let deadline = call.poll_timeout();
            self.slots[index as usize].call = Some(call);
            self.arm(index, deadline);
        }
    }

    /// A deadline that moved later is left to fire and is then looked at again: most calls arm
    /// far fewer timers so.
    fn arm(&mut self, index: u32, deadline: Option<Duration>) {
        let slot = &mut self.slots[index as usize];
        let is_soon_enough = match (slot.armed, deadline) {
            (Some(armed), Some(deadline)) => armed <= deadline,
            (None, None) => true,
            _ => false,
        };
        if !is_soon_enough {
            self.wheel.disarm(slot.timer);
            let key = deadline.map(|at| self.wheel.arm(at, Alarm::Call(index)));
            slot.timer = key.unwrap_or(TimerKey::NONE);
            slot.armed = deadline;
        }
    }

    fn remove(&mut self, index: u32, id: CallId) {
        self.arm(index, None);
        let slot = &mut self.slots[index as usize];
        slot.generation = (slot.generation + 1) & GENERATION_MASK;
        let merge_key = slot.merge_key;
        self.by_id.remove(&id);
        if self.merged.get(&merge_key) == Some(&index) {
            self.merged.remove(&merge_key);
        }
        self.free.push(index);
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

#[cfg(test)]
mod tests {
    use sip::transport::Transport;
    use vocabulary::{AccountId, TrunkId, Utc};

    use super::*;
    use crate::directory::{AccountRow, DirectoryBuilder, Limits, RouteRow, TrunkRow};

    fn shard() -> Shard {
        let account = AccountRow {
            id: AccountId(1),
            name: "a".into(),
            is_active: true,
            allows_local: true,
            ingress: Limits::default(),
            egress: Limits::default(),
        };
        let mut peer = TrunkRow::new(TrunkId(1), "peer", AccountId(1));
        peer.ingress.networks.push("10.0.0.1".parse().unwrap());
        let mut carrier = TrunkRow::new(TrunkId(2), "carrier", AccountId(1));
        carrier.host = "10.0.0.2".into();
        let directory = DirectoryBuilder::new(Settings::default(), 1)
            .account(account)
            .trunk(peer)
            .trunk(carrier)
            .route(RouteRow { prefix: "49".into(), trunk: TrunkId(2), priority: 1 })
            .build()
            .unwrap();
        let config = ShardConfig {
            shard: 0,
            shards: 1,
            start: 1,
            listeners: vec![Listener {
                id: 0,
                transport: Transport::Udp,
                advertised: "192.0.2.1:5060".into(),
            }],
            calls_max: 2,
            server_name: String::new(),
            seed: 1,
            nonce_secret: [0; 32],
        };
        let shared = Shared {
            bindings: Arc::default(),
            admission: Arc::default(),
            nonces: Arc::new(NonceCounts::new(16)),
        };
        Shard::new(config, shared, Arc::new(directory))
    }

    fn now() -> Now {
        Now { monotonic: Duration::from_secs(1), utc: Utc(0) }
    }

    fn call(shard: &mut Shard, id: u32) {
        let text = format!(
            "INVITE sip:4930@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK{id}\r\n\
             From: <sip:1@10.0.0.1>;tag={id}\r\nTo: <sip:4930@192.0.2.1>\r\nCall-ID: {id}\r\n\
             CSeq: 1 INVITE\r\nContact: <sip:1@10.0.0.1>\r\nMax-Forwards: 70\r\n\
             Content-Length: 0\r\n\r\n"
        );
        let remote = "10.0.0.1:5060".parse().unwrap();
        let path = Path { transport: Transport::Udp, listener: 0, connection: 0, remote };
        shard.handle(now(), Input::Message { path, bytes: Bytes::from(text) });
    }

    fn drain(shard: &mut Shard) -> Vec<Effect> {
        std::iter::from_fn(|| shard.poll_effect()).collect()
    }

    fn settled(effects: &[Effect]) -> usize {
        effects.iter().filter(|effect| matches!(effect, Effect::Settle(_))).count()
    }

    #[test]
    fn a_panic_in_one_call_settles_it_and_hurts_no_other() {
        let mut shard = shard();
        call(&mut shard, 1);
        call(&mut shard, 2);
        drain(&mut shard);
        shard.with_slot(now(), 0, |_, _| panic!("a fault in one call"));
        assert_eq!(settled(&drain(&mut shard)), 1);
        assert_eq!(shard.stats().calls_panicked, 1);
        assert_eq!(shard.live_calls().len(), 1);
        assert_eq!(shard.shared.admission.live_calls(), 1);
        call(&mut shard, 3);
        assert_eq!(shard.live_calls().len(), 2);
    }

    #[test]
    fn when_all_places_are_taken_a_new_call_gets_503() {
        let mut shard = shard();
        for id in 1..=3 {
            call(&mut shard, id);
        }
        let is_503 = |effect: &Effect| match effect {
            Effect::Send(transmit) => transmit.bytes.starts_with(b"SIP/2.0 503"),
            _ => false,
        };
        assert!(drain(&mut shard).iter().any(is_503));
        assert_eq!(shard.live_calls().len(), 2);
    }
}
