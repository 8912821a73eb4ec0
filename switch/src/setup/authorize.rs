//! The question to billing: may this account place this call, for how long, by which carriers.

use vocabulary::AuthorizeRequest;

use super::{Setup, Step};
use crate::call::{Call, Context};
use crate::decision::Refusal;
use crate::effect::Effect;

pub(super) fn ask(
    setup: &mut Setup,
    call: &mut Call,
    ctx: &mut Context<'_>,
) -> Result<Step, Refusal> {
    let routed = setup.routed.as_ref().expect("the stages have found a destination");
    let (id, at) = (call.id(), call.came_at());
    ctx.effects.push_back(Effect::Authorize(AuthorizeRequest {
        cli: call.cli(),
        rate_choice: setup.rate_choice,
        location: call.location(),
        candidates: routed.candidates().to_vec(),
        origin: call.origin(),
        ..AuthorizeRequest::new(id, routed.payer, routed.kind, routed.cld, at)
    }));
    Ok(Step::Wait)
}
