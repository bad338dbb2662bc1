//! What a server does for the worker that a tenant has for itself: it says where the tenant stands, counts calls against
//! the tenant's limits, and asks models, whose keys are the operator's. And how such a worker gets and loses its token.
//!
//! The worker's word is taken for nothing that another tenant could feel. Whose run it is and who pays for it is read
//! from the run, and the lease that the worker says it has is compared with the row when the call begins.

use crate::App;
use crate::gateway::{Attribution, Completed, FailedCall, complete};
use audit::event::Action;
use authz::SystemPrincipal;
use context::{
    Authenticator, CredentialKind, IndexedSubject, Lease, OwnWorker, Read, Refusal, RequestFacts, Tenant,
    WorkerToken, door, issue_worker_token, on,
};
use env::{Env, Timestamp};
use errors::Problem;
use ids::{AgentId, CallId, KeyId, RunId, Slug, TenantId, WorkerId, WorkflowId};
use limiter::{Kind, PlannedCall};
use metering::budget::BudgetScope;
use metering::plan::Limits;
use model::dialect::openai::ChatRequest;
use money::Usd;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use store::{CallKind, PlatformStore, StoreError, TenantStore};

const GRANT: Action = Action::new("worker.grant");
const REVOKE: Action = Action::new("worker.revoke");
/// The longest that a call to an outside service may be counted as under way.
const LONGEST_CALL: Duration = Duration::from_secs(3_600);

/// Where a tenant stands, as its own worker is told.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WorkerStanding {
    /// The tenant.
    pub tenant: TenantId,
    /// Whether it takes part: `active` or `suspended`.
    pub status: String,
    /// Its plan's name.
    pub plan: Slug,
    /// What it may use.
    pub limits: Limits,
    /// Where its data rests.
    pub region: Slug,
    /// When it ends, where it is a throwaway tenant.
    pub throwaway_until: Option<Timestamp>,
}

impl WorkerStanding {
    /// What the worker is told.
    pub fn of(worker: &OwnWorker) -> Self {
        let standing = worker.standing();
        Self {
            tenant: standing.id,
            status: standing.status.as_str().to_owned(),
            plan: standing.plan.clone(),
            limits: *standing.limits,
            region: standing.region.clone(),
            throwaway_until: standing.throwaway_until,
        }
    }
}

/// A question to a model, for a step of a run that the worker carries out.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepQuestion {
    /// The run.
    pub run: RunId,
    /// The worker, as its lease on the run names it.
    pub worker: WorkerId,
    /// The lease's fence.
    pub fence: u64,
    /// How long the answer may take.
    pub time_ms: u64,
    /// The request, in OpenAI's dialect.
    pub request: Map<String, Value>,
}

/// An answer to a step's question.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StepAnswer {
    /// The answer, in OpenAI's dialect.
    pub body: Map<String, Value>,
    /// What it cost, in US dollars.
    pub cost_usd: Usd,
}

/// A change of what is counted of the tenant's calls to outside services.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "what", deny_unknown_fields)]
pub enum CallCount {
    /// A call asks to be admitted.
    Begin {
        /// The call.
        call: CallId,
        /// The key of whoever started the run.
        key: Option<KeyId>,
        /// The agent that started the run.
        agent: Option<AgentId>,
        /// The workflow that it is a step of.
        workflow: Option<WorkflowId>,
        /// How long it may be under way.
        time_ms: u64,
    },
    /// It has ended.
    Settle {
        /// The call.
        call: CallId,
    },
    /// It never left.
    Release {
        /// The call.
        call: CallId,
    },
}

/// Asks a model for a step of the worker's run.
pub async fn ask(
    app: &Arc<App>,
    worker: &OwnWorker,
    question: StepQuestion,
) -> Result<Completed, Box<FailedCall>> {
    let StepQuestion { run, worker: holder, fence, time_ms, request } = question;
    let now = app.env.now();
    let reading = worker.admit(None, now).map_err(Problem::from)?.enter(async |tenant| {
        let access = tenant.authorize::<Read<on::Run>>()?;
        let run = app.store.run(&access, run).await?;
        let run = run.map(|run| (run.workflow, run.payer, run.started_by));
        door::tool(&tenant, run).map_err(|crossing| Problem::from(StoreError::from(crossing)))
    });
    let (workflow, payer, started_by) = reading.await?;
    let request = ChatRequest::from_value(Value::Object(request)).map_err(Problem::from)?;
    let part_of = Attribution { payer, workflow: Some(workflow), run: Some(run) };
    let admission = worker.admit(Some(started_by), now).map_err(Problem::from)?;
    let admission = admission.under(Lease { run, worker: holder, fence });
    complete(app, admission, request, part_of, Duration::from_millis(time_ms)).await
}

