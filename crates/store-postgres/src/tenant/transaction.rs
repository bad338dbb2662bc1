//! The one path that a tenant's writes take: what has come in while the last transaction was under way becomes the
//! next one. It holds the audit log's head, so that several servers may write for one tenant. Where it is known from
//! the last transaction what this one goes by, all of it is sent at once, and the database compares.

use super::additions::Additions;
use super::ending::{NOT_SO, Values};
use super::log::{HEAD, head_row};
use super::queue::{Answer, Ending, Job, Task, Work};
use super::recalled::{Facts, Recalled};
use super::{TenantHandle, Txn};
use crate::areas::held_by;
use crate::error::Fault;
use crate::home::{Home, Session, params};
use audit::merkle::Frontier;
use context::Lease;
use futures::{join, try_join};
use ids::{EventId, Id as _, TenantId};
use std::collections::HashSet;
use std::sync::{Arc, PoisonError};
use store::{Mark, StoreError};
use store_core::log::{LogHead, Numbered, NumberedEvent, number};
use tokio_postgres::Row;

/// What a job came to.
type Outcome = Result<(Answer, Vec<EventId>), Fault>;

/// What became of jobs that were sent at once.
enum AtOnce {
    Written(TenantId, Vec<Vec<EventId>>),
    /// Nothing was written: it is to be asked first.
    AskFirst,
    /// Whether they were written nobody said, unless the log tells: where it goes on with this head they were.
    Unknown(LogHead, Vec<Vec<EventId>>),
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
    /// The tree as it was before.
    before: Frontier,
    head: LogHead,
    events: Vec<NumberedEvent>,
    marks: Vec<Mark>,
}

impl Batch {
    fn on(head: LogHead) -> Self {
        Self { before: head.frontier.clone(), head, events: Vec::new(), marks: Vec::new() }
    }

    /// Numbers a job's events, and takes what it ends with.
    fn take(&mut self, handle: &TenantHandle, ending: &Ending) -> Result<Vec<EventId>, Fault> {
        let numbered = number(&self.head, &ending.events, handle.keys(), &handle.env)?;
        let ids = numbered.ids();
        self.head = numbered.next;
        self.events.extend(numbered.events);
        self.marks.extend(ending.marks.iter().cloned());
        Ok(ids)
    }
}

impl TenantHandle {
    pub(super) async fn carry_out(self: &Arc<Self>, mut jobs: Vec<Job>) {
        let mut outcomes: Vec<Option<Outcome>> = jobs.iter().map(|_| None).collect();
        let written = match self.at_once(&jobs).await {
            Ok(AtOnce::Written(origin, ids)) => {
                told(&mut outcomes, ids);
                Ok(origin)
            }
            Ok(AtOnce::AskFirst) => self.transaction(&mut jobs, &mut outcomes, None).await,
            Ok(AtOnce::Unknown(head, ids)) => {
                self.transaction(&mut jobs, &mut outcomes, Some((head, ids))).await
            }
            Err(fault) => Err(fault),
        };
        for (job, outcome) in jobs.into_iter().zip(outcomes) {
            let outcome = match (&written, outcome) {
                (_, Some(Err(fault))) => Err(fault),
                (Err(fault), _) => Err(fault.clone()),
                (Ok(_), None) => Err(Fault::Lost),
                (Ok(origin), Some(Ok((answer, ids)))) => Ok((answer, ids, *origin)),
            };
            // The caller may be gone.
            drop(job.done.send(outcome));
        }
    }

    /// Writes jobs that need nothing to be asked, where that is known of all of them.
    async fn at_once(self: &Arc<Self>, jobs: &[Job]) -> Result<AtOnce, Fault> {
        let home = self.home();
        let Some(additions) = gathered(jobs) else { return Ok(AtOnce::AskFirst) };
        match self.recalled(&home, &additions) {
            Some(recalled) => self.write_at_once(home, jobs, additions, recalled).await,
            None => Ok(AtOnce::AskFirst),
        }
    }

    /// What is recalled, where these go by nothing else.
    fn recalled(&self, home: &Arc<Home>, additions: &Additions<'_>) -> Option<Recalled> {
        let mut memory = self.queue.memory();
        let recalled = memory.take(home)?;
        // That a tenant begins to store something is announced first.
        if additions.are_known(&recalled.facts) && (recalled.at_rest || !additions.keep_data()) {
            return Some(recalled);
        }
        memory.keep(recalled);
        None
    }

