//! What an account's calls need of their caller's number, the caller IDs stored for it,
//! who its callers are by default, and how a trunk tells and is told who calls.

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use switch::caller_id::{
    CallerIdPolicy, CliPool, DefaultCaller, DiversionHeaders, IdentityHeader, TrunkCallerId,
};
use vocabulary::{Number, TrunkId};

use crate::command::{Command, Stop, Touched};
use crate::wire::{List, nullable};
use crate::{Api, Problem, Shared};

pub(crate) fn routes() -> Router<std::sync::Arc<Api>> {
    Router::new()
        .route("/accounts/{name}/caller-id", get(show).patch(set))
        .route("/accounts/{name}/clis", get(list).post(add))
        .route("/accounts/{name}/clis/{number}", delete(remove))
        .route("/trunks/{name}/caller-id", get(show_trunk).patch(set_trunk))
}

#[derive(Serialize)]
struct PolicyOnWire {
    pool: &'static str,
    default_number: Option<String>,
    default_name: Option<String>,
}

impl From<&CallerIdPolicy> for PolicyOnWire {
    fn from(policy: &CallerIdPolicy) -> PolicyOnWire {
        let default = policy.default.as_deref();
        let number = default.and_then(|default| default.number.as_ref());
        let name = default.map(|default| &*default.name).filter(|name| !name.is_empty());
        PolicyOnWire {
            pool: policy.pool.word(),
            default_number: number.map(|number| number.as_str().into()),
            default_name: name.map(str::to_owned),
        }
    }
}

/// What is left out stays; null takes away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyChange {
    pool: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    default_number: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    default_name: Option<Option<String>>,
}

impl PolicyChange {
    fn apply(self, policy: &mut CallerIdPolicy) -> Result<(), Problem> {
        if let Some(word) = self.pool {
            policy.pool = CliPool::from_word(&word).ok_or_else(|| {
                let words = CliPool::ALL.map(CliPool::word);
                unknown("pool", &word, "CLI pool", &words)
            })?;
        }
        let mut default = policy.default.take().map_or_else(DefaultCaller::default, |it| *it);
        if let Some(text) = self.default_number {
            default.number = text.map(|text| e164("default_number", &text)).transpose()?;
        }
        if let Some(name) = self.default_name {
            default.name = name.map(display_name).transpose()?.unwrap_or_default();
        }
        policy.default = default.boxed();
        Ok(())
    }
}

fn unknown(field: &'static str, word: &str, kind: &str, known: &[&str]) -> Problem {
    let known = known.join(", ");
    Problem::invalid(field, format!("{word:?} is not a {kind}; choose one of {known}"))
}

/// A number in E.164, with or without its plus.
fn e164(field: &'static str, text: &str) -> Result<Number, Problem> {
    match text.parse::<Number>() {
        Ok(number) if number.as_bytes().iter().all(u8::is_ascii_digit) => Ok(number),
        Ok(_) => Err(Problem::invalid(field, format!("{text:?} holds more than digits"))),
        Err(error) => Err(Problem::invalid(field, format!("{text:?}: {error}"))),
    }
}

fn display_name(name: String) -> Result<Box<str>, Problem> {
    let max = DefaultCaller::NAME_MAX;
    if name.is_empty() || name.len() > max || name.chars().any(char::is_control) {
        let what = format!("write up to {max} printable bytes, or null for none");
        return Err(Problem::invalid("default_name", what));
    }
    Ok(name.into())
}

async fn show(
    State(api): Shared,
    Path(account): Path<String>,
) -> Result<Json<PolicyOnWire>, Problem> {
    let account = api.store.account(&account).await?;
    let policy = api.store.caller_id_policy(account.id).await?;
    Ok(Json(PolicyOnWire::from(&policy)))
}

async fn set(
    State(api): Shared,
    Path(account): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let wanted: PolicyChange = command.json()?;
    let mut turn = api.begin(&command).await?;
    let account = turn.change.account(&account).await?;
    let mut policy = turn.change.caller_id_policy(account.id).await?;
    wanted.apply(&mut policy)?;
    let default = policy.default.as_deref().cloned().unwrap_or_default();
    turn.change.set_caller_id_policy(account.id, policy.pool, &default).await?;
    api.finish(turn, Touched::Directory, 200, &PolicyOnWire::from(&policy)).await
}

