//! Commands from outside come with a key. The answer is written in the commit of the command, so
//! that a repeat, also one after a crash, gets the same answer and changes nothing.

use vocabulary::Utc;

use crate::directory::{Change, ChangeError};
use crate::sql;

/// How long an answer can be had again.
pub const KEPT_DAYS: i64 = 30;
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// JSON.
    pub body: String,
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing: carry out the command.
    Never,
    /// The same command was carried out, with this answer.
    Before(Answer),
    /// The key came with another command.
    WithAnotherCommand,
}

impl Change {
    /// Was this key used before? `fingerprint` is a hash over everything the command says.
    pub async fn seen(&mut self, key: &str, fingerprint: &[u8; 32]) -> Result<Seen, ChangeError> {
        let row = sql::query("SELECT fingerprint, status, answer FROM idempotency WHERE key = ?")
            .bind(key)
            .fetch_optional(&mut *self.tx)
            .await?;
        let Some(row) = row else { return Ok(Seen::Never) };
        if row.try_get::<Vec<u8>, _>("fingerprint")? != fingerprint {
            return Ok(Seen::WithAnotherCommand);
        }
        Ok(Seen::Before(Answer { status: row.try_get("status")?, body: row.try_get("answer")? }))
    }

    /// Keeps the answer under its key, and forgets those that are too old to be asked for.
    pub async fn remember(
        &mut self,
        key: &str,
        fingerprint: &[u8; 32],
        answer: &Answer,
        now: Utc,
    ) -> Result<(), ChangeError> {
        sql::query("DELETE FROM idempotency WHERE created_at < ?")
            .bind(now.0 - KEPT_DAYS * MICROS_PER_DAY)
            .execute(&mut *self.tx)
            .await?;
        sql::query(
            "INSERT INTO idempotency (key, fingerprint, status, answer, created_at)
             VALUES (?, ?, ?, ?, ?)",
        )
        .bind(key)
        .bind(&fingerprint[..])
        .bind(answer.status)
        .bind(&answer.body)
        .bind(now.0)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
