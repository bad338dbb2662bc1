//! A tenant in use: its keys, its log's position, its tail, and its database where one is open.

use super::database::{Database, Home, Opening, fold};
use super::log::{LogPosition, Numbered, number};
use super::writes::{Job, Txn, WriteQueue};
use crate::error::Fault;
use crate::journal::{Entry, Journal, JournalKey, Tail};
use crate::keys::TenantKeys;
use crate::rows::RowChange;
use audit::event::Draft;
use env::Env;
use ids::{EventId, Slug, TenantId};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::{Mark, StoreError};
use tokio::sync::oneshot;

/// How many entries may wait in the tail before they are folded in the background.
const MAX_TAIL: usize = 1024;

/// One tenant in use.
pub(crate) struct TenantHandle {
    pub(crate) id: TenantId,
    pub(crate) region: Slug,
    pub(crate) keys: TenantKeys,
    path: PathBuf,
    journal: Arc<Journal>,
    journal_key: JournalKey,
    tail: Arc<Tail>,
    env: Env,
    /// Taken before `position` where both are needed.
    database: Mutex<Option<Database>>,
    position: Mutex<Option<LogPosition>>,
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
        region: Slug,
        keys: TenantKeys,
        path: PathBuf,
        journal: Arc<Journal>,
        env: Env,
    ) -> Arc<Self> {
        let journal_key = JournalKey::derive(keys.data(), id, journal.segment());
        Arc::new(Self {
            id,
            region,
            keys,
            path,
            journal,
            journal_key,
            tail: Arc::default(),
            env,
            database: Mutex::new(None),
            position: Mutex::new(None),
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
        let epoch = self.journal.epoch();
        let Some(place) = position.as_ref().filter(|position| position.epoch == epoch) else {
            return Ok(None);
        };
        let Numbered { next, rows, ids } = number(place, &append.events, &self.env)?;
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
        let in_memory = slot.as_ref().is_some_and(|database| database.home == Home::Memory);
        if as_file && in_memory {
            *slot = None;
        }
        if slot.is_none() {
            *slot = Some(self.opening().open(as_file)?);
        }
        let database = slot.as_mut().ok_or(Fault::Damaged("an open database"))?;
        database.catch_up(&self.tail)?;
        Ok(database)
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
            database.roll_back();
        }
        done
    }

    fn in_transaction(&self, database: &mut Database, jobs: Vec<Job>) -> Result<(), Fault> {
        let mut append = Append::default();
        let mut answers = Vec::new();
        for job in jobs {
            database.connection.execute_batch("SAVEPOINT job")?;
            let mut txn = Txn::new(&database.connection, database.identity);
            match (job.work)(&mut txn) {
                Ok(answer) => {
                    append.rows.append(&mut txn.into_rows());
                    append.events.extend(job.events);
                    append.marks.extend(job.marks);
                    answers.push((job.done, answer));
                }
                Err(fault) => {
                    database.connection.execute_batch("ROLLBACK TO job")?;
                    // The caller may be gone.
                    let _ = job.done.send(Err(fault));
                }
            }
            database.connection.execute_batch("RELEASE job")?;
        }
        let submitted = self.submit_if_placed(&append)?.ok_or(Fault::Renumber)?;
        let number = submitted.durable.blocking_recv().map_err(|_| Fault::Stopped)??;
        // Entries of this tenant up to ours are in the tail by now, our own among them: its rows are in
        // the tables already, its events are not.
        let rows: Vec<_> = self.tail.take(number).into_iter().flat_map(|(_, rows)| rows).collect();
        fold(&database.connection, &rows, number)?;
        database.connection.execute_batch("COMMIT")?;
        database.folded = number;
        for (done, answer) in answers {
            let _ = done.send(Ok(answer));
        }
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
        let database = self.opened(&mut slot, as_file)?;
        if database.sync()? {
            self.journal.forget(self.id, database.folded);
        }
        Ok(())
    }

    /// Closes the database, after bringing it to the disk. For blocking threads.
    pub(crate) fn close(&self) -> Result<(), Fault> {
        if lock(&self.database).is_some() {
            self.settle(false)?;
        }
        self.tail.close();
        *lock(&self.database) = None;
        Ok(())
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
        next.checkpoint()?;
        next.close()?;
        self.tail.close();
        *slot = None;
        *lock(&self.position) = None;
        crate::files::remove_database(&self.path)?;
        std::fs::rename(staged, &self.path)?;
        crate::files::sync_folder_of(&self.path)
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
        self.with_database(|_| Ok(()))?;
        let position = lock(&self.position);
        let (size, root) = position.as_ref().ok_or(Fault::Renumber)?.size_and_root();
        Ok((size, self.keys.log().sign(size, root).to_string()))
    }

    /// Carries out a write with what becomes durable with it, sharing its transaction with whatever else
    /// this tenant writes at the moment.
    pub(crate) async fn write<T: Send + 'static>(
        self: &Arc<Self>,
        needs_file: bool,
        commit: store::Commit,
        work: impl FnOnce(&mut Txn<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.queue.write(self, needs_file, commit, work).await.map_err(StoreError::from)
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
