//! Where subscribers have their calls go.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use switch::forwarding::Forwards;

use crate::command::{Command, Stop, Touched};
use crate::{Api, Problem, Shared};

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/subscribers/{username}/forwarding", get(show).put(set))
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct OnWire {
    /// All calls; null: they ring its phones.
    always: Option<String>,
}

impl From<Forwards> for OnWire {
    fn from(forwards: Forwards) -> OnWire {
        OnWire { always: forwards.always.map(Into::into) }
    }
}

async fn show(State(api): Shared, Path(username): Path<String>) -> Result<Json<OnWire>, Problem> {
    Ok(Json(OnWire::from(api.store.forwards(&username).await?)))
}

async fn set(
    State(api): Shared,
    Path(username): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let wanted: OnWire = command.json()?;
    let forwards = Forwards { always: wanted.always.map(Into::into) };
    let mut turn = api.begin(&command).await?;
    turn.change.set_forwards(&username, &forwards).await?;
    api.finish(turn, Touched::Directory, 200, &OnWire::from(forwards)).await
}
