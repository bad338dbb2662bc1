//! What a tenant's log says happened, by names alone: for whoever wants to know that there is something to look at.

use audit::event::{Outcome, Resource};
use env::Timestamp;
use ids::EventId;
use serde::Deserialize;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Happened {
    /// The event that says so.
    #[serde(rename = "event_id")]
    pub event: EventId,
    /// The event's index in the log.
    #[serde(rename = "seq")]
    pub index: u64,
    /// What was done.
    pub action: String,
    /// What it was done to. A person is hidden, as in the leaf.
    pub resource: Resource,
    /// How it went.
    pub result: Outcome,
    /// When.
    pub time: Timestamp,
}

impl Happened {
    /// What a leaf says. `None` where it is not a leaf.
    pub fn of(leaf: &[u8]) -> Option<Self> {
        serde_json::from_slice(leaf).ok()
    }

    /// Whether it may have changed what configures the tenant: who may come in and as what, what may be used and
    /// spent, and what is carried out.
    pub fn configures(&self) -> bool {
        self.result == Outcome::Success && Self::CONFIGURING.contains(&self.action.as_str())
    }

    /// What is done to configure a tenant.
    pub const CONFIGURING: [&str; 23] = [
        "agent.create",
        "agent.delete",
        "agent.update",
        "api_key.create",
        "api_key.revoke",
        "budget.delete",
        "budget.put",
        "collection.declare",
        "credential.delete",
        "credential.put",
        "signing_key.create",
        "signing_key.revoke",
        "tenant.create",
        "tenant.move",
        "tenant.restore",
        "tenant.resume",
        "tenant.suspend",
        "tenant.update",
        "workflow.create",
        "workflow.delete",
        "workflow.rotate_hook",
        "workflow.update",
        "workflow.upgrade",
    ];
}

/// A part of what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happenings {
    /// Which of the tenant's logs it is: another one begins where a log is lost.
    pub epoch: u64,
    /// How many events the log has.
    pub size: u64,
    /// From where on to look next.
    pub next: u64,
    /// What happened, oldest first.
    pub events: Vec<Happened>,
}

impl Happenings {
    /// The most that is looked through at once.
    pub const AT_ONCE: u64 = 200;

    /// The events to look through, from the first up to and without the last, where somebody looks from this index on
    /// at a log of this size. Whoever knows no index begins at the end.
    pub fn range(from: Option<u64>, size: u64) -> (u64, u64) {
        let from = from.map_or(size, |from| from.min(size));
        (from, size.min(from.saturating_add(Self::AT_ONCE)))
    }
}

#[cfg(test)]
mod tests {
    use super::Happenings;

    #[test]
    fn nothing_is_looked_through_past_the_end_or_all_at_once() {
        assert_eq!(Happenings::range(None, 7), (7, 7));
        assert_eq!(Happenings::range(Some(3), 7), (3, 7));
        assert_eq!(Happenings::range(Some(9), 7), (7, 7));
        assert_eq!(Happenings::range(Some(0), 1000), (0, 200));
        assert_eq!(Happenings::range(Some(u64::MAX), u64::MAX), (u64::MAX, u64::MAX));
    }
}
