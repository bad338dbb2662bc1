//! Calls' beginnings and outcomes of one transaction.

use super::ending::Values;
use super::recalled::Facts;
use super::{TenantHandle, Txn};
use crate::error::Fault;
use crate::home::params;
use futures::try_join;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use store::{Call, CallKind, CallOutcome, CallStatus};
use store_core::totals::Totals;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

/// What a kind of call is called in the tables.
pub(crate) const fn kind_name(kind: CallKind) -> &'static str {
    match kind {
        CallKind::Model => "model",
        CallKind::Service => "service",
    }
}

/// Sums as they are stored.
pub(crate) fn totals(text: &str) -> Result<Totals, Fault> {
    serde_json::from_str(text).map_err(|_| Fault::Damaged("a sum of usage"))
}

/// A call as it is stored.
pub(crate) fn call(handle: &TenantHandle, id: &str, sealed: &[u8]) -> Result<Call, Fault> {
    handle.open("call", &[id, "body"], sealed)
}

/// Calls with their outcomes, from rows of id, body, outcome.
pub(crate) fn ended(handle: &TenantHandle, rows: &[Row]) -> Result<Vec<(Call, CallOutcome)>, Fault> {
    let one = |row: &Row| {
        let id: &str = row.try_get(0)?;
        Ok((call(handle, id, row.try_get(1)?)?, handle.open("call", &[id, "outcome"], row.try_get(2)?)?))
    };
    rows.iter().map(one).collect()
}

/// Where a call is summed up: hour, kind, target, key, agent, workflow.
pub(super) type Place = (i64, String, String, String, String, String);

fn place(call: &Call) -> Place {
    let text = |id: Option<String>| id.unwrap_or_default();
    (
        call.started_at.hour().millis(),
        kind_name(call.kind).to_owned(),
        call.target.clone(),
        text(call.payer.key.map(|id| id.to_string())),
        text(call.payer.agent.map(|id| id.to_string())),
        text(call.workflow.map(|id| id.to_string())),
    )
}

/// Places as columns.
#[derive(Default)]
struct Places {
    hours: Vec<i64>,
    texts: [Vec<String>; 5],
}

impl Extend<Place> for Places {
    fn extend<I: IntoIterator<Item = Place>>(&mut self, places: I) {
        for (hour, kind, target, key, agent, workflow) in places {
            self.hours.push(hour);
            self.texts
                .iter_mut()
                .zip([kind, target, key, agent, workflow])
                .for_each(|(column, value)| column.push(value));
        }
    }
}

/// What begins and ends.
#[derive(Default)]
pub(super) struct Calls<'a> {
    begun: BTreeMap<String, &'a Call>,
    ended: BTreeMap<String, (&'a Call, &'a CallOutcome)>,
    /// Outcomes of calls that have one, or are given one, already.
    again: Vec<(&'a Call, &'a CallOutcome)>,
    /// What is summed up with this.
    sums: BTreeMap<Place, Totals>,
}

impl<'a> Calls<'a> {
    pub(super) fn begin(&mut self, call: &'a Call) {
        self.begun.insert(call.id.to_string(), call);
    }

    pub(super) fn end(&mut self, call: &'a Call, outcome: &'a CallOutcome) {
        match self.ended.entry(call.id.to_string()) {
            Entry::Occupied(_) => self.again.push((call, outcome)),
            Entry::Vacant(place) => drop(place.insert((call, outcome))),
        }
    }

    /// Whether nothing needs to be read first.
    pub(super) fn are_known(&self, facts: &Facts) -> bool {
        self.again.is_empty() && self.ended.values().all(|(call, _)| facts.sums.contains_key(&place(call)))
    }

    /// Whether some have an outcome already: what a call cost is said once.
    pub(super) fn any_again(&self) -> bool {
        !self.again.is_empty()
    }

