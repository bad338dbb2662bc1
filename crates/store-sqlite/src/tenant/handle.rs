//! A tenant in use: its keys, its log's position, its tail, and its database where one is open.

use super::database::{Database, Home, Opening, fold};
use super::log::{LogPosition, Numbered, number};
use super::writes::{Job, Txn, WriteQueue, carry_out};
use crate::error::Fault;
use crate::journal::{Entry, Journal, JournalKey, Tail};
use crate::keys::TenantKeys;
use crate::rows::RowChange;
use audit::event::Draft;
use env::Env;
use ids::{EventId, TenantId};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::{Mark, StoreError};
use tokio::sync::oneshot;

/// How many entries may wait in the tail before they are folded in the background.
const MAX_TAIL: usize = 1024;

/// One tenant in use.
pub(crate) struct TenantHandle {
    pub(crate) id: TenantId,
    pub(crate) keys: TenantKeys,
    path: PathBuf,
    journal: Arc<Journal>,
    journal_key: JournalKey,
    tail: Arc<Tail>,
    env: Env,
    /// Taken before `position` where both are needed.
    database: Mutex<Option<Database>>,
    position: Mutex<Option<LogPosition>>,
    /// Set once the tenant is erased. Read under either lock, set under both.
    gone: AtomicBool,
    pub(super) queue: WriteQueue,
}

/// What goes into the journal in one piece.
#[derive(Default)]
pub(crate) struct Append {
    pub(crate) rows: Vec<RowChange>,
    pub(crate) events: Vec<Draft>,
    pub(crate) marks: Vec<Mark>,
}

/// An entry on its way: when it is durable, and the ids of its events.
struct Submitted {
    durable: oneshot::Receiver<Result<u64, Fault>>,
    ids: Vec<EventId>,
}

impl TenantHandle {
    pub(crate) fn new(
        id: TenantId,
        keys: TenantKeys,
        path: PathBuf,
        journal: Arc<Journal>,
        env: Env,
    ) -> Arc<Self> {
        let journal_key = JournalKey::derive(keys.data(), id, journal.segment());
        Arc::new(Self {
            id,
            keys,
            path,
            journal,
            journal_key,
            tail: Arc::default(),
            env,
            database: Mutex::new(None),
            position: Mutex::new(None),
            gone: AtomicBool::new(false),
            queue: WriteQueue::default(),
        })
    }

    /// Makes rows and events durable without touching the tables, which take them over later. For what
    /// every request writes and few read: audit and usage. Gives back the events' ids.
    pub(crate) async fn append(self: &Arc<Self>, append: Append) -> Result<Vec<EventId>, Fault> {
        let append = Arc::new(append);
        loop {
            let submitted = match self.submit_if_placed(&append)? {
                Some(submitted) => submitted,
                None => {
                    let (this, append) = (self.clone(), append.clone());
                    let placed = move || {
                        this.with_database(|_| Ok(()))?;
                        this.submit_if_placed(&append)
                    };
                    match blocking(placed).await? {
                        Some(submitted) => submitted,
                        None => continue,
                    }
                }
            };
            match submitted.durable.await.map_err(|_| Fault::Stopped)? {
                Err(Fault::Renumber) => {}
                Err(fault) => return Err(fault),
                Ok(_) => {
                    self.fold_if_long();
                    return Ok(submitted.ids);
                }
            }
        }
    }

    /// Numbers, seals and submits, if the log's position is known.
    fn submit_if_placed(&self, append: &Append) -> Result<Option<Submitted>, Fault> {
        let mut position = lock(&self.position);
        self.still_here()?;
        let epoch = self.journal.epoch();
        let Some(place) = position.as_ref().filter(|position| position.epoch == epoch) else {
            return Ok(None);
        };
        let Numbered { next, rows, ids } = number(place, &append.events, &self.keys, &self.env)?;
        let rows: Vec<_> = append.rows.iter().cloned().chain(rows).collect();
        let entry = Entry {
            tenant: self.id,
            sealed: self.journal_key.seal(&rows, &self.env)?,
            rows,
            marks: append.marks.clone(),
            tail: self.tail.clone(),
            epoch,
        };
        let durable = self.journal.submit(entry);
        *position = Some(next);
        Ok(Some(Submitted { durable, ids }))
    }

