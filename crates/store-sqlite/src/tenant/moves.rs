//! Moves of runs that become durable without touching the tables, which take them over later. Where a run stands
//! is known from its last move as long as the log's place is; the first move after that is lost asks the tables.

use super::handle::{Append, Submitted, TenantHandle, lock};
use crate::error::Fault;
use ids::RunId;
use std::collections::HashMap;
use std::sync::Arc;
use store::StoreError;

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunPlace {
    pub(crate) cursor: u64,
    /// The number of its next event.
    pub(crate) next_event: u64,
    /// Whether its last move went past the tables, which may not have it yet.
    pub(crate) past_tables: bool,
}

/// A run that an entry moves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moved {
    pub(crate) run: RunId,
    pub(crate) to: RunPlace,
    /// Whether it is under way, so that it moves on soon.
    pub(crate) under_way: bool,
}

/// Where the runs stand that are under way.
#[derive(Default)]
pub(super) struct RunPlaces(HashMap<RunId, RunPlace>);

impl RunPlaces {
    pub(super) fn note(&mut self, moved: &Moved) {
        if moved.under_way {
            self.0.insert(moved.run, moved.to);
        } else {
            self.0.remove(&moved.run);
        }
    }

    /// Whether each of these moves follows the last one of its run; `None` where that is not known.
    fn follow(&self, moves: &[Moved]) -> Option<bool> {
        moves.iter().try_fold(true, |follow, moved| {
            let place = self.0.get(&moved.run)?;
            Some(follow && place.cursor + 1 == moved.to.cursor)
        })
    }
}

impl TenantHandle {
    /// Where a run stands, if that is known without asking the tables.
    pub(crate) fn run_place(&self, run: RunId) -> Option<RunPlace> {
        let place = lock(&self.place);
        place.as_ref().filter(|place| place.log.epoch == self.journal.epoch())?.runs.0.get(&run).copied()
    }

    /// Makes moves durable that follow the last ones of their runs. `false` says that these are not known any
    /// more, and that nothing was written.
    pub(crate) async fn append_moves(self: &Arc<Self>, append: &Append) -> Result<bool, Fault> {
        let Some(submitted) = self.submit_moves(append)? else { return Ok(false) };
        match submitted.durable.await.map_err(|_| Fault::Stopped)? {
            Ok(_) => {
                self.fold_if_long();
                Ok(true)
            }
            Err(Fault::Renumber) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    fn submit_moves(&self, append: &Append) -> Result<Option<Submitted>, Fault> {
        let mut place = lock(&self.place);
        self.still_here()?;
        let epoch = self.journal.epoch();
        let Some(place) = place.as_mut().filter(|place| place.log.epoch == epoch) else { return Ok(None) };
        match place.runs.follow(&append.moved) {
            Some(true) => self.submit_at(place, append).map(Some),
            Some(false) => Err(StoreError::Stale.into()),
            None => Ok(None),
        }
    }
}
