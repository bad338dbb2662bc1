//! What one tenant does to the outside is its own: as many calls as it may have under way, and hosts and models
//! that failed it again and again, leave the other's calls alone.

use super::provider::{MODEL, endpoint};
use super::reach::{GIVE, nonce, run};
use super::shared::{stands, start, workflow};
use super::standing::decide;
use super::tenants::throwaway;
use super::{Attempt, Control, Job, judged};
use crate::bodies::unlimited;
use crate::outside::{FAILS, Outside, Place};
use crate::pattern::{Pattern, Verdict};
use crate::side::Side;
use crate::world::World;
use client::{Answer, Client};
use http::Method;
use serde_json::json;
use std::time::Duration;

/// As many outside calls as one tenant has under way at the most.
const CALLS: usize = 16;
/// So often at the most something fails until it is left alone.
const FAILURES: usize = 12;
const LOOKS: usize = 500;
const APART: Duration = Duration::from_millis(20);
/// What is told to whoever asks something that is left alone.
const LEFT_ALONE: &str = "left alone";

pub(super) fn jobs<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    let operation = control.operation;
    let pattern = |attack| Pattern::new(operation, "limits", attack);
    match operation.name().as_str() {
        "POST /v1/workflows/{id}/runs" => {
            let calls = pattern("outside calls while the other has all of its own under way");
            let hosts = pattern("outside calls to a host that failed the other");
            vec![Job::new(calls, under_way(world, control)), Job::new(hosts, hosts_fail(world, control))]
        }
        "POST /v1/chat/completions" => {
            let models = pattern("model calls to an endpoint that failed the other");
            vec![Job::new(models, models_fail(world, control))]
        }
        _ => Vec::new(),
    }
}

pub(super) async fn free(world: &World<'_>) -> Result<(Side, Client), String> {
    let side = throwaway(world, &format!("{} has neighbours", world.victim.canary)).await?;
    let path = format!("/v1/tenants/{}", side.tenant);
    decide(world, Method::PATCH, &path, &json!({"limits": unlimited()})).await?;
    let client = world.client.with_key(side.key.clone());
    Ok((side, client))
}

async fn under_way(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let Some(outside) = world.outside else { return Ok(Some(Verdict::NotOffered(GIVE))) };
    let path = Outside::hold(&nonce(world));
    let verdict = calls_under_way(world, outside, &path).await;
    outside.let_go(&path);
    verdict
}

async fn calls_under_way(world: &World<'_>, outside: &Outside, path: &str) -> Attempt {
    let ((_busys, busy), (_calms, calm)) = (free(world).await?, free(world).await?);
    let (waits, at_once) = (workflow(&busy, outside, path).await?, workflow(&calm, outside, "/").await?);
    for _ in 0..CALLS {
        start(&busy, &waits).await?;
    }
    for _ in 0..LOOKS {
        if outside.seen(path).len() >= CALLS {
            break;
        }
        tokio::time::sleep(APART).await;
    }
    let held = outside.seen(path).len();
    if held < CALLS {
        return Err(format!("{held} of the owner's {CALLS} calls are under way"));
    }
    let run = start(&calm, &at_once).await?;
    let ended = stands(&calm, &run, "succeeded").await?;
    judged((ended != "succeeded").then(|| format!("a run waits ({ended}) for the other tenant's calls")))
}

async fn hosts_fail(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let Some(outside) = world.outside else { return Ok(Some(Verdict::NotOffered(GIVE))) };
    let ((busy, _), (calm, _)) = (free(world).await?, free(world).await?);
    let host = outside.at(Place::Other);
    let mut told = String::new();
    for _ in 0..FAILURES {
        (_, told) = run(world, &busy, &format!("http://{host}{FAILS}"), None).await?;
        if told.contains(LEFT_ALONE) {
            break;
        }
    }
    if !told.contains(LEFT_ALONE) {
        return Err(format!("a host that fails is not left alone: {told}"));
    }
    let (status, told) = run(world, &calm, &format!("http://{host}/"), None).await?;
    let refused = status != "succeeded";
    judged(refused.then(|| format!("a host that failed one tenant is kept from the other: {told}")))
}

async fn asked(client: &Client, text: &str) -> Result<Answer, String> {
    let body = json!({"model": MODEL, "messages": [{"role": "user", "content": text}]});
    let call = client.call(Method::POST, "/v1/chat/completions").json(&body);
    call.map_err(|error| error.to_string())?.send().await.map_err(|error| error.to_string())
}

async fn models_fail(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let Some(outside) = world.outside else { return Ok(Some(Verdict::NotOffered(GIVE))) };
    world.once("endpoint", endpoint(world, outside)).await?;
    let ((_busys, busy), (_calms, calm)) = (free(world).await?, free(world).await?);
    // The last of them is refused without the provider having been asked.
    let mut reached = true;
    for _ in 0..FAILURES {
        let text = format!("{FAILS} {}", nonce(world));
        asked(&busy, &text).await?;
        reached = !outside.seen(&text).is_empty();
        if !reached {
            break;
        }
    }
    if reached {
        return Err("an endpoint that fails is not left alone".to_owned());
    }
    let answer = asked(&calm, "What is kept for me?").await?;
    let status = answer.status.as_u16();
    judged(
        (status != 200)
            .then(|| format!("an endpoint that failed one tenant is kept from the other ({status})")),
    )
}
