//! A call to a `sips:` address leaves by TLS or not at all (RFC 3261 section 26.2.2, RFC 5630).

use vocabulary::TrunkId;

use super::{Setup, Step};
use crate::call::{Call, Context};
use crate::decision::{Decision, Refusal, SecurityRefusal};
use crate::directory::Transport;
use crate::registrar::Binding;
use crate::routing::{Destination, Skip};

pub(super) fn require(
    setup: &mut Setup,
    call: &mut Call,
    ctx: &mut Context<'_>,
) -> Result<Step, Refusal> {
    let Some(routed) = setup.routed.as_mut().filter(|_| setup.caller.is_secure) else {
        return Ok(Step::Next);
    };
    let refused = |why| Err(Refusal::Security(why));
    let directory = ctx.directory;
    // A trunk that leaves it to RFC 3263 is asked for TLS.
    let takes_tls = |trunk: TrunkId| {
        let trunk = directory.trunk(trunk);
        trunk.is_some_and(|row| row.transport.is_none_or(|t| t == Transport::Tls))
    };
    match &mut routed.destination {
        Destination::Trunks(candidates) => {
            for candidate in candidates.extract_if(.., |candidate| !takes_tls(candidate.trunk)) {
                call.decide(Decision::TrunkSkipped(candidate.trunk, Skip::Insecure));
            }
            match candidates.is_empty() {
                true => refused(SecurityRefusal::NoSecureTrunk(routed.cld)),
                false => Ok(Step::Next),
            }
        }
        &mut Destination::Subscriber(callee) => {
            let contacts = ctx.bindings.contacts(callee, ctx.now.utc);
            // That there is none at all is said later.
            match contacts.is_empty() || contacts.iter().any(Binding::is_secure) {
                true => Ok(Step::Next),
                false => refused(SecurityRefusal::NoSecureContact(callee)),
            }
        }
        &mut Destination::Trunk(trunk) => match takes_tls(trunk) {
            true => Ok(Step::Next),
            false => refused(SecurityRefusal::NoSecureTrunk(routed.cld)),
        },
        // The call that goes on is asked the same, and each of a group when its turn comes.
        Destination::Forwarded { .. } | Destination::Group(_) | Destination::Place(_) => {
            Ok(Step::Next)
        }
    }
}
