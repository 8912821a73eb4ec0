//! Opening a data directory: counters from the database, the journal's tail replayed over them,
//! calls that were open closed at the last moment that they are known to have lived, bindings
//! restored. When this is done the books are as if nothing had happened up to that moment.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use billing::{
    AccountState, Currency, Ledger, Money, Position, RateBook, Record, Recovery, SpendPeriod,
    Spending, Status, SystemAccount, Terms,
};
use vocabulary::{AccountId, CallId, SubscriberId, Utc};

use crate::bindings::{self, BindingSet};
use crate::data_dir::{DataDir, DataDirError, start_of};
use crate::entry::{CallStep, Entry};
use crate::journal::{JournalError, JournalFiles, JournalOptions, TornTail};
use crate::lease::{LeaseError, Leases};
use crate::node::{self, Node, NodeError, NodeSettings, Writer};
use crate::projection::{Collector, Projection, spend_limit_told};
use crate::snapshot::{OpenCalls, ReplayError, Snapshot, Sums, each_entry};
use crate::sql::{self, ConnectError, Database, Pool};

/// Why a data directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory itself.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// Its database or journal.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The database on a server follows the journal of another data directory.
    #[error(
        "the database {at} belongs to another data directory; give each Tandem a database of its \
         own, or restore the data directory that the database was filled from"
    )]
    AnotherDirectory {
        /// Which database.
        at: String,
    },
    /// The nodes of a database.
    #[error(transparent)]
    Node(NodeError),
    /// The database is ahead of the journal: one of them was taken from another copy.
    #[error(
        "the database is at position {applied}, but the journal ends at {end}: restore both from the same copy"
    )]
    JournalTooShort {
        /// The database's position.
        applied: u64,
        /// The journal's end.
        end: u64,
    },
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> OpenError {
        OpenError::Replay(error.into())
    }
}

impl From<ConnectError> for OpenError {
    fn from(error: ConnectError) -> OpenError {
        OpenError::Replay(error.into())
    }
}

impl From<JournalError> for OpenError {
    fn from(error: JournalError) -> OpenError {
        OpenError::Replay(error.into())
    }
}

/// A data directory that is open, its books not yet put together: the directory of accounts can be
/// read, so that the ledger has their terms.
pub struct Opening {
    data: DataDir,
    database: Database,
    pool: Pool,
    journal: JournalFiles,
    torn: Option<TornTail>,
    writer: Writer,
    node: Option<Node>,
}

/// What recovery found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// What was cut off at the journal's end.
    pub torn: Option<TornTail>,
    /// Records replayed behind what the database had.
    pub replayed: u64,
    /// The calls that were open and are now closed with cause `node_lost`.
    pub closed: Vec<CallId>,
    /// The last moment that the journal proves; the calls were closed at it.
    pub last_alive: Utc,
}

/// An open data directory with its journal and projection running.
pub struct Store {
    data: DataDir,
    database: Database,
    pool: Pool,
    journal: Arc<JournalFiles>,
    projection: Projection,
    bindings: Vec<BindingSet>,
    start: u32,
    report: RecoveryReport,
    node: Option<Node>,
    newest_bundle: i64,
}

impl Opening {
    /// Takes the directory's lock, opens the database, which is for this directory alone, and the
    /// journal.
    pub async fn begin(
        root: &Path,
        database: &Database,
        options: JournalOptions,
    ) -> Result<Opening, OpenError> {
        Opening::begin_as(None, root, database, options).await
    }

    /// The same as one of several nodes on the database, if `node` says so.
    pub async fn begin_as(
        node: Option<&NodeSettings>,
        root: &Path,
        database: &Database,
        options: JournalOptions,
    ) -> Result<Opening, OpenError> {
        let data = DataDir::open(root)?;
        let pool = database.open().await?;
        let (writer, node) = node::join(&data, &pool, database, node).await?;
        let (journal, torn) = JournalFiles::open(&data.paths().journal(), options)?;
        Ok(Opening { data, database: database.clone(), pool, journal, torn, writer, node })
    }

    /// Which of several nodes this is.
    pub fn node(&self) -> Option<&Node> {
        self.node.as_ref()
    }

    /// Where the tables are.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The database, for loading the directory.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Puts the books together in `ledger`, which has the terms of all accounts and nothing else.
    /// Needs a tokio runtime, on which the projection then runs.
    pub async fn recover(self, ledger: &Arc<Ledger>) -> Result<Store, OpenError> {
        self.recover_with(ledger, &RateBook::default()).await
    }

