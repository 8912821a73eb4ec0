//! Session-Expires (RFC 4028). Min-SE is read by the same type; it has no refresher.

use super::params::Params;
use crate::message::text;

/// Who refreshes the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    /// Who sent the request.
    Uac,
    /// Who answered it.
    Uas,
}

/// A session interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionExpires {
    /// Seconds, held at `u32::MAX`.
    pub seconds: u32,
    /// Who refreshes, if that is settled.
    pub refresher: Option<Refresher>,
}

impl SessionExpires {
    /// Reads a value of Session-Expires or Min-SE.
    pub fn parse(value: &[u8]) -> Option<SessionExpires> {
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        let seconds = text::saturating_u32(text::trim(&value[..end]))?;
        let refresher = match Params::new(&value[end..]).get(b"refresher") {
            Some(who) if who.eq_ignore_ascii_case(b"uac") => Some(Refresher::Uac),
            Some(who) if who.eq_ignore_ascii_case(b"uas") => Some(Refresher::Uas),
            _ => None,
        };
        Some(SessionExpires { seconds, refresher })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_expires_is_read() {
        let parsed = SessionExpires::parse(b"1800 ;refresher=UAS;x").unwrap();
        assert_eq!(parsed, SessionExpires { seconds: 1800, refresher: Some(Refresher::Uas) });
        assert_eq!(SessionExpires::parse(b"90").unwrap().refresher, None);
        assert_eq!(SessionExpires::parse(b"x"), None);
    }
}
