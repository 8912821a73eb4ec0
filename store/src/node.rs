//! Several nodes on one database on a server: who is who, and which start of each is the newest. A
//! Tandem without a name has its database to itself: it is node 1, and nothing of this is asked.

use std::time::Duration;

use crate::data_dir::DataDir;
use crate::recovery::OpenError;
use crate::sql::{self, Connection, Database, Pool, Transaction};

/// The number of a node, and of a Tandem that has its database to itself.
pub(crate) type NodeNumber = i64;
/// That of the latter.
pub(crate) const ALONE: NodeNumber = 1;

/// PostgreSQL's clock in microseconds: the only one by which a node's time is measured by others.
pub(crate) const DATABASE_NOW: &str =
    "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)";

/// What the configuration says about this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSettings {
    /// Unique among the nodes of a database.
    pub name: String,
    /// Its leases hold so long without a sign of life.
    pub lease_ttl: Duration,
}

/// A node that has begun: one start of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its number, given at its first start.
    pub id: NodeNumber,
    /// Its name.
    pub name: String,
    /// Which start of it this is.
    pub epoch: i64,
    /// Its leases hold so long without a sign of life.
    pub lease_ttl: Duration,
}

/// Why a node cannot use the database.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A file is for one.
    #[error("several nodes need PostgreSQL: write [database] url, or remove [node]")]
    NeedsServer,
    /// Two nodes of one name.
    #[error(
        "node {0:?} is another data directory; give this one a name of its own in [node], or start \
         it from the data directory that node {0:?} was started from"
    )]
    NameTaken(String),
    /// One node of two names.
    #[error("this data directory is node {0:?}; write that name in [node]")]
    Renamed(String),
    /// An operator gave it up.
    #[error(
        "node {0:?} was given up with `tandem node forget`, and what its journal had not yet told \
         the database with it; start a new data directory under another name"
    )]
    Lost(String),
    /// Another start of the same node.
    #[error("{0}")]
    Superseded(String),
    /// A Tandem without a name on a database of several.
    #[error("the database {0} is shared by nodes; write [node] name = \"…\" in the configuration")]
    Shared(String),
}

/// Who writes what a journal says into the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Writer {
    /// Whose journal it is.
    pub(crate) node: NodeNumber,
    /// Which start of it; an earlier one can write no more.
    pub(crate) epoch: i64,
    /// There are other nodes.
    pub(crate) is_shared: bool,
}