#[derive(Serialize)]
struct CliOnWire {
    number: String,
}

async fn list(
    State(api): Shared,
    Path(account): Path<String>,
) -> Result<Json<List<CliOnWire>>, Problem> {
    let account = api.store.account(&account).await?;
    let policy = api.store.caller_id_policy(account.id).await?;
    let on_wire = |number: &Number| CliOnWire { number: number.as_str().into() };
    Ok(Json(List { items: policy.stored.iter().map(on_wire).collect() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewClis {
    numbers: Vec<String>,
}

async fn add(
    State(api): Shared,
    Path(account): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let new: NewClis = command.json()?;
    let numbers =
        new.numbers.iter().map(|text| e164("numbers", text)).collect::<Result<Vec<_>, _>>()?;
    let mut turn = api.begin(&command).await?;
    let account = turn.change.account(&account).await?;
    turn.change.add_clis(account.id, &numbers, api.control.now()).await?;
    let items = numbers.iter().map(|number| CliOnWire { number: number.as_str().into() });
    let added = List { items: items.collect() };
    api.finish(turn, Touched::Directory, 201, &added).await
}

async fn remove(
    State(api): Shared,
    Path((account, number)): Path<(String, String)>,
    command: Command,
) -> Result<Response, Stop> {
    let number = e164("number", &number)?;
    let mut turn = api.begin(&command).await?;
    let account = turn.change.account(&account).await?;
    turn.change.remove_cli(account.id, &number).await?;
    let removed = serde_json::json!({ "removed": number.as_str() });
    api.finish(turn, Touched::Directory, 200, &removed).await
}

#[derive(Serialize)]
struct TrunkOnWire {
    identity: &'static str,
    diversions: &'static str,
    sends_names: bool,
    names_subscribers: bool,
}

impl From<TrunkCallerId> for TrunkOnWire {
    fn from(trunk: TrunkCallerId) -> TrunkOnWire {
        let TrunkCallerId { identity, diversions, sends_names, names_subscribers } = trunk;
        let (identity, diversions) = (identity.word(), diversions.word());
        TrunkOnWire { identity, diversions, sends_names, names_subscribers }
    }
}

/// What is left out stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrunkChange {
    identity: Option<String>,
    diversions: Option<String>,
    sends_names: Option<bool>,
    names_subscribers: Option<bool>,
}

impl TrunkChange {
    fn of(self, before: TrunkCallerId) -> Result<TrunkCallerId, Problem> {
        let identity = |word: String| {
            let words = IdentityHeader::ALL.map(IdentityHeader::word);
            let missing = || unknown("identity", &word, "header for who calls", &words);
            IdentityHeader::from_word(&word).ok_or_else(missing)
        };
        let diversions = |word: String| {
            let words = DiversionHeaders::ALL.map(DiversionHeaders::word);
            let missing = || unknown("diversions", &word, "choice of headers", &words);
            DiversionHeaders::from_word(&word).ok_or_else(missing)
        };
        Ok(TrunkCallerId {
            identity: self.identity.map_or(Ok(before.identity), identity)?,
            diversions: self.diversions.map_or(Ok(before.diversions), diversions)?,
            sends_names: self.sends_names.unwrap_or(before.sends_names),
            names_subscribers: self.names_subscribers.unwrap_or(before.names_subscribers),
        })
    }
}

async fn show_trunk(
    State(api): Shared,
    Path(name): Path<String>,
) -> Result<Json<TrunkOnWire>, Problem> {
    let directory = api.snapshot().await.directory;
    let by_id = || directory.trunk(TrunkId(name.parse().ok()?));
    let trunk = directory.trunk_by_name(&name).or_else(by_id);
    let missing = || Problem::new(404, "not_found", format!("there is no trunk {name:?}"));
    Ok(Json(trunk.ok_or_else(missing)?.caller_id.into()))
}

async fn set_trunk(
    State(api): Shared,
    Path(trunk): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let change: TrunkChange = command.json()?;
    let mut turn = api.begin(&command).await?;
    let trunk = turn.change.trunk(&trunk).await?;
    let wanted = change.of(turn.change.trunk_caller_id(trunk.id).await?)?;
    turn.change.set_trunk_caller_id(trunk.id, wanted).await?;
    api.finish(turn, Touched::Directory, 200, &TrunkOnWire::from(wanted)).await
}
