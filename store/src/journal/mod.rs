//! The journal: append-only files that are the point of no loss. Records go into a buffer in memory
//! under the caller's lock (never waiting for the disk); one thread writes them out and, when
//! somebody waits for an answer or a top-up to be safe, syncs them together (group commit).
//!
//! What it does not do: interpret records. It stores bytes; `entry` writes and reads them.

mod frame;
mod segment;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

pub use frame::PAYLOAD_MAX;
pub(crate) use segment::{Segment, first_position, list as segments, sync_directory};
pub use segment::{Tail, TornTail};

use billing::{Position, Record};
use vocabulary::Utc;

use crate::bindings::BindingSet;
use crate::entry;
use frame::Kind;

/// What can go wrong with the journal's files.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Bytes that had been on disk are no longer what was written. Never repaired by guessing:
    /// restore the file from a copy.
    #[error("{path}: damaged at position {position}: {what}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where.
        position: u64,
        /// In what way.
        what: &'static str,
    },
    /// The database needs records that the journal no longer has.
    #[error(
        "the journal has no record at position {position}: was the journal removed, or the database restored from another copy?"
    )]
    Missing {
        /// What was asked for.
        position: u64,
    },
}

impl JournalError {
    pub(crate) fn io(path: &Path, source: io::Error) -> JournalError {
        JournalError::Io { path: path.to_owned(), source }
    }
}

/// Whether the journal can keep what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalState {
    /// All is well.
    Ready,
    /// More is waiting than `buffer_bytes_max`: take no new calls until the disk has caught up.
    Behind,
    /// Writing fails (disk full, say): nothing becomes durable, so no call may be answered. It is
    /// tried again until it works; nothing is lost as long as the process lives.
    Failed,
}

/// Limits and delays.
#[derive(Clone, Copy, Debug)]
pub struct JournalOptions {
    /// A segment is closed when it is larger than this.
    pub segment_bytes: u64,
    /// Unwritten bytes beyond which the state is `Behind`.
    pub buffer_bytes_max: usize,
    /// How long records nobody waits for may gather before they are written. What is written
    /// survives the death of the process, synced or not.
    pub write_delay: Duration,
    /// The shortest time between two syncs, so that waiting answers gather. An answer after a quiet
    /// moment does not wait for it. A sync costs some 200 µs of CPU however much it writes, which at
    /// 200 calls/s is a seventh of a call's (bench/README.md): 20 ms are not heard by who has just
    /// picked up.
    pub sync_interval_min: Duration,
    /// After a failed write, when to try again.
    pub retry_delay: Duration,
}

impl Default for JournalOptions {
    fn default() -> JournalOptions {
        JournalOptions {
            segment_bytes: 64 << 20,
            buffer_bytes_max: 32 << 20,
            write_delay: Duration::from_millis(20),
            sync_interval_min: Duration::from_millis(20),
            retry_delay: Duration::from_millis(250),
        }
    }
}

/// Told by the journal's thread each time more is on disk. Must be quick and must not call back
/// into the journal: wake an eventfd, a condition variable or a task.
pub trait DurableWaker: Send + Sync {
    /// Everything up to `position` is on disk.
    fn durable(&self, position: u64);
}

impl<F: Fn(u64) + Send + Sync> DurableWaker for F {
    fn durable(&self, position: u64) {
        self(position);
    }
}

/// Makes a heartbeat record; called once a second by the journal's thread.
type Heartbeat = Box<dyn Fn(&mut Vec<u8>) + Send>;

