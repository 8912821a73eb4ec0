//! Routes (which trunks a prefix may go to) and rate groups (what it costs; their rates are in
//! `rate_deck`).

use vocabulary::TrunkId;

use super::account::check_currency;
use super::{
    Change, ChangeError, DirectoryStore, Result, check_name, signed, taken, unsigned, word, words,
};
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

words!(
    /// How an amount is rounded, once, to the group's decimals (R7).
    RateGroupRounding {
        /// Away from zero.
        Up = "up",
        /// Towards zero.
        Down = "down",
        /// Halves away from zero.
        HalfUp = "half_up",
        /// Halves to the even neighbour.
        HalfEven = "half_even",
    }
);

/// A set of rates that accounts are charged by, or carriers paid by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateGroup {
    /// Which; 0 before it is stored.
    pub id: u64,
    /// Unique.
    pub name: String,
    /// ISO 4217.
    pub currency: String,
    /// Rounding of money.
    pub rounding: RateGroupRounding,
    /// To how many decimals, at most 6.
    pub decimals: u8,
    /// How many rates it has, all versions counted; only read.
    pub rate_count: u64,
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

pub(crate) async fn all_groups(executor: impl Executor<'_>) -> Result<Vec<RateGroup>> {
    let rows = sql::query(
        "SELECT rate_group.*,
            (SELECT COALESCE(SUM(row_count), 0) FROM rate_sheet
             WHERE rate_group_id = rate_group.id) AS rate_count
         FROM rate_group ORDER BY name",
    )
    .fetch_all(executor)
    .await?;
    let group = |row: &Row| {
        Ok(RateGroup {
            id: unsigned(row.try_get("id")?),
            name: row.try_get("name")?,
            currency: row.try_get("currency")?,
            rounding: word(row, "rounding")?,
            decimals: row.try_get("decimals")?,
            rate_count: unsigned(row.try_get("rate_count")?),
        })
    };
    rows.iter().map(group).collect()
}

impl DirectoryStore {
    /// All routes, by prefix and priority.
    pub async fn routes(&self) -> Result<Vec<Route>> {
        all(&self.pool).await
    }

    /// All rate groups, by name.
    pub async fn rate_groups(&self) -> Result<Vec<RateGroup>> {
        all_groups(&self.pool).await
    }

    /// One rate group, by its name.
    pub async fn rate_group(&self, name: &str) -> Result<RateGroup> {
        let groups = self.rate_groups().await?;
        let group = groups.into_iter().find(|group| group.name == name);
        group.ok_or_else(|| ChangeError::not_found("rate group", name))
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

    /// Adds a rate group without rates and gives it its id.
    pub async fn add_rate_group(&mut self, mut group: RateGroup) -> Result<RateGroup> {
        check_name("name", &group.name)?;
        check_currency(&group.currency)?;
        if group.decimals > 6 {
            return Err(ChangeError::invalid("decimals", "write a number from 0 to 6"));
        }
        group.id = self.next_id("rate_group").await?;
        self.touched.group(group.id);
        sql::query(
            "INSERT INTO rate_group (id, name, currency, rounding, decimals) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(signed(group.id))
        .bind(&group.name)
        .bind(&group.currency)
        .bind(group.rounding.as_str())
        .bind(group.decimals)
        .execute(&mut *self.tx)
        .await
        .map_err(|error| taken(error, &[("rate_group.name", "name", &group.name)]))?;
        Ok(group)
    }
}
