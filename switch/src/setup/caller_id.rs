//! The account's caller-ID policy, for calls that leave us. Subscribers call each other with what
//! number they have.

use super::{Setup, Step};
use crate::call::{Call, Context};
use crate::caller_id::rate_choice;
use crate::decision::Refusal;
use crate::routing::Destination;

pub(super) fn apply(
    setup: &mut Setup,
    call: &mut Call,
    ctx: &mut Context<'_>,
) -> Result<Step, Refusal> {
    if let Some(Destination::Trunks(_)) = setup.destination() {
        // A call that was sent on is out because of the forwarder's number.
        let forwarder = setup.caller.diverted_by.last();
        let cli = match forwarder {
            Some(id) => ctx.directory.subscriber(*id).and_then(|row| row.number),
            None => setup.caller.number,
        };
        let account = setup.account;
        setup.rate_choice = rate_choice(ctx.directory, account, cli.as_ref(), call.decisions())
            .map_err(Refusal::CallerId)?;
        call.priced_by(setup.rate_choice);
    }
    Ok(Step::Next)
}
