//! Reading what the projection wrote: lists of CDRs, one call with its postings and its reasons, the
//! statement of an account. Answers are values of this crate; `api` gives them their wire form.

use std::collections::BTreeMap;
use std::time::Duration;

use billing::{Money, OpId, ReportRate, TaxedPrice};
use serde::Deserialize;
use vocabulary::{AccountId, CallId, SiteId, SubscriberId, TrunkId, Utc};

use crate::rerate::report_rate;
use crate::sql::{self, Builder, Executor, Pool, Row};

/// The longest list that one question gets.
pub const LIST_MAX: u32 = 10_000;

/// One CDR as it is stored; the columns are documented in `migrations/0001_ledger.sql`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the schema documents each of these words once
pub struct StoredCdr {
    pub call: CallId,
    pub leg: u8,
    pub direction: String,
    pub account: Option<AccountId>,
    pub subscriber: Option<SubscriberId>,
    pub trunk: Option<TrunkId>,
    pub remote: Option<String>,
    pub sip_call_id: String,
    pub cli: String,
    pub cld: String,
    pub caller: Option<String>,
    pub destination: Option<String>,
    pub started_at: Utc,
    pub ringing_at: Option<Utc>,
    pub answered_at: Option<Utc>,
    pub ended_at: Utc,
    pub post_dial_delay: Option<Duration>,
    pub talked: Duration,
    pub billed: Duration,
    pub bundle: Duration,
    pub cause: String,
    pub q850: u8,
    pub sip_status: u16,
    pub released_by: String,
    pub amount: Money,
    pub tax: Money,
    pub currency: Option<String>,
    pub rate: Option<StoredRate>,
    pub error_code: Option<String>,
    pub generation: u32,
    pub site: Option<SiteId>,
    pub destination_name: Option<String>,
    /// Where the called number is served since it was ported (T7).
    pub lrn: Option<String>,
    /// `inter`, `intra` or `undetermined`; `None`: such calls have no jurisdiction.
    pub jurisdiction: Option<String>,
    pub report: Option<ReportRate>,
    pub attestation: Option<String>,
    pub decisions: Vec<StoredDecision>,
}

/// The rate by which a leg was priced, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the schema documents each of these words once
pub struct StoredRate {
    pub group: u32,
    pub sheet_version: u32,
    pub prefix: Option<String>,
    pub price: String,
    pub connect_fee: String,
    pub first_increment_s: u32,
    pub next_increment_s: u32,
    pub terms: Option<String>,
}

/// One reason of a call, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct StoredDecision {
    /// The stable word.
    pub code: String,
    /// The sentence.
    pub sentence: String,
}

/// One movement of money, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPosting {
    /// Its unique id.
    pub op_id: OpId,
    /// `charge`, `cost`, `topup`, …
    pub kind: String,
    /// Who gives.
    pub debit: AccountId,
    /// Who gets.
    pub credit: AccountId,
    /// How much, never negative.
    pub amount: Money,
    /// In which currency.
    pub currency: String,
    /// When.
    pub at: Utc,
    /// The call it belongs to.
    pub call: Option<CallId>,
    /// And its leg.
    pub leg: Option<u8>,
    /// The reason given with a command; empty for calls.
    pub note: String,
    /// What of the amount are taxes (R13).
    pub tax: Money,
    /// Which, as JSON; `None`: none.
    pub taxes: Option<String>,
}

impl StoredPosting {
    /// The amount as it was asked for: without taxes that were added to it.
    pub fn stated(&self) -> Money {
        let taxes = self.taxes.as_deref().and_then(|text| crate::taxes::read(text).ok());
        match taxes.map(|taxes| taxes.prices()) {
            Some(TaxedPrice::WithCharge) => Money(self.amount.0.saturating_sub(self.tax.0)),
            _ => self.amount,
        }
    }
}

