//! The task that follows the journal into the database: reads what is durable, collects a batch,
//! applies it in one transaction, and says how far it is. If the database refuses (locked, read-only,
//! disk full, gone) it keeps the batch, waits a little longer each time, connects anew and goes on;
//! calls do not notice, the journal only grows meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::apply::Applier;
use super::collect::{Batch, Collector};
use crate::entry::Entry;
use crate::journal::{JournalFiles, Tail};
use crate::node::Writer;
use crate::snapshot::ReplayError;
use crate::sql::{Database, Pool};

/// How long small changes gather before they are applied, unless somebody asks for them (every
/// question to the API does). The rows of some seconds in one transaction touch each page of an index
/// once instead of many times.
const GATHER: Duration = Duration::from_secs(4);
/// So often it is looked whether there is a batch already.
const LOOK: Duration = Duration::from_secs(1);
/// How often `flush` repeats its request.
const FLUSH_REPEAT: Duration = Duration::from_millis(50);
const BATCH_BYTES: usize = 4 << 20;
/// Short, because a locked database is tried again anyway.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);
/// A server that has gone without a word is given up after this.
const APPLY_MAX: Duration = Duration::from_secs(30);
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// The running projection of one data directory.
pub struct Projection {
    shared: Arc<Shared>,
    task: Option<JoinHandle<Result<(), ReplayError>>>,
}

struct Shared {
    journal: Arc<JournalFiles>,
    database: Database,
    writer: Writer,
    applied: watch::Sender<u64>,
    hurry: Notify,
    is_closing: AtomicBool,
    failures: AtomicU64,
    is_failing: AtomicBool,
}

impl Projection {
    /// Starts to follow the journal from where `collector` stands.
    pub(crate) fn start(
        journal: Arc<JournalFiles>,
        database: Database,
        collector: Collector,
        writer: Writer,
    ) -> Projection {
        let applied = watch::Sender::new(collector.position());
        let shared = Arc::new(Shared {
            journal,
            database,
            writer,
            applied,
            hurry: Notify::new(),
            is_closing: AtomicBool::new(false),
            failures: AtomicU64::new(0),
            is_failing: AtomicBool::new(false),
        });
        let task = tokio::spawn(follow(Arc::clone(&shared), collector));
        Projection { shared, task: Some(task) }
    }

    /// Everything before this position is in the database.
    pub fn applied(&self) -> u64 {
        *self.shared.applied.borrow()
    }

    /// Bytes of journal not yet in the database.
    pub fn lag(&self) -> u64 {
        self.shared.journal.end().saturating_sub(self.applied())
    }

    /// The last attempt to write to the database failed.
    pub fn is_failing(&self) -> bool {
        self.shared.is_failing.load(Ordering::Relaxed)
    }

    /// How often writing to the database has failed since the start.
    pub fn failures(&self) -> u64 {
        self.shared.failures.load(Ordering::Relaxed)
    }

    /// Waits until everything appended up to now can be read with SQL. Waits as long as the database
    /// is down, so a request that must answer puts its own limit around it.
    pub async fn flush(&self) {
        let end = self.shared.journal.end();
        self.shared.journal.request_durable(end);
        let mut applied = self.shared.applied.subscribe();
        loop {
            self.shared.hurry.notify_one();
            // Repeated, because a hurry may be spent on a batch that began before `end` was durable.
            let reached = applied.wait_for(|position| *position >= end);
            if tokio::time::timeout(FLUSH_REPEAT, reached).await.is_ok() {
                return;
            }
        }
    }

    /// Applies what is durable, once, and stops. Call after the journal was closed.
    pub async fn close(mut self) -> Result<(), ReplayError> {
        self.shared.is_closing.store(true, Ordering::Release);
        self.shared.hurry.notify_one();
        match self.task.take().expect("taken only here").await {
            Ok(result) => result,
            Err(panic) if panic.is_panic() => std::panic::resume_unwind(panic.into_panic()),
            Err(_) => Ok(()),
        }
    }
}

