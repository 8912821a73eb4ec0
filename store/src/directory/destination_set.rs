//! Named sets of prefixes, which bundles and discounts are for (V-04, J-29).

use std::collections::BTreeMap;

use crate::sql::{self, Executor};
use vocabulary::{AccountId, Utc};

use super::{Change, ChangeError, DirectoryStore, Result, check_name, signed, taken, unsigned};

/// Prefixes under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationSet {
    /// Which.
    pub id: u64,
    /// Unique.
    pub name: String,
    /// Digits, sorted; the empty prefix is every number.
    pub prefixes: Vec<String>,
}

const PREFIXES_MAX: usize = 10_000;

pub(crate) async fn all(executor: impl Executor<'_>) -> Result<Vec<DestinationSet>> {
    let rows = sql::query(
        "SELECT destination_set.id, destination_set.name, destination_set_prefix.prefix
         FROM destination_set
         LEFT JOIN destination_set_prefix
            ON destination_set_prefix.destination_set_id = destination_set.id
         ORDER BY destination_set.id, destination_set_prefix.prefix",
    )
    .fetch_all(executor)
    .await?;
    let mut sets: BTreeMap<u64, DestinationSet> = BTreeMap::new();
    for row in &rows {
        let id = unsigned(row.try_get("id")?);
        let name = row.try_get("name")?;
        let set = sets.entry(id).or_insert(DestinationSet { id, name, prefixes: Vec::new() });
        set.prefixes.extend(row.try_get::<Option<String>, _>("prefix")?);
    }
    Ok(sets.into_values().collect())
}

impl DirectoryStore {
    /// All sets, in the order of their ids.
    pub async fn destination_sets(&self) -> Result<Vec<DestinationSet>> {
        all(&self.pool).await
    }
}

impl Change {
    /// All sets, as this command has left them.
    pub async fn destination_sets(&mut self) -> Result<Vec<DestinationSet>> {
        all(&mut *self.tx).await
    }

    /// Makes a set, or gives one that exists other prefixes.
    pub async fn put_destination_set(
        &mut self,
        name: &str,
        prefixes: &[String],
        now: Utc,
    ) -> Result<DestinationSet> {
        check_name("name", name)?;
        let is_prefix = |p: &String| p.len() <= 31 && p.bytes().all(|byte| byte.is_ascii_digit());
        if prefixes.is_empty() || prefixes.len() > PREFIXES_MAX || !prefixes.iter().all(is_prefix) {
            let what = "write 1 to 10,000 prefixes of at most 31 digits, without a plus";
            return Err(ChangeError::invalid("prefixes", what));
        }
        let id = match self.find_destination_set(name).await? {
            Some(id) => id,
            None => {
                let id = self.next_id("destination_set").await?;
                sql::query("INSERT INTO destination_set (id, name, created_at) VALUES (?, ?, ?)")
                    .bind(signed(id))
                    .bind(name)
                    .bind(now.0)
                    .execute(&mut *self.tx)
                    .await
                    .map_err(|error| taken(error, &[("destination_set.name", "name", name)]))?;
                id
            }
        };
        self.touch_destinations(id).await?;
        sql::query("DELETE FROM destination_set_prefix WHERE destination_set_id = ?")
            .bind(signed(id))
            .execute(&mut *self.tx)
            .await?;
        let mut sorted = prefixes.to_vec();
        sorted.sort();
        sorted.dedup();
        for prefix in &sorted {
            sql::query(
                "INSERT INTO destination_set_prefix (destination_set_id, prefix) VALUES (?, ?)",
            )
            .bind(signed(id))
            .bind(prefix)
            .execute(&mut *self.tx)
            .await?;
        }
        Ok(DestinationSet { id, name: name.to_owned(), prefixes: sorted })
    }

    /// The set, and the discounts on it, which hold it.
    async fn touch_destinations(&mut self, id: u64) -> Result<()> {
        self.touched.destinations();
        let rows =
            sql::query("SELECT DISTINCT account_id FROM discount WHERE destination_set_id = ?")
                .bind(signed(id))
                .fetch_all(&mut *self.tx)
                .await?;
        for row in rows {
            let account: Option<i64> = row.try_get(0)?;
            self.touched.discounts_of(account.map(|id| AccountId(unsigned(id))));
        }
        Ok(())
    }

    async fn find_destination_set(&mut self, name: &str) -> Result<Option<u64>> {
        let row = sql::query("SELECT id FROM destination_set WHERE name = ?")
            .bind(name)
            .fetch_optional(&mut *self.tx)
            .await?;
        Ok(row.map(|row| row.try_get("id")).transpose()?.map(unsigned))
    }

    /// A set's id, by the name that something gives it.
    pub async fn destination_set_id(&mut self, field: &'static str, name: &str) -> Result<u64> {
        self.find_destination_set(name).await?.ok_or_else(|| {
            let what = format!("there is no destination set {name:?}; make it first");
            ChangeError::invalid(field, what)
        })
    }

    /// Removes a set that nothing is for.
    pub async fn remove_destination_set(&mut self, name: &str) -> Result<()> {
        let Some(id) = self.find_destination_set(name).await? else {
            return Err(ChangeError::not_found("destination set", name));
        };
        let row = sql::query(
            "SELECT (SELECT COUNT(*) FROM plan_bundle WHERE destination_set_id = ?)
                  + (SELECT COUNT(*) FROM bundle_grant WHERE destination_set_id = ?)
                  + (SELECT COUNT(*) FROM discount WHERE destination_set_id = ?) AS users",
        )
        .bind(signed(id))
        .bind(signed(id))
        .bind(signed(id))
        .fetch_one(&mut *self.tx)
        .await?;
        if row.try_get::<i64, _>("users")? > 0 {
            let what =
                format!("plans, discounts or granted minutes are for destination set {name:?}");
            return Err(ChangeError::InUse(what));
        }
        self.touch_destinations(id).await?;
        sql::query("DELETE FROM destination_set_prefix WHERE destination_set_id = ?")
            .bind(signed(id))
            .execute(&mut *self.tx)
            .await?;
        sql::query("DELETE FROM destination_set WHERE id = ?")
            .bind(signed(id))
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }
}
