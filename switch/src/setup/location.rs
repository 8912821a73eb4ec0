//! Where a call that leaves us goes (T7): whether its number is ported, and whether it leaves its state.
//! After the caller-ID policy, since the state is that of the number which the call goes out with.

use std::sync::Arc;

use super::{Setup, Step};
use crate::call::{Call, Context};
use crate::decision::{Decision, Refusal};
use crate::lookup::{Located, LocationDecision, Lookup, LookupRefusal, OnFailure, locate};
use crate::question::{Answer, NumberToDip, Question};
use crate::routing::Destination;

pub(super) fn find(
    setup: &mut Setup,
    call: &mut Call,
    ctx: &mut Context<'_>,
) -> Result<Step, Refusal> {
    // What a message costs depends on neither.
    if call.is_message() {
        return Ok(Step::Next);
    }
    let answer = setup.answer.take();
    let Some(Destination::Trunks(_)) = setup.destination() else { return Ok(Step::Next) };
    let routed = setup.routed.as_ref().expect("it has a destination");
    let cld = routed.cld;
    let lookup = ctx.directory.lookups().find(&cld);
    // Only once, though this may be run again with an answer.
    let ported = setup.ported.take();
    let said = ported.and_then(|said| said.located(&cld));
    if ported.is_some() && said.is_none() {
        call.decide(located(LocationDecision::SaidUnclear));
    }
    let located = match (said, answer, lookup) {
        (Some(said), ..) => {
            call.decide(located(LocationDecision::Said(said.location.lrn)));
            said
        }
        // Help does not wait for prices.
        (None, None, Some(lookup)) if !setup.is_emergency => {
            let question = NumberToDip { lookup: Arc::clone(lookup), number: cld };
            return Ok(Step::Ask(Question::Dip(Box::new(question))));
        }
        (None, Some(answer), Some(lookup)) => heard(call, lookup, &answer)?,
        (None, ..) => Located::default(),
    };
    // As far as whoever pays may know it, for the record says the state.
    let cli = call.cli();
    let lrn = located.location.lrn;
    let (location, said) = locate(ctx.directory.jurisdictions(), cli.as_ref(), &cld, lrn);
    if let Some(said) = said {
        call.decide(self::located(said));
    }
    call.is_located(Located { location, ..located });
    Ok(Step::Next)
}

fn located(decision: LocationDecision) -> Decision {
    Decision::Location(Box::new(decision))
}

fn heard(call: &mut Call, lookup: &Lookup, answer: &Answer) -> Result<Located, Refusal> {
    let Answer::Dipped(lrn) = *answer else {
        if lookup.on_failure == OnFailure::Refuse {
            return Err(Refusal::Lookup(LookupRefusal(lookup.id)));
        }
        call.decide(located(LocationDecision::Unanswered(lookup.id)));
        return Ok(Located::default());
    };
    call.decide(located(LocationDecision::Dipped(lookup.id, lrn)));
    let mut located = Located { is_dipped: true, ..Located::default() };
    located.location.lrn = lrn;
    Ok(located)
}
