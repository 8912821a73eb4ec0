//! Messages (RFC 3428): by which rate groups an account's are priced, and whether a trunk carries any.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use store::directory::MessageRates;

use crate::command::{Command, Stop, Touched};
use crate::wire::nullable;
use crate::{Api, Problem, Shared};

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/accounts/{name}/messages", get(show_rates).patch(set_rates))
        .route("/trunks/{name}/messages", get(show_trunk).patch(set_trunk))
}

#[derive(Serialize)]
struct RatesOnWire {
    /// Null: they are free.
    rate_group: Option<String>,
    /// The same of those that it carries for us.
    carrier_rate_group: Option<String>,
}

impl From<MessageRates> for RatesOnWire {
    fn from(rates: MessageRates) -> RatesOnWire {
        let MessageRates { rate_group, carrier_rate_group } = rates;
        RatesOnWire { rate_group, carrier_rate_group }
    }
}

/// What is left out stays; null takes away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RatesChange {
    #[serde(default, deserialize_with = "nullable")]
    rate_group: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    carrier_rate_group: Option<Option<String>>,
}

#[derive(Serialize)]
struct TrunkOnWire {
    allowed: bool,
}

/// What is left out stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrunkChange {
    allowed: Option<bool>,
}

async fn show_rates(
    State(api): Shared,
    Path(name): Path<String>,
) -> Result<Json<RatesOnWire>, Problem> {
    let mut reading = api.store.begin_read().await?;
    let account = reading.account(&name).await?;
    Ok(Json(reading.message_rates(account.id).await?.into()))
}

async fn set_rates(
    State(api): Shared,
    Path(name): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let wanted: RatesChange = command.json()?;
    let mut turn = api.begin(&command).await?;
    let account = turn.change.account(&name).await?;
    let before = turn.change.message_rates(account.id).await?;
    let rates = MessageRates {
        rate_group: wanted.rate_group.unwrap_or(before.rate_group),
        carrier_rate_group: wanted.carrier_rate_group.unwrap_or(before.carrier_rate_group),
    };
    turn.change.set_message_rates(&account, &rates).await?;
    api.finish(turn, Touched::Directory, 200, &RatesOnWire::from(rates)).await
}

async fn show_trunk(
    State(api): Shared,
    Path(name): Path<String>,
) -> Result<Json<TrunkOnWire>, Problem> {
    let mut reading = api.store.begin_read().await?;
    let trunk = reading.trunk(&name).await?;
    Ok(Json(TrunkOnWire { allowed: reading.carries_messages(trunk.id).await? }))
}

async fn set_trunk(
    State(api): Shared,
    Path(name): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let wanted: TrunkChange = command.json()?;
    let mut turn = api.begin(&command).await?;
    let trunk = turn.change.trunk(&name).await?;
    let before = turn.change.carries_messages(trunk.id).await?;
    let allowed = wanted.allowed.unwrap_or(before);
    turn.change.set_carries_messages(trunk.id, allowed).await?;
    api.finish(turn, Touched::Directory, 200, &TrunkOnWire { allowed }).await
}
