//! How a run begins, anew or from its journal.

use super::error::StartError;
use super::event::{Event, EventKind, Opening};
use super::state::{Mode, Run, RunStatus, Step};
use super::values::{Delivered, Values};
use super::{MAX_VALUE_BYTES, Progress};
use crate::definition::Definition;
use crate::template::bytes_of;
use env::Timestamp;
use ids::{RunId, StepId, WorkflowId};
use serde_json::Value;
use std::time::Duration;

/// What a run begins with. The configuration must have passed [`crate::definition::check_config`].
#[derive(Clone, Debug)]
pub struct Start {
    /// The run's id.
    pub run: RunId,
    /// Its workflow.
    pub workflow: WorkflowId,
    /// Whether effects happen.
    pub mode: Mode,
    /// What starts it.
    pub input: Value,
    /// The instance's configuration.
    pub config: Value,
    /// The delivery that starts it, if one does.
    pub delivery: Option<Delivered>,
    /// The time.
    pub now: Timestamp,
}

impl Run {
    /// Makes a run and queues it. `step_id` gives each step its id. The event must be durable before the
    /// caller is told that the run is accepted.
    pub fn start(
        definition: &Definition,
        start: Start,
        step_id: &mut dyn FnMut() -> StepId,
    ) -> Result<(Self, Progress), StartError> {
        let bytes = bytes_of(&start.input);
        if bytes > MAX_VALUE_BYTES {
            return Err(StartError::InputTooLarge(bytes));
        }
        let opening = Opening {
            run: start.run,
            workflow: start.workflow,
            mode: start.mode,
            deadline: start.now.plus(Duration::from_secs(definition.timeout_seconds)),
            steps: definition.nodes.iter().map(|node| (node.id.clone(), step_id())).collect(),
            input: start.input,
            config: start.config,
            delivery: start.delivery,
        };
        let run = Self::open(opening.clone(), start.now);
        let event = Event { at: start.now, kind: EventKind::Opened(Box::new(opening)) };
        let commands = run.wake_command().into_iter().collect();
        Ok((run, Progress { events: vec![event], commands }))
    }

    /// The run that these events made.
    pub fn replay(
        definition: &Definition,
        events: impl IntoIterator<Item = Event>,
    ) -> Result<Self, StartError> {
        let mut events = events.into_iter();
        let Some(Event { at, kind: EventKind::Opened(opening) }) = events.next() else {
            return Err(StartError::NoOpening);
        };
        let known = |node: &crate::definition::Node| opening.steps.contains_key(&node.id);
        if opening.steps.len() != definition.nodes.len() || !definition.nodes.iter().all(known) {
            return Err(StartError::OtherDefinition);
        }
        let mut run = Self::open(*opening, at);
        for event in events {
            run.apply(definition, &event);
        }
        Ok(run)
    }

    fn open(opening: Opening, at: Timestamp) -> Self {
        Self {
            id: opening.run,
            workflow: opening.workflow,
            mode: opening.mode,
            status: RunStatus::Queued,
            reason: None,
            created_at: at,
            started_at: None,
            finished_at: None,
            deadline: opening.deadline,
            sequence: 1,
            delivery: opening.delivery,
            steps: opening.steps.into_iter().map(|(node, id)| (node, Step::new(id))).collect(),
            values: Values { input: opening.input, config: opening.config, ..Values::default() },
        }
    }
}
