//! Accounts and their money.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use billing::{Money, OpId, Overdraft, PostingKind, Zone};
use serde::{Deserialize, Serialize};
use store::directory::{Account, AccountEventKind, AccountStatus, BillingKind, DurationRounding};
use store::moment::parse_in;
use vocabulary::Utc;

use crate::account_close;
use crate::account_device::{self, Device};
use crate::account_filter::Filter;
use crate::account_number::{self, NumberWanted};
use crate::command::{Command, Stop, Touched, Turn};
use crate::control::{Payment, PaymentRefused};
use crate::reports::zone;
use crate::wire::{self, LimitsChange, List, nullable};
use crate::{Api, Problem, Shared};

pub(crate) const NOTE_BYTES_MAX: usize = 200;

/// A new account; the rest of its fields are a change of the defaults. One body is read in parts,
/// not with `flatten`, which would lose the name of a field whose value is wrong.
#[derive(Deserialize)]
pub(crate) struct NewAccount {
    name: String,
    billing: String,
    currency: String,
}

/// What is left out stays.
#[derive(Default, Deserialize)]
pub(crate) struct AccountChange {
    credit_limit: Option<String>,
    status: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    rate_group: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    carrier_rate_group: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    call_seconds_max: Option<Option<u32>>,
    receipts: Option<bool>,
    allow_local: Option<bool>,
    local_price: Option<String>,
    local_first_increment: Option<u32>,
    local_next_increment: Option<u32>,
    allow_loss: Option<bool>,
    duration_rounding: Option<String>,
    carrier_duration_rounding: Option<String>,
}

/// The part of a change that is about who the account is.
#[derive(Default, Deserialize)]
pub(crate) struct ServiceChange {
    number: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    parent: Option<Option<String>>,
    time_zone: Option<String>,
    billing_day: Option<u8>,
    loss_percent_max: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    non_cli_rate_group: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    intra_rate_group: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    undetermined_rate_group: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    carrier_intra_rate_group: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    carrier_undetermined_rate_group: Option<Option<String>>,
    /// Fields to set; null takes one away (P-014).
    #[serde(default)]
    custom: BTreeMap<String, Option<String>>,
}

/// The part of a change that bounds its money; null takes a limit away.
#[derive(Default, Deserialize)]
pub(crate) struct CreditChange {
    #[serde(default, deserialize_with = "nullable")]
    owed_limit: Option<Option<String>>,
    netted: Option<bool>,
    #[serde(default, deserialize_with = "nullable")]
    spend_hour_max: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    spend_day_max: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    spend_month_max: Option<Option<String>>,
    low_balance: Option<Vec<String>>,
}

impl CreditChange {
    pub(crate) fn apply(self, account: &mut Account) -> Result<(), Problem> {
        let credit = &mut account.credit;
        for (field, change, limit) in [
            ("owed_limit", self.owed_limit, &mut credit.owed_limit),
            ("spend_hour_max", self.spend_hour_max, &mut credit.spend_hour_max),
            ("spend_day_max", self.spend_day_max, &mut credit.spend_day_max),
            ("spend_month_max", self.spend_month_max, &mut credit.spend_month_max),
        ] {
            if let Some(text) = change {
                let amount = text.map(|text| parsed::<Money>(field, &text)).transpose()?;
                *limit = amount.map(Money::micros);
            }
        }
        credit.is_netted = self.netted.unwrap_or(credit.is_netted);
        if let Some(texts) = self.low_balance {
            let amounts = texts.iter().map(|text| parsed::<Money>("low_balance", text));
            credit.low_balance =
                amounts.map(|amount| amount.map(Money::micros)).collect::<Result<_, _>>()?;
        }
        Ok(())
    }
}

/// The fields of a change, of all its parts.
pub(crate) const FIELDS: [&str; 34] = [
    "owed_limit",
    "netted",
    "spend_hour_max",
    "spend_day_max",
    "spend_month_max",
    "low_balance",
    "number",
    "parent",
    "time_zone",
    "billing_day",
    "loss_percent_max",
    "non_cli_rate_group",
    "intra_rate_group",
    "undetermined_rate_group",
    "carrier_intra_rate_group",
    "carrier_undetermined_rate_group",
    "custom",
    "credit_limit",
    "status",
    "rate_group",
    "carrier_rate_group",
    "calls_in_max",
    "calls_out_max",
    "cps_in_max",
    "cps_out_max",
    "call_seconds_max",
    "receipts",
    "allow_local",
    "local_price",
    "local_first_increment",
    "local_next_increment",
    "allow_loss",
    "duration_rounding",
    "carrier_duration_rounding",
];