    /// The same; destinations of calls that are settled are called what this book calls them.
    pub async fn recover_with(
        self,
        ledger: &Arc<Ledger>,
        book: &RateBook,
    ) -> Result<Store, OpenError> {
        let Opening { data, database, pool, journal, torn, writer, node } = self;
        let mut transaction = pool.begin_read().await?;
        let snapshot = Snapshot::read(&mut transaction, writer.node).await?;
        drop(transaction);
        let (applied, end) = (snapshot.applied.position, journal.end());
        if applied > end {
            return Err(OpenError::JournalTooShort { applied, end });
        }
        load_counters(ledger, &snapshot.sums, &pool).await?;
        for (account, bundle) in &snapshot.bundles {
            ledger.load_bundle(*account, bundle.clone());
        }
        for (account, lease) in &snapshot.leases {
            let currency = match ledger.account(*account) {
                Some(view) => view.terms.currency,
                None => currency_of(*account, &pool).await?,
            };
            ledger.load_lease(*account, *lease, currency);
        }
        for (of, lease) in &snapshot.bundle_leases {
            ledger.load_bundle_lease(of.account, of.bundle, *lease);
        }
        let open = snapshot.open_calls(journal.directory())?;
        let mut replay = Replay::new(ledger, &snapshot, &open)?;
        replay.tail(journal.directory(), applied, end)?;
        let Replay { mut recovery, bindings: newest, report, start_seen } = replay;
        let mut report = RecoveryReport { torn, ..report };
        recovery.name_destinations(book);
        // Any record proves as much as a heartbeat does.
        recovery.alive_at(report.last_alive);
        // On disk before the first heartbeat: else a crash now would prove these calls alive then.
        let mut last = end;
        for record in recovery.finish() {
            if let Record::Ended(ended) = &record {
                report.closed.push(ended.call);
            }
            last = journal.append_record(&record);
        }
        journal.durable_at(last).await;
        if let Some(node) = &node {
            cover(ledger, &database, node).await?;
        }
        let seen = start_seen.max(stored_start(&pool).await?);
        let start = node::next_start(&data, &pool, node.as_ref(), seen).await?;
        let bindings = merge(bindings::load(&pool, writer.node).await?, newest);
        let journal = Arc::new(journal);
        let collector = Collector::new(&snapshot, &open);
        let to = database.clone();
        let projection = Projection::start(Arc::clone(&journal), to, collector, writer);
        let newest_bundle = snapshot.newest_bundle;
        Ok(Store {
            data,
            database,
            pool,
            journal,
            projection,
            bindings,
            start,
            report,
            node,
            newest_bundle,
        })
    }
}

impl Store {
    /// Where records go. Start its heartbeat once the workers run.
    pub fn journal(&self) -> &Arc<JournalFiles> {
        &self.journal
    }

    /// Where the tables are.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The database: the directory, and what the projection wrote.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The task that follows the journal.
    pub fn projection(&self) -> &Projection {
        &self.projection
    }

    /// Which of several nodes this is.
    pub fn node(&self) -> Option<&Node> {
        self.node.as_ref()
    }

    /// With several nodes: what of shared accounts this one takes and gives back.
    pub fn leases(&self) -> Option<Leases> {
        let leases = Leases::new(self.database.clone(), self.node.clone()?);
        Some(leases.knowing_bundles(self.newest_bundle))
    }

    /// The number of this start, for call ids.
    pub fn start_number(&self) -> u32 {
        self.start
    }

    /// The bindings to put back; given once.
    pub fn take_bindings(&mut self) -> Vec<BindingSet> {
        std::mem::take(&mut self.bindings)
    }

    /// What recovery found and did.
    pub fn report(&self) -> &RecoveryReport {
        &self.report
    }

    /// The directory.
    pub fn data_dir(&self) -> &DataDir {
        &self.data
    }

    /// Waits until everything appended up to now can be read with SQL.
    pub async fn flush(&self) {
        self.projection.flush().await;
    }

    /// Writes everything out and gives the directory back. Records appended after this are lost, so
    /// the workers must have ended.
    pub async fn close(self) -> Result<(), ReplayError> {
        self.journal.close();
        self.projection.close().await?;
        self.pool.close().await;
        Ok(())
    }
}

/// A replay under way.
struct Replay<'a> {
    recovery: Recovery<'a>,
    bindings: BTreeMap<SubscriberId, BindingSet>,
    report: RecoveryReport,
    start_seen: Option<u32>,
}

impl<'a> Replay<'a> {
    /// Begins at the applied position: no money moves, but calls open there hold theirs again.
    fn new(
        ledger: &'a Ledger,
        snapshot: &Snapshot,
        open: &OpenCalls,
    ) -> Result<Replay<'a>, ReplayError> {
        let report =
            RecoveryReport { last_alive: snapshot.applied.journal_at, ..RecoveryReport::default() };
        let mut replay = Replay {
            recovery: Recovery::new(ledger, Position(snapshot.applied.position)),
            bindings: BTreeMap::new(),
            report,
            start_seen: None,
        };
        let mut steps: Vec<_> = open.values().flatten().collect();
        steps.sort_by_key(|step| step.end);
        for step in steps {
            replay.feed(step.end, Entry::decode(step.end, &step.bytes)?);
        }
        for (account, credit_limit) in &snapshot.exhausted {
            replay.recovery.exhausted(*account, *credit_limit);
        }
        // Those records are older than this.
        replay.report.last_alive = snapshot.applied.journal_at;
        Ok(replay)
    }

    fn tail(&mut self, journal: &Path, from: u64, until: u64) -> Result<(), ReplayError> {
        each_entry(journal, from, until, &mut |_, end, _, entry| {
            self.report.replayed += 1;
            self.feed(end, entry);
            Ok(())
        })?;
        Ok(())
    }

    fn feed(&mut self, position: u64, entry: Entry) {
        self.report.last_alive = entry.proves(self.report.last_alive);
        if let Some(CallStep::Opens(call, _) | CallStep::Ends(call)) = entry.call_step() {
            self.start_seen = self.start_seen.max(Some(start_of(call)));
        }
        match entry {
            // Only the last one counts, and is told to the recovery at the end.
            Entry::Ledger(Record::Heartbeat { .. }) => {}
            Entry::Ledger(record) => self.recovery.record(Position(position), &record),
            Entry::Bindings(set) => drop(self.bindings.insert(set.subscriber, set)),
        }
    }
}