    /// Reads which calls have ended before, and what was summed up.
    pub(super) async fn look(
        &mut self,
        txn: &Txn,
        recalled: &mut BTreeMap<Place, Totals>,
    ) -> Result<(), Fault> {
        if self.ended.is_empty() {
            return Ok(());
        }
        let ids: Vec<&str> = self.ended.keys().map(String::as_str).collect();
        let places: BTreeSet<_> = self.ended.values().map(|(call, _)| place(call)).collect();
        let over = "SELECT id FROM call WHERE id = ANY($1) AND outcome IS NOT NULL";
        let over = async { Ok(txn.query_typed(over, params![ids => TEXT_ARRAY]).await?) };
        let (over, sums) = try_join!(over, sums_of(txn, places.clone()))?;
        for row in &over {
            let id: &str = row.try_get(0)?;
            self.again.extend(self.ended.remove(id));
        }
        recalled.extend(places.into_iter().map(|place| (place, Totals::default())));
        recalled.extend(sums);
        Ok(())
    }

    /// Adds what the calls came to to the sums.
    pub(super) fn sum_up(&mut self, facts: &mut Facts) {
        for (call, outcome) in self.ended.values() {
            let place = place(call);
            let sum = facts.sums.entry(place.clone()).or_default();
            *sum = sum.plus(&Totals::of(outcome));
            self.sums.insert(place, sum.clone());
        }
    }

    /// Looks after the outcomes that were not the first, one by one: there are few.
    pub(super) async fn put_again(&self, txn: &Txn) -> Result<(), Fault> {
        for (call, outcome) in &self.again {
            end_again(txn, call, outcome).await?;
        }
        Ok(())
    }

    /// The calls that begin, those that end, and the sums.
    pub(super) fn write(&self, handle: &TenantHandle, values: &mut Values) -> Result<(), Fault> {
        self.write_begun(handle, values)?;
        self.write_ended(handle, values)?;
        let (mut columns, mut sums) = (Places::default(), vec![]);
        for (place, sum) in &self.sums {
            sums.push(text_of(sum)?);
            columns.extend([place.clone()]);
        }
        values.push(columns.hours, Type::INT8_ARRAY);
        columns.texts.into_iter().chain([sums]).for_each(|column| values.push(column, Type::TEXT_ARRAY));
        Ok(())
    }

    fn write_begun(&self, handle: &TenantHandle, values: &mut Values) -> Result<(), Fault> {
        let (mut ids, mut kinds, mut starts, mut bodies) = (vec![], vec![], vec![], vec![]);
        for (id, call) in &self.begun {
            bodies.push(handle.seal("call", &[id, "body"], call)?);
            ids.push(id.clone());
            kinds.push(kind_name(call.kind));
            starts.push(call.started_at.millis());
        }
        values.push(ids, Type::TEXT_ARRAY);
        values.push(kinds, Type::TEXT_ARRAY);
        values.push(starts, Type::INT8_ARRAY);
        values.push(bodies, Type::BYTEA_ARRAY);
        Ok(())
    }

    fn write_ended(&self, handle: &TenantHandle, values: &mut Values) -> Result<(), Fault> {
        let (mut ids, mut names, mut times) = (vec![], [const { vec![] }; 2], [const { vec![] }; 2]);
        let (mut cached, mut sealed) = (vec![], [const { vec![] }; 2]);
        for (id, (call, outcome)) in &self.ended {
            sealed[0].push(handle.seal("call", &[id, "body"], call)?);
            sealed[1].push(handle.seal("call", &[id, "outcome"], outcome)?);
            ids.push(id.clone());
            names[0].push(kind_name(call.kind));
            names[1].push(outcome.status.as_str());
            times[0].push(call.started_at.millis());
            times[1].push(outcome.finished_at.millis());
            cached.push(outcome.cached);
        }
        values.push(ids, Type::TEXT_ARRAY);
        names.into_iter().for_each(|column| values.push(column, Type::TEXT_ARRAY));
        times.into_iter().for_each(|column| values.push(column, Type::INT8_ARRAY));
        values.push(cached, Type::BOOL_ARRAY);
        sealed.into_iter().for_each(|column| values.push(column, Type::BYTEA_ARRAY));
        Ok(())
    }
}

