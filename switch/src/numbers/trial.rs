//! A number tried on the tables, step by step, without a call (T8: "testable").

use vocabulary::{Direction, Number};

use super::list;
use super::policy::{Chain, NumberOwner};
use super::reason::NumberRefusal;
use super::rule::{Outcome, RuleId, Subject, apply};
use super::written::Written;
use crate::directory::Directory;
use crate::routing::{NumberPlan, PlanError};

/// A rule that matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialStep {
    /// Which.
    pub rule: RuleId,
    /// Whose it is.
    pub owner: NumberOwner,
    /// What it looks for.
    pub matches: String,
    /// What it made of the number.
    pub becomes: String,
}

/// What comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrialEnd {
    /// Towards us: this number, and why lists refuse it, if they do.
    Number(Number, Option<NumberRefusal>),
    /// From us: what is sent.
    Sent(String),
    /// A rule rejects it.
    Rejected(RuleId),
    /// The number plan makes no number of it.
    NoNumber(PlanError),
}

/// What would become of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The rules that match, in their order.
    pub steps: Vec<TrialStep>,
    /// Whether the number plan came after them.
    pub by_plan: bool,
    /// What comes out.
    pub end: TrialEnd,
}

/// Whose tables count, nearest first, with the number plan; `None` if the owner is not there.
fn tables(directory: &Directory, owner: NumberOwner, is_ingress: bool) -> Option<Tables<'_>> {
    let settings = &directory.settings().plan;
    Some(match owner {
        NumberOwner::Switch => Tables { chain: Chain::of_all(directory), plan: settings },
        NumberOwner::Account(id) => {
            directory.account(id)?;
            Tables { chain: Chain::of_account(directory, id), plan: settings }
        }
        NumberOwner::Trunk(id) => {
            let row = directory.trunk(id)?;
            let plan = if is_ingress { &row.ingress_plan } else { &row.egress_plan };
            Tables { chain: Chain::of_trunk(directory, row), plan }
        }
        NumberOwner::Subscriber(id) => {
            let row = directory.subscriber(id)?;
            let plan = row.plan.as_ref().filter(|_| is_ingress).unwrap_or(settings);
            Tables { chain: Chain::of_subscriber(directory, row), plan }
        }
    })
}

struct Tables<'a> {
    chain: Chain<'a>,
    plan: &'a NumberPlan,
}

/// Tries a number as if this owner sent it, or were sent it. `None` if the owner is not there. From
/// us `text` is a number without `+`.
pub fn try_out(
    directory: &Directory,
    owner: NumberOwner,
    direction: Direction,
    subject: Subject,
    text: &str,
) -> Option<Trial> {
    let Tables { chain, plan } = tables(directory, owner, direction == Direction::Ingress)?;
    let mut steps = Vec::new();
    let mut outcome = Outcome::Plan;
    let mut becomes = text.to_owned();
    if let Some(mut written) = Written::of(text) {
        let owners: Vec<(NumberOwner, RuleId)> =
            chain.owned_rules(direction, subject).map(|(owner, rule)| (owner, rule.id)).collect();
        let owner_of = |rule: RuleId| {
            let found = owners.iter().find(|(_, id)| *id == rule);
            found.expect("the rule is one of those").0
        };
        outcome = apply(chain.rules(direction, subject), &mut written, |rule, becomes| {
            steps.push(TrialStep {
                rule: rule.id,
                owner: owner_of(rule.id),
                matches: rule.matches.as_str().to_owned(),
                becomes: becomes.as_str().to_owned(),
            });
        });
        if !steps.is_empty() {
            becomes = written.as_str().to_owned();
        }
    }
    let by_plan = outcome == Outcome::Plan;
    let end = match (outcome, direction) {
        (Outcome::Rejected(rule), _) => TrialEnd::Rejected(rule),
        (_, Direction::Ingress) => match read(plan, subject, by_plan, &becomes) {
            Ok(number) => {
                let mut decisions = Vec::new();
                let screened =
                    list::screen(directory, &chain, subject, Some(&number), &mut decisions);
                TrialEnd::Number(number, screened.err())
            }
            Err(error) => TrialEnd::NoNumber(error),
        },
        (_, Direction::Egress) => match becomes.parse::<Number>() {
            Ok(number) if by_plan => TrialEnd::Sent(match subject {
                Subject::Cld => plan.egress(&number),
                Subject::Cli => plan.egress_cli(&number),
            }),
            Err(error) if steps.is_empty() => TrialEnd::NoNumber(PlanError::NotANumber(error)),
            _ => TrialEnd::Sent(becomes),
        },
    };
    Some(Trial { steps, by_plan, end })
}

fn read(
    plan: &NumberPlan,
    subject: Subject,
    by_plan: bool,
    text: &str,
) -> Result<Number, PlanError> {
    match (by_plan, subject) {
        (false, _) => text.parse().map_err(PlanError::NotANumber),
        (true, Subject::Cld) => plan.ingress(text),
        (true, Subject::Cli) => plan.try_ingress_cli(text),
    }
}
