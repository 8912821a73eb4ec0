//! The invariants that a database with several nodes must keep besides.

use std::collections::BTreeMap;

use billing::Money;
use vocabulary::AccountId;

use super::{Check, Finding};
use crate::node::NodeNumber;
use crate::snapshot::Sums;
use crate::sql::{self, Connection};

/// What the calls of one node hold, by account.
pub(super) async fn pending(
    connection: &mut Connection,
    node: NodeNumber,
) -> Result<BTreeMap<AccountId, Sums>, sqlx::Error> {
    let sql = "SELECT account_id, debits_pending, credits_pending FROM node_pending WHERE node = ?";
    let mut pending = BTreeMap::new();
    for row in sql::query(sql).bind(node).fetch_all(connection).await? {
        let sums = Sums {
            debits_pending: Money(row.try_get(1)?),
            credits_pending: Money(row.try_get(2)?),
            ..Sums::default()
        };
        pending.insert(AccountId(row.try_get::<i64, _>(0)?.cast_unsigned()), sums);
    }
    Ok(pending)
}

const PENDING: &str = "
    WITH held AS (
        SELECT account_id, debits_pending AS debit, credits_pending AS credit FROM node_pending
        UNION ALL
        SELECT account_id, -debits_pending, -credits_pending FROM account_balance
    )
    SELECT account_id, sum(debit), sum(credit) FROM held GROUP BY account_id
    HAVING sum(debit) <> 0 OR sum(credit) <> 0 ORDER BY account_id";

pub(super) async fn pending_is_of_nodes(connection: &mut Connection) -> Result<Check, sqlx::Error> {
    let mut finding = Finding::new(
        "pending_is_of_nodes",
        "What is pending on an account is what the nodes hold of it.",
    );
    let count: i64 =
        sql::query_scalar("SELECT count(*) FROM node_pending").fetch_one(&mut *connection).await?;
    finding.counted(count.unsigned_abs());
    for row in sql::query(PENDING).fetch_all(connection).await? {
        let account: i64 = row.try_get(0)?;
        let (debit, credit) = (Money(row.try_get(1)?), Money(row.try_get(2)?));
        finding.offender(|| {
            format!("account {account}: nodes less account: debits {debit}, credits {credit}")
        });
    }
    Ok(finding.done())
}

const LEASED: &str = "
    WITH held AS (
        SELECT account_id, granted - spent AS leased FROM lease
        UNION ALL
        SELECT account_id, -leased FROM account_balance
    )
    SELECT account_id, sum(leased) FROM held GROUP BY account_id HAVING sum(leased) <> 0
    ORDER BY account_id";

pub(super) async fn leased_is_of_nodes(connection: &mut Connection) -> Result<Check, sqlx::Error> {
    let mut finding = Finding::new(
        "leased_is_of_nodes",
        "What is leased of an account is what the leases of the nodes hold.",
    );
    let count: i64 =
        sql::query_scalar("SELECT count(*) FROM lease").fetch_one(&mut *connection).await?;
    finding.counted(count.unsigned_abs());
    for row in sql::query(LEASED).fetch_all(connection).await? {
        let (account, leased): (i64, _) = (row.try_get(0)?, Money(row.try_get(1)?));
        finding.offender(|| format!("account {account}: leases less account: {leased}"));
    }
    Ok(finding.done())
}

const WITHIN: &str = "
    SELECT n.name, l.account_id, l.granted, l.claimed, l.spent
    FROM lease l LEFT JOIN node n ON n.id = l.node
    WHERE n.id IS NULL OR n.state = 'lost' OR l.claimed > l.granted
       OR l.spent > l.claimed
    ORDER BY l.node, l.account_id";

pub(super) async fn use_is_within_leases(
    connection: &mut Connection,
) -> Result<Check, sqlx::Error> {
    let mut finding = Finding::new(
        "use_is_within_leases",
        "No node has charged more to an account than it had claimed; no lease belongs \
         to a node that was given up.",
    );
    let count: i64 =
        sql::query_scalar("SELECT count(*) FROM lease").fetch_one(&mut *connection).await?;
    finding.counted(count.unsigned_abs());
    for row in sql::query(WITHIN).fetch_all(connection).await? {
        let node: Option<String> = row.try_get(0)?;
        let account: i64 = row.try_get(1)?;
        let (granted, claimed) = (Money(row.try_get(2)?), Money(row.try_get(3)?));
        let spent = Money(row.try_get(4)?);
        finding.offender(|| {
            let node = node.unwrap_or_else(|| "unknown".to_owned());
            format!(
                "node {node}, account {account}: granted {granted}, claimed {claimed}, charged \
                 {spent}"
            )
        });
    }
    Ok(finding.done())
}

