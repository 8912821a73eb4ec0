//! The thread that writes the journal: takes the buffer whole, writes it, syncs when somebody waits,
//! starts a new segment when one is full, removes those no longer needed, tries again when the disk
//! refuses.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::segment::{self, Last, Segment};
use super::{Buffer, JournalState, Shared};

const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct Writer {
    shared: Arc<Shared>,
    segments: Vec<Segment>,
    file: File,
    /// Everything before this is on disk.
    durable: u64,
    /// Written or to be written, but not on disk yet. Kept because a failed sync may lose what was
    /// written before it, so all of it has to be written again.
    unsynced: Vec<u8>,
    last_sync: Option<Instant>,
    next_heartbeat: Option<Instant>,
}

/// What one round has to do.
enum Work {
    Write,
    Sync,
    Close,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, last: Last) -> Writer {
        Writer {
            shared,
            segments: last.segments,
            file: last.file,
            durable: last.end,
            unsynced: Vec::new(),
            last_sync: None,
            next_heartbeat: None,
        }
    }

    pub(super) fn run(mut self) {
        let mut taken = Vec::new();
        loop {
            let (work, end) = self.next_work(&mut taken);
            let written_from = self.unsynced.len();
            self.unsynced.append(&mut taken);
            let mut result = self.write_from(written_from);
            if result.is_ok() {
                self.shared.written.store(end, Ordering::Release);
                if matches!(work, Work::Sync | Work::Close) {
                    result = self.sync(end);
                }
            }
            let is_closing = matches!(work, Work::Close);
            match result {
                Ok(()) => self.settle_state(),
                Err(error) => {
                    if !self.retry(error, &mut taken, is_closing) {
                        return;
                    }
                }
            }
            self.remove_released();
            if is_closing {
                return;
            }
        }
    }

    /// Sleeps until there is something to do; takes the buffer. After each round it rests for one
    /// write delay even if nothing has come yet: in steady traffic the records then gather without
    /// waking it. Only if nothing came in all that time must the next record do so.
    fn next_work(&mut self, taken: &mut Vec<u8>) -> (Work, u64) {
        let shared = Arc::clone(&self.shared);
        let mut buffer = shared.lock();
        let mut resting_since = Instant::now();
        loop {
            let now = Instant::now();
            self.heartbeat(&mut buffer, now);
            let mut wake_at = self.next_heartbeat;
            if buffer.is_closing {
                std::mem::swap(&mut buffer.bytes, taken);
                return (Work::Close, buffer.end);
            }
            if buffer.wanted > self.durable {
                let earliest =
                    self.last_sync.map_or(now, |at| at + shared.options.sync_interval_min);
                if earliest <= now {
                    std::mem::swap(&mut buffer.bytes, taken);
                    return (Work::Sync, buffer.end);
                }
                wake_at = min_some(wake_at, earliest);
            }
            let due = resting_since + shared.options.write_delay;
            let is_rested = due <= now;
            let is_empty = buffer.bytes.is_empty();
            if !is_empty && (is_rested || buffer.bytes.len() > shared.options.buffer_bytes_max) {
                std::mem::swap(&mut buffer.bytes, taken);
                return (Work::Write, buffer.end);
            }
            if !is_rested {
                wake_at = min_some(wake_at, due);
            }
            buffer.is_writer_idle = is_rested;
            buffer.is_writer_asleep = true;
            buffer = match wake_at {
                Some(at) => {
                    let timeout = at.saturating_duration_since(now);
                    let waited = shared.work.wait_timeout(buffer, timeout);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => shared.work.wait(buffer).unwrap_or_else(PoisonError::into_inner),
            };
            buffer.is_writer_asleep = false;
            buffer.is_writer_idle = false;
            if is_rested {
                resting_since = Instant::now();
            }
        }
    }

    fn heartbeat(&mut self, buffer: &mut Buffer, now: Instant) {
        let Some(heartbeat) = buffer.heartbeat.take() else {
            self.next_heartbeat = None;
            return;
        };
        if self.next_heartbeat.is_none_or(|at| at <= now) {
            buffer.wanted = self.shared.push(buffer, |bytes| heartbeat(bytes));
            self.next_heartbeat = Some(now + HEARTBEAT_INTERVAL);
        }
        buffer.heartbeat = Some(heartbeat);
    }

    /// Writes `unsynced[from..]` behind what is written already.
    fn write_from(&mut self, from: usize) -> io::Result<()> {
        let base = self.segments.last().expect("a journal has a segment").base;
        let offset = segment::offset(base, self.durable + from as u64);
        self.file.write_all_at(&self.unsynced[from..], offset)
    }

    /// Makes everything up to `end` durable and says so; then starts a new segment if it is time.
    fn sync(&mut self, end: u64) -> io::Result<()> {
        self.file.sync_data()?;
        debug_assert_eq!(self.durable + self.unsynced.len() as u64, end);
        self.durable = end;
        self.unsynced.clear();
        self.last_sync = Some(Instant::now());
        self.publish();
        let base = self.segments.last().expect("a journal has a segment").base;
        if self.durable - base >= self.shared.options.segment_bytes {
            self.start_segment();
        }
        Ok(())
    }

    /// If it fails, the old segment simply grows on, and it is tried again after the next sync.
    fn start_segment(&mut self) {
        let next = Segment::at(&self.shared.directory, self.durable);
        match next.create() {
            Ok(file) => {
                self.file = file;
                self.segments.push(next);
            }
            Err(error) => {
                tracing::warn!(%error, path = %next.path.display(), "cannot start a segment");
                let _ = fs::remove_file(&next.path);
            }
        }
    }

    fn publish(&self) {
        self.shared.durable.store(self.durable, Ordering::Release);
        {
            // Taking the lock orders this store before a blocked caller's next look.
            let blocked = self.shared.blocked.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Telling nobody would still be a system call.
            if *blocked > 0 {
                self.shared.blocked.1.notify_all();
            }
        }
        self.shared.progress.send_replace(self.durable);
        let wakers = self.shared.wakers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for waker in wakers {
            waker.durable(self.durable);
        }
    }

    fn settle_state(&self) {
        let waiting = self.shared.lock().bytes.len();
        if waiting <= self.shared.options.buffer_bytes_max {
            self.shared.set_state(JournalState::Ready);
        }
    }

    /// Says that the disk refuses, waits, and writes everything since the last sync again. Returns
    /// false if the journal is being closed and it still does not work.
    fn retry(&mut self, error: io::Error, taken: &mut Vec<u8>, is_closing: bool) -> bool {
        tracing::error!(%error, "the journal cannot be written; no call is answered until it can");
        loop {
            self.shared.set_state(JournalState::Failed);
            self.shared.failures.fetch_add(1, Ordering::Relaxed);
            let end = {
                let shared = Arc::clone(&self.shared);
                let mut buffer = shared.lock();
                if !buffer.is_closing {
                    let waited = shared.work.wait_timeout(buffer, shared.options.retry_delay);
                    buffer = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                std::mem::swap(&mut buffer.bytes, taken);
                buffer.end
            };
            self.unsynced.append(taken);
            match self.rewrite(end) {
                Ok(()) => {
                    tracing::info!("the journal can be written again");
                    self.settle_state();
                    return true;
                }
                Err(error) if is_closing || self.shared.lock().is_closing => {
                    tracing::error!(%error, bytes = self.unsynced.len(), "journal closed with unwritten records");
                    return false;
                }
                Err(_) => {}
            }
        }
    }

    /// After a failed sync the kernel may have dropped pages and forgotten it, so a second sync
    /// alone proves nothing: cut back to what is surely on disk and write the rest anew.
    fn rewrite(&mut self, end: u64) -> io::Result<()> {
        let last = self.segments.last().expect("a journal has a segment");
        self.file = OpenOptions::new().read(true).write(true).open(&last.path)?;
        self.file.set_len(segment::offset(last.base, self.durable))?;
        self.write_from(0)?;
        self.shared.written.store(end, Ordering::Release);
        self.sync(end)
    }

    fn remove_released(&mut self) {
        let below = self.shared.release_below.load(Ordering::Acquire);
        while self.segments.len() > 1 && self.segments[1].base <= below {
            let oldest = &self.segments[0];
            match fs::remove_file(&oldest.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%error, path = %oldest.path.display(), "cannot remove a segment");
                    return;
                }
                _ => drop(self.segments.remove(0)),
            }
        }
    }
}

