//! Rate groups, rates and sheets on the wire.

use serde::Serialize;
use store::directory as rows;
use store::moment::format_utc;
use store::rate_deck::{SheetCounts, SheetRow, StoredSheet};

#[derive(Serialize)]
pub(crate) struct RateGroup {
    name: String,
    currency: String,
    rounding: &'static str,
    decimals: u8,
    rates: u64,
}

impl From<rows::RateGroup> for RateGroup {
    fn from(group: rows::RateGroup) -> RateGroup {
        RateGroup {
            name: group.name,
            currency: group.currency,
            rounding: group.rounding.as_str(),
            decimals: group.decimals,
            rates: group.rate_count,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Rate {
    prefix: String,
    destination: String,
    price: String,
    connect_fee: String,
    first_increment: u32,
    next_increment: u32,
    grace_seconds: u32,
    free_seconds: u32,
    minimum_seconds: u32,
    minimum_charge: String,
    blocked: bool,
    valid_from: Option<String>,
    valid_till: Option<String>,
    sheet: u32,
}

impl From<SheetRow> for Rate {
    fn from(row: SheetRow) -> Rate {
        let rate = row.rate.rate;
        Rate {
            prefix: row.rate.prefix,
            destination: row.destination,
            price: rate.price.to_string(),
            connect_fee: rate.connect_fee.to_string(),
            first_increment: rate.first_increment,
            next_increment: rate.next_increment,
            grace_seconds: rate.grace_seconds,
            free_seconds: rate.free_seconds,
            minimum_seconds: rate.minimum_seconds,
            minimum_charge: rate.minimum_charge.to_string(),
            blocked: rate.is_blocked,
            valid_from: row.rate.valid_from.map(format_utc),
            valid_till: row.rate.valid_till.map(format_utc),
            sheet: row.rate.sheet_version,
        }
    }
}

/// A sheet that was imported, or with `imported` false would be.
#[derive(Serialize)]
pub(crate) struct Sheet {
    id: Option<u64>,
    rate_group: String,
    file: String,
    imported: bool,
    imported_at: Option<String>,
    rows: u64,
    added: u64,
    increased: u64,
    decreased: u64,
    changed: u64,
    unchanged: u64,
}

impl Sheet {
    pub(crate) fn preview(group: &str, file: &str, rows: u64, counts: SheetCounts) -> Sheet {
        Sheet {
            id: None,
            rate_group: group.to_owned(),
            file: file.to_owned(),
            imported: false,
            imported_at: None,
            rows,
            added: counts.added,
            increased: counts.increased,
            decreased: counts.decreased,
            changed: counts.changed,
            unchanged: counts.unchanged,
        }
    }
}

impl From<StoredSheet> for Sheet {
    fn from(sheet: StoredSheet) -> Sheet {
        Sheet {
            id: Some(sheet.id),
            imported: true,
            imported_at: Some(format_utc(sheet.imported_at)),
            ..Sheet::preview(&sheet.group, &sheet.file, sheet.row_count, sheet.counts)
        }
    }
}
