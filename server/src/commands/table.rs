//! Lists for people: columns as wide as their widest cell.

use serde_json::Value;

/// A cell: texts as they are, nothing for null, moments without their fraction.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if is_moment(text) => format!("{}Z", &text[..19]),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(","),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        other => other.to_string(),
    }
}

fn is_moment(text: &str) -> bool {
    text.len() > 20 && text.ends_with('Z') && text.as_bytes()[10] == b'T' && text.is_ascii()
}

/// The fields that say what an object is.
const FIRST: [&str; 7] = ["id", "name", "username", "password", "account", "number", "status"];

/// A table of `(title, field)` columns.
pub(crate) fn render(items: &[Value], columns: &[(&str, &str)]) -> String {
    if items.is_empty() {
        return "nothing\n".to_owned();
    }
    let titles = columns.iter().map(|(title, _)| (*title).to_owned()).collect();
    let mut rows: Vec<Vec<String>> = vec![titles];
    rows.extend(
        items.iter().map(|item| columns.iter().map(|(_, field)| cell(&item[*field])).collect()),
    );
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns.len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let gap = if line.is_empty() { "" } else { "  " };
            line.push_str(&format!("{gap}{cell:<width$}"));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// One object, a field a line.
pub(crate) fn render_fields(object: &Value) -> String {
    let Some(fields) = object.as_object() else { return String::new() };
    let width = fields.keys().map(String::len).max().unwrap_or(0);
    let mut lines: Vec<(&String, &Value)> = fields.iter().collect();
    // The map is in the order of the alphabet; what names the object comes first.
    lines.sort_by_key(|(name, _)| {
        FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len())
    });
    let line = |(name, value): (&String, &Value)| format!("{name:<width$}  {}\n", cell(value));
    lines.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let items = serde_json::json!([
            {"name": "a", "at": "2026-12-01T08:00:00.123Z", "ok": true, "list": [1, 2]},
            {"name": "longer", "at": null, "ok": false, "list": []},
        ]);
        let items = items.as_array().unwrap();
        let columns = [("NAME", "name"), ("AT", "at"), ("OK", "ok"), ("LIST", "list")];
        assert_eq!(
            render(items, &columns),
            "NAME    AT                    OK   LIST\n\
             a       2026-12-01T08:00:00Z  yes  1,2\n\
             longer  -                     no   -\n"
        );
        assert_eq!(render(&[], &columns), "nothing\n");
        assert_eq!(render_fields(&serde_json::json!({"a": 1, "id": "x"})), "id  x\na   1\n");
    }
}
