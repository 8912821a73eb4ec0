//! Calls that must not leave unencrypted, and would have to.

use std::fmt;

use vocabulary::{Number, SubscriberId};

use crate::release::Cause;

/// Why a call to a `sips:` address goes nowhere (RFC 5630).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecurityRefusal {
    /// No trunk that the number may go to takes calls by TLS.
    NoSecureTrunk(Number),
    /// The callee registered, but not by TLS.
    NoSecureContact(SubscriberId),
}

impl SecurityRefusal {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            SecurityRefusal::NoSecureTrunk(_) => "no_secure_trunk",
            SecurityRefusal::NoSecureContact(_) => "no_secure_contact",
        }
    }

    /// 480 to the caller (RFC 5630 section 5.3).
    pub(crate) fn cause(&self) -> Cause {
        Cause::Absent
    }
}

impl fmt::Display for SecurityRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecurityRefusal::NoSecureTrunk(number) => write!(
                f,
                "The call was to be secure (sips), and no trunk for {} takes calls by TLS.",
                number.as_str()
            ),
            SecurityRefusal::NoSecureContact(id) => write!(
                f,
                "The call was to be secure (sips), and subscriber {id} has not registered by TLS."
            ),
        }
    }
}

#[cfg(test)]
pub(super) fn samples() -> Vec<SecurityRefusal> {
    vec![
        SecurityRefusal::NoSecureTrunk("442079460000".parse().unwrap()),
        SecurityRefusal::NoSecureContact(vocabulary::SubscriberId(5)),
    ]
}
