//! A copy of a data directory from which a server can start, taken while one runs or not, and its
//! way back. It is made from the files alone: one snapshot of the database, and the journal from
//! where that snapshot needs it to the last whole record, so that the copy is the state at one
//! position: the journal's end when it was taken.
//!
//! A copy is made beside its name and renamed when it is whole, on disk and checked: whatever bears
//! the name can be restored.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::check::{CheckReport, ledger_check};
use crate::data_dir::{DataDir, DataDirError, DataPaths};
use crate::journal::{JournalError, Segment, segments, sync_directory};
use crate::node::ALONE;
use crate::snapshot::{ReplayError, Snapshot, each_entry};
use crate::sql;

/// A running server removes segments that it no longer needs; then the copy is begun anew.
const ATTEMPTS: usize = 5;
/// What else a data directory holds that a server needs; they may be missing.
const OTHER_FILES: [&str; 4] = ["start", "identity", "token", "demo.json"];

/// What was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// The state is that of the journal up to here.
    pub position: u64,
    /// How it was found in the copy.
    pub report: CheckReport,
}

/// Why no copy is made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The target is there already.
    #[error("{0} is there already; name a directory that is not")]
    Exists(PathBuf),
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The database or the journal cannot be read.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The target's lock.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The copy was read again and its books do not balance: either the original's do not (see
    /// `tandem ledger check`), or the disk does not keep what is written.
    #[error("the copy does not pass the ledger check: {0}")]
    Broken(String),
}

impl From<sqlx::Error> for BackupError {
    fn from(error: sqlx::Error) -> BackupError {
        BackupError::Replay(error.into())
    }
}

impl From<sql::ConnectError> for BackupError {
    fn from(error: sql::ConnectError) -> BackupError {
        BackupError::Replay(error.into())
    }
}

impl From<JournalError> for BackupError {
    fn from(error: JournalError) -> BackupError {
        BackupError::Replay(error.into())
    }
}

/// Copies the data directory `from`, in use or not, to `to`, which must not exist. Its tables are in
/// it: a database on a server is copied by the means of that server.
///
/// # Errors
/// Nothing is left at `to` then.
pub async fn backup(from: &Path, to: &Path) -> Result<Backup, BackupError> {
    in_whole(to, async |partial| {
        let mut attempt = 0;
        loop {
            attempt += 1;
            make_directory(partial)?;
            match copy_once(&DataPaths::new(from), &DataPaths::new(partial)).await {
                Err(BackupError::Replay(ReplayError::Journal(JournalError::Missing {
                    ..
                }))) if attempt < ATTEMPTS => {
                    fs::remove_dir_all(partial).map_err(|e| io_error(partial, e))?;
                }
                other => return other,
            }
        }
    })
    .await
}

/// Makes the data directory `to`, which must not exist or be empty, from a backup.
///
/// # Errors
/// Nothing is left at `to` then.
pub async fn restore(from: &Path, to: &Path) -> Result<Backup, BackupError> {
    // An empty directory is what people make before they restore into it.
    let _ = fs::remove_dir(to);
    // The backup may not be changed, and nobody may run on it meanwhile.
    let _held = DataDir::open(from)?;
    backup(from, to).await
}

/// Makes `to` beside its name, checks it, and gives it its name.
async fn in_whole(
    to: &Path,
    make: impl AsyncFnOnce(&Path) -> Result<u64, BackupError>,
) -> Result<Backup, BackupError> {
    if to.symlink_metadata().is_ok() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let parent = match to.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(|e| io_error(parent, e))?;
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let partial = parent.join(name);
    // What an interrupted copy left behind.
    let _ = fs::remove_dir_all(&partial);
    let finish = async {
        let position = make(&partial).await?;
        let report = ledger_check(&partial, &DataPaths::new(&partial).database()).await?;
        if let Some(broken) = report.checks.iter().find(|check| check.offender_count > 0) {
            let first = broken.offenders.join(", ");
            return Err(BackupError::Broken(format!("{} ({first})", broken.sentence)));
        }
        sync_all(&partial).map_err(|e| io_error(&partial, e))?;
        fs::rename(&partial, to).map_err(|e| io_error(to, e))?;
        sync_directory(parent).map_err(|e| io_error(parent, e))?;
        Ok(Backup { position, report })
    };
    let result = finish.await;
    if result.is_err() {
        let _ = fs::remove_dir_all(&partial);
    }
    result
}