/// The journal of one data directory, open for appending.
pub struct JournalFiles {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What callers and the writing thread share.
struct Shared {
    directory: PathBuf,
    options: JournalOptions,
    buffer: Mutex<Buffer>,
    /// Wakes the writing thread.
    work: Condvar,
    durable: AtomicU64,
    written: AtomicU64,
    release_below: AtomicU64,
    failures: AtomicU64,
    state: AtomicU8,
    wakers: Mutex<Vec<Arc<dyn DurableWaker>>>,
    progress: tokio::sync::watch::Sender<u64>,
    /// For callers that block in a thread, and how many they are.
    blocked: (Mutex<usize>, Condvar),
}

/// Records not yet handed to the operating system.
struct Buffer {
    bytes: Vec<u8>,
    /// The position behind the last byte.
    end: u64,
    /// Somebody waits until this is durable.
    wanted: u64,
    heartbeat: Option<Heartbeat>,
    /// The writing thread sleeps.
    is_writer_asleep: bool,
    /// It has nothing to write and will not wake by itself, so the next record must wake it.
    is_writer_idle: bool,
    is_closing: bool,
}

impl JournalFiles {
    /// Opens the journal in `directory`, cutting off a torn tail, and starts its thread.
    pub fn open(
        directory: &Path,
        options: JournalOptions,
    ) -> Result<(JournalFiles, Option<TornTail>), JournalError> {
        std::fs::create_dir_all(directory).map_err(|e| JournalError::io(directory, e))?;
        let last = segment::open_last(directory)?;
        let torn = last.torn;
        Ok((JournalFiles::start(directory, options, last)?, torn))
    }

    fn start(
        directory: &Path,
        options: JournalOptions,
        last: segment::Last,
    ) -> Result<JournalFiles, JournalError> {
        let shared = Arc::new(Shared {
            directory: directory.to_owned(),
            options,
            buffer: Mutex::new(Buffer {
                bytes: Vec::new(),
                end: last.end,
                wanted: 0,
                heartbeat: None,
                is_writer_asleep: false,
                is_writer_idle: false,
                is_closing: false,
            }),
            work: Condvar::new(),
            durable: AtomicU64::new(last.end),
            written: AtomicU64::new(last.end),
            release_below: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            state: AtomicU8::new(JournalState::Ready as u8),
            wakers: Mutex::default(),
            progress: tokio::sync::watch::Sender::new(last.end),
            blocked: Default::default(),
        });
        let writer = writer::Writer::new(Arc::clone(&shared), last);
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || writer.run())
            .map_err(|e| JournalError::io(directory, e))?;
        Ok(JournalFiles { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Appends one record; `fill` writes its bytes. Never waits for the disk. Returns the position
    /// of the record's end: the record is safe once `durable()` has reached it.
    pub fn append_with(&self, fill: impl FnOnce(&mut Vec<u8>)) -> u64 {
        let mut buffer = self.shared.lock();
        let end = self.shared.push(&mut buffer, fill);
        if buffer.is_writer_idle {
            self.shared.wake_writer(&mut buffer);
        }
        end
    }

    /// Appends a record of the ledger; the same as through `billing::Journal`.
    pub fn append_record(&self, record: &Record) -> u64 {
        self.append_with(|bytes| entry::encode_record(record, bytes))
    }

    /// Appends the bindings of a subscriber, in place of those before.
    pub fn append_bindings(&self, set: &BindingSet) -> u64 {
        self.append_with(|bytes| entry::encode_bindings(set, bytes))
    }

    /// Somebody waits for `position`: sync soon.
    pub fn request_durable(&self, position: u64) {
        if self.durable() >= position {
            return;
        }
        let mut buffer = self.shared.lock();
        // If a sync is already wanted, the writer knows when to do it, and takes all there is then.
        let is_first = buffer.wanted <= self.durable();
        buffer.wanted = buffer.wanted.max(position);
        if is_first {
            self.shared.wake_writer(&mut buffer);
        }
    }

    /// Everything up to here is on disk.
    pub fn durable(&self) -> u64 {
        self.shared.durable.load(Ordering::Acquire)
    }

    /// Everything up to here was handed to the operating system and can be read by a `Tail`.
    pub fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Acquire)
    }

    /// The end of what has been appended.
    pub fn end(&self) -> u64 {
        self.shared.lock().end
    }

