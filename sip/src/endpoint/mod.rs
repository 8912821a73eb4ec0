//! The endpoint: bytes in, events out. It parses, answers what is malformed, keeps transactions
//! (RFC 3261 section 17, RFC 6026) and sees to it that each response goes where it belongs (section
//! 18.2.2, RFC 3581). It knows no dialogs and no calls.

mod client;
mod outbox;
mod server;
mod size;
mod table;

use std::time::Duration;

use bytes::Bytes;

use crate::message::{Limits, Message, Method, RequestDraft, ResponseDraft};
use crate::timer_wheel::TimerWheel;
pub use crate::transaction::{Failure, Timing};
use crate::transport::{Path, Transmit, Transport};
use outbox::Outbox;
use size::NoStreams;
use table::{Alarm, Kind, Table};
pub use table::{ClientTx, ServerTx};

/// One of our own addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its number in the configuration.
    pub id: u16,
    /// Its protocol.
    pub transport: Transport,
    /// `host`, `host:port` or `[v6]:port`, as it stands in Via and Contact.
    pub advertised: String,
}

/// What an endpoint is told once.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// Where we listen; never empty.
    pub listeners: Vec<Listener>,
    /// How much of a message is accepted.
    pub limits: Limits,
    /// The base timers.
    pub timing: Timing,
    /// Transactions at a time. Above it new INVITEs and REGISTERs get 503, while what belongs to a
    /// dialog is served; above twice as many, all outside a dialog gets 503; above four times as
    /// many, which only an attack that feigns dialogs reaches, requests are dropped.
    pub transactions_max: usize,
    /// Seconds in the Retry-After of that 503.
    pub retry_after_secs: u32,
}

impl EndpointConfig {
    /// The defaults with these listeners.
    pub fn new(listeners: Vec<Listener>) -> EndpointConfig {
        EndpointConfig {
            listeners,
            limits: Limits::default(),
            timing: Timing::default(),
            transactions_max: 2_000_000,
            retry_after_secs: 5,
        }
    }
}

/// What the endpoint has to say.
#[derive(Debug)]
pub enum Event {
    /// A new request other than ACK and CANCEL. Its retransmissions are absorbed.
    Request {
        /// Answer with this.
        tx: ServerTx,
        /// The request.
        message: Message,
        /// Where it came from.
        path: Path,
    },
    /// An ACK to a 2xx.
    Ack {
        /// The ACK.
        message: Message,
        /// Where it came from.
        path: Path,
    },
    /// The INVITE is cancelled. The CANCEL has its 200; answer the INVITE with 487.
    Cancelled {
        /// The INVITE.
        tx: ServerTx,
        /// As set by [`Endpoint::set_user`].
        user: u64,
        /// The CANCEL, for its Reason.
        message: Message,
    },
    /// A response: provisional, final, and each further 2xx to an INVITE.
    Response {
        /// The transaction.
        tx: ClientTx,
        /// As given to [`Endpoint::send_request`].
        user: u64,
        /// The response.
        message: Message,
        /// Where it came from.
        path: Path,
    },
    /// A request of ours will get no response.
    Failed {
        /// The transaction; it has ended.
        tx: ClientTx,
        /// As given to [`Endpoint::send_request`].
        user: u64,
        /// Why.
        why: Failure,
    },
    /// A response of ours was not acknowledged or could not be delivered.
    ServerFailed {
        /// The transaction.
        tx: ServerTx,
        /// As set by [`Endpoint::set_user`].
        user: u64,
        /// Why.
        why: Failure,
    },
}

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointStats {
    /// Requests and responses that were read.
    pub received: u64,
    /// Messages that could not be used.
    pub malformed: u64,
    /// Retransmissions that we received.
    pub repeats_received: u64,
    /// Retransmissions that we sent.
    pub repeats_sent: u64,
    /// Responses that belong to no transaction.
    pub stray_responses: u64,
    /// New INVITEs and REGISTERs refused for the limit on transactions.
    pub refused: u64,
    /// Requests dropped for four times that limit.
    pub dropped: u64,
}

/// See the module.
pub struct Endpoint {
    config: EndpointConfig,
    table: Table,
    wheel: TimerWheel<Alarm>,
    outbox: Outbox,
    no_streams: NoStreams,
    stats: EndpointStats,
}

const VIA_ROOM: usize = 96;

impl Endpoint {
    /// `seed` must be secret: it keys the hash of what strangers choose, and our branches.
    pub fn new(config: EndpointConfig, seed: u64) -> Endpoint {
        assert!(!config.listeners.is_empty(), "an endpoint listens somewhere");
        Endpoint {
            table: Table::new(seed),
            wheel: TimerWheel::new(Duration::ZERO),
            outbox: Outbox::default(),
            no_streams: NoStreams::new(seed),
            stats: EndpointStats::default(),
            config,
        }
    }

    /// A datagram, or one message cut out of a stream.
    pub fn receive(&mut self, now: Duration, path: Path, bytes: Bytes) {
        let is_stream = path.transport.is_reliable();
        match Message::parse_within(bytes, &self.config.limits, is_stream) {
            Ok(message) if message.is_request() => {
                self.stats.received += 1;
                self.request_received(now, message, path);
            }
            Ok(message) => {
                self.stats.received += 1;
                self.response_received(now, message, path);
            }
            Err(malformed) => {
                self.stats.malformed += 1;
                if let (Some(status), Some(mut message)) = (malformed.status, malformed.message) {
                    message.set_source(path.remote);
                    let reason = if status == 400 { malformed.what } else { "" };
                    self.refuse(&message, path, status, reason, None);
                }
            }
        }
    }

