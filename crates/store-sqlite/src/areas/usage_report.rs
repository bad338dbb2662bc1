//! Usage, added up: from the sums of whole hours, and call by call for the parts of hours at both ends and for
//! calls under way.

use super::from_text;
use super::usage::{kind_of, open_calls};
use super::usage_hours::Totals;
use crate::error::Fault;
use env::Timestamp;
use sqlcipher::{Executor, params};
use std::collections::BTreeMap;
use std::time::Duration;
use store::{Call, CallKind, CallOutcome, GroupBy, UsageQuery, UsageRow};

const HOUR: Duration = Duration::from_secs(3600);

/// What a group is made by.
struct Facts<'a> {
    at: Timestamp,
    kind: CallKind,
    target: &'a str,
    key: Option<String>,
    agent: Option<String>,
    workflow: Option<String>,
}

impl<'a> Facts<'a> {
    fn of(call: &'a Call) -> Self {
        Self {
            at: call.started_at,
            kind: call.kind,
            target: &call.target,
            key: call.payer.key.map(|id| id.to_string()),
            agent: call.payer.agent.map(|id| id.to_string()),
            workflow: call.workflow.map(|id| id.to_string()),
        }
    }

    fn value(&self, by: GroupBy) -> Option<String> {
        match by {
            GroupBy::Hour => Some(self.at.hour().to_string()),
            GroupBy::Day => Some(self.at.day().to_string()),
            GroupBy::Model => (self.kind == CallKind::Model).then(|| self.target.to_owned()),
            GroupBy::Tool => (self.kind == CallKind::Service).then(|| self.target.to_owned()),
            GroupBy::Key => self.key.clone(),
            GroupBy::Agent => self.agent.clone(),
            GroupBy::Workflow => self.workflow.clone(),
        }
    }
}

struct Report<'q> {
    group_by: &'q [GroupBy],
    groups: BTreeMap<Vec<Option<String>>, (Totals, Totals)>,
}

impl Report<'_> {
    fn add(&mut self, facts: &Facts<'_>, totals: &Totals) {
        let group = self.group_by.iter().map(|by| facts.value(*by)).collect();
        let (model, service) = self.groups.entry(group).or_default();
        let sum = match facts.kind {
            CallKind::Model => model,
            CallKind::Service => service,
        };
        *sum = sum.plus(totals);
    }

    fn rows(self) -> Vec<UsageRow> {
        let row = |(group, (model, service)): (_, (Totals, Totals))| {
            let all = model.plus(&service);
            UsageRow {
                group,
                ai_calls: model.calls,
                api_calls: service.calls,
                input_tokens: all.input_tokens,
                output_tokens: all.output_tokens,
                cost_usd: all.cost,
                unpriced_calls: all.unpriced,
                cached_calls: all.cached,
                unknown_calls: all.unknown,
            }
        };
        self.groups.into_iter().map(row).collect()
    }
}

/// Adds up what the query asks for.
pub(super) fn report(tables: &Executor, query: &UsageQuery) -> Result<Vec<UsageRow>, Fault> {
    let mut report = Report { group_by: &query.group_by, groups: BTreeMap::new() };
    let (from, to) = (query.from, query.to.max(query.from));
    let first = if from.hour() == from { from } else { from.hour().plus(HOUR) };
    let (first, last) = (first.min(to), to.hour());
    if first < last {
        add_hours(tables, &mut report, first, last)?;
        add_calls(tables, &mut report, from, first)?;
        add_calls(tables, &mut report, last, to)?;
    } else {
        add_calls(tables, &mut report, from, to)?;
    }
    for call in open_calls(tables, from, to)? {
        report.add(&Facts::of(&call), &Totals { calls: 1, ..Totals::default() });
    }
    Ok(report.rows())
}

fn add_hours(
    tables: &Executor,
    report: &mut Report<'_>,
    from: Timestamp,
    to: Timestamp,
) -> Result<(), Fault> {
    let mut select = tables.prepare_cached(
        "SELECT hour, kind, target, key, agent, workflow, totals FROM usage_hour WHERE hour >= ?1 AND hour < ?2",
    )?;
    let mut rows = select.query(params![from.millis(), to.millis()])?;
    while let Some(row) = rows.next()? {
        let target: String = row.get(2)?;
        let text = |at| row.get::<_, String>(at).map(|text| (!text.is_empty()).then_some(text));
        let facts = Facts {
            at: Timestamp::from_millis(row.get(0)?),
            kind: kind_of(&row.get::<_, String>(1)?)?,
            target: &target,
            key: text(3)?,
            agent: text(4)?,
            workflow: text(5)?,
        };
        report.add(&facts, &from_text(&row.get::<_, String>(6)?)?);
    }
    Ok(())
}

fn add_calls(
    tables: &Executor,
    report: &mut Report<'_>,
    from: Timestamp,
    to: Timestamp,
) -> Result<(), Fault> {
    let mut select = tables.prepare_cached(
        "SELECT body, outcome FROM call WHERE started_at >= ?1 AND started_at < ?2 AND outcome IS NOT NULL",
    )?;
    let mut rows = select.query(params![from.millis(), to.millis()])?;
    while let Some(row) = rows.next()? {
        let call: Call = from_text(&row.get::<_, String>(0)?)?;
        let outcome: CallOutcome = from_text(&row.get::<_, String>(1)?)?;
        report.add(&Facts::of(&call), &Totals::of(&outcome));
    }
    Ok(())
}
