//! What calls came to, summed up by hour, target and payer as their outcomes become known.

use super::{from_text, to_text};
use crate::error::Fault;
use crate::rows::{Cell, Table};
use sqlcipher::{Executor, OptionalExtension, params, params_from_iter};
use std::collections::HashMap;
use store::{Call, CallOutcome, CallStatus};
use store_core::totals::Totals;

/// How long it is known of a call that it ended a moment ago.
const MOMENTS_MILLIS: i64 = 10 * 60_000;

/// Changes of the sums that were gathered and are not in the tables yet: most calls of a tenant that end together
/// belong to the same sum.
#[derive(Default)]
pub(crate) struct Sums {
    changes: HashMap<Place, Change>,
    /// When the last of the calls ended.
    last_end: Option<i64>,
}

#[derive(Default)]
struct Change {
    added: Totals,
    taken: Totals,
}

impl Sums {
    /// Writes a call's outcome down and gathers what it adds to the sums, unless it is known: what a call cost is
    /// said once, and only where it was said to be unknown can it be said again.
    pub(crate) fn note_outcome(&mut self, connection: &Executor, cells: &[Cell]) -> Result<(), Fault> {
        let [Cell::Text(id), _, _, _, Cell::Text(body), Cell::Text(outcome)] = cells else {
            return Err(Fault::Damaged("a call's outcome"));
        };
        let mut before = connection.prepare_cached("SELECT body, outcome FROM call WHERE id = ?1")?;
        let before: Option<(String, Option<String>)> =
            before.query_row(params![id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        if let Some((body, Some(outcome))) = before {
            let (call, outcome): (Call, CallOutcome) = (from_text(&body)?, from_text(&outcome)?);
            if outcome.status != CallStatus::Unknown {
                return Ok(());
            }
            let change = self.changes.entry(Place::of(&call)).or_default();
            change.taken = change.taken.plus(&Totals::of(&outcome));
        }
        connection.prepare_cached(Table::Call.put_statement())?.execute(params_from_iter(cells))?;
        let (call, outcome): (Call, CallOutcome) = (from_text(body)?, from_text(outcome)?);
        self.add(&call, &outcome);
        let at = outcome.finished_at.millis();
        connection
            .prepare_cached("INSERT OR IGNORE INTO call_ended VALUES(?1, ?2)")?
            .execute(params![at, id])?;
        self.last_end = self.last_end.max(Some(at));
        Ok(())
    }

    fn add(&mut self, call: &Call, outcome: &CallOutcome) {
        let change = self.changes.entry(Place::of(call)).or_default();
        change.added = change.added.plus(&Totals::of(outcome));
    }

    /// Puts what was gathered into the tables.
    pub(crate) fn write(self, connection: &Executor) -> Result<(), Fault> {
        for (place, change) in self.changes {
            place.write(connection, &change)?;
        }
        if let Some(at) = self.last_end {
            let mut forget = connection.prepare_cached("DELETE FROM call_ended WHERE at < ?1")?;
            forget.execute(params![at - MOMENTS_MILLIS])?;
        }
        Ok(())
    }
}

/// Where a call is summed up.
#[derive(PartialEq, Eq, Hash)]
struct Place {
    hour: i64,
    kind: &'static str,
    target: String,
    key: String,
    agent: String,
    workflow: String,
}

impl Place {
    fn of(call: &Call) -> Self {
        let text = |id: Option<String>| id.unwrap_or_default();
        Self {
            hour: call.started_at.hour().millis(),
            kind: super::usage::kind_name(call.kind),
            target: call.target.clone(),
            key: text(call.payer.key.map(|id| id.to_string())),
            agent: text(call.payer.agent.map(|id| id.to_string())),
            workflow: text(call.workflow.map(|id| id.to_string())),
        }
    }

    fn write(&self, connection: &Executor, change: &Change) -> Result<(), Fault> {
        let Self { hour, kind, target, key, agent, workflow } = self;
        let mut get = connection.prepare_cached(
            "SELECT totals FROM usage_hour
             WHERE hour = ?1 AND kind = ?2 AND target = ?3 AND key = ?4 AND agent = ?5 AND workflow = ?6",
        )?;
        let found: Option<String> =
            get.query_row(params![hour, kind, target, key, agent, workflow], |row| row.get(0)).optional()?;
        let totals: Totals = found.as_deref().map(from_text).transpose()?.unwrap_or_default();
        let totals = to_text(&totals.plus(&change.added).minus(&change.taken))?;
        let mut put = connection
            .prepare_cached("INSERT OR REPLACE INTO usage_hour VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
        put.execute(params![hour, kind, target, key, agent, workflow, totals])?;
        Ok(())
    }
}

/// Sums up the calls of tables that were written before there were sums.
pub(crate) fn sum_up_calls(connection: &Executor) -> Result<(), Fault> {
    let mut sums = Sums::default();
    let mut select = connection.prepare("SELECT body, outcome FROM call WHERE outcome IS NOT NULL")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (body, outcome): (String, String) = (row.get(0)?, row.get(1)?);
        sums.add(&from_text(&body)?, &from_text(&outcome)?);
    }
    sums.write(connection)
}
