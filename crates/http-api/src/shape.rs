//! A list in the place of an object. Readers of JSON into structs take one whose members come in the right
//! order, at any depth; the interface description knows better, so it is asked.

use schemars::JsonSchema;
use serde_json::{Map, Value};

/// The path of a list in `value` where `T` has no list, if there is one.
pub(crate) fn misplaced_list<T: JsonSchema>(value: &Value) -> Option<String> {
    let schema = schemars::schema_for!(T);
    Place { root: schema.as_value() }.misplaced(value, schema.as_value())
}

struct Place<'s> {
    root: &'s Value,
}

impl<'s> Place<'s> {
    fn misplaced(&self, value: &Value, schema: &'s Value) -> Option<String> {
        let schema = self.resolved(schema)?;
        if let Value::Array(_) = value
            && !allows_list(schema)
        {
            return Some(String::new());
        }
        let own = match value {
            Value::Array(items) => schema.get("items").and_then(|of| {
                let mut found = items.iter().enumerate().map(|(at, item)| (at, self.misplaced(item, of)));
                found.find_map(|(at, inner)| inner.map(|inner| format!("/{at}{inner}")))
            }),
            Value::Object(members) => members.iter().find_map(|(name, member)| {
                let of = schema.get("properties").and_then(|it| it.get(name));
                let of = of.or_else(|| schema.get("additionalProperties"))?;
                self.misplaced(member, of).map(|inner| format!("/{name}{inner}"))
            }),
            _ => None,
        };
        own.or_else(|| self.in_all(value, schema)).or_else(|| self.in_every_alternative(value, schema))
    }

    fn in_all(&self, value: &Value, schema: &'s Map<String, Value>) -> Option<String> {
        schema.get("allOf")?.as_array()?.iter().find_map(|part| self.misplaced(value, part))
    }

    /// Where a value may be one of several things, it is misplaced if it is in each that it says it is.
    fn in_every_alternative(&self, value: &Value, schema: &'s Map<String, Value>) -> Option<String> {
        let alternatives = schema.get("anyOf").or_else(|| schema.get("oneOf"))?.as_array()?;
        let mut found = None;
        for alternative in alternatives.iter().filter(|it| self.is_named(value, it)) {
            found = Some(self.misplaced(value, alternative)?);
        }
        found
    }

    /// Whether the value's members are those that the alternative is told by.
    fn is_named(&self, value: &Value, schema: &'s Value) -> bool {
        let Some(properties) = self.resolved(schema).and_then(|it| it.get("properties")?.as_object()) else {
            return true;
        };
        properties.iter().all(|(name, of)| match (of.get("const"), value.get(name)) {
            (Some(expected), Some(found)) => expected == found,
            _ => true,
        })
    }

    fn resolved(&self, schema: &'s Value) -> Option<&'s Map<String, Value>> {
        let schema = schema.as_object()?;
        match schema.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.resolved(self.root.pointer(reference.strip_prefix('#')?)?),
            None => Some(schema),
        }
    }
}

/// Whether the schema says nothing against a list in this very place.
fn allows_list(schema: &Map<String, Value>) -> bool {
    match schema.get("type") {
        None => {
            !schema.contains_key("properties")
                && !schema.contains_key("enum")
                && !schema.contains_key("const")
        }
        Some(Value::Array(types)) => types.iter().any(|it| it == "array"),
        Some(one) => one == "array",
    }
}

#[cfg(test)]
mod tests {
    use super::misplaced_list;
    use schemars::JsonSchema;
    use serde::Deserialize;
    use serde_json::{Map, Value, json};

    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "read by its schema alone")]
    struct Outer {
        inner: Inner,
        perhaps: Option<Inner>,
        list: Vec<Inner>,
        free: Value,
        map: Map<String, Value>,
        which: Which,
        #[serde(flatten)]
        beside: Beside,
    }

    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "read by its schema alone")]
    struct Inner {
        a: u8,
        names: Vec<String>,
    }

    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "read by its schema alone")]
    struct Beside {
        other: Inner,
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(tag = "kind", rename_all = "snake_case")]
    #[expect(dead_code, reason = "read by its schema alone")]
    enum Which {
        One { part: Inner },
        Two { part: Vec<u8> },
    }

    #[test]
    fn lists_are_found_where_objects_belong() {
        for (value, path) in [
            (json!({"inner": [1, []]}), "/inner"),
            (json!({"perhaps": [1, []]}), "/perhaps"),
            (json!({"list": [{"a": 1}, [1, []]]}), "/list/1"),
            (json!({"other": [1, []]}), "/other"),
            (json!({"which": {"kind": "one", "part": [1, []]}}), "/which/part"),
            (json!({"inner": {"a": [1]}}), "/inner/a"),
        ] {
            assert_eq!(misplaced_list::<Outer>(&value).as_deref(), Some(path), "{value}");
        }
    }

    #[test]
    fn lists_stay_where_they_belong() {
        for value in [
            json!({"inner": {"a": 1, "names": ["x"]}, "perhaps": null, "list": [{"a": 1}]}),
            json!({"free": [[1]], "map": {"any": [[2]]}}),
            json!({"which": {"kind": "two", "part": [1]}}),
        ] {
            assert_eq!(misplaced_list::<Outer>(&value), None, "{value}");
        }
    }
}
