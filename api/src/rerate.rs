//! Pricing calls again: re-rating (J-25, J-26) and recycling (J-27, J-28). A preview and a run go
//! the same way; the run also books. Both go on when the request that started them has ended, and
//! are asked about by their id.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use billing::{
    Draft, Effect, RateBook, RatedCall, Rerated, Sides, Zone, carrier_order, dry_run, reprice,
};
use serde::Deserialize;
use serde_json::{Value, json};
use store::directory::ChangeError;
use store::rerate::{Cursor, SelectedCall, Selection};
use switch::directory::Directory;
use switch::routing::{RoutePolicy, RouteTarget};
use vocabulary::{AccountId, Utc};

use crate::accounts::moment_in;
use crate::command::{Command, Stop, Touched};
use crate::wire::{self, List};
use crate::{Api, Problem, Shared, Snapshot};

/// Who starts runs: the API knows one token.
const ADMINISTRATOR: &str = "administrator";
/// Previews and runs whose effect is remembered.
const REMEMBERED: usize = 100;
/// Ids of previews, which are in no table.
const PREVIEWS: u64 = 1 << 48;

/// What is under way, and what it has done.
#[derive(Default)]
pub(crate) struct Runs {
    /// One books at a time: it reads a call's last generation and writes the next.
    booking: tokio::sync::Mutex<()>,
    progress: Mutex<BTreeMap<u64, Progress>>,
}

#[derive(Clone, Default)]
struct Progress {
    effect: Effect,
    written: u64,
    is_done: bool,
    failure: Option<String>,
}

impl Runs {
    fn note(&self, id: u64, change: impl FnOnce(&mut Progress)) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        change(progress.entry(id).or_default());
        while progress.len() > REMEMBERED {
            progress.pop_first();
        }
    }

    fn get(&self, id: u64) -> Option<Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    fn next_preview(&self) -> u64 {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.last_key_value().map_or(PREVIEWS, |(last, _)| (last + 1).max(PREVIEWS))
    }
}

/// Which calls, and what of them.
#[derive(Clone, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    from: Option<String>,
    till: Option<String>,
    trunk_in: Option<String>,
    trunk_out: Option<String>,
    account: Option<String>,
    site: Option<String>,
    /// Prefixes, with commas between them.
    destination: Option<String>,
    /// payers, carriers or all.
    sides: Option<String>,
    /// Recycling: only what has no price, for this reason or, if it is empty, for any.
    error_code: Option<String>,
    #[serde(default)]
    recycle: bool,
    #[serde(default)]
    preview: bool,
    #[serde(default)]
    reason: String,
}

#[derive(Clone)]
struct Job {
    selection: Selection,
    sides: Sides,
    /// A dry run: rates that are not in force, in a book that has them.
    draft: Option<(Arc<RateBook>, Draft)>,
}

/// Start and end are mandatory: without them one slip of the hand prices years again (J-25).
pub(crate) fn span(from: Option<&str>, till: Option<&str>) -> Result<(Utc, Utc), Problem> {
    span_in(from, till, None)
}

/// The same, where days begin at midnight of a zone.
pub(crate) fn span_in(
    from: Option<&str>,
    till: Option<&str>,
    zone: Option<&Zone>,
) -> Result<(Utc, Utc), Problem> {
    let mandatory = "is mandatory; write a moment in UTC such as 2026-12-01T08:00:00Z";
    let (Some(from), Some(till)) = (from, till) else {
        let missing = if from.is_none() { "from" } else { "till" };
        return Err(Problem::invalid(missing, mandatory));
    };
    let from = moment_in("from", from, zone)?;
    let till = moment_in("till", till, zone)?;
    if till <= from {
        return Err(Problem::invalid("till", "is not after `from`; write a later moment"));
    }
    Ok((from, till))
}

impl Api {
    pub(crate) async fn trunk_named(
        &self,
        field: &str,
        name: Option<&str>,
    ) -> Result<Option<vocabulary::TrunkId>, Problem> {
        let Some(name) = name else { return Ok(None) };
        let trunks = self.store.trunks().await?;
        let found = trunks.iter().find(|trunk| trunk.name == name || trunk.id.to_string() == name);
        let missing = || Problem::invalid(field, format!("there is no trunk {name:?}"));
        Ok(Some(found.ok_or_else(missing)?.id))
    }

    /// A site of the account by its name.
    pub(crate) async fn site_named(
        &self,
        name: Option<&str>,
        account: Option<AccountId>,
    ) -> Result<Option<u64>, Problem> {
        let Some(name) = name else { return Ok(None) };
        let Some(account) = account else {
            return Err(Problem::invalid("account", "name the account that the site is of"));
        };
        let sites = self.store.sites(account).await?;
        let site = sites.iter().find(|site| site.name == name);
        let missing = || Problem::invalid("site", format!("there is no site {name:?}"));
        Ok(Some(site.ok_or_else(missing)?.id))
    }

