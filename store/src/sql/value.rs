//! What a statement is given: three kinds of values, each of which may be missing. All that this
//! crate stores is one of them: ids, money and moments are integers, words and prices are text.

use sqlx::Arguments;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;

/// One value of a statement. `None` is NULL; PostgreSQL wants to know of which type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Ids, counts, money, moments; truths are 0 and 1.
    Integer(Option<i64>),
    /// Words, JSON, decimals.
    Text(Option<String>),
    /// Op ids, hashes, records.
    Bytes(Option<Vec<u8>>),
}

/// What can be given to a statement.
pub trait Bind {
    /// NULL of the column type that this goes into.
    const NULL: Value;

    /// As a value.
    fn into_value(self) -> Value;
}

macro_rules! integers {
    ($($type:ty),+) => {
        $(impl Bind for $type {
            const NULL: Value = Value::Integer(None);

            fn into_value(self) -> Value {
                Value::Integer(Some(i64::from(self)))
            }
        })+
    };
}
integers!(i64, i32, u32, u16, u8, bool);

impl Bind for String {
    const NULL: Value = Value::Text(None);

    fn into_value(self) -> Value {
        Value::Text(Some(self))
    }
}

impl Bind for &str {
    const NULL: Value = Value::Text(None);

    fn into_value(self) -> Value {
        Value::Text(Some(self.to_owned()))
    }
}

impl Bind for Vec<u8> {
    const NULL: Value = Value::Bytes(None);

    fn into_value(self) -> Value {
        Value::Bytes(Some(self))
    }
}

impl Bind for &[u8] {
    const NULL: Value = Value::Bytes(None);

    fn into_value(self) -> Value {
        Value::Bytes(Some(self.to_vec()))
    }
}

impl<T: Bind> Bind for Option<T> {
    const NULL: Value = T::NULL;

    fn into_value(self) -> Value {
        self.map_or(T::NULL, T::into_value)
    }
}

impl<T: Bind + Clone> Bind for &T {
    const NULL: Value = T::NULL;

    fn into_value(self) -> Value {
        self.clone().into_value()
    }
}

const ALWAYS: &str = "numbers, text and bytes can always be bound";

pub(super) fn sqlite_arguments(values: Vec<Value>) -> SqliteArguments<'static> {
    let mut arguments = SqliteArguments::default();
    for value in values {
        add_sqlite(&mut arguments, value);
    }
    arguments
}

pub(super) fn add_sqlite(arguments: &mut SqliteArguments<'static>, value: Value) {
    match value {
        Value::Integer(value) => arguments.add(value),
        Value::Text(value) => arguments.add(value),
        Value::Bytes(value) => arguments.add(value),
    }
    .expect(ALWAYS);
}

pub(super) fn postgres_arguments(values: Vec<Value>) -> PgArguments {
    let mut arguments = PgArguments::default();
    for value in values {
        match value {
            Value::Integer(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
            Value::Bytes(value) => arguments.add(value),
        }
        .expect(ALWAYS);
    }
    arguments
}
