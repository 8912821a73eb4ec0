//! What causes mean to a trunk (S6): two tables, each code and what it becomes.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use switch::routing::{CauseMap, Code, CodeError};

use crate::command::{Command, Stop, Touched};
use crate::{Api, Problem, Shared};

type Table = BTreeMap<String, String>;

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/trunks/{name}/causes", get(show).patch(set))
}

#[derive(Serialize)]
struct OnWire {
    heard: Table,
    told: Table,
}

impl From<CauseMap> for OnWire {
    fn from(map: CauseMap) -> OnWire {
        let table = |rows: Vec<(Code, Code)>| {
            rows.iter().map(|(code, becomes)| (code.to_string(), becomes.to_string())).collect()
        };
        OnWire { heard: table(map.heard), told: table(map.told) }
    }
}

/// What is left out stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CausesChange {
    heard: Option<Table>,
    told: Option<Table>,
}

fn rows(field: &str, table: &Table) -> Result<Vec<(Code, Code)>, Problem> {
    let code = |text: &str| {
        let fault = |error: CodeError| Problem::invalid(field, format!("{text:?}: {error}"));
        text.parse::<Code>().map_err(fault)
    };
    table.iter().map(|(from, becomes)| Ok((code(from)?, code(becomes)?))).collect()
}

async fn show(State(api): Shared, Path(name): Path<String>) -> Result<Json<OnWire>, Problem> {
    let mut read = api.store.begin_read().await?;
    let trunk = read.trunk(&name).await?.id;
    Ok(Json(read.trunk_causes(trunk).await?.into()))
}

async fn set(
    State(api): Shared,
    Path(name): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let change: CausesChange = command.json()?;
    let heard = change.heard.map(|table| rows("heard", &table)).transpose()?;
    let told = change.told.map(|table| rows("told", &table)).transpose()?;
    let mut turn = api.begin(&command).await?;
    let trunk = turn.change.trunk(&name).await?.id;
    let before = turn.change.trunk_causes(trunk).await?;
    let wanted =
        CauseMap { heard: heard.unwrap_or(before.heard), told: told.unwrap_or(before.told) };
    turn.change.set_trunk_causes(trunk, &wanted).await?;
    let set = turn.change.trunk_causes(trunk).await?;
    api.finish(turn, Touched::Directory, 200, &OnWire::from(set)).await
}
