//! Opening the SQLite database. WAL, so that readers (people with `sqlite3`, the API, `ledger check`)
//! never wait for the projection; NORMAL, because what a power cut takes from the WAL's end is still
//! in the journal and is applied again.

use std::path::Path;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

/// All migrations, compiled in.
static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// How long a statement waits for another writer before it fails and is tried again.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECTIONS_MAX: u32 = 8;

/// How to connect for reading and writing.
pub(crate) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .pragma("cache_size", "-16000")
        .pragma("temp_store", "memory")
}

/// Opens the database, creates it if need be, and brings its schema up to date.
pub async fn open(path: &Path) -> Result<SqlitePool, sqlx::Error> {
    let pool = SqlitePoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .connect_with(options(path).create_if_missing(true))
        .await?;
    MIGRATOR.run(&pool).await.map_err(|error| sqlx::Error::Migrate(Box::new(error)))?;
    Ok(pool)
}

/// Opens an existing database for reading only, also while a server runs.
pub async fn open_read_only(path: &Path) -> Result<SqlitePool, sqlx::Error> {
    let options =
        SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(BUSY_TIMEOUT);
    SqlitePoolOptions::new().max_connections(1).connect_with(options).await
}
