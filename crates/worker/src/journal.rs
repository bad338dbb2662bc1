//! From the engine's run to what is stored of it: the row, the steps that moved, the events, the marks.

use crate::machine::Batch;
use audit::event::{Action, Draft, Outcome};
use context::Tenant;
use env::Timestamp;
use ids::Id;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use store::{Commit, Mark, RunStatus, RunUpdate, StepRow, WorkKind};
use workflow::engine::{Reason, Run, RunStatus as EngineStatus, Step, StepStatus};
use workflow::{Command, Definition, Event, NodeName};

const FINISH: Action = Action::new("run.finish");
/// What is content in an event of the engine. Events are shown to whoever may see the run.
const CONTENT: [&str; 5] = ["output", "branch", "input", "config", "steps"];

/// What was written last.
pub(crate) struct Journal {
    row: store::Run,
    /// What went into each step that has an effect.
    inputs: HashMap<NodeName, Value>,
    /// The steps that are kept by themselves. The others are in the run's state as it was made.
    written: HashMap<NodeName, Step>,
    /// Whether the work's mark was written in this visit. A restored store came without marks.
    marked: bool,
}

impl Journal {
    /// What was written before, for a run that was just read.
    pub(crate) fn new(row: store::Run, run: &Run, steps: Vec<StepRow>) -> Self {
        let mut journal = Self { row, inputs: HashMap::new(), written: HashMap::new(), marked: false };
        for stored in steps {
            let Ok(node) = stored.node.parse::<NodeName>() else { continue };
            if let Some(step) = run.step_of(&node).filter(|_| !stored.state.is_empty()) {
                journal.written.insert(node.clone(), step.clone());
            }
            if let Some(input) = stored.input {
                journal.inputs.insert(node, input);
            }
        }
        journal
    }

    pub(crate) fn row(&self) -> &store::Run {
        &self.row
    }

    /// What makes the batch durable. `extra` is what else shares the commit.
    pub(crate) fn update(
        &mut self,
        tenant: &Tenant<'_>,
        definition: &Definition,
        run: &Run,
        batch: &Batch,
        (extra, now): (Commit, Timestamp),
    ) -> Option<(RunUpdate, Commit)> {
        for command in &batch.commands {
            if let Command::Perform { node, request, .. } = command
                && let Ok(input) = serde_json::to_value(request)
            {
                self.inputs.insert(node.clone(), input);
            }
        }
        let before = self.row.clone();
        self.row.status = status(run.status());
        self.row.cursor += 1;
        self.row.updated_at = now;
        self.row.finished_at = run.finished_at();
        self.row.due = (self.row.status == RunStatus::Waiting).then(|| run.wake_at()).flatten();
        self.row.last_error = last_error(run);
        let state = serde_json::to_string(&run.without_steps()).ok()?;
        let steps = self.moved(definition, run)?;
        let events = batch.events.iter().filter_map(shown).collect();
        let mut commit = extra;
        if self.row.status.is_finished() {
            commit = commit.and_event(finished(tenant, Some(run), &self.row));
        }
        if self.row.status.is_finished() || before.due != self.row.due || !self.marked {
            commit = commit.and_mark(mark(&self.row));
            self.marked = true;
        }
        Some((RunUpdate { run: self.row.clone(), state, steps, events }, commit))
    }

    /// The run as it was written last.
    pub(crate) fn into_row(self) -> store::Run {
        self.row
    }

    /// The rows of the steps that are not as they were written last: with the first move, of all.
    fn moved(&mut self, definition: &Definition, run: &Run) -> Option<Vec<StepRow>> {
        let mut rows = Vec::new();
        for node in definition.nodes() {
            let Some(step) = run.step_of(&node.id) else { continue };
            if self.written.get(&node.id) != Some(step) {
                let output = run.values().outputs.get(&node.id).cloned();
                let input = self.inputs.get(&node.id).cloned();
                let state = serde_json::to_string(step).ok()?;
                rows.push(StepRow { state, ..row(step, &node.id, node.kind.name(), input, output) });
                self.written.insert(node.id.clone(), step.clone());
            }
        }
        Some(rows)
    }
}

