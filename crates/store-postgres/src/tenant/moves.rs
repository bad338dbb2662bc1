//! Moves of runs of one transaction. What moves a run is its cursor alone.

use super::ending::Values;
use super::recalled::{Facts, Standing};
use super::{TenantHandle, Txn};
use crate::error::Fault;
use crate::home::params;
use env::Timestamp;
use futures::try_join;
use std::collections::BTreeMap;
use store::{Run, RunEvent, RunUpdate, StoreError};
use tokio_postgres::types::Type;

/// What a part of a run is called that is a step's.
pub(crate) const STEP: &str = "step";
/// And one that is an event.
pub(crate) const EVENT: &str = "event";

/// The place of an event, so that text sorts as the numbers do.
pub(crate) fn event_place(number: u64) -> String {
    format!("{number:020}")
}

/// A run that moves.
struct Moved<'a> {
    /// The cursor that it has in the tables.
    from: u64,
    events: u64,
    run: &'a Run,
    sealed: [Vec<u8>; 2],
}

/// Runs that move.
#[derive(Default)]
pub(super) struct Moves<'a> {
    wanted: Vec<&'a RunUpdate>,
    moved: BTreeMap<String, Moved<'a>>,
    /// Run, kind and place, and what is put there.
    parts: BTreeMap<(String, &'static str, String), Vec<u8>>,
}

impl<'a> Moves<'a> {
    /// Takes a move up; its number.
    pub(super) fn add(&mut self, update: &'a RunUpdate) -> usize {
        self.wanted.push(update);
        self.wanted.len() - 1
    }

    /// Whether nothing needs to be read first.
    pub(super) fn are_known(&self, facts: &Facts) -> bool {
        self.wanted.iter().all(|update| facts.runs.contains_key(&update.run.id.to_string()))
    }

    /// Reads where the runs are. The head of the tenant's log is held, so that nobody else moves them meanwhile.
    pub(super) async fn look(&self, txn: &Txn, facts: &mut Facts) -> Result<(), Fault> {
        if self.wanted.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = self.wanted.iter().map(|update| update.run.id.to_string()).collect();
        let found = "SELECT * FROM places_of_runs($1)";
        let steps = "SELECT * FROM lengths_of_steps($1)";
        let found = async { txn.query_typed(found, params![ids => TEXT_ARRAY]).await };
        let steps = async { txn.query_typed(steps, params![ids => TEXT_ARRAY]).await };
        let (found, steps) = try_join!(found, steps)?;
        for id in &ids {
            facts.runs.remove(id);
        }
        for row in found {
            let (cursor, events): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
            let (cursor, events) = (cursor.cast_unsigned(), events.cast_unsigned());
            let standing = Standing { cursor, events, bytes: row.try_get(3)?, ..Standing::default() };
            facts.runs.insert(row.try_get(0)?, standing);
        }
        for row in steps {
            if let Some(standing) = facts.runs.get_mut(row.try_get::<_, &str>(0)?) {
                standing.steps.insert(row.try_get(1)?, row.try_get(2)?);
            }
        }
        Ok(())
    }

    /// What each move comes to, in their order, and what the tenant stores more with those that are made.
    pub(super) fn decide(
        &mut self,
        handle: &TenantHandle,
        facts: &mut Facts,
    ) -> (Vec<Result<(), Fault>>, i64) {
        let mut growth = 0;
        let wanted = std::mem::take(&mut self.wanted);
        let outcomes = wanted.into_iter().map(|update| {
            growth += self.go(handle, facts, update)?;
            Ok(())
        });
        let outcomes = outcomes.collect();
        for (id, _) in self.moved.iter().filter(|(_, moved)| moved.run.status.is_finished()) {
            facts.runs.remove(id);
        }
        (outcomes, growth)
    }

    fn go(&mut self, handle: &TenantHandle, facts: &mut Facts, update: &'a RunUpdate) -> Result<i64, Fault> {
        let RunUpdate { run, state, steps, events } = update;
        let id = run.id.to_string();
        let standing = facts.runs.get_mut(&id).ok_or(Fault::Answer(StoreError::NotFound))?;
        if standing.cursor + 1 != run.cursor {
            return Err(StoreError::Stale.into());
        }
        let mut parts = vec![];
        for step in steps {
            let place = step.id.to_string();
            let body = handle.seal("run_part", &[&id, STEP, &place], &(step, &step.state))?;
            parts.push((STEP, place, body));
        }
        let mut number = standing.events;
        for (at, event) in events {
            let place = event_place(number);
            let event = RunEvent { number, at: *at, event: event.clone() };
            let body = handle.seal("run_part", &[&id, EVENT, &place], &event)?;
            parts.push((EVENT, place, body));
            number += 1;
        }
        let sealed = [handle.seal("run", &[&id, "run"], run)?, handle.seal("run", &[&id, "state"], state)?];
        // Nothing fails from here on, so that a move is decided whole or not at all.
        let bytes = sealed.iter().map(|it| it.len() as i64).sum();
        let mut growth = bytes - standing.bytes;
        standing.bytes = bytes;
        for (kind, place, body) in parts {
            let length = body.len() as i64;
            growth += length;
            if kind == STEP {
                growth -= standing.steps.insert(place.clone(), length).unwrap_or(0);
            }
            self.parts.insert((id.clone(), kind, place), body);
        }
        let from = self.moved.get(&id).map_or(standing.cursor, |moved| moved.from);
        (standing.cursor, standing.events) = (run.cursor, number);
        self.moved.insert(id, Moved { from, events: number, run, sealed });
        Ok(growth)
    }

    /// The moves that were decided for.
    pub(super) fn write(self, values: &mut Values) {
        let (mut ids, mut statuses, mut cursors) = (vec![], vec![], [const { vec![] }; 2]);
        let (mut ends, mut events, mut sealed) = (vec![], vec![], [const { vec![] }; 2]);
        for (id, moved) in self.moved {
            ids.push(id);
            statuses.push(moved.run.status.as_str());
            cursors[0].push(moved.from.cast_signed());
            cursors[1].push(moved.run.cursor.cast_signed());
            ends.push(moved.run.finished_at.map(Timestamp::millis));
            events.push(moved.events.cast_signed());
            sealed.iter_mut().zip(moved.sealed).for_each(|(column, value)| column.push(value));
        }
        values.push(ids, Type::TEXT_ARRAY);
        values.push(statuses, Type::TEXT_ARRAY);
        cursors.into_iter().for_each(|column| values.push(column, Type::INT8_ARRAY));
        values.push(ends, Type::INT8_ARRAY);
        values.push(events, Type::INT8_ARRAY);
        sealed.into_iter().for_each(|column| values.push(column, Type::BYTEA_ARRAY));
        let (mut runs, mut kinds, mut places, mut bodies) = (vec![], vec![], vec![], vec![]);
        for ((run, kind, place), body) in self.parts {
            runs.push(run);
            kinds.push(kind);
            places.push(place);
            bodies.push(body);
        }
        values.push(runs, Type::TEXT_ARRAY);
        values.push(kinds, Type::TEXT_ARRAY);
        values.push(places, Type::TEXT_ARRAY);
        values.push(bodies, Type::BYTEA_ARRAY);
    }
}