/// A text that has to parse, or the field is named.
pub(crate) fn parsed<T: FromStr>(field: &str, text: &str) -> Result<T, Problem>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| Problem::invalid(field, error.to_string()))
}

/// Refuses fields that nothing reads: a misspelt one would be ignored silently.
pub(crate) fn known_fields(body: &[u8], known: &[&[&str]]) -> Result<(), Problem> {
    let Ok(object) = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body)
    else {
        return Ok(()); // the typed reading says what is wrong
    };
    for field in object.keys() {
        if !known.iter().any(|fields| fields.contains(&field.as_str())) {
            let all: Vec<&str> = known.iter().flat_map(|fields| fields.iter().copied()).collect();
            let what = format!("is not a known field; the fields are {}", all.join(", "));
            return Err(Problem::invalid(field, what));
        }
    }
    Ok(())
}

impl AccountChange {
    pub(crate) fn apply(self, account: &mut Account) -> Result<(), Problem> {
        if let Some(text) = self.credit_limit {
            account.credit_limit = parsed::<Money>("credit_limit", &text)?.micros();
        }
        if let Some(text) = self.status {
            let status: AccountStatus = parsed("status", &text)?;
            if account.status == AccountStatus::Closed && status != AccountStatus::Closed {
                return Err(Problem::invalid("status", "a closed account stays closed"));
            }
            account.status = status;
        }
        if let Some(group) = self.rate_group {
            account.rate_group = group;
        }
        if let Some(group) = self.carrier_rate_group {
            account.carrier_rate_group = group;
        }
        account.call_seconds_max = self.call_seconds_max.unwrap_or(account.call_seconds_max);
        account.receipts = self.receipts.unwrap_or(account.receipts);
        account.allow_local = self.allow_local.unwrap_or(account.allow_local);
        if let Some(text) = self.local_price {
            account.local_price = parsed::<billing::Price>("local_price", &text)?.decimal();
        }
        let first = self.local_first_increment;
        account.local_first_increment = first.unwrap_or(account.local_first_increment);
        let next = self.local_next_increment;
        account.local_next_increment = next.unwrap_or(account.local_next_increment);
        account.allow_loss = self.allow_loss.unwrap_or(account.allow_loss);
        if let Some(text) = self.duration_rounding {
            account.duration_rounding = parsed::<DurationRounding>("duration_rounding", &text)?;
        }
        if let Some(text) = self.carrier_duration_rounding {
            account.carrier_duration_rounding = parsed("carrier_duration_rounding", &text)?;
        }
        Ok(())
    }
}

impl ServiceChange {
    pub(crate) async fn apply(self, account: &mut Account, turn: &mut Turn) -> Result<(), Problem> {
        match self.number.as_deref().map(account_number::read).transpose()? {
            Some(NumberWanted::This(number)) => account.number = Some(number),
            Some(NumberWanted::Random) => {
                account.number = Some(account_number::draw(&mut turn.change).await?);
            }
            None if account.number.is_none() => {
                account.number = Some(account_number::draw(&mut turn.change).await?);
            }
            None => {}
        }
        if let Some(parent) = self.parent {
            account.parent = parent;
        }
        if let Some(zone) = self.time_zone {
            account.time_zone = zone;
        }
        account.billing_day = self.billing_day.unwrap_or(account.billing_day);
        if let Some(text) = self.loss_percent_max {
            account.loss_percent_max = parsed("loss_percent_max", &text)?;
        }
        if let Some(group) = self.non_cli_rate_group {
            account.non_cli_rate_group = group;
        }
        let rates = &mut account.jurisdiction_rates;
        for (slot, group) in [
            (&mut rates.intra, self.intra_rate_group),
            (&mut rates.undetermined, self.undetermined_rate_group),
            (&mut rates.carrier_intra, self.carrier_intra_rate_group),
            (&mut rates.carrier_undetermined, self.carrier_undetermined_rate_group),
        ] {
            if let Some(group) = group {
                *slot = group;
            }
        }
        for (field, value) in self.custom {
            match value {
                Some(value) => drop(account.custom.insert(field, value)),
                None => drop(account.custom.remove(&field)),
            }
        }
        Ok(())
    }
}

impl Api {
    pub(crate) fn account_on_wire(&self, account: Account) -> wire::Account {
        let money = self.control.balance(account.id);
        wire::Account::new(account, money)
    }
}

pub(crate) async fn list(
    State(api): Shared,
    Query(filter): Query<Filter>,
) -> Result<Json<List<wire::Account>>, Problem> {
    if filter.format.is_some() {
        return Err(Problem::invalid("format", "is for /accounts/export; the list is JSON"));
    }
    let accounts = api.accounts_by(&filter).await?.into_iter();
    Ok(Json(List { items: accounts.map(|account| api.account_on_wire(account)).collect() }))
}

