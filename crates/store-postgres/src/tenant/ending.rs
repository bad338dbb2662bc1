//! What every transaction writes, as the database's `write_all` takes it.

use super::recalled::Recalled;
use super::{TenantHandle, Txn};
use crate::error::Fault;
use crate::home::{Param, Session, params};
use audit::merkle::{Frontier, Node};
use context::Lease;
use ids::{Id as _, TenantId};
use std::collections::{BTreeMap, HashSet};
use store::{Mark, WorkKind};
use store_core::log::{LogHead, NumberedEvent};
use tokio_postgres::types::{ToSql, Type};

/// The code of the fault that something is not as its writer goes by. Nothing is written then.
pub(super) const NOT_SO: &str = "TN001";

/// Values in the order of `write_all`, each with its type.
pub(super) struct Values(Vec<(Box<dyn ToSql + Send + Sync>, Type)>);

impl Values {
    /// What is to be compared: the tenant, and where nothing was asked first also which transaction the log's head is
    /// of and which leases are to hold.
    pub(super) fn new(tenant: TenantId, unasked: Option<(&Recalled, &HashSet<Lease>)>) -> Self {
        let mut values = Self(Vec::with_capacity(64));
        values.push(tenant.to_bytes().to_vec(), Type::BYTEA);
        values.push(unasked.map(|(recalled, _)| recalled.version), Type::INT8);
        let (mut runs, mut holders, mut fences) = (vec![], vec![], vec![]);
        for lease in unasked.into_iter().flat_map(|(_, leases)| leases) {
            runs.push(lease.run.to_bytes().to_vec());
            holders.push(lease.worker.to_bytes().to_vec());
            fences.push(lease.fence.cast_signed());
        }
        values.push(runs, Type::BYTEA_ARRAY);
        values.push(holders, Type::BYTEA_ARRAY);
        values.push(fences, Type::INT8_ARRAY);
        values
    }

    pub(super) fn push(&mut self, value: impl ToSql + Send + Sync + 'static, kind: Type) {
        self.0.push((Box::new(value), kind));
    }

    /// Puts the marks, of which the last of each piece of work holds.
    pub(super) fn push_marks(&mut self, marks: &[Mark]) {
        let mut last = BTreeMap::new();
        for mark in marks {
            match mark {
                Mark::Open { kind, id, due } => last.insert((work_name(*kind), *id), Some(*due)),
                Mark::Closed { kind, id } => last.insert((work_name(*kind), *id), None),
            };
        }
        let (mut kinds, mut ids) = ([const { vec![] }; 2], [const { vec![] }; 2]);
        let mut dues = vec![];
        for ((kind, id), mark) in last {
            let place = usize::from(mark.is_none());
            kinds[place].push(kind);
            ids[place].push(id.to_vec());
            dues.extend(mark.map(|due| due.map(env::Timestamp::millis)));
        }
        let ([opened, closed], [opened_ids, closed_ids]) = (kinds, ids);
        self.push(opened, Type::TEXT_ARRAY);
        self.push(opened_ids, Type::BYTEA_ARRAY);
        self.push(dues, Type::INT8_ARRAY);
        self.push(closed, Type::TEXT_ARRAY);
        self.push(closed_ids, Type::BYTEA_ARRAY);
    }

    /// Puts the events, the nodes of the tree that they complete, and the head that the log has with them. Gives what the
    /// tenant stores then.
    pub(super) fn push_log(
        &mut self,
        handle: &TenantHandle,
        before: Frontier,
        events: Vec<NumberedEvent>,
        head: &LogHead,
        (stored, at_rest): (i64, bool),
    ) -> Result<i64, Fault> {
        let columns = Columns::of(handle, before, events)?;
        let stored = stored + columns.bytes[1..].iter().flatten().map(|it| it.len() as i64).sum::<i64>();
        self.push(head.place.epoch.cast_signed(), Type::INT8);
        self.push(columns.numbers, Type::INT8_ARRAY);
        self.push(columns.times, Type::INT8_ARRAY);
        columns.texts.into_iter().for_each(|column| self.push(column, Type::TEXT_ARRAY));
        columns.bytes.into_iter().for_each(|column| self.push(column, Type::BYTEA_ARRAY));
        self.push(columns.levels, Type::INT8_ARRAY);
        self.push(columns.places, Type::INT8_ARRAY);
        self.push(columns.roots, Type::BYTEA_ARRAY);
        self.push(head.place.index.cast_signed(), Type::INT8);
        self.push(head.place.prev_leaf_hash.to_vec(), Type::BYTEA);
        self.push(head.frontier.to_bytes(), Type::BYTEA);
        self.push(stored, Type::INT8);
        self.push(at_rest, Type::BOOL);
        Ok(stored)
    }

