//! Rules and number plans, one after the other: what a caller sends becomes numbers, and numbers
//! become what a callee is sent.

use vocabulary::{AccountId, Direction, Number, SubscriberId};

use super::list;
use super::policy::Chain;
use super::reason::{NumberDecision, NumberRefusal};
use super::rule::{Outcome, RuleId, Subject, apply};
use super::written::Written;
use crate::decision::{Decision, Refusal};
use crate::directory::{Directory, SubscriberRow, TrunkRow};
use crate::routing::{Source, plan};

/// Who or what was dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Called {
    /// A subscriber, by its username.
    Subscriber(SubscriberId),
    /// A number, after rules and plan.
    Number(Number),
}

impl Called {
    /// The called number; of a subscriber that was called by name, its own.
    pub(crate) fn number(self, directory: &Directory) -> Option<Number> {
        match self {
            Called::Number(number) => Some(number),
            Called::Subscriber(id) => directory.subscriber(id)?.number,
        }
    }
}

/// What rules have made of a text.
struct Ruled {
    written: Written,
    outcome: Outcome,
    matched: Vec<RuleId>,
}

/// `None` if there is no rule, or none can be about this text: then all is as if there were none.
fn ruled(chain: &Chain<'_>, direction: Direction, subject: Subject, text: &str) -> Option<Ruled> {
    let mut rules = chain.rules(direction, subject).peekable();
    rules.peek()?;
    let mut written = Written::of(text)?;
    let mut matched = Vec::new();
    let outcome = apply(rules, &mut written, |rule, _| matched.push(rule.id));
    let is_untouched = matched.is_empty() && outcome == Outcome::Plan;
    (!is_untouched).then_some(Ruled { written, outcome, matched })
}

/// What was dialled, as a number or a subscriber; `source` as in [`plan`].
pub fn called(
    directory: &Directory,
    source: Option<Source>,
    account: AccountId,
    dialled: &str,
    decisions: &mut Vec<Decision>,
) -> Result<Called, Refusal> {
    let chain = Chain::of_source(directory, source, account);
    let ruled = ruled(&chain, Direction::Ingress, Subject::Cld, dialled);
    if let Some(Ruled { written, outcome, matched }) = &ruled {
        if !matched.is_empty() {
            decisions.push(received(Subject::Cld, dialled, written, matched));
        }
        if let Outcome::Rejected(rule) = outcome {
            return Err(Refusal::Number(NumberRefusal::RuleRejects(*rule)));
        }
    }
    let is_number = ruled.as_ref().is_some_and(|ruled| ruled.outcome == Outcome::AsIs);
    let text = ruled.as_ref().map_or(dialled, |ruled| ruled.written.as_str());
    if let Some(row) = directory.subscriber_by_username(text) {
        return Ok(Called::Subscriber(row.id));
    }
    let number = match is_number {
        true => text.parse().map_err(crate::routing::PlanError::NotANumber),
        false => plan(directory, source).ingress(text),
    };
    match number {
        Ok(number) => {
            decisions.push(Decision::NumberTranslated(dialled.into(), number));
            Ok(Called::Number(number))
        }
        Err(_) if text.bytes().any(|b| b.is_ascii_alphabetic()) => {
            Err(Refusal::UnknownName(text.into()))
        }
        Err(error) => Err(Refusal::InvalidNumber(dialled.into(), error)),
    }
}

/// The caller's number, out of what its side sent. No rule refuses it: that is for lists.
pub(crate) fn calling(
    directory: &Directory,
    source: Source,
    account: AccountId,
    sent: &str,
    decisions: &mut Vec<Decision>,
) -> Option<Number> {
    let source = Some(source);
    let chain = Chain::of_source(directory, source, account);
    let plan = plan(directory, source);
    let Some(Ruled { written, outcome, matched }) =
        ruled(&chain, Direction::Ingress, Subject::Cli, sent)
    else {
        return plan.ingress_cli(sent);
    };
    if !matched.is_empty() {
        decisions.push(received(Subject::Cli, sent, &written, &matched));
    }
    match outcome {
        Outcome::AsIs => written.as_str().parse().ok(),
        Outcome::Plan | Outcome::Rejected(_) => plan.ingress_cli(written.as_str()),
    }
}

