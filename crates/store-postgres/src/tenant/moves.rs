//! Moves of runs of one transaction, in few statements however many they are. What moves a run is its cursor alone.

use super::Txn;
use crate::error::Fault;
use crate::home::params;
use env::Timestamp;
use futures::try_join;
use std::collections::BTreeMap;
use store::{Run, RunEvent, RunUpdate, StoreError};

/// What a part of a run is called that is a step's.
pub(crate) const STEP: &str = "step";
/// And one that is an event.
pub(crate) const EVENT: &str = "event";

/// The place of an event, so that text sorts as the numbers do.
pub(crate) fn event_place(number: u64) -> String {
    format!("{number:020}")
}

/// A run as the table has it, or as it will be.
struct Known {
    cursor: u64,
    events: u64,
    /// Of what changes with a move.
    bytes: i64,
    moved: Option<(Run, String)>,
}

/// Runs that move.
#[derive(Default)]
pub(super) struct Moves {
    wanted: Vec<RunUpdate>,
    known: BTreeMap<String, Known>,
    /// How long the steps were, by run and place.
    lengths: BTreeMap<(String, String), i64>,
    /// Run, kind and place, and what is put there.
    parts: BTreeMap<(String, &'static str, String), Vec<u8>>,
}

impl Moves {
    /// Takes a move up; its number.
    pub(super) fn add(&mut self, update: RunUpdate) -> usize {
        self.wanted.push(update);
        self.wanted.len() - 1
    }

    /// Reads where the runs are. The head of the tenant's log is held, so that nobody else moves them meanwhile.
    pub(super) async fn look(&mut self, txn: &Txn) -> Result<(), Fault> {
        if self.wanted.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = self.wanted.iter().map(|update| update.run.id.to_string()).collect();
        let (mut runs, mut places) = (vec![], vec![]);
        for (id, update) in ids.iter().zip(&self.wanted) {
            runs.extend(update.steps.iter().map(|_| id.as_str()));
            places.extend(update.steps.iter().map(|step| step.id.to_string()));
        }
        let found = "SELECT * FROM places_of_runs($1)";
        let steps = "SELECT * FROM lengths_of_steps($1, $2)";
        let found = async { txn.query_typed(found, params![ids => TEXT_ARRAY]).await };
        let steps = async { txn.query_typed(steps, params![runs => TEXT_ARRAY, places => TEXT_ARRAY]).await };
        let (found, steps) = try_join!(found, steps)?;
        for row in found {
            let (cursor, events): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
            let known = Known {
                cursor: cursor.cast_unsigned(),
                events: events.cast_unsigned(),
                bytes: row.try_get(3)?,
                moved: None,
            };
            self.known.insert(row.try_get(0)?, known);
        }
        for row in steps {
            self.lengths.insert((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?);
        }
        Ok(())
    }

    /// What each move comes to, in their order.
    pub(super) fn decide(&mut self, txn: &Txn) -> Vec<Result<(), Fault>> {
        let wanted = std::mem::take(&mut self.wanted);
        wanted.into_iter().map(|update| self.go(txn, update)).collect()
    }

    fn go(&mut self, txn: &Txn, update: RunUpdate) -> Result<(), Fault> {
        let RunUpdate { run, state, steps, events } = update;
        let id = run.id.to_string();
        let known = self.known.get_mut(&id).ok_or(Fault::Answer(StoreError::NotFound))?;
        if known.cursor + 1 != run.cursor {
            return Err(StoreError::Stale.into());
        }
        let mut parts = vec![];
        for step in steps {
            let place = step.id.to_string();
            let body = txn.handle.seal("run_part", &[&id, STEP, &place], &(&step, &step.state))?;
            parts.push((STEP, place, body));
        }
        let mut number = known.events;
        for (at, event) in events {
            let place = event_place(number);
            let event = RunEvent { number, at, event };
            let body = txn.handle.seal("run_part", &[&id, EVENT, &place], &event)?;
            parts.push((EVENT, place, body));
            number += 1;
        }
        // Nothing fails from here on, so that a move is decided whole or not at all.
        for (kind, place, body) in parts {
            let length = body.len() as i64;
            let before = self.lengths.insert((id.clone(), place.clone()), length).unwrap_or(0);
            txn.stores(length - before);
            self.parts.insert((id.clone(), kind, place), body);
        }
        (known.cursor, known.events) = (run.cursor, number);
        known.moved = Some((run, state));
        Ok(())
    }

    /// Writes the moves down that were decided for.
    pub(super) async fn put(&self, txn: &Txn) -> Result<(), Fault> {
        try_join!(self.put_runs(txn), self.put_parts(txn))?;
        Ok(())
    }

    async fn put_runs(&self, txn: &Txn) -> Result<(), Fault> {
        let (mut ids, mut statuses, mut cursors, mut ends) = (vec![], vec![], vec![], vec![]);
        let (mut events, mut runs, mut states) = (vec![], vec![], vec![]);
        for (id, known) in &self.known {
            let Some((run, state)) = &known.moved else { continue };
            let body = txn.handle.seal("run", &[id, "run"], run)?;
            let state = txn.handle.seal("run", &[id, "state"], state)?;
            txn.stores((body.len() + state.len()) as i64 - known.bytes);
            ids.push(id.as_str());
            statuses.push(run.status.as_str());
            cursors.push(run.cursor.cast_signed());
            ends.push(run.finished_at.map(Timestamp::millis));
            events.push(known.events.cast_signed());
            runs.push(body);
            states.push(state);
        }
        if ids.is_empty() {
            return Ok(());
        }
        let put = "SELECT move_runs($1, $2, $3, $4, $5, $6, $7)";
        let values = params![ids => TEXT_ARRAY, statuses => TEXT_ARRAY, cursors => INT8_ARRAY,
            ends => INT8_ARRAY, events => INT8_ARRAY, runs => BYTEA_ARRAY, states => BYTEA_ARRAY];
        txn.execute_typed(put, values).await?;
        Ok(())
    }

    async fn put_parts(&self, txn: &Txn) -> Result<(), Fault> {
        if self.parts.is_empty() {
            return Ok(());
        }
        let (mut runs, mut kinds, mut places, mut bodies) = (vec![], vec![], vec![], vec![]);
        for ((run, kind, place), body) in &self.parts {
            runs.push(run.as_str());
            kinds.push(*kind);
            places.push(place.as_str());
            bodies.push(body.as_slice());
        }
        let put = "SELECT put_run_parts($1, $2, $3, $4)";
        let values =
            params![runs => TEXT_ARRAY, kinds => TEXT_ARRAY, places => TEXT_ARRAY, bodies => BYTEA_ARRAY];
        txn.execute_typed(put, values).await?;
        Ok(())
    }
}