    /// Waits in this thread until `position` is on disk. For start-up, shutdown and tests; a worker
    /// registers a waker instead.
    pub fn wait_durable(&self, position: u64) {
        self.request_durable(position);
        let (mutex, changed) = &self.shared.blocked;
        let mut guard = mutex.lock().unwrap_or_else(PoisonError::into_inner);
        *guard += 1;
        while self.durable() < position {
            guard = changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        *guard -= 1;
    }

    /// The same for a task.
    pub async fn durable_at(&self, position: u64) {
        self.request_durable(position);
        let mut progress = self.shared.progress.subscribe();
        // The sender lives in `shared`, so this cannot fail while we borrow it.
        let _ = progress.wait_for(|durable| *durable >= position).await;
    }

    /// The durable position as it grows, for a task that follows the journal.
    pub fn watch(&self) -> tokio::sync::watch::Receiver<u64> {
        self.shared.progress.subscribe()
    }

    /// From now on tell `waker` whenever more is durable.
    pub fn on_durable(&self, waker: Arc<dyn DurableWaker>) {
        self.shared.wakers.lock().unwrap_or_else(PoisonError::into_inner).push(waker);
    }

    /// Starts the heartbeat, one a second. Not before recovery has written what it closed: a
    /// heartbeat proves that the calls open before it were alive.
    pub fn start_heartbeat(&self, clock: impl Fn() -> Utc + Send + 'static) {
        let heartbeat: Heartbeat = Box::new(move |bytes| {
            entry::encode_record(&Record::Heartbeat { at: clock() }, bytes);
        });
        let mut buffer = self.shared.lock();
        buffer.heartbeat = Some(heartbeat);
        self.shared.wake_writer(&mut buffer);
    }

    /// Whether the journal can keep what it is given.
    pub fn state(&self) -> JournalState {
        self.shared.state()
    }

    /// How often writing has failed since the start.
    pub fn failures(&self) -> u64 {
        self.shared.failures.load(Ordering::Relaxed)
    }

    /// Nothing before `position` is needed any more: whole segments below it are removed.
    pub fn release_below(&self, position: u64) {
        self.shared.release_below.fetch_max(position, Ordering::AcqRel);
    }

    /// Where the segments lie.
    pub fn directory(&self) -> &Path {
        &self.shared.directory
    }

    /// Writes and syncs everything, stops the heartbeat and the thread. Also done on drop.
    pub fn close(&self) {
        {
            let mut buffer = self.shared.lock();
            buffer.is_closing = true;
            buffer.heartbeat = None;
            self.shared.wake_writer(&mut buffer);
        }
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl billing::Journal for JournalFiles {
    fn append(&self, record: &Record) -> Position {
        Position(self.append_record(record))
    }
}

impl Drop for JournalFiles {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// A caller that panicked while it appended left the buffer whole: `push` writes the checksum
    /// last, and a frame without one is refused by the reader.
    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, buffer: &mut Buffer, fill: impl FnOnce(&mut Vec<u8>)) -> u64 {
        if buffer.bytes.is_empty() {
            let durable = self.durable.load(Ordering::Acquire);
            buffer.push(Kind::DurableMark, |bytes| {
                bytes.extend_from_slice(&durable.to_le_bytes());
            });
        }
        buffer.push(Kind::Record, fill);
        if buffer.bytes.len() > self.options.buffer_bytes_max && self.state() == JournalState::Ready
        {
            self.set_state(JournalState::Behind);
        }
        buffer.end
    }

    fn wake_writer(&self, buffer: &mut Buffer) {
        if buffer.is_writer_asleep {
            buffer.is_writer_asleep = false;
            buffer.is_writer_idle = false;
            self.work.notify_one();
        }
    }

    fn state(&self) -> JournalState {
        match self.state.load(Ordering::Acquire) {
            0 => JournalState::Ready,
            1 => JournalState::Behind,
            _ => JournalState::Failed,
        }
    }

    fn set_state(&self, state: JournalState) {
        let before = self.state.swap(state as u8, Ordering::AcqRel);
        if before != state as u8 {
            tracing::info!(?state, "journal state");
        }
    }
}

impl Buffer {
    fn push(&mut self, kind: Kind, fill: impl FnOnce(&mut Vec<u8>)) {
        let before = self.bytes.len();
        frame::push(&mut self.bytes, self.end, kind, fill);
        self.end += (self.bytes.len() - before) as u64;
    }
}
