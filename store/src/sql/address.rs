//! Which database, and opening it. SQLite runs in WAL mode, so that readers (people with `sqlite3`,
//! the API, `ledger check`) never wait for the projection.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::connection::Pool;
use super::schema;

/// How long a statement waits for another writer before it fails and is tried again.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one waits for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a command may be silent amid its transaction, which keeps the commands of all other nodes
/// waiting. Longer than any file takes to read, and short enough for a node that is paused.
const COMMAND_SILENT_MAX: Duration = Duration::from_secs(60);
const CONNECTIONS_MAX: u32 = 8;

/// Where the tables are.
#[derive(Clone)]
pub enum Database {
    /// In a file, usually `tandem.db` in the data directory.
    File(PathBuf),
    /// On a PostgreSQL server.
    Postgres(Box<PgConnectOptions>),
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// The projection. What a power cut takes from the end of SQLite's WAL is still in the journal,
    /// and is applied again.
    Projection,
    /// Commands: what they commit is in no journal, so it is on disk before they are answered.
    Commands,
}

/// Not the address of a database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}; write postgres://USER:PASSWORD@HOST/DATABASE, or leave it out for SQLite")]
pub struct BadDatabaseUrl(String);

/// The database does not let us in.
#[derive(Debug, thiserror::Error)]
#[error("the database {at} cannot be opened: {source}; {cure}")]
pub struct ConnectError {
    /// Which, without its password.
    at: String,
    /// What to look at.
    cure: &'static str,
    /// What it said.
    source: sqlx::Error,
}

impl Database {
    /// Reads `postgres://user:password@host:port/database`, with parameters such as
    /// `?sslmode=verify-full&sslrootcert=FILE`. The message of an error has no password.
    pub fn from_url(url: &str) -> Result<Database, BadDatabaseUrl> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            let scheme = url.split(':').next().filter(|_| url.contains("://")).unwrap_or("it");
            return Err(BadDatabaseUrl(format!("{scheme} is no PostgreSQL address")));
        }
        let options = url.parse::<PgConnectOptions>().map_err(|error| match error {
            sqlx::Error::Configuration(error) => BadDatabaseUrl(error.to_string()),
            _ => BadDatabaseUrl("it cannot be read".to_owned()),
        })?;
        // A command waits no longer for another than it does on SQLite.
        let wait = format!("{}ms", BUSY_TIMEOUT.as_millis());
        let options = options.application_name("tandem").options([("lock_timeout", wait)]);
        Ok(Database::Postgres(Box::new(options)))
    }

    /// The file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Database::File(path) => Some(path),
            Database::Postgres(_) => None,
        }
    }

    /// Opens it, creates a file if need be, and brings its schema up to date.
    pub async fn open(&self) -> Result<Pool, ConnectError> {
        let pool = match self {
            Database::File(path) => {
                let options = sqlite(path, Use::Projection).create_if_missing(true);
                let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS_MAX);
                pool.connect_with(options).await.map(Pool::Sqlite)
            }
            Database::Postgres(options) => postgres(options, CONNECTIONS_MAX).await,
        };
        let pool = pool.map_err(|source| self.error(source))?;
        schema::bring_up_to_date(&pool).await.map_err(|source| self.error(source))?;
        Ok(pool)
    }

    /// Opens one that exists, for commands.
    pub(crate) async fn open_for_commands(&self) -> Result<Pool, ConnectError> {
        let pool = match self {
            Database::File(path) => {
                let options = sqlite(path, Use::Commands);
                let pool = SqlitePoolOptions::new().max_connections(3).connect_with(options);
                pool.await.map(Pool::Sqlite)
            }
            Database::Postgres(options) => {
                let wait = format!("{}ms", COMMAND_SILENT_MAX.as_millis());
                let limit = [("idle_in_transaction_session_timeout", wait)];
                postgres(&(**options).clone().options(limit), CONNECTIONS_MAX).await
            }
        };
        pool.map_err(|source| self.error(source))
    }

    /// Opens one that exists, for one task that writes in large batches and waits at most
    /// `busy_timeout` for others; nor do others wait longer for it, should it fall silent. A file that
    /// vanished must not come back empty.
    pub(crate) async fn open_for_batches(
        &self,
        busy_timeout: Duration,
    ) -> Result<Pool, sqlx::Error> {
        match self {
            Database::File(path) => {
                let options = sqlite(path, Use::Projection).busy_timeout(busy_timeout);
                let pool =
                    SqlitePoolOptions::new().max_connections(1).acquire_timeout(BUSY_TIMEOUT);
                pool.connect_with(options).await.map(Pool::Sqlite)
            }
            Database::Postgres(options) => {
                let wait = format!("{}ms", busy_timeout.as_millis());
                // A node that is stopped amid a transaction must not keep the rows that it has locked
                // from the others for as long as it is.
                let limits =
                    [("lock_timeout", &wait), ("idle_in_transaction_session_timeout", &wait)];
                postgres(&(**options).clone().options(limits), 1).await
            }
        }
    }

    /// Opens one that exists, for reading only, also while a server runs.
    pub async fn open_read_only(&self) -> Result<Pool, ConnectError> {
        let pool = match self {
            Database::File(path) => {
                let options = SqliteConnectOptions::new()
                    .filename(path)
                    .read_only(true)
                    .busy_timeout(BUSY_TIMEOUT);
                let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options);
                pool.await.map(Pool::Sqlite)
            }
            Database::Postgres(options) => {
                let options =
                    (**options).clone().options([("default_transaction_read_only", "on")]);
                postgres(&options, 1).await
            }
        };
        pool.map_err(|source| self.error(source))
    }

    fn error(&self, source: sqlx::Error) -> ConnectError {
        let cure = match (self, &source) {
            (Database::File(_), _) => "look at the file, its directory and their owner",
            (_, sqlx::Error::Migrate(_)) => "was it made by another version of Tandem?",
            (_, sqlx::Error::Database(_)) => {
                "look at user, password and database in [database] url, and at pg_hba.conf there"
            }
            (_, sqlx::Error::Tls(_)) => "look at sslmode and sslrootcert in [database] url",
            _ => "does PostgreSQL run there, and is [database] url right?",
        };
        ConnectError { at: self.to_string(), cure, source }
    }
}

