//! Usage: every call to a model or an outside service, from its reservation to its settlement.

use crate::{Commit, Placed, StoreError};
use async_trait::async_trait;
use audit::event::Action;
use context::{Access, Delete, Principal, Private, Read, Tenant, on};
use env::Timestamp;
use ids::{AgentId, CallId, EventId, KeyId, RunId, WorkflowId};
use metering::budget::BudgetScope;
use metering::tokens::Tokens;
use money::Usd;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallKind {
    /// A model. Counts as an AI call.
    Model,
    /// An outside service. Counts as an API call.
    Service,
}

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallStatus {
    /// Under way, or lost in a crash until its lease ends.
    Open,
    /// Ended, and charged what it cost.
    Settled,
    /// Never left, and charged nothing.
    Released,
    /// Its outcome is unknown: charged its whole reservation.
    Unknown,
}

impl CallStatus {
    /// The status's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Settled => "settled",
            Self::Released => "released",
            Self::Unknown => "unknown",
        }
    }
}

/// Whose key and agent a call is charged to, beside the tenant: those that made it, or that started the run
/// of which it is a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Payer {
    /// The key.
    pub key: Option<KeyId>,
    /// The agent.
    pub agent: Option<AgentId>,
}

impl From<&Principal> for Payer {
    fn from(principal: &Principal) -> Self {
        Self { key: principal.key, agent: principal.agent }
    }
}

/// The event that says that a call is about to be made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallIntent {
    /// Its id, which the outcome's event names.
    pub event: EventId,
    /// What both events call what is done.
    pub action: Action,
}

/// A call as it is begun: durable before its effect can be felt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Its id.
    pub id: CallId,
    /// What was called.
    pub kind: CallKind,
    /// The model's name, or the outside service's host.
    pub target: String,
    /// The endpoint that served it.
    pub endpoint: Option<String>,
    /// Whose key and agent it is charged to.
    #[serde(flatten)]
    pub payer: Payer,
    /// The workflow that it was a step of.
    pub workflow: Option<WorkflowId>,
    /// The run that it was a step of.
    pub run: Option<RunId>,
    /// When it was begun.
    pub started_at: Timestamp,
    /// What was reserved for it.
    pub reserved: Usd,
    /// Until when it may be under way; then its reservation is charged.
    pub lease_until: Timestamp,
    /// Its intent in the audit log, where it has one.
    pub intent: Option<CallIntent>,
}

impl Call {
    /// The budgets that cover it, where they are set.
    pub fn scopes(&self) -> Vec<BudgetScope> {
        scopes(self.payer, self.workflow)
    }
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallOutcome {
    /// Settled, released or unknown.
    pub status: CallStatus,
    /// When it ended.
    pub finished_at: Timestamp,
    /// What it used.
    pub tokens: Tokens,
    /// What it cost.
    pub cost: Usd,
    /// Whether there was no price for it.
    pub unpriced: bool,
    /// Whether the tokens were counted by us, since the provider did not say.
    pub estimated: bool,
    /// Whether it was answered from the cache.
    pub cached: bool,
}

/// What a meter needs to go on where the last one stopped. It is as large as what is recent, however much a
/// tenant has called.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeterState {
    /// Calls begun in the last hour: what, from when on, and how many, in steps of ten seconds.
    pub recent: Vec<(CallKind, Timestamp, u64)>,
    /// Calls under way.
    pub open: Vec<Call>,
    /// Calls that ended within the last moments, with what they were charged.
    pub charged: Vec<(Call, Usd)>,
    /// What all other calls since the start of the present month were charged.
    pub spent: Vec<Spent>,
}

/// From when on a meter looks back, for each thing that it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookBack {
    /// Uses of a window.
    pub uses: Timestamp,
    /// Charges; the start of a month.
    pub charges: Timestamp,
    /// Charges that are told call by call, since their calls may be under way in memory still.
    pub moments: Timestamp,
}

/// What the calls of one hour for one payer and workflow were charged together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spent {
    /// The hour's start.
    pub hour: Timestamp,
    /// Whose key and agent they are charged to.
    pub payer: Payer,
    /// The workflow that they were steps of.
    pub workflow: Option<WorkflowId>,
    /// The sum.
    pub cost: Usd,
}

