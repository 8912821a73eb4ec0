//! The side that asks: challenges, and what a response to one proves.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::digest::{self, Algorithm, Hex};
use super::nonce::{self, Checked, NonceCounts};
use crate::message::header::{AuthParams, AuthScheme};
use crate::message::uri::Uri;

/// What a verifier is told once.
#[derive(Clone, Debug)]
pub struct VerifierConfig {
    /// Signs nonces; the same in all shards.
    pub secret: [u8; 32],
    /// The number of this start. The counts of an earlier start are forgotten, so its nonces must
    /// not be taken again even if the secret is kept.
    pub start: u32,
    /// The realm.
    pub realm: String,
    /// What is asked for and taken, in the order of the challenges. Old phones give up when they see
    /// any but MD5, wherever it stands (ADR 0007).
    pub algorithms: Vec<Algorithm>,
    /// How long a nonce may be used.
    pub nonce_lifetime: Duration,
    /// Shared by all shards.
    pub counts: Arc<NonceCounts>,
}

/// Makes challenges and checks what comes back.
#[derive(Clone, Debug)]
pub struct Verifier {
    config: VerifierConfig,
}

/// The values of the WWW-Authenticate or Proxy-Authenticate headers, each in a header of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The header values.
    pub values: Vec<String>,
}

/// H(username:realm:password) by both hashes.
#[derive(Clone, Copy)]
pub struct Ha1<'a> {
    /// By MD5.
    pub md5: &'a [u8; 16],
    /// By SHA-256.
    pub sha256: &'a [u8; 32],
}

/// An Authorization or Proxy-Authorization header, read.
#[derive(Clone)]
pub struct DigestResponse<'a> {
    username: Cow<'a, [u8]>,
    realm: Cow<'a, [u8]>,
    nonce: Cow<'a, [u8]>,
    uri: Cow<'a, [u8]>,
    response: Cow<'a, [u8]>,
    algorithm: Algorithm,
    /// There exactly if qop is.
    counted: Option<Counted<'a>>,
}

/// What qop=auth adds to a response.
#[derive(Clone)]
struct Counted<'a> {
    nc: Cow<'a, [u8]>,
    cnonce: Cow<'a, [u8]>,
}

/// What a response proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The sender knows the password.
    Right,
    /// It does not, or the response was made for something else. The nonce is young and was given to
    /// this very address: whoever is wrong has received our challenge there, so the address is no
    /// forgery.
    Wrong,
    /// The nonce is too old, not known any more or was given to another address: ask again with
    /// `stale=true`.
    Stale,
    /// This nonce count was used before.
    Replayed,
}

impl<'a> DigestResponse<'a> {
    /// Reads a header value; `None` if it is not a digest that we can check (another scheme, an
    /// unknown algorithm, qop=auth-int, something missing).
    pub fn parse(value: &'a [u8]) -> Option<DigestResponse<'a>> {
        let (scheme, params) = AuthParams::parse(value)?;
        if scheme != AuthScheme::Digest {
            return None;
        }
        let get = |name: &[u8]| params.get(name).map(|param| param.unquoted());
        let algorithm = match get(b"algorithm") {
            Some(name) => Algorithm::from_name(&name)?,
            None => Algorithm::Md5,
        };
        let counted = match get(b"qop") {
            Some(qop) if qop.eq_ignore_ascii_case(b"auth") => {
                Some(Counted { nc: get(b"nc")?, cnonce: get(b"cnonce")? })
            }
            Some(_) => return None,
            None => None,
        };
        Some(DigestResponse {
            username: get(b"username")?,
            realm: get(b"realm")?,
            nonce: get(b"nonce")?,
            uri: get(b"uri")?,
            response: get(b"response")?,
            algorithm,
            counted,
        })
    }

    /// Who it claims to be.
    pub fn username(&self) -> &[u8] {
        &self.username
    }

    /// For which realm.
    pub fn realm(&self) -> &[u8] {
        &self.realm
    }
}

impl Verifier {
    /// A verifier.
    pub fn new(config: VerifierConfig) -> Verifier {
        Verifier { config }
    }

    /// The realm it asks for.
    pub fn realm(&self) -> &str {
        &self.config.realm
    }

