//! What a workflow is: nodes and edges written in YAML or JSON, read with the line of every part, and
//! refused with all faults at once.

mod check;
mod config;
mod cost;
mod document;
mod effects;
mod fault;
mod graph;
mod node;
mod place;
mod read;
mod rules;
mod schema;

pub use config::check_config;
pub use effects::{Changes, Difference, Effects, Prompt, Seconds, compare, effects};
pub use fault::{Fault, FaultCode};
pub use node::{
    Ai, Backoff, Condition, Edge, Http, Kind, Method, Node, NodeName, OnUnknown, Operation,
    ParseNodeNameError, Record, Retry, Source, SourceKind, Transform, Webhook,
};
pub use schema::definition_schema;

pub(crate) use config::fits;
pub(crate) use graph::Graph;
pub(crate) use place::Place;

use serde_json::Value;

/// Bytes of a definition, and of the values of a run together, whose templates may be evaluated where it must not
/// take long.
pub(crate) const LIGHT_BYTES: usize = 16 * 1024;
/// Bytes of a definition's text.
pub const MAX_TEXT_BYTES: usize = 256 * 1024;
/// Nodes of a definition.
pub const MAX_NODES: usize = 200;
/// Edges of a definition.
pub const MAX_EDGES: usize = 1_000;
/// The longest a step may take, in seconds.
pub const MAX_STEP_SECONDS: u64 = 3_600;
/// The longest a run may take, in seconds (30 days).
pub const MAX_RUN_SECONDS: u64 = 30 * 24 * 3_600;
/// How long a run may take where the definition does not say, in seconds.
pub const DEFAULT_RUN_SECONDS: u64 = 24 * 3_600;

/// A workflow definition that has passed [`validate`]. There is no other way to get one.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) timeout_seconds: u64,
    pub(crate) config_required: Value,
    pub(crate) nodes: Vec<Node>,
    pub(crate) edges: Vec<Edge>,
    pub(crate) graph: Graph,
    pub(crate) document: Value,
    /// Whether it is small, and its templates are few and do no more than look values up.
    pub(crate) looks_up_only: bool,
}

impl Definition {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is for.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// The JSON Schema that an instance's configuration must fit. An empty object accepts any.
    pub fn config_required(&self) -> &Value {
        &self.config_required
    }

    /// How long a run may take, in seconds.
    pub fn timeout_seconds(&self) -> u64 {
        self.timeout_seconds
    }

    /// The nodes, in the order in which they are written.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The edges, those of `edges` first, then those that `after` stands for.
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// The node of this name.
    pub fn node(&self, id: &NodeName) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == *id)
    }

    /// The one source.
    pub fn source(&self) -> Option<(&Node, &Source)> {
        self.nodes.iter().find_map(|node| match &node.kind {
            Kind::Source(source) => Some((node, source)),
            _ => None,
        })
    }

    /// The definition as JSON, as it was written.
    pub fn document(&self) -> &Value {
        &self.document
    }
}

/// Reads a definition from YAML or JSON text. A refusal names every fault that was found; each has a
/// line, a stable code and a sentence of what to do.
pub fn validate(text: &str) -> Result<Definition, Vec<Fault>> {
    let document = document::Document::parse(text).map_err(|fault| vec![*fault])?;
    let mut faults = Vec::new();
    let draft = read::definition(&document, &mut faults);
    if let Some(draft) = draft {
        let definition = check::check(draft, &document, &mut faults);
        if faults.is_empty()
            && let Some(definition) = definition
        {
            return Ok(definition);
        }
    }
    faults.sort_by(|a, b| (a.line, a.code.as_str(), &a.message).cmp(&(b.line, b.code.as_str(), &b.message)));
    faults.dedup();
    Err(faults)
}

#[cfg(test)]
mod tests;
