//! What it costs to check a value against a JSON Schema, known before anything is checked: forty definitions
//! that each refer twice to the next are 2^40 checks, and a schema that refers to itself without taking a part
//! of the value never ends.
//!
//! The schema is read as a graph whose references are edges. A part is asked of the same value (`allOf`,
//! `$ref`), or of a part of the value (`properties`, `items`). How often one part of a value is looked at, by
//! its depth, follows from the graph alone.

use serde_json::{Map, Value};
use std::collections::HashMap;

/// Parts of a schema: members and items, those inside of them among them.
const MAX_PARTS: usize = 10_000;
/// Steps that one part of a value may cost, with every reference followed.
const MAX_STEPS: u64 = 10_000;
/// Steps that a whole value may cost: about a second.
const MAX_WORK: u64 = 20_000_000;
/// Parts of a schema that may be asked inside of each other, so that a thread's stack holds them.
const MAX_NESTED: u64 = 400;
/// How deep a value may be nested.
const MAX_DEPTH: usize = 64;
/// What a regular expression costs at least: it has to be compiled.
const PATTERN_STEPS: usize = 16;

/// The members that hold schemas for the same value, in a list.
const SAME_LIST: [&str; 3] = ["allOf", "anyOf", "oneOf"];
const SAME_ONE: [&str; 4] = ["not", "if", "then", "else"];
const SAME_MAP: [&str; 2] = ["dependentSchemas", "dependencies"];
/// The members that hold one schema for some or all parts of the value.
const PART_ONE: [&str; 4] = ["additionalProperties", "additionalItems", "contains", "propertyNames"];
/// The members that hold schemas and are asked only where something refers into them.
const DEFINED: [&str; 2] = ["$defs", "definitions"];
/// What cannot be counted this way: schemas under another name, and checks that repeat all the others.
const REFUSED: [&str; 7] = [
    "$anchor",
    "$dynamicAnchor",
    "$dynamicRef",
    "$recursiveRef",
    "$recursiveAnchor",
    "unevaluatedProperties",
    "unevaluatedItems",
];

/// What a schema costs.
#[derive(Debug)]
pub(super) struct Cost {
    /// Steps for one part of a value, by its depth.
    steps: Vec<u64>,
}

impl Cost {
    /// Counts; or says why the schema is not taken.
    pub(super) fn of(schema: &Value) -> Result<Self, String> {
        if parts(schema, MAX_PARTS).is_none() {
            return Err(format!("The schema has over {MAX_PARTS} parts. Keep it smaller."));
        }
        let nodes = Reading::of(schema)?;
        let order = order(&nodes)?;
        let mut steps = Vec::with_capacity(MAX_DEPTH + 1);
        let (mut before, mut nested) = (vec![0; nodes.len()], vec![0; nodes.len()]);
        for depth in 0..=MAX_DEPTH {
            let (mut here, mut nested_here) = (vec![0_u64; nodes.len()], vec![0_u64; nodes.len()]);
            for at in &order {
                let node = &nodes[*at];
                let own = if depth == 0 { node.weight } else { 0 };
                let same = sum(&node.same, &here);
                let always = sum(&node.every_part, &before);
                let one = node.one_part.iter().map(|child| before[*child]).max().unwrap_or(0);
                here[*at] = own.saturating_add(same).saturating_add(always).saturating_add(one);
                let deepest_same = node.same.iter().map(|child| nested_here[*child]).max();
                let parts = node.every_part.iter().chain(&node.one_part);
                let deepest_part = parts.map(|child| nested[*child]).max();
                nested_here[*at] = 1 + deepest_same.max(deepest_part).unwrap_or(0);
            }
            if here[0] > MAX_STEPS {
                return Err(format!(
                    "With every reference followed the schema asks more than {MAX_STEPS} things of one \
                     part of a value. Refer to a part once, or write it out more simply."
                ));
            }
            if nested_here[0] > MAX_NESTED {
                return Err(format!("The schema refers on more than {MAX_NESTED} times in a row."));
            }
            steps.push(here[0]);
            (before, nested) = (here, nested_here);
        }
        Ok(Self { steps })
    }

