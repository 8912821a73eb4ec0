//! From a caller whom we know to the question to billing: stages, one file each, in the order of
//! [`STAGES`]. A stage goes on, refuses the call, or waits for an answer from outside; then the call
//! owns the set-up, and goes on with the next stage when the answer is there.

mod admission;
mod authorize;
mod caller_id;
mod destination;
mod forwarding;
mod invite;
mod loops;
mod numbers;
mod secure;

use vocabulary::{AccountId, RateChoice, TrunkId};

pub(crate) use invite::dialled;

use crate::admission::Owner;
use crate::call::{Call, Caller, Context, Hunt};
use crate::decision::Refusal;
use crate::numbers::Called;
use crate::routing::{Routed, Source};

/// What a stage leaves to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The next stage follows.
    Next,
    /// An answer from outside has to come first.
    Wait,
}

type Stage = fn(&mut Setup, &mut Call, &mut Context<'_>) -> Result<Step, Refusal>;

const STAGES: [Stage; 10] = [
    numbers::translate,
    admission::admit_caller,
    destination::find,
    loops::refuse,
    admission::admit_prefix,
    forwarding::follow,
    secure::require,
    admission::admit_callee,
    caller_id::apply,
    authorize::ask,
];

/// What is known of a call until billing has authorised it. It borrows nothing, the INVITE least of
/// all: it may be kept while somebody outside is asked.
pub(crate) struct Setup {
    source: Source,
    /// The trunk that sends a subscriber's call, if it is a gateway.
    gateway: Option<TrunkId>,
    /// Whose call it is: who pays, unless the called number is a DID and the call is from outside.
    account: AccountId,
    caller: Caller,
    /// Whom it calls, once the stage that finds out has run.
    called: Option<Called>,
    /// Where it goes, once the stage that finds out has run.
    routed: Option<Routed>,
    rate_choice: RateChoice,
    /// Where it is counted until it is answered, so that a loop is seen.
    came_as: Option<Owner>,
    /// The place in `STAGES` of the stage to be run next.
    next: usize,
}

impl Setup {
    /// Runs stages until one waits, as the last of them does.
    pub(crate) fn run(&mut self, call: &mut Call, ctx: &mut Context<'_>) -> Result<(), Refusal> {
        while let Some(stage) = STAGES.get(self.next) {
            self.next += 1;
            if stage(self, call, ctx)? == Step::Wait {
                break;
            }
        }
        Ok(())
    }

    /// Billing said yes: what is needed to look for somebody who answers.
    pub(crate) fn into_hunt(self) -> Hunt {
        let routed = self.routed.expect("the stages have found a destination");
        Hunt::new(self.caller, routed.destination, self.came_as)
    }
}
