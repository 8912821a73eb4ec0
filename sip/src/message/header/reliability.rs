//! RAck (RFC 3262 section 7.2).

use crate::message::{Method, text};

/// Which provisional response a PRACK acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RAck<'a> {
    /// RSeq of the response.
    pub rseq: u32,
    /// CSeq number of the response.
    pub cseq: u32,
    /// CSeq method of the response.
    pub method: Method<'a>,
}

impl<'a> RAck<'a> {
    /// Reads a value.
    pub fn parse(value: &'a [u8]) -> Option<RAck<'a>> {
        let mut words = value.split(|&byte| text::is_lws(byte)).filter(|word| !word.is_empty());
        let mut next_number = || u32::try_from(text::number(words.next()?)?).ok();
        let (rseq, cseq) = (next_number()?, next_number()?);
        let method = words.next().filter(|method| text::is_token(method))?;
        let rack = RAck { rseq, cseq, method: Method::from_bytes(method) };
        words.next().is_none().then_some(rack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rack_is_read() {
        let rack = RAck { rseq: 776656, cseq: 1, method: Method::Invite };
        assert_eq!(RAck::parse(b"776656 1\r\n INVITE"), Some(rack));
        assert_eq!(RAck::parse(b"776656 1"), None);
        assert_eq!(RAck::parse(b"776656 1 INVITE x"), None);
        assert_eq!(RAck::parse(b"4294967296 1 INVITE"), None);
    }
}
