//! Reading JSON from outside: bounded in depth and in number of values, and without duplicate members,
//! since the receiver of a body with two members of one name may take the one that we did not check.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::Cell;
use std::fmt;

/// How deep values may be nested.
pub const MAX_DEPTH: usize = 64;
/// How many values a body may hold.
pub const MAX_NODES: usize = 200_000;

/// The bytes are not JSON as it is taken here. The text names what and where, not the content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MalformedJson(String);

/// Reads one JSON value that fills `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, MalformedJson> {
    let nodes = Cell::new(MAX_NODES);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Node { depth: MAX_DEPTH, nodes: &nodes }.deserialize(&mut reader);
    value
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| MalformedJson(error.to_string().chars().take(200).collect()))
}

#[derive(Clone, Copy)]
struct Node<'a> {
    depth: usize,
    nodes: &'a Cell<usize>,
}

impl Node<'_> {
    fn inner<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("nested too deep"))?;
        Ok(Self { depth, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        let left = self.nodes.get().checked_sub(1).ok_or_else(|| D::Error::custom("too many values"))?;
        self.nodes.set(left);
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom("a member occurs twice in one object"));
            }
            let value = members.next_value_seed(inner)?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_DEPTH, parse};
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn what_serde_json_reads_is_read_alike() {
        for text in ["null", " [1, -2, 3.5e2, \"\\u00e4\", true, {}] ", r#"{"b":1,"a":{"c":[]}}"#] {
            assert_eq!(parse(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        }
    }

    #[test]
    fn members_keep_their_order() {
        let text = r#"{"z":1,"a":{"y":2,"b":3}}"#;
        assert_eq!(parse(text.as_bytes()).unwrap().to_string(), text);
    }

    #[test]
    fn doubled_members_deep_nests_and_trailing_text_are_refused() {
        let deep = "[".repeat(MAX_DEPTH + 1) + &"]".repeat(MAX_DEPTH + 1);
        let wide = format!("[{}0]", "0,".repeat(super::MAX_NODES));
        for text in
            [r#"{"a":1,"a":1}"#, r#"{"x":[{"b":1,"\u0062":2}]}"#, "{} {}", "", &deep, &wide, "\"\\ud800\""]
        {
            assert!(parse(text.as_bytes()).is_err(), "{text:.60}");
        }
        let just_deep_enough = "[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH);
        assert!(parse(just_deep_enough.as_bytes()).is_ok());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_fall_over(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
