//! The parts of a definition: nodes of six types, edges, retries.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The text is not a node's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id of 1 to 63 lower-case letters, digits and `_` that begins with a letter")]
pub struct ParseNodeNameError;

/// A node's id: 1 to 63 lower-case letters, digits and `_`, a letter first, so that templates can say
/// `steps.<id>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
pub struct NodeName(#[schemars(regex(pattern = r"^[a-z][a-z0-9_]{0,62}$"))] String);

impl NodeName {
    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeName {
    type Err = ParseNodeNameError;

    fn from_str(text: &str) -> Result<Self, ParseNodeNameError> {
        let begins_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if begins_well && text.len() <= 63 && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseNodeNameError)
        }
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for NodeName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its id, unique in the definition.
    pub id: NodeName,
    /// What it does.
    pub kind: Kind,
    /// Its own retries; [`Node::retry`] has what holds.
    pub retry: Option<Retry>,
    /// Its own time limit in seconds; [`Node::timeout`] has what holds.
    pub timeout: Option<u64>,
    /// Its own rule; [`Node::on_unknown`] has what holds.
    pub on_unknown: Option<OnUnknown>,
}

impl Node {
    /// How often it is tried. Without `retry` in the definition `ai` and `record` nodes are tried three
    /// times and `http` nodes once, because only its author knows whether a request may be repeated.
    pub fn retry(&self) -> Retry {
        let default = if matches!(self.kind, Kind::Http(_)) { 1 } else { 3 };
        self.retry.unwrap_or(Retry { max_attempts: default, backoff: Backoff::default() })
    }

    /// How long one attempt may take: by default 120 s for `ai`, 30 s for `http`, 10 s for `record`.
    pub fn timeout(&self) -> Duration {
        let default = match self.kind {
            Kind::Ai(_) => 120,
            Kind::Http(_) => 30,
            _ => 10,
        };
        Duration::from_secs(self.timeout.unwrap_or(default))
    }

    /// What to do when it is not known whether an attempt took effect. By default `retry`, but `stop` for
    /// an `http` node that has no `retry` and whose method is not idempotent (RFC 9110, section 9.2.2).
    pub fn on_unknown(&self) -> OnUnknown {
        self.on_unknown.unwrap_or(match &self.kind {
            Kind::Http(http) if self.retry.is_none() && !http.method.is_idempotent() => OnUnknown::Stop,
            _ => OnUnknown::Retry,
        })
    }
}

/// What a node does.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(tag = "type", rename_all = "snake_case")]
pub enum Kind {
    /// Where a run begins. Its output is the run's input.
    Source(Source),
    /// Asks a model.
    Ai(Ai),
    /// Decides which edges are taken.
    Condition(Condition),
    /// Calls an outside service.
    Http(Http),
    /// Reads or writes the tenant's records.
    Record(Record),
    /// Makes a value from others.
    Transform(Transform),
}

impl Kind {
    /// The `type` in the definition.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Source(_) => "source",
            Self::Ai(_) => "ai",
            Self::Condition(_) => "condition",
            Self::Http(_) => "http",
            Self::Record(_) => "record",
            Self::Transform(_) => "transform",
        }
    }

    /// Whether it acts on the world, so that a worker must perform it. The engine evaluates the others.
    pub fn has_effect(&self) -> bool {
        matches!(self, Self::Ai(_) | Self::Http(_) | Self::Record(_))
    }
}

/// Where a run begins.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What starts a run.
    pub kind: SourceKind,
    /// How deliveries are checked; required for `webhook`.
    pub webhook: Option<Webhook>,
}

/// What starts a run. A webhook's run can also be started by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// A delivery to the workflow's hook.
    Webhook,
    /// A call of the API.
    Manual,
}

/// How deliveries to the hook are checked.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// `github`, `slack`, `standard` (Standard Webhooks) or `none`; or a template over `config` that
    /// yields one of them.
    pub scheme: String,
    /// The credential service that holds the signing secret; or a template over `config` that yields it.
    pub secret: Option<String>,
    /// How far a signed time may be from ours, in seconds, at most 3,600. Default 300.
    pub tolerance_seconds: Option<u64>,
    /// The header that identifies a delivery, where the scheme has none of its own.
    pub delivery_id_header: Option<String>,
}

