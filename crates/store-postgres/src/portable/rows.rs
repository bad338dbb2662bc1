//! Lines as rows of the tables, sealed for their places, and what follows from them: trees, and work under way.

use crate::error::Fault;
use crate::home::{Session, params};
use crate::tenant::{EVENT, STEP, TenantHandle, event_place, kind_name, work_name};
use audit::event::NO_PREVIOUS_LEAF;
use audit::merkle::{Frontier, Hash, leaf_hash};
use env::Timestamp;
use ids::{Id as _, Slug};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use store::{Call, CallOutcome, CallStatus, Run, RunEvent, StepRow, WorkKind};
use store_core::backup::BackupError;
use store_core::portable::Line;

/// The tables, each after those that it refers to.
const TABLES: [&str; 11] = [
    "object",
    "record",
    "collection",
    "run",
    "run_part",
    "delivery",
    "call",
    "usage_hour",
    "remembered",
    "audit_event",
    "merkle_node",
];

/// An audit log, as far as it has come in.
pub(super) struct Log {
    pub(super) frontier: Frontier,
    pub(super) last_hash: Hash,
}

impl Default for Log {
    fn default() -> Self {
        Self { frontier: Frontier::new(), last_hash: NO_PREVIOUS_LEAF }
    }
}

/// Rows that wait to be put, and what is known of those that were.
pub(super) struct Rows<'a> {
    handle: &'a TenantHandle,
    waiting: BTreeMap<&'static str, Vec<Value>>,
    /// By their epochs.
    pub(super) logs: BTreeMap<u64, Log>,
    pub(super) collections: Vec<Slug>,
    /// What is under way: its kind, its id, and when it is next due.
    pub(super) work: Vec<(&'static str, [u8; 16], Option<Timestamp>)>,
}

fn altered() -> Fault {
    BackupError::refused("The file holds what no tenant can have.").into()
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|_| altered())
}

fn bytes(bytes: impl AsRef<[u8]>) -> String {
    format!("\\x{}", hex::encode(bytes))
}

/// Hexadecimal digits as the database reads bytes.
fn digits(text: &str) -> Result<String, Fault> {
    hex::decode(text).map(bytes).map_err(|_| altered())
}

impl<'a> Rows<'a> {
    pub(super) fn new(handle: &'a TenantHandle) -> Self {
        let (waiting, logs) = (BTreeMap::new(), BTreeMap::new());
        Self { handle, waiting, logs, collections: Vec::new(), work: Vec::new() }
    }

    fn sealed(&self, table: &str, place: &[&str], plain: &str) -> Result<String, Fault> {
        Ok(bytes(self.handle.seal_bytes(table, place, plain.as_bytes())?))
    }

    fn add(&mut self, table: &'static str, mut row: Value) {
        row["tenant_id"] = json!(bytes(self.handle.id.to_bytes()));
        self.waiting.entry(table).or_default().push(row);
    }

    /// Takes a line up.
    pub(super) fn take(&mut self, line: Line) -> Result<(), Fault> {
        match line {
            Line::Object { kind, id, owner, version, body } => {
                let body = self.sealed("object", &[&kind, &id], &body)?;
                self.add(
                    "object",
                    json!({"kind": kind, "id": id, "owner": owner, "version": version, "body": body}),
                );
            }
            Line::Record { collection, id, created_at, updated_at, version, data } => {
                let data = self.sealed("record", &[&collection, &id], &data)?;
                let row = json!({"collection": collection, "id": id, "created_at": created_at,
                    "updated_at": updated_at, "version": version, "data": data});
                self.add("record", row);
            }
            Line::Collection { name, settings } => {
                let settings: store::CollectionSettings = read(&settings)?;
                self.collections.push(name.parse().map_err(|_| altered())?);
                let row = json!({"name": name, "indexes": settings.indexes,
                    "range_indexes": settings.range_indexes});
                self.add("collection", row);
            }
            Line::Run { run, state, definition, config, input } => {
                self.take_run((&run, &state), (&definition, &config, &input))?;
            }
            Line::Step { run, id, body, state } => {
                let step: StepRow = read(&body)?;
                let sealed = self.handle.seal("run_part", &[&run, STEP, &id], &(step, state))?;
                self.add_part(&run, STEP, &id, sealed);
            }
            Line::RunEvent { run, number, at, body } => {
                let event = RunEvent { number, at: Timestamp::from_millis(at), event: read(&body)? };
                let place = event_place(number);
                let sealed = self.handle.seal("run_part", &[&run, EVENT, &place], &event)?;
                self.add_part(&run, EVENT, &place, sealed);
            }
            Line::Delivery { token, run } => {
                let token = digits(&token)?;
                self.add("delivery", json!({"token": token, "run": run}));
            }
            Line::Call { id, body, outcome } => self.take_call(&id, &body, outcome.as_deref())?,
            Line::Hour { hour, kind, target, key, agent, workflow, totals } => {
                let row = json!({"hour": hour, "kind": kind, "target": target, "key": key, "agent": agent,
                    "workflow": workflow, "totals": totals});
                self.add("usage_hour", row);
            }
            Line::Remembered { key, request, until, status, body } => {
                let body = body.map(|body| hex::decode(body).map_err(|_| altered())).transpose()?;
                let body =
                    body.map(|body| self.handle.seal_bytes("remembered", &[&key], &body)).transpose()?;
                let row = json!({"key": digits(&key)?, "request": digits(&request)?, "until": until,
                    "status": status, "body": body.map(bytes)});
                self.add("remembered", row);
            }
            Line::AuditEvent { .. } => self.take_event(&line)?,
        }
        Ok(())
    }