    async fn job(&self, asked: &Asked) -> Result<Job, Problem> {
        let (from, till) = span(asked.from.as_deref(), asked.till.as_deref())?;
        let account = match &asked.account {
            Some(name) => Some(self.store.account(name).await?.id),
            None => None,
        };
        let site = self.site_named(asked.site.as_deref(), account).await?;
        let prefixes: Vec<String> = asked.destination.as_deref().map_or(Vec::new(), |text| {
            text.split(',').map(|prefix| prefix.trim().trim_start_matches('+').to_owned()).collect()
        });
        let is_prefix =
            |text: &String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !prefixes.iter().all(is_prefix) {
            let what = "write the first digits of numbers, with commas between, such as 49,4420";
            return Err(Problem::invalid("destination", what));
        }
        let sides = match (asked.recycle, asked.sides.as_deref()) {
            (true, _) => Sides::Unpriced,
            (false, None | Some("all")) => Sides::All,
            (false, Some("payers")) => Sides::Payers,
            (false, Some("carriers")) => Sides::Carriers,
            (false, Some(_)) => {
                return Err(Problem::invalid("sides", "write all, payers or carriers"));
            }
        };
        let error_code = match (asked.recycle, &asked.error_code) {
            (true, code) => Some(code.clone().unwrap_or_default()),
            (false, None) => None,
            (false, Some(_)) => {
                return Err(Problem::invalid("error_code", "is for recycling only"));
            }
        };
        let selection = Selection {
            trunk_in: self.trunk_named("trunk_in", asked.trunk_in.as_deref()).await?,
            trunk_out: self.trunk_named("trunk_out", asked.trunk_out.as_deref()).await?,
            account,
            site,
            prefixes,
            error_code,
            ..Selection::between(from, till)
        };
        Ok(Job { selection, sides, draft: None })
    }

    /// Prices all calls of the job with the present rates; `run` also books.
    async fn price_again(&self, id: u64, run: Option<u64>, job: &Job) -> Result<(), ChangeError> {
        let _booking = match run {
            Some(_) => Some(self.runs.booking.lock().await),
            None => None,
        };
        // What was booked before must be in the tables: generations are read there.
        self.control.written().await;
        let Snapshot { rate_book, directory } = self.snapshot().await;
        let mut next = Some(Cursor::before(&job.selection));
        while let Some(cursor) = next {
            let batch = self.store.selected_calls(&job.selection, cursor).await?;
            next = batch.next;
            let (book, control) = (Arc::clone(&rate_book), Arc::clone(&self.control));
            let (sides, draft, directory) = (job.sides, job.draft.clone(), Arc::clone(&directory));
            let now = self.control.now();
            let priced = tokio::task::spawn_blocking(move || {
                let currency =
                    |account: AccountId| control.balance(account).map(|view| view.terms.currency);
                let mut effect = Effect::default();
                let mut records = Vec::new();
                for SelectedCall { call, .. } in batch.calls {
                    let repriced = match &draft {
                        Some((drafted, draft)) => dry_run(drafted, &currency, &call, *draft),
                        None => reprice(&book, &currency, &call, sides),
                    };
                    effect.add(&call, &repriced);
                    let order = draft.as_ref().and_then(|(drafted, draft)| {
                        let candidates = candidates(&directory, &call);
                        carrier_order(drafted, &currency, &call, &candidates, *draft)
                    });
                    if let Some(order) = order {
                        effect.add_order(&call, &repriced, order);
                    }
                    if let Some(run) = run {
                        records.extend(Rerated::new(run, now, &call, repriced));
                    }
                }
                (effect, records)
            });
            let (effect, records) = priced.await.expect("pricing does not panic");
            let count = records.len() as u64;
            if count > 0 {
                let refused = self.control.rerate(records).await;
                if let Some(why) = refused {
                    self.runs.note(id, |progress| progress.failure = Some(why));
                    return Ok(());
                }
            }
            self.runs.note(id, |progress| {
                progress.effect.merge(effect);
                progress.written += count;
            });
            if let Some(run) = run {
                self.note_run(id, run, None).await?;
            }
        }
        if let Some(run) = run {
            self.note_run(id, run, Some(self.control.now())).await?;
        }
        Ok(())
    }

