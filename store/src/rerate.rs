//! Which calls are priced again, read in batches in the order of their start, and the runs that did
//! it (J-25, J-27). The money itself goes through the ledger and the journal; from there the
//! projection writes what the CDRs say now, and `charge_history`.

use std::collections::BTreeMap;

use billing::{
    CdrCharge, ExchangeRate, Money, Price, RatedBy, RatedCall, RatedLeg, ReportRate, UpperCharge,
};
use vocabulary::{
    AccountId, CallId, CallKind, DidId, Jurisdiction, Location, Number, RateChoice, SiteId,
    SubscriberId, TrunkId, Utc,
};

use crate::directory::{Change, ChangeError, DirectoryStore, signed, unsigned};
use crate::sql::{Builder, Connection, Pool, Row};

/// Calls read at a time.
pub const BATCH: u32 = 2_000;

/// Which calls. Start and end are mandatory (J-25); each filter narrows the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Begun at or after.
    pub from: Utc,
    /// Begun before.
    pub till: Utc,
    /// Came in by this trunk.
    pub trunk_in: Option<TrunkId>,
    /// Were carried by this trunk.
    pub trunk_out: Option<TrunkId>,
    /// Of this account.
    pub account: Option<AccountId>,
    /// Of this site of an account, as it was when the call came in.
    pub site: Option<u64>,
    /// To one of these prefixes; empty: to anywhere.
    pub prefixes: Vec<String>,
    /// Only calls of which a side has no price, for this reason or, if it is empty, for any.
    pub error_code: Option<String>,
}

impl Selection {
    /// Every call of this stretch of time.
    pub fn between(from: Utc, till: Utc) -> Selection {
        Selection {
            from,
            till,
            trunk_in: None,
            trunk_out: None,
            account: None,
            site: None,
            prefixes: Vec::new(),
            error_code: None,
        }
    }

    fn push(&self, query: &mut Builder) {
        let id = |id: u64| id.cast_signed();
        query.push(" AND c.started_at >= ").push_bind(self.from.0);
        query.push(" AND c.started_at < ").push_bind(self.till.0);
        if let Some(trunk) = self.trunk_in {
            query.push(" AND c.trunk_id = ").push_bind(id(trunk.0));
        }
        if let Some(trunk) = self.trunk_out {
            query
                .push(
                    " AND EXISTS (SELECT 1 FROM cdr o WHERE o.call_id = c.call_id AND o.leg > 0 \
                     AND o.answered_at IS NOT NULL AND o.trunk_id = ",
                )
                .push_bind(id(trunk.0))
                .push(")");
        }
        if let Some(account) = self.account {
            query.push(" AND c.account_id = ").push_bind(id(account.0));
        }
        if let Some(site) = self.site {
            query.push(" AND c.site_id = ").push_bind(id(site));
        }
        for (index, prefix) in self.prefixes.iter().enumerate() {
            query.push(if index == 0 { " AND (" } else { " OR " });
            query.push("substr(c.destination, 1, length(").push_bind(prefix.clone());
            query.push(")) = ").push_bind(prefix.clone());
        }
        if !self.prefixes.is_empty() {
            query.push(")");
        }
        match self.error_code.as_deref() {
            None => {}
            Some("") => drop(query.push(
                " AND EXISTS (SELECT 1 FROM cdr e WHERE e.call_id = c.call_id \
                 AND e.error_code IS NOT NULL)",
            )),
            Some(code) => drop(
                query
                    .push(
                        " AND EXISTS (SELECT 1 FROM cdr e WHERE e.call_id = c.call_id \
                         AND e.error_code = ",
                    )
                    .push_bind(code.to_owned())
                    .push(")"),
            ),
        }
    }
}

/// A call of a selection, with what reports about it need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectedCall {
    /// What is priced.
    pub call: RatedCall,
    /// The trunk it came in by.
    pub trunk_in: Option<TrunkId>,
    /// The trunk that carried it.
    pub trunk_out: Option<TrunkId>,
}

/// Where a reading of calls stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The start of the last call read.
    pub started_at: Utc,
    /// Its id.
    pub call: CallId,
}

impl Cursor {
    /// Before the first call of a selection.
    pub fn before(selection: &Selection) -> Cursor {
        Cursor { started_at: Utc(selection.from.0.saturating_sub(1)), call: CallId(0) }
    }
}

/// What one reading brought.
#[derive(Clone, Debug)]
pub struct CallBatch {
    /// Answered calls that somebody pays for or is paid for.
    pub calls: Vec<SelectedCall>,
    /// Go on from here; `None`: that was the last.
    pub next: Option<Cursor>,
}

