//! The job that charges: it writes down what has become due, books it, and suspends who cannot pay.
//! It may run late, twice, or die anywhere: everything has an id that is booked once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use billing::plans::{DueKind, Shortage};
use billing::{BundleGrant, BundleId, DestinationSetId, Money, Overdraft};
use serde::{Deserialize, Serialize};
use store::charges::{StoredCharge, StoredGrant};
use store::directory::{AccountEventKind, Change, ChangeError, Scheduled};
use store::moment::format_utc;
use tokio::task::JoinSet;
use vocabulary::{AccountId, Utc};

use crate::accounts::moment;
use crate::command::Command;
use crate::control::{Payment, PaymentRefused};
use crate::wire::List;
use crate::{Api, Problem, Shared};

/// Subscriptions in one commit.
const SCHEDULE_BATCH: u32 = 500;
/// Charges in one commit.
const BOOK_BATCH: u32 = 500;
const DAY: i64 = 86_400_000_000;

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChargeRun {
    /// Things that became due and were written down.
    pub scheduled: usize,
    /// Charges in the books now.
    pub booked: usize,
    /// Charges that wait for money.
    pub refused: usize,
    /// Free minutes given.
    pub granted: usize,
}

/// How a charge fared.
enum Fate {
    Booked,
    /// No money, or no account in the ledger yet: again later.
    Later(String),
    /// The id is another's: a fault of ours that must be seen.
    Never(String),
}

impl Api {
    /// Lets the job run before its time.
    pub(crate) fn charge_soon(&self) {
        self.charge_soon.notify_one();
    }