/// Asks a model. The output is `{"text": …}`, or with `output_schema` the JSON that fits it.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ai {
    /// The model's name; or a template over `config` that yields it.
    pub model: String,
    /// Template of the system message.
    pub system: Option<String>,
    /// Template of the user's message.
    pub prompt: String,
    /// The most tokens that the answer may have.
    pub max_tokens: Option<u32>,
    /// Sampling temperature, 0 to 2.
    pub temperature: Option<f64>,
    /// The JSON Schema that the answer must fit; an object.
    pub output_schema: Option<Value>,
}

/// Decides which edges are taken. The output is `{"result": …}`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// A minijinja expression, without braces, that yields true, false or a short text.
    pub expression: String,
}

/// A method of a request (RFC 9110, section 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    Get,
    /// Reads the headers.
    Head,
    /// Creates or acts.
    Post,
    /// Replaces.
    Put,
    /// Changes a part.
    Patch,
    /// Deletes.
    Delete,
}

impl Method {
    /// Whether repeating a request has no further effect (RFC 9110, section 9.2.2).
    pub fn is_idempotent(self) -> bool {
        !matches!(self, Self::Post | Self::Patch)
    }
}

/// Calls an outside service. The output is `{"status": …, "body": …}`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// The method.
    pub method: Method,
    /// Template of the address. Scheme and host come from the definition or from `config`; what is
    /// inserted further on is percent-encoded.
    pub url: String,
    /// Templates of headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Templates of query parameters.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// JSON with templates in its texts, sent as `application/json`.
    pub body: Option<Value>,
    /// The credential service whose credential is sent; or a template over `config` that yields it.
    pub credential: Option<String>,
    /// The statuses that count as success. Default: 200 to 299.
    pub expect_status: Option<Vec<u16>>,
    /// The most bytes read of an answer, at most 1,048,576. Default 262,144.
    pub max_response_bytes: Option<u64>,
}

/// What is done with records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Adds a record of `fields`. The output is the record.
    Create,
    /// Changes `fields` of the record `record_id`. The output is the record.
    Update,
    /// Changes the record that matches, or adds one. The output is the record.
    Upsert,
    /// Reads the record `record_id`. The output is the record, or null.
    Get,
    /// Reads the records that match. The output is `{"data": […]}`.
    Find,
    /// Deletes the record `record_id`. The output is `{"deleted": true or false}`.
    Delete,
}

/// Reads or writes the tenant's records.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// What is done.
    pub operation: Operation,
    /// The collection; or a template over `config` that yields it.
    pub collection: String,
    /// Template of the record's id, as `create` and `find` yield it.
    pub record_id: Option<String>,
    /// Fields that must be equal, values with templates.
    #[serde(rename = "match")]
    pub matching: Option<Map<String, Value>>,
    /// Fields to write, values with templates.
    pub fields: Option<Map<String, Value>>,
    /// The most records that `find` yields, at most 100. Default 20.
    pub limit: Option<u32>,
}

/// Makes a value from others.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Transform {
    /// JSON with templates in its texts. A text that is exactly one `{{ expression }}` yields the
    /// expression's value with its type.
    pub output: Value,
}

/// From one node to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Edge {
    /// The node that must be over.
    pub from: NodeName,
    /// The node that waits.
    pub to: NodeName,
    /// The condition's result for which the edge is taken, as text. Without it the edge is always taken.
    pub when: Option<String>,
}

/// How often a node is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// How many attempts there are in all, 1 to 10.
    #[schemars(range(min = 1, max = 10))]
    pub max_attempts: u32,
    /// How long to wait between them.
    #[serde(default)]
    pub backoff: Backoff,
}

/// How long to wait between attempts: `initial_seconds`, then `factor` times longer each time, at most
/// `max_seconds`; of that a random part between one half and all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Backoff {
    /// The first wait, 1 to 3,600 seconds. Default 1.
    #[schemars(range(min = 1, max = 3600))]
    pub initial_seconds: u32,
    /// The longest wait, 1 to 3,600 seconds. Default 60.
    #[schemars(range(min = 1, max = 3600))]
    pub max_seconds: u32,
    /// How much longer each wait is than the one before, 1 to 10. Default 2.
    #[schemars(range(min = 1, max = 10))]
    pub factor: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial_seconds: 1, max_seconds: 60, factor: 2 }
    }
}

/// What to do when it is not known whether an attempt took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// Try again with the same idempotency key.
    Retry,
    /// Stop: a person must look.
    Stop,
}
