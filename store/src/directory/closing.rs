//! What a closed account loses: everything that lets it call or be called. Its row, its
//! money, its sites and its history stay.

use vocabulary::AccountId;

use super::{Change, Result, signed};
use crate::sql;

/// How much was removed with an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Its phones.
    pub subscribers: u64,
    /// Its trunks, and with them its addresses.
    pub trunks: u64,
    /// Routes over its trunks.
    pub routes: u64,
    /// Its calling-card PIN.
    pub pins: u64,
}

impl Change {
    /// Removes the phones, trunks, addresses, routes and PIN of an account.
    pub async fn remove_belongings(&mut self, account: AccountId) -> Result<Removed> {
        let routes = "DELETE FROM route
             WHERE trunk_id IN (SELECT id FROM trunk WHERE account_id = ?)";
        Ok(Removed {
            routes: self.removed(routes, account).await?,
            trunks: self.removed("DELETE FROM trunk WHERE account_id = ?", account).await?,
            subscribers: self
                .removed("DELETE FROM subscriber WHERE account_id = ?", account)
                .await?,
            pins: self.removed("DELETE FROM account_pin WHERE account_id = ?", account).await?,
        })
    }

    async fn removed(&mut self, sql: &str, account: AccountId) -> Result<u64> {
        let done = sql::query(sql).bind(signed(account.0)).execute(&mut *self.tx).await?;
        Ok(done.rows_affected())
    }
}
