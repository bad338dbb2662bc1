//! Carries runs out: admits them fairly, performs their steps, and goes on with them after a stop.
//!
//! The [`Scheduler`] knows which runs there are and whose turn it is. The [`Worker`] takes admitted runs
//! from it; each is carried out by one driver, in a visit of the system principal `run_execution` for
//! whoever started it. A driver feeds the pure engine of the crate `workflow`, makes what the engine decides
//! durable, and only then performs it. So a stop at any point loses nothing: what was decided is at rest,
//! and an attempt that may have begun is reported as of unknown outcome.

mod claims;
mod drive;
mod journal;
mod machine;
mod open;
mod perform;
mod recovery;
mod retention;
mod scheduler;
mod settings;
mod visit;
mod worker;

pub use scheduler::Scheduler;
pub use settings::Settings;
pub use worker::Worker;
