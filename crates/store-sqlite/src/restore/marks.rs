//! The marks of work under way that a restored file asks for: they are in the journal and in no backup.

use crate::error::Fault;
use crate::tenant::TenantHandle;
use env::Timestamp;
use ids::{CallId, Id, RunId};
use sqlcipher::Connection;
use std::collections::HashSet;
use store::{Mark, Run, WorkKind};

/// What is to be marked, and which marks are of work that the file does not have.
pub(crate) struct Marks {
    pub(crate) opened: Vec<Mark>,
    pub(crate) over: Vec<Mark>,
}

impl Marks {
    pub(crate) fn of(handle: &TenantHandle, next: &Connection) -> Result<Self, Fault> {
        let mut marks = Self { opened: Vec::new(), over: Vec::new() };
        for (kind, under_way) in [(WorkKind::Run, runs(next)?), (WorkKind::Call, calls(next)?)] {
            let ids: HashSet<_> = under_way.iter().map(|(id, _)| *id).collect();
            let marked = handle.journal().pending_of(handle.id, kind)?;
            let over = marked.into_iter().filter(|id| !ids.contains(id));
            marks.over.extend(over.map(|id| Mark::Closed { kind, id }));
            marks.opened.extend(under_way.into_iter().map(|(id, due)| Mark::Open { kind, id, due }));
        }
        Ok(marks)
    }
}

type UnderWay = Vec<([u8; 16], Option<Timestamp>)>;

fn bodies(next: &Connection, select: &str) -> Result<Vec<String>, Fault> {
    let mut select = next.prepare(select)?;
    let rows = select.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn runs(next: &Connection) -> Result<UnderWay, Fault> {
    let select = "SELECT body FROM run WHERE status IN ('queued', 'running', 'waiting')";
    let runs = bodies(next, select)?.into_iter().map(|body| {
        let run: Run = serde_json::from_str(&body).map_err(|_| Fault::Damaged("a run"))?;
        Ok((RunId::to_bytes(run.id), run.due))
    });
    runs.collect()
}

fn calls(next: &Connection) -> Result<UnderWay, Fault> {
    let calls = bodies(next, "SELECT body FROM call WHERE status = 'open'")?.into_iter().map(|body| {
        let call: store::Call = serde_json::from_str(&body).map_err(|_| Fault::Damaged("a call"))?;
        Ok((CallId::to_bytes(call.id), Some(call.lease_until)))
    });
    calls.collect()
}
