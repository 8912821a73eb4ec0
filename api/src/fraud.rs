//! Fraud rules, what they have brought upon accounts, and the countries that accounts call (S4). What
//! rules find is stored here, so that it outlives a restart and other nodes know it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use store::directory::{AccountEventKind, ChangeError, StoredFraudRule, StoredHold};
use store::moment::format_utc;
use switch::directory::{Directory, Limits};
use switch::fraud::{
    Country, FraudAction, FraudCheck, FraudKind, FraudNote, FraudRule, FraudRuleId, Hold,
};
use switch::numbers::NumberClass;
use switch::routing::WindowId;
use tokio::sync::mpsc::Receiver;
use vocabulary::AccountId;

use crate::accounts::parsed;
use crate::command::{Command, Stop, Touched, Turn};
use crate::numbers::word;
use crate::wire::List;
use crate::{Api, Problem, Shared};

/// Notes that are stored with one commit.
const BATCH: usize = 256;
/// What could not be stored is tried again after so long.
const RETRY: Duration = Duration::from_secs(1);
const ACTIONS: &str = "alarm, block, reduce";

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/fraud-rules", get(rules).post(add))
        .route("/fraud-rules/{id}", delete(remove))
        .route("/fraud-holds", get(holds))
        .route("/fraud-holds/{account}", delete(lift))
        .route("/accounts/{name}/countries", get(countries).put(set_countries))
}

#[derive(Default, Serialize)]
struct RuleOnWire {
    id: u64,
    /// Null: everybody whose account has none of the kind.
    account: Option<String>,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    most: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    below_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    among: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<String>,
    action: &'static str,
    /// Null: until it is lifted.
    lasting_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    calls_max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cps_max: Option<u32>,
}

fn name_of(directory: &Directory, account: AccountId) -> String {
    directory.account(account).map_or_else(|| account.to_string(), |row| row.name.clone())
}

