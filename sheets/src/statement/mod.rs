//! A carrier's own call records, in whatever layout it sends them, against ours (O13).

mod layout;
mod matching;
mod reading;

pub use layout::{DurationUnit, StatementLayout, StatementRole, TimeOf};
pub use matching::{Comparison, Differences, OurCall, Pair, compare_statement};
pub use reading::{Decimal, RejectedRow, Statement, TheirCall, read_statement};
