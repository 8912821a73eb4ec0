//! Statements put together piece by piece, and what they answer.

use sqlx::sqlite::{SqliteArguments, SqliteExecutor, SqliteRow};
use sqlx::{Arguments, Encode, Sqlite, SqlitePool, Transaction, Type};

/// Connections to the database.
pub(crate) type Pool = SqlitePool;
/// One row of an answer.
pub(crate) type Row = SqliteRow;

/// One snapshot for several questions.
pub(crate) async fn begin_read(pool: &Pool) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
    pool.begin().await
}

/// A statement under way.
pub(crate) struct Builder {
    sql: String,
    arguments: SqliteArguments<'static>,
}

/// A statement with its values.
pub(crate) struct Statement(Builder);

impl Builder {
    /// Begins with this.
    pub(crate) fn new(sql: &str) -> Builder {
        Builder { sql: sql.to_owned(), arguments: SqliteArguments::default() }
    }

    /// Goes on with this: text of the program, never of a user.
    pub(crate) fn push(&mut self, sql: &str) -> &mut Builder {
        self.sql.push_str(sql);
        self
    }

    /// A value at this place.
    pub(crate) fn push_bind<T>(&mut self, value: T) -> &mut Builder
    where
        T: Encode<'static, Sqlite> + Type<Sqlite> + 'static,
    {
        self.sql.push('?');
        self.arguments.add(value).expect("numbers, text and bytes can always be bound");
        self
    }

    /// Values with commas between them.
    pub(crate) fn push_list<T>(&mut self, values: impl IntoIterator<Item = T>) -> &mut Builder
    where
        T: Encode<'static, Sqlite> + Type<Sqlite> + 'static,
    {
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.sql.push_str(", ");
            }
            self.push_bind(value);
        }
        self
    }

    /// The statement.
    pub(crate) fn build(self) -> Statement {
        Statement(self)
    }
}

impl Statement {
    /// All rows.
    pub(crate) async fn fetch_all(
        self,
        executor: impl SqliteExecutor<'_>,
    ) -> Result<Vec<Row>, sqlx::Error> {
        let Builder { sql, arguments } = self.0;
        sqlx::query_with(&sql, arguments).fetch_all(executor).await
    }

    /// Runs it; how many rows it changed.
    pub(crate) async fn execute(
        self,
        executor: impl SqliteExecutor<'_>,
    ) -> Result<u64, sqlx::Error> {
        let Builder { sql, arguments } = self.0;
        Ok(sqlx::query_with(&sql, arguments).execute(executor).await?.rows_affected())
    }
}