impl RuleOnWire {
    fn new(stored: &StoredFraudRule, directory: &Directory) -> RuleOnWire {
        let FraudRule { id, check, action } = stored.rule;
        let mut wire = RuleOnWire {
            id: id.0,
            account: stored.account.map(|account| name_of(directory, account)),
            kind: check.kind().word(),
            action: action.word(),
            ..RuleOnWire::default()
        };
        match check {
            FraudCheck::CallsPerCli(most)
            | FraudCheck::CountriesAtOnce(most)
            | FraudCheck::CountriesPerHour(most)
            | FraudCheck::PremiumMinutes(most) => wire.most = Some(most),
            FraudCheck::ShortCalls { below, percent, among } => {
                wire.most = Some(percent);
                wire.below_s = Some(below.as_secs());
                wire.among = Some(among);
            }
            FraudCheck::Hours { window, class, country } => {
                let window = directory.time_window(window);
                wire.window = window.map(|window| window.name.to_string());
                wire.class = class.map(NumberClass::word);
                wire.country = country.map(|country| country.to_string());
            }
            FraudCheck::NewCountry => {}
        }
        let (limits, lasting) = match action {
            FraudAction::Alarm => (Limits::default(), None),
            FraudAction::Block(lasting) => (Limits::default(), lasting),
            FraudAction::Reduce(limits, lasting) => (limits, lasting),
        };
        wire.lasting_s = lasting.map(|lasting| lasting.as_secs());
        (wire.calls_max, wire.cps_max) = (limits.concurrent, limits.per_second);
        wire
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    account: Option<String>,
}

async fn rules(
    State(api): Shared,
    Query(which): Query<Which>,
) -> Result<Json<List<RuleOnWire>>, Problem> {
    let account = match &which.account {
        Some(name) => Some(api.store.account(name).await?.id),
        None => None,
    };
    let rules = api.store.fraud_rules(account).await?;
    let snapshot = api.snapshot().await;
    let items = rules.iter().map(|rule| RuleOnWire::new(rule, &snapshot.directory));
    Ok(Json(List { items: items.collect() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRule {
    account: Option<String>,
    kind: String,
    most: Option<u32>,
    below_s: Option<u32>,
    among: Option<u32>,
    window: Option<String>,
    class: Option<String>,
    country: Option<String>,
    action: String,
    lasting_s: Option<u32>,
    calls_max: Option<u32>,
    cps_max: Option<u32>,
}

/// A field that this kind or action cannot do without.
fn needed<T>(field: &'static str, value: Option<T>, by: &str) -> Result<T, Problem> {
    value.ok_or_else(|| Problem::invalid(field, format!("{by} needs it")))
}

impl NewRule {
    /// Fields that mean nothing to the kind or action that was asked for.
    fn superfluous(&self, kind: FraudKind) -> Option<&'static str> {
        let is_storm = kind == FraudKind::ShortCalls;
        let is_hours = kind == FraudKind::Hours;
        let has_most = !is_hours && kind != FraudKind::NewCountry;
        let is_reduced = self.action == "reduce";
        let fields = [
            ("most", self.most.is_some() && !has_most),
            ("below_s", self.below_s.is_some() && !is_storm),
            ("among", self.among.is_some() && !is_storm),
            ("window", self.window.is_some() && !is_hours),
            ("class", self.class.is_some() && !is_hours),
            ("country", self.country.is_some() && !is_hours),
            ("lasting_s", self.lasting_s.is_some() && self.action == "alarm"),
            ("calls_max", self.calls_max.is_some() && !is_reduced),
            ("cps_max", self.cps_max.is_some() && !is_reduced),
        ];
        fields.into_iter().find_map(|(field, is_wrong)| is_wrong.then_some(field))
    }

    fn check(&self, kind: FraudKind, window: Option<WindowId>) -> Result<FraudCheck, Problem> {
        let most = || needed("most", self.most, kind.word());
        Ok(match kind {
            FraudKind::CallsPerCli => FraudCheck::CallsPerCli(most()?),
            FraudKind::CountriesAtOnce => FraudCheck::CountriesAtOnce(most()?),
            FraudKind::CountriesPerHour => FraudCheck::CountriesPerHour(most()?),
            FraudKind::NewCountry => FraudCheck::NewCountry,
            FraudKind::PremiumMinutes => FraudCheck::PremiumMinutes(most()?),
            FraudKind::ShortCalls => FraudCheck::ShortCalls {
                below: Duration::from_secs(needed("below_s", self.below_s, kind.word())?.into()),
                percent: most()?,
                among: needed("among", self.among, kind.word())?,
            },
            FraudKind::Hours => {
                let classes = NumberClass::ALL.map(NumberClass::word).join(", ");
                let class = self.class.as_deref();
                let class = class.map(|text| word("class", text, NumberClass::from_word, &classes));
                let country = self.country.as_deref();
                let country = country.map(|text| parsed::<Country>("country", text));
                FraudCheck::Hours {
                    window: needed("window", window, kind.word())?,
                    class: class.transpose()?,
                    country: country.transpose()?,
                }
            }
        })
    }

    fn action(&self) -> Result<FraudAction, Problem> {
        let lasting = self.lasting_s.map(|seconds| Duration::from_secs(seconds.into()));
        let limits = Limits { concurrent: self.calls_max, per_second: self.cps_max };
        let read = |text: &str| match text {
            "alarm" => Some(FraudAction::Alarm),
            "block" => Some(FraudAction::Block(lasting)),
            "reduce" => Some(FraudAction::Reduce(limits, lasting)),
            _ => None,
        };
        word("action", &self.action, read, ACTIONS)
    }
}

async fn add(State(api): Shared, command: Command) -> Result<Response, Stop> {
    let asked: NewRule = command.json()?;
    let kinds = FraudKind::ALL.map(FraudKind::word).join(", ");
    let kind = word("kind", &asked.kind, FraudKind::from_word, &kinds)?;
    let action = asked.action()?;
    if let Some(field) = asked.superfluous(kind) {
        let what = format!("means nothing to {} with {}; leave it out", kind.word(), asked.action);
        return Err(Problem::invalid(field, what).into());
    }
    // What the call records have to show for new countries.
    api.control.catch_up().await;
    let mut turn = api.begin(&command).await?;
    let window = match &asked.window {
        Some(name) => Some(turn.change.time_window(name).await?.id),
        None => None,
    };
    let account = match &asked.account {
        Some(name) => Some(turn.change.account(name).await?.id),
        None => None,
    };
    let rule = FraudRule { id: FraudRuleId(0), check: asked.check(kind, window)?, action };
    let stored = turn.change.add_fraud_rule(account, rule, api.control.now()).await?;
    let wire = RuleOnWire::new(&stored, &turn.snapshot.directory);
    api.finish(turn, Touched::Directory, 201, &wire).await
}

async fn remove(
    State(api): Shared,
    Path(id): Path<u64>,
    command: Command,
) -> Result<Response, Stop> {
    let mut turn = api.begin(&command).await?;
    let removed = turn.change.remove_fraud_rule(FraudRuleId(id)).await?;
    let wire = RuleOnWire::new(&removed, &turn.snapshot.directory);
    api.finish(turn, Touched::Directory, 200, &wire).await
}

#[derive(Serialize)]
struct HoldOnWire {
    account: String,
    kind: &'static str,
    what: String,
    /// Null: it places no calls.
    reduced_to: Option<BTreeMap<&'static str, u32>>,
    since: String,
    /// Null: until it is lifted.
    until: Option<String>,
}

impl HoldOnWire {
    fn new(stored: StoredHold, directory: &Directory) -> HoldOnWire {
        let limits = |limits: Limits| {
            let limits = [("calls_max", limits.concurrent), ("cps_max", limits.per_second)];
            limits.into_iter().filter_map(|(name, limit)| Some((name, limit?))).collect()
        };
        HoldOnWire {
            account: name_of(directory, stored.account),
            kind: stored.hold.kind.word(),
            what: stored.what,
            reduced_to: stored.hold.reduced_to.map(limits),
            since: format_utc(stored.hold.since),
            until: stored.hold.until.map(format_utc),
        }
    }
}

async fn holds(State(api): Shared) -> Result<Json<List<HoldOnWire>>, Problem> {
    let holds = api.store.fraud_holds(api.control.now()).await?;
    let snapshot = api.snapshot().await;
    let is_stored = |account| holds.iter().any(|stored| stored.account == account);
    let mut unstored = api.control.unstored_fraud_holds();
    unstored.retain(|(account, _)| !is_stored(*account));
    let holds = unstored.into_iter().map(of_this_node).chain(holds.iter().cloned());
    let items = holds.map(|hold| HoldOnWire::new(hold, &snapshot.directory));
    Ok(Json(List { items: items.collect() }))
}

/// A hold that was not stored, or not yet.
fn of_this_node((account, hold): (AccountId, Hold)) -> StoredHold {
    StoredHold { account, hold, what: "not stored, of this node alone".into() }
}

async fn lift(
    State(api): Shared,
    Path(account): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let mut turn = api.begin(&command).await?;
    let account = turn.change.account(&account).await?.id;
    let (lifted, touched) = match turn.change.lift_fraud_hold(account, api.control.now()).await {
        Ok(lifted) => (lifted, Touched::Directory),
        Err(missing @ ChangeError::NotFound { .. }) => {
            let unstored = api.control.unstored_fraud_holds().into_iter();
            let held = unstored.map(of_this_node).find(|held| held.account == account);
            let held = held.ok_or(missing)?;
            let (kind, detail) = (AccountEventKind::FraudLifted, held.hold.kind.word());
            turn.change.add_event(account, kind, detail, api.control.now()).await?;
            // Its event is all that the store has of it.
            (held, Touched::Layouts)
        }
        Err(error) => return Err(error.into()),
    };
    let wire = HoldOnWire::new(lifted, &turn.snapshot.directory);
    let response = api.finish(turn, touched, 200, &wire).await?;
    // What has come since it was stored goes too.
    api.control.lift_fraud(account);
    Ok(response)
}

#[derive(Serialize)]
struct CountryOnWire {
    country: String,
    since: String,
}

async fn countries(
    State(api): Shared,
    Path(name): Path<String>,
) -> Result<Json<List<CountryOnWire>>, Problem> {
    let account = api.store.account(&name).await?.id;
    let called = api.store.fraud_countries(account).await?.into_iter();
    let items = called.map(|(country, since)| CountryOnWire {
        country: country.to_string(),
        since: format_utc(since),
    });
    Ok(Json(List { items: items.collect() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Countries {
    countries: Vec<String>,
}

async fn set_countries(
    State(api): Shared,
    Path(name): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let Countries { countries } = command.json()?;
    let read = countries.iter().map(|text| parsed::<Country>("countries", text));
    let mut countries = read.collect::<Result<Vec<_>, _>>()?;
    countries.sort_unstable();
    countries.dedup();
    let mut turn: Turn = api.begin(&command).await?;
    let account = turn.change.account(&name).await?.id;
    turn.change.set_fraud_countries(account, &countries, api.control.now()).await?;
    let countries: Vec<String> = countries.iter().map(ToString::to_string).collect();
    let set = serde_json::json!({ "account": name, "countries": countries });
    api.finish(turn, Touched::Directory, 200, &set).await
}

impl Api {
    /// Stores what fraud rules say, until the switch has ended. What cannot be stored is tried again: a
    /// block is found once and not again, as the calls after it are refused.
    pub async fn keep_fraud(self: Arc<Self>, mut notes: Receiver<FraudNote>) {
        let mut batch = Vec::with_capacity(BATCH);
        while notes.recv_many(&mut batch, BATCH).await > 0 {
            for note in &batch {
                log(note);
            }
            while let Err(error) = self.store_fraud(&batch).await {
                // It holds all the same, here and until the next start.
                tracing::error!(%error, count = batch.len(), "what fraud rules say is not stored");
                if notes.is_closed() {
                    break;
                }
                tokio::time::sleep(RETRY).await;
            }
            batch.clear();
        }
    }

    async fn store_fraud(&self, notes: &[FraudNote]) -> Result<(), ChangeError> {
        let mut snapshot = self.queue().await;
        let mut change = self.store.begin().await?;
        self.follow_in(&mut change, &mut snapshot).await?;
        // Of an account that is gone nothing can be stored, and the others are not to wait for that.
        let is_there = |note: &&FraudNote| snapshot.directory.account(note.account()).is_some();
        for note in notes.iter().filter(is_there) {
            change.keep_fraud(note).await?;
        }
        // An alarm alone changes nothing that calls know.
        if !change.has_touched_any() {
            return change.commit().await;
        }
        self.take_effect(change, &mut snapshot).await
    }
}

fn log(note: &FraudNote) {
    match note {
        FraudNote::Tripped(trip) => {
            let (rule, action) = (trip.rule.check.kind().word(), trip.rule.action.word());
            tracing::warn!(account = %trip.account, rule, action, what = &*trip.what, "fraud rule");
        }
        FraudNote::Learned { account, country, .. } => {
            tracing::info!(%account, %country, "country called for the first time");
        }
    }
}
