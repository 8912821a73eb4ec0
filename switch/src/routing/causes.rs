//! What causes mean between us and one trunk, where it does not use them as the standards have it (S6).
//! Carriers that answer 503 to everything, customers who hunt on after 404: each trunk has a table of
//! its own for what it tells us and one for what it is told. The CDR keeps what was really said.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use crate::release::Cause;

/// How a peer names a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// A final SIP status, `404`.
    Status(u16),
    /// A Q.850 value in a Reason header (RFC 3326), `Q34`.
    Q850(u8),
}

/// Why a text or a pair of codes cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// It is neither.
    #[error("write a SIP status such as 404, or Q and a Q.850 value such as Q34")]
    Unknown,
    /// Not one of a call that failed.
    #[error("write a final SIP status from 300 to 699, or a Q.850 value from Q1 to Q127")]
    OutOfRange,
    /// It would say that the call did not fail, or ask for credentials.
    #[error(
        "a call that failed becomes a SIP status from 400 to 699 other than 401 and 407, or a Q.850 \
         value other than Q16"
    )]
    NoFailure,
}

impl Code {
    fn cause(self) -> Cause {
        match self {
            Code::Status(status) => Cause::from_sip_status(status),
            Code::Q850(value) => Cause::from_q850(value),
        }
    }

    fn status(self) -> u16 {
        match self {
            Code::Status(status) => status,
            Code::Q850(_) => self.cause().sip_status(),
        }
    }
}

impl FromStr for Code {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Code, CodeError> {
        let number = |digits: &str| match digits.bytes().all(|byte| byte.is_ascii_digit()) {
            true => digits.parse::<u16>().map_err(|_| CodeError::Unknown),
            false => Err(CodeError::Unknown),
        };
        match text.strip_prefix(['Q', 'q']) {
            Some(digits) => match u8::try_from(number(digits)?) {
                Ok(value @ 1..=127) => Ok(Code::Q850(value)),
                _ => Err(CodeError::OutOfRange),
            },
            None => match number(text)? {
                status @ 300..=699 => Ok(Code::Status(status)),
                _ => Err(CodeError::OutOfRange),
            },
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Code::Status(status) => write!(f, "{status}"),
            Code::Q850(value) => write!(f, "Q{value}"),
        }
    }
}

/// One table: a code and what it becomes.
type Rows = Vec<(Code, Code)>;

/// A trunk's tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CauseMap {
    /// What it tells us when an attempt over it fails, and what that means.
    pub heard: Rows,
    /// What a call that it sends us ends with before an answer, and what it is told instead.
    pub told: Rows,
}

/// What a caller's trunk is told instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) status: u16,
    /// The Reason header, where that is to say something else too.
    pub(crate) reason: Option<Bytes>,
}

impl CauseMap {
    /// Whether a code may become this one.
    pub fn check(becomes: Code) -> Result<(), CodeError> {
        match becomes.status() {
            401 | 407 => Err(CodeError::NoFailure),
            400..=699 => Ok(()),
            _ => Err(CodeError::NoFailure),
        }
    }

    /// What a failed attempt means that ended with this status, and this Q.850 value if it said one, and
    /// the status that stands for it; `None`: what the standards say.
    pub(crate) fn meaning(&self, status: u16, q850: Option<u8>) -> Option<(Cause, u16)> {
        let becomes = find(&self.heard, status, q850)?;
        Some((becomes.cause(), becomes.status()))
    }

    /// What the caller's trunk is told of a call that would end with this.
    pub(crate) fn told(&self, status: u16, cause: Cause) -> Option<Told> {
        let becomes = find(&self.told, status, Some(cause.q850()))?;
        let reason = match becomes {
            Code::Status(_) => None,
            Code::Q850(value) => Some(format!("Q.850;cause={value}").into()),
        };
        Some(Told { status: becomes.status(), reason })
    }
}

/// A Q.850 value says more than a status. Values are compared as they were said: a cause stands for
/// several, and a row is about one.
fn find(rows: &Rows, status: u16, q850: Option<u8>) -> Option<Code> {
    if rows.is_empty() {
        return None;
    }
    let said = q850.map(Code::Q850);
    let row = rows.iter().find(|(from, _)| Some(*from) == said);
    let row = row.or_else(|| rows.iter().find(|(from, _)| *from == Code::Status(status)));
    row.map(|(_, becomes)| *becomes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(pairs: &[(&str, &str)]) -> Rows {
        pairs.iter().map(|(from, to)| (from.parse().unwrap(), to.parse().unwrap())).collect()
    }

    #[test]
    fn codes_are_read_and_written() {
        for text in ["404", "Q34", "699", "Q1"] {
            assert_eq!(text.parse::<Code>().unwrap().to_string(), text);
        }
        assert_eq!("q3".parse(), Ok(Code::Q850(3)));
        for (text, error) in [
            ("299", CodeError::OutOfRange),
            ("700", CodeError::OutOfRange),
            ("Q0", CodeError::OutOfRange),
            ("Q128", CodeError::OutOfRange),
            ("busy", CodeError::Unknown),
            ("+404", CodeError::Unknown),
            ("", CodeError::Unknown),
        ] {
            assert_eq!(text.parse::<Code>(), Err(error), "{text}");
        }
        for (text, is_failure) in
            [("404", true), ("Q34", true), ("302", false), ("401", false), ("Q16", false)]
        {
            assert_eq!(CauseMap::check(text.parse().unwrap()).is_ok(), is_failure, "{text}");
        }
    }

    #[track_caller]
    fn hears(status: u16, q850: Option<u8>, expected: Option<(Cause, u16)>) {
        let heard = rows(&[("503", "404"), ("Q34", "Q17"), ("487", "Q38")]);
        let map = CauseMap { heard, ..CauseMap::default() };
        assert_eq!(map.meaning(status, q850), expected, "{status} {q850:?}");
    }

    #[test]
    fn what_a_trunk_says_means_what_its_table_says() {
        // S6.
        hears(503, None, Some((Cause::UnallocatedNumber, 404)));
        hears(503, Some(34), Some((Cause::Busy, 486)));
        hears(480, Some(34), Some((Cause::Busy, 486)));
        hears(503, Some(17), Some((Cause::UnallocatedNumber, 404)));
        // 44 is no circuit as well, but the row is about 34.
        hears(480, Some(44), None);
        hears(487, None, Some((Cause::NetworkOutOfOrder, 502)));
        hears(486, None, None);
    }

    #[test]
    fn a_caller_is_told_what_its_table_says() {
        let told = rows(&[("404", "503"), ("Q21", "Q34")]);
        let map = CauseMap { told, ..CauseMap::default() };
        let status = |status| Some(Told { status, reason: None });
        assert_eq!(map.told(404, Cause::NoRoute), status(503));
        let reason = Some(Bytes::from_static(b"Q.850;cause=34"));
        assert_eq!(map.told(403, Cause::Rejected), Some(Told { status: 503, reason }));
        let reason = Some(Bytes::from_static(b"Q.850;cause=34"));
        assert_eq!(map.told(603, Cause::Declined), Some(Told { status: 503, reason }));
        assert_eq!(map.told(486, Cause::Busy), None);
    }
}
