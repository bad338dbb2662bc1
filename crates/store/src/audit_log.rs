//! The tenant's audit log at rest: events, checkpoints, proofs and the export.

use crate::{Commit, Happenings, Page, PageRequest, StoreError};
use async_trait::async_trait;
use audit::event::Draft;
use context::{Access, Delete, Private, Read, Tenant, on};
use env::Timestamp;
use ids::EventId;
use serde_json::Value;

/// Which events are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only this action, or all that begin with it and a dot.
    pub action: Option<String>,
    /// Only this actor.
    pub actor: Option<String>,
    /// Only this resource's id.
    pub resource: Option<String>,
    /// From this moment on.
    pub from: Option<Timestamp>,
    /// Up to, and without, this moment.
    pub to: Option<Timestamp>,
}

/// An event with its place in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEvent {
    /// Its index.
    pub index: u64,
    /// The event as the answer shows it, with what has not been erased of its personal fields.
    pub view: Value,
}

/// A proof that an event is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    /// The event's index.
    pub index: u64,
    /// The exact leaf.
    pub leaf: Vec<u8>,
    /// The hashes from the leaf to the root (RFC 6962, section 2.1.1).
    pub hashes: Vec<[u8; 32]>,
    /// The signed checkpoint that the hashes lead to.
    pub checkpoint: String,
}

/// Which personal values are erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Erasure {
    /// All of one event.
    Event(EventId),
    /// All of the events of one actor, by the id in the log or the one that it is known by elsewhere, and
    /// this id wherever it is disclosed.
    Actor(String),
    /// This value, wherever it is disclosed.
    Value(String),
}

/// Keeps the tenant's audit log.
#[async_trait]
pub trait AuditTrail: Send + Sync {
    /// Appends events durably, in this order, in one commit; gives back their ids.
    async fn append_events(
        &self,
        tenant: &Tenant<'_>,
        events: Vec<Draft>,
    ) -> Result<Vec<EventId>, StoreError>;

    /// A page of events, newest first. What was acknowledged is in it.
    async fn events<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
        query: &AuditQuery,
        page: &PageRequest,
    ) -> Result<Private<'t, Page<AuditEvent>>, StoreError>;

    /// A signed checkpoint over the whole log.
    async fn checkpoint<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
    ) -> Result<Private<'t, String>, StoreError>;

    /// The verifier key, as text.
    async fn verifier_key<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
    ) -> Result<Private<'t, String>, StoreError>;

    /// A proof that the event at `index` is in the log.
    async fn prove_inclusion<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
        index: u64,
    ) -> Result<Private<'t, InclusionProof>, StoreError>;

    /// The hashes that show that the log of `size` events is a prefix of the present one, and the present
    /// one's checkpoint.
    async fn prove_consistency<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
        size: u64,
    ) -> Result<Private<'t, (Vec<[u8; 32]>, String)>, StoreError>;

    /// Exact leaves from `from` on, at most `limit`, for an export that goes on page by page up to a size
    /// fixed at its beginning.
    async fn leaves<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
        from: u64,
        limit: u32,
    ) -> Result<Private<'t, Vec<Vec<u8>>>, StoreError>;

    /// What happened from this index on, oldest first, as much as is looked through at once; where none is given,
    /// nothing but where the log ends.
    async fn happened<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
        from: Option<u64>,
    ) -> Result<Private<'t, Happenings>, StoreError>;

    /// The same of what may have changed the tenant's configuration alone, for whoever may know of that.
    async fn reconfigured<'t>(
        &self,
        access: &Access<'t, Read<on::Account>>,
        from: Option<u64>,
    ) -> Result<Private<'t, Happenings>, StoreError>;

    /// The log's size and a checkpoint over exactly that many events.
    async fn checkpoint_with_size<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
    ) -> Result<Private<'t, (u64, String)>, StoreError>;

    /// Erases personal values that the log's events disclose: the commitments stay, so every proof still
    /// holds. Gives back how many were erased.
    async fn erase_disclosures(
        &self,
        access: &Access<'_, Delete<on::Audit>>,
        erasure: &Erasure,
        commit: Commit,
    ) -> Result<u64, StoreError>;
}
