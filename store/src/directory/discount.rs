//! Percentages off what accounts pay: of one account or all, for a set of destinations, from one
//! of its sites or all, for a time (J-17, J-29).

use std::collections::BTreeMap;
use std::sync::Arc;

use billing::{DestinationSet, DestinationSetId, Discount, Percent};
use vocabulary::{AccountId, SiteId, Utc};

use crate::sql::{self, Connection, Row};

use super::account::Account;
use super::{Change, ChangeError, DirectoryStore, Result, check_name, signed, unsigned};

/// One discount, its parts by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDiscount {
    /// Which; 0 before it is stored.
    pub id: u64,
    /// What the price's explanation calls it.
    pub name: String,
    /// Whose; `None`: every account's.
    pub account: Option<String>,
    /// For calls from this site of the account; `None`: from anywhere.
    pub site: Option<String>,
    /// For calls to these.
    pub destination_set: String,
    /// Above 0, at most 100 %.
    pub percent: Percent,
    /// For calls that come in from then on; `None`: always did.
    pub valid_from: Option<Utc>,
    /// For calls that come in before; `None`: open.
    pub valid_till: Option<Utc>,
    /// When it was added.
    pub created_at: Utc,
}

fn percent(row: &Row) -> Result<Percent> {
    let hundredths: u32 = row.try_get("hundredths")?;
    Percent::from_hundredths(hundredths)
        .ok_or_else(|| ChangeError::Corrupt { column: "hundredths", value: hundredths.to_string() })
}

pub(super) fn moment(row: &Row, column: &'static str) -> Result<Option<Utc>> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Utc))
}

fn stored(row: &Row) -> Result<StoredDiscount> {
    Ok(StoredDiscount {
        id: unsigned(row.try_get("id")?),
        name: row.try_get("name")?,
        account: row.try_get("account_name")?,
        site: row.try_get("site_name")?,
        destination_set: row.try_get("set_name")?,
        percent: percent(row)?,
        valid_from: moment(row, "valid_from")?,
        valid_till: moment(row, "valid_till")?,
        created_at: Utc(row.try_get("created_at")?),
    })
}

