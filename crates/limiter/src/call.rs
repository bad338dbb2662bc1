//! A call as it asks to be admitted, and where the limits stand after it.

use env::Timestamp;
use ids::CallId;
use metering::budget::BudgetScope;
use metering::headers;
use metering::window::{Standing, Window};
use money::Usd;
use store::{Call, CallKind};

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A model: an AI call.
    Ai,
    /// An outside service: an API call.
    Api,
}

impl Kind {
    /// Both kinds.
    pub const ALL: [Self; 2] = [Self::Ai, Self::Api];

    /// The window's name, as `RateLimit` shows it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ai => "ai",
            Self::Api => "api",
        }
    }
}

impl From<CallKind> for Kind {
    fn from(kind: CallKind) -> Self {
        match kind {
            CallKind::Model => Self::Ai,
            CallKind::Service => Self::Api,
        }
    }
}

/// A call that asks to be admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedCall {
    /// Its id.
    pub id: CallId,
    /// What is called.
    pub kind: Kind,
    /// What it is charged to: the tenant, and the key, agent and workflow that there are.
    pub scopes: Vec<BudgetScope>,
    /// The most that it can cost; `None` where there is no price for it.
    pub worst_case: Option<Usd>,
    /// When it begins, as its row says.
    pub at: Timestamp,
    /// Until when it may be under way; then its worst case is charged.
    pub lease_until: Timestamp,
}

/// The call of which a row tells, or will tell: its worst case is what the row reserves.
impl From<&Call> for PlannedCall {
    fn from(call: &Call) -> Self {
        Self {
            id: call.id,
            kind: call.kind.into(),
            scopes: call.scopes(),
            worst_case: Some(call.reserved),
            at: call.started_at,
            lease_until: call.lease_until,
        }
    }
}

/// How many calls of a kind may be under way at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parallel {
    /// The most; `None` is unlimited.
    pub limit: Option<u64>,
    /// How many there are.
    pub under_way: u64,
}

/// Where the limits on calls of a kind stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitStanding {
    /// What kind.
    pub kind: Kind,
    /// The window.
    pub window: Window,
    /// Where the window stands.
    pub standing: Standing,
    /// The calls under way.
    pub parallel: Parallel,
}

impl LimitStanding {
    /// The value of `RateLimit`; `None` where there is no limit.
    pub fn rate_limit(&self) -> Option<String> {
        headers::rate_limit(self.kind.as_str(), &self.standing)
    }

    /// The value of `RateLimit-Policy`; `None` where there is no limit.
    pub fn rate_limit_policy(&self) -> Option<String> {
        headers::rate_limit_policy(self.kind.as_str(), &self.window)
    }
}

/// A call that was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Where the limits stand, with the call counted.
    pub standing: LimitStanding,
}
