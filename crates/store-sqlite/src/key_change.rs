//! Changing a tenant's data key: its file is written anew under keys that come from another one.
//!
//! The new file is on the disk before the new key counts, which one commit of the platform store decides;
//! then it takes the old one's place, and the old key is destroyed. Whatever a crash leaves, there is one
//! file that the key that counts opens: [`finish`] puts it in place. Backups from before open no more.

use crate::EmbeddedStore;
use crate::error::Fault;
use crate::files::{remove_database, replace_database};
use crate::keys::{NamedKey, TenantKeys};
use crate::platform::Platform;
use crate::tenant::{TenantHandle, blocking};
use ids::TenantId;
use std::path::{Path, PathBuf};

fn staged(path: &Path) -> PathBuf {
    path.with_extension("rekeyed.db")
}

impl EmbeddedStore {
    /// Gives a tenant another data key and encrypts its file anew.
    pub(crate) async fn change_data_key(&self, id: TenantId) -> Result<(), Fault> {
        let inner = self.inner();
        let _another_file = inner.whole_files.read().await;
        let row = inner.platform.tenant_row(id).await?.ok_or(Fault::KeyGone)?;
        let handle = self.handle_of(id).await?;
        let wrapped = inner.platform.wrapped_keys(id).await?.ok_or(Fault::KeyGone)?;
        let next = wrapped.with_new_data_key(inner.kms.as_ref(), id, &self.env()).await?;
        let epoch = inner.platform.log_epoch(id).await?;
        let keys =
            crate::keys::unwrap(inner.kms.as_ref(), id, &row.region, inner.log_age(epoch), &next).await?;
        let platform = inner.platform.clone();
        let changed = blocking(move || change(&handle, &platform, &next.data, keys)).await;
        if changed.is_err() {
            // Whether the new key counts is for the platform store to say, when the tenant is used again.
            inner.handles.discard(id).await?;
        }
        changed
    }
}

fn change(
    handle: &TenantHandle,
    platform: &Platform,
    next: &NamedKey,
    keys: TenantKeys,
) -> Result<(), Fault> {
    let _alone = handle.as_a_whole();
    let staged = staged(handle.path());
    remove_database(&staged)?;
    let id = handle.id;
    let finish = || {
        // A copy from before a migration is under the key that is about to be destroyed.
        remove_database(&handle.path().with_extension("before-migration.db"))?;
        platform.finish_key_change(id)
    };
    handle.change_keys(&staged, keys, || platform.change_data_key(id, next), finish)
}

/// Ends a change that counted before the server stopped: puts the new file in place, if it is not there
/// yet, and destroys the old key. For blocking threads.
pub(crate) fn finish(platform: &Platform, id: TenantId, path: &Path) -> Result<(), Fault> {
    let staged = staged(path);
    if staged.exists() {
        replace_database(&staged, path)?;
    }
    remove_database(&path.with_extension("before-migration.db"))?;
    platform.finish_key_change(id)
}
