//! Bodies made from a JSON Schema, for operations that nobody wrote a body for.

use serde_json::{Map, Value, json};

/// Which members a body gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Members {
    /// Those it must have.
    Required,
    /// Also the optional ones that can hold any text.
    Texts,
}

/// A value that fits a schema as far as plain schemas go, with `text` wherever any text fits.
pub(crate) fn example(schema: &Value, schemas: &Value, text: &str, members: Members) -> Value {
    Maker { schemas, text, members }.value(schema, 0)
}

/// The names of the members of a body whose values are ids, as their schemas' patterns tell, each with
/// the prefix.
pub(crate) fn id_members(schema: &Value, schemas: &Value) -> Vec<(String, String)> {
    let schema = resolved(schema, schemas);
    let members = schema["properties"].as_object().into_iter().flatten();
    let prefixed = members.filter_map(|(name, member)| {
        let prefix = pattern(member, schemas)?.strip_prefix('^')?.split_once('_')?.0.to_owned();
        (prefix.len() == 3 && prefix.bytes().all(|byte| byte.is_ascii_lowercase()))
            .then(|| (name.clone(), prefix))
    });
    prefixed.collect()
}

fn pattern(schema: &Value, schemas: &Value) -> Option<String> {
    let schema = resolved(schema, schemas);
    let own = schema["pattern"].as_str().map(str::to_owned);
    own.or_else(|| alternatives(schema).find_map(|one| pattern(one, schemas)))
}

fn alternatives(schema: &Value) -> impl Iterator<Item = &Value> {
    ["anyOf", "oneOf"].into_iter().filter_map(|name| schema[name].as_array()).flatten()
}

fn resolved<'s>(schema: &'s Value, schemas: &'s Value) -> &'s Value {
    let name = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
    name.map_or(schema, |name| &schemas[name])
}

struct Maker<'s> {
    schemas: &'s Value,
    text: &'s str,
    members: Members,
}

impl Maker<'_> {
    fn value(&self, schema: &Value, depth: u8) -> Value {
        let schema = resolved(schema, self.schemas);
        if let Some(fixed) = schema.get("const").or_else(|| schema["enum"].get(0)) {
            return fixed.clone();
        }
        if depth > 8 {
            return Value::Null;
        }
        if let Some(one) = alternatives(schema).find(|one| one["type"] != "null") {
            return self.value(one, depth + 1);
        }
        match kind(schema) {
            "object" => self.object(schema, depth),
            "array" => match schema["minItems"].as_u64() {
                Some(1..) => json!([self.value(&schema["items"], depth + 1)]),
                _ => json!([]),
            },
            "integer" | "number" => json!(schema["minimum"].as_u64().unwrap_or(1)),
            "boolean" => json!(false),
            "null" => Value::Null,
            _ => json!(self.text),
        }
    }

    fn object(&self, schema: &Value, depth: u8) -> Value {
        let required: Vec<_> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut made = Map::new();
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            let any_text = kind(member) == "string"
                && ["pattern", "enum", "format", "const"].iter().all(|word| member.get(word).is_none());
            if required.contains(&name.as_str()) || (any_text && self.members == Members::Texts) {
                made.insert(name.clone(), self.value(member, depth + 1));
            }
        }
        if made.is_empty() && schema.get("properties").is_none() {
            made.insert("note".to_owned(), json!(self.text));
        }
        Value::Object(made)
    }
}

/// The kind of value, where several are allowed the first that is not null.
fn kind(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(kind) => kind,
        Value::Array(kinds) => {
            kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("null")
        }
        _ if schema.get("properties").is_some() => "object",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::{Members, example, id_members};
    use serde_json::json;

    #[test]
    fn canaries_stand_wherever_any_text_fits() {
        let schemas = json!({"Kind": {"enum": ["a", "b"]}});
        let schema = json!({
            "type": "object",
            "required": ["name", "kind", "count", "list"],
            "properties": {
                "name": {"type": "string"},
                "kind": {"$ref": "#/components/schemas/Kind"},
                "count": {"type": "integer", "minimum": 3},
                "list": {"type": "array", "minItems": 1, "items": {"anyOf": [{"type": "null"}, {"type": "string"}]}},
                "about": {"type": ["string", "null"]},
                "region": {"type": "string", "pattern": "^x$"},
            },
        });
        let whole = example(&schema, &schemas, "c", Members::Texts);
        assert_eq!(whole, json!({"name": "c", "kind": "a", "count": 3, "list": ["c"], "about": "c"}));
        let least = example(&schema, &schemas, "c", Members::Required);
        assert_eq!(least, json!({"name": "c", "kind": "a", "count": 3, "list": ["c"]}));
    }

    #[test]
    fn members_that_take_ids_are_known_by_their_pattern() {
        let schemas = json!({"AgentId": {"type": "string", "pattern": "^agt_[0-7].{25}$"}});
        let schema = json!({"properties": {
            "agent": {"anyOf": [{"$ref": "#/components/schemas/AgentId"}, {"type": "null"}]},
            "scope": {"type": "string", "pattern": "^[a-z]+:x$"},
        }});
        assert_eq!(id_members(&schema, &schemas), [("agent".to_owned(), "agt".to_owned())]);
    }
}