/// What was used before there were other nodes is leased now.
async fn cover(ledger: &Ledger, database: &Database, node: &Node) -> Result<(), OpenError> {
    let exceeded = ledger.leases_exceeded();
    if exceeded.is_empty() {
        return Ok(());
    }
    let (accounts, bundles) = (exceeded.money.len(), exceeded.seconds.len());
    tracing::info!(accounts, bundles, "leased what was used before");
    let mut leases = Leases::new(database.clone(), node.clone());
    let answers = leases.cover(&exceeded).await.map_err(|error| match error {
        LeaseError::Database(error) => OpenError::from(error),
        other => NodeError::Superseded(other.to_string()).into(),
    })?;
    ledger.hear_leases(&answers.money);
    ledger.seconds_covered(&answers.seconds);
    Ok(())
}

/// The newest set of each subscriber; empty ones are left out.
fn merge(stored: Vec<BindingSet>, newest: BTreeMap<SubscriberId, BindingSet>) -> Vec<BindingSet> {
    let mut sets: BTreeMap<_, _> = stored.into_iter().map(|set| (set.subscriber, set)).collect();
    sets.extend(newest);
    sets.into_values().filter(|set| !set.bindings.is_empty()).collect()
}

async fn load_counters(
    ledger: &Ledger,
    sums: &BTreeMap<AccountId, Sums>,
    pool: &Pool,
) -> Result<(), sqlx::Error> {
    for (account, sums) in sums {
        if let Some(kind) = SystemAccount::kind_of(*account) {
            let currency = currency_of(*account, pool).await?;
            let system = SystemAccount { kind, currency };
            ledger.load_system(system, sums.credits_posted, sums.debits_posted);
            continue;
        }
        let terms = match ledger.account(*account) {
            Some(view) => view.terms,
            // The directory does not know it any more: it keeps its money and places no calls.
            None => {
                let currency = currency_of(*account, pool).await?;
                Terms { status: Status::Closed, ..Terms::prepaid(currency) }
            }
        };
        let spending = ledger.account(*account).map(|view| view.spending).unwrap_or_default();
        let spending = spent(*account, spending, pool).await?;
        ledger.load(&AccountState {
            account: *account,
            terms,
            credits_posted: sums.credits_posted,
            debits_posted: sums.debits_posted,
            owed: sums.owed,
            spending,
        });
    }
    Ok(())
}

/// What was charged to an account in the day and the month that its ledger entry names; nothing is
/// asked of the database for accounts that have none, which are nearly all.
async fn spent(
    account: AccountId,
    mut spending: Spending,
    pool: &Pool,
) -> Result<Spending, sqlx::Error> {
    if spending == Spending::default() {
        return Ok(spending);
    }
    let sql = "SELECT coalesce(sum(amount), 0) FROM posting \
               WHERE debit_account_id = ? AND at >= ? AND at < ? AND kind = 'charge'";
    let Spending { hour, day, month } = &mut spending;
    let windows = [hour, day, month];
    for (period, window) in SpendPeriod::ALL.into_iter().zip(windows) {
        let query = sql::query_scalar::<i64>(sql).bind(account.0.cast_signed());
        let spent = query.bind(window.from.0).bind(window.until.0).fetch_one(pool).await?;
        window.spent = Money(spent);
        window.told = spend_limit_told(pool, account, period, window.from).await?;
    }
    Ok(spending)
}

/// The currency of an account's postings. One that only ever had reservations has none, and its
/// sums are zero in any.
async fn currency_of(account: AccountId, pool: &Pool) -> Result<Currency, sqlx::Error> {
    for column in ["credit_account_id", "debit_account_id"] {
        let sql = format!("SELECT currency FROM posting WHERE {column} = ? LIMIT 1");
        let id = account.0.cast_signed();
        let code: Option<String> = sql::query_scalar(&sql).bind(id).fetch_optional(pool).await?;
        if let Some(code) = code {
            return code.parse().map_err(|_| {
                sqlx::Error::Decode(format!("table posting: currency {code:?}").into())
            });
        }
    }
    Ok(Currency::EUR)
}

/// The highest start number among the stored calls.
async fn stored_start(pool: &Pool) -> Result<Option<u32>, sqlx::Error> {
    let highest: Option<i64> =
        sql::query_scalar("SELECT max(call_id) FROM cdr").fetch_one(pool).await?;
    Ok(highest.map(|id| start_of(CallId(id.cast_unsigned()))))
}
