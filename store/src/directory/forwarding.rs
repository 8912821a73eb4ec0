//! Where subscribers have their calls go.

use std::collections::BTreeMap;
use std::time::Duration;

use switch::forwarding::{Forwards, NoAnswer};
use vocabulary::SubscriberId;

use super::{Change, ChangeError, DirectoryStore, Result, signed, unsigned};
use crate::sql::{self, Executor, Row};

/// The longest thing to dial.
const TARGET_MAX: usize = 64;

/// How long phones ring before nobody answers, if nothing else is said.
pub const NO_ANSWER_AFTER: Duration = Duration::from_secs(20);

const RING_MIN: Duration = Duration::from_secs(1);
const RING_MAX: Duration = Duration::from_secs(600);

const FORWARDS: &str = "SELECT s.id AS subscriber_id, a.always_to, c.busy_to, c.offline_to, \
     c.no_answer_to, c.no_answer_seconds FROM subscriber s \
     LEFT JOIN subscriber_forwarding a ON a.subscriber_id = s.id \
     LEFT JOIN subscriber_conditional_forwarding c ON c.subscriber_id = s.id";

fn forwards(row: &Row) -> Result<Forwards> {
    let target = |column: &'static str| -> Result<Option<Box<str>>> {
        Ok(row.try_get::<Option<String>, _>(column)?.map(Into::into))
    };
    let after: Option<i64> = row.try_get("no_answer_seconds")?;
    let after = after.map_or(NO_ANSWER_AFTER, |secs| Duration::from_secs(unsigned(secs)));
    Ok(Forwards {
        always: target("always_to")?,
        busy: target("busy_to")?,
        no_answer: target("no_answer_to")?.map(|to| NoAnswer { to, after }),
        offline: target("offline_to")?,
    })
}

/// Of all subscribers that have any.
pub(super) async fn all(executor: impl Executor<'_>) -> Result<BTreeMap<SubscriberId, Forwards>> {
    let text = format!("{FORWARDS} WHERE coalesce(a.subscriber_id, c.subscriber_id) IS NOT NULL");
    let rows = sql::query(text).fetch_all(executor).await?;
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
    let row = sql::query(format!("{FORWARDS} WHERE s.id = ?"))
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
    /// Where a subscriber has its calls go.
    pub async fn forwards(&mut self, username: &str) -> Result<Forwards> {
        let id = id_of(&mut *self.tx, username).await?;
        of_subscriber(&mut *self.tx, id).await
    }

    /// Sets where a subscriber has its calls go.
    pub async fn set_forwards(&mut self, username: &str, forwards: &Forwards) -> Result<()> {
        let Forwards { always, busy, no_answer, offline } = forwards;
        let no_answer_to = no_answer.as_ref().map(|no_answer| &*no_answer.to);
        let targets = [
            ("always", always.as_deref()),
            ("busy", busy.as_deref()),
            ("no_answer", no_answer_to),
            ("offline", offline.as_deref()),
        ];
        for (field, target) in targets {
            target.map_or(Ok(()), |target| check(field, target))?;
        }
        let after = no_answer.as_ref().map_or(NO_ANSWER_AFTER, |no_answer| no_answer.after);
        if !(RING_MIN..=RING_MAX).contains(&after) {
            let what = "a phone rings for 1 to 600 seconds before nobody answers";
            return Err(ChangeError::invalid("no_answer_after", what));
        }
        let id = id_of(&mut *self.tx, username).await?;
        self.touched.subscriber(id);
        sql::query(
            "INSERT INTO subscriber_forwarding (subscriber_id, always_to) VALUES (?, ?) \
             ON CONFLICT (subscriber_id) DO UPDATE SET always_to = excluded.always_to",
        )
        .bind(signed(id.0))
        .bind(always.as_deref())
        .execute(&mut *self.tx)
        .await?;
        sql::query(
            "INSERT INTO subscriber_conditional_forwarding (subscriber_id, busy_to, offline_to, \
             no_answer_to, no_answer_seconds) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT (subscriber_id) DO UPDATE SET busy_to = excluded.busy_to, \
             offline_to = excluded.offline_to, no_answer_to = excluded.no_answer_to, \
             no_answer_seconds = excluded.no_answer_seconds",
        )
        .bind(signed(id.0))
        .bind(busy.as_deref())
        .bind(offline.as_deref())
        .bind(no_answer_to)
        .bind(signed(after.as_secs()))
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
