//! What becomes of a party's wish to connect the other one to somebody else (REFER, RFC 5589). That is a
//! call of its own, which the one who wishes it places and pays for; the call there was goes on too.

use std::fmt;

use vocabulary::CallId;

use crate::release::Cause;
use crate::routing::Source;

/// What was done with a wish to transfer a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransferDecision {
    /// This one wants the other party to be connected to that.
    To(Source, Box<str>),
    /// This one wants the other party to be connected to whom it talks with in another call.
    ToOtherCall(Source),
    /// The call that is placed for that, or that other one.
    As(CallId),
    /// This call is placed for who transfers that one.
    For(Source, CallId),
    /// This one wants the other party to be connected to that of another call, which is this.
    FromOtherCall(Source, CallId),
    /// This one calls to take the place of a party of another call.
    TakesPlace(Source),
    /// This one takes the place of a party, by that call of its own.
    Replaced(Source, CallId),
    /// The other party is connected there, and the one who wished it has left.
    Done,
    /// It is not, because of this status. The parties are as before.
    Failed(u16),
    /// It is not tried.
    Refused(TransferRefusal),
}

/// Why a transfer is not tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferRefusal {
    /// The trunk may not: the call that follows would be its to pay.
    ByTrunk,
    /// One is under way.
    UnderWay,
    /// The call has been tried to be transferred as often as it may.
    TooOften,
    /// What it is to be connected to is nothing that could be dialled; the status says why.
    Target(u16),
}

impl TransferRefusal {
    /// For whoever wants it.
    pub(crate) fn sip_status(self) -> u16 {
        match self {
            TransferRefusal::ByTrunk => 403,
            TransferRefusal::UnderWay => 491,
            TransferRefusal::TooOften => 503,
            TransferRefusal::Target(status) => status,
        }
    }
}

/// The dialog whose place a call takes (RFC 3891), as we keep it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplacedDialog {
    /// Its Call-ID.
    pub call_id: Box<[u8]>,
    /// Our tag.
    pub to_tag: Box<[u8]>,
    /// The party's tag.
    pub from_tag: Box<[u8]>,
    /// Only if it is not answered yet.
    pub is_early_only: bool,
}

/// Why an INVITE does not take the place of a party (RFC 3891 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplacesRefusal {
    /// Trunks may not.
    ByTrunk,
    /// The header names no dialog, or several.
    Unreadable,
    /// No call that is up has that dialog.
    NoDialog,
    /// It is that of another account.
    NotItsOwn,
    /// It goes by TLS only, and the call does not (RFC 3261 section 26.2.2).
    Insecure,
    /// It is answered, and was to be replaced only before.
    Answered,
    /// Who is in the call is being changed already.
    Busy,
    /// The party that stays does not take the session; the status says why.
    Session(u16),
}

impl ReplacesRefusal {
    /// For the caller.
    pub(crate) fn sip_status(self) -> u16 {
        match self {
            ReplacesRefusal::ByTrunk | ReplacesRefusal::NotItsOwn => 403,
            ReplacesRefusal::Insecure => 403,
            ReplacesRefusal::Unreadable => 400,
            ReplacesRefusal::NoDialog => 481,
            ReplacesRefusal::Answered => 486,
            ReplacesRefusal::Busy => 491,
            ReplacesRefusal::Session(status) => status,
        }
    }

    /// What the call that was to be joined means by ending with this status.
    pub(crate) fn of_status(status: u16) -> ReplacesRefusal {
        match status {
            481 | ..300 => ReplacesRefusal::NoDialog,
            491 => ReplacesRefusal::Busy,
            status => ReplacesRefusal::Session(status),
        }
    }

    pub(crate) fn cause(self) -> Cause {
        Cause::from_sip_status(self.sip_status())
    }

    pub(crate) fn code(self) -> &'static str {
        match self {
            ReplacesRefusal::ByTrunk => "trunk_may_not_replace",
            ReplacesRefusal::Unreadable => "replaces_unreadable",
            ReplacesRefusal::NoDialog => "replaces_no_dialog",
            ReplacesRefusal::NotItsOwn => "replaces_not_its_own",
            ReplacesRefusal::Insecure => "replaces_insecure",
            ReplacesRefusal::Answered => "replaces_answered",
            ReplacesRefusal::Busy => "replaces_busy",
            ReplacesRefusal::Session(_) => "replaces_session_refused",
        }
    }
}

