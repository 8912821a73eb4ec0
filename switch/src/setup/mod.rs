//! From a caller whom we know to the question to billing: stages, one file each, in the order of
//! [`STAGES`]. A stage goes on, refuses the call, or waits for an answer from outside; then the call
//! owns the set-up, and goes on with the next stage when the answer is there.

mod admission;
mod authorize;
mod caller_id;
mod destination;
mod forwarding;
mod fraud;
mod identity;
mod invite;
mod location;
mod loops;
mod message;
mod numbers;
mod replaces;
mod secure;

use std::time::Duration;

use bytes::Bytes;
use vocabulary::{AccountId, RateChoice, TrunkId};

pub(crate) use invite::dialled;

use crate::admission::Owner;
use crate::call::{Call, Caller, Context, Hunt};
use crate::decision::Refusal;
use crate::directory::Limits;
use crate::effect::{Effect, QueryId};
use crate::lookup::Said;
use crate::numbers::Called;
use crate::question::{Answer, Question};
use crate::routing::{Destination, Routed, Source};

/// What a stage leaves to do.
#[derive(Debug)]
pub(crate) enum Step {
    /// The next stage follows.
    Next,
    /// Somebody outside is to be asked this. The stage is run again when the answer is there, and finds
    /// it in `Setup::answer`; [`Answer::Nothing`] if none came in time. It asks once.
    Ask(Question),
    /// Billing's answer has to come first.
    Wait,
}

/// A question that is not answered yet.
struct Asked {
    query: QueryId,
    /// When the call goes on without an answer, by the monotonic clock.
    until: Duration,
}

type Stage = fn(&mut Setup, &mut Call, &mut Context<'_>) -> Result<Step, Refusal>;

const STAGES: [Stage; 14] = [
    numbers::translate,
    fraud::look_at_account,
    identity::verify,
    admission::admit_caller,
    destination::find,
    loops::refuse,
    fraud::look_at_call,
    admission::admit_prefix,
    forwarding::follow,
    secure::require,
    admission::admit_callee,
    caller_id::apply,
    location::find,
    authorize::ask,
];

/// Who takes the place of a party calls nobody: there is nothing to look for, and nothing to pay.
const STAGES_OF_REPLACING: [Stage; 2] = [admission::admit_in_place, authorize::ask];

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
    /// The Identity header that it came with, if a trunk has sent it.
    identity: Option<Bytes>,
    /// What its trunk says of where the called number is served, if that is believed (RFC 4694).
    ported: Option<Said>,
    asked: Option<Asked>,
    /// What the stage to be run next has asked for.
    answer: Option<Answer>,
    /// A number for help is called.
    is_emergency: bool,
    /// What fraud rules have left of the account's limits.
    reduced_to: Option<Limits>,
    /// The place in `STAGES` of the stage to be run next.
    next: usize,
}

impl Setup {
    /// Runs stages until one waits, as the last of them does.
    pub(crate) fn run(&mut self, call: &mut Call, ctx: &mut Context<'_>) -> Result<(), Refusal> {
        while let Some(stage) = self.stages().get(self.next) {
            match stage(self, call, ctx)? {
                Step::Next => self.next += 1,
                Step::Wait => break,
                Step::Ask(question) => {
                    // One stage asks once, so that its place names the question within the call.
                    let query = call.query(self.next as u8);
                    let until = ctx.now.monotonic + question.limit();
                    self.asked = Some(Asked { query, until });
                    ctx.effects.push_back(Effect::Ask { query, question });
                    break;
                }
            }
        }
        Ok(())
    }

    fn stages(&self) -> &'static [Stage] {
        match self.destination() {
            Some(Destination::Place(_)) => &STAGES_OF_REPLACING,
            _ => &STAGES,
        }
    }

    /// When it goes on without an answer.
    pub(crate) fn waits_until(&self) -> Option<Duration> {
        self.asked.as_ref().map(|asked| asked.until)
    }

    /// Takes the answer to what is asked; false if that is not (any more) what it waits for.
    pub(crate) fn hears(&mut self, query: QueryId, answer: Answer) -> bool {
        let is_awaited = self.asked.as_ref().is_some_and(|asked| asked.query == query);
        if is_awaited {
            (self.asked, self.answer) = (None, Some(answer));
        }
        is_awaited
    }

    /// Nobody has answered in time; false if nobody was asked.
    pub(crate) fn hears_nothing(&mut self) -> bool {
        let was_asked = self.asked.take().is_some();
        if was_asked {
            self.answer = Some(Answer::Nothing);
        }
        was_asked
    }

    /// Billing said yes: what is needed to look for somebody who answers.
    pub(crate) fn into_hunt(self) -> Hunt {
        let routed = self.routed.expect("the stages have found a destination");
        Hunt::new(self.caller, routed.destination, self.came_as)
    }
}
