//! A call that is only thought of: the same decisions as for a real one, for `tandem simulate`.

use vocabulary::{
    AccountId, AuthorizeRequest, CallId, Location, Number, Origin, SubscriberId, Utc,
};

use super::conditions::{Conditions, Recorded, TrunksNow};
use super::destination::{Destination, Routed, Source, active, destination, payer, plan};
use crate::caller_id::{self, Ruling};
use crate::decision::{Decision, IdentityRefusal, Refusal};
use crate::did::{DidDecision, Group};
use crate::directory::Directory;
use crate::forwarding::{Sent, instead_of_ringing};
use crate::lookup;
use crate::numbers::{called, screen};
use crate::registrar::Bindings;

/// Which call is thought of.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Who calls: a subscriber's name or number, or a trunk's name.
    pub from: &'a str,
    /// The account of this name: it calls itself if `from` is neither subscriber nor trunk.
    pub account: Option<AccountId>,
    /// What is dialled.
    pub to: &'a str,
    /// When: prices are those of then.
    pub at: Utc,
    /// The present moment: nobody knows where phones will be.
    pub now: Utc,
}

/// Who would be calling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calling {
    /// A phone or a trunk, as in any call.
    Source(Source),
    /// An account, by none of its phones or trunks: it dials as the settings have it, has no number
    /// of its own and no site.
    Account(AccountId),
}

impl Calling {
    fn source(self) -> Option<Source> {
        match self {
            Calling::Source(source) => Some(source),
            Calling::Account(_) => None,
        }
    }

    /// Where billing is told that the call comes from; sites and their discounts go by it (J-18).
    fn origin(self) -> Origin {
        match self.source() {
            Some(Source::Subscriber(id)) => Origin { subscriber: Some(id), ..Origin::default() },
            Some(Source::Trunk(id)) => Origin { trunk: Some(id), ..Origin::default() },
            None => Origin::default(),
        }
    }
}

/// What would happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simulation {
    /// Who would be calling; `None` if `from` is nobody here.
    pub calling: Option<Calling>,
    /// The decisions on the way.
    pub decisions: Vec<Decision>,
    /// Where it would go, or why it would not.
    pub outcome: Result<Routed, Refusal>,
    /// What billing would be asked; it answers with the prices and the order of carriers.
    pub authorize: Option<AuthorizeRequest>,
}

impl Simulation {
    /// The same call, going there: what is assumed stands in place of what lookups and tables say.
    #[must_use]
    pub fn assuming(mut self, directory: &Directory, assumed: Location) -> Simulation {
        let (Ok(routed), Some(authorize)) = (&self.outcome, &mut self.authorize) else {
            return self;
        };
        if assumed != Location::default() {
            self.decisions.retain(|decision| !matches!(decision, Decision::Location(_)));
            let (cli, decisions) = (authorize.cli, &mut self.decisions);
            authorize.location = located(directory, routed, cli, assumed, decisions);
        }
        self
    }
}

/// Decides as if the call came in, with trunks as well as they are now.
pub fn simulate(
    directory: &Directory,
    bindings: &Bindings,
    trunks: TrunksNow<'_>,
    question: &Question<'_>,
) -> Simulation {
    // What is drawn is the same for the same moment.
    let conditions = Conditions::new(question.at, question.at.0 as u32, trunks);
    think(directory, bindings, &conditions, question)
}

/// The same under the conditions of a past call (B5): with the rows of its time its route comes out again,
/// with others what it would have been.
pub fn simulate_like(
    directory: &Directory,
    bindings: &Bindings,
    recorded: &Recorded,
    question: &Question<'_>,
) -> Simulation {
    think(directory, bindings, &Conditions::of(recorded), question)
}

