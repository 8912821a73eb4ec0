//! The nodes of a database as operators see them, and what becomes of those that are silent.

use std::time::Duration;

use billing::{Counters, Money};
use vocabulary::{AccountId, Utc};

use crate::directory::{ChangeError, DirectoryStore};
use crate::lease::seconds;
use crate::node::DATABASE_NOW;
use crate::sql::{self, Connection, Pool, Row};

/// The counters of an account in the tables, all nodes together, and what it is owed as a carrier.
pub async fn balance(
    pool: &Pool,
    account: AccountId,
) -> Result<Option<(Counters, Money)>, sqlx::Error> {
    let sql = "SELECT debits_pending, debits_posted, credits_pending, credits_posted, owed \
               FROM account_balance WHERE account_id = ?";
    let row = sql::query(sql).bind(account.0.cast_signed()).fetch_optional(pool).await?;
    let Some(row) = row else { return Ok(None) };
    let counters = Counters {
        debits_pending: Money(row.try_get(0)?),
        debits_posted: Money(row.try_get(1)?),
        credits_pending: Money(row.try_get(2)?),
        credits_posted: Money(row.try_get(3)?),
    };
    Ok(Some((counters, Money(row.try_get(4)?))))
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeState {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Which start of it this is.
    pub epoch: i64,
    /// `up`, `down` (silent for longer than its leases hold) or `lost` (given up).
    pub state: String,
    /// When it started, by the database's clock.
    pub started_at: Utc,
    /// When it was last heard of, by the database's clock.
    pub seen_at: Utc,
    /// How long ago that is.
    pub silent: Duration,
    /// How long its leases hold without a sign of life.
    pub lease_ttl: Duration,
    /// Of how many accounts it has leased something.
    pub accounts: u64,
    /// What it has leased and not charged, by currency.
    pub leased: Vec<(String, Money)>,
    /// Of that, what it may have used.
    pub claimed: Vec<(String, Money)>,
    /// Seconds of bundles that it has leased and not used,
    pub leased_seconds: i64,
    /// and of them those that it may have used.
    pub claimed_seconds: i64,
    /// How far its journal is in the tables.
    pub applied: u64,
}

/// What is given up with a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// What it may have used of its leases and never told, by currency: at most so much talk is not
    /// charged.
    pub uncharged: Vec<(String, Money)>,
    /// Seconds of bundles that it may have used and never told: they are free again.
    pub untold_seconds: i64,
    /// Calls that were long enough to be known, and have no CDR.
    pub open_calls: u64,
}

/// A node is given up only when it has been silent for longer than its own leases hold, and this.
const FORGET_AFTER_US: i64 = 1_000_000;

const NODES: &str = "SELECT n.id, n.name, n.epoch, n.state, n.started_at, n.seen_at, n.lease_ttl_us, \
                     coalesce(a.position, 0) AS position FROM node n \
                     LEFT JOIN applied a ON a.node = n.id ORDER BY n.id";

const LEASED: &str = "SELECT a.currency, count(*), CAST(sum(l.granted - l.spent) AS BIGINT), \
                      CAST(sum(l.claimed - l.spent) AS BIGINT) FROM lease l \
                      JOIN account a ON a.id = l.account_id \
                      WHERE l.node = ? AND l.granted <> l.spent GROUP BY a.currency \
                      ORDER BY a.currency";

impl DirectoryStore {
    /// All nodes; none for a Tandem that has its database to itself.
    pub async fn nodes(&self) -> Result<Vec<NodeState>, ChangeError> {
        let rows = sql::query(NODES).fetch_all(&self.pool).await?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!("SELECT {DATABASE_NOW}");
        let now: i64 = sql::query_scalar(&sql).fetch_one(&self.pool).await?;
        let mut nodes = Vec::with_capacity(rows.len());
        for row in rows {
            nodes.push(self.node_state(&row, now).await?);
        }
        Ok(nodes)
    }

    async fn node_state(&self, row: &Row, now: i64) -> Result<NodeState, ChangeError> {
        let micros = |micros: i64| Duration::from_micros(u64::try_from(micros).unwrap_or(0));
        let (id, seen_at): (i64, i64) = (row.try_get(0)?, row.try_get(5)?);
        let (mut accounts, mut leased, mut claimed) = (0, Vec::new(), Vec::new());
        for row in sql::query(LEASED).bind(id).fetch_all(&self.pool).await? {
            let currency: String = row.try_get(0)?;
            accounts += row.try_get::<i64, _>(1)?.unsigned_abs();
            leased.push((currency.clone(), Money(row.try_get(2)?)));
            claimed.push((currency, Money(row.try_get(3)?)));
        }
        let mut connection = self.pool.begin_read().await?;
        let (leased_seconds, claimed_seconds) = seconds::held(&mut connection, id).await?;
        Ok(NodeState {
            id,
            name: row.try_get(1)?,
            epoch: row.try_get(2)?,
            state: row.try_get(3)?,
            started_at: Utc(row.try_get(4)?),
            seen_at: Utc(seen_at),
            silent: micros(now.saturating_sub(seen_at)),
            lease_ttl: micros(row.try_get(6)?),
            accounts,
            leased,
            claimed,
            leased_seconds,
            claimed_seconds,
            applied: row.try_get::<i64, _>(7)?.unsigned_abs(),
        })
    }

