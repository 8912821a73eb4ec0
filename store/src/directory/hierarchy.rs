//! Resellers: an account may belong to another, which pays for its calls as well (DESIGN section 5).
//! The chain has no rings and at most six levels, all in one currency: what one level pays the next
//! receives.

use crate::sql;
use vocabulary::AccountId;

use super::account::Account;
use super::{AccountStatus, Change, ChangeError, Result, signed, unsigned, word};

/// From an account to the reseller that belongs to nobody, both counted.
pub const LEVELS_MAX: usize = 6;

impl Change {
    /// The id of the account that `account` says it belongs to, if it may.
    pub(super) async fn parent_id(&mut self, account: &Account) -> Result<Option<i64>> {
        let Some(parent) = account.parent.as_deref() else { return Ok(None) };
        let refuse = |what: String| Err(ChangeError::invalid("parent", what));
        let row = sql::query("SELECT id, currency, status FROM account WHERE name = ? OR id = ?")
            .bind(parent)
            .bind(parent.parse::<i64>().unwrap_or(-1))
            .fetch_optional(&mut *self.tx)
            .await?;
        let Some(row) = row else {
            return refuse(format!("there is no account {parent:?}; open it first"));
        };
        let (id, currency): (i64, String) = (row.try_get("id")?, row.try_get("currency")?);
        if currency != account.currency {
            return refuse(format!(
                "{parent:?} is kept in {currency} and the account in {}; both need one currency",
                account.currency
            ));
        }
        let is_closed = word::<AccountStatus>(&row, "status")? == AccountStatus::Closed;
        if is_closed && account.status != AccountStatus::Closed {
            return refuse(format!("{parent:?} is closed"));
        }
        let above = self.levels_above(AccountId(unsigned(id))).await?;
        if above.contains(&account.id) {
            return refuse(format!(
                "{parent:?} belongs to this account already, so that the two would own each other"
            ));
        }
        let below = self.levels_below(account.id).await?;
        if above.len() + 1 + below > LEVELS_MAX {
            return refuse(format!("more than {LEVELS_MAX} levels of resellers would follow"));
        }
        Ok(Some(id))
    }

    /// The account and everybody above it, from the bottom.
    pub async fn levels_above(&mut self, account: AccountId) -> Result<Vec<AccountId>> {
        let mut chain = vec![account];
        while chain.len() <= LEVELS_MAX {
            let last = chain[chain.len() - 1];
            let row = sql::query("SELECT parent_id FROM account WHERE id = ?")
                .bind(signed(last.0))
                .fetch_optional(&mut *self.tx)
                .await?;
            match row.map(|row| row.try_get::<Option<i64>, _>("parent_id")).transpose()?.flatten() {
                Some(parent) => chain.push(AccountId(unsigned(parent))),
                None => break,
            }
        }
        Ok(chain)
    }

    /// How many levels there are below an account; none below a leaf.
    async fn levels_below(&mut self, account: AccountId) -> Result<usize> {
        let row = sql::query(
            "WITH RECURSIVE below (id, level) AS (
                SELECT id, 0 FROM account WHERE id = ?
                UNION ALL
                SELECT account.id, below.level + 1 FROM account
                JOIN below ON account.parent_id = below.id WHERE below.level < ?)
             SELECT coalesce(max(level), 0) AS levels FROM below",
        )
        .bind(signed(account.0))
        .bind(signed(LEVELS_MAX as u64))
        .fetch_one(&mut *self.tx)
        .await?;
        Ok(unsigned(row.try_get("levels")?) as usize)
    }

    /// Is `account` below `reseller`, at any level (P-026)? An account is not below itself.
    pub async fn belongs_to(&mut self, account: AccountId, reseller: AccountId) -> Result<bool> {
        let above = self.levels_above(account).await?;
        Ok(above[1..].contains(&reseller))
    }

    /// Closing somebody who has customers would leave their calls without a payer.
    pub async fn check_closable(&mut self, account: &Account) -> Result<()> {
        let row = sql::query(
            "SELECT COUNT(*) AS customers FROM account WHERE parent_id = ? AND status <> 'closed'",
        )
        .bind(signed(account.id.0))
        .fetch_one(&mut *self.tx)
        .await?;
        let customers: i64 = row.try_get("customers")?;
        if customers == 0 {
            return Ok(());
        }
        Err(ChangeError::InUse(format!(
            "{customers} open accounts belong to {:?}; close them first, or give them another parent",
            account.name
        )))
    }
}