/// Which CDRs are wanted; the empty filter is all, newest first.
#[derive(Clone, Debug, Default)]
pub struct CdrFilter {
    /// Of this account.
    pub account: Option<AccountId>,
    /// From this site.
    pub site: Option<SiteId>,
    /// Over this trunk.
    pub trunk: Option<TrunkId>,
    /// Begun at or after.
    pub from: Option<Utc>,
    /// Begun before.
    pub till: Option<Utc>,
    /// Caller on the leg, exactly.
    pub cli: Option<String>,
    /// Destination after translation begins with.
    pub destination_prefix: Option<String>,
    /// Ended for this cause.
    pub cause: Option<String>,
    /// Only answered (true) or unanswered (false) legs.
    pub is_answered: Option<bool>,
    /// Only ingress legs (0), say.
    pub leg: Option<u8>,
    /// Go on behind this one: the last of the list before.
    pub after: Option<(Utc, CallId, u8)>,
    /// At most so many; 0 and anything above `LIST_MAX` is `LIST_MAX`.
    pub limit: u32,
}

/// CDRs by filter, newest first.
pub async fn cdrs(pool: &Pool, filter: &CdrFilter) -> Result<Vec<StoredCdr>, sqlx::Error> {
    let mut query = Builder::new("SELECT * FROM cdr WHERE 1 = 1");
    let id = |id: u64| id.cast_signed();
    if let Some(account) = filter.account {
        query.push(" AND account_id = ").push_bind(id(account.0));
    }
    if let Some(site) = filter.site {
        query.push(" AND site_id = ").push_bind(id(site.0));
    }
    if let Some(trunk) = filter.trunk {
        query.push(" AND trunk_id = ").push_bind(id(trunk.0));
    }
    if let Some(from) = filter.from {
        query.push(" AND started_at >= ").push_bind(from.0);
    }
    if let Some(till) = filter.till {
        query.push(" AND started_at < ").push_bind(till.0);
    }
    if let Some(cli) = &filter.cli {
        query.push(" AND cli = ").push_bind(cli.clone());
    }
    if let Some(prefix) = &filter.destination_prefix {
        query.push(" AND substr(destination, 1, length(").push_bind(prefix.clone());
        query.push(")) = ").push_bind(prefix.clone());
    }
    if let Some(cause) = &filter.cause {
        query.push(" AND cause = ").push_bind(cause.clone());
    }
    if let Some(leg) = filter.leg {
        query.push(" AND leg = ").push_bind(leg);
    }
    match filter.is_answered {
        Some(true) => drop(query.push(" AND answered_at IS NOT NULL")),
        Some(false) => drop(query.push(" AND answered_at IS NULL")),
        None => {}
    }
    if let Some((at, call, leg)) = filter.after {
        query.push(" AND (started_at, call_id, leg) < (").push_bind(at.0);
        query.push(", ").push_bind(id(call.0)).push(", ").push_bind(leg).push(")");
    }
    let limit = if filter.limit == 0 { LIST_MAX } else { filter.limit.min(LIST_MAX) };
    query.push(" ORDER BY started_at DESC, call_id DESC, leg DESC LIMIT ").push_bind(limit);
    query.build().fetch_all(pool).await?.iter().map(cdr_from_row).collect()
}

/// What people call what a CDR has the id of (J-11, J-18).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CdrNames {
    /// Friendly names of trunks.
    pub trunks: BTreeMap<u64, String>,
    /// Names of sites.
    pub sites: BTreeMap<u64, String>,
}

pub(crate) async fn cdr_names(pool: &Pool) -> Result<CdrNames, sqlx::Error> {
    let trunks = "SELECT id, friendly_name FROM trunk WHERE friendly_name IS NOT NULL";
    let mut names = [BTreeMap::new(), BTreeMap::new()];
    for (sql, names) in [trunks, "SELECT id, name FROM site"].into_iter().zip(&mut names) {
        for row in sql::query(sql).fetch_all(pool).await? {
            names.insert(row.try_get::<i64, _>(0)?.cast_unsigned(), row.try_get(1)?);
        }
    }
    let [trunks, sites] = names;
    Ok(CdrNames { trunks, sites })
}

