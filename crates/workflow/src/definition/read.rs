//! From the document to typed nodes and edges. One fault in a node does not hide those of the others.

use super::document::{Document, member};
use super::fault::{Fault, FaultCode};
use super::node::{Backoff, Edge, Kind, Node, NodeName, Retry};
use super::{DEFAULT_RUN_SECONDS, MAX_EDGES, MAX_NODES, MAX_RUN_SECONDS, MAX_STEP_SECONDS};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A definition whose parts have the right types, before they are checked against each other. Nodes and
/// edges carry the pointer at which they are written.
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) timeout_seconds: u64,
    pub(super) config_required: Value,
    pub(super) nodes: Vec<(Node, String)>,
    pub(super) edges: Vec<(Edge, String)>,
    /// Whether every node could be read, so that a missing one is truly missing.
    pub(super) complete: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    name: String,
    description: Option<String>,
    timeout: Option<u64>,
    config_required: Option<Map<String, Value>>,
    nodes: Vec<Map<String, Value>>,
    #[serde(default)]
    edges: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EdgeText {
    from: NodeName,
    to: NodeName,
    when: Option<When>,
}

/// YAML's `true` and the text `"true"` mean the same branch.
#[derive(Deserialize)]
#[serde(untagged)]
enum When {
    Flag(bool),
    Text(String),
}

#[derive(Deserialize)]
struct Common {
    id: NodeName,
    #[serde(default)]
    after: Vec<NodeName>,
    retry: Option<Retry>,
    timeout: Option<u64>,
    on_unknown: Option<super::OnUnknown>,
}

const COMMON: [&str; 6] = ["id", "type", "after", "retry", "timeout", "on_unknown"];
const TYPES: &str = "source, ai, condition, http, record or transform";

pub(super) fn definition(document: &Document, faults: &mut Vec<Fault>) -> Option<Draft> {
    let mut reader = Reader { document, faults, node: None };
    let head: Head = reader.read("", document.value.clone())?;
    if head.name.trim().is_empty() {
        reader.fault(FaultCode::Empty, "/name", "The name is empty. Say what the workflow is called.");
    }
    if head.nodes.len() > MAX_NODES || head.edges.len() > MAX_EDGES {
        let message = format!("A definition has at most {MAX_NODES} nodes and {MAX_EDGES} edges. Split it.");
        reader.fault(FaultCode::TooMany, "/nodes", message);
        return None;
    }
    if head.nodes.is_empty() {
        reader.fault(FaultCode::Empty, "/nodes", "There are no nodes. Begin with a source.");
        return None;
    }
    reader.limits("/timeout", head.timeout, MAX_RUN_SECONDS);
    let mut edges: Vec<_> = (head.edges.into_iter().enumerate())
        .filter_map(|(index, edge)| reader.edge(format!("/edges/{index}"), edge))
        .collect();
    let count = head.nodes.len();
    let nodes: Vec<_> = (head.nodes.into_iter().enumerate())
        .filter_map(|(index, node)| reader.node(format!("/nodes/{index}"), node, &mut edges))
        .collect();
    Some(Draft {
        name: head.name,
        description: head.description,
        timeout_seconds: head.timeout.unwrap_or(DEFAULT_RUN_SECONDS),
        config_required: Value::Object(head.config_required.unwrap_or_default()),
        complete: nodes.len() == count,
        nodes,
        edges,
    })
}

struct Reader<'a> {
    document: &'a Document,
    faults: &'a mut Vec<Fault>,
    node: Option<NodeName>,
}

