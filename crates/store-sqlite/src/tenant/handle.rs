//! A tenant in use: its keys, its log's position, its tail, and its database where one is open.

use super::database::{Database, Home, Opening, fold};
use super::log::{LogPosition, Numbered, number};
use super::moves::{Moved, RunPlaces};
use super::openings::Openings;
use super::slot::{DatabaseSlot, Held};
use super::turns::Turns;
use super::writes::{Answered, Job, Txn, WriteQueue, carry_out};
use crate::error::Fault;
use crate::journal::{Entry, Journal, JournalKey, Tail};
use crate::keys::TenantKeys;
use crate::rows::{RowChange, Tables};
use audit::event::Draft;
use env::Env;
use ids::{EventId, TenantId};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use store::{Mark, StoreError};
use tokio::sync::oneshot;

/// How many entries may wait in the tail before they are folded in the background.
const MAX_TAIL: usize = 128;

/// One tenant in use.
pub(crate) struct TenantHandle {
    pub(crate) id: TenantId,
    /// Changed under both locks below.
    pub(super) secrets: RwLock<Arc<Secrets>>,
    pub(super) path: PathBuf,
    pub(super) journal: Arc<Journal>,
    pub(super) tail: Arc<Tail>,
    openings: Arc<Openings>,
    env: Env,
    /// Taken before `place` where both are needed.
    pub(super) database: DatabaseSlot,
    pub(super) place: Mutex<Option<Place>>,
    /// Set once the tenant is erased. Read under either lock, set under both.
    pub(super) gone: AtomicBool,
    pub(super) turns: Turns,
    /// Of those who need not wait for the journal, and so should not wait for those who do.
    pub(super) quick_turns: Turns,
    /// Held by what is done to the file as a whole: a backup, a restore, a change of key.
    pub(super) whole: Mutex<()>,
    pub(super) queue: WriteQueue,
}

/// What the next entry follows.
pub(super) struct Place {
    pub(super) log: LogPosition,
    pub(super) runs: RunPlaces,
}

/// The keys of a tenant in use.
pub(super) struct Secrets {
    keys: Arc<TenantKeys>,
    journal: JournalKey,
}

impl Secrets {
    pub(super) fn of(tenant: TenantId, keys: TenantKeys, journal: &Journal) -> Arc<Self> {
        let journal = JournalKey::derive(keys.data(), tenant, journal.segment());
        Arc::new(Self { keys: Arc::new(keys), journal })
    }
}

/// What goes into the journal in one piece.
#[derive(Default)]
pub(crate) struct Append {
    pub(crate) rows: Vec<RowChange>,
    pub(crate) events: Vec<Draft>,
    pub(crate) marks: Vec<Mark>,
    /// The runs that the rows move.
    pub(crate) moved: Vec<Moved>,
}

/// A batch that was not carried out to its end.
struct Undone {
    fault: Fault,
    /// Whether it was durable by then, and the tables may have missed a part of it.
    folding: bool,
}

impl From<Fault> for Undone {
    fn from(fault: Fault) -> Self {
        Self { fault, folding: false }
    }
}

/// An entry on its way: when it is durable, and the ids of its events.
pub(super) struct Submitted {
    pub(super) durable: oneshot::Receiver<Result<u64, Fault>>,
    pub(super) ids: Vec<EventId>,
}

