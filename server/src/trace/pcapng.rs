//! Messages as a capture file (pcapng, draft-ietf-opsawg-pcapng), for Wireshark and the like. Each is
//! one packet of raw IP and UDP, whatever it came by: so a reader sees whole messages, also those of TLS
//! connections. By what it came stands in the packet's comment, and in its Via.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::message::Passed;

/// Packets begin with their IP header (LINKTYPE_RAW).
const LINKTYPE_RAW: u16 = 101;
/// The block types and options of the format.
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const OPT_COMMENT: u16 = 1;
const SHB_USERAPPL: u16 = 4;
/// The most that fits behind the headers of an IPv4 packet.
const PAYLOAD_MAX: usize = 65_535 - 28;

/// The file.
pub(super) fn file(messages: &[Passed], application: &str) -> Vec<u8> {
    let mut file =
        Vec::with_capacity(64 + messages.iter().map(|m| m.bytes.len() + 128).sum::<usize>());
    let mut body = Vec::new();
    body.extend(0x1a2b_3c4d_u32.to_le_bytes());
    body.extend(1_u16.to_le_bytes());
    body.extend(0_u16.to_le_bytes());
    // The section's length is not said.
    body.extend(u64::MAX.to_le_bytes());
    option(&mut body, SHB_USERAPPL, application.as_bytes());
    end_of_options(&mut body);
    block(&mut file, SECTION_HEADER, &body);
    // No snapshot limit; microseconds, which is what is meant if nothing is said.
    let interface = [LINKTYPE_RAW.to_le_bytes(), [0; 2], [0; 2], [0; 2]].concat();
    block(&mut file, INTERFACE_DESCRIPTION, &interface);
    for message in messages {
        packet(&mut file, message);
    }
    file
}

fn packet(file: &mut Vec<u8>, message: &Passed) {
    let payload = &message.bytes[..message.bytes.len().min(PAYLOAD_MAX)];
    let bytes = datagram(message.source(), message.destination(), payload);
    let micros = u64::try_from(message.at.0).unwrap_or(0);
    let cut = message.bytes.len() - payload.len();
    let mut body = Vec::with_capacity(bytes.len() + 48);
    body.extend(0_u32.to_le_bytes());
    body.extend(((micros >> 32) as u32).to_le_bytes());
    body.extend((micros as u32).to_le_bytes());
    for length in [bytes.len(), bytes.len() + cut] {
        body.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    }
    body.extend(&bytes);
    pad(&mut body);
    option(&mut body, OPT_COMMENT, message.transport.via_name().as_bytes());
    end_of_options(&mut body);
    block(file, ENHANCED_PACKET, &body);
}

fn block(file: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let length = u32::try_from(body.len() + 12).expect("a message is far shorter").to_le_bytes();
    file.extend(kind.to_le_bytes());
    file.extend(length);
    file.extend(body);
    file.extend(length);
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend(code.to_le_bytes());
    body.extend(u16::try_from(value.len()).expect("a few words").to_le_bytes());
    body.extend(value);
    pad(body);
}

fn end_of_options(body: &mut Vec<u8>) {
    body.extend([0; 4]);
}

/// Everything is aligned to 32 bits.
fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

/// A UDP datagram in an IP packet.
fn datagram(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 8).expect("cut to size");
    let mut udp = Vec::with_capacity(payload.len() + 8);
    for word in [from.port(), to.port(), length, 0] {
        udp.extend(word.to_be_bytes());
    }
    udp.extend(payload);
    // A wildcard listener of one family may have peers of the other, as IPv4 in IPv6.
    match (from.ip().to_canonical(), to.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => in_ipv4(from, to, udp),
        (from, to) => in_ipv6(v6(from), v6(to), udp),
    }
}

fn v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

fn in_ipv4(from: Ipv4Addr, to: Ipv4Addr, mut udp: Vec<u8>) -> Vec<u8> {
    let addresses = [from.octets(), to.octets()].concat();
    checksum_udp(&mut udp, &addresses);
    let length = u16::try_from(udp.len() + 20).unwrap_or(u16::MAX).to_be_bytes();
    let mut packet = vec![0x45, 0, length[0], length[1], 0, 0, 0x40, 0, 64, 17, 0, 0];
    packet.extend(&addresses);
    let sum = checksum(&[&packet]).to_be_bytes();
    packet[10..12].copy_from_slice(&sum);
    packet.append(&mut udp);
    packet
}

fn in_ipv6(from: Ipv6Addr, to: Ipv6Addr, mut udp: Vec<u8>) -> Vec<u8> {
    let addresses = [from.octets(), to.octets()].concat();
    checksum_udp(&mut udp, &addresses);
    let length = u16::try_from(udp.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, length[0], length[1], 17, 64];
    packet.extend(&addresses);
    packet.append(&mut udp);
    packet
}

