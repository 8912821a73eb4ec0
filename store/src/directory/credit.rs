//! What bounds an account's money beside its balance: limits of spending, thresholds, and what
//! concerns it as a carrier.

use billing::{Money, SpendLimits, Terms};

use super::account::Account;
use super::{Change, ChangeError, Result, signed};
use crate::sql::{self, Row};

/// These terms of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credit {
    /// As a carrier: no more calls once we owe it this much, in micro-units (V-16).
    pub owed_limit: Option<i64>,
    /// Whether what we owe it as a carrier pays for its own calls.
    pub is_netted: bool,
    /// What it may be charged for calls in an hour of the clock, in micro-units (S4).
    pub spend_hour_max: Option<i64>,
    /// What it may be charged for calls in a day of its time zone, in micro-units (V-11).
    pub spend_day_max: Option<i64>,
    /// The same in a month.
    pub spend_month_max: Option<i64>,
    /// It is told when less than one of these is left, in micro-units; at most four (P-013).
    pub low_balance: Vec<i64>,
}

const THRESHOLDS_MAX: usize = 4;

impl Credit {
    pub(super) fn read(row: &Row) -> Result<Credit> {
        let low_balance: String = row.try_get("low_balance")?;
        Ok(Credit {
            owed_limit: row.try_get("owed_limit")?,
            is_netted: row.try_get("netted")?,
            spend_hour_max: row.try_get("spend_hour_max")?,
            spend_day_max: row.try_get("spend_day_max")?,
            spend_month_max: row.try_get("spend_month_max")?,
            low_balance: serde_json::from_str(&low_balance)
                .map_err(|_| ChangeError::Corrupt { column: "low_balance", value: low_balance })?,
        })
    }

    pub(super) fn check(&self) -> Result<()> {
        let limits = [
            ("owed_limit", self.owed_limit),
            ("spend_hour_max", self.spend_hour_max),
            ("spend_day_max", self.spend_day_max),
            ("spend_month_max", self.spend_month_max),
        ];
        for (field, limit) in limits {
            if limit.is_some_and(i64::is_negative) {
                return Err(ChangeError::invalid(field, "write 0 or more, or null for no limit"));
            }
        }
        if self.low_balance.len() > THRESHOLDS_MAX {
            return Err(ChangeError::invalid("low_balance", "write at most four amounts"));
        }
        Ok(())
    }

    /// Puts them where the ledger looks.
    pub(super) fn apply(&self, terms: &mut Terms) {
        terms.owed_limit = self.owed_limit.map(Money);
        terms.is_netted = self.is_netted;
        let (day, month) = (self.spend_day_max.map(Money), self.spend_month_max.map(Money));
        terms.spend = SpendLimits { hour: self.spend_hour_max.map(Money), day, month };
        for (slot, amount) in terms.low_balance.iter_mut().zip(&self.low_balance) {
            *slot = Some(Money(*amount));
        }
    }
}

impl Change {
    pub(super) async fn set_credit(&mut self, account: &Account) -> Result<()> {
        let credit = &account.credit;
        let low_balance = serde_json::to_string(&credit.low_balance).expect("numbers are JSON");
        sql::query(
            "UPDATE account SET owed_limit = ?, netted = ?, spend_hour_max = ?,
                spend_day_max = ?, spend_month_max = ?, low_balance = ? WHERE id = ?",
        )
        .bind(credit.owed_limit)
        .bind(credit.is_netted)
        .bind(credit.spend_hour_max)
        .bind(credit.spend_day_max)
        .bind(credit.spend_month_max)
        .bind(low_balance)
        .bind(signed(account.id.0))
        .execute(&mut *self.tx)
        .await?;
        self.set_netted(account).await
    }

    /// With several nodes: what is leased already stays leased if netting ends, as it does if the credit
    /// limit is lowered; nothing more is leased then.
    async fn set_netted(&mut self, account: &Account) -> Result<()> {
        sql::query(
            "UPDATE account_balance SET is_netted = ?1, allowance = CASE
                WHEN allowance - leased >= CASE WHEN ?1 = 1 THEN 0 ELSE owed END
                    - credits_posted + debits_posted THEN allowance
                ELSE leased + CASE WHEN ?1 = 1 THEN 0 ELSE owed END
                    - credits_posted + debits_posted END
             WHERE account_id = ?2 AND is_netted <> ?1",
        )
        .bind(i64::from(account.credit.is_netted))
        .bind(signed(account.id.0))
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
