//! Rules that rewrite numbers at the edges (T8, A-19, P-022), and what they make of a number.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use store::directory::{NamedOwner, StoredRule, direction_from_word, direction_word};
use store::moment::format_utc;
use switch::directory::Directory;
use switch::numbers::{
    NumberOwner, NumberRule, RuleId, SIGNS_MAX, Subject, Then, Trial, TrialEnd, classify, try_out,
};
use vocabulary::{Direction, Number};

use crate::accounts::parsed;
use crate::command::{Command, Stop, Touched};
use crate::names::Names;
use crate::wire::List;
use crate::{Api, Problem, Shared};

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/number-rules", get(list).post(add))
        .route("/number-rules/{id}", delete(remove))
        .route("/numbers/try", get(try_number))
        .route("/numbers/{number}", get(show_number))
}

/// Whose rules or lists: one of the three, or nobody's for everybody's.
#[derive(Default, Deserialize, Serialize)]
pub(crate) struct OwnerOnWire {
    pub(crate) account: Option<String>,
    pub(crate) trunk: Option<String>,
    pub(crate) subscriber: Option<String>,
}

impl OwnerOnWire {
    pub(crate) fn of(owner: NumberOwner, directory: &Directory) -> OwnerOnWire {
        let mut named = OwnerOnWire::default();
        match owner {
            NumberOwner::Switch => {}
            NumberOwner::Account(id) => {
                named.account = directory.account(id).map(|row| row.name.clone());
            }
            NumberOwner::Trunk(id) => {
                named.trunk = directory.trunk(id).map(|row| row.name.clone());
            }
            NumberOwner::Subscriber(id) => {
                named.subscriber = directory.subscriber(id).map(|row| row.username.clone());
            }
        }
        named
    }

    fn is_nobody(&self) -> bool {
        self.account.is_none() && self.trunk.is_none() && self.subscriber.is_none()
    }
}

pub(crate) fn named(
    account: Option<String>,
    trunk: Option<String>,
    subscriber: Option<String>,
) -> NamedOwner {
    NamedOwner { account, trunk, subscriber }
}

/// A word of few, or the field is named with all of them.
pub(crate) fn word<T>(
    field: &str,
    text: &str,
    read: impl Fn(&str) -> Option<T>,
    all: &str,
) -> Result<T, Problem> {
    read(text).ok_or_else(|| Problem::invalid(field, format!("{text:?} is none of {all}")))
}

fn direction(text: &str) -> Result<Direction, Problem> {
    word("direction", text, direction_from_word, "in (towards us), out (from us)")
}

pub(crate) fn subject(text: &str) -> Result<Subject, Problem> {
    word("subject", text, Subject::from_word, "cli (the caller's number), cld (the called one)")
}

#[derive(Serialize)]
struct RuleOnWire {
    id: u64,
    account: Option<String>,
    trunk: Option<String>,
    subscriber: Option<String>,
    direction: &'static str,
    subject: &'static str,
    position: u32,
    matches: String,
    length_min: u8,
    length_max: u8,
    strip: u8,
    prepend: String,
    then: &'static str,
    note: String,
    created_at: String,
}

