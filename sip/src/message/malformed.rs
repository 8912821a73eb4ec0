//! What is wrong with a message, and whether it can be answered.

use std::fmt;

use super::Message;

/// A message that is not to be used, except to answer it.
#[derive(Clone, Debug)]
pub struct Malformed {
    /// The status to answer with; `None`: drop it (a response, an ACK, or too little to answer).
    pub status: Option<u16>,
    /// What is wrong, for a log and for the reason phrase.
    pub what: &'static str,
    /// As much as could be read. There whenever `status` is, and then it has a top Via whose
    /// sent-by is readable; From, To, Call-ID and CSeq may still be missing.
    pub message: Option<Box<Message>>,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

impl std::error::Error for Malformed {}

/// How much of anything is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one message, body included. More on a stream is answered with 413.
    pub message_bytes: usize,
    /// Bytes of start line and headers; at most 65,535 whatever is set here.
    pub head_bytes: usize,
    /// Header lines.
    pub header_lines: usize,
    /// Bytes of one header line, continuation lines included.
    pub line_bytes: usize,
    /// Via values over all lines.
    pub vias: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            message_bytes: 65_535,
            head_bytes: 32_768,
            header_lines: 192,
            line_bytes: 8_192,
            vias: 70,
        }
    }
}
