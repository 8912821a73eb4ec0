//! Reports over what the projection wrote: profit (V-17), quality of carriers (O5), balances at a
//! past moment. Sums are made of postings, so that they are the books' own, re-rating included.

use billing::{Money, Zone};
use vocabulary::{AccountId, SiteId, TrunkId, Utc};

use crate::directory::{ChangeError, DirectoryStore, unsigned};
use crate::moment::day_of;
use crate::sql::{Builder, Pool, Row};

/// What the rows of a profit report are told apart by; any of them, or none for the total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProfitBy {
    /// The calling account.
    pub customer: bool,
    /// The account that was paid.
    pub carrier: bool,
    /// The site of the calling account.
    pub site: bool,
    /// The prefix of the calling account's rate.
    pub destination: bool,
    /// The day or month of the call's start.
    pub period: Option<Period>,
}

/// A stretch of a report, where its zone has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// Days.
    Day,
    /// Months.
    Month,
}

/// One row of a profit report. What it is not told apart by is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfitRow {
    /// The calling account.
    pub customer: Option<AccountId>,
    /// The account that was paid.
    pub carrier: Option<AccountId>,
    /// The site that the calls are from.
    pub site: Option<SiteId>,
    /// The rated prefix.
    pub destination: Option<String>,
    /// What the accounts' rates call it, if they all agree.
    pub destination_name: Option<String>,
    /// `2026-11-21` or `2026-11`.
    pub period: Option<String>,
    /// The currency of both sums: the one that was fixed for the calls when they came in.
    pub currency: String,
    /// Calls for which money moved.
    pub calls: u64,
    /// Of them, those that cost more than they brought.
    pub loss_calls: u64,
    /// Of them, those whose other side is in a row of another currency: there was no exchange rate.
    pub split_calls: u64,
    /// Talk, in whole seconds, each call rounded down.
    pub seconds: u64,
    /// What came to our revenue.
    pub revenue: Money,
    /// What carriers were given.
    pub cost: Money,
}

impl ProfitRow {
    /// Revenue less cost.
    pub fn profit(&self) -> Money {
        Money(self.revenue.0 - self.cost.0)
    }

    /// Profit in hundredths of a percent of the revenue; `None` without revenue.
    pub fn margin(&self) -> Option<i64> {
        let basis = i128::from(self.profit().0) * 10_000;
        i64::try_from(basis.checked_div(i128::from(self.revenue.0))?).ok()
    }
}

