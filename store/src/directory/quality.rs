//! Which quality is asked of trunks (T4).

use std::time::Duration;

use switch::quality::{Demands, QualityRule, QualityRuleId};
use vocabulary::TrunkId;

use super::route::check_prefix;
use super::{Change, ChangeError, DirectoryStore, Result, signed, unsigned};
use crate::sql::{self, Executor, Row};

/// More rules than anybody keeps apart.
const RULES_MAX: i64 = 10_000;

fn rule(row: &Row) -> Result<QualityRule> {
    let seconds =
        |column| Ok::<_, ChangeError>(Duration::from_secs(row.try_get::<u32, _>(column)?.into()));
    let millis = |column| {
        let millis: Option<i64> = row.try_get(column)?;
        Ok::<_, ChangeError>(millis.map(|millis| Duration::from_millis(unsigned(millis))))
    };
    let percent = |column: &'static str| {
        let percent: Option<u32> = row.try_get(column)?;
        let corrupt = |percent: u32| ChangeError::Corrupt { column, value: percent.to_string() };
        percent.map(|percent| u8::try_from(percent).map_err(|_| corrupt(percent))).transpose()
    };
    let trunk: Option<i64> = row.try_get("trunk_id")?;
    let prefix: String = row.try_get("prefix")?;
    Ok(QualityRule {
        id: QualityRuleId(unsigned(row.try_get("id")?)),
        trunk: trunk.map(|id| TrunkId(unsigned(id))),
        prefix: prefix.into(),
        is_by_route: row.try_get("by_route")?,
        demands: Demands {
            window: seconds("window_s")?,
            calls_min: row.try_get("calls_min")?,
            asr_min: percent("asr_min_percent")?,
            acd_min: millis("acd_min_ms")?,
            pdd_max: millis("pdd_max_ms")?,
            drop: seconds("drop_s")?,
            trial_calls: row.try_get("trial_calls")?,
            hysteresis: percent("hysteresis_percent")?.unwrap_or_default(),
        },
    })
}

fn check(wanted: &QualityRule) -> Result<()> {
    check_prefix(&wanted.prefix)?;
    let Demands { window, calls_min, asr_min, acd_min, pdd_max, drop, trial_calls, hysteresis } =
        wanted.demands;
    let spans = [("window_s", window, Demands::WINDOW), ("drop_s", drop, Demands::DROP)];
    for (field, span, (least, most)) in spans {
        if !(least..=most).contains(&span) {
            let what = format!("write {} to {} seconds", least.as_secs(), most.as_secs());
            return Err(ChangeError::invalid(field, what));
        }
    }
    for (field, calls) in [("calls_min", calls_min), ("trial_calls", trial_calls)] {
        if !(1..=Demands::CALLS_MAX).contains(&calls) {
            let what = format!("write 1 to {}", Demands::CALLS_MAX);
            return Err(ChangeError::invalid(field, what));
        }
    }
    if asr_min.is_some_and(|asr_min| asr_min > 100) {
        return Err(ChangeError::invalid("asr_min_percent", "write 0 to 100, or null".to_owned()));
    }
    if hysteresis > Demands::HYSTERESIS_MAX {
        return Err(ChangeError::invalid("hysteresis_percent", "write 0 to 100".to_owned()));
    }
    for (field, limit) in [("acd_min_ms", acd_min), ("pdd_max_ms", pdd_max)] {
        if limit.is_some_and(|limit| limit.is_zero() || limit > Demands::WINDOW.1) {
            let most = Demands::WINDOW.1.as_millis();
            let what = format!("write 1 to {most} milliseconds, or null");
            return Err(ChangeError::invalid(field, what));
        }
    }
    Ok(())
}

fn millis(limit: Option<Duration>) -> Option<i64> {
    limit.map(|limit| signed(limit.as_millis() as u64))
}

