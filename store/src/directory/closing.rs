//! What a closed account loses: everything that lets it call or be called. Its row, its
//! money, its sites and its history stay.

use vocabulary::{AccountId, DidId, SubscriberId, TrunkId};

use super::{Change, Result, signed, unsigned};
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
    /// Its DIDs.
    pub dids: u64,
}

impl Change {
    /// Removes the DIDs, phones, trunks, addresses, routes and PIN of an account.
    pub async fn remove_belongings(&mut self, account: AccountId) -> Result<Removed> {
        for id in self.ids_of("SELECT id FROM did WHERE account_id = ?", account).await? {
            self.touched.did(DidId(id));
        }
        // Before its trunks and phones, which they lead to.
        let dids = self.removed("DELETE FROM did WHERE account_id = ?", account).await?;
        for id in self.ids_of("SELECT id FROM trunk WHERE account_id = ?", account).await? {
            self.check_no_did_leads_to("trunk", id).await?;
            self.touched.trunk(TrunkId(id));
        }
        for id in self.ids_of("SELECT id FROM subscriber WHERE account_id = ?", account).await? {
            self.touched.subscriber(SubscriberId(id));
        }
        self.touched.account(account);
        let routes = "DELETE FROM route
             WHERE trunk_id IN (SELECT id FROM trunk WHERE account_id = ?)";
        Ok(Removed {
            dids,
            routes: self.removed(routes, account).await?,
            trunks: self.removed("DELETE FROM trunk WHERE account_id = ?", account).await?,
            subscribers: self
                .removed("DELETE FROM subscriber WHERE account_id = ?", account)
                .await?,
            pins: self.removed("DELETE FROM account_pin WHERE account_id = ?", account).await?,
        })
    }

    async fn ids_of(&mut self, sql: &'static str, account: AccountId) -> Result<Vec<u64>> {
        let rows = sql::query(sql).bind(signed(account.0)).fetch_all(&mut *self.tx).await?;
        rows.iter().map(|row| Ok(unsigned(row.try_get(0)?))).collect()
    }

    async fn removed(&mut self, sql: &str, account: AccountId) -> Result<u64> {
        let done = sql::query(sql).bind(signed(account.0)).execute(&mut *self.tx).await?;
        Ok(done.rows_affected())
    }
}
