//! What one tenant uses up is its own: while a budget, a window, a place or the storage of one is at its end, the
//! other goes on, and what either is told of its own figures does not change. Each attack makes tenants of its
//! own, which are deleted in the end.

use super::reach::{GIVE, nonce};
use super::standing::decide;
use super::tenants::throwaway;
use super::{Attempt, Control, Job, judged};
use crate::bodies::HOOK_SERVICE;
use crate::outside::{Outside, Place};
use crate::pattern::{Pattern, Verdict};
use crate::side::Side;
use crate::world::World;
use client::{Answer, Client};
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// So often at the most something is done until it is refused.
const MOST: usize = 60;
/// How long somebody waits for a run of the calm tenant, in looks, [`APART`] from each other.
const LOOKS: usize = 500;
const APART: Duration = Duration::from_millis(20);

/// What is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Share {
    ModelCalls,
    Budget,
    Storage,
    RunPlaces,
}

pub(super) fn jobs<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    let operation = control.operation;
    if operation.name() != "PATCH /v1/tenants/{id}" {
        return Vec::new();
    }
    let all = [
        (Share::ModelCalls, "limits", "model calls while the other has used its hour up"),
        (Share::Budget, "budgets", "model calls while the other has used its budget up"),
        (Share::Storage, "limits", "writes while the other has used its storage up"),
        (Share::RunPlaces, "limits", "runs while the other's take all its places"),
    ];
    let jobs = all.map(|(share, place, attack)| {
        Job::new(Pattern::new(operation, place, attack), used_up(world, control, share))
    });
    jobs.into_iter().collect()
}

/// A tenant that is limited in what is used up, beside nothing.
async fn limited(world: &World<'_>, share: Share) -> Result<(Side, Client), String> {
    let side = throwaway(world, &format!("{} shares nothing", world.victim.canary)).await?;
    let client = world.client.with_key(side.key.clone());
    let mut limits = json!({"limits": {"ai_calls_per_hour": null, "requests_per_second": null}});
    match share {
        Share::ModelCalls => limits["limits"]["ai_calls_per_hour"] = json!(3),
        Share::RunPlaces => limits["limits"]["concurrent_runs"] = json!(1),
        Share::Storage => {
            let standing = client.get("/v1/limits").await.map_err(|error| error.to_string())?;
            let bytes = standing["storage"]["bytes"].as_u64().unwrap_or_default();
            limits["limits"]["storage_bytes"] = json!(bytes + 60_000);
        }
        Share::Budget => {
            let path = format!("/v1/budgets/tenant/{}", side.tenant);
            let budget = json!({"per": "month", "usd": "0.0005"});
            client.put(&path, &budget).await.map_err(|error| error.to_string())?;
        }
    }
    decide(world, Method::PATCH, &format!("/v1/tenants/{}", side.tenant), &limits).await?;
    Ok((side, client))
}

/// One use of a share.
async fn used(world: &World<'_>, client: &Client, share: Share) -> Result<Answer, String> {
    world.made.go_on()?;
    let (path, body) = match share {
        Share::ModelCalls | Share::Budget => {
            let said = json!([{"role": "user", "content": format!("Number {}", world.number())}]);
            ("/v1/chat/completions", json!({"model": "offline", "messages": said, "max_tokens": 200}))
        }
        _ => ("/v1/records/contacts", json!({"note": "x".repeat(8_000)})),
    };
    let call = client.call(Method::POST, path).json(&body).map_err(|error| error.to_string())?;
    call.send().await.map_err(|error| error.to_string())
}

/// What a tenant is told of its own figures, but for the moment and its requests.
async fn figures(client: &Client) -> Result<Value, String> {
    let read = async |path: &str| client.get(path).await.map_err(|error| error.to_string());
    let mut limits = read("/v1/limits").await?;
    for window in limits["windows"].as_array_mut().into_iter().flatten() {
        window["reset_seconds"] = Value::Null;
        if window["name"] == "requests" {
            window["remaining"] = Value::Null;
        }
    }
    // Reads that are written down by the minute are stored, too.
    limits["storage"]["bytes"] = Value::Null;
    let (usage, budgets) = (read("/v1/usage").await?, read("/v1/budgets").await?);
    Ok(json!({"limits": limits, "usage": usage["data"], "budgets": budgets["data"]}))
}

/// The header that says what is left.
fn left(answer: &Answer) -> String {
    let told = answer.header("ratelimit").unwrap_or_default();
    told.split(';').take(2).collect::<Vec<_>>().join(";")
}

