//! Reading the receipts that the projection wrote. A receipt says what never changes: a call
//! that is priced again has further receipts for the differences.

use std::time::Duration;

use billing::{Money, OpId};
use vocabulary::{AccountId, CallId, Utc};

use crate::directory::DirectoryStore;
use crate::query::LIST_MAX;
use crate::sql::{Builder, Row};

/// One receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredReceipt {
    /// Whose series the number is of: the reseller that the account belonged to; `None`: ours.
    pub seller: Option<AccountId>,
    /// From 1 on, without a gap in its series.
    pub number: u64,
    /// Whose money it is.
    pub account: AccountId,
    /// The posting that it is for.
    pub op_id: OpId,
    /// The posting's kind: `charge`, `fee`, `topup`, …
    pub kind: String,
    /// What the account got; negative: what it was charged.
    pub amount: Money,
    /// ISO 4217.
    pub currency: String,
    /// The account's own money afterwards: without what we owe it as a carrier.
    pub balance_after: Money,
    /// When the money moved.
    pub at: Utc,
    /// The reason or label of a posting without a call.
    pub note: String,
    /// The call that was charged.
    pub call: Option<ReceiptCall>,
}

/// Of a call, what its receipt says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptCall {
    /// Which.
    pub call: CallId,
    /// The number that was called, in E.164.
    pub destination: Option<String>,
    /// When the call came in.
    pub started_at: Option<Utc>,
    /// How long was talked.
    pub talked: Duration,
}

/// Which receipts; the empty filter is all, series by series.
#[derive(Clone, Debug, Default)]
pub struct ReceiptFilter {
    /// Of this account.
    pub account: Option<AccountId>,
    /// Of one series: a reseller's, or with `Some(None)` ours.
    pub seller: Option<Option<AccountId>>,
    /// With this number.
    pub number: Option<u64>,
    /// For this posting.
    pub op_id: Option<OpId>,
    /// For postings of these kinds; empty: of all.
    pub kinds: Vec<String>,
    /// Whose money moved at this moment or later,
    pub from: Option<Utc>,
    /// and before this one.
    pub till: Option<Utc>,
    /// Behind this one, as seller (0: ours) and number: the last of the list before.
    pub after: Option<(u64, u64)>,
    /// So many at most; 0 and anything above `LIST_MAX` is `LIST_MAX`.
    pub limit: u32,
}

impl DirectoryStore {
    /// Receipts by seller and number.
    pub async fn receipts(
        &self,
        filter: &ReceiptFilter,
    ) -> crate::directory::Result<Vec<StoredReceipt>> {
        let rows = question(filter).build().fetch_all(&self.pool).await?;
        Ok(rows.iter().map(receipt).collect::<Result<_, _>>()?)
    }
}

fn question(filter: &ReceiptFilter) -> Builder {
    let mut query = Builder::new(
        "SELECT r.seller_id, r.number, r.account_id, r.op_id, r.at, r.balance_after, p.kind,
                CASE WHEN p.debit_account_id = r.account_id THEN -p.amount ELSE p.amount END AS amount,
                p.currency, p.note, p.call_id, c.destination, c.started_at, c.talked_us
         FROM receipt r
         JOIN posting p ON p.op_id = r.op_id
         LEFT JOIN cdr c ON c.call_id = p.call_id AND c.leg = 0
         WHERE 1 = 1",
    );
    if let Some(account) = filter.account {
        query.push(" AND r.account_id = ").push_bind(account.0.cast_signed());
    }
    if let Some(seller) = filter.seller {
        let seller = seller.map_or(0, |seller| seller.0.cast_signed());
        query.push(" AND r.seller_id = ").push_bind(seller);
    }
    if let Some(number) = filter.number {
        query.push(" AND r.number = ").push_bind(number.cast_signed());
    }
    if let Some(op) = filter.op_id {
        query.push(" AND r.op_id = ").push_bind(op.0.to_be_bytes().to_vec());
    }
    if !filter.kinds.is_empty() {
        query.push(" AND p.kind IN (").push_list(filter.kinds.iter().cloned()).push(")");
    }
    if let Some(from) = filter.from {
        query.push(" AND r.at >= ").push_bind(from.0);
    }
    if let Some(till) = filter.till {
        query.push(" AND r.at < ").push_bind(till.0);
    }
    if let Some((seller, number)) = filter.after {
        query.push(" AND (r.seller_id, r.number) > (").push_bind(seller.cast_signed());
        query.push(", ").push_bind(number.cast_signed()).push(")");
    }
    let limit = if filter.limit == 0 { LIST_MAX } else { filter.limit.min(LIST_MAX) };
    query.push(" ORDER BY r.seller_id, r.number LIMIT ").push_bind(limit);
    query
}

fn receipt(row: &Row) -> Result<StoredReceipt, sqlx::Error> {
    let id = |column| row.try_get::<i64, _>(column).map(i64::cast_unsigned);
    let op_id: &[u8] = row.try_get("op_id")?;
    let op_id = <[u8; 16]>::try_from(op_id)
        .map_err(|_| sqlx::Error::Decode("table receipt: an op_id has 16 bytes".into()))?;
    let call = match row.try_get::<Option<i64>, _>("call_id")? {
        None => None,
        Some(call) => Some(ReceiptCall {
            call: CallId(call.cast_unsigned()),
            destination: row.try_get("destination")?,
            started_at: row.try_get::<Option<i64>, _>("started_at")?.map(Utc),
            talked: {
                let talked: Option<i64> = row.try_get("talked_us")?;
                Duration::from_micros(talked.unwrap_or(0).unsigned_abs())
            },
        }),
    };
    Ok(StoredReceipt {
        seller: Some(AccountId(id("seller_id")?)).filter(|seller| seller.0 != 0),
        number: id("number")?,
        account: AccountId(id("account_id")?),
        op_id: OpId(u128::from_be_bytes(op_id)),
        kind: row.try_get("kind")?,
        amount: Money(row.try_get("amount")?),
        currency: row.try_get("currency")?,
        balance_after: Money(row.try_get("balance_after")?),
        at: Utc(row.try_get("at")?),
        note: row.try_get("note")?,
        call,
    })
}
