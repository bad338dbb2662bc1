//! Writing a tenant's backup: its rows at one moment, in the container that every backend's backups are in.
//!
//! A line is a table's name and one of its rows. What is sealed in a row stays so, and the container seals it
//! once more, together with what stands in clear in the tables.

use crate::PostgresStore;
use crate::error::Fault;
use crate::home::{Home, OWN, Session};
use crate::tenant::{HEAD, TenantHandle, head_row};
use ids::{BackupId, TenantId};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::StoreError;
use store_core::backup::{BackupError, Content, Manifest};
use tokio::sync::mpsc;

/// The version of the tables whose rows are written.
pub(crate) const SCHEMA: u32 = 2;
/// The tables that a restore brings back, each after those that it refers to. The audit log, usage and
/// idempotency keys are not among them, since they cannot be taken back.
pub(crate) const TABLES: [&str; 8] =
    ["object", "collection", "record", "record_token", "record_range", "run", "run_part", "delivery"];
/// How many rows are under way at once.
const ROWS_AT_ONCE: u32 = 200;
/// How many times that many wait for the disk.
pub(crate) const WAITING: usize = 4;

impl From<BackupError> for Fault {
    fn from(error: BackupError) -> Self {
        if let BackupError::Io(error) = &error {
            tracing::error!(kind = %error.kind(), "the file of a backup");
        }
        Self::Answer(error.into())
    }
}

/// Runs what blocks where it may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|_| Fault::Answer(StoreError::Unavailable))??)
}

impl PostgresStore {
    /// Writes a backup to `target`, which must not be there yet.
    pub(crate) async fn write_backup(&self, id: TenantId, target: &Path) -> Result<BackupId, Fault> {
        let handle = self.handle(id).await?;
        let how = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let begin = |home: Arc<Home>| async move { Ok((home.begin(id, how).await?.0, home)) };
        let (session, home) = handle.there(begin).await?;
        let row = session.query_typed_opt(HEAD, &[]).await?.ok_or(Fault::KeyGone)?;
        // Another server may have changed the key that this one still has.
        if row.try_get::<_, &str>(6)? != handle.keys().data_name() {
            self.forget(id);
            return Err(StoreError::Unavailable.into());
        }
        let events = head_row(&row, &handle.keys().origin)?.place.index;
        let row = session.query_typed_one("SELECT generation FROM log_head", &[]).await?;
        let generation = row.try_get::<_, i64>(0)?.cast_unsigned();
        let (env, keys) = (self.env(), handle.whole_keys()?);
        let manifest = Manifest::new(&env, id, keys, generation, events, Content::Rows, SCHEMA);
        let backup = manifest.backup;
        let (lines, written) = mpsc::channel(WAITING);
        let file = Writing { handle: handle.clone(), manifest, target: target.to_owned() };
        let writing = blocking(move || file.run(written));
        let (read, written) = futures::join!(read_all((&home, id), &session, lines), writing);
        // Where the file failed nobody took the lines, and that is the fault to tell of.
        written?;
        read?;
        session.roll_back().await?;
        Ok(backup)
    }
}

/// Reads every row and sends it on, and at last that this was all.
async fn read_all(
    (home, id): (&Home, TenantId),
    session: &Session,
    lines: mpsc::Sender<Piece>,
) -> Result<(), Fault> {
    let gone = |_| Fault::Answer(StoreError::Unavailable);
    for table in TABLES {
        // A token holds for a minute, and a cursor as long as the transaction.
        home.renew(session, id).await?;
        let cursor = format!(
            "DECLARE backup NO SCROLL CURSOR FOR SELECT to_json(its)::text FROM {table} AS its WHERE {OWN}"
        );
        session.batch_execute(&cursor).await?;
        loop {
            let rows = session.query_typed(&format!("FETCH {ROWS_AT_ONCE} FROM backup"), &[]).await?;
            if rows.is_empty() {
                break;
            }
            let mut text = String::new();
            for row in &rows {
                text.extend([table, " ", row.try_get(0)?, "\n"]);
            }
            lines.send(Piece::Lines(text)).await.map_err(gone)?;
        }
        session.batch_execute("CLOSE backup").await?;
    }
    lines.send(Piece::End).await.map_err(gone)
}

/// A file that is not there yet, for its owner alone.
pub(crate) fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Brings a file to the disk, with its name, which is durable when its folder is.
pub(crate) fn synced(output: BufWriter<File>, path: &Path) -> io::Result<()> {
    output.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// What is sent to be written.
enum Piece {
    Lines(String),
    /// There is no more. Without it the backup is not whole.
    End,
}

/// The file that a backup is written to.
struct Writing {
    handle: Arc<TenantHandle>,
    manifest: Manifest,
    target: PathBuf,
}

impl Writing {
    fn run(self, pieces: mpsc::Receiver<Piece>) -> Result<(), BackupError> {
        let output = private_file(&self.target)?;
        let written = self.write(output, pieces);
        if written.is_err() {
            std::fs::remove_file(&self.target)?;
        }
        written
    }

    fn write(&self, output: File, mut pieces: mpsc::Receiver<Piece>) -> Result<(), BackupError> {
        let keys =
            self.handle.whole_keys().map_err(|_| io::Error::other("the key of backups is not at hand"))?;
        let mut sealing = self.manifest.begin(&self.handle.env, keys, BufWriter::new(output))?;
        loop {
            match pieces.blocking_recv() {
                Some(Piece::Lines(lines)) => sealing.write_all(lines.as_bytes())?,
                Some(Piece::End) => break,
                None => return Err(io::Error::other("the rows ended before they were all there").into()),
            }
        }
        Ok(synced(sealing.finish()?, &self.target)?)
    }
}
