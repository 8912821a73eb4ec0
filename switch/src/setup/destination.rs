//! Where the call goes.

use super::{Setup, Step, message};
use crate::call::{Call, Context};
use crate::decision::Refusal;
use crate::routing::{self, Conditions, Destination, TrunksNow};

pub(super) fn find(
    setup: &mut Setup,
    call: &mut Call,
    ctx: &mut Context<'_>,
) -> Result<Step, Refusal> {
    let Setup { source, account, called, .. } = *setup;
    let called = called.expect("the stage before has found out");
    // By the moment that prices go by too.
    let trunks = TrunksNow { now: ctx.now.utc, health: ctx.health, quality: ctx.quality };
    let conditions = Conditions::new(call.came_at(), ctx.random.next() as u32, trunks);
    let (directory, source, decisions) = (ctx.directory, Some(source), call.decisions());
    let routed = routing::destination(directory, source, account, called, &conditions, decisions)?;
    call.leads_to(routed.cld);
    setup.routed = Some(routed);
    if call.is_message() {
        message::shape(setup, call, ctx)?;
    }
    let routed = setup.routed.as_ref().expect("found above");
    call.is_priced_as(routed.payer, routed.kind);
    Ok(Step::Next)
}

impl Setup {
    pub(super) fn destination(&self) -> Option<&Destination> {
        self.routed.as_ref().map(|routed| &routed.destination)
    }

    /// Whether it is to ring a subscriber's phones.
    pub(super) fn rings(&self) -> bool {
        matches!(self.destination(), Some(Destination::Subscriber(_)))
    }
}
