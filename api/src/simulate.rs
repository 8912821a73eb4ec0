//! A call thought through: route, every payer's price, every carrier's cost and profit (O3).

use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use store::directory::ChangeError;

use crate::accounts::moment;
use crate::control::Thought;
use crate::names::Names;
use crate::wire::SimulatedCall;
use crate::{Problem, Shared};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    from: String,
    to: String,
    at: Option<String>,
    /// Seconds of talk to be priced.
    duration: Option<u32>,
}

/// Priced if nothing is said.
const TALK_SECONDS: u32 = 60;
/// A year: longer talk is a slip of the pen.
const TALK_SECONDS_MAX: u32 = 366 * 86_400;

pub(crate) async fn simulate(
    State(api): Shared,
    Query(asked): Query<Asked>,
) -> Result<Json<SimulatedCall>, Problem> {
    let at = moment("at", asked.at.as_deref(), api.control.now())?;
    let seconds = asked.duration.unwrap_or(TALK_SECONDS);
    if seconds > TALK_SECONDS_MAX {
        let what = format!("write seconds of talk, {TALK_SECONDS_MAX} at most");
        return Err(Problem::invalid("duration", what));
    }
    let account = match api.store.account(&asked.from).await {
        Ok(account) => Some(account.id),
        Err(ChangeError::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let talk = Duration::from_secs(seconds.into());
    let (from, to) = (asked.from.as_str(), asked.to.as_str());
    let simulated = api.control.simulate(&Thought { from, account, to, at, talk });
    let snapshot = api.snapshot().await;
    let names = Names::new(&snapshot.directory, api.store.rate_groups().await?);
    Ok(Json(SimulatedCall::new(simulated, seconds, &snapshot.directory, &names)))
}
