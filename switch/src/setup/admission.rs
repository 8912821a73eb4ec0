//! Room for one more call: at the caller's account and trunk, and at the account of a subscriber who
//! is called. Carriers have their turn when they are tried.

use vocabulary::Direction;

use super::{Setup, Step};
use crate::admission::{Gate, Owner};
use crate::call::{Call, Context};
use crate::decision::Refusal;
use crate::directory::Limits;
use crate::routing::{Destination, Source};

/// The caller's side.
pub(super) fn admit_caller(
    setup: &mut Setup,
    call: &mut Call,
    ctx: &mut Context<'_>,
) -> Result<Step, Refusal> {
    let direction = Direction::Ingress;
    let (account, directory) = (setup.account, ctx.directory);
    let limits = directory.account(account).map_or(Limits::default(), |a| a.ingress);
    let mut gates = vec![Gate { owner: Owner::Account(account), direction, limits }];
    let trunk = match setup.source {
        Source::Trunk(id) => Some(id),
        // A subscriber has no limits of its own yet; its account's hold, and its gateway's.
        Source::Subscriber(_) => setup.gateway,
    };
    if let Some(id) = trunk {
        let limits = directory.trunk(id).map_or(Limits::default(), |t| t.ingress_limits);
        gates.push(Gate { owner: Owner::Trunk(id), direction, limits });
    }
    admit(call, ctx, &gates)
}

/// The callee must be there, unless it forwards its calls, and its account must have room.
pub(super) fn admit_callee(
    setup: &mut Setup,
    call: &mut Call,
    ctx: &mut Context<'_>,
) -> Result<Step, Refusal> {
    let callee = match setup.destination() {
        Some(&Destination::Subscriber(callee)) => {
            if ctx.bindings.contacts(callee, ctx.now.utc).is_empty() {
                return Err(Refusal::NotRegistered(callee));
            }
            callee
        }
        Some(&Destination::Forwarded { by, .. }) => by,
        _ => return Ok(Step::Next),
    };
    let directory = ctx.directory;
    let account = directory.subscriber(callee).and_then(|row| directory.account(row.account));
    let Some(account) = account else { return Err(Refusal::CalleeInactive(callee)) };
    let gate = Gate {
        owner: Owner::Account(account.id),
        direction: Direction::Egress,
        limits: account.egress,
    };
    admit(call, ctx, &[gate])
}

/// The prefix that the call is routed by must have room, whichever trunk takes it (T6).
pub(super) fn admit_prefix(
    setup: &mut Setup,
    call: &mut Call,
    ctx: &mut Context<'_>,
) -> Result<Step, Refusal> {
    let (Some(Destination::Trunks(_)), Some(routed)) = (setup.destination(), &setup.routed) else {
        return Ok(Step::Next);
    };
    match ctx.directory.route_prefix(&routed.cld) {
        Some(row) if row.limits != Limits::default() => {
            let (owner, direction) = (Owner::Prefix(row.id), Direction::Egress);
            admit(call, ctx, &[Gate { owner, direction, limits: row.limits }])
        }
        _ => Ok(Step::Next),
    }
}

fn admit(call: &Call, ctx: &mut Context<'_>, gates: &[Gate]) -> Result<Step, Refusal> {
    ctx.admission.admit(ctx.now.monotonic, call.id(), gates).map_err(Refusal::Limit)?;
    Ok(Step::Next)
}