    /// Whether the value is small enough to be checked.
    pub(super) fn covers(&self, value: &Value) -> Result<(), String> {
        let mut left = MAX_WORK;
        let mut level = vec![value];
        for steps in &self.steps {
            let count = u64::try_from(level.len()).unwrap_or(u64::MAX);
            let work = count.saturating_mul(steps.saturating_add(1));
            left = left.checked_sub(work).ok_or("The value is too large for what the schema asks of it.")?;
            level = level.into_iter().flat_map(inner).collect();
            if level.is_empty() {
                return Ok(());
            }
        }
        Err(format!("The value is nested more than {MAX_DEPTH} deep."))
    }
}

fn sum(children: &[usize], costs: &[u64]) -> u64 {
    children.iter().fold(0, |sum, child| sum.saturating_add(costs[*child]))
}

fn inner(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(members) => members.values().collect(),
        _ => Vec::new(),
    }
}

/// How many parts the value has, itself among them, if not more than `most`.
fn parts(value: &Value, most: usize) -> Option<usize> {
    let mut count = 0;
    let mut left = vec![value];
    while let Some(next) = left.pop() {
        count += 1;
        left.extend(inner(next));
        if count + left.len() > most {
            return None;
        }
    }
    Some(count)
}

/// One schema within the whole.
#[derive(Default)]
struct Node {
    /// What it costs by itself.
    weight: u64,
    /// Schemas that are asked of the same value.
    same: Vec<usize>,
    /// Schemas that are asked of parts of the value, perhaps all of the same part.
    every_part: Vec<usize>,
    /// Schemas of which each is asked of a part of its own.
    one_part: Vec<usize>,
}

/// A schema on its way to being a graph. The first node is the whole.
struct Reading<'a> {
    root: &'a Value,
    known: HashMap<*const Value, usize>,
    waiting: Vec<(usize, &'a Value)>,
    count: usize,
}

impl<'a> Reading<'a> {
    fn of(root: &'a Value) -> Result<Vec<Node>, String> {
        let mut reading = Self { root, known: HashMap::new(), waiting: Vec::new(), count: 0 };
        reading.index(root);
        let mut nodes: Vec<(usize, Node)> = Vec::new();
        while let Some((at, schema)) = reading.waiting.pop() {
            let node = match schema {
                Value::Object(members) => reading.node(members, at == 0)?,
                _ => Node { weight: 1, ..Node::default() },
            };
            nodes.push((at, node));
        }
        nodes.sort_by_key(|(at, _)| *at);
        Ok(nodes.into_iter().map(|(_, node)| node).collect())
    }

    fn index(&mut self, schema: &'a Value) -> usize {
        if let Some(at) = self.known.get(&std::ptr::from_ref(schema)) {
            return *at;
        }
        let at = self.count;
        self.count += 1;
        self.known.insert(std::ptr::from_ref(schema), at);
        self.waiting.push((at, schema));
        at
    }

    fn all(&mut self, schemas: impl Iterator<Item = &'a Value>, into: &mut Vec<usize>) {
        into.extend(schemas.map(|schema| self.index(schema)));
    }

