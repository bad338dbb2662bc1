//! Taking in a tenant that another deployment has exported: its rows, what follows from them, and what the platform
//! knows of it, in the transactions that make any tenant. Before it is there, what the tables have is read back and
//! compared with what came.

use super::reading::read_all;
use super::rows::Rows;
use crate::PostgresStore;
use crate::areas::index_anew;
use crate::backup::{WAITING, blocking};
use crate::error::Fault;
use crate::home::{Home, OWN, Session, params};
use crate::platform::Making;
use crate::store_impl::begin_log;
use crate::tenant::TenantHandle;
use env::Timestamp;
use ids::{Id as _, TenantId};
use std::fs::File;
use std::future::ready;
use std::io::{BufReader, Read};
use std::path::PathBuf;
use std::sync::Arc;
use store::{Exported, Isolation, PlatformStore as _, StoreError};
use store_core::backup::BackupError;
use store_core::portable::{Line, Reader, Sealed, Summary};
use tokio::sync::mpsc;

/// How many lines are put at once, and of how many bytes at most, but for one line.
const LINES_AT_ONCE: usize = 200;
const BYTES_AT_ONCE: u64 = 1 << 20;

/// What is counted of a tenant's rows that it stores: tables, and the lengths of which columns.
const STORED: [(&str, &str); 5] = [
    ("object", "octet_length(body)"),
    ("record", "octet_length(data)"),
    ("run", "octet_length(run) + octet_length(frozen) + octet_length(state)"),
    ("run_part", "octet_length(body)"),
    ("audit_event", "octet_length(leaf) + octet_length(disclosures)"),
];

/// What is read of the file.
enum Piece {
    Lines(Vec<Line>),
    /// There is no more, and this is what it sums up to.
    End(Summary),
}

impl PostgresStore {
    /// Takes in the tenant that is in a file.
    pub(crate) async fn take_in(
        &self,
        id: TenantId,
        source: PathBuf,
        isolation: Option<Isolation>,
    ) -> Result<Exported, Fault> {
        let inner = self.inner();
        let sealed = blocking(move || Sealed::read(id, BufReader::new(File::open(&source)?))).await?;
        let data_key = sealed.data_key(inner.kms.as_ref(), &self.index_key().await?).await?;
        let (head, told, reader) = blocking(move || sealed.open(&data_key)).await?;
        let isolation = isolation.or_else(|| self.isolations().first().copied());
        let isolation = isolation.ok_or(StoreError::IsolationUnavailable)?;
        let (row, log, credentials) = told.arriving(id, isolation)?;
        let making = Making { row, keys: head.keys()?, credentials, log };
        self.check_place(&making.row)?;
        inner.platform.check_new_tenant(&making.row).await?;
        let (send, pieces) = mpsc::channel(WAITING);
        let reading = blocking(move || send_lines(reader, &send));
        match futures::join!(reading, self.arrive(&making, pieces)) {
            (_, Ok(summary)) => Ok(summary.of_tenant(id)),
            // Where the lines were not taken, whoever takes them says why, and else the file.
            (Ok(()), Err(fault)) | (Err(fault), Err(_)) => Err(fault),
        }
    }

    async fn arrive(&self, making: &Making, pieces: mpsc::Receiver<Piece>) -> Result<Summary, Fault> {
        let (id, isolation, platform) = (making.row.id, making.row.isolation, &self.inner().platform);
        if isolation == Isolation::Pooled {
            let home = self.inner().homes.shared().clone();
            let (session, summary) = self.filled(making, &home, pieces).await?;
            session.batch_execute("SELECT pg_advisory_xact_lock(1952542576)").await?;
            platform.make_tenant(&session, making).await?;
            platform.rests(&session, id).await?;
            session.commit().await?;
            return Ok(summary);
        }
        platform.make_home(id, isolation).await?;
        let arrived = self.arrive_apart(making, pieces).await;
        if arrived.is_err() && platform.tenant_row(id).await?.is_none() {
            platform.unmake_home(id, isolation).await?;
            self.inner().homes.forget(id);
        }
        arrived
    }

    /// First what is in the home, then what the platform knows, with which the tenant is there.
    async fn arrive_apart(&self, making: &Making, pieces: mpsc::Receiver<Piece>) -> Result<Summary, Fault> {
        let (id, platform) = (making.row.id, &self.inner().platform);
        let home = self.home(id, making.row.isolation).await?;
        home.announce_work(id).await?;
        let (session, summary) = self.filled(making, &home, pieces).await?;
        session.commit().await?;
        let session = platform.change().await?;
        platform.make_tenant(&session, making).await?;
        platform.rests(&session, id).await?;
        session.commit().await?;
        Ok(summary)
    }

