//! [`Side`]: one of the two tenants that the attacks go between.

use crate::seed::Fill;
use client::{Answer, MadeTenant};
use secret::SecretText;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// One of the two tenants, with what it is known by.
pub(crate) struct Side {
    pub(crate) tenant: String,
    /// The owner's key.
    pub(crate) key: SecretText,
    /// Stands in every field that can hold it.
    pub(crate) canary: String,
    /// A short text that is this side's alone, for names that the tenant chooses.
    pub(crate) mark: String,
    /// The secret with which deliveries to its hooks are signed, as Standard Webhooks writes it.
    pub(crate) hook_secret: SecretText,
    /// The template that both sides' instances are made from.
    pub(crate) template: String,
    /// Ids of its objects.
    known: Mutex<BTreeSet<String>>,
    /// Objects that may be read again and again, by the place they stand in.
    pub(crate) kept: tokio::sync::Mutex<BTreeMap<String, Fill>>,
    /// Keys with less than the owner's rights, by role and scope.
    pub(crate) lesser: tokio::sync::Mutex<BTreeMap<String, SecretText>>,
}

impl Side {
    pub(crate) fn new(made: MadeTenant, mark: String, hook_secret: SecretText) -> Self {
        let known = BTreeSet::from([made.id.clone(), made.key_id.clone()]);
        Self {
            canary: format!("canary-{mark}"),
            tenant: made.id,
            key: made.key,
            mark,
            hook_secret,
            template: String::new(),
            known: Mutex::new(known),
            kept: tokio::sync::Mutex::default(),
            lesser: tokio::sync::Mutex::default(),
        }
    }

    /// Its instances are made from this template.
    pub(crate) fn with_template(self, name: &str) -> Self {
        Self { template: name.to_owned(), ..self }
    }

    /// Remembers every id in an answer to this side's own request.
    pub(crate) fn learn(&self, answer: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(ids(answer).filter(|id| is_its_own(id)).map(str::to_owned));
    }

    /// Forgets an id that is nobody's alone, such as the operator's.
    pub(crate) fn forget(&self, id: &str) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// Whether an answer shows something that is this side's alone.
    pub(crate) fn is_shown_in(&self, answer: &Answer) -> bool {
        let text = answer.text();
        self.markers().iter().any(|marker| text.contains(marker))
    }

    /// All by which this side's data is known: its canary and the ids of its objects.
    pub(crate) fn markers(&self) -> Vec<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::once(self.canary.clone()).chain(known.iter().cloned()).collect()
    }
}

/// Templates belong to the operator, requests to nobody, and a tenant's own id is known from the start: any
/// other tenant's that comes back is one that an attack has put there.
fn is_its_own(id: &str) -> bool {
    !["tpl_", "req_", "ten_"].iter().any(|prefix| id.starts_with(prefix))
}

/// The ids in a text: three letters, an underscore and a ULID.
pub(crate) fn ids(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_')).filter(|word| {
        word.len() == 30
            && word.as_bytes()[3] == b'_'
            && word.bytes().take(3).all(|byte| byte.is_ascii_lowercase())
            && word.bytes().skip(4).all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
    })
}

#[cfg(test)]
mod tests {
    use super::ids;

    #[test]
    fn ids_are_found_within_json_and_addresses() {
        let text =
            r#"{"id":"rec_01J00000000000000000000000","url":"/v1/runs/run_01J00000000000000000000001/x"}"#;
        let found: Vec<_> = ids(text).collect();
        assert_eq!(found, ["rec_01J00000000000000000000000", "run_01J00000000000000000000001"]);
        assert_eq!(ids("record_of_something_or_other_xx").count(), 0);
    }
}
