//! The only crate with SQL, and the owner of the data directory: the journal files that are the
//! point of no loss, and the database that follows them.

pub mod directory;
pub mod idempotency;
pub mod journal;
pub mod moment;
pub mod query;
pub mod rate_deck;
pub mod report;
pub mod rerate;

mod backup;
mod bindings;
mod check;
mod data_dir;
mod database;
mod entry;
mod projection;
mod recovery;
mod snapshot;
mod statement;

pub use backup::{Backup, BackupError, backup, restore};
pub use bindings::BindingSet;
pub use check::{Check, CheckReport, ledger_check};
pub use data_dir::{DataDir, DataDirError, DataPaths, start_of};
pub use database::{open as open_database, open_read_only};
pub use entry::UnreadableRecord;
pub use projection::Projection;
pub use recovery::{OpenError, Opening, RecoveryReport, Store};
pub use snapshot::ReplayError;
