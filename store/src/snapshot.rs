//! The database at one moment, and how the journal goes on from there. Start, projection and ledger
//! check all begin with this, so that all three mean the same by "what was applied".

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use billing::{Bundle, BundleOf, Lease, Money, Seconds, SystemAccount};
use vocabulary::{AccountId, CallId, Utc};

use crate::entry::{CallStep, Entry, UnreadableRecord};
use crate::journal::{JournalError, Tail};
use crate::lease::seconds;
use crate::node::NodeNumber;
use crate::sql::{self, ConnectError, Connection};

/// How much of the journal is read at once.
pub(crate) const READ_BYTES: usize = 1 << 20;

/// Why the state cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The database does not let us in.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The database.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// The journal's files.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal's contents.
    #[error(transparent)]
    Record(#[from] UnreadableRecord),
}

/// A node's row of table `applied`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) position: u64,
    pub(crate) replay_from: u64,
    pub(crate) journal_at: Utc,
}

/// The counters of an account in the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) debits_pending: Money,
    pub(crate) debits_posted: Money,
    pub(crate) credits_pending: Money,
    pub(crate) credits_posted: Money,
    /// Of these, as a carrier.
    pub(crate) owed: Money,
}

impl Sums {
    /// What a node takes of its lease on this account: what was debited, unless the account is ours. As the
    /// ledger counts it (`Leased::moved`).
    pub(crate) fn spent(&self, account: AccountId) -> Money {
        if SystemAccount::is_system(account) { Money::ZERO } else { self.debits_posted }
    }
}

/// What the tables say, of one moment.
pub(crate) struct Snapshot {
    pub(crate) applied: Applied,
    pub(crate) sums: BTreeMap<AccountId, Sums>,
    /// Accounts of which it was told that nothing more could be reserved, with the credit limit then.
    pub(crate) exhausted: Vec<(AccountId, Money)>,
    /// The records of calls older than a minute, by call and position.
    pub(crate) stored_calls: Vec<(CallId, StepRecord)>,
    /// What the node has leased.
    pub(crate) leases: Vec<(AccountId, Lease)>,
    /// Bundles of which something is left that a call may still use.
    pub(crate) bundles: Vec<(AccountId, Bundle)>,
    /// What the node has leased of them.
    pub(crate) bundle_leases: Vec<(BundleOf, Lease<Seconds>)>,
    /// The number of the newest of them that there is with several nodes.
    pub(crate) newest_bundle: i64,
}

/// A record of a call that is still open, as it stood in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StepRecord {
    /// Where the record before it ended.
    pub(crate) start: u64,
    /// Where it ends.
    pub(crate) end: u64,
    pub(crate) bytes: Vec<u8>,
}

/// The calls open at one position, each with its records in order.
pub(crate) type OpenCalls = BTreeMap<CallId, Vec<StepRecord>>;

impl Snapshot {
    /// Reads the tables; the caller gives a transaction, so that they are of one moment.
    pub(crate) async fn read(
        connection: &mut Connection,
        node: NodeNumber,
    ) -> Result<Snapshot, sqlx::Error> {
        let sql = "SELECT position, replay_from, journal_at FROM applied WHERE node = ?";
        let row = sql::query(sql).bind(node).fetch_one(&mut *connection).await?;
        let applied = Applied {
            position: row.try_get::<i64, _>(0)?.cast_unsigned(),
            replay_from: row.try_get::<i64, _>(1)?.cast_unsigned(),
            journal_at: Utc(row.try_get(2)?),
        };
        let sql = "SELECT account_id, debits_pending, debits_posted, credits_pending, \
                   credits_posted, owed, exhausted_limit FROM account_balance";
        let mut sums = BTreeMap::new();
        let mut exhausted = Vec::new();
        for row in sql::query(sql).fetch_all(&mut *connection).await? {
            let account = AccountId(row.try_get::<i64, _>(0)?.cast_unsigned());
            let sum = Sums {
                debits_pending: Money(row.try_get(1)?),
                debits_posted: Money(row.try_get(2)?),
                credits_pending: Money(row.try_get(3)?),
                credits_posted: Money(row.try_get(4)?),
                owed: Money(row.try_get(5)?),
            };
            sums.insert(account, sum);
            let limit: Option<i64> = row.try_get(6)?;
            exhausted.extend(limit.map(|limit| (account, Money(limit))));
        }
        let sql = "SELECT call_id, start, position, record FROM open_call WHERE node = ? \
                   ORDER BY call_id, position";
        let mut stored_calls = Vec::new();
        for row in sql::query(sql).bind(node).fetch_all(&mut *connection).await? {
            let call = CallId(row.try_get::<i64, _>(0)?.cast_unsigned());
            let step = StepRecord {
                start: row.try_get::<i64, _>(1)?.cast_unsigned(),
                end: row.try_get::<i64, _>(2)?.cast_unsigned(),
                bytes: row.try_get(3)?,
            };
            stored_calls.push((call, step));
        }
        let bundles = bundles(connection, node, applied.journal_at).await?;
        let leases = crate::lease::load(connection, node).await?;
        let bundle_leases = seconds::load(connection, node).await?;
        let newest_bundle = seconds::newest(connection).await?;
        Ok(Snapshot {
            applied,
            sums,
            exhausted,
            stored_calls,
            leases,
            bundles,
            bundle_leases,
            newest_bundle,
        })
    }

