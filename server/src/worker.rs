//! One worker: a thread that owns a shard and its UDP sockets. Each round it takes in all that has
//! arrived, works on a batch of it, and sends everything that came of it with as few system calls
//! as possible; with nothing to do it sleeps until a packet, a letter or a deadline.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use sip::transport::{Path, Transport};
use store::journal::JournalState;
use switch::Input;
use switch::overload::{Controller, Pressure};

use crate::clock::Clock;
use crate::dispatch::{Dispatch, Letter};
use crate::exchange::{Exchange, Outside};
use crate::mailbox::Mailbox;
use crate::metrics::{Queues, WorkerMetrics};
use crate::net::shield::Shield;
use crate::net::streams::{Delivery, Streams};
use crate::net::stun;
use crate::net::udp::{BATCH, UdpCounts, UdpPort};
use crate::trace::Tap;

/// Inputs handled between two looks at the sockets, the timers and the outbox.
const WORK_BATCH: usize = 32;
/// Own datagrams taken in before they are worked on; beyond it they wait in the kernel.
const INBOX_MAX: usize = 8192;
/// Batches of one socket before everything else has its turn: keep-alives and what is stopped fill no inbox.
const BATCHES_MAX: usize = 64;
/// From so many datagrams a second on, the worker gathers them instead of waking for each.
const GATHER_FROM: u64 = 1000;
/// So many datagrams a round are worth waiting for; more save little.
const GATHER_COUNT: u64 = 8;
/// Timers wait for each other this long: most of them only forget a transaction, and each call has a
/// dozen. A packet or a letter still wakes the worker at once.
const TIMER_SLACK: Duration = Duration::from_millis(10);
/// Without anything to do, a look at the clock and the metrics this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// How a worker runs.
#[derive(Clone, Copy, Debug)]
pub struct WorkerSettings {
    /// Its number, which is its shard's.
    pub number: u8,
    /// While traffic flows, how long datagrams may gather at most before the worker looks again;
    /// zero wakes it for each. It trades this much delay for system calls.
    pub gather: Duration,
    /// The processor to stay on.
    pub pin: Option<usize>,
}

/// A UDP socket and the number of its listener.
pub struct Port {
    /// The listener.
    pub listener: u16,
    /// The socket.
    pub udp: UdpPort,
}

/// Everything one thread owns.
pub struct Worker<O> {
    settings: WorkerSettings,
    clock: Clock,
    ports: Vec<Port>,
    shield: Shield,
    tap: Tap,
    mailbox: Mailbox<Letter>,
    dispatch: Dispatch,
    streams: Streams,
    exchange: Exchange<O>,
    metrics: WorkerMetrics,
    /// When it came, and what it is.
    inbox: VecDeque<(Duration, Input)>,
    letters: Vec<Letter>,
    load: Load,
    is_stopping: bool,
    traffic: Traffic,
}

/// How much new work is refused: as much as inputs wait too long for, and all while the journal cannot
/// keep what new calls would give it. A call that rings while nothing can be recorded could not be
/// answered.
#[derive(Default)]
struct Load {
    controller: Controller,
    told: Pressure,
}

impl Load {
    /// With how long the oldest input has waited and the journal's state: what to tell the shard,
    /// if that changes, and what it was told before.
    fn observe(
        &mut self,
        now: Duration,
        delay: Duration,
        journal: JournalState,
    ) -> Option<(Pressure, Pressure)> {
        let share = self.controller.observe(now, delay);
        let pressure = match journal {
            JournalState::Ready => Pressure::Share(share),
            JournalState::Behind | JournalState::Failed => Pressure::All,
        };
        let before = std::mem::replace(&mut self.told, pressure);
        (pressure != before).then_some((pressure, before))
    }
}

/// How much has arrived lately, to decide whether gathering pays.
#[derive(Default)]
struct Traffic {
    since: Duration,
    count: u64,
    per_second: u64,
}

impl Traffic {
    const SPAN: Duration = Duration::from_millis(50);

    fn add(&mut self, now: Duration, datagrams: usize) {
        self.count += datagrams as u64;
        let span = now.saturating_sub(self.since);
        if span >= Traffic::SPAN {
            let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
            self.per_second = self.count.saturating_mul(1_000_000) / micros;
            self.since = now;
            self.count = 0;
        }
    }

