//! How a tenant's writes are asked for: each waits for the transaction that takes it up with others.

use super::additions::Addition;
use super::log::new_head;
use super::queue::{Answer, Ending, Job, Task, Work};
use super::{TenantHandle, Txn};
use crate::error::Fault;
use crate::home::Session;
use audit::event::Draft;
use context::Lease;
use ids::{EventId, TenantId};
use std::sync::{Arc, Mutex};
use store::Commit;
use store_core::log::number;
use tokio::sync::oneshot;

/// What a write came to.
pub(crate) struct Written<T> {
    pub(crate) value: T,
    pub(crate) ids: Vec<EventId>,
    /// The tenant that the database took the transaction for.
    pub(crate) origin: TenantId,
}

impl TenantHandle {
    /// Writes what `work` does together with the commit, or neither.
    pub(crate) async fn write<T, F>(
        self: &Arc<Self>,
        commit: Commit,
        work: impl FnOnce(Txn) -> F + Send + 'static,
    ) -> Result<Written<T>, Fault>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        self.write_under(None, commit, work).await
    }

    /// The same, while the lease of whoever carries a run out holds.
    pub(crate) async fn write_under<T, F>(
        self: &Arc<Self>,
        lease: Option<Lease>,
        commit: Commit,
        work: impl FnOnce(Txn) -> F + Send + 'static,
    ) -> Result<Written<T>, Fault>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        let Commit { events, marks, claim } = commit;
        let work: Work = Box::new(move |txn| {
            Box::pin(async move {
                if let Some(claim) = &claim {
                    txn.claim(claim).await?;
                }
                Ok(Box::new(work(txn).await?) as Answer)
            })
        });
        self.carried_out(Task::Work(Mutex::new(Some(work))), lease, Ending { events, marks }, false)?.await
    }

    /// Writes an addition together with the commit, or neither, while the lease holds.
    pub(crate) async fn add(
        self: &Arc<Self>,
        lease: Option<Lease>,
        commit: Commit,
        addition: Addition,
    ) -> Result<Written<()>, Fault> {
        let Commit { events, marks, claim } = commit;
        self.carried_out(Task::Addition(addition, claim), lease, Ending { events, marks }, false)?.await
    }

    /// The same, and what is written or read here afterwards comes after it.
    pub(crate) fn place(
        self: &Arc<Self>,
        commit: Commit,
        addition: Addition,
    ) -> Result<impl Future<Output = Result<Written<()>, Fault>> + Send + use<>, Fault> {
        let Commit { events, marks, claim } = commit;
        self.carried_out(Task::Addition(addition, claim), None, Ending { events, marks }, true)
    }

    fn carried_out<T: Send + 'static>(
        self: &Arc<Self>,
        task: Task,
        lease: Option<Lease>,
        ending: Ending,
        placed: bool,
    ) -> Result<impl Future<Output = Result<Written<T>, Fault>> + Send + use<T>, Fault> {
        let (done, answer) = oneshot::channel();
        if self.queue.add(Job { task, ending, lease, done }, placed)? {
            // A task of its own, so that no caller who goes away takes others' writes along.
            let handle = self.clone();
            tokio::spawn(async move {
                loop {
                    let jobs = handle.queue.next();
                    if jobs.is_empty() {
                        return;
                    }
                    let count = jobs.len();
                    handle.carry_out(jobs).await;
                    handle.queue.are_over(count);
                }
            });
        }
        Ok(async move {
            let (answer, ids, origin) = answer.await.map_err(|_| Fault::Lost)??;
            let value = answer.downcast::<T>().map_err(|_| Fault::Damaged("a write's answer"))?;
            Ok(Written { value: *value, ids, origin })
        })
    }

    /// Writes the events that a tenant's log begins with, and ends the transaction that has made the tenant.
    pub(crate) async fn first_events(
        self: &Arc<Self>,
        session: Session,
        events: &[Draft],
    ) -> Result<(), Fault> {
        let head = new_head(self.keys().log().origin());
        let numbered = number(&head, events, self.keys(), &self.env)?;
        self.write_first(&session, head.frontier, numbered).await?;
        session.commit().await
    }
}
