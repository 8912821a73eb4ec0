//! How much a source may do before it is kept out (S7).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use store::directory::SecuritySettings;

use crate::command::{Command, Stop, Touched};
use crate::{Api, Problem, Shared};

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/security-settings", get(show).patch(set))
}

fn on_wire(settings: &SecuritySettings) -> BTreeMap<&'static str, u32> {
    settings.values().collect()
}

async fn show(State(api): Shared) -> Result<Json<BTreeMap<&'static str, u32>>, Problem> {
    Ok(Json(on_wire(&api.store.security_settings().await?)))
}

async fn set(State(api): Shared, command: Command) -> Result<Response, Stop> {
    let wanted: BTreeMap<String, u32> = command.json()?;
    let mut turn = api.begin(&command).await?;
    let settings = turn.change.set_security(&wanted).await?;
    api.finish(turn, Touched::Directory, 200, &on_wire(&settings)).await
}
