//! The one path that a tenant's writes take: what has come in while the last transaction was under way becomes the
//! next one. It holds the audit log's head, so that several servers may write for one tenant, and each job in it
//! is undone alone where it fails.

use super::additions::{Addition, Additions};
use super::log::{HEAD, head_row, new_head};
use super::{TenantHandle, Txn};
use crate::areas::held_by;
use crate::error::Fault;
use crate::home::{Home, Session, params};
use audit::event::Draft;
use context::Lease;
use futures::future::BoxFuture;
use futures::try_join;
use ids::{EventId, Id as _, TenantId};
use std::any::Any;
use std::collections::{HashSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use store::{Commit, Mark, StoreError};
use store_core::log::{LogHead, NumberedEvent, number};
use tokio::sync::oneshot;
use tokio_postgres::Row;

/// How many jobs one transaction takes.
const MAX_BATCH: usize = 64;
/// How many jobs of one tenant's may wait.
const MAX_WAITING: usize = 1024;

type Answer = Box<dyn Any + Send>;
type Work = Box<dyn FnOnce(Txn) -> BoxFuture<'static, Result<Answer, Fault>> + Send>;
type Done = oneshot::Sender<Result<(Answer, Vec<EventId>, TenantId), Fault>>;

/// What a job does in the transaction.
enum Task {
    /// It looks at the tables, and is undone alone where it fails.
    Work(Work),
    /// It is written together with others.
    Addition(Addition),
}

struct Job {
    task: Task,
    ending: Ending,
    /// The lease that it is written under.
    lease: Option<Lease>,
    done: Done,
}

/// What a job's part of the transaction ends with.
struct Ending {
    events: Vec<Draft>,
    marks: Vec<Mark>,
}

/// A job that has done its part of the transaction.
struct Finished {
    done: Done,
    answer: Answer,
    ids: Vec<EventId>,
}

/// What a write came to.
pub(crate) struct Written<T> {
    pub(crate) value: T,
    pub(crate) ids: Vec<EventId>,
    /// The tenant that the database took the transaction for.
    pub(crate) origin: TenantId,
}

/// What is waiting to be written.
#[derive(Default)]
pub(crate) struct WriteQueue(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    busy: bool,
}

impl WriteQueue {
    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What comes next, or nothing, with which whoever carries out is done.
    fn next(&self) -> Vec<Job> {
        let mut waiting = self.lock();
        let take = waiting.jobs.len().min(MAX_BATCH);
        let jobs: Vec<_> = waiting.jobs.drain(..take).collect();
        waiting.busy = !jobs.is_empty();
        jobs
    }
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
        self.carried_out(Task::Work(work), lease, Ending { events, marks }).await
    }

    /// Writes an addition together with the commit, or neither, while the lease holds.
    pub(crate) async fn add(
        self: &Arc<Self>,
        lease: Option<Lease>,
        commit: Commit,
        addition: Addition,
    ) -> Result<Written<()>, Fault> {
        if commit.claim.is_some() {
            let alone = |txn: Txn| async move { addition.alone(&txn).await };
            return self.write_under(lease, commit, alone).await;
        }
        let ending = Ending { events: commit.events, marks: commit.marks };
        self.carried_out(Task::Addition(addition), lease, ending).await
    }

    async fn carried_out<T: Send + 'static>(
        self: &Arc<Self>,
        task: Task,
        lease: Option<Lease>,
        ending: Ending,
    ) -> Result<Written<T>, Fault> {
        let (done, answer) = oneshot::channel();
        let begin = {
            let mut waiting = self.queue.lock();
            if waiting.jobs.len() >= MAX_WAITING {
                return Err(StoreError::Unavailable.into());
            }
            waiting.jobs.push_back(Job { task, ending, lease, done });
            !std::mem::replace(&mut waiting.busy, true)
        };
        if begin {
            // A task of its own, so that no caller who goes away takes others' writes along.
            let handle = self.clone();
            tokio::spawn(async move {
                loop {
                    let jobs = handle.queue.next();
                    if jobs.is_empty() {
                        return;
                    }
                    handle.carry_out(jobs).await;
                }
            });
        }
        let (answer, ids, origin) = answer.await.map_err(|_| Fault::Lost)??;
        let value = answer.downcast::<T>().map_err(|_| Fault::Damaged("a write's answer"))?;
        Ok(Written { value: *value, ids, origin })
    }

    /// Writes the events that a tenant's log begins with, and ends the transaction that has made the tenant.
    pub(crate) async fn first_events(
        self: &Arc<Self>,
        session: Session,
        events: &[Draft],
    ) -> Result<(), Fault> {
        let head = new_head(&self.keys().origin);
        let numbered = number(&head, events, self.keys(), &self.env)?;
        let txn = Txn::over(session, self.clone(), self.home(), (0, false));
        txn.put_log(head.frontier, numbered.events, &numbered.next).await?;
        txn.end()?.commit().await
    }

    async fn carry_out(self: &Arc<Self>, jobs: Vec<Job>) {
        let mut finished = Vec::with_capacity(jobs.len());
        let mut jobs = VecDeque::from(jobs);
        match self.transaction(&mut jobs, &mut finished).await {
            // The callers may be gone.
            Ok(origin) => {
                finished.into_iter().for_each(|it| drop(it.done.send(Ok((it.answer, it.ids, origin)))))
            }
            Err(fault) => {
                let rest = jobs.into_iter().map(|job| job.done);
                rest.chain(finished.into_iter().map(|it| it.done))
                    .for_each(|done| drop(done.send(Err(fault.clone()))));
            }
        }
    }

    async fn transaction(
        self: &Arc<Self>,
        jobs: &mut VecDeque<Job>,
        finished: &mut Vec<Finished>,
    ) -> Result<TenantId, Fault> {
        let leases: HashSet<_> = jobs.iter().filter_map(|job| job.lease).collect();
        let Begun { session, home, origin, row, held } =
            self.there(|home| self.begin_writing(home, leases.clone())).await?;
        let head = head_row(&row, &self.keys().origin)?;
        if row.try_get::<_, &str>(6)? != self.keys().data_name() {
            self.make_stale();
            return Err(StoreError::Unavailable.into());
        }
        let before = head.frontier.clone();
        let (stored, at_rest): (i64, bool) = (row.try_get(4)?, row.try_get(5)?);
        let mut txn = Txn::over(session, self.clone(), home, (stored, at_rest));
        let mut batch = Batch { head, events: Vec::new(), marks: Vec::new() };
        let mut additions = Additions::default();
        let mut added = Vec::new();
        while let Some(job) = jobs.pop_front() {
            let Job { task, ending, lease, done } = job;
            if lease.is_some_and(|lease| !held.contains(&lease)) {
                // The caller may be gone.
                let _ = done.send(Err(StoreError::LeaseLost.into()));
                continue;
            }
            match task {
                Task::Work(work) => {
                    finished.extend(self.work(&mut txn, &mut batch, work, (ending, done)).await?);
                }
                Task::Addition(addition) => {
                    additions.add(addition);
                    added.push((ending, done));
                }
            }
        }
        for (outcome, (ending, done)) in additions.decide(&txn).await?.into_iter().zip(added) {
            match outcome.and_then(|()| batch.take(self, ending)) {
                Ok(ids) => finished.push(Finished { done, answer: Box::new(()), ids }),
                // The caller may be gone.
                Err(fault) => drop(done.send(Err(fault))),
            }
        }
        if finished.is_empty() {
            txn.end()?.roll_back().await?;
        } else {
            let Batch { head, events, marks } = batch;
            txn.announce(&marks, at_rest).await?;
            // All of it is sent before any of it is waited for. What was stored is counted in this order.
            try_join!(
                additions.put(&txn),
                txn.put_marks(&marks),
                txn.put_log(before, events, &head),
                txn.commit(),
            )?;
            txn.end()?.ended();
        }
        Ok(origin)
    }

    /// Begins a transaction with the row of the log's head, which a tenant that has left has no more. Nobody is given
    /// one of the jobs' runs before the transaction is over.
    async fn begin_writing(&self, home: Arc<Home>, leases: HashSet<Lease>) -> Result<Begun, Fault> {
        let head = format!("{HEAD} FOR UPDATE");
        let only = |mut rows: Vec<Row>| rows.pop().ok_or(Fault::KeyGone);
        if leases.is_empty() {
            let (session, origin, mut found) = home.begin_with(self.id, &[(&head, &[])]).await?;
            let row = only(found.pop().unwrap_or_default())?;
            return Ok(Begun { session, home, origin, row, held: leases });
        }
        let runs: Vec<Vec<u8>> = leases.iter().map(|lease| lease.run.to_bytes().to_vec()).collect();
        let tenant = self.id.to_bytes();
        let holders = format!(
            "SELECT id, holder, fence FROM {} WHERE tenant_id = $1 AND kind = 'run' AND id = ANY($2)
                AND holder IS NOT NULL FOR SHARE",
            home.work()
        );
        let values = params![tenant.as_slice() => BYTEA, runs => BYTEA_ARRAY];
        let (session, origin, mut found) =
            home.begin_with(self.id, &[(&head, &[]), (&holders, values)]).await?;
        let mut held = HashSet::new();
        for row in found.pop().unwrap_or_default() {
            held.extend(leases.get(&held_by(&row, 0)?));
        }
        let row = only(found.pop().unwrap_or_default())?;
        Ok(Begun { session, home, origin, row, held })
    }

    /// Carries out one job, which is undone alone where it fails.
    async fn work(
        self: &Arc<Self>,
        txn: &mut Txn,
        batch: &mut Batch,
        work: Work,
        (ending, done): (Ending, Done),
    ) -> Result<Option<Finished>, Fault> {
        txn.batch_execute("SAVEPOINT job").await?;
        let counted = (txn.stored.load(Ordering::Relaxed), txn.at_rest.load(Ordering::Relaxed));
        txn.claimed = Arc::default();
        let outcome = match work(txn.clone()).await {
            Ok(answer) => batch.take(self, ending).map(|ids| (answer, ids)),
            Err(fault) => Err(fault),
        };
        match outcome {
            Ok((answer, ids)) => {
                txn.batch_execute("RELEASE job").await?;
                Ok(Some(Finished { done, answer, ids }))
            }
            Err(fault) => {
                // The caller may be gone.
                let _ = done.send(Err(fault));
                txn.batch_execute("ROLLBACK TO job; RELEASE job").await?;
                txn.stored.store(counted.0, Ordering::Relaxed);
                txn.at_rest.store(counted.1, Ordering::Relaxed);
                Ok(None)
            }
        }
    }
}

/// A transaction that has begun.
struct Begun {
    session: Session,
    home: Arc<Home>,
    origin: TenantId,
    /// The row of the log's head, which is held.
    row: Row,
    /// Which of the jobs' leases hold.
    held: HashSet<Lease>,
}

/// What a transaction ends with.
struct Batch {
    head: LogHead,
    events: Vec<NumberedEvent>,
    marks: Vec<Mark>,
}

impl Batch {
    /// Numbers a job's events, and takes what it ends with.
    fn take(&mut self, handle: &TenantHandle, ending: Ending) -> Result<Vec<EventId>, Fault> {
        let Ending { events, marks } = ending;
        let numbered = number(&self.head, &events, handle.keys(), &handle.env)?;
        let ids = numbered.ids();
        self.head = numbered.next;
        self.events.extend(numbered.events);
        self.marks.extend(marks);
        Ok(ids)
    }
}
