//! All transactions of an endpoint: a slab, and for the server side an index by a keyed hash of
//! what RFC 3261 section 17.2.3 matches by. Client transactions need no index: the branch that we
//! mint names the slot.

use std::hash::{BuildHasher, Hasher};

use bytes::Bytes;
use foldhash::fast::FixedState;
use foldhash::quality;
use hashbrown::HashMap;

use crate::message::{Message, Method};
use crate::timer_wheel::TimerKey;
use crate::transaction::{Timer, client, invite_client, invite_server, server};
use crate::transport::Path;

const COOKIE: &[u8] = b"z9hG4bK";

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
    /// Client: the request, later its ACK. Server: the newest response.
    pub(super) bytes: Bytes,
    /// The CANCEL, once it is wanted.
    pub(super) cancel: Bytes,
    pub(super) repeat: TimerKey,
    pub(super) limit: TimerKey,
    pub(super) is_cancelled: bool,
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
    servers: HashMap<u64, u32, FixedState>,
    hasher: quality::FixedState,
    random: u64,
}

impl Table {
    pub(super) fn new(seed: u64) -> Table {
        Table {
            entries: Vec::new(),
            free: Vec::new(),
            servers: HashMap::with_hasher(FixedState::with_seed(seed)),
            hasher: quality::FixedState::with_seed(seed.rotate_left(32) ^ 0x5170),
            random: seed,
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
        if matches!(kind, Kind::Server(_) | Kind::InviteServer(_)) {
            self.servers.insert(key, index);
        }
        index
    }

    /// Frees a slot whose timers are disarmed.
    pub(super) fn remove(&mut self, index: u32) {
        let entry = &mut self.entries[index as usize];
        if matches!(entry.kind, Some(Kind::Server(_) | Kind::InviteServer(_)))
            && self.servers.get(&entry.key) == Some(&index)
        {
            self.servers.remove(&entry.key);
        }
        entry.kind = None;
        entry.bytes = Bytes::new();
        entry.cancel = Bytes::new();
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(index);
    }

    pub(super) fn find_server(&self, key: u64) -> Option<u32> {
        self.servers.get(&key).copied()
    }

    /// Section 17.2.3: branch, sent-by and method; for RFC 2543 peers what identified a request
    /// then. ACK and CANCEL are looked up with the method of the INVITE they belong to.
    pub(super) fn server_key(&self, request: &Message, method: Method<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        let mut field = |bytes: &[u8]| {
            hasher.write_usize(bytes.len());
            hasher.write(bytes);
        };
        let via = request.top_via();
        let branch = via.as_ref().and_then(|via| via.branch()).unwrap_or_default();
        if let Some(via) = &via {
            field(via.host());
            field(&via.port().unwrap_or_default().to_le_bytes());
        }
        field(method.as_bytes());
        field(branch);
        // A peer that reuses a branch for another call is caught by these, at no risk: both are
        // the same in a request, its retransmission, its ACK and its CANCEL.
        field(request.call_id());
        field(&request.cseq().0.to_le_bytes());
        if !branch.starts_with(COOKIE) {
            field(request.from_tag().unwrap_or_default());
        }
        hasher.finish()
    }

    /// Every transaction towards this peer over this transport.
    pub(super) fn on_path(&self, path: Path) -> Vec<u32> {
        let same = |entry: &Entry| {
            entry.kind.is_some()
                && entry.path.transport == path.transport
                && entry.path.remote == path.remote
                && (path.connection == 0
                    || entry.path.connection == 0
                    || entry.path.connection == path.connection)
        };
        let found = self.entries.iter().enumerate().filter(|(_, entry)| same(entry));
        found.map(|(index, _)| index as u32).collect()
    }

    /// SplitMix64: unpredictable enough for a branch, and a seed makes it repeatable.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn next_token(&mut self) -> u64 {
        self.next_random() >> 16
    }

    pub(super) fn branch(&self, index: u32) -> String {
        let entry = &self.entries[index as usize];
        format!("z9hG4bK{index:x}.{:x}.{:x}", entry.generation, entry.key)
    }

    pub(super) fn stateless_branch(&mut self) -> String {
        format!("z9hG4bK{:x}", self.next_random())
    }

    /// The same for a request and its retransmissions.
    pub(super) fn stateless_tag(&self, call_id: &[u8]) -> String {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(call_id);
        format!("{:x}", hasher.finish())
    }

    /// The client transaction that a branch of ours names.
    pub(super) fn find_client(&self, branch: &[u8]) -> Option<u32> {
        let text = std::str::from_utf8(branch.strip_prefix(COOKIE)?).ok()?;
        let mut parts = text.split('.');
        let index = u32::from_str_radix(parts.next()?, 16).ok()?;
        let generation = u32::from_str_radix(parts.next()?, 16).ok()?;
        let token = u64::from_str_radix(parts.next()?, 16).ok()?;
        let entry = self.entries.get(index as usize)?;
        let is_client = matches!(entry.kind, Some(Kind::Client(_) | Kind::InviteClient(_)));
        (is_client && entry.generation == generation && entry.key == token).then_some(index)
    }

    pub(super) fn client_tx(&self, index: u32) -> ClientTx {
        ClientTx { index, generation: self.entries[index as usize].generation }
    }

    pub(super) fn server_tx(&self, index: u32) -> ServerTx {
        ServerTx { index, generation: self.entries[index as usize].generation }
    }
}
