//! What every transaction ends with: the jobs' events, the nodes that they complete, the log's head, the marks of work.

use super::Txn;
use crate::error::Fault;
use crate::home::params;
use audit::merkle::{Frontier, Node};
use futures::try_join;
use ids::Id as _;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use store::{Mark, WorkKind};
use store_core::log::{LogHead, NumberedEvent};

/// Events and nodes as they are put together with the head.
#[derive(Default)]
struct Columns {
    epoch: i64,
    numbers: Vec<i64>,
    times: Vec<i64>,
    texts: [Vec<String>; 4],
    bytes: [Vec<Vec<u8>>; 3],
    levels: Vec<i64>,
    places: Vec<i64>,
    roots: Vec<Vec<u8>>,
}

impl Columns {
    /// Seals the events, and finds the roots of the subtrees that they complete.
    fn of(txn: &Txn, mut frontier: Frontier, events: Vec<NumberedEvent>) -> Result<Self, Fault> {
        let mut columns = Self::default();
        let mut completed: Vec<Node> = Vec::new();
        for event in events {
            let place = format!("{}/{}", event.epoch, event.index);
            let leaf = txn.handle.seal_bytes("audit_event", &[&place, "leaf"], &event.sealed.leaf)?;
            let shown =
                txn.handle.seal("audit_event", &[&place, "disclosures"], &event.sealed.disclosures)?;
            frontier.append_with(event.sealed.leaf_hash, |node| completed.push(node));
            columns.epoch = event.epoch.cast_signed();
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
    /// Puts the events, the nodes that they complete, and the head that the log has with them.
    pub(super) async fn put_log(
        &self,
        before: Frontier,
        events: Vec<NumberedEvent>,
        head: &LogHead,
    ) -> Result<(), Fault> {
        let Columns { epoch, numbers, times, texts, bytes, levels, places, roots } =
            Columns::of(self, before, events)?;
        let [actions, actors, resources, ids] = texts;
        let [hashes, leaves, shown] = bytes;
        self.stores(leaves.iter().chain(&shown).map(|it| it.len() as i64).sum());
        let (size, frontier) = (head.place.index.cast_signed(), head.frontier.to_bytes());
        let put =
            "SELECT put_log($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)";
        let values = params![epoch => INT8, numbers => INT8_ARRAY, times => INT8_ARRAY, actions => TEXT_ARRAY,
            actors => TEXT_ARRAY, resources => TEXT_ARRAY, ids => TEXT_ARRAY, hashes => BYTEA_ARRAY,
            leaves => BYTEA_ARRAY, shown => BYTEA_ARRAY, levels => INT8_ARRAY, places => INT8_ARRAY,
            roots => BYTEA_ARRAY, size => INT8, head.place.prev_leaf_hash.as_slice() => BYTEA, frontier => BYTEA,
            self.stored.load(Ordering::Relaxed) => INT8, self.at_rest.load(Ordering::Relaxed) => BOOL];
        self.execute_typed(put, values).await?;
        Ok(())
    }

    /// Says where servers look before they are inside any tenant, and before it is so, what there is to be looked
    /// after: said too early it does no harm.
    pub(super) async fn announce(&self, marks: &[Mark], was_at_rest: bool) -> Result<(), Fault> {
        if marks.iter().any(|mark| matches!(mark, Mark::Open { .. })) {
            self.home.announce_work(self.handle.id).await?;
        }
        if self.at_rest.load(Ordering::Relaxed) && !was_at_rest && self.home.tells_the_platform() {
            let id = self.handle.id.to_bytes();
            let note = "INSERT INTO tenantry.at_rest(tenant) VALUES($1) ON CONFLICT DO NOTHING";
            let elsewhere = self.home.platform_session().await?;
            let session = elsewhere.as_ref().unwrap_or(self);
            session.execute_typed(note, params![id.as_slice() => BYTEA]).await?;
        }
        Ok(())
    }

    /// Puts the marks, of which the last of each piece of work holds.
    pub(super) async fn put_marks(&self, marks: &[Mark]) -> Result<(), Fault> {
        let mut last = BTreeMap::new();
        for mark in marks {
            match mark {
                Mark::Open { kind, id, due } => last.insert((work_name(*kind), *id), Some(*due)),
                Mark::Closed { kind, id } => last.insert((work_name(*kind), *id), None),
            };
        }
        let (mut opened, mut closed) = ((vec![], vec![], vec![]), (vec![], vec![]));
        for ((kind, id), mark) in &last {
            match mark {
                Some(due) => {
                    opened.0.push(*kind);
                    opened.1.push(id.as_slice());
                    opened.2.push(due.map(env::Timestamp::millis));
                }
                None => {
                    closed.0.push(*kind);
                    closed.1.push(id.as_slice());
                }
            }
        }
        try_join!(self.open_work(opened), self.close_work(closed))?;
        Ok(())
    }

    /// A run that waits for a time is let go of with that.
    async fn open_work(&self, (kinds, ids, dues): Opened<'_>) -> Result<(), Fault> {
        if kinds.is_empty() {
            return Ok(());
        }
        let (tenant, work) = (self.handle.id.to_bytes(), self.home.work());
        let put = format!(
            "INSERT INTO {work} AS old(tenant_id, kind, id, due)
             SELECT $1, * FROM unnest($2::text[], $3::bytea[], $4::int8[])
             ON CONFLICT (tenant_id, kind, id) DO UPDATE SET due = excluded.due,
                holder = CASE WHEN excluded.due IS NULL THEN old.holder END,
                held_until = CASE WHEN excluded.due IS NULL THEN old.held_until END"
        );
        let values = params![tenant.as_slice() => BYTEA, kinds => TEXT_ARRAY, ids => BYTEA_ARRAY,
            dues => INT8_ARRAY];
        self.execute_typed(&put, values).await?;
        Ok(())
    }

    async fn close_work(&self, (kinds, ids): Closed<'_>) -> Result<(), Fault> {
        if kinds.is_empty() {
            return Ok(());
        }
        let (tenant, work) = (self.handle.id.to_bytes(), self.home.work());
        let remove = format!(
            "DELETE FROM {work} AS open USING unnest($2::text[], $3::bytea[]) AS it(kind, id)
             WHERE open.tenant_id = $1 AND open.kind = it.kind AND open.id = it.id"
        );
        let values = params![tenant.as_slice() => BYTEA, kinds => TEXT_ARRAY, ids => BYTEA_ARRAY];
        self.execute_typed(&remove, values).await?;
        Ok(())
    }
}

/// Kinds, ids and when they are due.
type Opened<'a> = (Vec<&'static str>, Vec<&'a [u8]>, Vec<Option<i64>>);
/// Kinds and ids.
type Closed<'a> = (Vec<&'static str>, Vec<&'a [u8]>);

/// What a kind of work is called in the table.
pub(crate) const fn work_name(kind: WorkKind) -> &'static str {
    match kind {
        WorkKind::Run => "run",
        WorkKind::Call => "call",
    }
}
