//! The only crate with SQL, and the owner of the data directory: the journal files that are the
//! point of no loss, and the database that follows them.

pub mod bill;
pub mod charges;
pub mod directory;
pub mod idempotency;
pub mod journal;
pub mod moment;
pub mod query;
pub mod rate_deck;
pub mod receipt;
pub mod report;
pub mod rerate;
pub mod sql;
pub mod statement;
pub mod taxes;

mod backup;
mod bindings;
mod check;
mod data_dir;
mod entry;
mod lease;
mod node;
mod nodes;
mod projection;
mod recovery;
mod snapshot;
pub mod voucher;

pub use backup::{Backup, BackupError, backup, restore};
pub use bindings::BindingSet;
pub use check::{Check, CheckReport, ledger_check};
pub use data_dir::{DataDir, DataDirError, DataPaths, start_of};
pub use entry::UnreadableRecord;
pub use lease::{LeaseAnswers, LeaseError, LeaseQuestion, Leases, Taking};
pub use node::{Node, NodeError, NodeSettings};
pub use nodes::{Forgotten, NodeState, balance};
pub use projection::Projection;
pub use recovery::{OpenError, Opening, RecoveryReport, Store};
pub use snapshot::ReplayError;
pub use sql::{BadDatabaseUrl, ConnectError, Database};
