//! Usage, added up: from the sums of whole hours, and call by call for the parts of hours at both ends and for
//! calls under way.

use super::from_text;
use super::usage::{kind_of, open_calls};
use crate::error::Fault;
use env::Timestamp;
use sqlcipher::{Executor, params};
use std::time::Duration;
use store::{Call, CallOutcome, UsageQuery, UsageRow};
use store_core::report::{Facts, Report};
use store_core::totals::Totals;

const HOUR: Duration = Duration::from_secs(3600);

/// Adds up what the query asks for.
pub(super) fn report(tables: &Executor, query: &UsageQuery) -> Result<Vec<UsageRow>, Fault> {
    let mut report = Report::by(&query.group_by);
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
