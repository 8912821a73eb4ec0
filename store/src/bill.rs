//! What an account owes for a period: its postings summed up by what they are for, their taxes, and
//! the balance before and after (R7, R13). Only read: the same question gets the same answer, and the
//! sums are those of the books.

use std::sync::Arc;

use billing::{AppliedTaxes, Money, Stated, StatementLine, StatementRounding, state};
use vocabulary::{AccountId, Utc};

use crate::directory::{
    Account, ChangeError, DirectoryStore, Result, invoice_rounding, signed, unsigned, words,
};
use crate::query::opening_balance;
use crate::sql::{self, Executor, Row};
use crate::taxes;

words!(
    /// What the postings of a line are for.
    LineKind {
        /// Calls, by destination, and what pricing them again changed.
        Calls = "calls",
        /// Fees of a period, and what was given back of them.
        Recurring = "recurring",
        /// Fees charged once.
        OneTime = "one_time",
        /// Credit notes.
        CreditNote = "credit_note",
        /// Corrections by hand.
        Adjustment = "adjustment",
        /// Money paid in: top-ups and vouchers. Not part of what is owed.
        Payment = "payment",
        /// What it earned as a carrier, and what it was paid for that. Not part of what is owed.
        Carrier = "carrier",
    }
);

impl LineKind {
    /// Is it part of what is owed for the period? Otherwise it only moves the balance.
    fn is_owed(self) -> bool {
        !matches!(self, LineKind::Payment | LineKind::Carrier)
    }
}

/// Some postings of one kind, with one label and the same taxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillLine {
    /// What for.
    pub kind: LineKind,
    /// The destination of calls, the label of a fee, the note of a movement by hand.
    pub label: String,
    /// Calls, or movements.
    pub count: u64,
    /// Seconds of calls that money paid for.
    pub billed_seconds: u64,
    /// Their sum, exactly: charged if above 0, given if below.
    pub posted: Money,
    /// What of it were taxes when it was posted.
    pub tax: Money,
    /// Their taxes.
    pub taxes: Option<Arc<AppliedTaxes>>,
}

/// A bill of a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bill {
    /// How it is rounded.
    pub rounding: StatementRounding,
    /// Credits less debits before the period.
    pub opening: Money,
    /// What is owed, line by line; `stated.lines` has the amounts of each.
    pub lines: Vec<BillLine>,
    /// The lines as they are shown, taxes and totals.
    pub stated: Stated,
    /// What else moved the balance.
    pub others: Vec<BillLine>,
    /// Credits less debits at the end of the period: taxes on top are not in the books.
    pub closing: Money,
}

/// The postings of an account in a stretch of time, by what they are for. `?1` is the account.
const LINES: &str = "
SELECT kind, label, taxes, CAST(sum(calls) AS BIGINT) AS calls, count(*) AS moves,
       CAST(sum(billed_us) AS BIGINT) / 1000000 AS billed_s, CAST(sum(posted) AS BIGINT) AS posted,
       CAST(sum(tax) AS BIGINT) AS tax
