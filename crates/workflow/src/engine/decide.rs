//! What follows from an input: the only place where a run decides something.

use super::MAX_PARALLEL_STEPS;
use super::apply::Gate;
use super::command::{Command, Request};
use super::event::{Event, EventKind};
use super::input::{Input, Moment, Progress};
use super::render;
use super::state::{Mode, Reason, Run, RunStatus, StepStatus};
use crate::definition::{Definition, Node};
use crate::template::Language;
use sha2::{Digest, Sha256};
use std::time::Duration;

impl Run {
    /// Takes an input and goes as far as it leads: evaluates what needs no worker, begins attempts,
    /// parks or finishes the run. An input that no longer matters changes nothing.
    pub fn step(&mut self, definition: &Definition, input: Input, moment: Moment) -> Progress {
        let language = Language::new();
        let progress = Progress::default();
        let mut decider = Decider { run: self, definition, moment, language, progress, made: 0 };
        decider.take(input);
        decider.go_on();
        decider.progress
    }

    /// The commands that are outstanding, derived from the run alone: each attempt under way and the next
    /// time to wake. After a crash a worker that cannot rule out that an attempt was begun reports it as
    /// [`super::Outcome::Unknown`] instead of performing it again.
    pub fn commands(&self, definition: &Definition) -> Vec<Command> {
        let language = Language::new();
        let running = definition
            .nodes
            .iter()
            .filter(|node| self.steps.get(&node.id).is_some_and(|step| step.status == StepStatus::Running));
        let performs = running.filter_map(|node| {
            let request = render::request(self, definition, node, &language).ok()?;
            self.perform(node, request)
        });
        performs.chain(self.wake_command()).collect()
    }

    pub(super) fn wake_command(&self) -> Option<Command> {
        self.wake_at().map(|at| Command::Wake { at })
    }

    fn perform(&self, node: &Node, request: Request) -> Option<Command> {
        let step = self.steps.get(&node.id)?;
        let attempt = step.current()?;
        let key = format!("tenantry step\n{}\n{}\n{}", self.id, step.id, step.generation);
        Some(Command::Perform {
            step: step.id,
            node: node.id.clone(),
            attempt: attempt.number,
            idempotency_key: hex::encode(&Sha256::digest(key)[..16]),
            dry_run: self.mode == Mode::DryRun && request.has_effect(),
            request: Box::new(request),
            deadline: attempt.deadline,
        })
    }
}

/// A run that is taking an input.
pub(super) struct Decider<'a> {
    pub(super) run: &'a mut Run,
    pub(super) definition: &'a Definition,
    pub(super) moment: Moment,
    language: Language,
    progress: Progress,
    /// Bytes of the outputs that this step of the engine made.
    pub(super) made: usize,
}

