//! The journal as tables. `runner` follows the journal, `collect` makes batches of its records,
//! `apply` writes a batch in one transaction, `rows` knows the columns.

mod apply;
mod bundles;
mod collect;
mod payers;
mod receipts;
mod rerated;
mod rows;
mod runner;
mod told;

pub(crate) use collect::Collector;
pub(crate) use rows::{cdr_key, posting_key};
pub use runner::Projection;
pub(crate) use told::spend_limit_told;