    /// How long to let datagrams gather: until about `GATHER_COUNT` are there, at most `longest`;
    /// `None` if so few would come that waking for each is as cheap.
    fn window(&self, longest: Duration) -> Option<Duration> {
        if self.per_second < GATHER_FROM || longest.is_zero() {
            return None;
        }
        Some(Duration::from_micros(GATHER_COUNT * 1_000_000 / self.per_second).min(longest))
    }
}

/// The parts of a worker that others made for it.
pub struct Parts<O> {
    /// How it runs.
    pub settings: WorkerSettings,
    /// The clocks, shared by all.
    pub clock: Clock,
    /// Its own sockets; one a UDP listener.
    pub ports: Vec<Port>,
    /// Who is kept away from them.
    pub shield: Shield,
    /// Who follows messages.
    pub tap: Tap,
    /// Its letters.
    pub mailbox: Mailbox<Letter>,
    /// The way to the other workers.
    pub dispatch: Dispatch,
    /// TCP and TLS.
    pub streams: Streams,
    /// Its shard.
    pub exchange: Exchange<O>,
    /// Where its figures go.
    pub metrics: WorkerMetrics,
}

impl<O: Outside> Worker<O> {
    /// Puts the parts together; call it in the worker's own thread.
    pub fn new(parts: Parts<O>) -> Worker<O> {
        let Parts { settings, clock, ports, shield, tap, .. } = parts;
        let (mailbox, dispatch, streams) = (parts.mailbox, parts.dispatch, parts.streams);
        let (exchange, metrics) = (parts.exchange, parts.metrics);
        Worker {
            settings,
            clock,
            ports,
            shield,
            tap,
            mailbox,
            dispatch,
            streams,
            exchange,
            metrics,
            inbox: VecDeque::new(),
            letters: Vec::new(),
            load: Load::default(),
            is_stopping: false,
            traffic: Traffic::default(),
        }
    }

    /// Runs until it is told to stop.
    pub fn run(mut self) {
        if let Some(processor) = self.settings.pin {
            self.pin(processor);
        }
        while !self.is_stopping {
            let now = self.clock.monotonic();
            self.receive(now);
            self.read_letters(now);
            self.work();
            self.send();
            self.report(now);
            if self.inbox.is_empty() {
                self.rest();
            }
        }
        self.send();
    }

