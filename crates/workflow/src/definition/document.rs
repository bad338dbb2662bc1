//! The text of a definition as a JSON value that knows the line of every part. JSON is YAML, so one
//! parser reads both.

use super::fault::{Fault, FaultCode};
use super::{MAX_TEXT_BYTES, NodeName};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{DuplicateKeyPolicy, MergeKeyPolicy, Options, Spanned};
use std::collections::BTreeMap;
use std::fmt;

const MAX_DEPTH: usize = 40;
const MAX_PARTS: usize = 50_000;
const MAX_ALIASES: usize = 200;

/// A value and where each of its parts stands.
pub(super) struct Document {
    pub(super) value: Value,
    lines: BTreeMap<String, Position>,
}

#[derive(Clone, Copy)]
struct Position {
    line: u64,
    /// A literal block (`|`), whose line breaks are those of the source.
    literal: bool,
}

impl Document {
    /// Reads YAML or JSON.
    pub(super) fn parse(text: &str) -> Result<Self, Box<Fault>> {
        if text.len() > MAX_TEXT_BYTES {
            let message =
                format!("The definition has {} bytes. Keep it within {MAX_TEXT_BYTES}.", text.len());
            return Err(Box::new(bare(FaultCode::TooLarge, 1, message)));
        }
        let tree: Tree = serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
            let line = error.location().map_or(1, |location| location.line());
            let error = error.without_snippet();
            let code = match error {
                serde_saphyr::Error::Budget { .. } => FaultCode::TooLarge,
                _ => FaultCode::Syntax,
            };
            let reason = error.render().lines().next().unwrap_or_default().to_owned();
            Box::new(bare(code, line, format!("The text cannot be read: {reason}.")))
        })?;
        let source_lines: Vec<&str> = text.lines().collect();
        let mut lines = BTreeMap::new();
        let value = flatten(tree, String::new(), &source_lines, &mut lines);
        Ok(Self { value, lines })
    }

    /// The line of the part at this JSON Pointer, or of the nearest part around it.
    pub(super) fn line(&self, pointer: &str) -> u64 {
        self.position(pointer).line
    }

    /// The line of the `offset`th line (from 1) of the text at this pointer.
    pub(super) fn line_within(&self, pointer: &str, offset: u64) -> u64 {
        let position = self.position(pointer);
        if position.literal { position.line + offset - 1 } else { position.line }
    }

    fn position(&self, pointer: &str) -> Position {
        let mut pointer = pointer;
        loop {
            if let Some(position) = self.lines.get(pointer) {
                return *position;
            }
            let Some(end) = pointer.rfind('/') else { return Position { line: 1, literal: false } };
            pointer = &pointer[..end];
        }
    }

    /// A fault at this pointer.
    pub(super) fn fault(
        &self,
        code: FaultCode,
        node: Option<&NodeName>,
        pointer: &str,
        message: impl Into<String>,
    ) -> Fault {
        Fault {
            code,
            node: node.map(ToString::to_string),
            line: self.line(pointer),
            pointer: pointer.to_owned(),
            message: message.into(),
        }
    }
}

/// Appends a member's name to a JSON Pointer (RFC 6901, section 3).
pub(super) fn member(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn bare(code: FaultCode, line: u64, message: String) -> Fault {
    Fault { code, node: None, line, pointer: String::new(), message }
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: MAX_PARTS,
            max_events: 4 * MAX_PARTS,
            max_anchors: MAX_ALIASES,
            max_aliases: MAX_ALIASES,
            max_documents: 1,
            max_total_scalar_bytes: 4 * MAX_TEXT_BYTES,
            flow_nesting_limit: MAX_DEPTH,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_PARTS,
            max_replay_stack_depth: MAX_DEPTH,
            max_alias_expansions_per_anchor: MAX_ALIASES,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Merge,
        strict_booleans: true,
        with_snippet: false,
    }
}

