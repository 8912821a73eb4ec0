//! The account's caller-ID policy, for calls that leave us. Subscribers call each other with what
//! number they have.

use super::{Setup, Step};
use crate::call::{Call, Context};
use crate::caller_id::{self, default_display, number_or_default};
use crate::decision::Refusal;
use crate::routing::{Destination, Source};

pub(super) fn apply(
    setup: &mut Setup,
    call: &mut Call,
    ctx: &mut Context<'_>,
) -> Result<Step, Refusal> {
    let Some(Destination::Trunks(_)) = setup.destination() else { return Ok(Step::Next) };
    let (directory, account) = (ctx.directory, setup.account);
    let caller = &mut setup.caller;
    let cli = match caller.diverted_by.last().map(|sent| sent.by) {
        // A call that was sent on is out because of the forwarder's number.
        Some(Source::Subscriber(id)) => directory.subscriber(id).and_then(|row| row.number),
        Some(Source::Trunk(_)) => caller.number,
        None => {
            let number = number_or_default(directory, account, caller.number, call.decisions());
            if number != caller.number {
                (caller.number, caller.verstat) = (number, None);
            }
            number
        }
    };
    let draw = || ctx.random.next();
    let ruling = caller_id::rule(directory, account, cli, draw, call.decisions())
        .map_err(Refusal::CallerId)?;
    if ruling.is_replaced {
        caller.is_now(ruling.cli);
    }
    // The account has a name for its own callers, not for whom they send on.
    let is_its_own = ruling.is_replaced || caller.diverted_by.is_empty();
    if is_its_own && caller.display.is_empty() {
        caller.display = default_display(directory, account);
    }
    setup.rate_choice = ruling.rate_choice;
    call.goes_out(setup.caller.known_number(), ruling.rate_choice);
    Ok(Step::Next)
}
