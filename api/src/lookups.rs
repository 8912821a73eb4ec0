//! Who is asked where called numbers are served (LRN dips, T7).

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, patch};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::directory::StoredLookup;
use switch::lookup::{HttpLookup, Lookup, LookupId, LookupKind, OnFailure, SipLookup};

use crate::command::{Command, Stop, Touched};
use crate::numbers::word;
use crate::wire::{List, nullable};
use crate::{Api, Problem, Shared};

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/lookups", get(list)).route("/lookups/{name}", patch(set).delete(remove))
}

/// Without the value of the header: it is a secret.
#[derive(Serialize)]
struct LookupOnWire {
    id: u64,
    name: String,
    kind: &'static str,
    url: Option<String>,
    body: Option<String>,
    pointer: Option<String>,
    header_name: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    enabled: bool,
    timeout_ms: u64,
    ttl_s: u64,
    on_failure: &'static str,
    prefixes: Vec<String>,
}

impl From<StoredLookup> for LookupOnWire {
    fn from(StoredLookup { lookup, enabled }: StoredLookup) -> LookupOnWire {
        let text = |text: &str| Some(text.to_owned());
        let (http, sip) = match &lookup.asks {
            LookupKind::Http(http) => (Some(http), None),
            LookupKind::Sip(sip) => (None, Some(sip)),
        };
        let header = http.and_then(|http| http.header.as_ref());
        LookupOnWire {
            id: lookup.id.0,
            name: lookup.name.to_string(),
            kind: if http.is_some() { "http" } else { "sip" },
            url: http.and_then(|http| text(&http.url)),
            body: http.and_then(|http| http.body.as_deref().and_then(text)),
            pointer: http.and_then(|http| http.pointer.as_deref().and_then(text)),
            header_name: header.and_then(|(name, _)| text(name)),
            host: sip.and_then(|sip| text(&sip.host)),
            port: sip.map(|sip| sip.port),
            enabled,
            timeout_ms: lookup.timeout.as_millis() as u64,
            ttl_s: lookup.ttl.as_secs(),
            on_failure: lookup.on_failure.word(),
            prefixes: lookup.prefixes.iter().map(ToString::to_string).collect(),
        }
    }
}

/// What is left out stays; null takes it away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LookupChange {
    /// Asks by HTTP.
    url: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    body: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    pointer: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    header_name: Option<Option<String>>,
    header_value: Option<String>,
    /// Asks by SIP.
    host: Option<String>,
    port: Option<u16>,
    enabled: Option<bool>,
    timeout_ms: Option<u32>,
    ttl_s: Option<u32>,
    on_failure: Option<String>,
    prefixes: Option<Vec<String>>,
}

/// A call waits so long if nothing is said.
const TIMEOUT: Duration = Duration::from_millis(500);
/// Numbers are ported at most once a day.
const TTL: Duration = Duration::from_secs(86_400);
const SIP_PORT: u16 = 5060;

impl LookupChange {
    fn of(self, name: &str, before: Option<StoredLookup>) -> Result<StoredLookup, Problem> {
        let before_asks = before.as_ref().map(|before| before.lookup.asks.clone());
        let asks = self.asks(before_asks)?;
        let mut stored = before.unwrap_or_else(|| StoredLookup {
            enabled: true,
            lookup: Lookup {
                id: LookupId(0),
                name: name.into(),
                asks: asks.clone(),
                timeout: TIMEOUT,
                ttl: TTL,
                on_failure: OnFailure::default(),
                prefixes: Box::default(),
            },
        });
        let lookup = &mut stored.lookup;
        lookup.asks = asks;
        if let Some(millis) = self.timeout_ms {
            lookup.timeout = Duration::from_millis(millis.into());
        }
        if let Some(seconds) = self.ttl_s {
            lookup.ttl = Duration::from_secs(seconds.into());
        }
        if let Some(text) = &self.on_failure {
            lookup.on_failure = word("on_failure", text, OnFailure::from_word, "ignore, refuse")?;
        }
        if let Some(prefixes) = self.prefixes {
            let plain = |prefix: String| Box::from(prefix.trim_start_matches('+'));
            lookup.prefixes = prefixes.into_iter().map(plain).collect();
            lookup.prefixes.sort_unstable();
            if lookup.prefixes.windows(2).any(|two| two[0] == two[1]) {
                return Err(Problem::invalid("prefixes", "write each once"));
            }
        }
        stored.enabled = self.enabled.unwrap_or(stored.enabled);
        Ok(stored)
    }

