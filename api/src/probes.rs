//! How trunks are asked whether they are there, what that found (T4), and the events of it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use store::directory::{AccountEventKind, ChangeError, TrunkProbe};
use store::moment::format_utc;
use switch::health::{HealthChange, ProbePolicy, TrunkHealth};
use vocabulary::TrunkId;

use crate::command::{Command, Stop, Touched};
use crate::quality::name_of;
use crate::{Api, Problem, Shared};

/// How often it is tried again to store an event that the database did not take.
const STORE_AGAIN: Duration = Duration::from_secs(5);

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/trunks/{name}/probe", get(show).patch(set))
}

#[derive(Serialize)]
struct OnWire {
    enabled: bool,
    every_s: u64,
    failures_max: u8,
    successes_min: u8,
    health: Option<&'static str>,
    health_since: Option<String>,
    last_probe_at: Option<String>,
    last_answer: Option<String>,
}

impl OnWire {
    fn new(probe: TrunkProbe, health: Option<TrunkHealth>) -> OnWire {
        let TrunkProbe { enabled, policy: ProbePolicy { every, failures_max, successes_min } } =
            probe;
        let last = health.and_then(|health| health.last);
        OnWire {
            enabled,
            every_s: every.as_secs(),
            failures_max,
            successes_min,
            health: health.map(|health| health.state.word()),
            health_since: health.and_then(|health| health.since).map(format_utc),
            last_probe_at: last.map(|(at, _)| format_utc(at)),
            last_answer: last.map(|(_, outcome)| outcome.to_string()),
        }
    }
}

/// What is left out stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProbeChange {
    enabled: Option<bool>,
    every_s: Option<u64>,
    failures_max: Option<u8>,
    successes_min: Option<u8>,
}

impl ProbeChange {
    fn of(self, before: TrunkProbe) -> TrunkProbe {
        let policy = before.policy;
        TrunkProbe {
            enabled: self.enabled.unwrap_or(before.enabled),
            policy: ProbePolicy {
                every: self.every_s.map_or(policy.every, Duration::from_secs),
                failures_max: self.failures_max.unwrap_or(policy.failures_max),
                successes_min: self.successes_min.unwrap_or(policy.successes_min),
            },
        }
    }
}

async fn show(State(api): Shared, Path(name): Path<String>) -> Result<Json<OnWire>, Problem> {
    let mut read = api.store.begin_read().await?;
    let trunk = read.trunk(&name).await?.id;
    let probe = read.trunk_probe(trunk).await?;
    Ok(Json(OnWire::new(probe, api.control.trunk_health(trunk))))
}

async fn set(
    State(api): Shared,
    Path(name): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let change: ProbeChange = command.json()?;
    let mut turn = api.begin(&command).await?;
    let trunk = turn.change.trunk(&name).await?;
    let wanted = change.of(turn.change.trunk_probe(trunk.id).await?);
    if wanted.enabled && trunk.host.is_none() {
        let what = "the trunk has no host, so there is nobody to ask; set its host first";
        return Err(Problem::invalid("enabled", what).into());
    }
    turn.change.set_trunk_probe(trunk.id, wanted).await?;
    let on_wire = OnWire::new(wanted, api.control.trunk_health(trunk.id));
    api.finish(turn, Touched::Directory, 200, &on_wire).await
}

impl Api {
    /// Looks each `interval` which trunks went down or came up, or are left for their quality: each
    /// change is logged, and an event of the trunk's account.
    pub async fn watch_trunks(self: Arc<Self>, interval: Duration) {
        let mut turn = tokio::time::interval(interval);
        loop {
            turn.tick().await;
            while let Some(change) = self.control.trunk_change() {
                self.tell_of(change).await;
            }
            while let Some(change) = self.control.quality_change() {
                self.tell_of_quality(change).await;
            }
        }
    }

    async fn tell_of(&self, change: HealthChange) {
        let name = self.trunk_name(change.trunk).await;
        let why = change.ground;
        match change.is_up {
            true => tracing::info!(trunk = name, "trunk up: {why}"),
            false => tracing::warn!(trunk = name, "trunk down: {why}"),
        }
        while let Err(error) = self.keep_trunk_event(change).await {
            if error.trouble().is_none() {
                return tracing::error!(trunk = name, %error, "a change of health is not stored");
            }
            tracing::warn!(trunk = name, %error, "a change of health is not stored; tried again");
            tokio::time::sleep(STORE_AGAIN).await;
        }
    }

    pub(crate) async fn trunk_name(&self, trunk: TrunkId) -> String {
        name_of(trunk, &self.snapshot().await.directory)
    }

    /// Stores a change as an event of the trunk's account; a trunk that is gone has none.
    pub async fn keep_trunk_event(&self, change: HealthChange) -> Result<(), ChangeError> {
        let HealthChange { trunk, is_up, at, ground } = change;
        let snapshot = self.queue().await;
        let Some(row) = snapshot.directory.trunk(trunk) else { return Ok(()) };
        let kind = match is_up {
            true => AccountEventKind::TrunkUp,
            false => AccountEventKind::TrunkDown,
        };
        let mut writing = self.store.begin().await?;
        let detail = format!("{}: {ground}", row.name);
        writing.add_event(row.account, kind, &detail, at).await?;
        writing.commit().await
    }
}
