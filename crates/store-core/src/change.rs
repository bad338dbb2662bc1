//! Changing records, whole or in part.

use env::Timestamp;
use serde_json::{Map, Value};
use store::{Record, RecordChange};

/// Changes a record, which has another version after it.
pub fn change(record: &mut Record, change: RecordChange, now: Timestamp) {
    match change {
        RecordChange::Replace(data) => record.data = data,
        RecordChange::Merge(patch) => merge(&mut record.data, patch),
    }
    record.updated_at = now;
    record.version += 1;
}

/// A JSON merge patch (RFC 7396, section 2).
fn merge(target: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (name, value) in patch {
        match value {
            Value::Null => {
                target.shift_remove(&name);
            }
            Value::Object(patch) => {
                let entry = target.entry(name).or_insert_with(|| Value::Object(Map::new()));
                if !entry.is_object() {
                    *entry = Value::Object(Map::new());
                }
                if let Value::Object(inner) = entry {
                    merge(inner, patch);
                }
            }
            other => {
                target.insert(name, other);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::merge;
    use serde_json::json;

    #[test]
    fn merging_follows_the_examples_of_rfc_7396() {
        let check = |target, patch, result| {
            let mut target: serde_json::Value = target;
            let (Some(object), serde_json::Value::Object(patch)) = (target.as_object_mut(), patch) else {
                panic!("the cases are objects")
            };
            merge(object, patch);
            assert_eq!(target, result);
        };
        check(json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"}));
        check(json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"}));
        check(json!({"a": "b"}), json!({"a": null}), json!({}));
        check(json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}}));
        check(json!({"a": [1]}), json!({"a": {"b": 1}}), json!({"a": {"b": 1}}));
        check(json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}}));
    }
}
