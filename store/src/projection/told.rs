//! What the ledger tells of accounts, as rows of `account_event`: once each, since they are in the
//! commit of the position. Of an account that the directory does not have nobody is told.

use billing::{LedgerEvent, Money, SpendPeriod};
use vocabulary::{AccountId, Utc};

use crate::sql::{self, Connection, Pool};

/// Writes them, in the order of the journal. The sums of their accounts are written before: each has a
/// row that is locked, whatever other nodes do.
pub(super) async fn write(
    connection: &mut Connection,
    told: &[(Utc, LedgerEvent)],
    is_shared: bool,
) -> Result<(), sqlx::Error> {
    for (at, event) in told {
        let is_news = match event {
            LedgerEvent::CreditLimitReached { credit_limit, .. } => {
                exhausted(connection, event, *credit_limit).await?
            }
            LedgerEvent::BalanceRestored { .. } => restored(connection, event).await?,
            LedgerEvent::LowBalance { .. }
            | LedgerEvent::BundleExhausted { .. }
            | LedgerEvent::SpendLimitReached { .. } => true,
        };
        if is_news {
            let key = key(connection, event, is_shared).await?;
            insert(connection, *at, event, key).await?;
        }
    }
    Ok(())
}

/// False if another node has told it, and none has told since that there is money again.
async fn exhausted(
    connection: &mut Connection,
    event: &LedgerEvent,
    credit_limit: Money,
) -> Result<bool, sqlx::Error> {
    let sql = "UPDATE account_balance SET exhausted_limit = ?
               WHERE account_id = ? AND exhausted_limit IS NULL";
    let query = sql::query(sql).bind(credit_limit.0).bind(account(event));
    Ok(query.execute(connection).await?.rows_affected() > 0)
}

async fn restored(connection: &mut Connection, event: &LedgerEvent) -> Result<bool, sqlx::Error> {
    let sql = "UPDATE account_balance SET exhausted_limit = NULL
               WHERE account_id = ? AND exhausted_limit IS NOT NULL";
    let query = sql::query(sql).bind(account(event));
    Ok(query.execute(connection).await?.rows_affected() > 0)
}

/// By what it is known that it was told before. Each node sees an account fall below a threshold, by
/// what it knows of the others: it is the same fall unless money came in or the credit limit changed in
/// between. A limit of spending is reached once in its day or month, a bundle used up once.
async fn key(
    connection: &mut Connection,
    event: &LedgerEvent,
    is_shared: bool,
) -> Result<Option<String>, sqlx::Error> {
    let threshold = match event {
        LedgerEvent::LowBalance { threshold, .. } if is_shared => threshold,
        LedgerEvent::SpendLimitReached { period, from, limit, .. } => {
            return Ok(Some(spend_limit_key(*period, *from, *limit)));
        }
        LedgerEvent::BundleExhausted { bundle, .. } if is_shared => {
            return Ok(Some(format!("bundle {bundle}")));
        }
        _ => return Ok(None),
    };
    let sql =
        "SELECT b.credits_posted - b.owed + coalesce(a.credit_limit, 0) FROM account_balance b
               LEFT JOIN account a ON a.id = b.account_id WHERE b.account_id = ?";
    let query = sql::query_scalar::<i64>(sql).bind(account(event));
    let received = query.fetch_one(connection).await?;
    Ok(Some(format!("below {} of {received}", threshold.0)))
}

fn spend_limit_key(period: SpendPeriod, from: Utc, limit: Money) -> String {
    format!("{}{}", spend_limit_keys(period, from), limit.0)
}

/// How the keys of a day or month begin.
fn spend_limit_keys(period: SpendPeriod, from: Utc) -> String {
    format!("{} from {} up to ", period.as_str(), from.0)
}

/// The limit of which it was last told that it was reached in the day or month that began then.
pub(crate) async fn spend_limit_told(
    pool: &Pool,
    account: AccountId,
    period: SpendPeriod,
    from: Utc,
) -> Result<Option<Money>, sqlx::Error> {
    let sql = "SELECT threshold FROM account_event WHERE account_id = ? AND event_key LIKE ?
               ORDER BY id DESC LIMIT 1";
    let keys = format!("{}%", spend_limit_keys(period, from));
    let query = sql::query_scalar::<i64>(sql).bind(account.0.cast_signed()).bind(keys);
    Ok(query.fetch_optional(pool).await?.map(Money))
}

async fn insert(
    connection: &mut Connection,
    at: Utc,
    event: &LedgerEvent,
    key: Option<String>,
) -> Result<(), sqlx::Error> {
    let next = "UPDATE next_id SET next = next + 1 WHERE of = 'account_event' RETURNING next - 1";
    let id: i64 = sql::query_scalar(next).fetch_one(&mut *connection).await?;
    let (threshold, bundle) = match event {
        LedgerEvent::LowBalance { threshold, .. } => (Some(threshold.0), None),
        LedgerEvent::SpendLimitReached { limit, .. } => (Some(limit.0), None),
        LedgerEvent::BundleExhausted { bundle, .. } => (None, Some(bundle.0.cast_signed())),
        LedgerEvent::CreditLimitReached { .. } | LedgerEvent::BalanceRestored { .. } => {
            (None, None)
        }
    };
    sql::query(
        "INSERT INTO account_event
             (id, account_id, at, kind, detail, amount_left, threshold, bundle_id, event_key)
         SELECT CAST(? AS BIGINT), id, CAST(? AS BIGINT), CAST(? AS TEXT), CAST(? AS TEXT),
                CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS TEXT)
         FROM account WHERE id = ? ON CONFLICT DO NOTHING",
    )
    .bind(id)
    .bind(at.0)
    .bind(event.code())
    .bind(event.detail())
    .bind(event.left().map(|left| left.0))
    .bind(threshold)
    .bind(bundle)
    .bind(key)
    .bind(account(event))
    .execute(connection)
    .await?;
    Ok(())
}

fn account(event: &LedgerEvent) -> i64 {
    event.account().0.cast_signed()
}