/// Profit of the calls begun from `from` (included) to `till` (not included): the greatest loss
/// first within each period. Charges count without the taxes in them (R13). Both sides of a call are in the currency that was fixed for it when it
/// came in, as far as there was an exchange rate. Days and months begin where the zone has them.
pub(crate) async fn profit(
    pool: &Pool,
    from: Utc,
    till: Utc,
    by: ProfitBy,
    zone: Option<&Zone>,
) -> Result<Vec<ProfitRow>, sqlx::Error> {
    // Our own accounts have ids from 2^62 up; above 15 bits of currency stands 1 for revenue, 2 for
    // cost. Both databases know these operators.
    const OURS: &str = "4611686018427387904";
    let is = |side: &str, kind: u8| {
        format!("({side} >= {OURS} AND ((({side} - {OURS}) >> 15) & 65535) = {kind})")
    };
    let sum = |gains: String, loses: String| {
        let (net, back) = ("p.amount - p.tax", "p.tax - p.amount");
        let amount = format!("CASE WHEN {gains} THEN {net} WHEN {loses} THEN {back} ELSE 0 END");
        format!("CAST(sum({amount}) AS BIGINT)")
    };
    let (debit, credit) = ("p.debit_account_id", "p.credit_account_id");
    let revenue = sum(is(credit, 1), is(debit, 1));
    let cost = sum(is(debit, 2), is(credit, 2));
    let local_day = format!("({}) / 86400000000", local_time("c.started_at", from, till, zone));
    let columns = [
        (by.customer, "c.account_id"),
        (by.carrier, "e.account_id"),
        (by.site, "c.site_id"),
        (by.destination, "coalesce(c.rate_prefix, '')"),
        (by.period.is_some(), local_day.as_str()),
    ];
    let keys: Vec<&str> = columns.iter().filter(|(is_on, _)| *is_on).map(|(_, key)| *key).collect();
    let mut query = Builder::new("WITH money AS (SELECT p.call_id, p.currency, ");
    query.push(&format!("{revenue} AS revenue, {cost} AS cost"));
    query.push(" FROM posting p JOIN cdr s ON s.call_id = p.call_id AND s.leg = 0");
    query.push(" WHERE s.started_at >= ").push_bind(from.0);
    query.push(" AND s.started_at < ").push_bind(till.0);
    query.push(" GROUP BY p.call_id, p.currency), ");
    query.push("side AS (SELECT m.call_id, coalesce(c.report_currency, m.currency) AS currency, ");
    query.push(&format!("{} AS revenue, 0 AS cost ", converted("m.revenue", "c.report_rate")));
    query.push("FROM money m JOIN cdr c ON c.call_id = m.call_id AND c.leg = 0 ");
    query.push("WHERE m.revenue <> 0 UNION ALL ");
    query.push("SELECT m.call_id, coalesce(e.report_currency, m.currency), 0, ");
    query.push(&converted("m.cost", "e.report_rate"));
    query.push(" FROM money m LEFT JOIN cdr e ON e.call_id = m.call_id AND e.leg > 0 ");
    query.push("AND e.currency = m.currency WHERE m.cost <> 0), ");
    query.push("told AS (SELECT call_id, currency, CAST(sum(revenue) AS BIGINT) AS revenue, ");
    query.push("CAST(sum(cost) AS BIGINT) AS cost, count(*) OVER (PARTITION BY call_id) AS parts ");
    query.push("FROM side GROUP BY call_id, currency) SELECT m.currency, count(*), ");
    query.push("sum(CASE WHEN m.parts = 1 AND m.revenue < m.cost THEN 1 ELSE 0 END), ");
    query.push("sum(CASE WHEN m.parts > 1 THEN 1 ELSE 0 END), ");
    query.push("sum(c.talked_us / 1000000), sum(m.revenue), sum(m.cost), ");
    query.push("min(c.destination_name), max(c.destination_name)");
    for key in &keys {
        query.push(", ").push(key);
    }
    query.push(" FROM told m JOIN cdr c ON c.call_id = m.call_id AND c.leg = 0 LEFT JOIN cdr e ");
    query.push("ON e.call_id = m.call_id AND e.leg > 0 AND e.currency IS NOT NULL");
    query.push(" GROUP BY m.currency");
    for key in &keys {
        query.push(", ").push(key);
    }
    let rows = query.build().fetch_all(pool).await?;
    let rows = rows.iter().map(|row| profit_row(row, by)).collect::<Result<Vec<_>, _>>()?;
    Ok(sorted(fold(rows)))
}

/// Micro-units by billionths, exactly as `billing` does it: in parts, since the product of both may
/// be more than 64 bits.
fn converted(amount: &str, rate: &str) -> String {
    let (whole, part) = (format!("({amount} / 1000000)"), format!("({amount} % 1000000)"));
    let nanos = format!(
        "{whole} * {rate} + {part} * ({rate} / 1000000) + {part} * ({rate} % 1000000) / 1000000"
    );
    format!("coalesce(({nanos}) / 1000, {amount})")
}

/// Microseconds of local time: the offsets of the zone that hold in this stretch of time.
fn local_time(column: &str, from: Utc, till: Utc, zone: Option<&Zone>) -> String {
    let Some(zone) = zone else { return column.to_owned() };
    let micros = |second: i64| second.saturating_mul(1_000_000);
    let mut offset = zone.offset_at(from.seconds());
    let changes: Vec<(i64, i64)> = zone
        .changes_between(from.seconds(), till.seconds())
        .map(|(second, next)| (second, std::mem::replace(&mut offset, next)))
        .collect();
    if changes.is_empty() {
        return format!("{column} + {}", micros(offset));
    }
    let mut text = format!("{column} + CASE");
    for (second, before) in changes {
        text += &format!(" WHEN {column} < {} THEN {}", micros(second), micros(before));
    }
    text + &format!(" ELSE {} END", micros(offset))
}

