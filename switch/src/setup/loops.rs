//! A call that has been here before, by way of another switch: known by its numbers.

use vocabulary::Direction;

use super::{Setup, Step};
use crate::admission::{Gate, Owner};
use crate::call::{Call, Context};
use crate::decision::Refusal;
use crate::directory::Limits;
use crate::routing::{Destination, LoopRefusal, Source, pair};

pub(super) fn refuse(
    setup: &mut Setup,
    call: &mut Call,
    ctx: &mut Context<'_>,
) -> Result<Step, Refusal> {
    let (Source::Trunk(trunk), Some(routed)) = (setup.source, &setup.routed) else {
        return Ok(Step::Next);
    };
    if !matches!(routed.destination, Destination::Trunks(_)) {
        return Ok(Step::Next);
    }
    // Callers without a number, or with one that must not be shown, are many, not one.
    let caller = &setup.caller;
    let Some(cli) = caller.number.filter(|_| !caller.is_withheld) else { return Ok(Step::Next) };
    let owner = Owner::Pair(pair(trunk, cli, &routed.cld));
    if ctx.admission.live(owner, Direction::Egress) > 0 {
        return Err(Refusal::Loops(LoopRefusal::SentBack(trunk)));
    }
    if let Some(most) = ctx.directory.settings().same_calls_max {
        let limits = Limits { concurrent: Some(most), per_second: None };
        let gate = Gate { owner, direction: Direction::Ingress, limits };
        ctx.admission
            .admit(ctx.now.monotonic, call.id(), &[gate])
            .map_err(|_| Refusal::Loops(LoopRefusal::Repeated(trunk, most)))?;
        setup.came_as = Some(owner);
    }
    Ok(Step::Next)
}
