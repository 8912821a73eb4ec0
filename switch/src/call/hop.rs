//! Ways to the peers of legs that need more than the leg knows. Next hops that are host names (RFC 3263
//! holds for every request) are asked for when a leg learns of one, so that they are known before a
//! BYE or re-INVITE needs them; a phone whose connection is gone may have registered by another.

use sip::endpoint::ClientTx;
use sip::transaction::Failure;
use sip::transport::Path;

use super::{Call, Context, Side};
use crate::effect::{Effect, QueryId, Target};
use crate::token::LegKey;

/// Added to a leg's number in the query; a hunt's queries stay below. A call has fewer legs.
pub(super) const HOP: u8 = 0x80;

impl Call {
    /// Asks for every next hop that is a name and was not asked for.
    pub(super) fn look_up_hops(&mut self, ctx: &mut Context<'_>) {
        let LegKey { slot, generation, .. } = self.place;
        let attempts =
            self.attempts.iter_mut().map(|attempt| attempt.side.as_mut().and_then(|s| s.leg_mut()));
        let legs = std::iter::once(self.ingress.side.leg_mut()).chain(attempts);
        for (n, leg) in legs.enumerate() {
            let Some(leg) = leg.filter(|leg| !leg.is_over()) else { continue };
            let Some(host) = leg.hop_to_resolve() else { continue };
            if let Some(n) = u8::try_from(n).ok().filter(|n| *n < HOP) {
                let query = QueryId(LegKey { slot, generation, leg: HOP + n }.to_user());
                ctx.effects.push_back(Effect::Resolve { query, host });
            }
        }
    }

    pub(super) fn hop_resolved(&mut self, leg: u8, targets: &[Target]) {
        if let Some(leg) = self.leg_mut(leg) {
            leg.hop_resolved(targets);
        }
    }

    /// A request of this leg could not be sent or got no response. If it was for a subscriber's
    /// phone, that may have registered by another connection since.
    pub(crate) fn leg_failed(
        &mut self,
        ctx: &mut Context<'_>,
        leg: u8,
        tx: ClientTx,
        why: Failure,
    ) {
        if let Some(Side::Message(pager)) = self.side_mut(leg) {
            return pager.failed(tx, why);
        }
        let flow = self.registered_flow(ctx, leg);
        let Some(leg) = self.leg_mut(leg) else { return };
        if let Some(flow) = flow {
            leg.registered_by(flow);
        }
        leg.failed(ctx.now, ctx.endpoint, tx, why);
    }

    /// Whether a leg's peer is reached by this connection.
    pub(crate) fn uses(&self, path: Path) -> bool {
        let attempts = self.attempts.iter().filter_map(|attempt| attempt.side.as_deref());
        let sides = std::iter::once(&self.ingress.side).chain(attempts);
        let paths = sides.filter(|side| !side.is_over()).filter_map(Side::path);
        paths.map(|path| path.connection).any(|connection| connection == path.connection)
    }

    /// The connection by which the phone of this leg is registered now: its own contact, else one
    /// at the same address, else the only one there is.
    fn registered_flow(&mut self, ctx: &Context<'_>, leg: u8) -> Option<Path> {
        let subscriber = match leg.checked_sub(1) {
            None => self.ingress.subscriber(),
            Some(n) => self.attempts.get(usize::from(n))?.way.subscriber(),
        }?;
        let leg = self.leg_mut(leg)?;
        let mut bindings = ctx.bindings.contacts(subscriber, ctx.now.utc);
        bindings.retain(|binding| binding.source.connection != 0);
        let (target, address) = (leg.dialog().remote_target, leg.path().remote.ip());
        let own = bindings.iter().find(|binding| *binding.uri == *target);
        let near = || bindings.iter().find(|binding| binding.source.remote.ip() == address);
        let only = || bindings.first().filter(|_| bindings.len() == 1);
        own.or_else(near).or_else(only).map(|binding| binding.source)
    }
}