pub(crate) async fn show(
    State(api): Shared,
    Path(name): Path<String>,
) -> Result<Json<wire::Account>, Problem> {
    Ok(Json(api.account_on_wire(api.store.account(&name).await?)))
}

pub(crate) async fn add(State(api): Shared, command: Command) -> Result<Response, Stop> {
    let known: [&[&str]; 3] = [&["name", "billing", "currency"], &FIELDS, &account_device::FIELDS];
    known_fields(&command.body, &known)?;
    let new: NewAccount = command.json()?;
    let billing: BillingKind = parsed("billing", &new.billing)?;
    let mut account = Account::new(&new.name, billing, &new.currency, api.control.now());
    command.json::<AccountChange>()?.apply(&mut account)?;
    command.json::<CreditChange>()?.apply(&mut account)?;
    command.json::<LimitsChange>()?.apply(&mut account.limits);
    let service: ServiceChange = command.json()?;
    let mut turn = api.begin(&command).await?;
    service.apply(&mut account, &mut turn).await?;
    let account = turn.change.add_account(account).await?;
    let (kind, now) = (AccountEventKind::Created, account.created_at);
    turn.change.add_event(account.id, kind, &account.name, now).await?;
    let device = command.json::<Device>()?.add(&api, &mut turn, &account).await?;
    let account = turn.change.account(&account.id.to_string()).await?;
    let wire = WithDevice { account: api.account_on_wire(account), device };
    api.finish(turn, Touched::Directory, 201, &wire).await
}

/// A new account, and the phone that was made with it.
#[derive(Serialize)]
struct WithDevice {
    #[serde(flatten)]
    account: wire::Account,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
}

pub(crate) async fn set(
    State(api): Shared,
    Path(name): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    known_fields(&command.body, &[&["as_reseller"], &FIELDS])?;
    let (change, limits): (AccountChange, LimitsChange) = (command.json()?, command.json()?);
    let (service, scope): (ServiceChange, Scope) = (command.json()?, command.json()?);
    let credit: CreditChange = command.json()?;
    if change.receipts.is_some() {
        // What was charged before is as it was before.
        api.control.catch_up().await;
    }
    let mut turn = api.begin(&command).await?;
    let mut account = turn.change.account(&name).await?;
    if let Some(reseller) = &scope.as_reseller {
        known_fields(&command.body, &[&["as_reseller", "status"]])?;
        check_scope(&mut turn, &account, reseller).await?;
    }
    let (before, rates_before) = (account.status, account.rate_group.clone());
    change.apply(&mut account)?;
    credit.apply(&mut account)?;
    limits.apply(&mut account.limits);
    service.apply(&mut account, &mut turn).await?;
    if account.status != before {
        let by = scope.as_reseller.map(|reseller| format!("by {reseller}")).unwrap_or_default();
        status_changed(&mut turn, &account, before, &by, api.control.now()).await?;
    }
    rates_changed(&mut turn, &account, rates_before.as_deref(), api.control.now()).await?;
    turn.change.set_account(&account).await?;
    let account = turn.change.account(&account.id.to_string()).await?;
    let wire = api.account_on_wire(account);
    api.finish(turn, Touched::Directory, 200, &wire).await
}

/// On whose behalf a change is made; nobody's is the operator's.
#[derive(Default, Deserialize)]
struct Scope {
    as_reseller: Option<String>,
}

/// A reseller may block, unblock and close what belongs to it, and sees nothing else (P-026).
pub(crate) async fn check_scope(
    turn: &mut Turn,
    account: &Account,
    reseller: &str,
) -> Result<(), Problem> {
    let reseller = turn.change.account(reseller).await?;
    if reseller.status != AccountStatus::Active {
        let what = format!("reseller {:?} is {} itself", reseller.name, reseller.status);
        return Err(Problem::new(403, "forbidden", what));
    }
    if turn.change.belongs_to(account.id, reseller.id).await? {
        return Ok(());
    }
    let what = format!("account {:?} does not belong to {:?}", account.name, reseller.name);
    Err(Problem::new(403, "forbidden", what))
}

/// It pays by another rate group from now on (P-013).
pub(crate) async fn rates_changed(
    turn: &mut Turn,
    account: &Account,
    before: Option<&str>,
    now: Utc,
) -> Result<(), Problem> {
    let after = account.rate_group.as_deref();
    if before != after {
        let word = |group: Option<&str>| group.unwrap_or("none").to_owned();
        let detail = format!("{} to {}", word(before), word(after));
        turn.change.add_event(account.id, AccountEventKind::RatesChanged, &detail, now).await?;
    }
    Ok(())
}

