//! What holds for all routes of a prefix: how they follow each other, and how many calls they carry.

use switch::directory::Limits;
use switch::routing::{PrefixId, RoutePolicy, RoutePrefix};

use super::number_rule::read_word;
use super::route::check_prefix;
use super::{Change, ChangeError, DirectoryStore, Result, signed, unsigned};
use crate::sql::{self, Executor, Row};

fn route_prefix(row: &Row) -> Result<RoutePrefix> {
    let prefix: String = row.try_get("prefix")?;
    Ok(RoutePrefix {
        id: PrefixId(unsigned(row.try_get("id")?)),
        prefix: prefix.into(),
        policy: read_word(row, "policy", RoutePolicy::from_word)?,
        limits: Limits {
            concurrent: row.try_get("calls_max")?,
            per_second: row.try_get("cps_max")?,
        },
    })
}

/// All of them, by prefix.
pub(super) async fn all(executor: impl Executor<'_>) -> Result<Vec<RoutePrefix>> {
    let rows = sql::query("SELECT * FROM route_prefix ORDER BY prefix").fetch_all(executor).await?;
    rows.iter().map(route_prefix).collect()
}

impl DirectoryStore {
    /// What is said of prefixes, by prefix.
    pub async fn route_prefixes(&self) -> Result<Vec<RoutePrefix>> {
        all(&self.pool).await
    }
}

impl Change {
    /// What is said of this prefix.
    pub async fn route_prefix(&mut self, prefix: &str) -> Result<Option<RoutePrefix>> {
        let row = sql::query("SELECT * FROM route_prefix WHERE prefix = ?")
            .bind(prefix)
            .fetch_optional(&mut *self.tx)
            .await?;
        row.as_ref().map(route_prefix).transpose()
    }

    /// Says something of a prefix, in place of what was said before; gives it its id.
    pub async fn set_route_prefix(&mut self, mut wanted: RoutePrefix) -> Result<RoutePrefix> {
        check_prefix(&wanted.prefix)?;
        self.touched.routing();
        wanted.id = match self.route_prefix(&wanted.prefix).await? {
            Some(before) => before.id,
            None => PrefixId(self.next_id("route_prefix").await?),
        };
        sql::query(
            "INSERT INTO route_prefix (id, prefix, policy, calls_max, cps_max) \
             VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET policy = excluded.policy, \
                calls_max = excluded.calls_max, cps_max = excluded.cps_max",
        )
        .bind(signed(wanted.id.0))
        .bind(&*wanted.prefix)
        .bind(wanted.policy.word())
        .bind(wanted.limits.concurrent)
        .bind(wanted.limits.per_second)
        .execute(&mut *self.tx)
        .await?;
        Ok(wanted)
    }

    /// Its routes go by priority again, without limits of the prefix.
    pub async fn remove_route_prefix(&mut self, id: PrefixId) -> Result<()> {
        self.touched.routing();
        let removed = sql::query("DELETE FROM route_prefix WHERE id = ? RETURNING id")
            .bind(signed(id.0))
            .fetch_optional(&mut *self.tx)
            .await?;
        match removed {
            Some(_) => Ok(()),
            None => Err(ChangeError::not_found("route prefix", &id.to_string())),
        }
    }
}
