//! What an account's calls need of their caller's number.

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use store::directory::ChangeError;
use switch::caller_id::{CallerIdPolicy, CliPool};

use crate::command::{Command, Stop, Touched};
use crate::{Api, Problem, Shared};

pub(crate) fn routes() -> Router<std::sync::Arc<Api>> {
    Router::new().route("/accounts/{name}/caller-id", get(show).put(set))
}

#[derive(Serialize)]
struct OnWire {
    pool: &'static str,
}

impl From<&CallerIdPolicy> for OnWire {
    fn from(policy: &CallerIdPolicy) -> OnWire {
        OnWire { pool: policy.pool.word() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    pool: String,
}

impl Wanted {
    fn policy(&self) -> Result<CallerIdPolicy, ChangeError> {
        let pool = CliPool::from_word(&self.pool).ok_or_else(|| {
            let words = CliPool::ALL.map(CliPool::word).join(", ");
            let what = format!("{:?} is not a CLI pool; choose one of {words}", self.pool);
            ChangeError::Invalid { field: "pool", what }
        })?;
        Ok(CallerIdPolicy { pool })
    }
}

async fn show(State(api): Shared, Path(account): Path<String>) -> Result<Json<OnWire>, Problem> {
    let account = api.store.account(&account).await?;
    Ok(Json(OnWire::from(&api.store.caller_id_policy(account.id).await?)))
}

async fn set(
    State(api): Shared,
    Path(account): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let wanted: Wanted = command.json()?;
    let policy = wanted.policy()?;
    let mut turn = api.begin(&command).await?;
    let account = turn.change.account(&account).await?;
    turn.change.set_caller_id_policy(account.id, &policy).await?;
    api.finish(turn, Touched::Directory, 200, &OnWire::from(&policy)).await
}
