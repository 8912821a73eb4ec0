//! Accounts: who pays or is paid. Their balances are the ledger's.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use vocabulary::{AccountId, Utc};

use super::credit::Credit;
use super::jurisdiction::JurisdictionRates;
use super::{
    CallLimits, Change, ChangeError, DirectoryStore, Result, check_name, limits, signed, taken,
    unsigned, word, words,
};
use crate::sql::{self, Executor, Row};

words!(
    /// How an account pays.
    BillingKind {
        /// From a balance that must be there before.
        Prepaid = "prepaid",
        /// Later, until the credit limit is reached.
        Postpaid = "postpaid",
    }
);

words!(
    /// Whether an account may call.
    AccountStatus {
        /// It may.
        Active = "active",
        /// Not now.
        Blocked = "blocked",
        /// Never again; kept for its history.
        Closed = "closed",
    }
);

words!(
    /// What becomes of a broken second of talk (R6).
    DurationRounding {
        /// 60.1 s is 61.
        Up = "up",
        /// 60.9 s is 60.
        Down = "down",
        /// 60.5 s is 61, 60.4 is 60.
        Nearest = "nearest",
    }
);

impl From<DurationRounding> for billing::DurationRounding {
    fn from(rounding: DurationRounding) -> billing::DurationRounding {
        match rounding {
            DurationRounding::Up => billing::DurationRounding::Up,
            DurationRounding::Down => billing::DurationRounding::Down,
            DurationRounding::Nearest => billing::DurationRounding::Nearest,
        }
    }
}

/// One account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Which; 0 before it is stored.
    pub id: AccountId,
    /// Unique.
    pub name: String,
    /// How it pays.
    pub billing: BillingKind,
    /// ISO 4217.
    pub currency: String,
    /// Micro-units; 0 on prepaid.
    pub credit_limit: i64,
    /// Whether it may call.
    pub status: AccountStatus,
    /// What it pays for its calls, by name.
    pub rate_group: Option<String>,
    /// Whether its charges and payments get receipts; prepaid only.
    pub receipts: bool,
    /// What it is paid for calls we send it, by name.
    pub carrier_rate_group: Option<String>,
    /// Concurrent calls and calls per second.
    pub limits: CallLimits,
    /// How many seconds a call that it places may last (V-11); `None`: as long as any.
    pub call_seconds_max: Option<u32>,
    /// Whether it may call other subscribers.
    pub allow_local: bool,
    /// Per minute, for calls to other subscribers.
    pub local_price: Decimal,
    /// Seconds of the first increment of such a call.
    pub local_first_increment: u32,
    /// Seconds of each further increment.
    pub local_next_increment: u32,
    /// Whether its calls may go out at a loss.
    pub allow_loss: bool,
    /// Rounding of talk time when it pays.
    pub duration_rounding: DurationRounding,
    /// Rounding of talk time when it is paid.
    pub carrier_duration_rounding: DurationRounding,
    /// Ten digits, unique.
    pub number: Option<String>,
    /// The reseller it belongs to, by name.
    pub parent: Option<String>,
    /// IANA; where its days and months begin.
    pub time_zone: String,
    /// Of the month, 1 to 31.
    pub billing_day: u8,
    /// How many percent a call may cost more than it brings, unless `allow_loss` (T5).
    pub loss_percent_max: Decimal,
    /// What it pays when its caller ID is none of its own, by name.
    pub non_cli_rate_group: Option<String>,
    /// What it pays and takes by jurisdiction instead (T7).
    pub jurisdiction_rates: JurisdictionRates,
    /// Fields of the operator's own (P-014).
    pub custom: BTreeMap<String, String>,
    /// Limits, thresholds, and what concerns it as a carrier.
    pub credit: Credit,
    /// Since when it is suspended for a charge that it could not pay (P-013).
    pub suspended_at: Option<Utc>,
    /// When it was opened.
    pub created_at: Utc,
}

