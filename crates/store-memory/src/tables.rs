//! A tenant's tables.

use audit::event::Disclosure;
use audit::merkle::Hash;
use env::Timestamp;
use ids::{CallId, RecordId, RunId, Slug, StepId, WorkflowId};
use metering::plan::Limits;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{
    Call, CallOutcome, CollectionSettings, IdempotencyClaim, Mark, Object, ObjectKind, Record, RunEvent,
    StepRow, StoreError, StoredRun, WorkKind,
};

/// An event of the tenant's log, with what is asked for by filters.
#[derive(Clone)]
pub(crate) struct Event {
    pub(crate) time: Timestamp,
    pub(crate) action: String,
    pub(crate) actor: String,
    pub(crate) resource: String,
    pub(crate) leaf: Vec<u8>,
    pub(crate) hash: Hash,
    pub(crate) disclosures: Vec<Disclosure>,
}

/// A claimed key with the answer of the write that claimed it.
pub(crate) type Claimed = (IdempotencyClaim, Option<(u16, Vec<u8>)>);

#[derive(Clone, Default)]
pub(crate) struct Tables {
    pub(crate) objects: BTreeMap<(ObjectKind, String), Object>,
    pub(crate) collections: BTreeMap<Slug, CollectionSettings>,
    pub(crate) records: BTreeMap<(Slug, RecordId), Record>,
    pub(crate) runs: BTreeMap<RunId, StoredRun>,
    pub(crate) steps: BTreeMap<(RunId, StepId), StepRow>,
    pub(crate) run_events: BTreeMap<RunId, Vec<Arc<RunEvent>>>,
    pub(crate) deliveries: BTreeMap<(WorkflowId, String), RunId>,
    pub(crate) calls: BTreeMap<CallId, (Call, Option<CallOutcome>)>,
    pub(crate) claims: BTreeMap<[u8; 32], Claimed>,
    pub(crate) work: BTreeMap<(WorkKind, [u8; 16]), Option<Timestamp>>,
    /// Shared with the copies that writes work on: there are many, and they hardly ever change.
    pub(crate) events: Vec<Arc<Event>>,
}

/// How long idempotency keys are kept.
const KEPT_MILLIS: i64 = 24 * 3_600_000;

impl Tables {
    /// Takes an idempotency key. A claim says until when it is kept, and so also when it was made.
    pub(crate) fn claim(&mut self, claim: IdempotencyClaim) -> Result<(), StoreError> {
        let now = claim.until.millis() - KEPT_MILLIS;
        if self.claims.get(&claim.key).is_some_and(|(taken, _)| taken.until.millis() > now) {
            return Err(StoreError::Claimed);
        }
        let answer = claim.answer.known();
        self.claims.insert(claim.key, (claim, answer));
        Ok(())
    }

    /// Says what this key is answered with, where that is known only after the write.
    pub(crate) fn answer(&mut self, key: Option<[u8; 32]>, written: &impl serde::Serialize) {
        if let Some((claim, answer)) = key.and_then(|key| self.claims.get_mut(&key)) {
            *answer = claim.answer.clone().filled(written).known();
        }
    }

    pub(crate) fn mark(&mut self, mark: Mark) {
        match mark {
            Mark::Open { kind, id, due } => {
                self.work.insert((kind, id), due);
            }
            Mark::Closed { kind, id } => {
                self.work.remove(&(kind, id));
            }
        }
    }

    /// The bytes that count against the tenant's quota.
    pub(crate) fn bytes(&self) -> u64 {
        let objects = self.objects.values().map(|object| object.body.to_string().len());
        let records =
            self.records.values().map(|record| serde_json::to_string(&record.data).map_or(0, |it| it.len()));
        let runs = self
            .runs
            .values()
            .map(|run| run.definition.len() + run.config.to_string().len() + run.input.to_string().len());
        objects.chain(records).chain(runs).sum::<usize>() as u64
    }

    /// Refuses to grow beyond the plan.
    pub(crate) fn admit(&self, limits: &Limits, growth: usize) -> Result<(), StoreError> {
        match limits.storage_bytes {
            Some(limit) if self.bytes().saturating_add(growth as u64) > limit => {
                Err(StoreError::QuotaExceeded)
            }
            _ => Ok(()),
        }
    }
}
