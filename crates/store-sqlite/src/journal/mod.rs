//! The node journal: the commit point of everything that a region's tenants write.
//!
//! A tenant's write is durable once its rows are here, sealed under the tenant's own key; the tenant's
//! file is what the journal folds into, and may lag behind. One transaction, and so one `fsync`, carries
//! the writes of all tenants that came in while the last one was under way. The file is plain SQLite:
//! what it shows without a key is which tenant wrote how much. See docs/decisions/0002-node-journal.md.

mod checkpoint;
mod copy;
mod seal;
mod tail;
mod writer;

pub(crate) use copy::Snapshot;
pub(crate) use seal::{JournalKey, Segment};
pub(crate) use tail::{Tail, Way};

use writer::Writer;

use crate::error::Fault;
use crate::rows::RowChange;
use ids::{Id, TenantId};
use sqlcipher::{Connection, params};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use store::{Mark, PendingWork, WorkKind};
use tokio::sync::oneshot;

/// Rows of one tenant on their way into the journal.
pub(crate) struct Entry {
    pub(crate) tenant: TenantId,
    pub(crate) rows: Vec<RowChange>,
    pub(crate) sealed: Vec<u8>,
    pub(crate) marks: Vec<Mark>,
    pub(crate) tail: Arc<Tail>,
    pub(crate) way: Way,
    /// The epoch in which the entry's audit events were numbered.
    pub(crate) epoch: u64,
}

/// What the writer thread is asked to do.
enum Request {
    Append(Entry, oneshot::Sender<Result<u64, Fault>>),
    /// Removes what a tenant's file has durably taken over, up to and with this entry.
    Forget(TenantId, u64),
    /// Removes all of a tenant that is erased.
    Erase(TenantId, oneshot::Sender<Result<u64, Fault>>),
    /// Gives no number up to and with this one to an entry.
    SkipTo(u64, oneshot::Sender<Result<u64, Fault>>),
    /// Opens and closes marks of a tenant's work without an entry.
    Mark(TenantId, Vec<Mark>, oneshot::Sender<Result<u64, Fault>>),
    /// Commits nothing, and so tells that commits are possible.
    Probe(oneshot::Sender<Result<u64, Fault>>),
    /// Says when nothing is being written, and writes nothing until the other end is dropped.
    Pause(mpsc::Sender<()>, mpsc::Receiver<()>),
}

/// An entry as it is read back.
pub(crate) struct StoredEntry {
    pub(crate) number: u64,
    pub(crate) segment: Segment,
    pub(crate) sealed: Vec<u8>,
}

/// What the writer tells everybody, and everybody the writer.
#[derive(Default)]
struct Shared {
    /// Raised when a transaction fails: entries numbered before must not follow the gap.
    epoch: AtomicU64,
    /// How many transactions were committed, each with one wait for the disk.
    commits: AtomicU64,
    /// The number that the next entry gets. No number is given twice, also where all entries were forgotten.
    next: AtomicU64,
    /// How many hold everything that is in the journal.
    holds: AtomicUsize,
}

/// The journal of one region.
pub(crate) struct Journal {
    segment: Segment,
    shared: Arc<Shared>,
    path: PathBuf,
    /// `None` only while the journal is being dropped.
    requests: Option<mpsc::Sender<Request>>,
    /// The writer's thread, and that of the log.
    threads: Vec<JoinHandle<()>>,
    /// For one tenant's entries, which whoever opens a tenant's database waits for.
    reader: Mutex<Connection>,
    /// For what asks about all tenants together, and may take its time.
    overview: Mutex<Connection>,
}

impl Drop for Journal {
    /// Waits until what was submitted is written, so that the folder is nobody's once it is let go.
    fn drop(&mut self) {
        self.requests = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the node journal ended badly");
            }
        }
    }
}

