//! Sites: places of an account (J-18). A subscriber or a trunk, and with it its calls, belongs to
//! one or to none.

use billing::SiteMembers;
use vocabulary::{AccountId, SiteId, SubscriberId, TrunkId, Utc};

use crate::sql::{self, Connection, Row};

use super::account::Account;
use super::{Change, ChangeError, DirectoryStore, Result, check_name, signed, taken, unsigned};

/// One site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Which; 0 before it is stored.
    pub id: u64,
    /// Whose.
    pub account: AccountId,
    /// Unique within the account.
    pub name: String,
    /// When it was added.
    pub created_at: Utc,
}

fn site(row: &Row) -> Result<Site> {
    Ok(Site {
        id: unsigned(row.try_get("id")?),
        account: AccountId(unsigned(row.try_get("account_id")?)),
        name: row.try_get("name")?,
        created_at: Utc(row.try_get("created_at")?),
    })
}

impl DirectoryStore {
    /// The sites of an account, by name.
    pub async fn sites(&self, account: AccountId) -> Result<Vec<Site>> {
        let rows = sql::query("SELECT * FROM site WHERE account_id = ? ORDER BY name")
            .bind(signed(account.0))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(site).collect()
    }
}

impl Change {
    /// Adds a site.
    pub async fn add_site(&mut self, account: &Account, name: &str, now: Utc) -> Result<Site> {
        check_name("name", name)?;
        let id = self.next_id("site").await?;
        sql::query("INSERT INTO site (id, account_id, name, created_at) VALUES (?, ?, ?, ?)")
            .bind(signed(id))
            .bind(signed(account.id.0))
            .bind(name)
            .bind(now.0)
            .execute(&mut *self.tx)
            .await
            .map_err(|error| taken(error, &[("site.name", "name", name)]))?;
        Ok(Site { id, account: account.id, name: name.to_owned(), created_at: now })
    }

    /// Removes a site that nothing belongs to.
    pub async fn remove_site(&mut self, account: &Account, name: &str) -> Result<()> {
        let Some(id) = self.find_site(account.id, name).await? else {
            return Err(ChangeError::not_found("site", name));
        };
        let row = sql::query(
            "SELECT (SELECT COUNT(*) FROM subscriber WHERE site_id = ?)
                  + (SELECT COUNT(*) FROM trunk WHERE site_id = ?)
                  + (SELECT COUNT(*) FROM discount WHERE site_id = ?) AS users",
        )
        .bind(id)
        .bind(id)
        .bind(id)
        .fetch_one(&mut *self.tx)
        .await?;
        let users: i64 = row.try_get("users")?;
        if users > 0 {
            let what = format!("{users} subscribers, trunks and discounts belong to site {name:?}");
            return Err(ChangeError::InUse(what));
        }
        sql::query("DELETE FROM site WHERE id = ?").bind(id).execute(&mut *self.tx).await?;
        Ok(())
    }

    async fn find_site(&mut self, account: AccountId, name: &str) -> Result<Option<i64>> {
        let row = sql::query("SELECT id FROM site WHERE account_id = ? AND name = ?")
            .bind(signed(account.0))
            .bind(name)
            .fetch_optional(&mut *self.tx)
            .await?;
        Ok(row.map(|row| row.try_get("id")).transpose()?)
    }

    /// The id of the site that a subscriber or a trunk of the account names.
    pub(super) async fn site_id(
        &mut self,
        account: AccountId,
        name: Option<&str>,
    ) -> Result<Option<i64>> {
        let Some(name) = name else { return Ok(None) };
        match self.find_site(account, name).await? {
            Some(id) => Ok(Some(id)),
            None => {
                let what = format!("the account has no site {name:?}; add it first");
                Err(ChangeError::invalid("site", what))
            }
        }
    }
}

/// Who belongs to which site.
pub(crate) async fn members(connection: &mut Connection) -> Result<SiteMembers> {
    let mut members = SiteMembers::default();
    let pair = |row: &Row| -> Result<(u64, SiteId)> {
        Ok((unsigned(row.try_get(0)?), SiteId(unsigned(row.try_get(1)?))))
    };
    let subscribers = "SELECT id, site_id FROM subscriber WHERE site_id IS NOT NULL";
    for row in sql::query(subscribers).fetch_all(&mut *connection).await? {
        let (id, site) = pair(&row)?;
        members.subscribers.insert(SubscriberId(id), site);
    }
    let trunks = "SELECT id, site_id FROM trunk WHERE site_id IS NOT NULL";
    for row in sql::query(trunks).fetch_all(&mut *connection).await? {
        let (id, site) = pair(&row)?;
        members.trunks.insert(TrunkId(id), site);
    }
    Ok(members)
}

/// The site of one row of this table; `None` also for a row that is gone.
pub(crate) async fn site_of(
    connection: &mut Connection,
    table: &'static str,
    id: u64,
) -> Result<Option<SiteId>> {
    let sql = format!("SELECT site_id FROM {table} WHERE id = ?");
    let row = sql::query(&sql).bind(signed(id)).fetch_optional(connection).await?;
    let Some(row) = row else { return Ok(None) };
    Ok(row.try_get::<Option<i64>, _>(0)?.map(|id| SiteId(unsigned(id))))
}
