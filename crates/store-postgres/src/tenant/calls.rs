//! Calls' beginnings and outcomes of one transaction, in few statements however many they are.

use super::{TenantHandle, Txn};
use crate::error::Fault;
use crate::home::params;
use futures::try_join;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use store::{Call, CallKind, CallOutcome, CallStatus};
use store_core::totals::Totals;
use tokio_postgres::Row;

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
type Place = (i64, String, String, String, String, String);

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
pub(super) struct Calls {
    begun: BTreeMap<String, Call>,
    ended: BTreeMap<String, (Call, CallOutcome)>,
    /// Outcomes of calls that have one, or are given one, already.
    again: Vec<(Call, CallOutcome)>,
    /// What was summed up before, where anything was.
    sums: BTreeMap<Place, Totals>,
}

impl Calls {
    pub(super) fn begin(&mut self, call: Call) {
        self.begun.insert(call.id.to_string(), call);
    }

    pub(super) fn end(&mut self, call: Call, outcome: CallOutcome) {
        match self.ended.entry(call.id.to_string()) {
            Entry::Occupied(_) => self.again.push((call, outcome)),
            Entry::Vacant(place) => drop(place.insert((call, outcome))),
        }
    }

    /// Writes the calls down, but for the outcomes that are not the first: what a call cost is said once.
    pub(super) async fn put(&mut self, txn: &Txn) -> Result<(), Fault> {
        let ((), given, sums) = try_join!(self.put_begun(txn), self.put_ended(txn), self.sums_before(txn))?;
        self.sums = sums;
        let (first, again): (BTreeMap<_, _>, _) =
            std::mem::take(&mut self.ended).into_iter().partition(|(id, _)| given.contains(id));
        self.ended = first;
        self.again.extend(again.into_values());
        Ok(())
    }

    /// Adds what the calls came to to the sums.
    pub(super) async fn sum_up(&self, txn: &Txn) -> Result<(), Fault> {
        let mut sums = self.sums.clone();
        let mut touched = BTreeSet::new();
        for (call, outcome) in self.ended.values() {
            let place = place(call);
            let sum = sums.entry(place.clone()).or_default();
            *sum = sum.plus(&Totals::of(outcome));
            touched.insert(place);
        }
        sums.retain(|place, _| touched.contains(place));
        put_sums(txn, sums).await
    }

    /// Looks after the outcomes that were not the first, one by one: there are few.
    pub(super) async fn put_again(&mut self, txn: &Txn) -> Result<(), Fault> {
        let again = std::mem::take(&mut self.again);
        for (call, outcome) in &again {
            end_again(txn, call, outcome).await?;
        }
        if !again.is_empty() {
            self.sums = self.sums_before(txn).await?;
        }
        Ok(())
    }

    async fn put_begun(&self, txn: &Txn) -> Result<(), Fault> {
        if self.begun.is_empty() {
            return Ok(());
        }
        let (mut ids, mut kinds, mut starts, mut bodies) = (vec![], vec![], vec![], vec![]);
        for (id, call) in &self.begun {
            bodies.push(txn.handle.seal("call", &[id, "body"], call)?);
            ids.push(id.as_str());
            kinds.push(kind_name(call.kind));
            starts.push(call.started_at.millis());
        }
        let put = "SELECT begin_calls($1, $2, $3, $4)";
        let values =
            params![ids => TEXT_ARRAY, kinds => TEXT_ARRAY, starts => INT8_ARRAY, bodies => BYTEA_ARRAY];
        txn.execute_typed(put, values).await?;
        Ok(())
    }

    /// The ids of the calls that had no outcome.
    async fn put_ended(&self, txn: &Txn) -> Result<BTreeSet<String>, Fault> {
        if self.ended.is_empty() {
            return Ok(BTreeSet::new());
        }
        let (mut texts, mut times) = ([const { vec![] }; 3], [const { vec![] }; 2]);
        let (mut cached, mut sealed) = (vec![], [const { vec![] }; 2]);
        for (id, (call, outcome)) in &self.ended {
            sealed[0].push(txn.handle.seal("call", &[id, "body"], call)?);
            sealed[1].push(txn.handle.seal("call", &[id, "outcome"], outcome)?);
            let about = [id.as_str(), kind_name(call.kind), outcome.status.as_str()];
            texts.iter_mut().zip(about).for_each(|(column, value)| column.push(value));
            times[0].push(call.started_at.millis());
            times[1].push(outcome.finished_at.millis());
            cached.push(outcome.cached);
        }
        let put = "SELECT end_calls($1, $2, $3, $4, $5, $6, $7, $8)";
        let ([ids, kinds, statuses], [starts, ends], [bodies, outcomes]) = (texts, times, sealed);
        let values = params![ids => TEXT_ARRAY, kinds => TEXT_ARRAY, statuses => TEXT_ARRAY,
            starts => INT8_ARRAY, ends => INT8_ARRAY, cached => BOOL_ARRAY, bodies => BYTEA_ARRAY,
            outcomes => BYTEA_ARRAY];
        let rows = txn.query_typed(put, values).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    async fn sums_before(&self, txn: &Txn) -> Result<BTreeMap<Place, Totals>, Fault> {
        let places: BTreeSet<_> = self.ended.values().map(|(call, _)| place(call)).collect();
        sums_of(txn, places).await
    }
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
        texts.push(serde_json::to_string(&sum).map_err(|_| Fault::Damaged("a sum of usage"))?);
        columns.extend([place]);
    }
    let put = "SELECT put_sums($1, $2, $3, $4, $5, $6, $7)";
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
