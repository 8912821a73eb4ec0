//! Messages for Homer: HEP version 3, each in one datagram. Nothing is waited for: what the network does
//! not take at once is lost, and counted.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};

use sip::transport::Transport;

use super::message::Passed;

/// "Generic" chunks.
const VENDOR: u16 = 0;
const IP_FAMILY: u16 = 0x01;
const IP_PROTOCOL: u16 = 0x02;
const IPV4_SOURCE: u16 = 0x03;
const IPV4_DESTINATION: u16 = 0x04;
const IPV6_SOURCE: u16 = 0x05;
const IPV6_DESTINATION: u16 = 0x06;
const SOURCE_PORT: u16 = 0x07;
const DESTINATION_PORT: u16 = 0x08;
const SECONDS: u16 = 0x09;
const MICROSECONDS: u16 = 0x0a;
const PROTOCOL_TYPE: u16 = 0x0b;
const CAPTURE_ID: u16 = 0x0c;
const AUTHENTICATION_KEY: u16 = 0x0e;
const PAYLOAD: u16 = 0x0f;
const CORRELATION_ID: u16 = 0x11;

/// What `IP_FAMILY` and `PROTOCOL_TYPE` say.
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IS_SIP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// The most that a datagram takes.
const DATAGRAM_MAX: usize = 65_507;

/// Sends messages to one Homer.
pub struct Exporter {
    socket: UdpSocket,
    capture_id: u32,
    key: String,
}

impl Exporter {
    /// To `target`, as the capture agent `capture_id`; an empty `key` sends none.
    pub fn to(target: SocketAddr, capture_id: u32, key: &str) -> io::Result<Exporter> {
        let any: IpAddr = match target {
            SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(target)?;
        socket.set_nonblocking(true)?;
        Ok(Exporter { socket, capture_id, key: key.to_owned() })
    }

    /// Sends one message; false if it did not leave. `correlation` is the Call-ID of the caller's leg: by
    /// it Homer shows all legs of a call as one.
    pub(super) fn send(&mut self, message: &Passed, correlation: Option<&[u8]>) -> bool {
        let packet = packet(message, self.capture_id, &self.key, correlation);
        packet.len() <= DATAGRAM_MAX && self.socket.send(&packet).is_ok()
    }
}

fn packet(message: &Passed, capture_id: u32, key: &str, correlation: Option<&[u8]>) -> Vec<u8> {
    let mut packet = Vec::with_capacity(message.bytes.len() + 160);
    packet.extend(b"HEP3\0\0");
    let (from, to) = (message.source(), message.destination());
    let mut chunk = |kind: u16, value: &[u8]| {
        let length = u16::try_from(value.len() + 6).unwrap_or(u16::MAX);
        packet.extend(VENDOR.to_be_bytes());
        packet.extend(kind.to_be_bytes());
        packet.extend(length.to_be_bytes());
        packet.extend(value);
    };
    match (from.ip().to_canonical(), to.ip().to_canonical()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            chunk(IP_FAMILY, &[AF_INET]);
            chunk(IPV4_SOURCE, &source.octets());
            chunk(IPV4_DESTINATION, &destination.octets());
        }
        (source, destination) => {
            chunk(IP_FAMILY, &[AF_INET6]);
            chunk(IPV6_SOURCE, &v6(source).octets());
            chunk(IPV6_DESTINATION, &v6(destination).octets());
        }
    }
    let is_udp = message.transport == Transport::Udp;
    chunk(IP_PROTOCOL, &[if is_udp { UDP } else { TCP }]);
    chunk(SOURCE_PORT, &from.port().to_be_bytes());
    chunk(DESTINATION_PORT, &to.port().to_be_bytes());
    let micros = u64::try_from(message.at.0).unwrap_or(0);
    chunk(SECONDS, &((micros / 1_000_000) as u32).to_be_bytes());
    chunk(MICROSECONDS, &((micros % 1_000_000) as u32).to_be_bytes());
    chunk(PROTOCOL_TYPE, &[IS_SIP]);
    chunk(CAPTURE_ID, &capture_id.to_be_bytes());
    if !key.is_empty() {
        chunk(AUTHENTICATION_KEY, key.as_bytes());
    }
    if let Some(correlation) = correlation {
        chunk(CORRELATION_ID, correlation);
    }
    chunk(PAYLOAD, &message.bytes);
    // One that is longer than this is not sent.
    let length = u16::try_from(packet.len()).unwrap_or(u16::MAX).to_be_bytes();
    packet[4..6].copy_from_slice(&length);
    packet
}

