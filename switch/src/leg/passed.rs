//! Which headers pass from one leg to the other. Everything else ends at us: nothing of Via,
//! Record-Route, Contact, Server, User-Agent or of the dialog's identity is seen on the other side,
//! and From, P-Asserted-Identity, Privacy, Diversion and their like are written by the call after its
//! caller-ID policy (`caller_id`), whatever the configuration adds.
//!
//! Passed: `Subject`, `Priority`, `Alert-Info`, `User-to-User`, `Accept-Contact`, `Reject-Contact`,
//! `Request-Disposition`, `Accept-Language`, `P-Early-Media`, the headers that describe a body
//! (`Content-Disposition`, `Content-Language`, `Content-Encoding`, `MIME-Version`) or an INFO
//! (`Info-Package`, RFC 6086), and those that the configuration adds.

use bytes::Bytes;
use sip::message::{HeaderName, Message};

use super::config::LegConfig;
use super::event::Body;

fn passes(config: &LegConfig, name: HeaderName<'_>) -> bool {
    match name {
        HeaderName::Subject
        | HeaderName::Priority
        | HeaderName::AlertInfo
        | HeaderName::UserToUser
        | HeaderName::AcceptContact
        | HeaderName::RejectContact
        | HeaderName::RequestDisposition
        | HeaderName::AcceptLanguage
        | HeaderName::ContentDisposition
        | HeaderName::ContentLanguage
        | HeaderName::ContentEncoding
        | HeaderName::MimeVersion
        | HeaderName::InfoPackage => true,
        HeaderName::From
        | HeaderName::PAssertedIdentity
        | HeaderName::PPreferredIdentity
        | HeaderName::RemotePartyId
        | HeaderName::Privacy
        | HeaderName::Diversion
        | HeaderName::HistoryInfo => false,
        HeaderName::Other(name) if name.eq_ignore_ascii_case(b"P-Early-Media") => true,
        name => {
            let configured = &config.passed_headers;
            configured.iter().any(|one| name.as_bytes().eq_ignore_ascii_case(one.as_bytes()))
        }
    }
}

/// The lines of `message` that pass to the other leg, each with its CRLF; empty for most messages.
pub fn passed_headers(config: &LegConfig, message: &Message) -> Bytes {
    let mut lines = Vec::new();
    for line in message.header_lines().filter(|line| passes(config, line.name)) {
        lines.extend_from_slice(line.raw);
        lines.extend_from_slice(b"\r\n");
    }
    Bytes::from(lines)
}

/// The lines that `passed_headers` made, to be written one by one. A continuation line stays with
/// the line it continues.
pub(super) fn lines(headers: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = headers;
    std::iter::from_fn(move || {
        let mut from = 0;
        while !rest.is_empty() {
            let Some(at) = rest[from..].windows(2).position(|pair| pair == b"\r\n") else {
                return Some(std::mem::take(&mut rest));
            };
            let end = from + at;
            if !matches!(rest.get(end + 2), Some(b' ' | b'\t')) {
                let line = &rest[..end];
                rest = &rest[end + 2..];
                return Some(line);
            }
            from = end + 2;
        }
        None
    })
}

/// The body, if there is one, as slices of the datagram.
pub(super) fn body_of(message: &Message) -> Option<Body> {
    let bytes = message.body();
    if bytes.is_empty() {
        return None;
    }
    let content_type = message.content_type().unwrap_or(b"application/sdp");
    let datagram = message.bytes();
    Some(Body { content_type: slice_of(datagram, content_type), bytes })
}

/// `part` as a slice of `whole`, so that nothing is copied; copied if it is not a part of it.
fn slice_of(whole: &Bytes, part: &[u8]) -> Bytes {
    let range = whole.as_ptr_range();
    if range.contains(&part.as_ptr()) {
        whole.slice_ref(part)
    } else {
        Bytes::copy_from_slice(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_continuations() {
        let found: Vec<_> = lines(b"A: 1\r\n 2\r\nB: 3\r\n").collect();
        assert_eq!(found, [&b"A: 1\r\n 2"[..], b"B: 3"]);
        assert_eq!(lines(b"").count(), 0);
        assert_eq!(lines(b"A: 1").collect::<Vec<_>>(), [b"A: 1"]);
    }
}
