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

const PUT_EVENTS: &str =
    "INSERT INTO audit_event(tenant_id, epoch, number, time, action, actor, resource, event_id, hash, leaf, disclosures)
    SELECT (SELECT tenantry.current_tenant()), $1, * FROM unnest($2::int8[], $3::int8[], $4::text[], $5::text[],
        $6::text[], $7::text[], $8::bytea[], $9::bytea[], $10::bytea[])";

impl Txn {
    pub(super) async fn put_events(&self, before: Frontier, events: Vec<NumberedEvent>) -> Result<(), Fault> {
        let Some(epoch) = events.first().map(|event| event.epoch.cast_signed()) else { return Ok(()) };
        let (mut numbers, mut times, mut texts) = (Vec::new(), Vec::new(), [const { Vec::new() }; 4]);
        let mut bytes = [const { Vec::new() }; 3];
        for event in events {
            let place = format!("{}/{}", event.epoch, event.index);
            let leaf = self.handle.seal_bytes("audit_event", &[&place, "leaf"], &event.sealed.leaf)?;
            let shown =
                self.handle.seal("audit_event", &[&place, "disclosures"], &event.sealed.disclosures)?;
            numbers.push(event.index.cast_signed());
            times.push(event.sealed.time.millis());
            let about = [event.action, event.actor, event.resource, event.sealed.event_id.to_string()];
            texts.iter_mut().zip(about).for_each(|(column, value)| column.push(value));
            let content = [event.sealed.leaf_hash.to_vec(), leaf, shown];
            bytes.iter_mut().zip(content).for_each(|(column, value)| column.push(value));
        }
        let [actions, actors, resources, ids] = texts;
        let [hashes, leaves, disclosures] = bytes;
        self.stores(leaves.iter().chain(&disclosures).map(|it| it.len() as i64).sum());
        let put = async {
            let values = params![epoch => INT8, numbers => INT8_ARRAY, times => INT8_ARRAY, actions => TEXT_ARRAY,
                actors => TEXT_ARRAY, resources => TEXT_ARRAY, ids => TEXT_ARRAY, hashes => BYTEA_ARRAY,
                leaves => BYTEA_ARRAY, disclosures => BYTEA_ARRAY];
            Ok(self.execute_typed(PUT_EVENTS, values).await.map(drop)?)
        };
        try_join!(put, self.put_nodes(epoch, before, &hashes))?;
        Ok(())
    }

    /// Puts the roots of the subtrees that the events complete.
    pub(super) async fn put_nodes(
        &self,
        epoch: i64,
        mut frontier: Frontier,
        hashes: &[Vec<u8>],
    ) -> Result<(), Fault> {
        let mut completed: Vec<Node> = Vec::new();
        for hash in hashes {
            frontier.append_with(super::log::hash(hash)?, |node| completed.push(node));
        }
        completed.retain(|node| node.level > 0);
        let levels: Vec<i64> = completed.iter().map(|node| i64::from(node.level)).collect();
        let places: Vec<i64> = completed.iter().map(|node| node.index.cast_signed()).collect();
        let roots: Vec<&[u8]> = completed.iter().map(|node| node.hash.as_slice()).collect();
        if !roots.is_empty() {
            self.execute_typed(
                "INSERT INTO merkle_node(tenant_id, epoch, level, number, hash)
                 SELECT (SELECT tenantry.current_tenant()), $1, * FROM unnest($2::int8[], $3::int8[], $4::bytea[])",
                params![epoch => INT8, levels => INT8_ARRAY, places => INT8_ARRAY, roots => BYTEA_ARRAY],
            )
            .await?;
        }
        Ok(())
    }

    pub(super) async fn put_head(&self, head: &LogHead) -> Result<(), Fault> {
        let (size, frontier) = (head.place.index.cast_signed(), head.frontier.to_bytes());
        self.execute_typed(
            "UPDATE log_head SET size = $1, last_hash = $2, frontier = $3, stored_bytes = $4, at_rest = $5",
            params![size => INT8, head.place.prev_leaf_hash.as_slice() => BYTEA, frontier => BYTEA,
                self.stored.load(Ordering::Relaxed) => INT8, self.at_rest.load(Ordering::Relaxed) => BOOL],
        )
        .await?;
        Ok(())
    }

    /// Says where servers look before they are inside any tenant, and before it is so, what there is to be looked
    /// after: said too early it does no harm.
    pub(super) async fn announce(&self, marks: &[Mark], was_at_rest: bool) -> Result<(), Fault> {
        if marks.iter().any(|mark| matches!(mark, Mark::Open { .. })) {
            self.home.announce_work(self.handle.id).await?;
        }
        if self.at_rest.load(Ordering::Relaxed) && !was_at_rest {
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
