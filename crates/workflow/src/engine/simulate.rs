//! What a dry run puts in the place of an answer: plain, and marked with `"dry_run": true`.

use super::command::Request;
use crate::definition::Operation;
use serde_json::{Map, Value, json};

const MAX_DEPTH: usize = 16;

impl Request {
    /// Whether carrying it out changes or costs anything. A dry run carries the others out.
    pub fn has_effect(&self) -> bool {
        !matches!(self, Self::Record { operation: Operation::Get | Operation::Find, .. })
    }

    /// The output that a dry run takes for this request.
    pub fn simulated_output(&self) -> Value {
        match self {
            Self::Ai { output_schema: None, .. } => json!({"text": "", "dry_run": true}),
            Self::Ai { output_schema: Some(schema), .. } => {
                let mut output = match sample(schema, 0) {
                    Value::Object(members) => members,
                    _ => Map::new(),
                };
                output.insert("dry_run".to_owned(), true.into());
                Value::Object(output)
            }
            Self::Http { .. } => json!({"status": 200, "body": null, "dry_run": true}),
            Self::Record { operation: Operation::Delete, .. } => json!({"deleted": true, "dry_run": true}),
            Self::Record { record_id, fields, .. } => {
                let mut record = fields.clone();
                record.insert("id".to_owned(), record_id.clone().into());
                record.insert("dry_run".to_owned(), true.into());
                Value::Object(record)
            }
        }
    }
}

/// The plainest value of a schema: what it names first, else nothing of the right type.
fn sample(schema: &Value, depth: usize) -> Value {
    if let Some(value) = schema.get("const").or_else(|| schema.get("default")) {
        return value.clone();
    }
    if let Some(first) = schema.get("enum").and_then(Value::as_array).and_then(|values| values.first()) {
        return first.clone();
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        other => other.and_then(Value::as_str),
    };
    match kind {
        Some("object") if depth < MAX_DEPTH => {
            let members = schema.get("properties").and_then(Value::as_object);
            let sampled =
                members.into_iter().flatten().map(|(name, member)| (name.clone(), sample(member, depth + 1)));
            Value::Object(sampled.collect())
        }
        Some("object") => json!({}),
        Some("array") => json!([]),
        Some("string") => json!(""),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(0)),
        Some("boolean") => json!(false),
        _ => Value::Null,
    }
}
