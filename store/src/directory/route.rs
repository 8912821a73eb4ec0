//! Routes: which trunks a prefix may go to.

use switch::routing::WindowId;
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
    /// Lower goes first; within one priority the cheapest does, if the prefix says nothing else.
    pub priority: u16,
    /// Its share of the calls among those of its priority, where they share them.
    pub weight: u16,
    /// When it holds; `None`: always.
    pub window: Option<WindowId>,
    /// The window's name; only read.
    pub window_name: Option<String>,
    /// Calls by it at the same time; `None` is no limit.
    pub calls_max: Option<u32>,
    /// New calls by it in a second; `None` is no limit.
    pub cps_max: Option<u32>,
}

impl Route {
    /// One that always holds and has no limits, to be stored.
    pub fn new(prefix: &str, trunk: TrunkId, priority: u16) -> Route {
        Route {
            id: 0,
            prefix: prefix.into(),
            trunk,
            trunk_name: String::new(),
            priority,
            weight: 1,
            window: None,
            window_name: None,
            calls_max: None,
            cps_max: None,
        }
    }
}

const SELECT: &str = "SELECT route.*, trunk.name AS trunk_name, time_window.name AS window_name
    FROM route JOIN trunk ON trunk.id = route.trunk_id
    LEFT JOIN time_window ON time_window.id = route.window_id";
const ORDER: &str = "ORDER BY route.prefix, route.priority, route.trunk_id";

fn route(row: &Row) -> Result<Route> {
    let window: Option<i64> = row.try_get("window_id")?;
    Ok(Route {
        id: unsigned(row.try_get("id")?),
        prefix: row.try_get("prefix")?,
        trunk: TrunkId(unsigned(row.try_get("trunk_id")?)),
        trunk_name: row.try_get("trunk_name")?,
        priority: row.try_get("priority")?,
        weight: row.try_get("weight")?,
        window: window.map(|id| WindowId(unsigned(id))),
        window_name: row.try_get("window_name")?,
        calls_max: row.try_get("calls_max")?,
        cps_max: row.try_get("cps_max")?,
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

pub(super) fn check_prefix(prefix: &str) -> Result<()> {
    if prefix.len() > 31 || !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
        let what = "write at most 31 digits, without a plus; nothing at all covers everything";
        return Err(ChangeError::invalid("prefix", what));
    }
    Ok(())
}

impl DirectoryStore {
    /// All routes, by prefix and priority.
    pub async fn routes(&self) -> Result<Vec<Route>> {
        all(&self.pool).await
    }
}

impl Change {
    /// A route, as this command has left it.
    pub async fn route(&mut self, id: u64) -> Result<Route> {
        let row = sql::query(format!("{SELECT} WHERE route.id = ?"))
            .bind(signed(id))
            .fetch_optional(&mut *self.tx)
            .await?;
        route(&row.ok_or_else(|| ChangeError::not_found("route", &id.to_string()))?)
    }

    /// Adds a route and gives it its id.
    pub async fn add_route(&mut self, mut route: Route) -> Result<Route> {
        check_prefix(&route.prefix)?;
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
        self.set_route(&route).await?;
        route.trunk_name = trunk.name;
        Ok(route)
    }

    /// Changes a route: all but its prefix and its trunk.
    pub async fn set_route(&mut self, route: &Route) -> Result<()> {
        self.touched.trunk(route.trunk);
        sql::query(
            "UPDATE route SET priority = ?, weight = ?, window_id = ?, calls_max = ?, cps_max = ? \
             WHERE id = ?",
        )
        .bind(route.priority)
        .bind(route.weight)
        .bind(route.window.map(|window| signed(window.0)))
        .bind(route.calls_max)
        .bind(route.cps_max)
        .bind(signed(route.id))
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Removes a route.
    pub async fn remove_route(&mut self, id: u64) -> Result<()> {
        let route = self.route(id).await?;
        self.touched.trunk(route.trunk);
        sql::query("DELETE FROM route WHERE id = ?")
            .bind(signed(id))
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }
}