/// One call: its CDRs by leg (the reasons are on leg 0) and its postings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallStory {
    /// By leg.
    pub cdrs: Vec<StoredCdr>,
    /// By id.
    pub postings: Vec<StoredPosting>,
}

/// Everything stored about a call; `None` if there is no CDR (yet).
pub async fn call(pool: &Pool, call: CallId) -> Result<Option<CallStory>, sqlx::Error> {
    let id = call.0.cast_signed();
    let sql = "SELECT * FROM cdr WHERE call_id = ? ORDER BY leg";
    let rows = sql::query(sql).bind(id).fetch_all(pool).await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let cdrs = rows.iter().map(cdr_from_row).collect::<Result<_, _>>()?;
    let sql = "SELECT * FROM posting WHERE call_id = ? ORDER BY op_id";
    let rows = sql::query(sql).bind(id).fetch_all(pool).await?;
    let postings = rows.iter().map(posting_from_row).collect::<Result<_, _>>()?;
    Ok(Some(CallStory { cdrs, postings }))
}

/// The calls whose ingress leg had this SIP Call-ID, newest first: more than one if a phone repeats
/// itself.
pub async fn calls_by_sip_call_id(
    pool: &Pool,
    sip_call_id: &str,
) -> Result<Vec<CallId>, sqlx::Error> {
    let sql = "SELECT call_id FROM cdr WHERE leg = 0 AND sip_call_id = ? \
               ORDER BY started_at DESC LIMIT 100";
    let ids = sql::query_scalar::<i64>(sql).bind(sip_call_id).fetch_all(pool).await?;
    Ok(ids.into_iter().map(|id| CallId(id.cast_unsigned())).collect())
}

/// An account's movements in a stretch of time, with the balance before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Credits less debits before `from`.
    pub opening: Money,
    /// In order of time.
    pub postings: Vec<StoredPosting>,
    /// Credits less debits after the last of `postings`.
    pub closing: Money,
    /// There is more before `till` than fits the list; ask again from the last one's time.
    pub is_cut: bool,
}

/// The movements of `account` from `from` (included) to `till` (not included).
pub async fn statement(
    pool: &Pool,
    account: AccountId,
    from: Utc,
    till: Utc,
) -> Result<Statement, sqlx::Error> {
    let id = account.0.cast_signed();
    // One snapshot for both questions.
    let mut transaction = pool.begin_read().await?;
    let opening = opening_balance(&mut *transaction, id, from).await?;
    let sql = "SELECT * FROM posting WHERE ? IN (debit_account_id, credit_account_id) \
               AND at >= ? AND at < ? ORDER BY at, op_id LIMIT ?";
    let mut rows = sql::query(sql)
        .bind(id)
        .bind(from.0)
        .bind(till.0)
        .bind(LIST_MAX + 1)
        .fetch_all(&mut *transaction)
        .await?;
    let is_cut = rows.len() > LIST_MAX as usize;
    rows.truncate(LIST_MAX as usize);
    let postings = rows.iter().map(posting_from_row).collect::<Result<Vec<_>, _>>()?;
    let mut closing = opening;
    for posting in &postings {
        if posting.credit == account {
            closing.0 += posting.amount.0;
        }
        if posting.debit == account {
            closing.0 -= posting.amount.0;
        }
    }
    Ok(Statement { opening, postings, closing, is_cut })
}

pub(crate) async fn opening_balance(
    executor: impl Executor<'_>,
    account: i64,
    before: Utc,
) -> Result<Money, sqlx::Error> {
    let sql = "SELECT (SELECT coalesce(sum(amount), 0) FROM posting \
                       WHERE credit_account_id = ? AND at < ?) \
                    - (SELECT coalesce(sum(amount), 0) FROM posting \
                       WHERE debit_account_id = ? AND at < ?)";
    let query = sql::query_scalar(sql).bind(account).bind(before.0).bind(account).bind(before.0);
    query.fetch_one(executor).await.map(Money)
}

