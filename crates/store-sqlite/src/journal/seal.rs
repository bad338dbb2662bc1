//! Sealing journal entries: AES-256-GCM under a key that is derived per tenant and segment, with tenant and
//! segment as associated data.

use crate::error::Fault;
use crate::rows::RowChange;
use env::Env;
use ids::{Id, TenantId};
use kms::aead::Cipher;
use secret::SecretBytes;

/// What one process writes into the journal between its start and its end, named by a random id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Segment(pub(crate) [u8; 16]);

impl Segment {
    /// A segment that never was before.
    pub(crate) fn fresh(env: &Env) -> Self {
        Self(env.random())
    }
}

/// A tenant's key for one segment.
pub(crate) struct JournalKey {
    cipher: Cipher,
    place: [u8; 32],
}

impl JournalKey {
    /// Derives the key from the tenant's.
    pub(crate) fn derive(tenant_key: &SecretBytes<32>, tenant: TenantId, segment: Segment) -> Self {
        let mut place = [0; 32];
        place[..16].copy_from_slice(&tenant.to_bytes());
        place[16..].copy_from_slice(&segment.0);
        let key = kms::derive(tenant_key, &crate::keys::JOURNAL, &place);
        Self { cipher: Cipher::new(&key), place }
    }

    /// Seals rows.
    pub(crate) fn seal(&self, rows: &[RowChange], env: &Env) -> Result<Vec<u8>, Fault> {
        let plain = postcard::to_stdvec(rows).map_err(|_| Fault::Damaged("a row that does not serialise"))?;
        Ok(self.cipher.seal(env, &self.place, &plain)?)
    }

    /// Opens what was sealed for this tenant in this segment, and nothing else.
    pub(crate) fn open(&self, sealed: &[u8]) -> Result<Vec<RowChange>, Fault> {
        let plain = self.cipher.open(&self.place, sealed)?;
        postcard::from_bytes(&plain).map_err(|_| Fault::Damaged("a journal entry"))
    }
}
