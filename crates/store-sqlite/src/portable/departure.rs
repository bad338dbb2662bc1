//! Writing a tenant out for another deployment.

use super::reading::read_all;
use crate::EmbeddedStore;
use crate::error::Fault;
use crate::tenant::{TenantHandle, blocking};
use ids::TenantId;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::Exported;
use store_core::backup::BackupError;
use store_core::portable::{Head, Told, Writer};

impl EmbeddedStore {
    /// Writes all of a tenant to `target`, which must not be there yet.
    pub(crate) async fn write_out(&self, id: TenantId, target: &Path) -> Result<Exported, Fault> {
        let inner = self.inner();
        let _same_file = inner.whole_files.read().await;
        let handle = self.handle_of(id).await?;
        let row = inner.platform.tenant_row(id).await?.ok_or(Fault::KeyGone)?;
        let keys = inner.platform.wrapped_keys(id).await?.ok_or(Fault::KeyGone)?;
        let index_key = inner.platform.own_key("credential index")?;
        let head = Head::new(&self.env(), id, &keys, &index_key);
        let log = inner.log_age(inner.platform.log_epoch(id).await?);
        let told = Told::new(row, log, inner.platform.credentials_of(id).await?);
        let leaving = Leaving { handle, head, told, target: target.to_owned(), env: self.env() };
        blocking(move || leaving.run()).await
    }
}

/// A tenant that is written to a file.
struct Leaving {
    handle: Arc<TenantHandle>,
    head: Head,
    told: Told,
    target: PathBuf,
    env: env::Env,
}

impl Leaving {
    fn run(self) -> Result<Exported, Fault> {
        let _alone = self.handle.as_a_whole();
        let written = self.write();
        if written.is_err() {
            crate::files::remove_if_there(&self.target)?;
        }
        written
    }

    fn write(&self) -> Result<Exported, Fault> {
        let keys = self.handle.keys();
        let output = BufWriter::new(crate::files::create_private(&self.target)?);
        let mut writer = Writer::begin(&self.env, (&self.head, &self.told), keys.data(), output)?;
        let tokens = keys.equality();
        self.handle.with_database(|database| {
            database.commit()?;
            let read = read_all(&database.connection, &tokens, |line| writer.put(&line))?;
            Ok(read?)
        })?;
        let (output, summary) = writer.finish()?;
        let output = output.into_inner().map_err(|error| BackupError::from(error.into_error()))?;
        output.sync_all()?;
        crate::files::sync_folder_of(&self.target)?;
        Ok(summary.of_tenant(self.handle.id))
    }
}
