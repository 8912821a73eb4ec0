//! Who calls is verified by the Identity header, where the caller's trunk wants that (S5; RFC 8224
//! section 6.2). After the numbers are known, which it must be true of, and before anything is counted.

use bytes::Bytes;
use sip::message::header::Identity;
use sip::message::{HeaderName, Message};

use super::{Setup, Step};
use crate::call::{Call, Context};
use crate::decision::{Decision, Refusal};
use crate::question::{Answer, IdentityToVerify, Question};
use crate::routing::Source;
use crate::stir::{
    Attestation, IdentityFault, PassingIdentity, StirDecision, StirRefusal, Verification, Verstat,
};

/// The Identity header of a trunk's call, which is verified if the trunk's callers are, and passed on. Of
/// several the one that says who calls; the others tell of diversions (RFC 8946) and the like.
pub(super) fn identity_of(source: Source, message: &Message) -> Option<Bytes> {
    let Source::Trunk(_) = source else { return None };
    let says_who = |value: &&[u8]| {
        let identity = Identity::parse(value);
        // One that cannot be read is to be refused, not overlooked.
        identity.is_none_or(|identity| identity.extension().as_deref() == Some(b"shaken"))
    };
    message.headers(HeaderName::Identity).find(says_who).map(Bytes::copy_from_slice)
}

pub(super) fn verify(
    setup: &mut Setup,
    call: &mut Call,
    ctx: &mut Context<'_>,
) -> Result<Step, Refusal> {
    let Source::Trunk(trunk) = setup.source else { return Ok(Step::Next) };
    // Signatures are about calls, and the trunk that transfers one has not sent the one that goes on: that is
    // ours, and has no header.
    if call.is_message() || !setup.caller.diverted_by.is_empty() {
        return Ok(Step::Next);
    }
    let policy = ctx.directory.trunk(trunk).map_or(Verification::Off, |row| row.stir.verification);
    if policy == Verification::Off {
        // Perhaps it was asked before the trunk was changed.
        setup.answer = None;
        if setup.identity.is_some()
            && let Ok(unseen) = to_verify(setup, call, ctx)
        {
            passes(setup, unseen, None);
        }
        return Ok(Step::Next);
    }
    let outcome = match (setup.answer.take(), to_verify(setup, call, ctx)) {
        (None, Ok(question)) => return Ok(Step::Ask(Question::Verify(Box::new(question)))),
        (Some(Answer::Verified(Ok(attestation))), Ok(asked)) => {
            passes(setup, asked, Some(attestation));
            Ok(attestation)
        }
        (None, Err(fault)) => Err(fault),
        (Some(answer), asked) => {
            let fault = match answer {
                Answer::Verified(Err(fault)) => fault,
                _ => IdentityFault::Unanswered,
            };
            // Whoever can find it out may.
            if let Some(asked) = asked.ok().filter(|_| fault.is_unknown()) {
                passes(setup, asked, None);
            }
            Err(fault)
        }
    };
    setup.caller.verstat = Some(Verstat::of(outcome));
    call.is_attested(outcome.ok());
    let decision = Decision::Stir(outcome.map_or_else(StirDecision::Invalid, StirDecision::Valid));
    match (outcome, policy) {
        (Ok(found), Verification::Refuse(least)) if found > least && !setup.is_emergency => {
            call.decide(decision);
            Err(Refusal::Stir(StirRefusal::Weak(trunk, found)))
        }
        (Err(fault), Verification::Refuse(_)) if !setup.is_emergency => {
            Err(Refusal::Stir(StirRefusal::Fault(trunk, fault)))
        }
        _ => {
            call.decide(decision);
            Ok(Step::Next)
        }
    }
}

/// It goes on with the call as it is, as long as its numbers do.
fn passes(setup: &mut Setup, identity: IdentityToVerify, attestation: Option<Attestation>) {
    let IdentityToVerify { value, caller, called, .. } = identity;
    let passing = PassingIdentity { value, caller, called, attestation };
    setup.caller.identity = Some(Box::new(passing));
}

/// What there is to be verified, or why nothing is.
fn to_verify(
    setup: &Setup,
    call: &Call,
    ctx: &Context<'_>,
) -> Result<IdentityToVerify, IdentityFault> {
    let value = setup.identity.clone().ok_or(IdentityFault::Missing)?;
    let called = setup.called.and_then(|called| called.number(ctx.directory));
    // It cannot be about numbers that the call does not have.
    let (caller, called) = setup.caller.number.zip(called).ok_or(IdentityFault::OtherNumbers)?;
    Ok(IdentityToVerify { value, caller, called, at: call.came_at() })
}