    /// A new challenge for whoever receives it at `source`. `stale` says that only the nonce was
    /// wrong, so that the client need not ask its user again.
    pub fn challenge(&self, now: Duration, source: IpAddr, stale: bool) -> Challenge {
        let VerifierConfig { secret, start, realm, algorithms, counts, .. } = &self.config;
        let nonce = nonce::mint((secret, *start), counts, now, source);
        let stale = if stale { ",stale=true" } else { "" };
        let value = |algorithm: &Algorithm| {
            let name = algorithm.name();
            format!(
                "Digest realm=\"{realm}\",nonce=\"{nonce}\",algorithm={name},qop=\"auth\"{stale}"
            )
        };
        Challenge { values: algorithms.iter().map(value).collect() }
    }

    /// Whether the sender of `response` has received a challenge of ours at `source`, and not long
    /// ago: then its address is no forgery. Uses nothing up.
    pub fn has_received(
        &self,
        now: Duration,
        source: IpAddr,
        response: &DigestResponse<'_>,
    ) -> bool {
        matches!(self.check_nonce(now, source, response), Checked::Fresh(_))
    }

    fn check_nonce(&self, now: Duration, source: IpAddr, response: &DigestResponse<'_>) -> Checked {
        let VerifierConfig { secret, start, nonce_lifetime, counts, .. } = &self.config;
        nonce::check((secret, *start), counts, now, *nonce_lifetime, &response.nonce, source)
    }

    /// Whether `response`, which came from `source`, proves knowledge of the password for this
    /// request. The nonce count is used up only by a right response, so that nobody can use up
    /// another's.
    pub fn verify(
        &self,
        now: Duration,
        source: IpAddr,
        response: &DigestResponse<'_>,
        method: &[u8],
        request_uri: &[u8],
        ha1: Ha1<'_>,
    ) -> Verdict {
        let VerifierConfig { realm, algorithms, counts, .. } = &self.config;
        // A foreign nonce is most often ours from before a restart, or from before the sender's
        // address changed: ask again.
        let Checked::Fresh(index) = self.check_nonce(now, source, response) else {
            return Verdict::Stale;
        };
        if *response.realm != *realm.as_bytes()
            || !algorithms.contains(&response.algorithm)
            || !is_same_uri(&response.uri, request_uri)
        {
            return Verdict::Wrong;
        }
        let stored = match response.algorithm {
            Algorithm::Md5 => Hex::of(ha1.md5),
            Algorithm::Sha256 => Hex::of(ha1.sha256),
        };
        let counted = response.counted.as_ref().map(|counted| (&*counted.nc, &*counted.cnonce));
        let expected = digest::response(
            response.algorithm,
            stored.as_bytes(),
            &response.nonce,
            counted,
            method,
            &response.uri,
        );
        if !nonce::is_equal(&response.response.to_ascii_lowercase(), expected.as_bytes()) {
            return Verdict::Wrong;
        }
        // Without qop there is no count: such a nonce is good for one request.
        let count = counted.map_or(Some(u32::MAX), |(nc, _)| parse_count(nc));
        match count {
            Some(count) if nonce::use_count(counts, index, count) => Verdict::Right,
            Some(_) => Verdict::Replayed,
            None => Verdict::Wrong,
        }
    }
}

/// Eight hex digits, never zero.
fn parse_count(text: &[u8]) -> Option<u32> {
    // `from_str_radix` would take a plus sign.
    let is_hex = text.len() == 8 && text.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(text).ok().filter(|_| is_hex)?;
    u32::from_str_radix(text, 16).ok().filter(|count| *count > 0)
}

/// RFC 7616 section 3.4.6: the same resource. Proxies on the way may have rewritten how it is
/// spelt, and some clients (SIPp) name only the host: then there is no user to compare, and the
/// nonce count alone keeps the response from being used again.
fn is_same_uri(claimed: &[u8], requested: &[u8]) -> bool {
    if claimed == requested {
        return true;
    }
    let (Some(claimed), Some(requested)) = (Uri::parse(claimed), Uri::parse(requested)) else {
        return false;
    };
    claimed.is_equivalent(&requested)
        || (claimed.user().is_none() || claimed.user() == requested.user())
            && claimed.host().eq_ignore_ascii_case(requested.host())
}
