//! The journal's one writer: a thread that turns whatever has come in into one transaction.

use super::checkpoint::{Checkpoints, MOST_PAGES};
use super::{Entry, Request, Segment, Shared};
use crate::error::Fault;
use ids::{Id, TenantId};
use sqlcipher::{Connection, params};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::Duration;
use store::{Mark, WorkKind};
use tokio::sync::oneshot;

/// The most requests that share a transaction: bounds how long the first of them waits for the last.
const MAX_BATCH: usize = 512;
/// From how many appends in the last transaction on there are so many writers that the next one waits a little
/// for their company: a wait for the disk costs the processor more than several appends do.
const COMMIT_SIBLINGS: usize = 3;
const COMMIT_DELAY: Duration = Duration::from_micros(250);

type Done = oneshot::Sender<Result<u64, Fault>>;

/// How many numbers are set aside at a time. Those that a crash leaves unused are never given.
const NUMBERS_AT_A_TIME: u64 = 4096;

pub(super) fn start(
    writer: Writer,
    checkpoints: Checkpoints,
    inbox: Receiver<Request>,
) -> Result<JoinHandle<()>, Fault> {
    super::thread("node-journal", move || writer.run(&inbox, checkpoints))
}

pub(super) struct Writer {
    connection: Connection,
    segment: Segment,
    shared: Arc<Shared>,
    /// From this number on they are not set aside durably yet.
    below: Cell<u64>,
}

impl Writer {
    pub(super) fn new(connection: Connection, segment: Segment, shared: Arc<Shared>) -> Result<Self, Fault> {
        let first = "SELECT max(below, (SELECT coalesce(max(number), 0) + 1 FROM entry)) FROM numbers";
        connection.checkpoint_from(MOST_PAGES)?;
        shared.next.store(connection.query_row(first, [], |row| row.get(0))?, Ordering::SeqCst);
        Ok(Self { connection, segment, shared, below: Cell::new(0) })
    }

    fn run(self, inbox: &Receiver<Request>, mut checkpoints: Checkpoints) {
        let mut siblings = 0;
        loop {
            let first = match inbox.try_recv() {
                Ok(first) => first,
                Err(_) => {
                    checkpoints.finish(&self.connection);
                    let Ok(first) = inbox.recv() else { return };
                    first
                }
            };
            if siblings >= COMMIT_SIBLINGS {
                std::thread::sleep(COMMIT_DELAY);
            }
            let mut batch = vec![first];
            batch.extend(inbox.try_iter().take(MAX_BATCH - 1));
            siblings = batch.iter().filter(|request| matches!(request, Request::Append(..))).count();
            let (pauses, batch): (Vec<_>, Vec<_>) =
                batch.into_iter().partition(|request| matches!(request, Request::Pause(..)));
            let entries = batch.len();
            if entries > 0 {
                self.carry_out(batch);
                checkpoints.count(entries);
            }
            for pause in pauses {
                stand_still(pause);
            }
        }
    }

    fn carry_out(&self, batch: Vec<Request>) {
        let mut appends = Vec::new();
        let mut others = Vec::new();
        let written = self.connection.execute_batch("BEGIN IMMEDIATE").map_err(Fault::from).and_then(|()| {
            // In the order in which they came: what a tenant wrote before its erasure is erased.
            for request in batch {
                match request {
                    Request::Append(entry, done) => {
                        let number = self.append(&entry);
                        appends.push((entry, done, number.clone().unwrap_or(0)));
                        number?;
                    }
                    // What is not forgotten folds again, or is forgotten another time.
                    Request::Forget(..) if self.shared.holds.load(Ordering::SeqCst) > 0 => {}
                    Request::Forget(tenant, through) => self.forget(tenant, through)?,
                    Request::Erase(tenant, done) => others.push((self.erase(tenant), done)),
                    Request::SkipTo(number, done) => others.push((self.skip_to(number), done)),
                    Request::Mark(tenant, marks, done) => others.push((self.mark_all(tenant, &marks), done)),
                    Request::Probe(done) => {
                        others.push((Ok(0), done));
                        self.probe()?;
                    }
                    Request::Pause(..) => {}
                }
            }
            Ok(self.connection.execute_batch("COMMIT")?)
        });
        if let Err(fault) = &written {
            // What was set aside may be lost as well.
            self.below.set(0);
            // Whoever numbered events after those that were lost must number them again.
            self.shared.epoch.fetch_add(1, Ordering::SeqCst);
            tracing::error!(%fault, "the node journal could not write");
            if let Err(error) = self.connection.execute_batch("ROLLBACK") {
                tracing::debug!(%error, "there was nothing to roll back");
            }
        }
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        settle(appends, &written);
        for (outcome, done) in others {
            // Whoever asked may be gone.
            let _ = done.send(written.clone().and(outcome));
        }
    }

