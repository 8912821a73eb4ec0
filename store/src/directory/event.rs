//! What happened to an account (P-013): written in the commit of what happened, by commands here and,
//! of money, by the projection.

use billing::{LedgerEvent, Money};
use vocabulary::{AccountId, Utc};

use crate::sql::{self, Builder, Row};

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
        /// It pays by another rate group.
        RatesChanged = "rates_changed",
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
        /// A trunk of it does not answer and gets no calls.
        TrunkDown = "trunk_down",
        /// The trunk answers again.
        TrunkUp = "trunk_up",
        /// A fraud rule has found something in its calls.
        FraudAlarm = "fraud_alarm",
        /// The same, and its calls are refused.
        FraudBlocked = "fraud_blocked",
        /// The same, and it has fewer calls.
        FraudReduced = "fraud_reduced",
        /// An operator has lifted that.
        FraudLifted = "fraud_lifted",
        /// Calls over a trunk of it are poor, and it gets none for a while.
        TrunkDropped = "trunk_dropped",
        /// It gets calls again.
        TrunkBack = "trunk_back",
    }
);

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountEvent {
    /// Which; they count up as they are written.
    pub id: u64,
    /// Whose.
    pub account: AccountId,
    /// When.
    pub at: Utc,
    /// What, as a word.
    pub kind: String,
    /// More about it; may be empty.
    pub detail: String,
    /// Balance and credit limit at that moment, if it is about these.
    pub left: Option<Money>,
    /// What is left fell below this.
    pub threshold: Option<Money>,
    /// The bundle that is used up.
    pub bundle: Option<u64>,
}

/// Every kind: those of commands, and those that the ledger tells (P-007, P-013).
pub fn event_kinds() -> impl Iterator<Item = &'static str> {
    AccountEventKind::WORDS.iter().copied().chain(LedgerEvent::CODES)
}

/// Which events; everything `None`: all.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct EventFilter {
    /// Of one account.
    pub account: Option<AccountId>,
    /// Of these kinds; empty: of all.
    pub kinds: Vec<String>,
    /// With a greater id.
    pub after: u64,
    /// So many, and no more than `EVENTS_MAX`.
    pub limit: u32,
}

/// The longest list that one question gets.
pub const EVENTS_MAX: u32 = 1_000;

impl DirectoryStore {
    /// Events, the oldest first.
    pub async fn account_events(&self, filter: &EventFilter) -> Result<Vec<AccountEvent>> {
        let mut query = Builder::new("SELECT * FROM account_event WHERE id > ");
        query.push_bind(signed(filter.after));
        if let Some(account) = filter.account {
            query.push(" AND account_id = ").push_bind(signed(account.0));
        }
        if !filter.kinds.is_empty() {
            query.push(" AND kind IN (").push_list(filter.kinds.iter().cloned()).push(")");
        }
        query.push(" ORDER BY id LIMIT ").push_bind(i64::from(filter.limit.clamp(1, EVENTS_MAX)));
        let rows = query.build().fetch_all(&self.pool).await?;
        rows.iter().map(event).collect()
    }
}

fn event(row: &Row) -> Result<AccountEvent> {
    let money = |column| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(column)?.map(Money));
    Ok(AccountEvent {
        id: unsigned(row.try_get("id")?),
        account: AccountId(unsigned(row.try_get("account_id")?)),
        at: Utc(row.try_get("at")?),
        kind: row.try_get("kind")?,
        detail: row.try_get("detail")?,
        left: money("amount_left")?,
        threshold: money("threshold")?,
        bundle: row.try_get::<Option<i64>, _>("bundle_id")?.map(unsigned),
    })
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
