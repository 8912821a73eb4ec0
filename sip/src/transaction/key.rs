//! What identifies a transaction (RFC 3261 sections 17.1.3 and 17.2.3).
//!
//! A server transaction is found by a 64-bit SipHash over what the peer chose (branch, sent-by,
//! method), keyed with a secret, so that nobody can make two of them collide; the key material
//! itself is not kept. A client transaction is found by the branch that we minted: it names the
//! slot and holds a nonce that only we and the peer know.

use crate::message::{Message, Method};

/// The magic cookie of section 8.1.1.7.
pub const COOKIE: &[u8] = b"z9hG4bK";

const BRANCH_DIGITS: usize = 24;

/// Secret and counter behind everything random in an endpoint.
#[derive(Clone, Debug)]
pub struct Keys {
    hash: [u64; 2],
    mint: [u64; 2],
    minted: u64,
}

impl Keys {
    /// Two keys from one seed.
    pub fn new(seed: u64) -> Keys {
        let key = |number: u64| siphash(&[seed, number], &number.to_le_bytes());
        Keys { hash: [key(1), key(2)], mint: [key(3), key(4)], minted: 0 }
    }

    /// The next unpredictable number.
    pub fn mint(&mut self) -> u64 {
        self.minted += 1;
        siphash(&self.mint, &self.minted.to_le_bytes())
    }

    /// A number that follows from `text` and the secret.
    pub fn derive(&self, text: &[u8]) -> u64 {
        siphash(&[self.hash[1], self.mint[1]], text)
    }

    /// The server transaction that a request belongs to; ACK and CANCEL are looked up with the
    /// method of their INVITE.
    pub fn server(&self, request: &Message, method: Method<'_>) -> u64 {
        let mut hasher = Sip13::new(&self.hash);
        let via = request.top_via();
        let branch = via.and_then(|via| via.branch()).unwrap_or_default();
        if let Some(via) = via {
            hasher.part(via.host());
            hasher.part(&via.port().unwrap_or(0).to_le_bytes());
        }
        hasher.part(branch);
        hasher.part(method.as_bytes());
        // A peer that uses a branch again for another call is caught by these, at no risk: both
        // are the same in a request, its retransmission, its ACK and its CANCEL.
        hasher.part(request.call_id());
        hasher.part(&request.cseq().0.to_le_bytes());
        if !is_from_rfc_3261(branch) {
            // RFC 2543: no unique branch. The To tag is left out, since the ACK has the one of our
            // response and the INVITE has none.
            hasher.part(request.request_uri());
            hasher.part(request.from_tag().unwrap_or_default());
        }
        hasher.finish()
    }
}

fn is_from_rfc_3261(branch: &[u8]) -> bool {
    branch.len() > COOKIE.len() && branch[..COOKIE.len()].eq_ignore_ascii_case(COOKIE)
}

/// Appends the branch of the client transaction in this slot.
pub fn write_branch(out: &mut Vec<u8>, slot: u32, nonce: u64) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(COOKIE);
    out.extend((0..8).rev().map(|digit| HEX[(slot >> (digit * 4)) as usize & 15]));
    out.extend((0..16).rev().map(|digit| HEX[(nonce >> (digit * 4)) as usize & 15]));
}

/// Slot and nonce of a branch, if it can be one of ours.
pub fn read_branch(branch: &[u8]) -> Option<(u32, u64)> {
    let digits = branch.strip_prefix(COOKIE)?;
    if digits.len() != BRANCH_DIGITS {
        return None;
    }
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0u64, |number, &digit| {
            Some(number << 4 | u64::from(char::from(digit).to_digit(16)?))
        })
    };
    Some((number(&digits[..8])? as u32, number(&digits[8..])?))
}

/// SipHash-1-3 (Aumasson, Bernstein).
pub fn siphash(key: &[u64; 2], bytes: &[u8]) -> u64 {
    let mut hasher = Sip13::new(key);
    hasher.write(bytes);
    hasher.finish()
}

struct Sip13 {
    v: [u64; 4],
    tail: u64,
    length: usize,
}

impl Sip13 {
    fn new(key: &[u64; 2]) -> Sip13 {
        let v = [
            key[0] ^ 0x736f_6d65_7073_6575,
            key[1] ^ 0x646f_7261_6e64_6f6d,
            key[0] ^ 0x6c79_6765_6e65_7261,
            key[1] ^ 0x7465_6462_7974_6573,
        ];
        Sip13 { v, tail: 0, length: 0 }
    }

    /// Some bytes and an end mark that cannot occur in them, so that parts do not run together.
    fn part(&mut self, bytes: &[u8]) {
        self.write(&(bytes.len() as u32).to_le_bytes());
        self.write(bytes);
    }

