//! How a tenant's reads are carried out: each in a transaction of its own as long as few are under way, and else what has
//! come in while they were becomes one.

use super::TenantHandle;
use crate::error::Fault;
use crate::home::{Param, Read};
use bytes::BytesMut;
use ids::TenantId;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::StoreError;
use tokio::sync::oneshot;
use tokio_postgres::Row;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// How many transactions read for one tenant at once. What they begin and end with takes longer than most of what is read.
const AT_ONCE: usize = 2;
/// How many reads one of them takes.
const MAX_BATCH: usize = 24;
/// How many reads of one tenant's may wait.
const MAX_WAITING: usize = 1024;

type Found = Result<(TenantId, Vec<Row>), Fault>;

/// A read that waits for others.
struct Waiting {
    statement: String,
    values: Vec<(Encoded, Type)>,
    done: oneshot::Sender<Found>,
}

/// What is read for one tenant, and what waits for that.
#[derive(Default)]
pub(crate) struct ReadQueue(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    under_way: usize,
}

impl ReadQueue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among the transactions that read. When it is given up it goes to those who wait.
struct Turn(Arc<TenantHandle>);

impl Turn {
    fn take(handle: &Arc<TenantHandle>) -> Option<Self> {
        let mut state = handle.reads.lock();
        if state.under_way == AT_ONCE {
            return None;
        }
        state.under_way += 1;
        Some(Self(handle.clone()))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.0.reads.lock();
        let take = state.waiting.len().min(MAX_BATCH);
        if take == 0 {
            state.under_way -= 1;
            return;
        }
        let batch: Vec<_> = state.waiting.drain(..take).collect();
        drop(state);
        let turn = Self(self.0.clone());
        // A task of its own, so that no caller who goes away takes others' reads along.
        tokio::spawn(async move { turn.read_all(batch).await });
    }
}

impl Turn {
    async fn read_all(self, batch: Vec<Waiting>) {
        let (asked, done): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|it| ((it.statement, it.values), it.done)).unzip();
        let values: Vec<Vec<Param<'_>>> = asked.iter().map(|(_, values)| params(values)).collect();
        let reads: Vec<Read<'_>> = asked
            .iter()
            .zip(&values)
            .map(|((statement, _), values)| (statement.as_str(), &**values))
            .collect();
        match self.0.read_at_once(&reads).await {
            Ok((origin, found)) => {
                // The callers may be gone.
                done.into_iter().zip(found).for_each(|(done, rows)| drop(done.send(Ok((origin, rows)))));
            }
            // One that the database refuses takes no other along.
            Err(Fault::Refused(_)) if reads.len() > 1 => {
                for (read, done) in reads.iter().zip(done) {
                    drop(done.send(self.0.read_one(*read).await));
                }
            }
            Err(fault) => done.into_iter().for_each(|done| drop(done.send(Err(fault.clone())))),
        }
    }
}

impl TenantHandle {
    /// Reads with one statement where the tenant is, after what others come after here.
    pub(crate) async fn read(self: &Arc<Self>, statement: &str, values: &[Param<'_>]) -> Found {
        self.queue.settled().await;
        match Turn::take(self) {
            Some(_turn) => self.read_one((statement, values)).await,
            None => self.wait_for_turn(statement, values)?.await.map_err(|_| Fault::Lost)?,
        }
    }

    fn wait_for_turn(
        &self,
        statement: &str,
        values: &[Param<'_>],
    ) -> Result<oneshot::Receiver<Found>, Fault> {
        let values = values.iter().map(|(value, kind)| Ok((Encoded::of(*value, kind)?, kind.clone())));
        let values = values.collect::<Result<_, Fault>>()?;
        let (done, found) = oneshot::channel();
        let mut state = self.reads.lock();
        if state.waiting.len() >= MAX_WAITING {
            return Err(StoreError::Unavailable.into());
        }
        state.waiting.push(Waiting { statement: statement.to_owned(), values, done });
        Ok(found)
    }

    async fn read_one(&self, read: Read<'_>) -> Found {
        let (origin, mut found) = self.read_at_once(&[read]).await?;
        Ok((origin, found.pop().unwrap_or_default()))
    }

    async fn read_at_once(&self, reads: &[Read<'_>]) -> Result<(TenantId, Vec<Vec<Row>>), Fault> {
        let id = self.id;
        self.there(|home| async move { home.read(id, reads).await }).await
    }
}

/// A value as the database is sent it, kept for a statement that waits.
#[derive(Debug)]
struct Encoded(Option<BytesMut>);

impl Encoded {
    fn of(value: &(dyn ToSql + Sync), kind: &Type) -> Result<Self, Fault> {
        let mut bytes = BytesMut::new();
        let encoded = value.to_sql_checked(kind, &mut bytes).map_err(|_| Fault::Damaged("a value"))?;
        Ok(Self(matches!(encoded, IsNull::No).then_some(bytes)))
    }
}

impl ToSql for Encoded {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let Some(bytes) = &self.0 else { return Ok(IsNull::Yes) };
        out.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn params(values: &[(Encoded, Type)]) -> Vec<Param<'_>> {
    values.iter().map(|(value, kind)| (value as &(dyn ToSql + Sync), kind.clone())).collect()
}
