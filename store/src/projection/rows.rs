//! The columns of `cdr` and `posting`, and how the values of `billing` fill them.

use std::time::Duration;

use billing::{
    AppliedRate, Cdr, CdrCharge, CdrLine, DurationRounding, MoneyMode, OpId, Posting, PostingKind,
};
use vocabulary::{Attestation, CallId, CallKind, Direction, Jurisdiction, Party, Utc};

use crate::sql::{BulkRow, Values};

/// In the order in which `CdrRow` binds them.
pub(crate) const CDR_COLUMNS: [&str; 49] = [
    "call_id",
    "leg",
    "direction",
    "account_id",
    "subscriber_id",
    "trunk_id",
    "remote",
    "sip_call_id",
    "cli",
    "cld",
    "caller",
    "destination",
    "started_at",
    "ringing_at",
    "answered_at",
    "ended_at",
    "talked_us",
    "billed_us",
    "cause",
    "q850",
    "sip_status",
    "released_by",
    "amount",
    "currency",
    "rate_group_id",
    "rate_sheet_version",
    "rate_prefix",
    "price",
    "connect_fee",
    "first_increment_s",
    "next_increment_s",
    "rate_terms",
    "decisions",
    "post_dial_delay_us",
    "error_code",
    "charge",
    "bundle_us",
    "bundle_allowance_us",
    "rate_choice",
    "site_id",
    "destination_name",
    "report_currency",
    "report_rate",
    "kind",
    "did_id",
    "tax",
    "attestation",
    "lrn",
    "jurisdiction",
];

pub(crate) struct CdrRow<'a>(pub(crate) &'a Cdr);

impl BulkRow for CdrRow<'_> {
    fn bind(&self, row: &mut Values<'_>) {
        let cdr = self.0;
        row.put(cdr.call.0.cast_signed());
        row.put(cdr.leg);
        row.put(match cdr.direction {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        });
        row.put(cdr.account.map(|id| id.0.cast_signed()));
        row.put(cdr.subscriber.map(|id| id.0.cast_signed()));
        row.put(cdr.trunk.map(|id| id.0.cast_signed()));
        row.put(cdr.remote.map(|remote| remote.to_string()));
        row.put(cdr.sip_call_id.clone());
        row.put(cdr.cli.clone());
        row.put(cdr.cld.clone());
        row.put(cdr.normal_cli.map(|number| number.as_str().to_owned()));
        row.put(cdr.normal_cld.map(|number| number.as_str().to_owned()));
        row.put(cdr.started_at.0);
        row.put(cdr.ringing_at.map(|at: Utc| at.0));
        row.put(cdr.answered_at.map(|at: Utc| at.0));
        row.put(cdr.ended_at.0);
        row.put(micros(cdr.talked));
        let billed_seconds = cdr.charge.as_ref().map_or(0, |charge| charge.billed_seconds);
        row.put(i64::from(billed_seconds) * 1_000_000);
        row.put(cdr.cause.clone().into_owned());
        row.put(cdr.q850);
        row.put(cdr.sip_status);
        row.put(match cdr.by {
            Party::Caller => "caller",
            Party::Callee => "callee",
            Party::Switch => "switch",
        });
        row.put(cdr.charge.as_ref().map_or(0, |charge| charge.amount.0));
        bind_rate(cdr, row);
        row.put(decisions(&cdr.decisions));
        row.put(cdr.post_dial_delay().map(micros));
        row.put(error_code(cdr));
        row.put(cdr.charge.as_ref().map(CdrCharge::encode));
        let charge = cdr.charge.as_ref();
        row.put(seconds(charge.map_or(0, |charge| charge.bundle_seconds)));
        row.put(seconds(charge.map_or(0, |charge| charge.bundle_allowance)));
        row.put(cdr.rate_choice.word());
        row.put(cdr.site.map(|site| site.0.cast_signed()));
        row.put(cdr.destination.clone());
        row.put(cdr.report.map(|report| report.currency.code().to_owned()));
        row.put(cdr.report.map(|report| report.rate.rate().nanos()));
        row.put(cdr.kind.map(CallKind::word));
        row.put(cdr.kind.and_then(CallKind::did).map(|did| did.0.cast_signed()));
        row.put(cdr.charge.as_ref().map_or(0, tax_in));
        row.put(cdr.attestation.map(Attestation::letter));
        row.put(cdr.location.lrn.map(|lrn| lrn.as_str().to_owned()));
        row.put(cdr.location.jurisdiction.map(Jurisdiction::word));
    }
}

