//! Fraud limits (S4): first whether the account's calls are refused or reduced because of earlier ones,
//! then, when it is known where the call goes, what the rules find in it.

use vocabulary::CallKind;

use super::{Setup, Step};
use crate::call::{Call, Context};
use crate::decision::{Decision, Refusal};
use crate::effect::Effect;
use crate::fraud::{Attempt, FraudDecision, FraudNote, FraudRefusal};
use crate::numbers::Called;
use crate::routing::Destination;

/// What was brought upon the account holds for all its calls but those for help.
pub(super) fn look_at_account(
    setup: &mut Setup,
    call: &mut Call,
    ctx: &mut Context<'_>,
) -> Result<Step, Refusal> {
    let note = |decision| Decision::Fraud(Box::new(decision));
    if let Some(Called::Number(number)) = &setup.called
        && ctx.directory.is_emergency(number)
    {
        setup.is_emergency = true;
        call.decide(note(FraudDecision::Emergency));
        return Ok(Step::Next);
    }
    let account = setup.account;
    let Some(hold) = ctx.fraud.hold_of(ctx.now.utc, account) else { return Ok(Step::Next) };
    match hold.reduced_to {
        None => {
            let left = hold.until.map(|until| until.since(ctx.now.utc));
            Err(Refusal::Fraud(FraudRefusal::Blocked(account, hold.kind, left)))
        }
        Some(limits) => {
            call.decide(note(FraudDecision::Reduced(hold.kind)));
            setup.reduced_to = Some(limits);
            Ok(Step::Next)
        }
    }
}

/// Rules look at what an account pays for itself: not at calls from outside to the DIDs of others.
pub(super) fn look_at_call(
    setup: &mut Setup,
    call: &mut Call,
    ctx: &mut Context<'_>,
) -> Result<Step, Refusal> {
    let account = setup.account;
    let Some(rules) = ctx.directory.fraud_rules(account).filter(|_| !setup.is_emergency) else {
        return Ok(Step::Next);
    };
    let Some(routed) = &setup.routed else { return Ok(Step::Next) };
    let is_its_own = routed.payer == account
        && !matches!(routed.kind, CallKind::Inbound(_) | CallKind::Internal);
    if !is_its_own {
        return Ok(Step::Next);
    }
    let goes_out = matches!(routed.destination, Destination::Trunks(_));
    let outside = goes_out.then_some(routed.cld);
    let attempt = Attempt { account, cli: setup.caller.number, outside };
    let verdict = ctx.fraud.attempt(ctx.now, ctx.directory, rules, &attempt);
    if let Some(country) = verdict.learned {
        let learned = FraudNote::Learned { account, country, at: ctx.now.utc };
        ctx.effects.push_back(Effect::Fraud(Box::new(learned)));
    }
    let mut refusal = None;
    for trip in verdict.trips {
        let (kind, what) = (trip.rule.check.kind(), trip.what.clone());
        if trip.refuses() {
            refusal.get_or_insert(FraudRefusal::Found(account, kind, what));
        } else {
            call.decide(Decision::Fraud(Box::new(FraudDecision::Found(kind, what))));
        }
        ctx.tripped(trip);
    }
    if let Some(watched) = verdict.watched {
        call.is_watched(watched);
    }
    refusal.map_or(Ok(Step::Next), |refusal| Err(Refusal::Fraud(refusal)))
}
