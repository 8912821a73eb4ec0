//! The comparison with a carrier's call records on the wire.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use sheets::{Comparison, Decimal, Pair, RejectedRow, Statement, StatementLayout, TheirCall};
use store::directory::Account;
use store::moment::format_utc;
use store::statement::CarrierLeg;
use vocabulary::Utc;

use crate::Problem;
use crate::carrier_statement::minute_price;

/// What may become of a row, and of a call of ours.
const RESULTS: [&str; 5] = ["differing", "theirs_only", "ours_only", "rejected", "matched"];

/// Which of them are told one by one: all but those that match, if nothing is said.
pub(crate) fn statement_rows(asked: Option<&str>) -> Result<Vec<&'static str>, Problem> {
    let Some(asked) = asked else { return Ok(RESULTS[..4].to_vec()) };
    let words = asked.split(',').map(str::trim).filter(|word| !word.is_empty());
    words
        .map(|word| {
            let known = RESULTS.iter().find(|result| **result == word);
            known.copied().ok_or_else(|| {
                let words = RESULTS.join(", ");
                Problem::invalid("rows", format!("{word:?} is not one of {words}"))
            })
        })
        .collect()
}

/// How a carrier writes its records.
pub(crate) fn statement_layout(carrier: &str, layout: &StatementLayout) -> Value {
    json!({ "carrier": carrier, "layout": layout })
}

/// A file that was compared.
pub(crate) struct ComparedStatement {
    pub(crate) statement: Statement,
    pub(crate) legs: Vec<CarrierLeg>,
    pub(crate) comparison: Comparison,
    pub(crate) layout: StatementLayout,
    pub(crate) span: (Utc, Utc),
}

/// Sums of one result. Money in billionths.
#[derive(Clone, Copy, Default)]
struct Sums {
    calls: u64,
    their_time: Duration,
    our_time: Duration,
    their_nanos: i128,
    our_nanos: i128,
}

impl Sums {
    fn add(&mut self, theirs: Option<&TheirCall>, ours: Option<&CarrierLeg>) {
        self.calls += 1;
        self.their_time += theirs.map_or(Duration::ZERO, |call| call.duration);
        self.our_time += ours.map_or(Duration::ZERO, |leg| leg.billed);
        self.their_nanos += i128::from(theirs.and_then(|call| call.amount).map_or(0, |a| a.nanos));
        self.our_nanos += i128::from(ours.map_or(0, |leg| leg.cost.0)) * 1_000;
    }

    fn plus(self, other: Sums) -> Sums {
        Sums {
            calls: self.calls + other.calls,
            their_time: self.their_time + other.their_time,
            our_time: self.our_time + other.our_time,
            their_nanos: self.their_nanos + other.their_nanos,
            our_nanos: self.our_nanos + other.our_nanos,
        }
    }

    fn to_json(self, result: &str) -> Value {
        json!({
            "result": result,
            "calls": self.calls,
            "their_seconds": seconds(self.their_time),
            "our_seconds": seconds(self.our_time),
            "their_amount": amount(self.their_nanos),
            "our_cost": amount(self.our_nanos),
            "difference": amount(self.their_nanos - self.our_nanos),
        })
    }
}

/// Billionths with six decimals, or with as many more as there are.
fn amount(nanos: i128) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let size = nanos.unsigned_abs();
    let mut text = format!("{sign}{}.{:09}", size / 1_000_000_000, size % 1_000_000_000);
    while text.ends_with('0') && text.len() - text.find('.').unwrap_or(0) > 7 {
        text.pop();
    }
    text
}