/// Starts a thread of the journal. Whoever hands it something goes on first: on few processors a model's answer
/// would wait for the disk otherwise, and a transaction would begin before others could join it.
fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Fault> {
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        if let Err(error) = hardening::give_way() {
            tracing::debug!(%error, "a thread of the node journal does not give way");
        }
        work();
    });
    started.map_err(|_| Fault::Stopped)
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS entry(
        number INTEGER PRIMARY KEY,
        tenant BLOB NOT NULL,
        segment BLOB NOT NULL,
        sealed BLOB NOT NULL
    );
    CREATE INDEX IF NOT EXISTS entry_by_tenant ON entry(tenant, number);
    CREATE TABLE IF NOT EXISTS numbers(
        one INTEGER PRIMARY KEY CHECK (one = 1),
        below INTEGER NOT NULL
    );
    INSERT OR IGNORE INTO numbers VALUES(1, 1);
    CREATE TABLE IF NOT EXISTS work(
        tenant BLOB NOT NULL,
        kind INTEGER NOT NULL,
        id BLOB NOT NULL,
        due INTEGER,
        PRIMARY KEY(kind, tenant, id)
    ) WITHOUT ROWID;
";

impl Journal {
    /// Opens the journal and starts its writer thread, which ends when the journal is dropped.
    pub(crate) fn open(path: &Path, segment: Segment, durable: bool) -> Result<Self, Fault> {
        let options = crate::sqlite::journal_options(durable);
        let writer = sqlcipher::open_plain(path, &options)?;
        writer.execute_batch(SCHEMA)?;
        let reader = Mutex::new(sqlcipher::open_plain(path, &options)?);
        let overview = Mutex::new(sqlcipher::open_plain(path, &options)?);
        let (requests, inbox) = mpsc::channel();
        let shared = Arc::<Shared>::default();
        let (checkpoints, log) = checkpoint::start(sqlcipher::open_plain(path, &options)?)?;
        let writer = Writer::new(writer, segment, shared.clone())?;
        let (requests, threads) = (Some(requests), vec![writer::start(writer, checkpoints, inbox)?, log]);
        Ok(Self { segment, shared, path: path.to_owned(), requests, threads, reader, overview })
    }

    /// The segment that this process writes. Each start begins one, so nonces of a restored snapshot meet
    /// another key.
    pub(crate) fn segment(&self) -> Segment {
        self.segment
    }

    /// The present epoch: what was numbered in an earlier one is refused.
    pub(crate) fn epoch(&self) -> u64 {
        self.shared.epoch.load(Ordering::SeqCst)
    }

