//! Tenants' wrapped keys in the platform store, and their change.

use super::Platform;
use crate::error::Fault;
use crate::keys::{NamedKey, WrappedKeys};
use ids::{Id, TenantId};
use kms::WrappedKey;
use sqlcipher::{Executor, OptionalExtension, params};
use std::sync::Arc;

/// The kind under which the data key until now stands while a new one takes its place.
const DATA_BEFORE: &str = "data before";

/// Writes a tenant's wrapped keys, in the caller's transaction.
pub(super) fn put_keys(connection: &Executor, id: TenantId, keys: &WrappedKeys) -> Result<(), Fault> {
    let mut put = connection.prepare_cached(
        "INSERT OR REPLACE INTO tenant_key(tenant, kind, name, wrapped) VALUES(?1, ?2, ?3, ?4)",
    )?;
    for (kind, key) in keys.named() {
        put.execute(params![id.to_bytes(), kind, key.name, key.wrapped.to_bytes()])?;
    }
    Ok(())
}

fn keys(connection: &Executor, id: TenantId) -> Result<Option<WrappedKeys>, Fault> {
    let mut select =
        connection.prepare_cached("SELECT name, wrapped FROM tenant_key WHERE tenant = ?1 AND kind = ?2")?;
    let mut key = |kind: &str| -> Result<Option<NamedKey>, Fault> {
        let row = select.query_row(params![id.to_bytes(), kind], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?))
        });
        let Some((name, wrapped)) = row.optional()? else { return Ok(None) };
        let wrapped = WrappedKey::from_bytes(&wrapped).map_err(|_| Fault::Damaged("a wrapped key"))?;
        Ok(Some(NamedKey { name, wrapped }))
    };
    let (data, log) = (key(WrappedKeys::DATA)?, key(WrappedKeys::LOG)?);
    let all = data.zip(log).zip(key(WrappedKeys::LAYERS)?);
    let changing = key(DATA_BEFORE)?.is_some();
    Ok(all.map(|((data, log), layers)| WrappedKeys { data, log, layers, changing }))
}

impl Platform {
    /// A tenant's wrapped keys; `None` once they are destroyed.
    pub(crate) async fn wrapped_keys(self: &Arc<Self>, id: TenantId) -> Result<Option<WrappedKeys>, Fault> {
        self.read(move |connection| keys(connection, id)).await
    }

    /// Puts new wrapped keys in place of the old.
    pub(crate) async fn replace_keys(self: &Arc<Self>, id: TenantId, keys: WrappedKeys) -> Result<(), Fault> {
        self.write(move |connection| put_keys(connection, id, &keys), |_| ()).await
    }

    /// Lets a new data key count. The one until now stays beside it until the tenant's file is in place. For
    /// blocking threads.
    pub(crate) fn change_data_key(&self, id: TenantId, next: &NamedKey) -> Result<(), Fault> {
        self.write_now(
            |connection| {
                let bytes = id.to_bytes();
                let keep = "UPDATE tenant_key SET kind = ?3 WHERE tenant = ?1 AND kind = ?2";
                if connection.execute(keep, params![bytes, WrappedKeys::DATA, DATA_BEFORE])? != 1 {
                    return Err(Fault::KeyGone);
                }
                connection.execute(
                    "INSERT INTO tenant_key(tenant, kind, name, wrapped) VALUES(?1, ?2, ?3, ?4)",
                    params![bytes, WrappedKeys::DATA, next.name, next.wrapped.to_bytes()],
                )?;
                Ok(())
            },
            |_| (),
        )
    }

    /// Destroys the data key from before a change, whose file is in place now. For blocking threads.
    pub(crate) fn finish_key_change(&self, id: TenantId) -> Result<(), Fault> {
        self.write_now(
            |connection| {
                let destroy = "DELETE FROM tenant_key WHERE tenant = ?1 AND kind = ?2";
                connection.execute(destroy, params![id.to_bytes(), DATA_BEFORE])?;
                Ok(())
            },
            |_| (),
        )?;
        // No page of what was destroyed stays in the write-ahead log.
        self.lock().checkpoint()?;
        Ok(())
    }
}