    async fn note_run(&self, id: u64, run: u64, ended: Option<Utc>) -> Result<(), ChangeError> {
        let Some(progress) = self.runs.get(id) else { return Ok(()) };
        let refused = progress.effect.refused.values().sum();
        let counts = (progress.effect.calls, progress.written, refused);
        self.store.note_run(run, counts, ended).await
    }
}

/// The carriers that the present routes would offer a call, in the order of routing.
fn candidates(directory: &Directory, call: &RatedCall) -> Vec<(u16, AccountId)> {
    if !call.kind.is_carried() {
        return Vec::new();
    }
    let targets = directory.routes(&call.by.cld).map_or(&[][..], |(_, targets)| targets);
    let policy = directory.route_prefix(&call.by.cld).map(|row| row.policy);
    let is_by_cost = policy == Some(RoutePolicy::LeastCost);
    let candidate = |target: &RouteTarget| {
        let trunk = directory.trunk(target.trunk).filter(|row| row.is_active);
        let trunk = trunk.filter(|row| call.trunk != Some(row.id))?;
        Some((if is_by_cost { 0 } else { target.priority }, trunk.account))
    };
    targets.iter().filter_map(candidate).collect()
}

fn spawn(api: &Arc<Api>, id: u64, run: Option<u64>, job: Job) {
    let api = Arc::clone(api);
    api.runs.note(id, |_| {});
    tokio::spawn(async move {
        let result = api.price_again(id, run, &job).await;
        if let Err(error) = &result {
            tracing::error!(%error, run = id, "pricing calls again stopped");
        }
        api.runs.note(id, |progress| {
            progress.is_done = true;
            if let Err(error) = result {
                progress.failure = Some(error.to_string());
            }
        });
    });
}

/// Prices the calls of this span with rates that are not in force, and answers as a preview does.
pub(crate) fn start_dry_run(
    api: &Arc<Api>,
    (from, till): (Utc, Utc),
    book: Arc<RateBook>,
    draft: Draft,
) -> Response {
    let id = api.runs.next_preview();
    let selection = Selection::between(from, till);
    let job = Job { selection, sides: Sides::All, draft: Some((book, draft)) };
    spawn(api, id, None, job);
    let answer = json!({ "run": id, "state": "running", "preview": true });
    (StatusCode::ACCEPTED, Json(answer)).into_response()
}

/// Starts a preview or a run, and answers its id: a repeat of the command starts nothing.
pub(crate) async fn start(State(api): Shared, command: Command) -> Result<Response, Stop> {
    let asked: Asked = command.json()?;
    let job = api.job(&asked).await?;
    if asked.preview {
        let id = api.runs.next_preview();
        spawn(&api, id, None, job);
        let answer = json!({ "run": id, "state": "running", "preview": true });
        return Ok((StatusCode::ACCEPTED, Json(answer)).into_response());
    }
    if asked.reason.trim().is_empty() {
        return Err(Problem::invalid("reason", "say why, for those who read it later").into());
    }
    let selection = serde_json::to_string(&asked).expect("plain fields are always JSON");
    let mut turn = api.begin(&command).await?;
    let now = api.control.now();
    let run =
        turn.change.begin_run(asked.recycle, &selection, &asked.reason, ADMINISTRATOR, now).await?;
    let answer = json!({ "run": run, "state": "running", "preview": false });
    let answered = api.finish(turn, Touched::Money, 202, &answer).await?;
    spawn(&api, run, Some(run), job);
    Ok(answered)
}

/// All runs, the newest first.
pub(crate) async fn list(State(api): Shared) -> Result<Json<List<Value>>, Problem> {
    let runs = api.store.runs().await?;
    Ok(Json(List { items: runs.iter().map(wire::run).collect() }))
}

/// One run or preview, with what it did so far.
pub(crate) async fn show(State(api): Shared, Path(id): Path<u64>) -> Result<Json<Value>, Problem> {
    if let Some(progress) = api.runs.get(id) {
        let names = api.snapshot().await.directory;
        let mut answer = wire::effect(&progress.effect, &names);
        let state = match (progress.is_done, &progress.failure) {
            (_, Some(_)) => "failed",
            (true, None) => "done",
            (false, None) => "running",
        };
        answer["run"] = id.into();
        answer["preview"] = (id >= PREVIEWS).into();
        answer["state"] = state.into();
        answer["written"] = progress.written.into();
        answer["failure"] = progress.failure.into();
        return Ok(Json(answer));
    }
    let runs = api.store.runs().await?;
    let run = runs.iter().find(|run| run.id == id);
    let missing = || Problem::new(404, "not_found", format!("there is no run {id}"));
    Ok(Json(wire::run(run.ok_or_else(missing)?)))
}
