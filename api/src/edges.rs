//! The limits of phones (S2), and whose calls trunks send us (P-607).

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use switch::directory::TrunkRole;

use crate::command::{Command, Stop, Touched};
use crate::wire::{Limits, LimitsChange};
use crate::{Api, Problem, Shared};

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/subscribers/{username}/limits", get(show_limits).patch(set_limits))
        .route("/trunks/{name}/role", get(show_role).put(set_role))
}

async fn show_limits(
    State(api): Shared,
    Path(username): Path<String>,
) -> Result<Json<Limits>, Problem> {
    Ok(Json(Limits::from(api.store.subscriber_limits(&username).await?)))
}

/// What is left out stays; null is no limit.
async fn set_limits(
    State(api): Shared,
    Path(username): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    const FIELDS: [&str; 4] = ["calls_in_max", "calls_out_max", "cps_in_max", "cps_out_max"];
    crate::accounts::known_fields(&command.body, &[&FIELDS])?;
    let change: LimitsChange = command.json()?;
    let mut turn = api.begin(&command).await?;
    let mut limits = turn.change.subscriber_limits(&username).await?;
    change.apply(&mut limits);
    turn.change.set_subscriber_limits(&username, limits).await?;
    api.finish(turn, Touched::Directory, 200, &Limits::from(limits)).await
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RoleOnWire {
    role: String,
}

impl From<TrunkRole> for RoleOnWire {
    fn from(role: TrunkRole) -> RoleOnWire {
        RoleOnWire { role: role.word().to_owned() }
    }
}

async fn show_role(
    State(api): Shared,
    Path(name): Path<String>,
) -> Result<Json<RoleOnWire>, Problem> {
    let mut read = api.store.begin_read().await?;
    let trunk = read.trunk(&name).await?.id;
    Ok(Json(RoleOnWire::from(read.trunk_role(trunk).await?)))
}

async fn set_role(
    State(api): Shared,
    Path(name): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let wanted: RoleOnWire = command.json()?;
    let role = TrunkRole::from_word(&wanted.role).ok_or_else(|| {
        let words = TrunkRole::ALL.map(TrunkRole::word).join(", ");
        Problem::invalid("role", format!("write one of {words}"))
    })?;
    let mut turn = api.begin(&command).await?;
    let trunk = turn.change.trunk(&name).await?.id;
    turn.change.set_trunk_role(trunk, role).await?;
    api.finish(turn, Touched::Directory, 200, &RoleOnWire::from(role)).await
}
