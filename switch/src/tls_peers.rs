//! What TLS handshakes have told of peers: whose certificate the peer of a connection has proved to
//! have, and which certificates were refused, and why. Who does the handshakes writes it, calls ask.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use sip::transport::{Path, Transport};

/// Peers whose refused certificates are remembered; beyond it all are forgotten, and told anew by
/// the next that fails.
const REFUSED_MAX: usize = 1_000;

/// Shared by all shards and by whoever does the handshakes.
#[derive(Debug, Default)]
pub struct TlsPeers {
    /// By the number of the connection; of those whose peers have shown a certificate.
    names: RwLock<BTreeMap<u32, Arc<[Box<str>]>>>,
    refused: Mutex<BTreeMap<SocketAddr, Arc<str>>>,
}

impl TlsPeers {
    /// The peer of this connection has the key of a verified certificate with these names, in lower
    /// case (RFC 5922). They are kept until the connection is [`TlsPeers::gone`].
    pub fn named(&self, connection: u32, names: Vec<Box<str>>) {
        if !names.is_empty() {
            let mut all = self.names.write().unwrap_or_else(PoisonError::into_inner);
            all.insert(connection, names.into());
        }
    }

    /// The connection is over.
    pub fn gone(&self, connection: u32) {
        self.names.write().unwrap_or_else(PoisonError::into_inner).remove(&connection);
    }

    /// Who sends on this path, by certificate.
    pub fn names(&self, path: Path) -> Option<Arc<[Box<str>]>> {
        if path.transport != Transport::Tls {
            return None;
        }
        let all = self.names.read().unwrap_or_else(PoisonError::into_inner);
        all.get(&path.connection).cloned()
    }

    /// The certificate of this peer was refused: why, and what to do about it, without a full stop.
    pub fn refused(&self, remote: SocketAddr, why: &str) {
        let mut refused = self.lock();
        if refused.len() >= REFUSED_MAX {
            refused.clear();
        }
        refused.insert(remote, why.into());
    }

    /// Its certificate is good, or it did not come to that.
    pub fn not_refused(&self, remote: SocketAddr) {
        self.lock().remove(&remote);
    }

    /// Why nothing went there, if it was for the certificate. Asked only when something failed.
    pub(crate) fn why_refused(&self, path: Path) -> Option<Arc<str>> {
        if path.transport != Transport::Tls {
            return None;
        }
        self.lock().get(&path.remote).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Arc<str>>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(port: u16) -> SocketAddr {
        ([192, 0, 2, 1], port).into()
    }

    fn path(transport: Transport, port: u16) -> Path {
        Path { transport, listener: 0, connection: 0, remote: remote(port) }
    }

    #[test]
    fn names_go_with_their_connection() {
        let peers = TlsPeers::default();
        let by = |transport, connection| Path { connection, ..path(transport, 1) };
        peers.named(7, vec!["carrier.example".into()]);
        peers.named(8, Vec::new());
        let names = peers.names(by(Transport::Tls, 7));
        assert_eq!(names.as_deref(), Some(&["carrier.example".into()][..]));
        assert_eq!(peers.names(by(Transport::Tls, 8)), None);
        assert_eq!(peers.names(by(Transport::Tcp, 7)), None);
        peers.gone(7);
        assert_eq!(peers.names(by(Transport::Tls, 7)), None);
    }

    #[test]
    fn a_refusal_is_remembered_until_a_certificate_is_good() {
        let peers = TlsPeers::default();
        peers.refused(remote(1), "it has expired");
        assert_eq!(peers.why_refused(path(Transport::Tls, 1)).as_deref(), Some("it has expired"));
        assert_eq!(peers.why_refused(path(Transport::Tcp, 1)), None);
        assert_eq!(peers.why_refused(path(Transport::Tls, 2)), None);
        peers.not_refused(remote(1));
        assert_eq!(peers.why_refused(path(Transport::Tls, 1)), None);
    }

    #[test]
    fn peers_make_it_grow_to_its_limit_only() {
        let peers = TlsPeers::default();
        for port in 0..5_000 {
            peers.refused(remote(port), "no");
            assert!(peers.lock().len() <= REFUSED_MAX);
        }
    }
}
