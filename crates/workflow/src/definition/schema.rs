//! The published JSON Schema of definitions. Editors use it; [`super::validate`] checks more.

use super::node::{Kind, NodeName, OnUnknown, Retry};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};

/// A workflow definition.
#[derive(JsonSchema)]
#[schemars(rename = "WorkflowDefinition", deny_unknown_fields)]
#[expect(dead_code, reason = "the shape of the text, from which only the schema is made")]
struct DefinitionText {
    /// What the workflow is called.
    name: String,
    /// What it is for.
    description: Option<String>,
    /// How long a run may take, in seconds. Default 86,400, at most 2,592,000.
    #[schemars(range(min = 1, max = 2_592_000))]
    timeout: Option<u64>,
    /// The JSON Schema that an instance's configuration must fit.
    config_required: Option<Map<String, Value>>,
    /// What is done. Exactly one is a source.
    #[schemars(length(min = 1, max = 200))]
    nodes: Vec<NodeText>,
    /// In which order, and under which conditions.
    #[schemars(length(max = 1000))]
    #[schemars(default)]
    edges: Vec<EdgeText>,
}

/// A node.
#[derive(JsonSchema)]
#[schemars(rename = "Node")]
#[expect(dead_code, reason = "the shape of the text, from which only the schema is made")]
struct NodeText {
    /// Its id, unique in the definition. Templates read its output as `steps.<id>.output`.
    id: NodeName,
    /// Nodes that must be over before this one: a short way to write edges without `when`.
    #[schemars(default)]
    after: Vec<NodeName>,
    /// How often it is tried. Only for `ai`, `http` and `record`.
    retry: Option<Retry>,
    /// How long one attempt may take, in seconds. Only for `ai` (default 120), `http` (30), `record` (10).
    #[schemars(range(min = 1, max = 3600))]
    timeout: Option<u64>,
    /// What to do when it is not known whether an attempt took effect. Only for `ai`, `http`, `record`.
    on_unknown: Option<OnUnknown>,
    /// What it does.
    #[schemars(flatten)]
    kind: Kind,
}

/// From one node to another.
#[derive(JsonSchema)]
#[schemars(rename = "Edge", deny_unknown_fields)]
#[expect(dead_code, reason = "the shape of the text, from which only the schema is made")]
struct EdgeText {
    /// The node that must be over.
    from: NodeName,
    /// The node that waits.
    to: NodeName,
    /// Only from a condition: the result for which the edge is taken.
    when: Option<When>,
}

/// A condition's result: true, false, or a text.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "the shape of the text, from which only the schema is made")]
enum When {
    Flag(bool),
    Text(String),
}

/// The JSON Schema (draft 2020-12) of a definition.
pub fn definition_schema() -> Schema {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<DefinitionText>()
}
