//! One SIP message on its way, and what of it must not be kept.

use std::net::SocketAddr;

use bytes::Bytes;
use memchr::memmem;
use sip::transport::Transport;
use vocabulary::Utc;

/// From where to where, as we see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It came.
    In,
    /// We sent it.
    Out,
}

/// A message that came or was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Passed {
    /// When.
    pub(super) at: Utc,
    /// Which way.
    pub(super) way: Way,
    /// By which protocol.
    pub(super) transport: Transport,
    /// Our end: the address that the listener is bound to.
    pub(super) local: SocketAddr,
    /// The other end.
    pub(super) remote: SocketAddr,
    /// The message.
    pub(super) bytes: Bytes,
}

impl Passed {
    /// Who sent it.
    pub(super) fn source(&self) -> SocketAddr {
        if self.way == Way::In { self.remote } else { self.local }
    }

    /// Who got it.
    pub(super) fn destination(&self) -> SocketAddr {
        if self.way == Way::In { self.local } else { self.remote }
    }

    /// The same without secrets.
    pub(super) fn masked(&self) -> Passed {
        Passed { bytes: masked(&self.bytes), ..self.clone() }
    }

    /// Its first line, for people.
    pub(super) fn first_line(&self) -> String {
        let text = self.bytes.trim_ascii_start();
        let end = memchr::memchr2(b'\r', b'\n', text).unwrap_or(text.len());
        String::from_utf8_lossy(&text[..end]).into_owned()
    }

    /// Its CSeq: which request an answer is for.
    pub(super) fn cseq(&self) -> Option<String> {
        let value = header_values(&self.bytes, &[b"CSeq"]).next()?;
        let text = self.bytes.get(value)?;
        Some(String::from_utf8_lossy(text).trim().to_owned())
    }
}

/// What stands where a secret was; as long as it, so that lengths stay right.
const MASK: u8 = b'x';

/// Headers with what a password can be guessed from.
const CREDENTIALS: [&[u8]; 3] = [b"Authorization", b"Proxy-Authorization", b"Authentication-Info"];

/// A message without the answers to digest challenges, from which passwords are guessed offline, without
/// credentials of schemes that we do not know, and without the keys of encrypted media (RFC 4568).
pub(super) fn masked(message: &Bytes) -> Bytes {
    let mut holes = Vec::new();
    for value in header_values(message, &CREDENTIALS) {
        holes.extend(secrets_in(message, value));
    }
    for start in memmem::find_iter(message, b"inline:") {
        let from = start + b"inline:".len();
        let key = message[from..].iter().take_while(|byte| !b"|; \r\n".contains(byte)).count();
        holes.push(from..from + key);
    }
    if holes.is_empty() {
        return message.clone();
    }
    let mut bytes = message.to_vec();
    for hole in holes {
        bytes[hole].fill(MASK);
    }
    bytes.into()
}

type Range = std::ops::Range<usize>;

/// Where the values of these headers are, with the lines that continue them.
fn header_values<'a>(
    message: &'a [u8],
    names: &'a [&'a [u8]],
) -> impl Iterator<Item = Range> + use<'a> {
    // Empty lines before a message are none of it (RFC 3261 section 7.5).
    let mut at = message.iter().take_while(|byte| b"\r\n".contains(byte)).count();
    let head = memmem::find(&message[at..], b"\r\n\r\n").map_or(message.len(), |end| at + end);
    std::iter::from_fn(move || {
        while at < head {
            let start = at;
            at = line_end(message, start, head);
            // Lines that begin with white space belong to the one before (RFC 3261 section 7.3.1).
            while at < head && matches!(message[at], b' ' | b'\t') {
                at = line_end(message, at, head);
            }
            let Some(colon) = memchr::memchr(b':', &message[start..at]) else { continue };
            let name = message[start..start + colon].trim_ascii();
            if names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name)) {
                return Some(start + colon + 1..at);
            }
        }
        None
    })
}

/// Behind the line that begins at `start`.
fn line_end(message: &[u8], start: usize, head: usize) -> usize {
    memchr::memchr(b'\n', &message[start..head]).map_or(head, |newline| start + newline + 1)
}

