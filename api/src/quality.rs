//! Which quality is asked of trunks, and how they stand (T4). What windows say is each node's own: it is
//! neither stored nor shared.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::directory::{AccountEventKind, ChangeError};
use store::moment::format_utc;
use switch::directory::Directory;
use switch::quality::{Demands, QualityChange, QualityRule, QualityRuleId, QualityView, Standing};
use vocabulary::TrunkId;

use crate::command::{Command, Stop, Touched};
use crate::wire::{List, nullable};
use crate::{Api, Problem, Shared};

/// Longer is no number.
const DIGITS_MAX: usize = 31;
/// So many prefixes are named to whoever writes another.
const NAMED_MAX: usize = 12;

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/quality-rules", get(list).patch(set))
        .route("/quality-rules/{id}", delete(remove))
        .route("/trunk-quality", get(windows))
        .route("/trunk-quality/drop", post(drop_trunk))
        .route("/trunk-quality/lift", post(lift_trunk))
}

#[derive(Serialize)]
struct RuleOnWire {
    id: u64,
    trunk: Option<String>,
    prefix: String,
    by_route: bool,
    window_s: u64,
    calls_min: u32,
    asr_min_percent: Option<u8>,
    acd_min_ms: Option<u64>,
    pdd_max_ms: Option<u64>,
    drop_s: u64,
    trial_calls: u32,
    hysteresis_percent: u8,
}

fn millis(limit: Duration) -> u64 {
    limit.as_millis() as u64
}

pub(crate) fn name_of(trunk: TrunkId, directory: &Directory) -> String {
    directory.trunk(trunk).map_or_else(|| trunk.to_string(), |row| row.name.clone())
}

impl RuleOnWire {
    fn new(rule: QualityRule, directory: &Directory) -> RuleOnWire {
        let demands = rule.demands;
        RuleOnWire {
            id: rule.id.0,
            trunk: rule.trunk.map(|id| name_of(id, directory)),
            prefix: rule.prefix.into(),
            by_route: rule.is_by_route,
            window_s: demands.window.as_secs(),
            calls_min: demands.calls_min,
            asr_min_percent: demands.asr_min,
            acd_min_ms: demands.acd_min.map(millis),
            pdd_max_ms: demands.pdd_max.map(millis),
            drop_s: demands.drop.as_secs(),
            trial_calls: demands.trial_calls,
            hysteresis_percent: demands.hysteresis,
        }
    }
}

/// What is left out stays; null takes a limit away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleChange {
    /// Null or left out: each.
    trunk: Option<String>,
    #[serde(default)]
    prefix: String,
    by_route: Option<bool>,
    window_s: Option<u32>,
    calls_min: Option<u32>,
    #[serde(default, deserialize_with = "nullable")]
    asr_min_percent: Option<Option<u8>>,
    #[serde(default, deserialize_with = "nullable")]
    acd_min_ms: Option<Option<u32>>,
    #[serde(default, deserialize_with = "nullable")]
    pdd_max_ms: Option<Option<u32>>,
    drop_s: Option<u32>,
    trial_calls: Option<u32>,
    hysteresis_percent: Option<u8>,
}

impl RuleChange {
    fn of(&self, mut rule: QualityRule) -> QualityRule {
        let before = rule.demands;
        let seconds = |wanted: Option<u32>, before| {
            wanted.map_or(before, |seconds| Duration::from_secs(seconds.into()))
        };
        let limit = |wanted: Option<Option<u32>>, before| match wanted {
            None => before,
            Some(limit) => limit.map(|millis| Duration::from_millis(millis.into())),
        };
        rule.is_by_route = self.by_route.unwrap_or(rule.is_by_route);
        rule.demands = Demands {
            window: seconds(self.window_s, before.window),
            calls_min: self.calls_min.unwrap_or(before.calls_min),
            asr_min: self.asr_min_percent.unwrap_or(before.asr_min),
            acd_min: limit(self.acd_min_ms, before.acd_min),
            pdd_max: limit(self.pdd_max_ms, before.pdd_max),
            drop: seconds(self.drop_s, before.drop),
            trial_calls: self.trial_calls.unwrap_or(before.trial_calls),
            hysteresis: self.hysteresis_percent.unwrap_or(before.hysteresis),
        };
        rule
    }
}