/// All of them, by prefix and trunk.
pub(super) async fn all(executor: impl Executor<'_>) -> Result<Vec<QualityRule>> {
    let sql = "SELECT * FROM quality_rule ORDER BY prefix, coalesce(trunk_id, 0)";
    let rows = sql::query(sql).fetch_all(executor).await?;
    rows.iter().map(rule).collect()
}

impl DirectoryStore {
    /// Which quality is asked of trunks, by prefix and trunk.
    pub async fn quality_rules(&self) -> Result<Vec<QualityRule>> {
        all(&self.pool).await
    }
}

impl Change {
    /// What is asked of this trunk, or with `None` of each, for calls to numbers that begin so.
    pub async fn quality_rule(
        &mut self,
        trunk: Option<TrunkId>,
        prefix: &str,
    ) -> Result<Option<QualityRule>> {
        let sql = "SELECT * FROM quality_rule WHERE coalesce(trunk_id, 0) = ? AND prefix = ?";
        let row = sql::query(sql)
            .bind(trunk.map_or(0, |id| signed(id.0)))
            .bind(prefix)
            .fetch_optional(&mut *self.tx)
            .await?;
        row.as_ref().map(rule).transpose()
    }

    /// Adds a rule, or gives the one for this trunk and prefix other demands; gives it its id.
    pub async fn set_quality_rule(&mut self, mut wanted: QualityRule) -> Result<QualityRule> {
        check(&wanted)?;
        self.touched.routing();
        wanted.id = match self.quality_rule(wanted.trunk, &wanted.prefix).await? {
            Some(before) => before.id,
            None => {
                let count = sql::query_scalar("SELECT count(*) FROM quality_rule");
                let count: Option<i64> = count.fetch_optional(&mut *self.tx).await?;
                if count.is_some_and(|count| count >= RULES_MAX) {
                    let what = format!("there are {RULES_MAX} quality rules; remove some first");
                    return Err(ChangeError::InUse(what));
                }
                QualityRuleId(self.next_id("quality_rule").await?)
            }
        };
        let Demands { window, calls_min, asr_min, acd_min, pdd_max, drop, trial_calls, hysteresis } =
            wanted.demands;
        sql::query(
            "INSERT INTO quality_rule (id, trunk_id, prefix, by_route, window_s, calls_min, \
                asr_min_percent, acd_min_ms, pdd_max_ms, drop_s, trial_calls, hysteresis_percent) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET \
                by_route = excluded.by_route, window_s = excluded.window_s, \
                calls_min = excluded.calls_min, asr_min_percent = excluded.asr_min_percent, \
                acd_min_ms = excluded.acd_min_ms, pdd_max_ms = excluded.pdd_max_ms, \
                drop_s = excluded.drop_s, trial_calls = excluded.trial_calls, \
                hysteresis_percent = excluded.hysteresis_percent",
        )
        .bind(signed(wanted.id.0))
        .bind(wanted.trunk.map(|id| signed(id.0)))
        .bind(&*wanted.prefix)
        .bind(wanted.is_by_route)
        .bind(signed(window.as_secs()))
        .bind(calls_min)
        .bind(asr_min.map(i64::from))
        .bind(millis(acd_min))
        .bind(millis(pdd_max))
        .bind(signed(drop.as_secs()))
        .bind(trial_calls)
        .bind(i64::from(hysteresis))
        .execute(&mut *self.tx)
        .await?;
        Ok(wanted)
    }

    /// Removes a rule: what it asked is not asked any more.
    pub async fn remove_quality_rule(&mut self, id: QualityRuleId) -> Result<()> {
        self.touched.routing();
        let removed = sql::query("DELETE FROM quality_rule WHERE id = ? RETURNING id")
            .bind(signed(id.0))
            .fetch_optional(&mut *self.tx)
            .await?;
        match removed {
            Some(_) => Ok(()),
            None => Err(ChangeError::not_found("quality rule", &id.to_string())),
        }
    }
}
