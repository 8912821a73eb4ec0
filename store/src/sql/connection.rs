//! Connections and transactions of either database.

use std::ops::{Deref, DerefMut};

use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Error, PgPool, Postgres, Sqlite, SqlitePool};

use super::query::{Query, with_dollars};
use super::row::Row;
use super::trouble::silent;
use super::value::{postgres_arguments, sqlite_arguments};

/// The key of the lock that commands take on PostgreSQL: "tandem" in ASCII.
const COMMAND_LOCK: i64 = 0x7461_6e64_656d;

/// Connections to one database.
#[derive(Clone, Debug)]
pub enum Pool {
    /// A file of ours.
    Sqlite(SqlitePool),
    /// A server.
    Postgres(PgPool),
}

/// A connection within a transaction.
#[derive(Debug)]
pub enum Connection {
    /// To a file of ours.
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    /// To a server.
    Postgres(sqlx::Transaction<'static, Postgres>),
    /// To a server, for a command: a statement that fails can be followed by others, as on SQLite.
    Command(CommandTransaction),
}

/// After an error PostgreSQL refuses the rest of a transaction, and its COMMIT silently undoes all.
/// So each statement that writes has a savepoint before it.
#[derive(Debug)]
pub struct CommandTransaction {
    transaction: sqlx::Transaction<'static, Postgres>,
    has_savepoint: bool,
}

/// Without preparing it first, so several statements may stand in one text.
async fn simple(connection: &mut PgConnection, sql: &str) -> Result<(), Error> {
    sqlx::Executor::execute(connection, sql).await.map(drop)
}

impl CommandTransaction {
    async fn save(&mut self) -> Result<(), Error> {
        // One savepoint at a time: many make PostgreSQL slow.
        let again = "RELEASE SAVEPOINT before; SAVEPOINT before";
        let sql = if self.has_savepoint { again } else { "SAVEPOINT before" };
        simple(&mut self.transaction, sql).await?;
        self.has_savepoint = true;
        Ok(())
    }

    async fn undo(&mut self) -> Result<(), Error> {
        simple(&mut self.transaction, "ROLLBACK TO SAVEPOINT before").await
    }

    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    async fn commit(mut self) -> Result<(), Error> {
        // Fails if a question failed before; the COMMIT would not say so.
        simple(&mut self.transaction, "SELECT 1").await?;
        self.transaction.commit().await
    }
}

/// All or nothing: what is not committed is rolled back.
#[derive(Debug)]
pub struct Transaction(Connection);

impl Pool {
    /// Begins a transaction that writes. On SQLite it waits here for other writers, instead of
    /// failing with SQLITE_BUSY when a read is followed by a write.
    pub async fn begin(&self) -> Result<Transaction, Error> {
        Ok(Transaction(match self {
            Pool::Sqlite(pool) => Connection::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?),
            Pool::Postgres(pool) => Connection::Postgres(pool.begin().await.map_err(silent)?),
        }))
    }

    /// Begins a command: one at a time, also on PostgreSQL and from several nodes, so that what it
    /// read is still so when it commits.
    pub async fn begin_command(&self) -> Result<Transaction, Error> {
        let transaction = self.begin().await?;
        let Connection::Postgres(mut transaction) = transaction.0 else { return Ok(transaction) };
        let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(COMMAND_LOCK);
        lock.execute(&mut *transaction).await?;
        let command = CommandTransaction { transaction, has_savepoint: false };
        Ok(Transaction(Connection::Command(command)))
    }

    /// Begins a transaction that only reads: everything in it is of one moment.
    pub async fn begin_read(&self) -> Result<Transaction, Error> {
        Ok(Transaction(match self {
            Pool::Sqlite(pool) => Connection::Sqlite(pool.begin().await?),
            Pool::Postgres(pool) => {
                let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                Connection::Postgres(pool.begin_with(begin).await.map_err(silent)?)
            }
        }))
    }

    /// Closes all connections.
    pub async fn close(&self) {
        match self {
            Pool::Sqlite(pool) => pool.close().await,
            Pool::Postgres(pool) => pool.close().await,
        }
    }
}

impl Transaction {
    /// Makes everything in it permanent.
    pub async fn commit(self) -> Result<(), Error> {
        match self.0 {
            Connection::Sqlite(transaction) => transaction.commit().await,
            Connection::Postgres(transaction) => transaction.commit().await,
            Connection::Command(command) => command.commit().await,
        }
    }

    /// Undoes everything in it.
    pub async fn rollback(self) -> Result<(), Error> {
        match self.0 {
            Connection::Sqlite(transaction) => transaction.rollback().await,
            Connection::Postgres(transaction) => transaction.rollback().await,
            Connection::Command(command) => command.transaction.rollback().await,
        }
    }
}

impl Deref for Transaction {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.0
    }
}

/// What statements are run on: `&Pool`, or `&mut Connection` within a transaction.
pub trait Executor<'c>: Send {
    /// Which of the two databases, and how.
    #[doc(hidden)]
    fn on(self) -> On<'c>;
}

