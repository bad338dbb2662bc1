//! A run as a pure state machine.
//!
//! [`Run::step`] takes what happened and answers with events and commands. Events are facts: the worker
//! journals them, in order and in one transaction with the run's cursor, and only then carries the
//! commands out. Replaying the events gives the same run, and [`Run::commands`] derives what is
//! outstanding from the run alone, so a crash at any point loses nothing.

mod apply;
mod command;
mod decide;
mod error;
mod event;
mod input;
mod light;
mod render;
mod retry;
mod settle;
mod simulate;
mod start;
mod state;
mod values;

pub use command::{Command, Request};
pub use error::{StartError, StepError, StepErrorCode};
pub use event::{Event, EventKind, Opening};
pub use input::{Chance, Input, Moment, Outcome, Progress};
pub use retry::RetryRefusal;
pub use start::Start;
pub use state::{Attempt, AttemptResult, Mode, Reason, Run, RunStatus, Step, StepStatus};
pub use values::{Delivered, Values};

/// Bytes of a run's input, and of one step's output, as JSON.
pub const MAX_VALUE_BYTES: usize = 1024 * 1024;
/// Bytes of all outputs of a run together, as JSON.
pub const MAX_RUN_BYTES: usize = 8 * 1024 * 1024;
/// Steps of one run that are performed at the same time.
pub const MAX_PARALLEL_STEPS: usize = 16;
/// How often a step whose outcome a crash left unknown is tried again before it is given up.
pub const MAX_UNKNOWN_OUTCOMES: u32 = 5;
/// Attempts of a step that the run remembers; the journal has them all.
pub const MAX_REMEMBERED_ATTEMPTS: usize = 50;

#[cfg(test)]
mod tests;
