//! What accounts' calls need of their caller's number, the caller IDs stored for them,
//! who their callers are by default, and how trunks tell and are told who calls.

use std::collections::BTreeMap;

use switch::caller_id::{
    CallerIdPolicy, CliPool, DefaultCaller, DiversionHeaders, IdentityHeader, TrunkCallerId,
};
use vocabulary::{AccountId, Number, TrunkId, Utc};

use super::{Change, ChangeError, DirectoryStore, Result, signed, unsigned};
use crate::sql::{self, Executor, Row};

/// Caller IDs that may be stored for one account. Each snapshot of the directory holds them all.
const STORED_MAX: i64 = 10_000;

/// All of a policy that is in this row.
fn policy(row: &Row) -> Result<CallerIdPolicy> {
    let word: String = row.try_get("pool")?;
    let pool =
        CliPool::from_word(&word).ok_or(ChangeError::Corrupt { column: "pool", value: word })?;
    let text: Option<String> = row.try_get("default_number")?;
    let corrupt = |value| ChangeError::Corrupt { column: "default_number", value };
    let number = text.map(|text| text.parse().map_err(|_| corrupt(text))).transpose()?;
    let name: Option<String> = row.try_get("default_name")?;
    let default = DefaultCaller { number, name: name.unwrap_or_default().into() };
    Ok(CallerIdPolicy { pool, stored: Box::default(), default: default.boxed() })
}

fn number(row: &Row) -> Result<Number> {
    let text: String = row.try_get("number")?;
    text.parse().map_err(|_| ChangeError::Corrupt { column: "number", value: text })
}

fn account(row: &Row) -> Result<AccountId> {
    Ok(AccountId(unsigned(row.try_get("account_id")?)))
}

/// By the order of numbers, which is not that of texts in every database.
fn ascending(mut numbers: Vec<Number>) -> Box<[Number]> {
    numbers.sort_unstable();
    numbers.into()
}

fn of_trunk_row(row: &Row) -> Result<TrunkCallerId> {
    let word: String = row.try_get("identity")?;
    let identity = IdentityHeader::from_word(&word)
        .ok_or(ChangeError::Corrupt { column: "identity", value: word })?;
    let word: String = row.try_get("diversions")?;
    let diversions = DiversionHeaders::from_word(&word)
        .ok_or(ChangeError::Corrupt { column: "diversions", value: word })?;
    Ok(TrunkCallerId {
        identity,
        diversions,
        sends_names: row.try_get("sends_names")?,
        names_subscribers: row.try_get("names_subscribers")?,
    })
}

/// Of all trunks that have a row.
pub(super) async fn of_trunks(
    executor: impl Executor<'_>,
) -> Result<BTreeMap<TrunkId, TrunkCallerId>> {
    let rows = sql::query("SELECT * FROM trunk_caller_id").fetch_all(executor).await?;
    let trunk = |row: &Row| Ok::<_, ChangeError>(TrunkId(unsigned(row.try_get("trunk_id")?)));
    rows.iter().map(|row| Ok((trunk(row)?, of_trunk_row(row)?))).collect()
}

/// Without the stored caller IDs.
async fn policy_of(executor: impl Executor<'_>, account: AccountId) -> Result<CallerIdPolicy> {
    let row = sql::query("SELECT * FROM account_caller_id WHERE account_id = ?")
        .bind(signed(account.0))
        .fetch_optional(executor)
        .await?;
    row.map_or_else(|| Ok(CallerIdPolicy::default()), |row| policy(&row))
}

async fn stored_of(executor: impl Executor<'_>, account: AccountId) -> Result<Box<[Number]>> {
    let rows = sql::query("SELECT number FROM account_cli WHERE account_id = ?")
        .bind(signed(account.0))
        .fetch_all(executor)
        .await?;
    Ok(ascending(rows.iter().map(number).collect::<Result<_>>()?))
}

impl DirectoryStore {
    /// What an account's calls need of their caller's number.
    pub async fn caller_id_policy(&self, account: AccountId) -> Result<CallerIdPolicy> {
        let policy = policy_of(&self.pool, account).await?;
        Ok(CallerIdPolicy { stored: stored_of(&self.pool, account).await?, ..policy })
    }
}