impl Account {
    /// An active account with the defaults, to be filled in.
    pub fn new(name: &str, billing: BillingKind, currency: &str, now: Utc) -> Account {
        Account {
            id: AccountId(0),
            name: name.to_owned(),
            billing,
            currency: currency.to_owned(),
            credit_limit: 0,
            status: AccountStatus::Active,
            rate_group: None,
            receipts: billing == BillingKind::Prepaid,
            carrier_rate_group: None,
            limits: CallLimits::default(),
            call_seconds_max: None,
            allow_local: true,
            local_price: Decimal::ZERO,
            local_first_increment: 60,
            local_next_increment: 60,
            allow_loss: false,
            duration_rounding: DurationRounding::Up,
            carrier_duration_rounding: DurationRounding::Up,
            number: None,
            parent: None,
            time_zone: "UTC".to_owned(),
            billing_day: 1,
            loss_percent_max: Decimal::ZERO,
            non_cli_rate_group: None,
            jurisdiction_rates: JurisdictionRates::default(),
            custom: BTreeMap::new(),
            credit: Credit::default(),
            suspended_at: None,
            created_at: now,
        }
    }

    fn check(&self) -> Result<()> {
        check_name("name", &self.name)?;
        if WORDS_OF_THE_API.contains(&self.name.as_str()) {
            let what = "import, export and close are words of the API; choose another name";
            return Err(ChangeError::invalid("name", what));
        }
        check_currency(&self.currency)?;
        if self.billing == BillingKind::Prepaid && self.credit_limit != 0 {
            let what = "a prepaid account has none; make it postpaid, or leave the limit out";
            return Err(ChangeError::invalid("credit_limit", what));
        }
        if self.billing == BillingKind::Postpaid && self.receipts {
            let what = "are for prepaid accounts: a postpaid one gets invoices; leave it no";
            return Err(ChangeError::invalid("receipts", what));
        }
        if self.credit_limit < 0 {
            return Err(ChangeError::invalid("credit_limit", "write 0 or more"));
        }
        let price = self.local_price.normalize();
        if price.is_sign_negative() || price.scale() > 9 {
            let what = "write 0 or more, with at most 9 decimals";
            return Err(ChangeError::invalid("local_price", what));
        }
        for (field, seconds) in [
            ("local_first_increment", self.local_first_increment),
            ("local_next_increment", self.local_next_increment),
        ] {
            if !(1..=86_400).contains(&seconds) {
                return Err(ChangeError::invalid(field, "write 1 to 86400 seconds"));
            }
        }
        self.credit.check()?;
        self.check_service()
    }

    /// The rules of what surrounds the money.
    fn check_service(&self) -> Result<()> {
        if let Some(number) = &self.number
            && (number.len() != NUMBER_DIGITS || !number.bytes().all(|byte| byte.is_ascii_digit()))
        {
            return Err(ChangeError::invalid(
                "number",
                "write ten digits, \"random\" or a phone number",
            ));
        }
        if jiff::tz::TimeZone::get(&self.time_zone).is_err() {
            let what = "write a name of the IANA database such as Europe/Berlin, or UTC";
            return Err(ChangeError::invalid("time_zone", what));
        }
        if self.call_seconds_max.is_some_and(|most| !(1..=CALL_SECONDS_MAX).contains(&most)) {
            let what = "write 1 to 2592000 seconds, or null for no limit of its own";
            return Err(ChangeError::invalid("call_seconds_max", what));
        }
        if !(1..=31).contains(&self.billing_day) {
            return Err(ChangeError::invalid("billing_day", "write a day of the month, 1 to 31"));
        }
        let percent = self.loss_percent_max.normalize();
        if percent.is_sign_negative() || percent > Decimal::from(1000) || percent.scale() > 4 {
            let what = "write a percentage from 0 to 1000 with at most 4 decimals";
            return Err(ChangeError::invalid("loss_percent_max", what));
        }
        let is_plain = |(name, value): (&String, &String)| {
            (1..=64).contains(&name.chars().count())
                && sheets::trimmed(name) == name
                && sheets::trimmed(value) == value
                && value.chars().count() <= 500
                && !name.chars().chain(value.chars()).any(char::is_control)
        };
        if self.custom.len() > CUSTOM_MAX || !self.custom.iter().all(is_plain) {
            let what = "write at most 50 fields, names of 1 to 64 and values of at most 500 \
                        printable characters, without blanks at either end";
            return Err(ChangeError::invalid("custom", what));
        }
        Ok(())
    }
}