/// Sums as they are stored.
fn text_of(sums: &Totals) -> Result<String, Fault> {
    serde_json::to_string(sums).map_err(|_| Fault::Damaged("a sum of usage"))
}

async fn sums_of(txn: &Txn, places: BTreeSet<Place>) -> Result<BTreeMap<Place, Totals>, Fault> {
    if places.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut columns = Places::default();
    columns.extend(places);
    let select = "SELECT hour, kind, target, key, agent, workflow, totals FROM usage_hour
        JOIN unnest($1::int8[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
            AS it(hour, kind, target, key, agent, workflow) USING (hour, kind, target, key, agent, workflow)";
    let [kinds, targets, keys, agents, workflows] = columns.texts;
    let values = params![columns.hours => INT8_ARRAY, kinds => TEXT_ARRAY, targets => TEXT_ARRAY,
        keys => TEXT_ARRAY, agents => TEXT_ARRAY, workflows => TEXT_ARRAY];
    let rows = txn.query_typed(select, values).await?;
    let sum = |row: &Row| {
        let place = (
            row.try_get(0)?,
            row.try_get(1)?,
            row.try_get(2)?,
            row.try_get(3)?,
            row.try_get(4)?,
            row.try_get(5)?,
        );
        Ok((place, totals(row.try_get(6)?)?))
    };
    rows.iter().map(sum).collect()
}

async fn put_sums(txn: &Txn, sums: BTreeMap<Place, Totals>) -> Result<(), Fault> {
    if sums.is_empty() {
        return Ok(());
    }
    let (mut columns, mut texts) = (Places::default(), vec![]);
    for (place, sum) in sums {
        texts.push(text_of(&sum)?);
        columns.extend([place]);
    }
    let put = "INSERT INTO usage_hour(hour, kind, target, key, agent, workflow, totals)
        SELECT * FROM unnest($1::int8[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
        ON CONFLICT (tenant_id, hour, kind, target, key, agent, workflow) DO UPDATE SET totals = excluded.totals";
    let [kinds, targets, keys, agents, workflows] = columns.texts;
    let values = params![columns.hours => INT8_ARRAY, kinds => TEXT_ARRAY, targets => TEXT_ARRAY,
        keys => TEXT_ARRAY, agents => TEXT_ARRAY, workflows => TEXT_ARRAY, texts => TEXT_ARRAY];
    txn.execute_typed(put, values).await?;
    Ok(())
}

/// Writes down the outcome of a call that has one: only where it was said to be unknown can it be said again.
async fn end_again(txn: &Txn, ending: &Call, known: &CallOutcome) -> Result<(), Fault> {
    let id = ending.id.to_string();
    let select = "SELECT id, body, outcome FROM call WHERE id = $1 AND outcome IS NOT NULL";
    let before = ended(&txn.handle, &txn.query_typed(select, params![id => TEXT]).await?)?;
    let Some((call, before)) = before.first().filter(|(_, outcome)| outcome.status == CallStatus::Unknown)
    else {
        return Ok(());
    };
    let body = txn.handle.seal("call", &[&id, "body"], ending)?;
    let sealed = txn.handle.seal("call", &[&id, "outcome"], known)?;
    let put =
        "UPDATE call SET kind = $2, status = $3, started_at = $4, finished_at = $5, cached = $6, body = $7,
        outcome = $8 WHERE id = $1";
    let values = params![id => TEXT, kind_name(ending.kind) => TEXT, known.status.as_str() => TEXT,
        ending.started_at.millis() => INT8, known.finished_at.millis() => INT8, known.cached => BOOL,
        body => BYTEA, sealed => BYTEA];
    txn.execute_typed(put, values).await?;
    let (from, to) = (place(call), place(ending));
    let mut sums = sums_of(txn, [from.clone(), to.clone()].into()).await?;
    let taken = sums.entry(from).or_default();
    *taken = taken.minus(&Totals::of(before));
    let added = sums.entry(to).or_default();
    *added = added.plus(&Totals::of(known));
    put_sums(txn, sums).await
}
