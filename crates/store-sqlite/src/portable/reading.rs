//! The tenant's rows as lines: for the file that goes out, and for the comparison with one that came in.

use crate::error::Fault;
use crate::tree::LogBase;
use sqlcipher::{Executor, Row};
use std::fmt::Display;
use store_core::keys::EqualityKey;
use store_core::portable::Line;

/// A statement, and what a row of it is as a line.
type Table = (&'static str, fn(&EqualityKey, &Row<'_>) -> Result<Line, sqlcipher::Error>);

/// Everything, in the order in which it is written. Events come in the order of their logs.
const TABLES: [Table; 11] = [
    ("SELECT kind, id, owner, version, body FROM object", object),
    ("SELECT collection, id, created_at, updated_at, version, data FROM record", record),
    ("SELECT name, settings FROM collection", |_, row| {
        Ok(Line::Collection { name: row.get(0)?, settings: row.get(1)? })
    }),
    (
        "SELECT body, state, definition, config, input FROM run JOIN run_source ON run_source.run = run.id",
        run,
    ),
    ("SELECT run, id, body, state FROM step", |_, row| {
        Ok(Line::Step { run: row.get(0)?, id: row.get(1)?, body: row.get(2)?, state: row.get(3)? })
    }),
    ("SELECT run, number, at, body FROM run_event", |_, row| {
        Ok(Line::RunEvent { run: row.get(0)?, number: row.get(1)?, at: row.get(2)?, body: row.get(3)? })
    }),
    ("SELECT workflow, delivery, run FROM delivery", delivery),
    ("SELECT id, body, outcome FROM call", |_, row| {
        Ok(Line::Call { id: row.get(0)?, body: row.get(1)?, outcome: row.get(2)? })
    }),
    ("SELECT hour, kind, target, key, agent, workflow, totals FROM usage_hour", hour),
    ("SELECT key, request, until, status, body FROM remembered", remembered),
    (
        "SELECT number, time, action, actor, resource, hash, leaf, disclosures FROM audit_event ORDER BY number",
        audit_event,
    ),
];

/// Reads every row of the tables, and gives its line to `take`.
pub(super) fn read_all<E: Display>(
    tables: &Executor,
    tokens: &EqualityKey,
    mut take: impl FnMut(Line) -> Result<(), E>,
) -> Result<Result<(), E>, Fault> {
    for (select, line) in TABLES {
        let mut select = tables.prepare(select)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            if let Err(error) = take(line(tokens, row)?) {
                return Ok(Err(error));
            }
        }
    }
    Ok(Ok(()))
}

fn object(_: &EqualityKey, row: &Row<'_>) -> Result<Line, sqlcipher::Error> {
    Ok(Line::Object {
        kind: row.get(0)?,
        id: row.get(1)?,
        owner: row.get(2)?,
        version: row.get(3)?,
        body: row.get(4)?,
    })
}

fn record(_: &EqualityKey, row: &Row<'_>) -> Result<Line, sqlcipher::Error> {
    Ok(Line::Record {
        collection: row.get(0)?,
        id: row.get(1)?,
        created_at: row.get(2)?,
        updated_at: row.get(3)?,
        version: row.get(4)?,
        data: row.get(5)?,
    })
}

fn run(_: &EqualityKey, row: &Row<'_>) -> Result<Line, sqlcipher::Error> {
    Ok(Line::Run {
        run: row.get(0)?,
        state: row.get(1)?,
        definition: row.get(2)?,
        config: row.get(3)?,
        input: row.get(4)?,
    })
}

/// Elsewhere a delivery has a token alone. One that came from there has no more here either.
fn delivery(tokens: &EqualityKey, row: &Row<'_>) -> Result<Line, sqlcipher::Error> {
    let (workflow, delivery): (String, String) = (row.get(0)?, row.get(1)?);
    let token = match workflow.as_str() {
        "" => delivery,
        _ => hex::encode(tokens.delivery(&workflow, &delivery)),
    };
    Ok(Line::Delivery { token, run: row.get(2)? })
}

fn hour(_: &EqualityKey, row: &Row<'_>) -> Result<Line, sqlcipher::Error> {
    Ok(Line::Hour {
        hour: row.get(0)?,
        kind: row.get(1)?,
        target: row.get(2)?,
        key: row.get(3)?,
        agent: row.get(4)?,
        workflow: row.get(5)?,
        totals: row.get(6)?,
    })
}

fn remembered(_: &EqualityKey, row: &Row<'_>) -> Result<Line, sqlcipher::Error> {
    let (key, request): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?);
    Ok(Line::Remembered {
        key: hex::encode(key),
        request: hex::encode(request),
        until: row.get(2)?,
        status: row.get(3)?,
        body: row.get::<_, Option<Vec<u8>>>(4)?.map(hex::encode),
    })
}

fn audit_event(_: &EqualityKey, row: &Row<'_>) -> Result<Line, sqlcipher::Error> {
    let (number, hash, leaf): (u64, Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(5)?, row.get(6)?);
    Ok(Line::AuditEvent {
        epoch: LogBase::epoch(number),
        number: LogBase::number(number),
        time: row.get(1)?,
        action: row.get(2)?,
        actor: row.get(3)?,
        resource: row.get(4)?,
        hash: hex::encode(hash),
        // What is no text any more shows in the hash.
        leaf: String::from_utf8_lossy(&leaf).into_owned(),
        disclosures: row.get::<_, Option<String>>(7)?.unwrap_or_else(|| "[]".to_owned()),
    })
}
