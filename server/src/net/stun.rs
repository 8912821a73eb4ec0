//! STUN on the SIP port: a phone behind NAT keeps its way open with Binding requests, and learns from the
//! answers whether it is still the same one (RFC 5626 sections 4.4.2 and 8; the protocol is RFC 8489).

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

const HEADER_LENGTH: usize = 20;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];

const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;

const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000A;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;

/// Attributes above may be left alone by who does not know them (RFC 8489 section 14).
const OPTIONAL_FROM: u16 = 0x8000;
/// Comprehension is required of these too, but a server that asks for no credentials ignores them: USERNAME,
/// MESSAGE-INTEGRITY, REALM, NONCE, and MESSAGE-INTEGRITY-SHA256.
const CREDENTIALS: [u16; 5] = [0x0006, 0x0008, 0x0014, 0x0015, 0x001C];
/// More unknown attributes than these are not listed; nobody who means well sends so many.
const UNKNOWN_MAX: usize = 8;

/// The answer to a datagram that is a STUN Binding request. `None`: it is something else, or STUN that is
/// not answered (indications, responses, other methods, requests of RFC 3489).
pub fn answer(datagram: &[u8], remote: SocketAddr) -> Option<Bytes> {
    let (header, attributes) = datagram.split_first_chunk::<HEADER_LENGTH>()?;
    let [type_high, type_low, length_high, length_low, rest @ ..] = header;
    let (cookie, transaction) = rest.split_first_chunk::<4>()?;
    let length = usize::from(u16::from_be_bytes([*length_high, *length_low]));
    let is_binding = u16::from_be_bytes([*type_high, *type_low]) == BINDING_REQUEST;
    if !is_binding || *cookie != MAGIC_COOKIE || length != attributes.len() || length % 4 != 0 {
        return None;
    }
    let unknown = unknown(attributes)?;
    let mut body = Vec::with_capacity(32);
    let kind = if unknown.is_empty() {
        put(&mut body, XOR_MAPPED_ADDRESS, &xor_mapped(remote, transaction));
        BINDING_SUCCESS
    } else {
        // Class 4, number 20, and its phrase (sections 14.8 and 14.13).
        put(&mut body, ERROR_CODE, b"\0\0\x04\x14Unknown Attribute");
        let listed: Vec<u8> = unknown.into_iter().flat_map(u16::to_be_bytes).collect();
        put(&mut body, UNKNOWN_ATTRIBUTES, &listed);
        BINDING_ERROR
    };
    let mut message = Vec::with_capacity(HEADER_LENGTH + body.len());
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&u16::try_from(body.len()).ok()?.to_be_bytes());
    message.extend_from_slice(&MAGIC_COOKIE);
    message.extend_from_slice(transaction);
    message.extend_from_slice(&body);
    Some(message.into())
}

/// Attributes that have to be understood and are not. `None`: an attribute goes beyond the message.
fn unknown(mut attributes: &[u8]) -> Option<Vec<u16>> {
    let mut unknown = Vec::new();
    while let Some(([a, b, c, d], rest)) = attributes.split_first_chunk::<4>() {
        let kind = u16::from_be_bytes([*a, *b]);
        let length = usize::from(u16::from_be_bytes([*c, *d])).next_multiple_of(4);
        attributes = rest.get(length..)?;
        let is_known = kind >= OPTIONAL_FROM || CREDENTIALS.contains(&kind);
        if !is_known && unknown.len() < UNKNOWN_MAX {
            unknown.push(kind);
        }
    }
    Some(unknown)
}

/// The sender's address, disguised from routers that rewrite addresses wherever they see them (section 14.2).
fn xor_mapped(remote: SocketAddr, transaction: &[u8]) -> Vec<u8> {
    let (family, address) = match remote.ip().to_canonical() {
        IpAddr::V4(ip) => (1, ip.octets().to_vec()),
        IpAddr::V6(ip) => (2, ip.octets().to_vec()),
    };
    let mask = || MAGIC_COOKIE.iter().chain(transaction);
    let port = remote.port().to_be_bytes();
    let disguised = |bytes: &[u8]| -> Vec<u8> {
        bytes.iter().zip(mask()).map(|(byte, mask)| byte ^ mask).collect()
    };
    [&[0, family][..], &disguised(&port), &disguised(&address)].concat()
}

