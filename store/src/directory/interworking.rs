//! What is done for trunks that want other things than who they talk with, and the codecs that the calls
//! of accounts may use (S8).

use std::collections::BTreeMap;
use std::sync::Arc;

use switch::interworking::{Codecs, EarlyMedia, Interworking, Reliability};
use vocabulary::{AccountId, TrunkId};

use super::{Change, ChangeError, Result, signed, unsigned};
use crate::sql::{self, Executor, Row};

fn codecs(row: &Row) -> Result<Option<Arc<Codecs>>> {
    let text: Option<String> = row.try_get("codecs")?;
    let corrupt = |value| ChangeError::Corrupt { column: "codecs", value };
    text.map(|text| text.parse().map(Arc::new).map_err(|_| corrupt(text))).transpose()
}

fn of_trunk_row(row: &Row) -> Result<Interworking> {
    let word: String = row.try_get("early_media")?;
    let early_media = EarlyMedia::from_word(&word)
        .ok_or(ChangeError::Corrupt { column: "early_media", value: word })?;
    let word: String = row.try_get("reliability")?;
    let reliability = Reliability::from_word(&word)
        .ok_or(ChangeError::Corrupt { column: "reliability", value: word })?;
    let may_transfer = row.try_get("may_transfer")?;
    Ok(Interworking { codecs: codecs(row)?, early_media, reliability, may_transfer })
}

/// Of all trunks that have a row.
pub(super) async fn of_trunks(
    executor: impl Executor<'_>,
) -> Result<BTreeMap<TrunkId, Interworking>> {
    let rows = sql::query("SELECT * FROM trunk_interworking").fetch_all(executor).await?;
    let trunk = |row: &Row| Ok::<_, ChangeError>(TrunkId(unsigned(row.try_get("trunk_id")?)));
    rows.iter().map(|row| Ok((trunk(row)?, of_trunk_row(row)?))).collect()
}

/// Of all accounts that have a list.
pub(super) async fn codecs_of_accounts(
    executor: impl Executor<'_>,
) -> Result<BTreeMap<AccountId, Arc<Codecs>>> {
    let mut lists = BTreeMap::new();
    for row in &sql::query("SELECT * FROM account_codecs").fetch_all(executor).await? {
        if let Some(list) = codecs(row)? {
            lists.insert(AccountId(unsigned(row.try_get("account_id")?)), list);
        }
    }
    Ok(lists)
}

impl Change {
    /// What is done for a trunk, as this command has left it.
    pub async fn trunk_interworking(&mut self, trunk: TrunkId) -> Result<Interworking> {
        let row = sql::query("SELECT * FROM trunk_interworking WHERE trunk_id = ?")
            .bind(signed(trunk.0))
            .fetch_optional(&mut *self.tx)
            .await?;
        row.map_or_else(|| Ok(Interworking::default()), |row| of_trunk_row(&row))
    }

    /// Sets what is done for a trunk.
    pub async fn set_trunk_interworking(
        &mut self,
        trunk: TrunkId,
        wanted: &Interworking,
    ) -> Result<()> {
        self.touched.trunk(trunk);
        sql::query(
            "INSERT INTO trunk_interworking \
                (trunk_id, codecs, early_media, reliability, may_transfer) \
             VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT (trunk_id) DO UPDATE SET codecs = excluded.codecs, \
                early_media = excluded.early_media, reliability = excluded.reliability, \
                may_transfer = excluded.may_transfer",
        )
        .bind(signed(trunk.0))
        .bind(wanted.codecs.as_ref().map(ToString::to_string))
        .bind(wanted.early_media.word())
        .bind(wanted.reliability.word())
        .bind(wanted.may_transfer)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// The codecs that an account's calls may use, as this command has left it; `None`: all.
    pub async fn account_codecs(&mut self, account: AccountId) -> Result<Option<Arc<Codecs>>> {
        let row = sql::query("SELECT * FROM account_codecs WHERE account_id = ?")
            .bind(signed(account.0))
            .fetch_optional(&mut *self.tx)
            .await?;
        row.map_or(Ok(None), |row| codecs(&row))
    }

    /// Sets the codecs that an account's calls may use; `None`: all.
    pub async fn set_account_codecs(
        &mut self,
        account: AccountId,
        wanted: Option<&Codecs>,
    ) -> Result<()> {
        self.touched.account(account);
        sql::query("DELETE FROM account_codecs WHERE account_id = ?")
            .bind(signed(account.0))
            .execute(&mut *self.tx)
            .await?;
        if let Some(codecs) = wanted {
            sql::query("INSERT INTO account_codecs (account_id, codecs) VALUES (?, ?)")
                .bind(signed(account.0))
                .bind(codecs.to_string())
                .execute(&mut *self.tx)
                .await?;
        }
        Ok(())
    }
}
