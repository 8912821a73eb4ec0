//! Challenges and credentials: WWW-Authenticate, Proxy-Authenticate, Authorization,
//! Proxy-Authorization, Authentication-Info (RFC 7616). The arithmetic is in `auth`.

use std::borrow::Cow;

use crate::message::text;

/// The first word of a challenge or of credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthScheme {
    /// `Digest`.
    Digest,
    /// Anything else.
    Other,
}

/// `name=value` pairs with commas between them.
#[derive(Clone, Debug)]
pub struct AuthParams<'a> {
    rest: &'a [u8],
}

/// One pair.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AuthParam<'a> {
    /// The name as received; compare without regard to case.
    pub name: &'a [u8],
    /// The value as received, with quotes.
    pub value: &'a [u8],
}

impl std::fmt::Debug for AuthParam<'_> {
    /// The value stays out: it may be a response hash.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AuthParam({})", self.name.escape_ascii())
    }
}

impl<'a> AuthParam<'a> {
    /// The value without quotes and their escapes.
    pub fn unquoted(&self) -> Cow<'a, [u8]> {
        text::unquote(self.value)
    }
}

impl<'a> AuthParams<'a> {
    /// The scheme of a challenge or of credentials, and its parameters.
    pub fn parse(value: &'a [u8]) -> Option<(AuthScheme, AuthParams<'a>)> {
        let value = text::trim(value);
        let end = value.iter().position(|&byte| text::is_lws(byte)).unwrap_or(value.len());
        let (word, rest) = value.split_at(end);
        if !text::is_token(word) {
            return None;
        }
        let scheme = if word.eq_ignore_ascii_case(b"Digest") {
            AuthScheme::Digest
        } else {
            AuthScheme::Other
        };
        Some((scheme, AuthParams { rest }))
    }

    /// The parameters of a header that has no scheme, such as Authentication-Info.
    pub fn without_scheme(value: &'a [u8]) -> AuthParams<'a> {
        AuthParams { rest: value }
    }

    /// The first of this name.
    pub fn get(&self, name: &[u8]) -> Option<AuthParam<'a>> {
        self.clone().find(|param| param.name.eq_ignore_ascii_case(name))
    }
}

impl<'a> Iterator for AuthParams<'a> {
    type Item = AuthParam<'a>;

    fn next(&mut self) -> Option<AuthParam<'a>> {
        loop {
            let skip = self.rest.iter().take_while(|&&b| text::is_lws(b) || b == b',').count();
            let text = &self.rest[skip..];
            if text.is_empty() {
                self.rest = text;
                return None;
            }
            let name_end =
                text.iter().position(|&b| matches!(b, b'=' | b',')).unwrap_or(text.len());
            let name = text::trim_end(&text[..name_end]);
            if text.get(name_end) != Some(&b'=') {
                self.rest = &text[name_end..];
                continue;
            }
            let after = text::trim_start(&text[name_end + 1..]);
            let quoted = if after.first() == Some(&b'"') { text::quoted_len(after) } else { None };
            let from = quoted.unwrap_or(0);
            let end = memchr::memchr(b',', &after[from..]).map_or(after.len(), |at| at + from);
            self.rest = &after[end..];
            if !name.is_empty() {
                return Some(AuthParam { name, value: text::trim_end(&after[..end]) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read() {
        let value =
            b"Digest username=\"bob, \\\"the\\\"\",\r\n realm=\"a\" , nc=00000001,qop=auth,,x=";
        let (scheme, params) = AuthParams::parse(value).unwrap();
        assert_eq!(scheme, AuthScheme::Digest);
        assert_eq!(&*params.get(b"username").unwrap().unquoted(), b"bob, \"the\"");
        assert_eq!(params.get(b"REALM").unwrap().value, b"\"a\"");
        assert_eq!(params.get(b"nc").unwrap().value, b"00000001");
        assert_eq!(params.get(b"qop").unwrap().value, b"auth");
        assert_eq!(params.get(b"x").unwrap().value, b"");
        assert_eq!(params.count(), 5);
    }

    #[test]
    fn an_unknown_scheme_is_told() {
        let (scheme, params) = AuthParams::parse(b"NoOneKnowsThisScheme opaque-data=here").unwrap();
        assert_eq!(scheme, AuthScheme::Other);
        assert_eq!(params.count(), 1);
        assert!(AuthParams::parse(b"").is_none());
        assert_eq!(AuthParams::parse(b"Digest").unwrap().1.count(), 0);
        assert_eq!(AuthParams::parse(b"Digest x=\"open, y=1").unwrap().1.count(), 2);
    }
}
