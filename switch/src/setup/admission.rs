//! Room for one more call: at the caller's account and trunk, and at the account of a subscriber who
//! is called. Carriers have their turn when they are tried.

use vocabulary::Direction;

use super::{Setup, Step};
use crate::admission::{Gate, Owner};
use crate::call::{Call, Context};
use crate::decision::{Decision, Refusal};
use crate::directory::Limits;
use crate::forwarding::{Condition, ForwardingDecision, goes_on};
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
        // A subscriber has no limits of its own on calls that it places; its account's hold, and its
        // gateway's.
        Source::Subscriber(_) => setup.gateway,
    };
    if let Some(id) = trunk {
        let limits = directory.trunk(id).map_or(Limits::default(), |t| t.ingress_limits);
        gates.push(Gate { owner: Owner::Trunk(id), direction, limits });
    }
    admit(call, ctx, &gates)
}

/// The callee's account must have room, and its phones for one more call, unless it forwards them: one
/// whose phones have as many calls as it wants is busy.
pub(super) fn admit_callee(
    setup: &mut Setup,
    call: &mut Call,
    ctx: &mut Context<'_>,
) -> Result<Step, Refusal> {
    let callee = match setup.destination() {
        Some(&(Destination::Subscriber(callee) | Destination::Forwarded { by: callee, .. })) => {
            callee
        }
        _ => return Ok(Step::Next),
    };
    let directory = ctx.directory;
    let row = directory.subscriber(callee);
    let Some((row, account)) = row.and_then(|row| Some((row, directory.account(row.account)?)))
    else {
        return Err(Refusal::CalleeInactive(callee));
    };
    let direction = Direction::Egress;
    let of_account = Gate { owner: Owner::Account(account.id), direction, limits: account.egress };
    let calls_max = row.availability.calls_max.filter(|_| setup.rings());
    let Some(calls_max) = calls_max else { return admit(call, ctx, &[of_account]) };
    let limits = Limits { concurrent: Some(calls_max), per_second: None };
    let of_phones = Gate { owner: Owner::Subscriber(callee), direction, limits };
    match admit(call, ctx, &[of_account, of_phones]) {
        Err(Refusal::Limit(full)) if full.owner == of_phones.owner => {
            let sent = setup.caller.sent();
            let to = goes_on(directory, callee, Condition::Busy, sent, call.decisions());
            let to = to.ok_or(Refusal::Limit(full))?;
            let occupied = ForwardingDecision::Occupied(callee, calls_max);
            call.decide(Decision::Forwarding(occupied));
            setup.goes_on(callee, Condition::Busy, to);
            admit(call, ctx, &[of_account])
        }
        admitted => admitted,
    }
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
