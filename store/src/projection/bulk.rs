//! Many rows in few statements: multi-row `VALUES` in a few fixed sizes, so that each statement is
//! prepared once and then only bound. Measured against one statement a row it costs a third.

use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Arguments, Executor, Sqlite};

/// Rows a statement, largest first. SQLite takes 32,766 parameters; 64 rows of 60 columns are well
/// below that.
const SIZES: [usize; 4] = [64, 16, 4, 1];

/// One statement in its fixed sizes: `head (?,?),(?,?) tail`.
pub(crate) struct Bulk {
    sql: [String; 4],
}

/// Writes the values of one row in the order of the statement's columns.
pub(crate) trait Row {
    fn bind(&self, row: &mut Values<'_>);
}

/// Where a row's values go.
pub(crate) struct Values<'a> {
    arguments: &'a mut SqliteArguments<'static>,
    count: usize,
}

impl Values<'_> {
    pub(crate) fn put<T>(&mut self, value: T)
    where
        T: sqlx::Encode<'static, Sqlite> + sqlx::Type<Sqlite> + 'static,
    {
        self.arguments.add(value).expect("numbers, text and bytes can always be bound");
        self.count += 1;
    }
}

impl Bulk {
    /// `columns` is how many values a row has.
    pub(crate) fn new(head: &str, columns: usize, tail: &str) -> Bulk {
        let row = format!("({})", vec!["?"; columns].join(","));
        Bulk {
            sql: SIZES.map(|size| format!("{head} {} {tail}", vec![row.as_str(); size].join(","))),
        }
    }

    /// Runs the statement over all rows. The number of rows changed.
    pub(crate) async fn run<R: Row>(
        &self,
        connection: &mut SqliteConnection,
        rows: &[R],
    ) -> Result<u64, sqlx::Error> {
        let mut changed = 0;
        let mut rest = rows;
        while !rest.is_empty() {
            let choice = SIZES.iter().position(|size| *size <= rest.len()).expect("1 always fits");
            let (now, later) = rest.split_at(SIZES[choice]);
            let mut arguments = SqliteArguments::default();
            let mut columns = None;
            for row in now {
                let mut values = Values { arguments: &mut arguments, count: 0 };
                row.bind(&mut values);
                debug_assert_eq!(*columns.get_or_insert(values.count), values.count);
            }
            let query = sqlx::query_with(&self.sql[choice], arguments);
            changed += connection.execute(query).await?.rows_affected();
            rest = later;
        }
        Ok(changed)
    }
}
