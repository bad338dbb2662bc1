//! Workflows without I/O: definitions and their validation, the run as a pure state machine, and the
//! signature schemes of inbound webhooks. Time, ids and randomness come in as arguments; nothing here
//! reads a clock, a file or a network.

pub mod definition;
pub mod engine;
pub mod hook;
mod template;

pub use definition::{Definition, Fault, NodeName, validate};
pub use engine::{Command, Event, Input, Moment, Outcome, Progress, Request, Run};

/// The template "Inbound lead triage": a webhook delivers a lead, a model classifies it, hot leads go to
/// the tenant's CRM, and every lead becomes a contact.
pub const INBOUND_LEAD_TRIAGE: &str = include_str!("../templates/inbound-lead-triage.yaml");

/// The template "Issue triage": GitHub delivers an event, a model classifies the issue in it if there is
/// one, and the result becomes a record.
pub const ISSUE_TRIAGE: &str = include_str!("../templates/issue-triage.yaml");
