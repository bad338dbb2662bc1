//! The data of a run: what entered it and what its steps made.

use crate::definition::NodeName;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The delivery that started a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// What identifies it, where something does.
    pub id: Option<String>,
    /// Its plain headers, by name in lower case.
    pub headers: BTreeMap<String, String>,
}

/// The data of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Values {
    /// What started the run.
    pub input: Value,
    /// The instance's configuration.
    pub config: Value,
    /// What each step that succeeded made.
    pub outputs: BTreeMap<NodeName, Value>,
}

impl Values {
    /// Bytes of all outputs but this node's.
    pub(super) fn bytes_without(&self, node: &NodeName) -> usize {
        let others = self.outputs.iter().filter(|(other, _)| *other != node);
        others.map(|(_, output)| crate::template::bytes_of(output)).sum()
    }
}