impl TenantHandle {
    pub(crate) fn new(
        id: TenantId,
        keys: TenantKeys,
        path: PathBuf,
        journal: Arc<Journal>,
        openings: Arc<Openings>,
        env: Env,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            secrets: RwLock::new(Secrets::of(id, keys, &journal)),
            path,
            journal,
            tail: Arc::default(),
            openings,
            env,
            database: DatabaseSlot::default(),
            place: Mutex::new(None),
            gone: AtomicBool::new(false),
            turns: Turns::default(),
            quick_turns: Turns::default(),
            whole: Mutex::new(()),
            queue: WriteQueue::default(),
        })
    }

    /// Numbers, seals and submits, if the log's position is known.
    pub(super) fn submit_if_placed(&self, append: &Append) -> Result<Option<Submitted>, Fault> {
        let mut place = lock(&self.place);
        self.still_here()?;
        let epoch = self.journal.epoch();
        match place.as_mut().filter(|place| place.log.epoch == epoch) {
            Some(place) => self.submit_at(place, append).map(Some),
            None => Ok(None),
        }
    }

    /// Numbers, seals and submits what follows this place, and moves it on.
    pub(super) fn submit_at(&self, place: &mut Place, append: &Append) -> Result<Submitted, Fault> {
        let Numbered { next, rows, ids } = number(&place.log, &append.events, &self.keys(), &self.env)?;
        let rows: Vec<_> = append.rows.iter().cloned().chain(rows).collect();
        let entry = Entry {
            tenant: self.id,
            sealed: self.secrets().journal.seal(&rows, &self.env)?,
            way: self.tail.submitted(&rows),
            rows,
            marks: append.marks.clone(),
            tail: self.tail.clone(),
            epoch: place.log.epoch,
        };
        let durable = self.journal.submit(entry);
        place.log = next;
        append.moved.iter().for_each(|moved| place.runs.note(moved));
        Ok(Submitted { durable, ids })
    }

    pub(super) fn opened<'a>(
        &self,
        slot: &'a mut Option<Database>,
        as_file: bool,
    ) -> Result<&'a mut Database, Fault> {
        self.still_here()?;
        if slot.as_ref().is_some_and(Database::has_lost_pieces) {
            self.let_go(slot);
        }
        let in_memory = slot.as_ref().is_some_and(|database| database.home == Home::Memory);
        if as_file && in_memory {
            *slot = None;
        }
        if slot.is_none() {
            *slot = Some(self.opening(&self.keys()).open(as_file)?);
            self.openings.count();
        }
        let caught_up = slot.as_mut().map_or(Ok(()), |database| database.catch_up(&self.tail));
        if caught_up.is_err() {
            self.let_go(slot);
        }
        caught_up?;
        slot.as_mut().ok_or(Fault::Damaged("an open database"))
    }

    /// The tables with all that is durable, and the log's place known. Where that fails they are let go.
    pub(super) fn ready<'a>(
        &self,
        slot: &'a mut Option<Database>,
        as_file: bool,
    ) -> Result<&'a mut Database, Fault> {
        self.opened(slot, as_file)?;
        let placed = slot.as_mut().map_or(Ok(()), |database| self.place(database));
        if placed.is_err() {
            self.let_go(slot);
        }
        placed?;
        slot.as_mut().ok_or(Fault::Damaged("an open database"))
    }

    /// Closes a database whose tables may have missed something: the next use finds it in the journal.
    pub(super) fn let_go(&self, slot: &mut Option<Database>) {
        self.tail.close();
        *slot = None;
    }

    fn secrets(&self) -> Arc<Secrets> {
        self.secrets.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The tenant's keys.
    pub(crate) fn keys(&self) -> Arc<TenantKeys> {
        self.secrets().keys.clone()
    }

    pub(super) fn still_here(&self) -> Result<(), Fault> {
        if self.gone.load(Ordering::SeqCst) { Err(Fault::KeyGone) } else { Ok(()) }
    }

    pub(super) fn opening<'a>(&'a self, keys: &'a TenantKeys) -> Opening<'a> {
        Opening {
            tenant: self.id,
            file_key: keys.content(),
            tenant_key: keys.data(),
            path: &self.path,
            journal: &self.journal,
            tail: &self.tail,
            openings: &self.openings,
            now: self.env.now(),
        }
    }

    /// Finds out where the log stands, if that is not known in this epoch.
    fn place(&self, database: &mut Database) -> Result<(), Fault> {
        let mut place = lock(&self.place);
        let epoch = self.journal.epoch();
        if place.as_ref().is_none_or(|place| place.log.epoch != epoch) {
            database.catch_up(&self.tail)?;
            let log = LogPosition::read(&database.connection, self.keys().log().origin(), epoch)?;
            *place = Some(Place { log, runs: RunPlaces::default() });
        }
        Ok(())
    }

    /// Carries out a batch of writes in one transaction of the tables and one entry of the journal. The
    /// journal is the commit point: the tables follow once it is durable, and are rolled back otherwise.
    pub(super) fn write_batch(&self, jobs: Vec<Job>) -> Result<(), Fault> {
        let as_file = jobs.iter().any(|job| job.needs_file);
        let mut slot = self.database.lock();
        let begun = self.ready(&mut slot, as_file).and_then(Database::begin_piece);
        if let Err(fault) = begun {
            jobs.into_iter().for_each(|job| job.refuse(&fault));
            return Err(fault);
        }
        let (mut slot, done) = self.in_transaction(slot, jobs);
        let Err(Undone { fault, folding }) = done else { return Ok(()) };
        // Tables that only lack what did not happen are whole once that is undone.
        if folding || slot.as_ref().is_some_and(|database| database.undo_piece().is_err()) {
            self.let_go(&mut slot);
        }
        Err(fault)
    }

    fn in_transaction<'a>(&self, mut slot: Held<'a>, jobs: Vec<Job>) -> (Held<'a>, Result<(), Undone>) {
        let submitted = match self.carried_out(&mut slot, jobs) {
            Ok(Some(submitted)) => submitted,
            Ok(None) => return (slot, Ok(())),
            Err(fault) => return (slot, Err(fault.into())),
        };
        let (changed, Submitted { durable, ids }, answers) = submitted;
        let (mut slot, durable) = slot.while_open(changed, || durable.blocking_recv());
        let number = match durable.map_err(|_| Fault::Stopped).and_then(|durable| durable) {
            Ok(number) => number,
            Err(fault) => return (slot, Err(fault.into())),
        };
        let folded = slot.as_mut().map_or(Err(Fault::Stopped), |database| self.fold_batch(database, number));
        // From here on the writes have happened, whatever becomes of the tables.
        answers.into_iter().for_each(|answer| answer.give(&ids));
        (slot, folded.map_err(|fault| Undone { fault, folding: true }))
    }

    /// Carries writes out and submits what they change: in which tables, when it is durable, and who waits for
    /// that. `None` where they change nothing.
    fn carried_out(
        &self,
        slot: &mut Option<Database>,
        jobs: Vec<Job>,
    ) -> Result<Option<(Tables, Submitted, Vec<Answered>)>, Fault> {
        let database = slot.as_mut().ok_or(Fault::Damaged("an open database"))?;
        let (append, answers) = carry_out(database, jobs)?;
        if append.rows.is_empty() && append.events.is_empty() && append.marks.is_empty() {
            database.end_piece()?;
            answers.into_iter().for_each(|answer| answer.give(&[]));
            return Ok(None);
        }
        let submitted = self.submit_if_placed(&append)?.ok_or(Fault::Renumber)?;
        Ok(Some((Tables::changed_by(&append.rows), submitted, answers)))
    }

    /// Entries of this tenant up to the batch's own are in the tail by now: its own rows are in the tables
    /// already, its events and what came between are not.
    fn fold_batch(&self, database: &mut Database, number: u64) -> Result<(), Fault> {
        let rows: Vec<_> = self.tail.take(number).into_iter().flat_map(|(_, rows)| rows).collect();
        fold(&database.connection, &rows, number)?;
        database.folded = number;
        database.end_piece()
    }

    /// Lets the tables take over what waits, once it is much.
    pub(super) fn fold_if_long(self: &Arc<Self>) {
        // Whoever has a turn folds what there is.
        if self.tail.len() > MAX_TAIL
            && let Some(turn) = self.turns.at_once()
        {
            let this = self.clone();
            tokio::task::spawn_blocking(move || {
                let _turn = turn;
                if let Err(fault) = this.with_database(|_| Ok(())) {
                    tracing::error!(tenant.id = %this.id, %fault, "the journal could not be folded");
                }
            });
        }
    }

    /// Bytes that the open database holds in memory; `None` where none is open. One at work is not asked.
    pub(crate) fn memory_used(&self) -> Option<u64> {
        match self.database.try_lock() {
            Some(slot) => slot.as_ref().map(|database| database.connection.memory_used()),
            None => Some(0),
        }
    }

    /// Whether a database is open.
    pub(crate) fn is_open(&self) -> bool {
        self.database.try_lock().is_none_or(|slot| slot.is_some())
    }

    /// The path of the tenant's file, whether or not it is there.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// The journal that the tenant's writes go through.
    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The log's size, and a checkpoint over all of it. For blocking threads.
    pub(crate) fn checkpoint(&self) -> Result<(u64, String), Fault> {
        // From the tables, which hold only what is durable; the position may be ahead of the disk.
        self.with_database(|database| {
            let keys = self.keys();
            let log = keys.log();
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
        let start = audit::event::Position::start(self.keys().log().origin().clone());
        for draft in events {
            let mut draft = draft.clone();
            audit::event::hide_people(&mut draft, |id| self.keys().pseudonym(id));
            audit::event::seal(draft, &start, &self.env).map_err(store_core::Fault::from)?;
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

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
