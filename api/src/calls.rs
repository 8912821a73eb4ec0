//! Calls: live ones, and why those that are over went as they did.

use axum::Json;
use axum::extract::{Path, State};
use store::query::CallStory;
use vocabulary::CallId;

use crate::names::Names;
use crate::wire::{self, List, Reason};
use crate::{Api, Problem, Shared};

pub(crate) async fn live(State(api): Shared) -> Json<List<wire::Live>> {
    let calls = api.control.live_calls().await;
    let snapshot = api.snapshot().await;
    let now = api.control.now();
    let calls = calls.into_iter().map(|call| wire::Live::new(call, &snapshot.directory, now));
    Json(List { items: calls.collect() })
}

fn no_call(id: &str) -> Problem {
    Problem::new(404, "not_found", format!("there is no call {id:?}"))
}

/// Naturally idempotent: a call that has ended cannot end again.
pub(crate) async fn hang_up(
    State(api): Shared,
    Path(id): Path<String>,
) -> Result<Json<serde_json::Value>, Problem> {
    let call: CallId = id.parse().map_err(|_| no_call(&id))?;
    if !api.control.hang_up(call).await {
        return Err(no_call(&id));
    }
    Ok(Json(serde_json::json!({ "released": call.to_string() })))
}

/// Our call id, or the Call-ID of the caller's INVITE.
pub(crate) async fn why(
    State(api): Shared,
    Path(id): Path<String>,
) -> Result<Json<wire::Why>, Problem> {
    api.control.catch_up().await;
    let (call, others) = find_call(&api, &id).await?;
    let story = api.store.call_story(call).await?.ok_or_else(|| no_call(&id))?;
    let snapshot = api.snapshot().await;
    let history = api.store.charge_history(call).await?;
    let cdr_names = api.store.cdr_names().await?;
    let decisions = story.cdrs.iter().flat_map(|cdr| &cdr.decisions);
    let names = Names::new(&snapshot.directory, api.store.rate_groups().await?);
    let decisions = decisions.map(|decision| Reason {
        code: decision.code.clone(),
        sentence: names.put_into(&decision.sentence),
    });
    Ok(Json(wire::Why {
        call: call.to_string(),
        decisions: decisions.collect(),
        postings: story
            .postings
            .into_iter()
            .map(|posting| wire::Posting::new(posting, &snapshot.directory))
            .collect(),
        legs: story
            .cdrs
            .into_iter()
            .map(|cdr| wire::Cdr::new(cdr, &snapshot.directory, &cdr_names))
            .collect(),
        history: history.iter().map(|past| wire::past(past, &snapshot.directory)).collect(),
        others: others.iter().map(CallId::to_string).collect(),
    }))
}

/// All that is stored of a call that is over.
pub(crate) async fn story_of(api: &Api, id: &str) -> Result<CallStory, Problem> {
    api.control.catch_up().await;
    let (call, _) = find_call(api, id).await?;
    api.store.call_story(call).await?.ok_or_else(|| no_call(id))
}

async fn find_call(api: &Api, id: &str) -> Result<(CallId, Vec<CallId>), Problem> {
    let by_sip = api.store.calls_by_sip_call_id(id).await?;
    if let Some((newest, others)) = by_sip.split_first() {
        return Ok((*newest, others.to_vec()));
    }
    let call: Option<CallId> = id.parse().ok();
    if let Some(call) = call
        && api.control.live_calls().await.iter().any(|live| live.call == call)
    {
        let detail = "the call is not over; its reasons are stored when it ends (see live)";
        return Err(Problem::new(409, "call_is_live", detail));
    }
    call.map(|call| (call, Vec::new())).ok_or_else(|| no_call(id))
}
