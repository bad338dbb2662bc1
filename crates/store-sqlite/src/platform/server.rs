//! The server as a whole: how often it was restored, what stands in the way of its start, and the platform
//! store as it was at one moment.

use super::Platform;
use crate::error::Fault;
use crate::keys::WrappedKeys;
use ids::{Id, Slug, TenantId};
use secret::SecretBytes;
use sqlcipher::{Connection, params};
use std::collections::BTreeMap;
use std::path::Path;
use store::StoreError;

/// By how much a restore raises the generation at the most.
const MOST_STEP: u64 = 1024;
/// The last generation that there can be. The operators' log has it for its epoch, and rows have room for no more.
const LAST_GENERATION: u64 = 1 << 22;

/// Which server of those that came one after the other it is, and whether it may start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerRow {
    /// From 1. Each restore of everything raises it.
    pub(crate) generation: u64,
    /// The backup that it was put back from and the region of the operators' log, until somebody says that the
    /// server before it is gone.
    pub(crate) put_back: Option<(String, Slug)>,
}

/// What says that a tenant's file is another than before, besides what it has folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileState {
    /// The name of the data key that it is under.
    pub(crate) key: String,
    /// How often the tenant was restored.
    pub(crate) restores: u64,
    /// Where it is.
    pub(crate) region: Slug,
}

impl Platform {
    /// The server's row. For blocking threads.
    pub(crate) fn server(&self) -> Result<ServerRow, Fault> {
        let connection = self.lock();
        let mut select = connection.prepare("SELECT generation, put_back_from, put_back_home FROM server")?;
        let (generation, from, home): (u64, Option<String>, Option<String>) =
            select.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let home = home.map(|home| home.parse()).transpose();
        let home = home.map_err(|_| Fault::Damaged("the platform store"))?;
        Ok(ServerRow { generation, put_back: from.zip(home) })
    }

    /// Notes that this is a server that was put back, and may not start. For blocking threads.
    pub(crate) fn put_back(&self, from: &str, home: &Slug) -> Result<(), Fault> {
        self.write_now(
            |connection| {
                let note = "UPDATE server SET put_back_from = ?1, put_back_home = ?2";
                connection.execute(note, params![from, home.as_str()])?;
                Ok(())
            },
            |_| (),
        )
    }

    /// Begins another generation of a server that was put back: above the backup's and above `beyond`, by a step that
    /// is drawn, so that two servers from one backup do not go on as the same one. Every tenant's log ends and another
    /// begins, as events after the backup may be lost. The server may not start before [`Self::release`]; until then
    /// this may be repeated. For blocking threads.
    pub(crate) fn begin_generation(&self, beyond: u64) -> Result<(), Fault> {
        let [high, low] = self.env.random::<2>();
        let step = 1 + u64::from(u16::from_be_bytes([high, low])) % MOST_STEP;
        self.write_now(
            |connection| {
                let before: u64 =
                    connection.query_row("SELECT generation FROM server", [], |row| row.get(0))?;
                let next = before.max(beyond).saturating_add(step);
                if next > LAST_GENERATION {
                    let detail = format!("A generation is at most {LAST_GENERATION}.");
                    return Err(StoreError::Invalid(detail).into());
                }
                connection.execute("UPDATE server SET generation = ?1", params![next])?;
                connection.execute("UPDATE tenant SET log_epoch = log_epoch + ?1", params![next - before])?;
                Ok(())
            },
            |_| (),
        )
    }

    /// Lets a server that was put back start. For blocking threads.
    pub(crate) fn release(&self) -> Result<(), Fault> {
        self.write_now(
            |connection| {
                connection.execute("UPDATE server SET put_back_from = NULL, put_back_home = NULL", [])?;
                Ok(())
            },
            |_| (),
        )
    }

    /// What each tenant's file is by now. The operators' own log has a key and no row, and is in the region
    /// `home`. For blocking threads.
    pub(crate) fn all_files(&self, home: &Slug) -> Result<BTreeMap<TenantId, FileState>, Fault> {
        let connection = self.lock();
        let mut select = connection.prepare(
            "SELECT tenant_key.tenant, tenant_key.name, coalesce(tenant.generation, 0), tenant.region
             FROM tenant_key LEFT JOIN tenant ON tenant.id = tenant_key.tenant WHERE tenant_key.kind = ?1",
        )?;
        let mut rows = select.query(params![WrappedKeys::DATA])?;
        let mut all = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let region: Option<String> = row.get(3)?;
            let region = match region {
                Some(region) => region.parse().map_err(|_| Fault::Damaged("a tenant's row"))?,
                None => home.clone(),
            };
            let state = FileState { key: row.get(1)?, restores: row.get(2)?, region };
            all.insert(TenantId::from_bytes(row.get(0)?), state);
        }
        Ok(all)
    }

    /// A connection for [`PlatformSnapshot`], opened before the moment.
    pub(crate) fn for_snapshot(&self, key: &SecretBytes<32>) -> Result<Connection, Fault> {
        Ok(sqlcipher::open(&self.path, key, &crate::sqlite::platform_options())?)
    }
}

/// The platform store as it was at one moment.
pub(crate) struct PlatformSnapshot(Connection);

impl PlatformSnapshot {
    /// What the platform store has now, whatever is written after.
    pub(crate) fn begin(connection: Connection) -> Result<Self, Fault> {
        connection.execute_batch("BEGIN")?;
        // The transaction begins with what it reads first.
        connection.query_row("SELECT generation FROM server", [], |_| Ok(()))?;
        Ok(Self(connection))
    }

    /// Copies it, under the same key.
    pub(crate) fn copy(&self, target: &Path, key: &SecretBytes<32>) -> Result<(), Fault> {
        Ok(self.0.export_copy(target, key)?)
    }
}
