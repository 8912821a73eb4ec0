//! Where subscribers have their calls go.

use std::collections::BTreeMap;

use switch::forwarding::Forwards;
use vocabulary::SubscriberId;

use super::{Change, ChangeError, DirectoryStore, Result, signed, unsigned};
use crate::sql::{self, Executor, Row};

/// The longest thing to dial.
const TARGET_MAX: usize = 64;

fn forwards(row: &Row) -> Result<Forwards> {
    let always: Option<String> = row.try_get("always_to")?;
    Ok(Forwards { always: always.map(Into::into) })
}

/// Of all subscribers that have any.
pub(super) async fn all(executor: impl Executor<'_>) -> Result<BTreeMap<SubscriberId, Forwards>> {
    let rows = sql::query("SELECT * FROM subscriber_forwarding").fetch_all(executor).await?;
    let of_row = |row: &Row| {
        let id = SubscriberId(unsigned(row.try_get("subscriber_id")?));
        Ok((id, forwards(row)?))
    };
    rows.iter().map(of_row).collect()
}

/// Of this one.
pub(super) async fn of_subscriber(
    executor: impl Executor<'_>,
    subscriber: SubscriberId,
) -> Result<Forwards> {
    let row = sql::query("SELECT * FROM subscriber_forwarding WHERE subscriber_id = ?")
        .bind(signed(subscriber.0))
        .fetch_optional(executor)
        .await?;
    row.map_or_else(|| Ok(Forwards::default()), |row| forwards(&row))
}

pub(super) async fn id_of(executor: impl Executor<'_>, username: &str) -> Result<SubscriberId> {
    let id = sql::query_scalar::<i64>("SELECT id FROM subscriber WHERE username = ?")
        .bind(username)
        .fetch_optional(executor)
        .await?;
    id.map(|id| SubscriberId(unsigned(id)))
        .ok_or_else(|| ChangeError::not_found("subscriber", username))
}

fn check(field: &'static str, target: &str) -> Result<()> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+~*#".contains(&byte);
    if (1..=TARGET_MAX).contains(&target.len()) && target.bytes().all(is_plain) {
        return Ok(());
    }
    let what = "write a number or a username as the subscriber dials it, 64 characters at most";
    Err(ChangeError::invalid(field, what))
}

impl DirectoryStore {
    /// Where a subscriber has its calls go.
    pub async fn forwards(&self, username: &str) -> Result<Forwards> {
        let id = id_of(&self.pool, username).await?;
        of_subscriber(&self.pool, id).await
    }
}

impl Change {
    /// Sets where a subscriber has its calls go.
    pub async fn set_forwards(&mut self, username: &str, forwards: &Forwards) -> Result<()> {
        if let Some(target) = &forwards.always {
            check("always", target)?;
        }
        let id = id_of(&mut *self.tx, username).await?;
        self.touched.subscriber(id);
        sql::query(
            "INSERT INTO subscriber_forwarding (subscriber_id, always_to) VALUES (?, ?) \
             ON CONFLICT (subscriber_id) DO UPDATE SET always_to = excluded.always_to",
        )
        .bind(signed(id.0))
        .bind(forwards.always.as_deref())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