fn flatten(tree: Tree, pointer: String, source: &[&str], lines: &mut BTreeMap<String, Position>) -> Value {
    let text = usize::try_from(tree.line).ok().and_then(|line| source.get(line.wrapping_sub(1)));
    let column = usize::try_from(tree.column).unwrap_or(0).wrapping_sub(1);
    let quoted = matches!(text.and_then(|text| text.chars().nth(column)), Some('"' | '\''));
    let literal =
        !quoted && matches!(&tree.content, Content::Scalar(Value::String(text)) if text.contains('\n'));
    lines.insert(pointer.clone(), Position { line: tree.line, literal });
    match tree.content {
        Content::Scalar(value) => value,
        Content::List(items) => {
            let flat = |(index, item)| flatten(item, format!("{pointer}/{index}"), source, lines);
            Value::Array(items.into_iter().enumerate().map(flat).collect())
        }
        Content::Map(members) => {
            let mut map = Map::new();
            for (name, item) in members {
                let flat = flatten(item, member(&pointer, &name), source, lines);
                map.insert(name, flat);
            }
            Value::Object(map)
        }
    }
}

struct Tree {
    line: u64,
    column: u64,
    content: Content,
}

enum Content {
    Scalar(Value),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Self { line: referenced.line(), column: referenced.column(), content: value })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value that JSON has too")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Content, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("numbers are finite"))?;
        Ok(Content::Scalar(Value::Number(number)))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_none<E: de::Error>(self) -> Result<Content, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Content::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let mut members = Vec::new();
        while let Some(entry) = access.next_entry()? {
            members.push(entry);
        }
        Ok(Content::Map(members))
    }
}

#[cfg(test)]
mod tests {
    use super::Document;
    use crate::definition::FaultCode;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn every_part_knows_its_line() {
        let text = "name: a\nnodes:\n  - id: x\n    prompt: |\n      one\n      two\n    n: 1\n";
        let document = Document::parse(text).unwrap();
        assert_eq!(
            document.value,
            json!({"name": "a", "nodes": [{"id": "x", "prompt": "one\ntwo\n", "n": 1}]})
        );
        assert_eq!(document.line("/nodes/0/id"), 3);
        assert_eq!(document.line("/nodes/0/n"), 7);
        assert_eq!(document.line("/nodes/0/n/missing"), 7);
        assert_eq!(document.line_within("/nodes/0/prompt", 2), 6);
        assert_eq!(document.line_within("/nodes/0/id", 2), 3);
    }

    #[test]
    fn words_that_older_yaml_took_for_booleans_stay_words() {
        let document =
            Document::parse("a: no\nb: on\nc: true\nd: ~\ne: 1.5\nf: 2026-01-01\ng: \"1\"").unwrap();
        assert_eq!(
            document.value,
            json!({"a": "no", "b": "on", "c": true, "d": null, "e": 1.5, "f": "2026-01-01", "g": "1"})
        );
    }

    #[test]
    fn json_is_read_by_the_same_parser() {
        let json = json!({"a": [1, -2, 1.5, true, null, "x: y", "ä\"\\/\n\t\u{1F600}"], "b": {}, "c": []});
        for text in [json.to_string(), serde_json::to_string_pretty(&json).unwrap()] {
            assert_eq!(Document::parse(&text).unwrap().value, json);
        }
        assert_eq!(Document::parse("{\n\t\"a\":\t\"\\/\"\n}").unwrap().value, json!({"a": "/"}));
    }

    #[test]
    fn aliases_are_followed_within_bounds() {
        let document = Document::parse("a: &r {max: 3}\nb: *r\n").unwrap();
        assert_eq!(document.value["b"], json!({"max": 3}));
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..10 {
            let below = level - 1;
            bomb += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{below}"); 9].join(", "));
        }
        assert!(Document::parse(&bomb).is_err());
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let deep = "[".repeat(5_000) + &"]".repeat(5_000);
        assert!(Document::parse(&deep).is_err());
        let fault = Document::parse(&"x".repeat(300 * 1024)).err().unwrap();
        assert_eq!(fault.code, FaultCode::TooLarge);
    }

    #[test]
    fn a_syntax_fault_has_its_line() {
        let fault = Document::parse("name: a\nnodes:\n  - x\n  }\n").err().unwrap();
        assert_eq!((fault.code, fault.line), (FaultCode::Syntax, 4));
        let fault = Document::parse("name: a\nname: b\n").err().unwrap();
        assert_eq!((fault.code, fault.line), (FaultCode::Syntax, 2));
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[ -~äß\n\t€]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[a-z~/ ]{1,6}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_serde_json_writes_is_read_back(value in json_value()) {
            let text = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(Document::parse(&text).ok().map(|document| document.value), Some(value));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[ -~\n]{0,200}") {
            let _ = Document::parse(&text);
        }
    }
}
