//! Who pays for calls besides the account that called: its resellers.

use billing::{Cdr, UpperCharge};

use super::rows::seconds;
use crate::sql::{BulkRow, Values};

/// In the order in which `PayerRow` binds them.
pub(crate) const PAYER_COLUMNS: [&str; 15] = [
    "call_id",
    "level",
    "account_id",
    "amount",
    "currency",
    "billed_us",
    "bundle_us",
    "bundle_allowance_us",
    "rate_group_id",
    "rate_sheet_version",
    "rate_prefix_length",
    "charge",
    "ended_at",
    "destination_name",
    "tax",
];

/// What one reseller paid for a call.
pub(crate) struct PayerRow<'a> {
    cdr: &'a Cdr,
    level: i32,
    upper: &'a UpperCharge,
}

impl<'a> PayerRow<'a> {
    pub(crate) fn all(cdrs: &'a [Cdr]) -> impl Iterator<Item = PayerRow<'a>> {
        let of = |cdr: &'a Cdr| {
            cdr.upper.iter().zip(1..).map(move |(upper, level)| PayerRow { cdr, level, upper })
        };
        cdrs.iter().flat_map(of)
    }
}

impl BulkRow for PayerRow<'_> {
    fn bind(&self, row: &mut Values<'_>) {
        let charge = &self.upper.charge;
        row.put(self.cdr.call.0.cast_signed());
        row.put(self.level);
        row.put(self.upper.account.0.cast_signed());
        row.put(charge.amount.0);
        row.put(charge.applied.currency.code().to_owned());
        row.put(seconds(charge.billed_seconds));
        row.put(seconds(charge.bundle_seconds));
        row.put(seconds(charge.bundle_allowance));
        row.put(i64::from(charge.applied.group.0));
        row.put(i64::from(charge.applied.sheet_version));
        row.put(i32::from(charge.applied.prefix_length));
        row.put(charge.encode());
        row.put(self.cdr.ended_at.0);
        row.put(self.upper.destination.clone());
        row.put(super::rows::tax_in(charge));
    }
}
