//! Messages out of a stream (RFC 3261 section 18.3) and the keep-alives between them (RFC 5626
//! section 4.4.1). What is cut out here is read by `Message::parse_framed`; both find the end of
//! the head and its Content-Length with the same scanner, so they cannot disagree.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memmem;

use super::{Limits, parse};

/// What came next in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// One whole message, for `Message::parse_framed`.
    Message(Bytes),
    /// A double CRLF: answer it with a single one.
    Ping,
    /// A single CRLF: the answer to a ping of ours, or noise between messages.
    Pong,
    /// The end of the next message cannot be known. Give the bytes to `Message::parse_framed`,
    /// which may find a request to refuse in them, send the answer, and close the connection.
    Broken(Bytes),
}

/// Cuts a stream into messages. Holds at most one incomplete message; one message takes no more
/// room than the limits allow.
#[derive(Debug)]
pub struct Framer {
    buffer: BytesMut,
    limits: Limits,
    /// Up to here there is no end of the head.
    scanned: usize,
    /// The length of the message at the start of the buffer, once its head is complete.
    wanted: Option<usize>,
    is_broken: bool,
}

const HEAD_END: &[u8] = b"\r\n\r\n";

impl Framer {
    /// For one connection.
    pub fn new(limits: Limits) -> Framer {
        Framer { buffer: BytesMut::new(), limits, scanned: 0, wanted: None, is_broken: false }
    }

    /// Adds what was received. After a `Broken` frame it is thrown away.
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.is_broken {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next complete frame; `None`: more bytes are needed. Drain it after each `push`, so that
    /// the buffer stays small.
    pub fn poll_frame(&mut self) -> Option<Frame> {
        if self.is_broken {
            return None;
        }
        if self.wanted.is_none() {
            if let Some(frame) = self.poll_between() {
                return Some(frame);
            }
            self.poll_head()?;
        }
        if self.is_broken {
            return Some(Frame::Broken(self.buffer.split().freeze()));
        }
        let wanted = self.wanted.filter(|&wanted| self.buffer.len() >= wanted)?;
        self.wanted = None;
        self.scanned = 0;
        Some(Frame::Message(self.buffer.split_to(wanted).freeze()))
    }

    /// Whether part of a message is waiting for its rest: a peer that leaves it so is to be timed
    /// out.
    pub fn is_partial(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Keep-alives, which stand only between messages.
    fn poll_between(&mut self) -> Option<Frame> {
        if self.buffer.starts_with(HEAD_END) {
            self.buffer.advance(4);
            return Some(Frame::Ping);
        }
        // A lone CRLF, or CRLF CR, may still become a ping.
        if self.buffer.starts_with(b"\r\n") && !HEAD_END.starts_with(&self.buffer) {
            self.buffer.advance(2);
            return Some(Frame::Pong);
        }
        None
    }

    /// Finds the length of the message at the start of the buffer, or that it has none.
    fn poll_head(&mut self) -> Option<()> {
        if HEAD_END.starts_with(&self.buffer) {
            return None;
        }
        if matches!(self.buffer.first(), Some(b'\r' | b'\n')) {
            self.is_broken = true;
            return Some(());
        }
        let from = self.scanned.saturating_sub(HEAD_END.len() - 1);
        let Some(found) = memmem::find(&self.buffer[from..], HEAD_END) else {
            self.scanned = self.buffer.len();
            self.is_broken = self.buffer.len() > self.limits.head_bytes;
            return self.is_broken.then_some(());
        };
        let head = from + found + HEAD_END.len();
        let length = parse::content_length(&self.buffer[..head], &self.limits);
        let body = length.ok().and_then(|length| usize::try_from(length.unwrap_or(0)).ok());
        let room = self.limits.message_bytes.saturating_sub(head);
        match body.filter(|&body| body <= room) {
            Some(body) => self.wanted = Some(head + body),
            None => {
                self.buffer.truncate(head);
                self.is_broken = true;
            }
        }
        Some(())
    }
}