    fn asks(&self, before: Option<LookupKind>) -> Result<LookupKind, Problem> {
        match (&self.url, &self.host, before) {
            (Some(_), Some(_), _) => Err(Problem::invalid("host", "write url or host, not both")),
            (None, None, None) => Err(Problem::invalid(
                "url",
                "write the url of an HTTP lookup or the host of a SIP one",
            )),
            (Some(url), None, Some(LookupKind::Http(http))) => {
                self.http(HttpLookup { url: url.as_str().into(), ..http })
            }
            (Some(url), None, _) => {
                let url = url.as_str().into();
                self.http(HttpLookup { url, body: None, pointer: None, header: None })
            }
            (None, None, Some(LookupKind::Http(http))) => self.http(http),
            (None, Some(host), before) => {
                let port = match before {
                    Some(LookupKind::Sip(sip)) => sip.port,
                    _ => SIP_PORT,
                };
                self.sip(SipLookup { host: host.as_str().into(), port })
            }
            (None, None, Some(LookupKind::Sip(sip))) => self.sip(sip),
        }
    }

    fn http(&self, mut http: HttpLookup) -> Result<LookupKind, Problem> {
        if self.port.is_some() {
            return Err(Problem::invalid("port", "write it into the url"));
        }
        let boxed = |text: &Option<String>| text.as_deref().map(Box::from);
        if let Some(body) = &self.body {
            http.body = boxed(body);
        }
        if let Some(pointer) = &self.pointer {
            http.pointer = boxed(pointer);
        }
        http.header = match (&self.header_name, &self.header_value, http.header) {
            (Some(None), ..) => None,
            (Some(Some(name)), Some(value), _) => {
                Some((name.as_str().into(), value.as_str().into()))
            }
            (Some(Some(name)), None, Some((_, value))) => Some((name.as_str().into(), value)),
            (None, Some(value), Some((name, _))) => Some((name, value.as_str().into())),
            (Some(Some(_)), None, None) => {
                return Err(Problem::invalid("header_value", "write what the header is to say"));
            }
            (None, Some(_), None) => {
                return Err(Problem::invalid("header_name", "write which header it is"));
            }
            (None, None, header) => header,
        };
        Ok(LookupKind::Http(http))
    }

    fn sip(&self, mut sip: SipLookup) -> Result<LookupKind, Problem> {
        let of_http = [
            ("body", self.body.is_some()),
            ("pointer", self.pointer.is_some()),
            ("header_name", self.header_name.is_some()),
            ("header_value", self.header_value.is_some()),
        ];
        if let Some((field, _)) = of_http.into_iter().find(|(_, is_said)| *is_said) {
            return Err(Problem::invalid(field, "leave it out: a SIP lookup has none"));
        }
        sip.port = self.port.unwrap_or(sip.port);
        Ok(LookupKind::Sip(sip))
    }
}

async fn list(State(api): Shared) -> Result<Json<List<LookupOnWire>>, Problem> {
    let lookups = api.store.lookups().await?;
    Ok(Json(List { items: lookups.into_iter().map(LookupOnWire::from).collect() }))
}

/// Changes the lookup of this name, or adds it.
async fn set(
    State(api): Shared,
    Path(name): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let change: LookupChange = command.json()?;
    let mut turn = api.begin(&command).await?;
    let before = turn.change.lookup(&name).await?;
    let stored = turn.change.set_lookup(change.of(&name, before)?).await?;
    api.finish(turn, Touched::Directory, 200, &LookupOnWire::from(stored)).await
}

async fn remove(
    State(api): Shared,
    Path(name): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let mut turn = api.begin(&command).await?;
    turn.change.remove_lookup(&name).await?;
    api.finish(turn, Touched::Directory, 200, &json!({ "removed": name })).await
}
