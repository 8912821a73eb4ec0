//! Times of the week at which routes hold.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use store::directory::StoredWindow;
use switch::routing::{Span, SpanError, WindowId};

use crate::command::{Command, Stop, Touched};
use crate::wire::List;
use crate::{Api, Problem, Shared};

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/time-windows", get(list))
        .route("/time-windows/{name}", put(set).delete(remove))
}

#[derive(Serialize)]
struct WindowOnWire {
    id: u64,
    name: String,
    zone: String,
    spans: Vec<String>,
    holidays: Vec<String>,
    /// Now.
    open: bool,
}

impl WindowOnWire {
    fn new(window: StoredWindow, open: bool) -> WindowOnWire {
        WindowOnWire {
            id: window.id.0,
            name: window.name,
            zone: window.zone,
            spans: window.spans.iter().map(ToString::to_string).collect(),
            holidays: window.holidays,
            open,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Times {
    zone: String,
    spans: Vec<String>,
    #[serde(default)]
    holidays: Vec<String>,
}

async fn list(State(api): Shared) -> Result<Json<List<WindowOnWire>>, Problem> {
    let windows = api.store.time_windows().await?;
    let now = api.control.now();
    let on_wire = |window: StoredWindow| {
        let open = window.is_open(now)?;
        Ok::<_, Problem>(WindowOnWire::new(window, open))
    };
    Ok(Json(List { items: windows.into_iter().map(on_wire).collect::<Result<_, _>>()? }))
}

/// All of it at once: a window that is changed in part is easily one that nobody meant.
async fn set(
    State(api): Shared,
    Path(name): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let Times { zone, spans, holidays } = command.json()?;
    let span = |text: &String| {
        let fault = |error: SpanError| Problem::invalid("spans", format!("{text:?}: {error}"));
        text.parse::<Span>().map_err(fault)
    };
    let spans = spans.iter().map(span).collect::<Result<Vec<_>, _>>()?;
    let mut turn = api.begin(&command).await?;
    let wanted = StoredWindow { id: WindowId(0), name, zone, spans, holidays };
    let set = turn.change.set_time_window(wanted).await?;
    let open = set.is_open(api.control.now())?;
    api.finish(turn, Touched::Directory, 200, &WindowOnWire::new(set, open)).await
}

async fn remove(
    State(api): Shared,
    Path(name): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let mut turn = api.begin(&command).await?;
    turn.change.remove_time_window(&name).await?;
    api.finish(turn, Touched::Directory, 200, &serde_json::json!({ "removed": name })).await
}
