//! What waits to be written for one tenant, and in what order.

use super::Txn;
use super::additions::Addition;
use super::recalled::Memory;
use crate::error::Fault;
use audit::event::Draft;
use context::Lease;
use futures::future::BoxFuture;
use ids::{EventId, TenantId};
use std::any::Any;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use store::{IdempotencyClaim, Mark, StoreError};
use tokio::sync::{oneshot, watch};

/// How many jobs one transaction takes.
const MAX_BATCH: usize = 64;
/// How many jobs of one tenant's may wait.
const MAX_WAITING: usize = 1024;

pub(super) type Answer = Box<dyn Any + Send>;
pub(super) type Work = Box<dyn FnOnce(Txn) -> BoxFuture<'static, Result<Answer, Fault>> + Send>;
pub(super) type Done = oneshot::Sender<Result<(Answer, Vec<EventId>, TenantId), Fault>>;

/// What a job does in the transaction.
pub(super) enum Task {
    /// It looks at the tables, and is undone alone where it fails.
    Work(Mutex<Option<Work>>),
    /// It is written together with others. One that takes an idempotency key has a transaction of its own.
    Addition(Addition, Option<IdempotencyClaim>),
}

pub(super) struct Job {
    pub(super) task: Task,
    pub(super) ending: Ending,
    /// The lease that it is written under.
    pub(super) lease: Option<Lease>,
    pub(super) done: Done,
}

/// What a job's part of the transaction ends with.
pub(super) struct Ending {
    pub(super) events: Vec<Draft>,
    pub(super) marks: Vec<Mark>,
}

impl Job {
    fn is_alone(&self) -> bool {
        matches!(self.task, Task::Addition(_, Some(_)))
    }
}

/// What is waiting to be written, and what is recalled of what was.
pub(crate) struct WriteQueue {
    waiting: Mutex<Waiting>,
    memory: Mutex<Memory>,
    /// The number of the last job that is over.
    over: watch::Sender<u64>,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    busy: bool,
    /// How many have come in, and the number of the last that others come after though nobody waits for it.
    came: u64,
    placed: u64,
}

impl Default for WriteQueue {
    fn default() -> Self {
        Self { waiting: Mutex::default(), memory: Mutex::default(), over: watch::Sender::new(0) }
    }
}

impl WriteQueue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a job up, and says whether nobody is carrying any out.
    pub(super) fn add(&self, job: Job, placed: bool) -> Result<bool, Fault> {
        let mut waiting = self.lock();
        if waiting.jobs.len() >= MAX_WAITING {
            return Err(StoreError::Unavailable.into());
        }
        waiting.jobs.push_back(job);
        waiting.came += 1;
        if placed {
            waiting.placed = waiting.came;
        }
        Ok(!std::mem::replace(&mut waiting.busy, true))
    }

    /// What comes next, or nothing, with which whoever carries out is done.
    pub(super) fn next(&self) -> Vec<Job> {
        let mut waiting = self.lock();
        let together = waiting.jobs.iter().take(MAX_BATCH).take_while(|job| !job.is_alone()).count();
        let take = if together == 0 { waiting.jobs.len().min(1) } else { together };
        let jobs: Vec<_> = waiting.jobs.drain(..take).collect();
        waiting.busy = !jobs.is_empty();
        jobs
    }

    /// Says that so many jobs more are over.
    pub(super) fn are_over(&self, jobs: usize) {
        self.over.send_modify(|over| *over += jobs as u64);
    }

    /// Ready when what others come after is over, as far as it has come in.
    pub(crate) async fn settled(&self) {
        let placed = self.lock().placed;
        if *self.over.borrow() < placed {
            // The sender is here, so that it does not end before.
            let _ = self.over.subscribe().wait_for(|over| *over >= placed).await;
        }
    }
}
