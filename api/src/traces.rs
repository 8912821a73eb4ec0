//! SIP traces (V-39): switched on for a while, looked at, taken away. They are in the memory of this
//! node, not in the database.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use store::moment::format_utc;
use switch::attribution::Followed;
use vocabulary::{CallId, Utc};

use crate::command::{Command, Stop, Touched, Turn};
use crate::wire::List;
use crate::{Api, Problem, Shared};

/// How long a trace runs if nothing is said, and at most.
const SECONDS: u64 = 600;
const SECONDS_MAX: u64 = 86_400;

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/traces", get(list).post(begin))
        .route("/traces/{id}", get(show).delete(remove))
        .route("/traces/{id}/end", post(end))
        .route("/traces/{id}/messages", get(messages))
}

/// A trace to be begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTrace {
    /// What it follows.
    pub followed: Followed,
    /// The same for people: `account muller`.
    pub label: String,
    /// How long it runs.
    pub length: Duration,
}

/// A trace, without its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceView {
    /// Names it, until the next start.
    pub id: u64,
    /// What it follows, for people.
    pub label: String,
    /// When it began.
    pub since: Utc,
    /// When it ends, or ended.
    pub until: Utc,
    /// Whether it runs.
    pub is_running: bool,
    /// Messages that it has.
    pub messages: u64,
    /// Their bytes in memory.
    pub bytes: u64,
    /// Call-IDs that it follows.
    pub dialogs: u64,
    /// Messages that found no room.
    pub missed: u64,
}

/// How the messages of a trace are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TraceFormat {
    /// One object a message.
    Json,
    /// A line a message: who says what to whom.
    Ladder,
    /// Every message in full.
    Text,
    /// A capture file.
    Pcapng,
}

impl TraceFormat {
    fn content_type(self) -> &'static str {
        match self {
            TraceFormat::Json => "application/json",
            TraceFormat::Ladder | TraceFormat::Text => "text/plain; charset=utf-8",
            TraceFormat::Pcapng => "application/x-pcapng",
        }
    }
}

#[derive(Serialize)]
struct OnWire {
    id: u64,
    follows: String,
    running: bool,
    since: String,
    until: String,
    messages: u64,
    bytes: u64,
    dialogs: u64,
    missed: u64,
}

impl From<TraceView> for OnWire {
    fn from(trace: TraceView) -> OnWire {
        let TraceView { id, label, since, until, is_running, messages, bytes, dialogs, missed } =
            trace;
        OnWire {
            id,
            follows: label,
            running: is_running,
            since: format_utc(since),
            until: format_utc(until),
            messages,
            bytes,
            dialogs,
            missed,
        }
    }
}

/// Exactly one of the first four.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    call: Option<String>,
    account: Option<String>,
    trunk: Option<String>,
    address: Option<String>,
    seconds: Option<u64>,
}

async fn begin(State(api): Shared, command: Command) -> Result<Response, Stop> {
    let wanted: Wanted = command.json()?;
    let seconds = wanted.seconds.unwrap_or(SECONDS);
    if !(1..=SECONDS_MAX).contains(&seconds) {
        let what = format!("write 1 to {SECONDS_MAX}");
        return Err(Problem::invalid("seconds", what).into());
    }
    let mut turn = api.begin(&command).await?;
    let (followed, label) = followed(&api, &mut turn, wanted).await?;
    let new = NewTrace { followed, label, length: Duration::from_secs(seconds) };
    let begun = api.control.begin_trace(new);
    let begun = begun.map_err(|why| Problem::new(409, "too_many_traces", why))?;
    api.finish(turn, Touched::Money, 201, &OnWire::from(begun)).await
}

async fn followed(api: &Api, turn: &mut Turn, wanted: Wanted) -> Result<(Followed, String), Stop> {
    match (wanted.call, wanted.account, wanted.trunk, wanted.address) {
        (Some(call), None, None, None) => {
            let call = live_call(api, &call).await?;
            Ok((Followed::Call(call), format!("call {call}")))
        }
        (None, Some(name), None, None) => {
            let account = turn.change.account(&name).await?;
            Ok((Followed::Account(account.id), format!("account {}", account.name)))
        }
        (None, None, Some(name), None) => {
            let trunk = turn.change.trunk(&name).await?;
            Ok((Followed::Trunk(trunk.id), format!("trunk {}", trunk.name)))
        }
        (None, None, None, Some(address)) => {
            let wrong = |_| Problem::invalid("address", "write an IP address without a port");
            let address: IpAddr = address.parse().map_err(wrong)?;
            Ok((Followed::Address(address), format!("address {address}")))
        }
        _ => {
            let what = "write exactly one of call, account, trunk and address";
            Err(Problem::new(422, "invalid_body", what).into())
        }
    }
}

/// Our call id, or the Call-ID of the caller's INVITE.
async fn live_call(api: &Api, id: &str) -> Result<CallId, Problem> {
    let wanted: Option<CallId> = id.parse().ok();
    let calls = api.control.live_calls().await;
    let found = calls.iter().find(|live| wanted == Some(live.call) || live.sip_call_id == id);
    found.map(|live| live.call).ok_or_else(|| {
        let what = format!(
            "{id:?} is no live call; to see calls that are to come, follow an account, \
                            a trunk or an address"
        );
        Problem::new(404, "not_found", what)
    })
}

async fn list(State(api): Shared) -> Json<List<OnWire>> {
    Json(List { items: api.control.traces().into_iter().map(OnWire::from).collect() })
}

fn no_trace(id: u64) -> Problem {
    let what = format!("there is no trace {id} (any more); they are forgotten at a restart");
    Problem::new(404, "not_found", what)
}

async fn show(State(api): Shared, Path(id): Path<u64>) -> Result<Json<OnWire>, Problem> {
    let trace = api.control.traces().into_iter().find(|trace| trace.id == id);
    trace.map(|trace| Json(OnWire::from(trace))).ok_or_else(|| no_trace(id))
}

/// Naturally idempotent: a trace that has ended stays ended.
async fn end(State(api): Shared, Path(id): Path<u64>) -> Result<Json<OnWire>, Problem> {
    api.control.end_trace(id).map(|trace| Json(trace.into())).ok_or_else(|| no_trace(id))
}

async fn remove(
    State(api): Shared,
    Path(id): Path<u64>,
) -> Result<Json<serde_json::Value>, Problem> {
    match api.control.remove_trace(id) {
        true => Ok(Json(serde_json::json!({ "removed": id }))),
        false => Err(no_trace(id)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    format: Option<TraceFormat>,
}

async fn messages(
    State(api): Shared,
    Path(id): Path<u64>,
    Query(form): Query<Form>,
) -> Result<Response, Problem> {
    let format = form.format.unwrap_or(TraceFormat::Json);
    let control = Arc::clone(&api.control);
    // Many megabytes may have to be written out.
    let written = tokio::task::spawn_blocking(move || control.trace_messages(id, format)).await;
    let written = written.ok().flatten().ok_or_else(|| no_trace(id))?;
    Ok(([(CONTENT_TYPE, format.content_type())], written).into_response())
}
