//! The scanner: one pass over the bytes for the lines, one pass over the lines for the checks.
//! The first fault found is the one that is reported; reading goes on after it, because the answer
//! needs Via, From, To, Call-ID and CSeq.

use std::ops::Range;

use bytes::Bytes;
use memchr::{memchr, memchr2, memrchr};

use super::header::{NameAddr, Via};
use super::malformed::{Limits, Malformed};
use super::name::Id;
use super::text::{self, Elements, is_lws, is_token, trim};
use super::uri::{Scheme, Uri};
use super::{Line, Lines, Message, Method, StartLine};

/// Where the end of the message is known from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Datagram,
    Stream,
}

/// Offsets are 16 bits wide.
const HEAD_BYTES_MAX: usize = u16::MAX as usize;

/// 2^31, which CSeq must stay below (RFC 3261 section 8.1.1.5).
const CSEQ_LIMIT: u64 = 1 << 31;

struct Fault {
    status: u16,
    what: &'static str,
}

struct Scan<'a> {
    text: &'a [u8],
    limits: &'a Limits,
    at: usize,
    lines: Lines,
    fault: Option<Fault>,
    cseq: u32,
    content_length: Option<u64>,
}

pub(super) fn parse(bytes: Bytes, limits: &Limits, framing: Framing) -> Result<Message, Malformed> {
    let mut scan = Scan::new(&bytes, limits);
    let Some(start) = scan.start_line() else {
        let what = scan.fault.map_or("no start line", |fault| fault.what);
        return Err(Malformed { status: None, what, message: None });
    };
    scan.header_lines();
    scan.check(&start);
    let body = scan.body(framing);
    let Scan { lines, fault, cseq, .. } = scan;
    let message = Message { bytes, start, lines, body, cseq, source: None };
    match fault {
        None => Ok(message),
        Some(fault) => Err(malformed(message, fault)),
    }
}

fn malformed(message: Message, fault: Fault) -> Malformed {
    let is_answerable =
        message.is_request() && message.method() != Method::Ack && message.top_via().is_some();
    Malformed {
        status: is_answerable.then_some(fault.status),
        what: fault.what,
        message: is_answerable.then(|| Box::new(message)),
    }
}

