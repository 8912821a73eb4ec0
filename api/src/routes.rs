//! Routes: which trunks a prefix may go to, and what holds for all routes of a prefix.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{delete, get, patch};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use store::directory::{Change, Route};
use switch::directory::Limits;
use switch::routing::{PrefixId, RoutePolicy, RoutePrefix};

use crate::accounts::known_fields;
use crate::command::{Command, Stop, Touched};
use crate::numbers::word;
use crate::wire::{List, nullable};
use crate::{Api, Problem, Shared};

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/routes", get(list).post(add))
        .route("/routes/{id}", patch(set).delete(remove))
        .route("/route-prefixes", get(list_prefixes).patch(set_prefix))
        .route("/route-prefixes/{id}", delete(remove_prefix))
}

#[derive(Serialize)]
struct RouteOnWire {
    id: u64,
    prefix: String,
    trunk: String,
    priority: u16,
    weight: u16,
    window: Option<String>,
    calls_max: Option<u32>,
    cps_max: Option<u32>,
}

impl From<Route> for RouteOnWire {
    fn from(route: Route) -> RouteOnWire {
        RouteOnWire {
            id: route.id,
            prefix: route.prefix,
            trunk: route.trunk_name,
            priority: route.priority,
            weight: route.weight,
            window: route.window_name,
            calls_max: route.calls_max,
            cps_max: route.cps_max,
        }
    }
}

const FIELDS: [&str; 5] = ["priority", "weight", "window", "calls_max", "cps_max"];

/// What is left out stays; null takes away.
#[derive(Deserialize)]
struct RouteChange {
    priority: Option<u16>,
    weight: Option<u16>,
    #[serde(default, deserialize_with = "nullable")]
    window: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    calls_max: Option<Option<u32>>,
    #[serde(default, deserialize_with = "nullable")]
    cps_max: Option<Option<u32>>,
}

impl RouteChange {
    async fn apply(self, change: &mut Change, route: &mut Route) -> Result<(), Stop> {
        route.priority = self.priority.unwrap_or(route.priority);
        route.weight = self.weight.unwrap_or(route.weight);
        route.calls_max = self.calls_max.unwrap_or(route.calls_max);
        route.cps_max = self.cps_max.unwrap_or(route.cps_max);
        match self.window {
            None => {}
            Some(None) => (route.window, route.window_name) = (None, None),
            Some(Some(name)) => {
                let window = change.time_window(&name).await?;
                (route.window, route.window_name) = (Some(window.id), Some(window.name));
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct NewRoute {
    prefix: String,
    trunk: String,
}

async fn list(State(api): Shared) -> Result<Json<List<RouteOnWire>>, Problem> {
    let routes = api.store.routes().await?;
    Ok(Json(List { items: routes.into_iter().map(RouteOnWire::from).collect() }))
}

async fn add(State(api): Shared, command: Command) -> Result<Response, Stop> {
    known_fields(&command.body, &[&["prefix", "trunk"], &FIELDS])?;
    let (new, terms): (NewRoute, RouteChange) = (command.json()?, command.json()?);
    let mut turn = api.begin(&command).await?;
    let trunk = turn.change.trunk(&new.trunk).await?;
    let mut route = Route::new(new.prefix.trim_start_matches('+'), trunk.id, 1);
    terms.apply(&mut turn.change, &mut route).await?;
    let route = turn.change.add_route(route).await?;
    api.finish(turn, Touched::Directory, 201, &RouteOnWire::from(route)).await
}

async fn set(State(api): Shared, Path(id): Path<u64>, command: Command) -> Result<Response, Stop> {
    known_fields(&command.body, &[&FIELDS])?;
    let terms: RouteChange = command.json()?;
    let mut turn = api.begin(&command).await?;
    let mut route = turn.change.route(id).await?;
    terms.apply(&mut turn.change, &mut route).await?;
    turn.change.set_route(&route).await?;
    api.finish(turn, Touched::Directory, 200, &RouteOnWire::from(route)).await
}

async fn remove(
    State(api): Shared,
    Path(id): Path<u64>,
    command: Command,
) -> Result<Response, Stop> {
    let mut turn = api.begin(&command).await?;
    turn.change.remove_route(id).await?;
    api.finish(turn, Touched::Directory, 200, &serde_json::json!({ "removed": id })).await
}

#[derive(Serialize)]
struct PrefixOnWire {
    id: u64,
    prefix: String,
    policy: &'static str,
    calls_max: Option<u32>,
    cps_max: Option<u32>,
}

impl From<RoutePrefix> for PrefixOnWire {
    fn from(row: RoutePrefix) -> PrefixOnWire {
        PrefixOnWire {
            id: row.id.0,
            prefix: row.prefix.into(),
            policy: row.policy.word(),
            calls_max: row.limits.concurrent,
            cps_max: row.limits.per_second,
        }
    }
}

/// What is left out stays; null takes away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PrefixChange {
    prefix: String,
    policy: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    calls_max: Option<Option<u32>>,
    #[serde(default, deserialize_with = "nullable")]
    cps_max: Option<Option<u32>>,
}

async fn list_prefixes(State(api): Shared) -> Result<Json<List<PrefixOnWire>>, Problem> {
    let prefixes = api.store.route_prefixes().await?;
    Ok(Json(List { items: prefixes.into_iter().map(PrefixOnWire::from).collect() }))
}

async fn set_prefix(State(api): Shared, command: Command) -> Result<Response, Stop> {
    let change: PrefixChange = command.json()?;
    let words = RoutePolicy::ALL.map(RoutePolicy::word).join(", ");
    let policy = change.policy.as_deref();
    let policy = policy.map(|text| word("policy", text, RoutePolicy::from_word, &words));
    let policy = policy.transpose()?;
    let mut turn = api.begin(&command).await?;
    let prefix = change.prefix.trim_start_matches('+');
    let before = turn.change.route_prefix(prefix).await?;
    let before = before.unwrap_or_else(|| RoutePrefix {
        id: PrefixId(0),
        prefix: prefix.into(),
        policy: RoutePolicy::default(),
        limits: Limits::default(),
    });
    let limits = Limits {
        concurrent: change.calls_max.unwrap_or(before.limits.concurrent),
        per_second: change.cps_max.unwrap_or(before.limits.per_second),
    };
    let wanted = RoutePrefix { policy: policy.unwrap_or(before.policy), limits, ..before };
    let set = turn.change.set_route_prefix(wanted).await?;
    api.finish(turn, Touched::Directory, 200, &PrefixOnWire::from(set)).await
}

async fn remove_prefix(
    State(api): Shared,
    Path(id): Path<u64>,
    command: Command,
) -> Result<Response, Stop> {
    let mut turn = api.begin(&command).await?;
    turn.change.remove_route_prefix(PrefixId(id)).await?;
    api.finish(turn, Touched::Directory, 200, &serde_json::json!({ "removed": id })).await
}
