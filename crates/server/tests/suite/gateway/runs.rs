//! Calls to models that steps of runs make: charged to whoever started the run, and ended with their step.

use super::{World, ask, eventually};
use crate::harness::send;
use crate::work::{over, start, step, until, workflow};
use client::Client;
use http::Method;
use secret::SecretText;
use serde_json::{Value, json};

impl World {
    /// A workflow that asks this model once.
    pub(super) async fn asking(&self, model: &str, timeout: u64) -> String {
        let definition = json!({"name": "Ask", "nodes": [
            {"id": "start", "type": "source", "kind": "manual"},
            {"id": "ask", "type": "ai", "after": ["start"], "model": model, "prompt": "Say hello, please.",
             "timeout": timeout, "retry": {"max_attempts": 1}},
        ]});
        workflow(&self.tenant, &definition).await
    }

    /// A key and its client, of an agent where one is given.
    async fn key(&self, agent: Option<&str>) -> (String, Client) {
        let wanted = json!({"name": "runner", "role": "developer", "agent": agent});
        let made = self.client.post("/v1/api-keys", &wanted).await.unwrap();
        let key = SecretText::new(made["key"].as_str().unwrap().to_owned());
        (made["id"].as_str().unwrap().to_owned(), self.client.with_key(key))
    }

    async fn grouped(&self, by: &str, value: &str) -> Value {
        let usage = self.client.get(&format!("/v1/usage?group_by={by}")).await.unwrap();
        let lines = usage["data"].as_array().unwrap().clone();
        lines.into_iter().find(|line| line["group"][by] == value).unwrap_or(Value::Null)
    }
}

#[tokio::test]
async fn a_run_spends_the_budgets_of_the_key_and_agent_that_started_it_and_of_its_workflow() {
    let world = World::new().await;
    let agent = world.tenant.agent().await;
    let (key, runner) = world.key(Some(&agent)).await;
    let asking = world.asking("gpt-test", 30).await;
    let first = over(&runner, &start(&runner, &asking, Value::Null).await).await;
    assert_eq!(first["status"], "succeeded", "{first}");
    for (by, id) in [("key", &key), ("agent", &agent), ("workflow", &asking)] {
        let line = world.grouped(by, id).await;
        assert_eq!((&line["ai_calls"], &line["cost_usd"]), (&json!(1), &json!("0.000081")), "{by}");
    }
    // One worst case fits in, and nothing beside what was spent.
    let reserved = world.events().await[0]["details"]["reserved_usd"].as_str().unwrap().to_owned();
    for (scope, id, per) in [("key", &key, "day"), ("agent", &agent, "month"), ("workflow", &asking, "day")] {
        let path = format!("/v1/budgets/{scope}/{id}");
        let budget = world.client.put(&path, &json!({"per": per, "usd": reserved})).await.unwrap();
        assert_eq!(budget["spent"], "0.000081", "{scope}");
        let run = over(&runner, &start(&runner, &asking, Value::Null).await).await;
        assert_eq!((&run["status"], &step(&run, "ask")["attempts"]), (&json!("failed"), &json!(1)), "{run}");
        assert!(step(&run, "ask")["error"].as_str().unwrap().contains(scope), "{run}");
        world.client.delete(&path).await.unwrap();
    }
    assert_eq!(world.provider.requests().len(), 1);
    // Another key's runs are not its business.
    let path = format!("/v1/budgets/key/{key}");
    world.client.put(&path, &json!({"per": "day", "usd": "0"})).await.unwrap();
    let other = over(&world.client, &start(&world.client, &asking, Value::Null).await).await;
    assert_eq!(other["status"], "succeeded");
}

#[tokio::test]
async fn a_cancelled_step_is_charged_its_prompt_at_once() {
    let world = World::new().await;
    world.set_budget("1").await;
    let asking = world.asking("hangs", 600).await;
    let run = start(&world.client, &asking, Value::Null).await;
    eventually("the provider is asked", async || (!world.provider.requests().is_empty()).then_some(())).await;
    let intent = eventually("the intent is durable", async || world.events().await.pop()).await;
    assert_ne!(world.budget().await["reserved"], "0.00");
    let cancelled = send(&world.client, Method::POST, &format!("/v1/runs/{run}/cancel")).await;
    assert_eq!(cancelled.json()["status"], "cancelled");

    let budget = eventually("the call is settled", async || {
        let budget = world.budget().await;
        (budget["reserved"] == "0.00").then_some(budget)
    })
    .await;
    assert_ne!(budget["spent"], "0.00");
    let usage = world.usage("hangs").await;
    assert_eq!((&usage["cost_usd"], &usage["unknown_calls"]), (&budget["spent"], &json!(0)));
    let outcome = world.events().await.pop().unwrap();
    assert_eq!((&outcome["result"], &outcome["reason_code"]), (&json!("failure"), &json!("cancelled")));
    assert_eq!(outcome["intent"], intent["event_id"]);
}

#[tokio::test]
async fn a_step_whose_time_is_up_fails_and_its_cost_is_the_runs() {
    let world = World::new().await;
    let asking = world.asking("hangs", 1).await;
    let run = over(&world.client, &start(&world.client, &asking, Value::Null).await).await;
    assert_eq!(run["status"], "failed", "{run}");
    let usage = world.usage("hangs").await;
    assert_ne!(usage["cost_usd"], "0.00");
    assert_eq!((&run["cost_usd"], &usage["unknown_calls"]), (&usage["cost_usd"], &json!(0)));
}

#[tokio::test]
async fn a_step_that_the_window_refuses_waits_for_it() {
    let world = World::with("", json!({"ai_calls_per_hour": 1})).await;
    assert_eq!(world.chat(ask("gpt-test")).await.status, 200);
    let asking = world.asking("gpt-test", 30).await;
    let run = start(&world.client, &asking, Value::Null).await;
    let waiting = until(&world.client, &run, |run| run["status"] == "waiting").await;
    assert!(waiting["due"].is_string(), "{waiting}");
    assert_eq!(world.provider.requests().len(), 1);
}
