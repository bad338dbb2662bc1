//! Wrong credentials: none, forged ones, another tenant in `X-Tenant-ID`, the operator's on a tenant's
//! operations and a tenant's on the operator's.

use super::{Attempt, Control, Job, given_away, judged};
use crate::compare::difference;
use crate::description::{Caller, Operation};
use crate::keys::forgeries;
use crate::pattern::Pattern;
use crate::world::{Request, World};
use client::Answer;
use http::Method;
use secret::SecretText;
use serde_json::json;

const HEADER: &str = "X-Tenant-ID";

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
    for (attack, forged) in forgeries(&world.victim.key, &world.attacker.key) {
        jobs.push(Job::new(pattern(attack), forgery(world, control, forged)));
    }
    jobs
}

pub(super) fn on_operators<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    let pattern = |attack| Pattern::new(control.operation, "credential", attack);
    let attacker = Some(world.attacker.key.clone());
    vec![
        Job::new(pattern("no credential"), refused(world, control, None)),
        Job::new(pattern("a tenant's key on the operator's operation"), refused(world, control, attacker)),
    ]
}

/// Whether an operation reads something of the operator's that may not be there.
pub(super) fn may_be_missing(operation: &Operation) -> bool {
    operation.caller == Caller::Operator && operation.is_safe() && operation.path.contains("/{name}")
}

/// Whether an operation would leave something behind that no operation takes away.
pub(super) fn would_stay(operation: &Operation) -> bool {
    // What is deleted was made for that. A restore takes a backup's file, which is not made for this.
    operation.caller == Caller::Operator
        && !operation.is_safe()
        && operation.method != Method::DELETE
        && (!operation.path.starts_with("/v1/tenants/{id}") || operation.path.ends_with("/restore"))
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
    judged(
        given_away(world, &foreign, &answer)
            .or_else(|| difference((&answer, victim.as_str()), (&missing, nobody.as_str()))),
    )
}