impl Change {
    /// Of all accounts that have one.
    pub(super) async fn caller_id_policies(
        &mut self,
    ) -> Result<BTreeMap<AccountId, CallerIdPolicy>> {
        let mut policies = BTreeMap::<AccountId, CallerIdPolicy>::new();
        let sql = "SELECT * FROM account_caller_id";
        for row in &sql::query(sql).fetch_all(&mut *self.tx).await? {
            policies.insert(account(row)?, policy(row)?);
        }
        let mut stored = BTreeMap::<AccountId, Vec<Number>>::new();
        let sql = "SELECT account_id, number FROM account_cli";
        for row in &sql::query(sql).fetch_all(&mut *self.tx).await? {
            stored.entry(account(row)?).or_default().push(number(row)?);
        }
        for (id, numbers) in stored {
            policies.entry(id).or_default().stored = ascending(numbers);
        }
        Ok(policies)
    }

    /// What an account's calls need of their caller's number, as this command has left it.
    pub async fn caller_id_policy(&mut self, account: AccountId) -> Result<CallerIdPolicy> {
        let policy = policy_of(&mut *self.tx, account).await?;
        Ok(CallerIdPolicy { stored: stored_of(&mut *self.tx, account).await?, ..policy })
    }

    /// How callers are shown to a trunk and known from it, as this command has left it.
    pub async fn trunk_caller_id(&mut self, trunk: TrunkId) -> Result<TrunkCallerId> {
        let row = sql::query("SELECT * FROM trunk_caller_id WHERE trunk_id = ?")
            .bind(signed(trunk.0))
            .fetch_optional(&mut *self.tx)
            .await?;
        row.map_or_else(|| Ok(TrunkCallerId::default()), |row| of_trunk_row(&row))
    }

    /// Sets how callers are shown to a trunk and known from it.
    pub async fn set_trunk_caller_id(
        &mut self,
        trunk: TrunkId,
        wanted: TrunkCallerId,
    ) -> Result<()> {
        self.touched.trunk(trunk);
        sql::query(
            "INSERT INTO trunk_caller_id \
                (trunk_id, identity, diversions, sends_names, names_subscribers) \
             VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT (trunk_id) DO UPDATE SET \
                identity = excluded.identity, diversions = excluded.diversions, \
                sends_names = excluded.sends_names, \
                names_subscribers = excluded.names_subscribers",
        )
        .bind(signed(trunk.0))
        .bind(wanted.identity.word())
        .bind(wanted.diversions.word())
        .bind(wanted.sends_names)
        .bind(wanted.names_subscribers)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Sets what an account's calls need of their caller's number, and who its callers are by
    /// default.
    pub async fn set_caller_id_policy(
        &mut self,
        account: AccountId,
        pool: CliPool,
        default: &DefaultCaller,
    ) -> Result<()> {
        self.touched.account(account);
        let name = Some(&*default.name).filter(|name| !name.is_empty());
        sql::query(
            "INSERT INTO account_caller_id (account_id, pool, default_number, default_name) \
             VALUES (?, ?, ?, ?) \
             ON CONFLICT (account_id) DO UPDATE SET pool = excluded.pool, \
                default_number = excluded.default_number, default_name = excluded.default_name",
        )
        .bind(signed(account.0))
        .bind(pool.word())
        .bind(default.number.as_ref().map(Number::as_str))
        .bind(name)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Stores caller IDs for an account. One that is stored already stays.
    pub async fn add_clis(
        &mut self,
        account: AccountId,
        numbers: &[Number],
        now: Utc,
    ) -> Result<()> {
        self.touched.account(account);
        for number in numbers {
            sql::query(
                "INSERT INTO account_cli (account_id, number, created_at) VALUES (?, ?, ?) \
                 ON CONFLICT (account_id, number) DO NOTHING",
            )
            .bind(signed(account.0))
            .bind(number.as_str())
            .bind(now.0)
            .execute(&mut *self.tx)
            .await?;
        }
        let held: i64 = sql::query_scalar("SELECT COUNT(*) FROM account_cli WHERE account_id = ?")
            .bind(signed(account.0))
            .fetch_one(&mut *self.tx)
            .await?;
        if held > STORED_MAX {
            let what = format!("an account has at most {STORED_MAX} caller IDs; this makes {held}");
            return Err(ChangeError::invalid("numbers", what));
        }
        Ok(())
    }

    /// Takes a stored caller ID away.
    pub async fn remove_cli(&mut self, account: AccountId, number: &Number) -> Result<()> {
        self.touched.account(account);
        let removed = sql::query("DELETE FROM account_cli WHERE account_id = ? AND number = ?")
            .bind(signed(account.0))
            .bind(number.as_str())
            .execute(&mut *self.tx)
            .await?;
        match removed.rows_affected() {
            0 => Err(ChangeError::not_found("caller ID", number.as_str())),
            _ => Ok(()),
        }
    }
}