    fn write(&mut self, mut bytes: &[u8]) {
        let filled = self.length % 8;
        self.length += bytes.len();
        if filled > 0 {
            let taken = bytes.len().min(8 - filled);
            for (at, &byte) in bytes[..taken].iter().enumerate() {
                self.tail |= u64::from(byte) << (8 * (filled + at));
            }
            bytes = &bytes[taken..];
            if filled + taken < 8 {
                return;
            }
            self.word(self.tail);
            self.tail = 0;
        }
        let mut words = bytes.chunks_exact(8);
        for word in words.by_ref() {
            self.word(u64::from_le_bytes(word.try_into().expect("eight bytes")));
        }
        for (at, &byte) in words.remainder().iter().enumerate() {
            self.tail |= u64::from(byte) << (8 * at);
        }
    }

    fn word(&mut self, word: u64) {
        self.v[3] ^= word;
        self.round();
        self.v[0] ^= word;
    }

    fn finish(mut self) -> u64 {
        self.word((self.length as u64) << 56 | self.tail);
        self.v[2] ^= 0xff;
        for _ in 0..3 {
            self.round();
        }
        self.v[0] ^ self.v[1] ^ self.v[2] ^ self.v[3]
    }

    fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.v;
        a = a.wrapping_add(b);
        c = c.wrapping_add(d);
        b = b.rotate_left(13) ^ a;
        d = d.rotate_left(16) ^ c;
        a = a.rotate_left(32);
        c = c.wrapping_add(b);
        a = a.wrapping_add(d);
        b = b.rotate_left(17) ^ c;
        d = d.rotate_left(21) ^ a;
        c = c.rotate_left(32);
        self.v = [a, b, c, d];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::Hasher;

    #[test]
    fn siphash_is_the_one_of_the_standard_library() {
        let text: Vec<u8> = (0..64).collect();
        for length in 0..64 {
            // `DefaultHasher::new` is SipHash-1-3 with a key of zeros.
            let mut standard = std::hash::DefaultHasher::new();
            standard.write(&text[..length]);
            assert_eq!(siphash(&[0, 0], &text[..length]), standard.finish());
            let mut split = Sip13::new(&[0, 0]);
            split.write(&text[..length / 3]);
            split.write(&text[length / 3..length]);
            assert_eq!(split.finish(), standard.finish());
        }
        assert_ne!(siphash(&[0, 1], b""), siphash(&[0, 0], b""));
    }

    #[test]
    fn a_branch_names_its_slot() {
        let mut branch = Vec::new();
        write_branch(&mut branch, 0xdead_beef, 0x0123_4567_89ab_cdef);
        assert_eq!(branch, b"z9hG4bKdeadbeef0123456789abcdef");
        assert_eq!(read_branch(&branch), Some((0xdead_beef, 0x0123_4567_89ab_cdef)));
        for foreign in [&b"z9hG4bK"[..], b"z9hG4bKdeadbeef0123456789abcdeg", b"deadbeef", b""] {
            assert_eq!(read_branch(foreign), None);
        }
    }

    #[track_caller]
    fn check_same(same: bool, one: &str, other: &str) {
        let request = |text: &str| {
            let (method, via) = text.split_once(' ').unwrap();
            let text = format!(
                "{method} sip:b@x SIP/2.0\r\nVia: SIP/2.0/UDP {via}\r\nFrom: <sip:a@x>;tag=1\r\n\
                 To: <sip:b@x>\r\nCall-ID: c\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n\r\n"
            );
            Message::parse(text.into_bytes().into()).unwrap()
        };
        let keys = Keys::new(1);
        let key = |text: &str| {
            let request = request(text);
            let method = match request.method() {
                Method::Ack | Method::Cancel => Method::Invite,
                method => method,
            };
            keys.server(&request, method)
        };
        assert_eq!(key(one) == key(other), same);
    }

    #[test]
    fn a_transaction_is_branch_sent_by_and_method() {
        check_same(true, "INVITE h:1;branch=z9hG4bKa", "INVITE h:1;rport;branch=z9hG4bKa");
        check_same(true, "INVITE h:1;branch=z9hG4bKa", "ACK h:1;branch=z9hG4bKa");
        check_same(true, "INVITE h:1;branch=z9hG4bKa", "CANCEL h:1;branch=z9hG4bKa");
        check_same(false, "INVITE h:1;branch=z9hG4bKa", "BYE h:1;branch=z9hG4bKa");
        check_same(false, "INVITE h:1;branch=z9hG4bKa", "INVITE h:1;branch=z9hG4bKb");
        check_same(false, "INVITE h:1;branch=z9hG4bKa", "INVITE h:2;branch=z9hG4bKa");
        check_same(false, "INVITE h:1;branch=z9hG4bKa", "INVITE i:1;branch=z9hG4bKa");
        check_same(true, "INVITE h:1;branch=1", "ACK h:1;branch=1");
        check_same(true, "INVITE h:1", "ACK h:1");
        check_same(false, "INVITE h:1", "BYE h:1");
    }
}
