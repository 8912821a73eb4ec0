//! A call thought through: route, every payer's price, every carrier's cost and profit (O3).

use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use store::directory::ChangeError;
use switch::routing::Recorded;
use vocabulary::{Jurisdiction, Location, NumberError, Utc};

use crate::accounts::moment;
use crate::calls::story_of;
use crate::control::Thought;
use crate::names::Names;
use crate::numbers::word;
use crate::wire::SimulatedCall;
use crate::{Api, Problem, Shared};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    from: Option<String>,
    to: Option<String>,
    at: Option<String>,
    /// A past call: its moment and the trunks as they were then, and who called whom if nothing else is
    /// said.
    like: Option<String>,
    /// Seconds of talk to be priced.
    duration: Option<u32>,
    /// As if the called number were served there (T7).
    lrn: Option<String>,
    /// As if the call had this jurisdiction.
    jurisdiction: Option<String>,
}

/// Priced if nothing is said.
const TALK_SECONDS: u32 = 60;
/// A year: longer talk is a slip of the pen.
const TALK_SECONDS_MAX: u32 = 366 * 86_400;

pub(crate) async fn simulate(
    State(api): Shared,
    Query(asked): Query<Asked>,
) -> Result<Json<SimulatedCall>, Problem> {
    let past = match &asked.like {
        Some(_) if asked.at.is_some() => {
            let what = "leave it out: the moment is that of the call given as like";
            return Err(Problem::invalid("at", what));
        }
        Some(id) => Some(Past::of(&api, id).await?),
        None => None,
    };
    let of_past = |field: &str, said: Option<String>, then: Option<&String>| {
        said.or(then.cloned()).ok_or_else(|| Problem::invalid(field, "write who, or like"))
    };
    let from = of_past("from", asked.from, past.as_ref().and_then(|past| past.from.as_ref()))?;
    let to = of_past("to", asked.to, past.as_ref().map(|past| &past.to))?;
    let at = match &past {
        Some(past) => past.at,
        None => moment("at", asked.at.as_deref(), api.control.now())?,
    };
    let seconds = asked.duration.unwrap_or(TALK_SECONDS);
    if seconds > TALK_SECONDS_MAX {
        let what = format!("write seconds of talk, {TALK_SECONDS_MAX} at most");
        return Err(Problem::invalid("duration", what));
    }
    let mut location = past.as_ref().map(|past| past.location).unwrap_or_default();
    if let Some(lrn) = asked.lrn {
        let wrong = |error: NumberError| Problem::invalid("lrn", error.to_string());
        location.lrn = Some(lrn.parse().map_err(wrong)?);
    }
    if let Some(text) = asked.jurisdiction {
        let words = "inter, intra, undetermined";
        location.jurisdiction = Some(word("jurisdiction", &text, Jurisdiction::from_word, words)?);
    }
    let account = match api.store.account(&from).await {
        Ok(account) => Some(account.id),
        Err(ChangeError::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let talk = Duration::from_secs(seconds.into());
    let (from, to) = (from.as_str(), to.as_str());
    let like = past.as_ref().map(|past| &past.conditions);
    let simulated = api.control.simulate(&Thought { from, account, to, at, talk, like, location });
    let snapshot = api.snapshot().await;
    let names = Names::new(&snapshot.directory, api.store.rate_groups().await?);
    Ok(Json(SimulatedCall::new(simulated, seconds, &snapshot.directory, &names)))
}

/// What is known of a call that is over.
struct Past {
    /// `None` if nobody of ours called.
    from: Option<String>,
    to: String,
    at: Utc,
    conditions: Recorded,
    location: Location,
}

impl Past {
    async fn of(api: &Api, id: &str) -> Result<Past, Problem> {
        let cdrs = story_of(api, id).await?.cdrs;
        let lines = cdrs.iter().flat_map(|cdr| &cdr.decisions);
        let lines = lines.map(|decision| (decision.code.as_str(), decision.sentence.as_str()));
        let first = cdrs.first().expect("a story has a CDR");
        let at = first.started_at;
        let conditions = Recorded::of(at, lines);
        let directory = api.snapshot().await.directory;
        let subscriber = first.subscriber.and_then(|id| directory.subscriber(id));
        let trunk = first.trunk.and_then(|id| directory.trunk(id));
        let from = subscriber.map(|row| row.username.clone()).or(trunk.map(|row| row.name.clone()));
        let location = Location {
            lrn: first.lrn.as_deref().and_then(|lrn| lrn.parse().ok()),
            jurisdiction: first.jurisdiction.as_deref().and_then(Jurisdiction::from_word),
        };
        Ok(Past { from, to: first.cld.clone(), at, conditions, location })
    }
}
