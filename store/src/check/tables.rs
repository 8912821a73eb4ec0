//! The invariants that the tables alone must keep.

use billing::Money;
use vocabulary::CallId;

use super::{Check, Finding, leg_name};
use crate::snapshot::Snapshot;
use crate::sql::{self, Connection};

/// What one account gives another gets.
pub(super) fn sums_are_zero(snapshot: &Snapshot) -> Check {
    let mut finding = Finding::new("sums_are_zero", "All accounts together hold nothing.");
    finding.counted(snapshot.sums.len() as u64);
    let (mut posted, mut pending) = (0i128, 0i128);
    for sums in snapshot.sums.values() {
        posted += i128::from(sums.credits_posted.0) - i128::from(sums.debits_posted.0);
        pending += i128::from(sums.credits_pending.0) - i128::from(sums.debits_pending.0);
    }
    if posted != 0 {
        finding.offender(|| format!("posted sums differ by {posted} micro-units"));
    }
    if pending != 0 {
        finding.offender(|| format!("pending sums differ by {pending} micro-units"));
    }
    finding.done()
}

const COUNTERS: &str = "
    WITH moved AS (
        SELECT debit_account_id AS account_id, amount AS debit, 0 AS credit FROM posting
        UNION ALL
        SELECT credit_account_id, 0, amount FROM posting
        UNION ALL
        SELECT account_id, -debits_posted, -credits_posted FROM account_balance
    )
    SELECT account_id, sum(debit), sum(credit) FROM moved GROUP BY account_id
    HAVING sum(debit) <> 0 OR sum(credit) <> 0 ORDER BY account_id";

pub(super) async fn counters_equal_postings(
    connection: &mut Connection,
) -> Result<Check, sqlx::Error> {
    let mut finding = Finding::new(
        "counters_equal_postings",
        "Each account's counters are the sums of its postings.",
    );
    finding.counted(count(connection, "SELECT count(*) FROM account_balance").await?);
    for row in sql::query(COUNTERS).fetch_all(connection).await? {
        let account: i64 = row.try_get(0)?;
        let (debit, credit) = (Money(row.try_get(1)?), Money(row.try_get(2)?));
        finding.offender(|| {
            format!("account {account}: postings less counters: debits {debit}, credits {credit}")
        });
    }
    Ok(finding.done())
}

const CHARGES: &str = "
    WITH priced AS (
        SELECT call_id, leg, 0 AS level, amount FROM cdr WHERE amount <> 0
        UNION ALL
        SELECT call_id, 0, level, amount FROM cdr_payer
        UNION ALL
        SELECT call_id, leg, level,
               CASE WHEN kind IN ('charge_lowered', 'cost_lowered') THEN amount ELSE -amount END
        FROM posting WHERE call_id IS NOT NULL
    )
    SELECT call_id, leg, level, sum(amount) FROM priced GROUP BY call_id, leg, level
    HAVING sum(amount) <> 0 ORDER BY call_id, leg, level";

pub(super) async fn charges_equal_postings(
    connection: &mut Connection,
) -> Result<Check, sqlx::Error> {
    let mut finding = Finding::new(
        "charges_equal_postings",
        "Each leg's charge or cost in its CDR is what was posted for it.",
    );
    finding.counted(count(connection, "SELECT count(*) FROM cdr").await?);
    for row in sql::query(CHARGES).fetch_all(connection).await? {
        let call = CallId(row.try_get::<i64, _>(0)?.cast_unsigned());
        let (leg, level): (u8, u8) = (row.try_get(1)?, row.try_get(2)?);
        let difference = Money(row.try_get(3)?);
        finding.offender(|| {
            let leg = leg_name(call, leg);
            format!("{leg} level {level}: CDR less postings is {difference}")
        });
    }
    Ok(finding.done())
}

/// A call that is transferred talks on legs of several subscribers, but only subscribers transfer: on one
/// trunk at most, which is paid for it.
const LEGS: &str = "
    SELECT call_id, count(*), min(leg), max(leg),
           count(*) FILTER (WHERE leg > 0 AND trunk_id IS NOT NULL AND answered_at IS NOT NULL AND talked_us > 0)
    FROM cdr GROUP BY call_id
    HAVING min(leg) <> 0 OR max(leg) <> count(*) - 1 OR
           count(*) FILTER (WHERE leg > 0 AND trunk_id IS NOT NULL AND answered_at IS NOT NULL AND talked_us > 0) > 1
    ORDER BY call_id";