impl Reader<'_> {
    fn fault(&mut self, code: FaultCode, pointer: &str, message: impl Into<String>) {
        let fault = self.document.fault(code, self.node.as_ref(), pointer, message);
        self.faults.push(fault);
    }

    /// Reads an object. Serde would also take a list for one, by the order of its fields.
    fn read<T: DeserializeOwned>(&mut self, pointer: &str, value: Value) -> Option<T> {
        if !value.is_object() {
            self.fault(FaultCode::WrongType, pointer, "This is not an object. Write its fields by name.");
            return None;
        }
        let error = match serde_path_to_error::deserialize(value) {
            Ok(read) => return Some(read),
            Err(error) => error,
        };
        let mut at = pointer.to_owned();
        for segment in error.path() {
            match segment {
                serde_path_to_error::Segment::Seq { index } => at = format!("{at}/{index}"),
                serde_path_to_error::Segment::Map { key } => at = member(&at, key),
                _ => {}
            }
        }
        let reason = error.into_inner().to_string();
        self.fault(code_of(&reason), &at, format!("{}.", capital(&reason)));
        None
    }

    fn edge(&mut self, pointer: String, edge: Value) -> Option<(Edge, String)> {
        let edge: EdgeText = self.read(&pointer, edge)?;
        let when = edge.when.map(|when| match when {
            When::Flag(flag) => flag.to_string(),
            When::Text(text) => text,
        });
        Some((Edge { from: edge.from, to: edge.to, when }, pointer))
    }

    fn node(
        &mut self,
        pointer: String,
        mut node: Map<String, Value>,
        edges: &mut Vec<(Edge, String)>,
    ) -> Option<(Node, String)> {
        self.node = node.get("id").and_then(Value::as_str).and_then(|id| id.parse().ok());
        let mut common = Map::new();
        for name in COMMON {
            if let Some((name, value)) = node.remove_entry(name) {
                common.insert(name, value);
            }
        }
        let kind_name = common.remove("type");
        let common: Option<Common> = self.read(&pointer, Value::Object(common));
        let kind = self.kind(&pointer, kind_name, Value::Object(node));
        let (common, kind) = (common?, kind?);
        self.limits(&format!("{pointer}/timeout"), common.timeout, MAX_STEP_SECONDS);
        if let Some(retry) = common.retry {
            self.retry(&format!("{pointer}/retry"), retry);
        }
        for (index, from) in common.after.into_iter().enumerate() {
            let edge = Edge { from, to: common.id.clone(), when: None };
            edges.push((edge, format!("{pointer}/after/{index}")));
        }
        let only_effects = [
            (common.retry.is_some(), "retry"),
            (common.timeout.is_some(), "timeout"),
            (common.on_unknown.is_some(), "on_unknown"),
        ];
        for (given, field) in only_effects {
            if given && !kind.has_effect() {
                let message = format!("`{field}` belongs to ai, http and record nodes. Remove it.");
                self.fault(FaultCode::UnknownField, &format!("{pointer}/{field}"), message);
            }
        }
        let Common { id, retry, timeout, on_unknown, .. } = common;
        self.node = None;
        Some((Node { id, kind, retry, timeout, on_unknown }, pointer))
    }

    fn kind(&mut self, pointer: &str, kind: Option<Value>, fields: Value) -> Option<Kind> {
        let Some(kind) = kind else {
            let message = format!("The node has no `type`. It is {TYPES}.");
            self.fault(FaultCode::MissingField, pointer, message);
            return None;
        };
        match kind.as_str() {
            Some("source") => self.read(pointer, fields).map(Kind::Source),
            Some("ai") => self.read(pointer, fields).map(Kind::Ai),
            Some("condition") => self.read(pointer, fields).map(Kind::Condition),
            Some("http") => self.read(pointer, fields).map(Kind::Http),
            Some("record") => self.read(pointer, fields).map(Kind::Record),
            Some("transform") => self.read(pointer, fields).map(Kind::Transform),
            _ => {
                let message = format!("There is no node type {kind}. It is {TYPES}.");
                self.fault(FaultCode::WrongValue, &format!("{pointer}/type"), message);
                None
            }
        }
    }

    fn limits(&mut self, pointer: &str, seconds: Option<u64>, most: u64) {
        if seconds.is_some_and(|seconds| seconds == 0 || seconds > most) {
            let message = format!("The timeout is from 1 to {most} seconds.");
            self.fault(FaultCode::WrongValue, pointer, message);
        }
    }

    fn retry(&mut self, pointer: &str, retry: Retry) {
        let Backoff { initial_seconds, max_seconds, factor } = retry.backoff;
        let bounds = [
            ("max_attempts", retry.max_attempts, 10),
            ("backoff/initial_seconds", initial_seconds, 3_600),
            ("backoff/max_seconds", max_seconds, 3_600),
            ("backoff/factor", factor, 10),
        ];
        for (field, value, most) in bounds {
            if value == 0 || value > most {
                let message = format!("`{field}` is from 1 to {most}.");
                self.fault(FaultCode::WrongValue, &format!("{pointer}/{field}"), message);
            }
        }
        if max_seconds < initial_seconds {
            let message = "`max_seconds` is less than `initial_seconds`. Swap or raise them.";
            self.fault(FaultCode::WrongValue, &format!("{pointer}/backoff"), message);
        }
    }
}

/// Serde says in words what kind of fault it is; the words are its stable prefix.
fn code_of(reason: &str) -> FaultCode {
    match reason {
        _ if reason.starts_with("missing field") => FaultCode::MissingField,
        _ if reason.starts_with("unknown field") => FaultCode::UnknownField,
        _ if reason.starts_with("invalid type") || reason.starts_with("data did not match") => {
            FaultCode::WrongType
        }
        _ => FaultCode::WrongValue,
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().collect::<String>() + chars.as_str()).unwrap_or_default()
}
