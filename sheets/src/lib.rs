//! Rate sheets in and out (B10, O1, O2, V-25, V-26): a vendor's file in any layout becomes rows with a
//! verdict each, a difference against the rates in force, and files that others can read. No async,
//! no SQL, no clock: bytes and moments come in, values go out.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod book;
mod cell;
mod deck;
mod difference;
mod export;
mod guard;
mod header;
mod layout;
mod mapping;
mod prefix;
mod reading;
mod report;
mod statement;
mod stream;
mod table;
mod tariff;
mod utc;
mod words;

pub use book::{SheetTerms, in_force, resolve, spans};
pub use cell::moment::{DateOrder, format as format_moment};
pub use cell::price::{DecimalSign, ExcessDecimals};
pub use deck::{Deck, DeckBuilder, DeckRow, OPEN, Said, Terms, WITHDRAWN, moment, second};
pub use difference::{Difference, Movement, Movements, RateMove, Taking, changes, compare};
pub use export::{
    ExportError, FileForm, Selection, export, export_under, notification, write_table,
};
pub use guard::{EMPTY, guarded, trimmed, unguarded};
pub use header::Column;
pub use layout::{CapChoice, Hours, Layout, LayoutPeriods, PeriodsApply, PriceChoice, PriceUnit};
pub use mapping::{Reading, SheetError, interpret};
pub use prefix::Prefix;
pub use reading::{Form, ReadError, Workbook, read_workbook};
pub use report::{Note, RowKind, TableReport, Tally};
pub use rust_xlsxwriter::XlsxError;
pub use statement::{
    Comparison, Decimal, Differences, DurationUnit, OurCall, Pair, RejectedRow, Statement,
    StatementLayout, StatementRole, TheirCall, TimeOf, compare_statement, read_statement,
};
pub use stream::{StreamError, TableStream};
pub use table::{Cell, CellKind, Table, TableBuilder};
pub use tariff::{
    Defaults, GroupHead, Tariff, TariffError, TariffRow, described, export_tariff, special_json,
};
pub use utc::{format_utc, parse_utc};
pub use words::{Claim, Role};
