//! The side that is asked: answers a 401 or 407 of a peer.

use super::digest::{self, Algorithm, Hex, ha1_md5, ha1_sha256};
use crate::message::header::{AuthParams, AuthScheme};
use crate::message::{HeaderName, Message, Method};

/// A user name and password of ours at a peer.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    username: String,
    password: String,
}

impl Credentials {
    /// As the peer gave them to us.
    pub fn new(username: &str, password: &str) -> Credentials {
        Credentials { username: username.into(), password: password.into() }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(***)")
    }
}

/// The header to add to the repeated request.
#[derive(Clone, PartialEq, Eq)]
pub struct CredentialsHeader {
    /// Authorization or Proxy-Authorization.
    pub name: HeaderName<'static>,
    /// Its value.
    pub value: String,
}

impl std::fmt::Debug for CredentialsHeader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CredentialsHeader(***)")
    }
}

/// Answers the strongest challenge in a 401 or 407 that we support: SHA-256 before MD5, qop=auth or
/// none; `-sess` and auth-int are not answered. `cnonce` is any random number. With `is_again` the
/// request carried credentials already: then only a stale nonce is worth another try.
pub fn answer_challenge(
    response: &Message,
    credentials: &Credentials,
    method: Method<'_>,
    uri: &[u8],
    cnonce: u64,
    is_again: bool,
) -> Option<CredentialsHeader> {
    let (asks, name) = match response.status() {
        401 => (HeaderName::WwwAuthenticate, HeaderName::Authorization),
        407 => (HeaderName::ProxyAuthenticate, HeaderName::ProxyAuthorization),
        _ => return None,
    };
    let lines = response.header_lines().filter(|line| line.name == asks);
    let asked = lines.filter_map(|line| Asked::parse(line.value));
    let best =
        asked.filter(|asked| asked.stale || !is_again).max_by_key(|asked| asked.algorithm)?;
    Some(CredentialsHeader { name, value: best.answer(credentials, method, uri, cnonce) })
}

struct Asked {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    names_algorithm: bool,
    has_qop: bool,
    stale: bool,
}

impl Asked {
    fn parse(value: &[u8]) -> Option<Asked> {
        let (scheme, params) = AuthParams::parse(value)?;
        if scheme != AuthScheme::Digest {
            return None;
        }
        let get = |name: &[u8]| {
            let text = params.get(name)?.unquoted().into_owned();
            String::from_utf8(text).ok()
        };
        let named = get(b"algorithm");
        let algorithm = match &named {
            Some(name) => Algorithm::from_name(name.as_bytes())?,
            None => Algorithm::Md5,
        };
        let has_qop = match get(b"qop") {
            Some(list) if list.split(',').any(|qop| qop.trim().eq_ignore_ascii_case("auth")) => {
                true
            }
            Some(_) => return None,
            None => false,
        };
        Some(Asked {
            realm: get(b"realm")?,
            nonce: get(b"nonce")?,
            opaque: get(b"opaque"),
            algorithm,
            names_algorithm: named.is_some(),
            has_qop,
            stale: get(b"stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }

    fn answer(&self, ours: &Credentials, method: Method<'_>, uri: &[u8], cnonce: u64) -> String {
        let Asked { realm, nonce, algorithm, .. } = self;
        let ha1 = match algorithm {
            Algorithm::Md5 => Hex::of(&ha1_md5(&ours.username, realm, &ours.password)),
            Algorithm::Sha256 => Hex::of(&ha1_sha256(&ours.username, realm, &ours.password)),
        };
        let cnonce = format!("{cnonce:016x}");
        let counted = self.has_qop.then_some((b"00000001".as_slice(), cnonce.as_bytes()));
        let method = method.as_bytes();
        let response =
            digest::response(*algorithm, ha1.as_bytes(), nonce.as_bytes(), counted, method, uri);
        let mut value = format!(
            "Digest username=\"{}\",realm=\"{}\",nonce=\"{}\",uri=\"{}\",response=\"{}\"",
            escaped(&ours.username),
            escaped(realm),
            escaped(nonce),
            String::from_utf8_lossy(uri),
            response.as_str(),
        );
        if self.names_algorithm {
            value.push_str(",algorithm=");
            value.push_str(algorithm.name());
        }
        if self.has_qop {
            value.push_str(&format!(",qop=auth,nc=00000001,cnonce=\"{cnonce}\""));
        }
        if let Some(opaque) = &self.opaque {
            value.push_str(&format!(",opaque=\"{}\"", escaped(opaque)));
        }
        value
    }
}

/// For a quoted string.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
