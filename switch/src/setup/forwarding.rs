//! A callee who forwards its calls, does not want any or is not there: then they do not ring its phones.
//! What comes of those that do is the hunt's affair.

use vocabulary::SubscriberId;

use super::{Setup, Step};
use crate::call::{Call, Context};
use crate::decision::Refusal;
use crate::forwarding::{Condition, instead_of_ringing};
use crate::routing::Destination;

pub(super) fn follow(
    setup: &mut Setup,
    call: &mut Call,
    ctx: &mut Context<'_>,
) -> Result<Step, Refusal> {
    // A message goes to the phones themselves.
    if call.is_message() {
        return Ok(Step::Next);
    }
    let Some(&Destination::Subscriber(by)) = setup.destination() else { return Ok(Step::Next) };
    let is_there = !ctx.bindings.contacts(by, ctx.now.utc).is_empty();
    let sent = setup.caller.sent();
    let found = instead_of_ringing(ctx.directory, by, is_there, sent, call.decisions())?;
    if let Some((why, to)) = found {
        setup.goes_on(by, why, to);
    }
    Ok(Step::Next)
}

impl Setup {
    pub(super) fn goes_on(&mut self, by: SubscriberId, why: Condition, to: Box<str>) {
        if let Some(routed) = &mut self.routed {
            routed.destination = Destination::Forwarded { by, why, to };
        }
    }
}
