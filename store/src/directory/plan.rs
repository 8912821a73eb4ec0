//! Plans as they are sold. A plan never changes: the numbers of its items are part of the ids of
//! charges, and who bought it keeps its price.

use std::collections::BTreeMap;

use crate::sql::{self, Connection, Row};
use billing::Money;
use billing::plans::{Anchor, Bundle, Fee, Plan, Validity};
use vocabulary::Utc;

use super::account::check_currency;
use super::plan_words::{
    at_end_of, at_end_word, at_start_of, at_start_word, every_of, every_word, shortage_of,
    shortage_word,
};
use super::{Change, ChangeError, DirectoryStore, Result, check_name, signed, taken, unsigned};

/// A plan with its name and its price list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoldPlan {
    /// Which; 0 before it is stored.
    pub id: u64,
    /// Unique.
    pub name: String,
    /// ISO 4217; only accounts of this currency can have it.
    pub currency: String,
    /// What it charges and grants.
    pub plan: Plan,
    /// Since when it is not sold any more.
    pub closed_at: Option<Utc>,
    /// When it was made.
    pub created_at: Utc,
}

fn anchor_words(anchor: Anchor) -> (&'static str, Option<u8>) {
    match anchor {
        Anchor::Start => ("start", None),
        Anchor::Day(day) => ("day", Some(day)),
        Anchor::BillingDay => ("billing_day", None),
    }
}

fn anchor(row: &Row) -> Result<Anchor> {
    let word: String = row.try_get("anchor")?;
    let day: Option<u8> = row.try_get("anchor_day")?;
    match (word.as_str(), day) {
        ("start", _) => Ok(Anchor::Start),
        ("billing_day", _) => Ok(Anchor::BillingDay),
        ("day", Some(day)) => Ok(Anchor::Day(day)),
        _ => Err(ChangeError::Corrupt { column: "anchor", value: word }),
    }
}

fn read<T>(
    row: &Row,
    column: &'static str,
    of: fn(&str) -> std::result::Result<T, String>,
) -> Result<T> {
    let value: String = row.try_get(column)?;
    of(&value).map_err(|_| ChangeError::Corrupt { column, value })
}

fn every(row: &Row) -> Result<Option<billing::plans::Every>> {
    match row.try_get::<Option<String>, _>("every")? {
        Some(_) => read(row, "every", every_of).map(Some),
        None => Ok(None),
    }
}

fn fee(row: &Row) -> Result<Fee> {
    Ok(Fee {
        item: row.try_get("item")?,
        label: row.try_get("label")?,
        amount: Money(row.try_get("amount")?),
        every: every(row)?,
        anchor: anchor(row)?,
        at_start: read(row, "at_start", at_start_of)?,
        at_end: read(row, "at_end", at_end_of)?,
        shortage: read(row, "shortage", shortage_of)?,
    })
}

fn bundle(row: &Row) -> Result<Bundle> {
    let seconds: Option<i64> = row.try_get("seconds")?;
    let days: Option<u16> = row.try_get("valid_days")?;
    Ok(Bundle {
        item: row.try_get("item")?,
        label: row.try_get("label")?,
        destination_set: unsigned(row.try_get("destination_set_id")?),
        seconds: seconds.map(|s| u32::try_from(s).unwrap_or(u32::MAX)),
        every: every(row)?,
        anchor: anchor(row)?,
        validity: days.map_or(Validity::Period, Validity::Days),
        precedence: row.try_get("precedence")?,
        increment_seconds: row.try_get("increment_s")?,
    })
}

async fn all(connection: &mut Connection) -> Result<Vec<SoldPlan>> {
    let mut plans: BTreeMap<u64, SoldPlan> = BTreeMap::new();
    let rows = sql::query("SELECT * FROM plan ORDER BY id").fetch_all(&mut *connection).await?;
    for row in &rows {
        let id = unsigned(row.try_get("id")?);
        let decimals = row.try_get("decimals")?;
        let sold = SoldPlan {
            id,
            name: row.try_get("name")?,
            currency: row.try_get("currency")?,
            plan: Plan { decimals, ..Plan::default() },
            closed_at: row.try_get::<Option<i64>, _>("closed_at")?.map(Utc),
            created_at: Utc(row.try_get("created_at")?),
        };
        plans.insert(id, sold);
    }
    let sql = "SELECT * FROM plan_fee ORDER BY plan_id, item";
    for row in &sql::query(sql).fetch_all(&mut *connection).await? {
        if let Some(sold) = plans.get_mut(&unsigned(row.try_get("plan_id")?)) {
            sold.plan.fees.push(fee(row)?);
        }
    }
    let sql = "SELECT * FROM plan_bundle ORDER BY plan_id, item";
    for row in &sql::query(sql).fetch_all(&mut *connection).await? {
        if let Some(sold) = plans.get_mut(&unsigned(row.try_get("plan_id")?)) {
            sold.plan.bundles.push(bundle(row)?);
        }
    }
    Ok(plans.into_values().collect())
}

