//! The audit log's head and tree in the tables.

use crate::error::Fault;
use crate::home::{Session, params};
use audit::event::{NO_PREVIOUS_LEAF, Position};
use audit::merkle::{Frontier, Hash, Nodes};
use audit::note::Origin;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use store_core::log::LogHead;
use tokio_postgres::Row;

/// What is read of the head, wherever it is read.
pub(crate) const HEAD: &str = "SELECT epoch, size, last_hash, frontier, stored_bytes, at_rest, data_key, xmin::text::int8 FROM log_head";

/// The head of a log that has just begun.
pub(crate) fn new_head(origin: &Origin) -> LogHead {
    LogHead { place: Position::start(origin.clone()), frontier: Frontier::new() }
}

/// A hash as the tables keep it.
pub(crate) fn hash(bytes: &[u8]) -> Result<Hash, Fault> {
    bytes.try_into().map_err(|_| Fault::Damaged("a hash of the audit log"))
}

/// The head as [`HEAD`] reads it.
pub(crate) fn head_row(row: &Row, origin: &Origin) -> Result<LogHead, Fault> {
    let damaged = || Fault::Damaged("the audit log's head");
    let (epoch, size): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    let frontier = Frontier::from_bytes(row.try_get(3)?).map_err(|_| damaged())?;
    let (epoch, index) = (epoch.cast_unsigned(), size.cast_unsigned());
    if epoch != origin.epoch || frontier.size() != index {
        return Err(damaged());
    }
    let prev_leaf_hash = if index == 0 { NO_PREVIOUS_LEAF } else { hash(row.try_get(2)?)? };
    Ok(LogHead { place: Position { index, prev_leaf_hash, ..Position::start(origin.clone()) }, frontier })
}

/// The tree's nodes, as far as a proof needs them: the proof is made once to learn which, and then from them.
pub(crate) struct Tree(BTreeMap<(u32, u64), Hash>);

/// Notes which nodes are asked for.
#[derive(Default)]
pub(crate) struct Asked(RefCell<BTreeSet<(u32, u64)>>);

impl Nodes for Asked {
    type Error = Infallible;

    fn hash(&self, level: u32, index: u64) -> Result<Hash, Infallible> {
        self.0.borrow_mut().insert((level, index));
        Ok([0; 32])
    }
}

/// The tree has no such node.
#[derive(Debug)]
pub(crate) struct NoNode;

impl Nodes for Tree {
    type Error = NoNode;

    fn hash(&self, level: u32, index: u64) -> Result<Hash, NoNode> {
        self.0.get(&(level, index)).copied().ok_or(NoNode)
    }
}

impl Tree {
    /// Reads the nodes that each of the questions asks for.
    pub(crate) async fn of(
        session: &Session,
        epoch: u64,
        questions: impl FnOnce(&Asked),
    ) -> Result<Self, Fault> {
        let wanted = {
            let asked = Asked::default();
            questions(&asked);
            asked.0.into_inner()
        };
        let levels: Vec<i64> = wanted.iter().map(|(level, _)| i64::from(*level)).collect();
        let numbers: Vec<i64> = wanted.iter().map(|(_, number)| number.cast_signed()).collect();
        let rows = session
            .query_typed(
                "SELECT wanted.level, wanted.number, coalesce(audit_event.hash, merkle_node.hash)
                 FROM unnest($2::int8[], $3::int8[]) AS wanted(level, number)
                 LEFT JOIN audit_event ON wanted.level = 0 AND audit_event.epoch = $1
                     AND audit_event.number = wanted.number
                 LEFT JOIN merkle_node ON merkle_node.epoch = $1 AND merkle_node.level = wanted.level
                     AND merkle_node.number = wanted.number",
                params![epoch.cast_signed() => INT8, levels => INT8_ARRAY, numbers => INT8_ARRAY],
            )
            .await?;
        let mut nodes = BTreeMap::new();
        for row in rows {
            let (level, number, found): (i64, i64, Option<&[u8]>) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let level = u32::try_from(level).map_err(|_| Fault::Damaged("the audit tree"))?;
            if let Some(found) = found {
                nodes.insert((level, number.cast_unsigned()), hash(found)?);
            }
        }
        Ok(Self(nodes))
    }
}