async fn list(State(api): Shared) -> Result<Json<List<RuleOnWire>>, Problem> {
    let rules = api.store.quality_rules().await?;
    let directory = api.snapshot().await.directory;
    let on_wire = |rule| RuleOnWire::new(rule, &directory);
    Ok(Json(List { items: rules.into_iter().map(on_wire).collect() }))
}

/// The rule for this trunk and prefix, a new one if there is none.
async fn set(State(api): Shared, command: Command) -> Result<Response, Stop> {
    let change: RuleChange = command.json()?;
    let prefix = change.prefix.trim_start_matches('+');
    let mut turn = api.begin(&command).await?;
    let trunk = match &change.trunk {
        Some(name) => Some(turn.change.trunk(name).await?.id),
        None => None,
    };
    let before = turn.change.quality_rule(trunk, prefix).await?;
    let before = before.unwrap_or_else(|| QualityRule {
        id: QualityRuleId(0),
        trunk,
        prefix: prefix.into(),
        is_by_route: true,
        demands: Demands::default(),
    });
    let rule = turn.change.set_quality_rule(change.of(before)).await?;
    let on_wire = RuleOnWire::new(rule, &turn.snapshot.directory);
    api.finish(turn, Touched::Directory, 200, &on_wire).await
}

async fn remove(
    State(api): Shared,
    Path(id): Path<u64>,
    command: Command,
) -> Result<Response, Stop> {
    let mut turn = api.begin(&command).await?;
    turn.change.remove_quality_rule(QualityRuleId(id)).await?;
    api.finish(turn, Touched::Directory, 200, &json!({ "removed": id })).await
}

fn window_on_wire(view: &QualityView, directory: &Directory) -> Value {
    let figures = &view.figures;
    let percent = |permille: u16| format!("{}.{}", permille / 10, permille % 10);
    let (since, until, why, placed) = match view.standing {
        Standing::Open => (None, None, None, None),
        Standing::Dropped { since, until, ground } => {
            (Some(since), Some(until), Some(ground.to_string()), None)
        }
        Standing::OnTrial { since, placed, .. } => (Some(since), None, None, Some(placed)),
    };
    json!({
        "trunk": name_of(view.trunk, directory),
        "prefix": view.prefix,
        "rule": view.rule.0,
        "state": view.standing.word(),
        "since": since.map(format_utc),
        "until": until.map(format_utc),
        "why": why,
        "trial_calls": placed,
        "calls": figures.calls,
        "answered": figures.answered,
        "asr_percent": figures.asr_permille().map(percent),
        "acd_ms": figures.acd().map(millis),
        "pdd_ms": figures.pdd().map(millis),
    })
}

async fn windows(State(api): Shared) -> Json<List<Value>> {
    let directory = api.snapshot().await.directory;
    let views = api.control.trunk_quality();
    Json(List { items: views.iter().map(|view| window_on_wire(view, &directory)).collect() })
}

/// Which calls over which trunk.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ByHand {
    trunk: String,
    #[serde(default)]
    prefix: String,
    /// How long it is left; as its rule has it, if not said.
    seconds: Option<u32>,
}

/// Naturally idempotent, as is lifting it.
async fn drop_trunk(State(api): Shared, command: Command) -> Result<Json<Value>, Stop> {
    let asked: ByHand = command.json()?;
    let directory = api.snapshot().await.directory;
    let (trunk, prefix) = named(&asked, &directory)?;
    let rule = judging(&asked, (trunk, prefix), &directory)?;
    let (least, most) = Demands::DROP;
    let wanted = asked.seconds.map(|seconds| Duration::from_secs(seconds.into()));
    let drop_for = wanted.unwrap_or(rule.demands.drop);
    if !(least..=most).contains(&drop_for) {
        let what = format!("write {} to {}", least.as_secs(), most.as_secs());
        return Err(Problem::invalid("seconds", what).into());
    }
    Ok(decide(&api, &asked, (trunk, prefix), Some(drop_for), &directory)?)
}

async fn lift_trunk(State(api): Shared, command: Command) -> Result<Json<Value>, Stop> {
    let asked: ByHand = command.json()?;
    if asked.seconds.is_some() {
        let what = "a trunk is lifted at once; leave it out";
        return Err(Problem::invalid("seconds", what).into());
    }
    let directory = api.snapshot().await.directory;
    let calls = named(&asked, &directory)?;
    judging(&asked, calls, &directory)?;
    Ok(decide(&api, &asked, calls, None, &directory)?)
}

