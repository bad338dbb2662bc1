//! A tenant's backup: a consistent copy of its file, sealed under a key derived from the tenant's own, so
//! that it opens for that tenant and no other.

use crate::error::Fault;
use crate::keys::{BACKUP, TenantKeys};
use crate::rows::{Cell, RowChange, Table};
use crate::tenant::{Database, LATEST, TenantHandle};
use env::{Env, Timestamp};
use ids::{BackupId, Id, TenantId};
use kms::stream::{ClaimedStream, SealingStream, StreamError};
use serde::{Deserialize, Serialize};
use sqlcipher::{Connection, Executor, params};
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::Path;
use store::{RestoreOptions, StoreError};

/// What a backup says of itself. Readable by anyone, and authenticated with every part of the content.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    format: u32,
    pub(crate) tenant: TenantId,
    pub(crate) backup: BackupId,
    generation: u64,
    created_at: Timestamp,
    schema: u32,
    audit_events: u64,
}

const FORMAT: u32 = 1;

fn refused(detail: &str) -> Fault {
    Fault::Answer(StoreError::BackupRefused(detail.to_owned()))
}

impl From<StreamError> for Fault {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Io(error) => error.into(),
            other => refused(&format!("The backup cannot be opened: {other}.")),
        }
    }
}

/// Writes a backup to `target`, which must not be there yet. For blocking threads.
pub(crate) fn write(
    handle: &TenantHandle,
    generation: u64,
    target: &Path,
    env: &Env,
) -> Result<BackupId, Fault> {
    handle.settle(true)?;
    let (size, _) = handle.checkpoint()?;
    let manifest = Manifest {
        format: FORMAT,
        tenant: handle.id,
        backup: env.id(),
        generation,
        created_at: env.now(),
        schema: LATEST,
        audit_events: size,
    };
    let copy = handle.path().with_extension("backup.db");
    crate::files::remove_database(&copy)?;
    let mut output = Some(crate::files::create_private(target)?);
    let written = handle.with_database(|database| Ok(database.connection.snapshot(&copy)?)).and_then(|()| {
        let header = serde_json::to_vec(&manifest).map_err(|_| Fault::Damaged("a manifest"))?;
        let output = output.take().ok_or(Fault::Damaged("a backup's target"))?;
        let mut sealing =
            SealingStream::begin(BufWriter::new(output), env, handle.keys.data(), &BACKUP, &header)?;
        std::io::copy(&mut File::open(&copy)?, &mut sealing)?;
        let output = sealing.finish()?.into_inner().map_err(|error| Fault::from(error.into_error()))?;
        output.sync_all()?;
        crate::files::sync_folder_of(target)
    });
    crate::files::remove_database(&copy)?;
    if written.is_err() {
        crate::files::remove_if_there(target)?;
    }
    written.map(|()| manifest.backup)
}

/// Puts a backup in the place of the tenant's file. The audit log and the usage since the backup stay: what
/// was signed and charged cannot be taken back. For blocking threads.
pub(crate) fn restore(
    handle: &TenantHandle,
    generation: u64,
    source: &Path,
    options: RestoreOptions,
) -> Result<Manifest, Fault> {
    handle.settle(true)?;
    let staged = handle.path().with_extension("restore.db");
    crate::files::remove_database(&staged)?;
    let restored = unseal(&handle.keys, handle.id, source, &staged).and_then(|manifest| {
        if manifest.generation < generation && !options.allow_older {
            return Err(refused(
                "The backup is older than the last restore. Say so to restore it all the same.",
            ));
        }
        check(&handle.keys, &staged, &manifest)?;
        handle.replace_file(&staged, carry_over)?;
        Ok(manifest)
    });
    crate::files::remove_database(&staged)?;
    restored
}

fn unseal(keys: &TenantKeys, tenant: TenantId, source: &Path, staged: &Path) -> Result<Manifest, Fault> {
    let claimed = ClaimedStream::read(BufReader::new(File::open(source)?))?;
    let parse = |bytes: &[u8]| {
        serde_json::from_slice::<Manifest>(bytes).map_err(|_| refused("The backup has no manifest."))
    };
    if parse(claimed.claimed_header())?.tenant != tenant {
        return Err(refused("The backup is of another tenant."));
    }
    let mut opened = claimed.open(keys.data(), &BACKUP)?;
    let manifest = parse(opened.header())?;
    if manifest.format != FORMAT || manifest.schema > LATEST {
        return Err(refused("The backup was written by a newer version of this program."));
    }
    let mut output = crate::files::create_private(staged)?;
    std::io::copy(&mut opened, &mut output)
        .map_err(|_| refused("The backup has been altered or cut off."))?;
    output.sync_all()?;
    Ok(manifest)
}