    /// Writes what goes by what is recalled. Whatever cannot be written so is left to whoever asks first.
    async fn write_at_once(
        self: &Arc<Self>,
        home: Arc<Home>,
        jobs: &[Job],
        mut additions: Additions<'_>,
        mut recalled: Recalled,
    ) -> Result<AtOnce, Fault> {
        let (outcomes, stored) = additions.decide(self, &mut recalled.facts, recalled.stored);
        if outcomes.iter().any(Result::is_err) {
            return Ok(AtOnce::AskFirst);
        }
        let mut batch = Batch::on(recalled.head.clone());
        let ids = jobs.iter().map(|job| batch.take(self, &job.ending)).collect::<Result<Vec<_>, _>>();
        let Ok(ids) = ids else { return Ok(AtOnce::AskFirst) };
        let leases: HashSet<_> = jobs.iter().filter_map(|job| job.lease).collect();
        let mut values = Values::new(self.id, Some((&recalled, &leases)));
        additions.write(self, &mut values)?;
        values.push_marks(&batch.marks);
        let at_rest = recalled.at_rest;
        let stored = values.push_log(self, batch.before, batch.events, &batch.head, (stored, at_rest))?;
        if batch.marks.iter().any(|mark| matches!(mark, Mark::Open { .. })) {
            home.announce_work(self.id).await?;
        }
        let Ok(session) = home.session().await else { return Ok(AtOnce::AskFirst) };
        let (statement, params) = (values.statement(), values.params());
        match home.write_bound(session, self.id, (&statement, &params)).await {
            Ok((origin, row)) => {
                let version = row.try_get(0)?;
                let after = (version, batch.head);
                let recalled = Recalled::new(&home, after, (stored, at_rest), recalled.facts);
                let mut memory = self.queue.memory();
                memory.was_right();
                memory.keep(recalled);
                Ok(AtOnce::Written(origin, ids))
            }
            Err(Fault::Lost) => Ok(AtOnce::Unknown(batch.head, ids)),
            Err(fault) => {
                if fault == Fault::Refused(NOT_SO.to_owned()) {
                    self.queue.memory().was_wrong();
                }
                Ok(AtOnce::AskFirst)
            }
        }
    }

    /// Writes jobs after asking what is there.
    async fn transaction(
        self: &Arc<Self>,
        jobs: &mut [Job],
        outcomes: &mut [Option<Outcome>],
        sent: Option<(LogHead, Vec<Vec<EventId>>)>,
    ) -> Result<TenantId, Fault> {
        let leases: HashSet<_> = jobs.iter().filter_map(|job| job.lease).collect();
        let Begun { session, home, origin, row, held } =
            self.there(|home| self.begin_writing(home, leases.clone())).await?;
        let head = head_row(&row, &self.keys().origin)?;
        if row.try_get::<_, &str>(6)? != self.keys().data_name() {
            self.make_stale();
            return Err(StoreError::Unavailable.into());
        }
        if let Some((after, ids)) = sent
            && ids.iter().any(|ids| !ids.is_empty())
            && head.size_and_root() == after.size_and_root()
        {
            session.roll_back().await?;
            told(outcomes, ids);
            return Ok(origin);
        }
        let facts = self.queue.memory().facts(&home, row.try_get(7)?);
        let txn = Txn::over(session, self.clone(), home, (row.try_get(4)?, row.try_get(5)?));
        let mut batch = Batch::on(head);
        self.carry_works_out(&txn, (jobs, outcomes), &mut batch, &held).await?;
        self.write_with(txn, (jobs, outcomes), (batch, row.try_get(5)?), facts).await?;
        Ok(origin)
    }

    /// Carries out those of the jobs that look at the tables, one after the other. Those whose lease is lost are not
    /// carried out, and neither are those whose idempotency key is taken.
    async fn carry_works_out(
        self: &Arc<Self>,
        txn: &Txn,
        (jobs, outcomes): (&mut [Job], &mut [Option<Outcome>]),
        batch: &mut Batch,
        held: &HashSet<Lease>,
    ) -> Result<(), Fault> {
        for (job, outcome) in jobs.iter_mut().zip(outcomes.iter_mut()) {
            if job.lease.is_some_and(|lease| !held.contains(&lease)) {
                *outcome = Some(Err(StoreError::LeaseLost.into()));
                continue;
            }
            match &mut job.task {
                Task::Work(work) => {
                    let work =
                        work.get_mut().unwrap_or_else(PoisonError::into_inner).take().ok_or(Fault::Lost)?;
                    *outcome = Some(self.carry_work_out(txn, batch, work, &job.ending).await?);
                }
                // It is alone in its transaction, which is undone where the key is taken.
                Task::Addition(_, Some(claim)) => {
                    *outcome = txn.claim(claim).await.err().map(Err);
                }
                Task::Addition(_, None) => {}
            }
        }
        Ok(())
    }

