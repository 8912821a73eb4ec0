//! Calls that come back to us through other switches. Where those write a dialog of their own neither
//! Via nor Max-Forwards tells, so the numbers have to: a call that a trunk sends us while we are sending
//! it one between the same two numbers is the same call. Counted are sets of live calls, as limits are.

use std::fmt;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use vocabulary::{Number, TrunkId};

use crate::release::Cause;

/// A trunk and the two numbers of a call, as small as the key of a set. Calls of those who do not want to
/// be known are never taken for one another: such loops end with Via and Max-Forwards.
pub(crate) fn pair(trunk: TrunkId, cli: Number, cld: &Number) -> u64 {
    FixedState::default().hash_one((trunk, cli, cld))
}

/// Why a call is taken for one that has been here before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoopRefusal {
    /// We are sending this trunk a call between the same numbers.
    SentBack(TrunkId),
    /// So many calls of this trunk between the same numbers wait for an answer already.
    Repeated(TrunkId, u32),
}

impl LoopRefusal {
    pub(crate) fn code(self) -> &'static str {
        match self {
            LoopRefusal::SentBack(_) => "loop_sent_back",
            LoopRefusal::Repeated(..) => "loop_repeated",
        }
    }

    pub(crate) fn cause(self) -> Cause {
        Cause::ExchangeRoutingError
    }
}

impl fmt::Display for LoopRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoopRefusal::SentBack(trunk) => write!(
                f,
                "A loop: a call between the same numbers is being sent to trunk {trunk}, which sends \
                 it back."
            ),
            LoopRefusal::Repeated(trunk, calls) => write!(
                f,
                "A loop: {calls} calls between the same numbers, all from trunk {trunk}, wait for an \
                 answer already."
            ),
        }
    }
}