/// The staged file must be whole, of this tenant, and what its manifest says.
fn check(keys: &TenantKeys, staged: &Path, manifest: &Manifest) -> Result<(), Fault> {
    let connection = sqlcipher::open(staged, keys.file(), &crate::sqlite::tenant_options(false))
        .map_err(|_| refused("The backup's content does not open under the tenant's key."))?;
    let identity: [u8; 16] = connection.query_row("SELECT tenant FROM identity", [], |row| row.get(0))?;
    if TenantId::from_bytes(identity) != manifest.tenant {
        return Err(refused("The backup's content is of another tenant."));
    }
    sqlcipher::integrity(&connection).map_err(|_| refused("The backup's content is damaged."))?;
    Ok(connection.close()?)
}

/// Brings what must not be taken back from the present tables into the staged ones, and lets the staged
/// ones count as folded as far as the present ones are.
fn carry_over(present: &Database, staged: &Connection) -> Result<(), Fault> {
    let have: u64 = staged.query_row("SELECT count(*) FROM audit_event", [], |row| row.get(0))?;
    staged.execute_batch("BEGIN IMMEDIATE")?;
    copy_rows(
        &present.connection,
        "SELECT number, time, action, actor, resource, leaf, hash, disclosures FROM audit_event
         WHERE number >= ?1 ORDER BY number",
        have,
        Table::AuditEvent,
        staged,
    )?;
    erase_again(&present.connection, staged, have)?;
    copy_rows(
        &present.connection,
        "SELECT id, kind, started_at, status, body, outcome FROM call WHERE ?1 >= 0",
        0,
        Table::Call,
        staged,
    )?;
    staged.execute("UPDATE folded SET through = ?1", params![present.folded])?;
    staged.execute_batch("COMMIT")?;
    Ok(())
}

/// What was erased since the backup of what the log discloses stays erased.
fn erase_again(present: &Executor, staged: &Connection, have: u64) -> Result<(), Fault> {
    let mut select = present.prepare("SELECT number, disclosures FROM audit_event WHERE number < ?1")?;
    let mut update = staged.prepare("UPDATE audit_event SET disclosures = ?2 WHERE number = ?1")?;
    let mut rows = select.query(params![have])?;
    while let Some(row) = rows.next()? {
        update.execute(params![row.get::<_, u64>(0)?, row.get::<_, Option<String>>(1)?])?;
    }
    Ok(())
}

fn copy_rows(from: &Executor, select: &str, after: u64, table: Table, to: &Connection) -> Result<(), Fault> {
    let mut select = from.prepare(select)?;
    let columns = select.column_count();
    let mut rows = select.query(params![after])?;
    while let Some(row) = rows.next()? {
        let cells = (0..columns)
            .map(|at| Ok(Cell::read(row.get_ref(at)?)))
            .collect::<Result<_, sqlcipher::Error>>()?;
        RowChange::Put(table, cells).apply(to)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{BACKUP, FORMAT, Fault, LATEST, Manifest, unseal};
    use crate::keys::{TenantKeys, WrappedKeys};
    use env::{Env, Timestamp};
    use ids::TenantId;
    use kms::stream::SealingStream;
    use kms_file::{FileKms, MasterKey};
    use std::fs::File;
    use std::io::Write as _;
    use store::StoreError;

    #[tokio::test]
    async fn a_backup_of_a_newer_program_is_refused() {
        let (env, _) = Env::fixed(Timestamp::from_millis(1_790_000_000_000), 1);
        let folder = tempfile::TempDir::new().unwrap();
        let master = MasterKey::create_development(&folder.path().join("key"), &env).unwrap();
        let kms = FileKms::new(env.clone(), master, None);
        let tenant = env.id::<TenantId>();
        let wrapped = WrappedKeys::make(&kms, tenant, &env).await.unwrap();
        let keys = TenantKeys::unwrap(&kms, tenant, &"local".parse().unwrap(), &wrapped).await.unwrap();
        let opened = |name: &str, format, schema| {
            let manifest = Manifest {
                format,
                tenant,
                backup: env.id(),
                generation: 0,
                created_at: env.now(),
                schema,
                audit_events: 0,
            };
            let header = serde_json::to_vec(&manifest).unwrap();
            let path = folder.path().join(name);
            let mut sealing =
                SealingStream::begin(File::create(&path).unwrap(), &env, keys.data(), &BACKUP, &header)
                    .unwrap();
            sealing.write_all(b"content").unwrap();
            sealing.finish().unwrap();
            unseal(&keys, tenant, &path, &path.with_extension("staged"))
        };
        assert!(opened("present", FORMAT, LATEST).is_ok());
        for (name, format, schema) in [("schema", FORMAT, LATEST + 1), ("format", FORMAT + 1, LATEST)] {
            let refused = opened(name, format, schema);
            assert!(matches!(refused, Err(Fault::Answer(StoreError::BackupRefused(_)))), "{name}");
        }
    }
}