const COVERED: &str = "
    WITH rest AS (
        SELECT account_id, leased, credits_posted - debits_posted
               - CASE WHEN is_netted = 1 THEN 0 ELSE owed END + allowance - leased AS rest
        FROM account_balance
    )
    SELECT account_id, rest FROM rest WHERE leased > 0 AND rest < 0 ORDER BY account_id";

pub(super) async fn leases_are_covered(connection: &mut Connection) -> Result<Check, sqlx::Error> {
    let mut finding = Finding::new(
        "leases_are_covered",
        "All nodes together have leased no more of an account than it has.",
    );
    let sql = "SELECT count(*) FROM account_balance WHERE leased <> 0";
    let count: i64 = sql::query_scalar(sql).fetch_one(&mut *connection).await?;
    finding.counted(count.unsigned_abs());
    for row in sql::query(COVERED).fetch_all(connection).await? {
        let (account, free): (i64, _) = (row.try_get(0)?, Money(row.try_get(1)?));
        finding.offender(|| format!("account {account}: {free} free"));
    }
    Ok(finding.done())
}

const LEASED_SECONDS: &str = "
    WITH held AS (
        SELECT bundle_id AS bundle, granted_s - spent_s AS leased FROM bundle_lease
        UNION ALL
        SELECT id, -leased_s FROM bundle
    )
    SELECT bundle, CAST(sum(leased) AS BIGINT) FROM held GROUP BY bundle HAVING sum(leased) <> 0
    ORDER BY bundle";

pub(super) async fn seconds_are_of_nodes(
    connection: &mut Connection,
) -> Result<Check, sqlx::Error> {
    let mut finding = Finding::new(
        "seconds_are_of_nodes",
        "What is leased of a bundle is what the leases of the nodes hold.",
    );
    let count: i64 =
        sql::query_scalar("SELECT count(*) FROM bundle_lease").fetch_one(&mut *connection).await?;
    finding.counted(count.unsigned_abs());
    for row in sql::query(LEASED_SECONDS).fetch_all(connection).await? {
        let (bundle, leased): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        finding.offender(|| format!("bundle {bundle}: leases less bundle: {leased} s"));
    }
    Ok(finding.done())
}

const WITHIN_SECONDS: &str = "
    SELECT n.name, l.bundle_id, l.granted_s, l.claimed_s, l.spent_s
    FROM bundle_lease l LEFT JOIN node n ON n.id = l.node
    WHERE n.id IS NULL OR n.state = 'lost' OR l.claimed_s > l.granted_s OR l.spent_s > l.claimed_s
    ORDER BY l.node, l.bundle_id";

pub(super) async fn seconds_are_within_leases(
    connection: &mut Connection,
) -> Result<Check, sqlx::Error> {
    let mut finding = Finding::new(
        "seconds_are_within_leases",
        "No node has used more of a bundle than it had claimed; no lease of one belongs to a node that \
         was given up.",
    );
    let count: i64 =
        sql::query_scalar("SELECT count(*) FROM bundle_lease").fetch_one(&mut *connection).await?;
    finding.counted(count.unsigned_abs());
    for row in sql::query(WITHIN_SECONDS).fetch_all(connection).await? {
        let node: Option<String> = row.try_get(0)?;
        let (bundle, granted): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
        let (claimed, spent): (i64, i64) = (row.try_get(3)?, row.try_get(4)?);
        finding.offender(|| {
            let node = node.unwrap_or_else(|| "unknown".to_owned());
            format!(
                "node {node}, bundle {bundle}: granted {granted} s, claimed {claimed} s, used {spent} s"
            )
        });
    }
    Ok(finding.done())
}

const OVER: &str = "
    SELECT b.id, b.granted_s, b.used_s, b.leased_s, CAST(coalesce(u.used, 0) AS BIGINT)
    FROM bundle b LEFT JOIN
        (SELECT bundle_id, sum(seconds) AS used FROM bundle_use GROUP BY bundle_id) u
        ON u.bundle_id = b.id
    WHERE b.used_s <> coalesce(u.used, 0) OR b.used_s + b.leased_s > b.granted_s
    ORDER BY b.id";

pub(super) async fn seconds_are_used_once(
    connection: &mut Connection,
) -> Result<Check, sqlx::Error> {
    let mut finding = Finding::new(
        "seconds_are_used_once",
        "What is used of a bundle is what calls used; that and what is leased is no more than was given.",
    );
    let count: i64 =
        sql::query_scalar("SELECT count(*) FROM bundle").fetch_one(&mut *connection).await?;
    finding.counted(count.unsigned_abs());
    for row in sql::query(OVER).fetch_all(connection).await? {
        let (bundle, granted): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        let (used, leased, calls): (i64, i64, i64) =
            (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
        finding.offender(|| {
            format!(
                "bundle {bundle}: given {granted} s, used {used} s (by calls {calls} s), leased \
                 {leased} s"
            )
        });
    }
    Ok(finding.done())
}
