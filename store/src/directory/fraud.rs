//! Fraud rules, what they have brought upon accounts, and which countries accounts have called (S4).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use switch::directory::Limits;
use switch::fraud::{
    AccountFraud, Country, FraudAction, FraudCheck, FraudKind, FraudNote, FraudRule, FraudRuleId,
    Hold, Trip,
};
use switch::numbers::NumberClass;
use switch::routing::WindowId;
use vocabulary::{AccountId, Number, Utc};

use super::number_rule::read_word;
use super::{AccountEventKind, Change, ChangeError, DirectoryStore, Result, signed, unsigned};
use crate::sql::{self, Connection, Row};

/// Rules of one owner.
const RULES_MAX: usize = 100;
/// Longest time that something is brought upon an account, unless it is until it is lifted.
const LASTING_MAX: Duration = Duration::from_secs(366 * 86_400);
/// So old may a call be that shows which countries an account calls.
const HISTORY: Duration = Duration::from_secs(180 * 86_400);

/// A rule, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFraudRule {
    /// Whose; `None`: everybody's whose account has none of the kind.
    pub account: Option<AccountId>,
    /// What it does; its id is 0 before it is stored.
    pub rule: FraudRule,
    /// When it was added.
    pub created_at: Utc,
}

/// What a rule has brought upon an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredHold {
    /// Whose calls.
    pub account: AccountId,
    /// What was done.
    pub hold: Hold,
    /// What was found, in a few words.
    pub what: String,
}

fn seconds(row: &Row, column: &'static str) -> Result<Option<Duration>> {
    let seconds: Option<i64> = row.try_get(column)?;
    Ok(seconds.map(|seconds| Duration::from_secs(unsigned(seconds))))
}

fn limits(row: &Row) -> Result<Limits> {
    Ok(Limits { concurrent: row.try_get("calls_max")?, per_second: row.try_get("cps_max")? })
}

