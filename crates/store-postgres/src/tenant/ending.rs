//! What every transaction ends with: the jobs' events, the nodes that they complete, the log's head, the marks of work.

use super::Txn;
use crate::error::Fault;
use crate::home::params;
use audit::merkle::{Frontier, Node};
use ids::Id as _;
use std::sync::atomic::Ordering;
use store::{Mark, WorkKind};
use store_core::log::{LogHead, NumberedEvent};

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
        self.execute_typed(
            "INSERT INTO audit_event(epoch, number, time, action, actor, resource, event_id, hash, leaf, disclosures)
             SELECT $1, * FROM unnest($2::int8[], $3::int8[], $4::text[], $5::text[], $6::text[], $7::text[],
                $8::bytea[], $9::bytea[], $10::bytea[])",
            params![epoch => INT8, numbers => INT8_ARRAY, times => INT8_ARRAY, actions => TEXT_ARRAY,
                actors => TEXT_ARRAY, resources => TEXT_ARRAY, ids => TEXT_ARRAY, hashes => BYTEA_ARRAY,
                leaves => BYTEA_ARRAY, disclosures => BYTEA_ARRAY],
        )
        .await?;
        self.put_nodes(epoch, before, &hashes).await
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
                "INSERT INTO merkle_node(epoch, level, number, hash)
                 SELECT $1, * FROM unnest($2::int8[], $3::int8[], $4::bytea[])",
                params![epoch => INT8, levels => INT8_ARRAY, places => INT8_ARRAY, roots => BYTEA_ARRAY],
            )
            .await?;
        }
        Ok(())
    }

    pub(super) async fn put_head(&self, head: &LogHead, was_at_rest: bool) -> Result<(), Fault> {
        let (size, frontier) = (head.place.index.cast_signed(), head.frontier.to_bytes());
        let at_rest = self.at_rest.load(Ordering::Relaxed);
        self.execute_typed(
            "UPDATE log_head SET size = $1, last_hash = $2, frontier = $3, stored_bytes = $4, at_rest = $5",
            params![size => INT8, head.place.prev_leaf_hash.as_slice() => BYTEA, frontier => BYTEA,
                self.stored.load(Ordering::Relaxed) => INT8, at_rest => BOOL],
        )
        .await?;
        if at_rest && !was_at_rest {
            let id = self.handle.id.to_bytes();
            let note = "INSERT INTO tenantry.at_rest(tenant) VALUES($1) ON CONFLICT DO NOTHING";
            // Said too early it does no harm: whoever looks finds nothing that is old.
            let elsewhere = self.handle.home.platform_session().await?;
            let session = elsewhere.as_ref().unwrap_or(self);
            session.execute_typed(note, params![id.as_slice() => BYTEA]).await?;
        }
        Ok(())
    }

    pub(super) async fn put_marks(&self, marks: &[Mark]) -> Result<(), Fault> {
        let (tenant, work) = (self.handle.id.to_bytes(), self.handle.home.work());
        if marks.iter().any(|mark| matches!(mark, Mark::Open { .. })) {
            self.handle.home.announce_work(self.handle.id).await?;
        }
        for mark in marks {
            match mark {
                Mark::Open { kind, id, due } => {
                    self.execute_typed(
                        &format!(
                            "INSERT INTO {work}(tenant_id, kind, id, due) VALUES($1, $2, $3, $4)
                             ON CONFLICT (tenant_id, kind, id) DO UPDATE SET due = $4"
                        ),
                        params![tenant.as_slice() => BYTEA, work_name(*kind) => TEXT, id.as_slice() => BYTEA,
                            due.map(env::Timestamp::millis) => INT8],
                    )
                    .await?;
                }
                Mark::Closed { kind, id } => {
                    self.execute_typed(
                        &format!("DELETE FROM {work} WHERE tenant_id = $1 AND kind = $2 AND id = $3"),
                        params![tenant.as_slice() => BYTEA, work_name(*kind) => TEXT, id.as_slice() => BYTEA],
                    )
                    .await?;
                }
            }
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
