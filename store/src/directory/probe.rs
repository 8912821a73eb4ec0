//! How trunks are asked whether they are there (T4).

use std::collections::BTreeMap;
use std::time::Duration;

use switch::health::ProbePolicy;
use vocabulary::TrunkId;

use super::{Change, ChangeError, Result, signed, unsigned};
use crate::sql::{self, Executor, Row};

/// What is stored for a trunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrunkProbe {
    /// Whether it is asked at all.
    pub enabled: bool,
    /// How.
    pub policy: ProbePolicy,
}

impl TrunkProbe {
    /// As the switch wants it.
    pub(super) fn in_force(self) -> Option<ProbePolicy> {
        self.enabled.then_some(self.policy)
    }

    fn check(&self) -> Result<()> {
        let ProbePolicy { every, failures_max, successes_min } = self.policy;
        let (least, most) = (ProbePolicy::EVERY_MIN, ProbePolicy::EVERY_MAX);
        if !(least..=most).contains(&every) {
            let what = format!("write {} to {} seconds", least.as_secs(), most.as_secs());
            return Err(ChangeError::invalid("every_s", what));
        }
        for (field, count) in [("failures_max", failures_max), ("successes_min", successes_min)] {
            if !(1..=ProbePolicy::COUNT_MAX).contains(&count) {
                let what = format!("write 1 to {}", ProbePolicy::COUNT_MAX);
                return Err(ChangeError::invalid(field, what));
            }
        }
        Ok(())
    }
}

fn probe(row: &Row) -> Result<TrunkProbe> {
    let count = |column: &'static str| {
        let value: i64 = row.try_get(column)?;
        u8::try_from(value).map_err(|_| ChangeError::Corrupt { column, value: value.to_string() })
    };
    let every = Duration::from_secs(unsigned(row.try_get("every_s")?));
    let (failures_max, successes_min) = (count("failures_max")?, count("successes_min")?);
    let policy = ProbePolicy { every, failures_max, successes_min };
    Ok(TrunkProbe { enabled: row.try_get("enabled")?, policy })
}

/// Of all trunks that have a row.
pub(super) async fn all(executor: impl Executor<'_>) -> Result<BTreeMap<TrunkId, TrunkProbe>> {
    let rows = sql::query("SELECT * FROM trunk_probe").fetch_all(executor).await?;
    let trunk = |row: &Row| Ok::<_, ChangeError>(TrunkId(unsigned(row.try_get("trunk_id")?)));
    rows.iter().map(|row| Ok((trunk(row)?, probe(row)?))).collect()
}

impl Change {
    /// How a trunk is asked, as this command has left it.
    pub async fn trunk_probe(&mut self, trunk: TrunkId) -> Result<TrunkProbe> {
        let row = sql::query("SELECT * FROM trunk_probe WHERE trunk_id = ?")
            .bind(signed(trunk.0))
            .fetch_optional(&mut *self.tx)
            .await?;
        row.map_or_else(|| Ok(TrunkProbe::default()), |row| probe(&row))
    }

    /// Sets how a trunk is asked.
    pub async fn set_trunk_probe(&mut self, trunk: TrunkId, wanted: TrunkProbe) -> Result<()> {
        wanted.check()?;
        self.touched.trunk(trunk);
        sql::query(
            "INSERT INTO trunk_probe (trunk_id, enabled, every_s, failures_max, successes_min) \
             VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT (trunk_id) DO UPDATE SET \
                enabled = excluded.enabled, every_s = excluded.every_s, \
                failures_max = excluded.failures_max, successes_min = excluded.successes_min",
        )
        .bind(signed(trunk.0))
        .bind(wanted.enabled)
        .bind(signed(wanted.policy.every.as_secs()))
        .bind(i64::from(wanted.policy.failures_max))
        .bind(i64::from(wanted.policy.successes_min))
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
