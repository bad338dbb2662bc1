//! Writes to a tenant's tables: whatever has come in while the last batch was under way becomes the next.

use super::{Append, Database, Moved, TenantHandle};
use crate::error::Fault;
use crate::rows::{Cell, RowChange, Table};
use audit::event::Draft;
use ids::{EventId, TenantId};
use sqlcipher::{Executor, OptionalExtension, params};
use std::any::Any;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use store::{Commit, IdempotencyClaim, Mark, StoreError};
use tokio::sync::oneshot;

/// The most writes that share a transaction.
const MAX_BATCH: usize = 64;
/// The most writes that wait for one tenant: beyond them the caller is told to come back.
const MAX_WAITING: usize = 1024;

type Answer = Box<dyn Any + Send>;
type Work = Box<dyn FnOnce(&mut Txn<'_>) -> Result<Answer, Fault> + Send>;

/// One write that waits for its batch.
pub(crate) struct Job {
    pub(super) needs_file: bool,
    pub(super) work: Work,
    pub(super) events: Vec<Draft>,
    pub(super) marks: Vec<Mark>,
    pub(super) done: oneshot::Sender<Result<(Answer, Vec<EventId>), Fault>>,
}

impl Job {
    /// Tells the caller why nothing was written.
    pub(super) fn refuse(self, fault: &Fault) {
        // The caller may be gone.
        let _ = self.done.send(Err(fault.clone()));
    }
}

/// A write that was carried out, and waits for its batch to be durable.
pub(super) struct Answered {
    done: oneshot::Sender<Result<(Answer, Vec<EventId>), Fault>>,
    answer: Answer,
    /// Which of the batch's events are this write's.
    events: Range<usize>,
}

impl Answered {
    /// Tells the caller, given the ids of the batch's events.
    pub(super) fn give(self, ids: &[EventId]) {
        let ids = ids.get(self.events).unwrap_or_default().to_vec();
        // The caller may be gone.
        let _ = self.done.send(Ok((self.answer, ids)));
    }
}

/// Carries out writes one after the other in the open transaction, each undone by itself where it fails.
pub(super) fn carry_out(database: &Database, jobs: Vec<Job>) -> Result<(Append, Vec<Answered>), Fault> {
    let mut append = Append::default();
    let mut answers = Vec::new();
    for job in jobs {
        database.connection.execute_batch("SAVEPOINT job")?;
        let mut txn = Txn::new(&database.connection, database.identity);
        match (job.work)(&mut txn) {
            Ok(answer) => {
                append.rows.append(&mut txn.rows);
                append.moved.append(&mut txn.moved);
                let first = append.events.len();
                append.events.extend(job.events);
                append.marks.extend(job.marks);
                answers.push(Answered { done: job.done, answer, events: first..append.events.len() });
            }
            Err(fault) => {
                database.connection.execute_batch("ROLLBACK TO job")?;
                // The caller may be gone.
                let _ = job.done.send(Err(fault));
            }
        }
        database.connection.execute_batch("RELEASE job")?;
    }
    Ok((append, answers))
}

/// The writes that wait for one tenant.
#[derive(Default)]
pub(crate) struct WriteQueue(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    busy: bool,
}

impl WriteQueue {
    pub(super) async fn write<T: Send + 'static>(
        &self,
        handle: &Arc<TenantHandle>,
        needs_file: bool,
        commit: Commit,
        work: impl FnOnce(&mut Txn<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<(T, Vec<EventId>), Fault> {
        let (done, answer) = oneshot::channel();
        let Commit { events, marks, claim } = commit;
        handle.check_events(&events)?;
        let work: Work = Box::new(move |txn| {
            if let Some(claim) = &claim {
                txn.claim(claim)?;
            }
            work(txn).map(|answer| Box::new(answer) as Answer)
        });
        let begin = {
            let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.jobs.len() >= MAX_WAITING {
                return Err(Fault::Answer(StoreError::Unavailable));
            }
            waiting.jobs.push_back(Job { needs_file, work, events, marks, done });
            !std::mem::replace(&mut waiting.busy, true)
        };
        if begin {
            let handle = handle.clone();
            tokio::task::spawn_blocking(move || handle.queue.carry_out(&handle));
        }
        let (answer, ids) = answer.await.map_err(|_| Fault::Answer(StoreError::Unavailable))??;
        let answer = answer.downcast().map_err(|_| Fault::Damaged("an answer's type"))?;
        Ok((*answer, ids))
    }

    /// Carries out batches until nothing waits.
    fn carry_out(&self, handle: &TenantHandle) {
        loop {
            let batch: Vec<_> = {
                let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                let count = waiting.jobs.len().min(MAX_BATCH);
                waiting.busy = count > 0;
                waiting.jobs.drain(..count).collect()
            };
            if batch.is_empty() {
                return;
            }
            if let Err(fault) = handle.write_batch(batch) {
                // The callers were told, or see by their closed channels, that nothing was written.
                tracing::error!(tenant.id = %handle.id, %fault, "a batch of writes was rolled back");
            }
        }
    }
}

/// A write in its batch's transaction: what it changes goes to the tables now, and to the journal with the
/// whole batch.
pub(crate) struct Txn<'c> {
    connection: &'c Executor,
    rows: Vec<RowChange>,
    moved: Vec<Moved>,
    /// The idempotency key that this write took.
    claim: Option<IdempotencyClaim>,
    /// The tenant that the database itself says it is of.
    pub(crate) identity: TenantId,
}

impl<'c> Txn<'c> {
    pub(super) fn new(connection: &'c Executor, identity: TenantId) -> Self {
        Self { connection, rows: Vec::new(), moved: Vec::new(), claim: None, identity }
    }

    /// The tables, for look-ups that the write depends on.
    pub(crate) fn tables(&self) -> &'c Executor {
        self.connection
    }

    /// Puts a whole row.
    pub(crate) fn put(&mut self, table: Table, cells: Vec<Cell>) -> Result<(), Fault> {
        self.change(RowChange::Put(table, cells))
    }

    /// Puts a whole row or what else a change says.
    pub(crate) fn apply(&mut self, change: RowChange) -> Result<(), Fault> {
        self.change(change)
    }

    /// Deletes a row by its key.
    pub(crate) fn delete(&mut self, table: Table, key: Vec<Cell>) -> Result<(), Fault> {
        self.change(RowChange::Delete(table, key))
    }

    /// Says that what was put moves a run.
    pub(crate) fn moves(&mut self, moved: Moved) {
        self.moved.push(moved);
    }

    fn change(&mut self, change: RowChange) -> Result<(), Fault> {
        change.apply(self.connection)?;
        self.rows.push(change);
        Ok(())
    }

    /// Takes an idempotency key, which no other write may have taken while it is kept.
    fn claim(&mut self, claim: &IdempotencyClaim) -> Result<(), Fault> {
        let taken = self
            .connection
            .prepare_cached("SELECT until FROM remembered WHERE key = ?1")?
            .query_row(params![claim.key], |row| row.get::<_, i64>(0))
            .optional()?;
        // A key is kept for the same span after each claim, so what ends later than it would by this
        // claim's own time is still kept.
        let kept = taken.is_some_and(|until| until > claim.until.millis() - KEPT_MILLIS);
        if kept {
            return Err(Fault::Answer(StoreError::Claimed));
        }
        self.forget_claims(claim.until.millis() - KEPT_MILLIS)?;
        self.put_claim(claim)?;
        self.claim = Some(claim.clone());
        Ok(())
    }

    fn put_claim(&mut self, claim: &IdempotencyClaim) -> Result<(), Fault> {
        let (status, body) = claim.answer.known().unzip();
        let cells = vec![
            Cell::from(claim.key.to_vec()),
            Cell::from(claim.request.to_vec()),
            Cell::from(claim.until),
            status.map_or(Cell::Null, |status| Cell::from(i64::from(status))),
            body.map_or(Cell::Null, Cell::from),
        ];
        self.put(Table::Remembered, cells)
    }

    /// Says what this write's idempotency key is answered with, where that is known only now.
    pub(crate) fn answer(&mut self, written: &impl serde::Serialize) -> Result<(), Fault> {
        match self.claim.take().map(|claim| claim.answered(written)) {
            Some(claim) if claim.answer.known().is_some() => self.put_claim(&claim),
            _ => Ok(()),
        }
    }

    /// Removes a few keys that are kept no longer, so that the table stays as large as a day's use.
    fn forget_claims(&mut self, now: i64) -> Result<(), Fault> {
        let mut select = self
            .connection
            .prepare_cached("SELECT key FROM remembered WHERE until <= ?1 ORDER BY until LIMIT ?2")?;
        let keys = select.query_map(params![now, FORGET_CLAIMS], |row| row.get::<_, Vec<u8>>(0))?;
        for key in keys.collect::<Result<Vec<_>, _>>()? {
            self.delete(Table::Remembered, vec![Cell::from(key)])?;
        }
        Ok(())
    }
}

/// How long idempotency keys are kept.
const KEPT_MILLIS: i64 = 24 * 3_600_000;
/// How many keys that ended each new one takes with it.
const FORGET_CLAIMS: u32 = 4;
