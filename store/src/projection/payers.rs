//! Who pays for calls besides the account that called: its resellers, and bundles.

use billing::{BundleGrant, Cdr, UpperCharge};

use super::collect::Used;
use super::rows::{posting_key, seconds};
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

/// In the order in which `BundleRow` binds them.
pub(crate) const BUNDLE_COLUMNS: [&str; 11] = [
    "id",
    "op_id",
    "account_id",
    "destination_set_id",
    "precedence",
    "increment_s",
    "valid_from",
    "valid_till",
    "granted_s",
    "granted_at",
    "note",
];

pub(crate) struct BundleRow<'a>(pub(crate) &'a BundleGrant);

impl BulkRow for BundleRow<'_> {
    fn bind(&self, row: &mut Values<'_>) {
        let grant = self.0;
        row.put(grant.bundle.0.cast_signed());
        row.put(posting_key(grant.op));
        row.put(grant.account.0.cast_signed());
        row.put(i64::from(grant.destinations.0));
        row.put(i32::from(grant.precedence));
        row.put(i64::from(grant.increment.max(1)));
        row.put(grant.valid_from.0);
        row.put(grant.valid_till.map(|till| till.0));
        row.put(i64::from(grant.seconds));
        row.put(grant.at.0);
        row.put(grant.note.clone());
    }
}

/// In the order in which `UseRow` binds them.
pub(crate) const USE_COLUMNS: [&str; 6] =
    ["call_id", "bundle_id", "level", "account_id", "seconds", "ended_at"];

pub(crate) struct UseRow<'a>(pub(crate) &'a Used);

impl BulkRow for UseRow<'_> {
    fn bind(&self, row: &mut Values<'_>) {
        let Used { call, at, used } = self.0;
        row.put(call.0.cast_signed());
        row.put(used.share.bundle.0.cast_signed());
        row.put(i32::from(used.level));
        row.put(used.account.0.cast_signed());
        row.put(i64::from(used.share.seconds));
        row.put(at.0);
    }
}
