//! The limits of phones (S2), and whose calls trunks send us (P-607).

use std::collections::BTreeMap;

use switch::directory::TrunkRole;
use vocabulary::{SubscriberId, TrunkId};

use super::forwarding::id_of;
use super::{CallLimits, Change, ChangeError, DirectoryStore, Result, limits, signed, unsigned};
use crate::sql::{self, Executor, Row};

/// The limits of all subscribers that have any.
pub(super) async fn limits_of_all(
    executor: impl Executor<'_>,
) -> Result<BTreeMap<SubscriberId, CallLimits>> {
    let rows = sql::query("SELECT * FROM subscriber_limit").fetch_all(executor).await?;
    let of_row = |row: &Row| {
        let id = SubscriberId(unsigned(row.try_get("subscriber_id")?));
        Ok((id, limits(row)?))
    };
    rows.iter().map(of_row).collect()
}

/// Those of this one.
pub(super) async fn limits_of(
    executor: impl Executor<'_>,
    subscriber: SubscriberId,
) -> Result<CallLimits> {
    let row = sql::query("SELECT * FROM subscriber_limit WHERE subscriber_id = ?")
        .bind(signed(subscriber.0))
        .fetch_optional(executor)
        .await?;
    row.map_or_else(|| Ok(CallLimits::default()), |row| limits(&row))
}

fn role(row: &Row) -> Result<TrunkRole> {
    let word: String = row.try_get("role")?;
    TrunkRole::from_word(&word).ok_or(ChangeError::Corrupt { column: "role", value: word })
}

/// The roles of all trunks that have one.
pub(super) async fn roles_of_all(
    executor: impl Executor<'_>,
) -> Result<BTreeMap<TrunkId, TrunkRole>> {
    let rows = sql::query("SELECT * FROM trunk_role").fetch_all(executor).await?;
    let of_row = |row: &Row| {
        let id = TrunkId(unsigned(row.try_get("trunk_id")?));
        Ok((id, role(row)?))
    };
    rows.iter().map(of_row).collect()
}

impl DirectoryStore {
    /// The limits of a subscriber.
    pub async fn subscriber_limits(&self, username: &str) -> Result<CallLimits> {
        let id = id_of(&self.pool, username).await?;
        limits_of(&self.pool, id).await
    }
}

impl Change {
    /// The limits of a subscriber, as this command has left them.
    pub async fn subscriber_limits(&mut self, username: &str) -> Result<CallLimits> {
        let id = id_of(&mut *self.tx, username).await?;
        limits_of(&mut *self.tx, id).await
    }

    /// Sets the limits of a subscriber.
    pub async fn set_subscriber_limits(
        &mut self,
        username: &str,
        limits: CallLimits,
    ) -> Result<()> {
        let id = id_of(&mut *self.tx, username).await?;
        self.touched.subscriber(id);
        sql::query(
            "INSERT INTO subscriber_limit
                (subscriber_id, calls_in_max, calls_out_max, cps_in_max, cps_out_max)
             VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (subscriber_id) DO UPDATE SET
                calls_in_max = excluded.calls_in_max, calls_out_max = excluded.calls_out_max,
                cps_in_max = excluded.cps_in_max, cps_out_max = excluded.cps_out_max",
        )
        .bind(signed(id.0))
        .bind(limits.calls_in_max)
        .bind(limits.calls_out_max)
        .bind(limits.cps_in_max)
        .bind(limits.cps_out_max)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Whose calls a trunk sends us, as this command has left it.
    pub async fn trunk_role(&mut self, trunk: TrunkId) -> Result<TrunkRole> {
        let row = sql::query("SELECT * FROM trunk_role WHERE trunk_id = ?")
            .bind(signed(trunk.0))
            .fetch_optional(&mut *self.tx)
            .await?;
        row.map_or_else(|| Ok(TrunkRole::default()), |row| role(&row))
    }

    /// Says whose calls a trunk sends us.
    pub async fn set_trunk_role(&mut self, trunk: TrunkId, role: TrunkRole) -> Result<()> {
        self.touched.trunk(trunk);
        sql::query(
            "INSERT INTO trunk_role (trunk_id, role) VALUES (?, ?)
             ON CONFLICT (trunk_id) DO UPDATE SET role = excluded.role",
        )
        .bind(signed(trunk.0))
        .bind(role.word())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