/// Seconds, with decimals if there are any.
fn seconds(time: Duration) -> String {
    let text = format!("{}.{:06}", time.as_secs(), time.subsec_micros());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn decimal(value: Option<Decimal>) -> Value {
    value.map_or(Value::Null, |value| amount(value.nanos.into()).into())
}

impl ComparedStatement {
    /// Everything, with the rows of the results that are wanted, in the order of `RESULTS`.
    pub(crate) fn to_json(&self, file: &str, carrier: &Account, wanted: &[&str]) -> Value {
        let sums = self.sums();
        let of = |result: &str| sums.get(result).copied().unwrap_or_default();
        let counts = RESULTS.map(|result| of(result).to_json(result));
        let rejected = self.statement.rejected.len() as u64;
        let both = of("matched").plus(of("differing"));
        let theirs = both.plus(of("theirs_only"));
        let ours = both.plus(of("ours_only"));
        json!({
            "carrier": carrier.name,
            "currency": carrier.currency,
            "file": file,
            "from": format_utc(self.span.0),
            "till": format_utc(self.span.1),
            "lines": self.statement.lines,
            "other_lines": self.statement.others,
            // rows_in = matched + differing + theirs_only + rejected
            "rows_in": theirs.calls + rejected,
            "matched": of("matched").calls,
            "differing": of("differing").calls,
            "theirs_only": of("theirs_only").calls,
            "rejected": rejected,
            "ours_only": of("ours_only").calls,
            "ours": ours.calls,
            "sums": counts,
            "total": Sums {
                our_time: ours.our_time,
                our_nanos: ours.our_nanos,
                ..theirs
            }.to_json("total"),
            "columns": self.columns(),
            "layout": self.layout,
            "warnings": self.warnings(),
            "items": self.items(wanted),
        })
    }

    fn result(pair: &Pair) -> &'static str {
        if pair.differences.any() { "differing" } else { "matched" }
    }

    fn sums(&self) -> BTreeMap<&'static str, Sums> {
        let mut sums: BTreeMap<&'static str, Sums> = BTreeMap::new();
        for pair in &self.comparison.pairs {
            let (theirs, ours) = (&self.statement.calls[pair.theirs], &self.legs[pair.ours]);
            sums.entry(Self::result(pair)).or_default().add(Some(theirs), Some(ours));
        }
        for at in &self.comparison.theirs_only {
            sums.entry("theirs_only").or_default().add(Some(&self.statement.calls[*at]), None);
        }
        for at in &self.comparison.ours_only {
            sums.entry("ours_only").or_default().add(None, Some(&self.legs[*at]));
        }
        let rejected = sums.entry("rejected").or_default();
        rejected.calls = self.statement.rejected.len() as u64;
        sums
    }

    fn columns(&self) -> Vec<Value> {
        let tables = self.statement.workbook.tables.iter().zip(&self.statement.columns);
        let columns = tables.flat_map(|(table, columns)| {
            columns.iter().map(|(header, role)| {
                json!({
                    "worksheet": table.name(),
                    "column": header,
                    "role": role.map(sheets::StatementRole::as_str),
                })
            })
        });
        columns.collect()
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = self.statement.warnings.clone();
        if let Some(shift) = self.comparison.better_shift {
            let sign = if shift < 0 { "-" } else { "+" };
            let (hours, minutes) = (shift.abs() / 3_600, shift.abs() / 60 % 60);
            warnings.push(format!(
                "most calls would match with their times moved by {sign}{hours:02}:{minutes:02}: look \
                 at `time_zone` in the layout"
            ));
        }
        warnings
    }

    fn items(&self, wanted: &[&str]) -> Vec<Value> {
        let mut items = Vec::new();
        for result in RESULTS.iter().filter(|result| wanted.contains(result)) {
            match *result {
                "theirs_only" => {
                    let calls = self.comparison.theirs_only.iter();
                    let calls = calls.map(|at| &self.statement.calls[*at]);
                    items.extend(calls.map(|call| self.item(result, Some(call), None)));
                }
                "ours_only" => {
                    let legs = self.comparison.ours_only.iter().map(|at| &self.legs[*at]);
                    items.extend(legs.map(|leg| self.item(result, None, Some(leg))));
                }
                "rejected" => {
                    items.extend(self.statement.rejected.iter().map(|row| self.refused(row)));
                }
                _ => {
                    let pairs = self.comparison.pairs.iter();
                    let pairs = pairs.filter(|pair| Self::result(pair) == *result);
                    items.extend(pairs.map(|pair| self.pair(result, pair)));
                }
            }
        }
        items
    }

    fn pair(&self, result: &str, pair: &Pair) -> Value {
        let (theirs, ours) = (&self.statement.calls[pair.theirs], &self.legs[pair.ours]);
        let mut item = self.item(result, Some(theirs), Some(ours));
        let found = pair.differences;
        let differs =
            [("duration", found.duration), ("price", found.price), ("amount", found.amount)];
        let differs = differs.iter().filter(|(_, is)| *is).map(|(word, _)| *word);
        item["differs"] = differs.collect::<Vec<_>>().join(",").into();
        item
    }

    fn worksheet(&self, table: u16) -> &str {
        self.statement.workbook.tables.get(usize::from(table)).map_or("", |table| table.name())
    }

    fn item(&self, result: &str, theirs: Option<&TheirCall>, ours: Option<&CarrierLeg>) -> Value {
        let price = ours.and_then(|leg| leg.charge.as_ref()).and_then(minute_price);
        let their_nanos = theirs.and_then(|call| call.amount).map(|amount| amount.nanos);
        let our_nanos = ours.map(|leg| i128::from(leg.cost.0) * 1_000);
        let difference = their_nanos.map_or(0, i128::from) - our_nanos.unwrap_or(0);
        let is_counted = their_nanos.is_some() || theirs.is_none();
        json!({
            "result": result,
            "worksheet": theirs.map(|call| self.worksheet(call.row.0)),
            "row": theirs.map(|call| call.line),
            "their_time": theirs.map(|call| format_utc(call.at)),
            "our_time": ours.map(|leg| format_utc(leg.answered_at.unwrap_or(leg.started_at))),
            "cli": theirs.map(|call| call.cli.as_str()).or(ours.map(|leg| leg.cli.as_str())),
            "cld": theirs.map(|call| call.cld.as_str()).or(ours.map(|leg| leg.cld.as_str())),
            "their_seconds": theirs.map(|call| seconds(call.duration)),
            "our_seconds": ours.map(|leg| seconds(leg.talked)),
            "our_billed_seconds": ours.map(|leg| seconds(leg.billed)),
            "their_rate": decimal(theirs.and_then(|call| call.rate)),
            "our_rate": price.map(|nanos| amount(nanos.into())),
            "their_amount": decimal(theirs.and_then(|call| call.amount)),
            "our_cost": our_nanos.map(amount),
            "difference": is_counted.then(|| amount(difference)),
            "call": ours.map(|leg| leg.call.to_string()),
            "leg": ours.map(|leg| leg.leg),
        })
    }

    fn refused(&self, row: &RejectedRow) -> Value {
        json!({
            "result": "rejected",
            "worksheet": self.worksheet(row.row.0),
            "row": row.line,
            "reason": row.why,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_show_every_digit_and_at_least_six() {
        assert_eq!(amount(0), "0.000000");
        assert_eq!(amount(-47_950_000), "-0.047950");
        assert_eq!(amount(1_234_567_891), "1.234567891");
        assert_eq!(seconds(Duration::from_micros(65_500_000)), "65.5");
        assert_eq!(seconds(Duration::from_secs(100)), "100");
    }
}
