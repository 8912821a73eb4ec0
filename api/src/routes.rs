//! Routes: which trunks a prefix may go to.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use store::directory::Route;

use crate::command::{Command, Stop, Touched};
use crate::wire::{self, List};
use crate::{Problem, Shared};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRoute {
    prefix: String,
    trunk: String,
    #[serde(default = "first")]
    priority: u16,
}

fn first() -> u16 {
    1
}

pub(crate) async fn list(State(api): Shared) -> Result<Json<List<wire::Route>>, Problem> {
    let routes = api.store.routes().await?;
    Ok(Json(List { items: routes.into_iter().map(wire::Route::from).collect() }))
}

pub(crate) async fn add(State(api): Shared, command: Command) -> Result<Response, Stop> {
    let new: NewRoute = command.json()?;
    let mut turn = api.begin(&command).await?;
    let trunk = turn.change.trunk(&new.trunk).await?;
    let prefix = new.prefix.trim_start_matches('+').to_owned();
    let (trunk, trunk_name) = (trunk.id, trunk.name);
    let route = Route { id: 0, prefix, trunk, trunk_name, priority: new.priority };
    let route = turn.change.add_route(route).await?;
    api.finish(turn, Touched::Directory, 201, &wire::Route::from(route)).await
}

pub(crate) async fn remove(
    State(api): Shared,
    Path(id): Path<u64>,
    command: Command,
) -> Result<Response, Stop> {
    let mut turn = api.begin(&command).await?;
    turn.change.remove_route(id).await?;
    api.finish(turn, Touched::Directory, 200, &serde_json::json!({ "removed": id })).await
}
