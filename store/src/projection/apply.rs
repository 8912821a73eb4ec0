//! One batch into the tables: one statement a table (in a few fixed sizes), the position in the same
//! commit.

use super::bundles::BundleTables;
use super::collect::Batch;
use super::payers::{PAYER_COLUMNS, PayerRow};
use super::rows::{CDR_COLUMNS, CdrRow, POSTING_COLUMNS, PostingRow};
use crate::bindings::{BINDING_COLUMNS, BindingRow};
use crate::node::{NodeNumber, Writer};
use crate::snapshot::{StepRecord, Sums};
use crate::sql::{self, Bulk, BulkRow, Connection, Values};
use billing::Money;
use vocabulary::{AccountId, CallId, SubscriberId};

/// The statements of a batch.
pub(crate) struct Applier {
    cdr: Bulk,
    posting: Bulk,
    balance: Bulk,
    payer: Bulk,
    bundles: BundleTables,
    step: Bulk,
    ended: Bulk,
    binding_gone: Bulk,
    binding: Bulk,
    history: Bulk,
    receipt: Bulk,
    writer: Writer,
    /// With several nodes, what each has pending is kept apart.
    pending: Bulk,
    /// With several nodes, a charge is taken off what the node has leased.
    lease: Bulk,
}

impl Applier {
    pub(crate) fn new(writer: Writer) -> Applier {
        let insert = |table: &str, columns: &[&str], tail: &str| {
            let head = format!("INSERT INTO {table} ({})", columns.join(", "));
            Bulk::new(&head, columns.len(), tail)
        };
        let balance_columns = [
            "account_id",
            "debits_pending",
            "debits_posted",
            "credits_pending",
            "credits_posted",
            "owed",
            "leased",
        ];
        let add = "ON CONFLICT (account_id) DO UPDATE SET \
                   debits_pending = account_balance.debits_pending + excluded.debits_pending, \
                   debits_posted = account_balance.debits_posted + excluded.debits_posted, \
                   credits_pending = account_balance.credits_pending + excluded.credits_pending, \
                   credits_posted = account_balance.credits_posted + excluded.credits_posted, \
                   owed = account_balance.owed + excluded.owed, \
                   leased = account_balance.leased + excluded.leased";
        let once = "ON CONFLICT DO NOTHING";
        Applier {
            cdr: insert("cdr", &CDR_COLUMNS, once),
            posting: insert("posting", &POSTING_COLUMNS, once),
            balance: insert("account_balance", &balance_columns, add),
            payer: insert("cdr_payer", &PAYER_COLUMNS, once),
            bundles: BundleTables::new(insert),
            step: insert("open_call", &["call_id", "start", "position", "record", "node"], once),
            ended: Bulk::new("DELETE FROM open_call WHERE call_id IN (", 1, ")"),
            binding_gone: Bulk::new("DELETE FROM binding WHERE (node, subscriber_id) IN (", 2, ")"),
            binding: insert("binding", &BINDING_COLUMNS, ""),
            history: super::rerated::history(),
            receipt: super::receipts::statement(),
            writer,
            pending: insert("node_pending", &PENDING_COLUMNS, PENDING),
            lease: insert("lease", &LEASE_COLUMNS, LEASE),
        }
    }

    /// Writes the batch, unless it is there already: a commit whose answer was lost.
    pub(crate) async fn apply<'a>(
        &self,
        connection: &mut Connection,
        batch: &'a Batch,
    ) -> Result<(), sqlx::Error> {
        let sql = "SELECT position FROM applied WHERE node = ?";
        let position = sql::query_scalar(sql).bind(self.writer.node);
        let position: i64 = position.fetch_one(&mut *connection).await?;
        if position.cast_unsigned() == batch.position {
            return Ok(());
        }
        if position.cast_unsigned() != batch.from {
            let error = format!("the tables are at {position}, the batch begins at {}", batch.from);
            return Err(sqlx::Error::Protocol(error));
        }
        let cdrs: Vec<CdrRow<'_>> = batch.cdrs.iter().map(CdrRow).collect();
        expect_all("cdr", cdrs.len(), self.cdr.run(connection, &cdrs).await?);
        super::rerated::write(&self.history, connection, &batch.rerated).await?;
        let postings: Vec<PostingRow<'_>> = batch.postings.iter().map(PostingRow).collect();
        expect_all("posting", postings.len(), self.posting.run(connection, &postings).await?);
        let payers: Vec<PayerRow<'_>> = PayerRow::all(&batch.cdrs).collect();
        expect_all("cdr_payer", payers.len(), self.payer.run(connection, &payers).await?);
        let is_shared = self.writer.is_shared;
        let sums = batch.moved.iter().map(|(id, sums)| SumsRow(*id, *sums, is_shared));
        let sums: Vec<SumsRow> = sums.collect();
        self.balance.run(connection, &sums).await?;
        if is_shared {
            self.apply_shared(connection, batch).await?;
        }
        // Behind the balances, as leases lock them.
        let exhausted = self.bundles.apply(connection, batch, self.writer).await?;
        super::told::write(connection, &batch.told, is_shared).await?;
        super::told::write(connection, &exhausted, is_shared).await?;
        let step = |(id, step): &'a (CallId, StepRecord)| StepRow(*id, step, self.writer.node);
        let steps: Vec<StepRow<'_>> = batch.steps.iter().map(step).collect();
        self.step.run(connection, &steps).await?;
        let ended: Vec<CallRow> = batch.ended.iter().copied().map(CallRow).collect();
        self.ended.run(connection, &ended).await?;
        self.apply_bindings(connection, batch).await?;
        // Last, as other nodes wait for the numbers from here on.
        super::receipts::write(&self.receipt, connection, &batch.postings).await?;
        let sql = "UPDATE applied SET position = ?, replay_from = ?, journal_at = ? \
                   WHERE node = ? AND position = ? AND epoch = ?";
        let done = sql::query(sql)
            .bind(batch.position.cast_signed())
            .bind(batch.replay_from.cast_signed())
            .bind(batch.journal_at.0)
            .bind(self.writer.node)
            .bind(batch.from.cast_signed())
            .bind(self.writer.epoch)
            .execute(connection)
            .await?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(fenced()) }
    }

    async fn apply_shared(
        &self,
        connection: &mut Connection,
        batch: &Batch,
    ) -> Result<(), sqlx::Error> {
        let is_moved =
            |sums: &Sums| !sums.debits_pending.is_zero() || !sums.credits_pending.is_zero();
        let moved = batch.moved.iter().filter(|(_, sums)| is_moved(sums));
        let rows: Vec<PendingRow> =
            moved.map(|(id, s)| PendingRow(self.writer.node, *id, *s)).collect();
        self.pending.run(connection, &rows).await?;
        let spent = batch.moved.iter().map(|(id, sums)| (*id, sums.spent(*id)));
        let spent = spent.filter(|(_, spent)| !spent.is_zero());
        let rows: Vec<LeaseRow> =
            spent.map(|(id, spent)| LeaseRow(self.writer.node, id, spent)).collect();
        self.lease.run(connection, &rows).await?;
        Ok(())
    }

    async fn apply_bindings(
        &self,
        connection: &mut Connection,
        batch: &Batch,
    ) -> Result<(), sqlx::Error> {
        let node = self.writer.node;
        let gone = batch.bindings.keys().map(|subscriber| SubscriberRow(node, *subscriber));
        let gone: Vec<SubscriberRow> = gone.collect();
        self.binding_gone.run(connection, &gone).await?;
        let rows: Vec<BindingRow<'_>> = batch
            .bindings
            .values()
            .flat_map(|set| {
                set.bindings.iter().enumerate().map(|(ordinal, binding)| BindingRow {
                    node,
                    subscriber: set.subscriber,
                    ordinal,
                    binding,
                })
            })
            .collect();
        self.binding.run(connection, &rows).await?;
        Ok(())
    }
}

