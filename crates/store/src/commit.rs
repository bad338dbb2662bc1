//! [`Commit`]: what becomes durable together with a write.

use crate::{IdempotencyClaim, Mark};
use audit::event::Draft;

/// The audit events, marks and idempotency claim that share one durable commit with a write.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// Events for the tenant's log, in this order.
    pub events: Vec<Draft>,
    /// Work that begins or ends with this write.
    pub marks: Vec<Mark>,
    /// The caller's idempotency key, which no second write may carry.
    pub claim: Option<IdempotencyClaim>,
}

impl Commit {
    /// A commit with one audit event.
    pub fn event(draft: Draft) -> Self {
        Self { events: vec![draft], ..Self::default() }
    }

    /// Adds an audit event.
    #[must_use]
    pub fn and_event(mut self, draft: Draft) -> Self {
        self.events.push(draft);
        self
    }

    /// Adds a mark.
    #[must_use]
    pub fn and_mark(mut self, mark: Mark) -> Self {
        self.marks.push(mark);
        self
    }

    /// Adds the caller's idempotency key.
    #[must_use]
    pub fn claiming(mut self, claim: Option<IdempotencyClaim>) -> Self {
        self.claim = claim;
        self
    }
}
