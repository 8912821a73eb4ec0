//! Where subscribers have their calls go.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use store::directory::NO_ANSWER_AFTER;
use switch::forwarding::{Forwards, NoAnswer};

use crate::command::{Command, Stop, Touched};
use crate::wire::nullable;
use crate::{Api, Problem, Shared};

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/subscribers/{username}/forwarding", get(show).patch(set))
}

#[derive(Serialize)]
struct OnWire {
    /// All calls; null: they ring its phones.
    always: Option<String>,
    busy: Option<String>,
    no_answer: Option<String>,
    /// Seconds that its phones ring before; null without `no_answer`.
    no_answer_after: Option<u64>,
    offline: Option<String>,
}

impl From<Forwards> for OnWire {
    fn from(forwards: Forwards) -> OnWire {
        let Forwards { always, busy, no_answer, offline } = forwards;
        OnWire {
            always: always.map(Into::into),
            busy: busy.map(Into::into),
            no_answer_after: no_answer.as_ref().map(|no_answer| no_answer.after.as_secs()),
            no_answer: no_answer.map(|no_answer| no_answer.to.into()),
            offline: offline.map(Into::into),
        }
    }
}

/// What is left out stays; null takes away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ForwardsChange {
    #[serde(default, deserialize_with = "nullable")]
    always: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    busy: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    no_answer: Option<Option<String>>,
    no_answer_after: Option<u64>,
    #[serde(default, deserialize_with = "nullable")]
    offline: Option<Option<String>>,
}

impl ForwardsChange {
    fn apply(self, forwards: &mut Forwards) -> Result<(), Problem> {
        let set = |target: &mut Option<Box<str>>, wanted: Option<Option<String>>| {
            if let Some(wanted) = wanted {
                *target = wanted.map(Into::into);
            }
        };
        set(&mut forwards.always, self.always);
        set(&mut forwards.busy, self.busy);
        set(&mut forwards.offline, self.offline);
        if let Some(to) = self.no_answer {
            let before = forwards.no_answer.take();
            let after = before.map_or(NO_ANSWER_AFTER, |before| before.after);
            forwards.no_answer = to.map(|to| NoAnswer { to: to.into(), after });
        }
        match (self.no_answer_after, &mut forwards.no_answer) {
            (Some(secs), Some(no_answer)) => no_answer.after = Duration::from_secs(secs),
            (Some(_), None) => {
                let what = "it is only of use with no_answer: say where the calls go then";
                return Err(Problem::invalid("no_answer_after", what));
            }
            (None, _) => {}
        }
        Ok(())
    }
}

async fn show(State(api): Shared, Path(username): Path<String>) -> Result<Json<OnWire>, Problem> {
    Ok(Json(OnWire::from(api.store.forwards(&username).await?)))
}

async fn set(
    State(api): Shared,
    Path(username): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let wanted: ForwardsChange = command.json()?;
    let mut turn = api.begin(&command).await?;
    let mut forwards = turn.change.forwards(&username).await?;
    wanted.apply(&mut forwards)?;
    turn.change.set_forwards(&username, &forwards).await?;
    api.finish(turn, Touched::Directory, 200, &OnWire::from(forwards)).await
}
