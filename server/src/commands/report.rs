//! `report …`: as a table, as JSON, or into a file as CSV, XLSX or JSON by its ending.

use std::path::Path;

use rust_xlsxwriter::Workbook;
use serde_json::{Value, json};

use super::args::{Output, ReportCommand, Spanned};
use super::client::query;
use super::{Context, Outcome, carrier_statement};

type Columns<'a> = &'a [(&'a str, &'a str)];

const PROFIT: [(&str, &str); 15] = [
    ("PERIOD", "period"),
    ("CUSTOMER", "customer"),
    ("CARRIER", "carrier"),
    ("SITE", "site"),
    ("DESTINATION", "destination"),
    ("NAME", "destination_name"),
    ("CURRENCY", "currency"),
    ("CALLS", "calls"),
    ("AT A LOSS", "loss_calls"),
    ("NO RATE", "split_calls"),
    ("SECONDS", "seconds"),
    ("REVENUE", "revenue"),
    ("COST", "cost"),
    ("PROFIT", "profit"),
    ("MARGIN %", "margin_percent"),
];
const QUALITY: [(&str, &str); 10] = [
    ("TRUNK", "trunk"),
    ("NAME", "friendly_name"),
    ("CARRIER", "carrier"),
    ("DESTINATION", "destination"),
    ("ATTEMPTS", "attempts"),
    ("ANSWERED", "answered"),
    ("ASR %", "asr_percent"),
    ("ACD S", "acd_s"),
    ("PDD MS", "pdd_ms"),
    ("SECONDS", "seconds"),
];
const BALANCES: [(&str, &str); 6] = [
    ("ID", "account"),
    ("ACCOUNT", "name"),
    ("CURRENCY", "currency"),
    ("RECEIVED", "received"),
    ("TAKEN", "taken"),
    ("BALANCE", "balance"),
];

pub(super) fn run(context: &Context, command: ReportCommand) -> Outcome {
    let span = |span: Spanned| [("from", span.from), ("till", span.till)];
    let (path, columns, output): (String, Columns<'_>, Output) = match command {
        ReportCommand::Profit { spanned, by, time_zone, output } => {
            let [from, till] = span(spanned);
            let parts = query(&[from, till, ("by", Some(by)), ("time_zone", time_zone)]);
            (format!("/reports/profit{parts}"), &PROFIT, output)
        }
        ReportCommand::Quality { spanned, digits, time_zone, output } => {
            let [from, till] = span(spanned);
            let digits = ("digits", Some(digits.to_string()));
            let parts = query(&[from, till, digits, ("time_zone", time_zone)]);
            (format!("/reports/quality{parts}"), &QUALITY, output)
        }
        ReportCommand::CarrierStatement(asked) => return carrier_statement::run(context, *asked),
        ReportCommand::Balances { at, output } => {
            (format!("/reports/balances{}", query(&[("at", at)])), &BALANCES, output)
        }
    };
    let answer = context.client()?.get(&path)?;
    match output.output {
        None => context.show_list(&answer, columns),
        Some(file) => {
            let items = answer["items"].as_array().map_or(&[][..], Vec::as_slice);
            write(&file, items, columns)?;
            let answer = json!({ "file": file, "rows": items.len() });
            context.show(&answer, |_| {
                println!("{} rows written to {}", items.len(), file.display());
            });
        }
    }
    Ok(())
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Into a file, in the form that its name's ending says.
pub(super) fn write(file: &Path, items: &[Value], columns: Columns<'_>) -> Outcome {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let bytes = match ending {
        "csv" => csv(items, columns).into_bytes(),
        "json" => serde_json::to_vec_pretty(items).map_err(|error| error.to_string())?,
        "xlsx" => xlsx(items, columns).map_err(|error| error.to_string())?,
        _ => return Err(format!("{}: end the name in .csv, .xlsx or .json", file.display())),
    };
    std::fs::write(file, bytes).map_err(|error| format!("{}: {error}", file.display()))
}

/// RFC 4180: what holds a comma, a quote or a line's end stands in quotes.
pub(super) fn csv(items: &[Value], columns: Columns<'_>) -> String {
    let quoted = |text: String| match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    };
    let line = |cells: Vec<String>| cells.join(",") + "\r\n";
    let fields = |(_, field): &(&str, &str)| (*field).to_owned();
    let mut text = line(columns.iter().map(fields).collect());
    for item in items {
        text += &line(columns.iter().map(|(_, field)| quoted(cell(&item[*field]))).collect());
    }
    text
}

/// Amounts stay text: a cell's number is a float, which would not be exact.
fn xlsx(items: &[Value], columns: Columns<'_>) -> Result<Vec<u8>, rust_xlsxwriter::XlsxError> {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    for (column, (_, field)) in (0_u16..).zip(columns) {
        sheet.write_string(0, column, *field)?;
        for (row, item) in (1_u32..).zip(items) {
            match &item[*field] {
                Value::Number(number) => {
                    let count = number.as_u64().and_then(|count| u32::try_from(count).ok());
                    match count {
                        Some(count) => sheet.write_number(row, column, count)?,
                        None => sheet.write_string(row, column, number.to_string())?,
                    }
                }
                other => sheet.write_string(row, column, cell(other))?,
            };
        }
    }
    book.save_to_buffer()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [(&str, &str); 3] = [("NAME", "name"), ("CALLS", "calls"), ("PROFIT", "profit")];

    #[test]
    fn a_report_is_written_as_csv_and_xlsx() {
        let items = [
            json!({"name": "Müller, \"M\"", "calls": 7, "profit": "-1.500000"}),
            json!({"name": null, "calls": 0, "profit": "0.000000"}),
        ];
        let expected = "name,calls,profit\r\n\
                        \"Müller, \"\"M\"\"\",7,-1.500000\r\n,0,0.000000\r\n";
        assert_eq!(csv(&items, &COLUMNS), expected);
        assert!(xlsx(&items, &COLUMNS).unwrap().starts_with(b"PK"));
        let wrong = write(Path::new("report.pdf"), &items, &COLUMNS).unwrap_err();
        assert!(wrong.contains(".csv, .xlsx or .json"), "{wrong}");
    }
}