fn profit_row(row: &Row, by: ProfitBy) -> Result<ProfitRow, sqlx::Error> {
    let mut column = 9;
    let mut next = |is_on: bool| {
        column += usize::from(is_on);
        is_on.then_some(column - 1)
    };
    let id = |index: Option<usize>| -> Result<Option<u64>, sqlx::Error> {
        let Some(index) = index else { return Ok(None) };
        Ok(row.try_get::<Option<i64>, _>(index)?.map(i64::cast_unsigned))
    };
    let customer = id(next(by.customer))?.map(AccountId);
    let carrier = id(next(by.carrier))?.map(AccountId);
    let site = id(next(by.site))?.map(SiteId);
    let destination = next(by.destination).map(|index| row.try_get(index)).transpose()?;
    let day: Option<i64> = next(by.period.is_some()).map(|index| row.try_get(index)).transpose()?;
    let period = by.period.zip(day).map(|(period, day)| {
        let day = day_of(Utc(day.saturating_mul(86_400_000_000)));
        match period {
            Period::Day => day,
            Period::Month => day.chars().take(7).collect(),
        }
    });
    let (first, last): (Option<String>, Option<String>) = (row.try_get(7)?, row.try_get(8)?);
    Ok(ProfitRow {
        customer,
        carrier,
        site,
        destination,
        // Accounts may call one prefix by several names.
        destination_name: first.filter(|name| by.destination && Some(name) == last.as_ref()),
        period,
        currency: row.try_get(0)?,
        calls: unsigned(row.try_get(1)?),
        loss_calls: unsigned(row.try_get(2)?),
        split_calls: unsigned(row.try_get(3)?),
        seconds: unsigned(row.try_get(4)?),
        revenue: Money(row.try_get(5)?),
        cost: Money(row.try_get(6)?),
    })
}

/// Days become months.
fn fold(rows: Vec<ProfitRow>) -> Vec<ProfitRow> {
    let key = |row: &ProfitRow| {
        let ids =
            (row.customer.map(|id| id.0), row.carrier.map(|id| id.0), row.site.map(|id| id.0));
        (ids, row.destination.clone(), row.period.clone(), row.currency.clone())
    };
    let mut folded = std::collections::BTreeMap::new();
    for row in rows {
        let key = key(&row);
        match folded.get_mut(&key) {
            None => drop(folded.insert(key, row)),
            Some(sum) => {
                let sum: &mut ProfitRow = sum;
                sum.calls += row.calls;
                sum.loss_calls += row.loss_calls;
                sum.split_calls += row.split_calls;
                sum.seconds += row.seconds;
                sum.revenue.0 += row.revenue.0;
                sum.cost.0 += row.cost.0;
                if sum.destination_name != row.destination_name {
                    sum.destination_name = None;
                }
            }
        }
    }
    folded.into_values().collect()
}

fn sorted(mut rows: Vec<ProfitRow>) -> Vec<ProfitRow> {
    rows.sort_by(|a, b| (&a.period, a.profit()).cmp(&(&b.period, b.profit())));
    rows
}

/// How well calls to carriers went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QualityRow {
    /// The carrier's trunk.
    pub trunk: TrunkId,
    /// Its account.
    pub carrier: Option<AccountId>,
    /// The first digits of the destination.
    pub destination: String,
    /// Calls offered to it.
    pub attempts: u64,
    /// Of them, those answered: over the attempts this is the ASR.
    pub answered: u64,
    /// Talk of the answered, in seconds: over the answered this is the ACD.
    pub seconds: u64,
    /// Attempts that rang or were answered.
    pub rang: u64,
    /// Their delays from INVITE to the first 18x together, in milliseconds: over them this is the
    /// mean PDD.
    pub delay_ms: u64,
}