impl Decider<'_> {
    /// Makes something a fact.
    pub(super) fn record(&mut self, kind: EventKind) {
        let event = Event { at: self.moment.now, kind };
        self.run.apply(self.definition, &event);
        self.progress.events.push(event);
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Tick => {}
            Input::Admit => {
                let now = self.moment.now;
                let due = self.run.steps.values().any(|step| step.wake_at.is_some_and(|at| at <= now));
                match self.run.status {
                    RunStatus::Queued => self.record(EventKind::Admitted),
                    RunStatus::Waiting if due => self.record(EventKind::Admitted),
                    _ => {}
                }
            }
            Input::Outcome { node, attempt, outcome } => self.settle(&node, attempt, outcome),
            Input::Cancel => {
                if !self.run.status.is_over() {
                    self.stop(RunStatus::Cancelled, Reason::Cancelled);
                }
            }
            Input::Retry { from } => {
                if let Ok(reset) = self.run.retry_plan(self.definition, from.as_ref()) {
                    let span = Duration::from_secs(self.definition.timeout_seconds);
                    self.record(EventKind::Reopened { reset, deadline: self.moment.now.plus(span) });
                }
            }
        }
    }

    fn go_on(&mut self) {
        if self.run.status.is_over() {
            return;
        }
        if self.moment.now >= self.run.deadline {
            self.stop(RunStatus::Failed, Reason::RunTimedOut);
            return;
        }
        self.time_out();
        if self.run.status == RunStatus::Running {
            let definition = self.definition;
            for position in &definition.graph.order {
                self.visit(*position);
            }
            self.rest();
        }
        // A command to wake replaces the one before, so it is given whenever anything changed.
        if !self.progress.events.is_empty() {
            self.progress.commands.extend(self.run.wake_command());
        }
    }

    /// Calls off attempts whose time is up. They may have had their effect.
    fn time_out(&mut self) {
        let now = self.moment.now;
        let definition = self.definition;
        for node in &definition.nodes {
            let Some(step) = self.run.steps.get(&node.id) else { continue };
            let Some(late) = step.current().filter(|attempt| attempt.deadline <= now) else { continue };
            let (step, attempt) = (step.id, late.number);
            self.settle_timeout(node, attempt);
            self.progress.commands.push(Command::Abort { step, node: node.id.clone(), attempt });
        }
    }

    /// Does what can be done about one node. Nodes are visited in their order, so that what one decides
    /// the next already sees.
    fn visit(&mut self, position: usize) {
        let definition = self.definition;
        let node = &definition.nodes[position];
        let Some(step) = self.run.steps.get(&node.id) else { return };
        match step.status {
            StepStatus::Pending => match self.run.gate(definition, position) {
                Gate::Skip => self.record(EventKind::Skipped { node: node.id.clone() }),
                Gate::Blocked => self.record(EventKind::Blocked { node: node.id.clone() }),
                Gate::Open | Gate::Closed => {}
            },
            StepStatus::Ready if node.kind.has_effect() => self.begin(node),
            StepStatus::Ready => self.evaluate(node),
            StepStatus::Waiting if step.wake_at.is_some_and(|at| at <= self.moment.now) => self.begin(node),
            _ => {}
        }
    }

    fn evaluate(&mut self, node: &Node) {
        let made = render::evaluate(self.run, self.definition, node, &self.language);
        let node = node.id.clone();
        match made.and_then(|(output, branch)| self.bounded(&node, output).map(|output| (output, branch))) {
            Ok((output, branch)) => self.record(EventKind::Evaluated { node, output, branch }),
            Err(error) => self.record(EventKind::Rejected { node, error }),
        }
    }

    fn begin(&mut self, node: &Node) {
        if self.count(StepStatus::Running) >= MAX_PARALLEL_STEPS {
            return;
        }
        let request = match render::request(self.run, self.definition, node, &self.language) {
            Ok(request) => request,
            Err(error) => return self.record(EventKind::Rejected { node: node.id.clone(), error }),
        };
        let begun = self.run.steps.get(&node.id).map_or(0, |step| step.begun);
        let deadline = self.moment.now.plus(node.timeout()).min(self.run.deadline);
        self.record(EventKind::Attempted { node: node.id.clone(), attempt: begun + 1, deadline });
        self.progress.commands.extend(self.run.perform(node, request));
    }

    /// Parks the run or ends it, where nothing is under way.
    fn rest(&mut self) {
        if self.count(StepStatus::Running) > 0 {
            return;
        }
        let wait = self.run.steps.values().filter_map(|step| step.wake_at).min();
        match wait {
            Some(until) => self.record(EventKind::Parked { until: until.min(self.run.deadline) }),
            None => self.finish(),
        }
    }

    fn finish(&mut self) {
        let failed = self.definition.graph.order.iter().find_map(|position| {
            let node = &self.definition.nodes[*position].id;
            let step = self.run.steps.get(node)?;
            match (step.status, &step.error) {
                (StepStatus::Unknown, _) => Some(Reason::OutcomeUnknown { node: node.clone() }),
                (StepStatus::Failed, Some(error)) => {
                    Some(Reason::StepFailed { node: node.clone(), error: error.clone() })
                }
                _ => None,
            }
        });
        let status = if failed.is_some() { RunStatus::Failed } else { RunStatus::Succeeded };
        self.record(EventKind::Finished { status, reason: failed });
    }

    /// Ends the run now: what is under way is called off, the rest is cancelled.
    fn stop(&mut self, status: RunStatus, reason: Reason) {
        for (node, step) in &self.run.steps {
            if let Some(attempt) = step.current() {
                let (step, attempt) = (step.id, attempt.number);
                self.progress.commands.push(Command::Abort { step, node: node.clone(), attempt });
            }
        }
        self.record(EventKind::Stopped { reason: reason.clone() });
        self.record(EventKind::Finished { status, reason: Some(reason) });
    }

    fn count(&self, status: StepStatus) -> usize {
        self.run.steps.values().filter(|step| step.status == status).count()
    }
}
