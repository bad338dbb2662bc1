//! Canonical JSON (RFC 8785) of the draft's free values. Everything else in a leaf is canonical by the
//! order of its fields; `serde_json` escapes text and writes whole numbers as the RFC asks, and a test
//! compares with an independent implementation.

use super::draft::MAX_INTEGER;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;

/// Deeper values are no small facts, and readers of JSON refuse them somewhere.
const MAX_DEPTH: u32 = 16;

/// Whether a value can stand in a leaf: whole numbers that are exact everywhere, and not too deep.
/// Fractions are left to text, because their form in JSON depends on who writes it.
pub(super) fn is_plain(value: &Value) -> bool {
    fits(value, MAX_DEPTH)
}

fn fits(value: &Value, depth: u32) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => true,
        Value::Number(number) => {
            let magnitude = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            magnitude.is_some_and(|magnitude| magnitude <= MAX_INTEGER)
        }
        Value::Array(items) => depth > 0 && items.iter().all(|item| fits(item, depth - 1)),
        Value::Object(members) => depth > 0 && members.values().all(|item| fits(item, depth - 1)),
    }
}

/// A draft's details, whose names are ASCII and so sort alike in UTF-8 and UTF-16.
pub(super) struct CanonicalDetails<'a>(pub &'a BTreeMap<String, Value>);

impl CanonicalDetails<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for CanonicalDetails<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, Canonical(value))))
    }
}

struct Canonical<'a>(&'a Value);

impl Serialize for Canonical<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::String(text) => serializer.serialize_str(text),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(whole), _) => serializer.serialize_u64(whole),
                (None, Some(whole)) => serializer.serialize_i64(whole),
                (None, None) => Err(serde::ser::Error::custom("not a whole number")),
            },
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(&Canonical(item)))?;
                list.end()
            }
            Value::Object(members) => {
                let mut sorted: Vec<_> = members.iter().collect();
                // Section 3.2.3 of the RFC sorts by UTF-16 code units.
                sorted.sort_by(|(left, _), (right, _)| left.encode_utf16().cmp(right.encode_utf16()));
                let mut map = serializer.serialize_map(Some(sorted.len()))?;
                sorted.iter().try_for_each(|(name, value)| map.serialize_entry(name, &Canonical(value)))?;
                map.end()
            }
        }
    }
}
