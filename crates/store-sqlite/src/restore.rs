//! Restoring: a tenant's own backup in the place of its file.
//!
//! What was signed and charged cannot be taken back, and a key that was revoked since the backup stays
//! revoked: [`carry_over`] brings that along. Where the present file cannot be read and the operator accepts
//! the loss, another audit log begins, so that no log ever has two histories ([`Lossy`]).

mod carry_over;
mod lossy;
mod marks;

use crate::EmbeddedStore;
use crate::backup::refused;
use crate::error::Fault;
use crate::files::remove_database;
use crate::keys::TenantKeys;
use crate::platform::Platform;
use crate::tenant::{Database, LATEST, TenantHandle, blocking, is_damage};
use carry_over::carry_over;
use ids::{Id, TenantId};
use lossy::Lossy;
pub(crate) use marks::Marks;
use sqlcipher::Connection;
use std::collections::HashSet;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use store::{RestoreLoss, RestoreOptions, Restored};
use store_core::backup::{Content, Manifest, Target};

impl EmbeddedStore {
    /// Puts a backup in the place of the tenant's file.
    pub(crate) async fn restore_tenant(
        &self,
        id: TenantId,
        generation: u64,
        source: PathBuf,
        options: RestoreOptions,
    ) -> Result<Restored, Fault> {
        let inner = self.inner();
        let _another_file = inner.whole_files.read().await;
        let handle = self.handle_of(id).await?;
        let known: HashSet<String> = inner.platform.subjects(id).await?.into_iter().collect();
        let platform = inner.platform.clone();
        let restoring = move || {
            Restoring { handle: &handle, platform: &platform, known, options }.run(generation, &source)
        };
        let restored = blocking(restoring).await;
        // A backup that was refused has changed nothing, and whoever is at work with the tenant goes on.
        let as_before = matches!(&restored, Ok(Restored { loss: None, .. }) | Err(Fault::Answer(_)));
        if !as_before {
            // The log that began is another than the one that this handle signs for.
            inner.handles.discard(id).await?;
        }
        let restored = restored?;
        inner.platform.next_generation(id).await?;
        Ok(restored)
    }
}

struct Restoring<'a> {
    handle: &'a TenantHandle,
    platform: &'a Platform,
    /// The ids of the credentials that the index has for the tenant.
    known: HashSet<String>,
    options: RestoreOptions,
}

impl Restoring<'_> {
    fn run(self, generation: u64, source: &Path) -> Result<Restored, Fault> {
        let _alone = self.handle.as_a_whole();
        let staged = self.handle.path().with_extension("restore.db");
        remove_database(&staged)?;
        let restored = self.staged(generation, source, &staged);
        remove_database(&staged)?;
        restored
    }

    fn staged(&self, generation: u64, source: &Path, staged: &Path) -> Result<Restored, Fault> {
        let (handle, keys) = (self.handle, self.handle.keys());
        let manifest = unseal(&keys, handle.id, source, staged)?;
        manifest.check_generation(generation, self.options)?;
        check(&keys, staged, &manifest)?;
        let (loss, over) = handle.replace_file(staged, |present, next| {
            let loss = self.fill(&manifest, present, next)?;
            // What is under way in the file is marked before the file counts, so that it is found whatever
            // happens; marks of what the file does not have go after.
            let marks = Marks::of(handle, next)?;
            handle.journal().mark(handle.id, marks.opened)?;
            Ok((loss, marks.over))
        })?;
        handle.journal().mark(handle.id, over)?;
        Ok(Restored { backup: manifest.backup, loss })
    }

    /// Brings what outlives a restore into the staged tables.
    fn fill(
        &self,
        manifest: &Manifest,
        present: Option<&Database>,
        next: &Connection,
    ) -> Result<Option<RestoreLoss>, Fault> {
        let damage = match present {
            None => Fault::Damaged("the tenant's file"),
            Some(present) => match carry_over(present, next) {
                Err(fault) if is_damage(&fault) => fault,
                carried => return carried.map(|()| None),
            },
        };
        tracing::error!(tenant.id = %self.handle.id, %damage, "a restored tenant's present file cannot be read");
        if !self.options.accept_loss {
            return Err(refused(
                "The tenant's present file cannot be read, so what its audit log and usage have beyond the \
                 backup would be lost. Say `accept_loss` to restore all the same.",
            ));
        }
        let lossy = Lossy { handle: self.handle, platform: self.platform, known: &self.known };
        let log_epoch = lossy.fill(next)?;
        Ok(Some(RestoreLoss { since: manifest.created_at, log_epoch }))
    }
}

fn unseal(keys: &TenantKeys, tenant: TenantId, source: &Path, staged: &Path) -> Result<Manifest, Fault> {
    let target = Target { tenant, keys, content: Content::File, schema: LATEST };
    let (manifest, mut opened) = target.open(BufReader::new(File::open(source)?))?;
    let mut output = crate::files::create_private(staged)?;
    std::io::copy(&mut opened, &mut output)
        .map_err(|_| refused("The backup has been altered or cut off."))?;
    output.sync_all()?;
    Ok(manifest)
}

/// The staged file must be whole, of this tenant, and what its manifest says.
fn check(keys: &TenantKeys, staged: &Path, manifest: &Manifest) -> Result<(), Fault> {
    let connection = sqlcipher::open(staged, keys.content(), &crate::sqlite::tenant_options(false))
        .map_err(|_| refused("The backup's content does not open under the tenant's key."))?;
    let identity: [u8; 16] = connection.query_row("SELECT tenant FROM identity", [], |row| row.get(0))?;
    if TenantId::from_bytes(identity) != manifest.tenant {
        return Err(refused("The backup's content is of another tenant."));
    }
    sqlcipher::integrity(&connection).map_err(|_| refused("The backup's content is damaged."))?;
    Ok(connection.close()?)
}