/// A run that cannot go on, for a reason that people are told.
pub(crate) fn given_up(
    tenant: &Tenant<'_>,
    mut row: store::Run,
    state: String,
    (reason, now): (String, Timestamp),
) -> (RunUpdate, Commit) {
    row.status = RunStatus::Failed;
    row.cursor += 1;
    (row.updated_at, row.finished_at, row.due) = (now, Some(now), None);
    row.last_error = Some(reason);
    let commit = Commit::event(finished(tenant, None, &row)).and_mark(mark(&row));
    let finished = json!({"event": "finished", "status": "failed"});
    (RunUpdate { run: row, state, steps: Vec::new(), events: vec![(now, finished)] }, commit)
}

fn mark(row: &store::Run) -> Mark {
    let (kind, id) = (WorkKind::Run, row.id.to_bytes());
    if row.status.is_finished() { Mark::Closed { kind, id } } else { Mark::Open { kind, id, due: row.due } }
}

fn row(step: &Step, node: &NodeName, kind: &str, input: Option<Value>, output: Option<Value>) -> StepRow {
    StepRow {
        id: step.id,
        node: node.to_string(),
        kind: kind.to_owned(),
        status: name(&step.status),
        attempts: step.attempts.last().map_or(0, |attempt| attempt.number),
        input,
        output,
        error: step.error.as_ref().map(|error| error.message.clone()),
        cost: step.cost(),
        started_at: step.attempts.first().map(|attempt| attempt.started_at).or(step.ended_at),
        finished_at: step.ended_at,
        state: String::new(),
    }
}

fn name(status: &StepStatus) -> String {
    let name = serde_json::to_value(status).ok();
    name.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned()
}

pub(crate) fn status(status: EngineStatus) -> RunStatus {
    match status {
        EngineStatus::Queued => RunStatus::Queued,
        EngineStatus::Running => RunStatus::Running,
        EngineStatus::Waiting => RunStatus::Waiting,
        EngineStatus::Succeeded => RunStatus::Succeeded,
        EngineStatus::Failed => RunStatus::Failed,
        EngineStatus::Cancelled => RunStatus::Cancelled,
    }
}

/// What went wrong last: why the run is over, or why a step of it waits to be tried again.
fn last_error(run: &Run) -> Option<String> {
    match run.reason() {
        Some(Reason::StepFailed { node, error }) => Some(format!("Step `{node}` failed: {error}")),
        Some(Reason::OutcomeUnknown { node }) => {
            Some(format!("It is not known whether step `{node}` took effect. Check before you retry."))
        }
        Some(Reason::RunTimedOut) => Some("The run took longer than its definition allows.".to_owned()),
        Some(Reason::Cancelled) => Some("The run was cancelled.".to_owned()),
        None => {
            let mut waiting = run.steps().filter(|(_, step)| step.status == StepStatus::Waiting);
            waiting.find_map(|(node, step)| {
                let error = step.error.as_ref()?;
                Some(format!("Step `{node}` is tried again: {error}"))
            })
        }
    }
}

/// An event as it is journaled: with the time beside it and without content.
fn shown(event: &Event) -> Option<(Timestamp, Value)> {
    let mut value = serde_json::to_value(event).ok()?;
    let members: &mut Map<String, Value> = value.as_object_mut()?;
    members.remove("at");
    for name in CONTENT {
        members.remove(name);
    }
    Some((event.at, value))
}

/// That a run is over. What it cost is not known of one whose state cannot be read.
fn finished(tenant: &Tenant<'_>, run: Option<&Run>, row: &store::Run) -> Draft {
    let mut draft = context::event::draft(tenant, FINISH, "run", row.id.to_string());
    draft.details.insert("workflow".into(), json!(row.workflow));
    draft.details.insert("status".into(), json!(row.status));
    if let Some(run) = run {
        draft.details.insert("cost_usd".into(), json!(run.cost().to_string()));
    }
    if row.status == RunStatus::Failed {
        draft.result = Outcome::Failure;
        if let Some(Reason::StepFailed { node, .. } | Reason::OutcomeUnknown { node }) =
            run.and_then(Run::reason)
        {
            draft.details.insert("node".into(), json!(node));
        }
    }
    draft
}
