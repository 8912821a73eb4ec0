//! What was dialled becomes a number, by the caller's rules and number plan; then the lists of the
//! caller's side are asked. Before limits and money: a number that may not be called costs neither.

use super::{Setup, Step};
use crate::call::{Call, Context};
use crate::decision::Refusal;
use crate::numbers::{Called, called, screen};

pub(super) fn translate(
    setup: &mut Setup,
    call: &mut Call,
    ctx: &mut Context<'_>,
) -> Result<Step, Refusal> {
    let Setup { source, account, ref caller, .. } = *setup;
    let (directory, source) = (ctx.directory, Some(source));
    let dialled = called(directory, source, account, &caller.dialled, call.decisions())?;
    if let Called::Number(number) = dialled {
        call.leads_to(number);
    }
    // A call that was sent on has its caller's number from elsewhere, and was asked about it there.
    let number = caller.diverted_by.is_empty().then_some(caller.number);
    screen(directory, source, account, dialled, number, call.decisions())?;
    setup.called = Some(dialled);
    Ok(Step::Next)
}