    /// Carries out one job, which is undone alone where it fails.
    async fn carry_work_out(
        self: &Arc<Self>,
        txn: &Txn,
        batch: &mut Batch,
        work: Work,
        ending: &Ending,
    ) -> Result<Outcome, Fault> {
        let job = txn.job();
        // The job's first statement is sent with the savepoint before it.
        let (saved, outcome) = join!(txn.batch_execute("SAVEPOINT job"), work(job.clone()));
        saved?;
        let outcome = outcome.and_then(|answer| batch.take(self, ending).map(|ids| (answer, ids)));
        if outcome.is_ok() {
            txn.batch_execute("RELEASE job").await?;
            txn.keep(&job);
        } else {
            txn.batch_execute("ROLLBACK TO job; RELEASE job").await?;
        }
        Ok(outcome)
    }

    /// Writes the jobs that are left, and ends the transaction.
    async fn write_with(
        self: &Arc<Self>,
        txn: Txn,
        (jobs, outcomes): (&[Job], &mut [Option<Outcome>]),
        (mut batch, was_at_rest): (Batch, bool),
        mut facts: Facts,
    ) -> Result<(), Fault> {
        let mut additions = Additions::default();
        let mut added = Vec::new();
        for ((number, job), outcome) in jobs.iter().enumerate().zip(outcomes.iter()) {
            if let (Task::Addition(addition, _), None) = (&job.task, outcome) {
                additions.add(addition);
                added.push(number);
            }
        }
        if txn.kept().changes_runs {
            facts.runs.clear();
        }
        for (run, standing) in txn.kept().begun {
            facts.runs.put(run, standing);
        }
        additions.look(&txn, &mut facts).await?;
        if additions.keep_data() {
            txn.keeps_data();
        }
        let (decided, stored) = additions.decide(self, &mut facts, txn.kept().stored);
        for (number, decided) in added.into_iter().zip(decided) {
            outcomes[number] = Some(match decided {
                // It is written whatever becomes of its events here, so without them nothing is.
                Ok(()) => Ok((Box::new(()), batch.take(self, &jobs[number].ending)?)),
                Err(fault) => Err(fault),
            });
        }
        if !outcomes.iter().flatten().any(Result::is_ok) {
            return txn.end()?.roll_back().await;
        }
        txn.announce(&batch.marks, was_at_rest).await?;
        let mut values = Values::new(self.id, None);
        additions.write(self, &mut values)?;
        values.push_marks(&batch.marks);
        let at_rest = txn.kept().at_rest;
        let stored = values.push_log(self, batch.before, batch.events, &batch.head, (stored, at_rest))?;
        let version = if additions.any_again() {
            let version = values.write(&txn).await?;
            additions.put_again(&txn).await?;
            txn.commit().await?;
            // What was summed up is otherwise now.
            facts.sums.clear();
            version
        } else {
            // All of it is sent before any of it is waited for.
            try_join!(values.write(&txn), txn.commit())?.0
        };
        let after = (version, batch.head);
        let recalled = Recalled::new(&txn.home, after, (stored, at_rest), facts);
        self.queue.memory().keep(recalled);
        txn.end()?.ended();
        Ok(())
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

    /// Writes the events that a tenant's log begins with.
    pub(super) async fn write_first(
        &self,
        session: &Session,
        before: Frontier,
        numbered: Numbered,
    ) -> Result<(), Fault> {
        let mut values = Values::new(self.id, None);
        Additions::default().write(self, &mut values)?;
        values.push_marks(&[]);
        values.push_log(self, before, numbered.events, &numbered.next, (0, false))?;
        values.write(session).await.map(drop)
    }
}

/// The jobs, where all of them are additions that take no idempotency key.
fn gathered(jobs: &[Job]) -> Option<Additions<'_>> {
    let mut additions = Additions::default();
    for job in jobs {
        match &job.task {
            Task::Addition(addition, None) => additions.add(addition),
            Task::Addition(_, Some(_)) | Task::Work(_) => return None,
        }
    }
    Some(additions)
}

fn told(outcomes: &mut [Option<Outcome>], ids: Vec<Vec<EventId>>) {
    outcomes.iter_mut().zip(ids).for_each(|(outcome, ids)| *outcome = Some(Ok((Box::new(()), ids))));
}
