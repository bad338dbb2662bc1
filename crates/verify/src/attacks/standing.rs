//! What an operator decides for one tenant holds for that one alone, and at once: suspension, and limits that
//! one tenant uses up. Each attack makes tenants of its own, which are deleted in the end.

use super::tenants::{operator, throwaway};
use super::{Attempt, Control, Job, judged};
use crate::pattern::Pattern;
use crate::side::Side;
use crate::world::World;
use futures::future::join_all;
use http::Method;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// What a second is limited to, and how many requests come in it.
const PER_SECOND: usize = 3;
const BURST: usize = 24;
/// So often it is tried, so far apart that all has become free again.
const ROUNDS: usize = 3;
const APART: Duration = Duration::from_millis(1_100);

pub(super) fn jobs<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    let operation = control.operation;
    match operation.name().as_str() {
        "POST /v1/tenants/{id}/suspend" => {
            let pattern = Pattern::new(operation, "credential", "the key of a suspended tenant");
            vec![Job::new(pattern, suspended(world, control))]
        }
        "PATCH /v1/tenants/{id}" => {
            let pattern = Pattern::new(operation, "limits", "requests while the other has used its limit up");
            vec![Job::new(pattern, used_up(world, control))]
        }
        _ => Vec::new(),
    }
}

async fn status(world: &World<'_>, side: &Side) -> Result<u16, String> {
    let client = world.client.with_key(side.key.clone());
    let answer = client.call(Method::GET, "/v1/me").send().await.map_err(|error| error.to_string())?;
    Ok(answer.status.as_u16())
}

pub(super) async fn decide(
    world: &World<'_>,
    method: Method,
    path: &str,
    body: &serde_json::Value,
) -> Result<(), String> {
    let client = operator(world);
    let call = client.call(method, path).json(body).map_err(|error| error.to_string())?;
    let sent = call.send().await.and_then(client::Answer::accepted);
    sent.map(drop).map_err(|error| error.to_string())
}

async fn suspended(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let side = throwaway(world, &format!("{} suspended", world.victim.canary)).await?;
    let other = throwaway(world, &format!("{} not suspended", world.attacker.canary)).await?;
    let path = format!("/v1/tenants/{}", side.tenant);
    if status(world, &side).await? != 200 {
        return Err("the tenant's own key is refused".to_owned());
    }
    decide(world, Method::POST, &format!("{path}/suspend"), &json!({})).await?;
    let (while_suspended, others) = (status(world, &side).await?, status(world, &other).await?);
    decide(world, Method::POST, &format!("{path}/resume"), &json!({})).await?;
    if status(world, &side).await? != 200 {
        return Err("the tenant's own key is refused after it was resumed".to_owned());
    }
    if while_suspended == 200 {
        return judged(Some("a suspended tenant's key was let in".to_owned()));
    }
    judged((others != 200).then(|| format!("another tenant was answered {others}")))
}

async fn used_up(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let mut sides = Vec::new();
    for _ in 0..2 {
        let side = throwaway(world, &format!("{} limited", world.victim.canary)).await?;
        let limits = json!({"limits": {"requests_per_second": PER_SECOND}});
        decide(world, Method::PATCH, &format!("/v1/tenants/{}", side.tenant), &limits).await?;
        sides.push(side);
    }
    let [busy, calm] = sides.as_slice() else { return Ok(None) };
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let burst = join_all((0..BURST).map(|_| status(world, busy))).await;
        let calms = status(world, calm).await?;
        let let_in = burst.iter().filter(|it| **it == Ok(200)).count();
        if burst.iter().all(|it| *it != Ok(429)) {
            return Err(format!("{BURST} requests at once stayed within {PER_SECOND} a second"));
        }
        if calms == 429 {
            return judged(Some("one tenant's requests use up the other's limit".to_owned()));
        }
        let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap_or_default() + 1;
        if let_in > PER_SECOND * (seconds + 1) {
            return judged(Some("others' requests renew what a tenant has used up".to_owned()));
        }
        tokio::time::sleep(APART).await;
    }
    judged(None)
}