    /// Runs the job each `interval`, and when something asks for it.
    pub async fn charge_always(self: Arc<Self>, interval: Duration) {
        let mut turn = tokio::time::interval(interval);
        turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = turn.tick() => {}
                () = self.charge_soon.notified() => {}
            }
            if !self.control.charges_here() {
                continue;
            }
            match self.charge().await {
                Ok(run) if run == ChargeRun::default() => {}
                Ok(run) => tracing::info!(?run, "charges booked"),
                Err(error) => tracing::error!(%error, "charges are not booked; tried again later"),
            }
        }
    }

    /// Writes down and books everything due by now.
    pub async fn charge(&self) -> Result<ChargeRun, ChangeError> {
        let _only_one = self.charging.lock().await;
        let now = self.control.now();
        let mut run = ChargeRun::default();
        loop {
            let _turn = self.queue().await;
            let mut change = self.store.begin().await?;
            let (written, has_more) = change.schedule(now, SCHEDULE_BATCH).await?;
            change.commit().await?;
            run.scheduled += written.len();
            if !has_more {
                break;
            }
        }
        // What was booked before a crash is among the postings after this.
        self.control.catch_up().await;
        loop {
            let waiting = self.store.waiting_charges(now, BOOK_BATCH).await?;
            if waiting.is_empty() {
                break;
            }
            let fates = self.book_all(&waiting).await?;
            self.note_fates(&waiting, &fates, now, &mut run).await?;
        }
        run.granted = self.grant_all(now).await?;
        Ok(run)
    }

    /// Books charges, those of one account in order, those of others beside.
    async fn book_all(&self, waiting: &[StoredCharge]) -> Result<Vec<Fate>, ChangeError> {
        let mut fates: Vec<Option<Fate>> = Vec::with_capacity(waiting.len());
        let mut of_account: BTreeMap<AccountId, Vec<(usize, Payment)>> = BTreeMap::new();
        for (index, charge) in waiting.iter().enumerate() {
            if self.store.is_posted(charge.row.op).await? {
                fates.push(Some(Fate::Booked));
                continue;
            }
            fates.push(None);
            let payments = of_account.entry(charge.row.account).or_default();
            payments.push((index, payment(charge)));
        }
        let mut tasks = JoinSet::new();
        for payments in of_account.into_values() {
            let control = Arc::clone(&self.control);
            tasks.spawn(async move {
                let mut fates = Vec::with_capacity(payments.len());
                for (index, payment) in payments {
                    fates.push((index, fate(control.pay(payment).await)));
                }
                fates
            });
        }
        while let Some(done) = tasks.join_next().await {
            for (index, fate) in done.unwrap_or_default() {
                fates[index] = Some(fate);
            }
        }
        let lost = || Fate::Later("it could not be tried".to_owned());
        Ok(fates.into_iter().map(|fate| fate.unwrap_or_else(lost)).collect())
    }

    async fn note_fates(
        &self,
        waiting: &[StoredCharge],
        fates: &[Fate],
        now: Utc,
        run: &mut ChargeRun,
    ) -> Result<(), ChangeError> {
        let mut turn = self.queue().await;
        let mut change = self.store.begin().await?;
        self.follow_in(&mut change, &mut turn).await?;
        let mut touched = BTreeSet::new();
        for (charge, fate) in waiting.iter().zip(fates) {
            let row = &charge.row;
            match fate {
                Fate::Booked => {
                    change.charge_booked(row.op, now).await?;
                    run.booked += 1;
                }
                Fate::Later(fault) => {
                    change.charge_refused(row.op, fault, Some(Utc(now.0 + DAY))).await?;
                    if charge.fault.is_empty() {
                        let what = format!("{}: {fault}", row.label);
                        let kind = AccountEventKind::ChargeRefused;
                        change.add_event(row.account, kind, &what, now).await?;
                    }
                    run.refused += 1;
                }
                Fate::Never(fault) => {
                    tracing::error!(op = %row.op, %fault, "a charge is dropped");
                    change.charge_refused(row.op, fault, None).await?;
                }
            }
            touched.insert(row.account);
        }
        let mut is_changed = false;
        for account in touched {
            is_changed |= suspend_or_resume(&mut change, account, now).await?;
        }
        match is_changed {
            true => self.take_effect(change, &mut turn).await,
            false => change.commit().await,
        }
    }

    /// Gives the free minutes whose fees are paid. Those that are over by now are dropped.
    async fn grant_all(&self, now: Utc) -> Result<usize, ChangeError> {
        let mut granted = 0;
        loop {
            let waiting = self.store.waiting_grants(now, BOOK_BATCH).await?;
            let mut done = Vec::with_capacity(waiting.len());
            for stored in &waiting {
                let op = stored.row.op;
                if self.store.is_granted(op).await? {
                    done.push((op, true));
                } else if stored.row.valid_till.is_some_and(|till| till <= now) {
                    done.push((op, false));
                } else {
                    match self.control.grant(bundle_grant(stored, now)).await {
                        Ok(()) => done.push((op, true)),
                        Err(fault) => tracing::warn!(%op, %fault, "minutes are not given yet"),
                    }
                }
            }
            if done.is_empty() {
                return Ok(granted);
            }
            granted += done.iter().filter(|(_, is_given)| *is_given).count();
            let _turn = self.queue().await;
            let mut change = self.store.begin().await?;
            for (op, is_given) in done {
                change.grant_done(op, is_given).await?;
            }
            change.commit().await?;
        }
    }

    /// What would become due by then; nothing is written.
    async fn preview(&self, until: Utc) -> Result<Vec<Scheduled>, ChangeError> {
        let _turn = self.queue().await;
        let mut change = self.store.begin().await?;
        let mut all = Vec::new();
        loop {
            let (mut some, has_more) = change.schedule(until, SCHEDULE_BATCH).await?;
            all.append(&mut some);
            if !has_more {
                return Ok(all);
            }
        }
    }
}

fn payment(charge: &StoredCharge) -> Payment {
    let row = &charge.row;
    Payment {
        op: row.op,
        account: row.account,
        amount: row.amount,
        kind: row.kind.posting(),
        overdraft: match row.shortage {
            Shortage::Debt => Overdraft::Allow,
            Shortage::Retry | Shortage::Suspend => Overdraft::Refuse,
        },
        note: row.label.clone(),
        tax: row.tax.clone(),
    }
}

fn bundle_grant(stored: &StoredGrant, now: Utc) -> BundleGrant {
    let row = &stored.row;
    BundleGrant {
        op: row.op,
        bundle: BundleId(stored.bundle),
        account: row.account,
        destinations: DestinationSetId(u32::try_from(row.destination_set).unwrap_or(u32::MAX)),
        seconds: row.seconds.unwrap_or(u32::MAX),
        increment: row.increment_seconds.into(),
        precedence: row.precedence,
        valid_from: row.valid_from,
        valid_till: row.valid_till,
        at: now,
        note: row.label.clone(),
    }
}

fn fate(paid: Result<(), PaymentRefused>) -> Fate {
    match paid {
        Ok(()) => Fate::Booked,
        Err(refused @ PaymentRefused::Differs) => Fate::Never(refused.to_string()),
        Err(refused) => Fate::Later(refused.to_string()),
    }
}