async fn used_up(world: &World<'_>, control: &Control<'_>, share: Share) -> Attempt {
    control.held()?;
    if share == Share::RunPlaces {
        return places(world).await;
    }
    let ((_busys, busy), (_calms, calm)) = (limited(world, share).await?, limited(world, share).await?);
    let before = figures(&calm).await?;
    let first = used(world, &busy, share).await?;
    let mut last = first.status.as_u16();
    for _ in 0..MOST {
        if last == 429 {
            break;
        }
        last = used(world, &busy, share).await?.status.as_u16();
    }
    if !first.status.is_success() || last != 429 {
        let status = first.status.as_u16();
        return Err(format!("a tenant's {share:?} began with {status} and ended with {last}"));
    }
    if figures(&calm).await? != before {
        return judged(Some(format!("one tenant's {share:?} is seen in the other's figures")));
    }
    let spent = figures(&busy).await?;
    let answer = used(world, &calm, share).await?;
    if !answer.status.is_success() {
        let status = answer.status.as_u16();
        return judged(Some(format!("one tenant's {share:?} is used up by the other ({status})")));
    }
    if left(&answer) != left(&first) {
        return judged(Some(format!("a header counts one tenant's {share:?} for the other")));
    }
    // The other way round: what the calm one does is not counted for the busy one, nor opens it anything.
    if figures(&busy).await? != spent {
        return judged(Some(format!("the other's {share:?} is seen in a tenant's figures")));
    }
    let again = used(world, &busy, share).await?;
    judged(again.status.is_success().then(|| format!("the other's {share:?} opens a tenant's own")))
}

/// A workflow whose run calls this path of the host that is open.
pub(super) async fn workflow(client: &Client, outside: &Outside, path: &str) -> Result<String, String> {
    let url = format!("http://{}{path}", outside.at(Place::Open));
    let definition = json!({"name": "Places", "nodes": [
        {"id": "entry", "type": "source", "kind": "webhook",
            "webhook": {"scheme": "standard", "secret": HOOK_SERVICE}},
        {"id": "call", "type": "http", "after": ["entry"], "method": "GET", "url": url,
            "retry": {"max_attempts": 1}},
    ]});
    let body = json!({"name": "Places", "definition": definition, "config": {}});
    let made = client.post("/v1/workflows", &body).await.map_err(|error| error.to_string())?;
    Ok(made["id"].as_str().unwrap_or_default().to_owned())
}

pub(super) async fn start(client: &Client, workflow: &str) -> Result<String, String> {
    let path = format!("/v1/workflows/{workflow}/runs");
    let run = client.post(&path, &json!({"input": {}})).await.map_err(|error| error.to_string())?;
    Ok(run["id"].as_str().unwrap_or_default().to_owned())
}

/// Where a run stands, once it stands as wanted or somebody has waited long enough.
pub(super) async fn stands(client: &Client, run: &str, wanted: &str) -> Result<String, String> {
    let mut status = String::new();
    for _ in 0..LOOKS {
        let run = client.get(&format!("/v1/runs/{run}")).await.map_err(|error| error.to_string())?;
        status = run["status"].as_str().unwrap_or_default().to_owned();
        if status == wanted {
            break;
        }
        tokio::time::sleep(APART).await;
    }
    Ok(status)
}

/// Runs wait for a place of their own tenant, and for no other's.
async fn places(world: &World<'_>) -> Attempt {
    let Some(outside) = world.outside else { return Ok(Some(Verdict::NotOffered(GIVE))) };
    let path = Outside::hold(&nonce(world));
    let verdict = held(world, outside, &path).await;
    outside.let_go(&path);
    verdict
}

async fn held(world: &World<'_>, outside: &Outside, path: &str) -> Attempt {
    let (_busys, busy) = limited(world, Share::RunPlaces).await?;
    let (_calms, calm) = limited(world, Share::RunPlaces).await?;
    let (waits, at_once) = (workflow(&busy, outside, path).await?, workflow(&calm, outside, "/").await?);
    let first = start(&busy, &waits).await?;
    let first = stands(&busy, &first, "running").await?;
    let second = start(&busy, &waits).await?;
    let before = figures(&calm).await?;
    let run = start(&calm, &at_once).await?;
    let ended = stands(&calm, &run, "succeeded").await?;
    let second = stands(&busy, &second, "queued").await?;
    if (first.as_str(), second.as_str()) != ("running", "queued") {
        return Err(format!("the owner's runs on one place were {first} and {second}"));
    }
    if ended != "succeeded" {
        return judged(Some(format!("a run waits ({ended}) for the other tenant's places")));
    }
    let places = before["limits"]["concurrency"].as_array();
    let seen = places.into_iter().flatten().any(|kind| kind["under_way"] != 0);
    judged(seen.then(|| "one tenant's runs are seen in the other's figures".to_owned()))
}
