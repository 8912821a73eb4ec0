//! Identity (RFC 8224 section 4): a signed PASSporT, and where its certificate is.

use std::borrow::Cow;

use super::params::Params;
use crate::message::text;

/// One Identity header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// The PASSporT: base64url between two dots.
    pub token: &'a [u8],
    /// `info=`: where the certificate is, without the angle brackets.
    pub info: &'a [u8],
    params: Params<'a>,
}

impl<'a> Identity<'a> {
    /// Reads one value. `None` without a token of three parts or without `info`, which must be there.
    pub fn parse(value: &'a [u8]) -> Option<Identity<'a>> {
        let end = memchr::memchr(b';', value)?;
        let token = text::trim(&value[..end]);
        let is_sign = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        let dots = token.iter().filter(|byte| **byte == b'.').count();
        if dots != 2 || !token.iter().all(is_sign) {
            return None;
        }
        let params = Params::new(&value[end..]);
        let info = params.get(b"info")?.strip_prefix(b"<")?.strip_suffix(b">")?;
        Some(Identity { token, info, params })
    }

    /// `alg=`, without quotes; ES256 if it is left out.
    pub fn algorithm(&self) -> Cow<'a, [u8]> {
        self.params.get_unquoted(b"alg").unwrap_or(Cow::Borrowed(b"ES256"))
    }

    /// `ppt=`, without quotes: the extension of the PASSporT, such as `shaken` (RFC 8588).
    pub fn extension(&self) -> Option<Cow<'a, [u8]>> {
        self.params.get_unquoted(b"ppt")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_read() {
        let value = b"eyJh.eyJk.c2ln-_;info=<https://cert.example/a.cer>;alg=ES256;ppt=\"shaken\"";
        let identity = Identity::parse(value).unwrap();
        assert_eq!(identity.token, b"eyJh.eyJk.c2ln-_");
        assert_eq!(identity.info, b"https://cert.example/a.cer");
        assert_eq!(&*identity.algorithm(), b"ES256");
        assert_eq!(identity.extension().as_deref(), Some(&b"shaken"[..]));
        let short = Identity::parse(b"a.b.c ;info=<https://a>").unwrap();
        assert_eq!((&*short.algorithm(), short.extension()), (&b"ES256"[..], None));
        // RFC 8224 section 4: the compact form leaves header and payload out.
        assert_eq!(Identity::parse(b"..c;info=<https://a>").unwrap().token, b"..c");
    }

    #[test]
    fn what_is_none_is_not_read() {
        for value in [
            "",
            "a.b.c",
            "a.b.c;alg=ES256",
            "a.b;info=<https://a>",
            "a b.c.d;info=<x>",
            "a.b.c;info=x",
        ] {
            assert_eq!(Identity::parse(value.as_bytes()), None, "{value}");
        }
    }
}
