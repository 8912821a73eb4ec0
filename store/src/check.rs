//! `ledger check`: every invariant of the books, from the data directory alone, while a server runs
//! or not. Reads one snapshot of the database and the journal behind it; writes nothing, locks
//! nothing.

mod journal_facts;
mod nodes;
mod tables;

use std::path::Path;

use vocabulary::CallId;

use crate::data_dir::DataPaths;
use crate::journal::JournalError;
use crate::node;
use crate::snapshot::{ReplayError, Snapshot};
use crate::sql::{Database, Pool};
use journal_facts::JournalFacts;

/// How many offenders a check names.
const NAMED_MAX: usize = 10;
/// A running server removes segments; then the snapshot is taken anew.
const ATTEMPTS: usize = 5;

/// The result of all checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// The database is up to here.
    pub applied: u64,
    /// The journal was read up to here.
    pub journal_end: u64,
    /// A server has the directory open.
    pub is_server_running: bool,
    /// Calls without an end in the journal: live ones, or, if no server runs, those that the next
    /// start will close.
    pub open_calls: u64,
    /// Each invariant.
    pub checks: Vec<Check>,
}

impl CheckReport {
    /// All hold.
    pub fn is_ok(&self) -> bool {
        self.checks.iter().all(|check| check.offender_count == 0)
    }
}

/// One invariant and how it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// A stable word.
    pub code: &'static str,
    /// What must hold.
    pub sentence: &'static str,
    /// How many things were looked at.
    pub count: u64,
    /// How many break it.
    pub offender_count: u64,
    /// The first of them, each in a few words.
    pub offenders: Vec<String>,
}

/// Collects one check.
pub(crate) struct Finding {
    check: Check,
}

impl Finding {
    pub(crate) fn new(code: &'static str, sentence: &'static str) -> Finding {
        let offenders = Vec::new();
        Finding { check: Check { code, sentence, count: 0, offender_count: 0, offenders } }
    }

    pub(crate) fn counted(&mut self, count: u64) {
        self.check.count += count;
    }

    pub(crate) fn offender(&mut self, what: impl FnOnce() -> String) {
        self.check.offender_count += 1;
        if self.check.offenders.len() < NAMED_MAX {
            self.check.offenders.push(what());
        }
    }

    pub(crate) fn done(self) -> Check {
        self.check
    }
}

/// Checks the books of a data directory.
pub async fn ledger_check(root: &Path, database: &Database) -> Result<CheckReport, ReplayError> {
    let paths = DataPaths::new(root);
    let pool = database.open_read_only().await?;
    let mut attempt = 0;
    loop {
        attempt += 1;
        match check_once(&paths, &pool).await {
            Err(ReplayError::Journal(JournalError::Missing { .. })) if attempt < ATTEMPTS => {}
            other => return other,
        }
    }
}

async fn check_once(paths: &DataPaths, pool: &Pool) -> Result<CheckReport, ReplayError> {
    let mut transaction = pool.begin_read().await?;
    let connection = &mut *transaction;
    let identity = paths.read_identity();
    let (node, is_shared) = node::number_of(connection, identity.as_deref()).await?;
    let snapshot = Snapshot::read(connection, node).await?;
    let facts = JournalFacts::read(&paths.journal(), &snapshot)?;
    let own = match is_shared {
        true => nodes::pending(connection, node).await?,
        false => snapshot.sums.clone(),
    };
    let mut checks = vec![
        tables::sums_are_zero(&snapshot),
        tables::counters_equal_postings(connection).await?,
        tables::charges_equal_postings(connection).await?,
        tables::calls_have_their_legs(connection).await?,
        tables::prepaid_are_covered(connection, is_shared).await?,
        tables::receipts_are_counted(connection).await?,
        facts.pending_is_of_open_calls(&own),
        facts.answered_have_an_end(),
        facts.nothing_twice(),
    ];
    if is_shared {
        checks.push(nodes::pending_is_of_nodes(connection).await?);
        checks.push(nodes::leased_is_of_nodes(connection).await?);
        checks.push(nodes::use_is_within_leases(connection).await?);
        checks.push(nodes::leases_are_covered(connection).await?);
        checks.push(nodes::seconds_are_of_nodes(connection).await?);
        checks.push(nodes::seconds_are_within_leases(connection).await?);
        checks.push(nodes::seconds_are_used_once(connection).await?);
    }
    checks.push(facts.applied_are_in_tables(connection).await?);
    checks.push(facts.new_are_not_in_tables(connection).await?);
    Ok(CheckReport {
        applied: snapshot.applied.position,
        journal_end: facts.end,
        is_server_running: is_locked(paths),
        open_calls: facts.open.len() as u64,
        checks,
    })
}

fn is_locked(paths: &DataPaths) -> bool {
    let Ok(file) = std::fs::File::open(paths.root().join("lock")) else { return false };
    matches!(file.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock))
}

/// How people name a leg.
pub(crate) fn leg_name(call: CallId, leg: u8) -> String {
    format!("call {call} leg {leg}")
}
