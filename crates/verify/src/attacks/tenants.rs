//! What may not outlive a tenant, end with another, or go from one to another, in the operator's hands: kept answers,
//! hooks, runs, backups. Each attack makes tenants of its own, which are deleted in the end.

use super::cache::{ASK, is_kept};
use super::neighbours::free;
use super::shared::{stands, start};
use super::{Attempt, Control, Job, judged};
use crate::bodies::{HOOK_SERVICE, NOWHERE};
use crate::pattern::Pattern;
use crate::seed::Fill;
use crate::side::Side;
use crate::world::{Request, World};
use client::{Client, webhook_secret};
use http::Method;
use serde_json::json;

const HOOK: &str = "/hooks/{token}";

pub(super) fn jobs<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    let operation = control.operation;
    match operation.name().as_str() {
        "DELETE /v1/tenants/{id}" => vec![
            Job::new(
                Pattern::new(operation, "cache", "kept answers of a tenant that was erased"),
                kept_answers(world, control),
            ),
            Job::new(
                Pattern::new(operation, "hook", "a delivery to a tenant that was erased"),
                deliveries(world, control),
            ),
            Job::new(
                Pattern::new(operation, "runs", "a run that waits while another tenant is erased"),
                others_runs(world, control),
            ),
        ],
        "POST /v1/tenants/{id}/restore" => vec![Job::new(
            Pattern::new(operation, "body", "the victim's backup into the attacker"),
            backups(world, control),
        )],
        "POST /v1/tenants/{id}/import" => vec![Job::new(
            Pattern::new(operation, "body", "the victim's export into the attacker"),
            exports(world, control),
        )],
        _ => Vec::new(),
    }
}

pub(super) fn operator(world: &World<'_>) -> Client {
    world.client.with_key(world.operator.clone())
}

/// A tenant of the attack's own.
pub(super) async fn throwaway(world: &World<'_>, name: &str) -> Result<Side, String> {
    world.made.go_on()?;
    let made = operator(world).make_tenant(name, "starter").await.map_err(|error| error.to_string())?;
    world.made.note(&made.id);
    Ok(Side::new(made, hex::encode(world.env.random::<6>()), webhook_secret(world.env.random())))
}

async fn erase(world: &World<'_>, side: &Side) -> Result<(), String> {
    operator(world).delete_tenant(&side.tenant).await.map(drop).map_err(|error| error.to_string())
}

/// A tenant that is made anew under the name of one that was erased finds nothing of it.
async fn kept_answers(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let asking = world.description.find(&Method::POST, "/v1/chat/completions");
    let asking = asking.ok_or_else(|| "there is no operation that keeps answers".to_owned())?;
    let name = format!("{} erased", world.victim.canary);
    let question = format!("Which number comes after {}?", world.number());
    let body = json!({"model": "offline", "messages": [{"role": "user", "content": question}]});
    let before = throwaway(world, &name).await?;
    let request = world.request(asking, &before, Fill::new()).with_header(ASK.0, ASK.1);
    let request = Request { body: Some(body), ..request };
    let first = world.ask(&request, &before).await?;
    let again = world.ask(&request, &before).await?;
    if is_kept(&first) || !is_kept(&again) {
        return Err("the owner's repeated request is not answered from the cache".to_owned());
    }
    erase(world, &before).await?;
    let after = throwaway(world, &name).await?;
    let answer = world.ask(&request.by(&after.key), &after).await?;
    if is_kept(&answer) {
        return judged(Some("an answer that was kept for an erased tenant was given to another".to_owned()));
    }
    let gone = world.send(&request).await?;
    judged(gone.status.is_success().then(|| "an erased tenant's key was let in".to_owned()))
}

async fn deliveries(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let hook = world.description.find(&Method::POST, HOOK);
    let hook = hook.ok_or_else(|| "there are no hooks".to_owned())?;
    let side = throwaway(world, &format!("{} hooked", world.victim.canary)).await?;
    let fill = world.objects(hook, &side).await?;
    let taken = world.send(&world.request(hook, &side, fill.clone())).await?;
    if !taken.status.is_success() {
        return Err(format!("the owner's delivery is answered {}", taken.status.as_u16()));
    }
    erase(world, &side).await?;
    let answer = world.send(&world.request(hook, &side, fill)).await?;
    judged(answer.status.is_success().then(|| "a delivery to an erased tenant was taken".to_owned()))
}

