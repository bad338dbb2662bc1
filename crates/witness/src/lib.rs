//! A witness of audit logs (C2SP tlog-witness): a small process, run by somebody else than the log's holder,
//! that keeps the last checkpoint of each log it watches and cosigns only what grew from it. So a log that
//! is rolled back, cut or forked is refused, whoever holds the log's key.
//!
//! It has a key of its own, made at the first start, and knows the logs that its configuration names. What it
//! cosigned is on the disk before it answers.

mod config;
mod serve;
mod state;
mod submission;

#[cfg(test)]
mod tests;

pub use config::{Config, ConfigError};
pub use serve::serve;
pub use state::StateError;
pub use submission::{Refused, Watched, Witness};
