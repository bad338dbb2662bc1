//! Restoring: a tenant's own backup in the place of its rows, in one transaction of its write path.
//!
//! What was signed and charged cannot be taken back, so the audit log, usage and idempotency keys stay as they
//! are. A key that was revoked since the backup stays revoked, and one that was made since stays: keys are as
//! they are now. Agents and credentials that are there take the place of older ones.

use crate::PostgresStore;
use crate::backup::{SCHEMA, TABLES, WAITING, blocking};
use crate::error::Fault;
use crate::home::{OWN, params};
use crate::tenant::{TenantHandle, Txn};
use ids::{Id as _, RunId, TenantId};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::PathBuf;
use std::sync::Arc;
use store::{Commit, RestoreOptions, Restored, Run};
use store_core::backup::{BackupError, Content, Manifest, Target};
use store_core::keys::TenantKeys;
use tokio::sync::{mpsc, oneshot};

/// How many bytes of rows are put at once.
const BYTES_AT_ONCE: usize = 1 << 20;
/// What the rows that a restore replaces count for.
const COUNTED: &str = "SELECT (
    (SELECT coalesce(sum(octet_length(body)), 0) FROM object)
    + (SELECT coalesce(sum(octet_length(data)), 0) FROM record)
    + (SELECT coalesce(sum(octet_length(run) + octet_length(frozen) + octet_length(state)), 0) FROM run)
    + (SELECT coalesce(sum(octet_length(body)), 0) FROM run_part))::int8";