/// What one tenant's end takes along is that tenant's alone.
async fn others_runs(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let going = throwaway(world, &format!("{} goes", world.victim.canary)).await?;
    let (_staying, client) = free(world).await?;
    // It fails at its second attempt, for which it waits.
    let backoff = json!({"initial_seconds": 3, "max_seconds": 3, "factor": 1});
    let definition = json!({"name": "Waits", "nodes": [
        {"id": "entry", "type": "source", "kind": "webhook",
            "webhook": {"scheme": "standard", "secret": HOOK_SERVICE}},
        {"id": "call", "type": "http", "after": ["entry"], "method": "GET",
            "url": format!("https://{NOWHERE}/"), "retry": {"max_attempts": 2, "backoff": backoff}},
    ]});
    let workflow = json!({"name": "Waits", "definition": definition, "config": {}});
    let made = client.post("/v1/workflows", &workflow).await.map_err(|error| error.to_string())?;
    let run = start(&client, made["id"].as_str().unwrap_or_default()).await?;
    let before = stands(&client, &run, "waiting").await?;
    if before != "waiting" {
        return Err(format!("the owner's run does not wait: {before}"));
    }
    erase(world, &going).await?;
    let after = stands(&client, &run, "failed").await?;
    judged((after != "failed").then(|| format!("another tenant's end leaves the run {after}")))
}

/// The control is that the export brings back the tenant that it is of, once that is erased.
async fn exports(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let client = operator(world);
    let side = throwaway(world, &format!("{} exported", world.victim.canary)).await?;
    let other = throwaway(world, &format!("{} imported", world.attacker.canary)).await?;
    let export = exported(world, &side).await?.body;
    let import = async |into: &Side| {
        let call = client.call(Method::POST, &format!("/v1/tenants/{}/import", into.tenant));
        call.body("application/octet-stream", export.clone()).send().await.map_err(|error| error.to_string())
    };
    erase(world, &other).await?;
    let answer = import(&other).await?;
    if answer.status.is_success() {
        return judged(Some(format!("the export was taken ({})", answer.status.as_u16())));
    }
    erase(world, &side).await?;
    let own = import(&side).await?;
    if !own.status.is_success() {
        return Err(format!("the tenant's own export is answered {}", own.status.as_u16()));
    }
    judged(None)
}

/// A tenant's export, with a record of its canary in it.
pub(super) async fn exported(world: &World<'_>, side: &Side) -> Result<client::Answer, String> {
    let told = |error: client::CallError| error.to_string();
    let (client, path) = (operator(world), format!("/v1/tenants/{}", side.tenant));
    let owner = world.client.with_key(side.key.clone());
    owner.post("/v1/records/contacts", &json!({"note": side.canary})).await.map_err(told)?;
    client.post(&format!("{path}/suspend"), &json!({})).await.map_err(told)?;
    let sent = client.call(Method::POST, &format!("{path}/export")).send().await;
    sent.and_then(client::Answer::accepted).map_err(told)
}

async fn backups(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let client = operator(world);
    let side = throwaway(world, &format!("{} backed up", world.victim.canary)).await?;
    let other = throwaway(world, &format!("{} restored", world.attacker.canary)).await?;
    let owner = world.client.with_key(side.key.clone());
    let record = json!({"note": world.victim.canary});
    owner.post("/v1/records/contacts", &record).await.map_err(|error| error.to_string())?;
    let sent = client.call(Method::POST, &format!("/v1/tenants/{}/backup", side.tenant)).send().await;
    let backup = sent.and_then(client::Answer::accepted).map_err(|error| error.to_string())?.body;
    let restore = async |into: &Side| {
        let path = format!("/v1/tenants/{}/restore", into.tenant);
        let call = client.call(Method::POST, &path).body("application/octet-stream", backup.clone());
        call.send().await.map_err(|error| error.to_string())
    };
    let own = restore(&side).await?;
    if !own.status.is_success() {
        return Err(format!("the tenant's own backup is answered {}", own.status.as_u16()));
    }
    let answer = restore(&other).await?;
    if answer.status.is_success() {
        return judged(Some(format!("the backup was taken ({})", answer.status.as_u16())));
    }
    let reading = world.client.with_key(other.key.clone());
    let seen = reading.get("/v1/records/contacts?limit=500").await.unwrap_or_default().to_string();
    judged(seen.contains(&world.victim.canary).then(|| "the victim's records are the attacker's".to_owned()))
}