    /// Reads from tables that contain everything that is durable.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&Database) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let this = self.clone();
        blocking(move || this.with_database(|database| query(database))).await
    }

    /// Runs `work` on the tables, opened and caught up. For blocking threads.
    pub(crate) fn with_database<T>(
        &self,
        work: impl FnOnce(&mut Database) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut slot = lock(&self.database);
        let database = self.opened(&mut slot, false)?;
        self.place(database)?;
        work(database)
    }

    fn opened<'a>(&self, slot: &'a mut Option<Database>, as_file: bool) -> Result<&'a mut Database, Fault> {
        self.still_here()?;
        let in_memory = slot.as_ref().is_some_and(|database| database.home == Home::Memory);
        if as_file && in_memory {
            *slot = None;
        }
        if slot.is_none() {
            *slot = Some(self.opening().open(as_file)?);
        }
        let caught_up = slot.as_mut().map_or(Ok(()), |database| database.catch_up(&self.tail));
        if caught_up.is_err() {
            self.let_go(slot);
        }
        caught_up?;
        slot.as_mut().ok_or(Fault::Damaged("an open database"))
    }

    /// Closes a database whose tables may have missed something: the next use finds it in the journal.
    fn let_go(&self, slot: &mut Option<Database>) {
        self.tail.close();
        *slot = None;
    }

    fn still_here(&self) -> Result<(), Fault> {
        if self.gone.load(Ordering::SeqCst) { Err(Fault::KeyGone) } else { Ok(()) }
    }

    fn opening(&self) -> Opening<'_> {
        Opening {
            tenant: self.id,
            file_key: self.keys.file(),
            tenant_key: self.keys.data(),
            path: &self.path,
            journal: &self.journal,
            tail: &self.tail,
            now: self.env.now(),
        }
    }

    /// Finds out where the log stands, if that is not known in this epoch.
    fn place(&self, database: &mut Database) -> Result<(), Fault> {
        let mut position = lock(&self.position);
        let epoch = self.journal.epoch();
        if position.as_ref().is_none_or(|position| position.epoch != epoch) {
            database.catch_up(&self.tail)?;
            *position = Some(LogPosition::read(&database.connection, self.keys.log().origin(), epoch)?);
        }
        Ok(())
    }

    /// Carries out a batch of writes in one transaction of the tables and one entry of the journal. The
    /// journal is the commit point: the tables follow once it is durable, and are rolled back otherwise.
    pub(super) fn write_batch(&self, jobs: Vec<Job>) -> Result<(), Fault> {
        let as_file = jobs.iter().any(|job| job.needs_file);
        let mut slot = lock(&self.database);
        let database = self.opened(&mut slot, as_file)?;
        self.place(database)?;
        database.connection.execute_batch("BEGIN IMMEDIATE")?;
        let done = self.in_transaction(database, jobs);
        if done.is_err() {
            self.let_go(&mut slot);
        }
        done
    }

    fn in_transaction(&self, database: &mut Database, jobs: Vec<Job>) -> Result<(), Fault> {
        let (append, answers) = carry_out(database, jobs)?;
        if append.rows.is_empty() && append.events.is_empty() && append.marks.is_empty() {
            database.connection.execute_batch("COMMIT")?;
            answers.into_iter().for_each(|answer| answer.give(&[]));
            return Ok(());
        }
        let submitted = self.submit_if_placed(&append)?.ok_or(Fault::Renumber)?;
        let number = submitted.durable.blocking_recv().map_err(|_| Fault::Stopped)??;
        let folded = self.fold_batch(database, number);
        // From here on the writes have happened, whatever becomes of the tables.
        answers.into_iter().for_each(|answer| answer.give(&submitted.ids));
        folded
    }

    /// Entries of this tenant up to the batch's own are in the tail by now: its own rows are in the tables
    /// already, its events and what came between are not.
    fn fold_batch(&self, database: &mut Database, number: u64) -> Result<(), Fault> {
        let rows: Vec<_> = self.tail.take(number).into_iter().flat_map(|(_, rows)| rows).collect();
        fold(&database.connection, &rows, number)?;
        database.connection.execute_batch("COMMIT")?;
        database.folded = number;
        Ok(())
    }

    /// Lets the tables take over what waits, once it is much.
    fn fold_if_long(self: &Arc<Self>) {
        if self.tail.len() > MAX_TAIL {
            let this = self.clone();
            tokio::task::spawn_blocking(move || {
                if let Err(fault) = this.with_database(|_| Ok(())) {
                    tracing::error!(tenant.id = %this.id, %fault, "the journal could not be folded");
                }
            });
        }
    }

    /// Brings the tables to the disk and lets the journal forget what they contain. `as_file` also makes
    /// the file of a tenant that has none. For blocking threads.
    pub(crate) fn settle(&self, as_file: bool) -> Result<(), Fault> {
        let mut slot = lock(&self.database);
        if slot.is_none() && !as_file && !self.path.exists() {
            return Ok(());
        }
        self.opened(&mut slot, as_file)?;
        self.settle_open(&mut slot)
    }

    fn settle_open(&self, slot: &mut Option<Database>) -> Result<(), Fault> {
        if let Some(database) = slot
            && database.sync()?
        {
            self.journal.forget(self.id, database.folded);
        }
        Ok(())
    }

    /// Closes the database, after bringing it to the disk. For blocking threads.
    pub(crate) fn close(&self) -> Result<(), Fault> {
        // Under one lock from the first look to the last: whoever read or wrote on a database whose tail
        // is closed already would miss what has just become durable.
        let mut slot = lock(&self.database);
        let settled = if slot.is_some() {
            self.opened(&mut slot, false).map(drop).and_then(|()| self.settle_open(&mut slot))
        } else {
            Ok(())
        };
        self.let_go(&mut slot);
        settled
    }

    /// Ends the use of an erased tenant: whoever still has the handle is refused from now on. For blocking
    /// threads.
    pub(crate) fn discard(&self) {
        let mut slot = lock(&self.database);
        let mut position = lock(&self.position);
        self.gone.store(true, Ordering::SeqCst);
        *position = None;
        self.let_go(&mut slot);
    }

    /// Puts a staged file in the place of the tenant's own, after `carry_over` has brought into it what
    /// must outlive the change. Nobody reads or writes meanwhile. For blocking threads.
    pub(crate) fn replace_file(
        &self,
        staged: &std::path::Path,
        carry_over: impl FnOnce(&Database, &sqlcipher::Connection) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut slot = lock(&self.database);
        let database = self.opened(&mut slot, true)?;
        let options = crate::sqlite::tenant_options(false);
        let next = sqlcipher::open(staged, self.keys.file(), &options)?;
        super::schema::migrate(&next, || Ok(()))?;
        carry_over(database, &next)?;
        let whole = next.checkpoint()? && database.sync()?;
        next.close()?;
        if !whole {
            return Err(Fault::Io("a write-ahead log that could not be emptied".into()));
        }
        // The log's position stays: the staged file has every event that the present one has.
        self.let_go(&mut slot);
        crate::files::replace_database(staged, &self.path)
    }

    /// Whether a database is open.
    pub(crate) fn is_open(&self) -> bool {
        self.database.try_lock().map_or(true, |slot| slot.is_some())
    }

    /// The path of the tenant's file, whether or not it is there.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// The log's size, and a checkpoint over all of it. For blocking threads.
    pub(crate) fn checkpoint(&self) -> Result<(u64, String), Fault> {
        // From the tables, which hold only what is durable; the position may be ahead of the disk.
        self.with_database(|database| {
            let log = self.keys.log();
            let position = LogPosition::read(&database.connection, log.origin(), self.journal.epoch())?;
            let (size, root) = position.size_and_root();
            Ok((size, log.sign(size, root).to_string()))
        })
    }

    /// Carries out a write with what becomes durable with it, sharing its transaction with whatever else
    /// this tenant writes at the moment.
    pub(crate) async fn write<T: Send + 'static>(
        self: &Arc<Self>,
        needs_file: bool,
        commit: store::Commit,
        work: impl FnOnce(&mut Txn<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        Ok(self.queue.write(self, needs_file, commit, work).await?.0)
    }

    /// As [`Self::write`], without asking for a file; gives back the ids of the commit's events.
    pub(crate) async fn write_events<T: Send + 'static>(
        self: &Arc<Self>,
        commit: store::Commit,
        work: impl FnOnce(&mut Txn<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<Vec<EventId>, StoreError> {
        Ok(self.queue.write(self, false, commit, work).await?.1)
    }

    /// Refuses events that no log takes, before they stand in the way of others in their batch.
    pub(super) fn check_events(&self, events: &[Draft]) -> Result<(), Fault> {
        let start = audit::event::Position::start(self.keys.log().origin().clone());
        for draft in events {
            let mut draft = draft.clone();
            audit::event::hide_people(&mut draft, |id| self.keys.pseudonym(id));
            audit::event::seal(draft, &start, &self.env)?;
        }
        Ok(())
    }
}

/// Runs on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Fault::Stopped)?
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