/// The next calls of the selection behind the cursor.
pub(crate) async fn selected_calls(
    pool: &Pool,
    selection: &Selection,
    after: Cursor,
) -> Result<CallBatch, sqlx::Error> {
    let mut query = Builder::new(
        "SELECT c.call_id, c.started_at FROM cdr c WHERE c.leg = 0 AND c.answered_at IS NOT NULL \
         AND (c.started_at, c.call_id) > (",
    );
    query.push_bind(after.started_at.0).push(", ").push_bind(after.call.0.cast_signed()).push(")");
    selection.push(&mut query);
    query.push(" ORDER BY c.started_at, c.call_id LIMIT ").push_bind(BATCH);
    let mut transaction = pool.begin_read().await?;
    let rows = query.build().fetch_all(&mut *transaction).await?;
    let mut ids: Vec<i64> = Vec::with_capacity(rows.len());
    let mut last = None;
    for row in &rows {
        let (call, started_at) = (row.try_get::<i64, _>(0)?, Utc(row.try_get(1)?));
        ids.push(call);
        last = Some(Cursor { started_at, call: CallId(call.cast_unsigned()) });
    }
    let next = last.filter(|_| rows.len() == BATCH as usize);
    let mut calls = Vec::with_capacity(ids.len());
    for ids in ids.chunks(500) {
        let mut legs = Builder::new("SELECT ");
        legs.push(LEG_COLUMNS).push(" FROM cdr WHERE call_id IN (");
        legs.push_list(ids.iter().copied());
        legs.push(") ORDER BY call_id, leg");
        let rows = legs.build().fetch_all(&mut *transaction).await?;
        let mut upper = upper_charges(&mut transaction, ids).await?;
        let mut rest = &rows[..];
        while let Some(first) = rest.first() {
            let id: i64 = first.try_get(0)?;
            let mut length = 1;
            while let Some(row) = rest.get(length)
                && row.try_get::<i64, _>(0)? == id
            {
                length += 1;
            }
            let (legs, later) = rest.split_at(length);
            calls.extend(call_of_rows(legs, upper.remove(&id).unwrap_or_default())?);
            rest = later;
        }
    }
    calls.sort_by_key(|call| (call.call.at, call.call.call.0.cast_signed()));
    Ok(CallBatch { calls, next })
}

const LEG_COLUMNS: &str = "call_id, leg, account_id, trunk_id, caller, destination, started_at, \
                           answered_at, talked_us, charge, generation, subscriber_id, \
                           rate_choice, site_id, report_currency, report_rate, kind, did_id, \
                           lrn, jurisdiction";

/// What the resellers of these calls paid, the lowest first.
async fn upper_charges(
    connection: &mut Connection,
    calls: &[i64],
) -> Result<BTreeMap<i64, Vec<UpperCharge>>, sqlx::Error> {
    let mut query =
        Builder::new("SELECT call_id, account_id, charge, destination_name FROM cdr_payer ");
    query.push("WHERE call_id IN (");
    query.push_list(calls.iter().copied());
    query.push(") ORDER BY call_id, level");
    let mut upper: BTreeMap<i64, Vec<UpperCharge>> = BTreeMap::new();
    for row in query.build().fetch_all(connection).await? {
        let account = AccountId(row.try_get::<i64, _>(1)?.cast_unsigned());
        let charge: &[u8] = row.try_get(2)?;
        let charge = CdrCharge::decode(charge)
            .map_err(|error| sqlx::Error::Decode(format!("table cdr_payer: {error}").into()))?;
        let charged = UpperCharge { account, charge, destination: row.try_get(3)? };
        upper.entry(row.try_get(0)?).or_default().push(charged);
    }
    Ok(upper)
}