impl Drop for Projection {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn follow(shared: Arc<Shared>, mut collector: Collector) -> Result<(), ReplayError> {
    let mut tail = Tail::new(shared.journal.directory(), collector.position());
    let mut durable = shared.journal.watch();
    let mut session = Session::new(&shared);
    loop {
        let is_closing = shared.is_closing.load(Ordering::Acquire);
        let until = *durable.borrow_and_update();
        if tail.position() < until {
            let batch = read_batch(&mut tail, until, &mut collector)?;
            let replay_from = batch.replay_from;
            if !session.apply(&batch).await {
                return Ok(());
            }
            shared.journal.release_below(replay_from);
            shared.applied.send_replace(batch.position);
            if tail.position() < until {
                continue;
            }
        } else if is_closing {
            return Ok(());
        }
        gather(&shared, &durable, tail.position()).await;
        if *durable.borrow() == tail.position() && !shared.is_closing.load(Ordering::Acquire) {
            tokio::select! {
                _ = durable.changed() => {}
                () = shared.hurry.notified() => {}
            }
        }
    }
}

/// Waits until there is a batch, time is up or somebody asks.
async fn gather(shared: &Shared, durable: &watch::Receiver<u64>, from: u64) {
    let mut waited = Duration::ZERO;
    while waited < GATHER && *durable.borrow() - from < BATCH_BYTES as u64 {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => waited += LOOK,
            () = shared.hurry.notified() => return,
        }
    }
}

fn read_batch(
    tail: &mut Tail,
    until: u64,
    collector: &mut Collector,
) -> Result<Batch, ReplayError> {
    let mut start = tail.position();
    let mut result = Ok(());
    tail.read(until, BATCH_BYTES, &mut |end, bytes| {
        if result.is_ok() {
            result =
                Entry::decode(end, bytes).map(|entry| collector.feed(start, end, bytes, entry));
        }
        start = end;
    })?;
    result?;
    Ok(collector.take(tail.position()))
}

/// The connection to the database, made anew after an error.
struct Session<'a> {
    shared: &'a Shared,
    pool: Option<Pool>,
    applier: Applier,
    delay: Duration,
}

impl<'a> Session<'a> {
    fn new(shared: &'a Shared) -> Session<'a> {
        Session { shared, pool: None, applier: Applier::new(shared.writer), delay: RETRY_MIN }
    }

    /// Applies until it works. False if the projection is being closed and it does not work: the
    /// journal still has it all.
    async fn apply(&mut self, batch: &Batch) -> bool {
        loop {
            let applied = tokio::time::timeout(APPLY_MAX, self.try_apply(batch)).await;
            match applied.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
                Ok(()) => {
                    if self.shared.is_failing.swap(false, Ordering::Relaxed) {
                        tracing::info!("the database can be written again");
                    }
                    self.delay = RETRY_MIN;
                    return true;
                }
                Err(error) => {
                    self.pool = None;
                    self.shared.failures.fetch_add(1, Ordering::Relaxed);
                    if !self.shared.is_failing.swap(true, Ordering::Relaxed) {
                        tracing::warn!(%error, "the database cannot be written; the journal keeps all");
                    }
                    if self.shared.is_closing.load(Ordering::Acquire) {
                        return false;
                    }
                    tokio::time::sleep(self.delay).await;
                    self.delay = (self.delay * 2).min(RETRY_MAX);
                }
            }
        }
    }

    async fn try_apply(&mut self, batch: &Batch) -> Result<(), sqlx::Error> {
        let pool = match self.pool.take() {
            Some(pool) => pool,
            None => self.shared.database.open_for_batches(BUSY_TIMEOUT).await?,
        };
        let mut transaction = self.pool.insert(pool).begin().await?;
        self.applier.apply(&mut transaction, batch).await?;
        transaction.commit().await
    }
}
