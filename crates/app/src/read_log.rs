//! Reads and refusals in the audit log: one event per principal, collection and minute, with how many there
//! were.
//!
//! What waits is kept by tenant. One tenant's names of collections are its own choice, so how many of them
//! are told apart is bounded, and what cannot be written down for one tenant keeps nobody else waiting.

mod waiting;

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use audit::event::{Action, Draft, Outcome, ReasonCode};
use context::{Admission, Tenant};
use env::Timestamp;
use errors::Code;
use futures::StreamExt as _;
use futures::stream;
use ids::TenantId;
use std::sync::{Mutex, PoisonError};
use store::{AuditTrail, StoreError};
use waiting::{Due, Key, Waiting};

/// What is done when a principal is refused something that it may not do.
const REFUSE: Action = Action::new("access.refuse");
/// Tenants whose reads are written down at the same time.
const AT_ONCE: usize = 16;

/// Reads that wait to be written down at the end of their minute.
#[derive(Default)]
pub struct ReadLog(Mutex<Waiting>);

impl ReadLog {
    /// Notes a read. `what` is the collection that was read from, or the kind of thing.
    pub fn note(
        &self,
        admission: &Admission,
        tenant: &Tenant<'_>,
        action: Action,
        kind: &'static str,
        what: &str,
        now: Timestamp,
    ) {
        self.count(admission, tenant, (action, kind, what), None, now);
    }

    /// Notes that the principal was refused an operation.
    pub fn note_refusal(
        &self,
        admission: &Admission,
        tenant: &Tenant<'_>,
        operation: &str,
        code: Code,
        now: Timestamp,
    ) {
        self.count(admission, tenant, (REFUSE, "operation", operation), Some(code), now);
    }

    fn count(
        &self,
        admission: &Admission,
        tenant: &Tenant<'_>,
        (action, kind, what): (Action, &'static str, &str),
        refused: Option<Code>,
        now: Timestamp,
    ) {
        let key = Key {
            principal: tenant.principal().id.clone(),
            action,
            kind,
            what: what.to_owned(),
            refused,
            minute: minute(now),
        };
        self.waiting().count(tenant.id(), key, admission);
    }

    /// Forgets what waits for a tenant that was erased: there is no log any more.
    pub fn forget(&self, tenant: TenantId) {
        self.waiting().forget(tenant);
    }

    /// Writes down what belongs to minutes that are over, or all; that of one tenant where one is given.
    /// What could not be written waits for the next minute. The first fault is given back.
    pub async fn flush(
        &self,
        store: &(impl Trail + ?Sized),
        now: Timestamp,
        which: Flush,
    ) -> Result<(), StoreError> {
        let due = self.waiting().due(minute(now), which);
        let written = stream::iter(due).map(|due| async {
            let appended = append(store, &due).await;
            if let Err(error) = &appended {
                self.put_back(due, error, now);
            }
            appended
        });
        written.buffer_unordered(AT_ONCE).fold(Ok(()), async |all, one| all.and(one)).await
    }

    fn put_back(&self, due: Due, error: &StoreError, now: Timestamp) {
        let (tenant, lost) = (due.tenant, matches!(error, StoreError::Invalid(_)));
        if lost || !self.waiting().put_back(due, minute(now)) {
            tracing::error!(tenant.id = %tenant, %error, "reads are lost to the tenant's audit log");
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All that is due for one tenant, in one commit.
async fn append(store: &(impl Trail + ?Sized), due: &Due) -> Result<(), StoreError> {
    let mut events = Vec::with_capacity(due.reads.len());
    for (key, reads) in &due.reads {
        events.push(reads.admission.clone().enter(async |tenant| draft(&tenant, key, reads.count)).await);
    }
    let Some((_, reads)) = due.reads.first() else { return Ok(()) };
    reads.admission.clone().enter(async |tenant| store.append(&tenant, events).await).await
}

fn draft(tenant: &Tenant<'_>, key: &Key, count: u64) -> Draft {
    let mut draft = context::event::draft(tenant, key.action.clone(), key.kind, key.what.clone());
    draft.details.insert("count".into(), count.into());
    let begun = Timestamp::from_millis(key.minute * 60_000);
    draft.details.insert("minute".into(), begun.to_string().into());
    if let Some(code) = key.refused {
        draft.result = Outcome::Denied;
        draft.reason_code = Some(ReasonCode::from(code));
    }
    draft
}

fn minute(now: Timestamp) -> i64 {
    now.millis().div_euclid(60_000)
}

/// Where reads are written down: the audit log, as far as this needs it.
#[async_trait]
pub trait Trail: Send + Sync {
    /// Appends events in one commit.
    async fn append(&self, tenant: &Tenant<'_>, events: Vec<Draft>) -> Result<(), StoreError>;
}

#[async_trait]
impl<S: AuditTrail + ?Sized> Trail for S {
    async fn append(&self, tenant: &Tenant<'_>, events: Vec<Draft>) -> Result<(), StoreError> {
        self.append_events(tenant, events).await.map(drop)
    }
}

/// Which reads are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// Those of minutes that are over.
    Ended,
    /// One tenant's.
    Tenant(TenantId),
    /// All of them.
    All,
}