/// Ids are unique by how they are made; were one not, the row is left out, the counters still follow
/// the journal, and `ledger check` names it.
pub(super) fn expect_all(table: &str, rows: usize, changed: u64) {
    if changed != rows as u64 {
        tracing::error!(table, rows, changed, "rows with an id that is already there");
    }
}

const PENDING_COLUMNS: [&str; 4] = ["node", "account_id", "debits_pending", "credits_pending"];
const PENDING: &str = "ON CONFLICT (node, account_id) DO UPDATE SET \
    debits_pending = node_pending.debits_pending + excluded.debits_pending, \
    credits_pending = node_pending.credits_pending + excluded.credits_pending";

/// A later start of the node has taken over, or an operator gave the node up: what this one still
/// wants to write is not to be.
fn fenced() -> sqlx::Error {
    sqlx::Error::Protocol(
        "a later start of this node has taken over, or it was given up".to_owned(),
    )
}

/// Of what is pending on an account, a node's part.
struct PendingRow(NodeNumber, AccountId, Sums);

impl BulkRow for PendingRow {
    fn bind(&self, row: &mut Values<'_>) {
        row.put(self.0);
        row.put(self.1.0.cast_signed());
        row.put(self.2.debits_pending.0);
        row.put(self.2.credits_pending.0);
    }
}

const LEASE_COLUMNS: [&str; 5] = ["node", "account_id", "granted", "claimed", "spent"];
const LEASE: &str = "ON CONFLICT (node, account_id) DO UPDATE SET \
    spent = lease.spent + excluded.spent";

/// What a node has charged to an account.
struct LeaseRow(NodeNumber, AccountId, Money);

impl BulkRow for LeaseRow {
    fn bind(&self, row: &mut Values<'_>) {
        row.put(self.0);
        row.put(self.1.0.cast_signed());
        row.put(0_i64);
        row.put(0_i64);
        row.put(self.2.0);
    }
}

/// By how much an account's counters move; with several nodes charges are taken off what is leased.
struct SumsRow(AccountId, Sums, bool);

impl BulkRow for SumsRow {
    fn bind(&self, row: &mut Values<'_>) {
        row.put(self.0.0.cast_signed());
        row.put(self.1.debits_pending.0);
        row.put(self.1.debits_posted.0);
        row.put(self.1.credits_pending.0);
        row.put(self.1.credits_posted.0);
        row.put(self.1.owed.0);
        row.put(if self.2 { -self.1.spent(self.0).0 } else { 0 });
    }
}

struct StepRow<'a>(CallId, &'a StepRecord, NodeNumber);

impl BulkRow for StepRow<'_> {
    fn bind(&self, row: &mut Values<'_>) {
        row.put(self.0.0.cast_signed());
        row.put(self.1.start.cast_signed());
        row.put(self.1.end.cast_signed());
        row.put(self.1.bytes.clone());
        row.put(self.2);
    }
}

struct CallRow(CallId);

impl BulkRow for CallRow {
    fn bind(&self, row: &mut Values<'_>) {
        row.put(self.0.0.cast_signed());
    }
}

struct SubscriberRow(NodeNumber, SubscriberId);

impl BulkRow for SubscriberRow {
    fn bind(&self, row: &mut Values<'_>) {
        row.put(self.0);
        row.put(self.1.0.cast_signed());
    }
}