    fn pin(&self, processor: usize) {
        let mut set = nix::sched::CpuSet::new();
        let pinned = set
            .set(processor)
            .and_then(|()| nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set));
        if let Err(error) = pinned {
            tracing::warn!(worker = self.settings.number, processor, %error, "cannot pin");
        }
    }

    /// Once a second the plain counters go to the metrics.
    fn report(&mut self, now: Duration) {
        if !self.metrics.is_due(now) {
            return;
        }
        let mut udp = UdpCounts::default();
        for port in &self.ports {
            udp.add(port.udp.counts());
        }
        udp.banned = self.shield.dropped();
        let inputs = self.inbox.len() + self.mailbox.length();
        let queues = Queues { inputs, for_lease: self.exchange.waiting_for_lease() };
        let stats = self.exchange.stats();
        self.metrics.flush(udp, &stats, queues, &mut self.exchange.tally);
    }

    /// Empties the sockets into the inbox and the mailboxes of others.
    fn receive(&mut self, now: Duration) {
        let mut datagrams = 0;
        for index in 0..self.ports.len() {
            for _ in 0..BATCHES_MAX {
                if self.inbox.len() >= INBOX_MAX {
                    break;
                }
                let count = self.receive_batch(index, now);
                datagrams += count;
                if count < BATCH {
                    break;
                }
            }
        }
        self.traffic.add(now, datagrams);
    }

    fn receive_batch(&mut self, index: usize, now: Duration) -> usize {
        let Worker { ports, dispatch, inbox, settings, shield, tap, .. } = self;
        shield.look();
        let Port { listener, udp } = &mut ports[index];
        let listener = *listener;
        let mut answers: Vec<(SocketAddr, Bytes)> = Vec::new();
        let count = udp.receive(|remote, datagram| {
            if shield.stops(remote) || is_keep_alive(datagram) {
                return;
            }
            if let Some(answer) = stun::answer(datagram, remote) {
                answers.push((remote, answer));
                return;
            }
            let path = Path { transport: Transport::Udp, listener, connection: 0, remote };
            let owner = dispatch.owner(datagram);
            let bytes = Bytes::copy_from_slice(datagram);
            tap.received(path, &bytes);
            if owner == settings.number {
                inbox.push_back((now, Input::Message { path, bytes }));
                return;
            }
            match dispatch.deliver(owner, path, bytes) {
                Delivery::Taken => {}
                Delivery::Answered(answer) => {
                    tap.sent(path, &answer);
                    answers.push((remote, answer));
                }
                // UDP peers repeat; there is nobody to slow down.
                Delivery::Later(_) => dispatch.count_lost(),
            }
        });
        for (remote, answer) in answers {
            udp.queue(remote, answer);
        }
        count
    }

    fn read_letters(&mut self, now: Duration) {
        let mut letters = std::mem::take(&mut self.letters);
        self.mailbox.take(&mut letters);
        for letter in letters.drain(..) {
            let input = match letter {
                Letter::Message { path, bytes } => Input::Message { path, bytes },
                Letter::PathFailed(path) => Input::PathFailed(path),
                Letter::PathIdle(path) => Input::PathIdle(path),
                Letter::Resolved { query, targets } => Input::Resolved { query, targets },
                Letter::Told { query, answer } => Input::Told { query, answer },
                Letter::Relayed { to, from, said } => Input::Relayed { to, from, said },
                Letter::Directory(directory) => Input::Directory(directory),
                Letter::HangUp(call) => Input::HangUp { call },
                Letter::Follow(following) => Input::Follow(following),
                Letter::Drain => Input::Drain,
                Letter::ReleaseAll => Input::ReleaseAll,
                Letter::RateBook(book) => {
                    self.exchange.set_rate_book(book);
                    continue;
                }
                Letter::Leases => {
                    self.exchange.hear_leases(self.clock.now());
                    continue;
                }
                Letter::Live(answer) => {
                    // Whoever asked may have gone.
                    let _ = answer.send(self.exchange.live_calls());
                    continue;
                }
                Letter::Upstreams(answer) => {
                    let _ = answer.send(self.exchange.upstreams(self.clock.now()));
                    continue;
                }
                Letter::Stop => {
                    self.is_stopping = true;
                    continue;
                }
            };
            self.inbox.push_back((now, input));
        }
        self.letters = letters;
    }

    /// Handles a batch of the inbox, the timers that are due and the answers that are on disk.
    fn work(&mut self) {
        let mut now = self.clock.now();
        self.watch_load(now);
        for turn in 0..WORK_BATCH {
            let Some((_, input)) = self.inbox.pop_front() else { break };
            // One reading of the clock serves a few inputs: they are microseconds apart.
            if turn % 16 == 15 {
                now = self.clock.now();
            }
            self.exchange.take(now, input);
        }
        let now = self.clock.now();
        if self.exchange.poll_timeout().is_some_and(|at| at <= now.monotonic) {
            self.exchange.take(now, Input::Timeout);
        }
        self.exchange.release_recorded(now);
    }

    /// Tells the shard how much new work to refuse. Looked at before every batch, so that no new call
    /// gets in unseen.
    fn watch_load(&mut self, now: vocabulary::Now) {
        let oldest = self.inbox.front().map_or(now.monotonic, |(came, _)| *came);
        let delay = now.monotonic.saturating_sub(oldest);
        let journal = self.exchange.journal_state();
        if let Some((pressure, before)) = self.load.observe(now.monotonic, delay, journal) {
            let calm = Pressure::default();
            if pressure == calm || before == calm || journal != JournalState::Ready {
                let worker = self.settings.number;
                tracing::info!(worker, ?pressure, ?delay, ?journal, "load");
            }
            self.exchange.take(now, Input::Pressure(pressure));
        }
    }

    /// Sends everything that this round produced.
    fn send(&mut self) {
        for transmit in self.exchange.outbox.drain(..) {
            self.tap.sent(transmit.path, &transmit.bytes);
            if transmit.path.transport != Transport::Udp {
                self.streams.send(transmit);
                continue;
            }
            let path = transmit.path;
            match self.ports.iter_mut().find(|port| port.listener == path.listener) {
                Some(port) => port.udp.queue(path.remote, transmit.bytes),
                None => tracing::error!(listener = path.listener, "a path without a socket"),
            }
        }
        for index in 0..self.ports.len() {
            self.ports[index].udp.flush();
            if self.ports[index].udp.has_errors() {
                self.hear_errors(index);
            }
        }
    }

    /// Waits for something to do. In dense traffic it sleeps for a moment without asking: the next
    /// datagrams then come as one batch, for one wake-up.
    fn rest(&mut self) {
        let now = self.clock.monotonic();
        let deadline = self.exchange.poll_timeout();
        let until = deadline.map_or(LONGEST_SLEEP, |at| at.saturating_sub(now).min(LONGEST_SLEEP));
        if let Some(window) = self.traffic.window(self.settings.gather) {
            std::thread::sleep(window);
            return;
        }
        let until = until.max(TIMER_SLACK);
        if self.mailbox.is_empty_before_sleep() && !self.exchange.has_recorded() {
            self.sleep(until);
        }
        self.mailbox.awake();
    }

    fn sleep(&mut self, until: Duration) {
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(self.ports.len() + 1);
        fds.push(PollFd::new(self.mailbox.fd(), PollFlags::POLLIN));
        for port in &self.ports {
            let writable =
                if port.udp.is_blocked() { PollFlags::POLLOUT } else { PollFlags::empty() };
            fds.push(PollFd::new(port.udp.fd(), PollFlags::POLLIN | writable));
        }
        // An interrupted wait is a short one.
        let woken = ppoll(&mut fds, Some(TimeSpec::from_duration(until)), None);
        let failed = |fd: &PollFd<'_>| fd.revents().is_some_and(|e| e.contains(PollFlags::POLLERR));
        if woken.is_ok_and(|count| count > 0) && fds[1..].iter().any(failed) {
            drop(fds);
            for index in 0..self.ports.len() {
                self.hear_errors(index);
            }
        }
    }

    /// Peers that ICMP says cannot be reached: all shards may have business with them.
    fn hear_errors(&mut self, index: usize) {
        let Port { listener, udp } = &mut self.ports[index];
        let (listener, dispatch) = (*listener, &self.dispatch);
        // One peer gives an error for each datagram that it does not take: it is told once.
        let mut unreachable: Vec<SocketAddr> = Vec::new();
        udp.take_errors(|remote| unreachable.push(remote));
        unreachable.sort_unstable();
        unreachable.dedup();
        for remote in unreachable {
            let path = Path { transport: Transport::Udp, listener, connection: 0, remote };
            dispatch.tell_path_failed(path);
        }
    }
}