/// 30 days, as for all calls in the configuration.
const CALL_SECONDS_MAX: u32 = 2_592_000;
///
pub const NUMBER_DIGITS: usize = 10;
const CUSTOM_MAX: usize = 50;
/// `/accounts/export` would be both.
const WORDS_OF_THE_API: [&str; 3] = ["import", "export", "close"];

pub(super) fn check_currency(currency: &str) -> Result<()> {
    if currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Ok(());
    }
    Err(ChangeError::invalid("currency", "write an ISO 4217 code such as EUR or USD"))
}

const SELECT: &str =
    "SELECT account.*, charged.name AS rate_group, paid.name AS carrier_rate_group,
        parent.name AS parent, non_cli.name AS non_cli_rate_group,
        (SELECT name FROM rate_group WHERE id = account.intra_rate_group_id)
            AS intra_rate_group,
        (SELECT name FROM rate_group WHERE id = account.undetermined_rate_group_id)
            AS undetermined_rate_group,
        (SELECT name FROM rate_group WHERE id = account.carrier_intra_rate_group_id)
            AS carrier_intra_rate_group,
        (SELECT name FROM rate_group WHERE id = account.carrier_undetermined_rate_group_id)
            AS carrier_undetermined_rate_group
    FROM account
    LEFT JOIN account parent ON parent.id = account.parent_id
    LEFT JOIN rate_group non_cli ON non_cli.id = account.non_cli_rate_group_id
    LEFT JOIN rate_group charged ON charged.id = account.rate_group_id
    LEFT JOIN rate_group paid ON paid.id = account.carrier_rate_group_id";

fn account(row: &Row) -> Result<Account> {
    Ok(Account {
        id: AccountId(unsigned(row.try_get("id")?)),
        name: row.try_get("name")?,
        billing: word(row, "billing")?,
        currency: row.try_get("currency")?,
        credit_limit: row.try_get("credit_limit")?,
        status: word(row, "status")?,
        rate_group: row.try_get("rate_group")?,
        receipts: row.try_get("receipts")?,
        carrier_rate_group: row.try_get("carrier_rate_group")?,
        limits: limits(row)?,
        call_seconds_max: row.try_get("call_seconds_max")?,
        allow_local: row.try_get("allow_local")?,
        local_price: word(row, "local_price")?,
        local_first_increment: row.try_get("local_first_increment")?,
        local_next_increment: row.try_get("local_next_increment")?,
        allow_loss: row.try_get("allow_loss")?,
        duration_rounding: word(row, "duration_rounding")?,
        carrier_duration_rounding: word(row, "carrier_duration_rounding")?,
        number: row.try_get("number")?,
        parent: row.try_get("parent")?,
        time_zone: row.try_get("time_zone")?,
        billing_day: row.try_get("billing_day")?,
        loss_percent_max: word(row, "loss_percent_max")?,
        non_cli_rate_group: row.try_get("non_cli_rate_group")?,
        jurisdiction_rates: JurisdictionRates::read(row)?,
        custom: {
            let text: String = row.try_get("custom")?;
            serde_json::from_str(&text)
                .map_err(|_| ChangeError::Corrupt { column: "custom", value: text })?
        },
        credit: Credit::read(row)?,
        suspended_at: row.try_get::<Option<i64>, _>("suspended_at")?.map(Utc),
        created_at: Utc(row.try_get("created_at")?),
    })
}