/// Counts a call of the worker's.
pub async fn count(app: &App, worker: &OwnWorker, count: CallCount) -> Result<(), Problem> {
    let now = app.env.now();
    let (CallCount::Begin { call, .. } | CallCount::Settle { call } | CallCount::Release { call }) = count;
    let visit = worker.admit(None, now)?.enter(async |tenant| {
        is_of_a_service(app, &tenant, call).await?;
        match count {
            CallCount::Begin { call, key, agent, workflow, time_ms } => {
                let more = [key.map(BudgetScope::Key), agent.map(BudgetScope::Agent)];
                let more = more.into_iter().chain([workflow.map(BudgetScope::Workflow)]).flatten();
                let planned = PlannedCall {
                    id: call,
                    kind: Kind::Api,
                    scopes: std::iter::once(BudgetScope::Tenant).chain(more).collect(),
                    worst_case: Some(Usd::ZERO),
                    at: now,
                    lease_until: now.plus(Duration::from_millis(time_ms).min(LONGEST_CALL)),
                };
                app.limiter.begin(&tenant, &planned).await?;
            }
            CallCount::Settle { call } => {
                app.limiter.settle(&tenant, call, Usd::ZERO).await?;
            }
            CallCount::Release { call } => {
                app.limiter.release(&tenant, call).await?;
            }
        }
        Ok(())
    });
    visit.await
}

/// Refuses a call whose row says that a model is called: what that costs is for the server to say that makes it. A call
/// without a row is none of these, since the worker learns a model call's id from its row alone.
async fn is_of_a_service(app: &App, tenant: &Tenant<'_>, call: CallId) -> Result<(), Problem> {
    let row = match app.store.call(tenant, call).await {
        Err(StoreError::NotFound) => return Ok(()),
        row => row?.map(|(call, _)| call.kind),
    };
    match door::tool(tenant, row).map_err(StoreError::from)? {
        CallKind::Service => Ok(()),
        CallKind::Model => Err(Problem::not_found()),
    }
}

/// What tokens are issued and withdrawn with: by whoever has the master key, and over no connection.
pub struct Issuing<'a> {
    /// Whose log tells of it.
    pub store: &'a dyn TenantStore,
    /// Where the token's line stands.
    pub platform: &'a dyn PlatformStore,
    /// How the tenant is entered.
    pub authenticator: &'a Authenticator,
    /// Clock and randomness.
    pub env: &'a Env,
}

impl Issuing<'_> {
    /// Issues a token for a tenant's own worker, which ends by itself.
    pub async fn grant(&self, tenant: TenantId, until: Timestamp) -> Result<WorkerToken, Problem> {
        let token = issue_worker_token(self.env.id(), self.env);
        let hash = self.authenticator.hash(CredentialKind::Worker, token.text.expose());
        let visit = self.admitted(tenant).await?.enter(async |tenant| {
            let draft = context::event::draft(&tenant, GRANT, "worker", token.id.to_string());
            self.store.append(&tenant, draft).await.map_err(|_| StoreError::Unavailable)?;
            let subject = IndexedSubject::Worker { id: token.id };
            self.platform.index_credential(&tenant, hash, subject, Some(until)).await
        });
        visit.await?;
        Ok(token)
    }

    /// Withdraws one. It holds from the worker's next question on.
    pub async fn revoke(&self, tenant: TenantId, token: KeyId) -> Result<(), Problem> {
        let visit = self.admitted(tenant).await?.enter(async |tenant| {
            self.platform.revoke_credential(&tenant, &token.to_string()).await?;
            let draft = context::event::draft(&tenant, REVOKE, "worker", token.to_string());
            self.store.append(&tenant, draft).await.map_err(|_| StoreError::Unavailable)
        });
        Ok(visit.await?)
    }

    async fn admitted(&self, tenant: TenantId) -> Result<context::Admission, Refusal> {
        let facts = RequestFacts::internal(self.env.id());
        self.authenticator.admit_system(SystemPrincipal::OperatorAction, tenant, None, facts).await
    }
}
