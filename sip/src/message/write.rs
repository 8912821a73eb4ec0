//! Writing messages. A draft is one buffer; `finish` adds what only the last moment knows: the
//! top Via of a request, Content-Length, the body. Nothing written here can begin a header line
//! of its own: CR and LF inside a value become spaces.

use std::fmt;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use bytes::Bytes;
use memchr::{memchr, memchr2, memchr3};

use super::header::Via;
use super::name::Id;
use super::text::{Elements, trim_end};
use super::{HeaderName, Message, Method, NameAddr, reason_phrase};

/// Room in front of the request line, so that the top Via gets in without moving the headers.
const VIA_ROOM: usize = 192;
const HEAD_ROOM: usize = 768;
const CRLF: &[u8] = b"\r\n";

/// What requests and responses have in common: lines, and a body at the end.
#[derive(Clone)]
struct Draft {
    out: Vec<u8>,
    body: Bytes,
}

impl Draft {
    fn header(&mut self, name: HeaderName<'_>, value: &[u8]) {
        if matches!(name, HeaderName::ContentLength) {
            return;
        }
        let start = self.out.len();
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b": ");
        self.out.extend_from_slice(value);
        blank_line_ends(&mut self.out[start..]);
        self.out.extend_from_slice(CRLF);
    }

    fn header_fmt(&mut self, name: HeaderName<'_>, value: fmt::Arguments<'_>) {
        let start = self.out.len();
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b": ");
        self.out.write_fmt(value).expect("a Vec takes everything");
        blank_line_ends(&mut self.out[start..]);
        self.out.extend_from_slice(CRLF);
    }

    /// A line as received. Continuation lines stay; CR and LF that are not part of one do not.
    /// Tells which header it was.
    fn raw(&mut self, line: &[u8]) -> Id {
        let colon = memchr(b':', line).unwrap_or(line.len());
        let id = Id::of(trim_end(&line[..colon]));
        if id == Id::ContentLength {
            return id;
        }
        let start = self.out.len();
        self.out.extend_from_slice(line);
        blank_loose_ends(&mut self.out[start..]);
        self.out.extend_from_slice(CRLF);
        id
    }

    fn body(&mut self, content_type: &[u8], body: Bytes) {
        self.header(HeaderName::ContentType, content_type);
        self.body = body;
    }

    fn end(&mut self) {
        self.out.reserve_exact(32 + self.body.len());
        let length = self.body.len();
        write!(self.out, "Content-Length: {length}\r\n\r\n").expect("a Vec takes everything");
        self.out.extend_from_slice(&self.body);
    }
}

fn blank_line_ends(text: &mut [u8]) {
    let mut at = 0;
    while let Some(found) = memchr3(b'\r', b'\n', 0, &text[at..]) {
        text[at + found] = b' ';
        at += found + 1;
    }
}

/// NUL stays, as it is legal as the second half of a quoted pair.
fn blank_loose_ends(text: &mut [u8]) {
    if memchr2(b'\r', b'\n', text).is_none() {
        return;
    }
    let mut at = 0;
    while at < text.len() {
        match &text[at..] {
            [b'\r', b'\n', b' ' | b'\t', ..] if at > 0 => at += 3,
            [b'\r' | b'\n', ..] => {
                text[at] = b' ';
                at += 1;
            }
            _ => at += 1,
        }
    }
}

/// A request without its top Via, which the endpoint adds.
#[derive(Clone)]
pub struct RequestDraft {
    draft: Draft,
    method: Range<usize>,
    uri: Range<usize>,
    has_max_forwards: bool,
}

impl RequestDraft {
    /// Begins a request. White space and line ends in the URI are replaced by `%20`.
    pub fn new(method: Method<'_>, request_uri: &[u8]) -> RequestDraft {
        let mut out = Vec::with_capacity(VIA_ROOM + HEAD_ROOM);
        out.resize(VIA_ROOM, 0);
        out.extend_from_slice(method.as_bytes());
        blank_line_ends(&mut out[VIA_ROOM..]);
        let method = VIA_ROOM..out.len();
        out.push(b' ');
        let uri_start = out.len();
        for &byte in request_uri {
            if byte <= b' ' {
                out.extend_from_slice(b"%20");
            } else {
                out.push(byte);
            }
        }
        let uri = uri_start..out.len();
        out.extend_from_slice(b" SIP/2.0\r\n");
        let draft = Draft { out, body: Bytes::new() };
        RequestDraft { draft, method, uri, has_max_forwards: false }
    }

