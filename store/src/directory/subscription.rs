//! Which account has which plan, and what that makes due.

use crate::sql::{self, Executor, Row};
use billing::plans::{
    AccountCalendar, Due, DueKind, Plan, Shortage, Subscription, Zone, due, next_due,
};
use billing::{Money, OpId, TaxableKind};
use vocabulary::{AccountId, Utc};

use super::plan::SoldPlan;
use super::{
    Account, AccountStatus, Change, ChangeError, DirectoryStore, Result, signed, unsigned,
};
use crate::charges::{ChargeKind, ChargeRow, GrantRow};

/// An account has a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountPlan {
    /// As billing knows it.
    pub subscription: Subscription,
    /// Who.
    pub account: AccountId,
    /// That account's name; only read.
    pub account_name: String,
    /// The plan's name.
    pub plan: String,
    /// What it is for, such as a DID's number (V-09); may be empty.
    pub note: String,
    /// Everything due up to here is written down.
    pub charged_until: Option<Utc>,
    /// Nothing more is due before this; `None`: never.
    pub next_due_at: Option<Utc>,
}

/// How long ago a subscription may begin.
const BACKDATED_MAX: i64 = 366 * 86_400_000_000;
const QUANTITY_MAX: u32 = 100_000;
/// The most that one charge may be: more is refused by the ledger, in micro-units.
const CHARGE_MAX: i128 = 1_000_000_000_000_000;
const NOTE_BYTES_MAX: usize = 100;

const SELECT: &str = "SELECT subscription.*, account.name AS account_name, plan.name AS plan_name
    FROM subscription
    JOIN account ON account.id = subscription.account_id
    JOIN plan ON plan.id = subscription.plan_id";

fn account_plan(row: &Row) -> Result<AccountPlan> {
    let moment = |column| row.try_get::<Option<i64>, _>(column).map(|at| at.map(Utc));
    let quantity: i64 = row.try_get("quantity")?;
    Ok(AccountPlan {
        subscription: Subscription {
            id: unsigned(row.try_get("id")?),
            quantity: u32::try_from(quantity).unwrap_or(1),
            starts_at: Utc(row.try_get("starts_at")?),
            ends_at: moment("ends_at")?,
            end_known_at: moment("end_known_at")?,
        },
        account: AccountId(unsigned(row.try_get("account_id")?)),
        account_name: row.try_get("account_name")?,
        plan: row.try_get("plan_name")?,
        note: row.try_get("note")?,
        charged_until: moment("charged_until")?,
        next_due_at: moment("next_due_at")?,
    })
}

async fn of_account(executor: impl Executor<'_>, account: AccountId) -> Result<Vec<AccountPlan>> {
    let sql = format!("{SELECT} WHERE subscription.account_id = ? ORDER BY subscription.id");
    let rows = sql::query(&sql).bind(signed(account.0)).fetch_all(executor).await?;
    rows.iter().map(account_plan).collect()
}

impl DirectoryStore {
    /// The plans of an account, ended ones too.
    pub async fn account_plans(&self, account: AccountId) -> Result<Vec<AccountPlan>> {
        of_account(&self.pool, account).await
    }
}

/// What a new subscription says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSubscription {
    /// How many.
    pub quantity: u32,
    /// What it is for.
    pub note: String,
    /// From when.
    pub starts_at: Utc,
    /// Until when.
    pub ends_at: Option<Utc>,
}

/// Where an account's days begin.
pub fn calendar_of(account: &Account) -> Result<AccountCalendar> {
    let zone = Zone::named(&account.time_zone).map_err(|_| ChangeError::Corrupt {
        column: "time_zone",
        value: account.time_zone.clone(),
    })?;
    Ok(AccountCalendar { zone, billing_day: account.billing_day })
}

fn before(at: Utc) -> Utc {
    Utc(at.0.saturating_sub(1))
}

