//! Sets of destinations, plans, and who has which plan.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use billing::plans::{Anchor, AtEnd, AtStart, Bundle, Fee, Plan, Shortage, Validity};
use billing::{Currency, Money};
use serde::{Deserialize, Serialize};
use store::charges::GrantRow;
use store::directory::plan_words::{
    at_end_of, at_end_word, at_start_of, at_start_word, every_of, every_word, shortage_of,
    shortage_word,
};
use store::directory::{
    AccountEventKind, AccountPlan, DestinationSet, NewSubscription, SoldPlan, calendar_of,
};
use store::moment::format_utc;
use vocabulary::Utc;

use crate::accounts::{moment, parsed};
use crate::command::{Command, Stop, Touched};
use crate::wire::List;
use crate::{Problem, Shared};

#[derive(Serialize)]
pub(crate) struct SetOnWire {
    id: u64,
    name: String,
    prefixes: Vec<String>,
}

impl From<DestinationSet> for SetOnWire {
    fn from(set: DestinationSet) -> SetOnWire {
        SetOnWire { id: set.id, name: set.name, prefixes: set.prefixes }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSet {
    name: String,
    prefixes: Vec<String>,
}

pub(crate) async fn list_sets(State(api): Shared) -> Result<Json<List<SetOnWire>>, Problem> {
    let sets = api.store.destination_sets().await?.into_iter();
    Ok(Json(List { items: sets.map(SetOnWire::from).collect() }))
}

pub(crate) async fn put_set(State(api): Shared, command: Command) -> Result<Response, Stop> {
    let new: NewSet = command.json()?;
    let mut turn = api.begin(&command).await?;
    let now = api.control.now();
    let set = turn.change.put_destination_set(&new.name, &new.prefixes, now).await?;
    api.finish(turn, Touched::Directory, 201, &SetOnWire::from(set)).await
}

pub(crate) async fn remove_set(
    State(api): Shared,
    Path(name): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let mut turn = api.begin(&command).await?;
    turn.change.remove_destination_set(&name).await?;
    api.finish(turn, Touched::Directory, 200, &serde_json::json!({ "removed": name })).await
}

/// A fee, in and out.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FeeOnWire {
    #[serde(default)]
    item: u16,
    label: String,
    amount: String,
    #[serde(default)]
    every: Option<String>,
    #[serde(default)]
    anchor: Option<String>,
    #[serde(default)]
    at_start: Option<String>,
    #[serde(default)]
    at_end: Option<String>,
    #[serde(default)]
    shortage: Option<String>,
}

/// Free minutes, in and out.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BundleOnWire {
    #[serde(default)]
    item: u16,
    label: String,
    destination_set: String,
    /// Left out or null is unlimited.
    #[serde(default)]
    seconds: Option<u32>,
    #[serde(default)]
    every: Option<String>,
    #[serde(default)]
    anchor: Option<String>,
    #[serde(default)]
    valid_days: Option<u16>,
    #[serde(default)]
    precedence: u16,
    #[serde(default = "one")]
    increment_s: u16,
}

