//! The tenant's place in its audit log: the next number, the last hash, the frontier. Held under one lock,
//! so that numbers, hashes and the journal's order agree.

use crate::error::Fault;
use crate::keys::TenantKeys;
use crate::rows::{Cell, RowChange, Table};
use crate::tree::{LogBase, Tree};
use audit::event::{Draft, NO_PREVIOUS_LEAF, Position};
use audit::note::Origin;
use env::Env;
use ids::EventId;
use sqlcipher::{Executor, OptionalExtension};
use store_core::log::{LogHead, NumberedEvent};

/// Where a tenant's log stands.
#[derive(Clone)]
pub(crate) struct LogPosition {
    head: LogHead,
    /// The journal's epoch in which this was true: a failed transaction makes it stale.
    pub(crate) epoch: u64,
}

impl LogPosition {
    /// Reads the position from tables that are caught up with the journal.
    pub(crate) fn read(connection: &Executor, log: &Origin, epoch: u64) -> Result<Self, Fault> {
        let base = LogBase::of(log.epoch);
        let last: Option<(u64, [u8; 32])> = connection
            .query_row(
                "SELECT number, hash FROM audit_event WHERE number >= ?1 ORDER BY number DESC LIMIT 1",
                [base.row(0)],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        let (index, prev_leaf_hash) =
            last.map_or((0, NO_PREVIOUS_LEAF), |(row, hash)| (LogBase::number(row) + 1, hash));
        let place = Position { index, prev_leaf_hash, ..Position::start(log.clone()) };
        let frontier = Tree::new(connection, base).frontier(index)?;
        Ok(Self { head: LogHead { place, frontier }, epoch })
    }

    /// How many events there are.
    pub(crate) fn size(&self) -> u64 {
        self.head.place.index
    }

    /// How many events there are, and the root over them.
    pub(crate) fn size_and_root(&self) -> (u64, [u8; 32]) {
        self.head.size_and_root()
    }
}

/// Events with their places, and what they change.
pub(crate) struct Numbered {
    /// The position after them. It holds only once the caller stores it.
    pub(crate) next: LogPosition,
    pub(crate) rows: Vec<RowChange>,
    pub(crate) ids: Vec<EventId>,
}

/// Seals drafts as the next events.
pub(crate) fn number(
    position: &LogPosition,
    drafts: &[Draft],
    keys: &TenantKeys,
    env: &Env,
) -> Result<Numbered, Fault> {
    let numbered = store_core::log::number(&position.head, drafts, keys, env)?;
    let ids = numbered.ids();
    let rows = numbered.events.into_iter().map(event_row).collect::<Result<_, _>>()?;
    Ok(Numbered { next: LogPosition { head: numbered.next, epoch: position.epoch }, rows, ids })
}

fn event_row(event: NumberedEvent) -> Result<RowChange, Fault> {
    let NumberedEvent { epoch, index, action, actor, resource, sealed } = event;
    let disclosures =
        serde_json::to_string(&sealed.disclosures).map_err(|_| Fault::Damaged("an audit event"))?;
    let cells = vec![
        Cell::from(LogBase::of(epoch).row(index)),
        Cell::from(sealed.time),
        Cell::from(action),
        Cell::from(actor),
        Cell::from(resource),
        Cell::from(sealed.leaf),
        Cell::from(sealed.leaf_hash.to_vec()),
        Cell::from(disclosures),
    ];
    Ok(RowChange::Put(Table::AuditEvent, cells))
}
