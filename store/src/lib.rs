//! The only crate with SQL, and the owner of the data directory: the journal files that are the
//! point of no loss, and the database that follows them.

pub mod journal;
