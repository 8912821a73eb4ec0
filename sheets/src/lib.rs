//! Rate sheets in and out (B10, O1, O2, V-25, V-26): a vendor's file in any layout becomes rows with a
//! verdict each, a difference against the rates in force, and files that others can read. No async,
//! no SQL, no clock: bytes and moments come in, values go out.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod cell;
mod deck;
mod header;
mod layout;
mod mapping;
mod prefix;
mod reading;
mod report;
mod table;
mod words;

pub use cell::moment::DateOrder;
pub use cell::price::{DecimalSign, ExcessDecimals};
pub use deck::{Deck, DeckBuilder, DeckRow, OPEN, WITHDRAWN, moment, second};
pub use header::Column;
pub use layout::{Layout, PriceChoice, PriceUnit};
pub use mapping::{Reading, SheetError, interpret};
pub use prefix::Prefix;
pub use reading::{Form, ReadError, Workbook};
pub use report::{Note, RowKind, TableReport, Tally};
pub use table::{Cell, CellKind, Table, TableBuilder};
pub use words::{Claim, Role};