fn one() -> u16 {
    1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPlan {
    name: String,
    currency: String,
    decimals: Option<u8>,
    #[serde(default)]
    fees: Vec<FeeOnWire>,
    #[serde(default)]
    bundles: Vec<BundleOnWire>,
}

#[derive(Serialize)]
pub(crate) struct PlanOnWire {
    id: u64,
    name: String,
    currency: String,
    decimals: u8,
    fees: Vec<FeeOnWire>,
    bundles: Vec<BundleOnWire>,
    closed_at: Option<String>,
    created_at: String,
}

/// `start`, `billing_day` or a day's number.
fn anchor_of(text: Option<&str>) -> Result<Anchor, Problem> {
    match text.unwrap_or("start") {
        "start" => Ok(Anchor::Start),
        "billing_day" => Ok(Anchor::BillingDay),
        day => day.parse().map(Anchor::Day).map_err(|_| {
            Problem::invalid("anchor", "write start, billing_day, or the number of a day")
        }),
    }
}

fn anchor_word(anchor: Anchor) -> String {
    match anchor {
        Anchor::Start => "start".to_owned(),
        Anchor::BillingDay => "billing_day".to_owned(),
        Anchor::Day(day) => day.to_string(),
    }
}

/// A word if there is one, read by one of the functions of `plan_words`.
fn read<T>(
    field: &str,
    text: Option<&str>,
    of: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, Problem> {
    text.map(&of).transpose().map_err(|what| Problem::invalid(field, what))
}

impl FeeOnWire {
    fn read(self, item: u16) -> Result<Fee, Problem> {
        let text = |text: &Option<String>| text.clone();
        Ok(Fee {
            item,
            amount: parsed::<Money>("amount", &self.amount)?,
            every: read("every", text(&self.every).as_deref(), every_of)?,
            anchor: anchor_of(self.anchor.as_deref())?,
            at_start: read("at_start", self.at_start.as_deref(), at_start_of)?
                .unwrap_or(AtStart::ByDay),
            at_end: read("at_end", self.at_end.as_deref(), at_end_of)?.unwrap_or(AtEnd::Keep),
            shortage: read("shortage", self.shortage.as_deref(), shortage_of)?
                .unwrap_or(Shortage::Retry),
            label: self.label,
        })
    }

    fn new(fee: &Fee) -> FeeOnWire {
        FeeOnWire {
            item: fee.item,
            label: fee.label.clone(),
            amount: fee.amount.to_string(),
            every: fee.every.map(|every| every_word(every).to_owned()),
            anchor: Some(anchor_word(fee.anchor)),
            at_start: Some(at_start_word(fee.at_start).to_owned()),
            at_end: Some(at_end_word(fee.at_end).to_owned()),
            shortage: Some(shortage_word(fee.shortage).to_owned()),
        }
    }
}

impl BundleOnWire {
    fn read(self, item: u16, destination_set: u64) -> Result<Bundle, Problem> {
        Ok(Bundle {
            item,
            destination_set,
            seconds: self.seconds,
            every: read("every", self.every.as_deref(), every_of)?,
            anchor: anchor_of(self.anchor.as_deref())?,
            validity: self.valid_days.map_or(Validity::Period, Validity::Days),
            precedence: self.precedence,
            increment_seconds: self.increment_s,
            label: self.label,
        })
    }

    fn new(bundle: &Bundle, sets: &[DestinationSet]) -> BundleOnWire {
        let set = sets.iter().find(|set| set.id == bundle.destination_set);
        BundleOnWire {
            item: bundle.item,
            label: bundle.label.clone(),
            destination_set: set.map(|set| set.name.clone()).unwrap_or_default(),
            seconds: bundle.seconds,
            every: bundle.every.map(|every| every_word(every).to_owned()),
            anchor: Some(anchor_word(bundle.anchor)),
            valid_days: match bundle.validity {
                Validity::Period => None,
                Validity::Days(days) => Some(days),
            },
            precedence: bundle.precedence,
            increment_s: bundle.increment_seconds,
        }
    }
}

impl PlanOnWire {
    fn new(sold: &SoldPlan, sets: &[DestinationSet]) -> PlanOnWire {
        PlanOnWire {
            id: sold.id,
            name: sold.name.clone(),
            currency: sold.currency.clone(),
            decimals: sold.plan.decimals,
            fees: sold.plan.fees.iter().map(FeeOnWire::new).collect(),
            bundles: sold.plan.bundles.iter().map(|b| BundleOnWire::new(b, sets)).collect(),
            closed_at: sold.closed_at.map(format_utc),
            created_at: format_utc(sold.created_at),
        }
    }
}

pub(crate) async fn list(State(api): Shared) -> Result<Json<List<PlanOnWire>>, Problem> {
    let (plans, sets) = (api.store.plans().await?, api.store.destination_sets().await?);
    Ok(Json(List { items: plans.iter().map(|plan| PlanOnWire::new(plan, &sets)).collect() }))
}

pub(crate) async fn show(
    State(api): Shared,
    Path(name): Path<String>,
) -> Result<Json<PlanOnWire>, Problem> {
    let sold = api.store.begin_read().await?.plan(&name).await?;
    Ok(Json(PlanOnWire::new(&sold, &api.store.destination_sets().await?)))
}

pub(crate) async fn add(State(api): Shared, command: Command) -> Result<Response, Stop> {
    let new: NewPlan = command.json()?;
    let currency: Currency = parsed("currency", &new.currency)?;
    let mut turn = api.begin(&command).await?;
    // Items are numbered through: fees first.
    let mut items = 1..=u16::MAX;
    let mut plan =
        Plan { decimals: new.decimals.unwrap_or(currency.decimals()), ..Plan::default() };
    for (fee, item) in new.fees.into_iter().zip(&mut items) {
        plan.fees.push(fee.read(item)?);
    }
    for (bundle, item) in new.bundles.into_iter().zip(items) {
        let name = &bundle.destination_set;
        let set = turn.change.destination_set_id("destination_set", name).await?;
        plan.bundles.push(bundle.read(item, set)?);
    }
    let sold = SoldPlan {
        id: 0,
        name: new.name,
        currency: new.currency,
        plan,
        closed_at: None,
        created_at: api.control.now(),
    };
    let sold = turn.change.add_plan(sold).await?;
    let sets = turn.change.destination_sets().await?;
    api.finish(turn, Touched::Money, 201, &PlanOnWire::new(&sold, &sets)).await
}

pub(crate) async fn close(
    State(api): Shared,
    Path(name): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let mut turn = api.begin(&command).await?;
    let sold = turn.change.close_plan(&name, api.control.now()).await?;
    let sets = turn.change.destination_sets().await?;
    api.finish(turn, Touched::Money, 200, &PlanOnWire::new(&sold, &sets)).await
}

#[derive(Serialize)]
pub(crate) struct SubscriptionOnWire {
    id: u64,
    account: String,
    plan: String,
    quantity: u32,
    note: String,
    starts_at: String,
    ends_at: Option<String>,
    next_due_at: Option<String>,
}

impl From<AccountPlan> for SubscriptionOnWire {
    fn from(had: AccountPlan) -> SubscriptionOnWire {
        SubscriptionOnWire {
            id: had.subscription.id,
            account: had.account_name,
            plan: had.plan,
            quantity: had.subscription.quantity,
            note: had.note,
            starts_at: format_utc(had.subscription.starts_at),
            ends_at: had.subscription.ends_at.map(format_utc),
            next_due_at: had.next_due_at.map(format_utc),
        }
    }
}

pub(crate) async fn list_of_account(
    State(api): Shared,
    Path(account): Path<String>,
) -> Result<Json<List<SubscriptionOnWire>>, Problem> {
    let account = api.store.account(&account).await?;
    let plans = api.store.account_plans(account.id).await?.into_iter();
    Ok(Json(List { items: plans.map(SubscriptionOnWire::from).collect() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Subscribe {
    plan: String,
    quantity: Option<u32>,
    #[serde(default)]
    note: String,
    starts_at: Option<String>,
    ends_at: Option<String>,
}

pub(crate) async fn subscribe(
    State(api): Shared,
    Path(account): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let asked: Subscribe = command.json()?;
    let now = api.control.now();
    let ends_at = asked.ends_at.as_deref();
    let new = NewSubscription {
        quantity: asked.quantity.unwrap_or(1),
        note: asked.note,
        starts_at: moment("starts_at", asked.starts_at.as_deref(), now)?,
        ends_at: ends_at.map(|text| moment("ends_at", Some(text), now)).transpose()?,
    };
    let mut turn = api.begin(&command).await?;
    let account = turn.change.account(&account).await?;
    let sold = turn.change.plan(&asked.plan).await?;
    let had = turn.change.subscribe(&account, &sold, new, now).await?;
    turn.change.add_event(account.id, AccountEventKind::PlanAdded, &had.plan, now).await?;
    let answer = api.finish(turn, Touched::Money, 201, &SubscriptionOnWire::from(had)).await?;
    api.charge_soon();
    Ok(answer)
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct End {
    at: Option<String>,
}

pub(crate) async fn end(
    State(api): Shared,
    Path(id): Path<u64>,
    command: Command,
) -> Result<Response, Stop> {
    let asked: End = if command.body.is_empty() { End::default() } else { command.json()? };
    let now = api.control.now();
    let at = moment("at", asked.at.as_deref(), now)?;
    let mut turn = api.begin(&command).await?;
    let had = turn.change.end_subscription(id, at, now).await?;
    let detail = format!("{}, at {}", had.plan, format_utc(at));
    turn.change.add_event(had.account, AccountEventKind::PlanEnded, &detail, now).await?;
    let answer = api.finish(turn, Touched::Money, 200, &SubscriptionOnWire::from(had)).await?;
    api.charge_soon();
    Ok(answer)
}

/// A day of free service (P-019).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Compensation {
    destination_set: String,
    day: Option<String>,
    #[serde(default = "goodwill")]
    label: String,
    /// Left out is unlimited.
    seconds: Option<u32>,
}

fn goodwill() -> String {
    "Free service".to_owned()
}

/// Above every plan's: a free day is used before what was paid for.
const COMPENSATION_PRECEDENCE: u16 = u16::MAX;

pub(crate) async fn compensate(
    State(api): Shared,
    Path(account): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let op = command.op_id()?;
    let asked: Compensation = command.json()?;
    let mut turn = api.begin(&command).await?;
    let account = turn.change.account(&account).await?;
    let zone = calendar_of(&account)?.zone;
    let now = api.control.now();
    let today = zone.day_of(now);
    let day = asked.day.map(|day| parsed("day", &day)).transpose()?.unwrap_or(today);
    if day < today {
        return Err(Problem::invalid("day", "it is past; write today or a later day").into());
    }
    let set = &asked.destination_set;
    let grant = GrantRow {
        op,
        account: account.id,
        subscription: None,
        label: format!("{}, {day}", asked.label),
        destination_set: turn.change.destination_set_id("destination_set", set).await?,
        seconds: asked.seconds,
        increment_seconds: 1,
        precedence: COMPENSATION_PRECEDENCE,
        valid_from: Utc(zone.begin_of(day).0.max(now.0)),
        valid_till: Some(zone.begin_of(day.plus(1))),
    };
    turn.change.add_grant(&grant).await?;
    let answer = serde_json::json!({
        "account": account.name,
        "label": grant.label,
        "valid_from": format_utc(grant.valid_from),
        "valid_till": grant.valid_till.map(format_utc),
    });
    let answer = api.finish(turn, Touched::Money, 201, &answer).await?;
    api.charge_soon();
    Ok(answer)
}
