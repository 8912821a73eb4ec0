//! Receipts of prepaid accounts: one for each posting that moves an account's own money. Made
//! in the commit of the position like the postings themselves, so that a replay makes none twice, and
//! the numbers of a seller have no gap: a commit that fails takes its numbers back.

use std::collections::BTreeMap;

use billing::{Money, OpId, Posting, SystemAccount};
use vocabulary::{AccountId, Utc};

use super::rows::posting_key;
use crate::sql::{self, Builder, Bulk, BulkRow, Connection, Values};

const COLUMNS: [&str; 6] = ["seller_id", "number", "account_id", "op_id", "at", "balance_after"];

/// Accounts that one question asks for.
const ASKED_MAX: usize = 256;

/// The statement that writes them.
pub(super) fn statement() -> Bulk {
    let head = format!("INSERT INTO receipt ({})", COLUMNS.join(", "));
    Bulk::new(&head, COLUMNS.len(), "")
}

/// Writes the receipts of a batch's postings, in their order. The sums of the accounts are written
/// before, so that no other node moves them until this commit.
pub(super) async fn write(
    bulk: &Bulk,
    connection: &mut Connection,
    postings: &[Posting],
) -> Result<(), sqlx::Error> {
    let mut moved: BTreeMap<AccountId, Money> = BTreeMap::new();
    for (account, amount) in postings.iter().flat_map(own_movements) {
        moved.entry(account).or_default().0 += amount.0;
    }
    let accounts: Vec<AccountId> = moved.keys().copied().collect();
    let mut buyers = BTreeMap::new();
    for asked in accounts.chunks(ASKED_MAX) {
        who_gets_them(connection, asked, &moved, &mut buyers).await?;
    }
    if buyers.is_empty() {
        return Ok(());
    }
    let mut receipts = Vec::new();
    for posting in postings {
        for (account, amount) in own_movements(posting) {
            let Some(buyer) = buyers.get_mut(&account) else { continue };
            buyer.balance.0 += amount.0;
            let Buyer { seller, balance } = *buyer;
            let (op, at) = (posting.op, posting.at);
            receipts.push(Receipt { seller, number: 0, account, op, at, balance });
        }
    }
    number(connection, &mut receipts).await?;
    bulk.run(connection, &receipts).await?;
    Ok(())
}

/// What a posting gives to accounts (negative: takes from them) as customers. What we owe a carrier
/// is no charge, and the carrier writes the receipt for what it is paid.
fn own_movements(posting: &Posting) -> impl Iterator<Item = (AccountId, Money)> + use<> {
    let Posting { debit, credit, amount, .. } = *posting;
    let is_own = !posting.kind.changes_owed();
    let sides = [(debit, Money(-amount.0)), (credit, amount)];
    sides.into_iter().filter(move |(side, _)| is_own && !SystemAccount::is_system(*side))
}

/// An account that gets receipts, and how far they are.
struct Buyer {
    /// 0: the operator.
    seller: i64,
    /// After the last posting that was looked at.
    balance: Money,
}

/// Adds those of the accounts that get receipts, with their balances before the batch.
async fn who_gets_them(
    connection: &mut Connection,
    asked: &[AccountId],
    moved: &BTreeMap<AccountId, Money>,
    buyers: &mut BTreeMap<AccountId, Buyer>,
) -> Result<(), sqlx::Error> {
    let Some(last) = asked.last() else { return Ok(()) };
    let mut query = Builder::new(
        "SELECT a.id, coalesce(a.parent_id, 0), b.credits_posted - b.debits_posted - b.owed \
         FROM account a JOIN account_balance b ON b.account_id = a.id \
         WHERE a.receipts = 1 AND a.id IN (",
    );
    // Few lengths of the list make few statements, each of which is prepared once.
    let padding = asked.len().next_power_of_two() - asked.len();
    let ids = asked.iter().chain(std::iter::repeat_n(last, padding));
    query.push_list(ids.map(|id| id.0.cast_signed())).push(")");
    for row in query.build().fetch_all(connection).await? {
        let account = AccountId(row.try_get::<i64, _>(0)?.cast_unsigned());
        let (seller, now): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
        let balance = Money(now - moved.get(&account).map_or(0, |moved| moved.0));
        buyers.insert(account, Buyer { seller, balance });
    }
    Ok(())
}

/// Gives each the next number of its seller. With several nodes the others wait for theirs until this
/// commit.
async fn number(connection: &mut Connection, receipts: &mut [Receipt]) -> Result<(), sqlx::Error> {
    let mut next: BTreeMap<i64, i64> = BTreeMap::new();
    for receipt in receipts.iter() {
        *next.entry(receipt.seller).or_default() += 1;
    }
    for (seller, next) in &mut next {
        let sql = "INSERT INTO receipt_series (seller_id, last_number) VALUES (?, ?)
                   ON CONFLICT (seller_id) DO UPDATE
                   SET last_number = receipt_series.last_number + excluded.last_number
                   RETURNING last_number";
        let count = *next;
        let query = sql::query_scalar::<i64>(sql).bind(*seller).bind(count);
        *next = query.fetch_one(&mut *connection).await? - count + 1;
    }
    for receipt in receipts {
        let next = next.get_mut(&receipt.seller).expect("counted above");
        receipt.number = *next;
        *next += 1;
    }
    Ok(())
}

struct Receipt {
    seller: i64,
    number: i64,
    account: AccountId,
    op: OpId,
    at: Utc,
    balance: Money,
}

impl BulkRow for Receipt {
    fn bind(&self, row: &mut Values<'_>) {
        row.put(self.seller);
        row.put(self.number);
        row.put(self.account.0.cast_signed());
        row.put(posting_key(self.op));
        row.put(self.at.0);
        row.put(self.balance.0);
    }
}
