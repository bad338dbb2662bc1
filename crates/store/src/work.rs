//! Marks of work under way, so that a restarted server finds it without opening every tenant's store.

use crate::StoreError;
use async_trait::async_trait;
use env::Timestamp;
use ids::TenantId;

/// What kind of work is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WorkKind {
    /// A run that is not finished.
    Run,
    /// A call whose outcome is not known.
    Call,
}

/// The beginning or the end of a piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Work has begun, or is next due at another time.
    Open {
        /// What kind.
        kind: WorkKind,
        /// The id of the run or call.
        id: [u8; 16],
        /// When it is next due, where it waits.
        due: Option<Timestamp>,
    },
    /// Work has ended.
    Closed {
        /// What kind.
        kind: WorkKind,
        /// The id of the run or call.
        id: [u8; 16],
    },
}

/// A piece of work under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingWork {
    /// The tenant that it belongs to: to be admitted as a system principal before anything is read.
    pub tenant: TenantId,
    /// The id of the run or call.
    pub id: [u8; 16],
    /// When it is next due, where it waits.
    pub due: Option<Timestamp>,
}

/// Lists work under way on this node.
#[async_trait]
pub trait WorkIndex: Send + Sync {
    /// All work of this kind that has begun and not ended, oldest first.
    async fn pending(&self, kind: WorkKind) -> Result<Vec<PendingWork>, StoreError>;

    /// Tenants on this node that have stored more than their log, by id, after the given one: to be looked
    /// at for what has grown old, each admitted as a system principal before anything is read.
    async fn tenants_at_rest(&self, after: Option<TenantId>, limit: u32)
    -> Result<Vec<TenantId>, StoreError>;
}
