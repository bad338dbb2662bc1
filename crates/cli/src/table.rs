//! Answers as text: a row for each thing, or a line for each member.

use serde_json::Value;

/// A row for each value, under the names of these members.
pub(crate) fn rows(values: &[Value], columns: &[&str]) -> String {
    let mut rows = vec![columns.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()];
    rows.extend(values.iter().map(|value| columns.iter().map(|name| text(&value[*name])).collect()));
    let widths: Vec<_> = (0..columns.len())
        .map(|at| {
            rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A line for each member, with members of members after a dot.
pub(crate) fn members(value: &Value) -> String {
    let mut lines = Vec::new();
    collect("", value, &mut lines);
    let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let line = |(name, text): &(String, String)| format!("{name:<width$}  {text}").trim_end().to_owned();
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn collect(name: &str, value: &Value, lines: &mut Vec<(String, String)>) {
    let below = |inner: &str| if name.is_empty() { inner.to_owned() } else { format!("{name}.{inner}") };
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(inner, value)| collect(&below(inner), value, lines));
        }
        Value::Array(values) if values.iter().any(|value| value.is_object()) => {
            values.iter().enumerate().for_each(|(at, value)| collect(&below(&at.to_string()), value, lines));
        }
        value => lines.push((name.to_owned(), text(value))),
    }
}

/// A value without quotation marks; a dash for nothing. Control characters do not reach the terminal.
fn text(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    };
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::{members, rows};
    use serde_json::json;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let values = [json!({"id": "a", "name": "long name"}), json!({"id": "bcd", "name": null})];
        assert_eq!(rows(&values, &["id", "name"]), "id   name\na    long name\nbcd  -");
    }

    #[test]
    fn members_of_members_are_named_in_full() {
        let value = json!({"id": "x", "key": {"id": "y\u{1b}[2J"}, "list": [1, 2], "steps": [{"node": "a"}]});
        assert_eq!(
            members(&value),
            "id            x\nkey.id        y [2J\nlist          1, 2\nsteps.0.node  a"
        );
    }
}
