//! Next hops of dialogs that are host names (RFC 3263 holds for every request): asked for when a leg
//! learns of one, so that it is known before a BYE or re-INVITE needs it.

use super::egress::path_to;
use super::{Call, Context};
use crate::effect::{Effect, QueryId, Target};
use crate::leg::Leg;
use crate::token::LegKey;

/// Added to a leg's number in the query; a hunt's queries stay below. A call has fewer legs.
pub(super) const HOP: u8 = 0x80;

impl Call {
    /// Asks for every next hop that is a name and was not asked for.
    pub(super) fn look_up_hops(&mut self, ctx: &mut Context<'_>) {
        let LegKey { slot, generation, .. } = self.place;
        let attempts = self.attempts.iter_mut().map(|attempt| attempt.leg.as_deref_mut());
        let legs = std::iter::once(Some(&mut self.ingress.leg)).chain(attempts);
        for (n, leg) in legs.enumerate() {
            let Some(leg) = leg.filter(|leg| !leg.is_over()) else { continue };
            let Some(host) = leg.hop_to_resolve() else { continue };
            match (host.literal(), u8::try_from(n)) {
                (Some(target), _) => learn(ctx, leg, &[target]),
                (None, Ok(n)) if n < HOP => {
                    let query = QueryId(LegKey { slot, generation, leg: HOP + n }.to_user());
                    ctx.effects.push_back(Effect::Resolve { query, host });
                }
                (None, _) => {}
            }
        }
    }

    pub(super) fn hop_resolved(&mut self, ctx: &mut Context<'_>, leg: u8, targets: &[Target]) {
        if let Some(leg) = self.leg_mut(leg) {
            learn(ctx, leg, targets);
        }
    }
}

/// The best target that one of our listeners can reach.
fn learn(ctx: &Context<'_>, leg: &mut Leg, targets: &[Target]) {
    let listener = Some(leg.path().listener);
    let path = targets.iter().find_map(|target| path_to(ctx.listeners, *target, listener));
    leg.hop_resolved(path);
}
