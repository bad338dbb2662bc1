//! Moves of runs of one transaction. What moves a run is its cursor alone.

use super::ending::Values;
use super::recalled::{Facts, Standing};
use super::txn::fits;
use super::{TenantHandle, Txn};
use crate::error::Fault;
use crate::home::params;
use env::Timestamp;
use futures::try_join;
use lru::LruCache;
use std::collections::BTreeMap;
use std::collections::HashSet;
use store::{Run, RunEvent, RunUpdate, StoreError, StoredRun};
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

/// Run, kind and place, and what is put there.
type Parts = BTreeMap<(String, &'static str, String), Vec<u8>>;

/// What is wanted of a run.
pub(super) enum Wanted<'a> {
    /// It is made, where the tenant may store so much.
    Made(&'a StoredRun, Option<u64>),
    Moved(&'a RunUpdate),
}

impl Wanted<'_> {
    fn id(&self) -> String {
        match self {
            Self::Made(run, _) => run.run.id.to_string(),
            Self::Moved(update) => update.run.id.to_string(),
        }
    }
}

/// Runs that are made and that move.
#[derive(Default)]
pub(super) struct Moves<'a> {
    wanted: Vec<Wanted<'a>>,
    made: Vec<(&'a StoredRun, [Vec<u8>; 3])>,
    moved: BTreeMap<String, Moved<'a>>,
    parts: Parts,
}

impl<'a> Moves<'a> {
    /// Takes up what is wanted; its number.
    pub(super) fn add(&mut self, wanted: Wanted<'a>) -> usize {
        self.wanted.push(wanted);
        self.wanted.len() - 1
    }

    pub(super) fn make_runs(&self) -> bool {
        self.wanted.iter().any(|wanted| matches!(wanted, Wanted::Made(..)))
    }

    /// Whether nothing needs to be read first. That a run which is made is not there yet the database finds by itself.
    pub(super) fn are_known(&self, facts: &Facts) -> bool {
        let mut made = HashSet::new();
        self.wanted.iter().all(|wanted| match wanted {
            Wanted::Made(..) => made.insert(wanted.id()) && !facts.runs.contains(&wanted.id()),
            Wanted::Moved(_) => facts.runs.contains(&wanted.id()),
        })
    }

    /// Reads where the runs are. The head of the tenant's log is held, so that nobody else moves them meanwhile.
    pub(super) async fn look(
        &self,
        txn: &Txn,
        recalled: &mut LruCache<String, Standing>,
    ) -> Result<(), Fault> {
        let ids = self.wanted.iter().map(Wanted::id).filter(|id| !recalled.contains(id));
        let ids: Vec<_> = ids.collect();
        if ids.is_empty() {
            return Ok(());
        }
        let found = "SELECT * FROM places_of_runs($1)";
        let steps = "SELECT * FROM lengths_of_steps($1)";
        let found = async { txn.query_typed(found, params![ids => TEXT_ARRAY]).await };
        let steps = async { txn.query_typed(steps, params![ids => TEXT_ARRAY]).await };
        let (found, steps) = try_join!(found, steps)?;
        for row in found {
            let (cursor, events): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
            let (cursor, events) = (cursor.cast_unsigned(), events.cast_unsigned());
            let standing = Standing { cursor, events, bytes: row.try_get(3)?, ..Standing::default() };
            recalled.put(row.try_get(0)?, standing);
        }
        for row in steps {
            if let Some(standing) = recalled.get_mut(row.try_get::<_, &str>(0)?) {
                standing.steps.insert(row.try_get(1)?, row.try_get(2)?);
            }
        }
        Ok(())
    }

    /// What each comes to, in their order, and what the tenant stores with those that are written.
    pub(super) fn decide(
        &mut self,
        handle: &TenantHandle,
        facts: &mut Facts,
        mut stored: i64,
    ) -> (Vec<Result<(), Fault>>, i64) {
        let wanted = std::mem::take(&mut self.wanted);
        let outcomes = wanted.into_iter().map(|wanted| {
            stored += match wanted {
                Wanted::Made(run, limit) => self.make(handle, facts, run, (limit, stored))?,
                Wanted::Moved(update) => self.go(handle, facts, update)?,
            };
            Ok(())
        });
        let outcomes = outcomes.collect();
        for (id, _) in self.moved.iter().filter(|(_, moved)| moved.run.status.is_finished()) {
            facts.runs.pop(id);
        }
        (outcomes, stored)
    }

    fn make(
        &mut self,
        handle: &TenantHandle,
        facts: &mut Facts,
        made: &'a StoredRun,
        (limit, stored): (Option<u64>, i64),
    ) -> Result<i64, Fault> {
        let id = made.run.id.to_string();
        if facts.runs.contains(&id) {
            return Err(StoreError::Exists(format!("run {id}")).into());
        }
        let sealed = sealed_run(handle, made)?;
        let [run, frozen, state] = sealed.each_ref().map(|it| it.len() as i64);
        let growth = run + frozen + state;
        fits(limit, stored, growth)?;
        let standing = Standing { cursor: made.run.cursor, bytes: run + state, ..Standing::default() };
        facts.runs.put(id, standing);
        self.made.push((made, sealed));
        Ok(growth)
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

    /// What was decided for.
    pub(super) fn write(self, values: &mut Values) {
        let (mut ids, mut workflows, mut statuses) = (vec![], vec![], vec![]);
        let (mut cursors, mut ends, mut sealed) = (vec![], vec![], [const { vec![] }; 3]);
        for (made, columns) in self.made {
            ids.push(made.run.id.to_string());
            workflows.push(made.run.workflow.to_string());
            statuses.push(made.run.status.as_str());
            cursors.push(made.run.cursor.cast_signed());
            ends.push(made.run.finished_at.map(Timestamp::millis));
            sealed.iter_mut().zip(columns).for_each(|(column, value)| column.push(value));
        }
        values.push(ids, Type::TEXT_ARRAY);
        values.push(workflows, Type::TEXT_ARRAY);
        values.push(statuses, Type::TEXT_ARRAY);
        values.push(cursors, Type::INT8_ARRAY);
        values.push(ends, Type::INT8_ARRAY);
        sealed.into_iter().for_each(|column| values.push(column, Type::BYTEA_ARRAY));
        write_moves(self.moved, self.parts, values);
    }
}

fn write_moves(moved: BTreeMap<String, Moved<'_>>, parts: Parts, values: &mut Values) {
    let (mut ids, mut statuses, mut cursors) = (vec![], vec![], [const { vec![] }; 2]);
    let (mut ends, mut events, mut sealed) = (vec![], vec![], [const { vec![] }; 2]);
    for (id, moved) in moved {
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
    for ((run, kind, place), body) in parts {
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

/// A run as it is made: what changes with its moves at both ends, and between them what does not.
pub(crate) fn sealed_run(handle: &TenantHandle, made: &StoredRun) -> Result<[Vec<u8>; 3], Fault> {
    let id = made.run.id.to_string();
    let frozen = (&made.definition, &made.config, &made.input);
    Ok([
        handle.seal("run", &[&id, "run"], &made.run)?,
        handle.seal("run", &[&id, "frozen"], &frozen)?,
        handle.seal("run", &[&id, "state"], &made.state)?,
    ])
}