fn v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use vocabulary::Utc;

    use super::super::message::Way;
    use super::*;

    fn message(local: &str, remote: &str, text: &str) -> Passed {
        Passed {
            at: Utc(1_790_000_000_123_456),
            way: Way::In,
            transport: Transport::Tls,
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
            bytes: Bytes::from(text.to_owned()),
        }
    }

    /// The chunks by their kind.
    fn chunks(packet: &[u8]) -> BTreeMap<u16, Vec<u8>> {
        assert_eq!((&packet[..4], packet.len()), (&b"HEP3"[..], word(&packet[4..6]).into()));
        let (mut at, mut chunks) = (6, BTreeMap::new());
        while at < packet.len() {
            let length = usize::from(word(&packet[at + 4..at + 6]));
            chunks.insert(word(&packet[at + 2..at + 4]), packet[at + 6..at + length].to_vec());
            at += length;
        }
        chunks
    }

    fn word(bytes: &[u8]) -> u16 {
        u16::from_be_bytes(bytes.try_into().unwrap())
    }

    #[test]
    fn a_packet_has_what_homer_wants_to_know() {
        let message = message("192.0.2.9:5061", "192.0.2.1:40000", "BYE sip:a SIP/2.0\r\n\r\n");
        let chunks = chunks(&packet(&message, 2001, "key", Some(b"first")));
        let expected: [(u16, &[u8]); 14] = [
            (0x01, &[2]),
            (0x02, &[6]),
            (0x03, &[192, 0, 2, 1]),
            (0x04, &[192, 0, 2, 9]),
            (0x07, &40_000_u16.to_be_bytes()),
            (0x08, &5061_u16.to_be_bytes()),
            (0x09, &1_790_000_000_u32.to_be_bytes()),
            (0x0a, &123_456_u32.to_be_bytes()),
            (0x0b, &[1]),
            (0x0c, &2001_u32.to_be_bytes()),
            (0x0e, b"key"),
            (0x0f, b"BYE sip:a SIP/2.0\r\n\r\n"),
            (0x11, b"first"),
            (0x11, b"first"),
        ];
        assert_eq!(chunks.len(), 13);
        for (kind, value) in expected {
            assert_eq!(chunks[&kind], value, "chunk {kind:#x}");
        }
    }

    #[test]
    fn addresses_of_both_families_are_said() {
        let ours = "[::]:5060";
        let six = chunks(&packet(&message(ours, "[2001:db8::1]:5060", "x"), 1, "", None));
        assert_eq!((six[&0x01][0], six[&0x05].len(), six[&0x06].len()), (10, 16, 16));
        let mixed = chunks(&packet(&message(ours, "[::ffff:192.0.2.1]:5060", "x"), 1, "", None));
        assert_eq!((mixed[&0x01][0], &mixed[&0x05][12..]), (10, &[192, 0, 2, 1][..]));
        assert!(!six.contains_key(&0x0e) && !six.contains_key(&0x11));
    }

    #[test]
    fn what_no_datagram_takes_is_not_sent() {
        let homer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut exporter = Exporter::to(homer.local_addr().unwrap(), 1, "").unwrap();
        let long = message("192.0.2.9:5061", "192.0.2.1:40000", &"x".repeat(65_500));
        assert!(!exporter.send(&long, None));
        let short = message("192.0.2.9:5061", "192.0.2.1:40000", "x");
        assert!(exporter.send(&short, None));
        let mut buffer = [0; 2000];
        let length = homer.recv(&mut buffer).unwrap();
        assert_eq!(chunks(&buffer[..length])[&0x0f], b"x");
    }
}