/// RFC 768: over a pseudo header, the UDP header and the payload.
fn checksum_udp(udp: &mut [u8], addresses: &[u8]) {
    let length = (udp.len() as u32).to_be_bytes();
    let sum = checksum(&[addresses, &length, &[0, 17], udp]);
    // Zero would mean that there is none.
    let sum = if sum == 0 { u16::MAX } else { sum };
    udp[6..8].copy_from_slice(&sum.to_be_bytes());
}

/// RFC 1071. Every part but the last has an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum: u32 = 0;
    for pair in parts.iter().flat_map(|part| part.chunks(2)) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use bytes::Bytes;
    use sip::transport::Transport;
    use vocabulary::Utc;

    use super::super::message::Way;
    use super::*;

    fn message(way: Way, local: &str, remote: &str, text: &str) -> Passed {
        Passed {
            at: Utc(1_790_000_000_123_456),
            way,
            transport: Transport::Tls,
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
            bytes: Bytes::from(text.to_owned()),
        }
    }

    #[test]
    fn the_bytes_of_a_packet_are_those_of_the_standards() {
        let from: SocketAddr = "192.0.2.1:5060".parse().unwrap();
        let to: SocketAddr = "198.51.100.2:5080".parse().unwrap();
        let packet = datagram(from, to, b"hi");
        let expected = [
            0x45, 0, 0, 30, 0, 0, 0x40, 0, 64, 17, 0x4e, 0x98, 192, 0, 2, 1, 198, 51, 100,
            2, // IPv4
            0x13, 0xc4, 0x13, 0xd8, 0, 10, 0x83, 0x9d, b'h', b'i', // UDP
        ];
        assert_eq!(packet, expected);
        // What is received whole sums up to nothing (RFC 1071).
        assert_eq!(checksum(&[&packet[..20]]), 0);
        assert_eq!(checksum(&[&packet[12..20], &[0, 0, 0, 10, 0, 17], &packet[20..]]), 0);
    }

    #[test]
    fn blocks_are_aligned_and_say_their_length_twice() {
        let all: Vec<Passed> = (1..9)
            .map(|length| message(Way::In, "192.0.2.9:5060", "192.0.2.1:5060", &"x".repeat(length)))
            .collect();
        let file = file(&all, "Tandem");
        let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        let (mut at, mut kinds) = (0, Vec::new());
        while at < file.len() {
            let length = word(at + 4) as usize;
            assert_eq!((length % 4, word(at + length - 4) as usize), (0, length));
            kinds.push(word(at));
            at += length;
        }
        assert_eq!(kinds[..3], [SECTION_HEADER, INTERFACE_DESCRIPTION, ENHANCED_PACKET]);
        assert_eq!((at, kinds.len()), (file.len(), 10));
    }

    #[test]
    fn what_is_too_long_for_a_packet_is_cut_and_says_so() {
        let long = message(Way::In, "[::1]:5061", "[2001:db8::1]:5061", &"x".repeat(70_000));
        let file = file(&[long], "Tandem");
        assert!(file.len() < 66_000);
    }

    /// V-39: the tool for which the file is made reads it back. `None` where it is not installed.
    fn tshark(messages: &[Passed]) -> Option<String> {
        let path = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(path.path(), file(messages, "Tandem")).unwrap();
        let fields = [
            "frame.time_epoch",
            "ip.src",
            "ipv6.src",
            "udp.dstport",
            "sip.Call-ID",
            "sip.Request-Line",
            "sip.Status-Line",
            "frame.comment",
            "_ws.malformed",
        ];
        let mut command = Command::new("tshark");
        command.arg("-r").arg(path.path()).args(["-T", "fields", "-E", "separator=|"]);
        command.args(["-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]);
        for field in fields {
            command.args(["-e", field]);
        }
        command.args(["-e", "udp.checksum.status"]);
        let output = command.output().ok()?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn wireshark_reads_it_back() {
        let request = "OPTIONS sip:b@192.0.2.9 SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.1;branch=z9hG4bK1\r\n\
                       From: <sip:a@b>;tag=1\r\nTo: <sip:b@b>\r\nCall-ID: one\r\nCSeq: 1 OPTIONS\r\n\
                       Content-Length: 0\r\n\r\n";
        let answer = request.replacen("OPTIONS sip:b@192.0.2.9 SIP/2.0", "SIP/2.0 200 OK", 1);
        let messages = [
            message(Way::In, "192.0.2.9:5061", "192.0.2.1:40000", request),
            message(Way::Out, "192.0.2.9:5061", "192.0.2.1:40000", &answer),
            message(Way::In, "[2001:db8::9]:5060", "[2001:db8::1]:5060", request),
        ];
        let Some(text) = tshark(&messages) else { return };
        let lines: Vec<&str> = text.lines().collect();
        let at = "1790000000.123456000";
        let ask = "OPTIONS sip:b@192.0.2.9 SIP/2.0";
        assert_eq!(
            lines,
            [
                format!("{at}|192.0.2.1||5061|one|{ask}||TLS||1"),
                format!("{at}|192.0.2.9||40000|one||SIP/2.0 200 OK|TLS||1"),
                format!("{at}||2001:db8::1|5060|one|{ask}||TLS||1"),
            ]
        );
    }
}
