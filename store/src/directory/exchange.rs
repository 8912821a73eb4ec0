//! Exchange rates: what one unit of a currency is in another (R12). The inverse is a rate of its
//! own, and nothing is derived: an operator buys and sells at different rates.

use billing::{Currency, ExchangeRate, Price};
use vocabulary::Utc;

use crate::sql::{self, Executor, Row};

use super::{Change, ChangeError, DirectoryStore, Result};

/// One rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredExchange {
    /// The currency of prices.
    pub from: Currency,
    /// The currency of the account that they are for.
    pub to: Currency,
    /// What one unit of `from` is in `to`.
    pub rate: ExchangeRate,
    /// When it was set.
    pub set_at: Utc,
}

/// The setting with the currency that profit is counted in.
const REPORT_CURRENCY: &str = "report_currency";

fn stored(row: &Row) -> Result<StoredExchange> {
    let text = |column| row.try_get::<String, _>(column);
    let corrupt = |column, value: &str| ChangeError::Corrupt { column, value: value.to_owned() };
    let currency = |column| {
        let code = text(column)?;
        code.parse::<Currency>().map_err(|_| corrupt(column, &code))
    };
    let written = text("rate")?;
    let rate = written.parse::<Price>().ok().and_then(ExchangeRate::new);
    Ok(StoredExchange {
        from: currency("from_currency")?,
        to: currency("to_currency")?,
        rate: rate.ok_or_else(|| corrupt("rate", &written))?,
        set_at: Utc(row.try_get("set_at")?),
    })
}

pub(crate) async fn all(executor: impl Executor<'_>) -> Result<Vec<StoredExchange>> {
    let rows = sql::query("SELECT * FROM exchange_rate ORDER BY from_currency, to_currency")
        .fetch_all(executor)
        .await?;
    rows.iter().map(stored).collect()
}

impl DirectoryStore {
    /// The currency that profit is counted in; empty: in the one of whoever pays for the call.
    pub async fn report_currency(&self) -> Result<String> {
        Ok(self.setting(REPORT_CURRENCY).await?.unwrap_or_default())
    }

    /// All rates, by currency.
    pub async fn exchange_rates(&self) -> Result<Vec<StoredExchange>> {
        all(&self.pool).await
    }
}

impl Change {
    /// Sets a rate, for calls that come in from now on.
    pub async fn set_exchange_rate(&mut self, exchange: &StoredExchange) -> Result<()> {
        if exchange.from.code() == exchange.to.code() {
            return Err(ChangeError::invalid("to", "write another currency than the first"));
        }
        self.touched.exchange_rates();
        sql::query(
            "INSERT INTO exchange_rate (from_currency, to_currency, rate, set_at)
             VALUES (?, ?, ?, ?)
             ON CONFLICT (from_currency, to_currency)
             DO UPDATE SET rate = excluded.rate, set_at = excluded.set_at",
        )
        .bind(exchange.from.code())
        .bind(exchange.to.code())
        .bind(exchange.rate.rate().to_string())
        .bind(exchange.set_at.0)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Removes a rate that no account needs for its rate groups.
    pub async fn remove_exchange_rate(&mut self, from: Currency, to: Currency) -> Result<()> {
        if !self.has_exchange_rate(from.code(), to.code()).await? {
            let name = format!("{from} {to}");
            return Err(ChangeError::not_found("exchange rate", &name));
        }
        let user = sql::query(
            "SELECT account.name FROM account
             LEFT JOIN account_message ON account_message.account_id = account.id
             JOIN rate_group ON rate_group.id
                IN (account.rate_group_id, account.carrier_rate_group_id,
                    account.non_cli_rate_group_id, account.intra_rate_group_id,
                    account.undetermined_rate_group_id, account.carrier_intra_rate_group_id,
                    account.carrier_undetermined_rate_group_id, account_message.rate_group_id,
                    account_message.carrier_rate_group_id)
             WHERE account.currency = ? AND rate_group.currency = ?
             ORDER BY account.id LIMIT 1",
        )
        .bind(to.code())
        .bind(from.code())
        .fetch_optional(&mut *self.tx)
        .await?;
        if let Some(user) = user {
            let name: String = user.try_get(0)?;
            let what = format!("account {name:?} is in {to} and has rates in {from}");
            return Err(ChangeError::InUse(what));
        }
        self.touched.exchange_rates();
        sql::query("DELETE FROM exchange_rate WHERE from_currency = ? AND to_currency = ?")
            .bind(from.code())
            .bind(to.code())
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// The currency that profit is counted in; `None`: in the one of whoever pays for the call.
    pub async fn report_currency(&mut self) -> Result<Option<Currency>> {
        let Some(code) = self.setting(REPORT_CURRENCY).await? else { return Ok(None) };
        if code.is_empty() {
            return Ok(None);
        }
        let corrupt = || ChangeError::Corrupt { column: "report_currency", value: code.clone() };
        code.parse().map(Some).map_err(|_| corrupt())
    }

    /// Sets the currency that profit is counted in, for calls that come in from now on.
    pub async fn set_report_currency(&mut self, currency: Option<Currency>) -> Result<()> {
        self.touched.exchange_rates();
        sql::query(
            "INSERT INTO setting (name, value) VALUES (?, ?)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(REPORT_CURRENCY)
        .bind(currency.map(|currency| currency.to_string()).unwrap_or_default())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    pub(super) async fn has_exchange_rate(&mut self, from: &str, to: &str) -> Result<bool> {
        let row =
            sql::query("SELECT 1 FROM exchange_rate WHERE from_currency = ? AND to_currency = ?")
                .bind(from)
                .bind(to)
                .fetch_optional(&mut *self.tx)
                .await?;
        Ok(row.is_some())
    }
}
