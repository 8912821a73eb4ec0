//! `report carrier-statement`: a carrier's own call records against ours (O13).

use serde_json::{Map, Value, json};

use super::args::CarrierStatement;
use super::client::{escape, query};
use super::{Context, Outcome, report, table};

const SUMS: [(&str, &str); 7] = [
    ("", "result"),
    ("CALLS", "calls"),
    ("THEIR SECONDS", "their_seconds"),
    ("OUR SECONDS", "our_seconds"),
    ("THEIR AMOUNT", "their_amount"),
    ("OUR COST", "our_cost"),
    ("DIFFERENCE", "difference"),
];
const ROWS: [(&str, &str); 13] = [
    ("RESULT", "result"),
    ("ROW", "row"),
    ("DIFFERS", "differs"),
    ("THEIR TIME", "their_time"),
    ("OUR TIME", "our_time"),
    ("FROM", "cli"),
    ("TO", "cld"),
    ("THEIR S", "their_seconds"),
    ("OUR S", "our_seconds"),
    ("THEIR AMOUNT", "their_amount"),
    ("OUR COST", "our_cost"),
    ("CALL", "call"),
    ("REASON", "reason"),
];
/// What a file has besides.
const FILE: [(&str, &str); 19] = [
    ("RESULT", "result"),
    ("WORKSHEET", "worksheet"),
    ("ROW", "row"),
    ("DIFFERS", "differs"),
    ("THEIR TIME", "their_time"),
    ("OUR TIME", "our_time"),
    ("FROM", "cli"),
    ("TO", "cld"),
    ("THEIR S", "their_seconds"),
    ("OUR S", "our_seconds"),
    ("OUR BILLED S", "our_billed_seconds"),
    ("THEIR RATE", "their_rate"),
    ("OUR RATE", "our_rate"),
    ("THEIR AMOUNT", "their_amount"),
    ("OUR COST", "our_cost"),
    ("DIFFERENCE", "difference"),
    ("CALL", "call"),
    ("LEG", "leg"),
    ("REASON", "reason"),
];

pub(super) fn run(context: &Context, asked: CarrierStatement) -> Outcome {
    let client = context.client()?;
    let layout = layout(&asked)?;
    let file = &asked.file;
    let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let parts = [
        ("carrier", Some(asked.carrier.clone())),
        ("file", file.file_name().map(|name| name.to_string_lossy().into_owned())),
        ("from", asked.from.clone()),
        ("till", asked.till.clone()),
        ("layout", (!layout.is_empty()).then(|| Value::Object(layout.clone()).to_string())),
        ("rows", asked.all.then(|| "differing,theirs_only,ours_only,rejected,matched".to_owned())),
    ];
    let answer = client.upload(&format!("/reports/carrier-statement{}", query(&parts)), &bytes)?;
    if asked.remember && !layout.is_empty() {
        let path = format!("/statement-layouts/{}", escape(&asked.carrier));
        client.command("PATCH", &path, &Value::Object(layout))?;
    }
    let items = answer["items"].as_array().map_or(&[][..], Vec::as_slice);
    match &asked.output.output {
        None => context.show(&answer, |answer| {
            tell(answer);
            if !items.is_empty() {
                print!("\n{}", table::render(items, &ROWS));
            }
        }),
        Some(output) => {
            report::write(output, items, &FILE)?;
            tell(&answer);
            println!("{} rows written to {}", items.len(), output.display());
        }
    }
    Ok(())
}

/// What the options say of the layout.
fn layout(asked: &CarrierStatement) -> Result<Map<String, Value>, String> {
    let mut layout = match asked.layout.as_deref().map(serde_json::from_str) {
        None => Map::new(),
        Some(Ok(Value::Object(fields))) => fields,
        Some(Ok(_)) => return Err("--layout: write an object such as {\"header_row\": 3}".into()),
        Some(Err(error)) => return Err(format!("--layout is not JSON: {error}")),
    };
    if !asked.column.is_empty() {
        let mut columns = Map::new();
        for column in &asked.column {
            // A header may hold the sign itself, a role does not.
            let (header, role) = column.rsplit_once('=').ok_or_else(|| {
                format!("--column {column:?}: write HEADER=ROLE, such as Start=time")
            })?;
            columns.insert(header.to_owned(), role.into());
        }
        layout.insert("columns".into(), Value::Object(columns));
    }
    if !asked.strip.is_empty() {
        layout.insert("strip".into(), json!(asked.strip));
    }
    if let Some(zone) = &asked.time_zone {
        layout.insert("time_zone".into(), zone.as_str().into());
    }
    let seconds =
        [("window_seconds", asked.window), ("duration_tolerance_seconds", asked.tolerance)];
    for (field, seconds) in seconds {
        if let Some(seconds) = seconds {
            layout.insert(field.into(), seconds.into());
        }
    }
    Ok(layout)
}

fn tell(answer: &Value) {
    let text = |field: &str| answer[field].as_str().unwrap_or_default();
    println!(
        "{} of {}, {} to {}, {}",
        text("file"),
        text("carrier"),
        text("from"),
        text("till"),
        text("currency")
    );
    println!(
        "  {} rows = {} matched + {} differing + {} only theirs + {} rejected; {} only ours",
        answer["rows_in"],
        answer["matched"],
        answer["differing"],
        answer["theirs_only"],
        answer["rejected"],
        answer["ours_only"]
    );
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        println!("  note: {}", warning.as_str().unwrap_or_default());
    }
    let mut sums = answer["sums"].as_array().cloned().unwrap_or_default();
    sums.push(answer["total"].clone());
    print!("\n{}", table::render(&sums, &SUMS));
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::args::Output;
    use super::*;

    #[test]
    fn options_become_fields_of_the_layout() {
        let mut asked = CarrierStatement {
            file: PathBuf::from("cdr.csv"),
            carrier: "acme".into(),
            from: None,
            till: None,
            time_zone: Some("Europe/Berlin".into()),
            strip: vec!["99".into()],
            column: vec!["A=B=time".into()],
            window: Some(30),
            tolerance: None,
            layout: Some("{\"header_row\": 3}".into()),
            remember: false,
            all: false,
            output: Output { output: None },
        };
        let expected = json!({"header_row": 3, "columns": {"A=B": "time"}, "strip": ["99"],
            "time_zone": "Europe/Berlin", "window_seconds": 30});
        assert_eq!(Value::Object(layout(&asked).unwrap()), expected);
        asked.column = vec!["Start".into()];
        assert!(layout(&asked).unwrap_err().contains("HEADER=ROLE"));
        asked.layout = Some("[]".into());
        assert!(layout(&asked).unwrap_err().contains("object"));
    }
}
