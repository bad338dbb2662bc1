//! `kill -9` between a call's intent and its outcome.

use super::{World, ask, eventually};
use serde_json::json;

#[tokio::test]
async fn a_call_that_a_crash_left_unknown_is_charged_its_reservation_when_its_lease_ends() {
    let mut world = World::with("[limits]\nmodel_call_seconds = 2\n", json!({})).await;
    world.set_budget("1.00").await;
    let client = world.client.clone();
    let waiting = tokio::spawn(async move {
        let call = client.call(http::Method::POST, "/v1/chat/completions").json(&ask("hangs")).unwrap();
        call.send().await
    });
    eventually("the provider is asked", async || (!world.provider.requests().is_empty()).then_some(())).await;
    let intent = eventually("the intent is durable", async || world.events().await.pop()).await;
    assert_eq!(intent["result"], "intent");
    let reserved = intent["details"]["reserved_usd"].clone();

    world.server.crash_and_restart();
    assert!(waiting.await.unwrap().is_err(), "the caller saw its connection break");
    world.client = world.tenant.owner_at(&world.server);
    let budget = world.budget().await;
    assert_eq!((&budget["reserved"], &budget["spent"]), (&reserved, &json!("0.00")), "held, not forgotten");

    let budget = eventually("the lease ends", async || {
        let budget = world.budget().await;
        (budget["reserved"] == "0.00").then_some(budget)
    })
    .await;
    assert_eq!(budget["spent"], reserved);
    let usage = world.usage("hangs").await;
    assert_eq!((&usage["unknown_calls"], &usage["cost_usd"]), (&json!(1), &reserved));
    let outcome = world.events().await.pop().unwrap();
    assert_eq!(
        (&outcome["result"], &outcome["actor"]["id"]),
        (&json!("outcome_unknown"), &json!("lease_expiry"))
    );
    assert_eq!(outcome["details"]["call"], intent["details"]["call"]);
    assert_eq!((&outcome["action"], &outcome["intent"]), (&intent["action"], &intent["event_id"]));

    // Another start finds nothing left to charge.
    world.server.crash_and_restart();
    world.client = world.tenant.owner_at(&world.server);
    assert_eq!(world.budget().await["spent"], reserved);
}
