//! Taking in a tenant that another deployment has exported: its file is written whole beside its place, compared with
//! what came, and put there before the platform store knows of the tenant.

use super::reading::read_all;
use super::rows::Rows;
use crate::EmbeddedStore;
use crate::error::Fault;
use crate::files::remove_database;
use crate::platform::Making;
use crate::restore::Marks;
use crate::tenant::{TenantHandle, blocking, migrate};
use ids::{Id as _, TenantId};
use sqlcipher::{Connection, params};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{Exported, Isolation};
use store_core::backup::BackupError;
use store_core::portable::{Reader, Sealed, Summary};

type Lines = Reader<BufReader<File>>;

impl EmbeddedStore {
    /// Takes in the tenant that is in a file.
    pub(crate) async fn take_in(&self, id: TenantId, source: PathBuf) -> Result<Exported, Fault> {
        let inner = self.inner();
        // One at a time: two of the same tenant would each take the other's file for what a crash has left.
        let _alone = inner.whole_files.write().await;
        let sealed = blocking(move || Ok(Sealed::read(id, BufReader::new(File::open(&source)?))?)).await?;
        let index_key = inner.platform.own_key("credential index")?;
        let data_key = sealed.data_key(inner.kms.as_ref(), &index_key).await?;
        let (head, told, lines) = blocking(move || Ok(sealed.open(&data_key)?)).await?;
        let (row, log, credentials) = told.arriving(id, Isolation::Embedded)?;
        if log.generation > inner.generation {
            let detail = format!(
                "The tenant's audit log is signed as by the server of generation {}, and this one is of {}.",
                log.generation, inner.generation
            );
            return Err(BackupError::refused(&detail).into());
        }
        let making = Making { row, keys: head.keys()?, credentials, log_epoch: log.epoch };
        inner.platform.check_new_tenant(making.row.clone()).await?;
        let handle = self.unborn(&making.row, &making.keys, log.epoch).await?;
        let region = making.row.region.clone();
        let arriving = Arriving { handle, created_at: making.row.created_at.millis() };
        let summary = blocking(move || arriving.run(lines)).await?;
        let made = inner.platform.make_tenant(making).await;
        if made.is_err() && inner.platform.tenant_row(id).await?.is_none() {
            self.journal(&region)?.erase(id).await?;
            let path = inner.folder.tenant(&region, id)?;
            blocking(move || remove_database(&path)).await?;
        }
        made?;
        Ok(summary.of_tenant(id))
    }
}

/// A tenant whose file is written.
struct Arriving {
    handle: Arc<TenantHandle>,
    created_at: i64,
}

impl Arriving {
    fn run(&self, lines: Lines) -> Result<Summary, Fault> {
        // There is no such tenant: a file of one is of an import that a crash has interrupted.
        remove_database(self.handle.path())?;
        let staged = self.handle.path().with_extension("arriving.db");
        remove_database(&staged)?;
        let arrived = self.staged(lines, &staged);
        remove_database(&staged)?;
        arrived
    }

    fn staged(&self, lines: Lines, staged: &Path) -> Result<Summary, Fault> {
        let keys = self.handle.keys();
        let connection = sqlcipher::open(staged, keys.content(), &crate::sqlite::tenant_options(true))?;
        migrate(&connection, || Ok(()))?;
        let summary = self.fill(&connection, lines)?;
        let marks = Marks::of(&self.handle, &connection)?;
        let whole = connection.checkpoint()?;
        connection.close()?;
        if !whole {
            return Err(Fault::Io("a write-ahead log that could not be emptied".into()));
        }
        // What is under way in the file is marked before the file counts, so that it is found whatever happens.
        self.handle.journal().mark(self.handle.id, marks.opened)?;
        crate::files::replace_database(staged, self.handle.path())?;
        Ok(summary)
    }

    fn fill(&self, connection: &Connection, mut lines: Lines) -> Result<Summary, Fault> {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let values = params![TenantId::to_bytes(self.handle.id), self.created_at];
        connection.execute("INSERT INTO identity VALUES(1, ?1, ?2)", values)?;
        let mut rows = Rows::new(connection);
        while let Some(line) = lines.next_line()? {
            rows.take(line)?;
        }
        connection.execute_batch("COMMIT")?;
        let mut there = Summary::default();
        let counted = read_all(connection, &self.handle.keys().equality(), |line| there.count(&line))?;
        counted.map_err(|_| Fault::Damaged("a line"))?;
        if there == *lines.summary() {
            return Ok(there);
        }
        tracing::error!(tenant.id = %self.handle.id, "an imported tenant's rows differ from what was sent");
        Err(Fault::Damaged("an imported tenant"))
    }
}