impl<'a> Scan<'a> {
    fn new(text: &'a [u8], limits: &'a Limits) -> Scan<'a> {
        Scan {
            text,
            limits,
            at: 0,
            lines: Lines::default(),
            fault: None,
            cseq: 0,
            content_length: None,
        }
    }

    fn fault(&mut self, what: &'static str) {
        self.fault_with(400, what);
    }

    #[cold]
    fn fault_with(&mut self, status: u16, what: &'static str) {
        if self.fault.is_none() {
            self.fault = Some(Fault { status, what });
        }
    }

    /// `None` if there is none, or it is that of a response that must be dropped.
    fn start_line(&mut self) -> Option<StartLine> {
        // RFC 3261 section 7.5: empty lines before the start line are ignored.
        self.at = self.text.iter().take_while(|&&byte| matches!(byte, b'\r' | b'\n')).count();
        let (start, end) = self.line(false)?;
        let line = &self.text[start..end];
        let is_response = line.get(..4).is_some_and(|word| word.eq_ignore_ascii_case(b"SIP/"));
        if is_response { self.status_line(start, end) } else { self.request_line(start, end) }
    }

    /// Start and end (without CRLF) of the line at `at`; moves on behind it. `None` if it does not
    /// end. CR and LF that are not a line's end are a fault and else ordinary bytes.
    fn line(&mut self, may_fold: bool) -> Option<(usize, usize)> {
        let start = self.at;
        let stop = self.text.len().min(self.limits.head_bytes).min(HEAD_BYTES_MAX);
        let mut from = start;
        loop {
            let Some(length) = memchr2(b'\r', b'\n', self.text.get(from..stop)?) else {
                self.unended_head(stop);
                return None;
            };
            let end = from + length;
            if self.text[end] != b'\r' || self.text.get(end + 1) != Some(&b'\n') {
                self.fault("CR or LF inside a line");
                from = end + 1;
                continue;
            }
            let is_folded =
                may_fold && end > start && matches!(self.text.get(end + 2), Some(b' ' | b'\t'));
            if !is_folded {
                self.at = end + 2;
                return Some((start, end));
            }
            from = end + 2;
        }
    }

    fn unended_head(&mut self, stop: usize) {
        if stop < self.text.len() {
            self.fault_with(513, "the headers are too long");
        } else {
            self.fault("the headers do not end");
        }
    }

    fn status_line(&mut self, start: usize, end: usize) -> Option<StartLine> {
        let line = &self.text[start..end];
        if !line.get(..8).is_some_and(|version| version.eq_ignore_ascii_case(b"SIP/2.0 ")) {
            self.fault("the version of a response is not 2.0");
            return None;
        }
        // Some peers leave out the space before an empty reason phrase.
        let [b'1'..=b'6', b'0'..=b'9', b'0'..=b'9', rest @ ..] = &line[8..] else {
            self.fault("the status is not between 100 and 699");
            return None;
        };
        if !matches!(rest.first(), None | Some(b' ')) {
            self.fault("the status is not between 100 and 699");
            return None;
        }
        let status = u16::try_from(text::number(&line[8..11])?).ok()?;
        let reason = end - rest.len().saturating_sub(1)..end;
        Some(StartLine::Response { status, reason: offsets(reason) })
    }

    fn request_line(&mut self, start: usize, end: usize) -> Option<StartLine> {
        let line = &self.text[start..end];
        let method_len = memchr(b' ', line).unwrap_or(line.len());
        let method = &line[..method_len];
        if !is_token(method) || method_len == line.len() {
            self.fault("no start line");
            return None;
        }
        let version_at = memrchr(b' ', line).map_or(line.len(), |space| space + 1);
        let version = &line[version_at..];
        let uri = method_len + 1..version_at.saturating_sub(1).max(method_len + 1);
        self.check_version(version);
        let known = Method::from_bytes(method).known();
        self.check_request_uri(&line[uri.clone()], Method::from_bytes(method));
        Some(StartLine::Request {
            known,
            method: offsets(start..start + method_len),
            uri: offsets(start + uri.start..start + uri.end),
        })
    }

    fn check_version(&mut self, version: &[u8]) {
        if version.eq_ignore_ascii_case(b"SIP/2.0") {
            return;
        }
        let is_version = version.len() > 4
            && version[..4].eq_ignore_ascii_case(b"SIP/")
            && version[4..].iter().all(|&byte| byte.is_ascii_digit() || byte == b'.');
        if is_version {
            self.fault_with(505, "the version is not 2.0");
        } else {
            self.fault("the start line does not end in SIP/2.0");
        }
    }

    fn check_request_uri(&mut self, uri: &[u8], method: Method<'_>) {
        let is_call = matches!(method, Method::Invite | Method::Ack | Method::Cancel);
        match Uri::parse(uri) {
            None => self.fault("the Request-URI is not one"),
            // An attempt to call leaves a record: the switch refuses that one (and then the ACK and
            // a CANCEL must find it).
            Some(uri) if matches!(uri.scheme(), Scheme::Other(_)) && !is_call => {
                self.fault_with(416, "the scheme of the Request-URI is not served");
            }
            // RFC 3261 section 19.1.1: headers may not occur in a Request-URI.
            Some(uri) if uri.headers().is_some() => self.fault("the Request-URI has headers"),
            Some(_) => {}
        }
    }

    fn header_lines(&mut self) {
        while let Some((start, end)) = self.line(true) {
            if start == end {
                return;
            }
            if end - start > self.limits.line_bytes {
                self.fault_with(513, "a header line is too long");
            }
            if self.lines.len() >= self.limits.header_lines {
                self.fault_with(513, "too many header lines");
                continue;
            }
            self.header_line(start, end);
        }
        self.at = self.text.len();
    }

    fn header_line(&mut self, start: usize, end: usize) {
        let line = &self.text[start..end];
        let Some(colon) = memchr(b':', line) else {
            return self.fault("a header line without a colon");
        };
        // RFC 3261 section 7.3.1: white space may stand before the colon.
        let name = text::trim_end(&line[..colon]);
        let id = Id::of(name);
        let Ok(name_len) = u8::try_from(name.len()) else {
            return self.fault("a header name is too long");
        };
        if id == Id::Other && !is_token(name) {
            return self.fault("a header name is not a token");
        }
        let spaces = line[colon + 1..].iter().take_while(|&&byte| is_lws(byte)).count();
        let value = start + colon + 1 + spaces;
        let Range { start, end } = offsets(start..end);
        self.lines.push(Line { start, value: offset(value), end, name_len, id });
    }

    /// Everything that the stack relies on, and what RFC 4475 wants refused.
    fn check(&mut self, start: &StartLine) {
        let mut seen = Seen::default();
        let mut index = 0;
        while let Some(&line) = self.lines.get(index) {
            index += 1;
            let value = text::trim_end(&self.text[usize::from(line.value)..usize::from(line.end)]);
            self.check_line(start, line.id, value, &mut seen);
        }
        if seen.vias > self.limits.vias {
            self.fault_with(513, "too many Vias");
        }
        for (is_there, what) in [
            (seen.vias > 0, "no Via"),
            (seen.from, "no From"),
            (seen.to, "no To"),
            (seen.call_id, "no Call-ID"),
            (seen.cseq, "no CSeq"),
        ] {
            if !is_there {
                self.fault(what);
            }
        }
    }

    fn check_line(&mut self, start: &StartLine, id: Id, value: &[u8], seen: &mut Seen) {
        let is_request = matches!(start, StartLine::Request { .. });
        match id {
            Id::Via => self.check_vias(value, seen),
            Id::From => {
                self.check_single(&mut seen.from, "two From headers");
                self.check_address(value, "From is not an address");
            }
            Id::To => {
                self.check_single(&mut seen.to, "two To headers");
                self.check_address(value, "To is not an address");
            }
            Id::CallId => {
                self.check_single(&mut seen.call_id, "two Call-ID headers");
                if value.is_empty() || value.iter().any(|&byte| byte <= b' ') {
                    self.fault("Call-ID is not one word");
                }
            }
            Id::CSeq => {
                self.check_single(&mut seen.cseq, "two CSeq headers");
                self.check_cseq(start, value);
            }
            Id::ContentLength => self.check_content_length(value),
            Id::MaxForwards if is_request => {
                self.check_single(&mut seen.max_forwards, "two Max-Forwards headers");
                if text::number(value).is_none_or(|hops| hops > 255) {
                    self.fault("Max-Forwards is not between 0 and 255");
                }
            }
            Id::Contact if is_request => {
                for element in Elements::of(value) {
                    self.check_address(element, "Contact is not an address");
                }
            }
            Id::Date if is_request && !is_date(value) => self.fault("Date is not in GMT"),
            _ => {}
        }
    }

    fn check_single(&mut self, seen: &mut bool, what: &'static str) {
        if *seen {
            self.fault(what);
        }
        *seen = true;
    }

    fn check_address(&mut self, value: &[u8], what: &'static str) {
        if !NameAddr::parse(value).is_some_and(|address| address.is_well_formed()) {
            self.fault(what);
        }
    }

    fn check_vias(&mut self, value: &[u8], seen: &mut Seen) {
        for element in Elements::of(value) {
            seen.vias += 1;
            if seen.vias > self.limits.vias {
                return;
            }
            if !Via::parse(element).is_some_and(|via| via.is_well_formed()) {
                self.fault("Via breaks the grammar");
            }
        }
    }

    fn check_cseq(&mut self, start: &StartLine, value: &[u8]) {
        let digits = value.iter().position(|&byte| is_lws(byte)).unwrap_or(value.len());
        let number = text::number(&value[..digits]).filter(|&number| number < CSEQ_LIMIT);
        let method = trim(&value[digits..]);
        let Some(number) = number else {
            return self.fault("the CSeq number is not below 2^31");
        };
        self.cseq = u32::try_from(number).expect("below the limit");
        if !is_token(method) {
            return self.fault("the CSeq method is not a token");
        }
        if let StartLine::Request { method: requested, .. } = start
            && method != &self.text[usize::from(requested.start)..usize::from(requested.end)]
        {
            self.fault("the CSeq method is not the request's");
        }
    }

    fn check_content_length(&mut self, value: &[u8]) {
        let Some(length) = text::number(value) else {
            return self.fault("Content-Length is not a number");
        };
        if self.content_length.is_some_and(|other| other != length) {
            self.fault("two Content-Length headers that differ");
        }
        self.content_length = Some(length);
    }

    fn body(&mut self, framing: Framing) -> Range<u32> {
        let available = self.text.len() - self.at;
        let length = match (self.content_length, framing) {
            (None, Framing::Datagram) => available,
            (None, Framing::Stream) => 0,
            (Some(length), _) => match usize::try_from(length) {
                Ok(length) if length <= available => length,
                wanted => {
                    let room = self.limits.message_bytes.saturating_sub(self.at);
                    if wanted.is_ok_and(|wanted| wanted <= room) {
                        self.fault("Content-Length is larger than the message");
                    } else {
                        self.fault_with(413, "the body is too large");
                    }
                    available
                }
            },
        };
        if self.at + length > self.limits.message_bytes {
            self.fault_with(413, "the body is too large");
        }
        let start = u32::try_from(self.at).unwrap_or(u32::MAX);
        start..start.saturating_add(u32::try_from(length).unwrap_or(u32::MAX))
    }
}

