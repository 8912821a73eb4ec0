//! Where a message may go (RFC 3428), and who pays: its sender, whomever it is to.

use vocabulary::{CallKind, TrunkId};

use super::Setup;
use crate::call::{Call, Context};
use crate::decision::{Decision, Refusal};
use crate::directory::Directory;
use crate::message_refusal::MessageRefusal;
use crate::routing::{Destination, Skip, Source};

/// Whether messages go over this trunk, in either direction.
fn carries(directory: &Directory, trunk: TrunkId) -> bool {
    directory.trunk(trunk).is_some_and(|row| row.carries_messages)
}

/// Whether whoever sends a message may.
pub(super) fn may_send(directory: &Directory, source: Source) -> Result<(), Refusal> {
    match source {
        Source::Trunk(trunk) if !carries(directory, trunk) => {
            Err(Refusal::Message(MessageRefusal::NotFromTrunk(trunk)))
        }
        Source::Trunk(_) | Source::Subscriber(_) => Ok(()),
    }
}

/// Leaves of a destination what takes messages, and prices it as one.
pub(super) fn shape(setup: &mut Setup, call: &mut Call, ctx: &Context<'_>) -> Result<(), Refusal> {
    let Some(routed) = &mut setup.routed else { return Ok(()) };
    let nobody = |cld| Err(Refusal::Message(MessageRefusal::NoTrunk(cld)));
    match &mut routed.destination {
        Destination::Trunks(candidates) => {
            let is_left_out =
                |candidate: &mut vocabulary::Candidate| !carries(ctx.directory, candidate.trunk);
            for candidate in candidates.extract_if(.., is_left_out) {
                call.decide(Decision::TrunkSkipped(candidate.trunk, Skip::NoMessages));
            }
            if candidates.is_empty() {
                return nobody(routed.cld);
            }
        }
        &mut Destination::Trunk(trunk) if !carries(ctx.directory, trunk) => {
            return nobody(routed.cld);
        }
        Destination::Trunk(_)
        | Destination::Place(_)
        | Destination::Subscriber(_)
        | Destination::Forwarded { .. }
        | Destination::Group(_) => {}
    }
    routed.payer = setup.account;
    routed.kind = match routed.kind {
        CallKind::Egress => CallKind::Message,
        CallKind::Internal => CallKind::Internal,
        _ => CallKind::LocalMessage,
    };
    Ok(())
}
