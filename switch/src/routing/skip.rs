//! Why a trunk that routes lead to is left out.

use std::fmt;

use vocabulary::TrunkId;

use crate::admission::NotAdmitted;
use crate::numbers::RuleId;
use crate::quality::{Poor, QualityRuleId};

use super::window::WindowId;

/// The reason, when the call is routed or when the trunk's turn comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// It is switched off, or its account is.
    Inactive,
    /// The call came from it.
    Loop,
    /// A number rule takes no calls to this number for it.
    RejectedByRule(RuleId),
    /// The route over it holds at other times.
    Closed(WindowId),
    /// The call wants TLS (`sips:`), and it takes none.
    Insecure,
    /// It is a message, and the trunk carries none.
    NoMessages,
    /// It does not answer, and another trunk could take the call (T4).
    Down,
    /// Its calls are not what this rule asks, and another trunk could take the call (T4).
    Poor(Poor, QualityRuleId),
    /// It, or its account, has as many calls as it may.
    Full(NotAdmitted),
}

impl Skip {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Skip::Inactive => "trunk_skipped_inactive",
            Skip::Loop => "trunk_skipped_loop",
            Skip::RejectedByRule(_) => "trunk_skipped_by_rule",
            Skip::Closed(_) => "trunk_skipped_closed",
            Skip::Insecure => "trunk_skipped_insecure",
            Skip::NoMessages => "trunk_skipped_messages",
            Skip::Down => "trunk_skipped_down",
            Skip::Poor(Poor::Dropped, _) => "trunk_skipped_quality",
            Skip::Poor(Poor::OnTrial, _) => "trunk_skipped_on_trial",
            Skip::Full(_) => "trunk_skipped_full",
        }
    }

    /// The sentence about this trunk.
    pub(crate) fn write_about(&self, trunk: TrunkId, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Skip::Inactive => write!(f, "Trunk {trunk} was left out: it is switched off."),
            Skip::Loop => write!(f, "Trunk {trunk} was left out: the call came from it."),
            Skip::RejectedByRule(rule) => {
                write!(f, "Trunk {trunk} was left out: number rule {rule} rejects the number.")
            }
            Skip::Closed(window) => {
                write!(f, "Trunk {trunk} was left out: time window {window} is closed.")
            }
            Skip::Insecure => {
                write!(
                    f,
                    "Trunk {trunk} was left out: the call is secure (sips) and it has no TLS."
                )
            }
            Skip::NoMessages => write!(f, "Trunk {trunk} was left out: it carries no messages."),
            Skip::Down => write!(f, "Trunk {trunk} was left out: it is down."),
            Skip::Poor(Poor::Dropped, rule) => write!(
                f,
                "Trunk {trunk} was left out: its calls are not as good as quality rule {rule} asks."
            ),
            Skip::Poor(Poor::OnTrial, rule) => write!(
                f,
                "Trunk {trunk} was left out: it is on trial by quality rule {rule}, and has the calls \
                 for that."
            ),
            Skip::Full(why) => write!(f, "Trunk {trunk} was left out: {why}."),
        }
    }
}
