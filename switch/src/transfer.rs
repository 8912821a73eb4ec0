//! What becomes of a party's wish to connect the other one to somebody else (REFER, RFC 5589). That is a
//! call of its own, which the one who wishes it places and pays for; the call there was goes on too.

use std::fmt;

use vocabulary::{CallId, SubscriberId};

/// What was done with a wish to transfer a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransferDecision {
    /// A subscriber wants the other party to be connected to this.
    To(SubscriberId, Box<str>),
    /// A subscriber wants the other party to be connected to whom it talks with in another call.
    ToOtherCall(SubscriberId),
    /// The call that is placed for that, or that other one.
    As(CallId),
    /// This call is placed for a subscriber that transfers that one.
    For(SubscriberId, CallId),
    /// A subscriber wants the other party to be connected to that of another call, which is this.
    FromOtherCall(SubscriberId, CallId),
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
    /// Trunks may not: the call that follows would be theirs to pay.
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

impl TransferDecision {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            TransferDecision::To(..) => "transfer_wanted",
            TransferDecision::ToOtherCall(_) => "transfer_to_call_wanted",
            TransferDecision::FromOtherCall(..) => "transfer_from_call_wanted",
            TransferDecision::As(_) => "transferred_as",
            TransferDecision::For(..) => "transferred_for",
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
                "Subscriber {id} wants the other party to be connected to {to}, in a call that it pays."
            ),
            TransferDecision::ToOtherCall(id) => write!(
                f,
                "Subscriber {id} wants the other party to be connected to that of another call of its own."
            ),
            TransferDecision::FromOtherCall(id, call) => {
                write!(
                    f,
                    "Subscriber {id} wants the other party to be connected to that of call {call}."
                )
            }
            TransferDecision::As(call) => write!(f, "That is call {call}."),
            TransferDecision::For(id, call) => {
                write!(f, "Subscriber {id} transfers call {call} here.")
            }
            TransferDecision::Done => {
                write!(f, "The other party is connected there, and the one who wanted it has left.")
            }
            TransferDecision::Failed(status) => {
                write!(f, "The transfer failed with {status}; the parties are as they were.")
            }
            TransferDecision::Refused(why) => match why {
                TransferRefusal::ByTrunk => {
                    write!(f, "A trunk wanted to transfer the call, which trunks may not.")
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
    use super::*;

    #[test]
    fn every_decision_is_one_sentence() {
        let id = SubscriberId(3);
        for decision in [
            TransferDecision::To(id, "49170".into()),
            TransferDecision::ToOtherCall(id),
            TransferDecision::FromOtherCall(id, CallId(5)),
            TransferDecision::As(CallId(7)),
            TransferDecision::For(id, CallId(6)),
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