FROM (
    SELECT CASE WHEN p.kind IN ('charge', 'charge_raised', 'charge_lowered') THEN 'calls'
                WHEN p.kind IN ('fee', 'fee_refund') AND c.till_day IS NOT NULL THEN 'recurring'
                WHEN p.kind IN ('fee', 'fee_refund') THEN 'one_time'
                WHEN p.kind = 'credit_note' THEN 'credit_note'
                WHEN p.kind = 'adjustment' THEN 'adjustment'
                WHEN p.kind IN ('topup', 'voucher') THEN 'payment'
                ELSE 'carrier' END AS kind,
           CASE WHEN p.call_id IS NULL THEN p.note
                WHEN p.kind IN ('cost', 'cost_raised', 'cost_lowered') THEN ''
                WHEN p.level > 0 THEN coalesce(u.destination_name, d.destination_name,
                                               d.rate_prefix, '')
                ELSE coalesce(d.destination_name, d.rate_prefix, '') END AS label,
           p.taxes,
           CASE WHEN p.kind IN ('charge', 'cost') THEN 1 ELSE 0 END AS calls,
           CASE WHEN p.kind <> 'charge' THEN 0
                WHEN p.level > 0 THEN coalesce(u.billed_us, 0)
                ELSE coalesce(d.billed_us, 0) END AS billed_us,
           CASE WHEN p.debit_account_id = ?1 THEN p.amount ELSE -p.amount END AS posted,
           CASE WHEN p.debit_account_id = ?1 THEN p.tax ELSE -p.tax END AS tax
    FROM posting p
    LEFT JOIN cdr d ON d.call_id = p.call_id AND d.leg = 0
    LEFT JOIN cdr_payer u ON u.call_id = p.call_id AND u.level = p.level
    LEFT JOIN charge c ON c.op_id = p.op_id
    WHERE (p.debit_account_id = ?1 OR p.credit_account_id = ?1) AND p.at >= ?2 AND p.at < ?3
) AS moved
GROUP BY kind, label, taxes";

fn line(row: &Row) -> Result<BillLine> {
    let kind: String = row.try_get("kind")?;
    let kind: LineKind =
        kind.parse().map_err(|_| ChangeError::Corrupt { column: "kind", value: kind })?;
    let is_call = matches!(kind, LineKind::Calls);
    let count = if is_call { row.try_get("calls")? } else { row.try_get("moves")? };
    Ok(BillLine {
        kind,
        label: row.try_get("label")?,
        count: unsigned(count),
        billed_seconds: unsigned(row.try_get("billed_s")?),
        posted: Money(row.try_get("posted")?),
        tax: Money(row.try_get("tax")?),
        taxes: taxes::of_row(row)?,
    })
}

async fn lines(
    executor: impl Executor<'_>,
    account: AccountId,
    from: Utc,
    till: Utc,
) -> Result<Vec<BillLine>> {
    let query = sql::query(LINES).bind(signed(account.0)).bind(from.0).bind(till.0);
    let rows = query.fetch_all(executor).await?;
    let mut lines = rows.iter().map(line).collect::<Result<Vec<_>>>()?;
    // By the bytes of their texts: databases sort by their own languages.
    lines.sort_by_cached_key(|line| {
        let taxes = line.taxes.as_deref().map(taxes::written);
        (line.kind as u8, line.label.clone(), taxes)
    });
    Ok(lines)
}

impl DirectoryStore {
    /// What the account owes for the time from `from` (included) to `till` (not included).
    pub async fn bill(&self, account: &Account, from: Utc, till: Utc) -> Result<Bill> {
        let group = match account.rate_group.as_deref() {
            Some(name) => Some(self.rate_group(name).await?),
            None => None,
        };
        let rounding = StatementRounding {
            money: invoice_rounding(group.as_ref(), &account.currency),
            taxes: group.map(|group| group.tax.into()).unwrap_or_default(),
        };
        let mut read = self.pool.begin_read().await?;
        let opening = opening_balance(&mut *read, signed(account.id.0), from).await?;
        let all = lines(&mut *read, account.id, from, till).await?;
        let too_large =
            |error: billing::MoneyError| ChangeError::invalid("till", error.to_string());
        let mut closing = opening;
        for line in &all {
            closing = closing.checked_sub(line.posted).map_err(too_large)?;
        }
        let (lines, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|line| line.kind.is_owed());
        let exact = |line: &BillLine| {
            let BillLine { posted, tax, ref taxes, .. } = *line;
            StatementLine { posted, tax, taxes: taxes.clone() }
        };
        let stated = state(&lines.iter().map(exact).collect::<Vec<_>>(), rounding);
        let stated = stated.map_err(too_large)?;
        Ok(Bill { rounding, opening, lines, stated, others, closing })
    }
}