impl DirectoryStore {
    /// All discounts, in the order of their ids.
    pub async fn discounts(&self) -> Result<Vec<StoredDiscount>> {
        let rows = sql::query(
            "SELECT discount.*, account.name AS account_name, site.name AS site_name,
                    destination_set.name AS set_name
             FROM discount
             JOIN destination_set ON destination_set.id = discount.destination_set_id
             LEFT JOIN account ON account.id = discount.account_id
             LEFT JOIN site ON site.id = discount.site_id
             ORDER BY discount.id",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(stored).collect()
    }
}

impl Change {
    /// Adds a discount; `account` is the one it names.
    pub async fn add_discount(
        &mut self,
        mut discount: StoredDiscount,
        account: Option<&Account>,
    ) -> Result<StoredDiscount> {
        check_name("name", &discount.name)?;
        if !(1..=10_000).contains(&discount.percent.hundredths()) {
            return Err(ChangeError::invalid("percent", "write a number above 0, at most 100"));
        }
        let is_backwards = |(from, till)| till <= from;
        if discount.valid_from.zip(discount.valid_till).is_some_and(is_backwards) {
            return Err(ChangeError::invalid("valid_till", "write a moment after valid_from"));
        }
        let site = match (account, discount.site.as_deref()) {
            (None, Some(_)) => {
                let what = "a site belongs to an account; name the account too";
                return Err(ChangeError::invalid("site", what));
            }
            (None, None) => None,
            (Some(account), site) => self.site_id(account.id, site).await?,
        };
        let set = self.destination_set_id("destination_set", &discount.destination_set).await?;
        discount.id = self.next_id("discount").await?;
        self.touched.discounts_of(account.map(|account| account.id));
        sql::query(
            "INSERT INTO discount (id, name, account_id, site_id, destination_set_id, hundredths,
                valid_from, valid_till, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(signed(discount.id))
        .bind(&discount.name)
        .bind(account.map(|account| signed(account.id.0)))
        .bind(site)
        .bind(signed(set))
        .bind(discount.percent.hundredths())
        .bind(discount.valid_from.map(|at| at.0))
        .bind(discount.valid_till.map(|at| at.0))
        .bind(discount.created_at.0)
        .execute(&mut *self.tx)
        .await?;
        Ok(discount)
    }

    /// Removes a discount: also for calls of the past, should they be priced again. To end one,
    /// give it an end.
    pub async fn remove_discount(&mut self, id: u64) -> Result<()> {
        let row = self.touch_discount(id).await?;
        sql::query("DELETE FROM discount WHERE id = ?")
            .bind(row.try_get::<i64, _>("id")?)
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Ends a discount at a moment.
    pub async fn end_discount(&mut self, id: u64, valid_till: Utc) -> Result<()> {
        let row = self.touch_discount(id).await?;
        let valid_from = moment(&row, "valid_from")?;
        if valid_from.is_some_and(|from| valid_till <= from) {
            return Err(ChangeError::invalid("at", "write a moment after its begin, or remove it"));
        }
        sql::query("UPDATE discount SET valid_till = ? WHERE id = ?")
            .bind(valid_till.0)
            .bind(signed(id))
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// A discount's row, about to change.
    async fn touch_discount(&mut self, id: u64) -> Result<Row> {
        let row = sql::query("SELECT * FROM discount WHERE id = ?")
            .bind(signed(id))
            .fetch_optional(&mut *self.tx)
            .await?;
        let row = row.ok_or_else(|| ChangeError::not_found("discount", &id.to_string()))?;
        let account: Option<i64> = row.try_get("account_id")?;
        self.touched.discounts_of(account.map(|id| AccountId(unsigned(id))));
        Ok(row)
    }
}

/// The discounts of a rate book.
#[derive(Debug, Default)]
pub(crate) struct Discounts {
    /// Of accounts that have their own, everybody's included.
    own: BTreeMap<AccountId, Arc<[Discount]>>,
    everybodys: Arc<[Discount]>,
}

impl Discounts {
    /// What this account has.
    pub(crate) fn of(&self, account: AccountId) -> Arc<[Discount]> {
        Arc::clone(self.own.get(&account).unwrap_or(&self.everybodys))
    }
}

/// The set of destinations with an id; `None` if it has no prefixes.
pub(crate) type FindSet<'a> = &'a (dyn Fn(DestinationSetId) -> Option<DestinationSet> + Sync);

/// Reads the discounts that every account has, or those that this one has.
pub(crate) async fn load(
    connection: &mut Connection,
    set_of: FindSet<'_>,
    only: Option<AccountId>,
) -> Result<Discounts> {
    let rows = match only {
        None => {
            sql::query("SELECT * FROM discount ORDER BY id").fetch_all(&mut *connection).await?
        }
        Some(account) => {
            let sql =
                "SELECT * FROM discount WHERE account_id = ? OR account_id IS NULL ORDER BY id";
            sql::query(sql).bind(signed(account.0)).fetch_all(&mut *connection).await?
        }
    };
    let mut shared: BTreeMap<u64, Option<Arc<DestinationSet>>> = BTreeMap::new();
    let mut everybodys = Vec::new();
    let mut own: BTreeMap<AccountId, Vec<Discount>> = BTreeMap::new();
    for row in &rows {
        let set = unsigned(row.try_get("destination_set_id")?);
        let id = DestinationSetId(
            u32::try_from(set)
                .map_err(|_| ChangeError::Corrupt { column: "id", value: set.to_string() })?,
        );
        let Some(destinations) = shared.entry(set).or_insert_with(|| set_of(id).map(Arc::new))
        else {
            continue; // a set without prefixes: no call is to it
        };
        let destinations = Arc::clone(destinations);
        let discount = Discount {
            name: row.try_get("name")?,
            destinations,
            site: row.try_get::<Option<i64>, _>("site_id")?.map(|id| SiteId(unsigned(id))),
            valid_from: moment(row, "valid_from")?,
            valid_till: moment(row, "valid_till")?,
            percent: percent(row)?,
        };
        match row.try_get::<Option<i64>, _>("account_id")? {
            None => everybodys.push(discount),
            Some(account) => own.entry(AccountId(unsigned(account))).or_default().push(discount),
        }
    }
    let own = own.into_iter().map(|(account, mut discounts)| {
        discounts.extend(everybodys.iter().cloned());
        (account, discounts.into())
    });
    Ok(Discounts { own: own.collect(), everybodys: everybodys.clone().into() })
}
