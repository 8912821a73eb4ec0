//! Where a message came from and where it goes. No socket: the numbers name listeners and
//! connections that `server` owns.

use std::net::SocketAddr;

use bytes::Bytes;

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Datagrams; transactions retransmit.
    Udp,
    /// A stream.
    Tcp,
    /// A stream inside TLS.
    Tls,
}

impl Transport {
    /// Whether the transport itself retransmits, so that the transaction does not.
    pub fn is_reliable(self) -> bool {
        self != Transport::Udp
    }

    /// The name in a Via header.
    pub fn via_name(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
        }
    }

    /// The name in a `transport=` URI parameter. TLS is asked for by the `sips` scheme or, as most
    /// peers do, by `transport=tls`.
    pub fn uri_name(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        }
    }

    /// The port if none is written (RFC 3261 section 18).
    pub fn default_port(self) -> u16 {
        if self == Transport::Tls { 5061 } else { 5060 }
    }

    /// Reads either name, in any case.
    pub fn from_name(name: &[u8]) -> Option<Transport> {
        [Transport::Udp, Transport::Tcp, Transport::Tls]
            .into_iter()
            .find(|transport| name.eq_ignore_ascii_case(transport.via_name().as_bytes()))
    }
}

/// One way to and from a peer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Path {
    /// The protocol.
    pub transport: Transport,
    /// Our listener, by its number in the configuration.
    pub listener: u16,
    /// The connection; 0 for UDP, and for "open one, or reuse the one that is open".
    pub connection: u32,
    /// The peer.
    pub remote: SocketAddr,
}

/// A message ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// To whom.
    pub path: Path,
    /// The whole message.
    pub bytes: Bytes,
}