pub(crate) async fn all(executor: impl Executor<'_>) -> Result<Vec<Account>> {
    let sql = format!("{SELECT} ORDER BY account.id");
    let rows = sql::query(&sql).fetch_all(executor).await?;
    rows.iter().map(account).collect()
}

/// For snapshots: each account with the id of its reseller. All of them, or the one with this id.
pub(crate) async fn with_parents(
    executor: impl Executor<'_>,
    only: Option<AccountId>,
) -> Result<Vec<(Account, Option<AccountId>)>> {
    let query = match only {
        None => sql::query(format!("{SELECT} ORDER BY account.id")),
        Some(id) => sql::query(format!("{SELECT} WHERE account.id = ?")).bind(signed(id.0)),
    };
    let read = |row: &Row| {
        let parent = row.try_get::<Option<i64>, _>("parent_id")?;
        Ok((account(row)?, parent.map(|id| AccountId(unsigned(id)))))
    };
    query.fetch_all(executor).await?.iter().map(read).collect()
}

async fn one(executor: impl Executor<'_>, name: &str) -> Result<Account> {
    let sql = format!("{SELECT} WHERE account.name = ?1 OR account.id = ?2");
    let row = sql::query(&sql)
        .bind(name)
        .bind(name.parse::<i64>().unwrap_or(-1))
        .fetch_optional(executor)
        .await?;
    account(&row.ok_or_else(|| ChangeError::not_found("account", name))?)
}

impl DirectoryStore {
    /// All accounts, closed ones too, in the order of their ids.
    pub async fn accounts(&self) -> Result<Vec<Account>> {
        all(&self.pool).await
    }

    /// One account, by its id or its name.
    pub async fn account(&self, name: &str) -> Result<Account> {
        one(&self.pool, name).await
    }
}

impl Change {
    /// One account, by its id or its name, as this command has left it.
    pub async fn account(&mut self, name: &str) -> Result<Account> {
        one(&mut *self.tx, name).await
    }

    /// All accounts, closed ones too, in the order of their ids, as this command has left them.
    pub async fn accounts(&mut self) -> Result<Vec<Account>> {
        all(&mut *self.tx).await
    }

