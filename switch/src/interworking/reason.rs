//! What interworking did with a call, for its decision record.

use std::fmt;

use vocabulary::TrunkId;

use crate::release::Cause;

/// Whose session descriptions are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Talker {
    /// The caller's.
    Caller,
    /// Those of the callee of this attempt, from 1.
    Attempt(u8),
}

impl fmt::Display for Talker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Talker::Caller => write!(f, "the caller"),
            Talker::Attempt(number) => write!(f, "the callee of attempt {number}"),
        }
    }
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InterworkingDecision {
    /// These codecs were taken out of what this side offers, answers or is sent.
    CodecsRemoved(Talker, Box<str>),
    /// The trunk takes none of the codecs that are offered.
    NoCodecForTrunk(TrunkId),
    /// The phone's account takes none of them.
    NoCodecForPhone,
    /// The early media of this attempt is not passed on.
    EarlyMediaHeld(u8),
}

impl InterworkingDecision {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            InterworkingDecision::CodecsRemoved(..) => "codecs_removed",
            InterworkingDecision::NoCodecForTrunk(_) => "no_codec_for_trunk",
            InterworkingDecision::NoCodecForPhone => "no_codec_for_phone",
            InterworkingDecision::EarlyMediaHeld(_) => "early_media_held",
        }
    }
}

impl fmt::Display for InterworkingDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InterworkingDecision::CodecsRemoved(talker, names) => {
                write!(f, "Codecs that {talker} may not use were taken out: {names}.")
            }
            InterworkingDecision::NoCodecForTrunk(trunk) => {
                write!(f, "Trunk {trunk} may use none of the codecs that are offered.")
            }
            InterworkingDecision::NoCodecForPhone => {
                write!(f, "The callee's account may use none of the codecs that are offered.")
            }
            InterworkingDecision::EarlyMediaHeld(attempt) => write!(
                f,
                "The early media of attempt {attempt} was kept from the caller, as its trunk's setting says."
            ),
        }
    }
}

/// Why a call is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterworkingRefusal {
    /// The caller may use none of the codecs that it offers.
    NoCodec,
    /// No callee may use one of them.
    NoCodecForCallee,
}

impl InterworkingRefusal {
    pub(crate) fn cause(self) -> Cause {
        Cause::IncompatibleMedia
    }

    pub(crate) fn code(self) -> &'static str {
        match self {
            InterworkingRefusal::NoCodec => "no_codec",
            InterworkingRefusal::NoCodecForCallee => "no_codec_for_callee",
        }
    }
}

impl fmt::Display for InterworkingRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InterworkingRefusal::NoCodec => {
                write!(f, "The caller may use none of the codecs that it offers.")
            }
            InterworkingRefusal::NoCodecForCallee => {
                write!(f, "No callee may use one of the codecs that are offered.")
            }
        }
    }
}

/// One of each, for the table test of refusals.
#[cfg(test)]
pub(crate) fn samples() -> [InterworkingRefusal; 2] {
    [InterworkingRefusal::NoCodec, InterworkingRefusal::NoCodecForCallee]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_decision_is_one_sentence() {
        for decision in [
            InterworkingDecision::CodecsRemoved(Talker::Caller, "G729, opus".into()),
            InterworkingDecision::CodecsRemoved(Talker::Attempt(2), "G729".into()),
            InterworkingDecision::NoCodecForTrunk(TrunkId(7)),
            InterworkingDecision::NoCodecForPhone,
            InterworkingDecision::EarlyMediaHeld(1),
        ] {
            let sentence = decision.to_string();
            let is_one = sentence.ends_with('.') && !sentence.contains(". ");
            assert!(is_one && sentence.starts_with(char::is_uppercase), "{sentence}");
        }
    }
}
