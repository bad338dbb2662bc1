//! What a server keeps of a tenant while it is in use.

use super::place::Place;
use super::queue::WriteQueue;
use super::reads::ReadQueue;
use crate::error::Fault;
use env::Env;
use ids::{Id as _, TenantId};
use kms::aead::Cipher;
use kms::{Purpose, framed};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::atomic::{AtomicBool, Ordering};
use store_core::keys::{EqualityKey, TenantKeys, WorkingKeys};
use zeroize::Zeroizing;

/// What content is sealed under.
pub(crate) const CONTENT: Purpose = Purpose::new("postgres content");

/// The keys that are at hand of a tenant's.
pub(crate) enum Keys {
    /// All of them.
    Whole(Box<TenantKeys>),
    /// Those that its own worker has.
    Working(WorkingKeys),
}

/// A tenant in use.
pub(crate) struct TenantHandle {
    pub(crate) id: TenantId,
    pub(super) place: Place,
    pub(crate) env: Env,
    pub(crate) queue: WriteQueue,
    pub(super) reads: ReadQueue,
    keys: Keys,
    content: Cipher,
    equality: EqualityKey,
    /// Whether the keys were found to be others than the tables are sealed under.
    stale: AtomicBool,
}

impl Keys {
    fn working(&self) -> &WorkingKeys {
        match self {
            Self::Whole(keys) => keys,
            Self::Working(keys) => keys,
        }
    }
}

impl TenantHandle {
    pub(crate) fn new(id: TenantId, place: Place, keys: Keys, env: Env) -> Self {
        let content = Cipher::new(keys.working().content());
        let equality = keys.working().equality();
        Self {
            id,
            place,
            env,
            queue: WriteQueue::default(),
            reads: ReadQueue::default(),
            keys,
            content,
            equality,
            stale: AtomicBool::new(false),
        }
    }

    /// What content is read and written with.
    pub(crate) fn keys(&self) -> &WorkingKeys {
        self.keys.working()
    }

    /// All of the tenant's keys, where they are at hand.
    pub(crate) fn whole_keys(&self) -> Result<&TenantKeys, Fault> {
        match &self.keys {
            Keys::Whole(keys) => Ok(keys),
            Keys::Working(_) => Err(Fault::Keys("a tenant's own worker has no such key".to_owned())),
        }
    }

    /// Says that the keys are to be read anew.
    pub(crate) fn make_stale(&self) {
        self.stale.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Relaxed)
    }

    /// Opens content. Where it does not open the key may have been changed meanwhile.
    fn open_content(&self, table: &str, row: &[&str], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
        self.content.open(&self.row_place(table, row), sealed).map_err(|error| {
            self.make_stale();
            error.into()
        })
    }

    fn row_place(&self, table: &str, row: &[&str]) -> Vec<u8> {
        let id = self.id.to_bytes();
        let mut parts = vec![id.as_slice(), table.as_bytes()];
        parts.extend(row.iter().map(|part| part.as_bytes()));
        framed("tenantry/postgres/row", &parts)
    }

    /// Seals bytes for one place of one row, and no other.
    pub(crate) fn seal_bytes(&self, table: &str, row: &[&str], bytes: &[u8]) -> Result<Vec<u8>, Fault> {
        Ok(self.content.seal(&self.env, &self.row_place(table, row), bytes)?)
    }

    /// Opens what was sealed for this place. What does not open was damaged, or belongs elsewhere.
    pub(crate) fn open_bytes(&self, table: &str, row: &[&str], sealed: &[u8]) -> Result<Vec<u8>, Fault> {
        Ok(self.open_content(table, row, sealed)?.to_vec())
    }

    /// Seals a value for one place.
    pub(crate) fn seal<T: Serialize>(&self, table: &str, row: &[&str], value: &T) -> Result<Vec<u8>, Fault> {
        let plain =
            serde_json::to_vec(value).map_err(|_| Fault::Damaged("a value that does not serialise"))?;
        self.seal_bytes(table, row, &plain)
    }

    /// Opens a value.
    pub(crate) fn open<T: DeserializeOwned>(
        &self,
        table: &str,
        row: &[&str],
        sealed: &[u8],
    ) -> Result<T, Fault> {
        let plain = self.open_content(table, row, sealed)?;
        serde_json::from_slice(&plain).map_err(|_| Fault::Damaged("a stored value"))
    }

    /// What stands for a value where rows are found by it: the same for the same parts, and nothing to others.
    pub(crate) fn token(&self, parts: &[&[u8]]) -> Vec<u8> {
        self.equality.token(parts)
    }

    /// The token of a delivery.
    pub(crate) fn delivery_token(&self, workflow: &str, delivery: &str) -> Vec<u8> {
        self.equality.delivery(workflow, delivery)
    }
}
