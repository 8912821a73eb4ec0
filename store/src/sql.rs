//! SQL over two databases: SQLite in the data directory, or PostgreSQL. Every statement of this crate
//! is written once, in the SQL that both understand, with `?` for its values; this module hands it to
//! whichever database is there. What differs is here and in `views/`, nowhere else.
//!
//! The rules for a portable statement are in ARCHITECTURE.md.

mod address;
mod bulk;
mod connection;
mod query;
mod row;
mod schema;
mod trouble;
mod value;

pub use address::{BadDatabaseUrl, ConnectError, Database};
pub(crate) use bulk::{Bulk, BulkRow, Values};
pub use connection::{Connection, Executor, Pool, Transaction};
pub use query::{Builder, Done, Query, Scalar, query, query_scalar};
pub use row::{Cell, FromCell, Row};
pub(crate) use schema::has_tables;
pub(crate) use trouble::trouble;
pub use value::{Bind, Value};
