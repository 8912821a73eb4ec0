//! The data directory: who may use it, where things lie in it, and how often it was started.
//!
//! ```text
//! lock                  held while a server runs; two processes cannot open one directory
//! identity              a random word, which a database on a server keeps too
//! start                 the number of the last start, the top 20 bits of every call id
//! journal/N.segment     the point of no loss
//! tandem.db             what the journal says, as tables; and the directory
//! ```

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

use crate::journal::sync_directory;
use crate::sql::Database;

/// Start numbers have 20 bits.
const START_MAX: u32 = (1 << 20) - 1;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process has it open.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The start number cannot be read.
    #[error("{path}: {text:?} is not a start number")]
    BadStart {
        /// Which file.
        path: PathBuf,
        /// What stands in it.
        text: String,
    },
    /// A million starts: call ids would repeat.
    #[error("{0}: this data directory was started {START_MAX} times; begin a new one")]
    StartsUsedUp(PathBuf),
}

/// Where the parts of a data directory lie. Making one touches nothing.
#[derive(Clone, Debug)]
pub struct DataPaths {
    root: PathBuf,
}

impl DataPaths {
    /// The parts of `root`.
    pub fn new(root: &Path) -> DataPaths {
        DataPaths { root: root.to_owned() }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The journal's segments.
    pub fn journal(&self) -> PathBuf {
        self.root.join("journal")
    }

    /// The SQLite database, if the tables are not on a server.
    pub fn database(&self) -> Database {
        Database::File(self.root.join("tandem.db"))
    }

    /// The directory's identity, if it has one; nothing is made.
    pub(crate) fn read_identity(&self) -> Option<String> {
        let text = fs::read_to_string(self.identity()).ok()?;
        Some(text.trim().to_owned())
    }

    fn identity(&self) -> PathBuf {
        self.root.join("identity")
    }

    fn start(&self) -> PathBuf {
        self.root.join("start")
    }
}

/// A data directory that this process alone has open.
#[derive(Debug)]
pub struct DataDir {
    paths: DataPaths,
    /// Locked until dropped, also by `kill -9`.
    _lock: File,
}

impl DataDir {
    /// Creates the directory if need be and takes its lock.
    pub fn open(root: &Path) -> Result<DataDir, DataDirError> {
        let paths = DataPaths::new(root);
        // It holds credentials and telephone numbers: for its owner only.
        let created = fs::DirBuilder::new().recursive(true).mode(0o700).create(root);
        created.map_err(|e| io_error(root, e))?;
        let path = root.join("lock");
        let mut lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| io_error(&path, e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DataDirError::InUse(root.to_owned())),
            Err(TryLockError::Error(e)) => return Err(io_error(&path, e)),
        }
        // For people who wonder who holds it.
        let _ = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        Ok(DataDir { paths, _lock: lock })
    }

    /// Where its parts lie.
    pub fn paths(&self) -> &DataPaths {
        &self.paths
    }

    /// A word that no other data directory has; made at the first call.
    pub fn identity(&self) -> Result<String, DataDirError> {
        let path = self.paths.identity();
        match fs::read_to_string(&path) {
            Ok(text) => return Ok(text.trim().to_owned()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(io_error(&path, e)),
        }
        // Unique, not secret: the moment, the process and the place.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let place = fs::canonicalize(&self.paths.root).map_err(|e| io_error(&path, e))?;
        let seed = format!("{now:?} {} {}", std::process::id(), place.display());
        let digest = Sha256::digest(seed);
        let identity: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        replace(&path, format!("{identity}\n").as_bytes()).map_err(|e| io_error(&path, e))?;
        Ok(identity)
    }

    /// The number of this start, on disk when this returns. `seen` is the highest one found in
    /// records, so that a lost file cannot make call ids repeat.
    pub fn next_start(&self, seen: Option<u32>) -> Result<u32, DataDirError> {
        let path = self.paths.start();
        let last = match fs::read_to_string(&path) {
            Ok(text) => match text.trim().parse::<u32>() {
                Ok(number) => Some(number),
                Err(_) => return Err(DataDirError::BadStart { path, text }),
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(io_error(&path, e)),
        };
        let next = last.max(seen).map_or(0, |number| number + 1);
        if next > START_MAX {
            return Err(DataDirError::StartsUsedUp(self.paths.root.clone()));
        }
        replace(&path, format!("{next}\n").as_bytes()).map_err(|e| io_error(&path, e))?;
        Ok(next)
    }
}

/// The start number that is part of a call id.
pub fn start_of(call: vocabulary::CallId) -> u32 {
    u32::try_from(call.0 >> 44).expect("20 bits are left")
}

/// Writes a file so that after a power cut it is the old one or the new one.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    sync_directory(path.parent().unwrap_or(Path::new(".")))
}

fn io_error(path: &Path, source: io::Error) -> DataDirError {
    DataDirError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use vocabulary::CallId;

    use super::*;

    #[test]
    fn two_cannot_open_one_directory() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(dir.path()).unwrap();
        assert!(matches!(DataDir::open(dir.path()), Err(DataDirError::InUse(_))));
        drop(first);
        DataDir::open(dir.path()).unwrap();
    }

    #[test]
    fn a_directory_keeps_its_identity_and_shares_it_with_none() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let data = DataDir::open(one.path()).unwrap();
        let identity = data.identity().unwrap();
        assert_eq!(data.identity().unwrap(), identity);
        assert_ne!(DataDir::open(other.path()).unwrap().identity().unwrap(), identity);
    }

    #[test]
    fn each_start_has_a_number_never_used_before() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        assert_eq!(data.next_start(None).unwrap(), 0);
        assert_eq!(data.next_start(None).unwrap(), 1);
        assert_eq!(data.next_start(Some(7)).unwrap(), 8);
        drop(data);
        assert_eq!(DataDir::open(dir.path()).unwrap().next_start(Some(2)).unwrap(), 9);
        assert_eq!(start_of(CallId::new(9, 200, 5)), 9);
    }

    #[test]
    fn an_unreadable_start_number_is_an_error_not_a_zero() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        fs::write(dir.path().join("start"), "x").unwrap();
        assert!(matches!(data.next_start(None), Err(DataDirError::BadStart { .. })));
        fs::write(dir.path().join("start"), START_MAX.to_string()).unwrap();
        assert!(matches!(data.next_start(None), Err(DataDirError::StartsUsedUp(_))));
    }
}