impl Spent {
    /// The budgets that cover the calls, where they are set.
    pub fn scopes(&self) -> Vec<BudgetScope> {
        scopes(self.payer, self.workflow)
    }
}

fn scopes(Payer { key, agent }: Payer, workflow: Option<WorkflowId>) -> Vec<BudgetScope> {
    let (key, agent) = (key.map(BudgetScope::Key), agent.map(BudgetScope::Agent));
    let workflow = workflow.map(BudgetScope::Workflow);
    [Some(BudgetScope::Tenant), key, agent, workflow].into_iter().flatten().collect()
}

/// By what usage is broken down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupBy {
    /// The hour (UTC).
    Hour,
    /// The day (UTC).
    Day,
    /// The model.
    Model,
    /// The API key.
    Key,
    /// The agent.
    Agent,
    /// The outside service.
    Tool,
    /// The workflow.
    Workflow,
}

/// Which usage is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageQuery {
    /// From this moment on.
    pub from: Timestamp,
    /// Up to, and without, this moment.
    pub to: Timestamp,
    /// How it is broken down, in this order.
    pub group_by: Vec<GroupBy>,
}

/// One line of usage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UsageRow {
    /// The values of the breakdown, in the order that was asked for; absent ones are null.
    pub group: Vec<Option<String>>,
    /// Model calls.
    pub ai_calls: u64,
    /// Calls to outside services.
    pub api_calls: u64,
    /// Tokens in.
    pub input_tokens: u64,
    /// Tokens out.
    pub output_tokens: u64,
    /// What it cost.
    pub cost_usd: Usd,
    /// Calls for which there was no price.
    pub unpriced_calls: u64,
    /// Calls answered from the cache.
    pub cached_calls: u64,
    /// Calls whose outcome is unknown and that were charged their reservation.
    pub unknown_calls: u64,
}

/// Keeps usage.
#[async_trait]
pub trait UsageStore: Send + Sync {
    /// Notes that a call begins. Its mark is part of the commit. Gives back the ids of the commit's events,
    /// which the outcome's events name as their intents.
    async fn begin_call(
        &self,
        tenant: &Tenant<'_>,
        call: &Call,
        commit: Commit,
    ) -> Result<Vec<EventId>, StoreError>;

    /// Notes how a call ended, without waiting until that is durable. Repeating it changes nothing; a late
    /// outcome corrects an unknown one.
    async fn place_outcome(
        &self,
        tenant: &Tenant<'_>,
        call: &Call,
        outcome: CallOutcome,
        commit: Commit,
    ) -> Result<Placed, StoreError>;

    /// The same, durably.
    async fn end_call(
        &self,
        tenant: &Tenant<'_>,
        call: &Call,
        outcome: CallOutcome,
        commit: Commit,
    ) -> Result<(), StoreError> {
        self.place_outcome(tenant, call, outcome, commit).await?.written().await
    }

    /// A call, and whether it is still open.
    async fn call<'t>(
        &self,
        tenant: &Tenant<'t>,
        id: CallId,
    ) -> Result<Private<'t, (Call, bool)>, StoreError>;

    /// What a meter needs to go on: recent uses, open calls, and charges.
    async fn meter_state<'t>(
        &self,
        tenant: &Tenant<'t>,
        back: LookBack,
    ) -> Result<Private<'t, MeterState>, StoreError>;

    /// The bytes that count against what the plan lets the tenant store.
    async fn stored<'t>(&self, tenant: &Tenant<'t>) -> Result<Private<'t, u64>, StoreError>;

    /// Usage, added up.
    async fn usage<'t>(
        &self,
        access: &Access<'t, Read<on::Usage>>,
        query: &UsageQuery,
    ) -> Result<Private<'t, Vec<UsageRow>>, StoreError>;

    /// Forgets calls that ended and were begun before a moment, some at a time; gives back how many. What they
    /// cost stays in the sums of their hours. Where there are none, nothing of the commit is written either.
    async fn forget_calls(
        &self,
        access: &Access<'_, Delete<on::Usage>>,
        before: Timestamp,
        commit: Commit,
    ) -> Result<u64, StoreError>;
}
