//! All transactions of an endpoint: a slab, and for the server side an index by a keyed hash of
//! what RFC 3261 section 17.2.3 matches by. Client transactions need no index: the branch that we
//! mint names the slot.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use foldhash::quality::FixedState;
use hashbrown::{HashMap, HashTable};

use crate::message::{Message, Method};
use crate::timer_wheel::TimerKey;
use crate::transaction::key::{self, Keys};
use crate::transaction::{Timer, client, invite_client, invite_server, server};
use crate::transport::Path;

/// A client transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientTx {
    pub(super) index: u32,
    pub(super) generation: u32,
}

/// A server transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServerTx {
    pub(super) index: u32,
    pub(super) generation: u32,
}

/// Which machine a transaction is, and its state.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Client(client::State),
    InviteClient(invite_client::State),
    Server(server::State),
    InviteServer(invite_server::State),
}

/// One transaction. Only what its state still needs is kept in `bytes`.
pub(super) struct Entry {
    pub(super) generation: u32,
    /// `None`: the slot is free.
    pub(super) kind: Option<Kind>,
    /// Client: the token in our branch. Server: the key in the index.
    pub(super) key: u64,
    pub(super) user: u64,
    /// Where its messages go.
    pub(super) path: Path,
    /// Client: the request, later its ACK. Server: the request until the first response (for our
    /// own 100), then the newest response.
    pub(super) bytes: Bytes,
    /// The CANCEL, once it is wanted.
    pub(super) cancel: Bytes,
    pub(super) repeat: TimerKey,
    pub(super) limit: TimerKey,
    pub(super) is_cancelled: bool,
    /// Client: the listener of the datagrams that it would have taken, had it been shorter.
    pub(super) datagrams_of: Option<u16>,
    /// Server: the port that the request came from.
    pub(super) source_port: u16,
    /// Server: the port in Via, where a connection leads that replaces a broken one.
    pub(super) via_port: u16,
}

/// Which of the two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Repeat,
    Limit,
}

/// What the wheel holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alarm {
    pub(super) index: u32,
    pub(super) generation: u32,
    pub(super) which: Which,
    pub(super) timer: Timer,
}

pub(super) struct Table {
    entries: Vec<Entry>,
    free: Vec<u32>,
    /// Finds a server transaction by its key, which the entry holds.
    servers: HashTable<u32>,
    keys: Keys,
    /// How many transactions use a stream to this peer, so that the end of a connection that none
    /// uses costs nothing.
    streams: HashMap<SocketAddr, u32, FixedState>,
    /// The same for datagrams; clients only, because nothing else hears of such a failure, and
    /// because strangers cannot make any.
    receivers: HashMap<SocketAddr, Receiver, FixedState>,
}

/// A peer to whom our requests are on the way as datagrams.
#[derive(Default)]
struct Receiver {
    count: u32,
    scanned_at: Option<Duration>,
}

/// Scans for the transactions to one peer are at least this far apart: each datagram of ours can
/// provoke an ICMP error of its own.
const SCAN_INTERVAL: Duration = Duration::from_millis(50);

impl Table {
    pub(super) fn new(seed: u64) -> Table {
        Table {
            entries: Vec::new(),
            free: Vec::new(),
            servers: HashTable::new(),
            keys: Keys::new(seed),
            streams: HashMap::with_hasher(FixedState::with_seed(seed)),
            receivers: HashMap::with_hasher(FixedState::with_seed(seed)),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    pub(super) fn kind(&self, index: u32) -> Option<Kind> {
        self.entries.get(index as usize)?.kind
    }

    pub(super) fn is_reliable(&self, index: u32) -> bool {
        self.entries[index as usize].path.transport.is_reliable()
    }

    pub(super) fn entry(&mut self, index: u32) -> &mut Entry {
        &mut self.entries[index as usize]
    }

    pub(super) fn client_mut(&mut self, tx: ClientTx) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(tx.index as usize)?;
        (entry.generation == tx.generation && entry.kind.is_some()).then_some(entry)
    }

    pub(super) fn server_mut(&mut self, tx: ServerTx) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(tx.index as usize)?;
        (entry.generation == tx.generation && entry.kind.is_some()).then_some(entry)
    }

    /// Whether this alarm is still meant; forgets the timer's key.
    pub(super) fn has_fired(&mut self, alarm: Alarm) -> bool {
        let Some(entry) = self.entries.get_mut(alarm.index as usize) else { return false };
        if entry.generation != alarm.generation || entry.kind.is_none() {
            return false;
        }
        match alarm.which {
            Which::Repeat => entry.repeat = TimerKey::NONE,
            Which::Limit => entry.limit = TimerKey::NONE,
        }
        true
    }

