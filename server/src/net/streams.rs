//! The table of TCP and TLS connections: who is connected, how many, and which connection a
//! message to a peer uses. Workers call `send`, which never waits; the tasks in `connection.rs`
//! do the reading and writing.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use sip::transport::{Path, Transmit, Transport};
use switch::guard::Guard;
use tokio::sync::{Notify, mpsc};

use super::connection::{self, Opened};
use super::tls::TlsClient;

/// What became of a message that a connection delivered.
#[derive(Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It is on its way to its shard.
    Taken,
    /// It is answered already, with this.
    Answered(Bytes),
    /// The shard's mailbox is full: offer it again, and read nothing from the peer meanwhile.
    Later(Bytes),
}

/// Where messages and news of connections go.
pub trait Sink: Send + Sync + 'static {
    /// One whole message, or the broken rest of a stream.
    fn message(&self, path: Path, bytes: Bytes) -> Delivery;
    /// Nothing more will be sent or received on this path. With `connection` 0: what was sent
    /// without naming a connection is lost.
    fn path_failed(&self, path: Path);
    /// Nothing was heard on this path for the idle limit. Whoever needs it calls
    /// [`Streams::keep`], soon. `false` if not everybody could be asked.
    fn path_idle(&self, path: Path) -> bool;
}

/// What a peer may make us hold.
#[derive(Clone, Debug)]
pub struct StreamLimits {
    /// Open connections in all, incoming ones.
    pub connections_max: usize,
    /// Open connections of one address, incoming ones.
    pub connections_per_address_max: usize,
    /// Without a byte for this long a connection is closed, unless a call or a registration needs
    /// it. The kernel finds out whether its peer is there.
    pub idle: Duration,
    /// From accepting to the first complete message, TLS handshake included.
    pub first_message: Duration,
    /// From the first byte of a message to its last.
    pub message: Duration,
    /// Opening a connection, TLS handshake included.
    pub connect: Duration,
    /// One write; a peer that reads nothing for so long is gone.
    pub write: Duration,
    /// On connections that we opened: a keep-alive (RFC 5626 section 3.5.1) after this silence.
    pub ping: Duration,
    /// The largest message.
    pub message_bytes_max: usize,
    /// Bytes waiting to be written to one peer, with 64 for each message.
    pub output_bytes_max: usize,
}

impl Default for StreamLimits {
    fn default() -> StreamLimits {
        StreamLimits {
            connections_max: 10_000,
            connections_per_address_max: 200,
            idle: Duration::from_secs(600),
            first_message: Duration::from_secs(10),
            message: Duration::from_secs(10),
            connect: Duration::from_secs(5),
            write: Duration::from_secs(10),
            ping: Duration::from_secs(60),
            message_bytes_max: 65_536,
            output_bytes_max: 1 << 20,
        }
    }
}

/// What happened on all connections, for the metrics.
#[derive(Debug, Default)]
pub struct StreamCounts {
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Connections opened by us.
    pub opened: AtomicU64,
    /// Connections refused for a limit or a ban.
    pub refused: AtomicU64,
    /// Connections that we tried to open in vain, or that broke off.
    pub failed: AtomicU64,
    /// Connections closed because the peer was too slow, silent or malformed.
    pub expelled: AtomicU64,
    /// Messages received.
    pub received: AtomicU64,
    /// Messages queued for sending.
    pub sent: AtomicU64,
}

/// What a message costs in a queue besides its bytes: else a peer that sends pings and reads
/// nothing would fill the queue with pongs of two bytes.
const QUEUED_BYTES: usize = 64;

/// The half of a connection that senders see.
pub(super) struct Output {
    queue: mpsc::UnboundedSender<Bytes>,
    /// Bytes in `queue`, with `QUEUED_BYTES` for each message.
    waiting: AtomicUsize,
    pub(super) close: Notify,
    is_closing: AtomicBool,
    /// Somebody needs the connection though it is silent.
    is_kept: AtomicBool,
}

impl Output {
    /// Queues a message. If the peer reads too slowly the connection ends instead; `false` the
    /// first time.
    fn push(&self, bytes: Bytes, bytes_max: usize) -> bool {
        let cost = bytes.len() + QUEUED_BYTES;
        let waiting = self.waiting.fetch_add(cost, Ordering::Relaxed) + cost;
        if waiting > bytes_max {
            self.waiting.fetch_sub(cost, Ordering::Relaxed);
            self.close.notify_one();
            return self.is_closing.swap(true, Ordering::Relaxed);
        }
        // The task may just have ended; it then reports the path itself.
        let _ = self.queue.send(bytes);
        true
    }

    /// Whether somebody said so since the last time.
    pub(super) fn take_kept(&self) -> bool {
        self.is_kept.swap(false, Ordering::Relaxed)
    }

    /// So many bytes in so many messages are written.
    pub(super) fn written(&self, bytes: usize, messages: usize) {
        self.waiting.fetch_sub(bytes + messages * QUEUED_BYTES, Ordering::Relaxed);
    }
}

struct Entry {
    path: Path,
    is_incoming: bool,
    output: Arc<Output>,
}

#[derive(Default)]
struct Table {
    newest: u32,
    incoming: usize,
    connections: HashMap<u32, Entry>,
    by_remote: HashMap<(Transport, SocketAddr), u32>,
    by_address: HashMap<IpAddr, usize>,
}

/// All connections of the process; clones share it.
#[derive(Clone)]
pub struct Streams {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    table: Mutex<Table>,
    pub(super) limits: StreamLimits,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) guard: Arc<Guard>,
    pub(super) counts: StreamCounts,
    pub(super) tls: TlsClient,
    /// The addresses our listeners are bound to, by number: new connections leave from there.
    pub(super) local: Vec<SocketAddr>,
    runtime: tokio::runtime::Handle,
}

