//! The process: its state, its registrations, its books, its metrics.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use store::moment::format_utc;

use crate::wire::{self, List, Registration};
use crate::{Problem, Shared};

pub(crate) async fn status(State(api): Shared) -> Json<wire::Process> {
    let control = &api.control;
    Json(wire::Process::new(control.status(), control.certificates(), control.now()))
}

pub(crate) async fn registrations(State(api): Shared) -> Result<Json<List<Registration>>, Problem> {
    let mut items = Vec::new();
    for subscriber in api.store.subscribers().await? {
        for binding in api.control.bindings(subscriber.id) {
            items.push(Registration {
                username: subscriber.username.clone(),
                contact: binding.uri,
                address: binding.remote.to_string(),
                transport: binding.transport.uri_name(),
                expires_at: format_utc(binding.expires_at),
                behind_nat: binding.is_behind_nat,
            });
        }
    }
    Ok(Json(List { items }))
}

pub(crate) async fn check_ledger(State(api): Shared) -> Json<wire::Check> {
    Json(api.control.check_ledger().await.into())
}

pub(crate) async fn metrics(State(api): Shared) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], api.control.metrics())
}

/// For load balancers and supervisors: 200 while new calls are taken.
pub(crate) async fn health(State(api): Shared) -> impl IntoResponse {
    let process = api.control.status();
    let (code, status) = match (process.is_draining, process.is_journal_stuck) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        (false, true) => (StatusCode::SERVICE_UNAVAILABLE, "journal_stuck"),
        (false, false) => (StatusCode::OK, "ok"),
    };
    (code, Json(serde_json::json!({ "status": status })))
}