    fn node(&mut self, members: &'a Map<String, Value>, whole: bool) -> Result<Node, String> {
        let mut node = Node { weight: 1, ..Node::default() };
        for (name, value) in members {
            let name = name.as_str();
            let mut steps = 1;
            if REFUSED.contains(&name) {
                return Err(format!("`{name}` is not supported. Use `$ref` and `additionalProperties`."));
            }
            match (name, value) {
                ("$id", _) if !whole => {
                    return Err("`$id` is not supported inside of a schema.".to_owned());
                }
                ("$ref", Value::String(target)) => {
                    let target = self.target(target)?;
                    node.same.push(self.index(target));
                }
                (_, Value::Array(schemas)) if SAME_LIST.contains(&name) => {
                    self.all(schemas.iter(), &mut node.same);
                }
                (_, Value::Object(schemas)) if SAME_MAP.contains(&name) => {
                    self.all(schemas.values(), &mut node.same);
                    steps = schemas.len();
                }
                _ if SAME_ONE.contains(&name) => node.same.push(self.index(value)),
                _ if PART_ONE.contains(&name) => node.every_part.push(self.index(value)),
                ("items" | "prefixItems", Value::Array(schemas)) => {
                    self.all(schemas.iter(), &mut node.one_part);
                }
                ("items", _) => node.one_part.push(self.index(value)),
                ("properties", Value::Object(schemas)) => {
                    self.all(schemas.values(), &mut node.one_part);
                    steps = schemas.len();
                }
                ("patternProperties", Value::Object(schemas)) => {
                    self.all(schemas.values(), &mut node.every_part);
                    steps = schemas.keys().map(|pattern| pattern_steps(pattern)).sum();
                }
                ("pattern", Value::String(pattern)) => steps = pattern_steps(pattern),
                _ if DEFINED.contains(&name) => {}
                _ => steps = parts(value, MAX_PARTS).unwrap_or(MAX_PARTS),
            }
            node.weight += u64::try_from(steps).unwrap_or(u64::MAX);
        }
        Ok(node)
    }

    fn target(&self, reference: &str) -> Result<&'a Value, String> {
        let pointer = reference.strip_prefix('#').filter(|it| it.is_empty() || it.starts_with('/'));
        let found = pointer.and_then(decoded).and_then(|pointer| self.root.pointer(&pointer));
        found.ok_or_else(|| {
            let reference: String = reference.chars().take(100).collect();
            format!("`$ref` of `{reference}` leads nowhere. Refer to a part of this schema: `#/$defs/…`.")
        })
    }
}

fn pattern_steps(pattern: &str) -> usize {
    PATTERN_STEPS + pattern.len() / 4
}