/// What may be left out, by its word.
fn optional<T>(
    row: &Row,
    column: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>> {
    let text: Option<String> = row.try_get(column)?;
    let Some(text) = text else { return Ok(None) };
    read(&text).map(Some).ok_or(ChangeError::Corrupt { column, value: text })
}

fn check_of(row: &Row) -> Result<FraudCheck> {
    Ok(match read_word(row, "kind", FraudKind::from_word)? {
        FraudKind::CallsPerCli => FraudCheck::CallsPerCli(row.try_get("most")?),
        FraudKind::CountriesAtOnce => FraudCheck::CountriesAtOnce(row.try_get("most")?),
        FraudKind::CountriesPerHour => FraudCheck::CountriesPerHour(row.try_get("most")?),
        FraudKind::NewCountry => FraudCheck::NewCountry,
        FraudKind::ShortCalls => FraudCheck::ShortCalls {
            below: Duration::from_secs(row.try_get::<u32, _>("below_s")?.into()),
            percent: row.try_get("most")?,
            among: row.try_get("among")?,
        },
        FraudKind::Hours => FraudCheck::Hours {
            window: WindowId(row.try_get::<u32, _>("window_id")?.into()),
            class: optional(row, "class", NumberClass::from_word)?,
            country: optional(row, "country", |text| text.parse().ok())?,
        },
        FraudKind::PremiumMinutes => FraudCheck::PremiumMinutes(row.try_get("most")?),
    })
}

fn stored(row: &Row) -> Result<StoredFraudRule> {
    let lasting = seconds(row, "lasting_s")?;
    let action: String = row.try_get("action")?;
    let action = match action.as_str() {
        "alarm" => FraudAction::Alarm,
        "block" => FraudAction::Block(lasting),
        "reduce" => FraudAction::Reduce(limits(row)?, lasting),
        _ => return Err(ChangeError::Corrupt { column: "action", value: action }),
    };
    let id = FraudRuleId(unsigned(row.try_get("id")?));
    let account = row.try_get::<Option<i64>, _>("account_id")?;
    Ok(StoredFraudRule {
        account: account.map(|id| AccountId(unsigned(id))),
        rule: FraudRule { id, check: check_of(row)?, action },
        created_at: Utc(row.try_get("created_at")?),
    })
}

fn hold(row: &Row) -> Result<StoredHold> {
    let is_reduced: bool = row.try_get("is_reduced")?;
    Ok(StoredHold {
        account: AccountId(unsigned(row.try_get("account_id")?)),
        hold: Hold {
            kind: read_word(row, "kind", FraudKind::from_word)?,
            reduced_to: if is_reduced { Some(limits(row)?) } else { None },
            since: Utc(row.try_get("since")?),
            until: row.try_get::<Option<i64>, _>("until")?.map(Utc),
        },
        what: row.try_get("what")?,
    })
}

/// What is stored of accounts, of all or of one.
async fn read(
    connection: &mut Connection,
    only: Option<AccountId>,
) -> Result<BTreeMap<AccountId, AccountFraud>> {
    let is_its = if only.is_some() { "account_id = ?" } else { "account_id IS NOT NULL" };
    let mut rows = Vec::with_capacity(3);
    for (table, order) in
        [("fraud_rule", "id"), ("fraud_hold", "since"), ("fraud_country", "country")]
    {
        let text = format!("SELECT * FROM {table} WHERE {is_its} ORDER BY {order}");
        let query = sql::query(&text);
        let query = match only {
            Some(id) => query.bind(signed(id.0)),
            None => query,
        };
        rows.push(query.fetch_all(&mut *connection).await?);
    }
    let mut rules: BTreeMap<AccountId, Vec<FraudRule>> = BTreeMap::new();
    for row in &rows[0] {
        let StoredFraudRule { account, rule, .. } = stored(row)?;
        rules.entry(account.expect("asked for")).or_default().push(rule);
    }
    let mut all: BTreeMap<AccountId, AccountFraud> = BTreeMap::new();
    for (account, rules) in rules {
        all.entry(account).or_default().rules = rules.into();
    }
    for row in &rows[1] {
        let StoredHold { account, hold, .. } = hold(row)?;
        all.entry(account).or_default().hold = Some(hold);
    }
    let mut countries: BTreeMap<AccountId, BTreeSet<Country>> = BTreeMap::new();
    for row in &rows[2] {
        let account = AccountId(unsigned(row.try_get("account_id")?));
        let country = read_word(row, "country", |text| text.parse().ok())?;
        countries.entry(account).or_default().insert(country);
    }
    for (account, countries) in countries {
        all.entry(account).or_default().countries = countries.into_iter().collect();
    }
    Ok(all)
}

/// For snapshots: of all accounts.
pub(super) async fn of_accounts(
    connection: &mut Connection,
) -> Result<BTreeMap<AccountId, AccountFraud>> {
    read(connection, None).await
}

/// For snapshots: of this one.
pub(super) async fn of_account(
    connection: &mut Connection,
    account: AccountId,
) -> Result<Option<AccountFraud>> {
    Ok(read(connection, Some(account)).await?.remove(&account))
}

/// What of a rule no call could be judged by.
fn check(rule: &FraudRule) -> Result<()> {
    let within = |field, value: u32, range: std::ops::RangeInclusive<u32>| {
        let (least, most) = (range.start(), range.end());
        match range.contains(&value) {
            true => Ok(()),
            false => {
                Err(ChangeError::invalid(field, format!("write a number from {least} to {most}")))
            }
        }
    };
    match rule.check {
        FraudCheck::CallsPerCli(most) => within("most", most, 1..=1_000_000)?,
        FraudCheck::CountriesAtOnce(most) | FraudCheck::CountriesPerHour(most) => {
            within("most", most, 1..=250)?;
        }
        FraudCheck::PremiumMinutes(most) => within("most", most, 0..=1_000_000)?,
        FraudCheck::ShortCalls { below, percent, among } => {
            within("below_s", u32::try_from(below.as_secs()).unwrap_or(u32::MAX), 1..=3_600)?;
            within("most", percent, 1..=100)?;
            within("among", among, 4..=64)?;
        }
        FraudCheck::NewCountry | FraudCheck::Hours { .. } => {}
    }
    if let FraudAction::Reduce(limits, _) = rule.action
        && !limits.is_limited()
    {
        let what = "say to how many calls at the same time or a second it is reduced";
        return Err(ChangeError::invalid("calls_max", what));
    }
    match rule.action {
        FraudAction::Reduce(_, Some(Duration::ZERO)) => {
            Err(ChangeError::invalid("lasting_s", "write 1 or more, or null"))
        }
        FraudAction::Block(Some(lasting)) | FraudAction::Reduce(_, Some(lasting))
            if lasting > LASTING_MAX =>
        {
            Err(ChangeError::invalid("lasting_s", "write at most 31622400, or null"))
        }
        _ => Ok(()),
    }
}

impl DirectoryStore {
    /// All rules, or those of one account, in the order in which they were added.
    pub async fn fraud_rules(&self, account: Option<AccountId>) -> Result<Vec<StoredFraudRule>> {
        let rows = match account {
            None => {
                sql::query("SELECT * FROM fraud_rule ORDER BY id").fetch_all(&self.pool).await?
            }
            Some(id) => {
                let sql = "SELECT * FROM fraud_rule WHERE account_id = ? ORDER BY id";
                sql::query(sql).bind(signed(id.0)).fetch_all(&self.pool).await?
            }
        };
        rows.iter().map(stored).collect()
    }

    /// What rules have brought upon accounts, as far as it is not over; the newest first.
    pub async fn fraud_holds(&self, now: Utc) -> Result<Vec<StoredHold>> {
        let sql = "SELECT * FROM fraud_hold WHERE until IS NULL OR until > ?
                   ORDER BY since DESC, account_id";
        let rows = sql::query(sql).bind(now.0).fetch_all(&self.pool).await?;
        rows.iter().map(hold).collect()
    }

    /// The countries that an account has called, and since when, by name.
    pub async fn fraud_countries(&self, account: AccountId) -> Result<Vec<(Country, Utc)>> {
        let sql = "SELECT country, since FROM fraud_country WHERE account_id = ? ORDER BY country";
        let rows = sql::query(sql).bind(signed(account.0)).fetch_all(&self.pool).await?;
        let read = |row: &Row| {
            let country = read_word(row, "country", |text| text.parse().ok())?;
            Ok((country, Utc(row.try_get("since")?)))
        };
        rows.iter().map(read).collect()
    }
}

impl Change {
    /// For snapshots: the rules of everybody.
    pub(super) async fn fraud_rules_of_all(&mut self) -> Result<Vec<FraudRule>> {
        let sql = "SELECT * FROM fraud_rule WHERE account_id IS NULL ORDER BY id";
        let rows = sql::query(sql).fetch_all(&mut *self.tx).await?;
        rows.iter().map(|row| Ok(stored(row)?.rule)).collect()
    }

    fn touch_fraud(&mut self, account: Option<AccountId>) {
        match account {
            Some(account) => self.touched.account(account),
            None => self.touched.fraud_of_all(),
        }
    }

    async fn rules_of(&mut self, account: Option<AccountId>) -> Result<Vec<FraudRule>> {
        match account {
            None => self.fraud_rules_of_all().await,
            Some(id) => {
                let own = of_account(&mut self.tx, id).await?;
                Ok(own.map_or(Vec::new(), |own| own.rules.into()))
            }
        }
    }

    /// Adds a rule and gives it its id. One that looks for new countries learns those that accounts have
    /// called within half a year, so that nobody's usual calls are news.
    pub async fn add_fraud_rule(
        &mut self,
        account: Option<AccountId>,
        mut rule: FraudRule,
        now: Utc,
    ) -> Result<StoredFraudRule> {
        check(&rule)?;
        let kind = rule.check.kind();
        let there = self.rules_of(account).await?;
        let is_there = kind != FraudKind::Hours && there.iter().any(|r| r.check.kind() == kind);
        if is_there || there.len() >= RULES_MAX {
            let what = format!(
                "there is a rule {} already, or there are {RULES_MAX}; remove one first",
                kind.word()
            );
            return Err(ChangeError::InUse(what));
        }
        rule.id = FraudRuleId(self.next_id("fraud_rule").await?);
        self.insert_fraud_rule(account, &rule, now).await?;
        self.touch_fraud(account);
        if kind == FraudKind::NewCountry {
            self.learn_countries(account, now).await?;
        }
        Ok(StoredFraudRule { account, rule, created_at: now })
    }

    async fn insert_fraud_rule(
        &mut self,
        account: Option<AccountId>,
        rule: &FraudRule,
        now: Utc,
    ) -> Result<()> {
        let most = match rule.check {
            FraudCheck::CallsPerCli(most)
            | FraudCheck::CountriesAtOnce(most)
            | FraudCheck::CountriesPerHour(most)
            | FraudCheck::PremiumMinutes(most)
            | FraudCheck::ShortCalls { percent: most, .. } => Some(most),
            FraudCheck::NewCountry | FraudCheck::Hours { .. } => None,
        };
        let (below, among) = match rule.check {
            FraudCheck::ShortCalls { below, among, .. } => (Some(below.as_secs()), Some(among)),
            _ => (None, None),
        };
        let (window, class, country) = match rule.check {
            FraudCheck::Hours { window, class, country } => (Some(window), class, country),
            _ => (None, None, None),
        };
        let (limits, lasting) = match rule.action {
            FraudAction::Alarm => (Limits::default(), None),
            FraudAction::Block(lasting) => (Limits::default(), lasting),
            FraudAction::Reduce(limits, lasting) => (limits, lasting),
        };
        sql::query(
            "INSERT INTO fraud_rule (id, account_id, kind, most, below_s, among, window_id, class,
                country, action, lasting_s, calls_max, cps_max, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(signed(rule.id.0))
        .bind(account.map(|id| signed(id.0)))
        .bind(rule.check.kind().word())
        .bind(most.map(i64::from))
        .bind(below.map(signed))
        .bind(among.map(i64::from))
        .bind(window.map(|id| signed(id.0)))
        .bind(class.map(NumberClass::word))
        .bind(country.map(|country| country.to_string()))
        .bind(rule.action.word())
        .bind(lasting.map(|lasting| signed(lasting.as_secs())))
        .bind(limits.concurrent)
        .bind(limits.per_second)
        .bind(now.0)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Removes a rule. What it has brought upon accounts stays until it ends or is lifted.
    pub async fn remove_fraud_rule(&mut self, id: FraudRuleId) -> Result<StoredFraudRule> {
        let sql = "SELECT * FROM fraud_rule WHERE id = ?";
        let row = sql::query(sql).bind(signed(id.0)).fetch_optional(&mut *self.tx).await?;
        let missing = || ChangeError::not_found("fraud rule", &id.0.to_string());
        let removed = stored(&row.ok_or_else(missing)?)?;
        sql::query("DELETE FROM fraud_rule WHERE id = ?")
            .bind(signed(id.0))
            .execute(&mut *self.tx)
            .await?;
        self.touch_fraud(removed.account);
        Ok(removed)
    }

    /// Which countries this account, or every one, has called lately: from the call records.
    async fn learn_countries(&mut self, account: Option<AccountId>, now: Utc) -> Result<()> {
        // One number for each beginning of seven digits: more than any country needs to be told.
        let is_its = if account.is_some() { "AND account_id = ?2" } else { "" };
        let text = format!(
            "SELECT account_id, min(destination) AS destination FROM cdr
             WHERE leg = 0 AND answered_at IS NOT NULL AND destination IS NOT NULL
                 AND account_id IS NOT NULL AND started_at >= ?1 {is_its}
             GROUP BY account_id, substr(destination, 1, 7)"
        );
        let since =
            Utc(now.0.saturating_sub(i64::try_from(HISTORY.as_micros()).unwrap_or(i64::MAX)));
        let query = sql::query(&text).bind(since.0);
        let query = match account {
            Some(id) => query.bind(signed(id.0)),
            None => query,
        };
        let mut called: BTreeSet<(AccountId, Country)> = BTreeSet::new();
        for row in query.fetch_all(&mut *self.tx).await? {
            let destination: String = row.try_get("destination")?;
            let number: Option<Number> = destination.parse().ok();
            if let Some(country) = number.as_ref().and_then(Country::of) {
                called.insert((AccountId(unsigned(row.try_get("account_id")?)), country));
            }
        }
        for (account, country) in called {
            self.learn_country(account, country, now).await?;
        }
        Ok(())
    }

    async fn learn_country(&mut self, account: AccountId, country: Country, at: Utc) -> Result<()> {
        let written = sql::query(
            "INSERT INTO fraud_country (account_id, country, since)
             SELECT id, CAST(? AS TEXT), CAST(? AS BIGINT) FROM account WHERE id = ?
             ON CONFLICT (account_id, country) DO NOTHING",
        )
        .bind(country.to_string())
        .bind(at.0)
        .bind(signed(account.0))
        .execute(&mut *self.tx)
        .await?;
        if written.rows_affected() > 0 {
            self.touched.account(account);
        }
        Ok(())
    }

    /// Says which countries an account calls, in place of what was known.
    pub async fn set_fraud_countries(
        &mut self,
        account: AccountId,
        countries: &[Country],
        now: Utc,
    ) -> Result<()> {
        self.touched.account(account);
        sql::query("DELETE FROM fraud_country WHERE account_id = ?")
            .bind(signed(account.0))
            .execute(&mut *self.tx)
            .await?;
        for country in countries {
            self.learn_country(account, *country, now).await?;
        }
        Ok(())
    }

    /// Whether this command has changed anything that calls know.
    pub fn has_touched_any(&self) -> bool {
        !self.touched.is_nothing()
    }

    /// Keeps what fraud rules say: an event of the account, what is brought upon it, or a country.
    pub async fn keep_fraud(&mut self, note: &FraudNote) -> Result<()> {
        match note {
            FraudNote::Learned { account, country, at } => {
                self.learn_country(*account, *country, *at).await
            }
            FraudNote::Tripped(trip) => {
                if let Some(hold) = &trip.hold {
                    self.hold(trip.account, hold, &trip.what).await?;
                }
                self.add_event(trip.account, event_of(trip), &detail_of(trip), trip.at).await
            }
        }
    }

    async fn hold(&mut self, account: AccountId, hold: &Hold, what: &str) -> Result<()> {
        self.touched.account(account);
        let limits = hold.reduced_to.unwrap_or_default();
        // Whoever is blocked stays so, whatever else is found meanwhile.
        sql::query(
            "INSERT INTO fraud_hold
                 (account_id, kind, what, is_reduced, calls_max, cps_max, since, until)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (account_id) DO UPDATE SET kind = excluded.kind, what = excluded.what,
                 is_reduced = excluded.is_reduced, calls_max = excluded.calls_max,
                 cps_max = excluded.cps_max, since = excluded.since, until = excluded.until
             WHERE excluded.is_reduced = 0 OR fraud_hold.is_reduced = 1
                 OR fraud_hold.until <= excluded.since",
        )
        .bind(signed(account.0))
        .bind(hold.kind.word())
        .bind(what)
        .bind(hold.reduced_to.is_some())
        .bind(limits.concurrent)
        .bind(limits.per_second)
        .bind(hold.since.0)
        .bind(hold.until.map(|until| until.0))
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Lifts what rules have brought upon an account.
    pub async fn lift_fraud_hold(&mut self, account: AccountId, now: Utc) -> Result<StoredHold> {
        let sql = "SELECT * FROM fraud_hold WHERE account_id = ? AND (until IS NULL OR until > ?)";
        let query = sql::query(sql).bind(signed(account.0)).bind(now.0);
        let row = query.fetch_optional(&mut *self.tx).await?;
        let missing = || ChangeError::not_found("fraud hold of account", &account.to_string());
        let lifted = hold(&row.ok_or_else(missing)?)?;
        sql::query("DELETE FROM fraud_hold WHERE account_id = ?")
            .bind(signed(account.0))
            .execute(&mut *self.tx)
            .await?;
        self.touched.account(account);
        let detail = format!("{}: {}", lifted.hold.kind.word(), lifted.what);
        self.add_event(account, AccountEventKind::FraudLifted, &detail, now).await?;
        Ok(lifted)
    }
}

fn event_of(trip: &Trip) -> AccountEventKind {
    match trip.rule.action {
        FraudAction::Alarm => AccountEventKind::FraudAlarm,
        FraudAction::Block(_) => AccountEventKind::FraudBlocked,
        FraudAction::Reduce(..) => AccountEventKind::FraudReduced,
    }
}

fn detail_of(trip: &Trip) -> String {
    let found = format!("{}: {}", trip.rule.check.kind().word(), trip.what);
    match trip.rule.action {
        FraudAction::Alarm => found,
        FraudAction::Block(Some(Duration::ZERO)) => format!("{found}; the call was refused"),
        FraudAction::Block(lasting) => format!("{found}; no more calls {}", lasts(lasting)),
        FraudAction::Reduce(limits, lasting) => {
            let most = |limit: Option<u32>, of: &str| limit.map(|most| format!("{most} {of}"));
            let most: Vec<String> = most(limits.concurrent, "at once")
                .into_iter()
                .chain(most(limits.per_second, "a second"))
                .collect();
            format!("{found}; calls reduced to {} {}", most.join(", "), lasts(lasting))
        }
    }
}

fn lasts(lasting: Option<Duration>) -> String {
    lasting.map_or("until lifted".to_owned(), |lasting| format!("for {} s", lasting.as_secs()))
}