/// Keep-alives over UDP that want no answer (CRLFs or zeros): no message.
fn is_keep_alive(datagram: &[u8]) -> bool {
    datagram.len() <= 4 || datagram.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0 | b' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(datagrams_per_50_ms: usize, expected_us: Option<u64>) {
        let mut traffic = Traffic::default();
        traffic.add(Duration::from_millis(50), datagrams_per_50_ms);
        let window = traffic.window(Duration::from_millis(2));
        assert_eq!(window, expected_us.map(Duration::from_micros));
    }

    #[test]
    fn datagrams_gather_only_in_dense_traffic_and_shorter_the_denser_it_is() {
        check(0, None);
        check(49, None);
        check(50, Some(2000));
        check(140, Some(2000));
        check(400, Some(1000));
        check(1000, Some(400));
    }

    #[test]
    fn new_work_is_refused_as_it_waits_and_all_of_it_while_the_journal_cannot_keep_it() {
        use JournalState::{Behind, Failed, Ready};
        let mut load = Load::default();
        let share = |of| Some(Pressure::Share(of));
        // After steps of 20 ms: how long the oldest input has waited, and what the shard is told.
        let steps = [
            (0, Ready, None),
            (100, Ready, None),
            (100, Ready, share(50)),
            (100, Ready, share(100)),
            (0, Behind, Some(Pressure::All)),
            (0, Failed, None),
            (0, Ready, share(146)),
        ];
        for (step, (delay_ms, journal, expected)) in steps.into_iter().enumerate() {
            let now = Duration::from_millis(20 * (step as u64 + 1));
            let told = load.observe(now, Duration::from_millis(delay_ms), journal);
            assert_eq!(told.map(|(pressure, _)| pressure), expected, "step {step}");
        }
    }

    #[test]
    fn keep_alives_are_no_messages() {
        assert!(is_keep_alive(b"\r\n\r\n"));
        assert!(is_keep_alive(&[0; 12]));
        assert!(!is_keep_alive(b"BYE sip:a SIP/2.0\r\n"));
    }
}