fn sqlite(path: &Path, purpose: Use) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(match purpose {
            Use::Projection => SqliteSynchronous::Normal,
            Use::Commands => SqliteSynchronous::Full,
        })
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .pragma("cache_size", "-16000")
        .pragma("temp_store", "memory")
}

async fn postgres(options: &PgConnectOptions, connections_max: u32) -> Result<Pool, sqlx::Error> {
    PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(CONNECT_TIMEOUT)
        .connect_with(options.clone())
        .await
        .map(Pool::Postgres)
}

/// Without user and password.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Database::File(path) => write!(f, "{}", path.display()),
            Database::Postgres(options) => {
                let database = options.get_database().unwrap_or(options.get_username());
                match options.get_socket() {
                    Some(socket) => write!(f, "{database:?} at {}", socket.display()),
                    None => {
                        write!(f, "{database:?} at {}:{}", options.get_host(), options.get_port())
                    }
                }
            }
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql;

    #[test]
    fn an_address_is_shown_without_its_password() {
        let url = "postgres://billing:geheim@db.example:5433/tandem?sslmode=require";
        let database = Database::from_url(url).unwrap();
        assert_eq!(database.to_string(), "\"tandem\" at db.example:5433");
        assert!(!format!("{database:?}").contains("geheim"));
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_password() {
        for url in ["mysql://u:geheim@h/d", "/var/lib/x", "postgres://u:geheim@h:port/d"] {
            let error = Database::from_url(url).unwrap_err().to_string();
            assert!(error.contains("write postgres://"), "{error}");
            assert!(!error.contains("geheim"), "{error}");
        }
    }

    #[tokio::test]
    async fn an_error_names_the_host_and_the_cure() {
        let database = Database::from_url("postgres://u:geheim@127.0.0.1:1/d").unwrap();
        let error = database.open().await.unwrap_err().to_string();
        assert!(error.contains("\"d\" at 127.0.0.1:1"), "{error}");
        assert!(error.contains("does PostgreSQL run there"), "{error}");
        assert!(!error.contains("geheim"), "{error}");
    }

    /// A node that is paused amid a transaction: what it has locked is another's soon, and it hears of it.
    #[tokio::test]
    async fn who_falls_silent_amid_a_transaction_keeps_nobody_waiting() {
        let Ok(url) = std::env::var("TANDEM_TEST_POSTGRES") else { return };
        let database = Database::from_url(&url).unwrap();
        let lock = "SELECT pg_advisory_xact_lock(30)";
        let paused = database.open_for_batches(Duration::from_millis(200)).await.unwrap();
        let mut of_paused = paused.begin().await.unwrap();
        sql::query(lock).execute(&mut *of_paused).await.unwrap();
        let other = database.open_for_batches(Duration::from_secs(10)).await.unwrap();
        let mut of_other = other.begin().await.unwrap();
        sql::query(lock).execute(&mut *of_other).await.unwrap();
        assert!(of_paused.commit().await.is_err());
    }

    #[tokio::test]
    async fn a_silent_command_is_ended_by_the_server() {
        let Ok(url) = std::env::var("TANDEM_TEST_POSTGRES") else { return };
        let commands = Database::from_url(&url).unwrap().open_for_commands().await.unwrap();
        let show = "SELECT current_setting('idle_in_transaction_session_timeout')";
        let limit: String = sql::query_scalar(show).fetch_one(&commands).await.unwrap();
        assert_eq!(limit, "1min");
    }
}