/// What of a charge are taxes, in micro-units (R13).
pub(super) fn tax_in(charge: &CdrCharge) -> i64 {
    charge.applied.tax_in(charge.amount).0
}

/// Seconds as microseconds.
pub(super) fn seconds(seconds: u32) -> i64 {
    i64::from(seconds) * 1_000_000
}

/// Why a leg that somebody should pay for has no price (J-28): it could not be held when the call
/// ended. Pricing again says more precisely why.
fn error_code(cdr: &Cdr) -> Option<&'static str> {
    let is_unpriced = cdr.answered_at.is_some() && cdr.account.is_some() && cdr.charge.is_none();
    let is_paid = cdr.kind.is_none_or(CallKind::is_carried);
    let is_carrier = is_paid && cdr.trunk.is_some() && !cdr.talked.is_zero();
    match cdr.direction {
        Direction::Ingress if is_unpriced => Some("charge_failed"),
        Direction::Egress if is_unpriced && is_carrier => Some("cost_failed"),
        _ => None,
    }
}

fn bind_rate(cdr: &Cdr, row: &mut Values<'_>) {
    let applied = cdr.charge.as_ref().map(|charge| &charge.applied);
    let rate = applied.map(|applied| applied.rate);
    row.put(applied.map(|applied| applied.currency.code().to_owned()));
    row.put(applied.map(|applied| applied.group.0));
    row.put(applied.map(|applied| applied.sheet_version));
    row.put(cdr.rated_prefix().map(str::to_owned));
    row.put(rate.map(|rate| rate.price.to_string()));
    row.put(rate.map(|rate| rate.connect_fee.to_string()));
    row.put(rate.map(|rate| rate.first_increment));
    row.put(rate.map(|rate| rate.next_increment));
    row.put(applied.and_then(terms));
}

/// What of the rate differs from the usual; `None` for most.
pub(super) fn terms(applied: &AppliedRate) -> Option<String> {
    let mut terms = serde_json::Map::new();
    let rate = &applied.rate;
    let seconds = [
        ("grace_s", rate.grace_seconds),
        ("free_s", rate.free_seconds),
        ("minimum_s", rate.minimum_seconds),
    ];
    for (name, seconds) in seconds {
        if seconds > 0 {
            terms.insert(name.into(), seconds.into());
        }
    }
    if !rate.minimum_charge.is_zero() {
        terms.insert("minimum_charge".into(), rate.minimum_charge.to_string().into());
    }
    let rounding = match applied.duration_rounding {
        DurationRounding::Up => None,
        DurationRounding::Nearest => Some("half_up"),
        DurationRounding::Down => Some("down"),
    };
    if let Some(rounding) = rounding {
        terms.insert("duration_rounding".into(), rounding.into());
    }
    let mode = match applied.money_rounding.mode {
        MoneyMode::Up => None,
        MoneyMode::Down => Some("down"),
        MoneyMode::HalfUp => Some("half_up"),
        MoneyMode::HalfEven => Some("half_even"),
    };
    if let Some(mode) = mode {
        terms.insert("money_rounding".into(), mode.into());
    }
    if applied.money_rounding.decimals != 6 {
        terms.insert("decimals".into(), applied.money_rounding.decimals.into());
    }
    if rate.unit_seconds != 60 {
        terms.insert("unit_s".into(), rate.unit_seconds.into());
    }
    if let Some(taxes) = &applied.taxes {
        let taxes = serde_json::from_str(&crate::taxes::written(taxes));
        terms.insert("taxes".into(), taxes.expect("written as JSON"));
    }
    if let Some(special) = &applied.special {
        // The rate by which the price was converted, for those who read with SQL (R12, V-27).
        if let Some(exchange) = special.exchange {
            terms.insert("exchange_from".into(), exchange.from.code().into());
            terms.insert("exchange_rate".into(), exchange.rate.rate().to_string().into());
        }
        // Steps, windows, surcharges and the rest, as billing packs them.
        let packed = applied.to_bytes();
        let hex: String = packed.iter().map(|byte| format!("{byte:02x}")).collect();
        terms.insert("applied".into(), hex.into());
    }
    (!terms.is_empty()).then(|| serde_json::Value::Object(terms).to_string())
}

