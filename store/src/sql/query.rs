//! A statement with its values, and one that is put together piece by piece.

use std::borrow::Cow;
use std::marker::PhantomData;

use sqlx::Error;

use super::connection::Executor;
use super::row::{FromCell, Row};
use super::value::{Bind, Value};

/// A statement and what it is given. `?` takes the next value, `?2` the second.
#[must_use = "a statement does nothing until it is run"]
pub struct Query<'q> {
    pub(super) sql: Cow<'q, str>,
    pub(super) values: Vec<Value>,
}

/// What became of a statement without rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done(pub(super) u64);

impl Done {
    /// How many rows it wrote or removed.
    pub fn rows_affected(self) -> u64 {
        self.0
    }
}

/// A statement; its values follow with [`Query::bind`].
pub fn query<'q>(sql: impl Into<Cow<'q, str>>) -> Query<'q> {
    Query { sql: sql.into(), values: Vec::new() }
}

/// A statement whose rows have one column that is wanted.
pub fn query_scalar<'q, T>(sql: impl Into<Cow<'q, str>>) -> Scalar<'q, T> {
    Scalar { query: query(sql), kind: PhantomData }
}

impl Query<'_> {
    /// Gives the next value.
    pub fn bind(mut self, value: impl Bind) -> Self {
        self.values.push(value.into_value());
        self
    }

    /// Runs it.
    pub async fn execute(self, executor: impl Executor<'_>) -> Result<Done, Error> {
        executor.on().execute(self).await.map(Done)
    }

    /// All rows.
    pub async fn fetch_all(self, executor: impl Executor<'_>) -> Result<Vec<Row>, Error> {
        executor.on().fetch_all(self).await
    }

    /// The first row, if there is one.
    pub async fn fetch_optional(self, executor: impl Executor<'_>) -> Result<Option<Row>, Error> {
        executor.on().fetch_optional(self).await
    }

    /// The first row; an error if there is none.
    pub async fn fetch_one(self, executor: impl Executor<'_>) -> Result<Row, Error> {
        executor.on().fetch_optional(self).await?.ok_or(Error::RowNotFound)
    }
}

/// A statement for one column.
#[must_use = "a statement does nothing until it is run"]
pub struct Scalar<'q, T> {
    query: Query<'q>,
    kind: PhantomData<fn() -> T>,
}

impl<T: for<'r> FromCell<'r>> Scalar<'_, T> {
    /// Gives the next value.
    pub fn bind(mut self, value: impl Bind) -> Self {
        self.query.values.push(value.into_value());
        self
    }

    /// The first column of all rows.
    pub async fn fetch_all(self, executor: impl Executor<'_>) -> Result<Vec<T>, Error> {
        let rows = executor.on().fetch_all(self.query).await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }

    /// The first column of the first row, if there is one.
    pub async fn fetch_optional(self, executor: impl Executor<'_>) -> Result<Option<T>, Error> {
        let row = executor.on().fetch_optional(self.query).await?;
        row.map(|row| row.try_get(0)).transpose()
    }

    /// The first column of the first row; an error if there is none.
    pub async fn fetch_one(self, executor: impl Executor<'_>) -> Result<T, Error> {
        self.fetch_optional(executor).await?.ok_or(Error::RowNotFound)
    }
}

/// A statement put together piece by piece.
pub struct Builder {
    sql: String,
    values: Vec<Value>,
}

impl Builder {
    /// Begins with this.
    pub fn new(sql: &str) -> Builder {
        Builder { sql: sql.to_owned(), values: Vec::new() }
    }

    /// Goes on with this: text of the program, never of a user.
    pub fn push(&mut self, sql: &str) -> &mut Builder {
        self.sql.push_str(sql);
        self
    }

    /// A value at this place.
    pub fn push_bind(&mut self, value: impl Bind) -> &mut Builder {
        self.sql.push('?');
        self.values.push(value.into_value());
        self
    }

    /// Values with commas between them.
    pub fn push_list<T: Bind>(&mut self, values: impl IntoIterator<Item = T>) -> &mut Builder {
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.sql.push_str(", ");
            }
            self.push_bind(value);
        }
        self
    }

    /// The statement.
    pub fn build(self) -> Query<'static> {
        Query { sql: Cow::Owned(self.sql), values: self.values }
    }
}

/// `?` and `?2` as PostgreSQL writes them: `$1`, `$2`.
pub(super) fn with_dollars(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 16);
    let mut next = 1;
    let mut is_quoted = false;
    let mut rest = sql.chars().peekable();
    while let Some(c) = rest.next() {
        is_quoted ^= c == '\'';
        if c != '?' || is_quoted {
            out.push(c);
            continue;
        }
        out.push('$');
        if rest.peek().is_none_or(|c| !c.is_ascii_digit()) {
            out.push_str(&next.to_string());
            next += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sql: &str, expected: &str) {
        assert_eq!(with_dollars(sql), expected);
    }

    #[test]
    fn placeholders_are_numbered_outside_of_quotes() {
        check("SELECT 1", "SELECT 1");
        check("a = ? AND b IN (?, ?)", "a = $1 AND b IN ($2, $3)");
        check("a = ?1 OR b = ?2 OR c = ?1", "a = $1 OR b = $2 OR c = $1");
        check("a = 'what?' AND b = ?", "a = 'what?' AND b = $1");
        check("a = 'it''s?' AND b = ?", "a = 'it''s?' AND b = $1");
    }

    #[test]
    fn a_builder_numbers_what_it_binds() {
        let mut builder = Builder::new("SELECT 1 WHERE a = ");
        builder.push_bind(7).push(" AND b IN (").push_list(["x", "y"]).push(")");
        let query = builder.build();
        assert_eq!(query.sql, "SELECT 1 WHERE a = ? AND b IN (?, ?)");
        assert_eq!(query.values.len(), 3);
        assert_eq!(query.values[0], Value::Integer(Some(7)));
    }
}