    /// The statement that writes it all, and gives which transaction the log's head is of then.
    pub(super) fn statement(&self) -> String {
        let places = (1..=self.0.len()).map(|number| format!("${number}")).collect::<Vec<_>>();
        format!("SELECT write_all({})", places.join(", "))
    }

    pub(super) fn params(&self) -> Vec<Param<'_>> {
        self.0.iter().map(|(value, kind)| (&**value as &(dyn ToSql + Sync), kind.clone())).collect()
    }

    /// Writes it all, in a transaction that was begun. Gives which transaction the log's head is of then.
    pub(super) async fn write(&self, session: &Session) -> Result<i64, Fault> {
        Ok(session.query_typed_one(&self.statement(), &self.params()).await?.try_get(0)?)
    }
}

/// Events and nodes as they are put together with the head.
#[derive(Default)]
struct Columns {
    numbers: Vec<i64>,
    times: Vec<i64>,
    texts: [Vec<String>; 4],
    /// Hashes, leaves, and what may be erased of them.
    bytes: [Vec<Vec<u8>>; 3],
    levels: Vec<i64>,
    places: Vec<i64>,
    roots: Vec<Vec<u8>>,
}

impl Columns {
    /// Seals the events, and finds the roots of the subtrees that they complete.
    fn of(handle: &TenantHandle, mut frontier: Frontier, events: Vec<NumberedEvent>) -> Result<Self, Fault> {
        let mut columns = Self::default();
        let mut completed: Vec<Node> = Vec::new();
        for event in events {
            let place = format!("{}/{}", event.epoch, event.index);
            let leaf = handle.seal_bytes("audit_event", &[&place, "leaf"], &event.sealed.leaf)?;
            let shown = handle.seal("audit_event", &[&place, "disclosures"], &event.sealed.disclosures)?;
            frontier.append_with(event.sealed.leaf_hash, |node| completed.push(node));
            columns.numbers.push(event.index.cast_signed());
            columns.times.push(event.sealed.time.millis());
            let about = [event.action, event.actor, event.resource, event.sealed.event_id.to_string()];
            columns.texts.iter_mut().zip(about).for_each(|(column, value)| column.push(value));
            let content = [event.sealed.leaf_hash.to_vec(), leaf, shown];
            columns.bytes.iter_mut().zip(content).for_each(|(column, value)| column.push(value));
        }
        for node in completed.into_iter().filter(|node| node.level > 0) {
            columns.levels.push(i64::from(node.level));
            columns.places.push(node.index.cast_signed());
            columns.roots.push(node.hash.to_vec());
        }
        Ok(columns)
    }
}

impl Txn {
    /// Says where servers look before they are inside any tenant, and before it is so, what there is to be looked
    /// after: said too early it does no harm.
    pub(super) async fn announce(&self, marks: &[Mark], was_at_rest: bool) -> Result<(), Fault> {
        if marks.iter().any(|mark| matches!(mark, Mark::Open { .. })) {
            self.home.announce_work(self.handle.id).await?;
        }
        if self.kept().at_rest && !was_at_rest {
            let id = self.handle.id.to_bytes();
            let note = "INSERT INTO tenantry.at_rest(tenant) VALUES($1) ON CONFLICT DO NOTHING";
            let elsewhere = self.home.platform_session().await?;
            let session = elsewhere.as_ref().unwrap_or(self);
            session.execute_typed(note, params![id.as_slice() => BYTEA]).await?;
        }
        Ok(())
    }
}

/// What a kind of work is called in the table.
pub(crate) const fn work_name(kind: WorkKind) -> &'static str {
    match kind {
        WorkKind::Run => "run",
        WorkKind::Call => "call",
    }
}
