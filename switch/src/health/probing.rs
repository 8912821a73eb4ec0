//! Asking trunks with OPTIONS whether they are there. Each trunk belongs to one shard, which asks for
//! all of them.
//!
//! ```text
//! Idle ──due, or suspect──► Resolving ──addresses──► Asking ──answer, or none by the last──► Idle
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sip::message::{HeaderName, Message, Method, RequestDraft};
use sip::timer_wheel::TimerKey;
use sip::transport::{Path, Transport};
use vocabulary::{Now, TrunkId};

use super::{Outcome, ProbePolicy};
use crate::directory::TrunkRow;
use crate::effect::{Effect, HostToResolve, QueryId, Target};
use crate::leg::path_to;
use crate::shard::{Alarm, Shard};
use crate::token::Randomness;
use crate::upstream::{contact_host, own_call_id};

/// Marks the user word of a transaction or query as one of ours; calls leave this byte zero. Below it
/// the number of the trunk's probe (32 bits) and which of its questions this is (24 bits).
const MARK: u64 = 3 << 56;
const QUESTION_MASK: u64 = (1 << 24) - 1;
/// How long a resolver may take.
const RESOLVE_MAX: Duration = Duration::from_secs(30);
/// Addresses of one host that are tried, as many as calls try.
const ADDRESSES_MAX: usize = 4;
/// How often trunks are looked for that calls found silent.
const LOOK_EACH: Duration = Duration::from_secs(1);

/// Whether a user word is one of ours.
pub(crate) fn is_probe(user: u64) -> bool {
    user >> 56 == MARK >> 56
}

/// The trunks that a shard asks.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    all: BTreeMap<u32, Probe>,
    next_number: u32,
    is_looking: bool,
}

/// One trunk that is asked.
#[derive(Debug)]
struct Probe {
    trunk: TrunkId,
    host: HostToResolve,
    listener: Option<u16>,
    policy: ProbePolicy,
    call_id: String,
    tag: String,
    /// Counts the questions; also their CSeq.
    cseq: u32,
    state: State,
    timer: TimerKey,
}

#[derive(Debug)]
enum State {
    /// Until the timer says that the next question is due.
    Idle,
    /// Until the resolver answers, or the timer.
    Resolving,
    /// Until the last of these addresses answers, or the timer; the next to be asked is at the end.
    Asking { paths: Vec<Path> },
}

impl Probe {
    fn new(row: &TrunkRow, policy: ProbePolicy, place: (u8, u8), random: &mut Randomness) -> Probe {
        Probe {
            trunk: row.id,
            host: host(row),
            listener: row.listener,
            policy,
            call_id: own_call_id('o', place, random),
            tag: format!("{:016x}", random.next()),
            cseq: 0,
            state: State::Idle,
            timer: TimerKey::NONE,
        }
    }

    fn is_at(&self, row: &TrunkRow) -> bool {
        self.host == host(row) && self.listener == row.listener
    }

    fn user(&self, number: u32) -> u64 {
        MARK | u64::from(number) << 24 | u64::from(self.cseq) & QUESTION_MASK
    }

    fn draft(&self, our_host: &str) -> RequestDraft {
        let HostToResolve { host, port, transport, .. } = &self.host;
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        let transport = match transport {
            None | Some(Transport::Udp) => String::new(),
            Some(other) => format!(";transport={}", other.uri_name()),
        };
        let uri = format!("sip:{host}{port}{transport}");
        RequestDraft::new(Method::Options, uri.as_bytes())
            .header_fmt(HeaderName::From, format_args!("<sip:{our_host}>;tag={}", self.tag))
            .header_fmt(HeaderName::To, format_args!("<{uri}>"))
            .header(HeaderName::CallId, &self.call_id)
            .header_fmt(HeaderName::CSeq, format_args!("{} OPTIONS", self.cseq))
            .header_fmt(HeaderName::Contact, format_args!("<sip:{our_host}>"))
            .header(HeaderName::Accept, "application/sdp")
    }
}