/// Says whose database it is, or joins those whose it is. What lies in a file needs no word: it lies
/// beside its journal, and dies with the process that writes it.
pub(crate) async fn join(
    data: &DataDir,
    pool: &Pool,
    database: &Database,
    settings: Option<&NodeSettings>,
) -> Result<(Writer, Option<Node>), OpenError> {
    let alone = Writer { node: ALONE, epoch: 0, is_shared: false };
    if database.file().is_some() {
        return match settings {
            Some(_) => Err(NodeError::NeedsServer.into()),
            None => Ok((alone, None)),
        };
    }
    let identity = data.identity()?;
    let mut transaction = pool.begin_command().await?;
    let id = match settings {
        Some(settings) => find(&mut transaction, &identity, database, &settings.name).await?,
        None => {
            claim(&mut transaction, &identity, database).await?;
            ALONE
        }
    };
    // Waits for what an earlier start was about to commit when it died, or keeps it from it.
    let sql = "UPDATE applied SET epoch = epoch + 1 WHERE node = ? RETURNING epoch";
    let epoch = sql::query_scalar(sql).bind(id).fetch_one(&mut *transaction).await?;
    let mut node = None;
    if let Some(NodeSettings { name, lease_ttl }) = settings {
        let (name, lease_ttl) = (name.clone(), *lease_ttl);
        node = Some(Node { id, name, epoch, lease_ttl });
        let ttl = i64::try_from(lease_ttl.as_micros()).unwrap_or(i64::MAX);
        let sql = format!(
            "UPDATE node SET epoch = ?1, turn = turn + 1, state = 'up', lease_ttl_us = ?2, \
             started_at = {DATABASE_NOW}, seen_at = {DATABASE_NOW}, \
             expires_at = {DATABASE_NOW} + ?2 WHERE id = ?3"
        );
        sql::query(&sql).bind(epoch).bind(ttl).bind(id).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok((Writer { node: id, epoch, is_shared: node.is_some() }, node))
}

/// A database on a server is told to whom it belongs, so that the journals of two directories never
/// get mixed up in it.
async fn claim(
    connection: &mut Connection,
    identity: &str,
    database: &Database,
) -> Result<(), OpenError> {
    let nodes: i64 =
        sql::query_scalar("SELECT count(*) FROM node").fetch_one(&mut *connection).await?;
    if nodes > 0 {
        return Err(NodeError::Shared(database.to_string()).into());
    }
    let sql = "INSERT INTO setting (name, value) VALUES ('data_directory', ?) \
               ON CONFLICT (name) DO UPDATE SET value = setting.value RETURNING value";
    let owner: String = sql::query_scalar(sql).bind(identity).fetch_one(connection).await?;
    if owner == identity {
        return Ok(());
    }
    Err(OpenError::AnotherDirectory { at: database.to_string() })
}

/// The node of this name; enrolled if it is new.
async fn find(
    connection: &mut Connection,
    identity: &str,
    database: &Database,
    name: &str,
) -> Result<NodeNumber, OpenError> {
    let sql = "SELECT id, name, directory, state FROM node WHERE name = ? OR directory = ?";
    let rows = sql::query(sql).bind(name).bind(identity).fetch_all(&mut *connection).await?;
    let mut known = None;
    for row in rows {
        let (id, called): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
        let (directory, state): (String, String) = (row.try_get(2)?, row.try_get(3)?);
        if directory != identity {
            return Err(NodeError::NameTaken(name.to_owned()).into());
        }
        if called != name {
            return Err(NodeError::Renamed(called).into());
        }
        if state == "lost" {
            return Err(NodeError::Lost(called).into());
        }
        known = Some(id);
    }
    match known {
        Some(id) => Ok(id),
        None => enrol(connection, identity, database, name).await,
    }
}

/// A node's first start. The data directory to which the database belonged alone stays node 1, with
/// all that its journal has told so far.
async fn enrol(
    connection: &mut Connection,
    identity: &str,
    database: &Database,
    name: &str,
) -> Result<NodeNumber, OpenError> {
    let sql = "SELECT value FROM setting WHERE name = 'data_directory'";
    let owner: Option<String> = sql::query_scalar(sql).fetch_optional(&mut *connection).await?;
    let nodes: i64 =
        sql::query_scalar("SELECT count(*) FROM node").fetch_one(&mut *connection).await?;
    if nodes == 0 && owner.is_some_and(|owner| owner != identity) {
        return Err(OpenError::AnotherDirectory { at: database.to_string() });
    }
    let id = if nodes == 0 {
        let sql = "INSERT INTO node_pending (node, account_id, debits_pending, credits_pending) \
                   SELECT ?, account_id, debits_pending, credits_pending FROM account_balance \
                   WHERE debits_pending <> 0 OR credits_pending <> 0";
        sql::query(sql).bind(ALONE).execute(&mut *connection).await?;
        ALONE
    } else {
        let highest = "SELECT max(node) FROM applied";
        let highest: i64 = sql::query_scalar(highest).fetch_one(&mut *connection).await?;
        let sql =
            "INSERT INTO applied (node, position, replay_from, journal_at) VALUES (?, 0, 0, 0)";
        sql::query(sql).bind(highest + 1).execute(&mut *connection).await?;
        highest + 1
    };
    let sql = "INSERT INTO node (id, name, directory, epoch, state, lease_ttl_us, started_at, \
               seen_at, expires_at) VALUES (?, ?, ?, 0, 'up', 0, 0, 0, 0)";
    sql::query(sql).bind(id).bind(name).bind(identity).execute(connection).await?;
    Ok(id)
}

/// The number of this start, the same for no two starts of all nodes. `seen` is the highest that was
/// found in records.
pub(crate) async fn next_start(
    data: &DataDir,
    pool: &Pool,
    node: Option<&Node>,
    seen: Option<u32>,
) -> Result<u32, OpenError> {
    if node.is_none() {
        return Ok(data.next_start(seen)?);
    }
    let mut transaction: Transaction = pool.begin_command().await?;
    let sql = "SELECT next FROM next_id WHERE of = 'start'";
    let next: i64 = sql::query_scalar(sql).fetch_one(&mut *transaction).await?;
    let given = u32::try_from(next).unwrap_or(u32::MAX).checked_sub(1);
    let start = data.next_start(seen.max(given))?;
    let sql = "UPDATE next_id SET next = ? WHERE of = 'start'";
    sql::query(sql).bind(i64::from(start) + 1).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(start)
}

/// Which node's journal is in a data directory, read only.
pub(crate) async fn number_of(
    connection: &mut Connection,
    identity: Option<&str>,
) -> Result<(NodeNumber, bool), sqlx::Error> {
    let sql = "SELECT id FROM node WHERE directory = ?";
    let known = match identity {
        Some(identity) => sql::query_scalar(sql).bind(identity).fetch_optional(connection).await?,
        None => None,
    };
    Ok(known.map_or((ALONE, false), |id| (id, true)))
}

impl From<NodeError> for OpenError {
    fn from(error: NodeError) -> OpenError {
        OpenError::Node(error)
    }
}