    fn take_run(&mut self, (run, state): (&str, &str), frozen: (&str, &str, &str)) -> Result<(), Fault> {
        let known: Run = read(run)?;
        let id = known.id.to_string();
        let frozen: (&str, Value, Value) = (frozen.0, read(frozen.1)?, read(frozen.2)?);
        let row = json!({"id": id, "workflow": known.workflow.to_string(), "status": known.status.as_str(),
            "cursor": known.cursor, "finished_at": known.finished_at.map(Timestamp::millis), "events": 0,
            "run": self.sealed("run", &[&id, "run"], run)?,
            "frozen": bytes(self.handle.seal("run", &[&id, "frozen"], &frozen)?),
            "state": bytes(self.handle.seal("run", &[&id, "state"], &state)?)});
        if !known.status.is_finished() {
            self.work.push((work_name(WorkKind::Run), known.id.to_bytes(), known.due));
        }
        self.add("run", row);
        Ok(())
    }

    fn add_part(&mut self, run: &str, kind: &str, place: &str, sealed: Vec<u8>) {
        self.add("run_part", json!({"run": run, "kind": kind, "place": place, "body": bytes(sealed)}));
    }

    fn take_call(&mut self, id: &str, body: &str, outcome: Option<&str>) -> Result<(), Fault> {
        let call: Call = read(body)?;
        let ended: Option<CallOutcome> = outcome.map(read).transpose()?;
        let status = ended.as_ref().map_or(CallStatus::Open, |outcome| outcome.status);
        let sealed = outcome.map(|outcome| self.sealed("call", &[id, "outcome"], outcome)).transpose()?;
        let row = json!({"id": id, "kind": kind_name(call.kind), "status": status.as_str(),
            "started_at": call.started_at.millis(),
            "finished_at": ended.as_ref().map(|outcome| outcome.finished_at.millis()),
            "cached": ended.as_ref().is_some_and(|outcome| outcome.cached),
            "body": self.sealed("call", &[id, "body"], body)?, "outcome": sealed});
        if ended.is_none() {
            self.work.push((work_name(WorkKind::Call), call.id.to_bytes(), Some(call.lease_until)));
        }
        self.add("call", row);
        Ok(())
    }

    /// An event follows the one before it, in its log's tree.
    fn take_event(&mut self, line: &Line) -> Result<(), Fault> {
        let Line::AuditEvent { epoch, number, time, action, actor, resource, hash, leaf, disclosures } = line
        else {
            return Ok(());
        };
        let log = self.logs.entry(*epoch).or_default();
        let hashed = leaf_hash(leaf.as_bytes());
        if log.frontier.size() != *number || hex::encode(hashed) != *hash {
            return Err(altered());
        }
        let mut completed = Vec::new();
        log.frontier.append_with(hashed, |node| completed.push(node));
        log.last_hash = hashed;
        let place = format!("{epoch}/{number}");
        let said: Value = read(leaf)?;
        let event_id = said["event_id"].as_str().ok_or_else(altered)?;
        let row = json!({"epoch": epoch, "number": number, "time": time, "action": action, "actor": actor,
            "resource": resource, "event_id": event_id, "hash": bytes(hashed),
            "leaf": self.sealed("audit_event", &[&place, "leaf"], leaf)?,
            "disclosures": self.sealed("audit_event", &[&place, "disclosures"], disclosures)?});
        self.add("audit_event", row);
        for node in completed.into_iter().filter(|node| node.level > 0) {
            let row =
                json!({"epoch": epoch, "level": node.level, "number": node.index, "hash": bytes(node.hash)});
            self.add("merkle_node", row);
        }
        Ok(())
    }

    /// Puts what waits.
    pub(super) async fn put(&mut self, session: &Session) -> Result<(), Fault> {
        for table in TABLES {
            let Some(rows) = self.waiting.remove(table) else { continue };
            let columns: Vec<_> =
                rows.first().and_then(Value::as_object).into_iter().flat_map(|row| row.keys()).collect();
            let columns = columns.iter().map(|it| it.as_str()).collect::<Vec<_>>().join(", ");
            let insert = format!(
                "INSERT INTO {table}({columns}) SELECT {columns} FROM json_populate_recordset(
                    (SELECT its FROM {table} AS its WHERE false), $1::text::json)"
            );
            let rows = Value::Array(rows).to_string();
            session.execute_typed(&insert, params![rows => TEXT]).await?;
        }
        Ok(())
    }
}