    /// A transaction in which all rows are put, and were compared with what came.
    async fn filled(
        &self,
        making: &Making,
        home: &Arc<Home>,
        mut pieces: mpsc::Receiver<Piece>,
    ) -> Result<(Session, Summary), Fault> {
        let id = making.row.id;
        let handle = self.unborn(id, home, &making.row.region, &making.keys, making.log).await?;
        let (session, _) = home.begin(id, "BEGIN").await?;
        begin_log(&session, &handle).await?;
        let mut rows = Rows::new(&handle);
        let came = loop {
            match pieces.recv().await {
                Some(Piece::Lines(lines)) => {
                    lines.into_iter().try_for_each(|line| rows.take(line))?;
                    home.renew(&session, id).await?;
                    rows.put(&session).await?;
                }
                Some(Piece::End(summary)) => break summary,
                None => return Err(altered()),
            }
        };
        home.renew(&session, id).await?;
        finish((&session, home), &handle, rows, making).await?;
        let mut there = Summary::default();
        read_all((home, id), (&session, &handle), |lines| {
            let counted = lines.iter().try_for_each(|line| there.count(line));
            ready(counted.map_err(|_| Fault::Damaged("a line")))
        })
        .await?;
        if there != came {
            tracing::error!(tenant.id = %id, "an imported tenant's rows differ from what was sent");
            return Err(Fault::Damaged("an imported tenant"));
        }
        Ok((session, came))
    }
}

fn altered() -> Fault {
    BackupError::refused("The file has been altered or cut off.").into()
}

/// Sends the file's lines on. Where nobody takes them any more the other side has failed, and says so.
fn send_lines<R: Read>(mut reader: Reader<R>, pieces: &mpsc::Sender<Piece>) -> Result<(), BackupError> {
    let (mut lines, mut sent) = (Vec::new(), 0);
    while let Some(line) = reader.next_line()? {
        lines.push(line);
        if lines.len() < LINES_AT_ONCE && reader.bytes() - sent < BYTES_AT_ONCE {
            continue;
        }
        sent = reader.bytes();
        if pieces.blocking_send(Piece::Lines(std::mem::take(&mut lines))).is_err() {
            return Ok(());
        }
    }
    if pieces.blocking_send(Piece::Lines(lines)).is_ok() {
        let _taken = pieces.blocking_send(Piece::End(reader.summary().clone()));
    }
    Ok(())
}

/// What follows from the rows: where the log stands, how much there is, what is under way, and the indexes.
async fn finish(
    (session, home): (&Session, &Home),
    handle: &TenantHandle,
    mut rows: Rows<'_>,
    making: &Making,
) -> Result<(), Fault> {
    let count = format!(
        "UPDATE run SET events = (SELECT count(*) FROM run_part
            WHERE run_part.tenant_id = run.tenant_id AND run_part.run = run.id AND kind = 'event') WHERE {OWN}"
    );
    session.execute_typed(&count, &[]).await?;
    for collection in &rows.collections {
        index_anew(session, handle, collection).await?;
    }
    let log = rows.logs.remove(&making.log.epoch).unwrap_or_default();
    let mut stored = 0;
    for (table, length) in STORED {
        let sum = format!("SELECT coalesce(sum({length}), 0)::int8 FROM {table} WHERE {OWN}");
        stored += session.query_typed_one(&sum, &[]).await?.try_get::<_, i64>(0)?;
    }
    let head = format!(
        "UPDATE log_head SET size = $1, last_hash = $2, frontier = $3, stored_bytes = $4, at_rest = true,
            generation = $5 WHERE {OWN}"
    );
    let (size, frontier) = (log.frontier.size().cast_signed(), log.frontier.to_bytes());
    let values = params![size => INT8, log.last_hash.as_slice() => BYTEA, frontier => BYTEA, stored => INT8,
        making.row.generation.cast_signed() => INT8];
    session.execute_typed(&head, values).await?;
    let mark = format!("INSERT INTO {}(tenant_id, kind, id, due) VALUES($1, $2, $3, $4)", home.work());
    let tenant = handle.id.to_bytes();
    for (kind, id, due) in rows.work {
        let values = params![tenant.as_slice() => BYTEA, kind => TEXT, id.as_slice() => BYTEA,
            due.map(Timestamp::millis) => INT8];
        session.execute_typed(&mark, values).await?;
    }
    Ok(())
}