    fn append(&self, entry: &Entry) -> Result<u64, Fault> {
        if entry.epoch != self.shared.epoch.load(Ordering::SeqCst) {
            return Ok(0);
        }
        let tenant = entry.tenant.to_bytes();
        let mut insert = self
            .connection
            .prepare_cached("INSERT INTO entry(number, tenant, segment, sealed) VALUES(?1, ?2, ?3, ?4)")?;
        let number = self.shared.next.load(Ordering::SeqCst);
        self.set_aside(number)?;
        insert.execute(params![number, tenant, self.segment.0, entry.sealed])?;
        for mark in &entry.marks {
            self.mark(&tenant, mark)?;
        }
        Ok(number)
    }

    /// Takes a number, so that whatever becomes of the journal's rows the next one is higher.
    fn set_aside(&self, number: u64) -> Result<(), Fault> {
        if number >= self.below.get() {
            let below = number + NUMBERS_AT_A_TIME;
            self.connection.prepare_cached("UPDATE numbers SET below = ?1")?.execute(params![below])?;
            self.below.set(below);
        }
        self.shared.next.store(number + 1, Ordering::SeqCst);
        Ok(())
    }

    /// Shows that it can write: after a write that failed by a write, else by being here at all.
    fn probe(&self) -> Result<(), Fault> {
        if self.below.get() == 0 { self.set_aside(self.shared.next.load(Ordering::SeqCst)) } else { Ok(()) }
    }

    fn mark_all(&self, tenant: TenantId, marks: &[Mark]) -> Result<u64, Fault> {
        let tenant = tenant.to_bytes();
        marks.iter().try_for_each(|mark| self.mark(&tenant, mark))?;
        Ok(marks.len() as u64)
    }

    fn mark(&self, tenant: &[u8; 16], mark: &Mark) -> Result<(), Fault> {
        match mark {
            Mark::Open { kind, id, due } => {
                let mut open = self.connection.prepare_cached(
                    "INSERT INTO work(kind, tenant, id, due) VALUES(?1, ?2, ?3, ?4)
                     ON CONFLICT DO UPDATE SET due = excluded.due",
                )?;
                open.execute(params![kind_number(*kind), tenant, id, due.map(env::Timestamp::millis)])?;
            }
            Mark::Closed { kind, id } => {
                let mut close = self
                    .connection
                    .prepare_cached("DELETE FROM work WHERE kind = ?1 AND tenant = ?2 AND id = ?3")?;
                close.execute(params![kind_number(*kind), tenant, id])?;
            }
        }
        Ok(())
    }

    fn forget(&self, tenant: TenantId, through: u64) -> Result<(), Fault> {
        let mut delete =
            self.connection.prepare_cached("DELETE FROM entry WHERE tenant = ?1 AND number <= ?2")?;
        delete.execute(params![tenant.to_bytes(), through])?;
        Ok(())
    }

    fn skip_to(&self, number: u64) -> Result<u64, Fault> {
        self.set_aside(number.max(self.shared.next.load(Ordering::SeqCst)))?;
        Ok(number)
    }

    fn erase(&self, tenant: TenantId) -> Result<u64, Fault> {
        let bytes = tenant.to_bytes();
        let rows = self.connection.execute("DELETE FROM entry WHERE tenant = ?1", params![bytes])?;
        self.connection.execute("DELETE FROM work WHERE tenant = ?1", params![bytes])?;
        Ok(rows as u64)
    }
}

/// Writes nothing until whoever asked for it lets go.
fn stand_still(pause: Request) {
    if let Request::Pause(reached, go_on) = pause
        && reached.send(()).is_ok()
    {
        // An error says that it was let go.
        let _ = go_on.recv();
    }
}

/// Tells everybody, and hands durable rows to the tails before anyone can act on their being durable.
fn settle(appends: Vec<(Entry, Done, u64)>, written: &Result<(), Fault>) {
    for (entry, done, number) in appends {
        let outcome = match written {
            Ok(()) if number == 0 => Err(Fault::Renumber),
            Ok(()) => {
                entry.tail.push(number, entry.rows);
                Ok(number)
            }
            Err(fault) => Err(fault.clone()),
        };
        drop(entry.way);
        // A caller that went away is no reason to lose the row.
        let _ = done.send(outcome);
    }
}

pub(super) const fn kind_number(kind: WorkKind) -> i64 {
    match kind {
        WorkKind::Run => 1,
        WorkKind::Call => 2,
    }
}