    /// Opens an account and gives it its id.
    pub async fn add_account(&mut self, mut account: Account) -> Result<Account> {
        account.id = AccountId(self.next_id("account").await?);
        account.check()?;
        sql::query(
            "INSERT INTO account (id, name, billing, currency, created_at) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(signed(account.id.0))
        .bind(&account.name)
        .bind(account.billing.as_str())
        .bind(&account.currency)
        .bind(account.created_at.0)
        .execute(&mut *self.tx)
        .await
        .map_err(|error| taken(error, &[("account.name", "name", &account.name)]))?;
        self.set_account(&account).await?;
        Ok(account)
    }

    /// Overwrites an account. Its currency stays: the ledger's entries are in it.
    pub async fn set_account(&mut self, account: &Account) -> Result<()> {
        account.check()?;
        self.touched.account(account.id);
        let rate_group =
            self.group_id("rate_group", account.rate_group.as_deref(), &account.currency).await?;
        let paid = account.carrier_rate_group.as_deref();
        let carrier = self.group_id("carrier_rate_group", paid, &account.currency).await?;
        let limits = account.limits;
        sql::query(
            "UPDATE account SET name = ?, billing = ?, credit_limit = ?, status = ?,
                rate_group_id = ?, carrier_rate_group_id = ?, calls_in_max = ?, calls_out_max = ?,
                cps_in_max = ?, cps_out_max = ?, allow_local = ?, local_price = ?,
                local_first_increment = ?, local_next_increment = ?, allow_loss = ?, duration_rounding = ?, carrier_duration_rounding = ?
             WHERE id = ?",
        )
        .bind(&account.name)
        .bind(account.billing.as_str())
        .bind(account.credit_limit)
        .bind(account.status.as_str())
        .bind(rate_group)
        .bind(carrier)
        .bind(limits.calls_in_max)
        .bind(limits.calls_out_max)
        .bind(limits.cps_in_max)
        .bind(limits.cps_out_max)
        .bind(account.allow_local)
        .bind(account.local_price.to_string())
        .bind(account.local_first_increment)
        .bind(account.local_next_increment)
        .bind(account.allow_loss)
        .bind(account.duration_rounding.as_str())
        .bind(account.carrier_duration_rounding.as_str())
        .bind(signed(account.id.0))
        .execute(&mut *self.tx)
        .await
        .map_err(|error| taken(error, &[("account.name", "name", &account.name)]))?;
        self.set_credit(account).await?;
        self.set_service(account).await
    }

    /// The rest of an account's columns, and what they may be beside other accounts.
    async fn set_service(&mut self, account: &Account) -> Result<()> {
        let non_cli = account.non_cli_rate_group.as_deref();
        let non_cli = self.group_id("non_cli_rate_group", non_cli, &account.currency).await?;
        let mut by_jurisdiction = [None; 4];
        for (id, (field, name)) in
            by_jurisdiction.iter_mut().zip(account.jurisdiction_rates.named())
        {
            *id = self.group_id(field, name, &account.currency).await?;
        }
        let [intra, undetermined, carrier_intra, carrier_undetermined] = by_jurisdiction;
        let parent = self.parent_id(account).await?;
        let custom = serde_json::to_string(&account.custom).expect("texts are always JSON");
        let number = account.number.as_deref().unwrap_or_default();
        sql::query(
            "UPDATE account SET number = ?, parent_id = ?, time_zone = ?, billing_day = ?,
                loss_percent_max = ?, non_cli_rate_group_id = ?, custom = ?, suspended_at = ?,
                call_seconds_max = ?, receipts = ?, intra_rate_group_id = ?,
                undetermined_rate_group_id = ?, carrier_intra_rate_group_id = ?,
                carrier_undetermined_rate_group_id = ?
             WHERE id = ?",
        )
        .bind(&account.number)
        .bind(parent)
        .bind(&account.time_zone)
        .bind(account.billing_day)
        .bind(account.loss_percent_max.to_string())
        .bind(non_cli)
        .bind(custom)
        .bind(account.suspended_at.map(|at| at.0))
        .bind(account.call_seconds_max)
        .bind(account.receipts)
        .bind(intra)
        .bind(undetermined)
        .bind(carrier_intra)
        .bind(carrier_undetermined)
        .bind(signed(account.id.0))
        .execute(&mut *self.tx)
        .await
        .map_err(|error| taken(error, &[("account.number", "number", number)]))?;
        Ok(())
    }

    /// Has nobody this account number?
    pub async fn is_number_free(&mut self, number: &str) -> Result<bool> {
        let row = sql::query("SELECT 1 FROM account WHERE number = ?").bind(number);
        Ok(row.fetch_optional(&mut *self.tx).await?.is_none())
    }

    /// A rate group's id, by the name an account gives it: in that account's currency, or in one
    /// that there is an exchange rate from (R12).
    pub(super) async fn group_id(
        &mut self,
        field: &'static str,
        name: Option<&str>,
        currency: &str,
    ) -> Result<Option<i64>> {
        let Some(name) = name else { return Ok(None) };
        let row = sql::query("SELECT id, currency FROM rate_group WHERE name = ?")
            .bind(name)
            .fetch_optional(&mut *self.tx)
            .await?;
        let Some(row) = row else {
            let what = format!("there is no rate group {name:?}; add it first");
            return Err(ChangeError::invalid(field, what));
        };
        let group_currency: String = row.try_get("currency")?;
        if group_currency != currency && !self.has_exchange_rate(&group_currency, currency).await? {
            let what = format!(
                "{name:?} is in {group_currency} and the account in {currency}; set the exchange \
                 rate from {group_currency} to {currency} first"
            );
            return Err(ChangeError::invalid(field, what));
        }
        Ok(Some(row.try_get("id")?))
    }
}
