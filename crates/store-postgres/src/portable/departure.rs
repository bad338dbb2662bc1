//! Writing a tenant out for another deployment.

use super::reading::read_all;
use crate::PostgresStore;
use crate::backup::{WAITING, blocking, private_file, synced};
use crate::error::Fault;
use crate::home::{Home, OWN, Session};
use crate::tenant::TenantHandle;
use ids::TenantId;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{Exported, StoreError};
use store_core::backup::BackupError;
use store_core::keys::WrappedKeys;
use store_core::portable::{Head, Line, Summary, Told, Writer};
use tokio::sync::mpsc;

impl PostgresStore {
    /// Writes all of a tenant to `target`, which must not be there yet.
    pub(crate) async fn write_out(&self, id: TenantId, target: &Path) -> Result<Exported, Fault> {
        let handle = self.handle(id).await?;
        let how = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let begin = |home: Arc<Home>| async move { Ok((home.begin(id, how).await?.0, home)) };
        let (session, home) = handle.there(begin).await?;
        let head = format!("SELECT data_key FROM log_head WHERE {OWN}");
        let row = session.query_typed_one(&head, &[]).await?;
        let (told, keys) = self.told(id, row.try_get(0)?).await?;
        let index_key = self.index_key().await?;
        let head = Head::new(&self.env(), id, &keys, &index_key);
        let (lines, written) = mpsc::channel(WAITING);
        let file = Writing { handle: handle.clone(), head, told, target: target.to_owned() };
        let writing = blocking(move || file.run(written));
        let (read, written) = futures::join!(send_all((&home, id), (&session, &handle), lines), writing);
        // Where the file failed nobody took the lines, and that is the fault to tell of.
        let summary = written?;
        read?;
        session.roll_back().await?;
        Ok(summary.of_tenant(id))
    }

    /// What the platform knows of a tenant, and its keys: those that its tables are sealed under.
    async fn told(&self, id: TenantId, data_name: &str) -> Result<(Told, WrappedKeys), Fault> {
        let platform = &self.inner().platform;
        let row = platform.tenant_row(id).await?.ok_or(Fault::KeyGone)?;
        let (keys, next) = platform.wrapped_keys(id).await?.ok_or(Fault::KeyGone)?;
        let data = next.filter(|next| next.name == data_name).unwrap_or_else(|| keys.data.clone());
        if data.name != data_name {
            return Err(StoreError::Unavailable.into());
        }
        let log = platform.log_age(id).await?;
        let told = Told::new(row, log, platform.credentials_of(id).await?);
        Ok((told, WrappedKeys { data, ..keys }))
    }
}

/// Sends every line on, and at last that this was all.
async fn send_all(
    place: (&Home, TenantId),
    within: (&Session, &TenantHandle),
    lines: mpsc::Sender<Option<Vec<Line>>>,
) -> Result<(), Fault> {
    let gone = |_| Fault::Answer(StoreError::Unavailable);
    let send = async |batch| lines.send(batch).await.map_err(gone);
    read_all(place, within, |batch| send(Some(batch))).await?;
    send(None).await
}

/// The file that a tenant is written to.
struct Writing {
    handle: Arc<TenantHandle>,
    head: Head,
    told: Told,
    target: PathBuf,
}

impl Writing {
    fn run(self, lines: mpsc::Receiver<Option<Vec<Line>>>) -> Result<Summary, BackupError> {
        let output = private_file(&self.target)?;
        let written = self.write(output, lines);
        if written.is_err() {
            std::fs::remove_file(&self.target)?;
        }
        written
    }

    fn write(
        &self,
        output: File,
        mut lines: mpsc::Receiver<Option<Vec<Line>>>,
    ) -> Result<Summary, BackupError> {
        let keys = self.handle.whole_keys().map_err(|_| io::Error::other("the key is not at hand"))?;
        let head = (&self.head, &self.told);
        let mut writer = Writer::begin(&self.handle.env, head, keys.data(), BufWriter::new(output))?;
        loop {
            match lines.blocking_recv() {
                Some(Some(batch)) => batch.iter().try_for_each(|line| writer.put(line))?,
                Some(None) => break,
                None => return Err(io::Error::other("the lines ended before they were all there").into()),
            }
        }
        let (output, summary) = writer.finish()?;
        synced(output, &self.target)?;
        Ok(summary)
    }
}