impl Streams {
    /// An empty table. `local` are the bound addresses of all listeners in order.
    pub fn new(
        limits: StreamLimits,
        sink: Arc<dyn Sink>,
        guard: Arc<Guard>,
        tls: TlsClient,
        local: Vec<SocketAddr>,
        runtime: tokio::runtime::Handle,
    ) -> Streams {
        let table = Mutex::new(Table::default());
        let counts = StreamCounts::default();
        let shared = Shared { table, limits, sink, guard, counts, tls, local, runtime };
        Streams { shared: Arc::new(shared) }
    }

    /// Counts since the start.
    pub fn counts(&self) -> &StreamCounts {
        &self.shared.counts
    }

    /// Open connections now.
    pub fn open(&self) -> usize {
        self.shared.table().connections.len()
    }

    /// Queues a message on its connection, on another to the same peer, or on a new one. Failure
    /// is reported to the sink, later or at once; this never waits.
    pub fn send(&self, transmit: Transmit) {
        let Transmit { path, bytes } = transmit;
        self.shared.counts.sent.fetch_add(1, Ordering::Relaxed);
        let output = {
            let mut table = self.shared.table();
            match table.find(path) {
                Some(output) => output,
                // The peer's ephemeral port does not listen: a flow that is gone stays gone.
                None if path.connection != 0 => {
                    drop(table);
                    return self.shared.sink.path_failed(path);
                }
                None => self.open_connection(&mut table, path),
            }
        };
        self.shared.queue(path, &output, bytes);
    }

    /// Lets a connection live on though it is idle ([`Sink::path_idle`]).
    pub fn keep(&self, path: Path) {
        if let Some(entry) = self.shared.table().connections.get(&path.connection) {
            entry.output.is_kept.store(true, Ordering::Relaxed);
        }
    }

    /// Makes the entry at once, so that everything sent meanwhile waits for the same connection.
    fn open_connection(&self, table: &mut Table, path: Path) -> Arc<Output> {
        let opened = table.insert(path, false);
        let output = Arc::clone(&opened.output);
        self.shared.counts.opened.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::clone(&self.shared);
        self.shared.runtime.spawn(connection::open(shared, opened));
        output
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Queues a message for a connection; one whose peer reads too slowly is closed.
    pub(super) fn queue(&self, path: Path, output: &Output, bytes: Bytes) {
        if !output.push(bytes, self.limits.output_bytes_max) {
            tracing::info!(remote = %path.remote, "peer reads too slowly, closing");
            self.counts.expelled.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A place in the table for a connection just accepted, unless a limit is reached or the peer is
    /// banned.
    pub(super) fn admit(
        &self,
        transport: Transport,
        listener: u16,
        remote: SocketAddr,
    ) -> Option<Opened> {
        let mut table = self.table();
        let of_address = table.by_address.get(&remote.ip()).copied().unwrap_or(0);
        if self.guard.is_banned(remote)
            || table.incoming >= self.limits.connections_max
            || of_address >= self.limits.connections_per_address_max
        {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        self.counts.accepted.fetch_add(1, Ordering::Relaxed);
        Some(table.insert(Path { transport, listener, connection: 0, remote }, true))
    }

    /// The connection is over: forget it and tell everybody who may wait for it.
    pub(super) fn forget(&self, path: Path) {
        self.table().remove(path.connection);
        self.tls.gone(path.connection);
        // Requests that had it opened, or found it open, know it only by its remote address. They
        // come first: what then tries again has another connection, which is not to be blamed.
        self.sink.path_failed(Path { connection: 0, ..path });
        self.sink.path_failed(path);
    }
}

impl Table {
    fn find(&self, path: Path) -> Option<Arc<Output>> {
        let by_remote = || self.by_remote.get(&(path.transport, path.remote));
        let entry = self
            .connections
            .get(&path.connection)
            .or_else(|| by_remote().and_then(|id| self.connections.get(id)))?;
        Some(Arc::clone(&entry.output))
    }

    fn insert(&mut self, path: Path, is_incoming: bool) -> Opened {
        let id = loop {
            self.newest = self.newest.wrapping_add(1);
            if self.newest != 0 && !self.connections.contains_key(&self.newest) {
                break self.newest;
            }
        };
        let path = Path { connection: id, ..path };
        let (queue, receiver) = mpsc::unbounded_channel();
        let output = Arc::new(Output {
            queue,
            waiting: AtomicUsize::new(0),
            close: Notify::new(),
            is_closing: AtomicBool::new(false),
            is_kept: AtomicBool::new(false),
        });
        self.connections.insert(id, Entry { path, is_incoming, output: Arc::clone(&output) });
        self.by_remote.insert((path.transport, path.remote), id);
        if is_incoming {
            self.incoming += 1;
            *self.by_address.entry(path.remote.ip()).or_default() += 1;
        }
        Opened { path, is_incoming, output, queue: receiver }
    }

    fn remove(&mut self, id: u32) -> Option<Entry> {
        let entry = self.connections.remove(&id)?;
        let remote = (entry.path.transport, entry.path.remote);
        if self.by_remote.get(&remote) == Some(&id) {
            self.by_remote.remove(&remote);
        }
        if entry.is_incoming {
            self.incoming -= 1;
            let address = entry.path.remote.ip();
            let left = self.by_address.get_mut(&address).map(|count| {
                *count -= 1;
                *count
            });
            if left == Some(0) {
                self.by_address.remove(&address);
            }
        }
        Some(entry)
    }
}
