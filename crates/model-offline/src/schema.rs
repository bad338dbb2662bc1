//! What is asked of a schema's members, wherever it stands.

use serde_json::{Map, Value};

/// How many values there are in a schema, itself among them, if not more than `most`.
pub(crate) fn parts(schema: &Value, most: usize) -> Option<usize> {
    let (mut count, mut left) = (0, vec![schema]);
    while let Some(part) = left.pop() {
        count += 1;
        match part {
            Value::Array(items) => left.extend(items),
            Value::Object(members) => left.extend(members.values()),
            _ => {}
        }
        if count + left.len() > most {
            return None;
        }
    }
    Some(count)
}

/// Puts what another part of an `allOf` says into the schema.
pub(crate) fn merge(into: &mut Map<String, Value>, part: &Map<String, Value>) {
    for (name, value) in part {
        match (into.get_mut(name), value) {
            (Some(Value::Object(mine)), Value::Object(theirs)) => mine.extend(theirs.clone()),
            (Some(Value::Array(mine)), Value::Array(theirs)) => mine.extend(theirs.iter().cloned()),
            (Some(_), _) => {}
            (None, value) => {
                into.insert(name.clone(), value.clone());
            }
        }
    }
}

/// The schema's type: the first that is not null of several, or what its other members suggest.
pub(crate) fn kind(schema: &Map<String, Value>) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => {
            kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("null")
        }
        _ if schema.contains_key("properties") => "object",
        _ if schema.contains_key("items") => "array",
        _ => "string",
    }
}

pub(crate) fn is_nullable(schema: &Map<String, Value>) -> bool {
    let kinds = schema.get("type").and_then(Value::as_array);
    kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind == "null"))
}
