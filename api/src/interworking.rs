//! What is done for trunks that want other things than who they talk with, and the codecs that the calls of
//! accounts may use (S8).

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use switch::interworking::{Codecs, EarlyMedia, Interworking, Reliability};

use crate::command::{Command, Stop, Touched};
use crate::wire::nullable;
use crate::{Api, Problem, Shared};

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/accounts/{name}/codecs", get(show_account).patch(set_account))
        .route("/trunks/{name}/interworking", get(show_trunk).patch(set_trunk))
}

#[derive(Serialize)]
struct TrunkOnWire {
    codecs: Option<Vec<String>>,
    early_media: &'static str,
    reliable_provisional: &'static str,
    may_transfer: bool,
}

fn names(codecs: Option<&Arc<Codecs>>) -> Option<Vec<String>> {
    codecs.map(|list| list.names().map(str::to_owned).collect())
}

impl From<Interworking> for TrunkOnWire {
    fn from(trunk: Interworking) -> TrunkOnWire {
        TrunkOnWire {
            codecs: names(trunk.codecs.as_ref()),
            early_media: trunk.early_media.word(),
            reliable_provisional: trunk.reliability.word(),
            may_transfer: trunk.may_transfer,
        }
    }
}

/// What is left out stays; null takes away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrunkChange {
    #[serde(default, deserialize_with = "nullable")]
    codecs: Option<Option<Vec<String>>>,
    early_media: Option<String>,
    reliable_provisional: Option<String>,
    may_transfer: Option<bool>,
}

fn list(names: Option<Vec<String>>) -> Result<Option<Arc<Codecs>>, Problem> {
    let list = names.map(|names| Codecs::new(names.iter().map(String::as_str)).map(Arc::new));
    list.transpose().map_err(|error| Problem::invalid("codecs", error.to_string()))
}

fn unknown(field: &'static str, word: &str, known: &[&str]) -> Problem {
    Problem::invalid(field, format!("{word:?} is not known; write one of {}", known.join(", ")))
}

impl TrunkChange {
    fn of(self, before: Interworking) -> Result<Interworking, Problem> {
        let early_media = |word: String| {
            let words = EarlyMedia::ALL.map(EarlyMedia::word);
            EarlyMedia::from_word(&word).ok_or_else(|| unknown("early_media", &word, &words))
        };
        let reliability = |word: String| {
            let words = Reliability::ALL.map(Reliability::word);
            let missing = || unknown("reliable_provisional", &word, &words);
            Reliability::from_word(&word).ok_or_else(missing)
        };
        Ok(Interworking {
            codecs: self.codecs.map_or(Ok(before.codecs), list)?,
            early_media: self.early_media.map_or(Ok(before.early_media), early_media)?,
            reliability: self.reliable_provisional.map_or(Ok(before.reliability), reliability)?,
            may_transfer: self.may_transfer.unwrap_or(before.may_transfer),
        })
    }
}

async fn show_trunk(
    State(api): Shared,
    Path(name): Path<String>,
) -> Result<Json<TrunkOnWire>, Problem> {
    let mut read = api.store.begin_read().await?;
    let trunk = read.trunk(&name).await?.id;
    Ok(Json(read.trunk_interworking(trunk).await?.into()))
}

async fn set_trunk(
    State(api): Shared,
    Path(name): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let change: TrunkChange = command.json()?;
    let mut turn = api.begin(&command).await?;
    let trunk = turn.change.trunk(&name).await?.id;
    let wanted = change.of(turn.change.trunk_interworking(trunk).await?)?;
    turn.change.set_trunk_interworking(trunk, &wanted).await?;
    api.finish(turn, Touched::Directory, 200, &TrunkOnWire::from(wanted)).await
}

#[derive(Serialize)]
struct AccountOnWire {
    codecs: Option<Vec<String>>,
}

/// `null` allows all.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountChange {
    #[serde(default, deserialize_with = "nullable")]
    codecs: Option<Option<Vec<String>>>,
}

async fn show_account(
    State(api): Shared,
    Path(name): Path<String>,
) -> Result<Json<AccountOnWire>, Problem> {
    let mut read = api.store.begin_read().await?;
    let account = read.account(&name).await?.id;
    let codecs = read.account_codecs(account).await?;
    Ok(Json(AccountOnWire { codecs: names(codecs.as_ref()) }))
}

async fn set_account(
    State(api): Shared,
    Path(name): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let change: AccountChange = command.json()?;
    let mut turn = api.begin(&command).await?;
    let account = turn.change.account(&name).await?.id;
    let before = turn.change.account_codecs(account).await?;
    let codecs = change.codecs.map_or(Ok(before), list)?;
    turn.change.set_account_codecs(account, codecs.as_deref()).await?;
    let set = AccountOnWire { codecs: names(codecs.as_ref()) };
    api.finish(turn, Touched::Directory, 200, &set).await
}
