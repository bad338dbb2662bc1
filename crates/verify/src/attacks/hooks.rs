//! Inbound deliveries: the token alone leads to the tenant, and the signature must be that tenant's.

use super::{Attempt, Control, Job, given_away, judged};
use crate::compare::difference;
use crate::pattern::Pattern;
use crate::seed::Fill;
use crate::side::Side;
use crate::world::{Request, World};
use serde_json::{Value, json};
use std::time::Duration;

const HOOK: &str = "/hooks/{token}";

pub(super) fn jobs<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    let operation = control.operation;
    if operation.path != HOOK {
        return Vec::new();
    }
    let token = format!("path {HOOK}");
    vec![
        Job::new(
            Pattern::new(operation, token.clone(), "the victim's token, signed with the attacker's secret"),
            wrong_secret(world, control),
        ),
        Job::new(
            Pattern::new(operation, token.clone(), "the victim's token, truncated"),
            truncated(world, control),
        ),
        Job::new(Pattern::new(operation, token, "the victim's token, not signed"), unsigned(world, control)),
        Job::new(
            Pattern::new(operation, "body and header", "a delivery to the own hook that names the victim"),
            names_the_victim(world, control),
        ),
    ]
}

/// A delivery with this side's token, canary and signature.
fn delivery<'o>(world: &World<'_>, control: &Control<'o>, token: &str, by: &Side) -> Request<'o> {
    let fill = Fill::from([(HOOK.to_owned(), token.to_owned())]);
    world.request(control.operation, by, fill)
}

async fn token_of(world: &World<'_>, control: &Control<'_>, side: &Side) -> Result<String, String> {
    let fill = world.objects(control.operation, side).await?;
    fill.get(HOOK).cloned().ok_or_else(|| "there is no token".to_owned())
}

/// A delivery that must be refused as one to no hook at all is.
async fn refused(world: &World<'_>, control: &Control<'_>, request: Request<'_>, token: &str) -> Attempt {
    let answer = world.send(&request).await?;
    if answer.status.is_success() {
        return judged(Some(format!("the delivery was taken ({})", answer.status.as_u16())));
    }
    let nothing = world.missing(token);
    let missing = world.send(&delivery(world, control, &nothing, &world.attacker)).await?;
    judged(
        given_away(world, &request, &answer)
            .or_else(|| difference((&answer, token), (&missing, nothing.as_str()))),
    )
}

async fn wrong_secret(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let token = token_of(world, control, &world.victim).await?;
    refused(world, control, delivery(world, control, &token, &world.attacker), &token).await
}

async fn truncated(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let token = token_of(world, control, &world.victim).await?;
    let cut = &token[..token.len().saturating_sub(1)];
    // Signed rightly, so that the token alone is wrong.
    refused(world, control, delivery(world, control, cut, &world.victim), cut).await
}

async fn unsigned(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let token = token_of(world, control, &world.victim).await?;
    let mut request = delivery(world, control, &token, &world.attacker);
    request.headers.clear();
    refused(world, control, request, &token).await
}

/// The body and a header say that the delivery is the victim's; it must stay the attacker's.
async fn names_the_victim(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let token = token_of(world, control, &world.attacker).await?;
    let mut request = delivery(world, control, &token, &world.attacker);
    if let Some(Value::Object(body)) = &mut request.body {
        for name in ["tenant", "tenant_id"] {
            body.insert(name.to_owned(), json!(world.victim.tenant));
        }
    }
    request.headers = world.signature(&world.attacker.hook_secret, request.body.as_ref());
    request = request.with_header("X-Tenant-ID", &world.victim.tenant);
    let answer = world.send(&request).await?;
    if let Some(found) = given_away(world, &request, &answer) {
        return judged(Some(found));
    }
    // The run writes what was delivered into a collection; it has that long to go astray.
    let victim = world.client.with_key(world.victim.key.clone());
    for _ in 0..10 {
        let seen = victim.get("/v1/records/deliveries?limit=500").await.unwrap_or_default();
        if seen.to_string().contains(&world.attacker.canary) {
            return judged(Some("the delivery became a run of the victim's".to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    judged(None)
}
