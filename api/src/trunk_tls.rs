//! TLS certificates of trunks: names by which a trunk is known, and what we show it (S1, S8).

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use store::directory::TrunkTls;
use store::moment::format_utc;
use switch::directory::ClientCertificate;

use crate::command::{Command, Stop, Touched};
use crate::wire::nullable;
use crate::{Api, Problem, Shared};

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/trunks/{name}/tls", get(show).patch(set))
}

/// The key is shown to nobody.
#[derive(Serialize)]
struct OnWire {
    certificate_names: Vec<Box<str>>,
    client_certificate: Option<Box<str>>,
    client_certificate_domains: Vec<Box<str>>,
    client_certificate_expires_at: Option<String>,
}

impl OnWire {
    fn new(api: &Api, tls: TrunkTls) -> OnWire {
        let ours = tls.client_certificate.as_deref();
        let read = ours.and_then(|ours| api.control.read_client_certificate(ours).ok());
        OnWire {
            certificate_names: tls.certificate_names,
            client_certificate: ours.map(|ours| ours.chain.clone()),
            client_certificate_expires_at: read.as_ref().map(|(_, until)| format_utc(*until)),
            client_certificate_domains: read.map_or_else(Vec::new, |(domains, _)| domains),
        }
    }
}

/// What is left out stays; `null` takes away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsChange {
    certificate_names: Option<Vec<String>>,
    #[serde(default, deserialize_with = "nullable")]
    client_certificate: Option<Option<String>>,
    client_key: Option<String>,
}

impl TlsChange {
    fn of(self, api: &Api, before: TrunkTls) -> Result<TrunkTls, Problem> {
        let lower = |name: String| name.to_ascii_lowercase().into();
        let names = self.certificate_names.map(|names| names.into_iter().map(lower).collect());
        let client_certificate = match (self.client_certificate, self.client_key) {
            (None, None) => before.client_certificate,
            (Some(None), None) => None,
            (Some(Some(chain)), Some(key)) => {
                let ours = ClientCertificate { chain: chain.into(), key: key.into() };
                let read = api.control.read_client_certificate(&ours);
                read.map_err(|what| Problem::invalid("client_certificate", what))?;
                Some(Arc::new(ours))
            }
            _ => {
                let what = "a certificate and its key go together; give both";
                return Err(Problem::invalid("client_key", what));
            }
        };
        let certificate_names = names.unwrap_or(before.certificate_names);
        Ok(TrunkTls { certificate_names, client_certificate })
    }
}

async fn show(State(api): Shared, Path(name): Path<String>) -> Result<Json<OnWire>, Problem> {
    let mut read = api.store.begin_read().await?;
    let trunk = read.trunk(&name).await?.id;
    let tls = read.trunk_tls(trunk).await?;
    Ok(Json(OnWire::new(&api, tls)))
}

async fn set(
    State(api): Shared,
    Path(name): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let change: TlsChange = command.json()?;
    let mut turn = api.begin(&command).await?;
    let trunk = turn.change.trunk(&name).await?;
    let before = turn.change.trunk_tls(trunk.id).await?;
    let wanted = change.of(&api, before)?;
    turn.change.set_trunk_tls(trunk.id, &wanted).await?;
    let on_wire = OnWire::new(&api, wanted);
    api.finish(turn, Touched::Directory, 200, &on_wire).await
}
