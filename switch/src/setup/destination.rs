//! Where the call goes.

use super::{Setup, Step};
use crate::call::{Call, Context};
use crate::decision::Refusal;
use crate::routing::{self, Destination};

pub(super) fn find(
    setup: &mut Setup,
    call: &mut Call,
    ctx: &mut Context<'_>,
) -> Result<Step, Refusal> {
    let Setup { source, account, called, .. } = *setup;
    let called = called.expect("the stage before has found out");
    let (directory, health, source) = (ctx.directory, ctx.health, Some(source));
    let decisions = call.decisions();
    let routed = routing::destination(directory, source, account, called, health, decisions)?;
    call.leads_to(routed.cld);
    setup.routed = Some(routed);
    Ok(Step::Next)
}

impl Setup {
    pub(super) fn destination(&self) -> Option<&Destination> {
        self.routed.as_ref().map(|routed| &routed.destination)
    }
}