impl RuleOnWire {
    fn new(stored: StoredRule, directory: &Directory) -> RuleOnWire {
        let OwnerOnWire { account, trunk, subscriber } = OwnerOnWire::of(stored.owner, directory);
        let rule = stored.rule;
        RuleOnWire {
            id: rule.id.0,
            account,
            trunk,
            subscriber,
            direction: direction_word(stored.direction),
            subject: stored.subject.word(),
            position: stored.position,
            matches: rule.matches.as_str().to_owned(),
            length_min: rule.lengths.0,
            length_max: rule.lengths.1,
            strip: rule.strip,
            prepend: rule.prepend.into(),
            then: rule.then.word(),
            note: stored.note,
            created_at: format_utc(stored.created_at),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    account: Option<String>,
    trunk: Option<String>,
    subscriber: Option<String>,
    /// Those of everybody.
    #[serde(default)]
    everybody: bool,
}

async fn list(
    State(api): Shared,
    Query(which): Query<Which>,
) -> Result<Json<List<RuleOnWire>>, Problem> {
    let Which { account, trunk, subscriber, everybody } = which;
    let asked = OwnerOnWire { account, trunk, subscriber };
    let owner = match (asked.is_nobody(), everybody) {
        (true, false) => None,
        (true, true) => Some(NumberOwner::Switch),
        (false, true) => {
            let what = "name an owner or everybody, not both";
            return Err(Problem::invalid("everybody", what));
        }
        (false, false) => {
            let named = named(asked.account, asked.trunk, asked.subscriber);
            Some(api.store.begin_read().await?.number_owner(&named).await?)
        }
    };
    let rules = api.store.number_rules(owner).await?;
    let snapshot = api.snapshot().await;
    let rules = rules.into_iter().map(|rule| RuleOnWire::new(rule, &snapshot.directory));
    Ok(Json(List { items: rules.collect() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRule {
    account: Option<String>,
    trunk: Option<String>,
    subscriber: Option<String>,
    direction: String,
    subject: String,
    position: Option<u32>,
    matches: String,
    #[serde(default = "one")]
    length_min: u8,
    #[serde(default = "longest")]
    length_max: u8,
    #[serde(default)]
    strip: u8,
    #[serde(default)]
    prepend: String,
    #[serde(default = "plan")]
    then: String,
    #[serde(default)]
    note: String,
}

fn one() -> u8 {
    1
}

fn longest() -> u8 {
    SIGNS_MAX as u8
}

fn plan() -> String {
    Then::Plan.word().to_owned()
}

async fn add(State(api): Shared, command: Command) -> Result<Response, Stop> {
    let asked: NewRule = command.json()?;
    let pattern = parsed("matches", &asked.matches)?;
    let thens = Then::ALL.map(Then::word).join(", ");
    let then = word("then", &asked.then, Then::from_word, &thens)?;
    let rule = NumberRule {
        lengths: (asked.length_min, asked.length_max),
        ..NumberRule::new(RuleId(0), pattern, asked.strip, &asked.prepend, then)
    };
    let (direction, subject) = (direction(&asked.direction)?, subject(&asked.subject)?);
    let mut turn = api.begin(&command).await?;
    let owner = named(asked.account, asked.trunk, asked.subscriber);
    let stored = StoredRule {
        owner: turn.change.number_owner(&owner).await?,
        direction,
        subject,
        position: 0,
        rule,
        note: asked.note,
        created_at: api.control.now(),
    };
    let stored = turn.change.add_number_rule(stored, asked.position).await?;
    let rule = RuleOnWire::new(stored, &turn.snapshot.directory);
    api.finish(turn, Touched::Directory, 201, &rule).await
}

async fn remove(
    State(api): Shared,
    Path(id): Path<u64>,
    command: Command,
) -> Result<Response, Stop> {
    let mut turn = api.begin(&command).await?;
    turn.change.remove_number_rule(id).await?;
    api.finish(turn, Touched::Directory, 200, &serde_json::json!({ "removed": id })).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tried {
    account: Option<String>,
    trunk: Option<String>,
    subscriber: Option<String>,
    direction: String,
    subject: String,
    number: String,
}

#[derive(Serialize)]
struct TrialOnWire {
    /// What comes out; null if it is rejected or no number.
    result: Option<String>,
    /// Why it goes no further, in the words of a call's decisions.
    refused: Option<String>,
    /// The rules that match, in their order.
    steps: Vec<StepOnWire>,
    /// Whether the number plan came after them.
    by_plan: bool,
}

#[derive(Serialize)]
struct StepOnWire {
    rule: u64,
    account: Option<String>,
    trunk: Option<String>,
    subscriber: Option<String>,
    matches: String,
    becomes: String,
}

/// What the rules and plans of now make of a number.
async fn try_number(
    State(api): Shared,
    Query(tried): Query<Tried>,
) -> Result<Json<TrialOnWire>, Problem> {
    let (direction, subject) = (direction(&tried.direction)?, subject(&tried.subject)?);
    let named = named(tried.account, tried.trunk, tried.subscriber);
    let owner = api.store.begin_read().await?.number_owner(&named).await?;
    let snapshot = api.snapshot().await;
    let directory = &snapshot.directory;
    let trial = try_out(directory, owner, direction, subject, &tried.number);
    let trial =
        trial.ok_or_else(|| Problem::new(404, "not_found", format!("no {owner} is there")))?;
    let names = Names::new(directory, Vec::new());
    Ok(Json(on_wire(trial, directory, &names)))
}

fn on_wire(trial: Trial, directory: &Directory, names: &Names<'_>) -> TrialOnWire {
    let (result, refused) = match trial.end {
        TrialEnd::Number(number, refusal) => {
            (Some(number.as_str().to_owned()), refusal.map(|refusal| refusal.to_string()))
        }
        TrialEnd::Sent(text) => (Some(text), None),
        TrialEnd::Rejected(rule) => (None, Some(format!("Number rule {rule} rejects it."))),
        TrialEnd::NoNumber(error) => (None, Some(format!("It is no number: {error}."))),
    };
    let steps = trial.steps.into_iter().map(|step| {
        let OwnerOnWire { account, trunk, subscriber } = OwnerOnWire::of(step.owner, directory);
        StepOnWire {
            rule: step.rule.0,
            account,
            trunk,
            subscriber,
            matches: step.matches,
            becomes: step.becomes,
        }
    });
    TrialOnWire {
        result,
        refused: refused.map(|sentence| names.put_into(&sentence)),
        steps: steps.collect(),
        by_plan: trial.by_plan,
    }
}

#[derive(Serialize)]
struct NumberOnWire {
    number: String,
    /// Null if no numbering plan has it.
    class: Option<&'static str>,
    /// ISO 3166, or 001 for a number of no country.
    region: Option<&'static str>,
    /// The lists that it is on.
    lists: Vec<String>,
}

/// What is known of a number.
async fn show_number(
    State(api): Shared,
    Path(number): Path<String>,
) -> Result<Json<NumberOnWire>, Problem> {
    let number: Number = parsed("number", &number)?;
    let classified = classify(&number);
    let snapshot = api.snapshot().await;
    let lists = api.store.number_lists().await?.into_iter();
    let has_it = |list: &store::directory::StoredList| {
        let known = snapshot.directory.number_list(list.id);
        known.is_some_and(|list| list.numbers.find(&number).is_some())
    };
    Ok(Json(NumberOnWire {
        number: number.as_str().to_owned(),
        class: classified.map(|found| found.class.word()),
        region: classified.map(|found| found.region),
        lists: lists.filter(has_it).map(|list| list.name).collect(),
    }))
}
