//! Wrong credentials: none, forged ones, another tenant in `X-Tenant-ID`, the operator's on a tenant's
//! operations and a tenant's on the operator's.

use super::{Attempt, Control, Job, given_away, judged, told_apart};
use crate::compare::difference;
use crate::description::{Caller, Operation};
use crate::keys::forgeries;
use crate::pattern::Pattern;
use crate::world::{Request, World};
use client::Answer;
use env::Timestamp;
use http::Method;
use secret::SecretText;
use serde_json::{Value, json};
use std::time::Duration;

const HEADER: &str = "X-Tenant-ID";
/// How long a key lives that is to expire.
const LIFE: Duration = Duration::from_secs(3);

pub(super) fn on_tenants<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    let operation = control.operation;
    let pattern = |attack| Pattern::new(operation, "credential", attack);
    let mut jobs = vec![
        Job::new(pattern("no credential"), refused(world, control, None)),
        Job::new(
            pattern("the operator's key on a tenant's operation"),
            refused(world, control, Some(world.operator.clone())),
        ),
        Job::new(
            Pattern::new(operation, "header", "X-Tenant-ID names the victim"),
            other_tenant_header(world, control),
        ),
    ];
    if operation.path == "/v1/me" {
        jobs.push(Job::new(pattern("the victim's key that has expired"), expired(world, control)));
    }
    for (attack, forged) in forgeries(&world.victim.key, &world.attacker.key) {
        jobs.push(Job::new(pattern(attack), forgery(world, control, forged)));
    }
    jobs
}

pub(super) fn on_operators<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    let pattern = |attack| Pattern::new(control.operation, "credential", attack);
    let attacker = Some(world.attacker.key.clone());
    let mut jobs = vec![
        Job::new(pattern("no credential"), refused(world, control, None)),
        Job::new(pattern("a tenant's key on the operator's operation"), refused(world, control, attacker)),
    ];
    if control.operation.is_safe() {
        let pattern = Pattern::new(control.operation, "header", "X-Tenant-ID with the operator's key");
        jobs.push(Job::new(pattern, operator_in_a_tenant(world, control)));
    }
    jobs
}

/// Whether an operation reads something of the operator's that may not be there.
pub(super) fn may_be_missing(operation: &Operation) -> bool {
    operation.caller == Caller::Operator && operation.is_safe() && operation.path.contains("/{name}")
}

/// Whether an operation would leave something behind that no operation takes away.
pub(super) fn would_stay(operation: &Operation) -> bool {
    // What is deleted was made for that. A restore or an import takes a file, which is not made for this, an export
    // takes a suspended tenant, and where to a tenant can be moved only the deployment knows.
    operation.caller == Caller::Operator
        && !operation.is_safe()
        && operation.method != Method::DELETE
        && (!operation.path.starts_with("/v1/tenants/{id}")
            || ["/restore", "/move", "/export", "/import"].iter().any(|what| operation.path.ends_with(what)))
}

/// The control where there may be nothing: the operator is told so, which others are not.
pub(super) async fn operator_looks<'w>(
    world: &World<'_>,
    request: Request<'w>,
) -> Result<(Request<'w>, Answer), String> {
    let answer = world.send(&request).await?;
    match answer.status.as_u16() {
        200 | 404 => Ok((request, answer)),
        status => Err(format!("the operator's `{}` answered {status}", request.operation.name())),
    }
}

/// The control where nothing may be left behind: the operator gets as far as the body, which is wrong.
pub(super) async fn operator_is_let_in<'w>(
    world: &World<'_>,
    request: Request<'w>,
) -> Result<(Request<'w>, Answer), String> {
    let wrong = Request { body: Some(json!("not an object")), ..request.clone() };
    let answer = world.send(&wrong).await?;
    match answer.status.as_u16() {
        400 | 409 | 415 | 422 => Ok((request, answer)),
        status => {
            Err(format!("the operator's `{}` with a wrong body answered {status}", wrong.operation.name()))
        }
    }
}

/// The owner's request with another credential that has no business here.
async fn refused(world: &World<'_>, control: &Control<'_>, key: Option<SecretText>) -> Attempt {
    let (request, _) = control.held()?;
    let mut request = Request { key, ..request.clone() };
    if request.operation.method == Method::DELETE {
        // The control has used its object up.
        request.fill = world.objects(request.operation, &world.victim).await?;
    }
    let answer = world.send(&request).await?;
    if answer.status.is_success() {
        return judged(Some(format!("it was let in ({})", answer.status.as_u16())));
    }
    judged(given_away(world, &request, &answer))
}

/// A key is let in until its time is over, and not after.
async fn expired(world: &World<'_>, control: &Control<'_>) -> Attempt {
    let (request, _) = control.held()?;
    let client = world.client.with_key(world.victim.key.clone());
    let make = async |body: Value| {
        let made = client.post("/v1/api-keys", &body).await.map_err(|error| error.to_string())?;
        world.victim.learn(&made["id"].to_string());
        Ok::<_, String>(made)
    };
    let wanted = json!({"name": "Ends soon", "role": "viewer"});
    // By the server's clock, which need not be this one's.
    let now: Timestamp = serde_json::from_value(make(wanted.clone()).await?["created_at"].take())
        .map_err(|_| "a key does not say when it was made".to_owned())?;
    let mut wanted = wanted;
    wanted["expires_at"] = json!(now.plus(LIFE));
    let made = make(wanted).await?;
    let key = SecretText::new(made["key"].as_str().unwrap_or_default().to_owned());
    let before = world.send(&request.by(&key)).await?;
    if !before.status.is_success() {
        return Err(format!("a key that has not expired is answered {}", before.status.as_u16()));
    }
    tokio::time::sleep(LIFE).await;
    let after = world.send(&request.by(&key)).await?;
    judged(after.status.is_success().then(|| "a key was let in after its time".to_owned()))
}

/// An operator has no tenant, so whichever the header names is another.
async fn operator_in_a_tenant(world: &World<'_>, control: &Control<'_>) -> Attempt {
    let (request, _) = control.held()?;
    let answer = world.send(&request.with_header(HEADER, &world.victim.tenant)).await?;
    judged(answer.status.is_success().then(|| format!("it was let in ({})", answer.status.as_u16())))
}

async fn forgery(world: &World<'_>, control: &Control<'_>, forged: SecretText) -> Attempt {
    let (request, _) = control.held()?;
    let forged = request.by(&forged);
    let answer = world.send(&forged).await?;
    if answer.status.is_success() {
        return judged(Some(format!("it was let in ({})", answer.status.as_u16())));
    }
    // Whoever forges may not learn which half of it was right.
    let nobody = world.send(&request.by(&SecretText::new("tk_nothing".to_owned()))).await?;
    judged(given_away(world, &forged, &answer).or_else(|| difference((&answer, "…"), (&nobody, "…"))))
}

async fn other_tenant_header(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let operation = control.operation;
    let fill = world.objects(operation, &world.attacker).await?;
    let own = world.request(operation, &world.attacker, fill);
    let (victim, nobody) = (&world.victim.tenant, world.missing(&world.victim.tenant));
    let foreign = own.with_header(HEADER, victim);
    let answer = world.send(&foreign).await?;
    if answer.status.is_success() {
        return judged(Some(format!("it was let in ({})", answer.status.as_u16())));
    }
    let missing = world.send(&own.with_header(HEADER, &nobody)).await?;
    judged(told_apart(world, &foreign, (&answer, victim), (&missing, &nobody)))
}
