//! Vouchers and calling-card PINs (P-025, V-12, A-14). Codes are known by their keyed hash only: who
//! reads the database has none.

use crate::sql::{self, Connection};
use billing::Money;
use vocabulary::{AccountId, Utc};

use crate::directory::{
    Account, Change, ChangeError, DirectoryStore, Result, check_name, signed, taken, unsigned,
};

/// HMAC-SHA256 of a code.
pub type CodeHash = [u8; 32];

/// A batch of vouchers of one amount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoucherBatch {
    /// Which; 0 before it is stored.
    pub id: u64,
    /// Unique.
    pub name: String,
    /// What each is worth.
    pub amount: Money,
    /// ISO 4217; only accounts of this currency can redeem them.
    pub currency: String,
    /// How many were made.
    pub count: u64,
    /// How many are redeemed; only read.
    pub redeemed: u64,
    /// Good until, not included.
    pub expires_at: Option<Utc>,
    /// Since when an operator has withdrawn those not redeemed.
    pub voided_at: Option<Utc>,
    /// When it was made.
    pub created_at: Utc,
}

/// A voucher that an account has redeemed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redeemed {
    /// Its id; its posting is named by it.
    pub voucher: u64,
    /// The batch's name.
    pub batch: String,
    /// Its number in the batch, from 1.
    pub serial: u64,
    /// What it is worth.
    pub amount: Money,
    /// When.
    pub at: Utc,
}

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is this account's now.
    Claimed(Redeemed),
    /// It was this account's before.
    Before(Redeemed),
    /// No such code, or somebody else's: nobody is told which.
    Invalid,
    /// It is past its end.
    Expired,
    /// It was withdrawn.
    Voided,
    /// It is in another currency than the account.
    Currency(String),
}

async fn batches(connection: &mut Connection) -> Result<Vec<VoucherBatch>> {
    let rows = sql::query(
        "SELECT voucher_batch.*,
            (SELECT COUNT(*) FROM voucher WHERE voucher.voucher_batch_id = voucher_batch.id
                AND redeemed_by IS NOT NULL) AS redeemed
         FROM voucher_batch ORDER BY id",
    )
    .fetch_all(connection)
    .await?;
    let mut batches = Vec::with_capacity(rows.len());
    for row in &rows {
        let moment = |column| row.try_get::<Option<i64>, _>(column).map(|at| at.map(Utc));
        batches.push(VoucherBatch {
            id: unsigned(row.try_get("id")?),
            name: row.try_get("name")?,
            amount: Money(row.try_get("amount")?),
            currency: row.try_get("currency")?,
            count: unsigned(row.try_get("voucher_count")?),
            redeemed: unsigned(row.try_get("redeemed")?),
            expires_at: moment("expires_at")?,
            voided_at: moment("voided_at")?,
            created_at: Utc(row.try_get("created_at")?),
        });
    }
    Ok(batches)
}

impl DirectoryStore {
    /// All batches, in the order of their ids.
    pub async fn voucher_batches(&self) -> Result<Vec<VoucherBatch>> {
        batches(&mut self.begin_read().await?.tx).await
    }
}