/// Rows of one table, as a JSON list.
type Batch = (&'static str, String);

impl PostgresStore {
    /// Puts a backup in the place of the tenant's rows.
    pub(crate) async fn restore_tenant(
        &self,
        id: TenantId,
        source: PathBuf,
        options: RestoreOptions,
    ) -> Result<Restored, Fault> {
        let handle = self.handle(id).await?;
        let (send_manifest, manifest) = oneshot::channel();
        let (send_rows, mut rows) = mpsc::channel(WAITING);
        let reading = Reading { handle: handle.clone(), source };
        let reading = blocking(move || reading.run(send_manifest, &send_rows));
        let work = move |txn: Txn| async move {
            // A backup that is refused before its rows says why by itself.
            let Ok(manifest) = manifest.await else { return Err(altered().into()) };
            let generation = begin(&txn, &manifest, options).await?;
            loop {
                match rows.recv().await {
                    Some(Some(batch)) => put(&txn, batch).await?,
                    Some(None) => break,
                    None => return Err(altered().into()),
                }
            }
            end(&txn).await?;
            Ok((manifest.backup, generation))
        };
        let (read, written) = futures::join!(reading, handle.write(Commit::default(), work));
        match (read, written) {
            (_, Ok(written)) => {
                let (backup, generation) = written.value;
                self.inner().platform.note_generation(id, generation).await?;
                Ok(Restored { backup, loss: None })
            }
            // Where the rows were not taken, the write says why, and else the file.
            (Ok(()), Err(fault)) | (Err(fault), Err(_)) => Err(fault),
        }
    }
}

fn altered() -> BackupError {
    BackupError::refused("The backup has been altered or cut off.")
}

/// The file that a backup is read from.
struct Reading {
    handle: Arc<TenantHandle>,
    source: PathBuf,
}

impl Reading {
    fn keys(&self) -> Result<&TenantKeys, BackupError> {
        self.handle.whole_keys().map_err(|_| io::Error::other("the key of backups is not at hand").into())
    }

    /// Sends the manifest, then the rows, and at last that this was all. Where nobody takes them any more the
    /// other side has failed, and says so.
    fn run(
        &self,
        manifest: oneshot::Sender<Manifest>,
        rows: &mpsc::Sender<Option<Batch>>,
    ) -> Result<(), BackupError> {
        let target =
            Target { tenant: self.handle.id, keys: self.keys()?, content: Content::Rows, schema: SCHEMA };
        let (said, opened) = target.open(BufReader::new(File::open(&self.source)?))?;
        let _taken = manifest.send(said);
        let mut batch: Option<Batch> = None;
        for line in BufReader::new(opened).lines() {
            let line = line.map_err(|_| altered())?;
            let (name, row) = line.split_once(' ').ok_or_else(altered)?;
            let table = TABLES.into_iter().find(|table| *table == name).ok_or_else(altered)?;
            batch = match batch {
                Some((of, mut list)) if of == table && list.len() < BYTES_AT_ONCE => {
                    list.extend([",", row]);
                    Some((of, list))
                }
                full => {
                    if !sent(rows, full) {
                        return Ok(());
                    }
                    Some((table, format!("[{row}")))
                }
            };
        }
        if sent(rows, batch) {
            let _taken = rows.blocking_send(None);
        }
        Ok(())
    }
}

/// Sends a batch on, where there is one; whether anybody took it.
fn sent(rows: &mpsc::Sender<Option<Batch>>, batch: Option<Batch>) -> bool {
    let Some((table, list)) = batch else { return true };
    rows.blocking_send(Some((table, format!("{list}]")))).is_ok()
}

async fn counted(txn: &Txn) -> Result<i64, Fault> {
    Ok(txn.query_typed_one(COUNTED, &[]).await?.try_get(0)?)
}

/// Counts the restore, and takes what it replaces away.
async fn begin(txn: &Txn, manifest: &Manifest, options: RestoreOptions) -> Result<u64, Fault> {
    let count = format!("UPDATE log_head SET generation = generation + 1 WHERE {OWN} RETURNING generation");
    let row = txn.query_typed_opt(&count, &[]).await?.ok_or(Fault::KeyGone)?;
    let generation = row.try_get::<_, i64>(0)?.cast_unsigned();
    manifest.check_generation(generation - 1, options)?;
    txn.stores(-counted(txn).await?);
    txn.changes_runs();
    let kept = "kind NOT IN ('api_key', 'signing_key', 'agent', 'credential')";
    let all = ["collection", "record", "run_part", "run"].map(|table| (table, "true"));
    for (table, which) in std::iter::once(("object", kept)).chain(all) {
        txn.execute_typed(&format!("DELETE FROM {table} WHERE {OWN} AND {which}"), &[]).await?;
    }
    Ok(generation)
}

/// Puts rows of one table. The policies refuse a row of another tenant.
async fn put(txn: &Txn, (table, rows): Batch) -> Result<(), Fault> {
    txn.home.renew(txn, txn.handle.id).await?;
    let which = if table == "object" { "WHERE kind NOT IN ('api_key', 'signing_key')" } else { "" };
    let insert = format!(
        "INSERT INTO {table} SELECT * FROM json_populate_recordset(
            (SELECT its FROM {table} AS its WHERE false), $1::text::json) {which} ON CONFLICT DO NOTHING"
    );
    txn.execute_typed(&insert, params![rows => TEXT]).await?;
    Ok(())
}

/// Counts what is there now, and marks the runs that go on.
async fn end(txn: &Txn) -> Result<(), Fault> {
    txn.home.renew(txn, txn.handle.id).await?;
    txn.stores(counted(txn).await?);
    txn.keeps_data();
    let (tenant, work) = (txn.handle.id.to_bytes(), txn.home.work());
    txn.home.announce_work(txn.handle.id).await?;
    let clear = format!("DELETE FROM {work} WHERE tenant_id = $1 AND kind = 'run'");
    txn.execute_typed(&clear, params![tenant.as_slice() => BYTEA]).await?;
    let under_way = "SELECT id, run FROM run WHERE status IN ('queued', 'running', 'waiting')";
    let (mut ids, mut due) = (Vec::new(), Vec::new());
    for row in txn.query_typed(under_way, &[]).await? {
        let id: &str = row.try_get(0)?;
        let run: Run = txn.handle.open("run", &[id, "run"], row.try_get(1)?)?;
        ids.push(RunId::to_bytes(run.id).to_vec());
        due.push(run.due.map(env::Timestamp::millis));
    }
    let mark = format!(
        "INSERT INTO {work}(tenant_id, kind, id, due) SELECT $1, 'run', * FROM unnest($2::bytea[], $3::int8[])"
    );
    txn.execute_typed(&mark, params![tenant.as_slice() => BYTEA, ids => BYTEA_ARRAY, due => INT8_ARRAY])
        .await?;
    Ok(())
}
