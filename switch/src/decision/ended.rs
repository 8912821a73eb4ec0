//! How a call ends that was let in.

use std::time::Duration;

use vocabulary::{AccountId, Direction};

use crate::release::Cause;

/// How a call that had begun to talk ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The caller hung up.
    ByCaller,
    /// The callee hung up.
    ByCallee,
    /// The caller gave up before the answer.
    CallerGaveUp,
    /// The money was used up after this much talk.
    CreditUsedUp(Duration),
    /// The longest allowed duration.
    DurationLimit(Duration),
    /// The longest that a call of this account may last (V-11).
    AccountDurationLimit(AccountId, Duration),
    /// The call that it is joined to ended of itself.
    OtherCall(Cause),
    /// A leg was lost: session timer, no ACK, transport.
    LegLost(Direction, Cause),
    /// The answer could not be journaled in time, so nobody was connected.
    AnswerNotRecorded,
    /// It was a message, and somebody took it.
    MessageTaken,
    /// An operator.
    Operator,
    /// The switch is shutting down.
    Shutdown,
    /// A fault of ours.
    Fault,
}

impl End {
    pub(super) fn code(&self) -> &'static str {
        match self {
            End::ByCaller => "ended_by_caller",
            End::ByCallee => "ended_by_callee",
            End::CallerGaveUp => "caller_gave_up",
            End::CreditUsedUp(_) => "credit_used_up",
            End::DurationLimit(_) => "duration_limit",
            End::AccountDurationLimit(..) => "account_duration_limit",
            End::OtherCall(_) => "ended_with_other_call",
            End::LegLost(..) => "leg_lost",
            End::AnswerNotRecorded => "answer_not_recorded",
            End::MessageTaken => "message_taken",
            End::Operator => "ended_by_operator",
            End::Shutdown => "ended_by_shutdown",
            End::Fault => "internal_fault",
        }
    }
}
