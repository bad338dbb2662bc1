//! Where templates stand in a node, and what may enter there.

use super::document::member;
use super::node::{Kind, Node, Webhook};
use serde_json::{Map, Value};

/// What a templated text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Any value may enter.
    Text,
    /// A bare expression, without braces.
    Expression,
    /// A URL: up to its host only the definition and the configuration may enter.
    Url,
    /// Only the definition and the configuration may enter.
    Config,
}

/// A templated text of a node.
#[derive(Debug)]
pub(crate) struct Slot<'a> {
    /// The JSON Pointer within the node.
    pub(crate) pointer: String,
    pub(crate) text: &'a str,
    pub(crate) place: Place,
}

impl Node {
    /// Every templated text of this node.
    pub(crate) fn slots(&self) -> Vec<Slot<'_>> {
        let mut slots = Slots(Vec::new());
        match &self.kind {
            Kind::Source(source) => slots.webhook(source.webhook.as_ref()),
            Kind::Ai(ai) => {
                slots.add("/model", Place::Config, &ai.model);
                slots.maybe("/system", Place::Text, ai.system.as_deref());
                slots.add("/prompt", Place::Text, &ai.prompt);
            }
            Kind::Condition(condition) => slots.add("/expression", Place::Expression, &condition.expression),
            Kind::Http(http) => {
                slots.add("/url", Place::Url, &http.url);
                for (field, texts) in [("/headers", &http.headers), ("/query", &http.query)] {
                    for (name, text) in texts {
                        slots.add(member(field, name), Place::Text, text);
                    }
                }
                if let Some(body) = &http.body {
                    slots.json("/body".to_owned(), body);
                }
                slots.maybe("/credential", Place::Config, http.credential.as_deref());
            }
            Kind::Record(record) => {
                slots.add("/collection", Place::Config, &record.collection);
                slots.maybe("/record_id", Place::Text, record.record_id.as_deref());
                slots.members("/match", record.matching.as_ref());
                slots.members("/fields", record.fields.as_ref());
            }
            Kind::Transform(transform) => slots.json("/output".to_owned(), &transform.output),
        }
        slots.0
    }
}

struct Slots<'a>(Vec<Slot<'a>>);

impl<'a> Slots<'a> {
    fn add(&mut self, pointer: impl Into<String>, place: Place, text: &'a str) {
        self.0.push(Slot { pointer: pointer.into(), text, place });
    }

    fn maybe(&mut self, pointer: &str, place: Place, text: Option<&'a str>) {
        if let Some(text) = text {
            self.add(pointer, place, text);
        }
    }

    fn webhook(&mut self, webhook: Option<&'a Webhook>) {
        if let Some(webhook) = webhook {
            self.add("/webhook/scheme", Place::Config, &webhook.scheme);
            self.maybe("/webhook/secret", Place::Config, webhook.secret.as_deref());
        }
    }

    fn members(&mut self, pointer: &str, members: Option<&'a Map<String, Value>>) {
        for (name, value) in members.into_iter().flatten() {
            self.json(member(pointer, name), value);
        }
    }

    fn json(&mut self, pointer: String, value: &'a Value) {
        match value {
            Value::String(text) => self.add(pointer, Place::Text, text),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.json(format!("{pointer}/{index}"), item);
                }
            }
            Value::Object(members) => {
                for (name, item) in members {
                    self.json(member(&pointer, name), item);
                }
            }
            _ => {}
        }
    }
}
