//! Lines as rows of the tables.

use crate::error::Fault;
use crate::rows::{Cell, RowChange, Table};
use crate::tree::LogBase;
use audit::merkle::leaf_hash;
use sqlcipher::{Executor, params};
use std::collections::BTreeMap;
use store::{Call, CallOutcome, CallStatus, Run};
use store_core::backup::BackupError;
use store_core::portable::Line;

/// Takes lines up as they come.
pub(super) struct Rows<'c> {
    tables: &'c Executor,
    /// How many events each log has.
    logs: BTreeMap<u64, u64>,
}

fn altered() -> Fault {
    BackupError::refused("The file holds what no tenant can have.").into()
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|_| altered())
}

fn bytes(digits: &str) -> Result<Cell, Fault> {
    hex::decode(digits).map(Cell::from).map_err(|_| altered())
}

impl<'c> Rows<'c> {
    pub(super) fn new(tables: &'c Executor) -> Self {
        Self { tables, logs: BTreeMap::new() }
    }

    fn put(&self, table: Table, cells: Vec<Cell>) -> Result<(), Fault> {
        RowChange::Put(table, cells).apply(self.tables)
    }

    /// Takes a line up.
    pub(super) fn take(&mut self, line: Line) -> Result<(), Fault> {
        let text = |text: String| Cell::from(text);
        match line {
            Line::Object { kind, id, owner, version, body } => {
                let cells = vec![text(kind), text(id), Cell::from(owner), text(body), Cell::from(version)];
                self.put(Table::Object, cells)
            }
            Line::Record { collection, id, created_at, updated_at, version, data } => {
                let cells = vec![
                    text(collection),
                    text(id),
                    text(data),
                    Cell::from(created_at),
                    Cell::from(updated_at),
                    Cell::from(version),
                ];
                self.put(Table::Record, cells)
            }
            Line::Collection { name, settings } => {
                self.put(Table::Collection, vec![text(name), text(settings)])
            }
            Line::Run { run, state, definition, config, input } => {
                self.take_run(run, state, [definition, config, input])
            }
            Line::Step { run, id, body, state } => {
                self.put(Table::Step, [run, id, body, state].map(text).to_vec())
            }
            Line::RunEvent { run, number, at, body } => {
                self.put(Table::RunEvent, vec![text(run), Cell::from(number), Cell::from(at), text(body)])
            }
            Line::Delivery { token, run } => {
                self.put(Table::Delivery, vec![Cell::from(""), text(token), text(run)])
            }
            Line::Call { id, body, outcome } => self.take_call(id, body, outcome),
            Line::Hour { hour, kind, target, key, agent, workflow, totals } => {
                let put = "INSERT INTO usage_hour VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)";
                let values = params![hour, kind, target, key, agent, workflow, totals];
                self.tables.prepare_cached(put)?.execute(values)?;
                Ok(())
            }
            Line::Remembered { key, request, until, status, body } => {
                let body = body.as_deref().map(bytes).transpose()?.unwrap_or(Cell::Null);
                let status = Cell::from(status.map(i64::from));
                self.put(
                    Table::Remembered,
                    vec![bytes(&key)?, bytes(&request)?, Cell::from(until), status, body],
                )
            }
            Line::AuditEvent { epoch, number, time, action, actor, resource, hash, leaf, disclosures } => {
                let next = self.logs.entry(epoch).or_default();
                if *next != number || hash != hex::encode(leaf_hash(leaf.as_bytes())) {
                    return Err(altered());
                }
                *next += 1;
                let cells = vec![
                    Cell::from(LogBase::of(epoch).row(number)),
                    Cell::from(time),
                    text(action),
                    text(actor),
                    text(resource),
                    Cell::from(leaf.into_bytes()),
                    bytes(&hash)?,
                    text(disclosures),
                ];
                self.put(Table::AuditEvent, cells)
            }
        }
    }

    fn take_run(&self, run: String, state: String, source: [String; 3]) -> Result<(), Fault> {
        let known: Run = read(&run)?;
        let id = known.id.to_string();
        let cells = vec![
            Cell::from(id.as_str()),
            Cell::from(known.workflow.to_string()),
            Cell::from(known.status.as_str()),
            Cell::from(known.finished_at),
            Cell::from(known.cursor),
            Cell::from(run),
            Cell::from(state),
        ];
        self.put(Table::Run, cells)?;
        let source = std::iter::once(id).chain(source).map(Cell::from).collect();
        self.put(Table::RunSource, source)
    }

    /// The sums come by themselves.
    fn take_call(&self, id: String, body: String, outcome: Option<String>) -> Result<(), Fault> {
        let call: Call = read(&body)?;
        let ended: Option<CallOutcome> = outcome.as_deref().map(read).transpose()?;
        let status = ended.as_ref().map_or(CallStatus::Open, |outcome| outcome.status);
        if let Some(outcome) = &ended {
            let note = "INSERT OR IGNORE INTO call_ended VALUES(?1, ?2)";
            self.tables.prepare_cached(note)?.execute(params![outcome.finished_at.millis(), id])?;
        }
        let cells = vec![
            Cell::from(id),
            Cell::from(crate::areas::kind_name(call.kind)),
            Cell::from(call.started_at),
            Cell::from(status.as_str()),
            Cell::from(body),
            Cell::from(outcome),
        ];
        self.put(Table::Call, cells)
    }
}
