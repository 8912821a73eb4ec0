//! DIDs: numbers of ours, whose they are, where their calls go and what they cost.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use store::directory::{Did, Target};
use store::moment::format_utc;

use crate::accounts::parsed;
use crate::command::{Command, Stop, Touched};
use crate::wire::{List, nullable};
use crate::{Api, Problem, Shared, did_sheet};

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/dids", get(list).post(add))
        .route("/dids/export", get(did_sheet::export))
        .route("/dids/{number}", get(show).patch(set).delete(remove))
}

#[derive(Serialize)]
pub(crate) struct OnWire {
    id: u64,
    number: String,
    account: String,
    enabled: bool,
    target: &'static str,
    subscribers: Vec<String>,
    trunk: Option<String>,
    ring_s: u32,
    calls_max: Option<u32>,
    cps_max: Option<u32>,
    price: String,
    connect_fee: String,
    first_increment: u32,
    next_increment: u32,
    note: String,
    created_at: String,
}

impl From<Did> for OnWire {
    fn from(did: Did) -> OnWire {
        OnWire {
            id: did.id.0,
            number: did.number.as_str().to_owned(),
            account: did.account,
            enabled: did.enabled,
            target: did.target.as_str(),
            subscribers: did.members,
            trunk: did.trunk,
            ring_s: did.ring_s,
            calls_max: did.calls_max,
            cps_max: did.cps_max,
            price: did.price.to_string(),
            connect_fee: did.connect_fee.to_string(),
            first_increment: did.first_increment,
            next_increment: did.next_increment,
            note: did.note,
            created_at: format_utc(did.created_at),
        }
    }
}

/// What is left out stays; null is no limit.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DidChange {
    /// Only of a new one: it stays.
    pub(crate) number: Option<String>,
    pub(crate) account: Option<String>,
    pub(crate) enabled: Option<bool>,
    pub(crate) target: Option<String>,
    pub(crate) subscribers: Option<Vec<String>>,
    pub(crate) trunk: Option<String>,
    pub(crate) ring_s: Option<u32>,
    #[serde(default, deserialize_with = "nullable")]
    pub(crate) calls_max: Option<Option<u32>>,
    #[serde(default, deserialize_with = "nullable")]
    pub(crate) cps_max: Option<Option<u32>>,
    pub(crate) price: Option<String>,
    pub(crate) connect_fee: Option<String>,
    pub(crate) first_increment: Option<u32>,
    pub(crate) next_increment: Option<u32>,
    pub(crate) note: Option<String>,
}

fn put<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

impl DidChange {
    pub(crate) fn apply(self, did: &mut Did) -> Result<(), Problem> {
        self.lead(did)?;
        put(&mut did.account, self.account);
        put(&mut did.enabled, self.enabled);
        put(&mut did.ring_s, self.ring_s);
        put(&mut did.calls_max, self.calls_max);
        put(&mut did.cps_max, self.cps_max);
        for (field, price, text) in [
            ("price", &mut did.price, &self.price),
            ("connect_fee", &mut did.connect_fee, &self.connect_fee),
        ] {
            put(price, text.as_ref().map(|text| parsed(field, text)).transpose()?);
        }
        put(&mut did.first_increment, self.first_increment);
        put(&mut did.next_increment, self.next_increment);
        put(&mut did.note, self.note);
        Ok(())
    }

    /// Where it leads: a trunk that is named means a trunk, one subscriber means that one, and several
    /// have to be told apart.
    fn lead(&self, did: &mut Did) -> Result<(), Problem> {
        let target = match (&self.target, &self.trunk, self.subscribers.as_ref().map(Vec::len)) {
            (Some(word), ..) => Some(parsed("target", word)?),
            (None, Some(_), _) => Some(Target::Trunk),
            (None, None, Some(1)) => Some(Target::Subscriber),
            (None, None, Some(_)) => {
                let what = "write \"at_once\" or \"in_order\" for several subscribers";
                let is_group = matches!(did.target, Target::AtOnce | Target::InOrder);
                is_group.then_some(None).ok_or_else(|| Problem::invalid("target", what))?
            }
            (None, None, None) => None,
        };
        put(&mut did.target, target);
        match did.target {
            Target::Trunk => {
                did.members.clear();
                if let Some(trunk) = &self.trunk {
                    did.trunk = Some(trunk.clone());
                }
            }
            _ => did.trunk = self.trunk.clone(),
        }
        put(&mut did.members, self.subscribers.clone());
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whose {
    account: Option<String>,
}

async fn list(
    State(api): Shared,
    Query(whose): Query<Whose>,
) -> Result<Json<List<OnWire>>, Problem> {
    let account = match whose.account {
        Some(name) => Some(api.store.account(&name).await?.id),
        None => None,
    };
    let dids = api.store.dids(account).await?;
    Ok(Json(List { items: dids.into_iter().map(OnWire::from).collect() }))
}

async fn show(State(api): Shared, Path(number): Path<String>) -> Result<Json<OnWire>, Problem> {
    let mut read = api.store.begin_read().await?;
    Ok(Json(OnWire::from(read.did(&number).await?)))
}

async fn add(State(api): Shared, command: Command) -> Result<Response, Stop> {
    let mut new: DidChange = command.json()?;
    let number = new.number.take().ok_or_else(|| {
        Problem::invalid("number", "write it in international form, such as 4930123456")
    })?;
    let account = new
        .account
        .take()
        .ok_or_else(|| Problem::invalid("account", "name the account that has the DID"))?;
    let mut turn = api.begin(&command).await?;
    let account = turn.change.account(&account).await?;
    let number = parsed("number", number.trim_start_matches('+'))?;
    let mut did = Did::new(number, &account.name, api.control.now());
    new.apply(&mut did)?;
    let did = turn.change.add_did(did).await?;
    api.finish(turn, Touched::Directory, 201, &OnWire::from(did)).await
}

async fn set(
    State(api): Shared,
    Path(number): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let change: DidChange = command.json()?;
    if change.number.is_some() {
        let what = "a DID keeps its number; remove it and add another";
        return Err(Problem::invalid("number", what).into());
    }
    let mut turn = api.begin(&command).await?;
    let mut did = turn.change.did(&number).await?;
    change.apply(&mut did)?;
    turn.change.set_did(&did).await?;
    api.finish(turn, Touched::Directory, 200, &OnWire::from(did)).await
}

async fn remove(
    State(api): Shared,
    Path(number): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let mut turn = api.begin(&command).await?;
    let gone = turn.change.remove_did(&number).await?;
    let removed = serde_json::json!({ "removed": gone.number.as_str() });
    api.finish(turn, Touched::Directory, 200, &removed).await
}
