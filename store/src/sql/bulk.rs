//! Many rows in few statements, each prepared once and then only bound. SQLite takes multi-row
//! `VALUES` in a few fixed sizes (measured against one statement a row it costs a third); PostgreSQL
//! takes an array a column, of any length.

use std::sync::OnceLock;

use sqlx::postgres::PgArguments;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Arguments, Error, PgConnection};

use super::connection::{Connection, Executor, On};
use super::value::{Value, add_sqlite};

/// Rows a statement on SQLite, largest first. It takes 32,766 parameters; 64 rows of 60 columns are
/// well below that.
const SIZES: [usize; 4] = [64, 16, 4, 1];
/// Rows a statement on PostgreSQL: bounds what is held twice.
const ARRAY_MAX: usize = 4096;

/// One statement for rows: `head VALUES (?,?),(?,?) tail`.
pub(crate) struct Bulk {
    head: String,
    tail: String,
    columns: usize,
    sqlite: [String; 4],
    /// Made of the first row, which has the types of the columns.
    postgres: OnceLock<String>,
}

/// Writes the values of one row in the order of the statement's columns.
pub(crate) trait BulkRow {
    fn bind(&self, row: &mut Values<'_>);
}

/// Where a row's values go.
pub(crate) struct Values<'a> {
    values: &'a mut Vec<Value>,
}

impl Values<'_> {
    pub(crate) fn put(&mut self, value: impl super::Bind) {
        self.values.push(value.into_value());
    }
}

impl Bulk {
    /// `columns` is how many values a row has. The rows stand between `head` and `tail`.
    pub(crate) fn new(head: &str, columns: usize, tail: &str) -> Bulk {
        let row = format!("({})", vec!["?"; columns].join(","));
        let rows = |size| vec![row.as_str(); size].join(",");
        Bulk {
            head: head.to_owned(),
            tail: tail.to_owned(),
            columns,
            sqlite: SIZES.map(|size| format!("{head} VALUES {} {tail}", rows(size))),
            postgres: OnceLock::new(),
        }
    }

    /// Runs the statement over all rows. The number of rows changed.
    pub(crate) async fn run<R: BulkRow>(
        &self,
        connection: &mut Connection,
        rows: &[R],
    ) -> Result<u64, Error> {
        if rows.is_empty() {
            return Ok(0);
        }
        match connection.on() {
            On::Sqlite(connection) => self.run_sqlite(connection, rows).await,
            On::Postgres(connection) => self.run_postgres(connection, rows).await,
            On::Command(command) => self.run_postgres(command.connection(), rows).await,
            On::SqlitePool(_) | On::PostgresPool(_) => unreachable!("a connection is no pool"),
        }
    }

    async fn run_sqlite<R: BulkRow>(
        &self,
        connection: &mut SqliteConnection,
        rows: &[R],
    ) -> Result<u64, Error> {
        let mut changed = 0;
        let mut rest = rows;
        let mut values = Vec::new();
        while !rest.is_empty() {
            let choice = SIZES.iter().position(|size| *size <= rest.len()).expect("1 always fits");
            let (now, later) = rest.split_at(SIZES[choice]);
            let mut arguments = SqliteArguments::default();
            for row in now {
                row.bind(&mut Values { values: &mut values });
                debug_assert_eq!(values.len(), self.columns);
                values.drain(..).for_each(|value| add_sqlite(&mut arguments, value));
            }
            let query = sqlx::query_with(&self.sqlite[choice], arguments);
            changed += query.execute(&mut *connection).await?.rows_affected();
            rest = later;
        }
        Ok(changed)
    }

    async fn run_postgres<R: BulkRow>(
        &self,
        connection: &mut PgConnection,
        rows: &[R],
    ) -> Result<u64, Error> {
        let mut changed = 0;
        for now in rows.chunks(ARRAY_MAX) {
            let columns = Columns::gather(now, self.columns);
            let sql = self.postgres.get_or_init(|| {
                let rows = columns.unnested();
                format!("{} SELECT * FROM {rows} {}", self.head, self.tail)
            });
            let query = sqlx::query_with(sql, columns.into_arguments());
            changed += query.execute(&mut *connection).await?.rows_affected();
        }
        Ok(changed)
    }
}

/// Rows turned into one array a column.
struct Columns(Vec<Column>);

enum Column {
    Integers(Vec<Option<i64>>),
    Texts(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

impl Columns {
    fn gather<R: BulkRow>(rows: &[R], width: usize) -> Columns {
        let mut columns: Vec<Column> = Vec::with_capacity(width);
        let mut values = Vec::with_capacity(width);
        for row in rows {
            row.bind(&mut Values { values: &mut values });
            debug_assert_eq!(values.len(), width);
            if columns.is_empty() {
                columns.extend(values.iter().map(|value| Column::like(value, rows.len())));
            }
            for (column, value) in columns.iter_mut().zip(values.drain(..)) {
                column.push(value);
            }
        }
        Columns(columns)
    }

    fn unnested(&self) -> String {
        let array = |(index, column): (usize, &Column)| {
            let kind = match column {
                Column::Integers(_) => "bigint",
                Column::Texts(_) => "text",
                Column::Bytes(_) => "bytea",
            };
            format!("${}::{kind}[]", index + 1)
        };
        let arrays: Vec<String> = self.0.iter().enumerate().map(array).collect();
        format!("UNNEST({})", arrays.join(", "))
    }

    fn into_arguments(self) -> PgArguments {
        let mut arguments = PgArguments::default();
        for column in self.0 {
            match column {
                Column::Integers(values) => arguments.add(values),
                Column::Texts(values) => arguments.add(values),
                Column::Bytes(values) => arguments.add(values),
            }
            .expect("arrays of numbers, text and bytes can always be bound");
        }
        arguments
    }
}

impl Column {
    fn like(value: &Value, room: usize) -> Column {
        match value {
            Value::Integer(_) => Column::Integers(Vec::with_capacity(room)),
            Value::Text(_) => Column::Texts(Vec::with_capacity(room)),
            Value::Bytes(_) => Column::Bytes(Vec::with_capacity(room)),
        }
    }

    fn push(&mut self, value: Value) {
        match (self, value) {
            (Column::Integers(column), Value::Integer(value)) => column.push(value),
            (Column::Texts(column), Value::Text(value)) => column.push(value),
            (Column::Bytes(column), Value::Bytes(value)) => column.push(value),
            _ => unreachable!("every row binds the same types, missing values too"),
        }
    }
}
