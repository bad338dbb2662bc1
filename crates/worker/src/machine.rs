//! [`Machine`]: the engine's run, fed off the threads that serve connections unless that is certainly little
//! work. What a definition computes is bounded, but long enough to be felt by others.

use env::Env;
use std::sync::{Arc, Mutex, PoisonError};
use workflow::engine::{Chance, Input, Moment, Progress, Run};
use workflow::{Command, Definition, Event};

/// A run with its definition.
pub(crate) struct Machine {
    run: Arc<Mutex<Run>>,
    definition: Arc<Definition>,
    env: Env,
}

/// What has happened since the last commit, and what is to be done once that is durable.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) events: Vec<Event>,
    pub(crate) commands: Vec<Command>,
}

/// The engine did not come back; its run must be read again.
#[derive(Debug, thiserror::Error)]
#[error("the engine ended without an answer")]
pub(crate) struct EngineLost;

impl Machine {
    pub(crate) fn new(run: Run, definition: Arc<Definition>, env: Env) -> Self {
        Self { run: Arc::new(Mutex::new(run)), definition, env }
    }

    pub(crate) fn definition(&self) -> &Definition {
        &self.definition
    }

    /// Looks at the run.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Run) -> T) -> T {
        look(&self.run.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Feeds an input. Where nothing may be begun any more, attempts that the engine begins are handed back
    /// before they are performed, as if a limit had refused them: that uses up no attempt, and the run waits.
    /// `room` is how many bytes may be stored of what steps make.
    pub(crate) async fn feed(
        &self,
        input: Input,
        batch: &mut Batch,
        (begin_nothing, room): (bool, Option<u64>),
    ) -> Result<(), EngineLost> {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let progress = self.step(input, room).await?;
            batch.events.extend(progress.events);
            for command in progress.commands {
                match command {
                    Command::Perform { node, attempt, .. } if begin_nothing => {
                        inputs.push(Input::Outcome { node, attempt, outcome: self.handed_back() });
                    }
                    command => batch.commands.push(command),
                }
            }
        }
        Ok(())
    }

    /// The outcome of an attempt that certainly had no effect.
    pub(crate) fn handed_back(&self) -> workflow::Outcome {
        workflow::Outcome::RateLimited { until: self.env.now() }
    }

    async fn step(&self, input: Input, room: Option<u64>) -> Result<Progress, EngineLost> {
        let (run, definition) = (Arc::clone(&self.run), Arc::clone(&self.definition));
        let moment =
            Moment { now: self.env.now(), chance: Chance(u64::from_le_bytes(self.env.random())), room };
        if self.env.is_in_place() || self.look(|run| run.is_light(&definition, &input)) {
            return Ok(run.lock().unwrap_or_else(PoisonError::into_inner).step(&definition, input, moment));
        }
        let stepped = tokio::task::spawn_blocking(move || {
            run.lock().unwrap_or_else(PoisonError::into_inner).step(&definition, input, moment)
        });
        stepped.await.map_err(|_| EngineLost)
    }

    /// What is outstanding, as the run alone tells.
    pub(crate) async fn outstanding(&self) -> Result<Vec<Command>, EngineLost> {
        let (run, definition) = (Arc::clone(&self.run), Arc::clone(&self.definition));
        if self.env.is_in_place() {
            return Ok(self.look(|run| run.commands(&definition)));
        }
        let derived = tokio::task::spawn_blocking(move || {
            run.lock().unwrap_or_else(PoisonError::into_inner).commands(&definition)
        });
        derived.await.map_err(|_| EngineLost)
    }
}