pub(crate) fn cdr_from_row(row: &Row) -> Result<StoredCdr, sqlx::Error> {
    let id = |column| row.try_get::<Option<i64>, _>(column).map(|v| v.map(i64::cast_unsigned));
    let utc = |column| row.try_get::<Option<i64>, _>(column).map(|v| v.map(Utc));
    let duration = |column| row.try_get::<i64, _>(column).map(micros);
    let decisions: Option<&str> = row.try_get("decisions")?;
    Ok(StoredCdr {
        call: CallId(row.try_get::<i64, _>("call_id")?.cast_unsigned()),
        leg: row.try_get("leg")?,
        direction: row.try_get("direction")?,
        account: id("account_id")?.map(AccountId),
        subscriber: id("subscriber_id")?.map(SubscriberId),
        trunk: id("trunk_id")?.map(TrunkId),
        remote: row.try_get("remote")?,
        sip_call_id: row.try_get("sip_call_id")?,
        cli: row.try_get("cli")?,
        cld: row.try_get("cld")?,
        caller: row.try_get("caller")?,
        destination: row.try_get("destination")?,
        started_at: Utc(row.try_get("started_at")?),
        ringing_at: utc("ringing_at")?,
        answered_at: utc("answered_at")?,
        ended_at: Utc(row.try_get("ended_at")?),
        post_dial_delay: row.try_get::<Option<i64>, _>("post_dial_delay_us")?.map(micros),
        talked: duration("talked_us")?,
        billed: duration("billed_us")?,
        bundle: duration("bundle_us")?,
        cause: row.try_get("cause")?,
        q850: row.try_get("q850")?,
        sip_status: row.try_get("sip_status")?,
        released_by: row.try_get("released_by")?,
        amount: Money(row.try_get("amount")?),
        tax: Money(row.try_get("tax")?),
        currency: row.try_get("currency")?,
        rate: rate_from_row(row)?,
        error_code: row.try_get("error_code")?,
        generation: row.try_get("generation")?,
        site: id("site_id")?.map(SiteId),
        destination_name: row.try_get("destination_name")?,
        lrn: row.try_get("lrn")?,
        jurisdiction: row.try_get("jurisdiction")?,
        report: report_rate(row)?,
        attestation: row.try_get("attestation")?,
        decisions: match decisions {
            Some(text) => {
                serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))?
            }
            None => Vec::new(),
        },
    })
}

fn rate_from_row(row: &Row) -> Result<Option<StoredRate>, sqlx::Error> {
    let Some(group) = row.try_get("rate_group_id")? else { return Ok(None) };
    Ok(Some(StoredRate {
        group,
        sheet_version: row.try_get("rate_sheet_version")?,
        prefix: row.try_get("rate_prefix")?,
        price: row.try_get("price")?,
        connect_fee: row.try_get("connect_fee")?,
        first_increment_s: row.try_get("first_increment_s")?,
        next_increment_s: row.try_get("next_increment_s")?,
        terms: row.try_get("rate_terms")?,
    }))
}

fn micros(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

pub(crate) fn posting_from_row(row: &Row) -> Result<StoredPosting, sqlx::Error> {
    let op_id: &[u8] = row.try_get("op_id")?;
    let op_id = <[u8; 16]>::try_from(op_id)
        .map_err(|_| sqlx::Error::Decode("table posting: an op_id has 16 bytes".into()))?;
    Ok(StoredPosting {
        op_id: OpId(u128::from_be_bytes(op_id)),
        kind: row.try_get("kind")?,
        debit: AccountId(row.try_get::<i64, _>("debit_account_id")?.cast_unsigned()),
        credit: AccountId(row.try_get::<i64, _>("credit_account_id")?.cast_unsigned()),
        amount: Money(row.try_get("amount")?),
        currency: row.try_get("currency")?,
        at: Utc(row.try_get("at")?),
        call: row.try_get::<Option<i64>, _>("call_id")?.map(|id| CallId(id.cast_unsigned())),
        leg: row.try_get("leg")?,
        note: row.try_get("note")?,
        tax: Money(row.try_get("tax")?),
        taxes: row.try_get("taxes")?,
    })
}