    /// The calls that were open at the applied position: those stored, and those whose records lie
    /// between `replay_from` and there.
    pub(crate) fn open_calls(&self, journal: &Path) -> Result<OpenCalls, ReplayError> {
        let Applied { position, replay_from, .. } = self.applied;
        let mut open = OpenCalls::new();
        for (call, step) in &self.stored_calls {
            open.entry(*call).or_default().push(step.clone());
        }
        each_entry(journal, replay_from, position, &mut |start, end, bytes, entry| {
            match entry.call_step() {
                Some(CallStep::Opens(call, _)) => {
                    push_new(open.entry(call).or_default(), start, end, bytes);
                }
                Some(CallStep::Continues(call)) => {
                    // A call that ended before was never opened again: its late records say nothing.
                    if let Some(steps) = open.get_mut(&call) {
                        push_new(steps, start, end, bytes);
                    }
                }
                Some(CallStep::Ends(call)) => drop(open.remove(&call)),
                None => {}
            }
            Ok(())
        })?;
        Ok(open)
    }

    /// The calls that `open_call` holds.
    pub(crate) fn stored(&self) -> BTreeSet<CallId> {
        self.stored_calls.iter().map(|(call, _)| *call).collect()
    }
}

/// A call that came in while a bundle was valid may use it this much later: longer than any lasts.
const BUNDLE_KEPT_MICROS: i64 = 31 * 86_400 * 1_000_000;

/// Also those of which the node still holds something: it is to be given back.
async fn bundles(
    connection: &mut Connection,
    node: NodeNumber,
    now: Utc,
) -> Result<Vec<(AccountId, Bundle)>, sqlx::Error> {
    let sql = format!(
        "SELECT {} FROM bundle \
         WHERE (used_s < granted_s AND (valid_till IS NULL OR valid_till > ?)) \
         OR id IN (SELECT bundle_id FROM bundle_lease WHERE node = ? AND granted_s <> spent_s)",
        seconds::COLUMNS
    );
    let since = now.0.saturating_sub(BUNDLE_KEPT_MICROS);
    let rows = sql::query(&sql).bind(since).bind(node).fetch_all(connection).await?;
    rows.iter().map(seconds::bundle).collect()
}

/// Stored steps come first and lie before the others, but the journal may still have them too.
fn push_new(steps: &mut Vec<StepRecord>, start: u64, end: u64, bytes: &[u8]) {
    if steps.last().is_none_or(|last| last.end < end) {
        steps.push(StepRecord { start, end, bytes: bytes.to_vec() });
    }
}

/// What is done with one record: where the one before ended, where it ends, its bytes, its meaning.
pub(crate) type EachEntry<'a> = dyn FnMut(u64, u64, &[u8], Entry) -> Result<(), ReplayError> + 'a;

/// Reads records from `from` up to `until`, or to the end if that is `u64::MAX`. Returns the end.
pub(crate) fn each_entry(
    journal: &Path,
    from: u64,
    until: u64,
    each: &mut EachEntry<'_>,
) -> Result<u64, ReplayError> {
    if from == until {
        return Ok(from);
    }
    let mut tail = Tail::new(journal, from);
    let mut start = from;
    let mut result = Ok(());
    while result.is_ok()
        && tail.read(until, READ_BYTES, &mut |end, bytes| {
            if result.is_ok() {
                result = Entry::decode(end, bytes)
                    .map_err(ReplayError::from)
                    .and_then(|entry| each(start, end, bytes, entry));
                start = end;
            }
        })?
    {}
    result?;
    if until != u64::MAX && tail.position() < until {
        return Err(JournalError::Missing { position: tail.position() }.into());
    }
    Ok(tail.position())
}
