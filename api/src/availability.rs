//! What subscribers want of the calls to their own phones.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use switch::forwarding::Availability;

use crate::command::{Command, Stop, Touched};
use crate::wire::nullable;
use crate::{Api, Problem, Shared};

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/subscribers/{username}/availability", get(show).patch(set))
}

#[derive(Serialize)]
struct OnWire {
    do_not_disturb: bool,
    /// At once; null: any number.
    calls_max: Option<u32>,
}

impl From<Availability> for OnWire {
    fn from(availability: Availability) -> OnWire {
        let Availability { do_not_disturb, calls_max } = availability;
        OnWire { do_not_disturb, calls_max }
    }
}

/// What is left out stays; null takes away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AvailabilityChange {
    do_not_disturb: Option<bool>,
    #[serde(default, deserialize_with = "nullable")]
    calls_max: Option<Option<u32>>,
}

async fn show(State(api): Shared, Path(username): Path<String>) -> Result<Json<OnWire>, Problem> {
    Ok(Json(OnWire::from(api.store.availability(&username).await?)))
}

async fn set(
    State(api): Shared,
    Path(username): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let wanted: AvailabilityChange = command.json()?;
    let mut turn = api.begin(&command).await?;
    let before = turn.change.availability(&username).await?;
    let availability = Availability {
        do_not_disturb: wanted.do_not_disturb.unwrap_or(before.do_not_disturb),
        calls_max: wanted.calls_max.unwrap_or(before.calls_max),
    };
    turn.change.set_availability(&username, availability).await?;
    api.finish(turn, Touched::Directory, 200, &OnWire::from(availability)).await
}