/// Who owes a charge that suspends is suspended, who has paid the last of them is not (P-013).
async fn suspend_or_resume(
    change: &mut Change,
    account: AccountId,
    now: Utc,
) -> Result<bool, ChangeError> {
    let mut account = change.account(&account.to_string()).await?;
    let owes = change.is_in_arrears(account.id).await?;
    if owes == account.suspended_at.is_some() {
        return Ok(false);
    }
    let kind = if owes { AccountEventKind::Suspended } else { AccountEventKind::Resumed };
    account.suspended_at = owes.then_some(now);
    change.set_account(&account).await?;
    change.add_event(account.id, kind, "", now).await?;
    Ok(true)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunAsked {
    until: Option<String>,
    #[serde(default)]
    preview: bool,
}

#[derive(Serialize)]
struct DueOnWire {
    account: String,
    at: String,
    what: &'static str,
    amount: Option<String>,
    seconds: Option<u32>,
    label: String,
}

impl From<Scheduled> for DueOnWire {
    fn from(scheduled: Scheduled) -> DueOnWire {
        let charged = scheduled.charged.to_string();
        let (what, amount, seconds) = match scheduled.due.kind {
            DueKind::Fee { .. } => ("fee", Some(charged), None),
            DueKind::Refund { .. } => ("refund", Some(charged), None),
            DueKind::Grant { seconds, .. } => ("minutes", None, seconds),
        };
        let at = format_utc(scheduled.due.at);
        DueOnWire { account: scheduled.account, at, what, amount, seconds, label: scheduled.label }
    }
}

/// Runs the job now, or shows what it would do.
pub(crate) async fn run(State(api): Shared, command: Command) -> Result<Response, Problem> {
    let asked: RunAsked = command.json()?;
    let now = api.control.now();
    let until = moment("until", asked.until.as_deref(), now)?;
    if asked.preview {
        let items: Vec<DueOnWire> =
            api.preview(until).await?.into_iter().map(DueOnWire::from).collect();
        return Ok(Json(List { items }).into_response());
    }
    if until > now {
        let what = "it is in the future; what becomes due by then is shown with preview only";
        return Err(Problem::invalid("until", what));
    }
    Ok(Json(api.charge().await?).into_response())
}

#[derive(Serialize)]
pub(crate) struct ChargeOnWire {
    op_id: String,
    kind: &'static str,
    amount: String,
    /// What of it are taxes (R13).
    tax: String,
    label: String,
    subscription: Option<u64>,
    due_at: String,
    state: String,
    fault: String,
    booked_at: Option<String>,
}

impl From<StoredCharge> for ChargeOnWire {
    fn from(charge: StoredCharge) -> ChargeOnWire {
        ChargeOnWire {
            op_id: charge.row.op.to_string(),
            kind: charge.row.kind.as_str(),
            amount: charge.row.amount.to_string(),
            tax: charge.row.tax.map_or(Money::ZERO, |tax| tax.contained).to_string(),
            label: charge.row.label,
            subscription: charge.row.subscription.map(|(id, _)| id),
            due_at: format_utc(charge.row.due_at),
            state: charge.state,
            fault: charge.fault,
            booked_at: charge.booked_at.map(format_utc),
        }
    }
}

pub(crate) async fn list(
    State(api): Shared,
    Path(account): Path<String>,
) -> Result<Json<List<ChargeOnWire>>, Problem> {
    let account = api.store.account(&account).await?;
    let charges = api.store.charges(account.id).await?.into_iter();
    Ok(Json(List { items: charges.map(ChargeOnWire::from).collect() }))
}

#[derive(Serialize)]
pub(crate) struct GrantOnWire {
    bundle: u64,
    label: String,
    seconds: Option<u32>,
    precedence: u16,
    valid_from: String,
    valid_till: Option<String>,
    state: String,
}

impl From<StoredGrant> for GrantOnWire {
    fn from(grant: StoredGrant) -> GrantOnWire {
        GrantOnWire {
            bundle: grant.bundle,
            label: grant.row.label,
            seconds: grant.row.seconds,
            precedence: grant.row.precedence,
            valid_from: format_utc(grant.row.valid_from),
            valid_till: grant.row.valid_till.map(format_utc),
            state: grant.state,
        }
    }
}

pub(crate) async fn list_grants(
    State(api): Shared,
    Path(account): Path<String>,
) -> Result<Json<List<GrantOnWire>>, Problem> {
    let account = api.store.account(&account).await?;
    let grants = api.store.grants(account.id).await?.into_iter();
    Ok(Json(List { items: grants.map(GrantOnWire::from).collect() }))
}