fn host(row: &TrunkRow) -> HostToResolve {
    let TrunkRow { host, port, transport, .. } = row;
    HostToResolve { host: host.clone(), port: *port, transport: *transport, is_secure: false }
}

impl Probes {
    fn of_user(&mut self, user: u64) -> Option<(u32, &mut Probe)> {
        let number = (user >> 24) as u32;
        let probe = self.all.get_mut(&number)?;
        // What comes after its time is about a question that is over.
        (probe.user(number) == user).then_some((number, probe))
    }
}

impl Shard {
    /// Begins with trunks that are new, ends with those that are gone, leaves alone what stayed.
    pub(crate) fn reconcile_probes(&mut self, now: Duration) {
        let place @ (shard, shards) = (self.config.shard, self.config.shards.max(1));
        let directory = &self.directory;
        let mine: BTreeSet<TrunkId> = directory
            .probed_trunks()
            .iter()
            .copied()
            .filter(|id| id.0 % u64::from(shards) == u64::from(shard))
            .collect();
        let (health, wheel) = (&self.shared.health, &mut self.wheel);
        let mut known = BTreeSet::new();
        self.probes.all.retain(|_, probe| {
            let row = directory.trunk(probe.trunk).filter(|row| mine.contains(&row.id));
            let stays = row.filter(|row| probe.is_at(row)).and_then(|row| row.probe);
            if let Some(policy) = stays {
                probe.policy = policy;
                health.watch(probe.trunk, policy);
                known.insert(probe.trunk);
            } else {
                wheel.disarm(probe.timer);
                health.forget(probe.trunk);
            }
            stays.is_some()
        });
        for row in mine.difference(&known).filter_map(|id| directory.trunk(*id)) {
            let Some(policy) = row.probe else { continue };
            let number = self.probes.next_number;
            self.probes.next_number = number.wrapping_add(1);
            let mut probe = Probe::new(row, policy, place, &mut self.random);
            probe.timer = wheel.arm(now, Alarm::Probe(number));
            health.watch(row.id, policy);
            self.probes.all.insert(number, probe);
        }
        if !self.probes.all.is_empty() && !self.probes.is_looking {
            self.probes.is_looking = true;
            wheel.arm(now + LOOK_EACH, Alarm::Suspects);
        }
    }

    /// Asks those at once that calls of any shard found silent.
    pub(crate) fn probe_suspects(&mut self, now: Now) {
        self.probes.is_looking = !self.probes.all.is_empty();
        if !self.probes.is_looking {
            return;
        }
        self.wheel.arm(now.monotonic + LOOK_EACH, Alarm::Suspects);
        if !self.shared.health.has_suspects() {
            return;
        }
        let health = &self.shared.health;
        let is_due =
            |probe: &Probe| matches!(probe.state, State::Idle) && health.is_suspect(probe.trunk);
        let all = self.probes.all.iter();
        let due: Vec<u32> = all.filter(|(_, probe)| is_due(probe)).map(|(n, _)| *n).collect();
        for number in due {
            self.probe_begin(now, number);
        }
    }

    /// The next question is due, or what it waits for has not come in time.
    pub(crate) fn probe_timeout(&mut self, now: Now, number: u32) {
        let Some(probe) = self.probes.all.get_mut(&number) else { return };
        probe.timer = TimerKey::NONE;
        match &mut probe.state {
            State::Idle => self.probe_begin(now, number),
            State::Resolving => self.probe_over(now, number, Outcome::Unresolved),
            State::Asking { paths } => {
                paths.pop();
                self.probe_ask(now, number, Outcome::Silent);
            }
        }
    }

