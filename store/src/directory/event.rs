//! What happened to an account (P-013): written in the commit of what happened.

use crate::sql;
use vocabulary::{AccountId, Utc};

use super::{Change, DirectoryStore, Result, signed, unsigned, words};

words!(
    /// What happened.
    AccountEventKind {
        /// It was opened.
        Created = "created",
        /// An operator or its reseller refuses its calls.
        Blocked = "blocked",
        /// They are taken again.
        Unblocked = "unblocked",
        /// It could not pay a charge, and its calls are refused.
        Suspended = "suspended",
        /// It has paid, and its calls are taken again.
        Resumed = "resumed",
        /// Closed for good.
        Closed = "closed",
        /// It has a plan more.
        PlanAdded = "plan_added",
        /// A plan ended.
        PlanEnded = "plan_ended",
        /// It could not pay a charge.
        ChargeRefused = "charge_refused",
        /// A voucher was redeemed.
        VoucherRedeemed = "voucher_redeemed",
        /// Too many wrong voucher codes.
        VoucherLocked = "voucher_locked",
    }
);

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountEvent {
    /// Which; they count up.
    pub id: u64,
    /// Whose.
    pub account: AccountId,
    /// When.
    pub at: Utc,
    /// What, as a word.
    pub kind: String,
    /// More about it; may be empty.
    pub detail: String,
}

/// The longest list that one question gets.
const EVENTS_MAX: i64 = 1_000;

impl DirectoryStore {
    /// Events with a greater id, of one account or of all, the oldest first.
    pub async fn account_events(
        &self,
        account: Option<AccountId>,
        after: u64,
    ) -> Result<Vec<AccountEvent>> {
        let only = account.map_or(-1, |account| signed(account.0));
        let rows = sql::query(
            "SELECT * FROM account_event WHERE id > ? AND (? < 0 OR account_id = ?)
             ORDER BY id LIMIT ?",
        )
        .bind(signed(after))
        .bind(only)
        .bind(only)
        .bind(EVENTS_MAX)
        .fetch_all(&self.pool)
        .await?;
        let mut events = Vec::with_capacity(rows.len());
        for row in &rows {
            events.push(AccountEvent {
                id: unsigned(row.try_get("id")?),
                account: AccountId(unsigned(row.try_get("account_id")?)),
                at: Utc(row.try_get("at")?),
                kind: row.try_get("kind")?,
                detail: row.try_get("detail")?,
            });
        }
        Ok(events)
    }
}

impl Change {
    /// Writes an event down.
    pub async fn add_event(
        &mut self,
        account: AccountId,
        kind: AccountEventKind,
        detail: &str,
        at: Utc,
    ) -> Result<()> {
        let id = self.next_id("account_event").await?;
        sql::query(
            "INSERT INTO account_event (id, account_id, at, kind, detail) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(signed(id))
        .bind(signed(account.0))
        .bind(at.0)
        .bind(kind.as_str())
        .bind(detail)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
