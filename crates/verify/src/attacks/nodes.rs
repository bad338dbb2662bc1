//! What runs carry out: the definition of their own workflow, however like another tenant's it is, and nothing but
//! records of their own tenant.

use super::reach::carried_out;
use super::{Attempt, Control, Job, judged};
use crate::bodies::COLLECTION;
use crate::pattern::Pattern;
use crate::side::Side;
use crate::world::World;
use client::Answer;
use http::Method;
use serde_json::{Value, json};

/// So often both tenants run what is alike: whatever is kept of the first run is there for the next.
const ROUNDS: usize = 2;

pub(super) fn jobs<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    let operation = control.operation;
    if operation.name() != "POST /v1/workflows/{id}/runs" {
        return Vec::new();
    }
    let attack = "the own definition, which differs from the victim's in one word of the same length";
    let alike = Pattern::new(operation, "definition", attack);
    let foreign = Pattern::new(operation, "`record` node `record_id`", "the victim's id");
    vec![Job::new(alike, definitions(world, control)), Job::new(foreign, records(world, control))]
}

/// Each tenant's runs carry out its own definition, whoever's was read before.
async fn definitions(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let sides = [&world.victim, &world.attacker];
    for _ in 0..ROUNDS {
        for (at, side) in sides.into_iter().enumerate() {
            // Without a template, so that the word comes from the definition and from nowhere else.
            let node = json!({
                "id": "remember", "type": "record", "after": ["entry"], "operation": "create",
                "collection": "definitions", "fields": {"note": side.canary},
            });
            let done = run(world, side, &node).await?.to_string();
            if done.contains(&sides[1 - at].canary) {
                return judged(Some("a run carried out the other tenant's definition".to_owned()));
            }
            if !done.contains(&side.canary) {
                return Err("an owner's run does not show what its definition says".to_owned());
            }
        }
    }
    judged(None)
}

/// The victim's record is to a run of the attacker's as if it were not there.
async fn records(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let node = |operation: &str, id: &str| {
        let mut node = json!({
            "id": "touch", "type": "record", "after": ["entry"], "operation": operation,
            "collection": COLLECTION, "record_id": id, "retry": {"max_attempts": 1},
        });
        if operation == "update" {
            node["fields"] = json!({"stage": "taken"});
        }
        node
    };
    for operation in ["get", "update", "delete"] {
        let id = record(world, &world.victim).await?;
        let before = shown(world, &id).await?;
        let own = record(world, &world.attacker).await?;
        if run(world, &world.attacker, &node(operation, &own)).await?["status"] != "succeeded" {
            return Err(format!("a run that is to {operation} an owner's own record does not succeed"));
        }
        let nothing = world.missing(&id);
        let done = run(world, &world.attacker, &node(operation, &id)).await;
        let missing = run(world, &world.attacker, &node(operation, &nothing)).await;
        // It stands in what the attacker ran, and stays the victim's, also where a run did not come about.
        world.attacker.forget(&id);
        let (done, missing) = (done?, missing?);
        if done.to_string().contains(&world.victim.canary) {
            return judged(Some(format!("`{operation}` shows the victim's record to a run")));
        }
        if outcome(&done, &id) != outcome(&missing, &nothing) {
            return judged(Some(format!("`{operation}` tells a foreign record from a missing one")));
        }
        let after = shown(world, &id).await?;
        if (after.status, after.json()) != (before.status, before.json()) {
            return judged(Some(format!("`{operation}` reached the victim's record")));
        }
    }
    judged(None)
}

async fn run(world: &World<'_>, side: &Side, node: &Value) -> Result<Value, String> {
    let ended = carried_out(world, side, node).await?;
    ended.ok_or_else(|| "the owner's workflow was refused".to_owned())
}

/// How a run ended, but for what it was asked for.
fn outcome(run: &Value, asked: &str) -> String {
    let steps = run["steps"].as_array().into_iter().flatten();
    let steps: Vec<Value> = steps.map(|step| json!([step["output"], step["error"]])).collect();
    json!([run["status"], run["last_error"], steps]).to_string().replace(asked, "…")
}

/// A record with a side's canary.
async fn record(world: &World<'_>, side: &Side) -> Result<String, String> {
    world.made.go_on()?;
    let client = world.client.with_key(side.key.clone());
    let body = json!({"note": side.canary, "stage": "new"});
    let made = client.post(&format!("/v1/records/{COLLECTION}"), &body).await;
    let made = made.map_err(|error| error.to_string())?;
    side.learn(&made.to_string());
    Ok(made["id"].as_str().unwrap_or_default().to_owned())
}

/// The victim's record, as the victim sees it.
async fn shown(world: &World<'_>, id: &str) -> Result<Answer, String> {
    let client = world.client.with_key(world.victim.key.clone());
    let answer = client.call(Method::GET, &format!("/v1/records/{COLLECTION}/{id}")).send().await;
    answer.map_err(|error| error.to_string())
}
