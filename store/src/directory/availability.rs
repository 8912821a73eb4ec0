//! What subscribers want of the calls to their own phones.

use std::collections::BTreeMap;

use switch::forwarding::Availability;
use vocabulary::SubscriberId;

use super::forwarding::id_of;
use super::{Change, ChangeError, DirectoryStore, Result, signed, unsigned};
use crate::sql::{self, Executor, Row};

/// More calls at once than anybody has phones for.
const CALLS_MAX: u32 = 1_000_000;

fn availability(row: &Row) -> Result<Availability> {
    Ok(Availability {
        do_not_disturb: row.try_get("do_not_disturb")?,
        calls_max: row.try_get("calls_max")?,
    })
}

/// Of all subscribers that have a row.
pub(super) async fn all(
    executor: impl Executor<'_>,
) -> Result<BTreeMap<SubscriberId, Availability>> {
    let rows = sql::query("SELECT * FROM subscriber_availability").fetch_all(executor).await?;
    let of_row = |row: &Row| {
        let id = SubscriberId(unsigned(row.try_get("subscriber_id")?));
        Ok((id, availability(row)?))
    };
    rows.iter().map(of_row).collect()
}

/// Of this one.
pub(super) async fn of_subscriber(
    executor: impl Executor<'_>,
    subscriber: SubscriberId,
) -> Result<Availability> {
    let row = sql::query("SELECT * FROM subscriber_availability WHERE subscriber_id = ?")
        .bind(signed(subscriber.0))
        .fetch_optional(executor)
        .await?;
    row.map_or_else(|| Ok(Availability::default()), |row| availability(&row))
}

impl DirectoryStore {
    /// What a subscriber wants of the calls to its phones.
    pub async fn availability(&self, username: &str) -> Result<Availability> {
        let id = id_of(&self.pool, username).await?;
        of_subscriber(&self.pool, id).await
    }
}

impl Change {
    /// What a subscriber wants of the calls to its phones.
    pub async fn availability(&mut self, username: &str) -> Result<Availability> {
        let id = id_of(&mut *self.tx, username).await?;
        of_subscriber(&mut *self.tx, id).await
    }

    /// Sets what a subscriber wants of the calls to its phones.
    pub async fn set_availability(&mut self, username: &str, wanted: Availability) -> Result<()> {
        if wanted.calls_max.is_some_and(|calls| !(1..=CALLS_MAX).contains(&calls)) {
            let what = "write 1 or more, null for any number; do_not_disturb takes none";
            return Err(ChangeError::invalid("calls_max", what));
        }
        let id = id_of(&mut *self.tx, username).await?;
        self.touched.subscriber(id);
        sql::query(
            "INSERT INTO subscriber_availability (subscriber_id, do_not_disturb, calls_max) \
             VALUES (?, ?, ?) ON CONFLICT (subscriber_id) DO UPDATE SET \
             do_not_disturb = excluded.do_not_disturb, calls_max = excluded.calls_max",
        )
        .bind(signed(id.0))
        .bind(wanted.do_not_disturb)
        .bind(wanted.calls_max)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