fn put(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    body.extend_from_slice(&kind.to_be_bytes());
    let length = u16::try_from(value.len()).expect("ours are short");
    body.extend_from_slice(&length.to_be_bytes());
    body.extend_from_slice(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request with the transaction id and, from RFC 5769 section 2.2, the addresses of its responses.
    fn request(attributes: &[u8]) -> Vec<u8> {
        let mut message = vec![0, 1, 0, u8::try_from(attributes.len()).unwrap()];
        message.extend_from_slice(&MAGIC_COOKIE);
        message.extend_from_slice(&TRANSACTION);
        message.extend_from_slice(attributes);
        message
    }

    const TRANSACTION: [u8; 12] =
        [0xB7, 0xE7, 0xA7, 0x01, 0xBC, 0x34, 0xD6, 0x86, 0xFA, 0x87, 0xDF, 0xAE];

    #[track_caller]
    fn check(remote: &str, expected: &[u8]) {
        let answer = answer(&request(&[]), remote.parse().unwrap()).expect("a request");
        let (header, attributes) = answer.split_at(HEADER_LENGTH);
        let length = u8::try_from(expected.len()).unwrap();
        assert_eq!(header[..4], [1, 1, 0, length]);
        assert_eq!((&header[4..8], &header[8..]), (&MAGIC_COOKIE[..], &TRANSACTION[..]));
        assert_eq!(attributes, expected);
    }

    /// The values of RFC 5769 sections 2.2 and 2.3.
    #[test]
    fn a_sender_is_told_its_address() {
        let v4 = [0, 0x20, 0, 8, 0, 1, 0xA1, 0x47, 0xE1, 0x12, 0xA6, 0x43];
        check("192.0.2.1:32853", &v4);
        check("[::ffff:192.0.2.1]:32853", &v4);
        check(
            "[2001:db8:1234:5678:11:2233:4455:6677]:32853",
            &[
                0, 0x20, 0, 0x14, 0, 2, 0xA1, 0x47, 0x01, 0x13, 0xA9, 0xFA, 0xA5, 0xD3, 0xF1, 0x79,
                0xBC, 0x25, 0xF4, 0xB5, 0xBE, 0xD2, 0xB9, 0xD9,
            ],
        );
    }

    #[test]
    fn what_a_request_must_not_be_answered_without_is_named() {
        let remote = "192.0.2.1:32853".parse().unwrap();
        // SOFTWARE (optional) and USERNAME (not asked for) are left alone, CHANGE-REQUEST is not known.
        let fine = [0x80, 0x22, 0, 1, b'x', 0, 0, 0, 0, 6, 0, 4, b'u', b's', b'e', b'r'];
        assert_eq!(answer(&request(&fine), remote).unwrap()[..2], [1, 1]);
        let refused = answer(&request(&[0, 3, 0, 4, 0, 0, 0, 6]), remote).unwrap();
        assert_eq!(refused[..2], [1, 0x11]);
        assert!(refused.ends_with(&[0, 0x0A, 0, 2, 0, 3, 0, 0]));
        assert_eq!(refused.len() % 4, 0);
    }

    #[test]
    fn what_is_no_binding_request_gets_no_answer() {
        let remote = "192.0.2.1:32853".parse().unwrap();
        let good = request(&[]);
        for broken in [
            &b"OPTIONS sip:a SIP/2.0\r\n\r\n"[..],
            &[0; 20],
            &good[..19],
            &[&good[..], &[0; 4]].concat(),
            // A response, an indication, and an attribute that is longer than the message.
            &[&[1, 1], &good[2..]].concat(),
            &[&[0, 0x11], &good[2..]].concat(),
            &request(&[0, 0x20, 0, 8, 0, 0, 0, 0]),
        ] {
            assert_eq!(answer(broken, remote), None, "{broken:?}");
        }
    }
}