/// The journal's files are opened first and copied last: what the snapshot needs is then in an
/// open file, also when the server has removed its name meanwhile.
async fn copy_once(from: &DataPaths, to: &DataPaths) -> Result<u64, BackupError> {
    let mut open = open_segments(&from.journal(), Vec::new())?;
    let pool = from.database().open_read_only().await?;
    let database = to.database();
    let target = database.file().expect("a data directory has a file");
    let name = target.to_str().ok_or_else(|| {
        io_error(target, io::Error::new(io::ErrorKind::InvalidInput, "the name is not UTF-8"))
    })?;
    sql::query("VACUUM INTO ?").bind(name).execute(&pool).await?;
    pool.close().await;
    fs::set_permissions(target, fs::Permissions::from_mode(0o600))
        .map_err(|e| io_error(target, e))?;
    let copied = database.open_read_only().await?;
    let mut transaction = copied.begin_read().await?;
    let snapshot = Snapshot::read(&mut transaction, ALONE).await?;
    drop(transaction);
    copied.close().await;
    open = open_segments(&from.journal(), open)?;
    for file in OTHER_FILES {
        let (source, target) = (from.root().join(file), to.root().join(file));
        match File::open(&source) {
            Ok(mut opened) => copy_file(&mut opened, &target, u64::MAX)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(io_error(&source, e)),
        }
    }
    copy_journal(open, &to.journal(), snapshot.applied.replay_from)?;
    // Reads all of it, so that a gap is found now and not when it is needed.
    let applied = snapshot.applied.position;
    each_entry(&to.journal(), snapshot.applied.replay_from, applied, &mut |_, _, _, _| Ok(()))?;
    let end = each_entry(&to.journal(), applied, u64::MAX, &mut |_, _, _, _| Ok(()))?;
    Ok(end)
}

/// All segments there are now, those in `before` as they were opened then.
fn open_segments(
    journal: &Path,
    mut before: Vec<(Segment, File)>,
) -> Result<Vec<(Segment, File)>, BackupError> {
    for segment in segments(journal)? {
        if before.iter().any(|(known, _)| known.base == segment.base) {
            continue;
        }
        match File::open(&segment.path) {
            Ok(file) => before.push((segment, file)),
            // It went between the listing and now; whether it is needed is found later.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(io_error(&segment.path, e)),
        }
    }
    before.sort_by_key(|(segment, _)| segment.base);
    Ok(before)
}

/// The segments that records from `needed` on are in. A record that is being written just now may
/// be cut; opening the copy cuts it off as after a crash.
fn copy_journal(
    open: Vec<(Segment, File)>,
    journal: &Path,
    needed: u64,
) -> Result<(), BackupError> {
    make_directory(journal)?;
    let first = open.iter().rposition(|(segment, _)| segment.base <= needed);
    let first = first.ok_or(JournalError::Missing { position: needed })?;
    let bases: Vec<u64> = open.iter().map(|(segment, _)| segment.base).collect();
    for (index, (segment, mut file)) in open.into_iter().enumerate().skip(first) {
        // A file that was opened while it grew is copied up to where the next one begins.
        let room = match bases.get(index + 1) {
            Some(next) => Segment::length(segment.base, *next),
            None => u64::MAX,
        };
        copy_file(&mut file, &Segment::at(journal, segment.base).path, room)?;
    }
    Ok(())
}

fn copy_file(from: &mut File, to: &Path, length: u64) -> Result<(), BackupError> {
    let mut options = OpenOptions::new();
    let mut target =
        options.write(true).create_new(true).mode(0o600).open(to).map_err(|e| io_error(to, e))?;
    io::copy(&mut from.take(length), &mut target).map_err(|e| io_error(to, e))?;
    Ok(())
}

/// For its owner alone: it holds credentials and everybody's calls.
fn make_directory(path: &Path) -> Result<(), BackupError> {
    fs::DirBuilder::new().mode(0o700).create(path).map_err(|e| io_error(path, e))
}

fn sync_all(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() { sync_all(&path)? } else { File::open(&path)?.sync_all()? }
    }
    sync_directory(directory)
}

fn io_error(path: &Path, source: io::Error) -> BackupError {
    BackupError::Io { path: path.to_owned(), source }
}
