//! Routes: which trunks a prefix may go to.

use vocabulary::TrunkId;

use super::{Change, ChangeError, DirectoryStore, Result, signed, taken, unsigned};
use crate::sql::{self, Executor, Row};

/// Calls to numbers with this prefix may go to this trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Which; 0 before it is stored.
    pub id: u64,
    /// Digits; empty covers everything.
    pub prefix: String,
    /// The trunk.
    pub trunk: TrunkId,
    /// Its name; only read.
    pub trunk_name: String,
    /// Lower goes first; within one priority the cheapest does.
    pub priority: u16,
}

const SELECT: &str = "SELECT route.*, trunk.name AS trunk_name FROM route
    JOIN trunk ON trunk.id = route.trunk_id";
const ORDER: &str = "ORDER BY route.prefix, route.priority, route.trunk_id";

fn route(row: &Row) -> Result<Route> {
    Ok(Route {
        id: unsigned(row.try_get("id")?),
        prefix: row.try_get("prefix")?,
        trunk: TrunkId(unsigned(row.try_get("trunk_id")?)),
        trunk_name: row.try_get("trunk_name")?,
        priority: row.try_get("priority")?,
    })
}

pub(super) async fn all(executor: impl Executor<'_>) -> Result<Vec<Route>> {
    let rows = sql::query(format!("{SELECT} {ORDER}")).fetch_all(executor).await?;
    rows.iter().map(route).collect()
}

/// For snapshots: those over this trunk.
pub(super) async fn of_trunk(executor: impl Executor<'_>, trunk: TrunkId) -> Result<Vec<Route>> {
    let sql = format!("{SELECT} WHERE route.trunk_id = ? {ORDER}");
    let rows = sql::query(sql).bind(signed(trunk.0)).fetch_all(executor).await?;
    rows.iter().map(route).collect()
}

impl DirectoryStore {
    /// All routes, by prefix and priority.
    pub async fn routes(&self) -> Result<Vec<Route>> {
        all(&self.pool).await
    }
}

impl Change {
    /// Adds a route and gives it its id.
    pub async fn add_route(&mut self, mut route: Route) -> Result<Route> {
        if route.prefix.len() > 31 || !route.prefix.bytes().all(|byte| byte.is_ascii_digit()) {
            let what = "write at most 31 digits, without a plus; nothing at all covers everything";
            return Err(ChangeError::invalid("prefix", what));
        }
        let trunk = self.trunk(&route.trunk.to_string()).await?;
        if trunk.host.is_none() {
            let what = format!("trunk {:?} has no host to send calls to", trunk.name);
            return Err(ChangeError::invalid("trunk", what));
        }
        self.touched.trunk(trunk.id);
        route.id = self.next_id("route").await?;
        sql::query("INSERT INTO route (id, prefix, trunk_id, priority) VALUES (?, ?, ?, ?)")
            .bind(signed(route.id))
            .bind(&route.prefix)
            .bind(signed(route.trunk.0))
            .bind(route.priority)
            .execute(&mut *self.tx)
            .await
            .map_err(|error| {
                let value = format!("{} to {}", route.prefix, trunk.name);
                taken(error, &[("route.trunk_id", "prefix", &value)])
            })?;
        route.trunk_name = trunk.name;
        Ok(route)
    }

    /// Removes a route.
    pub async fn remove_route(&mut self, id: u64) -> Result<()> {
        let row = sql::query("SELECT trunk_id FROM route WHERE id = ?")
            .bind(signed(id))
            .fetch_optional(&mut *self.tx)
            .await?;
        let row = row.ok_or_else(|| ChangeError::not_found("route", &id.to_string()))?;
        self.touched.trunk(TrunkId(unsigned(row.try_get(0)?)));
        sql::query("DELETE FROM route WHERE id = ?")
            .bind(signed(id))
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }
}