impl Change {
    /// Adds a batch with its vouchers, numbered from 1 in the order of their hashes.
    pub async fn add_vouchers(
        &mut self,
        mut batch: VoucherBatch,
        codes: &[CodeHash],
    ) -> Result<VoucherBatch> {
        check_name("name", &batch.name)?;
        batch.id = self.next_id("voucher_batch").await?;
        batch.count = codes.len() as u64;
        sql::query(
            "INSERT INTO voucher_batch (id, name, amount, currency, voucher_count, expires_at,
                created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(signed(batch.id))
        .bind(&batch.name)
        .bind(batch.amount.0)
        .bind(&batch.currency)
        .bind(signed(batch.count))
        .bind(batch.expires_at.map(|at| at.0))
        .bind(batch.created_at.0)
        .execute(&mut *self.tx)
        .await
        .map_err(|error| taken(error, &[("voucher_batch.name", "name", &batch.name)]))?;
        for (serial, code) in (1_i64..).zip(codes) {
            let id = self.next_id("voucher").await?;
            sql::query(
                "INSERT INTO voucher (id, voucher_batch_id, serial, code_hash) VALUES (?, ?, ?, ?)",
            )
            .bind(signed(id))
            .bind(signed(batch.id))
            .bind(serial)
            .bind(&code[..])
            .execute(&mut *self.tx)
            .await?;
        }
        Ok(batch)
    }

    /// Withdraws what is not redeemed of a batch.
    pub async fn void_vouchers(&mut self, name: &str, now: Utc) -> Result<VoucherBatch> {
        let all = batches(&mut self.tx).await?;
        let mut batch = all
            .into_iter()
            .find(|batch| batch.name == name)
            .ok_or_else(|| ChangeError::not_found("voucher batch", name))?;
        batch.voided_at = Some(batch.voided_at.unwrap_or(now));
        sql::query("UPDATE voucher_batch SET voided_at = ? WHERE id = ? AND voided_at IS NULL")
            .bind(now.0)
            .bind(signed(batch.id))
            .execute(&mut *self.tx)
            .await?;
        Ok(batch)
    }

    /// Is this code in use already, by a voucher?
    pub async fn is_voucher_free(&mut self, code: &CodeHash) -> Result<bool> {
        let row = sql::query("SELECT 1 FROM voucher WHERE code_hash = ?").bind(&code[..]);
        Ok(row.fetch_optional(&mut *self.tx).await?.is_none())
    }

    /// Gives the voucher to the account, if nobody has it. Of two claims at once one wins: the
    /// second UPDATE finds nothing.
    pub async fn claim_voucher(
        &mut self,
        code: &CodeHash,
        account: &Account,
        now: Utc,
    ) -> Result<Claim> {
        let row = sql::query(
            "SELECT voucher.id, voucher.serial, voucher.redeemed_by, voucher.redeemed_at,
                voucher_batch.name, voucher_batch.amount, voucher_batch.currency,
                voucher_batch.expires_at, voucher_batch.voided_at
             FROM voucher JOIN voucher_batch ON voucher_batch.id = voucher.voucher_batch_id
             WHERE voucher.code_hash = ?",
        )
        .bind(&code[..])
        .fetch_optional(&mut *self.tx)
        .await?;
        let Some(row) = row else { return Ok(Claim::Invalid) };
        let moment = |column| row.try_get::<Option<i64>, _>(column).map(|at| at.map(Utc));
        let redeemed = Redeemed {
            voucher: unsigned(row.try_get("id")?),
            batch: row.try_get("name")?,
            serial: unsigned(row.try_get("serial")?),
            amount: Money(row.try_get("amount")?),
            at: moment("redeemed_at")?.unwrap_or(now),
        };
        if let Some(by) = row.try_get::<Option<i64>, _>("redeemed_by")? {
            let is_ours = AccountId(unsigned(by)) == account.id;
            return Ok(if is_ours { Claim::Before(redeemed) } else { Claim::Invalid });
        }
        if moment("voided_at")?.is_some() {
            return Ok(Claim::Voided);
        }
        if moment("expires_at")?.is_some_and(|end| end <= now) {
            return Ok(Claim::Expired);
        }
        let currency: String = row.try_get("currency")?;
        if currency != account.currency {
            return Ok(Claim::Currency(currency));
        }
        let done = sql::query(
            "UPDATE voucher SET redeemed_by = ?, redeemed_at = ?
             WHERE id = ? AND redeemed_by IS NULL",
        )
        .bind(signed(account.id.0))
        .bind(now.0)
        .bind(signed(redeemed.voucher))
        .execute(&mut *self.tx)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(Claim::Invalid);
        }
        Ok(Claim::Claimed(redeemed))
    }

    /// How many wrong codes the account has tried since then.
    pub async fn voucher_failures(&mut self, account: AccountId, since: Utc) -> Result<u64> {
        let row = sql::query(
            "SELECT COUNT(*) AS failures FROM voucher_failure WHERE account_id = ? AND at > ?",
        )
        .bind(signed(account.0))
        .bind(since.0)
        .fetch_one(&mut *self.tx)
        .await?;
        Ok(unsigned(row.try_get("failures")?))
    }

    /// Remembers a wrong code, and forgets those before `since`.
    pub async fn add_voucher_failure(
        &mut self,
        account: AccountId,
        now: Utc,
        since: Utc,
    ) -> Result<()> {
        sql::query("DELETE FROM voucher_failure WHERE at <= ?")
            .bind(since.0)
            .execute(&mut *self.tx)
            .await?;
        sql::query("INSERT INTO voucher_failure (account_id, at) VALUES (?, ?)")
            .bind(signed(account.0))
            .bind(now.0)
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Whose PIN is this?
    pub async fn pin_owner(&mut self, pin: &CodeHash) -> Result<Option<AccountId>> {
        let row = sql::query("SELECT account_id FROM account_pin WHERE pin_hash = ?")
            .bind(&pin[..])
            .fetch_optional(&mut *self.tx)
            .await?;
        let id: Option<i64> = row.map(|row| row.try_get("account_id")).transpose()?;
        Ok(id.map(|id| AccountId(unsigned(id))))
    }

    /// Gives an account a PIN instead of the one it had. `batch` is empty for one given alone.
    pub async fn set_pin(
        &mut self,
        account: AccountId,
        pin: &CodeHash,
        batch: &str,
        now: Utc,
    ) -> Result<()> {
        sql::query("DELETE FROM account_pin WHERE account_id = ?")
            .bind(signed(account.0))
            .execute(&mut *self.tx)
            .await?;
        sql::query(
            "INSERT INTO account_pin (account_id, pin_hash, pin_batch, created_at)
             VALUES (?, ?, ?, ?)",
        )
        .bind(signed(account.0))
        .bind(&pin[..])
        .bind(batch)
        .bind(now.0)
        .execute(&mut *self.tx)
        .await
        .map_err(|error| taken(error, &[("account_pin.pin_hash", "pin", "this PIN")]))?;
        Ok(())
    }

    /// A setting of the data directory, as this command has left it.
    pub async fn setting(&mut self, name: &str) -> Result<Option<String>> {
        let row = sql::query("SELECT value FROM setting WHERE name = ?").bind(name);
        let row = row.fetch_optional(&mut *self.tx).await?;
        Ok(row.map(|row| row.try_get("value")).transpose()?)
    }
}
