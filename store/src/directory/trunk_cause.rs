//! What causes mean to a trunk (S6).

use std::collections::BTreeMap;

use switch::routing::{CauseMap, Code};
use vocabulary::TrunkId;

use super::{Change, ChangeError, Result, signed, unsigned};
use crate::sql::{self, Executor, Row};

/// Rows of one trunk's table: there are not that many causes.
const ROWS_MAX: usize = 100;

const HEARD: &str = "heard";
const TOLD: &str = "told";

fn add(map: &mut CauseMap, row: &Row) -> Result<()> {
    let code = |column: &'static str| {
        let text: String = row.try_get(column)?;
        text.parse::<Code>().map_err(|_| ChangeError::Corrupt { column, value: text })
    };
    let direction: String = row.try_get("direction")?;
    let pair = (code("code")?, code("becomes")?);
    match direction.as_str() {
        HEARD => map.heard.push(pair),
        TOLD => map.told.push(pair),
        _ => return Err(ChangeError::Corrupt { column: "direction", value: direction }),
    }
    Ok(())
}

/// Of all trunks that have any.
pub(super) async fn all(executor: impl Executor<'_>) -> Result<BTreeMap<TrunkId, CauseMap>> {
    let sql = "SELECT * FROM trunk_cause ORDER BY trunk_id, direction, code";
    let mut maps: BTreeMap<TrunkId, CauseMap> = BTreeMap::new();
    for row in sql::query(sql).fetch_all(executor).await? {
        let trunk = TrunkId(unsigned(row.try_get("trunk_id")?));
        add(maps.entry(trunk).or_default(), &row)?;
    }
    Ok(maps)
}

impl Change {
    /// What causes mean to a trunk, as this command has left it.
    pub async fn trunk_causes(&mut self, trunk: TrunkId) -> Result<CauseMap> {
        let sql = "SELECT * FROM trunk_cause WHERE trunk_id = ? ORDER BY direction, code";
        let rows = sql::query(sql).bind(signed(trunk.0)).fetch_all(&mut *self.tx).await?;
        let mut map = CauseMap::default();
        rows.iter().try_for_each(|row| add(&mut map, row))?;
        Ok(map)
    }

    /// Sets both tables of a trunk.
    pub async fn set_trunk_causes(&mut self, trunk: TrunkId, wanted: &CauseMap) -> Result<()> {
        let tables = [(HEARD, &wanted.heard), (TOLD, &wanted.told)];
        for (field, rows) in tables {
            if rows.len() > ROWS_MAX {
                return Err(ChangeError::invalid(field, format!("write at most {ROWS_MAX} codes")));
            }
            for (code, becomes) in rows {
                CauseMap::check(*becomes).map_err(|error| {
                    ChangeError::invalid(field, format!("{code} to {becomes}: {error}"))
                })?;
            }
        }
        self.touched.trunk(trunk);
        sql::query("DELETE FROM trunk_cause WHERE trunk_id = ?")
            .bind(signed(trunk.0))
            .execute(&mut *self.tx)
            .await?;
        for (direction, rows) in tables {
            for (code, becomes) in rows {
                sql::query(
                    "INSERT INTO trunk_cause (trunk_id, direction, code, becomes) \
                     VALUES (?, ?, ?, ?) \
                     ON CONFLICT (trunk_id, direction, code) DO UPDATE SET becomes = excluded.becomes",
                )
                .bind(signed(trunk.0))
                .bind(direction)
                .bind(code.to_string())
                .bind(becomes.to_string())
                .execute(&mut *self.tx)
                .await?;
            }
        }
        Ok(())
    }
}
