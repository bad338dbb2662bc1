//! The Merkle trees over a tenant's audit logs, as its tables keep them: the leaves' hashes with the events, and the
//! nodes above them as they are completed (RFC 6962, section 2.1).

use crate::error::Fault;
use audit::merkle::{Frontier, Hash, Nodes, node_hash};
use sqlcipher::{Executor, params};

/// Where one of a tenant's audit logs begins among the rows of all of them. Each has room for 2^40 events;
/// a row's number is the beginning of its log and the event's own number, so that rows stay in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogBase(u64);

impl LogBase {
    const NUMBER_BITS: u32 = 40;

    /// Where the log of this epoch begins. Epochs count from 1.
    pub(crate) const fn of(epoch: u64) -> Self {
        Self(epoch.saturating_sub(1) << Self::NUMBER_BITS)
    }

    /// The row's number of an event.
    pub(crate) const fn row(self, number: u64) -> u64 {
        self.0 + number
    }

    /// The log's epoch that an event's row is of.
    pub(crate) const fn epoch(row: u64) -> u64 {
        (row >> Self::NUMBER_BITS) + 1
    }

    /// The event's number in its log.
    pub(crate) const fn number(row: u64) -> u64 {
        row & ((1 << Self::NUMBER_BITS) - 1)
    }

    /// How many events the log has in these tables.
    pub(crate) fn size(self, connection: &Executor) -> Result<u64, Fault> {
        let mut last = connection
            .prepare_cached("SELECT max(number) FROM audit_event WHERE number BETWEEN ?1 AND ?2")?;
        let range = params![self.0, self.0 + (1 << Self::NUMBER_BITS) - 1];
        let last: Option<u64> = last.query_row(range, |row| row.get(0))?;
        Ok(last.map_or(0, |last| Self::number(last) + 1))
    }
}

/// The nodes of one log.
pub(crate) struct Tree<'c> {
    tables: &'c Executor,
    log: LogBase,
}

impl<'c> Tree<'c> {
    /// Of the log that begins there.
    pub(crate) const fn new(tables: &'c Executor, log: LogBase) -> Self {
        Self { tables, log }
    }

    /// Adds the nodes that the leaf in this row completes: each parent whose right child is the one just completed.
    pub(crate) fn complete(tables: &'c Executor, row: u64, leaf: Hash) -> Result<(), Fault> {
        let mut index = LogBase::number(row);
        let tree = Self::new(tables, LogBase(row - index));
        let mut put = tables.prepare_cached("INSERT OR REPLACE INTO merkle_node VALUES(?1, ?2, ?3)")?;
        let (mut level, mut hash) = (0, leaf);
        while index % 2 == 1 {
            hash = node_hash(&tree.hash(level, index - 1)?, &hash);
            level += 1;
            index /= 2;
            put.execute(params![level, tree.log.row(index), hash])?;
        }
        Ok(())
    }

    /// The frontier of the first `size` leaves.
    pub(crate) fn frontier(&self, size: u64) -> Result<Frontier, Fault> {
        let mut bytes = size.to_be_bytes().to_vec();
        for level in (0..u64::BITS).rev().filter(|level| size & (1 << level) != 0) {
            // The subtree of this bit is the last complete one of its level within `size`.
            bytes.extend(self.hash(level, (size >> level) - 1)?);
        }
        Frontier::from_bytes(&bytes).map_err(|_| Fault::Damaged("the audit tree"))
    }
}

impl Nodes for Tree<'_> {
    type Error = Fault;

    fn hash(&self, level: u32, index: u64) -> Result<Hash, Fault> {
        let row = self.log.row(index);
        if level == 0 {
            let mut get = self.tables.prepare_cached("SELECT hash FROM audit_event WHERE number = ?1")?;
            return Ok(get.query_row([row], |row| row.get(0))?);
        }
        let mut get =
            self.tables.prepare_cached("SELECT hash FROM merkle_node WHERE level = ?1 AND number = ?2")?;
        Ok(get.query_row(params![level, row], |row| row.get(0))?)
    }
}
