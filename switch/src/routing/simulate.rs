//! A call that is only thought of: the same decisions as for a real one, for `tandem simulate`.

use vocabulary::{AuthorizeRequest, CallId, Number, Utc};

use super::destination::{Destination, Routed, Source, destination, payer, plan};
use crate::caller_id::{self, Ruling};
use crate::decision::{Decision, IdentityRefusal, Refusal};
use crate::directory::Directory;
use crate::forwarding::goes_on;
use crate::registrar::Bindings;

/// What would happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simulation {
    /// Who would be calling; `None` if `from` is nobody here.
    pub source: Option<Source>,
    /// The decisions on the way.
    pub decisions: Vec<Decision>,
    /// Where it would go, or why it would not.
    pub outcome: Result<Routed, Refusal>,
    /// What billing would be asked; it answers with the price and the order of carriers.
    pub authorize: Option<AuthorizeRequest>,
}

/// Decides as if `from` called `to` at `at`. `from` is a subscriber's name or number, or a trunk's
/// name. Whether a called subscriber is registered is looked up as of `now`: a later `at` asks for
/// the prices of then, and nobody knows where phones will be.
pub fn simulate(
    directory: &Directory,
    bindings: &Bindings,
    from: &str,
    to: &str,
    at: Utc,
    now: Utc,
) -> Simulation {
    let mut decisions = Vec::new();
    let Some((source, cli)) = find_source(directory, from) else {
        let outcome = Err(Refusal::Identity(IdentityRefusal::UnknownUser(from.into())));
        return Simulation { source: None, decisions, outcome, authorize: None };
    };
    let account = match payer(directory, source) {
        Ok(account) => account,
        Err(refusal) => {
            let outcome = Err(refusal);
            return Simulation { source: Some(source), decisions, outcome, authorize: None };
        }
    };
    let found = destination(directory, source, account, to, &mut decisions)
        .and_then(|routed| reached(directory, bindings, routed, now, &mut decisions))
        .and_then(|routed| {
            let goes_out = matches!(routed.destination, Destination::Trunks(_));
            // A number that is drawn is the same for the same moment.
            let draw = || at.0.unsigned_abs();
            let decisions = &mut decisions;
            let ruling = if goes_out {
                let cli = caller_id::number_or_default(directory, account, cli, decisions);
                caller_id::rule(directory, account, cli, draw, decisions)
            } else {
                Ok(Ruling::unchanged(cli))
            };
            Ok((routed, ruling.map_err(Refusal::CallerId)?))
        });
    let authorize = found.as_ref().ok().map(|(routed, ruling)| AuthorizeRequest {
        cli: ruling.cli,
        rate_choice: ruling.rate_choice,
        candidates: routed.candidates().to_vec(),
        ..AuthorizeRequest::new(CallId(0), account, routed.kind(), routed.cld, at)
    });
    let outcome = found.map(|(routed, _)| routed);
    Simulation { source: Some(source), decisions, outcome, authorize }
}

/// The callee must be there, or forward its calls.
fn reached(
    directory: &Directory,
    bindings: &Bindings,
    routed: Routed,
    now: Utc,
    decisions: &mut Vec<Decision>,
) -> Result<Routed, Refusal> {
    if let Destination::Subscriber(callee) = routed.destination {
        // What its own call would cost and where it goes is another question, from the callee.
        if let Some(to) =
            goes_on(directory, callee, &[], 0, decisions).map_err(Refusal::Forwarding)?
        {
            let destination = Destination::Forwarded { by: callee, to };
            return Ok(Routed { destination, ..routed });
        }
        let contacts = bindings.contacts(callee, now).len();
        if contacts == 0 {
            return Err(Refusal::NotRegistered(callee));
        }
        decisions.push(Decision::ToSubscriber(callee, u8::try_from(contacts).unwrap_or(u8::MAX)));
    }
    Ok(routed)
}

fn find_source(directory: &Directory, from: &str) -> Option<(Source, Option<Number>)> {
    let number = || directory.settings().plan.ingress(from).ok();
    let subscriber = directory
        .subscriber_by_username(from)
        .or_else(|| directory.subscriber_by_number(&number()?));
    if let Some(row) = subscriber {
        return Some((Source::Subscriber(row.id), row.number));
    }
    let trunk = directory.trunk_by_name(from)?;
    let source = Source::Trunk(trunk.id);
    Some((source, plan(directory, source).ingress(from).ok()))
}
