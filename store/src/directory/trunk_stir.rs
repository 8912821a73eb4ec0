//! What trunks want of signed callers (S5).

use std::collections::BTreeMap;

use switch::stir::{StirPolicy, Verification};
use vocabulary::TrunkId;

use super::{Change, ChangeError, Result, signed, unsigned};
use crate::sql::{self, Executor, Row};

fn policy(row: &Row) -> Result<StirPolicy> {
    let word: String = row.try_get("verifies")?;
    let verification = Verification::from_word(&word)
        .ok_or(ChangeError::Corrupt { column: "verifies", value: word })?;
    Ok(StirPolicy { signs: row.try_get("signs")?, verification })
}

/// Of all trunks that have a row.
pub(super) async fn all(executor: impl Executor<'_>) -> Result<BTreeMap<TrunkId, StirPolicy>> {
    let rows = sql::query("SELECT * FROM trunk_stir").fetch_all(executor).await?;
    let trunk = |row: &Row| Ok::<_, ChangeError>(TrunkId(unsigned(row.try_get("trunk_id")?)));
    rows.iter().map(|row| Ok((trunk(row)?, policy(row)?))).collect()
}

impl Change {
    /// What a trunk wants of signed callers, as this command has left it.
    pub async fn trunk_stir(&mut self, trunk: TrunkId) -> Result<StirPolicy> {
        let row = sql::query("SELECT * FROM trunk_stir WHERE trunk_id = ?")
            .bind(signed(trunk.0))
            .fetch_optional(&mut *self.tx)
            .await?;
        row.map_or_else(|| Ok(StirPolicy::default()), |row| policy(&row))
    }

    /// Sets what a trunk wants of signed callers.
    pub async fn set_trunk_stir(&mut self, trunk: TrunkId, policy: StirPolicy) -> Result<()> {
        self.touched.trunk(trunk);
        sql::query(
            "INSERT INTO trunk_stir (trunk_id, signs, verifies) VALUES (?, ?, ?) \
             ON CONFLICT (trunk_id) DO UPDATE SET signs = excluded.signs, \
                 verifies = excluded.verifies",
        )
        .bind(signed(trunk.0))
        .bind(policy.signs)
        .bind(policy.verification.word())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