    fn probe_begin(&mut self, now: Now, number: u32) {
        let Some(probe) = self.probes.all.get_mut(&number) else { return };
        probe.state = State::Resolving;
        probe.cseq = probe.cseq.wrapping_add(1) & 0x7fff_ffff;
        let query = QueryId(probe.user(number));
        match probe.host.literal() {
            Some(target) => self.probe_resolved(now, query.0, &[target]),
            None => {
                let host = probe.host.clone();
                self.arm_probe(number, now.monotonic + RESOLVE_MAX);
                self.effects.push_back(Effect::Resolve { query, host });
            }
        }
    }

    pub(crate) fn probe_resolved(&mut self, now: Now, user: u64, targets: &[Target]) {
        let listeners = &self.config.listeners;
        let Some((number, probe)) = self.probes.of_user(user) else { return };
        if !matches!(probe.state, State::Resolving) {
            return;
        }
        let usable = targets.iter().filter_map(|to| path_to(listeners, *to, probe.listener));
        let mut paths: Vec<Path> = usable.take(ADDRESSES_MAX).collect();
        paths.reverse();
        probe.state = State::Asking { paths };
        self.probe_ask(now, number, Outcome::Unresolved);
    }

    /// Asks the next address; if there is none, that is what came of it.
    fn probe_ask(&mut self, now: Now, number: u32, otherwise: Outcome) {
        let Some(probe) = self.probes.all.get_mut(&number) else { return };
        let State::Asking { paths } = &probe.state else { return };
        let Some(path) = paths.last().copied() else {
            return self.probe_over(now, number, otherwise);
        };
        probe.cseq = probe.cseq.wrapping_add(1) & 0x7fff_ffff;
        let user = probe.user(number);
        let mut draft = probe.draft(&contact_host(&self.config.listeners, path));
        if !self.config.server_name.is_empty() {
            draft = draft.header(HeaderName::UserAgent, &self.config.server_name);
        }
        let (trunk, call_id) = (probe.trunk, probe.call_id.clone());
        self.attribute_trunk(trunk, &call_id, path);
        self.stats.probes_sent += 1;
        // A call gives up an address after as long.
        let limit = self.directory.settings().silence_timeout;
        self.arm_probe(number, now.monotonic + limit);
        self.endpoint.send_request(now.monotonic, path, draft, user);
    }

    /// Nothing could be sent to that address.
    pub(crate) fn probe_failed(&mut self, now: Now, user: u64) {
        let Some((number, probe)) = self.probes.of_user(user) else { return };
        if let State::Asking { paths } = &mut probe.state {
            paths.pop();
        }
        self.probe_ask(now, number, Outcome::Silent);
    }

    pub(crate) fn probe_response(&mut self, now: Now, user: u64, response: &Message) {
        let Some((number, probe)) = self.probes.of_user(user) else { return };
        let State::Asking { paths } = &mut probe.state else { return };
        let outcome = Outcome::Status(response.status());
        match response.status() {
            ..=199 => {}
            // The next address may do better (RFC 3263 section 4.3).
            503 => {
                paths.pop();
                self.probe_ask(now, number, outcome);
            }
            _ => self.probe_over(now, number, outcome),
        }
    }

    fn probe_over(&mut self, now: Now, number: u32, outcome: Outcome) {
        let Some(probe) = self.probes.all.get_mut(&number) else { return };
        probe.state = State::Idle;
        // Late answers to it are about a question that is over.
        probe.cseq = probe.cseq.wrapping_add(1) & 0x7fff_ffff;
        let every = probe.policy.every;
        // Up to a tenth earlier: those that were all asked at a start are soon asked one by one.
        let earlier = every / 10 * (self.random.next() % 1000) as u32 / 1000;
        self.stats.probes_failed += u64::from(!outcome.is_answer());
        self.shared.health.probed(now.utc, probe.trunk, outcome);
        self.arm_probe(number, now.monotonic + every - earlier);
    }

    fn arm_probe(&mut self, number: u32, at: Duration) {
        let Some(probe) = self.probes.all.get_mut(&number) else { return };
        self.wheel.disarm(probe.timer);
        probe.timer = self.wheel.arm(at, Alarm::Probe(number));
    }
}