fn min_some(a: Option<Instant>, b: Instant) -> Option<Instant> {
    Some(a.map_or(b, |a| a.min(b)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{JournalFiles, JournalOptions, Tail};

    /// A handle that cannot be written stands for a disk that refuses: the errors come from the
    /// same calls.
    #[test]
    fn a_disk_that_refuses_makes_nothing_durable_and_loses_nothing_when_it_works_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut last = segment::open_last(dir.path()).unwrap();
        last.file = File::open(&last.segments[0].path).unwrap();
        let options = JournalOptions { retry_delay: Duration::ZERO, ..JournalOptions::default() };
        let journal = JournalFiles::start(dir.path(), options, last).unwrap();
        let end = journal.append_with(|bytes| bytes.extend_from_slice(b"kept"));
        journal.wait_durable(end);
        assert_eq!(journal.failures(), 1);
        journal.close();
        assert_eq!(journal.state(), JournalState::Ready);
        let mut found = Vec::new();
        let mut tail = Tail::new(dir.path(), 0);
        tail.read(end, 100, &mut |at, bytes| found.push((at, bytes.to_vec()))).unwrap();
        assert_eq!(found, [(end, b"kept".to_vec())]);
    }

    #[test]
    fn a_disk_that_never_works_is_failed_and_nothing_is_durable() {
        let dir = tempfile::tempdir().unwrap();
        let mut last = segment::open_last(dir.path()).unwrap();
        last.file = File::open(&last.segments[0].path).unwrap();
        fs::remove_file(&last.segments[0].path).unwrap();
        let options = JournalOptions { retry_delay: Duration::ZERO, ..JournalOptions::default() };
        let journal = JournalFiles::start(dir.path(), options, last).unwrap();
        journal.append_with(|bytes| bytes.extend_from_slice(b"lost with the process"));
        journal.close();
        assert_eq!((journal.state(), journal.durable()), (JournalState::Failed, 0));
    }
}
