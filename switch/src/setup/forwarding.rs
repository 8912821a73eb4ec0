//! A callee who forwards its calls: then they do not ring its phones.

use super::{Setup, Step};
use crate::call::{Call, Context};
use crate::decision::Refusal;
use crate::forwarding::goes_on;
use crate::routing::Destination;

pub(super) fn follow(
    setup: &mut Setup,
    call: &mut Call,
    ctx: &mut Context<'_>,
) -> Result<Step, Refusal> {
    let Some(&Destination::Subscriber(by)) = setup.destination() else { return Ok(Step::Next) };
    let (diverted_by, before) = (&setup.caller.diverted_by, setup.caller.diversions.times());
    let to = goes_on(ctx.directory, by, diverted_by, before, call.decisions())
        .map_err(Refusal::Forwarding)?;
    if let (Some(to), Some(routed)) = (to, setup.routed.as_mut()) {
        routed.destination = Destination::Forwarded { by, to };
    }
    Ok(Step::Next)
}
