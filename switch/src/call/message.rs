//! What is other for a call that is a message (RFC 3428): it is over when somebody has taken it.

use sip::endpoint::ClientTx;
use sip::message::Message;
use sip::transport::Path;
use vocabulary::Party;

use super::ending::Ending;
use super::{Call, Context, Side};
use crate::admission::Gate;
use crate::decision::{Decision, End};
use crate::release::Cause;

impl Call {
    pub(crate) fn is_message(&self) -> bool {
        matches!(self.ingress.side, Side::Message(_))
    }

    /// What the sender of a message has heard.
    pub(crate) fn told_sender(&self) -> Option<u16> {
        if let Side::Message(pager) = &self.ingress.side { pager.told() } else { None }
    }

    /// Messages have no limit but how many there are in a second: who talks can be written to.
    pub(crate) fn count_as_message(&self, gates: &mut [Gate]) {
        if self.is_message() {
            gates.iter_mut().for_each(|gate| gate.limits.concurrent = None);
        }
    }

    /// A response came back on this leg. False if there is none that it could be for.
    pub(crate) fn response(
        &mut self,
        ctx: &mut Context<'_>,
        leg: u8,
        tx: ClientTx,
        message: &Message,
        path: Path,
    ) -> bool {
        self.heard(leg);
        match self.side_mut(leg) {
            Some(Side::Leg(leg)) => leg.response(ctx.now, ctx.endpoint, tx, message, path),
            Some(Side::Message(pager)) => pager.response(ctx.now, ctx.endpoint, tx, message),
            Some(Side::Call(_)) | None => return false,
        }
        true
    }

    /// The sender has heard that somebody took it, which is on disk: nothing follows.
    pub(super) fn message_taken(&mut self, ctx: &mut Context<'_>) {
        ctx.stats.messages_taken += 1;
        self.decide(Decision::Ended(End::MessageTaken));
        let (cause, by) = (Cause::Normal, Party::Callee);
        self.release(ctx, Ending { cause, by, status: 200, reason: None, is_caller_gone: true });
        self.drain(ctx);
    }
}