    pub(super) fn insert(&mut self, kind: Kind, key: u64, path: Path, user: u64) -> u32 {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.entries.len()).expect("bounded by the limit");
                self.entries.push(Entry {
                    generation: 0,
                    kind: None,
                    key: 0,
                    user: 0,
                    path,
                    bytes: Bytes::new(),
                    cancel: Bytes::new(),
                    repeat: TimerKey::NONE,
                    limit: TimerKey::NONE,
                    is_cancelled: false,
                    datagrams_of: None,
                    source_port: 0,
                    via_port: 0,
                });
                index
            }
        };
        let entry = &mut self.entries[index as usize];
        entry.kind = Some(kind);
        entry.key = key;
        entry.user = user;
        entry.path = path;
        entry.is_cancelled = false;
        entry.datagrams_of = None;
        if matches!(kind, Kind::Server(_) | Kind::InviteServer(_)) {
            let entries = &self.entries;
            self.servers.insert_unique(key, index, |&index| entries[index as usize].key);
        }
        self.count_peer(is_client(kind), path);
        index
    }

    /// Frees a slot whose timers are disarmed.
    pub(super) fn remove(&mut self, index: u32) {
        let entry = &mut self.entries[index as usize];
        if matches!(entry.kind, Some(Kind::Server(_) | Kind::InviteServer(_)))
            && let Ok(found) = self.servers.find_entry(entry.key, |&other| other == index)
        {
            found.remove();
        }
        let (path, is_client) = (entry.path, entry.kind.is_some_and(is_client));
        entry.kind = None;
        entry.bytes = Bytes::new();
        entry.cancel = Bytes::new();
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(index);
        self.uncount_peer(is_client, path);
    }

    fn count_peer(&mut self, is_client: bool, path: Path) {
        if path.transport.is_reliable() {
            *self.streams.entry(path.remote).or_insert(0) += 1;
        } else if is_client {
            self.receivers.entry(path.remote).or_default().count += 1;
        }
    }

    fn uncount_peer(&mut self, is_client: bool, path: Path) {
        if path.transport.is_reliable() {
            if let Some(count) = self.streams.get_mut(&path.remote) {
                *count -= 1;
                if *count == 0 {
                    self.streams.remove(&path.remote);
                }
            }
        } else if is_client && let Some(receiver) = self.receivers.get_mut(&path.remote) {
            receiver.count -= 1;
            if receiver.count == 0 {
                self.receivers.remove(&path.remote);
            }
        }
    }

    /// Whether to look for transactions on a failed datagram path: only if there are any, and not
    /// too often.
    pub(super) fn is_scan_due(&mut self, now: Duration, path: Path) -> bool {
        let Some(receiver) = self.receivers.get_mut(&path.remote) else { return false };
        let is_due = receiver.scanned_at.is_none_or(|at| now >= at + SCAN_INTERVAL);
        if is_due {
            receiver.scanned_at = Some(now);
        }
        is_due
    }

    /// From now on the messages of this transaction take another way.
    pub(super) fn redirect(&mut self, index: u32, path: Path) {
        let entry = &mut self.entries[index as usize];
        let old = std::mem::replace(&mut entry.path, path);
        let is_client = entry.kind.is_some_and(is_client);
        self.uncount_peer(is_client, old);
        self.count_peer(is_client, path);
    }

    pub(super) fn find_server(&self, key: u64) -> Option<u32> {
        self.servers.find(key, |&index| self.entries[index as usize].key == key).copied()
    }

    /// What finds the transaction of a request.
    pub(super) fn server_key(&self, request: &Message, method: Method<'_>) -> u64 {
        self.keys.server(request, method)
    }

    /// Every transaction that uses this connection, or with `connection` 0 those that left it open
    /// by which they go to this peer.
    pub(super) fn on_path(&self, path: Path) -> Vec<u32> {
        if path.transport.is_reliable() && !self.streams.contains_key(&path.remote) {
            return Vec::new();
        }
        let same = |entry: &Entry| {
            entry.kind.is_some()
                && entry.path.transport == path.transport
                && entry.path.remote == path.remote
                && entry.path.connection == path.connection
        };
        let found = self.entries.iter().enumerate().filter(|(_, entry)| same(entry));
        found.map(|(index, _)| index as u32).collect()
    }

    /// A number that nobody can guess.
    pub(super) fn next_token(&mut self) -> u64 {
        self.keys.mint()
    }

    /// Appends the branch of the client transaction in this slot.
    pub(super) fn write_branch(&self, out: &mut Vec<u8>, index: u32) {
        key::write_branch(out, index, self.entries[index as usize].key);
    }

    /// Appends a branch that names no slot.
    pub(super) fn write_stateless_branch(&mut self, out: &mut Vec<u8>) {
        key::write_branch(out, u32::MAX, self.keys.mint());
    }

    /// The same for a request and its retransmissions.
    pub(super) fn stateless_tag(&self, call_id: &[u8]) -> String {
        format!("{:016x}", self.keys.derive(call_id))
    }

    /// The client transaction that a branch of ours names.
    pub(super) fn find_client(&self, branch: &[u8]) -> Option<u32> {
        let (index, token) = key::read_branch(branch)?;
        let entry = self.entries.get(index as usize)?;
        let is_client = matches!(entry.kind, Some(Kind::Client(_) | Kind::InviteClient(_)));
        (is_client && entry.key == token).then_some(index)
    }

    pub(super) fn client_tx(&self, index: u32) -> ClientTx {
        ClientTx { index, generation: self.entries[index as usize].generation }
    }

    pub(super) fn server_tx(&self, index: u32) -> ServerTx {
        ServerTx { index, generation: self.entries[index as usize].generation }
    }
}

fn is_client(kind: Kind) -> bool {
    matches!(kind, Kind::Client(_) | Kind::InviteClient(_))
}
