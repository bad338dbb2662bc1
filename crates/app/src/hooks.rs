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
use workflow::hook::{self, Hook, HookRefusal, Received};

const DELIVER: Action = Action::new("hook.deliver");
const REFUSE: Action = Action::new("hook.refuse");

/// A delivery as it arrived.
pub struct Inbound<'a> {
    /// Looks a header up by its name in lower case.
    pub header: &'a (dyn Fn(&str) -> Option<&'a str> + Sync),
    /// The body's bytes.
    pub body: &'a [u8],
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
pub async fn deliver(
    app: &App,
    admitted: HookAdmission,
    inbound: &Inbound<'_>,
) -> Result<Delivered, Problem> {
    let HookAdmission { admission, hook, workflow } = admitted;
    let noting = admission.clone();
    admission
        .enter(async |tenant| {
            let workflow = stored(app, &tenant, workflow, hook).await?;
            match checked(app, &tenant, &workflow, inbound).await {
                Ok(delivery) => accept(app, &tenant, workflow, hook, delivery, inbound.body).await,
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

/// The delivery's id, if its signature holds.
async fn checked(
    app: &App,
    tenant: &Tenant<'_>,
    workflow: &Workflow,
    inbound: &Inbound<'_>,
) -> Result<String, Unchecked> {
    let rules = rules(workflow).map_err(Unchecked::Problem)?;
    let secret = match &rules.secret {
        None => None,
        Some(service) => match app.credentials.signing_secret(tenant, service).await {
            Ok(secret) => Some(secret),
            Err(problem) if problem.code == Code::NotFound => None,
            Err(problem) => return Err(Unchecked::Problem(problem)),
        },
    };
    let received = Received { header: inbound.header, body: inbound.body };
    let header = rules.delivery_id_header.as_deref();
    let verified =
        hook::verify(rules.scheme, secret.as_ref(), &received, app.env.now(), rules.tolerance, header);
    verified.map(|delivery| delivery.id).map_err(Unchecked::Refused)
}

fn rules(workflow: &Workflow) -> Result<Hook, Problem> {
    let definition = workflow::validate(&workflow.definition).map_err(|_| refused())?;
    // What cannot be checked is refused like what does not hold.
    definition.hook(&workflow.config).ok().flatten().ok_or_else(refused)
}

async fn accept(
    app: &App,
    tenant: &Tenant<'_>,
    workflow: Workflow,
    hook: HookId,
    delivery: String,
    body: &[u8],
) -> Result<Delivered, Problem> {
    let access = tenant.authorize::<Create<on::Run>>()?;
    let input = serde_json::from_slice(body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned()));
    let event = note(tenant, DELIVER, "hook", hook.to_string(), [("workflow", json!(workflow.id))]);
    let workflow = context::Private::sent(tenant, workflow);
    let delivery = Some(delivery);
    let starting = Starting { input, mode: RunMode::Live, delivery, claim: None, event: Some(event) };
    Ok(match begin(app, &access, workflow, starting).await? {
        Started::New(id) => Delivered { id, repeated: false },
        Started::Repeated(id) => Delivered { id, repeated: true },
    })
}