impl Change {
    /// Gives an account a plan.
    pub async fn subscribe(
        &mut self,
        account: &Account,
        sold: &SoldPlan,
        new: NewSubscription,
        now: Utc,
    ) -> Result<AccountPlan> {
        check_subscription(account, sold, &new, now)?;
        let id = self.next_id("subscription").await?;
        let subscription = Subscription {
            id,
            quantity: new.quantity,
            starts_at: new.starts_at,
            ends_at: new.ends_at,
            end_known_at: None,
        };
        let first = before(new.starts_at);
        let next = next_due(&calendar_of(account)?, &sold.plan, &subscription, first);
        sql::query(
            "INSERT INTO subscription (id, account_id, plan_id, quantity, note, starts_at, ends_at,
                next_due_at, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(signed(id))
        .bind(signed(account.id.0))
        .bind(signed(sold.id))
        .bind(i64::from(new.quantity))
        .bind(&new.note)
        .bind(new.starts_at.0)
        .bind(new.ends_at.map(|at| at.0))
        .bind(next.map(|at| at.0))
        .bind(now.0)
        .execute(&mut *self.tx)
        .await?;
        Ok(AccountPlan {
            subscription,
            account: account.id,
            account_name: account.name.clone(),
            plan: sold.name.clone(),
            note: new.note,
            charged_until: None,
            next_due_at: next,
        })
    }

    /// The plans of an account, as this command has left them.
    pub async fn account_plans(&mut self, account: AccountId) -> Result<Vec<AccountPlan>> {
        of_account(&mut *self.tx, account).await
    }

    /// One subscription.
    pub async fn subscription(&mut self, id: u64) -> Result<AccountPlan> {
        let sql = format!("{SELECT} WHERE subscription.id = ?");
        let row = sql::query(&sql).bind(signed(id)).fetch_optional(&mut *self.tx).await?;
        let row = row.ok_or_else(|| ChangeError::not_found("subscription", &id.to_string()))?;
        account_plan(&row)
    }

    /// Ends a subscription, once. What is paid for days after the end is given back then, if the
    /// plan says so.
    pub async fn end_subscription(&mut self, id: u64, at: Utc, now: Utc) -> Result<AccountPlan> {
        let mut had = self.subscription(id).await?;
        if had.subscription.ends_at.is_some_and(|end| end <= at) {
            let what = "it ends before already; an end can only be brought forward";
            return Err(ChangeError::invalid("at", what));
        }
        if had.subscription.end_known_at.is_some() {
            let what = "its end was changed before; let it end, and subscribe again if need be";
            return Err(ChangeError::invalid("at", what));
        }
        if at < now {
            return Err(ChangeError::invalid("at", "write a moment that is not past"));
        }
        let end = at.max(had.subscription.starts_at);
        had.subscription.ends_at = Some(end);
        had.subscription.end_known_at = Some(now.min(end));
        let account = self.account(&had.account.to_string()).await?;
        let sold = self.plan(&had.plan).await?;
        let from = had.charged_until.unwrap_or(before(had.subscription.starts_at));
        let next = next_due(&calendar_of(&account)?, &sold.plan, &had.subscription, from);
        had.next_due_at = next;
        sql::query(
            "UPDATE subscription SET ends_at = ?, end_known_at = ?, next_due_at = ? WHERE id = ?",
        )
        .bind(end.0)
        .bind(now.min(end).0)
        .bind(next.map(|at| at.0))
        .bind(signed(id))
        .execute(&mut *self.tx)
        .await?;
        Ok(had)
    }

    /// Ends all plans of an account that is closed.
    pub async fn end_account_plans(&mut self, account: AccountId, now: Utc) -> Result<()> {
        for had in self.account_plans(account).await? {
            let goes_on = had.subscription.ends_at.is_none_or(|end| end > now);
            if goes_on && had.subscription.end_known_at.is_none() {
                self.end_subscription(had.subscription.id, now, now).await?;
            }
        }
        Ok(())
    }

    /// Writes down what has become due of at most `limit` subscriptions, the longest due first;
    /// each thing is written once whoever runs this, and how often. Returns what was written, and
    /// whether there may be more.
    pub async fn schedule(&mut self, until: Utc, limit: u32) -> Result<(Vec<Scheduled>, bool)> {
        let sql = format!(
            "{SELECT} WHERE subscription.next_due_at <= ?
             ORDER BY subscription.next_due_at, subscription.id LIMIT ?"
        );
        let query = sql::query(&sql).bind(until.0).bind(i64::from(limit));
        let rows = query.fetch_all(&mut *self.tx).await?;
        let plans = if rows.is_empty() { Vec::new() } else { self.plans().await? };
        let mut written = Vec::new();
        for row in &rows {
            let had = account_plan(row)?;
            let Some(sold) = plans.iter().find(|sold| sold.name == had.plan) else { continue };
            let account = self.account(&had.account.to_string()).await?;
            let calendar = calendar_of(&account)?;
            let dues = due(&calendar, &sold.plan, &had.subscription, had.charged_until, until);
            let dues = dues.map_err(|error| ChangeError::InUse(error.to_string()))?;
            for due in dues {
                let Some(charged) = self.write_due(&account, &had, &sold.plan, &due).await? else {
                    continue;
                };
                let label = label(&sold.plan, &had, &due);
                written.push(Scheduled { account: had.account_name.clone(), label, due, charged });
            }
            let next = next_due(&calendar, &sold.plan, &had.subscription, until);
            sql::query("UPDATE subscription SET charged_until = ?, next_due_at = ? WHERE id = ?")
                .bind(until.0)
                .bind(next.map(|at| at.0))
                .bind(signed(had.subscription.id))
                .execute(&mut *self.tx)
                .await?;
        }
        Ok((written, rows.len() == limit as usize))
    }

    /// Returns what the balance will say, zero for free minutes; nothing if there is nothing to write.
    async fn write_due(
        &mut self,
        account: &Account,
        had: &AccountPlan,
        plan: &Plan,
        due: &Due,
    ) -> Result<Option<Money>> {
        let label = label(plan, had, due);
        let kind = if due.till.is_some() { TaxableKind::Recurring } else { TaxableKind::OneTime };
        let charge = |kind, (amount, tax), shortage| ChargeRow {
            op: due.op,
            account: had.account,
            kind,
            amount,
            label: label.clone(),
            subscription: Some((had.subscription.id, due.item)),
            days: Some((due.from, due.till)),
            due_at: due.at,
            shortage,
            tax,
        };
        match due.kind {
            DueKind::Fee { amount } if amount.is_zero() => Ok(None),
            DueKind::Fee { amount } => {
                let fee = plan.fees.iter().find(|fee| fee.item == due.item);
                let shortage = fee.map_or(Shortage::Retry, |fee| fee.shortage);
                let taxed = self.taxed(account, kind, Money(-amount.0), due.at).await?;
                let charged = taxed.0;
                self.add_charge(&charge(ChargeKind::Fee, taxed, shortage)).await?;
                Ok(Some(charged))
            }
            DueKind::Refund { amount } => {
                // What was never charged is not given back.
                let Some(fee) = self.written_charge(due.refunded_fee()).await? else {
                    return Ok(None);
                };
                let taxed = self.refunded(account, &fee, amount).await?;
                let charged = taxed.0;
                self.add_charge(&charge(ChargeKind::Refund, taxed, Shortage::Debt)).await?;
                Ok(Some(charged))
            }
            DueKind::Grant { seconds, valid_from, valid_till } => {
                let bundle = plan.bundles.iter().find(|bundle| bundle.item == due.item);
                let Some(bundle) = bundle else { return Ok(None) };
                let grant = GrantRow {
                    op: due.op,
                    account: had.account,
                    subscription: Some((had.subscription.id, due.item)),
                    label,
                    destination_set: bundle.destination_set,
                    seconds,
                    increment_seconds: bundle.increment_seconds,
                    precedence: bundle.precedence,
                    valid_from,
                    valid_till,
                };
                self.add_grant(&grant).await?;
                Ok(Some(Money::ZERO))
            }
        }
    }
}

fn check_subscription(
    account: &Account,
    sold: &SoldPlan,
    new: &NewSubscription,
    now: Utc,
) -> Result<()> {
    if account.status == AccountStatus::Closed {
        return Err(ChangeError::InUse(format!("account {:?} is closed", account.name)));
    }
    if sold.closed_at.is_some() {
        let what = format!("plan {:?} is not sold any more", sold.name);
        return Err(ChangeError::invalid("plan", what));
    }
    if sold.currency != account.currency {
        let what = format!(
            "plan {:?} is in {} and the account in {}",
            sold.name, sold.currency, account.currency
        );
        return Err(ChangeError::invalid("plan", what));
    }
    if !(1..=QUANTITY_MAX).contains(&new.quantity) {
        return Err(ChangeError::invalid("quantity", "write a number from 1 to 100,000"));
    }
    let pieces = i128::from(new.quantity);
    if sold.plan.fees.iter().any(|fee| i128::from(fee.amount.0) * pieces > CHARGE_MAX) {
        let what = "a fee would be above 1,000,000,000 a period; write a smaller number";
        return Err(ChangeError::invalid("quantity", what));
    }
    if new.note.len() > NOTE_BYTES_MAX {
        return Err(ChangeError::invalid("note", "write at most 100 bytes"));
    }
    if new.starts_at.0 < now.0 - BACKDATED_MAX {
        return Err(ChangeError::invalid("starts_at", "it began more than a year ago"));
    }
    if new.ends_at.is_some_and(|end| end <= new.starts_at) {
        return Err(ChangeError::invalid("ends_at", "it would end before it begins"));
    }
    Ok(())
}

/// One thing that has become due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduled {
    /// Whose, by name.
    pub account: String,
    /// On the statement.
    pub label: String,
    /// What and when; its amount as the plan states it.
    pub due: Due,
    /// What the balance will say: a fee is negative, with the taxes that come on top of it when it is
    /// charged (R13). Zero for free minutes.
    pub charged: Money,
}

impl Scheduled {
    /// Its id in the books.
    pub fn op(&self) -> OpId {
        self.due.op
    }
}

/// `DID number × 3 (+493012345), 2026-02-01 to 2026-02-28` (J-23).
fn label(plan: &Plan, had: &AccountPlan, due: &Due) -> String {
    let fee = plan.fees.iter().find(|fee| fee.item == due.item).map(|fee| &fee.label);
    let bundle = plan.bundles.iter().find(|bundle| bundle.item == due.item).map(|b| &b.label);
    let mut text = fee.or(bundle).cloned().unwrap_or_default();
    if let DueKind::Refund { .. } = due.kind {
        text.push_str(", given back");
    }
    if had.subscription.quantity > 1 {
        text.push_str(&format!(" × {}", had.subscription.quantity));
    }
    if !had.note.is_empty() {
        text.push_str(&format!(" ({})", had.note));
    }
    match due.till.map(|till| till.plus(-1)) {
        Some(last) if last > due.from => text.push_str(&format!(", {} to {last}", due.from)),
        Some(_) => text.push_str(&format!(", {}", due.from)),
        None => {}
    }
    text
}
