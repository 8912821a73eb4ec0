//! Messages (RFC 3428): what an account pays for them or takes for carrying them, and over which trunks
//! they go.

use std::collections::{BTreeMap, BTreeSet};

use billing::RateGroupId;
use vocabulary::{AccountId, TrunkId};

use super::{Account, Change, ChangeError, Result, signed, unsigned};
use crate::sql::{self, Executor, Row};

/// The rate groups by which an account's messages are priced, by name. `None`: they are free.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageRates {
    /// What it pays for those that it sends.
    pub rate_group: Option<String>,
    /// What it takes for those that it carries.
    pub carrier_rate_group: Option<String>,
}

/// The same for the rate book.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MessageGroups {
    pub(crate) customer: Option<RateGroupId>,
    pub(crate) carrier: Option<RateGroupId>,
}

/// Of all accounts that have any, or of this one.
pub(crate) async fn message_groups(
    executor: impl Executor<'_>,
    of: Option<AccountId>,
) -> Result<BTreeMap<AccountId, MessageGroups>> {
    let sql = "SELECT account_id, rate_group_id, carrier_rate_group_id FROM account_message";
    let rows = match of {
        None => sql::query(sql).fetch_all(executor).await?,
        Some(account) => {
            let sql = format!("{sql} WHERE account_id = ?");
            sql::query(&sql).bind(signed(account.0)).fetch_all(executor).await?
        }
    };
    let group = |row: &Row, column: &'static str| -> Result<Option<RateGroupId>> {
        let Some(id) = row.try_get::<Option<i64>, _>(column)? else { return Ok(None) };
        let corrupt = |_| ChangeError::Corrupt { column, value: id.to_string() };
        Ok(Some(RateGroupId(u32::try_from(id).map_err(corrupt)?)))
    };
    let groups = |row: &Row| {
        let account = AccountId(unsigned(row.try_get("account_id")?));
        let customer = group(row, "rate_group_id")?;
        Ok((account, MessageGroups { customer, carrier: group(row, "carrier_rate_group_id")? }))
    };
    rows.iter().map(groups).collect()
}

/// The trunks that carry messages.
pub(super) async fn trunks(executor: impl Executor<'_>) -> Result<BTreeSet<TrunkId>> {
    let sql = "SELECT trunk_id FROM trunk_message WHERE allowed = 1";
    let rows = sql::query(sql).fetch_all(executor).await?;
    rows.iter().map(|row| Ok(TrunkId(unsigned(row.try_get("trunk_id")?)))).collect()
}

impl Change {
    /// By which rate groups an account's messages are priced, as this command has left it.
    pub async fn message_rates(&mut self, account: AccountId) -> Result<MessageRates> {
        let row = sql::query(
            "SELECT charged.name AS charged, paid.name AS paid FROM account_message
             LEFT JOIN rate_group charged ON charged.id = account_message.rate_group_id
             LEFT JOIN rate_group paid ON paid.id = account_message.carrier_rate_group_id
             WHERE account_id = ?",
        )
        .bind(signed(account.0))
        .fetch_optional(&mut *self.tx)
        .await?;
        let Some(row) = row else { return Ok(MessageRates::default()) };
        let (rate_group, carrier_rate_group) = (row.try_get("charged")?, row.try_get("paid")?);
        Ok(MessageRates { rate_group, carrier_rate_group })
    }

    /// Sets by which rate groups an account's messages are priced.
    pub async fn set_message_rates(
        &mut self,
        account: &Account,
        wanted: &MessageRates,
    ) -> Result<()> {
        self.touched.account(account.id);
        let MessageRates { rate_group, carrier_rate_group } = wanted;
        let (charged, currency) = (rate_group.as_deref(), &account.currency);
        let charged = self.group_id("rate_group", charged, currency).await?;
        let paid = carrier_rate_group.as_deref();
        let paid = self.group_id("carrier_rate_group", paid, currency).await?;
        sql::query(
            "INSERT INTO account_message (account_id, rate_group_id, carrier_rate_group_id)
             VALUES (?, ?, ?)
             ON CONFLICT (account_id) DO UPDATE SET rate_group_id = excluded.rate_group_id,
                carrier_rate_group_id = excluded.carrier_rate_group_id",
        )
        .bind(signed(account.id.0))
        .bind(charged)
        .bind(paid)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Whether messages go over a trunk, as this command has left it.
    pub async fn carries_messages(&mut self, trunk: TrunkId) -> Result<bool> {
        let row = sql::query("SELECT allowed FROM trunk_message WHERE trunk_id = ?")
            .bind(signed(trunk.0))
            .fetch_optional(&mut *self.tx)
            .await?;
        row.map_or(Ok(false), |row| Ok(row.try_get("allowed")?))
    }

    /// Sets whether messages go over a trunk, in either direction.
    pub async fn set_carries_messages(&mut self, trunk: TrunkId, allowed: bool) -> Result<()> {
        self.touched.trunk(trunk);
        sql::query(
            "INSERT INTO trunk_message (trunk_id, allowed) VALUES (?, ?)
             ON CONFLICT (trunk_id) DO UPDATE SET allowed = excluded.allowed",
        )
        .bind(signed(trunk.0))
        .bind(allowed)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