#[derive(Default)]
struct Seen {
    vias: usize,
    from: bool,
    to: bool,
    call_id: bool,
    cseq: bool,
    max_forwards: bool,
}

fn offset(at: usize) -> u16 {
    u16::try_from(at).expect("the head is at most 65,535 bytes long")
}

fn offsets(range: Range<usize>) -> Range<u16> {
    offset(range.start)..offset(range.end)
}

/// `Sat, 13 Nov 2010 23:29:00 GMT` (RFC 3261 section 20.17: GMT only).
fn is_date(value: &[u8]) -> bool {
    let pattern = b"Aaa, 00 Aaa 0000 00:00:00 GMT";
    value.len() == pattern.len()
        && value.iter().zip(pattern).all(|(&byte, &wanted)| match wanted {
            b'0' => byte.is_ascii_digit(),
            b'A' | b'a' => byte.is_ascii_alphabetic(),
            exact => byte == exact,
        })
}

/// The Content-Length of a head that ends at `\r\n\r\n`, as the parser will read it; `Err` if the
/// parser will find a fault in it.
pub(super) fn content_length(head: &[u8], limits: &Limits) -> Result<Option<u64>, ()> {
    let mut scan = Scan::new(head, limits);
    if scan.line(false).is_none() {
        return Err(());
    }
    scan.header_lines();
    let lines = std::mem::take(&mut scan.lines);
    for line in lines.iter().filter(|line| line.id == Id::ContentLength) {
        let value = text::trim_end(&head[usize::from(line.value)..usize::from(line.end)]);
        scan.check_content_length(value);
    }
    if scan.fault.is_some() { Err(()) } else { Ok(scan.content_length) }
}

/// The Call-ID without reading the rest: which shard does this datagram belong to? The same bytes
/// as `Message::call_id` returns for every message that parses.
pub fn peek_call_id(datagram: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    loop {
        let line = &datagram[at..];
        at += memchr(b'\n', line)? + 1;
        let next = datagram.get(at..)?;
        if matches!(next, [b'\r', b'\n', ..]) && at > 2 {
            return None;
        }
        let name = match next.first()? {
            b'i' | b'I' => &next[1..],
            b'c' | b'C' if next.get(..7)?.eq_ignore_ascii_case(b"call-id") => &next[7..],
            _ => continue,
        };
        let Some(value) = text::trim_start(name).strip_prefix(b":") else { continue };
        let value = text::trim_start(value);
        let end = value.iter().position(|&byte| is_lws(byte))?;
        return Some(&value[..end]);
    }
}
