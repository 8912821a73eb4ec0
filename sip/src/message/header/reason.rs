//! Reason (RFC 3326) and Retry-After (RFC 3261 section 20.33).

use std::borrow::Cow;

use super::params::Params;
use crate::message::text;

/// Why a request was sent: `Q.850;cause=16;text="Normal"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason<'a> {
    /// `SIP`, `Q.850`, or another; compare without regard to case.
    pub protocol: &'a [u8],
    params: Params<'a>,
}

impl<'a> Reason<'a> {
    /// Reads one value.
    pub fn parse(value: &'a [u8]) -> Option<Reason<'a>> {
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        let protocol = text::trim(&value[..end]);
        text::is_token(protocol).then(|| Reason { protocol, params: Params::new(&value[end..]) })
    }

    /// `cause=`.
    pub fn cause(&self) -> Option<u16> {
        text::number(self.params.get(b"cause")?).and_then(|cause| u16::try_from(cause).ok())
    }

    /// `text=`, without quotes.
    pub fn text(&self) -> Option<Cow<'a, [u8]>> {
        self.params.get_unquoted(b"text")
    }

    /// The cause, if the protocol is Q.850.
    pub fn q850(&self) -> Option<u8> {
        if !self.protocol.eq_ignore_ascii_case(b"Q.850") {
            return None;
        }
        self.cause().and_then(|cause| u8::try_from(cause).ok()).filter(|&cause| cause < 128)
    }
}

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter {
    /// Seconds from now.
    pub seconds: u32,
}

impl RetryAfter {
    /// Reads a value; comment and parameters are ignored.
    pub fn parse(value: &[u8]) -> Option<RetryAfter> {
        let value = text::trim_start(value);
        let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
        Some(RetryAfter { seconds: text::saturating_u32(&value[..digits])? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_is_read() {
        let reason = Reason::parse(b"Q.850 ;cause=16 ;text=\"Normal \\\"x\\\"\"").unwrap();
        assert_eq!((reason.q850(), reason.cause()), (Some(16), Some(16)));
        assert_eq!(reason.text().as_deref(), Some(&b"Normal \"x\""[..]));
        assert_eq!(Reason::parse(b"SIP;cause=486").unwrap().q850(), None);
        assert_eq!(Reason::parse(b"q.850;cause=999").unwrap().q850(), None);
        assert_eq!(Reason::parse(b";cause=1"), None);
    }

    #[test]
    fn retry_after_is_read() {
        let seconds = |text: &[u8]| RetryAfter::parse(text).map(|retry| retry.seconds);
        assert_eq!(seconds(b"120 (I'm in a meeting);duration=5"), Some(120));
        assert_eq!(seconds(b"99999999999"), Some(u32::MAX));
        assert_eq!(seconds(b"soon"), None);
    }
}
