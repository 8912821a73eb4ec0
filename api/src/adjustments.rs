//! Money that an operator moves by hand: adjustments with a reason, credit notes and one-time
//! charges with a label from a list or in free text (J-24, J-33 to J-35).

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use billing::{Money, Overdraft, PostingKind, TaxableKind};
use serde::{Deserialize, Serialize};
use store::directory::{AccountStatus, Reason, ReasonKind};
use store::query::StoredPosting;
use vocabulary::AccountId;

use crate::accounts::{ToppedUp, parsed, refused};
use crate::command::{Command, Stop, Touched};
use crate::control::{Payment, PaymentRefused};
use crate::wire::List;
use crate::{Api, Problem, Shared};

const LABEL_BYTES_MAX: usize = 200;

impl Api {
    /// Books a payment that a command names. The ledger knows its newest ids only, and none of
    /// those that were in the tables when it started: an older repeat is among the postings.
    pub(crate) async fn pay_once(&self, payment: Payment) -> Result<(), Problem> {
        let Some(before) = self.store.posted(payment.op).await? else {
            return self.control.pay(payment).await.map_err(refused);
        };
        let Payment { account, amount, .. } = payment;
        let side = if amount.is_negative() { before.debit } else { before.credit };
        if (side, before.amount) == (account, Money(amount.0.saturating_abs())) {
            return Ok(());
        }
        Err(refused(PaymentRefused::Differs))
    }
}

/// What an earlier try of a command has moved already, its taxes with it: they may be others by now.
fn moved_before(
    before: &StoredPosting,
    account: AccountId,
    stated: Money,
) -> Result<Money, Problem> {
    let is_taken = stated.is_negative();
    let side = if is_taken { before.debit } else { before.credit };
    if (side, before.stated()) != (account, Money(stated.0.saturating_abs())) {
        return Err(refused(PaymentRefused::Differs));
    }
    Ok(if is_taken { Money(-before.amount.0) } else { before.amount })
}

/// What all three say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ByHand {
    amount: String,
    /// A code of the list.
    reason: Option<String>,
    /// Free text; after the reason's words if there is one.
    label: Option<String>,
    /// May it take more than is there?
    #[serde(default)]
    allow_debt: bool,
}

/// Gives or takes, with a reason of the list.
pub(crate) async fn adjust(
    State(api): Shared,
    Path(account): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let asked: ByHand = command.json()?;
    if asked.reason.is_none() {
        let what = "an adjustment needs the code of a reason; see GET /api/v1/reasons";
        return Err(Problem::invalid("reason", what).into());
    }
    let amount: Money = parsed("amount", &asked.amount)?;
    let (kind, reason) = (PostingKind::Adjustment, ReasonKind::Adjustment);
    let how = How { kind, reason, taxable: None, amount };
    move_by_hand(&api, &account, &command, asked, how).await
}

/// Gives back, as a credit note.
pub(crate) async fn credit(
    State(api): Shared,
    Path(account): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let asked: ByHand = command.json()?;
    let amount = above_zero(&asked.amount)?;
    let (kind, reason) = (PostingKind::CreditNote, ReasonKind::CreditNote);
    let how = How { kind, reason, taxable: Some(TaxableKind::CreditNote), amount };
    move_by_hand(&api, &account, &command, asked, how).await
}

/// Takes a one-time charge.
pub(crate) async fn charge(
    State(api): Shared,
    Path(account): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let asked: ByHand = command.json()?;
    let amount = Money(-above_zero(&asked.amount)?.0);
    let (kind, reason) = (PostingKind::Fee, ReasonKind::Charge);
    let how = How { kind, reason, taxable: Some(TaxableKind::OneTime), amount };
    move_by_hand(&api, &account, &command, asked, how).await
}

pub(crate) fn above_zero(text: &str) -> Result<Money, Problem> {
    let amount: Money = parsed("amount", text)?;
    if amount > Money::ZERO {
        return Ok(amount);
    }
    Err(Problem::invalid("amount", "write an amount above 0"))
}

struct How {
    kind: PostingKind,
    reason: ReasonKind,
    /// As what it is taxed; a correction is not (R13).
    taxable: Option<TaxableKind>,
    amount: Money,
}

async fn move_by_hand(
    api: &Api,
    account: &str,
    command: &Command,
    asked: ByHand,
    how: How,
) -> Result<Response, Stop> {
    let op = command.op_id()?;
    let How { kind, reason, taxable, amount } = how;
    if amount.is_zero() {
        return Err(Problem::invalid("amount", "write an amount other than 0").into());
    }
    if taxable.is_some() {
        // What was moved before an answer was lost is to be found.
        api.control.catch_up().await;
    }
    let mut turn = api.begin(command).await?;
    let account = turn.change.account(account).await?;
    if account.status == AccountStatus::Closed && amount.is_negative() {
        return Err(Problem::new(409, "account_closed", "the account is closed").into());
    }
    let words = match &asked.reason {
        Some(code) => Some(turn.change.reason(reason, code).await?.label),
        None => None,
    };
    let label = asked.label.filter(|label| !label.trim().is_empty());
    let note = match (words, label) {
        (Some(words), Some(label)) => format!("{words}: {label}"),
        (Some(text), None) | (None, Some(text)) => text,
        (None, None) => {
            let what = "write a label, or the code of a reason; see GET /api/v1/reasons";
            return Err(Problem::invalid("label", what).into());
        }
    };
    if note.len() > LABEL_BYTES_MAX {
        return Err(Problem::invalid("label", "write at most 200 bytes").into());
    }
    let overdraft = if asked.allow_debt { Overdraft::Allow } else { Overdraft::Refuse };
    let (amount, tax) = match taxable {
        None => (amount, None),
        Some(taxable) => match api.store.posted(op).await? {
            Some(before) => (moved_before(&before, account.id, amount)?, None),
            None => turn.change.taxed(&account, taxable, amount, api.control.now()).await?,
        },
    };
    let payment = Payment { op, account: account.id, amount, kind, overdraft, note, tax };
    api.pay_once(payment).await?;
    let is_given = !amount.is_negative();
    if is_given {
        turn.change.try_charges_again(account.id, api.control.now()).await?;
    }
    let receipt = ToppedUp::new(op, amount, &api.account_on_wire(account));
    let answer = api.finish(turn, Touched::Money, 201, &receipt).await?;
    if is_given {
        api.charge_soon();
    }
    Ok(answer)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReasonOnWire {
    kind: String,
    code: String,
    label: String,
}

impl From<Reason> for ReasonOnWire {
    fn from(reason: Reason) -> ReasonOnWire {
        let kind = reason.kind.as_str().to_owned();
        ReasonOnWire { kind, code: reason.code, label: reason.label }
    }
}

pub(crate) async fn list_reasons(State(api): Shared) -> Result<Json<List<ReasonOnWire>>, Problem> {
    let reasons = api.store.reasons().await?.into_iter();
    Ok(Json(List { items: reasons.map(ReasonOnWire::from).collect() }))
}

pub(crate) async fn put_reason(State(api): Shared, command: Command) -> Result<Response, Stop> {
    let asked: ReasonOnWire = command.json()?;
    let kind: ReasonKind = parsed("kind", &asked.kind)?;
    let reason = Reason { kind, code: asked.code, label: asked.label };
    let mut turn = api.begin(&command).await?;
    turn.change.put_reason(&reason).await?;
    api.finish(turn, Touched::Money, 201, &ReasonOnWire::from(reason)).await
}