pub(super) async fn calls_have_their_legs(
    connection: &mut Connection,
) -> Result<Check, sqlx::Error> {
    let mut finding = Finding::new(
        "calls_have_their_legs",
        "Each call has one CDR a leg, from 0 without a gap, and talked on one egress trunk at most.",
    );
    finding.counted(count(connection, "SELECT count(DISTINCT call_id) FROM cdr").await?);
    for row in sql::query(LEGS).fetch_all(connection).await? {
        let call = CallId(row.try_get::<i64, _>(0)?.cast_unsigned());
        let (legs, first, last): (i64, i64, i64) =
            (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        let talked: i64 = row.try_get(4)?;
        finding.offender(|| {
            format!(
                "call {call}: {legs} CDRs, legs {first} to {last}, {talked} egress trunks talked"
            )
        });
    }
    Ok(finding.done())
}

/// Only accounts that no operator's correction or re-rating has touched: one may be told to go
/// below.
const PREPAID: &str = "
    SELECT b.account_id, b.credits_posted - b.debits_posted - b.debits_pending * ?1
    FROM account_balance b JOIN account a ON a.id = b.account_id
    WHERE a.billing = 'prepaid'
      AND b.credits_posted - b.debits_posted - b.debits_pending * ?1 < 0
      AND NOT EXISTS (SELECT 1 FROM posting p WHERE p.debit_account_id = b.account_id
                      AND (p.call_id IS NULL OR p.kind = 'charge_raised'))
    ORDER BY b.account_id";

pub(super) async fn prepaid_are_covered(
    connection: &mut Connection,
    is_shared: bool,
) -> Result<Check, sqlx::Error> {
    let mut finding = Finding::new(
        "prepaid_are_covered",
        "No prepaid account has spent or reserved more than was paid in.",
    );
    let sql = "SELECT count(*) FROM account WHERE billing = 'prepaid'";
    finding.counted(count(connection, sql).await?);
    // What nodes hold is known of each at another moment: the same money may be seen with two.
    let pending = i64::from(!is_shared);
    for row in sql::query(PREPAID).bind(pending).fetch_all(connection).await? {
        let (account, available): (i64, _) = (row.try_get(0)?, Money(row.try_get(1)?));
        finding.offender(|| format!("account {account}: {available} available"));
    }
    Ok(finding.done())
}

const RECEIPTS: &str = "
    SELECT r.seller_id, count(*), min(r.number), max(r.number), coalesce(max(s.last_number), 0),
           count(DISTINCT r.op_id), count(p.op_id)
    FROM receipt r
    LEFT JOIN receipt_series s ON s.seller_id = r.seller_id
    LEFT JOIN posting p ON p.op_id = r.op_id
        AND r.account_id IN (p.debit_account_id, p.credit_account_id)
    GROUP BY r.seller_id
    HAVING min(r.number) <> 1 OR max(r.number) <> count(*)
        OR coalesce(max(s.last_number), 0) <> count(*)
        OR count(DISTINCT r.op_id) <> count(*) OR count(p.op_id) <> count(*)
    ORDER BY r.seller_id";

pub(super) async fn receipts_are_counted(
    connection: &mut Connection,
) -> Result<Check, sqlx::Error> {
    let mut finding = Finding::new(
        "receipts_are_counted",
        "Each seller's receipts are numbered from 1 without a gap, each for a posting of its own.",
    );
    finding.counted(count(connection, "SELECT count(*) FROM receipt").await?);
    for row in sql::query(RECEIPTS).fetch_all(connection).await? {
        let seller: i64 = row.try_get(0)?;
        let (receipts, first, last): (i64, i64, i64) =
            (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        let (given, told, postings): (i64, i64, i64) =
            (row.try_get(4)?, row.try_get(5)?, row.try_get(6)?);
        finding.offender(|| {
            format!(
                "seller {seller}: {receipts} receipts from {first} to {last} of {given} given out, \
                 for {told} postings, {postings} of them there"
            )
        });
    }
    Ok(finding.done())
}

async fn count(connection: &mut Connection, sql: &str) -> Result<u64, sqlx::Error> {
    let count: i64 = sql::query_scalar(sql).fetch_one(connection).await?;
    Ok(u64::try_from(count).unwrap_or(0))
}