/// The pointer of a fragment, where bytes may be percent-encoded (RFC 6901, section 6).
fn decoded(fragment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.extend(hex::decode(digits).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// The nodes so that each comes behind those that are asked of the same value for it.
fn order(nodes: &[Node]) -> Result<Vec<usize>, String> {
    let mut askers = vec![Vec::new(); nodes.len()];
    let mut open: Vec<usize> = nodes.iter().map(|node| node.same.len()).collect();
    for (at, node) in nodes.iter().enumerate() {
        for child in &node.same {
            askers[*child].push(at);
        }
    }
    let mut order: Vec<usize> = (0..nodes.len()).filter(|at| open[*at] == 0).collect();
    let mut next = 0;
    while let Some(done) = order.get(next).copied() {
        next += 1;
        for asker in &askers[done] {
            open[*asker] -= 1;
            if open[*asker] == 0 {
                order.push(*asker);
            }
        }
    }
    if order.len() == nodes.len() {
        return Ok(order);
    }
    Err("The schema refers to itself without taking a part of the value, so it would never end.".to_owned())
}

#[cfg(test)]
mod tests {
    use super::Cost;
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    /// `count` definitions; each asks the next one twice.
    fn doubling(count: usize, twice: impl Fn(&Value) -> Value) -> Value {
        let mut defs = Map::new();
        for at in 0..count {
            let next = json!({"$ref": format!("#/$defs/d{}", at + 1)});
            defs.insert(format!("d{at}"), twice(&next));
        }
        defs.insert(format!("d{count}"), json!({"type": "string"}));
        json!({"$ref": "#/$defs/d0", "$defs": defs})
    }

    #[test]
    fn what_doubles_again_and_again_is_refused() {
        assert!(Cost::of(&doubling(40, |next| json!({"allOf": [next, next]}))).is_err());
        assert!(Cost::of(&doubling(40, |next| json!({"not": next, "if": next}))).is_err());
        let by_members =
            |next: &Value| json!({"allOf": [{"properties": {"a": next}}, {"properties": {"a": next}}]});
        assert!(Cost::of(&doubling(40, by_members)).is_err());
        // A definition that asks itself twice of every member doubles with the depth of the value.
        let both = json!({"anyOf": [
            {"properties": {"a": {"$ref": "#"}}}, {"additionalProperties": {"$ref": "#"}},
        ]});
        assert!(Cost::of(&both).is_err());
        assert!(Cost::of(&doubling(5, |next| json!({"allOf": [next, next]}))).is_ok());
    }

    #[test]
    fn what_takes_a_part_of_the_value_each_time_is_taken() {
        let tree = json!({"type": "object", "properties": {
            "left": {"$ref": "#"}, "right": {"$ref": "#"}, "more": {"type": "array", "items": {"$ref": "#"}},
        }});
        let cost = Cost::of(&tree).unwrap();
        assert!(cost.covers(&json!({"left": {"right": {"more": [{}, {}]}}})).is_ok());
        assert!(Cost::of(&doubling(60, |next| json!({"properties": {"a": next, "b": next}}))).is_ok());
        assert!(Cost::of(&json!({"$ref": "#/$defs/a%7E1b~1c", "$defs": {"a/b/c": true}})).is_ok());
    }

    #[test]
    fn what_never_ends_or_cannot_be_counted_is_refused() {
        for schema in [
            json!({"$ref": "#"}),
            json!({"anyOf": [{"$ref": "#"}]}),
            json!({"$defs": {"a": {"not": {"$ref": "#/$defs/b"}}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}),
            json!({"$ref": "https://example.com/schema"}),
            json!({"$ref": "#missing"}),
            json!({"$dynamicRef": "#a"}),
            json!({"properties": {"a": {"$id": "other"}}}),
            json!({"unevaluatedProperties": false}),
            json!({"enum": vec![0; 20_000]}),
        ] {
            assert!(Cost::of(&schema).is_err(), "{schema}");
        }
        assert!(Cost::of(&doubling(1_000, Value::clone)).is_err(), "a stack has an end");
    }

    #[test]
    fn a_value_is_bounded_too() {
        let cost = Cost::of(&json!({"items": {"enum": vec![0; 5_000]}})).unwrap();
        assert!(cost.covers(&json!(vec![0; 1_000])).is_ok());
        assert!(cost.covers(&json!(vec![0; 10_000])).is_err());
        let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
        assert!(cost.covers(&deep).is_err());
    }

    fn schema() -> impl Strategy<Value = Value> {
        let to = prop_oneof![Just("#"), Just("#/$defs/a"), Just("#/$defs/b")];
        let leaf = prop_oneof![
            Just(json!(true)),
            Just(json!({"type": "object"})),
            to.prop_map(|to| json!({"$ref": to}))
        ];
        let one = leaf.prop_recursive(3, 16, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..3).prop_map(|all| json!({"allOf": all})),
                prop::collection::vec(inner.clone(), 1..3).prop_map(|all| json!({"anyOf": all})),
                inner.clone().prop_map(|one| json!({"properties": {"a": one}})),
                inner.prop_map(|one| json!({"additionalProperties": one})),
            ]
        });
        (one.clone(), one.clone(), one)
            .prop_map(|(root, a, b)| json!({"allOf": [root], "$defs": {"a": a, "b": b}}))
    }

    proptest! {
        /// Whatever is taken comes to an end soon, however the value is nested.
        #[test]
        fn what_is_taken_can_be_checked(schema in schema(), depth in 0_usize..60) {
            let value = (0..depth).fold(json!({}), |inner, _| json!({"a": inner}));
            let Ok(cost) = Cost::of(&schema) else { return Ok(()) };
            if cost.covers(&value).is_ok() {
                // A check without an end is stopped, and named, by the runner of the tests.
                let _ = super::super::config::fits(&schema, &value);
            }
        }
    }
}