impl fmt::Display for ReplacesRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplacesRefusal::ByTrunk => {
                write!(f, "A trunk wanted to take the place of a party, which trunks may not.")
            }
            ReplacesRefusal::Unreadable => {
                write!(f, "Whose place the call is to take cannot be read from its Replaces.")
            }
            ReplacesRefusal::NoDialog => write!(
                f,
                "The call was to take the place of a party, and no call that is up has that dialog."
            ),
            ReplacesRefusal::NotItsOwn => {
                write!(f, "The call was to take the place of a party that is of another account.")
            }
            ReplacesRefusal::Insecure => write!(
                f,
                "The call was to take the place of a party of a sips: call, and did not come by TLS."
            ),
            ReplacesRefusal::Answered => write!(
                f,
                "The call was to take the place of a party before its answer, which is over."
            ),
            ReplacesRefusal::Busy => write!(
                f,
                "The call was to take the place of a party while another transfer was under way."
            ),
            ReplacesRefusal::Session(status) => write!(
                f,
                "The call was to take the place of a party, and the other one refused the session with {status}."
            ),
        }
    }
}

/// One of each with its status and Q.850 value, for the table test of refusals.
#[cfg(test)]
pub(crate) fn samples() -> [(ReplacesRefusal, u16, u8); 8] {
    [
        (ReplacesRefusal::ByTrunk, 403, 21),
        (ReplacesRefusal::Unreadable, 400, 41),
        (ReplacesRefusal::NoDialog, 481, 41),
        (ReplacesRefusal::NotItsOwn, 403, 21),
        (ReplacesRefusal::Insecure, 403, 21),
        (ReplacesRefusal::Answered, 486, 17),
        (ReplacesRefusal::Busy, 491, 41),
        (ReplacesRefusal::Session(488), 488, 65),
    ]
}

impl TransferDecision {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            TransferDecision::To(..) => "transfer_wanted",
            TransferDecision::ToOtherCall(_) => "transfer_to_call_wanted",
            TransferDecision::FromOtherCall(..) => "transfer_from_call_wanted",
            TransferDecision::As(_) => "transferred_as",
            TransferDecision::For(..) => "transferred_for",
            TransferDecision::TakesPlace(_) => "replaces_party",
            TransferDecision::Replaced(..) => "party_replaced",
            TransferDecision::Done => "transferred",
            TransferDecision::Failed(_) => "transfer_failed",
            TransferDecision::Refused(TransferRefusal::ByTrunk) => "trunk_may_not_transfer",
            TransferDecision::Refused(_) => "transfer_refused",
        }
    }
}

impl fmt::Display for TransferDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TransferDecision::To(id, to) => write!(
                f,
                "{id} wants the other party to be connected to {to}, in a call that it pays."
            ),
            TransferDecision::ToOtherCall(id) => write!(
                f,
                "{id} wants the other party to be connected to that of another call of its own."
            ),
            TransferDecision::FromOtherCall(id, call) => {
                write!(f, "{id} wants the other party to be connected to that of call {call}.")
            }
            TransferDecision::As(call) => write!(f, "That is call {call}."),
            TransferDecision::For(id, call) => {
                write!(f, "{id} transfers call {call} here.")
            }
            TransferDecision::TakesPlace(id) => {
                write!(f, "{id} calls to take the place of a party of another call.")
            }
            TransferDecision::Replaced(id, call) => {
                write!(f, "{id} takes the place of a party, by call {call}.")
            }
            TransferDecision::Done => {
                write!(f, "The other party is connected there, and the one who wanted it has left.")
            }
            TransferDecision::Failed(status) => {
                write!(f, "The transfer failed with {status}; the parties are as they were.")
            }
            TransferDecision::Refused(why) => match why {
                TransferRefusal::ByTrunk => {
                    write!(f, "A trunk wanted to transfer the call, which it may not.")
                }
                TransferRefusal::UnderWay => {
                    write!(f, "Another transfer was wanted while one was under way.")
                }
                TransferRefusal::TooOften => {
                    write!(
                        f,
                        "A transfer was not tried: the call has had as many attempts as it may."
                    )
                }
                TransferRefusal::Target(status) => write!(
                    f,
                    "A transfer was refused with {status}: its target is nothing to be dialled."
                ),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use vocabulary::TrunkId;

    use super::*;

    #[test]
    fn every_decision_is_one_sentence() {
        let id = Source::Trunk(TrunkId(3));
        for decision in [
            TransferDecision::To(id, "49170".into()),
            TransferDecision::ToOtherCall(id),
            TransferDecision::FromOtherCall(id, CallId(5)),
            TransferDecision::As(CallId(7)),
            TransferDecision::For(id, CallId(6)),
            TransferDecision::TakesPlace(id),
            TransferDecision::Replaced(id, CallId(8)),
            TransferDecision::Done,
            TransferDecision::Failed(486),
            TransferDecision::Refused(TransferRefusal::ByTrunk),
            TransferDecision::Refused(TransferRefusal::UnderWay),
            TransferDecision::Refused(TransferRefusal::TooOften),
            TransferDecision::Refused(TransferRefusal::Target(404)),
        ] {
            let sentence = decision.to_string();
            let is_one = sentence.ends_with('.') && !sentence.contains(". ");
            assert!(is_one && sentence.starts_with(char::is_uppercase), "{sentence}");
        }
    }
}