impl DirectoryStore {
    /// All plans, closed ones too, in the order of their ids.
    pub async fn plans(&self) -> Result<Vec<SoldPlan>> {
        self.begin_read().await?.plans().await
    }
}

impl Change {
    /// All plans, closed ones too, in the order of their ids.
    pub async fn plans(&mut self) -> Result<Vec<SoldPlan>> {
        all(&mut self.tx).await
    }

    /// One plan, by its name.
    pub async fn plan(&mut self, name: &str) -> Result<SoldPlan> {
        let plans = self.plans().await?;
        let plan = plans.into_iter().find(|plan| plan.name == name);
        plan.ok_or_else(|| ChangeError::not_found("plan", name))
    }

    /// Adds a plan and gives it its id.
    pub async fn add_plan(&mut self, mut sold: SoldPlan) -> Result<SoldPlan> {
        check_name("name", &sold.name)?;
        check_currency(&sold.currency)?;
        sold.plan.check().map_err(|error| ChangeError::invalid("plan", error.to_string()))?;
        sold.id = self.next_id("plan").await?;
        sql::query(
            "INSERT INTO plan (id, name, currency, decimals, created_at) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(signed(sold.id))
        .bind(&sold.name)
        .bind(&sold.currency)
        .bind(i32::from(sold.plan.decimals))
        .bind(sold.created_at.0)
        .execute(&mut *self.tx)
        .await
        .map_err(|error| taken(error, &[("plan.name", "name", &sold.name)]))?;
        for fee in &sold.plan.fees {
            self.insert_fee(sold.id, fee).await?;
        }
        for bundle in &sold.plan.bundles {
            self.insert_bundle(sold.id, bundle).await?;
        }
        Ok(sold)
    }

    async fn insert_fee(&mut self, plan: u64, fee: &Fee) -> Result<()> {
        let (anchor, day) = anchor_words(fee.anchor);
        sql::query(
            "INSERT INTO plan_fee (plan_id, item, label, amount, every, anchor, anchor_day,
                at_start, at_end, shortage)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(signed(plan))
        .bind(i32::from(fee.item))
        .bind(&fee.label)
        .bind(fee.amount.0)
        .bind(fee.every.map(every_word))
        .bind(anchor)
        .bind(day.map(i32::from))
        .bind(at_start_word(fee.at_start))
        .bind(at_end_word(fee.at_end))
        .bind(shortage_word(fee.shortage))
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    async fn insert_bundle(&mut self, plan: u64, bundle: &Bundle) -> Result<()> {
        let (anchor, day) = anchor_words(bundle.anchor);
        let valid_days = match bundle.validity {
            Validity::Period => None,
            Validity::Days(days) => Some(i32::from(days)),
        };
        sql::query(
            "INSERT INTO plan_bundle (plan_id, item, label, destination_set_id, seconds, every,
                anchor, anchor_day, valid_days, precedence, increment_s)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(signed(plan))
        .bind(i32::from(bundle.item))
        .bind(&bundle.label)
        .bind(signed(bundle.destination_set))
        .bind(bundle.seconds.map(i64::from))
        .bind(bundle.every.map(every_word))
        .bind(anchor)
        .bind(day.map(i32::from))
        .bind(valid_days)
        .bind(i32::from(bundle.precedence))
        .bind(i32::from(bundle.increment_seconds))
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Sells it no more; who has it keeps it.
    pub async fn close_plan(&mut self, name: &str, now: Utc) -> Result<SoldPlan> {
        let mut plan = self.plan(name).await?;
        if plan.closed_at.is_none() {
            plan.closed_at = Some(now);
            sql::query("UPDATE plan SET closed_at = ? WHERE id = ?")
                .bind(now.0)
                .bind(signed(plan.id))
                .execute(&mut *self.tx)
                .await?;
        }
        Ok(plan)
    }
}