    /// The method.
    pub fn method(&self) -> Method<'_> {
        Method::from_bytes(&self.draft.out[self.method.clone()])
    }

    /// The Request-URI.
    pub fn request_uri(&self) -> &[u8] {
        &self.draft.out[self.uri.clone()]
    }

    /// Adds a header. Content-Length is not taken: the body decides. Max-Forwards is 70 unless it
    /// is set here.
    #[must_use]
    pub fn header(mut self, name: HeaderName<'_>, value: impl AsRef<[u8]>) -> RequestDraft {
        self.has_max_forwards |= name == HeaderName::MaxForwards;
        self.draft.header(name, value.as_ref());
        self
    }

    /// Adds a header: `draft.header_fmt(HeaderName::CSeq, format_args!("{cseq} BYE"))`.
    #[must_use]
    pub fn header_fmt(mut self, name: HeaderName<'_>, value: fmt::Arguments<'_>) -> RequestDraft {
        self.has_max_forwards |= name == HeaderName::MaxForwards;
        self.draft.header_fmt(name, value);
        self
    }

    /// Adds a line byte for byte, as [`super::HeaderLine::raw`] has it; Content-Length is left out.
    #[must_use]
    pub fn raw(mut self, line: &[u8]) -> RequestDraft {
        self.has_max_forwards |= self.draft.raw(line) == Id::MaxForwards;
        self
    }

    /// Sets the body and adds its Content-Type. Further headers may follow.
    #[must_use]
    pub fn body(mut self, content_type: &[u8], body: Bytes) -> RequestDraft {
        self.draft.body(content_type, body);
        self
    }

    /// The whole request with this top Via, e.g. `SIP/2.0/UDP host:5060;branch=z9hG4bK…;rport`.
    pub fn finish(mut self, via: &[u8]) -> Bytes {
        if !self.has_max_forwards {
            self.draft.header(HeaderName::MaxForwards, b"70");
        }
        self.draft.end();
        let mut out = self.draft.out;
        let request_line_end = self.uri.end + b" SIP/2.0\r\n".len();
        let mut line = Vec::new();
        let needed = b"Via: ".len() + via.len() + CRLF.len();
        let start = match VIA_ROOM.checked_sub(needed) {
            Some(start) => {
                out.copy_within(VIA_ROOM..request_line_end, start);
                let via_at = start + request_line_end - VIA_ROOM;
                let mut room = &mut out[via_at..request_line_end];
                for part in [b"Via: ", via, CRLF] {
                    room.write_all(part).expect("the room was measured");
                }
                blank_line_ends(&mut out[via_at..request_line_end - CRLF.len()]);
                start
            }
            None => {
                line.extend_from_slice(b"Via: ");
                line.extend_from_slice(via);
                blank_line_ends(&mut line);
                line.extend_from_slice(CRLF);
                out.splice(request_line_end..request_line_end, line);
                VIA_ROOM
            }
        };
        Bytes::from(out).slice(start..)
    }
}

impl fmt::Debug for RequestDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestDraft({})", self.method())
    }
}

/// A response to a request.
#[derive(Clone)]
pub struct ResponseDraft {
    draft: Draft,
    status: u16,
}

impl ResponseDraft {
    /// Begins a response: all Vias (with `received` and `rport` if the request knows its source),
    /// From, To, Call-ID and CSeq are copied byte for byte, and Timestamp into a 100. Any but a 100
    /// gets a tag in To if there is none yet (RFC 3261 section 8.2.6.2): always the same one for
    /// the same request, and of no use to anybody, for no dialog comes of it. An empty reason
    /// becomes the usual phrase.
    pub fn to(request: &Message, status: u16, reason: &str) -> ResponseDraft {
        if status == 100 {
            return ResponseDraft::begin(request, status, reason, None);
        }
        let tag = tag_of_none(request.call_id(), request.from().tag().unwrap_or_default());
        ResponseDraft::begin(request, status, reason, Some(&tag))
    }

    /// The same, with this tag in To if it has none yet.
    pub fn with_tag(request: &Message, status: u16, reason: &str, tag: &[u8]) -> ResponseDraft {
        ResponseDraft::begin(request, status, reason, Some(tag))
    }

