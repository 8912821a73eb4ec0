//! Our registrations at trunks, with each trunk's health beside it (V-37).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use store::moment::format_utc;
use switch::directory::TrunkRow;
use switch::health::TrunkHealth;
use switch::upstream::UpstreamStatus;
use vocabulary::TrunkId;

use crate::wire::List;
use crate::{Api, Shared};

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/upstreams", get(list))
}

#[derive(Serialize)]
struct OnWire {
    trunk: String,
    host: String,
    username: Option<String>,
    registration: Option<&'static str>,
    registration_since: Option<String>,
    expires_at: Option<String>,
    last_answer: Option<String>,
    last_answer_at: Option<String>,
    next_try_at: Option<String>,
    failures: Option<u32>,
    health: Option<&'static str>,
    health_since: Option<String>,
    last_probe_answer: Option<String>,
    last_probe_at: Option<String>,
}

impl OnWire {
    fn new(row: &TrunkRow, status: Option<&UpstreamStatus>, health: Option<TrunkHealth>) -> OnWire {
        let last = status.and_then(|status| status.last);
        let probe = health.and_then(|health| health.last);
        OnWire {
            trunk: row.name.clone(),
            host: row.host.clone(),
            username: row.registration.as_ref().map(|wanted| wanted.username.clone()),
            registration: status.map(|status| status.state.word()),
            registration_since: status.and_then(|status| status.since).map(format_utc),
            expires_at: status.and_then(|status| status.expires_at).map(format_utc),
            last_answer: last.map(|(_, outcome)| outcome.to_string()),
            last_answer_at: last.map(|(at, _)| format_utc(at)),
            next_try_at: status.and_then(|status| status.next_at).map(format_utc),
            failures: status.map(|status| status.failures),
            health: health.map(|health| health.state.word()),
            health_since: health.and_then(|health| health.since).map(format_utc),
            last_probe_answer: probe.map(|(_, outcome)| outcome.to_string()),
            last_probe_at: probe.map(|(at, _)| format_utc(at)),
        }
    }
}

/// The trunks where we register, and those that are asked whether they are there, by their ids.
async fn list(State(api): Shared) -> Json<List<OnWire>> {
    let statuses = api.control.upstreams().await;
    let statuses: BTreeMap<TrunkId, UpstreamStatus> =
        statuses.into_iter().map(|status| (status.trunk, status)).collect();
    let directory = api.snapshot().await.directory;
    let trunks = directory.registering_trunks().iter().chain(directory.probed_trunks());
    let trunks: BTreeSet<TrunkId> = trunks.copied().collect();
    let items = trunks
        .iter()
        .filter_map(|id| directory.trunk(*id))
        .map(|row| OnWire::new(row, statuses.get(&row.id), api.control.trunk_health(row.id)));
    Json(List { items: items.collect() })
}
