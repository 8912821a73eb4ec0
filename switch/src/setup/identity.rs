//! Who calls is verified by the Identity header, where the caller's trunk wants that (S5; RFC 8224
//! section 6.2). After the numbers are known, which it must be true of, and before anything is counted.

use bytes::Bytes;
use sip::message::header::Identity;
use sip::message::{HeaderName, Message};

use super::{Setup, Step};
use crate::call::{Call, Context};
use crate::decision::{Decision, Refusal};
use crate::directory::Directory;
use crate::question::{Answer, IdentityToVerify, Question};
use crate::routing::Source;
use crate::stir::{IdentityFault, StirDecision, StirRefusal, ValidIdentity, Verification};

/// The Identity header to be verified, if the trunk's callers are. Of several the one that says who
/// calls; the others tell of diversions (RFC 8946) and the like.
pub(super) fn identity_of(
    directory: &Directory,
    source: Source,
    message: &Message,
) -> Option<Bytes> {
    if verification(directory, source) == Verification::Off {
        return None;
    }
    let says_who = |value: &&[u8]| {
        let identity = Identity::parse(value);
        // One that cannot be read is to be refused, not overlooked.
        identity.is_none_or(|identity| identity.extension().as_deref() == Some(b"shaken"))
    };
    message.headers(HeaderName::Identity).find(says_who).map(Bytes::copy_from_slice)
}

fn verification(directory: &Directory, source: Source) -> Verification {
    let Source::Trunk(id) = source else { return Verification::Off };
    directory.trunk(id).map_or(Verification::Off, |trunk| trunk.stir.verification)
}

pub(super) fn verify(
    setup: &mut Setup,
    call: &mut Call,
    ctx: &mut Context<'_>,
) -> Result<Step, Refusal> {
    let verification = verification(ctx.directory, setup.source);
    let Source::Trunk(trunk) = setup.source else { return Ok(Step::Next) };
    if verification == Verification::Off {
        // Perhaps it was asked before the trunk was changed.
        setup.answer = None;
        return Ok(Step::Next);
    }
    let outcome = match (setup.answer.take(), to_verify(setup, call, ctx)) {
        (None, Ok(question)) => return Ok(Step::Ask(Question::Verify(Box::new(question)))),
        (Some(Answer::Verified(Ok(attestation))), Ok(asked)) => {
            let IdentityToVerify { value, caller, called, .. } = asked;
            setup.caller.identity = Some(Box::new(ValidIdentity { value, caller, called }));
            Ok(attestation)
        }
        (Some(Answer::Verified(Err(fault))), _) | (None, Err(fault)) => Err(fault),
        (Some(_), _) => Err(IdentityFault::Unanswered),
    };
    match (outcome, verification) {
        (Ok(found), Verification::Require(least)) if found > least => {
            call.decide(Decision::Stir(StirDecision::Valid(found)));
            Err(Refusal::Stir(StirRefusal::Weak(trunk, found)))
        }
        (Err(fault), Verification::Require(_)) => {
            Err(Refusal::Stir(StirRefusal::Fault(trunk, fault)))
        }
        (outcome, _) => {
            let decision = outcome.map_or_else(StirDecision::Invalid, StirDecision::Valid);
            call.decide(Decision::Stir(decision));
            Ok(Step::Next)
        }
    }
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