    /// Gives a node up for good: its leases are free, what its journal has not told is never told,
    /// and it cannot come back. Only when it has been silent for longer than its leases hold: by then
    /// it spends nothing any more.
    pub async fn forget_node(&self, name: &str) -> Result<Forgotten, ChangeError> {
        let mut transaction = self.pool.begin_command().await?;
        let sql = format!(
            "SELECT id, state, CASE WHEN expires_at + ? > {DATABASE_NOW} THEN 1 ELSE 0 END \
             FROM node WHERE name = ? FOR UPDATE"
        );
        let row = sql::query(&sql).bind(FORGET_AFTER_US).bind(name);
        let row = row.fetch_optional(&mut *transaction).await?;
        let row = row.ok_or_else(|| ChangeError::not_found("node", name))?;
        let (id, state): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
        if state == "lost" {
            return Err(ChangeError::InUse(format!("node {name:?} was given up before")));
        }
        if row.try_get::<i64, _>(2)? == 1 {
            let what = format!(
                "node {name:?} was heard of less than its lease time ago; stop it, or wait"
            );
            return Err(ChangeError::InUse(what));
        }
        let forgotten = give_up(&mut transaction, id).await?;
        transaction.commit().await?;
        Ok(forgotten)
    }
}

async fn give_up(connection: &mut Connection, node: i64) -> Result<Forgotten, sqlx::Error> {
    // Waits for a batch of its journal that is being written, and lets no other follow.
    let run = async |connection: &mut Connection, sql: &str| {
        sql::query(sql).bind(node).execute(connection).await.map(sql::Done::rows_affected)
    };
    run(connection, "UPDATE applied SET epoch = epoch + 1 WHERE node = ?").await?;
    let mut uncharged = Vec::new();
    for row in sql::query(LEASED).bind(node).fetch_all(&mut *connection).await? {
        uncharged.push((row.try_get(0)?, Money(row.try_get(3)?)));
    }
    lock_accounts(connection, node).await?;
    let balances = "UPDATE account_balance SET leased = account_balance.leased - (l.granted - l.spent) \
                    FROM lease l WHERE l.node = ? AND l.account_id = account_balance.account_id";
    run(connection, balances).await?;
    let pending = "UPDATE account_balance SET \
                   debits_pending = account_balance.debits_pending - p.debits_pending, \
                   credits_pending = account_balance.credits_pending - p.credits_pending \
                   FROM node_pending p WHERE p.node = ? \
                   AND p.account_id = account_balance.account_id";
    run(connection, pending).await?;
    let untold_seconds = seconds::give_up(connection, node).await?;
    let sql = "SELECT count(DISTINCT call_id) FROM open_call WHERE node = ?";
    let open: i64 = sql::query_scalar(sql).bind(node).fetch_one(&mut *connection).await?;
    for table in ["lease", "node_pending", "open_call", "binding"] {
        run(connection, &format!("DELETE FROM {table} WHERE node = ?")).await?;
    }
    run(connection, "UPDATE node SET state = 'lost', epoch = epoch + 1 WHERE id = ?").await?;
    Ok(Forgotten { uncharged, untold_seconds, open_calls: open.unsigned_abs() })
}

/// In the order in which everybody locks them.
async fn lock_accounts(connection: &mut Connection, node: i64) -> Result<(), sqlx::Error> {
    let sql = "SELECT account_id FROM account_balance WHERE account_id IN \
               (SELECT account_id FROM lease WHERE node = ?1 \
                UNION SELECT account_id FROM node_pending WHERE node = ?1) \
               ORDER BY account_id FOR UPDATE";
    sql::query(sql).bind(node).fetch_all(connection).await.map(drop)
}

/// Takes back from nodes that were silent for longer than their leases hold what they cannot have
/// used. What each may have used stays with it until it is back and its journal says. Returns their
/// names.
pub(crate) async fn reclaim(pool: &Pool) -> Result<Vec<String>, sqlx::Error> {
    let silent = format!(
        "SELECT id, name FROM node WHERE state = 'up' AND expires_at < {DATABASE_NOW} ORDER BY id"
    );
    let mut reclaimed = Vec::new();
    for row in sql::query(&silent).fetch_all(pool).await? {
        let (id, name): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
        let mut transaction = pool.begin().await?;
        // Looked at again under the lock that its own questions begin with.
        let sql = format!(
            "UPDATE node SET state = 'down', turn = turn + 1 WHERE id = ? AND state = 'up' \
             AND expires_at < {DATABASE_NOW}"
        );
        let done = sql::query(&sql).bind(id).execute(&mut *transaction).await?;
        if done.rows_affected() == 0 {
            continue;
        }
        lock_accounts(&mut transaction, id).await?;
        let sql = "UPDATE account_balance SET leased = account_balance.leased - (l.granted - l.claimed) \
                   FROM lease l WHERE l.node = ? AND l.account_id = account_balance.account_id";
        sql::query(sql).bind(id).execute(&mut *transaction).await?;
        let sql = "UPDATE lease SET granted = claimed WHERE node = ?";
        sql::query(sql).bind(id).execute(&mut *transaction).await?;
        seconds::cut(&mut transaction, id).await?;
        transaction.commit().await?;
        reclaimed.push(name);
    }
    Ok(reclaimed)
}

/// Is this the node that does what one node does for all: of those that are up, the first?
pub(crate) async fn is_first(pool: &Pool, node: i64) -> Result<bool, sqlx::Error> {
    let sql = format!(
        "SELECT coalesce(min(id), 0) FROM node WHERE state = 'up' AND expires_at >= {DATABASE_NOW}"
    );
    Ok(sql::query_scalar::<i64>(&sql).fetch_one(pool).await? == node)
}