/// Where a statement goes.
#[doc(hidden)]
#[derive(Debug)]
pub enum On<'c> {
    SqlitePool(&'c SqlitePool),
    PostgresPool(&'c PgPool),
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
    Command(&'c mut CommandTransaction),
}

impl<'c> Executor<'c> for &'c Pool {
    fn on(self) -> On<'c> {
        match self {
            Pool::Sqlite(pool) => On::SqlitePool(pool),
            Pool::Postgres(pool) => On::PostgresPool(pool),
        }
    }
}

impl<'c> Executor<'c> for &'c mut Connection {
    fn on(self) -> On<'c> {
        match self {
            Connection::Sqlite(transaction) => On::Sqlite(transaction),
            Connection::Postgres(transaction) => On::Postgres(transaction),
            Connection::Command(command) => On::Command(command),
        }
    }
}

impl<'c> Executor<'c> for &'c mut Transaction {
    fn on(self) -> On<'c> {
        self.0.on()
    }
}

impl On<'_> {
    pub(super) async fn execute(self, query: Query<'_>) -> Result<u64, Error> {
        let Query { sql, values } = query;
        match self {
            On::SqlitePool(pool) => {
                let query = sqlx::query_with(&sql, sqlite_arguments(values));
                Ok(query.execute(pool).await?.rows_affected())
            }
            On::Sqlite(connection) => {
                let query = sqlx::query_with(&sql, sqlite_arguments(values));
                Ok(query.execute(connection).await?.rows_affected())
            }
            On::PostgresPool(pool) => {
                let sql = with_dollars(&sql);
                let query = sqlx::query_with(&sql, postgres_arguments(values));
                Ok(query.execute(pool).await.map_err(silent)?.rows_affected())
            }
            On::Postgres(connection) => {
                let sql = with_dollars(&sql);
                let query = sqlx::query_with(&sql, postgres_arguments(values));
                Ok(query.execute(connection).await?.rows_affected())
            }
            On::Command(command) => {
                let sql = with_dollars(&sql);
                command.save().await?;
                let query = sqlx::query_with(&sql, postgres_arguments(values));
                match query.execute(&mut *command.transaction).await {
                    Ok(done) => Ok(done.rows_affected()),
                    Err(error) => {
                        command.undo().await?;
                        Err(error)
                    }
                }
            }
        }
    }

    pub(super) async fn fetch_all(self, query: Query<'_>) -> Result<Vec<Row>, Error> {
        let Query { sql, values } = query;
        let sqlite = |rows: Vec<_>| rows.into_iter().map(Row::from_sqlite).collect();
        let postgres = |rows: Vec<_>| rows.into_iter().map(Row::from_postgres).collect();
        match self {
            On::SqlitePool(pool) => {
                let query = sqlx::query_with(&sql, sqlite_arguments(values));
                query.fetch_all(pool).await.map(sqlite)
            }
            On::Sqlite(connection) => {
                let query = sqlx::query_with(&sql, sqlite_arguments(values));
                query.fetch_all(connection).await.map(sqlite)
            }
            On::PostgresPool(pool) => {
                let sql = with_dollars(&sql);
                let query = sqlx::query_with(&sql, postgres_arguments(values));
                query.fetch_all(pool).await.map(postgres).map_err(silent)
            }
            On::Postgres(connection) => {
                let sql = with_dollars(&sql);
                let query = sqlx::query_with(&sql, postgres_arguments(values));
                query.fetch_all(connection).await.map(postgres)
            }
            On::Command(command) => {
                let sql = with_dollars(&sql);
                let query = sqlx::query_with(&sql, postgres_arguments(values));
                query.fetch_all(&mut *command.transaction).await.map(postgres)
            }
        }
    }

    pub(super) async fn fetch_optional(self, query: Query<'_>) -> Result<Option<Row>, Error> {
        let Query { sql, values } = query;
        match self {
            On::SqlitePool(pool) => {
                let query = sqlx::query_with(&sql, sqlite_arguments(values));
                Ok(query.fetch_optional(pool).await?.map(Row::from_sqlite))
            }
            On::Sqlite(connection) => {
                let query = sqlx::query_with(&sql, sqlite_arguments(values));
                Ok(query.fetch_optional(connection).await?.map(Row::from_sqlite))
            }
            On::PostgresPool(pool) => {
                let sql = with_dollars(&sql);
                let query = sqlx::query_with(&sql, postgres_arguments(values));
                Ok(query.fetch_optional(pool).await.map_err(silent)?.map(Row::from_postgres))
            }
            On::Postgres(connection) => {
                let sql = with_dollars(&sql);
                let query = sqlx::query_with(&sql, postgres_arguments(values));
                Ok(query.fetch_optional(connection).await?.map(Row::from_postgres))
            }
            On::Command(command) => {
                let sql = with_dollars(&sql);
                let query = sqlx::query_with(&sql, postgres_arguments(values));
                let row = query.fetch_optional(&mut *command.transaction).await?;
                Ok(row.map(Row::from_postgres))
            }
        }
    }
}
