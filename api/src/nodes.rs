//! The nodes that share the database.

use axum::Json;
use axum::extract::{Path, State};
use billing::Money;
use serde::Serialize;
use store::directory::ChangeError;
use store::moment::format_utc;
use store::{Forgotten, NodeState};

use crate::wire::List;
use crate::{Problem, Shared};

/// One node, on the wire.
#[derive(Serialize)]
pub(crate) struct NodeOnWire {
    name: String,
    number: i64,
    epoch: i64,
    /// `up`, `down` or `lost`.
    state: String,
    started_at: String,
    seen_at: String,
    /// Seconds since it was last heard of.
    silent_s: u64,
    lease_ttl_s: u64,
    /// Of how many accounts it has leased something.
    accounts: u64,
    /// What it has leased and not charged, such as `12.500000 EUR`.
    leased: String,
    /// Of that, what it may have used: no other node gets it before this one is back.
    claimed: String,
    /// Seconds of bundles that it has leased and not used,
    leased_bundle_s: i64,
    /// and of them those that it may have used.
    claimed_bundle_s: i64,
    journal_applied: u64,
}

impl From<NodeState> for NodeOnWire {
    fn from(node: NodeState) -> NodeOnWire {
        NodeOnWire {
            name: node.name,
            number: node.id,
            epoch: node.epoch,
            state: node.state,
            started_at: format_utc(node.started_at),
            seen_at: format_utc(node.seen_at),
            silent_s: node.silent.as_secs(),
            lease_ttl_s: node.lease_ttl.as_secs(),
            accounts: node.accounts,
            leased: amounts(&node.leased),
            claimed: amounts(&node.claimed),
            leased_bundle_s: node.leased_seconds,
            claimed_bundle_s: node.claimed_seconds,
            journal_applied: node.applied,
        }
    }
}

fn amounts(amounts: &[(String, Money)]) -> String {
    let texts: Vec<String> =
        amounts.iter().map(|(code, money)| format!("{money} {code}")).collect();
    texts.join(", ")
}

/// All nodes; none if the database is this Tandem's alone.
pub(crate) async fn list(State(api): Shared) -> Result<Json<List<NodeOnWire>>, Problem> {
    let nodes = api.store.nodes().await?;
    Ok(Json(List { items: nodes.into_iter().map(NodeOnWire::from).collect() }))
}

/// What is given up with a node.
#[derive(Serialize)]
pub(crate) struct ForgottenOnWire {
    node: String,
    /// At most so much talk is not charged.
    uncharged: String,
    /// At most so many seconds of bundles were used, and are free again.
    untold_bundle_s: i64,
    /// Calls that have no CDR, as far as they were known.
    open_calls: u64,
}

/// Gives a silent node up for good.
pub(crate) async fn forget(
    State(api): Shared,
    Path(name): Path<String>,
) -> Result<Json<ForgottenOnWire>, Problem> {
    let forgotten = api.store.forget_node(&name).await.map_err(|error| match error {
        ChangeError::InUse(what) => Problem::new(409, "node_not_silent", what),
        other => other.into(),
    })?;
    let Forgotten { uncharged, untold_seconds, open_calls } = forgotten;
    tracing::warn!(node = %name, ?uncharged, untold_seconds, open_calls, "a node was given up");
    let (uncharged, untold_bundle_s) = (amounts(&uncharged), untold_seconds);
    Ok(Json(ForgottenOnWire { node: name, uncharged, untold_bundle_s, open_calls }))
}
