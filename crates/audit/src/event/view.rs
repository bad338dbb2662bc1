//! An event as the interface shows it: the leaf, with the values that are still there put back.

use super::commitment::{Disclosure, IP, REASONING, USER_AGENT};
use super::draft::{Actor, CostRef, Outcome, Resource, Source};
use super::name::{Action, Confidence, ReasonCode};
use super::seal::personal_name;
use crate::merkle::leaf_hash;
use env::Timestamp;
use ids::{EventId, RequestId, Slug, TenantId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// An event of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct View {
    /// The event's id.
    pub event_id: EventId,
    /// Its place in the log, from 0.
    pub seq: u64,
    /// When it was recorded.
    pub time: Timestamp,
    /// Whose log.
    pub tenant: TenantId,
    /// Where the log is kept.
    pub region: Slug,
    /// Which of the tenant's logs in this region.
    pub epoch: u64,
    /// Who did it.
    pub actor: Actor,
    /// What was done.
    pub action: Action,
    /// To what.
    pub resource: Resource,
    /// How it went.
    pub result: Outcome,
    /// Why it went so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<ReasonCode>,
    /// The request that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// The trace id that the caller sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_link: Option<String>,
    /// The intent whose outcome this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<EventId>,
    /// The address it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<Disclosed>,
    /// The program it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<Disclosed>,
    /// Why an agent did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Disclosed>,
    /// What an agent's decision rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
    /// How sure an agent was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Confidence>,
    /// What it cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostRef>,
    /// Small facts.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub details: Map<String, Value>,
    /// Further personal or long values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub personal: BTreeMap<String, Disclosed>,
    /// The hash of the leaf before this one, in hexadecimal.
    pub prev: String,
    /// The leaf's own hash, in hexadecimal.
    #[serde(default)]
    pub leaf_hash: String,
}

/// A value that the leaf commits to, or what is left of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Disclosed {
    /// The value, which the commitment was checked against.
    Value(String),
    /// The value was erased.
    Redacted(Redacted),
}

/// The place of an erased value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Redacted {
    /// Always true.
    pub redacted: bool,
    /// The commitment in the leaf, in hexadecimal.
    pub commitment: String,
}

/// Why an event cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The bytes are not a leaf of a version that this code knows.
    #[error("not a leaf of the audit log")]
    NotALeaf(#[source] serde_json::Error),
    /// The leaf is of a version that this code does not know.
    #[error("a leaf of the unknown version {0}")]
    Version(u8),
    /// A kept value is not the one that the leaf commits to: it was altered where it is kept.
    #[error("the kept value of {0} is not the one that the log commits to")]
    Mismatch(String),
    /// A kept value belongs to no commitment of the leaf.
    #[error("the log has no commitment to {0}")]
    Unknown(String),
}

#[derive(Deserialize)]
struct Committed {
    #[serde(default)]
    commitments: BTreeMap<String, String>,
    v: u8,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl View {
    /// Shows a leaf with what is left of the values it commits to. Every value is checked against its
    /// commitment; a commitment without a value shows as redacted.
    pub fn open(leaf: &[u8], disclosures: &[Disclosure]) -> Result<Self, ViewError> {
        let committed: Committed = serde_json::from_slice(leaf).map_err(ViewError::NotALeaf)?;
        if committed.v != super::LEAF_VERSION {
            return Err(ViewError::Version(committed.v));
        }
        let mut view: Self =
            serde_json::from_value(Value::Object(committed.rest)).map_err(ViewError::NotALeaf)?;
        view.leaf_hash = hex::encode(leaf_hash(leaf));
        let mut values = BTreeMap::new();
        for kept in disclosures {
            let found = committed.commitments.get(&kept.field);
            let commitment = found.ok_or_else(|| ViewError::Unknown(kept.field.clone()))?;
            if *commitment != hex::encode(kept.commitment()) {
                return Err(ViewError::Mismatch(kept.field.clone()));
            }
            values.insert(kept.field.as_str(), kept.value.as_str());
        }
        for (field, commitment) in committed.commitments {
            let shown = match values.get(field.as_str()) {
                Some(value) => Disclosed::Value((*value).to_owned()),
                None => Disclosed::Redacted(Redacted { redacted: true, commitment }),
            };
            view.place(&field, shown);
        }
        Ok(view)
    }

    fn place(&mut self, field: &str, shown: Disclosed) {
        match field {
            IP => self.ip = Some(shown),
            USER_AGENT => self.user_agent = Some(shown),
            REASONING => self.reasoning = Some(shown),
            _ => {
                let name = personal_name(field).unwrap_or(field);
                self.personal.insert(name.to_owned(), shown);
            }
        }
    }
}
