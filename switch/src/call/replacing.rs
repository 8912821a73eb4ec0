//! A call whose caller takes the place of a party of another one (RFC 3891): a phone that completes an
//! attended transfer itself, or takes over a call of another phone of its account. The other call has the
//! party that stays talk with the caller, whose offer it gets, and ends the leg of the one that goes.

use std::sync::Arc;

use sip::transport::Transport;

use super::{Call, Context, Hunt, State};
use crate::decision::Refusal;
use crate::effect::{Effect, Joining, JoiningHow, Said};
use crate::leg::Leg;
use crate::routing::{Destination, Source};
use crate::token::{LegAddress, Tag};
use crate::transfer::{ReplacedDialog, ReplacesRefusal};

impl Hunt {
    /// Whether the caller takes a place instead of calling somebody.
    pub(super) fn is_replacing(&self) -> bool {
        matches!(self.destination, Destination::Place(_))
    }
}

impl Call {
    /// Asks the call that keeps the dialog, in whichever shard.
    pub(super) fn take_place(&mut self, ctx: &mut Context<'_>, dialog: &Arc<ReplacedDialog>) {
        let refused = Refusal::Replaces(ReplacesRefusal::NoDialog);
        let Some((shard, key)) = Tag::read(&dialog.to_tag) else {
            return self.refuse(ctx, refused);
        };
        let (Some(by), State::Hunting(hunt)) = (self.ingress.subscriber(), &self.state) else {
            return self.refuse(ctx, refused);
        };
        let offer = hunt.caller.body.clone();
        let path = self.ingress.side.leg().map(Leg::path);
        let is_secure = path.is_some_and(|path| path.transport == Transport::Tls);
        let shown = (self.ingress.cli.clone(), self.ingress.cld.clone());
        let by = Source::Subscriber(by);
        let (_, own) = self.attempt_by_call(ctx, by, shown, None);
        let said = Said::Join(Box::new(Joining {
            by,
            of: self.id,
            call_id: dialog.call_id.clone(),
            to_tag: dialog.to_tag.clone(),
            from_tag: dialog.from_tag.clone(),
            how: JoiningHow::Caller { offer, is_early_only: dialog.is_early_only, is_secure },
        }));
        ctx.effects.push_back(Effect::Relay { to: LegAddress { shard, key }, from: own, said });
    }

    /// Says why the caller of that call does not take a place in this one.
    pub(super) fn refuse_place(
        &self,
        ctx: &mut Context<'_>,
        (leg, from): (u8, LegAddress),
        why: ReplacesRefusal,
    ) {
        let key = crate::token::LegKey { leg, ..self.place };
        let own = LegAddress { shard: ctx.shard, key };
        ctx.effects.push_back(Effect::Relay { to: from, from: own, said: Said::NotJoined(why) });
    }
}
