//! What is to be booked outside of calls: written in the commit of what causes it, booked in the
//! ledger afterwards under its own id, and marked as booked. Whatever breaks in between, it is
//! booked once: a repeat is found by its id, in the ledger or among the postings.

use crate::sql::{self, Row};
use billing::plans::{Day, Shortage};
use billing::{Money, OpId, PostingKind, PostingTax};
use vocabulary::{AccountId, Utc};

use crate::directory::plan_words::{shortage_of, shortage_word};
use crate::directory::{Change, ChangeError, DirectoryStore, Result, signed, unsigned, words};
use crate::query::{StoredPosting, posting_from_row};

words!(
    /// What is booked.
    ChargeKind {
        /// A plan's fee.
        Fee = "fee",
        /// Of a fee, what was paid for days after the end.
        Refund = "refund",
        /// The balance that an account is opened with.
        TopUp = "topup",
        /// The debt that an account is opened with.
        Adjustment = "adjustment",
        /// A voucher was redeemed.
        Voucher = "voucher",
    }
);

impl ChargeKind {
    /// As the books call it.
    pub fn posting(self) -> PostingKind {
        match self {
            ChargeKind::Fee => PostingKind::Fee,
            ChargeKind::Refund => PostingKind::FeeRefund,
            ChargeKind::TopUp => PostingKind::TopUp,
            ChargeKind::Adjustment => PostingKind::Adjustment,
            ChargeKind::Voucher => PostingKind::Voucher,
        }
    }
}

/// One movement of money to be booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeRow {
    /// Its id in the books.
    pub op: OpId,
    /// Whose.
    pub account: AccountId,
    /// What.
    pub kind: ChargeKind,
    /// Above 0 is given to the account, below 0 taken from it.
    pub amount: Money,
    /// On the statement.
    pub label: String,
    /// Subscription and item that make it due.
    pub subscription: Option<(u64, u16)>,
    /// First day, and the first day that is not meant any more.
    pub days: Option<(Day, Option<Day>)>,
    /// When.
    pub due_at: Utc,
    /// When there is no money.
    pub shortage: Shortage,
    /// The taxes on it (R13).
    pub tax: Option<PostingTax>,
}

/// One movement of money as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCharge {
    /// What.
    pub row: ChargeRow,
    /// `waiting`, `booked`, `dropped`.
    pub state: String,
    /// Why it still waits, if it was tried.
    pub fault: String,
    /// When it was booked.
    pub booked_at: Option<Utc>,
}

/// Seconds to be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRow {
    /// Its id in the books.
    pub op: OpId,
    /// To whom.
    pub account: AccountId,
    /// Subscription and item that make it due.
    pub subscription: Option<(u64, u16)>,
    /// On statements and CDRs.
    pub label: String,
    /// For calls to these.
    pub destination_set: u64,
    /// How many; `None` is unlimited.
    pub seconds: Option<u32>,
    /// A call takes whole increments.
    pub increment_seconds: u16,
    /// Greater is used first.
    pub precedence: u16,
    /// Good from.
    pub valid_from: Utc,
    /// Good until; `None` for ever.
    pub valid_till: Option<Utc>,
}

/// Seconds as they are stored, with the ledger's id of the bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredGrant {
    /// The ledger's id.
    pub bundle: u64,
    /// What.
    pub row: GrantRow,
    /// `waiting`, `granted`, `dropped`.
    pub state: String,
}

fn op_bytes(op: OpId) -> Vec<u8> {
    op.0.to_be_bytes().to_vec()
}

fn op_of(row: &Row) -> Result<OpId> {
    let bytes: Vec<u8> = row.try_get("op_id")?;
    let bytes: [u8; 16] = bytes.try_into().map_err(|_| ChangeError::Corrupt {
        column: "op_id",
        value: "not of 16 bytes".to_owned(),
    })?;
    Ok(OpId(u128::from_be_bytes(bytes)))
}

fn source(row: &Row) -> Result<Option<(u64, u16)>> {
    let subscription: Option<i64> = row.try_get("subscription_id")?;
    let item: Option<u16> = row.try_get("item")?;
    Ok(subscription.map(unsigned).zip(item))
}

fn charge(row: &Row) -> Result<StoredCharge> {
    let text = |column: &'static str| row.try_get::<String, _>(column);
    let (kind, shortage) = (text("kind")?, text("shortage")?);
    let day = |column| row.try_get::<Option<i32>, _>(column).map(|day| day.map(Day));
    let till = day("till_day")?;
    Ok(StoredCharge {
        row: ChargeRow {
            op: op_of(row)?,
            account: AccountId(unsigned(row.try_get("account_id")?)),
            kind: kind.parse().map_err(|_| ChangeError::Corrupt { column: "kind", value: kind })?,
            amount: Money(row.try_get("amount")?),
            label: text("label")?,
            subscription: source(row)?,
            days: day("from_day")?.map(|from| (from, till)),
            due_at: Utc(row.try_get("due_at")?),
            shortage: shortage_of(&shortage)
                .map_err(|_| ChangeError::Corrupt { column: "shortage", value: shortage })?,
            tax: crate::taxes::posting_tax(row)?,
        },
        state: text("state")?,
        fault: text("fault")?,
        booked_at: row.try_get::<Option<i64>, _>("booked_at")?.map(Utc),
    })
}

