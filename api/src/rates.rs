//! Rate groups and their rates.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use store::directory::{RateGroup, RateGroupRounding};

use crate::accounts::parsed;
use crate::command::{Command, Stop, Touched};
use crate::wire::{self, List};
use crate::{Problem, Shared};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewGroup {
    name: String,
    currency: String,
    #[serde(default)]
    rounding: Option<String>,
    #[serde(default)]
    decimals: Option<u8>,
}

pub(crate) async fn list_groups(
    State(api): Shared,
) -> Result<Json<List<wire::RateGroup>>, Problem> {
    let groups = api.store.rate_groups().await?;
    Ok(Json(List { items: groups.into_iter().map(wire::RateGroup::from).collect() }))
}

pub(crate) async fn add_group(State(api): Shared, command: Command) -> Result<Response, Stop> {
    let new: NewGroup = command.json()?;
    let rounding = match &new.rounding {
        Some(word) => parsed("rounding", word)?,
        None => RateGroupRounding::Up,
    };
    let group = RateGroup {
        id: 0,
        name: new.name,
        currency: new.currency,
        rounding,
        decimals: new.decimals.unwrap_or(6),
        rate_count: 0,
    };
    let mut turn = api.begin(&command).await?;
    let group = turn.change.add_rate_group(group).await?;
    api.finish(turn, Touched::Directory, 201, &wire::RateGroup::from(group)).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    #[serde(default)]
    prefix: String,
    limit: Option<usize>,
}

pub(crate) async fn list(
    State(api): Shared,
    Path(name): Path<String>,
    Query(which): Query<Which>,
) -> Result<Json<List<wire::Rate>>, Problem> {
    let group = api.store.rate_group(&name).await?;
    let limit = which.limit.unwrap_or(100).min(10_000);
    let rates = api.store.rates(&group, which.prefix.trim_start_matches('+'), limit).await?;
    Ok(Json(List { items: rates.into_iter().map(wire::Rate::from).collect() }))
}
