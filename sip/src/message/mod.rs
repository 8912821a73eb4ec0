//! Messages: one received message is one `Bytes` and a table of offsets into it. Parsing checks
//! everything that the stack relies on, so the accessors below cannot fail on a parsed message;
//! on the remains inside [`Malformed`] they return what can be read, or nothing.

pub mod framing;
pub mod header;
mod malformed;
mod method;
mod name;
mod parse;
mod portability;
pub mod probe;
mod status;
mod text;
pub mod uri;
pub mod write;

use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;

use bytes::Bytes;

pub use framing::{Frame, Framer};
use header::{NameAddr, RAck, Reason, RetryAfter, SessionExpires, Tokens, Via};
pub use malformed::{Limits, Malformed};
pub use method::Method;
pub use name::HeaderName;
use name::Id;
pub use parse::peek_call_id;
pub use portability::Portability;
pub use status::reason_phrase;
use text::{Elements, trim};
pub use text::{unescape, unquote};
pub use write::{RequestDraft, ResponseDraft};

/// Header lines that fit without an allocation.
const LINES_INLINE: usize = 32;

/// One header line: offsets from the start of the message, name identified.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    start: u16,
    /// Of the value, white space before it skipped.
    value: u16,
    /// Without the CRLF.
    end: u16,
    name_len: u8,
    id: Id,
}

/// The header lines: the first ones inline, the rest of an unusual message on the heap.
#[derive(Clone, Default)]
struct Lines {
    inline: [Line; LINES_INLINE],
    len: u8,
    spill: Vec<Line>,
}

impl Lines {
    fn push(&mut self, line: Line) {
        match self.inline.get_mut(usize::from(self.len)) {
            Some(slot) => {
                *slot = line;
                self.len += 1;
            }
            None => self.spill.push(line),
        }
    }

    fn len(&self) -> usize {
        usize::from(self.len) + self.spill.len()
    }

    fn get(&self, index: usize) -> Option<&Line> {
        let len = usize::from(self.len);
        if index < len { Some(&self.inline[index]) } else { self.spill.get(index - len) }
    }

    fn iter(&self) -> impl Iterator<Item = &Line> {
        self.inline[..usize::from(self.len)].iter().chain(&self.spill)
    }
}

#[derive(Clone)]
enum StartLine {
    /// The method in front of `uri`, or `Invite` and the like in one word.
    Request {
        method: Range<u16>,
        known: Option<Method<'static>>,
        uri: Range<u16>,
    },
    Response {
        status: u16,
        reason: Range<u16>,
    },
}

/// A received message.
#[derive(Clone)]
pub struct Message {
    bytes: Bytes,
    start: StartLine,
    lines: Lines,
    body: Range<u32>,
    cseq: u32,
    source: Option<SocketAddr>,
}

/// One header line as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderLine<'a> {
    /// Which header it is.
    pub name: HeaderName<'a>,
    /// The whole line with name and continuation lines, without the last CRLF: what
    /// `RequestDraft::raw` takes to forward it byte for byte.
    pub raw: &'a [u8],
    /// The value, white space around it removed.
    pub value: &'a [u8],
}

impl Message {
    /// Reads a datagram: without Content-Length the body is all that follows the headers; what
    /// follows a body that is shorter is ignored (RFC 3261 section 18.3).
    pub fn parse(bytes: Bytes) -> Result<Message, Malformed> {
        parse::parse(bytes, &Limits::default(), parse::Framing::Datagram)
    }

    /// Reads one message of a stream, as [`Framer`] cut it out: without Content-Length there is no
    /// body.
    pub fn parse_framed(bytes: Bytes) -> Result<Message, Malformed> {
        parse::parse(bytes, &Limits::default(), parse::Framing::Stream)
    }

    /// Like `parse` (or `parse_framed`, with `is_stream`) with other limits.
    pub fn parse_within(
        bytes: Bytes,
        limits: &Limits,
        is_stream: bool,
    ) -> Result<Message, Malformed> {
        let framing = if is_stream { parse::Framing::Stream } else { parse::Framing::Datagram };
        parse::parse(bytes, limits, framing)
    }

    /// The whole message as received.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether it is a request.
    pub fn is_request(&self) -> bool {
        matches!(self.start, StartLine::Request { .. })
    }