fn named<'a>(asked: &'a ByHand, directory: &Directory) -> Result<(TrunkId, &'a str), Problem> {
    let trunk = directory.trunk_by_name(&asked.trunk);
    let trunk =
        trunk.ok_or_else(|| ChangeError::NotFound { kind: "trunk", name: asked.trunk.clone() })?;
    let prefix = asked.prefix.trim_start_matches('+');
    let is_one = prefix.len() <= DIGITS_MAX && prefix.bytes().all(|byte| byte.is_ascii_digit());
    match is_one {
        true => Ok((trunk.id, prefix)),
        false => Err(Problem::invalid("prefix", "write at most 31 digits, or nothing at all")),
    }
}

/// The rule that is about these calls, if there are any that are judged under this prefix.
fn judging<'a>(
    asked: &ByHand,
    (trunk, prefix): (TrunkId, &str),
    directory: &'a Directory,
) -> Result<&'a QualityRule, Problem> {
    let rule = directory.quality_rules().find(trunk, prefix).ok_or_else(|| no_rule(asked))?;
    let judged = directory.judged_prefixes(trunk, rule);
    // Where all calls of a rule are judged together, each of their prefixes is as good.
    if !judged.is_empty() && !rule.is_by_route || judged.iter().any(|judged| judged == prefix) {
        return Ok(rule);
    }
    let mut named: Vec<String> =
        judged.iter().take(NAMED_MAX).map(|prefix| format!("{prefix:?}")).collect();
    if judged.len() > NAMED_MAX {
        named.push(format!("or one of {} more", judged.len() - NAMED_MAX));
    }
    let what = match named.is_empty() {
        true => format!("no route over trunk {:?} is for such calls; add one first", asked.trunk),
        false => format!("no calls are judged under {prefix:?}; write {}", named.join(", ")),
    };
    Err(Problem::invalid("prefix", what))
}

fn no_rule(asked: &ByHand) -> Problem {
    let ByHand { trunk, prefix, .. } = asked;
    let what = format!(
        "no quality rule is about calls to {prefix:?} over trunk {trunk:?}; to keep a trunk from calls \
         without one, switch off the trunk or remove its route"
    );
    Problem::invalid("prefix", what)
}

fn decide(
    api: &Api,
    asked: &ByHand,
    (trunk, prefix): (TrunkId, &str),
    drop_for: Option<Duration>,
    directory: &Directory,
) -> Result<Json<Value>, Problem> {
    let view = api.control.set_trunk_quality(trunk, prefix, drop_for);
    let view = view.ok_or_else(|| no_rule(asked))?;
    Ok(Json(window_on_wire(&view, directory)))
}

impl Api {
    /// Logs that a trunk is left or back, and stores it as an event of its account. One that cannot be
    /// stored is only logged.
    pub(crate) async fn tell_of_quality(&self, change: QualityChange) {
        let name = self.trunk_name(change.trunk).await;
        let prefix = &*change.prefix;
        let (kind, detail) = match change.standing {
            Standing::Dropped { until, ground, .. } => {
                let until = format_utc(until);
                tracing::warn!(trunk = name, prefix, until, "trunk dropped: {ground}");
                let detail = format!("{name}: calls to {prefix:?}, {ground}; until {until}");
                (AccountEventKind::TrunkDropped, detail)
            }
            Standing::Open | Standing::OnTrial { .. } => {
                tracing::info!(trunk = name, prefix, "trunk back");
                (AccountEventKind::TrunkBack, format!("{name}: calls to {prefix:?}"))
            }
        };
        if let Err(error) = self.keep_quality_event(&change, kind, &detail).await {
            tracing::error!(trunk = name, prefix, %error, "a change of quality is not stored");
        }
    }

    async fn keep_quality_event(
        &self,
        change: &QualityChange,
        kind: AccountEventKind,
        detail: &str,
    ) -> Result<(), ChangeError> {
        let snapshot = self.queue().await;
        let Some(row) = snapshot.directory.trunk(change.trunk) else { return Ok(()) };
        let mut writing = self.store.begin().await?;
        writing.add_event(row.account, kind, detail, change.at).await?;
        writing.commit().await
    }
}
