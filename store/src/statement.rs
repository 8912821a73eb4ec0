//! What the comparison with a carrier's own call records asks of the tables (O13): the calls that went
//! to it, and how it writes its records.

use std::time::Duration;

use billing::{CdrCharge, Money};
use sheets::StatementLayout;
use vocabulary::{AccountId, CallId, Utc};

use crate::directory::{Change, ChangeError, DirectoryStore, signed};
use crate::sql::{self, Row};

/// A leg to a carrier, as far as it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarrierLeg {
    /// The call.
    pub call: CallId,
    /// Which of its legs.
    pub leg: u8,
    /// INVITE.
    pub started_at: Utc,
    /// Answer.
    pub answered_at: Option<Utc>,
    /// End.
    pub ended_at: Utc,
    /// The caller as it was on the leg.
    pub cli: String,
    /// The called number as it was on the leg.
    pub cld: String,
    /// The destination after translation.
    pub destination: Option<String>,
    /// Measured talk.
    pub talked: Duration,
    /// What of it was billed.
    pub billed: Duration,
    /// What it cost.
    pub cost: Money,
    /// How that came about; `None` if it has no price.
    pub charge: Option<CdrCharge>,
}

const COLUMNS: &str = "call_id, leg, started_at, answered_at, ended_at, cli, cld, destination, \
                       talked_us, billed_us, amount, charge";

fn leg(row: &Row) -> Result<CarrierLeg, ChangeError> {
    let time = |column: &str| -> Result<Duration, sqlx::Error> {
        let micros: i64 = row.try_get(column)?;
        Ok(Duration::from_micros(micros.max(0).cast_unsigned()))
    };
    let charge: Option<&[u8]> = row.try_get("charge")?;
    let broken = |_| ChangeError::Corrupt { column: "charge", value: "bytes".to_owned() };
    Ok(CarrierLeg {
        call: CallId(row.try_get::<i64, _>("call_id")?.cast_unsigned()),
        leg: row.try_get("leg")?,
        started_at: Utc(row.try_get("started_at")?),
        answered_at: row.try_get::<Option<i64>, _>("answered_at")?.map(Utc),
        ended_at: Utc(row.try_get("ended_at")?),
        cli: row.try_get("cli")?,
        cld: row.try_get("cld")?,
        destination: row.try_get("destination")?,
        talked: time("talked_us")?,
        billed: time("billed_us")?,
        cost: Money(row.try_get("amount")?),
        charge: charge.map(CdrCharge::decode).transpose().map_err(broken)?,
    })
}

impl DirectoryStore {
    /// The legs to a carrier that began from `from` (included) to `till` (not included), in order of
    /// time; one more than `max` at most, so that too many are seen.
    pub async fn carrier_legs(
        &self,
        carrier: AccountId,
        from: Utc,
        till: Utc,
        max: u32,
    ) -> Result<Vec<CarrierLeg>, ChangeError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM cdr WHERE account_id = ? AND leg > 0 AND started_at >= ? \
             AND started_at < ? ORDER BY started_at, call_id, leg LIMIT ?"
        );
        let query = sql::query(&sql).bind(signed(carrier.0)).bind(from.0).bind(till.0);
        let rows = query.bind(max.saturating_add(1)).fetch_all(&self.pool).await?;
        rows.iter().map(leg).collect()
    }

    /// How a carrier writes its records, if an operator said it.
    pub async fn statement_layout(
        &self,
        carrier: AccountId,
    ) -> Result<Option<StatementLayout>, ChangeError> {
        let sql = "SELECT layout FROM statement_layout WHERE account_id = ?";
        let query = sql::query_scalar::<String>(sql).bind(signed(carrier.0));
        let Some(text) = query.fetch_optional(&self.pool).await? else { return Ok(None) };
        let corrupt = |_| ChangeError::Corrupt { column: "layout", value: text.clone() };
        serde_json::from_str(&text).map(Some).map_err(corrupt)
    }
}

impl Change {
    /// Sets how a carrier writes its records.
    pub async fn set_statement_layout(
        &mut self,
        carrier: AccountId,
        layout: &StatementLayout,
        now: Utc,
    ) -> Result<(), ChangeError> {
        layout.validate().map_err(|what| ChangeError::invalid("layout", what))?;
        let text = serde_json::to_string(layout).expect("plain values are always JSON");
        sql::query(
            "INSERT INTO statement_layout (account_id, layout, changed_at) VALUES (?, ?, ?)
             ON CONFLICT (account_id) DO UPDATE SET layout = excluded.layout,
                changed_at = excluded.changed_at",
        )
        .bind(signed(carrier.0))
        .bind(text)
        .bind(now.0)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
