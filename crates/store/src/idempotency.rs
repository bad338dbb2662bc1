//! Idempotency keys: what a repeated write is answered with.

use crate::StoreError;
use async_trait::async_trait;
use context::{Private, Tenant};
use env::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

/// The caller's key, bound to what it sent. Part of the write's own commit, so a write with the same key
/// can never be carried out twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyClaim {
    /// SHA-256 over principal, method, path and key: one principal's keys are not another's.
    pub key: [u8; 32],
    /// SHA-256 over the request's body.
    pub request: [u8; 32],
    /// Until when it is kept.
    pub until: Timestamp,
    /// What a repeated request is answered with. Where it is known by the commit, it is part of it, and no
    /// crash loses it.
    pub answer: PlannedAnswer,
}

/// What a repeated request is answered with, as far as that is known before the write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PlannedAnswer {
    /// Nothing yet: [`IdempotencyStore::remember`] says it after the write.
    #[default]
    Later,
    /// This status, with what was written as JSON, and these members in the place of its own.
    Form {
        /// The status.
        status: u16,
        /// What is not remembered as it was, such as a secret that is shown once.
        members: Map<String, Value>,
    },
    /// This status and this body.
    Known(u16, Vec<u8>),
}

impl IdempotencyClaim {
    /// The claim with the answer that `written` makes, where the answer's form is known.
    #[must_use]
    pub fn answered(mut self, written: &impl Serialize) -> Self {
        self.answer = self.answer.filled(written);
        self
    }
}

impl IdempotencyClaim {
    /// The claim with this answer, where its status is known only by the write itself.
    #[must_use]
    pub fn answered_with(self, status: u16, written: &impl Serialize) -> Self {
        let form = PlannedAnswer::Form { status, members: Map::new() };
        Self { answer: form.filled(written), ..self }
    }
}

impl PlannedAnswer {
    /// The answer that `written` makes, where its form is known.
    pub fn filled(self, written: &impl Serialize) -> Self {
        match self {
            Self::Form { status, members } => match serde_json::to_value(written) {
                Ok(Value::Object(mut body)) => {
                    body.extend(members);
                    Self::Known(status, Value::Object(body).to_string().into_bytes())
                }
                Ok(_) | Err(_) => Self::Form { status, members },
            },
            other => other,
        }
    }

    /// The answer, where it is known.
    pub fn known(&self) -> Option<(u16, Vec<u8>)> {
        match self {
            Self::Known(status, body) => Some((*status, body.clone())),
            Self::Later | Self::Form { .. } => None,
        }
    }
}

/// What is known of an earlier request with the same key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// SHA-256 over its body.
    pub request: [u8; 32],
    /// Its answer: status and body; `None` where a crash lost it.
    pub answer: Option<(u16, Vec<u8>)>,
}

/// Remembers the answers of writes.
#[async_trait]
pub trait IdempotencyStore: Send + Sync {
    /// The earlier request with this key, unless it is too long ago.
    async fn remembered<'t>(
        &self,
        tenant: &Tenant<'t>,
        key: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Private<'t, Remembered>>, StoreError>;

    /// Keeps the answer of a request whose claim was committed.
    async fn remember(
        &self,
        tenant: &Tenant<'_>,
        claim: &IdempotencyClaim,
        status: u16,
        body: Vec<u8>,
    ) -> Result<(), StoreError>;

    /// Gives a key back whose request came to nothing, so that it can be repeated.
    async fn give_back(&self, tenant: &Tenant<'_>, claim: &IdempotencyClaim) -> Result<(), StoreError>;
}
