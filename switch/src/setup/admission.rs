//! Room for one more call: at the caller's account, its phone or trunk, at the DID that is called and
//! at the account and the phone of a subscriber who is called. Carriers, and the phones of a group,
//! have their turn when they are tried.

use vocabulary::{Direction, SubscriberId};

use super::{Setup, Step};
use crate::admission::{Gate, Limit, NotAdmitted, Owner};
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
    let gates = gates_of_caller(setup, ctx);
    admit(call, ctx, &gates)
}

/// A caller who takes the place of a party: it is counted, but needs no free place, since that party's
/// becomes free. Of such calls one at a time waits for the party that stays; the others end at once.
pub(super) fn admit_in_place(
    setup: &mut Setup,
    call: &mut Call,
    ctx: &mut Context<'_>,
) -> Result<Step, Refusal> {
    let mut gates = gates_of_caller(setup, ctx);
    gates.iter_mut().for_each(|gate| gate.limits.concurrent = None);
    admit(call, ctx, &gates)
}

fn gates_of_caller(setup: &Setup, ctx: &Context<'_>) -> Vec<Gate> {
    let direction = Direction::Ingress;
    let (account, directory) = (setup.account, ctx.directory);
    let limits = directory.account(account).map_or(Limits::default(), |a| a.ingress);
    let limits = setup.reduced_to.map_or(limits, |reduced| limits.and(reduced));
    let mut gates = vec![Gate { owner: Owner::Account(account), direction, limits }];
    let (trunk, phone) = match setup.source {
        Source::Trunk(id) => (Some(id), None),
        Source::Subscriber(id) => (setup.gateway, Some(id)),
    };
    if let Some(id) = trunk {
        let limits = directory.trunk(id).map_or(Limits::default(), |t| t.ingress_limits);
        gates.push(Gate { owner: Owner::Trunk(id), direction, limits });
    }
    if let Some(row) = phone.and_then(|id| directory.subscriber(id)) {
        gates.extend(limited(Owner::Subscriber(row.id), direction, row.ingress));
    }
    gates
}

/// Most phones and DIDs have no limit, and then no set of live calls.
fn limited(owner: Owner, direction: Direction, limits: Limits) -> Option<Gate> {
    limits.is_limited().then_some(Gate { owner, direction, limits })
}

/// The callee's account and the DID must have room, and its phones for one more call, unless it forwards
/// them: one whose phones have as many calls as it wants is busy.
pub(super) fn admit_callee(
    setup: &mut Setup,
    call: &mut Call,
    ctx: &mut Context<'_>,
) -> Result<Step, Refusal> {
    let direction = Direction::Egress;
    let (directory, now) = (ctx.directory, ctx.now.utc);
    let Some(routed) = &setup.routed else { return Ok(Step::Next) };
    let did = routed.did.and_then(|id| directory.did(id));
    let (account, callee) = match &routed.destination {
        &(Destination::Subscriber(callee) | Destination::Forwarded { by: callee, .. }) => {
            let row = directory.subscriber(callee).ok_or(Refusal::CalleeInactive(callee))?;
            (Some(row.account), Some(row))
        }
        Destination::Group(group) => {
            group.is_there(directory, ctx.bindings, now)?;
            (did.map(|did| did.account), None)
        }
        // They have their own gates when they are tried.
        Destination::Trunk(_) | Destination::Trunks(_) | Destination::Place(_) => (None, None),
    };
    let mut gates = Vec::new();
    if let Some(account) = account {
        let row = directory.account(account).ok_or(Refusal::CalleeAccountInactive(account))?;
        gates.push(Gate { owner: Owner::Account(account), direction, limits: row.egress });
    }
    gates.extend(did.and_then(|did| limited(Owner::Did(did.id), direction, did.limits)));
    let rings = callee.filter(|_| setup.rings());
    let of_phones =
        rings.and_then(|row| limited(Owner::Subscriber(row.id), direction, row.limits_as_callee()));
    gates.extend(of_phones);
    match (admit(call, ctx, &gates), rings) {
        (Err(Refusal::Limit(full)), Some(row)) if full.owner == Owner::Subscriber(row.id) => {
            gates.pop();
            go_on_as_busy(setup, call, ctx, row.id, full)?;
            admit(call, ctx, &gates)
        }
        (admitted, _) => admitted,
    }
}

/// A callee whose phones are full is busy, and forwards the call if it forwards calls then.
fn go_on_as_busy(
    setup: &mut Setup,
    call: &mut Call,
    ctx: &Context<'_>,
    callee: SubscriberId,
    full: NotAdmitted,
) -> Result<(), Refusal> {
    let Limit::Concurrent(calls_max) = full.limit else { return Err(Refusal::Limit(full)) };
    let sent = setup.caller.sent();
    let to = goes_on(ctx.directory, callee, Condition::Busy, sent, call.decisions());
    let to = to.ok_or(Refusal::Limit(full))?;
    call.decide(Decision::Forwarding(ForwardingDecision::Occupied(callee, calls_max)));
    setup.goes_on(callee, Condition::Busy, to);
    Ok(())
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
    if !gates.is_empty() {
        let mut gates = gates.to_vec();
        call.count_as_message(&mut gates);
        ctx.admission.admit(ctx.now.monotonic, call.id(), &gates).map_err(Refusal::Limit)?;
    }
    Ok(Step::Next)
}
