//! A tenant's way from one kind of home to another.

use crate::Isolation;
use std::time::Duration;

/// How far a move is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MovePhase {
    /// Nobody has taken it up.
    Waiting,
    /// The new home is made.
    Making,
    /// Everything is copied, while the tenant goes on.
    Copying,
    /// What was copied is compared with what is there.
    Comparing,
    /// The tenant's writes wait, and it is put to its new home.
    Switching,
    /// The tenant is in its new home, and the old one is removed.
    Removing,
    /// It has failed, and what was made for it is removed. The tenant is where it was.
    Undoing,
    /// It has ended, and the tenant is in its new home.
    Done,
    /// It has failed, and the tenant is where it was.
    Failed,
}

impl MovePhase {
    /// Every phase.
    pub const ALL: [Self; 9] = [
        Self::Waiting,
        Self::Making,
        Self::Copying,
        Self::Comparing,
        Self::Switching,
        Self::Removing,
        Self::Undoing,
        Self::Done,
        Self::Failed,
    ];

    /// Its name in the interface and where it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Making => "making",
            Self::Copying => "copying",
            Self::Comparing => "comparing",
            Self::Switching => "switching",
            Self::Removing => "removing",
            Self::Undoing => "undoing",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    /// The phase with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == name)
    }

    /// Whether nothing comes after it.
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Done | Self::Failed)
    }
}

/// A move of a tenant, the last that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantMove {
    /// How the tenant was kept before.
    pub from: Isolation,
    /// How it is to be kept.
    pub to: Isolation,
    /// How far it is.
    pub phase: MovePhase,
    /// How many rows the tenant has, once they are copied.
    pub rows: Option<u64>,
    /// How long the tenant's writes waited, where that was measured to its end.
    pub paused: Option<Duration>,
    /// What went wrong last.
    pub error: Option<String>,
}
