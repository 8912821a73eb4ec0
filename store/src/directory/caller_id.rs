//! What accounts' calls need of their caller's number.

use std::collections::BTreeMap;

use switch::caller_id::{CallerIdPolicy, CliPool};
use vocabulary::AccountId;

use super::{Change, ChangeError, DirectoryStore, Result, signed, unsigned};
use crate::sql::{self, Executor, Row};

fn policy(row: &Row) -> Result<CallerIdPolicy> {
    let word: String = row.try_get("pool")?;
    let pool =
        CliPool::from_word(&word).ok_or(ChangeError::Corrupt { column: "pool", value: word })?;
    Ok(CallerIdPolicy { pool })
}

/// Of all accounts that have one.
pub(super) async fn all(
    executor: impl Executor<'_>,
) -> Result<BTreeMap<AccountId, CallerIdPolicy>> {
    let rows = sql::query("SELECT * FROM account_caller_id").fetch_all(executor).await?;
    let of_row = |row: &Row| Ok((AccountId(unsigned(row.try_get("account_id")?)), policy(row)?));
    rows.iter().map(of_row).collect()
}

/// Of this one.
pub(super) async fn of_account(
    executor: impl Executor<'_>,
    account: AccountId,
) -> Result<CallerIdPolicy> {
    let row = sql::query("SELECT * FROM account_caller_id WHERE account_id = ?")
        .bind(signed(account.0))
        .fetch_optional(executor)
        .await?;
    row.map_or_else(|| Ok(CallerIdPolicy::default()), |row| policy(&row))
}

impl DirectoryStore {
    /// What an account's calls need of their caller's number.
    pub async fn caller_id_policy(&self, account: AccountId) -> Result<CallerIdPolicy> {
        of_account(&self.pool, account).await
    }
}

impl Change {
    /// Sets it.
    pub async fn set_caller_id_policy(
        &mut self,
        account: AccountId,
        policy: &CallerIdPolicy,
    ) -> Result<()> {
        self.touched.account(account);
        sql::query(
            "INSERT INTO account_caller_id (account_id, pool) VALUES (?, ?) \
             ON CONFLICT (account_id) DO UPDATE SET pool = excluded.pool",
        )
        .bind(signed(account.0))
        .bind(policy.pool.word())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