    /// The method of a request; of a response, the method in CSeq.
    pub fn method(&self) -> Method<'_> {
        match &self.start {
            StartLine::Request { known: Some(known), .. } => *known,
            StartLine::Request { method, .. } => Method::Extension(self.slice(method)),
            StartLine::Response { .. } => self.cseq().1,
        }
    }

    /// The Request-URI as received; empty for a response.
    pub fn request_uri(&self) -> &[u8] {
        match &self.start {
            StartLine::Request { uri, .. } => self.slice(uri),
            StartLine::Response { .. } => b"",
        }
    }

    /// The Request-URI in its parts; `None` for a response.
    pub fn parsed_request_uri(&self) -> Option<uri::Uri<'_>> {
        uri::Uri::parse(self.request_uri())
    }

    /// The status of a response; 0 for a request.
    pub fn status(&self) -> u16 {
        match self.start {
            StartLine::Response { status, .. } => status,
            StartLine::Request { .. } => 0,
        }
    }

    /// The reason phrase of a response; empty for a request. Any bytes.
    pub fn reason(&self) -> &[u8] {
        match &self.start {
            StartLine::Response { reason, .. } => self.slice(reason),
            StartLine::Request { .. } => b"",
        }
    }

    fn slice(&self, range: &Range<u16>) -> &[u8] {
        &self.bytes[usize::from(range.start)..usize::from(range.end)]
    }

    fn line(&self, line: &Line) -> HeaderLine<'_> {
        let raw = &self.bytes[usize::from(line.start)..usize::from(line.end)];
        HeaderLine {
            name: line.id.name(&raw[..usize::from(line.name_len)]),
            raw,
            value: self.value(line),
        }
    }

    fn value(&self, line: &Line) -> &[u8] {
        text::trim_end(&self.bytes[usize::from(line.value)..usize::from(line.end)])
    }

    fn line_is(&self, line: &Line, name: HeaderName<'_>) -> bool {
        match name {
            HeaderName::Other(text) => {
                let start = usize::from(line.start);
                let received = &self.bytes[start..start + usize::from(line.name_len)];
                line.id == Id::Other && received.eq_ignore_ascii_case(text)
            }
            known => line.id == known.id(),
        }
    }

    /// All header lines in order.
    pub fn header_lines(&self) -> impl Iterator<Item = HeaderLine<'_>> {
        self.lines.iter().map(|line| self.line(line))
    }

    /// The whole value of the first line of this header.
    pub fn header(&self, name: HeaderName<'_>) -> Option<&[u8]> {
        let line = self.lines.iter().find(|line| self.line_is(line, name))?;
        Some(self.value(line))
    }

    /// All values of this header over all its lines, in order. Lists are split at their commas;
    /// empty elements are skipped.
    pub fn headers<'a>(&'a self, name: HeaderName<'a>) -> HeaderValues<'a> {
        HeaderValues { message: self, name, next: 0, elements: Elements::none() }
    }

    /// The tokens of a list header (Allow, Supported, Require, Proxy-Require, Unsupported).
    pub fn tokens<'a>(&'a self, name: HeaderName<'a>) -> Tokens<'a> {
        Tokens::new(self.headers(name))
    }

    /// The Call-ID; empty only in the remains of a malformed message.
    pub fn call_id(&self) -> &[u8] {
        self.header(HeaderName::CallId).unwrap_or(b"")
    }

    /// CSeq. Without a readable one, as in the remains of a malformed message: 0 and no method.
    pub fn cseq(&self) -> (u32, Method<'_>) {
        let value = self.header(HeaderName::CSeq).unwrap_or(b"");
        let start = value.iter().position(|&byte| text::is_lws(byte)).unwrap_or(value.len());
        (self.cseq, Method::from_bytes(trim(&value[start..])))
    }

    /// From.
    pub fn from(&self) -> NameAddr<'_> {
        self.name_addr(HeaderName::From).unwrap_or_default()
    }

    /// To.
    pub fn to(&self) -> NameAddr<'_> {
        self.name_addr(HeaderName::To).unwrap_or_default()
    }

    /// The tag of From.
    pub fn from_tag(&self) -> Option<&[u8]> {
        self.from().tag()
    }

    /// The tag of To.
    pub fn to_tag(&self) -> Option<&[u8]> {
        self.to().tag()
    }

    /// The first address in this header.
    pub fn name_addr(&self, name: HeaderName<'_>) -> Option<NameAddr<'_>> {
        let line = self.lines.iter().find(|line| self.line_is(line, name))?;
        NameAddr::parse(if line.id.is_list() {
            Elements::of(self.value(line)).next()?
        } else {
            self.value(line)
        })
    }

    /// All addresses in this header (Contact, Route, Record-Route, Path, P-Asserted-Identity…).
    /// What is no address is skipped.
    pub fn name_addrs<'a>(&'a self, name: HeaderName<'a>) -> impl Iterator<Item = NameAddr<'a>> {
        self.headers(name).filter_map(NameAddr::parse)
    }

    /// The first Contact.
    pub fn contact(&self) -> Option<NameAddr<'_>> {
        self.name_addr(HeaderName::Contact)
    }

    /// All Contacts.
    pub fn contacts(&self) -> impl Iterator<Item = NameAddr<'_>> {
        self.name_addrs(HeaderName::Contact)
    }

    /// The topmost Via; `None` only in the remains of a malformed message.
    pub fn top_via(&self) -> Option<Via<'_>> {
        self.vias().next()
    }

    /// All Vias, topmost first.
    pub fn vias(&self) -> impl Iterator<Item = Via<'_>> {
        self.headers(HeaderName::Via).filter_map(Via::parse)
    }

    fn number(&self, name: HeaderName<'_>) -> Option<u32> {
        text::saturating_u32(self.header(name)?)
    }

    /// Max-Forwards; `None` if it is not there, as in messages of RFC 2543.
    pub fn max_forwards(&self) -> Option<u32> {
        self.number(HeaderName::MaxForwards)
    }

    /// Expires in seconds; `None` if it is not there or no number.
    pub fn expires(&self) -> Option<u32> {
        self.number(HeaderName::Expires)
    }

    /// Min-Expires in seconds.
    pub fn min_expires(&self) -> Option<u32> {
        self.number(HeaderName::MinExpires)
    }

    /// RSeq of a reliable provisional response.
    pub fn rseq(&self) -> Option<u32> {
        text::number(self.header(HeaderName::RSeq)?).and_then(|rseq| u32::try_from(rseq).ok())
    }

    /// RAck of a PRACK.
    pub fn rack(&self) -> Option<RAck<'_>> {
        RAck::parse(self.header(HeaderName::RAck)?)
    }

    /// Session-Expires.
    pub fn session_expires(&self) -> Option<SessionExpires> {
        SessionExpires::parse(self.header(HeaderName::SessionExpires)?)
    }

    /// Min-SE in seconds.
    pub fn min_se(&self) -> Option<u32> {
        SessionExpires::parse(self.header(HeaderName::MinSe)?).map(|min| min.seconds)
    }

    /// Retry-After.
    pub fn retry_after(&self) -> Option<RetryAfter> {
        RetryAfter::parse(self.header(HeaderName::RetryAfter)?)
    }

    /// All Reason values.
    pub fn reasons(&self) -> impl Iterator<Item = Reason<'_>> {
        self.headers(HeaderName::Reason).filter_map(Reason::parse)
    }

    /// Whether Supported names this option tag.
    pub fn supports(&self, option: &[u8]) -> bool {
        self.tokens(HeaderName::Supported).has(option)
    }

    /// Whether Require names this option tag.
    pub fn requires(&self, option: &[u8]) -> bool {
        self.tokens(HeaderName::Require).has(option)
    }

    /// Content-Type with its parameters.
    pub fn content_type(&self) -> Option<&[u8]> {
        self.header(HeaderName::ContentType)
    }

    /// The body: a slice of the datagram, nothing is copied.
    pub fn body(&self) -> Bytes {
        self.bytes.slice(self.body.start as usize..self.body.end as usize)
    }

    /// The body without counting a reference.
    pub fn body_bytes(&self) -> &[u8] {
        &self.bytes[self.body.start as usize..self.body.end as usize]
    }

    /// Where a request came from, if `set_source` was called.
    pub fn source(&self) -> Option<SocketAddr> {
        self.source
    }

    /// Tells where a request came from. Responses made from it then carry `received` and, if asked
    /// for, `rport` in the top Via (RFC 3261 section 18.2.1, RFC 3581).
    pub fn set_source(&mut self, source: SocketAddr) {
        self.source = Some(source);
    }
}

/// Start line, Call-ID and CSeq only: headers may hold credentials and numbers.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.start {
            StartLine::Request { .. } => write!(f, "Message({}", self.method())?,
            StartLine::Response { status, .. } => write!(f, "Message({status}")?,
        }
        write!(f, ", {}, CSeq {})", self.call_id().escape_ascii(), self.cseq)
    }
}

/// The values of one header; see [`Message::headers`].
#[derive(Clone)]
pub struct HeaderValues<'a> {
    message: &'a Message,
    name: HeaderName<'a>,
    next: usize,
    elements: Elements<'a>,
}

impl fmt::Debug for HeaderValues<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeaderValues({})", self.name)
    }
}

impl<'a> Iterator for HeaderValues<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            if let Some(element) = self.elements.find(|element| !element.is_empty()) {
                return Some(element);
            }
            let line = self.message.lines.get(self.next)?;
            self.next += 1;
            if !self.message.line_is(line, self.name) {
                continue;
            }
            let value = self.message.value(line);
            if !line.id.is_list() {
                return Some(value);
            }
            self.elements = Elements::of(value);
        }
    }
}