fn received(subject: Subject, sent: &str, written: &Written, matched: &[RuleId]) -> Decision {
    Decision::Number(Box::new(NumberDecision::Received {
        subject,
        written: sent.into(),
        becomes: written.as_str().into(),
        rules: matched.into(),
    }))
}

/// Whether the lists of the caller's side let the call pass. `caller` is `None` if its number is not
/// looked at, and `Some(None)` if it has none. Who is called by name and has no number is on no list.
pub(crate) fn screen(
    directory: &Directory,
    source: Option<Source>,
    account: AccountId,
    called: Called,
    caller: Option<Option<Number>>,
    decisions: &mut Vec<Decision>,
) -> Result<(), Refusal> {
    let chain = Chain::of_source(directory, source, account);
    let mut ask = |subject, number: Option<Number>| {
        list::screen(directory, &chain, subject, number.as_ref(), decisions)
            .map_err(Refusal::Number)
    };
    if let Some(number) = called.number(directory) {
        ask(Subject::Cld, Some(number))?;
    }
    caller.map_or(Ok(()), |number| ask(Subject::Cli, number))
}

/// The rule by which a trunk does not want calls to this number.
pub(crate) fn rejecting_rule(
    directory: &Directory,
    trunk: &TrunkRow,
    cld: &Number,
) -> Option<RuleId> {
    let chain = Chain::of_trunk(directory, trunk);
    match ruled(&chain, Direction::Egress, Subject::Cld, cld.as_str())?.outcome {
        Outcome::Rejected(rule) => Some(rule),
        Outcome::Plan | Outcome::AsIs => None,
    }
}

/// What rules and a number plan make of a number that goes out.
fn sent(
    chain: &Chain<'_>,
    subject: Subject,
    number: &Number,
    form: impl Fn(&Number) -> String,
) -> (String, Vec<RuleId>) {
    let Some(Ruled { written, outcome, matched }) =
        ruled(chain, Direction::Egress, subject, number.as_str())
    else {
        return (form(number), Vec::new());
    };
    let as_is = || written.as_str().to_owned();
    let text = match outcome {
        Outcome::AsIs => as_is(),
        // Longer than any number, so no plan has a form for it.
        Outcome::Plan | Outcome::Rejected(_) => {
            written.as_str().parse().map_or_else(|_| as_is(), |number| form(&number))
        }
    };
    (text, matched)
}

/// A number as a trunk is sent it.
pub(crate) fn sent_to_trunk(
    directory: &Directory,
    trunk: &TrunkRow,
    subject: Subject,
    number: &Number,
    decisions: &mut Vec<Decision>,
) -> String {
    let chain = Chain::of_trunk(directory, trunk);
    let plan = &trunk.egress_plan;
    let (text, matched) = sent(&chain, subject, number, |number| match subject {
        Subject::Cld => plan.egress(number),
        Subject::Cli => plan.egress_cli(number),
    });
    if !matched.is_empty() {
        decisions.push(Decision::Number(Box::new(NumberDecision::SentToTrunk {
            trunk: trunk.id,
            subject,
            sent: text.as_str().into(),
            rules: matched.into(),
        })));
    }
    text
}

/// The caller's number as a phone is shown it.
pub(crate) fn shown_to_subscriber(
    directory: &Directory,
    row: &SubscriberRow,
    number: &Number,
    decisions: &mut Vec<Decision>,
) -> String {
    let chain = Chain::of_subscriber(directory, row);
    let plan = &directory.settings().plan;
    let (text, matched) = sent(&chain, Subject::Cli, number, |number| plan.egress_cli(number));
    if !matched.is_empty() {
        decisions.push(Decision::Number(Box::new(NumberDecision::ShownToSubscriber {
            subscriber: row.id,
            sent: text.as_str().into(),
            rules: matched.into(),
        })));
    }
    text
}