fn grant(row: &Row) -> Result<StoredGrant> {
    let seconds: Option<i64> = row.try_get("seconds")?;
    Ok(StoredGrant {
        bundle: unsigned(row.try_get("bundle_id")?),
        row: GrantRow {
            op: op_of(row)?,
            account: AccountId(unsigned(row.try_get("account_id")?)),
            subscription: source(row)?,
            label: row.try_get("label")?,
            destination_set: unsigned(row.try_get("destination_set_id")?),
            seconds: seconds.map(|s| u32::try_from(s).unwrap_or(u32::MAX)),
            increment_seconds: row.try_get("increment_s")?,
            precedence: row.try_get("precedence")?,
            valid_from: Utc(row.try_get("valid_from")?),
            valid_till: row.try_get::<Option<i64>, _>("valid_till")?.map(Utc),
        },
        state: row.try_get("state")?,
    })
}

/// The longest list that one question gets.
const LIST_MAX: i64 = 10_000;

impl DirectoryStore {
    /// Charges that are to be tried now, the longest due first.
    pub async fn waiting_charges(&self, now: Utc, limit: u32) -> Result<Vec<StoredCharge>> {
        let rows = sql::query(
            "SELECT * FROM charge WHERE state = 'waiting' AND next_try_at <= ?
             ORDER BY due_at, op_id LIMIT ?",
        )
        .bind(now.0)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(charge).collect()
    }

    /// The charges of an account, the newest first.
    pub async fn charges(&self, account: AccountId) -> Result<Vec<StoredCharge>> {
        let rows = sql::query(
            "SELECT * FROM charge WHERE account_id = ? ORDER BY due_at DESC, op_id DESC LIMIT ?",
        )
        .bind(signed(account.0))
        .bind(LIST_MAX)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(charge).collect()
    }

    /// Grants that are to be made now: those of a subscription wait for its fees.
    pub async fn waiting_grants(&self, now: Utc, limit: u32) -> Result<Vec<StoredGrant>> {
        let rows = sql::query(
            "SELECT * FROM bundle_grant
             WHERE state = 'waiting' AND valid_from <= ?
               AND (subscription_id IS NULL OR NOT EXISTS (
                    SELECT 1 FROM charge
                    WHERE charge.subscription_id = bundle_grant.subscription_id
                      AND charge.state = 'waiting' AND charge.amount < 0
                      AND charge.due_at <= bundle_grant.valid_from))
             ORDER BY valid_from, bundle_id LIMIT ?",
        )
        .bind(now.0)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(grant).collect()
    }

    /// What an account was given or waits for, the newest first.
    pub async fn grants(&self, account: AccountId) -> Result<Vec<StoredGrant>> {
        let rows = sql::query(
            "SELECT * FROM bundle_grant WHERE account_id = ? ORDER BY bundle_id DESC LIMIT ?",
        )
        .bind(signed(account.0))
        .bind(LIST_MAX)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(grant).collect()
    }

    /// Does the ledger have the bundle of this grant? Those of the last moment may only be in the
    /// journal.
    pub async fn is_granted(&self, op: OpId) -> Result<bool> {
        let row = sql::query("SELECT 1 FROM bundle WHERE op_id = ?").bind(op_bytes(op));
        Ok(row.fetch_optional(&self.pool).await?.is_some())
    }

    /// The posting of this id. Those of the last moment may only be in the journal.
    pub async fn posted(&self, op: OpId) -> Result<Option<StoredPosting>> {
        let row = sql::query("SELECT * FROM posting WHERE op_id = ?").bind(op_bytes(op));
        let row = row.fetch_optional(&self.pool).await?;
        Ok(row.as_ref().map(posting_from_row).transpose()?)
    }

    /// Is there a posting of this id? Those of the last moment may only be in the journal.
    pub async fn is_posted(&self, op: OpId) -> Result<bool> {
        let row = sql::query("SELECT 1 FROM posting WHERE op_id = ?").bind(op_bytes(op));
        Ok(row.fetch_optional(&self.pool).await?.is_some())
    }
}

impl Change {
    /// A charge as it was written down.
    pub(crate) async fn written_charge(&mut self, op: OpId) -> Result<Option<ChargeRow>> {
        let row = sql::query("SELECT * FROM charge WHERE op_id = ?").bind(op_bytes(op));
        let row = row.fetch_optional(&mut *self.tx).await?;
        Ok(row.as_ref().map(charge).transpose()?.map(|stored| stored.row))
    }

