//! Money that we pay out: to a carrier what we owe it, to a customer what it has paid in.

use axum::extract::{Path, State};
use axum::response::Response;
use billing::{Money, Overdraft, PostingKind};
use serde::Deserialize;

use crate::accounts::{NOTE_BYTES_MAX, ToppedUp};
use crate::adjustments::above_zero;
use crate::command::{Command, Stop, Touched};
use crate::control::Payment;
use crate::{Problem, Shared};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Payout {
    amount: String,
    #[serde(default)]
    note: String,
    /// Of a customer's own money; otherwise of what we owe a carrier.
    #[serde(default)]
    refund: bool,
    /// May it be more than that?
    #[serde(default)]
    allow_debt: bool,
}

/// Money out. The key of the command names the movement in the books, as with a top-up. Closed
/// accounts are paid out too: what is left on them is still theirs.
pub(crate) async fn pay_out(
    State(api): Shared,
    Path(name): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let op = command.op_id()?;
    let asked: Payout = command.json()?;
    let amount = Money(-above_zero(&asked.amount)?.0);
    if asked.note.len() > NOTE_BYTES_MAX {
        return Err(Problem::invalid("note", "write at most 200 bytes").into());
    }
    let mut turn = api.begin(&command).await?;
    // It would be booked in memory and wait for the disk, and nobody could say whether it counts.
    if api.control.status().is_journal_stuck {
        return Err(Problem::journal_stuck().into());
    }
    let account = turn.change.account(&name).await?;
    let kind = if asked.refund { PostingKind::TopUp } else { PostingKind::Payout };
    let overdraft = if asked.allow_debt { Overdraft::Allow } else { Overdraft::Refuse };
    let payment =
        Payment { op, account: account.id, amount, kind, overdraft, note: asked.note, tax: None };
    api.pay_once(payment).await?;
    let receipt = ToppedUp::new(op, amount, &api.account_on_wire(account));
    api.finish(turn, Touched::Money, 201, &receipt).await
}
