//! Inbound deliveries: from the token to a durable run, once per delivery.

use crate::runs::{Started, Starting, begin};
use crate::{App, note};
use audit::event::Action;
use context::{Create, HookAdmission, Read, Refusal, RequestFacts, Tenant, door, on};
use errors::{Code, Problem};
use ids::{HookId, RunId, WorkflowId};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use store::{Objects, RunMode, StoreError, Workflow};
use workflow::hook::{self, Hook, HookRefusal, Received, Scheme};

const DELIVER: Action = Action::new("hook.deliver");
const REFUSE: Action = Action::new("hook.refuse");
const CHALLENGE: Action = Action::new("hook.challenge");

/// A delivery as it arrived.
pub struct Inbound<'a> {
    /// Its headers, names in lower case, in their order.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body's bytes.
    pub body: &'a [u8],
}

impl<'a> Inbound<'a> {
    /// The first header of this name, which is in lower case.
    fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// The run that a delivery started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Delivered {
    /// The run.
    pub id: RunId,
    /// Whether the delivery came before, and this run was started then.
    #[serde(skip)]
    pub repeated: bool,
}

/// What came of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Taken {
    /// There is a run for it.
    Run(Delivered),
    /// Its sender asked whether anybody is there, and is told back what it said.
    Challenge {
        /// What it said.
        challenge: String,
    },
}

/// Lets a delivery in on the strength of its token, before anything else of it is looked at. It counts as one
/// of the tenant's requests.
pub async fn admit(app: &App, token: &str, facts: RequestFacts) -> Result<HookAdmission, Problem> {
    let admitted = app.authenticator.admit_hook(token, facts).await.map_err(|refusal| match refusal {
        Refusal::Unauthorized | Refusal::TenantMismatch => refused(),
        Refusal::Suspended | Refusal::Unavailable => refusal.into(),
    })?;
    admitted.admission.clone().enter(async |tenant| app.limiter.request(&tenant).await).await?;
    Ok(admitted)
}

/// Takes a delivery that was let in. When this is back without a problem, its run is durable. Whoever has no
/// token that holds, or no signature that does, gets one and the same answer.
pub async fn deliver(app: &App, admitted: HookAdmission, inbound: &Inbound<'_>) -> Result<Taken, Problem> {
    let HookAdmission { admission, hook, workflow } = admitted;
    let noting = admission.clone();
    admission
        .enter(async |tenant| {
            let workflow = stored(app, &tenant, workflow, hook).await?;
            match checked(app, &tenant, &workflow, inbound).await {
                Ok((delivery, scheme)) => {
                    let input = hook::input(inbound.header("content-type"), inbound.body);
                    if let Some(challenge) = hook::challenge(scheme, &input) {
                        app.reads.note(&noting, &tenant, CHALLENGE, "hook", &hook.to_string(), app.env.now());
                        return Ok(Taken::Challenge { challenge: challenge.to_owned() });
                    }
                    let headers = hook::plain_headers(inbound.headers.iter().copied());
                    let delivery = workflow::engine::Delivered { id: delivery, headers };
                    accept(app, &tenant, workflow, hook, delivery, input).await.map(Taken::Run)
                }
                Err(Unchecked::Refused(reason)) => {
                    // Whoever holds the token may repeat this at will, so it is counted by the minute.
                    app.reads.note(&noting, &tenant, REFUSE, "hook", &hook.to_string(), app.env.now());
                    tracing::info!(tenant.id = %tenant.id(), %hook, %reason, "a delivery was refused");
                    Err(refused())
                }
                Err(Unchecked::Problem(problem)) => Err(problem),
            }
        })
        .await
}

/// The answer to whoever is not let in.
fn refused() -> Problem {
    Problem::new(Code::HookRefused, "The delivery was refused.")
}

/// The hook's workflow, as long as the hook is the one that it has now.
async fn stored(app: &App, tenant: &Tenant<'_>, id: WorkflowId, hook: HookId) -> Result<Workflow, Problem> {
    let access = tenant.authorize::<Read<on::Workflow>>()?;
    let found = match app.store.get::<Workflow>(&access, &id.to_string()).await {
        Err(StoreError::NotFound) => return Err(refused()),
        found => found?,
    };
    // It stays inside: the run that is made of it is written back into the store that it came from.
    let (workflow, _) = door::answer(tenant, found).map_err(StoreError::from)?;
    match &workflow.hook {
        Some(present) if present.id == hook => Ok(workflow),
        _ => Err(refused()),
    }
}

enum Unchecked {
    Refused(HookRefusal),
    Problem(Problem),
}

/// The delivery's id, where something identifies it, if its signature holds.
async fn checked(
    app: &App,
    tenant: &Tenant<'_>,
    workflow: &Workflow,
    inbound: &Inbound<'_>,
) -> Result<(Option<String>, Scheme), Unchecked> {
    let rules = rules(app, tenant, workflow).await.map_err(Unchecked::Problem)?;
    let secret = match &rules.secret {
        None => None,
        Some(service) => match app.credentials.signing_secret(tenant, service).await {
            Ok(secret) => Some(secret),
            Err(problem) if problem.code == Code::NotFound => None,
            Err(problem) => return Err(Unchecked::Problem(problem)),
        },
    };
    let named = |name: &str| inbound.header(name);
    let received = Received { header: &named, body: inbound.body };
    let header = rules.delivery_id_header.as_deref();
    let verified =
        hook::verify(rules.scheme, secret.as_ref(), &received, app.env.now(), rules.tolerance, header);
    verified.map(|delivery| (delivery.id, rules.scheme)).map_err(Unchecked::Refused)
}

async fn rules(app: &App, tenant: &Tenant<'_>, workflow: &Workflow) -> Result<Hook, Problem> {
    let definition = app.definitions.read(tenant, &workflow.definition).await.map_err(|_| refused())?;
    // What cannot be checked is refused like what does not hold.
    definition.hook(&workflow.config).ok().flatten().ok_or_else(refused)
}

async fn accept(
    app: &App,
    tenant: &Tenant<'_>,
    workflow: Workflow,
    hook: HookId,
    delivery: workflow::engine::Delivered,
    input: Value,
) -> Result<Delivered, Problem> {
    let access = tenant.authorize::<Create<on::Run>>()?;
    let event = note(tenant, DELIVER, "hook", hook.to_string(), [("workflow", json!(workflow.id))]);
    let workflow = context::Private::sent(tenant, workflow);
    let delivery = Some(delivery);
    let starting = Starting { input, mode: RunMode::Live, delivery, claim: None, event: Some(event) };
    Ok(match begin(app, &access, workflow, starting).await? {
        Started::New(id) => Delivered { id, repeated: false },
        Started::Repeated(id) => Delivered { id, repeated: true },
    })
}