/// Written by hand: this is most of a row's bytes, and a tree of values would double its cost.
pub(super) fn decisions(lines: &[CdrLine]) -> Option<String> {
    if lines.is_empty() {
        return None;
    }
    let mut json =
        Vec::with_capacity(lines.iter().map(|l| l.code.len() + l.sentence.len() + 30).sum());
    for (index, line) in lines.iter().enumerate() {
        json.extend_from_slice(if index == 0 { b"[{\"code\":" } else { b"},{\"code\":" });
        put_json(&mut json, &line.code);
        json.extend_from_slice(b",\"sentence\":");
        put_json(&mut json, &line.sentence);
    }
    json.extend_from_slice(b"}]");
    Some(String::from_utf8(json).expect("made of texts"))
}

fn put_json(json: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(json, text).expect("a text is always written to memory");
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// What makes a CDR unique.
pub(crate) fn cdr_key(cdr: &Cdr) -> (CallId, u8) {
    (cdr.call, cdr.leg)
}

/// An op id as its column holds it.
pub(crate) fn posting_key(op: OpId) -> Vec<u8> {
    op.0.to_be_bytes().to_vec()
}

/// In the order in which `PostingRow` binds them.
pub(crate) const POSTING_COLUMNS: [&str; 13] = [
    "op_id",
    "kind",
    "debit_account_id",
    "credit_account_id",
    "amount",
    "currency",
    "at",
    "call_id",
    "leg",
    "level",
    "note",
    "tax",
    "taxes",
];

pub(crate) struct PostingRow<'a>(pub(crate) &'a Posting);

impl BulkRow for PostingRow<'_> {
    fn bind(&self, row: &mut Values<'_>) {
        let posting = self.0;
        row.put(posting_key(posting.op));
        row.put(match posting.kind {
            PostingKind::Charge => "charge",
            PostingKind::Cost => "cost",
            PostingKind::TopUp => "topup",
            PostingKind::Adjustment => "adjustment",
            PostingKind::ChargeRaised => "charge_raised",
            PostingKind::ChargeLowered => "charge_lowered",
            PostingKind::CostRaised => "cost_raised",
            PostingKind::CostLowered => "cost_lowered",
            PostingKind::Payout => "payout",
            PostingKind::Fee => "fee",
            PostingKind::FeeRefund => "fee_refund",
            PostingKind::CreditNote => "credit_note",
            PostingKind::Voucher => "voucher",
        });
        row.put(posting.debit.0.cast_signed());
        row.put(posting.credit.0.cast_signed());
        row.put(posting.amount.0);
        row.put(posting.currency.code().to_owned());
        row.put(posting.at.0);
        row.put(posting.call.map(|call| call.0.cast_signed()));
        // The id that a call's posting is given ends in the level of its payer or in the number of
        // its egress leg.
        let is_charge = matches!(
            posting.kind,
            PostingKind::Charge | PostingKind::ChargeRaised | PostingKind::ChargeLowered
        );
        let part = posting.call.and_then(|_| posting.op.call_part()).map(i32::from);
        row.put(part.map(|leg| if is_charge { 0 } else { leg }));
        row.put(part.map(|level| if is_charge { level } else { 0 }));
        row.put(posting.note.clone());
        row.put(posting.tax.as_ref().map_or(0, |tax| tax.contained.0));
        row.put(posting.tax.as_ref().map(|tax| crate::taxes::written(&tax.taxes)));
    }
}