    /// Writes a charge down to be booked; one that is there already stays as it is.
    pub async fn add_charge(&mut self, charge: &ChargeRow) -> Result<()> {
        let (from, till) = charge.days.map_or((None, None), |(from, till)| (Some(from), till));
        sql::query(
            "INSERT INTO charge (op_id, account_id, kind, amount, label, subscription_id, item,
                from_day, till_day, due_at, shortage, tax, taxes, state, next_try_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'waiting', ?)
             ON CONFLICT (op_id) DO NOTHING",
        )
        .bind(op_bytes(charge.op))
        .bind(signed(charge.account.0))
        .bind(charge.kind.as_str())
        .bind(charge.amount.0)
        .bind(&charge.label)
        .bind(charge.subscription.map(|(id, _)| signed(id)))
        .bind(charge.subscription.map(|(_, item)| i32::from(item)))
        .bind(from.map(|day| day.0))
        .bind(till.map(|day| day.0))
        .bind(charge.due_at.0)
        .bind(shortage_word(charge.shortage))
        .bind(charge.tax.as_ref().map_or(0, |tax| tax.contained.0))
        .bind(charge.tax.as_ref().map(|tax| crate::taxes::written(&tax.taxes)))
        .bind(charge.due_at.0)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Writes a grant down to be made; one that is there already stays as it is. Returns the id of
    /// the bundle, unless it was there.
    pub async fn add_grant(&mut self, grant: &GrantRow) -> Result<Option<u64>> {
        let bundle = self.next_id("bundle_grant").await?;
        let done = sql::query(
            "INSERT INTO bundle_grant (op_id, bundle_id, account_id, subscription_id, item, label,
                destination_set_id, seconds, increment_s, precedence, valid_from, valid_till, state)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'waiting')
             ON CONFLICT (op_id) DO NOTHING",
        )
        .bind(op_bytes(grant.op))
        .bind(signed(bundle))
        .bind(signed(grant.account.0))
        .bind(grant.subscription.map(|(id, _)| signed(id)))
        .bind(grant.subscription.map(|(_, item)| i32::from(item)))
        .bind(&grant.label)
        .bind(signed(grant.destination_set))
        .bind(grant.seconds.map(i64::from))
        .bind(i32::from(grant.increment_seconds))
        .bind(i32::from(grant.precedence))
        .bind(grant.valid_from.0)
        .bind(grant.valid_till.map(|at| at.0))
        .execute(&mut *self.tx)
        .await?;
        Ok((done.rows_affected() == 1).then_some(bundle))
    }

    /// A charge is in the books.
    pub async fn charge_booked(&mut self, op: OpId, now: Utc) -> Result<()> {
        sql::query("UPDATE charge SET state = 'booked', fault = '', booked_at = ? WHERE op_id = ?")
            .bind(now.0)
            .bind(op_bytes(op))
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// A charge could not be booked: it is tried again then, or never.
    pub async fn charge_refused(
        &mut self,
        op: OpId,
        fault: &str,
        again_at: Option<Utc>,
    ) -> Result<()> {
        let state = if again_at.is_some() { "waiting" } else { "dropped" };
        sql::query("UPDATE charge SET state = ?, fault = ?, next_try_at = ? WHERE op_id = ?")
            .bind(state)
            .bind(fault)
            .bind(again_at.map_or(i64::MAX, |at| at.0))
            .bind(op_bytes(op))
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// The account has money again: what waits for it is tried at once.
    pub async fn try_charges_again(&mut self, account: AccountId, now: Utc) -> Result<()> {
        sql::query(
            "UPDATE charge SET next_try_at = ?
             WHERE account_id = ? AND state = 'waiting' AND next_try_at > ? AND due_at <= ?",
        )
        .bind(now.0)
        .bind(signed(account.0))
        .bind(now.0)
        .bind(now.0)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Does a charge that suspends the account still wait for money?
    pub async fn is_in_arrears(&mut self, account: AccountId) -> Result<bool> {
        let row = sql::query(
            "SELECT 1 FROM charge WHERE account_id = ? AND state = 'waiting'
               AND shortage = 'suspend' AND fault <> ''",
        )
        .bind(signed(account.0))
        .fetch_optional(&mut *self.tx)
        .await?;
        Ok(row.is_some())
    }

    /// A grant is in the ledger (`granted`), or came too late.
    pub async fn grant_done(&mut self, op: OpId, is_granted: bool) -> Result<()> {
        sql::query("UPDATE bundle_grant SET state = ? WHERE op_id = ?")
            .bind(if is_granted { "granted" } else { "dropped" })
            .bind(op_bytes(op))
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }
}
