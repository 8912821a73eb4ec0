//! What a call asks of the outside before it goes on, and what it is told. Both lists are closed. Whoever
//! answers may wait, for a network or for a disk; the call waits no longer than it says itself.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use vocabulary::{CallId, Number, Utc};

use crate::lookup::Lookup;
use crate::stir::{Attestation, IdentityFault};

/// A question, asked by [`crate::Effect::Ask`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whether what an Identity header says is true of this call (RFC 8224 section 6.2).
    Verify(Box<IdentityToVerify>),
    /// An Identity header for an INVITE of ours (RFC 8224 section 6.1).
    Sign(Box<IdentityToSign>),
    /// Where a called number is served since it was ported (T7).
    Dip(Box<NumberToDip>),
}

/// A number, and who is asked about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberToDip {
    /// Who, and how.
    pub lookup: Arc<Lookup>,
    /// The called number, E.164 without `+`.
    pub number: Number,
}

/// An Identity header that came in, and what it has to be true of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityToVerify {
    /// The value of the header, as received.
    pub value: Bytes,
    /// The caller's number, after rules and number plan.
    pub caller: Number,
    /// The called number, after rules and number plan.
    pub called: Number,
    /// When the INVITE came.
    pub at: Utc,
}

/// What an Identity header of ours is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityToSign {
    /// The call: whoever traces it back asks for it by this (`origid`, RFC 8588 section 5).
    pub call: CallId,
    /// The caller's number.
    pub caller: Number,
    /// The called number.
    pub called: Number,
    /// How sure we are of the caller.
    pub attestation: Attestation,
    /// When it is signed.
    pub at: Utc,
}

impl Question {
    /// How long a call waits for the answer, and goes on as if there were none.
    pub fn limit(&self) -> Duration {
        match self {
            // A certificate may have to be fetched first.
            Question::Verify(_) => Duration::from_secs(3),
            Question::Sign(_) => Duration::from_millis(500),
            Question::Dip(dip) => dip.lookup.timeout,
        }
    }
}

/// An answer, as [`crate::Input::Told`] brings it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nobody knows.
    Nothing,
    /// To [`Question::Verify`]: how sure the one who signed is, or what is wrong.
    Verified(Result<Attestation, IdentityFault>),
    /// To [`Question::Sign`]: the value of the Identity header.
    Signed(Bytes),
    /// To [`Question::Dip`]: the LRN; `None`: the number is not ported.
    Dipped(Option<Number>),
}
