//! The certificates of our TLS listeners.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use store::moment::format_utc;
use vocabulary::Utc;

use crate::wire::List;
use crate::{Api, Certificate, Problem, Shared};

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/tls/certificates", get(list)).route("/tls/reload", post(reload))
}

#[derive(Serialize)]
struct OnWire {
    listener: String,
    file: String,
    domains: Vec<Box<str>>,
    valid_from: String,
    expires_at: String,
    days_left: u64,
    problem: Option<String>,
}

impl OnWire {
    fn new(certificate: Certificate, now: Utc) -> OnWire {
        let Certificate { listener, file, domains, valid_from, expires_at, problem } = certificate;
        OnWire {
            listener,
            file,
            domains,
            valid_from: format_utc(valid_from),
            expires_at: format_utc(expires_at),
            days_left: expires_at.since(now).as_secs() / 86_400,
            problem,
        }
    }
}

async fn list(State(api): Shared) -> Json<List<OnWire>> {
    Json(on_wire(api.control.certificates(), api.control.now()))
}

/// Of this process: with several nodes each has files of its own.
async fn reload(State(api): Shared) -> Result<Json<List<OnWire>>, Problem> {
    let all = api.control.read_certificates_again();
    let refused = |one: &Certificate| {
        Some(format!("{}: {}; the one in use stays", one.listener, one.problem.as_ref()?))
    };
    let refused: Vec<String> = all.iter().filter_map(refused).collect();
    if !refused.is_empty() {
        return Err(Problem::new(422, "certificate_refused", refused.join("; ")));
    }
    Ok(Json(on_wire(all, api.control.now())))
}

fn on_wire(all: Vec<Certificate>, now: Utc) -> List<OnWire> {
    List { items: all.into_iter().map(|one| OnWire::new(one, now)).collect() }
}
