//! What a trunk wants of signed callers (S5).

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use switch::stir::{StirPolicy, Verification};

use crate::command::{Command, Stop, Touched};
use crate::{Api, Problem, Shared};

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/trunks/{name}/stir", get(show).patch(set))
}

#[derive(Serialize)]
struct OnWire {
    signs: bool,
    verifies: &'static str,
}

impl OnWire {
    fn new(policy: StirPolicy) -> OnWire {
        OnWire { signs: policy.signs, verifies: policy.verification.word() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StirChange {
    signs: Option<bool>,
    verifies: Option<String>,
}

fn verification(word: &str) -> Result<Verification, Problem> {
    Verification::from_word(word).ok_or_else(|| {
        let words = Verification::ALL.map(Verification::word).join(", ");
        Problem::invalid("verifies", format!("write one of {words}"))
    })
}

async fn show(State(api): Shared, Path(name): Path<String>) -> Result<Json<OnWire>, Problem> {
    let mut read = api.store.begin_read().await?;
    let trunk = read.trunk(&name).await?.id;
    Ok(Json(OnWire::new(read.trunk_stir(trunk).await?)))
}

async fn set(
    State(api): Shared,
    Path(name): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let change: StirChange = command.json()?;
    let mut turn = api.begin(&command).await?;
    let trunk = turn.change.trunk(&name).await?.id;
    let mut policy = turn.change.trunk_stir(trunk).await?;
    policy.signs = change.signs.unwrap_or(policy.signs);
    if let Some(word) = &change.verifies {
        policy.verification = verification(word)?;
    }
    turn.change.set_trunk_stir(trunk, policy).await?;
    api.finish(turn, Touched::Directory, 200, &OnWire::new(policy)).await
}