async fn status_changed(
    turn: &mut Turn,
    account: &Account,
    before: AccountStatus,
    by: &str,
    now: Utc,
) -> Result<(), Problem> {
    let kind = match (before, account.status) {
        (_, AccountStatus::Closed) => {
            turn.change.check_closable(account).await?;
            account_close::remove(turn, account, false, by, now).await?;
            return Ok(());
        }
        (_, AccountStatus::Blocked) => AccountEventKind::Blocked,
        (_, AccountStatus::Active) => AccountEventKind::Unblocked,
    };
    turn.change.add_event(account.id, kind, by, now).await?;
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopUp {
    amount: String,
    #[serde(default)]
    note: String,
}

#[derive(Serialize)]
pub(crate) struct ToppedUp {
    account: String,
    op_id: String,
    amount: String,
    currency: String,
    balance: String,
    available: String,
}

impl ToppedUp {
    pub(crate) fn new(op: OpId, amount: Money, now: &wire::Account) -> ToppedUp {
        ToppedUp {
            op_id: op.to_string(),
            amount: amount.to_string(),
            account: now.name().to_owned(),
            currency: now.currency().to_owned(),
            balance: now.balance().to_owned(),
            available: now.available().to_owned(),
        }
    }
}

/// Money in. The key of the command names the movement in the books, so that it moves once, also
/// if we die between the books and the answer.
pub(crate) async fn top_up(
    State(api): Shared,
    Path(name): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let op = command.op_id()?;
    let top_up: TopUp = command.json()?;
    let amount: Money = parsed("amount", &top_up.amount)?;
    if amount.is_zero() {
        return Err(Problem::invalid("amount", "write an amount other than 0").into());
    }
    if top_up.note.len() > NOTE_BYTES_MAX {
        return Err(Problem::invalid("note", "write at most 200 bytes").into());
    }
    let mut turn = api.begin(&command).await?;
    // It would be booked in memory and wait for the disk, and nobody could say whether it counts.
    if api.control.status().is_journal_stuck {
        return Err(Problem::journal_stuck().into());
    }
    let account = turn.change.account(&name).await?;
    if account.status == AccountStatus::Closed {
        return Err(Problem::new(409, "account_closed", "the account is closed").into());
    }
    let kind = if amount.is_negative() { PostingKind::Adjustment } else { PostingKind::TopUp };
    let (id, note, overdraft) = (account.id, top_up.note, Overdraft::Refuse);
    let payment = Payment { op, account: id, amount, kind, overdraft, note, tax: None };
    api.pay_once(payment).await?;
    turn.change.try_charges_again(account.id, api.control.now()).await?;
    let receipt = ToppedUp::new(op, amount, &api.account_on_wire(account));
    let answer = api.finish(turn, Touched::Money, 201, &receipt).await?;
    api.charge_soon();
    Ok(answer)
}

pub(crate) fn refused(refusal: PaymentRefused) -> Problem {
    match refusal {
        PaymentRefused::NoAccount => Problem::new(409, "conflict", refusal.to_string()),
        PaymentRefused::Differs => Problem::new(
            422,
            "idempotency_key_reused",
            "this Idempotency-Key was used for another payment; use a new key",
        ),
        PaymentRefused::Unavailable(what) => Problem::new(503, "money_unavailable", what),
        PaymentRefused::Amount(what) => Problem::invalid("amount", what),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Span {
    from: Option<String>,
    till: Option<String>,
}

pub(crate) fn moment(field: &str, text: Option<&str>, default: Utc) -> Result<Utc, Problem> {
    text.map_or(Ok(default), |text| moment_in(field, text, None))
}

/// The same, where a day alone begins at midnight of a zone.
pub(crate) fn moment_in(field: &str, text: &str, zone: Option<&Zone>) -> Result<Utc, Problem> {
    let what = "write a day such as 2026-12-01, or a moment such as 2026-12-01T08:00:00Z";
    parse_in(text, zone).ok_or_else(|| Problem::invalid(field, what))
}

pub(crate) async fn statement(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    Query(span): Query<Span>,
) -> Result<Json<wire::Statement>, Problem> {
    let account = api.store.account(&name).await?;
    let zone = zone(Some(&account.time_zone))?;
    let at = |field, text: Option<&str>, default| {
        text.map_or(Ok(default), |text| moment_in(field, text, zone.as_deref()))
    };
    let from = at("from", span.from.as_deref(), Utc(0))?;
    let till = at("till", span.till.as_deref(), Utc(i64::MAX))?;
    api.control.catch_up().await;
    let statement = api.store.statement(account.id, from, till).await?;
    Ok(Json(wire::Statement::new(statement, &api.snapshot().await.directory)))
}
