//! Who is kept out and who never is (S7): by hand, and by the guard, whose bans are stored here so that
//! they outlive a restart and other nodes know them.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use store::directory::{ChangeError, MadeBy, Source, Standing};
use store::moment::format_utc;
use switch::directory::Network;
use switch::guard::Ban;
use tokio::sync::mpsc::Receiver;

use crate::accounts::parsed;
use crate::command::{Command, Stop, Touched};
use crate::wire::List;
use crate::{Api, Problem, Shared};

/// Bans of the guard that are stored with one commit.
const BATCH: usize = 256;

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/bans", get(list_bans).post(ban))
        .route("/bans/{network}", delete(lift))
        .route("/allowed-sources", get(list_allowed).post(allow))
        .route("/allowed-sources/{network}", delete(disallow))
}

#[derive(Serialize)]
struct OnWire {
    network: String,
    reason: String,
    since: String,
    until: Option<String>,
    made_by: &'static str,
}

impl From<&Source> for OnWire {
    fn from(source: &Source) -> OnWire {
        OnWire {
            network: source.network.to_string(),
            reason: source.reason.clone(),
            since: format_utc(source.since),
            until: source.until.map(format_utc),
            made_by: source.made_by.as_str(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    network: String,
    #[serde(default)]
    reason: String,
    /// Null: until it is taken away.
    seconds: Option<u32>,
}

async fn list_bans(State(api): Shared) -> Result<Json<List<OnWire>>, Problem> {
    list(&api, Standing::Banned).await
}

async fn list_allowed(State(api): Shared) -> Result<Json<List<OnWire>>, Problem> {
    list(&api, Standing::Allowed).await
}

async fn list(api: &Api, standing: Standing) -> Result<Json<List<OnWire>>, Problem> {
    let sources = api.store.sources(standing, api.control.now()).await?;
    Ok(Json(List { items: sources.iter().map(OnWire::from).collect() }))
}

async fn ban(State(api): Shared, command: Command) -> Result<Response, Stop> {
    decide(&api, &command, Standing::Banned).await
}

async fn allow(State(api): Shared, command: Command) -> Result<Response, Stop> {
    decide(&api, &command, Standing::Allowed).await
}

async fn decide(api: &Api, command: &Command, standing: Standing) -> Result<Response, Stop> {
    let Wanted { network, reason, seconds } = command.json()?;
    let network: Network = parsed("network", &network)?;
    if network.has_port() {
        let what = "write it without a port: a sender may choose another";
        return Err(Problem::invalid("network", what).into());
    }
    if seconds == Some(0) {
        return Err(Problem::invalid("seconds", "write 1 or more, or null").into());
    }
    let since = api.control.now();
    let until = seconds.map(|seconds| since.plus(Duration::from_secs(seconds.into())));
    if standing == Standing::Allowed && until.is_some() {
        let what = "an allowed source is allowed until it is taken away; leave it out";
        return Err(Problem::invalid("seconds", what).into());
    }
    let made_by = MadeBy::Operator;
    let source = Source { network, standing, reason, since, until, made_by };
    let mut turn = api.begin(command).await?;
    turn.change.decide(&source).await?;
    api.finish(turn, Touched::Directory, 201, &OnWire::from(&source)).await
}

async fn lift(
    State(api): Shared,
    Path(network): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    undecide(&api, &network, &command, Standing::Banned).await
}

async fn disallow(
    State(api): Shared,
    Path(network): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    undecide(&api, &network, &command, Standing::Allowed).await
}

async fn undecide(
    api: &Api,
    network: &str,
    command: &Command,
    standing: Standing,
) -> Result<Response, Stop> {
    let network: Network = parsed("network", network)?;
    let mut turn = api.begin(command).await?;
    turn.change.undecide(network, standing).await?;
    let removed = serde_json::json!({ "removed": network.to_string() });
    api.finish(turn, Touched::Directory, 200, &removed).await
}

impl Api {
    /// Stores what the guard tells, until it has ended.
    pub async fn keep_bans(self: Arc<Self>, mut bans: Receiver<Ban>) {
        let mut batch = Vec::with_capacity(BATCH);
        while bans.recv_many(&mut batch, BATCH).await > 0 {
            for ban in &batch {
                let (network, reason) = (ban.network, ban.reason.word());
                tracing::warn!(%network, reason, until = %format_utc(ban.until), "source banned");
            }
            if let Err(error) = self.store_bans(&batch).await {
                // They hold all the same, here and until the next start.
                tracing::error!(%error, count = batch.len(), "bans are not stored");
            }
            batch.clear();
        }
    }

    async fn store_bans(&self, bans: &[Ban]) -> Result<(), ChangeError> {
        let mut snapshot = self.queue().await;
        let mut change = self.store.begin().await?;
        self.follow_in(&mut change, &mut snapshot).await?;
        for ban in bans {
            change.decide(&Source::of_guard(ban)).await?;
        }
        self.take_effect(change, &mut snapshot).await
    }
}
