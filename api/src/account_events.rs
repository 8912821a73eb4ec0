//! What happened to accounts (P-013), the oldest first, for people and for systems that act on it.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use store::directory::{AccountEvent, EVENTS_MAX, EventFilter, event_kinds};
use store::moment::format_utc;
use vocabulary::AccountId;

use crate::wire::Page;
use crate::{Api, Problem, Shared};

#[derive(Serialize)]
struct EventOnWire {
    id: u64,
    account: u64,
    at: String,
    kind: String,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle: Option<u64>,
}

impl From<AccountEvent> for EventOnWire {
    fn from(event: AccountEvent) -> EventOnWire {
        EventOnWire {
            id: event.id,
            account: event.account.0,
            at: format_utc(event.at),
            kind: event.kind,
            detail: event.detail,
            left: event.left.map(|left| left.to_string()),
            threshold: event.threshold.map(|threshold| threshold.to_string()),
            bundle: event.bundle,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    account: Option<String>,
    /// Words with commas between them.
    kind: Option<String>,
    #[serde(default)]
    after: u64,
    limit: Option<u32>,
}

impl Which {
    fn kinds(&self) -> Result<Vec<String>, Problem> {
        let words = self.kind.iter().flat_map(|words| words.split(',')).map(str::trim);
        let known = |word: &str| match event_kinds().any(|kind| kind == word) {
            true => Ok(word.to_owned()),
            false => {
                let all: Vec<&str> = event_kinds().collect();
                let what = format!("{word:?} is not one of {}", all.join(", "));
                Err(Problem::invalid("kind", what))
            }
        };
        words.map(known).collect()
    }
}

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/accounts/{name}/events", get(of_account)).route("/events", get(all))
}

async fn of_account(
    State(api): Shared,
    Path(account): Path<String>,
    Query(which): Query<Which>,
) -> Result<Json<Page<EventOnWire>>, Problem> {
    if which.account.is_some() {
        return Err(Problem::invalid("account", "the path names the account already"));
    }
    let account = api.store.account(&account).await?.id;
    page(&api, Some(account), &which).await
}

async fn all(
    State(api): Shared,
    Query(which): Query<Which>,
) -> Result<Json<Page<EventOnWire>>, Problem> {
    let account = match &which.account {
        Some(name) => Some(api.store.account(name).await?.id),
        None => None,
    };
    page(&api, account, &which).await
}

/// `next` is there even if the page is not full: events go on, and whoever follows them asks for what
/// is after the last one seen.
async fn page(
    api: &Api,
    account: Option<AccountId>,
    which: &Which,
) -> Result<Json<Page<EventOnWire>>, Problem> {
    let (kinds, after) = (which.kinds()?, which.after);
    let limit = which.limit.unwrap_or(EVENTS_MAX);
    api.control.catch_up().await;
    let events = api.store.account_events(&EventFilter { account, kinds, after, limit }).await?;
    let next = events.last().map(|event| event.id.to_string());
    Ok(Json(Page { items: events.into_iter().map(EventOnWire::from).collect(), next }))
}
