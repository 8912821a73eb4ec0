//! Why a message is not taken (RFC 3428), besides what a call is refused for.

use std::fmt;

use vocabulary::{Number, TrunkId};

use crate::release::Cause;

/// The reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageRefusal {
    /// No messages are taken from this trunk.
    NotFromTrunk(TrunkId),
    /// Trunks lead there, and messages go over none of them.
    NoTrunk(Number),
}

impl MessageRefusal {
    pub(crate) fn cause(&self) -> Cause {
        match self {
            MessageRefusal::NotFromTrunk(_) => Cause::Rejected,
            MessageRefusal::NoTrunk(_) => Cause::NoRoute,
        }
    }

    pub(crate) fn sip_status(&self) -> u16 {
        match self {
            MessageRefusal::NotFromTrunk(_) => 403,
            MessageRefusal::NoTrunk(_) => 404,
        }
    }

    pub(crate) fn code(&self) -> &'static str {
        match self {
            MessageRefusal::NotFromTrunk(_) => "trunk_sends_no_messages",
            MessageRefusal::NoTrunk(_) => "no_trunk_for_messages",
        }
    }
}

impl fmt::Display for MessageRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MessageRefusal::NotFromTrunk(trunk) => {
                write!(f, "No messages are taken from trunk {trunk}: allow them for it first.")
            }
            MessageRefusal::NoTrunk(cld) => {
                write!(f, "No trunk to {} carries messages.", cld.as_str())
            }
        }
    }
}
