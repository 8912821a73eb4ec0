//! Requests too long for a datagram (RFC 3261 section 18.1.1): they go by TCP, and by datagrams after
//! all if the peer takes no connection. Peers that take none are remembered for a while, because one
//! whose firewall says nothing costs each call the time in which a connection is given up.

use std::net::SocketAddr;
use std::time::Duration;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use memchr::memmem;

use super::table::Kind;
use super::{Endpoint, Listener};
use crate::transaction::{Setting, client, invite_client};
use crate::transport::{Path, Transport};

/// The longest request for a peer to whom the path's MTU is not known, bytes.
const DATAGRAM_BYTES_MAX: usize = 1300;
/// How long a peer that takes no connection gets datagrams of any length.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// So many such peers are remembered; beyond it all are forgotten and learnt again.
const PEERS_MAX: usize = 4096;

/// Peers that take no TCP connections, and until when that is believed.
pub(super) struct NoStreams(HashMap<SocketAddr, Duration, FixedState>);

impl NoStreams {
    pub(super) fn new(seed: u64) -> NoStreams {
        NoStreams(HashMap::with_hasher(FixedState::with_seed(seed)))
    }

    fn has(&self, now: Duration, remote: SocketAddr) -> bool {
        self.0.get(&remote).is_some_and(|until| now < *until)
    }

    fn note(&mut self, now: Duration, remote: SocketAddr) {
        if self.0.len() >= PEERS_MAX {
            self.0.clear();
        }
        self.0.insert(remote, now + REMEMBERED);
    }
}

impl Endpoint {
    /// The stream by which a request of this length goes instead of by the datagrams of `path`.
    pub(super) fn stream_for(&self, now: Duration, path: Path, length: usize) -> Option<Path> {
        if path.transport != Transport::Udp
            || length <= DATAGRAM_BYTES_MAX
            || self.no_streams.has(now, path.remote)
        {
            return None;
        }
        let fits = |listener: &&Listener| {
            listener.transport == Transport::Tcp
                && listener.advertised.starts_with('[') == path.remote.is_ipv6()
        };
        let listener = self.config.listeners.iter().find(fits)?.id;
        Some(Path { transport: Transport::Tcp, listener, connection: 0, remote: path.remote })
    }

    /// Gives a request, and a CANCEL that waits, another way before anything came back: the Via says
    /// so too.
    pub(super) fn change_way(&mut self, index: u32, path: Path) {
        let old_path = self.table.entry(index).path;
        let old = self.via(old_path);
        let new = self.via(path);
        let entry = self.table.entry(index);
        for bytes in [&mut entry.bytes, &mut entry.cancel] {
            if let Some(at) = memmem::find(bytes, &old) {
                *bytes = [&bytes[..at], &new, &bytes[at + old.len()..]].concat().into();
            }
        }
        self.table.redirect(index, path);
    }

    /// The stream that a long request should have taken is not to be had: it goes by datagrams.
    /// `false` if it had no such choice, or something came back already.
    pub(super) fn take_datagrams(&mut self, now: Duration, index: u32) -> bool {
        let kind = self.table.kind(index);
        let entry = self.table.entry(index);
        let Some(listener) = entry.datagrams_of.take() else { return false };
        let remote = entry.path.remote;
        let setting = Setting { timing: &self.config.timing, reliable: false };
        let step = match kind {
            Some(Kind::InviteClient(invite_client::State::Calling { cancel, .. })) => {
                let mut step = invite_client::start(setting);
                if let invite_client::State::Calling { cancel: wanted, .. } = &mut step.next {
                    *wanted = cancel;
                }
                step.map(Kind::InviteClient)
            }
            Some(Kind::Client(client::State::Trying { .. })) => {
                client::start(setting).map(Kind::Client)
            }
            _ => return false,
        };
        self.no_streams.note(now, remote);
        let path = Path { transport: Transport::Udp, listener, connection: 0, remote };
        self.change_way(index, path);
        self.apply_client(now, index, step, None);
        true
    }
}