fn think(
    directory: &Directory,
    bindings: &Bindings,
    conditions: &Conditions<'_>,
    question: &Question<'_>,
) -> Simulation {
    let Question { to, at, now, .. } = *question;
    let mut decisions = Vec::new();
    let Some((calling, cli)) = find_calling(directory, question) else {
        let outcome = Err(Refusal::Identity(IdentityRefusal::UnknownUser(question.from.into())));
        return Simulation { calling: None, decisions, outcome, authorize: None };
    };
    let source = calling.source();
    let account = match calling {
        Calling::Source(source) => payer(directory, source),
        Calling::Account(account) => active(directory, account),
    };
    let account = match account {
        Ok(account) => account,
        Err(refusal) => {
            let outcome = Err(refusal);
            return Simulation { calling: Some(calling), decisions, outcome, authorize: None };
        }
    };
    let found = called(directory, source, account, to, &mut decisions)
        .and_then(|called| {
            screen(directory, source, account, called, Some(cli), &mut decisions)?;
            destination(directory, source, account, called, conditions, &mut decisions)
        })
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
        location: located(directory, routed, ruling.cli, Location::default(), &mut decisions),
        candidates: routed.candidates().to_vec(),
        origin: calling.origin(),
        ..AuthorizeRequest::new(CallId(0), routed.payer, routed.kind, routed.cld, at)
    });
    let outcome = found.map(|(routed, _)| routed);
    Simulation { calling: Some(calling), decisions, outcome, authorize }
}

/// Where a call that leaves us goes; nobody is asked.
fn located(
    directory: &Directory,
    routed: &Routed,
    cli: Option<Number>,
    assumed: Location,
    decisions: &mut Vec<Decision>,
) -> Location {
    if !matches!(routed.destination, Destination::Trunks(_)) {
        return Location::default();
    }
    let (location, said) = lookup::assume(directory, cli.as_ref(), &routed.cld, assumed);
    decisions.extend(said.map(|said| Decision::Location(Box::new(said))));
    location
}

/// The callee must be there, or forward its calls.
fn reached(
    directory: &Directory,
    bindings: &Bindings,
    routed: Routed,
    now: Utc,
    decisions: &mut Vec<Decision>,
) -> Result<Routed, Refusal> {
    if let Destination::Group(group) = &routed.destination {
        group.is_there(directory, bindings, now)?;
        for member in &group.members {
            decisions.push(match Group::contacts_of(directory, bindings, *member, now) {
                Ok(contacts) => to_subscriber(*member, contacts),
                Err(why) => Decision::Did(DidDecision::MemberSkipped(*member, why)),
            });
        }
    }
    if let Destination::Subscriber(callee) = routed.destination {
        let contacts = bindings.contacts(callee, now).len();
        let sent = Sent { by: &[], before: 0 };
        // What its own call would cost and where it goes is another question, from the callee.
        if let Some((why, to)) =
            instead_of_ringing(directory, callee, contacts > 0, sent, decisions)?
        {
            let destination = Destination::Forwarded { by: callee, why, to };
            return Ok(Routed { destination, ..routed });
        }
        decisions.push(to_subscriber(callee, contacts));
    }
    Ok(routed)
}

fn to_subscriber(callee: SubscriberId, contacts: usize) -> Decision {
    Decision::ToSubscriber(callee, u8::try_from(contacts).unwrap_or(u8::MAX))
}

fn find_calling(
    directory: &Directory,
    question: &Question<'_>,
) -> Option<(Calling, Option<Number>)> {
    let from = question.from;
    let number = || directory.settings().plan.ingress(from).ok();
    let subscriber = directory
        .subscriber_by_username(from)
        .or_else(|| directory.subscriber_by_number(&number()?));
    if let Some(row) = subscriber {
        return Some((Calling::Source(Source::Subscriber(row.id)), row.number));
    }
    if let Some(trunk) = directory.trunk_by_name(from) {
        let source = Source::Trunk(trunk.id);
        let cli = plan(directory, Some(source)).ingress(from).ok();
        return Some((Calling::Source(source), cli));
    }
    question.account.map(|account| (Calling::Account(account), None))
}