    /// How many transactions were committed since the journal was opened.
    pub(crate) fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }

    /// Hands an entry to the writer. Entries of one tenant become durable in the order of these calls;
    /// the receiver tells when, and the entry's number.
    pub(crate) fn submit(&self, entry: Entry) -> oneshot::Receiver<Result<u64, Fault>> {
        let (done, durable) = oneshot::channel();
        // Where the writer has ended the request is dropped, which the receiver sees.
        self.send(Request::Append(entry, done));
        durable
    }

    /// Removes what the tenant's file holds durably.
    pub(crate) fn forget(&self, tenant: TenantId, through: u64) {
        // A stopped writer forgets nothing, which only leaves rows that fold again.
        self.send(Request::Forget(tenant, through));
    }

    /// Removes all of an erased tenant's rows and marks; gives back how many rows there were.
    pub(crate) async fn erase(&self, tenant: TenantId) -> Result<u64, Fault> {
        let (done, erased) = oneshot::channel();
        self.send(Request::Erase(tenant, done));
        erased.await.map_err(|_| Fault::Stopped)?
    }

    /// Opens and closes marks of a tenant's work that no entry carries. What was submitted before is durable,
    /// or refused, when this is back; without marks it does nothing else. For blocking threads.
    pub(crate) fn mark(&self, tenant: TenantId, marks: Vec<Mark>) -> Result<(), Fault> {
        let (done, marked) = oneshot::channel();
        self.send(Request::Mark(tenant, marks, done));
        marked.blocking_recv().map_err(|_| Fault::Stopped)?.map(drop)
    }

    /// Whether the writer is alive and can commit.
    pub(crate) async fn probe(&self) -> Result<(), Fault> {
        let (done, alive) = oneshot::channel();
        self.send(Request::Probe(done));
        alive.await.map_err(|_| Fault::Stopped)?.map(drop)
    }

    /// Makes sure that entries to come have numbers beyond what a tenant's file says it contains. A journal
    /// that lost its end, or was put back from an older copy, would give numbers out twice, and a file
    /// would take the new entries for ones that it has. For blocking threads.
    pub(crate) fn number_beyond(&self, folded: u64) -> Result<(), Fault> {
        let next = self.shared.next.load(Ordering::SeqCst);
        if next > folded {
            return Ok(());
        }
        tracing::warn!(folded, next, "the node journal is older than a tenant's file; its end was lost");
        let (done, skipped) = oneshot::channel();
        self.send(Request::SkipTo(folded, done));
        skipped.blocking_recv().map_err(|_| Fault::Stopped)?.map(drop)
    }

    fn send(&self, request: Request) {
        if let Some(requests) = &self.requests {
            // The writer ends only with the journal; a request that is dropped tells its sender.
            let _ = requests.send(request);
        }
    }

    /// A tenant's entries after the given number, at most `limit`, in order.
    pub(crate) fn entries(
        &self,
        tenant: TenantId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredEntry>, Fault> {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let mut select = reader.prepare_cached(
            "SELECT number, segment, sealed FROM entry WHERE tenant = ?1 AND number > ?2
             ORDER BY number LIMIT ?3",
        )?;
        let rows = select.query_map(params![tenant.to_bytes(), after, limit], |row| {
            Ok(StoredEntry { number: row.get(0)?, segment: Segment(row.get(1)?), sealed: row.get(2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Tenants with entries, most entries first, at most `limit`, with how many each has.
    pub(crate) fn backlog(&self, limit: u32) -> Result<Vec<(TenantId, u64)>, Fault> {
        let reader = self.overview.lock().unwrap_or_else(PoisonError::into_inner);
        let mut select = reader
            .prepare_cached("SELECT tenant, count(*) FROM entry GROUP BY tenant ORDER BY 2 DESC LIMIT ?1")?;
        let rows =
            select.query_map(params![limit], |row| Ok((TenantId::from_bytes(row.get(0)?), row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many bytes the journal's file holds.
    pub(crate) fn bytes(&self) -> Result<u64, Fault> {
        let reader = self.overview.lock().unwrap_or_else(PoisonError::into_inner);
        let pages: u64 = reader.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        let free: u64 = reader.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
        let size: u64 = reader.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        Ok(pages.saturating_sub(free) * size)
    }

    /// One tenant's work of this kind that has begun and not ended.
    pub(crate) fn pending_of(&self, tenant: TenantId, kind: WorkKind) -> Result<Vec<[u8; 16]>, Fault> {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let mut select = reader.prepare_cached("SELECT id FROM work WHERE kind = ?1 AND tenant = ?2")?;
        let rows =
            select.query_map(params![writer::kind_number(kind), tenant.to_bytes()], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// All work of this kind that has begun and not ended.
    pub(crate) fn pending(&self, kind: WorkKind) -> Result<Vec<PendingWork>, Fault> {
        let reader = self.overview.lock().unwrap_or_else(PoisonError::into_inner);
        let mut select =
            reader.prepare_cached("SELECT tenant, id, due FROM work WHERE kind = ?1 ORDER BY id")?;
        let rows = select.query_map(params![writer::kind_number(kind)], |row| {
            Ok(PendingWork {
                tenant: TenantId::from_bytes(row.get(0)?),
                id: row.get(1)?,
                due: row.get::<_, Option<i64>>(2)?.map(env::Timestamp::from_millis),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
