//! How a tenant's reads are carried out: each in a transaction of its own as long as few are under way, and else what has
//! come in while they were becomes one.

use super::TenantHandle;
use crate::error::Fault;
use crate::home::{Param, Read};
use bytes::BytesMut;
use ids::TenantId;
use std::collections::HashMap;
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
/// And how many records it looks for, with one statement.
const MAX_SOUGHT: usize = 256;
/// How many reads of one tenant's may wait.
const MAX_WAITING: usize = 1024;

/// The records with these keys, planned once a session.
const RECORDS: &str = "SELECT * FROM records_of($1, $2)";
/// The column that says which of them a row is.
const NUMBER: usize = 5;

type Found = Result<(TenantId, Vec<Row>), Fault>;

/// A read that waits for others.
struct Waiting {
    statement: String,
    values: Vec<(Encoded, Type)>,
    done: oneshot::Sender<Found>,
}

/// A record that is looked for by its key, in one statement with others.
struct Sought {
    collection: String,
    id: String,
    done: oneshot::Sender<FoundOne>,
}

type FoundOne = Result<(TenantId, Option<Row>), Fault>;

/// What is read for one tenant, and what waits for that.
#[derive(Default)]
pub(crate) struct ReadQueue(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    sought: Vec<Sought>,
    under_way: usize,
}

impl State {
    /// Puts what waits into its list.
    fn wait<T>(&mut self, list: impl FnOnce(&mut Self) -> &mut Vec<T>, it: T) -> Result<(), Fault> {
        if self.waiting.len() + self.sought.len() >= MAX_WAITING {
            return Err(StoreError::Unavailable.into());
        }
        list(self).push(it);
        Ok(())
    }
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
        let sought = state.sought.len().min(MAX_SOUGHT);
        let take = state.waiting.len().min(MAX_BATCH);
        if take + sought == 0 {
            state.under_way -= 1;
            return;
        }
        let batch: Vec<_> = state.waiting.drain(..take).collect();
        let sought: Vec<_> = state.sought.drain(..sought).collect();
        drop(state);
        let turn = Self(self.0.clone());
        // A task of its own, so that no caller who goes away takes others' reads along.
        tokio::spawn(async move { turn.read_all(batch, sought).await });
    }
}

impl Turn {
    async fn read_all(self, batch: Vec<Waiting>, sought: Vec<Sought>) {
        let handle = &self.0;
        let (asked, done): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|it| ((it.statement, it.values), it.done)).unzip();
        let values: Vec<Vec<Param<'_>>> = asked.iter().map(|(_, values)| params(values)).collect();
        let statements = asked.iter().zip(&values);
        let mut reads: Vec<Read<'_>> =
            statements.map(|((statement, _), values)| (statement.as_str(), &**values)).collect();
        let keys = Keys::of(sought.iter().map(|it| (it.collection.as_str(), it.id.as_str())));
        let keys = keys.params();
        if !sought.is_empty() {
            reads.push((RECORDS, &keys));
        }
        match handle.read_at_once(&reads).await {
            Ok((origin, mut found)) => {
                // The callers may be gone.
                let records = if sought.is_empty() { None } else { found.pop() };
                tell(sought, origin, records.unwrap_or_default());
                done.into_iter().zip(found).for_each(|(done, rows)| drop(done.send(Ok((origin, rows)))));
            }
            // One that the database refuses takes no other along.
            Err(Fault::Refused(_)) if reads.len() > 1 => {
                for (read, done) in reads.iter().zip(done) {
                    drop(done.send(handle.read_one(*read).await));
                }
                for Sought { collection, id, done } in sought {
                    drop(done.send(handle.seek_one(&collection, &id).await));
                }
            }
            Err(fault) => {
                done.into_iter().for_each(|done| drop(done.send(Err(fault.clone()))));
                sought.into_iter().for_each(|it| drop(it.done.send(Err(fault.clone()))));
            }
        }
    }
}

/// Collections and ids of records, as columns.
#[derive(Default)]
struct Keys<'a>(Vec<&'a str>, Vec<&'a str>);

impl<'a> Keys<'a> {
    fn of(keys: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let (collections, ids) = keys.unzip();
        Self(collections, ids)
    }

    fn params(&self) -> [Param<'_>; 2] {
        [(&self.0, Type::TEXT_ARRAY), (&self.1, Type::TEXT_ARRAY)]
    }
}

/// Tells whoever looks for a record what was found: the rows bear the numbers of what was asked.
fn tell(sought: Vec<Sought>, origin: TenantId, rows: Vec<Row>) {
    let mut found: HashMap<i64, Row> = HashMap::new();
    for row in rows {
        if let Ok(number) = row.try_get(NUMBER) {
            found.insert(number, row);
        }
    }
    for (number, it) in (1..).zip(sought) {
        drop(it.done.send(Ok((origin, found.remove(&number)))));
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

    /// Looks for a record by its key, in one statement with others that are looked for meanwhile.
    pub(crate) async fn seek(self: &Arc<Self>, collection: &str, id: &str) -> FoundOne {
        self.queue.settled().await;
        if let Some(_turn) = Turn::take(self) {
            return self.seek_one(collection, id).await;
        }
        let (done, found) = oneshot::channel();
        let sought = Sought { collection: collection.to_owned(), id: id.to_owned(), done };
        self.reads.lock().wait(|state| &mut state.sought, sought)?;
        found.await.map_err(|_| Fault::Lost)?
    }

    fn wait_for_turn(
        &self,
        statement: &str,
        values: &[Param<'_>],
    ) -> Result<oneshot::Receiver<Found>, Fault> {
        let values = values.iter().map(|(value, kind)| Ok((Encoded::of(*value, kind)?, kind.clone())));
        let values = values.collect::<Result<_, Fault>>()?;
        let (done, found) = oneshot::channel();
        let waiting = Waiting { statement: statement.to_owned(), values, done };
        self.reads.lock().wait(|state| &mut state.waiting, waiting)?;
        Ok(found)
    }

    async fn read_one(&self, read: Read<'_>) -> Found {
        let (origin, mut found) = self.read_at_once(&[read]).await?;
        Ok((origin, found.pop().unwrap_or_default()))
    }

    async fn seek_one(&self, collection: &str, id: &str) -> FoundOne {
        let keys = Keys(vec![collection], vec![id]);
        let (origin, mut rows) = self.read_one((RECORDS, &keys.params())).await?;
        Ok((origin, rows.pop()))
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
