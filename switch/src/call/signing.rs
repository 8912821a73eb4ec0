//! The Identity header of an INVITE to a trunk that wants signed callers (S5; RFC 8224 section 6.1): the
//! one that the call came with, while the call has the same numbers, or one of ours. The attempt waits
//! for ours, and goes without if there is none in time.

use std::time::Duration;

use vocabulary::TrunkId;

use super::egress::SignedBy;
use super::hunting::Place;
use super::{Call, Context, State};
use crate::decision::Decision;
use crate::directory::TrunkRow;
use crate::effect::{Effect, QueryId};
use crate::question::{Answer, IdentityToSign, Question};
use crate::stir::{self, Attestation, StirDecision};

/// Added to the number of a signature in its query; the stages of the set-up stay below.
const SIGNATURE: u8 = 0x80;

/// An attempt that waits for its signature.
pub(super) struct Signing {
    query: QueryId,
    place: Place,
    trunk: TrunkId,
    attestation: Attestation,
    /// When it goes without, by the monotonic clock.
    pub(super) until: Duration,
}

/// What becomes of an attempt that is not signed yet.
pub(super) enum Unsigned {
    /// It goes there, with this Identity header.
    Goes(Place, Option<SignedBy>),
    /// It waits for its signature.
    Waits,
}

impl Call {
    /// What the Identity header that it came with says, if that is valid.
    pub(crate) fn is_attested(&mut self, attestation: Option<Attestation>) {
        self.ingress.attestation = attestation;
    }

    pub(super) fn ask_to_sign(&mut self, ctx: &mut Context<'_>, place: Place) -> Unsigned {
        let row = place.way.trunk().and_then(|id| ctx.directory.trunk(id));
        // Signatures are about calls.
        let is_signed = |trunk: &&TrunkRow| trunk.stir.signs && !self.is_message();
        let Some(trunk) = row.filter(is_signed) else {
            return Unsigned::Goes(place, None);
        };
        let (source, cld) = (self.ingress.source, self.cld);
        let State::Hunting(hunt) = &self.state else { return Unsigned::Goes(place, None) };
        let caller = &hunt.caller;
        // What is signed names the caller: who is not to be shown to this trunk is not signed for.
        let number = caller.number.filter(|_| trunk.is_trusted || !caller.is_withheld);
        let Some((number, called)) = number.zip(cld) else {
            self.decide(Decision::Stir(StirDecision::Nameless(trunk.id)));
            return Unsigned::Goes(place, None);
        };
        let came_with = caller.identity.as_deref();
        if let Some(valid) = came_with.filter(|v| v.caller == number && v.called == called) {
            let (value, attestation) = (valid.value.clone(), valid.attestation);
            let identity = SignedBy { value, attestation };
            self.decide(Decision::Stir(StirDecision::Passed(trunk.id)));
            return Unsigned::Goes(place, Some(identity));
        }
        let is_sent_on = !caller.diverted_by.is_empty();
        let attestation = stir::attestation(ctx.directory, source, &number, is_sent_on);
        let question = Question::Sign(Box::new(IdentityToSign {
            call: self.id,
            caller: number,
            called,
            attestation,
            at: ctx.now.utc,
        }));
        let until = ctx.now.monotonic + question.limit();
        let signings = hunt.signings.wrapping_add(1) % SIGNATURE;
        let query = self.query(SIGNATURE + signings);
        if let Some(hunt) = self.hunt_mut() {
            hunt.signings = signings;
            hunt.signing = Some(Signing { query, place, trunk: trunk.id, attestation, until });
        }
        ctx.effects.push_back(Effect::Ask { query, question });
        Unsigned::Waits
    }

    /// The answer to `query`, or no answer in time: the attempt goes. One to an attempt that has gone
    /// already changes nothing.
    pub(super) fn signed(&mut self, ctx: &mut Context<'_>, query: Option<QueryId>, answer: Answer) {
        let Some(hunt) = self.hunt_mut() else { return };
        let is_awaited = |signing: &mut Signing| query.is_none_or(|query| signing.query == query);
        let Some(signing) = hunt.signing.take_if(is_awaited) else { return };
        let Signing { place, trunk, attestation, .. } = signing;
        let identity = match answer {
            Answer::Signed(value) => Some(SignedBy { value, attestation: Some(attestation) }),
            _ => None,
        };
        self.decide(Decision::Stir(match identity {
            Some(_) => StirDecision::Signed(trunk, attestation),
            None => StirDecision::Unsigned(trunk),
        }));
        self.place_signed(ctx, place, identity);
    }
}