fn call_of_rows(
    rows: &[Row],
    mut upper: Vec<UpperCharge>,
) -> Result<Option<SelectedCall>, sqlx::Error> {
    let Some(first) = rows.first() else { return Ok(None) };
    let wrong = |what: &str| sqlx::Error::Decode(format!("table cdr: bad {what}").into());
    let call = CallId(first.try_get::<i64, _>(0)?.cast_unsigned());
    let number = |index| -> Result<Option<Number>, sqlx::Error> {
        let text: Option<&str> = first.try_get(index)?;
        text.map(|text| text.parse().map_err(|_| wrong("number"))).transpose()
    };
    let Some(cld) = number(5)? else { return Ok(None) };
    let (cli, at) = (number(4)?, Utc(first.try_get(6)?));
    let mut generation = 0;
    let mut legs = Vec::with_capacity(rows.len());
    for row in rows {
        let id = |index| row.try_get::<Option<i64>, _>(index).map(|id| id.map(i64::cast_unsigned));
        let charge: Option<&[u8]> = row.try_get(9)?;
        let charge = charge.map(CdrCharge::decode).transpose().map_err(|_| wrong("charge"))?;
        generation = generation.max(row.try_get(10)?);
        let talked: i64 = row.try_get(8)?;
        legs.push(RatedLeg {
            leg: row.try_get(1)?,
            account: id(2)?.map(AccountId),
            subscriber: id(11)?.map(SubscriberId),
            trunk: id(3)?.map(TrunkId),
            answered_at: row.try_get::<Option<i64>, _>(7)?.map(Utc),
            talked: std::time::Duration::from_micros(unsigned(talked)),
            charge,
            upper: std::mem::take(&mut upper),
            site: id(13)?.map(SiteId),
            report: report_rate(row)?,
        });
    }
    let carried = legs.iter().find(|leg| leg.leg > 0 && leg.answered_at.is_some());
    let (trunk_in, trunk_out) = (legs[0].trunk, carried.and_then(|leg| leg.trunk));
    let rate_choice = first.try_get::<&str, _>(12)?;
    let rate_choice = RateChoice::from_word(rate_choice).ok_or_else(|| wrong("rate choice"))?;
    let jurisdiction: Option<&str> = first.try_get("jurisdiction")?;
    let jurisdiction =
        jurisdiction.map(|word| Jurisdiction::from_word(word).ok_or_else(|| wrong("jurisdiction")));
    let location = Location { lrn: number(18)?, jurisdiction: jurisdiction.transpose()? };
    let by = RatedBy { cld, cli, rate_choice, kind: kind_of_row(first)?, location };
    let rated = RatedCall::of_legs(call, generation, at, by, &legs);
    Ok(rated.map(|call| SelectedCall { call, trunk_in, trunk_out }))
}

/// How the call of a row of `cdr` was priced, if it says.
fn kind_of_row(row: &Row) -> Result<Option<CallKind>, sqlx::Error> {
    let (word, did): (Option<&str>, Option<i64>) = (row.try_get("kind")?, row.try_get("did_id")?);
    let Some(word) = word else { return Ok(None) };
    let kind = CallKind::from_word(word, did.map(|id| DidId(id.cast_unsigned())));
    kind.map(Some).ok_or_else(|| sqlx::Error::Decode("table cdr: bad kind".into()))
}

/// What the money of a row of `cdr` is in the currency that profit is counted in.
pub(crate) fn report_rate(row: &Row) -> Result<Option<ReportRate>, sqlx::Error> {
    let (code, nanos): (Option<&str>, Option<i64>) =
        (row.try_get("report_currency")?, row.try_get("report_rate")?);
    let Some((code, nanos)) = code.zip(nanos) else { return Ok(None) };
    let rate = Price::from_nanos(nanos).and_then(ExchangeRate::new);
    let report = code.parse().ok().zip(rate).map(|(currency, rate)| ReportRate { currency, rate });
    report.map(Some).ok_or_else(|| sqlx::Error::Decode("table cdr: bad report rate".into()))
}

/// A run that prices calls again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its id.
    pub id: u64,
    /// Is it recycling (J-27)? Else re-rating (J-25).
    pub is_recycling: bool,
    /// The selection as JSON.
    pub selection: String,
    /// Why, in the words of whoever started it.
    pub reason: String,
    /// Who.
    pub started_by: String,
    /// When.
    pub started_at: Utc,
    /// When it was through.
    pub ended_at: Option<Utc>,
    /// `running`, `done` or `interrupted`.
    pub state: String,
    /// Calls looked at.
    pub calls_seen: u64,
    /// Calls written.
    pub calls_changed: u64,
    /// Sides that could not be priced.
    pub refused: u64,
}

impl Change {
    /// Writes down that a run begins, and gives it its id. No other runs: one that is still called
    /// so was cut short.
    pub async fn begin_run(
        &mut self,
        is_recycling: bool,
        selection: &str,
        reason: &str,
        started_by: &str,
        now: Utc,
    ) -> Result<u64, ChangeError> {
        let mut cut_short = Builder::new(
            "UPDATE rerate_run SET state = 'interrupted' WHERE state = 'running' AND id < ",
        );
        let id = self.next_id("rerate_run").await?;
        cut_short.push_bind(signed(id));
        cut_short.build().execute(&mut *self.tx).await?;
        let mut insert = Builder::new(
            "INSERT INTO rerate_run (id, kind, selection, reason, started_by, started_at, state) \
             VALUES (",
        );
        insert.push_bind(signed(id)).push(", ");
        insert.push_bind(if is_recycling { "recycle" } else { "rerate" }).push(", ");
        let texts = [selection, reason, started_by].map(str::to_owned);
        insert.push_list(texts).push(", ").push_bind(now.0).push(", 'running')");
        insert.build().execute(&mut *self.tx).await?;
        Ok(id)
    }
}

