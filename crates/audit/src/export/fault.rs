//! What can be wrong with an export, each with the line and a plain sentence.

use crate::note::{CheckpointError, NoteError, Origin};
use ids::TenantId;
use std::io;

/// Why an export is not the log that was signed, or could not be checked. Lines count from 1.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file could not be read on.
    #[error("line {line} could not be read")]
    Unreadable {
        /// The line.
        line: u64,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The key is not named after a log.
    #[error("the key {name} is not the key of a Tenantry log")]
    NotALogKey {
        /// The key's name.
        name: String,
    },
    /// The earlier checkpoint cannot be used.
    #[error("the earlier checkpoint cannot be used: {0}")]
    EarlierCheckpoint(CheckpointError),
    /// A line is longer than a leaf can be.
    #[error("line {line} is longer than an event can be: it was altered or inserted")]
    TooLong {
        /// The line.
        line: u64,
    },
    /// A line is not an event.
    #[error("line {line} is not an event: it was altered, inserted or cut short")]
    NotAnEvent {
        /// The line.
        line: u64,
    },
    /// A line is an event of another tenant.
    #[error("line {line} is an event of another tenant, {found}")]
    OtherTenant {
        /// The line.
        line: u64,
        /// Whose event it is.
        found: TenantId,
    },
    /// A line is an event of another of the tenant's logs.
    #[error("line {line} is an event of another log of this tenant, in {region}, epoch {epoch}")]
    OtherLog {
        /// The line.
        line: u64,
        /// The region it names.
        region: String,
        /// The epoch it names.
        epoch: u64,
    },
    /// Events are missing, or are in another order.
    #[error("line {line} has event {found} where event {expected} belongs: events were removed or reordered")]
    Missing {
        /// The line.
        line: u64,
        /// The event that belongs here.
        expected: u64,
        /// The event that is here.
        found: u64,
    },
    /// An event came again, or events are in another order.
    #[error(
        "line {line} has event {found} where event {expected} belongs: events were inserted, repeated or \
         reordered"
    )]
    OutOfOrder {
        /// The line.
        line: u64,
        /// The event that belongs here.
        expected: u64,
        /// The event that is here.
        found: u64,
    },
    /// An event does not follow the one before it.
    #[error(
        "line {line} does not follow the line before it: one of the two was altered, inserted or replaced"
    )]
    BrokenLink {
        /// The later of the two lines.
        line: u64,
    },
    /// The file ends without a checkpoint.
    #[error("after line {line} the checkpoint is missing: the end of the file was cut off")]
    NoCheckpoint {
        /// The last line.
        line: u64,
    },
    /// Something follows the checkpoint.
    #[error("line {line} follows the checkpoint, which should be the last line")]
    AfterCheckpoint {
        /// The line.
        line: u64,
    },
    /// The checkpoint is not one that this log signed.
    #[error("the checkpoint on line {line} cannot be trusted: {source}")]
    Checkpoint {
        /// The line.
        line: u64,
        /// Why not.
        #[source]
        source: CheckpointError,
    },
    /// The checkpoint is over another tenant's or another of the tenant's logs.
    #[error("the checkpoint on line {line} is of another log, {found}")]
    CheckpointOfOtherLog {
        /// The line.
        line: u64,
        /// The log it is of.
        found: Origin,
    },
    /// A witness whose key was given is said to have cosigned, and has not.
    #[error("a cosignature on line {line} is wrong: {source}")]
    Cosignature {
        /// The line.
        line: u64,
        /// Whose, and how.
        #[source]
        source: NoteError,
    },
    /// The checkpoint is over more events than there are.
    #[error("the log signed {signed} events and the file has {found}: its end was cut off")]
    CutShort {
        /// Events that the checkpoint is over.
        signed: u64,
        /// Events in the file.
        found: u64,
    },
    /// The checkpoint is over fewer events than there are.
    #[error(
        "the log signed {signed} events and the file has {found}: events were added, or the checkpoint is old"
    )]
    NotSigned {
        /// Events that the checkpoint is over.
        signed: u64,
        /// Events in the file.
        found: u64,
    },
    /// As many events as were signed, but not the same.
    #[error("the {size} events are not those that the log signed: one or more were altered or replaced")]
    OtherEvents {
        /// Events in the file and in the checkpoint.
        size: u64,
    },
    /// The log had more events before.
    #[error(
        "the log once signed {earlier} events and now signs {size}: its end was cut off, or this is an old export"
    )]
    Shrunk {
        /// Events in the earlier checkpoint.
        earlier: u64,
        /// Events now.
        size: u64,
    },
    /// The key signed two histories.
    #[error(
        "the log signed two histories: its first {earlier} events are not those of the earlier checkpoint"
    )]
    Forked {
        /// Events in the earlier checkpoint.
        earlier: u64,
    },
}

impl Fault {
    /// The fault for programs. Stable once released.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "unreadable",
            Self::NotALogKey { .. } => "not_a_log_key",
            Self::EarlierCheckpoint(_) => "earlier_checkpoint",
            Self::TooLong { .. } => "too_long",
            Self::NotAnEvent { .. } => "not_an_event",
            Self::OtherTenant { .. } => "other_tenant",
            Self::OtherLog { .. } => "other_log",
            Self::Missing { .. } => "missing",
            Self::OutOfOrder { .. } => "out_of_order",
            Self::BrokenLink { .. } => "broken_link",
            Self::NoCheckpoint { .. } => "no_checkpoint",
            Self::AfterCheckpoint { .. } => "after_checkpoint",
            Self::Checkpoint { .. } => "checkpoint",
            Self::CheckpointOfOtherLog { .. } => "checkpoint_of_other_log",
            Self::Cosignature { .. } => "cosignature",
            Self::CutShort { .. } => "cut_short",
            Self::NotSigned { .. } => "not_signed",
            Self::OtherEvents { .. } => "other_events",
            Self::Shrunk { .. } => "shrunk",
            Self::Forked { .. } => "forked",
        }
    }

    /// The line that shows the fault, where one does.
    pub fn line(&self) -> Option<u64> {
        match self {
            Self::Unreadable { line, .. }
            | Self::TooLong { line }
            | Self::NotAnEvent { line }
            | Self::OtherTenant { line, .. }
            | Self::OtherLog { line, .. }
            | Self::Missing { line, .. }
            | Self::OutOfOrder { line, .. }
            | Self::BrokenLink { line }
            | Self::NoCheckpoint { line }
            | Self::AfterCheckpoint { line }
            | Self::Checkpoint { line, .. }
            | Self::CheckpointOfOtherLog { line, .. }
            | Self::Cosignature { line, .. } => Some(*line),
            Self::NotALogKey { .. }
            | Self::EarlierCheckpoint(_)
            | Self::CutShort { .. }
            | Self::NotSigned { .. }
            | Self::OtherEvents { .. }
            | Self::Shrunk { .. }
            | Self::Forked { .. } => None,
        }
    }

    /// Whether the check ran and the answer is bad news. Otherwise it could not run.
    pub fn is_bad_news(&self) -> bool {
        !matches!(self, Self::Unreadable { .. } | Self::NotALogKey { .. } | Self::EarlierCheckpoint(_))
    }
}