/// Quality of egress attempts begun in this stretch of time, by trunk and by the first `digits` of
/// the destination (0: all destinations together). The most attempts first.
pub(crate) async fn quality(
    pool: &Pool,
    from: Utc,
    till: Utc,
    digits: u8,
) -> Result<Vec<QualityRow>, sqlx::Error> {
    let mut query = Builder::new("SELECT trunk_id, max(account_id), d, count(*), ");
    query.push("sum(CASE WHEN answered_at IS NULL THEN 0 ELSE 1 END), sum(talked_us) / 1000000, ");
    query.push("sum(CASE WHEN post_dial_delay_us IS NULL THEN 0 ELSE 1 END), ");
    query.push("coalesce(sum(post_dial_delay_us), 0) / 1000 FROM (");
    query.push("SELECT trunk_id, account_id, answered_at, talked_us, post_dial_delay_us, ");
    query.push("substr(coalesce(destination, ''), 1, CAST(").push_bind(i64::from(digits));
    query.push(" AS INTEGER)) AS d FROM cdr WHERE leg > 0 AND trunk_id IS NOT NULL");
    query.push(" AND started_at >= ").push_bind(from.0);
    query.push(" AND started_at < ").push_bind(till.0);
    query.push(") AS attempt GROUP BY trunk_id, d ORDER BY count(*) DESC, trunk_id, d");
    let row = |row: &Row| -> Result<QualityRow, sqlx::Error> {
        let count = |index: usize| row.try_get::<i64, _>(index).map(unsigned);
        Ok(QualityRow {
            trunk: TrunkId(count(0)?),
            carrier: row.try_get::<Option<i64>, _>(1)?.map(|id| AccountId(id.cast_unsigned())),
            destination: row.try_get(2)?,
            attempts: count(3)?,
            answered: count(4)?,
            seconds: count(5)?,
            rang: count(6)?,
            delay_ms: count(7)?,
        })
    };
    query.build().fetch_all(pool).await?.iter().map(row).collect()
}

/// The balance of an account at a past moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastBalance {
    /// Whose; ours too.
    pub account: AccountId,
    /// Of what.
    pub currency: String,
    /// What it had received.
    pub received: Money,
    /// What was taken from it.
    pub taken: Money,
}

impl PastBalance {
    /// Received less taken.
    pub fn balance(&self) -> Money {
        Money(self.received.0 - self.taken.0)
    }
}

/// Every account's balance from the postings before this moment. Together they are zero in each
/// currency.
pub(crate) async fn balances_at(pool: &Pool, at: Utc) -> Result<Vec<PastBalance>, sqlx::Error> {
    let mut query = Builder::new("SELECT account_id, currency, sum(received), sum(taken) FROM (");
    query.push("SELECT credit_account_id AS account_id, currency, amount AS received, 0 AS taken ");
    query.push("FROM posting WHERE at < ").push_bind(at.0);
    query.push(" UNION ALL SELECT debit_account_id, currency, 0, amount FROM posting WHERE at < ");
    query.push_bind(at.0).push(") AS moved GROUP BY account_id, currency");
    query.push(" ORDER BY account_id, currency");
    let row = |row: &Row| -> Result<PastBalance, sqlx::Error> {
        Ok(PastBalance {
            account: AccountId(row.try_get::<i64, _>(0)?.cast_unsigned()),
            currency: row.try_get(1)?,
            received: Money(row.try_get(2)?),
            taken: Money(row.try_get(3)?),
        })
    };
    query.build().fetch_all(pool).await?.iter().map(row).collect()
}

impl DirectoryStore {
    /// Profit by what `by` says.
    pub async fn profit(
        &self,
        from: Utc,
        till: Utc,
        by: ProfitBy,
        zone: Option<&Zone>,
    ) -> Result<Vec<ProfitRow>, ChangeError> {
        Ok(profit(&self.pool, from, till, by, zone).await?)
    }

    /// Quality of egress attempts.
    pub async fn quality(
        &self,
        from: Utc,
        till: Utc,
        digits: u8,
    ) -> Result<Vec<QualityRow>, ChangeError> {
        Ok(quality(&self.pool, from, till, digits).await?)
    }

    /// Every account's balance before this moment.
    pub async fn balances_at(&self, at: Utc) -> Result<Vec<PastBalance>, ChangeError> {
        Ok(balances_at(&self.pool, at).await?)
    }
}
