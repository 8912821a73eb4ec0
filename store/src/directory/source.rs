//! Where messages come from, as far as somebody has decided about it: who is kept out and who never
//! is (S7).

use switch::directory::Network;
use switch::guard::{Ban, GuardRows};
use vocabulary::Utc;

use super::security;
use super::{Change, ChangeError, DirectoryStore, Result, word, words};
use crate::sql::{self, Row};

/// Who may be decided about by hand; of the guard's own bans there may be more.
const BY_HAND_MAX: i64 = 10_000;
const REASON_MAX: usize = 200;

words! {
    /// What was decided.
    Standing {
        /// Nothing of it is read.
        Banned = "banned",
        /// It is never banned for what it does, and never limited.
        Allowed = "allowed",
    }
}

words! {
    /// Who has decided.
    MadeBy {
        /// The guard, for what the source did.
        Guard = "guard",
        /// A person.
        Operator = "operator",
    }
}

/// A source that somebody has decided about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Which.
    pub network: Network,
    /// What.
    pub standing: Standing,
    /// Why.
    pub reason: String,
    /// When.
    pub since: Utc,
    /// Until when it holds; `None`: until it is taken away.
    pub until: Option<Utc>,
    /// Who.
    pub made_by: MadeBy,
}

impl Source {
    /// A ban that the guard has made.
    pub fn of_guard(ban: &Ban) -> Source {
        Source {
            network: ban.network,
            standing: Standing::Banned,
            reason: ban.reason.word().to_owned(),
            since: ban.since,
            until: Some(ban.until),
            made_by: MadeBy::Guard,
        }
    }
}

fn source(row: &Row) -> Result<Source> {
    let network: String = row.try_get("network")?;
    Ok(Source {
        network: network
            .parse()
            .map_err(|_| ChangeError::Corrupt { column: "network", value: network })?,
        standing: word(row, "standing")?,
        reason: row.try_get("reason")?,
        since: Utc(row.try_get("since")?),
        until: row.try_get::<Option<i64>, _>("until")?.map(Utc),
        made_by: word(row, "made_by")?,
    })
}

const SELECT: &str = "SELECT network, standing, reason, since, until, made_by FROM source";

impl DirectoryStore {
    /// Those with this standing at `now`, the newest first.
    pub async fn sources(&self, standing: Standing, now: Utc) -> Result<Vec<Source>> {
        let sql = format!(
            "{SELECT} WHERE standing = ? AND (until IS NULL OR until > ?)
             ORDER BY since DESC, network"
        );
        let rows =
            sql::query(&sql).bind(standing.as_str()).bind(now.0).fetch_all(&self.pool).await?;
        rows.iter().map(source).collect()
    }
}

impl Change {
    /// What calls must know of sources.
    pub(super) async fn guard_rows(&mut self) -> Result<GuardRows> {
        let mut rows = GuardRows {
            limits: security::settings(&mut *self.tx).await?.guard,
            ..GuardRows::default()
        };
        for row in sql::query(SELECT).fetch_all(&mut *self.tx).await? {
            let Source { network, standing, until, .. } = source(&row)?;
            match standing {
                Standing::Banned => rows.ban(network, until),
                Standing::Allowed => rows.allow(network),
            }
        }
        Ok(rows)
    }

    /// Keeps a decision in place of what was decided about this network before. Those that have run
    /// out are forgotten. The guard overrules nobody: then nothing is kept, and the answer is false.
    pub async fn decide(&mut self, source: &Source) -> Result<bool> {
        if source.reason.chars().count() > REASON_MAX {
            return Err(ChangeError::invalid("reason", "write at most 200 characters"));
        }
        self.touched.guard();
        sql::query("DELETE FROM source WHERE until <= ?")
            .bind(source.since.0)
            .execute(&mut *self.tx)
            .await?;
        if source.made_by == MadeBy::Operator {
            let sql = "SELECT COUNT(*) FROM source WHERE made_by = 'operator'";
            let count: Option<i64> = sql::query_scalar(sql).fetch_optional(&mut *self.tx).await?;
            if count.unwrap_or(0) >= BY_HAND_MAX {
                let what = "10,000 networks are banned or allowed by hand; take some away first, or \
                            write wider networks";
                return Err(ChangeError::invalid("network", what));
            }
        }
        let written = sql::query(
            "INSERT INTO source (network, standing, reason, since, until, made_by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (network) DO UPDATE SET standing = excluded.standing,
                 reason = excluded.reason, since = excluded.since, until = excluded.until,
                 made_by = excluded.made_by
             WHERE excluded.made_by = 'operator' OR source.made_by = 'guard'",
        )
        .bind(source.network.to_string())
        .bind(source.standing.as_str())
        .bind(&source.reason)
        .bind(source.since.0)
        .bind(source.until.map(|until| until.0))
        .bind(source.made_by.as_str())
        .execute(&mut *self.tx)
        .await?;
        Ok(written.rows_affected() > 0)
    }

    /// Takes a decision back.
    pub async fn undecide(&mut self, network: Network, standing: Standing) -> Result<()> {
        self.touched.guard();
        let sql = "DELETE FROM source WHERE network = ? AND standing = ?";
        let removed = sql::query(sql)
            .bind(network.to_string())
            .bind(standing.as_str())
            .execute(&mut *self.tx)
            .await?;
        if removed.rows_affected() == 0 {
            let kind = match standing {
                Standing::Banned => "ban of",
                Standing::Allowed => "allowed source",
            };
            return Err(ChangeError::not_found(kind, &network.to_string()));
        }
        Ok(())
    }
}