/// Of a value with credentials, what must not be seen.
fn secrets_in(message: &[u8], value: Range) -> Vec<Range> {
    let text = &message[value.clone()];
    let lead = text.len() - text.trim_ascii_start().len();
    let is_info = memmem::find(text, b"rspauth").is_some();
    let is_digest = text[lead..].get(..6).is_some_and(|word| word.eq_ignore_ascii_case(b"digest"));
    if !is_digest && !is_info {
        // The scheme may stay.
        let scheme = text[lead..].iter().take_while(|byte| !byte.is_ascii_whitespace()).count();
        let end = text.trim_ascii_end().len();
        return (lead + scheme < end)
            .then(|| value.start + lead + scheme..value.start + end)
            .into_iter()
            .collect();
    }
    let mut found = Vec::new();
    for name in [&b"response"[..], b"rspauth"] {
        for start in memmem::find_iter(&text.to_ascii_lowercase(), name) {
            found.extend(
                parameter(text, start + name.len())
                    .map(|range| value.start + range.start..value.start + range.end),
            );
        }
    }
    found
}

/// The value of a parameter whose name ends at `at`: without its quotes.
fn parameter(text: &[u8], at: usize) -> Option<Range> {
    let skip =
        |from: usize| from + text[from..].iter().take_while(|b| b.is_ascii_whitespace()).count();
    let equals = skip(at);
    if text.get(equals) != Some(&b'=') {
        return None;
    }
    let start = skip(equals + 1);
    if text.get(start) == Some(&b'"') {
        // One that is not closed ends with its line.
        let value = text[start + 1..].iter();
        let length = value.take_while(|byte| !b"\"\r\n".contains(byte)).count();
        return Some(start + 1..start + 1 + length);
    }
    let length = text[start..].iter().take_while(|b| !b", \t\r\n".contains(b)).count();
    Some(start..start + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &str, expected: &str) {
        let text =
            |header: &str| format!("BYE sip:a SIP/2.0\r\n{header}\r\nCSeq: 2 BYE\r\n\r\nbody");
        let message = Bytes::from(text(header));
        assert_eq!(masked(&message), text(expected), "{header}");
        // Behind a keep-alive in the same datagram.
        let message = Bytes::from(format!("\r\n\r\n{}", text(header)));
        assert_eq!(masked(&message), format!("\r\n\r\n{}", text(expected)), "{header}");
    }

    #[test]
    fn what_a_password_can_be_guessed_from_is_masked() {
        // V-39
        check(
            "Authorization: Digest username=\"u\", response=\"0123abcd\", cnonce=\"c\"",
            "Authorization: Digest username=\"u\", response=\"xxxxxxxx\", cnonce=\"c\"",
        );
        check(
            "PROXY-authorization:digest RESPONSE = 0123, nc=00000001",
            "PROXY-authorization:digest RESPONSE = xxxx, nc=00000001",
        );
        check(
            "Authorization: Digest username=\"u\",\r\n response=\"0123\"",
            "Authorization: Digest username=\"u\",\r\n response=\"xxxx\"",
        );
        check("Authorization: Basic dTpw", "Authorization: Basicxxxxx");
        check("Authorization: Digest response=\"012", "Authorization: Digest response=\"xxx");
        check(
            "Authentication-Info: rspauth=\"ab\", nextnonce=\"n\"",
            "Authentication-Info: rspauth=\"xx\", nextnonce=\"n\"",
        );
        check("X-Authorization: Digest response=\"0\"", "X-Authorization: Digest response=\"0\"");
        check("Authorization: Digest", "Authorization: Digest");
    }

    #[test]
    fn keys_of_media_are_masked_and_nothing_else_of_a_body() {
        let text = "INVITE sip:a SIP/2.0\r\n\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3\
                    |2^20|1:32\r\nAuthorization: Digest response=\"01\"\r\n";
        let expected = text.replace("d0RmdmcmVCspeEc3", "xxxxxxxxxxxxxxxx");
        assert_eq!(masked(&Bytes::from(text)), expected);
    }

    #[test]
    fn a_message_without_secrets_is_not_copied() {
        let message = Bytes::from_static(b"BYE sip:a SIP/2.0\r\n\r\n");
        assert_eq!(masked(&message).as_ptr(), message.as_ptr());
    }

    #[test]
    fn whatever_comes_is_masked_without_a_panic() {
        for text in ["", "\r\n", ":", "Authorization", "Authorization:", "Authorization: \r\n \r\n"]
        {
            masked(&Bytes::from(text));
            masked(&Bytes::from(format!("{text}\r\n\r\n")));
            masked(&Bytes::from(format!("{text}: Digest response")));
            masked(&Bytes::from(format!("{text}: Digest response=")));
            masked(&Bytes::from(format!("{text}: Digest response=\"")));
            masked(&Bytes::from(format!("{text}inline:")));
        }
    }
}
