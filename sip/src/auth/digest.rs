//! The hashes of RFC 7616 section 3.4.

use md5::Md5;
use sha2::{Digest, Sha256};

/// Which hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// RFC 2617's; still what most phones speak.
    Md5,
    /// RFC 8760's.
    Sha256,
}

impl Algorithm {
    /// The name in the `algorithm` parameter.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
        }
    }

    /// Reads the parameter; the `-sess` variants and unknown ones are not for us.
    pub(super) fn from_name(name: &[u8]) -> Option<Algorithm> {
        [Algorithm::Md5, Algorithm::Sha256]
            .into_iter()
            .find(|algorithm| name.eq_ignore_ascii_case(algorithm.name().as_bytes()))
    }

    /// The hash of the parts, joined by colons, in lower-case hex.
    pub(super) fn hex(self, parts: &[&[u8]]) -> Hex {
        match self {
            Algorithm::Md5 => Hex::of(&joined(Md5::new(), parts)),
            Algorithm::Sha256 => Hex::of(&joined(Sha256::new(), parts)),
        }
    }
}

fn joined<D: Digest>(mut hash: D, parts: &[&[u8]]) -> Vec<u8> {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            hash.update(b":");
        }
        hash.update(part);
    }
    hash.finalize().to_vec()
}

/// H(username:realm:password) by MD5.
pub fn ha1_md5(username: &str, realm: &str, password: &str) -> [u8; 16] {
    let text = format!("{username}:{realm}:{password}");
    Md5::digest(text.as_bytes()).into()
}

/// H(username:realm:password) by SHA-256.
pub fn ha1_sha256(username: &str, realm: &str, password: &str) -> [u8; 32] {
    let text = format!("{username}:{realm}:{password}");
    Sha256::digest(text.as_bytes()).into()
}

/// Up to 32 bytes in lower-case hex, without an allocation.
#[derive(Clone, Copy)]
pub(super) struct Hex {
    text: [u8; 64],
    length: usize,
}

impl Hex {
    pub(super) fn of(bytes: &[u8]) -> Hex {
        let mut text = [0; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
            pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
            pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
        }
        Hex { text, length: bytes.len().min(32) * 2 }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.text[..self.length]
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("hex is ASCII")
    }
}

/// The `response` of RFC 7616 section 3.4.1 with qop=auth, or of RFC 2069 without one.
pub(super) fn response(
    algorithm: Algorithm,
    ha1: &[u8],
    nonce: &[u8],
    counted: Option<(&[u8], &[u8])>,
    method: &[u8],
    uri: &[u8],
) -> Hex {
    let ha2 = algorithm.hex(&[method, uri]);
    match counted {
        Some((count, cnonce)) => {
            algorithm.hex(&[ha1, nonce, count, cnonce, b"auth", ha2.as_bytes()])
        }
        None => algorithm.hex(&[ha1, nonce, ha2.as_bytes()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2617 section 3.5; and the same without qop, as RFC 2069 would have it.
    #[test]
    fn the_example_of_rfc_2617_comes_out() {
        let ha1 = Hex::of(&ha1_md5("Mufasa", "testrealm@host.com", "Circle Of Life"));
        assert_eq!(ha1.as_str(), "939e7578ed9e3c518a452acee763bce9");
        let nonce = b"dcd98b7102dd2f0e8b11d0f600bfb0c093";
        let answer = |counted| {
            let uri = b"/dir/index.html";
            response(Algorithm::Md5, ha1.as_bytes(), nonce, counted, b"GET", uri)
        };
        let counted = answer(Some((b"00000001".as_slice(), b"0a4f113b".as_slice())));
        assert_eq!(counted.as_str(), "6629fae49393a05397450978507c4ef1");
        assert_eq!(answer(None).as_str(), "670fd8c2df070c60b045671b8b24ff02");
    }

    /// RFC 7616 section 3.9.1.
    #[test]
    fn the_examples_of_the_rfc_come_out() {
        let (user, realm, password) = ("Mufasa", "http-auth@example.org", "Circle of Life");
        let nonce = b"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
        let cnonce = b"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let counted = Some((b"00000001".as_slice(), cnonce.as_slice()));
        let ha1 = Hex::of(&ha1_md5(user, realm, password));
        let md5 =
            response(Algorithm::Md5, ha1.as_bytes(), nonce, counted, b"GET", b"/dir/index.html");
        assert_eq!(md5.as_str(), "8ca523f5e9506fed4657c9700eebdbec");
        let ha1 = Hex::of(&ha1_sha256(user, realm, password));
        let sha =
            response(Algorithm::Sha256, ha1.as_bytes(), nonce, counted, b"GET", b"/dir/index.html");
        assert_eq!(
            sha.as_str(),
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
        );
    }
}
