//! The URLs that the client takes.

use std::fmt;
use std::sync::Arc;

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper::http::uri::PathAndQuery;

/// Longer ones are refused.
const LENGTH_MAX: usize = 2048;

/// It is no URL that can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no URL of the form https://HOST[:PORT][/PATH], without user or password")]
pub struct BadUrl;

/// An `http:` or `https:` URL (RFC 9110 section 4.2). Copies share it: errors carry one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Url(Arc<Parts>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Parts {
    uri: Uri,
    is_secure: bool,
    /// Without brackets, in lower case.
    host: Box<str>,
    port: u16,
}

impl Url {
    /// Reads one. What follows a `#` is left out.
    pub fn parse(text: &str) -> Result<Url, BadUrl> {
        if text.len() > LENGTH_MAX {
            return Err(BadUrl);
        }
        let uri: Uri = text.parse().map_err(|_| BadUrl)?;
        let is_secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(BadUrl),
        };
        let authority = uri.authority().ok_or(BadUrl)?;
        let host = authority.host();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_port = authority.as_str().len() == host.len() || authority.port_u16().is_some();
        // RFC 9110 section 4.2.4: whoever shows a user deceives.
        if bare.is_empty() || authority.as_str().contains('@') || !is_port {
            return Err(BadUrl);
        }
        let default = if is_secure { 443 } else { 80 };
        let (host, port) =
            (bare.to_ascii_lowercase().into(), authority.port_u16().unwrap_or(default));
        Ok(Url(Arc::new(Parts { uri, is_secure, host, port })))
    }

    /// Whether it is HTTPS.
    pub fn is_secure(&self) -> bool {
        self.0.is_secure
    }

    /// The host, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// The port, also if it is not written.
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// What a request line has of it.
    pub(super) fn target(&self) -> Uri {
        let target = self.0.uri.path_and_query().cloned();
        target.unwrap_or_else(|| PathAndQuery::from_static("/")).into()
    }

    /// What the Host header has of it.
    pub(super) fn authority(&self) -> HeaderValue {
        let authority = self.0.uri.authority().expect("one without is not made").as_str();
        HeaderValue::from_str(authority).expect("what a URL may have, a header may have")
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.uri.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(bool, &str, u16, &str)>) {
        let url = Url::parse(text).ok();
        let target = url.as_ref().map(|url| url.target().to_string());
        let read = url.as_ref().zip(target.as_deref());
        let read = read.map(|(url, target)| (url.is_secure(), url.host(), url.port(), target));
        assert_eq!(read, expected, "{text}");
    }

    #[test]
    fn a_url_has_a_host_and_a_port_and_no_user() {
        check("https://Cert.Example/a.pem", Some((true, "cert.example", 443, "/a.pem")));
        check("http://192.0.2.1:8080?n=1", Some((false, "192.0.2.1", 8080, "/?n=1")));
        check("https://[2001:db8::1]/a", Some((true, "2001:db8::1", 443, "/a")));
        check("https://[2001:db8::1]:8443", Some((true, "2001:db8::1", 8443, "/")));
        check("https://cert.example/a#part", Some((true, "cert.example", 443, "/a")));
        for bad in [
            "",
            "cert.example/a.pem",
            "/a.pem",
            "ftp://cert.example/a",
            "file:///etc/passwd",
            "https:///a",
            "https://",
            "https://me:secret@cert.example/",
            "https://cert.example:99999/",
            "https://cert.example:/",
            "https://cert example/",
            "https://cert.example/a b",
        ] {
            check(bad, None);
        }
        check(&format!("https://cert.example/{}", "a".repeat(2048)), None);
    }
}