impl DirectoryStore {
    /// The next calls of a selection.
    pub async fn selected_calls(
        &self,
        selection: &Selection,
        after: Cursor,
    ) -> Result<CallBatch, ChangeError> {
        Ok(selected_calls(&self.pool, selection, after).await?)
    }

    /// Writes down how far a run is; `ended_at`: it is through.
    pub async fn note_run(
        &self,
        id: u64,
        (calls_seen, calls_changed, refused): (u64, u64, u64),
        ended_at: Option<Utc>,
    ) -> Result<(), ChangeError> {
        let mut update = Builder::new("UPDATE rerate_run SET calls_seen = ");
        update.push_bind(signed(calls_seen)).push(", calls_changed = ");
        update.push_bind(signed(calls_changed)).push(", refused = ").push_bind(signed(refused));
        if let Some(at) = ended_at {
            update.push(", state = 'done', ended_at = ").push_bind(at.0);
        }
        update.push(" WHERE id = ").push_bind(signed(id));
        update.build().execute(&self.pool).await?;
        Ok(())
    }

    /// All runs, the newest first.
    pub async fn runs(&self) -> Result<Vec<Run>, ChangeError> {
        let query = Builder::new("SELECT * FROM rerate_run ORDER BY id DESC LIMIT 1000");
        let rows = query.build().fetch_all(&self.pool).await?;
        rows.iter().map(run_of_row).collect()
    }

    /// What stood before, each time a call was priced again.
    pub async fn charge_history(&self, call: CallId) -> Result<Vec<PastCharge>, ChangeError> {
        let mut query = Builder::new(
            "SELECT h.generation, h.role, h.place, h.account_id, h.run_id, h.at, h.amount_before, \
             h.amount_after, h.currency, h.error_code, r.reason, r.started_by \
             FROM charge_history h LEFT JOIN rerate_run r ON r.id = h.run_id WHERE h.call_id = ",
        );
        query.push_bind(call.0.cast_signed());
        query.push(" ORDER BY h.generation, h.role DESC, h.place");
        let rows = query.build().fetch_all(&self.pool).await?;
        rows.iter().map(past_of_row).collect()
    }
}

fn run_of_row(row: &Row) -> Result<Run, ChangeError> {
    let count = |column| Ok::<_, sqlx::Error>(unsigned(row.try_get(column)?));
    Ok(Run {
        id: count("id")?,
        is_recycling: row.try_get::<&str, _>("kind")? == "recycle",
        selection: row.try_get("selection")?,
        reason: row.try_get("reason")?,
        started_by: row.try_get("started_by")?,
        started_at: Utc(row.try_get("started_at")?),
        ended_at: row.try_get::<Option<i64>, _>("ended_at")?.map(Utc),
        state: row.try_get("state")?,
        calls_seen: count("calls_seen")?,
        calls_changed: count("calls_changed")?,
        refused: count("refused")?,
    })
}

/// One side of a call, each time it was priced again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastCharge {
    /// The how manieth time.
    pub generation: u32,
    /// `payer` or `carrier`.
    pub role: String,
    /// The payer's level, or the carrier's leg.
    pub place: u8,
    /// Who.
    pub account: AccountId,
    /// By which run.
    pub run: u64,
    /// Who started it.
    pub started_by: Option<String>,
    /// And why.
    pub reason: Option<String>,
    /// When.
    pub at: Utc,
    /// What stood; `None`: it had no price.
    pub before: Option<Money>,
    /// What stood from then on.
    pub after: Option<Money>,
    /// Of what.
    pub currency: Option<String>,
    /// Why it could not be priced.
    pub error_code: Option<String>,
}

fn past_of_row(row: &Row) -> Result<PastCharge, ChangeError> {
    Ok(PastCharge {
        generation: row.try_get(0)?,
        role: row.try_get(1)?,
        place: row.try_get(2)?,
        account: AccountId(row.try_get::<i64, _>(3)?.cast_unsigned()),
        run: unsigned(row.try_get(4)?),
        at: Utc(row.try_get(5)?),
        before: row.try_get::<Option<i64>, _>(6)?.map(Money),
        after: row.try_get::<Option<i64>, _>(7)?.map(Money),
        currency: row.try_get(8)?,
        error_code: row.try_get(9)?,
        reason: row.try_get(10)?,
        started_by: row.try_get(11)?,
    })
}
