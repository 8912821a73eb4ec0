//! What a statement answers. Integers of every width are one kind, so that a row reads the same from
//! both databases; what does not fit the wanted type is an error, never cut.

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::types::Decimal;
use sqlx::{ColumnIndex, Decode, Error, Postgres, Sqlite, TypeInfo, ValueRef};

/// One row of an answer.
pub struct Row(Inner);

enum Inner {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// One value of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell<'r> {
    /// NULL.
    Null,
    /// An integer of any width, a truth, or a sum of integers.
    Integer(i64),
    /// Text.
    Text(&'r str),
    /// Bytes.
    Bytes(&'r [u8]),
}

/// What can be read from a cell.
pub trait FromCell<'r>: Sized {
    /// Reads it; the error says what was there.
    fn from_cell(cell: Cell<'r>) -> Result<Self, String>;
}

impl Row {
    pub(super) fn from_sqlite(row: SqliteRow) -> Row {
        Row(Inner::Sqlite(row))
    }

    pub(super) fn from_postgres(row: PgRow) -> Row {
        Row(Inner::Postgres(row))
    }

    /// The value of a column, by its name or its number from 0.
    pub fn try_get<'r, T, I>(&'r self, index: I) -> Result<T, Error>
    where
        T: FromCell<'r>,
        I: ColumnIndex<SqliteRow> + ColumnIndex<PgRow> + Copy + std::fmt::Debug,
    {
        let cell = match &self.0 {
            Inner::Sqlite(row) => sqlite_cell(row, index),
            Inner::Postgres(row) => postgres_cell(row, index),
        }?;
        T::from_cell(cell).map_err(|what| Error::Decode(format!("column {index:?}: {what}").into()))
    }
}

fn unknown(kind: &str) -> Error {
    Error::Decode(format!("a column of type {kind}, which is never stored").into())
}

fn sqlite_cell<I: ColumnIndex<SqliteRow>>(row: &SqliteRow, index: I) -> Result<Cell<'_>, Error> {
    let value = sqlx::Row::try_get_raw(row, index)?;
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let kind = value.type_info().into_owned();
    let cell = match kind.name() {
        "INTEGER" | "BOOLEAN" => <i64 as Decode<Sqlite>>::decode(value).map(Cell::Integer),
        "TEXT" => <&str as Decode<Sqlite>>::decode(value).map(Cell::Text),
        "BLOB" => <&[u8] as Decode<Sqlite>>::decode(value).map(Cell::Bytes),
        other => return Err(unknown(other)),
    };
    cell.map_err(Error::Decode)
}

fn postgres_cell<I: ColumnIndex<PgRow>>(row: &PgRow, index: I) -> Result<Cell<'_>, Error> {
    let value = sqlx::Row::try_get_raw(row, index)?;
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let kind = value.type_info().into_owned();
    let integer = Cell::Integer;
    let cell = match kind.name() {
        "INT8" => <i64 as Decode<Postgres>>::decode(value).map(integer),
        "INT4" => <i32 as Decode<Postgres>>::decode(value).map(|v| integer(v.into())),
        "INT2" => <i16 as Decode<Postgres>>::decode(value).map(|v| integer(v.into())),
        "BOOL" => <bool as Decode<Postgres>>::decode(value).map(|v| integer(v.into())),
        // A sum of integers, perhaps divided: SQLite's integer division cuts off what is left.
        "NUMERIC" => <Decimal as Decode<Postgres>>::decode(value).and_then(|sum| {
            let whole = i64::try_from(sum.trunc());
            Ok(integer(whole.map_err(|_| format!("{sum} is no 64-bit integer"))?))
        }),
        "TEXT" | "VARCHAR" | "CHAR" | "NAME" => {
            <&str as Decode<Postgres>>::decode(value).map(Cell::Text)
        }
        "BYTEA" => <&[u8] as Decode<Postgres>>::decode(value).map(Cell::Bytes),
        other => return Err(unknown(other)),
    };
    cell.map_err(Error::Decode)
}

macro_rules! integers {
    ($($type:ty),+) => {
        $(impl FromCell<'_> for $type {
            fn from_cell(cell: Cell<'_>) -> Result<Self, String> {
                match cell {
                    Cell::Integer(number) => Self::try_from(number)
                        .map_err(|_| format!("{number} does not fit {}", stringify!($type))),
                    other => Err(format!("{other:?} is no integer")),
                }
            }
        })+
    };
}
integers!(i64, i32, u32, u16, u8);

impl FromCell<'_> for bool {
    fn from_cell(cell: Cell<'_>) -> Result<bool, String> {
        match cell {
            Cell::Integer(0) => Ok(false),
            Cell::Integer(1) => Ok(true),
            other => Err(format!("{other:?} is neither 0 nor 1")),
        }
    }
}

impl<'r> FromCell<'r> for &'r str {
    fn from_cell(cell: Cell<'r>) -> Result<&'r str, String> {
        match cell {
            Cell::Text(text) => Ok(text),
            other => Err(format!("{other:?} is no text")),
        }
    }
}

impl FromCell<'_> for String {
    fn from_cell(cell: Cell<'_>) -> Result<String, String> {
        <&str>::from_cell(cell).map(str::to_owned)
    }
}

impl<'r> FromCell<'r> for &'r [u8] {
    fn from_cell(cell: Cell<'r>) -> Result<&'r [u8], String> {
        match cell {
            Cell::Bytes(bytes) => Ok(bytes),
            other => Err(format!("{other:?} are no bytes")),
        }
    }
}

impl FromCell<'_> for Vec<u8> {
    fn from_cell(cell: Cell<'_>) -> Result<Vec<u8>, String> {
        <&[u8]>::from_cell(cell).map(<[u8]>::to_vec)
    }
}

impl<'r, T: FromCell<'r>> FromCell<'r> for Option<T> {
    fn from_cell(cell: Cell<'r>) -> Result<Option<T>, String> {
        if cell == Cell::Null { Ok(None) } else { T::from_cell(cell).map(Some) }
    }
}
