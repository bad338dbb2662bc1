//! What a definition would do, as a person who upgrades to it wants to see it.

use super::Definition;
use super::node::{Kind, Node, NodeName};
use crate::template::{Part, host_end, split};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What a definition says to models.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Prompt {
    /// Template of the system message.
    pub system: Option<String>,
    /// Template of the user's message.
    pub prompt: String,
}

/// What a definition reaches. Where the configuration decides, the entry is the template, such as
/// `{{ config.crm_url }}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Effects {
    /// Each node's type.
    pub nodes: BTreeMap<String, String>,
    /// What each `ai` node says.
    pub prompts: BTreeMap<String, Prompt>,
    /// Hosts that are called, with the port where one is given.
    pub hosts: BTreeSet<String>,
    /// Credential services that are used, the hook's secret among them.
    pub credentials: BTreeSet<String>,
    /// Models that are called.
    pub models: BTreeSet<String>,
    /// Collections that are read or written.
    pub collections: BTreeSet<String>,
}

/// What the definition reaches.
pub fn effects(definition: &Definition) -> Effects {
    let mut effects = Effects::default();
    for node in &definition.nodes {
        effects.nodes.insert(node.id.to_string(), node.kind.name().to_owned());
        effects.add(node);
    }
    effects
}

impl Effects {
    fn add(&mut self, node: &Node) {
        match &node.kind {
            Kind::Source(source) => {
                let secret = source.webhook.as_ref().and_then(|webhook| webhook.secret.clone());
                self.credentials.extend(secret);
            }
            Kind::Ai(ai) => {
                self.models.insert(ai.model.clone());
                let prompt = Prompt { system: ai.system.clone(), prompt: ai.prompt.clone() };
                self.prompts.insert(node.id.to_string(), prompt);
            }
            Kind::Http(http) => {
                self.hosts.insert(host(&http.url));
                self.credentials.extend(http.credential.clone());
            }
            Kind::Record(record) => {
                self.collections.insert(record.collection.clone());
            }
            Kind::Condition(_) | Kind::Transform(_) => {}
        }
    }
}

/// The host of a URL's template: literal, or the template over `config` that yields it.
fn host(url: &str) -> String {
    let parts = split(url).unwrap_or_default();
    let end = host_end(&parts);
    let mut host = String::new();
    for (index, part) in parts.iter().enumerate().take(end + 1) {
        match part {
            Part::Text(text) => {
                let text = text.split_once("://").map_or(text.as_str(), |(_, behind)| behind);
                let text = if index == end { text.split(['/', '?', '#']).next() } else { Some(text) };
                host.push_str(text.unwrap_or_default());
            }
            Part::Expression { source, .. } => host.push_str(&format!("{{{{ {} }}}}", source.trim())),
        }
    }
    host
}

/// What is only in the new, only in the old, and in both but not the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Difference {
    /// Only in the new definition.
    pub added: Vec<String>,
    /// Only in the old definition.
    pub removed: Vec<String>,
    /// In both, with another content.
    pub changed: Vec<String>,
}

/// What an upgrade changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Changes {
    /// Nodes by id; changed means that any of their fields differ.
    pub nodes: Difference,
    /// Edges, written `from → to` or `from → to when …`.
    pub edges: Difference,
    /// Prompts by the id of their node.
    pub prompts: Difference,
    /// Hosts that are called.
    pub hosts: Difference,
    /// Credential services.
    pub credentials: Difference,
    /// Models.
    pub models: Difference,
    /// Collections.
    pub collections: Difference,
    /// Whether `config_required` differs.
    pub config_required: bool,
    /// How long a run may take, where that differs.
    pub timeout_seconds: Option<Seconds>,
}

/// A number of seconds, before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Seconds {
    /// In the old definition.
    pub from: u64,
    /// In the new definition.
    pub to: u64,
}

/// What changes from the old definition to the new one.
pub fn compare(old: &Definition, new: &Definition) -> Changes {
    let (before, after) = (effects(old), effects(new));
    Changes {
        nodes: maps(&nodes(old), &nodes(new)),
        edges: sets(&edges(old), &edges(new)),
        prompts: maps(&before.prompts, &after.prompts),
        hosts: sets(&before.hosts, &after.hosts),
        credentials: sets(&before.credentials, &after.credentials),
        models: sets(&before.models, &after.models),
        collections: sets(&before.collections, &after.collections),
        config_required: old.config_required != new.config_required,
        timeout_seconds: (old.timeout_seconds != new.timeout_seconds)
            .then_some(Seconds { from: old.timeout_seconds, to: new.timeout_seconds }),
    }
}

fn nodes(definition: &Definition) -> BTreeMap<String, &Node> {
    definition.nodes.iter().map(|node| (node.id.to_string(), node)).collect()
}

fn edges(definition: &Definition) -> BTreeSet<String> {
    let text = |(from, to, when): (&NodeName, &NodeName, Option<&str>)| match when {
        Some(when) => format!("{from} → {to} when {when}"),
        None => format!("{from} → {to}"),
    };
    definition.edges.iter().map(|edge| text((&edge.from, &edge.to, edge.when.as_deref()))).collect()
}

fn sets(old: &BTreeSet<String>, new: &BTreeSet<String>) -> Difference {
    Difference {
        added: new.difference(old).cloned().collect(),
        removed: old.difference(new).cloned().collect(),
        changed: Vec::new(),
    }
}

fn maps<T: PartialEq>(old: &BTreeMap<String, T>, new: &BTreeMap<String, T>) -> Difference {
    let only = |a: &BTreeMap<String, T>, b: &BTreeMap<String, T>| {
        a.keys().filter(|key| !b.contains_key(*key)).cloned().collect()
    };
    let changed = new.iter().filter(|(key, value)| old.get(*key).is_some_and(|before| before != *value));
    Difference {
        added: only(new, old),
        removed: only(old, new),
        changed: changed.map(|(key, _)| key.clone()).collect(),
    }
}