    /// Sends a request other than ACK in a transaction of its own, with a new branch. `user` comes
    /// back in every event of it.
    pub fn send_request(
        &mut self,
        now: Duration,
        path: Path,
        draft: RequestDraft,
        user: u64,
    ) -> ClientTx {
        self.start_client(now, path, draft, user, false)
    }

    /// The same for a peer that may be reached by streams too: a request too long for a datagram
    /// takes one, if there is one (RFC 3261 section 18.1.1).
    pub fn send_request_by_size(
        &mut self,
        now: Duration,
        path: Path,
        draft: RequestDraft,
        user: u64,
    ) -> ClientTx {
        self.start_client(now, path, draft, user, true)
    }

    /// Sends a request outside of any transaction: the ACK to a 2xx.
    pub fn send_stateless(&mut self, path: Path, draft: RequestDraft) {
        let mut via = self.via(path);
        self.table.write_stateless_branch(&mut via);
        self.outbox.transmit(path, draft.finish(&via));
    }

    /// Answers a request. On an ended transaction it does nothing.
    pub fn respond(&mut self, now: Duration, tx: ServerTx, response: impl Into<Bytes>) {
        self.respond_server(now, tx, response.into());
    }

    /// Cancels an INVITE of ours: at once, or when its first provisional response is here (RFC 3261
    /// section 9.1). `lines` are further header lines (Reason), the last CRLF may be missing.
    pub fn cancel(&mut self, now: Duration, tx: ClientTx, lines: &[u8]) {
        self.cancel_client(now, tx, lines);
    }

    /// Sends a response again that the transaction does not repeat by itself: a 2xx without ACK
    /// (RFC 3261 section 13.3.1.4), a reliable provisional one without PRACK.
    pub fn respond_again(&mut self, now: Duration, tx: ServerTx, response: Bytes) {
        self.stats.repeats_sent += 1;
        self.respond_server(now, tx, response);
    }

    /// Sets what later events of the transaction carry.
    pub fn set_user(&mut self, tx: ServerTx, user: u64) {
        if let Some(entry) = self.table.server_mut(tx) {
            entry.user = user;
        }
    }

    /// Nothing can be sent there.
    pub fn transport_failed(&mut self, now: Duration, path: Path) {
        if path.transport == Transport::Udp && !self.table.is_scan_due(now, path) {
            return;
        }
        for index in self.table.on_path(path) {
            match self.table.kind(index) {
                Some(Kind::Client(_) | Kind::InviteClient(_)) => {
                    self.client_transport_failed(now, index);
                }
                Some(Kind::Server(_) | Kind::InviteServer(_)) if path.transport.is_reliable() => {
                    self.server_transport_failed(now, index);
                }
                _ => {}
            }
        }
    }

    /// Fires what is due.
    pub fn handle_timeout(&mut self, now: Duration) {
        while let Some(alarm) = self.wheel.expire(now) {
            if !self.table.has_fired(alarm) {
                continue;
            }
            match self.table.kind(alarm.index) {
                Some(Kind::Client(_) | Kind::InviteClient(_)) => self.client_timer(now, alarm),
                Some(Kind::Server(_) | Kind::InviteServer(_)) => self.server_timer(now, alarm),
                None => {}
            }
        }
    }

    /// When to call `handle_timeout`.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.wheel.next_timeout()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.outbox.events.pop_front()
    }

    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.outbox.transmits.pop_front()
    }

    /// Counters.
    pub fn stats(&self) -> EndpointStats {
        self.stats
    }

    /// Transactions that are alive.
    pub fn transactions(&self) -> usize {
        self.table.len()
    }

    /// Timers that are armed; zero once no transaction is alive.
    pub fn armed(&self) -> usize {
        self.wheel.len()
    }

    /// A response without a transaction.
    fn refuse(
        &mut self,
        request: &Message,
        path: Path,
        status: u16,
        reason: &str,
        tag: Option<&[u8]>,
    ) {
        if request.method() == Method::Ack {
            return;
        }
        let own = self.table.stateless_tag(request.call_id());
        let tag = tag.unwrap_or(own.as_bytes());
        let response = ResponseDraft::with_tag(request, status, reason, tag);
        let response = if status == 503 {
            let secs = self.config.retry_after_secs;
            response.header_fmt(crate::message::HeaderName::RetryAfter, format_args!("{secs}"))
        } else {
            response
        };
        self.outbox.transmit(server::response_path(request, path), response.finish());
    }

    /// The Via of a request of ours, up to its branch.
    fn via(&self, path: Path) -> Vec<u8> {
        let listeners = &self.config.listeners;
        let own = listeners.iter().find(|l| l.id == path.listener).unwrap_or(&listeners[0]);
        let mut via = Vec::with_capacity(VIA_ROOM);
        for part in ["SIP/2.0/", path.transport.via_name(), " ", &own.advertised, ";rport;branch="]
        {
            via.extend_from_slice(part.as_bytes());
        }
        via
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Endpoint({} transactions)", self.table.len())
    }
}

impl From<ResponseDraft> for Bytes {
    fn from(draft: ResponseDraft) -> Bytes {
        draft.finish()
    }
}