    fn begin(request: &Message, status: u16, reason: &str, tag: Option<&[u8]>) -> ResponseDraft {
        let mut out = Vec::with_capacity(HEAD_ROOM);
        let reason = if reason.is_empty() { reason_phrase(status) } else { reason };
        write!(out, "SIP/2.0 {status} {reason}").expect("a Vec takes everything");
        blank_line_ends(&mut out);
        out.extend_from_slice(CRLF);
        let mut draft = Draft { out, body: Bytes::new() };
        let mut is_top = true;
        for line in request.header_lines() {
            match line.name {
                HeaderName::Via => {
                    if std::mem::take(&mut is_top) {
                        top_via(&mut draft, line.raw, line.value, request.source());
                    } else {
                        draft.raw(line.raw);
                    }
                }
                HeaderName::From | HeaderName::CallId | HeaderName::CSeq => {
                    draft.raw(line.raw);
                }
                HeaderName::To => to(&mut draft, line.raw, line.value, tag),
                HeaderName::Timestamp if status == 100 => {
                    draft.raw(line.raw);
                }
                _ => {}
            }
        }
        ResponseDraft { draft, status }
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Copies Record-Route of the request: for responses that form a dialog.
    #[must_use]
    pub fn record_route(mut self, request: &Message) -> ResponseDraft {
        for line in request.header_lines().filter(|line| line.name == HeaderName::RecordRoute) {
            self.draft.raw(line.raw);
        }
        self
    }

    /// Adds a header. Content-Length is not taken: the body decides.
    #[must_use]
    pub fn header(mut self, name: HeaderName<'_>, value: impl AsRef<[u8]>) -> ResponseDraft {
        self.draft.header(name, value.as_ref());
        self
    }

    /// Adds a header: `draft.header_fmt(HeaderName::RSeq, format_args!("{rseq}"))`.
    #[must_use]
    pub fn header_fmt(mut self, name: HeaderName<'_>, value: fmt::Arguments<'_>) -> ResponseDraft {
        self.draft.header_fmt(name, value);
        self
    }

    /// Adds a line byte for byte, as [`super::HeaderLine::raw`] has it; Content-Length is left out.
    #[must_use]
    pub fn raw(mut self, line: &[u8]) -> ResponseDraft {
        self.draft.raw(line);
        self
    }

    /// Sets the body and adds its Content-Type. Further headers may follow.
    #[must_use]
    pub fn body(mut self, content_type: &[u8], body: Bytes) -> ResponseDraft {
        self.draft.body(content_type, body);
        self
    }

    /// The whole response.
    pub fn finish(mut self) -> Bytes {
        self.draft.end();
        Bytes::from(self.draft.out)
    }
}

impl fmt::Debug for ResponseDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResponseDraft({})", self.status)
    }
}

/// The To tag of a response that begins no dialog: FNV-1a over what names the request, in hex.
fn tag_of_none(call_id: &[u8], from_tag: &[u8]) -> [u8; 16] {
    const OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01B3;
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
    let hash = call_id.iter().chain(b"/").chain(from_tag).fold(OFFSET, mix);
    let digit = |at: u32| b"0123456789abcdef"[(hash >> (60 - 4 * at) & 15) as usize];
    std::array::from_fn(|at| digit(at as u32))
}

/// Adds the tag behind To. Not to one that cannot be read: it might land inside an open quote.
fn to(draft: &mut Draft, raw: &[u8], value: &[u8], tag: Option<&[u8]>) {
    let lacks_tag = NameAddr::parse(value).is_some_and(|address| address.tag().is_none());
    draft.raw(raw);
    if let Some(tag) = tag.filter(|_| lacks_tag) {
        draft.out.truncate(draft.out.len() - CRLF.len());
        draft.out.extend_from_slice(b";tag=");
        draft.out.extend_from_slice(tag);
        draft.out.extend_from_slice(CRLF);
    }
}

/// The line with the topmost Via, which tells its sender how we saw it (RFC 3261 section 18.2.1,
/// RFC 3581 section 4). Without that, or without need, the line is copied.
fn top_via(draft: &mut Draft, raw: &[u8], value: &[u8], source: Option<SocketAddr>) {
    let mut elements = Elements::of(value);
    let top = elements.next().unwrap_or_default();
    let via = Via::parse(top);
    let needs = |via: &Via<'_>, source: &SocketAddr| {
        via.rport().is_some() || via.host_ip() != Some(source.ip().to_canonical())
    };
    let Some((via, source)) = via.zip(source).filter(|(via, source)| needs(via, source)) else {
        draft.raw(raw);
        return;
    };
    let start = draft.out.len();
    let sent_by = &top[..top.len() - via.params().as_bytes().len()];
    draft.out.extend_from_slice(b"Via: ");
    draft.out.extend_from_slice(sent_by);
    for param in via.params().iter() {
        if param.name.eq_ignore_ascii_case(b"received") {
            continue;
        }
        draft.out.push(b';');
        draft.out.extend_from_slice(param.name);
        if param.name.eq_ignore_ascii_case(b"rport") {
            write!(draft.out, "={}", source.port()).expect("a Vec takes everything");
        } else if let Some(value) = param.value {
            draft.out.push(b'=');
            draft.out.extend_from_slice(value);
        }
    }
    // RFC 3261 writes an IPv6 address here without brackets; its own examples and most peers do.
    let ip: IpAddr = source.ip().to_canonical();
    write!(draft.out, ";received={ip}").expect("a Vec takes everything");
    for element in elements {
        draft.out.extend_from_slice(b", ");
        draft.out.extend_from_slice(element);
    }
    blank_line_ends(&mut draft.out[start..]);
    draft.out.extend_from_slice(CRLF);
}
